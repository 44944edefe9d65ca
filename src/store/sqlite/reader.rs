//! Reading: a small pool of connections, used off the actors' threads.
//!
//! Who wants to read waits for its turn before it takes a thread: else each of a thousand cold shares would hold one
//! of the runtime's blocking threads, only to wait in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use diesel::r2d2::{ManageConnection, Pool, R2D2Connection};
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, QueryResult};
use tokio::sync::Semaphore;

use crate::sqlite::{self, StartupError};
use crate::store::StoreError;

/// Shares that are loaded at once. Each may take seconds, and all of its content in memory.
const LOADS: u32 = 4;

/// Short reads that run at once. They have connections of their own: a lookup does not wait for loads.
const LOOKUPS: u32 = 2;

/// How long a read waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Readers {
    pool: Pool<Opener>,
    loads: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

/// Opens connections with this project's pragmas.
struct Opener(PathBuf);

impl ManageConnection for Opener {
    type Connection = SqliteConnection;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<SqliteConnection, Self::Error> {
        sqlite::open(&self.0).map_err(|reason| {
            diesel::r2d2::Error::ConnectionError(diesel::ConnectionError::BadConnection(reason))
        })
    }

    fn is_valid(&self, connection: &mut SqliteConnection) -> Result<(), Self::Error> {
        connection.ping().map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, connection: &mut SqliteConnection) -> bool {
        connection.is_broken()
    }
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, StartupError> {
        let pool = Pool::builder()
            .max_size(LOADS + LOOKUPS)
            .min_idle(Some(1))
            .connection_timeout(WAIT)
            .build(Opener(path.to_owned()))
            .map_err(|error| StartupError::Database { path: path.to_owned(), reason: error.to_string() })?;
        let turns = |count: u32| Arc::new(Semaphore::new(count as usize));
        Ok(Self { pool, loads: turns(LOADS), lookups: turns(LOOKUPS) })
    }

    /// Runs a read that is short, in one transaction, so that it sees one state.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(&self.lookups, read).await
    }

    /// Runs a read of a whole share, in one transaction, so that it sees one state.
    pub(super) async fn load<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(&self.loads, read).await
    }

    async fn run<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        read: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(Ok(turn)) = tokio::time::timeout(WAIT, turns.clone().acquire_owned()).await else {
            return Err(StoreError::Busy);
        };
        let pool = self.pool.clone();
        let result = tokio::task::spawn_blocking(move || {
            // Held until the read has ended, also when nobody waits for it any more.
            let _turn = turn;
            let mut connection = pool.get().map_err(|error| error.to_string())?;
            (*connection).transaction(read).map_err(|error| error.to_string())
        });
        match result.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reason)) => {
                tracing::error!(%reason, "cannot read from the database");
                Err(StoreError::Unavailable)
            }
            Err(error) => {
                tracing::error!(%error, "a read did not end");
                Err(StoreError::Unavailable)
            }
        }
    }
}
