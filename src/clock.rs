//! The time, as the wire and the databases write it, and how much of it has passed for sure.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    ms(SystemTime::now())
}

/// A time in milliseconds since 1970; 0 for one before.
pub fn ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// By how much the wall clock may run apart from the monotonic one in a `TRUSTED_AFTER`. More is a jump.
const TOLERANCE: i64 = 60_000;

/// How long the wall clock has to run without a jump until what it says is believed.
const TRUSTED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The longest time between two looks at the clocks that counts as time in which they ran together.
const LONGEST_STEP: Duration = Duration::from_secs(60);

/// How much of the wall clock's time has passed for sure. What cannot be undone waits for that: a wall clock can be
/// weeks ahead for a moment, after a virtual machine resumed, on a bad answer to NTP or without a battery.
///
/// While the program runs, the monotonic clock proves how much time passes. What the wall clock jumps ahead, or was
/// ahead at the start of a time that was noted before, is a doubt, which is subtracted. A clock that ran for a day
/// without a jump is believed. Told the time, so that its tests wait for nothing.
#[derive(Debug)]
pub struct PassedTime {
    /// By how much less than the wall clock says has passed for sure, in milliseconds; never negative.
    doubt: i64,
    /// When both clocks were looked at last.
    wall: i64,
    monotonic: Instant,
    /// Since when, by the wall clock, there was no jump.
    steady_since: i64,
    /// How long that is, by the monotonic clock.
    steady_for: Duration,
    /// By how much the wall clock ran ahead of the monotonic one in this time, in milliseconds.
    drift: i64,
}

impl PassedTime {
    /// At the start of a program, of which an earlier run noted that `noted` has passed.
    pub fn new(wall: i64, monotonic: Instant, noted: Option<i64>) -> Self {
        let doubt = noted.map_or(0, |noted| wall.saturating_sub(noted).max(0));
        Self { doubt, wall, monotonic, steady_since: wall, steady_for: Duration::ZERO, drift: 0 }
    }

    /// Looks at the clocks. Has to be called often: of a longer time than a minute only a minute is proven.
    pub fn look(&mut self, wall: i64, monotonic: Instant) {
        let ran = monotonic.saturating_duration_since(self.monotonic).min(LONGEST_STEP);
        let said = wall.saturating_sub(self.wall);
        self.drift = self.drift.saturating_add(said.saturating_sub(milliseconds(ran)));
        (self.wall, self.monotonic) = (wall, monotonic);
        self.steady_for += ran;
        if self.drift.saturating_abs() > TOLERANCE {
            // A clock that was set back by what it had been ahead takes the doubt with it.
            self.doubt = self.doubt.saturating_add(self.drift).max(0);
            // The jump may have been just after the last look; it is longer than the time since then.
            self.steady_since = wall.saturating_sub(milliseconds(ran));
            (self.steady_for, self.drift) = (Duration::ZERO, 0);
        } else if self.steady_for >= TRUSTED_AFTER {
            // Not `steady_since`: what was created since then has lived by a steady clock.
            (self.doubt, self.steady_for, self.drift) = (0, Duration::ZERO, 0);
        }
    }

    /// The wall clock's time, when it was looked at last.
    pub fn wall(&self) -> i64 {
        self.wall
    }

    /// The time that has passed for sure, in milliseconds since 1970.
    pub fn surely(&self) -> i64 {
        self.wall.saturating_sub(self.doubt)
    }

    /// Whether what was created at a time has lived by a steady clock alone, so that its age is what the wall clock
    /// says.
    pub fn is_steady_since(&self, created_at: i64) -> bool {
        created_at >= self.steady_since
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// This thread's processor time: other tests and other programs take none of it.
#[cfg(test)]
pub(crate) fn processor_time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1000;
    const HOUR: i64 = 3600 * SECOND;
    const DAY: i64 = 24 * HOUR;
    const START: i64 = 1000 * DAY;

    /// Two clocks, one of which can be set.
    struct Clocks {
        passed: PassedTime,
        wall: i64,
        monotonic: Instant,
    }

    impl Clocks {
        fn new(ahead: i64, noted: Option<i64>) -> Self {
            let (wall, monotonic) = (START + ahead, Instant::now());
            Self { passed: PassedTime::new(wall, monotonic, noted), wall, monotonic }
        }

        /// Runs for a time in which the clocks are looked at every second.
        fn run(&mut self, time: i64) {
            for _ in 0..time / SECOND {
                self.monotonic += Duration::from_secs(1);
                self.set(SECOND);
            }
        }

        /// Sets the wall clock.
        fn set(&mut self, by: i64) {
            self.wall += by;
            self.passed.look(self.wall, self.monotonic);
        }

        /// By how much the wall clock is ahead of what has passed for sure.
        fn doubt(&self) -> i64 {
            self.wall - self.passed.surely()
        }
    }

    #[test]
    fn a_clock_that_is_ahead_at_the_start_is_not_believed_for_a_day() {
        let mut clocks = Clocks::new(40 * DAY, Some(START));
        assert_eq!(clocks.passed.surely(), START);
        clocks.run(23 * HOUR);
        assert_eq!(clocks.passed.surely(), START + 23 * HOUR);
        // What was created meanwhile is as old as it says.
        assert!(clocks.passed.is_steady_since(START + 40 * DAY + SECOND));
        assert!(!clocks.passed.is_steady_since(START));
        clocks.run(HOUR);
        assert_eq!(clocks.doubt(), 0);
    }

    #[test]
    fn a_clock_that_comes_right_is_believed_at_once() {
        let mut clocks = Clocks::new(40 * DAY, Some(START - SECOND));
        clocks.run(10 * SECOND);
        clocks.set(-40 * DAY);
        assert_eq!((clocks.passed.surely(), clocks.doubt()), (START + 9 * SECOND, SECOND));
        let behind = Clocks::new(0, Some(START + DAY));
        assert_eq!(behind.doubt(), 0);
    }

    #[test]
    fn a_jump_is_a_doubt_and_a_drift_is_none() {
        let mut clocks = Clocks::new(0, None);
        assert_eq!(clocks.doubt(), 0);
        clocks.run(HOUR);
        clocks.set(TOLERANCE / 2);
        assert_eq!(clocks.doubt(), 0);
        clocks.set(3 * DAY);
        clocks.run(HOUR);
        assert_eq!(clocks.doubt(), 3 * DAY + TOLERANCE / 2);
        clocks.run(DAY);
        assert_eq!(clocks.doubt(), 0);
    }

    #[test]
    fn what_is_created_after_a_jump_is_as_old_as_it_says() {
        let mut clocks = Clocks::new(0, None);
        clocks.run(HOUR);
        let before = clocks.wall;
        clocks.monotonic += Duration::from_secs(1);
        clocks.set(DAY + SECOND);
        assert!(clocks.passed.is_steady_since(clocks.wall - SECOND), "just after the jump");
        assert!(!clocks.passed.is_steady_since(before + SECOND), "just before the jump");
    }

    #[test]
    fn a_time_in_which_nobody_looked_proves_a_minute() {
        let mut clocks = Clocks::new(0, None);
        clocks.monotonic += Duration::from_secs(40 * 24 * 3600);
        clocks.set(40 * DAY);
        assert_eq!(clocks.passed.surely(), START + 60 * SECOND);
    }

    proptest! {
        /// However a clock is set, and however often the program starts, no more passes for sure than does, but for
        /// the tolerance of each day.
        #[test]
        fn never_more_than_has_passed(
            steps in prop::collection::vec(
                (0..120_i64, prop_oneof![Just(0), -50 * DAY..50 * DAY], prop::bool::weighted(0.2)),
                1..60,
            )
        ) {
            let mut clocks = Clocks::new(0, Some(START));
            let mut real = START;
            for (seconds, set, restarts) in steps {
                clocks.run(seconds * SECOND);
                real += seconds * SECOND;
                clocks.set(set);
                prop_assert!(clocks.passed.surely() <= real + TOLERANCE, "{} {real}", clocks.passed.surely());
                prop_assert!(clocks.passed.surely() <= clocks.wall);
                if restarts {
                    clocks.passed = PassedTime::new(clocks.wall, clocks.monotonic, Some(clocks.passed.surely()));
                }
            }
        }
    }
}
