//! Which store a server has.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The variable of the environment that says which store it is.
pub const STORE_ENV: &str = "BRUTUS_SHARE_SERVE_STORE";

/// What `store` says. It may hold a password, so nothing shows it, and it is only looked at when it is used: what clap
/// refuses it prints.
#[derive(Clone)]
pub struct StoreChoice(String);

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind<'a> {
    /// A file in the data directory.
    Sqlite,
    /// The database of this URL.
    Postgres(&'a str),
}

/// It is neither.
#[derive(Debug, thiserror::Error)]
#[error("store must be `sqlite`, or the URL of a PostgreSQL database: postgres://USER@HOST/DATABASE")]
pub struct UnknownStore;

impl StoreChoice {
    /// Which store it is.
    ///
    /// # Errors
    /// When it is none.
    pub fn kind(&self) -> Result<StoreKind<'_>, UnknownStore> {
        match &*self.0 {
            "sqlite" => Ok(StoreKind::Sqlite),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(StoreKind::Postgres(url))
            }
            _ => Err(UnknownStore),
        }
    }
}

impl FromStr for StoreChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind() {
            Ok(StoreKind::Sqlite) => "sqlite",
            Ok(StoreKind::Postgres(_)) => "postgres",
            Err(_) => "unknown",
        })
    }
}
