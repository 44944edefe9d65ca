//! When a share ends by itself.

use std::time::Duration;

/// How long shares live; `None` is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// A share whose creator asked for nothing else.
    pub default: Option<Duration>,
    /// Any share at the most.
    pub max: Option<Duration>,
    /// After its last sync.
    pub idle: Option<Duration>,
    /// One that never got a sync, after its creation.
    pub unsynced: Option<Duration>,
}

/// What of a share says when it ends. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was created.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
    /// Whether it ever got a sync.
    pub synced: bool,
    /// Its own end, given at its creation.
    pub expires_at: Option<i64>,
}

/// The end of a share that is created at `now` by somebody who asked for a lifetime, or did not.
pub fn expires_at(lifetimes: &Lifetimes, now: i64, asked: Option<Duration>) -> Option<i64> {
    Some(after(now, earliest(asked.or(lifetimes.default), lifetimes.max)?))
}

impl Life {
    /// When the share ends, as things stand: a sync may put it off.
    pub fn end(&self, lifetimes: &Lifetimes) -> Option<i64> {
        let own = earliest(self.expires_at, lifetimes.max.map(|max| after(self.created_at, max)));
        let unused = if self.synced {
            lifetimes.idle.map(|idle| after(self.updated_at, idle))
        } else {
            lifetimes.unsynced.map(|unsynced| after(self.created_at, unsynced))
        };
        earliest(own, unused)
    }

    /// Whether its time is over.
    pub fn ended(&self, lifetimes: &Lifetimes, now: i64) -> bool {
        self.end(lifetimes).is_some_and(|end| end <= now)
    }
}

fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn after(at: i64, time: Duration) -> i64 {
    at.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_MS: i64 = 3_600_000;
    const LIFE: Life = Life { created_at: 1000, updated_at: 5000, synced: true, expires_at: None };

    fn lifetimes(default: u32, max: u32, idle: u32, unsynced: u32) -> Lifetimes {
        let hours = |hours: u32| (hours > 0).then(|| hours * HOUR);
        Lifetimes { default: hours(default), max: hours(max), idle: hours(idle), unsynced: hours(unsynced) }
    }

    #[test]
    fn the_earliest_of_all_ends_counts() {
        assert_eq!(LIFE.end(&lifetimes(0, 0, 0, 0)), None);
        let all = lifetimes(0, 3, 1, 2);
        assert_eq!(LIFE.end(&all), Some(5000 + HOUR_MS));
        assert_eq!(Life { updated_at: 3 * HOUR_MS, ..LIFE }.end(&all), Some(1000 + 3 * HOUR_MS));
        assert_eq!(Life { synced: false, ..LIFE }.end(&all), Some(1000 + 2 * HOUR_MS));
        assert_eq!(Life { expires_at: Some(7), ..LIFE }.end(&all), Some(7));
        assert!(LIFE.ended(&all, 5000 + HOUR_MS) && !LIFE.ended(&all, 4999 + HOUR_MS));
    }

    #[test]
    fn a_lifetime_that_is_asked_for_counts_up_to_the_longest() {
        let some = lifetimes(2, 3, 0, 0);
        assert_eq!(expires_at(&some, 0, None), Some(2 * HOUR_MS));
        assert_eq!(expires_at(&some, 0, Some(HOUR)), Some(HOUR_MS));
        assert_eq!(expires_at(&some, 0, Some(9 * HOUR)), Some(3 * HOUR_MS));
        let never = lifetimes(0, 0, 0, 0);
        assert_eq!(expires_at(&never, 0, None), None);
        assert_eq!(expires_at(&never, 0, Some(Duration::MAX)), Some(i64::MAX));
    }
}
