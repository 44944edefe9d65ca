//! Shares in SQLite: written by one thread that commits in groups, read through connections of its own. When a write is
//! answered, it is on the disk (`synchronous=FULL`).

mod direct;
mod moving;
mod names;
mod queries;
mod reader;
mod restore;
mod room;
mod statements;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio::sync::Semaphore;

pub(super) use direct::Direct;
pub use restore::{Backup, DeletedSince, RestoreError, Restored, check, restore};

use super::names::{Names, Naming, OVERHEAD, is_complete};
use super::records::{
    Added, Amendment, Created, Deletions, Head, Heads, NewShare, StoredHead, StoredShare, Write, Written,
};
use super::{CreateToken, NoRoom, Sizes, StoreError};
use crate::clock::now_ms;
use crate::config::Limits;
use crate::metrics::METRICS;
use crate::model::{Life, SecretHash, ShareId};
use crate::redact::Digest;
use crate::sqlite::{self, BeforeMigration, Commit, Hold, StartupError, WriteError, Writer};
use queries::PurgeStep;
use reader::Readers;
use room::Room;

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The database's file in the data directory.
const DATABASE: &str = "share.db";

/// A handle on the database.
pub struct SqliteStore {
    shared: bool,
    writer: Writer,
    readers: Readers,
    naming: Naming,
    room: Arc<Room>,
    /// Steps of purges take turns, so that many deletes at once hold syncs up no more than one.
    purge_steps: Arc<Semaphore>,
}

impl SqliteStore {
    /// Opens the database in `data_dir`, makes it when there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// When the directory or the file cannot be used, when another process serves it, or when a newer version wrote it.
    pub(super) fn open(data_dir: &Path) -> Result<Self, StartupError> {
        Self::open_as(data_dir, Hold::Alone)
    }

    /// Like `open`, for one of several processes that serve the same directory.
    ///
    /// # Errors
    /// As `open`, but only a process that has the directory for itself is in the way.
    pub(super) fn open_shared(data_dir: &Path) -> Result<Self, StartupError> {
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
        if moving::is_unfinished(&mut connection).map_err(refused)? {
            let reason = "a move into it is not finished: run `brutus-share move` again".into();
            return Err(StartupError::Database { path, reason });
        }
        let used = queries::total_size(&mut connection).map_err(refused)?;
        let naming = names::open(&mut connection).map_err(refused)?;
        let shared = hold == Hold::Shared;
        if shared {
            queries::index_by_seq(&mut connection).map_err(refused)?;
        }
        Ok(Self {
            shared,
            writer: Writer::start(connection, &path, lock, count)?,
            readers: Readers::open(&path)?,
            naming,
            room: Arc::new(Room::new(data_dir, used)),
            purge_steps: Arc::new(Semaphore::new(1)),
        })
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(super) async fn recount(&self) -> Result<(), StoreError> {
        self.room.is(self.readers.read(queries::total_size).await?);
        Ok(())
    }

    pub(super) fn has_room(&self, limits: &Limits) -> Result<(), NoRoom> {
        self.room.check(limits)
    }

    pub(super) fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.room.sizes()
    }

    pub(super) async fn create(&self, share: NewShare) -> Result<(), StoreError> {
        let bytes = share.bytes();
        match self.writer.submit(0, move |connection| queries::create(connection, &share)).await? {
            Created::Yes => self.room.grown(bytes),
            Created::TooManyOfToken => return Err(StoreError::TooManyShares),
        }
        Ok(())
    }

    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (bytes, grown) = (write.bytes(), write.grown);
        match self.writer.submit(bytes, move |connection| queries::write(connection, &write)).await? {
            Written::Yes => self.room.grown(grown),
            Written::Conflict => return Err(StoreError::Conflict),
            Written::Gone => return Err(StoreError::Gone),
        }
        Ok(())
    }

    pub(super) async fn confirm(&self, nums: Vec<i64>) -> Result<HashMap<i64, Head>, StoreError> {
        self.readers.read(move |connection| queries::confirm(connection, &nums)).await
    }

    pub(super) async fn since(&self, num: i64, after: u64) -> Result<Option<Added>, StoreError> {
        self.readers.read(move |connection| queries::since(connection, num, after)).await
    }

    pub(super) async fn renew_epoch(&self, num: i64, old: &str, new: String) -> Result<(), StoreError> {
        let old = old.to_owned();
        let job = move |connection: &mut _| queries::renew_epoch(connection, num, &old, &new);
        Ok(self.writer.submit(0, job).await?)
    }

    pub(super) async fn amend(&self, num: i64, amendment: Amendment) -> Result<Option<u64>, StoreError> {
        let job = move |connection: &mut _| queries::amend(connection, num, &amendment);
        Ok(self.writer.submit(0, job).await?)
    }

    pub(super) async fn count_try(&self, num: i64, at: i64) -> Result<Result<(), i64>, StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::count_try(connection, num, at)).await?)
    }

    pub(super) async fn forget_try(&self, num: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::forget_try(connection, num)).await?)
    }

    pub(super) fn naming(&self) -> &Naming {
        &self.naming
    }

    pub(super) async fn name(
        &self,
        id: &ShareId,
        values: Vec<(Digest, String)>,
    ) -> Result<Names, StoreError> {
        let of = id.clone();
        let known = self.readers.read(move |connection| names::names(connection, &of)).await?;
        if is_complete(&known, &values) {
            return Ok(known);
        }
        let of = id.clone();
        let (names, added) =
            self.writer.submit(0, move |connection| names::name(connection, &of, &values)).await?;
        self.room.grown(added * OVERHEAD);
        Ok(names)
    }

    pub(super) async fn mark_deleted(&self, num: i64, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::mark_deleted(connection, num, at)).await?)
    }

    pub(super) async fn mark_expired(&self, num: i64, updated_at: i64, at: i64) -> Result<bool, StoreError> {
        let job = move |connection: &mut _| queries::mark_expired(connection, num, updated_at, at);
        Ok(self.writer.submit(0, job).await?)
    }

    pub(super) async fn purge(&self, num: i64) -> Result<(), StoreError> {
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

    pub(super) async fn head(&self, id: &ShareId) -> Result<Option<StoredHead>, StoreError> {
        let id = id.clone();
        self.readers.read(move |connection| queries::head(connection, &id)).await
    }

    async fn purge_step(&self, num: i64) -> Result<PurgeStep, StoreError> {
        // It is never closed.
        let _turn = self.purge_steps.acquire().await;
        Ok(self.writer.erase(move |connection| queries::purge(connection, num)).await?)
    }

    pub(super) async fn load(
        &self,
        id: &ShareId,
        ended: impl Fn(Life) -> bool + Send + 'static,
    ) -> Result<Option<StoredShare>, StoreError> {
        let id = id.clone();
        self.readers.load(move |connection| queries::load(connection, &id, ended)).await
    }

    pub(super) async fn heads(&self, after: i64, limit: i64) -> Result<Heads, StoreError> {
        self.readers.read(move |connection| queries::heads(connection, after, limit)).await
    }

    pub(super) async fn last_deletion(&self) -> Result<i64, StoreError> {
        self.readers.read(queries::last_deletion).await
    }

    pub(super) async fn deletions(&self, after: i64, limit: i64) -> Result<Deletions, StoreError> {
        self.readers.read(move |connection| queries::deletions(connection, after, limit)).await
    }

    pub(super) async fn unpurged(&self, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.readers.read(move |connection| queries::unpurged(connection, after, limit)).await
    }

    pub(super) async fn forget(&self, before: i64, limit: i64) -> Result<usize, StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::forget(connection, before, limit)).await?)
    }

    pub(super) async fn passed_time(&self) -> Result<Option<i64>, StoreError> {
        self.readers.read(queries::passed_time).await
    }

    pub(super) async fn set_passed_time(&self, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::set_passed_time(connection, at)).await?)
    }

    pub(super) async fn token(&self, hash: SecretHash) -> Result<Option<CreateToken>, StoreError> {
        self.readers.read(move |connection| queries::token(connection, &hash)).await
    }

    pub(super) async fn check(&self, at: i64) -> Result<(), StoreError> {
        Ok(self.writer.submit(0, move |connection| queries::check(connection, at)).await?)
    }

    pub(super) fn close(&self) {
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
