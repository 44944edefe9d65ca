//! Where shares are kept: SQLite, written by one thread that commits in groups, read through connections of its own.
//!
//! When a write is answered, it is on the disk (`synchronous=FULL`). Knows nothing of actors, viewers or HTTP.

mod names;
mod operator;
mod queries;
mod reader;
mod restore;
mod room;
mod schema;
mod statements;
mod tokens;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio::sync::Semaphore;

pub use names::{MAX_NAMES, Name, Names, Naming};
pub use operator::{Contents, Filter, Kind, Operator, OperatorError, ShareRecord, Sort, Stats};
pub use queries::{Added, Deletions, Head, Heads, NewShare, ShareHead, StoredHead, StoredShare, Write};
pub use restore::{Backup, DeletedSince, RestoreError, Restored, check, restore};
pub use room::{NoRoom, Sizes};
pub use tokens::{CreateToken, NewToken};

use crate::clock::now_ms;
use crate::config::Limits;
use crate::metrics::METRICS;
use crate::model::{Life, SecretHash, ShareId};
use crate::redact::Digest;
use crate::sqlite::{self, BeforeMigration, Commit, Hold, StartupError, WriteError, Writer};
use queries::{Created, PurgeStep, Written};
use reader::Readers;
use room::Room;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The database's file in the data directory.
const DATABASE: &str = "share.db";

/// A handle on the store. Clones share the writer and the readers.
#[derive(Clone)]
pub struct Store {
    node: Node,
    writer: Writer,
    readers: Readers,
    naming: Naming,
    room: Arc<Room>,
    /// Steps of purges take turns, so that many deletes at once hold syncs up no more than one.
    purge_steps: Arc<Semaphore>,
}

/// A process, among those that write to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Names it in the heads of what it writes: drawn at its start.
    pub writer: i64,
    /// Whether others write too.
    pub shared: bool,
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
}

impl Store {
    /// Opens the database in `data_dir`, makes it when there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// When the directory or the file cannot be used, when another process serves it, or when a newer version wrote it.
    pub fn open(data_dir: &Path) -> Result<Self, StartupError> {
        Self::open_as(data_dir, Hold::Alone)
    }

    /// Like `open`, for one of several processes that serve the same directory.
    ///
    /// # Errors
    /// As `open`, but only a process that has the directory for itself is in the way.
    pub fn open_shared(data_dir: &Path) -> Result<Self, StartupError> {
        Self::open_as(data_dir, Hold::Shared)
    }

    fn open_as(data_dir: &Path, hold: Hold) -> Result<Self, StartupError> {
        sqlite::private_dir(data_dir)?;
        let lock = sqlite::lock(&data_dir.join("lock"), hold)?;
        let path = data_dir.join(DATABASE);
        let mut connection = sqlite::open_and_migrate(&path, MIGRATIONS, BeforeMigration::KeepCopy)?;
        let refused = |error: diesel::result::Error| StartupError::Database {
            path: path.clone(),
            reason: error.to_string(),
        };
        let used = queries::total_size(&mut connection).map_err(refused)?;
        let naming = Naming::open(&mut connection).map_err(refused)?;
        let shared = hold == Hold::Shared;
        if shared {
            queries::index_by_seq(&mut connection).map_err(refused)?;
        }
        let writer = getrandom::u64().map_err(|error| StartupError::Database {
            path: path.clone(),
            reason: format!("the system gives no random numbers: {error}"),
        })?;
        Ok(Self {
            node: Node { writer: writer.cast_signed(), shared },
            writer: Writer::start(connection, &path, lock, count)?,
            readers: Readers::open(&path)?,
            naming,
            room: Arc::new(Room::new(data_dir, used)),
            purge_steps: Arc::new(Semaphore::new(1)),
        })
    }

    /// This process.
    pub fn node(&self) -> Node {
        self.node
    }

    /// Counts anew what all shares take: an operator's commands change it beside this process.
    pub async fn recount(&self) -> Result<(), StoreError> {
        self.room.is(self.readers.read(queries::total_size).await?);
        Ok(())
    }

    /// Whether there is room for more content.
    pub fn has_room(&self, limits: &Limits) -> Result<(), NoRoom> {
        self.room.check(limits)
    }

    /// Writes that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    /// What the store takes.
    pub fn sizes(&self) -> Sizes {
        self.room.sizes()
    }

    /// Stores a new share, empty.
    pub async fn create(&self, share: NewShare) -> Result<(), StoreError> {
        let bytes = queries::SHARE_OVERHEAD + i64::try_from(share.session_id.len()).unwrap_or(i64::MAX);
        match self.writer.submit(0, move |connection| queries::create(connection, &share)).await? {
            Created::Yes => self.room.grown(bytes),
            Created::TooManyOfToken => return Err(StoreError::TooManyShares),
        }
        Ok(())
    }

    /// Stores what a batch changed, when the share's head is still the one that it was made on.
    pub async fn write(&self, write: Write) -> Result<(), StoreError> {
        let bytes =
            write.rows.iter().map(|row| row.content.as_ref().map_or(0, |content| content.get().len())).sum();
        let (grown, writer) = (write.grown, self.node.writer);
        match self.writer.submit(bytes, move |connection| queries::write(connection, &write, writer)).await? {
            Written::Yes => self.room.grown(grown),
            Written::Conflict => return Err(StoreError::Conflict),
            Written::Gone => return Err(StoreError::Gone),
        }
        Ok(())
    }

    /// The heads of some shares, but for those that are deleted: what this process knows of them is as new as that, or
    /// others have written.
    pub async fn confirm(&self, nums: Vec<i64>) -> Result<HashMap<i64, Head>, StoreError> {
        self.readers.read(move |connection| queries::confirm(connection, &nums)).await
    }

    /// What was added to a share after a position, by whomever; `None` when it is deleted. Costs what was added where
    /// several processes serve the directory.
    pub async fn since(&self, num: i64, after: u64) -> Result<Option<Added>, StoreError> {
        self.readers.read(move |connection| queries::since(connection, num, after)).await
    }

    /// What digests values that are taken out of shares.
    pub fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The names of a share's values, once those have one that had none, by their kinds. When this is answered they are
    /// on the disk: the same value has the same name from then on. A share has [`MAX_NAMES`] at most; what comes later
    /// gets none.
    pub async fn name(&self, id: &ShareId, values: Vec<(Digest, String)>) -> Result<Names, StoreError> {
        let of = id.clone();
        let known = self.readers.read(move |connection| names::names(connection, &of)).await?;
        if known.len() >= MAX_NAMES || values.iter().all(|(digest, _)| known.contains_key(digest)) {
            return Ok(known);
        }
        let of = id.clone();
        let (names, added) =
            self.writer.submit(0, move |connection| names::name(connection, &of, &values)).await?;
        self.room.grown(added * names::OVERHEAD);
        Ok(names)
    }

    /// Ends a share for everybody, for good: when this is answered it is deleted, whatever happens. Its content goes
    /// by `purge`. Nothing happens to one that is deleted already. `at` is now, in milliseconds since 1970.
    pub async fn mark_deleted(&self, num: i64, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::mark_deleted(connection, num, at)).await?)
    }

    /// `mark_deleted` for a share whose time is over, unless it was changed since `updated_at`. Tells whether it is
    /// deleted now.
    pub async fn mark_expired(&self, num: i64, updated_at: i64, at: i64) -> Result<bool, StoreError> {
        let job = move |connection: &mut _| queries::mark_expired(connection, num, updated_at, at);
        Ok(self.writer.submit(0, job).await?)
    }

    /// Takes the content of a deleted share away, in steps between which others write. When this is answered, its
    /// bytes are in the database no more, nor in its log, and will not be after a power failure. That takes as long as
    /// other processes read what is in the log. It may be called again at any time, by anybody; what a crash leaves is
    /// found by `unpurged`.
    pub async fn purge(&self, num: i64) -> Result<(), StoreError> {
        if !self.readers.read(move |connection| queries::is_to_purge(connection, num)).await? {
            return Ok(());
        }
        while self.purge_step(num).await? == PurgeStep::More {}
        self.writer.log_emptied().await?;
        // This commit also puts the log's new length on the disk.
        let at = now_ms();
        let freed =
            self.writer.submit(0, move |connection| queries::mark_purged(connection, num, at)).await?;
        self.room.grown(i64::try_from(freed).map_or(i64::MIN, i64::saturating_neg));
        Ok(())
    }

    /// Reads a share's record.
    pub async fn head(&self, id: &ShareId) -> Result<Option<StoredHead>, StoreError> {
        let id = id.clone();
        self.readers.read(move |connection| queries::head(connection, &id)).await
    }

    async fn purge_step(&self, num: i64) -> Result<PurgeStep, StoreError> {
        // It is never closed.
        let _turn = self.purge_steps.acquire().await;
        Ok(self.writer.erase(move |connection| queries::purge(connection, num)).await?)
    }

    /// Reads a share with all that is stored of it, or what is left of one that was deleted, or of which `ended` says
    /// that its time is over.
    pub async fn load(
        &self,
        id: &ShareId,
        ended: impl Fn(Life) -> bool + Send + 'static,
    ) -> Result<Option<StoredShare>, StoreError> {
        let id = id.clone();
        self.readers.load(move |connection| queries::load(connection, &id, ended)).await
    }

    /// Some shares that are not deleted, those with the lowest numbers above `after`.
    pub async fn heads(&self, after: i64, limit: i64) -> Result<Heads, StoreError> {
        self.readers.read(move |connection| queries::heads(connection, after, limit)).await
    }

    /// The number of the last deletion, by whomever.
    pub async fn last_deletion(&self) -> Result<i64, StoreError> {
        self.readers.read(queries::last_deletion).await
    }

    /// Some shares that were deleted, by whomever, after the deletion of the number `after`.
    pub async fn deletions(&self, after: i64, limit: i64) -> Result<Deletions, StoreError> {
        self.readers.read(move |connection| queries::deletions(connection, after, limit)).await
    }

    /// Some deleted shares of which there may still be content, those with the lowest numbers above `after`.
    pub async fn unpurged(&self, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.readers.read(move |connection| queries::unpurged(connection, after, limit)).await
    }

    /// Forgets some shares that were deleted before a time, in milliseconds since 1970; gives how many. Then nobody
    /// can tell any more that they ever were.
    pub async fn forget(&self, before: i64, limit: i64) -> Result<usize, StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::forget(connection, before, limit)).await?)
    }

    /// The time that has passed for sure, as it was noted last, in milliseconds since 1970.
    pub async fn passed_time(&self) -> Result<Option<i64>, StoreError> {
        self.readers.read(queries::passed_time).await
    }

    /// Notes which time has passed for sure.
    pub async fn set_passed_time(&self, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::set_passed_time(connection, at)).await?)
    }

    /// The token that somebody presents.
    pub async fn token(&self, hash: SecretHash) -> Result<Option<CreateToken>, StoreError> {
        self.readers.read(move |connection| tokens::find(connection, &hash)).await
    }

    /// Whether the store can write now (`at` milliseconds since 1970): it does.
    pub async fn check(&self, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::check(connection, at)).await?)
    }

    /// Writes all that was handed over, checkpoints and closes. Blocks until done; later writes are refused.
    pub fn close(&self) {
        self.writer.close();
    }
}

#[cfg(test)]
mod tests;

fn count(commit: Commit) {
    if commit.done {
        #[allow(clippy::cast_precision_loss)] // A few thousand.
        METRICS.commit_jobs.observe(commit.jobs as f64);
        METRICS.commit_time.observe(commit.took.as_secs_f64());
    } else {
        METRICS.commit_failures.inc();
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy => Self::Busy,
            WriteError::NotFound => Self::Gone,
            WriteError::Full | WriteError::Unavailable => Self::Unavailable,
        }
    }
}
