//! Which store a server has.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The variable of the environment that says which store it is.
pub const STORE_ENV: &str = "BRUTUS_SHARE_SERVE_STORE";

/// What `store` says. It may hold a password or a token, so nothing shows it, and it is only looked at when it is used:
/// what clap refuses it prints.
#[derive(Clone)]
pub struct StoreChoice(String);

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind<'a> {
    /// A file in the data directory.
    Sqlite,
    /// The PostgreSQL database of this URL.
    Postgres(&'a str),
    /// The libSQL database of this URL.
    Libsql(&'a str),
}

/// It is none of them.
#[derive(Debug, thiserror::Error)]
#[error(
    "store must be `sqlite`, or the URL of a database: postgres://USER@HOST/DATABASE, libsql+http://HOST:PORT or \
     libsql+https://HOST"
)]
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
            url if url.starts_with("libsql+http://") || url.starts_with("libsql+https://") => {
                Ok(StoreKind::Libsql(url))
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
            Ok(StoreKind::Libsql(_)) => "libsql",
            Err(_) => "unknown",
        })
    }
}
