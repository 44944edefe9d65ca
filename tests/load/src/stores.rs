//! The same server over each store that there is, and the one of packaging/cloudflare: medians, in one table.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use crate::nodes::watched;
use crate::servers::{Database, Kind, Programs, Started};
use crate::table::{self, figure, median};
use crate::{Result, ingest, reading};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Rounds; every round measures everything once
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// How long each measurement of a rate takes
    #[arg(long, default_value_t = 4)]
    pub seconds: u64,
    /// The stores, all of them when none is named
    #[arg(long, value_delimiter = ',')]
    pub stores: Vec<Kept>,
}

/// Where shares are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kept {
    /// In a file of the server's.
    Sqlite,
    /// In PostgreSQL as it comes.
    Postgres,
    /// In sqld as it comes: what it acknowledges is on the disk some time later.
    Libsql,
    /// In sqld with `durability_mode` `strong`: on the disk when it is acknowledged.
    LibsqlStrong,
    /// In the Durable Objects of packaging/cloudflare, by workerd.
    Cloudflare,
}

const ALL: [Kept; 5] = [Kept::Sqlite, Kept::Postgres, Kept::Libsql, Kept::LibsqlStrong, Kept::Cloudflare];

/// Parts of the share that is loaded, and the bytes of each.
const PARTS: usize = 2000;
const PART_BYTES: usize = 1024;

/// Longer than a share stays in memory that nobody uses, by `share_idle` and the look for those.
const IDLE: Duration = Duration::from_secs(4);

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Libsql => "libSQL",
            Self::LibsqlStrong => "libSQL, strong",
            Self::Cloudflare => "Cloudflare, by workerd",
        }
    }

    /// A server with nothing in its store.
    fn start(self, programs: &Programs) -> Result<(Started, Option<Database>)> {
        let database = match self {
            Self::Sqlite | Self::Cloudflare => None,
            Self::Postgres => Some(programs.start_database("postgres", &[])?),
            Self::Libsql => Some(programs.start_database("sqld", &[])?),
            Self::LibsqlStrong => Some(programs.start_database("sqld", &[("DURABILITY", "strong")])?),
        };
        let store = database.as_ref().map_or("sqlite".to_owned(), |database| match self {
            Self::Postgres => format!("postgres://postgres@{}/share", database.address()),
            _ => format!("libsql+http://{}", database.address()),
        });
        let server = match self {
            Self::Cloudflare => programs.start(Kind::Cloudflare, &[], &[])?,
            _ => programs.start(Kind::Ours, &["--store", &store, "--share-idle", "1s"], &[])?,
        };
        Ok((server, database))
    }
}

/// Measures everything, and prints a table in Markdown; how it goes is told on stderr.
pub fn run(programs: &Programs, options: &Options) {
    let stores: Vec<Kept> =
        ALL.into_iter().filter(|kept| options.stores.is_empty() || options.stores.contains(kept)).collect();
    let mut measured = BTreeMap::<(usize, usize), Vec<f64>>::new();
    let mut names = Vec::new();
    for round in 0..options.rounds {
        for (column, kept) in stores.iter().enumerate() {
            match measure(programs, *kept, options.seconds) {
                Ok(values) => {
                    eprintln!("{round} {}: {values:?}", kept.name());
                    names = values.iter().map(|(name, _)| *name).collect();
                    for (row, (_, value)) in values.into_iter().enumerate() {
                        measured.entry((row, column)).or_default().push(value);
                    }
                }
                Err(error) => eprintln!("{round} {}: failed: {error}", kept.name()),
            }
        }
    }
    println!("| | {} |", stores.iter().map(|kept| kept.name()).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(stores.len()));
    for (row, name) in names.into_iter().enumerate() {
        let cells = (0..stores.len())
            .map(|column| measured.get_mut(&(row, column)).map_or(String::new(), |all| figure(median(all))));
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

fn measure(programs: &Programs, kept: Kept, seconds: u64) -> Result<Vec<(&'static str, f64)>> {
    let (server, _database) = kept.start(programs)?;
    let many = ingest::run(&server.channels(64)?, table::stream(seconds))?;
    let share = server.channels(1)?.remove(0);
    let (p50, p99) = watched(&share, &share, seconds)?;
    let large = server.channels(1)?.remove(0);
    ingest::fill(&large, PARTS, PART_BYTES, 100)?;
    sleep(IDLE);
    let first = reading::web_sockets(&large, 1, PARTS)?;
    let again = reading::web_sockets(&large, 1, PARTS)?;
    Ok(vec![
        ("64 clients, 64 shares, syncs/s", many.requests),
        ("sync to viewer, p50, ms", p50),
        ("the same, p99", p99),
        ("first load of 2,000 parts, from the store, ms", first.as_secs_f64() * 1e3),
        ("the same by the next viewer", again.as_secs_f64() * 1e3),
    ])
}
