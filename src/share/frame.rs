//! What viewers are shown, as it goes over the wire: encoded once for all who are at the same position.

use std::collections::HashMap;

use bytestring::ByteString;

use crate::model::{Append, Arrived, Content, Key, Transcript, Window};
use crate::protocol::{FrameItem, ItemsFrame, Viewers, WireAppend, WireItem};

/// How much a frame for a viewer may carry, in bytes: a viewer that does not read holds one frame.
pub(super) const FRAME_BYTES: usize = 128 << 10;

/// Bytes that a frame's buffer may be larger than the frame.
const SPARE_BYTES: usize = 16 << 10;

/// An `items` frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The frame as it goes over the wire.
    pub text: ByteString,
    /// The same for viewers who take appends; `None` when it has none.
    pub appending: Option<ByteString>,
    /// The position of whoever has read it.
    pub seq: u64,
    /// Whether there is still more.
    pub more: bool,
}

impl Frame {
    /// What is newer than the position `after`, or the first stretch of it: one item at least, then while they are within
    /// `max_bytes`. With `places` each says at which place it first came.
    pub fn since(transcript: &Transcript, epoch: &str, after: u64, max_bytes: usize, places: bool) -> Self {
        let window = transcript.since(after, max_bytes);
        let place = |(.., arrival): &Arrived| places.then_some(*arrival);
        let items = window.items.iter().map(|item| WireItem { n: place(item), ..whole(item) }).collect();
        Self {
            text: encoded(epoch, None, &window, items),
            appending: None,
            seq: window.seq,
            more: window.more,
        }
    }

    /// What one write brought, which began at the position `before`, for those who have all up to there. `older` holds the
    /// items as they were then. New ones come in their order; one that was removed and comes back says its place.
    pub fn live(
        transcript: &Transcript,
        epoch: &str,
        before: u64,
        older: &HashMap<Key, Option<Content>>,
    ) -> Self {
        let window = transcript.since(before, FRAME_BYTES);
        let appends: Vec<_> = window
            .items
            .iter()
            .map(|(key, content, _)| Append::between(older.get(*key)?.as_ref()?, content))
            .collect();
        let place = |(key, _, arrival): &Arrived| matches!(older.get(*key), Some(None)).then_some(*arrival);
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
pub fn viewers_frame(count: usize) -> ByteString {
    encode(&Viewers { count })
}

pub(super) fn encode(frame: &impl serde::Serialize) -> ByteString {
    // Frames are strings, numbers and raw JSON: nothing of that can fail to be written.
    let mut text = serde_json::to_string(frame).unwrap_or_default();
    // A viewer that does not read holds it: what the buffer grew beyond it is given back.
    if text.capacity() - text.len() > SPARE_BYTES {
        text.shrink_to_fit();
    }
    text.into()
}

fn encoded<I: serde::Serialize>(
    epoch: &str,
    from: Option<u64>,
    window: &Window,
    items: Vec<I>,
) -> ByteString {
    let removed = window.removed.iter().map(|key| key.as_str()).collect();
    encode(&ItemsFrame { epoch, from, seq: window.seq, items, removed, more: window.more })
}

fn whole<'a>((key, content, _): &Arrived<'a>) -> WireItem<'a> {
    WireItem { key: Some(key.as_str()), n: None, kind: key.kind(), data: content }
}
