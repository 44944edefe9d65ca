//! Conversations as others write them down, read as the items of a share. Pure: whoever holds a conversation decides
//! when it is read, and what becomes of the items.

pub mod acp;
pub mod bus;
mod conversation;
pub mod messages;
pub mod opencode;
mod text;
pub mod transcripts;

use serde_json::Value;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::{Content, Key};

/// Characters of a prompt that make a title.
const TITLE: usize = 100;

/// A model by its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// The provider's.
    pub provider: Option<String>,
    /// The model's.
    pub id: String,
}

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

/// The title that a prompt makes: its first line that has words.
fn title_of(prompt: &str) -> Option<String> {
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty())?;
    let mut title: String = line.chars().take(TITLE).collect();
    if title.len() < line.len() {
        title.push('…');
    }
    Some(title)
}

/// A time as RFC 3339 has it, in milliseconds since 1970.
fn rfc3339(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// An item out of its value, which always has a text; so there always is one.
fn item(key: Key, value: &Value, settled: bool) -> Option<Item> {
    let content = serde_json::value::to_raw_value(value).ok()?.into();
    Some(Item { key, content, settled })
}
