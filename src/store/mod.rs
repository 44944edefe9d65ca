//! Where shares are kept: SQLite, written by one thread that commits in groups, read through connections of its own.
//!
//! When a write is answered, it is on the disk (`synchronous=FULL`). Knows nothing of actors, viewers or HTTP.

mod operator;
mod queries;
mod reader;
mod restore;
mod room;
mod schema;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use operator::{Contents, Filter, Kind, Operator, OperatorError, ShareRecord, Sort, Stats};
pub use queries::{NewShare, ShareHead, StoredHead, StoredShare, Write};
pub use restore::{Backup, RestoreError, Restored, check, restore};
pub use room::{NoRoom, Sizes};
pub use tokens::{CreateToken, NewToken};

use crate::config::Limits;
use crate::metrics::METRICS;
use crate::model::{Life, SecretHash, ShareId};
use crate::sqlite::{self, BeforeMigration, Commit, StartupError, WriteError, Writer};
use reader::Readers;
use room::Room;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The database's file in the data directory.
const DATABASE: &str = "share.db";

/// A handle on the store. Clones share the writer and the readers.
#[derive(Clone)]
pub struct Store {
    writer: Writer,
    readers: Readers,
    room: Arc<Room>,
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The writer's queue is full. Nothing was written.
    #[error("the writer is behind")]
    Busy,
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
        sqlite::private_dir(data_dir)?;
        let lock = sqlite::lock(&data_dir.join("lock"))?;
        let path = data_dir.join(DATABASE);
        let mut connection = sqlite::open_and_migrate(&path, MIGRATIONS, BeforeMigration::KeepCopy)?;
        let used = queries::total_size(&mut connection)
            .map_err(|error| StartupError::Database { path: path.clone(), reason: error.to_string() })?;
        Ok(Self {
            writer: Writer::start(connection, lock, count)?,
            readers: Readers::open(&path)?,
            room: Arc::new(Room::new(data_dir, used)),
        })
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
        Ok(self.writer.submit(0, move |connection| queries::create(connection, &share)).await?)
    }

    /// Stores what a batch changed.
    pub async fn write(&self, write: Write) -> Result<(), StoreError> {
        let bytes =
            write.rows.iter().map(|row| row.content.as_ref().map_or(0, |content| content.get().len())).sum();
        let grown = write.grown;
        self.writer.submit(bytes, move |connection| queries::write(connection, &write)).await?;
        self.room.grown(grown);
        Ok(())
    }

    /// Ends a share for everybody. Its content is taken away by `purge`.
    pub async fn mark_deleted(&self, num: i64, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::mark_deleted(connection, num, at)).await?)
    }

    /// Takes away what is left of a deleted share's content.
    pub async fn purge(&self, num: i64) -> Result<(), StoreError> {
        while self.writer.submit(0, move |connection| queries::purge(connection, num)).await? {}
        let freed = self.writer.erase(move |connection| queries::mark_purged(connection, num)).await?;
        self.room.grown(i64::try_from(freed).map_or(i64::MIN, i64::saturating_neg));
        Ok(())
    }

    /// Reads a share's record.
    pub async fn head(&self, id: &ShareId) -> Result<Option<StoredHead>, StoreError> {
        let id = id.clone();
        self.readers.read(move |connection| queries::head(connection, &id)).await
    }

    /// Reads a share with all that is stored of it, or what is left of one that was deleted, or of which `ended` says that
    /// its time is over.
    pub async fn load(
        &self,
        id: &ShareId,
        ended: impl Fn(Life) -> bool + Send + 'static,
    ) -> Result<Option<StoredShare>, StoreError> {
        let id = id.clone();
        self.readers.read(move |connection| queries::load(connection, &id, ended)).await
    }

    /// Some shares that are not deleted, those with the lowest numbers above `after`.
    pub async fn heads(&self, after: i64, limit: i64) -> Result<Vec<ShareHead>, StoreError> {
        self.readers.read(move |connection| queries::heads(connection, after, limit)).await
    }

    /// Shares that were deleted at `since` or later, by whomever.
    pub async fn deleted_since(&self, since: i64) -> Result<Vec<ShareId>, StoreError> {
        self.readers.read(move |connection| queries::deleted_since(connection, since)).await
    }

    /// Deleted shares of which there is still content.
    pub async fn unpurged(&self) -> Result<Vec<i64>, StoreError> {
        self.readers.read(queries::unpurged).await
    }

    /// The token that somebody presents, and how many shares of it there are.
    pub async fn token(&self, hash: SecretHash) -> Result<Option<(CreateToken, i64)>, StoreError> {
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
