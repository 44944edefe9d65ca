//! Reading: a small pool of connections, used off the actors' threads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::r2d2::{ManageConnection, Pool, R2D2Connection};
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, QueryResult};

use super::StoreError;
use crate::sqlite::{self, StartupError};

/// Reads that run at once. Each may hold a whole share in memory.
const CONNECTIONS: u32 = 4;

/// How long a read waits for a connection.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) struct Readers(Pool<Opener>);

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
        Pool::builder()
            .max_size(CONNECTIONS)
            .min_idle(Some(1))
            .connection_timeout(WAIT)
            .build(Opener(path.to_owned()))
            .map(Self)
            .map_err(|error| StartupError::Database { path: path.to_owned(), reason: error.to_string() })
    }

    /// Runs a read in one transaction, so that it sees one state.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let pool = self.0.clone();
        let result = tokio::task::spawn_blocking(move || {
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
