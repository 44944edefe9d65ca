//! A share at one position, for who reads all of it: made on the share's thread in the time that it takes to count its items, and
//! read on any other, once for all who read at that position.

use std::sync::OnceLock;

use crate::model::{Content, Key, reading_order};

/// All items of a share at one position.
#[derive(Debug)]
pub struct Snapshot {
    /// The epoch of `seq`.
    pub epoch: String,
    /// The sequence number of the last change.
    pub seq: u64,
    /// The session's title; `None` before its first sync.
    pub title: Option<String>,
    items: Vec<(Key, Content, u64)>,
    ordered: OnceLock<Vec<(Key, Content)>>,
    text: OnceLock<String>,
}

impl Snapshot {
    /// Items with their places by when they first came, in any order.
    pub(super) fn new(
        epoch: String,
        seq: u64,
        title: Option<String>,
        items: Vec<(Key, Content, u64)>,
    ) -> Self {
        Self { epoch, seq, title, items, ordered: OnceLock::new(), text: OnceLock::new() }
    }

    /// Bytes of the items.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|(key, content, _)| key.as_str().len() + content.get().len()).sum::<usize>()
            as u64
    }

    /// The items in reading order. The first who asks has it made, which takes as long as parsing all messages does.
    pub fn in_reading_order(&self) -> &[(Key, Content)] {
        self.ordered.get_or_init(|| {
            let arrived = self.items.iter().map(|(key, content, arrival)| (key, content, *arrival));
            let ordered = reading_order(arrived).into_iter();
            ordered.map(|(key, content)| (key.clone(), content.clone())).collect()
        })
    }

    /// The session as a text, which `write` makes of the items in reading order for the first who asks.
    pub fn text(&self, write: impl FnOnce(&[(Key, Content)]) -> String) -> &str {
        self.text.get_or_init(|| write(self.in_reading_order()))
    }
}
