//! A connection of a command's own to a store, beside servers that run or without one. It blocks.

use std::path::Path;

use super::{OperatorError, postgres, sqlite};

/// A store, opened by a command.
pub(super) enum Direct {
    /// In a data directory.
    Sqlite(sqlite::Direct),
    /// In a PostgreSQL database.
    Postgres(Box<postgres::Direct>),
}

/// Does the same with the connection of whichever store it is: the query is Diesel's, and the tables have the same
/// columns.
macro_rules! on {
    ($direct:expr, $connection:ident => $job:expr) => {
        match &mut $direct {
            $crate::store::direct::Direct::Sqlite(direct) => {
                let $connection = &mut direct.connection;
                $job
            }
            $crate::store::direct::Direct::Postgres(direct) => {
                let $connection = &mut direct.connection;
                $job
            }
        }
    };
}

pub(super) use on;

impl Direct {
    /// Opens the database in a data directory.
    pub(super) fn open(data_dir: &Path) -> Result<Self, OperatorError> {
        sqlite::Direct::open(data_dir).map(Self::Sqlite)
    }

    /// Opens the PostgreSQL database of a URL.
    pub(super) fn open_postgres(url: &str) -> Result<Self, OperatorError> {
        Ok(Self::Postgres(Box::new(postgres::Direct::open(url)?)))
    }
}
