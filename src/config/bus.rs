//! How servers that share a store tell each other what has changed.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use super::StoreKind;

/// What `bus` says. As with the store nothing shows it: it may hold a password.
#[derive(Clone)]
pub struct BusChoice(String);

/// A bus.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum BusKind<'a> {
    /// Nothing leaves the process.
    Local,
    /// The PostgreSQL database of this URL.
    Postgres(&'a str),
    /// The Redis server of this URL.
    Redis(&'a str),
    /// The NATS servers of these URLs, with commas between them.
    Nats(&'a str),
}

/// Why it is none.
#[derive(Debug, thiserror::Error)]
pub enum UnknownBus {
    /// It is none of those that there are.
    #[error(
        "bus must be `local`, `postgres`, or a URL: redis://HOST, nats://HOST or postgres://HOST/DATABASE"
    )]
    Unknown,
    /// It is that of a store that there is not.
    #[error("bus is `postgres`, and the store is not: give its URL, or another bus")]
    NoPostgres,
}

impl BusChoice {
    /// Its words: what is none of them is a URL.
    pub const WORDS: [&str; 3] = ["local", "none", "postgres"];

    /// Which bus it is beside a store; the store's own when nothing is chosen.
    ///
    /// # Errors
    /// When it is none.
    pub fn kind<'a>(chosen: Option<&'a Self>, store: StoreKind<'a>) -> Result<BusKind<'a>, UnknownBus> {
        let of_store = match store {
            StoreKind::Sqlite | StoreKind::Libsql(_) => None,
            StoreKind::Postgres(url) => Some(BusKind::Postgres(url)),
        };
        let Some(Self(chosen)) = chosen else { return Ok(of_store.unwrap_or(BusKind::Local)) };
        let scheme = chosen.split_once("://").map(|(scheme, _)| scheme);
        match (scheme, &**chosen) {
            (None, "local" | "none") => Ok(BusKind::Local),
            (None, "postgres") => of_store.ok_or(UnknownBus::NoPostgres),
            (Some("postgres" | "postgresql"), url) => Ok(BusKind::Postgres(url)),
            (Some("redis" | "rediss"), url) => Ok(BusKind::Redis(url)),
            (Some("nats" | "tls"), url) => Ok(BusKind::Nats(url)),
            _ => Err(UnknownBus::Unknown),
        }
    }
}

impl FromStr for BusChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for BusChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.into_iter().find(|word| *word == self.0);
        f.write_str(word.unwrap_or("a URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_is_the_stores_own_unless_another_is_chosen() {
        let database = StoreKind::Postgres("postgres://h/d");
        let kind = |text: &'static str, store| {
            let chosen =
                (!text.is_empty()).then(|| Box::leak(Box::new(BusChoice(text.into()))) as &BusChoice);
            BusChoice::kind(chosen, store).ok()
        };
        assert!(kind("", StoreKind::Sqlite) == Some(BusKind::Local));
        assert!(kind("", database) == Some(BusKind::Postgres("postgres://h/d")));
        assert!(kind("postgres", database) == Some(BusKind::Postgres("postgres://h/d")));
        assert!(kind("postgres", StoreKind::Sqlite).is_none());
        assert!(kind("none", database) == Some(BusKind::Local));
        assert!(kind("local", database) == Some(BusKind::Local));
        assert!(kind("rediss://h", database) == Some(BusKind::Redis("rediss://h")));
        assert!(kind("nats://h,nats://i", database) == Some(BusKind::Nats("nats://h,nats://i")));
        assert!(kind("kafka://h", database).is_none() && kind("redis", database).is_none());
    }
}
