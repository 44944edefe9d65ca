//! When a share's next batch is sent: gathered for a while after the first update, one at a time, and after a failure
//! later and later. Pure: it is told the time.

use std::time::{Duration, Instant};

/// The first wait after a failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// Waits that grow with each failure in a row, up to a longest one.
#[derive(Debug)]
pub(super) struct Backoff {
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(max: Duration) -> Self {
        Self { max, failures: 0 }
    }

    /// How long to wait after one more failure. `jitter` (0 to 1) takes away up to half, so that clients do not come
    /// back all at once.
    pub(super) fn failed(&mut self, jitter: f64) -> Duration {
        let wait = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures += 1;
        wait.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// A random number from 0 to 1.
pub(super) fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}

/// When the next batch of one share is sent.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    failing: Backoff,
    /// When the oldest update that is not sent came in, and so when its batch is due.
    due: Option<Instant>,
    /// Not before this time: the last try failed.
    backoff: Option<Instant>,
    /// Not before this time: the server asked to wait.
    asked: Option<Instant>,
    in_flight: bool,
}

impl Schedule {
    pub(super) fn new(interval: Duration, max_backoff: Duration) -> Self {
        let failing = Backoff::new(max_backoff);
        Self { interval, failing, due: None, backoff: None, asked: None, in_flight: false }
    }

    /// Something is to be sent. The first update starts the clock; later ones join it.
    pub(super) fn updated(&mut self, now: Instant) {
        self.due.get_or_insert(now + self.interval);
    }

    /// What is to be sent does not wait for more.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = Some(self.due.map_or(now, |due| due.min(now)));
    }

    /// Somebody waits for what is to be sent: it is tried now, unless the server asked to wait.
    pub(super) fn flush(&mut self, now: Instant) {
        self.backoff = None;
        self.hurry(now);
    }

    /// When to send next; `None` while a batch is under way or nothing is to be sent.
    pub(super) fn next(&self) -> Option<Instant> {
        // `None` is before every time.
        if self.in_flight {
            None
        } else {
            self.due.and_then(|due| Some(due).max(self.backoff).max(self.asked))
        }
    }

    /// A batch leaves: what comes from now on goes with the next one.
    pub(super) fn started(&mut self) {
        self.in_flight = true;
        self.due = None;
    }

    /// The batch is on the server.
    pub(super) fn succeeded(&mut self) {
        self.in_flight = false;
        self.backoff = None;
        self.asked = None;
        self.failing.failures = 0;
    }

    /// The batch has to be sent again: after what the server asked for, or after a growing wait (`Backoff`).
    pub(super) fn failed(&mut self, now: Instant, retry_after: Option<Duration>, jitter: f64) {
        self.in_flight = false;
        self.backoff = Some(now + self.failing.failed(jitter));
        self.asked = retry_after.map(|wait| now + wait);
        self.hurry(now);
    }

    /// The machine was suspended for a time, in which this clock stood still: what was waited for is over, or nearer. A
    /// batch that was under way is taken for lost.
    pub(super) fn woke(&mut self, now: Instant, suspended: Duration) {
        let lost = std::mem::take(&mut self.in_flight);
        self.backoff = None;
        self.failing.failures = 0;
        self.asked = self.asked.and_then(|asked| asked.checked_sub(suspended)).filter(|asked| *asked > now);
        if lost || self.due.is_some() {
            self.hurry(now);
        }
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failing.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule() -> (Schedule, Instant) {
        (Schedule::new(SECOND, 60 * SECOND), Instant::now())
    }

    #[test]
    fn queue_debounce() {
        let (mut schedule, start) = schedule();
        assert_eq!(schedule.next(), None);
        for tenth in 0..10 {
            schedule.updated(start + tenth * SECOND / 10);
        }
        // One batch, a second after the first update.
        assert_eq!(schedule.next(), Some(start + SECOND));
        schedule.started();
        assert_eq!(schedule.next(), None);
        schedule.succeeded();
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn one_batch_is_under_way_and_updates_meanwhile_go_with_the_next() {
        let (mut schedule, start) = schedule();
        schedule.updated(start);
        schedule.started();
        schedule.updated(start + SECOND);
        assert_eq!(schedule.next(), None);
        schedule.succeeded();
        assert_eq!(schedule.next(), Some(start + 2 * SECOND));
    }

    #[test]
    fn waits_grow_and_are_capped_and_the_server_may_ask_for_more() {
        let (mut schedule, start) = schedule();
        schedule.updated(start);
        let mut waits = Vec::new();
        for _ in 0..10 {
            schedule.started();
            schedule.failed(start, None, 0.0);
            waits.push((schedule.next().unwrap() - start).as_millis());
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
        schedule.started();
        schedule.failed(start, Some(90 * SECOND), 1.0);
        assert_eq!(schedule.next(), Some(start + 90 * SECOND));
        // An update or a flush does not come before what the server asked for.
        schedule.updated(start);
        schedule.flush(start);
        assert_eq!(schedule.next(), Some(start + 90 * SECOND));
        schedule.started();
        schedule.succeeded();
        schedule.updated(start);
        schedule.started();
        schedule.failed(start, None, 1.0);
        assert_eq!(schedule.next(), Some(start + SECOND / 4));
        schedule.flush(start);
        assert_eq!(schedule.next(), Some(start));
    }

    #[test]
    fn after_a_suspend_nothing_waits_but_what_the_server_asked_for() {
        let (mut schedule, start) = schedule();
        schedule.woke(start, 60 * SECOND);
        assert_eq!(schedule.next(), None, "there is nothing to send");
        // A batch that was under way is sent again, and failures are counted anew: the network may need a moment.
        schedule.updated(start);
        for _ in 0..8 {
            schedule.started();
            schedule.failed(start, None, 0.0);
        }
        schedule.started();
        schedule.woke(start, 2 * SECOND);
        assert_eq!(schedule.next(), Some(start));
        schedule.started();
        schedule.failed(start, None, 0.0);
        assert_eq!(schedule.next(), Some(start + SECOND / 2));
        // What the server asked for goes by its clock, which went on.
        schedule.started();
        schedule.failed(start, Some(90 * SECOND), 0.0);
        schedule.woke(start, 60 * SECOND);
        assert_eq!(schedule.next(), Some(start + 30 * SECOND));
        schedule.woke(start, 60 * SECOND);
        assert_eq!(schedule.next(), Some(start));
    }
}
