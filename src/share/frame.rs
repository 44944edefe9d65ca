//! What viewers are shown, as it goes over the wire: encoded once for all who are at the same position.

use std::collections::HashMap;

use bytes::Bytes;

use crate::model::{Append, Arrived, Key, Row, Transcript, Window};
use crate::protocol::{FrameItem, ItemsFrame, Viewers, WireAppend, WireItem};

/// How much a frame for a viewer may carry, in bytes, when that is more than one item: a viewer that does not read
/// holds one frame.
pub const FRAME_BYTES: usize = 128 << 10;

/// Bytes that a frame's buffer may be larger than the frame.
const SPARE_BYTES: usize = 16 << 10;

/// Bytes of a frame beside the keys and the content of its items: around all of it, and around each.
const AROUND_FRAME: usize = 256;
const AROUND_ITEM: usize = 64;

/// An `items` frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The frame as it goes over the wire: JSON, in UTF-8.
    pub text: Bytes,
    /// The same for viewers who take appends; `None` when it has none.
    pub appending: Option<Bytes>,
    /// The position of whoever has read it.
    pub seq: u64,
    /// Whether there is still more.
    pub more: bool,
}

impl Frame {
    /// What stands in a window. With `places` each item says at which place it first came.
    pub fn of(window: &Window, epoch: &str, places: bool) -> Self {
        let place = |(.., arrival): &Arrived| places.then_some(*arrival);
        let items = window.items.iter().map(|item| WireItem { n: place(item), ..whole(item) }).collect();
        Self {
            text: encoded(epoch, None, window, items),
            appending: None,
            seq: window.seq,
            more: window.more,
        }
    }

    /// How many bytes a frame takes that carries up to `max_bytes`, unless it is one of very many or very large items.
    pub const fn usual_size(max_bytes: usize) -> usize {
        max_bytes / 4 * 5
    }

    /// About how many bytes a window's frame takes, and while it is made: more only where ids are full of characters
    /// that JSON escapes.
    pub fn size_of(window: &Window) -> u64 {
        (AROUND_FRAME + window.bytes + AROUND_ITEM * (window.items.len() + window.removed.len())) as u64
    }

    /// What one write brought, which began at the position `before`, for those who have all up to there. `older` holds
    /// the items as they were then. New ones come in their order; one that was removed and comes back says its place.
    pub fn live(transcript: &Transcript, epoch: &str, before: u64, older: &HashMap<Key, Row>) -> Self {
        let window = transcript.since(before, FRAME_BYTES);
        let appends: Vec<_> = window
            .items
            .iter()
            .map(|(key, content, _)| Append::between(older.get(*key)?.content.as_ref()?, content))
            .collect();
        let place = |(key, _, arrival): &Arrived| {
            let comes_back = older.get(*key).is_some_and(|row| row.content.is_none());
            comes_back.then_some(*arrival)
        };
        let placed = |item| WireItem { n: place(item), ..whole(item) };
        let appending = appends.iter().any(Option::is_some).then(|| {
            let items = window.items.iter().zip(&appends).map(|(item, append)| match append {
                Some(append) => FrameItem::Append(WireAppend { key: item.0.as_str(), append }),
                None => FrameItem::Whole(placed(item)),
            });
            encoded(epoch, Some(before), &window, items.collect())
        });
        let items = window.items.iter().map(placed).collect();
        Self { text: encoded(epoch, None, &window, items), appending, seq: window.seq, more: window.more }
    }
}

/// The frame that tells the count of viewers.
pub fn viewers_frame(count: usize) -> Bytes {
    encode(&Viewers { count })
}

pub(super) fn encode(frame: &impl serde::Serialize) -> Bytes {
    encode_into(Vec::new(), frame)
}

fn encode_into(mut text: Vec<u8>, frame: &impl serde::Serialize) -> Bytes {
    // Frames are strings, numbers and raw JSON: nothing of that can fail to be written.
    let written = serde_json::to_writer(&mut text, frame);
    // A viewer that does not read holds it: what the buffer is larger than the frame is given back.
    if text.capacity() - text.len() > SPARE_BYTES {
        text.shrink_to_fit();
    }
    written.map(|()| Bytes::from(text)).unwrap_or_default()
}

fn encoded<I: serde::Serialize>(epoch: &str, from: Option<u64>, window: &Window, items: Vec<I>) -> Bytes {
    let removed = window.removed.iter().map(|key| key.as_str()).collect();
    let frame = ItemsFrame { epoch, from, seq: window.seq, items, removed, more: window.more };
    // While a buffer grows it takes up to three times as much. Appends are far smaller than what they are added to.
    let size = if from.is_none() { Frame::size_of(window) } else { 0 };
    let size = usize::try_from(size).unwrap_or(0);
    encode_into(Vec::with_capacity(size), &frame)
}

fn whole<'a>((key, content, _): &Arrived<'a>) -> WireItem<'a> {
    WireItem { key: Some(key.as_str()), n: None, kind: key.kind(), data: content }
}
