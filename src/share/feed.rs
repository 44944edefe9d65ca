//! What is newest in a share, for all its viewers at once: the last frames, each from the position where the one before
//! it ends. A viewer that is almost up to date takes its news from here and asks the share nothing.
//!
//! The share alone writes it, after a commit; so all that stands here is durable.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytestring::ByteString;

use super::frame::Frame;

/// How much is kept, in bytes.
const FEED_BYTES: usize = 256 << 10;

/// How much a viewer takes from here at once, in bytes. One further behind pulls from the share, which leaves out what
/// is no longer the newest version of an item.
const NEWS_BYTES: usize = 64 << 10;

/// A share's newest frames. Clones are of the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    epoch: ByteString,
    recent: Arc<RwLock<Recent>>,
}

#[derive(Debug, Default)]
struct Recent {
    /// When the newest commit was.
    committed: Option<Instant>,
    /// Each with the position from which it was made, without gaps.
    frames: VecDeque<(u64, Frame)>,
    bytes: usize,
    /// The share's position.
    seq: u64,
    /// The count of viewers that they are to be told.
    viewers: usize,
}

/// What a viewer does not have yet.
#[derive(Debug, Default)]
pub struct News {
    /// Frames, one after the other.
    pub frames: Vec<ByteString>,
    /// The viewer's position after them.
    pub seq: u64,
    /// Whether there is more than these frames: the viewer has to pull.
    pub behind: bool,
    /// The count of viewers.
    pub viewers: usize,
    /// When the newest commit was.
    pub committed: Option<Instant>,
}

impl Feed {
    pub(super) fn new(epoch: ByteString, seq: u64) -> Self {
        Self { epoch, recent: Arc::new(RwLock::new(Recent { seq, ..Recent::default() })) }
    }

    /// The epoch of the share's positions.
    pub fn epoch(&self) -> &ByteString {
        &self.epoch
    }

    /// What is new to a viewer at the position `after`; with appends when it takes them.
    pub fn news(&self, after: u64, appends: bool) -> News {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let mut news =
            News { seq: after, viewers: recent.viewers, committed: recent.committed, ..News::default() };
        if after >= recent.seq {
            return news;
        }
        let first = recent.frames.iter().position(|(from, _)| *from == after);
        let frames = recent.frames.range(first.unwrap_or(recent.frames.len())..).map(|(_, frame)| {
            let appending = frame.appending.as_ref().filter(|_| appends);
            appending.unwrap_or(&frame.text)
        });
        if first.is_none() || frames.clone().map(|text| text.len()).sum::<usize>() > NEWS_BYTES {
            news.behind = true;
        } else {
            news.frames = frames.cloned().collect();
            news.seq = recent.seq;
        }
        news
    }

    /// Adds what a commit brought. `frame` is made from the position before it; without one, or when it does not reach
    /// the share's position, everybody has to pull.
    pub(super) fn push(&self, from: u64, frame: Option<Frame>, seq: u64) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.seq = seq;
        recent.committed = Some(Instant::now());
        let Some(frame) = frame.filter(|frame| frame.seq == seq) else {
            recent.clear();
            return;
        };
        recent.bytes += frame.bytes();
        recent.frames.push_back((from, frame));
        while recent.bytes > FEED_BYTES
            && let Some((_, oldest)) = recent.frames.pop_front()
        {
            recent.bytes -= oldest.bytes();
        }
    }

    pub(super) fn set_viewers(&self, count: usize) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).viewers = count;
    }
}

impl Frame {
    fn bytes(&self) -> usize {
        self.text.len() + self.appending.as_ref().map_or(0, |text| text.len())
    }
}

impl Recent {
    fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(seq: u64, bytes: usize) -> Frame {
        Frame { text: "x".repeat(bytes).into(), appending: None, seq, more: false }
    }

    #[test]
    fn a_viewer_gets_what_it_misses_or_is_told_to_pull() {
        let feed = Feed::new("e".into(), 0);
        let news = |after| {
            let news = feed.news(after, false);
            (news.frames.len(), news.seq, news.behind)
        };
        feed.push(0, Some(frame(3, 10)), 3);
        feed.push(3, Some(frame(4, 10)), 4);
        assert_eq!((news(0), news(3), news(4)), ((2, 4, false), (1, 4, false), (0, 4, false)));
        assert_eq!(news(1), (0, 1, true), "no frame begins there");

        feed.push(4, Some(frame(5, NEWS_BYTES)), 5);
        assert_eq!((news(3), news(4)), ((0, 3, true), (1, 5, false)), "what is much is pulled");
        feed.push(5, Some(frame(6, FEED_BYTES + 1)), 6);
        assert_eq!(news(5), (0, 5, true), "what is too large is pulled");
        feed.push(6, Some(frame(7, 1)), 9);
        assert_eq!(news(6), (0, 6, true), "what does not reach the end is pulled");
        feed.push(9, None, 10);
        assert_eq!((news(9), news(10)), ((0, 9, true), (0, 10, false)));
    }

    #[test]
    fn who_takes_appends_gets_them_and_they_count_by_their_own_size() {
        let feed = Feed::new("e".into(), 0);
        for seq in 0..3 {
            let appending = Some("+".into());
            feed.push(seq, Some(Frame { appending, ..frame(seq + 1, NEWS_BYTES) }), seq + 1);
        }
        assert_eq!(feed.news(0, true).frames, ["+", "+", "+"]);
        assert!(feed.news(0, false).behind);
    }
}
