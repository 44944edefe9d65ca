//! Conversations as others write them down, read as the items of a share. Pure: whoever holds a conversation decides
//! when it is read, and what becomes of the items.

pub mod bus;
pub mod messages;
pub mod transcripts;

use serde_json::Value;

use crate::model::{Content, Key};

/// One item of a conversation.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is stored under.
    pub key: Key,
    /// Its JSON.
    pub content: Content,
    /// Whether it has come to its end: a call has its result, an answer is finished. What was written down before that
    /// says nothing against it.
    pub settled: bool,
}

/// An item out of its value, which always has a text; so there always is one.
fn item(key: Key, value: &Value, settled: bool) -> Option<Item> {
    let content = serde_json::value::to_raw_value(value).ok()?.into();
    Some(Item { key, content, settled })
}
