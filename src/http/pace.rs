//! How slow a client may be: with a body that it sends, and with an answer that it reads.

use std::time::{Duration, Instant};

/// What a client has to send or to take in a second, in the long run.
const BYTES_PER_SECOND: u64 = 16 << 10;

/// How much longer than without a single byte all of it may take, in times of a wait between two pieces.
const FIRST: u32 = 4;

/// The most that all of a body may take, in the same.
const MOST: u32 = 40;

/// When a transfer has to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    began: Instant,
    wait: Duration,
    most: Option<Duration>,
}

impl Pace {
    /// Of a body whose client may wait so long between two pieces; all of it may take four of these, and longer for
    /// what comes at `BYTES_PER_SECOND`, but no more than forty.
    pub(super) fn of_body(wait: Duration) -> Self {
        Self { began: Instant::now(), wait, most: Some(wait.saturating_mul(MOST)) }
    }

    /// Of an answer, for which the same holds but for the end: it may be as long as a share.
    pub(super) fn of_answer(wait: Duration) -> Self {
        Self { most: None, ..Self::of_body(wait) }
    }

    /// How long the next piece may take when so many bytes are through.
    pub(super) fn next(&self, bytes: u64) -> Duration {
        self.next_after(self.began.elapsed(), bytes)
    }

    fn next_after(&self, elapsed: Duration, bytes: u64) -> Duration {
        let longest = self.wait.saturating_mul(FIRST) + Duration::from_secs(bytes / BYTES_PER_SECOND);
        let longest = self.most.map_or(longest, |most| longest.min(most));
        self.wait.min(longest.saturating_sub(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_are_waited_for_and_the_endless_are_not() {
        let wait = Duration::from_secs(30);
        let (body, answer) = (Pace::of_body(wait), Pace::of_answer(wait));
        let left =
            |seconds, bytes, pace: Pace| pace.next_after(Duration::from_secs(seconds), bytes).as_secs();
        assert_eq!((left(0, 0, body), left(100, 0, body), left(120, 0, body)), (30, 20, 0));
        assert_eq!((left(200, 2 << 20, body), left(1190, 64 << 20, body)), (30, 10));
        assert_eq!((left(1300, 64 << 20, body), left(1300, 64 << 20, answer)), (0, 30));
        assert_eq!(left(300, 1 << 20, answer), 0);
    }
}
