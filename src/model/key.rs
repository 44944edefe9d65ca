//! What an item is stored under. Two items with the same key are versions of one thing: the newer wins.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::sealed;
use crate::protocol::Malformed;

/// Characters in an item's type.
const MAX_TYPE: usize = 64;

/// Bytes in an id that stands in a key.
pub const MAX_ID: usize = 256;

/// `session`, `message/{id}`, `part/{messageID}/{id}`, `messages/{sessionID}`, `session_diff`, `model`, or for a type
/// that this server does not know, and a sealed item, `type` or `type/{data.id}`. A type has no slash, so the type is
/// what stands before the first one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

/// The ids that an item carries. Only those that its key needs must be there.
#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "messageID")]
    message_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "sessionID")]
    session_id: Option<&'a RawValue>,
}

impl Key {
    /// The session's own key.
    pub const SESSION: &'static str = "session";
    /// The key of the list of models.
    pub const MODEL: &'static str = "model";
    /// The type of an item that holds all messages of a session, as `OpenCode`'s second API has them.
    pub const MESSAGES: &'static str = "messages";

    /// The key of an item. `place` says where the item stood, for the refusal: `data[3]`.
    pub(super) fn of(kind: &str, data: &RawValue, place: &str) -> Result<Self, Malformed> {
        match kind {
            "session" => object(data, place).map(|_| Self::from(Self::SESSION)),
            "message" => Ok(Self::message(&required(object(data, place)?.id, place, "id")?)),
            "part" => {
                let ids = object(data, place)?;
                let message = required(ids.message_id, place, "messageID")?;
                if message.contains('/') {
                    return Err(Malformed::new(format!("`{place}.data.messageID` must not contain a slash")));
                }
                Ok(Self::part(&message, &required(ids.id, place, "id")?))
            }
            sealed::KIND => {
                let id = required(object(data, place)?.id, place, "id")?;
                if !sealed::is_id(&id) {
                    return Err(Malformed::new(format!("`{place}.data.id` is no name of a sealed item")));
                }
                Ok(Self::from(format!("{}/{id}", sealed::KIND)))
            }
            "session_diff" | Self::MODEL => {
                if data.get().starts_with('[') {
                    Ok(Self::from(kind))
                } else {
                    Err(Malformed::new(format!("`{place}.data` must be an array for type `{kind}`")))
                }
            }
            _ => Self::of_unknown(kind, data, place),
        }
    }

    /// A type of a newer client: kept as it comes, one for each id when its items have ids.
    fn of_unknown(kind: &str, data: &RawValue, place: &str) -> Result<Self, Malformed> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        if kind.is_empty() || kind.len() > MAX_TYPE || !kind.bytes().all(allowed) {
            return Err(Malformed::new(format!(
                "`{place}.type` must be 1 to {MAX_TYPE} characters out of a-z, 0-9, `_`, `.` and `-`"
            )));
        }
        let ids = object(data, place).ok();
        let (id, name) = match kind {
            Self::MESSAGES => (ids.and_then(|ids| ids.session_id), "sessionID"),
            _ => (ids.and_then(|ids| ids.id), "id"),
        };
        Ok(match id.and_then(text_or_number) {
            Some(id) => Self::from(format!("{kind}/{}", checked(id, place, name)?)),
            None => Self::from(kind),
        })
    }

    /// The key of a message.
    pub fn message(id: &str) -> Self {
        Self::from(format!("message/{id}"))
    }

    /// The key of a part.
    pub fn part(message_id: &str, id: &str) -> Self {
        Self::from(format!("part/{message_id}/{id}"))
    }

    /// What stands before the keys of all that goes with this item: the parts of a message, and what is sealed below
    /// another sealed item. No part names a message with a slash in its id: what stands there is of another.
    pub(super) fn below(&self) -> Option<String> {
        if self.kind() == sealed::KIND {
            return Some(format!("{}/", self.0));
        }
        let message = self.message_id().filter(|id| !id.contains('/'))?;
        Some(format!("part/{message}/"))
    }

    /// Whether the item is one that only readers can open.
    pub(super) fn is_sealed(&self) -> bool {
        self.kind() == sealed::KIND
    }

    /// The type of what an item of this type removes: `message` for `message.removed`.
    pub(super) fn removed_kind(kind: &str) -> Option<&str> {
        kind.strip_suffix(".removed").filter(|kind| !kind.is_empty())
    }

    /// The item that a removal names, by its type without `.removed`.
    pub(super) fn of_removed(kind: &str, data: &RawValue, place: &str) -> Result<Self, Malformed> {
        match kind {
            // Lists that are there once, which nothing has to name.
            "session_diff" | Self::MODEL => object(data, place).map(|_| Self::from(kind)),
            _ => Self::of(kind, data, place),
        }
    }

    /// The data of the item that removes what is stored under this key.
    pub fn removal(&self) -> serde_json::Value {
        if let Some((message, part)) = self.parent_message_id().zip(self.part_id()) {
            return serde_json::json!({"messageID": message, "id": part});
        }
        match self.0.split_once('/') {
            Some((Self::MESSAGES, session)) => serde_json::json!({"sessionID": session}),
            Some((_, id)) => serde_json::json!({"id": id}),
            None => serde_json::json!({}),
        }
    }

    /// The key of what an agent says that it does.
    pub const STATUS: &str = "status";

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The item's type, as its client sent it.
    pub fn kind(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(kind, _)| kind)
    }

    /// The message's id, when this is the key of a message.
    pub fn message_id(&self) -> Option<&str> {
        self.0.strip_prefix("message/")
    }

    /// The part's id, when this is the key of a part.
    pub fn part_id(&self) -> Option<&str> {
        Some(self.0.strip_prefix("part/")?.split_once('/')?.1)
    }

    /// The id of a part's message, when this is the key of a part.
    pub fn parent_message_id(&self) -> Option<&str> {
        Some(self.0.strip_prefix("part/")?.split_once('/')?.0)
    }
}

impl<T: Into<Arc<str>>> From<T> for Key {
    /// A key that was made by this type before: out of the database.
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn object<'a>(data: &'a RawValue, place: &str) -> Result<Ids<'a>, Malformed> {
    let refusal = || Malformed::new(format!("`{place}.data` must be an object, each field once"));
    // A derived struct would also be read from an array.
    if !data.get().starts_with('{') {
        return Err(refusal());
    }
    serde_json::from_str(data.get()).map_err(|_| refusal())
}

fn required<'a>(field: Option<&'a RawValue>, place: &str, name: &str) -> Result<Cow<'a, str>, Malformed> {
    let raw = field.ok_or_else(|| Malformed::new(format!("`{place}.data.{name}` is missing")))?;
    let id = text(raw).ok_or_else(|| Malformed::new(format!("`{place}.data.{name}` must be a string")))?;
    checked(id, place, name)
}

fn checked<'a>(id: Cow<'a, str>, place: &str, name: &str) -> Result<Cow<'a, str>, Malformed> {
    if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
        return Err(Malformed::new(format!(
            "`{place}.data.{name}` must have 1 to {MAX_ID} bytes and no control characters"
        )));
    }
    Ok(id)
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(raw.get()).ok().map(|Borrowed(text)| text)
}

fn text_or_number(raw: &RawValue) -> Option<Cow<'_, str>> {
    let number = raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if number { Some(Cow::Borrowed(raw.get())) } else { text(raw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, json: &str) -> Result<String, String> {
        let data = RawValue::from_string(json.to_owned()).unwrap();
        Key::of(kind, &data, "data[0]").map(|key| key.as_str().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_type_has_its_key() {
        for (kind, json, expected) in [
            ("session", r#"{"id":"s"}"#, "session"),
            ("message", r#"{"id":"m"}"#, "message/m"),
            ("part", r#"{"messageID":"m","id":"p"}"#, "part/m/p"),
            ("session_diff", "[]", "session_diff"),
            ("model", "[]", "model"),
            ("todo", r#"{"id":"t"}"#, "todo/t"),
            ("todo", r#"{"id":7}"#, "todo/7"),
            ("todo", r#"{"id":null}"#, "todo"),
            ("messages", r#"[{"id":"x"}]"#, "messages"),
            ("messages", r#"{"sessionID":"s","messages":[]}"#, "messages/s"),
            ("messages", r#"{"id":"x","messages":[]}"#, "messages"),
            ("v2.thing_a-b", "3", "v2.thing_a-b"),
        ] {
            assert_eq!(key(kind, json).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn an_item_without_the_ids_of_its_key_is_refused() {
        for (kind, json) in [
            ("session", "[]"),
            ("message", "{}"),
            ("message", r#"{"id":""}"#),
            ("message", r#"{"id":7}"#),
            ("message", r#"["m"]"#),
            ("part", r#"{"id":"p"}"#),
            ("part", r#"{"messageID":"m"}"#),
            ("part", r#"{"messageID":"a/b","id":"p"}"#),
            ("part", r#"{"messageID":"m","id":"a\nb"}"#),
            ("model", "{}"),
            ("session_diff", "null"),
            ("", "1"),
            ("Upper", "1"),
            ("a/b", "1"),
        ] {
            assert!(key(kind, json).is_err(), "{kind} {json}");
        }
        assert!(key(&"t".repeat(65), "1").is_err());
        assert!(key("part", r#"{"id":"p"}"#).unwrap_err().contains("`data[0].data.messageID` is missing"));
    }

    #[test]
    fn a_key_tells_its_type_and_message() {
        let part = Key::part("m", "p/q");
        assert_eq!((part.kind(), part.parent_message_id()), ("part", Some("m")));
        assert_eq!(Key::message("m").message_id(), Some("m"));
        assert_eq!(Key::from("session").kind(), "session");
    }
}
