//! Where shares are kept: the port, and behind it SQLite, for one machine, and PostgreSQL and libSQL, for many.
//!
//! When a write is answered, it is durable, as far as the database of another machine says what is so. Knows nothing of
//! actors, viewers or HTTP.

mod direct;
mod group;
mod lane;
mod libsql;
mod moving;
mod names;
mod operator;
mod postgres;
mod questions;
mod records;
mod room;
mod schema;
mod sqlite;
mod tokens;
mod tries;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

pub use libsql::{LibsqlError, LibsqlStore};
pub use moving::{Compared, Copied, Move, MoveError, Place};
pub use names::{MAX_NAMES, Name, Names, Naming};
pub use operator::{Contents, Filter, Kind, Locked, Operator, OperatorError, ShareRecord, Sort, Stats};
pub(crate) use postgres::Database as PostgresDatabase;
pub use postgres::{PostgresError, PostgresStore};
pub use records::{
    Added, Amendment, Deletions, End, Head, Heads, NewShare, ShareHead, StoredHead, StoredShare, Write,
};
pub use room::{NoRoom, Sizes};
pub use sqlite::{Backup, DeletedSince, RestoreError, Restored, SqliteStore, check, restore};
pub use tokens::{CreateToken, NewToken};

use crate::config::Limits;
use crate::model::{Life, SecretHash, ShareId};
use crate::redact::Digest;
use crate::sqlite::StartupError;

/// A handle on the store. Clones are of the same.
#[derive(Clone)]
pub enum Store {
    /// One file, written by this process and those beside it on the machine.
    Sqlite(Arc<SqliteStore>),
    /// A database that processes on many machines write.
    Postgres(PostgresStore),
    /// SQLite behind HTTP, which processes on many machines write.
    Libsql(LibsqlStore),
}

/// Calls a method of the store that there is.
macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Sqlite($store) => $call,
            Self::Postgres($store) => $call,
            Self::Libsql($store) => $call,
        }
    };
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The writer's queue is full, or too many reads wait. Nothing was done.
    #[error("the store is behind")]
    Busy,
    /// The share's token has as many shares as it may have. Nothing was written.
    #[error("the token has as many shares as it may have")]
    TooManyShares,
    /// The share's head is another than the write was made on: another process wrote. Nothing was written.
    #[error("another process has changed the share")]
    Conflict,
    /// The share was deleted meanwhile, beside this process. Nothing was written.
    #[error("the share was deleted")]
    Gone,
    /// The database cannot be read or written now (disk full, I/O error), or is closed. Nothing was written.
    #[error("the database is not available")]
    Unavailable,
    /// The connection broke while the database wrote. What it was told is written, or will be, or not.
    #[error("the database did not say whether it has written")]
    Unknown,
}

impl Store {
    /// Opens the database in `data_dir`, makes it when there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// When the directory or the file cannot be used, when another process serves it, or when a newer version wrote it.
    pub fn open(data_dir: &Path) -> Result<Self, StartupError> {
        Ok(Self::Sqlite(Arc::new(SqliteStore::open(data_dir)?)))
    }

    /// Like `open`, for one of several processes that serve the same directory.
    ///
    /// # Errors
    /// As `open`, but only a process that has the directory for itself is in the way.
    pub fn open_shared(data_dir: &Path) -> Result<Self, StartupError> {
        Ok(Self::Sqlite(Arc::new(SqliteStore::open_shared(data_dir)?)))
    }

    /// Connects to the PostgreSQL database of a URL and brings its schema up to date. Waits a minute for one that
    /// cannot be reached. Blocks.
    ///
    /// # Errors
    /// When the URL cannot be used, the database refuses, or a newer version wrote it.
    pub fn open_postgres(url: &str) -> Result<Self, PostgresError> {
        PostgresStore::open(url).map(Self::Postgres)
    }

    /// Connects to the libSQL database of a URL, `libsql+http://` or `libsql+https://`, and brings its schema up to
    /// date. Waits a minute for one that cannot be reached. Blocks.
    ///
    /// # Errors
    /// When the URL cannot be used, the database refuses, or a newer version wrote it.
    pub fn open_libsql(url: &str) -> Result<Self, LibsqlError> {
        LibsqlStore::open(url).map(Self::Libsql)
    }

    /// The largest item that the database takes, in bytes; `None` when that is larger than any.
    pub fn max_item(&self) -> Option<u64> {
        match self {
            Self::Sqlite(_) | Self::Postgres(_) => None,
            Self::Libsql(store) => Some(store.max_item()),
        }
    }

    /// Whether other processes may write too.
    pub fn is_shared(&self) -> bool {
        each!(self, store => store.is_shared())
    }

    /// Counts anew what all shares take: an operator's commands change it beside this process.
    pub async fn recount(&self) -> Result<(), StoreError> {
        each!(self, store => store.recount().await)
    }

    /// Whether there is room for more content.
    pub fn has_room(&self, limits: &Limits) -> Result<(), NoRoom> {
        each!(self, store => store.has_room(limits))
    }

    /// Writes that wait for the disk.
    pub fn waiting(&self) -> usize {
        each!(self, store => store.waiting())
    }

    /// What the store takes.
    pub fn sizes(&self) -> Sizes {
        each!(self, store => store.sizes())
    }

    /// Stores a new share, empty.
    pub async fn create(&self, mut share: NewShare) -> Result<(), StoreError> {
        // PostgreSQL's texts have no NUL, so nobody's has one.
        share.session_id = share.session_id.replace('\0', "\u{fffd}");
        each!(self, store => store.create(share).await)
    }

    /// Stores what a batch changed, when the share's head is still the one that it was made on.
    pub async fn write(&self, write: Write) -> Result<(), StoreError> {
        each!(self, store => store.write(write).await)
    }

    /// Changes what a living share's readers need, or when it ends. That moves the head on, so that all who have the
    /// share open find out; gives the position of it. Whoever writes meanwhile does so anew.
    pub async fn amend(&self, num: i64, amendment: Amendment) -> Result<u64, StoreError> {
        each!(self, store => store.amend(num, amendment).await)?.ok_or(StoreError::Gone)
    }

    /// Counts a try of a share's lock, or says when the next one may come: for all processes that serve the store
    /// together. `at` is now; times are milliseconds since 1970.
    pub async fn count_try(&self, num: i64, at: i64) -> Result<Result<(), i64>, StoreError> {
        each!(self, store => store.count_try(num, at).await)
    }

    /// Takes a counted try back: it was right.
    pub async fn forget_try(&self, num: i64) -> Result<(), StoreError> {
        each!(self, store => store.forget_try(num).await)
    }

    /// The heads of some shares, but for those that are deleted: what this process knows of them is as new as that, or
    /// others have written.
    pub async fn confirm(&self, nums: Vec<i64>) -> Result<HashMap<i64, Head>, StoreError> {
        each!(self, store => store.confirm(nums).await)
    }

    /// What was added to a share after a position, by whomever; `None` when it is deleted. Costs what was added where
    /// several processes serve the directory.
    pub async fn since(&self, num: i64, after: u64) -> Result<Option<Added>, StoreError> {
        each!(self, store => store.since(num, after).await)
    }

    /// Gives a share the epoch `new` in the place of `old`, whose history was lost, and a head that nobody else knows:
    /// so all who have it open find out. Nothing happens when it has another already.
    pub async fn renew_epoch(&self, num: i64, old: &str, new: String) -> Result<(), StoreError> {
        each!(self, store => store.renew_epoch(num, old, new).await)
    }

    /// What digests values that are taken out of shares.
    pub fn naming(&self) -> &Naming {
        each!(self, store => store.naming())
    }

    /// The names of a share's values, once those have one that had none, by their kinds. When this is answered they are
    /// on the disk: the same value has the same name from then on. A share has [`MAX_NAMES`] at most; what comes later
    /// gets none.
    pub async fn name(&self, id: &ShareId, values: Vec<(Digest, String)>) -> Result<Names, StoreError> {
        each!(self, store => store.name(id, values).await)
    }

    /// Ends a share for everybody, for good: when this is answered it is deleted, whatever happens. Its content goes
    /// by `purge`. Nothing happens to one that is deleted already. `at` is now, in milliseconds since 1970.
    pub async fn mark_deleted(&self, num: i64, at: i64) -> Result<(), StoreError> {
        each!(self, store => store.mark_deleted(num, at).await)
    }

    /// `mark_deleted` for a share whose time is over, unless it was changed since `updated_at`. Tells whether it is
    /// deleted now.
    pub async fn mark_expired(&self, num: i64, updated_at: i64, at: i64) -> Result<bool, StoreError> {
        each!(self, store => store.mark_expired(num, updated_at, at).await)
    }

    /// Takes the content of a deleted share away, in steps between which others write. When this is answered by SQLite,
    /// its bytes are in the database no more, nor in its log, and will not be after a power failure. That takes as long
    /// as other processes read what is in the log. Of PostgreSQL and libSQL the rows are gone then; their bytes go with
    /// its vacuum, its log and its replicas. It may be called again at any time, by anybody; what a crash leaves is
    /// found by `unpurged`.
    pub async fn purge(&self, num: i64) -> Result<(), StoreError> {
        each!(self, store => store.purge(num).await)
    }

    /// Reads a share's record.
    pub async fn head(&self, id: &ShareId) -> Result<Option<StoredHead>, StoreError> {
        each!(self, store => store.head(id).await)
    }

    /// Reads a share with all that is stored of it, or what is left of one that was deleted, or of which `ended` says
    /// that its time is over.
    pub async fn load(
        &self,
        id: &ShareId,
        ended: impl Fn(Life) -> bool + Clone + Send + Sync + 'static,
    ) -> Result<Option<StoredShare>, StoreError> {
        each!(self, store => store.load(id, ended).await)
    }

    /// Some shares that are not deleted, those with the lowest numbers above `after`.
    pub async fn heads(&self, after: i64, limit: i64) -> Result<Heads, StoreError> {
        each!(self, store => store.heads(after, limit).await)
    }

    /// The number of the last deletion, by whomever.
    pub async fn last_deletion(&self) -> Result<i64, StoreError> {
        each!(self, store => store.last_deletion().await)
    }

    /// Some shares that were deleted, by whomever, after the deletion of the number `after`.
    pub async fn deletions(&self, after: i64, limit: i64) -> Result<Deletions, StoreError> {
        each!(self, store => store.deletions(after, limit).await)
    }

    /// Some deleted shares of which there may still be content, those with the lowest numbers above `after`.
    pub async fn unpurged(&self, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        each!(self, store => store.unpurged(after, limit).await)
    }

    /// Forgets some shares that were deleted before a time, in milliseconds since 1970; gives how many. Then nobody
    /// can tell any more that they ever were.
    pub async fn forget(&self, before: i64, limit: i64) -> Result<usize, StoreError> {
        each!(self, store => store.forget(before, limit).await)
    }

    /// The time that has passed for sure, as it was noted last, in milliseconds since 1970.
    pub async fn passed_time(&self) -> Result<Option<i64>, StoreError> {
        each!(self, store => store.passed_time().await)
    }

    /// Notes which time has passed for sure.
    pub async fn set_passed_time(&self, at: i64) -> Result<(), StoreError> {
        each!(self, store => store.set_passed_time(at).await)
    }

    /// The token that somebody presents.
    pub async fn token(&self, hash: SecretHash) -> Result<Option<CreateToken>, StoreError> {
        each!(self, store => store.token(hash).await)
    }

    /// Whether the store can write now (`at` milliseconds since 1970): it does.
    pub async fn check(&self, at: i64) -> Result<(), StoreError> {
        each!(self, store => store.check(at).await)
    }

    /// Writes all that was handed over, checkpoints and closes. Blocks until done; later writes are refused.
    pub fn close(&self) {
        each!(self, store => store.close());
    }
}

#[cfg(test)]
mod tests;
