//! A backup put in the place of the database.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use diesel::connection::SimpleConnection;
use diesel::dsl::{count_star, max};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;
use serde::Serialize;

use super::{DATABASE, MIGRATIONS};
use crate::model::random_epoch;
use crate::sqlite::{self, BeforeMigration, Hold, PathError, StartupError, at, beside};
use crate::store::schema::{share_data, shares};

/// What a backup holds. Times are milliseconds since 1970.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Shares that are not deleted.
    pub shares: i64,
    /// Items of all shares.
    pub items: i64,
    /// When the newest change in it was made.
    pub newest: Option<i64>,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// What is there now.
    #[serde(flatten)]
    pub backup: Backup,
    /// Where the database is that was there before.
    pub replaced: Option<PathBuf>,
    /// What was deleted since the backup was made, and stays so.
    pub since: DeletedSince,
}

/// What was deleted since a backup was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedSince {
    /// Shares.
    pub shares: usize,
    /// Items of shares that were not deleted.
    pub items: usize,
}

/// Why a backup was not restored. What was there is there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The data directory is in use, or the backup is of a newer version.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// The backup is damaged, or none.
    #[error("{file}: {reason}", file = .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Checks that a file is a whole backup, without changing it.
///
/// # Errors
/// When it is not.
pub fn check(file: &Path) -> Result<Backup, RestoreError> {
    // Opened first, for an error that says more than SQLite's.
    File::open(file).map_err(at(file))?;
    let path = file.to_str().ok_or_else(|| at(file)(io::Error::other("the path is not Unicode")))?;
    let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let damaged = damaged(file);
    let mut connection = SqliteConnection::establish(&format!("file:{escaped}?mode=ro&immutable=1"))
        .map_err(|error| damaged(error.to_string()))?;
    inspect(&mut connection).map_err(damaged)
}

/// Puts a backup in the place of the database in `data_dir`, which no server may use meanwhile. Every share gets a new
/// epoch, so that who has watched it loads it anew; what was deleted since the backup was made stays deleted.
///
/// # Errors
/// When the backup is damaged or a file cannot be written. Then what was there is there.
pub fn restore(data_dir: &Path, file: &Path) -> Result<Restored, RestoreError> {
    sqlite::private_dir(data_dir)?;
    let lock_file = data_dir.join("lock");
    let lock = sqlite::lock(&lock_file, Hold::Alone)?;
    check(file)?;
    let current = data_dir.join(DATABASE);
    let new = beside(&current, ".restoring");
    let (backup, since) = prepare(file, &new, &current).inspect_err(|_| {
        for suffix in ["", "-wal", "-shm"] {
            // What is not there need not go.
            let _ = fs::remove_file(beside(&new, suffix));
        }
    })?;
    let replaced = set_aside(&current)?;
    fs::rename(&new, &current).map_err(at(&new))?;
    own_like_directory(data_dir, &[&current, &lock_file])?;
    sqlite::sync_dir(&current)?;
    drop(lock);
    Ok(Restored { backup, replaced, since })
}

/// Makes `new` of a backup: of this version, with new epochs, without what was deleted since. One file, on the disk.
fn prepare(file: &Path, new: &Path, current: &Path) -> Result<(Backup, DeletedSince), RestoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let left = beside(new, suffix);
        if left.exists() {
            fs::remove_file(&left).map_err(at(&left))?;
        }
    }
    let mut from = File::open(file).map_err(at(file))?;
    io::copy(&mut from, &mut sqlite::private_file(new)?).map_err(at(new))?;
    let mut connection = sqlite::open_and_migrate(new, MIGRATIONS, BeforeMigration::Nothing)?;
    let damaged = damaged(file);
    let epoch = random_epoch()?;
    diesel::update(shares::table)
        .set(shares::epoch.eq(epoch))
        .execute(&mut connection)
        .map_err(|error| damaged(error.to_string()))?;
    let since = if current.is_file() {
        take_over_deletions(&mut connection, current)
    } else {
        DeletedSince::default()
    };
    let backup = inspect(&mut connection).map_err(&damaged)?;
    let whole = sqlite::checkpoint(&mut connection)
        .and_then(|_| connection.batch_execute("PRAGMA journal_mode = DELETE"));
    whole.map_err(|error| damaged(error.to_string()))?;
    drop(connection);
    File::open(new).and_then(|file| file.sync_all()).map_err(at(new))?;
    Ok((backup, since))
}

/// Nobody who deleted a share, or removed an item of one, should find it again. A database that cannot be read any
/// more is why there are backups: then there is nothing to take over.
fn take_over_deletions(connection: &mut SqliteConnection, current: &Path) -> DeletedSince {
    let Some(path) = current.to_str() else { return DeletedSince::default() };
    let mut update = || -> QueryResult<DeletedSince> {
        diesel::sql_query("ATTACH DATABASE ? AS replaced").bind::<Text, _>(path).execute(connection)?;
        let shares = diesel::sql_query(
            "UPDATE shares SET deleted_at = gone.deleted_at, session_id = '' FROM replaced.shares AS gone \
             WHERE gone.id = shares.id AND gone.deleted_at IS NOT NULL AND shares.deleted_at IS NULL",
        )
        .execute(connection)?;
        diesel::sql_query(
            "UPDATE create_tokens SET revoked_at = gone.revoked_at FROM replaced.create_tokens AS gone \
             WHERE gone.hash = create_tokens.hash AND gone.revoked_at IS NOT NULL AND create_tokens.revoked_at IS NULL",
        )
        .execute(connection)?;
        diesel::sql_query(
            "CREATE TEMP TABLE removed AS \
             SELECT held.id, held.share_num, octet_length(held.content) AS bytes \
             FROM share_data AS held JOIN shares ON shares.num = held.share_num \
             JOIN replaced.shares AS later ON later.id = shares.id \
             JOIN replaced.share_data AS gone ON gone.share_num = later.num AND gone.key = held.key \
             WHERE shares.deleted_at IS NULL AND held.content IS NOT NULL AND gone.content IS NULL",
        )
        .execute(connection)?;
        // Tombstones are left. Their places in the order of changes may stay: viewers load all anew.
        let items =
            diesel::sql_query("UPDATE share_data SET content = NULL WHERE id IN (SELECT id FROM removed)")
                .execute(connection)?;
        diesel::sql_query(
            "UPDATE shares SET size = size - freed.bytes \
             FROM (SELECT share_num, sum(bytes) AS bytes FROM removed GROUP BY share_num) AS freed \
             WHERE freed.share_num = shares.num",
        )
        .execute(connection)?;
        Ok(DeletedSince { shares, items })
    };
    let taken_over = update();
    // One of an earlier version has no such table; then the clock is in doubt for a day.
    let passed = diesel::sql_query(
        "UPDATE passed_time SET at = max(passed_time.at, later.at) FROM replaced.passed_time AS later",
    );
    if let Err(error) = passed.execute(connection) {
        tracing::debug!(%error, "which time has passed is not known");
    }
    // It fails when it was not attached.
    let _ = connection.batch_execute("DETACH DATABASE replaced");
    taken_over.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was deleted since the backup is not known");
        DeletedSince::default()
    })
}

/// Moves the database that is there out of the way, with its log when that is not empty.
fn set_aside(current: &Path) -> Result<Option<PathBuf>, RestoreError> {
    if !current.is_file() {
        return Ok(None);
    }
    // So that one file is all of it, where that can still be had.
    if let Ok(mut connection) = sqlite::open(current) {
        let _ = sqlite::checkpoint(&mut connection);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let aside = beside(current, &format!(".replaced-{now}"));
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (beside(current, suffix), beside(&aside, suffix));
        if from.exists() {
            fs::rename(&from, &to).map_err(at(&from))?;
        }
    }
    Ok(Some(aside))
}

/// Whoever restores or moves as root leaves files that the server's user can open.
pub(super) fn own_like_directory(data_dir: &Path, files: &[&Path]) -> Result<(), PathError> {
    let dir = data_dir.metadata().map_err(at(data_dir))?;
    for file in files {
        let own = file.metadata().map_err(at(file))?;
        if (own.uid(), own.gid()) != (dir.uid(), dir.gid()) && rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(file, Some(dir.uid()), Some(dir.gid())).map_err(at(file))?;
        }
    }
    Ok(())
}

fn inspect(connection: &mut SqliteConnection) -> Result<Backup, String> {
    #[derive(QueryableByName)]
    struct Check {
        #[diesel(sql_type = Text)]
        integrity_check: String,
    }
    let check: Check = diesel::sql_query("PRAGMA integrity_check(1)")
        .get_result(connection)
        .map_err(|error| error.to_string())?;
    if check.integrity_check != "ok" {
        return Err(check.integrity_check);
    }
    let mut count = || -> QueryResult<Backup> {
        let alive = shares::table.filter(shares::deleted_at.is_null());
        Ok(Backup {
            shares: alive.select(count_star()).first(connection)?,
            items: share_data::table
                .filter(share_data::content.is_not_null())
                .select(count_star())
                .first(connection)?,
            newest: shares::table.select(max(shares::updated_at)).first(connection)?,
        })
    };
    count().map_err(|error| format!("this is no backup of brutus-share: {error}"))
}

fn damaged(file: &Path) -> impl Fn(String) -> RestoreError + use<'_> {
    |reason| RestoreError::Damaged { file: file.to_owned(), reason }
}
