//! What a viewer gets over its WebSocket, and `GET …/items` over HTTP.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One stored item, as it stands in a frame and in `GET …/data` (there without its key and its place).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WireItem<'a> {
    /// What the item is stored under: `part/msg_1/prt_2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// Its place among all items of the share by when they first came: what the reading order needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The item's type, as the client sent it.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The item itself, byte for byte as it is stored.
    pub data: &'a RawValue,
}

/// An item of which a viewer has the version before: only what was added to it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WireAppend<'a, A> {
    /// What the item is stored under.
    pub key: &'a str,
    /// `{"path":"/text","at":N,"text":"…"}`: this text goes into the field at `path`, at its end, which is at N.
    pub append: A,
}

/// What a frame says of one item.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub enum FrameItem<'a, A> {
    /// All of it.
    Whole(WireItem<'a>),
    /// What was added.
    Append(WireAppend<'a, A>),
}

/// `{"type":"items",…}`: everything newer than a viewer's position, or the first stretch of it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "items")]
pub struct ItemsFrame<'a, I> {
    /// Sequence numbers mean something within one epoch only.
    pub epoch: &'a str,
    /// The position that the viewer must be at, in a frame with appends; none in others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The viewer's position after this frame.
    pub seq: u64,
    /// What changed, newest version of each; messages before their parts.
    pub items: Vec<I>,
    /// Keys that are no more.
    pub removed: Vec<&'a str>,
    /// Whether the viewer is still behind after this frame.
    pub more: bool,
}

/// `{"type":"viewers","count":3}`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "viewers")]
pub struct Viewers {
    /// How many watch this share now.
    pub count: usize,
}

/// `{"type":"closed","reason":"deleted"}`, sent before close code 4410.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename = "closed")]
pub struct Closed {
    /// Why the share is gone.
    pub reason: Reason,
}

/// Why a share is gone for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its owner deleted it.
    Deleted,
    /// Its time was over.
    Expired,
}

/// WebSocket close codes that the server sends.
pub mod close_code {
    /// The viewer broke the WebSocket protocol (RFC 6455).
    pub const PROTOCOL: u16 = 1002;
    /// The viewer sent data: it may send pings and closes alone.
    pub const UNSUPPORTED: u16 = 1003;
    /// The viewer sent text that is not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// The viewer sent a frame that is too big.
    pub const TOO_BIG: u16 = 1009;
    /// The server restarts: come back.
    pub const RESTART: u16 = 1012;
    /// The server cannot serve this viewer now: come back later.
    pub const TRY_AGAIN: u16 = 1013;
    /// The share is gone for good.
    pub const GONE: u16 = 4410;
}
