//! What is newest in a share, for all its viewers at once: the last frames, each from the position where the one before it
//! ends. A viewer that is almost up to date takes its news from here and asks the share nothing.
//!
//! The share alone writes it, after a commit; so all that stands here is durable.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use bytestring::ByteString;

use super::messages::Frame;

/// How much is kept, in bytes. A viewer further behind pulls from the share, which leaves out what is no longer the newest
/// version of an item.
const FEED_BYTES: usize = 64 << 10;

/// A share's newest frames. Clones are of the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    epoch: ByteString,
    recent: Arc<RwLock<Recent>>,
}

#[derive(Debug, Default)]
struct Recent {
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
    pub frames: Vec<Frame>,
    /// Whether there is more than these frames: the viewer has to pull.
    pub behind: bool,
    /// The count of viewers.
    pub viewers: usize,
}

impl Feed {
    pub(super) fn new(epoch: ByteString, seq: u64) -> Self {
        Self { epoch, recent: Arc::new(RwLock::new(Recent { seq, ..Recent::default() })) }
    }

    /// The epoch of the share's positions.
    pub fn epoch(&self) -> &ByteString {
        &self.epoch
    }

    /// What is new to a viewer at the position `after`.
    pub fn news(&self, after: u64) -> News {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let mut news = News { viewers: recent.viewers, ..News::default() };
        if after >= recent.seq {
            return news;
        }
        match recent.frames.iter().position(|(from, _)| *from == after) {
            Some(first) => {
                news.frames = recent.frames.range(first..).map(|(_, frame)| frame.clone()).collect();
            }
            None => news.behind = true,
        }
        news
    }

    /// Adds what a commit brought. `frame` is made from the position before it; without one, or when it does not reach the
    /// share's position, everybody has to pull.
    pub(super) fn push(&self, from: u64, frame: Option<Frame>, seq: u64) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.seq = seq;
        let Some(frame) = frame.filter(|frame| frame.seq == seq && frame.text.len() <= FEED_BYTES) else {
            recent.clear();
            return;
        };
        recent.bytes += frame.text.len();
        recent.frames.push_back((from, frame));
        while recent.bytes > FEED_BYTES
            && let Some((_, oldest)) = recent.frames.pop_front()
        {
            recent.bytes -= oldest.text.len();
        }
    }

    pub(super) fn set_viewers(&self, count: usize) {
        self.recent.write().unwrap_or_else(PoisonError::into_inner).viewers = count;
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
        Frame { text: "x".repeat(bytes).into(), seq, more: false }
    }

    #[test]
    fn a_viewer_gets_what_it_misses_or_is_told_to_pull() {
        let feed = Feed::new("e".into(), 0);
        let seqs = |after| feed.news(after).frames.iter().map(|frame| frame.seq).collect::<Vec<_>>();
        feed.push(0, Some(frame(3, 10)), 3);
        feed.push(3, Some(frame(4, 10)), 4);
        assert_eq!((seqs(0), seqs(3), seqs(4)), (vec![3, 4], vec![4], vec![]));
        assert!(feed.news(1).behind && !feed.news(3).behind && !feed.news(4).behind);

        feed.push(4, Some(frame(5, FEED_BYTES)), 5);
        assert!(feed.news(3).behind, "what is old goes");
        assert_eq!(seqs(4), [5]);
        feed.push(5, Some(frame(6, FEED_BYTES + 1)), 6);
        assert!(feed.news(5).behind, "what is too large is pulled");
        feed.push(6, Some(frame(7, 1)), 9);
        assert!(feed.news(6).behind, "what does not reach the end is pulled");
    }
}
