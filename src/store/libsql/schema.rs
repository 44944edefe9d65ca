//! The tables: those of SQLite, by the same migrations.

use std::fmt::Write as _;

use super::LibsqlError;
use super::connect::{Failure, Link};
use super::hrana::{Batch, Columns, Step};

/// A folder of `migrations/sqlite`.
macro_rules! migration {
    ($folder:literal) => {
        (
            $folder,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/", $folder, "/up.sql")),
        )
    };
}

/// The folders of the migrations, and what they do.
const MIGRATIONS: &[(&str, &str)] = &[
    migration!("2026-11-23-000000_create_shares"),
    migration!("2026-11-23-000001_create_checks"),
    migration!("2026-11-23-000002_lifetimes_and_tokens"),
    migration!("2026-12-14-000000_erasure_and_clock"),
    migration!("2026-12-23-000000_redactions"),
    migration!("2026-12-29-000000_writer"),
    migration!("2026-12-31-000000_lock"),
    migration!("2026-12-31-000001_tries"),
];

/// What is newer than a position is found by it, for several processes write. SQLite has it where several do; a
/// database that was one of a single process has not.
const INDEX_BY_SEQ: &str = "CREATE INDEX IF NOT EXISTS share_data_by_seq ON share_data (share_num, seq)";

/// The number by which Diesel calls a migration.
fn version(folder: &str) -> String {
    folder.split('_').next().unwrap_or_default().replace('-', "")
}

/// Whether a database has seen all migrations.
pub(super) async fn is_up_to_date(link: &Link) -> Result<bool, LibsqlError> {
    Ok(missing(&seen(link).await?)?.is_empty())
}

/// Runs the migrations that the database has not seen. Another process may do the same.
pub(super) async fn migrate(link: &Link) -> Result<(), LibsqlError> {
    loop {
        let before = seen(link).await?;
        let missing = missing(&before)?;
        if missing.is_empty() {
            return Ok(link.run(INDEX_BY_SEQ).await?);
        }
        match link.run(&script(before.is_empty(), &missing)).await {
            Ok(()) => {}
            // Another process was first: then this one's transaction was undone at its first statement.
            Err(failure) => {
                if seen(link).await?.len() <= before.len() {
                    return Err(failure.into());
                }
            }
        }
    }
}

/// The versions of the migrations that a database has seen.
async fn seen(link: &Link) -> Result<Vec<String>, Failure> {
    let table = "SELECT 1 FROM sqlite_master WHERE name = '__diesel_schema_migrations'";
    if link.read(&Batch::one(Step::new(table, []))).await?.remove(0).rows.is_empty() {
        return Ok(Vec::new());
    }
    let versions = "SELECT version FROM __diesel_schema_migrations";
    let rows = link.read(&Batch::one(Step::new(versions, []))).await?.remove(0).rows;
    Ok(rows.into_iter().map(|row| Columns::of(row).next()).collect::<Result<_, _>>()?)
}

fn missing(seen: &[String]) -> Result<Vec<&'static (&'static str, &'static str)>, LibsqlError> {
    let known: Vec<String> = MIGRATIONS.iter().map(|(folder, _)| version(folder)).collect();
    if let Some(newer) = seen.iter().find(|version| !known.contains(version)) {
        return Err(LibsqlError::Newer(newer.clone()));
    }
    Ok(MIGRATIONS.iter().filter(|(folder, _)| !seen.contains(&version(folder))).collect())
}

/// All of them in one transaction. Who has noted a version keeps others from noting it too.
fn script(is_empty: bool, missing: &[&(&str, &str)]) -> String {
    let mut script = String::from("BEGIN IMMEDIATE;\n");
    if is_empty {
        script.push_str(
            "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);\n",
        );
    }
    for (folder, up) in missing {
        let version = version(folder);
        // A string takes all that is written to it.
        let _ =
            writeln!(script, "INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}');\n{up}");
    }
    script.push_str("COMMIT;");
    script
}

#[cfg(test)]
mod tests {
    use diesel::migration::{Migration, MigrationSource};
    use diesel::sqlite::Sqlite;

    use super::*;

    #[test]
    fn the_migrations_are_those_of_sqlite() {
        let all: Vec<Box<dyn Migration<Sqlite>>> = crate::store::sqlite::MIGRATIONS.migrations().unwrap();
        let mut of_sqlite: Vec<_> =
            all.iter().map(|migration| migration.name().version().to_string()).collect();
        of_sqlite.sort();
        let here: Vec<_> = MIGRATIONS.iter().map(|(folder, _)| version(folder)).collect();
        assert_eq!(here, of_sqlite, "a new folder under migrations/sqlite has a line here");
    }
}
