//! Where shares are kept: SQLite, written by one thread that commits in groups, read through connections of its own.
//!
//! When a write is answered, it is on the disk (`synchronous=FULL`). Knows nothing of actors, viewers or HTTP.

mod queries;
mod reader;
mod schema;

use std::path::Path;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use queries::{NewShare, StoredShare, Write};

use crate::model::ShareId;
use crate::sqlite::{self, StartupError, WriteError, Writer};
use reader::Readers;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The database's file in the data directory.
const DATABASE: &str = "share.db";

/// A handle on the store. Clones share the writer and the readers.
#[derive(Clone)]
pub struct Store {
    writer: Writer,
    readers: Readers,
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The writer's queue is full. Nothing was written.
    #[error("the writer is behind")]
    Busy,
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
        let connection = sqlite::open_and_migrate(&path, MIGRATIONS)?;
        Ok(Self { writer: Writer::start(connection, lock)?, readers: Readers::open(&path)? })
    }

    /// Stores a new share, empty.
    pub async fn create(&self, share: NewShare) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::create(connection, &share)).await?)
    }

    /// Stores what a batch changed.
    pub async fn write(&self, write: Write) -> Result<(), StoreError> {
        let bytes =
            write.rows.iter().map(|row| row.content.as_ref().map_or(0, |content| content.get().len())).sum();
        Ok(self.writer.submit(bytes, move |connection| queries::write(connection, &write)).await?)
    }

    /// Takes a share's content away. When this is answered, its bytes are no longer in the database or its log.
    pub async fn delete(&self, num: i64, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.erase(move |connection| queries::delete(connection, num, at)).await?)
    }

    /// Reads a share with all that is stored of it, or what is left of a deleted one.
    pub async fn load(&self, id: &ShareId) -> Result<Option<StoredShare>, StoreError> {
        self.readers.load(id).await
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

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy => Self::Busy,
            WriteError::Full | WriteError::Unavailable => Self::Unavailable,
        }
    }
}
