//! A share at one position, for who reads all of it: made on the share's thread in the time that it takes to count its
//! items, and read on any other. What is made of it is kept with it, for all who read at that position.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::memory::Held;
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
    bytes: u64,
    ordered: OnceLock<Vec<(Key, Content)>>,
    texts: [OnceLock<Text>; 4],
    picture: OnceLock<Picture>,
}

/// A text that is made of all items.
#[derive(Debug, Clone, Copy)]
pub enum TextKind {
    /// The session as Markdown.
    Markdown,
    /// The first turns as HTML.
    Beginning,
    /// The title, as strangers may see it.
    Title,
    /// What was asked first, as strangers may see it.
    FirstPrompt,
}

/// A text, and the memory that it takes.
#[derive(Debug)]
struct Text {
    text: String,
    _held: Held,
}

/// A picture as PNG, and the memory that it takes.
#[derive(Debug)]
struct Picture {
    png: Bytes,
    _held: Held,
}

impl Snapshot {
    /// Items with their places by when they first came, in any order.
    pub fn new(epoch: String, seq: u64, title: Option<String>, items: Vec<(Key, Content, u64)>) -> Self {
        let bytes = items.iter().map(|(key, content, _)| key.as_str().len() + content.get().len());
        let bytes = bytes.sum::<usize>() as u64;
        Self {
            epoch,
            seq,
            title,
            items,
            bytes,
            ordered: OnceLock::new(),
            texts: Default::default(),
            picture: OnceLock::new(),
        }
    }

    /// Bytes of the items.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The items in reading order. The first who asks has it made, which takes as long as parsing all messages does.
    pub fn in_reading_order(&self) -> &[(Key, Content)] {
        self.ordered.get_or_init(|| {
            let arrived = self.items.iter().map(|(key, content, arrival)| (key, content, *arrival));
            let ordered = reading_order(arrived).into_iter();
            ordered.map(|(key, content)| (key.clone(), content.clone())).collect()
        })
    }

    /// Whether the reading order is made.
    pub fn is_in_order(&self) -> bool {
        self.ordered.get().is_some()
    }

    /// A text, when it is made.
    pub fn text(&self, kind: TextKind) -> Option<&str> {
        self.texts[kind as usize].get().map(|made| &*made.text)
    }

    /// Makes a text out of the items in reading order, and keeps it with the memory that was taken for it. When it is
    /// made already, that is given back.
    pub fn make_text(&self, kind: TextKind, mut held: Held, write: impl FnOnce(&[(Key, Content)]) -> String) {
        self.texts[kind as usize].get_or_init(|| {
            let text = write(self.in_reading_order());
            held.resize(text.len() as u64);
            Text { text, _held: held }
        });
    }
    /// The picture of it for previews of links, when it is made.
    pub fn picture(&self) -> Option<&Bytes> {
        self.picture.get().map(|made| &made.png)
    }

    /// Makes that out of the items in reading order, as [`Self::make_text`] does texts.
    pub fn make_picture(&self, mut held: Held, draw: impl FnOnce(&[(Key, Content)]) -> Vec<u8>) {
        self.picture.get_or_init(|| {
            let png = Bytes::from(draw(self.in_reading_order()));
            held.resize(png.len() as u64);
            Picture { png, _held: held }
        });
    }
}
