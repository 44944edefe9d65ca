//! What other servers said of a share that is open: the newest of it, so that it takes no more room however much they
//! say, and one message tells the share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bus::{Hint, Node};

/// How long a count of viewers holds: its server says it three times meanwhile.
const COUNTS_FOR: Duration = Duration::from_secs(30);

/// Servers whose counts are kept.
const MOST_SERVERS: usize = 1000;

/// Hints about one share.
#[derive(Default)]
pub(super) struct Hints(Mutex<Said>);

#[derive(Default)]
struct Said {
    news: News,
    /// Whether the share is told that there are news.
    told: bool,
    /// Viewers at other servers, and when they were counted.
    viewers: HashMap<Node, (usize, Instant)>,
}

/// What was said since it was taken last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The highest position that the store has; 0 when none was said.
    pub(super) seq: u64,
    /// Whether it may be that the share was deleted.
    pub(super) gone: bool,
    /// Whether the count of viewers elsewhere is another.
    pub(super) counted: bool,
    /// Whether a server has viewers that had none: it does not know how many there are here.
    pub(super) newcomer: bool,
}

impl Hints {
    /// Keeps a hint; tells whether the share has to be told.
    pub(super) fn add(&self, node: Node, hint: Hint) -> bool {
        let mut said = self.said();
        match hint {
            Hint::Changed { seq, .. } => said.news.seq = said.news.seq.max(seq),
            Hint::Gone { .. } => said.news.gone = true,
            Hint::Viewers { count, .. } => said.count(node, usize::try_from(count).unwrap_or(usize::MAX)),
            Hint::Missed => {}
        }
        said.news != News::default() && !std::mem::replace(&mut said.told, true)
    }

    /// What is new.
    pub(super) fn take(&self) -> News {
        let mut said = self.said();
        said.told = false;
        std::mem::take(&mut said.news)
    }

    /// How many watch elsewhere.
    pub(super) fn viewers(&self) -> usize {
        let mut said = self.said();
        said.viewers.retain(|_, (_, counted)| counted.elapsed() < COUNTS_FOR);
        said.viewers.values().fold(0, |sum, (count, _)| sum.saturating_add(*count))
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn count(&mut self, node: Node, count: usize) {
        let before = if count == 0 {
            self.viewers.remove(&node)
        } else if self.viewers.len() < MOST_SERVERS || self.viewers.contains_key(&node) {
            self.viewers.insert(node, (count, Instant::now()))
        } else {
            return;
        };
        let before = before.map_or(0, |(before, _)| before);
        self.news.counted |= before != count;
        self.news.newcomer |= before == 0 && count > 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(seq: u64) -> Hint {
        Hint::Changed { share: 1, seq }
    }

    fn viewers(count: u64) -> Hint {
        Hint::Viewers { share: 1, count }
    }

    #[test]
    fn the_share_is_told_once_until_it_looks() {
        let hints = Hints::default();
        assert!(hints.add(Node(1), changed(5)));
        assert!(!hints.add(Node(2), changed(4)) && !hints.add(Node(1), Hint::Gone { share: 1 }));
        assert_eq!(hints.take(), News { seq: 5, gone: true, ..News::default() });
        assert_eq!(hints.take(), News::default());
        assert!(hints.add(Node(1), changed(4)));
    }

    #[test]
    fn viewers_of_all_servers_are_counted_and_the_same_again_is_no_news() {
        let hints = Hints::default();
        assert!(hints.add(Node(1), viewers(3)));
        assert_eq!(hints.take(), News { counted: true, newcomer: true, ..News::default() });
        assert!(!hints.add(Node(1), viewers(3)));
        assert!(hints.add(Node(1), viewers(4)));
        assert_eq!(hints.take(), News { counted: true, ..News::default() });
        assert!(hints.add(Node(2), viewers(u64::MAX)));
        assert_eq!(hints.viewers(), usize::MAX);
        hints.add(Node(2), viewers(0));
        assert_eq!(hints.viewers(), 4);
    }

    #[test]
    fn servers_that_nobody_has_take_no_room() {
        let hints = Hints::default();
        for node in 0..2 * MOST_SERVERS as u64 {
            hints.add(Node(node), viewers(1));
        }
        assert_eq!(hints.viewers(), MOST_SERVERS);
        hints.add(Node(0), viewers(3));
        assert_eq!(hints.viewers(), MOST_SERVERS + 2);
    }
}
