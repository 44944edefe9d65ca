//! What waits to be said: the newest of each share, so that it takes no more room however much is said.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Hint;

/// Shares of which something waits. Beyond that all are told to look for themselves.
const MOST: usize = 50_000;

/// Hints that wait to be said, while there is somebody who says them.
#[derive(Default)]
pub(super) struct Outbox {
    gathered: Mutex<Gathered>,
    filled: Notify,
}

#[derive(Default)]
struct Gathered {
    open: bool,
    missed: bool,
    changed: HashMap<i64, u64>,
    gone: HashSet<i64>,
    viewers: HashMap<i64, u64>,
}

impl Outbox {
    /// Adds a hint. What comes while it is closed is lost.
    pub(super) fn add(&self, hint: Hint) {
        let mut gathered = self.gathered();
        if gathered.open {
            gathered.add(hint);
            drop(gathered);
            self.filled.notify_one();
        }
    }

    /// All that waits, as soon as there is something.
    pub(super) async fn take(&self) -> Vec<Hint> {
        loop {
            let hints = self.gathered().take();
            if !hints.is_empty() {
                return hints;
            }
            self.filled.notified().await;
        }
    }

    /// From now on hints are said.
    pub(super) fn open(&self) {
        self.gathered().open = true;
    }

    /// From now on they are lost, and so are those that wait.
    pub(super) fn close(&self) {
        *self.gathered() = Gathered::default();
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn add(&mut self, hint: Hint) {
        match hint {
            Hint::Changed { share, seq } => {
                let newest = self.changed.entry(share).or_default();
                *newest = seq.max(*newest);
            }
            Hint::Gone { share } => {
                self.gone.insert(share);
            }
            Hint::Viewers { share, count } => {
                self.viewers.insert(share, count);
            }
            Hint::Missed => self.missed = true,
        }
        if self.changed.len() + self.gone.len() + self.viewers.len() > MOST {
            *self = Self { open: self.open, missed: true, ..Self::default() };
        }
    }

    fn take(&mut self) -> Vec<Hint> {
        let Self { missed, changed, gone, viewers, .. } = self;
        let changed = changed.drain().map(|(share, seq)| Hint::Changed { share, seq });
        let gone = gone.drain().map(|share| Hint::Gone { share });
        let viewers = viewers.drain().map(|(share, count)| Hint::Viewers { share, count });
        let missed = std::mem::take(missed).then_some(Hint::Missed);
        changed.chain(gone).chain(viewers).chain(missed).collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn taken(outbox: &Outbox) -> Option<Vec<Hint>> {
        outbox.take().now_or_never()
    }

    #[test]
    fn of_each_share_the_newest_waits() {
        let outbox = Outbox::default();
        outbox.open();
        for seq in [3, 9, 4] {
            outbox.add(Hint::Changed { share: 1, seq });
            outbox.add(Hint::Viewers { share: 1, count: seq });
            outbox.add(Hint::Gone { share: 2 });
        }
        let newest = [
            Hint::Changed { share: 1, seq: 9 },
            Hint::Gone { share: 2 },
            Hint::Viewers { share: 1, count: 4 },
        ];
        assert_eq!(taken(&outbox).unwrap(), newest);
        assert_eq!(taken(&outbox), None, "once");
    }

    #[test]
    fn what_is_too_much_becomes_one_hint() {
        let outbox = Outbox::default();
        outbox.open();
        for share in 0..=i64::try_from(MOST).unwrap() {
            outbox.add(Hint::Changed { share, seq: 1 });
        }
        assert_eq!(taken(&outbox).unwrap(), [Hint::Missed]);
        outbox.add(Hint::Gone { share: 1 });
        assert_eq!(taken(&outbox).unwrap(), [Hint::Gone { share: 1 }], "it goes on");
    }

    #[test]
    fn a_closed_one_keeps_nothing() {
        let outbox = Outbox::default();
        outbox.add(Hint::Missed);
        outbox.open();
        assert_eq!(taken(&outbox), None);
        outbox.add(Hint::Missed);
        outbox.close();
        outbox.open();
        assert_eq!(taken(&outbox), None);
    }

    #[test]
    fn who_waits_is_told() {
        let outbox = Outbox::default();
        outbox.open();
        let mut waits = Box::pin(outbox.take());
        assert_eq!((&mut waits).now_or_never(), None);
        outbox.add(Hint::Missed);
        assert_eq!(waits.now_or_never().unwrap(), [Hint::Missed]);
    }
}
