//! Whether this machine was suspended. The monotonic clock, and all timers by it, stand still in a suspend; the boot
//! clock goes on. What was waited for is late by then, and connections are dead without a word.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often is looked while something waits.
const LOOK: Duration = Duration::from_secs(3);

/// The clocks differ by more than this after a suspend alone.
const SHORTEST: Duration = Duration::from_secs(1);

/// By how much the boot clock is ahead of the monotonic one: all time that this machine was suspended.
fn suspended() -> Duration {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    let monotonic = read(ClockId::Monotonic);
    read(ClockId::Boottime).saturating_sub(monotonic)
}

/// Tells each suspend once.
#[derive(Debug)]
pub(super) struct Suspends {
    known: Cell<Duration>,
}

impl Suspends {
    pub(super) fn new() -> Self {
        Self { known: Cell::new(suspended()) }
    }

    /// How long this machine was suspended since the last look, if it was.
    pub(super) fn look(&self) -> Option<Duration> {
        self.look_at(suspended())
    }

    fn look_at(&self, suspended: Duration) -> Option<Duration> {
        let since = suspended.saturating_sub(self.known.get());
        (since > SHORTEST).then(|| {
            self.known.set(suspended);
            since
        })
    }
}

/// Waits until this machine has been suspended; how long it was.
pub(super) async fn suspend() -> Duration {
    let suspends = Suspends::new();
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(suspended) = suspends.look() {
            return suspended;
        }
    }
}

/// Waits for a time, but no longer than until this machine has been suspended meanwhile; how long it was then.
pub(super) async fn sleep(time: Duration) -> Option<Duration> {
    tokio::select! {
        () = tokio::time::sleep(time) => None,
        suspended = suspend() => Some(suspended),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspend_is_told_once_and_clocks_that_drift_are_none() {
        let suspends = Suspends { known: Cell::new(Duration::from_secs(500)) };
        let look = |milliseconds| suspends.look_at(Duration::from_millis(milliseconds));
        assert_eq!((look(500_000), look(500_900), look(499_000)), (None, None, None));
        assert_eq!((look(530_000), look(530_000)), (Some(Duration::from_secs(30)), None));
        assert_eq!(look(600_000), Some(Duration::from_secs(70)));
        assert_eq!(Suspends::new().look(), None);
    }

    #[actix_web::test]
    async fn a_time_ends_though_nothing_was_suspended() {
        assert_eq!(sleep(Duration::from_millis(1)).await, None);
    }
}
