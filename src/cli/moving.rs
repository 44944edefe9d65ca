//! `brutus-share move`: all shares into another store.

use std::convert::Infallible;
use std::error::Error;
use std::str::FromStr;

use bytesize::ByteSize;
use clap::Args;

use crate::config::{StoreChoice, StoreKind};
use crate::store::{self, Place};

/// `move`
#[derive(Debug, Args)]
#[command(
    after_help = "Beside a server that writes to the old store it copies what is there, and exits with 6. Stop the \
                  server and run it again: it copies what changed, compares all, and the new store is ready. The old \
                  one stays as it is. Killed at any time, it goes on when it is run again."
)]
pub(super) struct Move {
    // Passwords may stand in them: help does not show what is set.
    /// The old store: a data directory, or the URL of a PostgreSQL database
    #[arg(long, env = "BRUTUS_SHARE_MOVE_FROM", value_name = "STORE", hide_env_values = true)]
    from: Whereabouts,

    /// The new store, the same way; it has no shares yet
    #[arg(long, env = "BRUTUS_SHARE_MOVE_TO", value_name = "STORE", hide_env_values = true)]
    to: Whereabouts,
}

/// A store by its URL, or its directory. It may hold a password, so nothing shows it, and it is only looked at when it
/// is used: what clap refuses it prints.
#[derive(Clone)]
struct Whereabouts(Result<Place, NotThere>);

/// Nothing is moved from or to such a store.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("`move` is between SQLite and PostgreSQL: for libSQL, docs/SCALE.md says what there is in its place")]
pub(super) struct NotThere;

impl FromStr for Whereabouts {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let Ok(choice) = text.parse::<StoreChoice>();
        Ok(Self(match choice.kind() {
            Ok(StoreKind::Postgres(url)) => Ok(Place::Postgres(url.to_owned())),
            Ok(StoreKind::Libsql(_)) => Err(NotThere),
            _ => Ok(Place::Directory(text.into())),
        }))
    }
}

impl std::fmt::Debug for Whereabouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Ok(Place::Directory(_)) => "directory",
            Ok(Place::Postgres(_)) => "postgres",
            Err(NotThere) => "libsql",
        })
    }
}

/// Runs the command.
pub(super) fn run(command: &Move) -> Result<(), Box<dyn Error>> {
    let (from, to) = (command.from.0.as_ref(), command.to.0.as_ref());
    let mut moving = store::Move::begin(from.map_err(|error| *error)?, to.map_err(|error| *error)?)?;
    let mut before = u64::MAX;
    loop {
        let copied = moving.pass()?;
        if copied.shares > 0 {
            say!("copied {} shares, {} items, {}", copied.shares, copied.items, ByteSize(copied.bytes));
        }
        // As many as before: those that are just being written, which will not become fewer.
        if copied.shares == 0 || copied.shares >= before {
            break;
        }
        before = copied.shares;
    }
    let compared = moving.finish()?;
    say!(
        "{} shares with {} items are as they were: start the server with the new store",
        compared.shares,
        compared.items
    );
    Ok(())
}
