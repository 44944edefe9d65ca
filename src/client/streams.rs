//! The parts that are being streamed: an agent reports such a part once, then only what is added to its text, and the
//! whole part again when it is finished. So the last whole version is kept here, and what is added is put to it.
//!
//! What cannot be put to anything is left out: the relay may have started in the middle, or this may be full. The whole
//! part that comes at the end has it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{Change, Content, Key};

/// The field that grows. `OpenCode`'s events name a field, and it has never been another.
pub(super) const FIELD: &str = "text";

/// Parts that are kept. The one that was not touched for longest goes first.
const MAX_PARTS: usize = 256;

/// Bytes of all parts that are kept.
const MAX_BYTES: usize = 16 << 20;

/// The parts of all sessions that are being streamed.
pub(crate) struct Streams {
    parts: HashMap<(String, Key), Stream>,
    bytes: usize,
    touched: u64,
    max_parts: usize,
    max_bytes: usize,
}

/// A part's JSON, cut in front of the quote that ends its text.
struct Stream {
    head: String,
    tail: String,
    touched: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Self::with_limits(MAX_PARTS, MAX_BYTES)
    }
}

impl Streams {
    fn with_limits(max_parts: usize, max_bytes: usize) -> Self {
        Self { parts: HashMap::new(), bytes: 0, touched: 0, max_parts, max_bytes }
    }

    /// Notes what a change does to the parts: a whole part is what is added to from now on, unless it is finished.
    pub(crate) fn note(&mut self, session: &str, change: &Change) {
        match change {
            Change::Put(key, content) if key.part_id().is_some() => {
                self.drop_part(session, key);
                if let Some((head, tail)) = cut(content) {
                    self.keep(session, key, head, tail);
                }
            }
            Change::Remove(key) => {
                self.drop_part(session, key);
                if let Some(message) = key.message_id() {
                    self.drop_where(|of, key| of == session && key.parent_message_id() == Some(message));
                }
            }
            Change::Put(..) | Change::MergeModels(_) => {}
        }
    }

    /// Adds to the text of a part; `added` is a JSON string. `false` when that part is not here.
    pub(crate) fn grow(&mut self, session: &str, part: &Key, added: &RawValue) -> bool {
        // What stands between the quotes, escapes and all: half of a surrogate pair finds its other half.
        let Some(added) = added.get().strip_prefix('"').and_then(|added| added.strip_suffix('"')) else {
            return false;
        };
        self.touched += 1;
        let name = (session.to_owned(), part.clone());
        let Some(stream) = self.parts.get_mut(&name) else { return false };
        stream.touched = self.touched;
        stream.head.push_str(added);
        self.bytes += added.len();
        self.make_room();
        self.parts.contains_key(&name)
    }

    /// A part as it is now.
    pub(crate) fn whole(&self, session: &str, part: &Key) -> Option<Change> {
        let Stream { head, tail, .. } = self.parts.get(&(session.to_owned(), part.clone()))?;
        let content = RawValue::from_string(format!("{head}{tail}")).ok()?;
        Some(Change::Put(part.clone(), Content::from(content)))
    }

    /// Forgets the parts of a session: it is not shared any more, or what was added could not be stored, so that nobody
    /// knows whether it comes again.
    pub(super) fn forget(&mut self, session: &str) {
        self.drop_where(|of, _| of == session);
    }

    fn keep(&mut self, session: &str, part: &Key, head: String, tail: String) {
        self.touched += 1;
        let stream = Stream { head, tail, touched: self.touched };
        if stream.bytes() > self.max_bytes {
            return;
        }
        self.bytes += stream.bytes();
        self.parts.insert((session.to_owned(), part.clone()), stream);
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.parts.len() > self.max_parts || self.bytes > self.max_bytes {
            let oldest = self.parts.iter().min_by_key(|(_, stream)| stream.touched);
            let Some((session, part)) = oldest.map(|(name, _)| name.clone()) else { return };
            self.drop_part(&session, &part);
        }
    }

    fn drop_part(&mut self, session: &str, part: &Key) {
        if let Some(stream) = self.parts.remove(&(session.to_owned(), part.clone())) {
            self.bytes -= stream.bytes();
        }
    }

    fn drop_where(&mut self, is_gone: impl Fn(&str, &Key) -> bool) {
        let bytes = &mut self.bytes;
        self.parts.retain(|(session, part), stream| {
            let gone = is_gone(session, part);
            *bytes -= if gone { stream.bytes() } else { 0 };
            !gone
        });
    }
}

impl Stream {
    fn bytes(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

/// A part's JSON in two: up to the end of its text, and from the quote behind that. `None` when it has no text, or is
/// finished.
fn cut(part: &RawValue) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: &'a RawValue,
        #[serde(borrow)]
        time: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Time<'a> {
        #[serde(borrow)]
        end: Option<&'a RawValue>,
    }
    let json = part.get();
    let Part { text, time } = serde_json::from_str(json).ok()?;
    let time = time.and_then(|time| serde_json::from_str::<Time>(time.get()).ok());
    let is_finished = time.and_then(|time| time.end).is_some();
    if is_finished || !text.get().starts_with('"') {
        return None;
    }
    // Where the text ends within the part, of which it is a piece.
    let end = (text.get().as_ptr() as usize).checked_sub(json.as_ptr() as usize)? + text.get().len() - 1;
    let (head, tail) = json.split_at_checked(end)?;
    Some((head.to_owned(), tail.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn put(id: &str, json: &str) -> Change {
        Change::Put(Key::part("m", id), Content::from(raw(json)))
    }

    fn shown(streams: &Streams, session: &str, id: &str) -> Option<String> {
        match streams.whole(session, &Key::part("m", id))? {
            Change::Put(_, content) => Some(content.get().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_text_grows_until_it_is_finished() {
        let mut streams = Streams::default();
        let part = Key::part("m", "p");
        assert!(!streams.grow("s", &part, &raw(r#""early""#)), "nothing to add to");
        streams.note("s", &put("p", r#"{ "id":"p", "text" : "a\"" , "time":{"start":1,"end":null} }"#));
        assert!(streams.grow("s", &part, &raw(r#"" \ud83d""#)));
        assert!(streams.grow("s", &part, &raw(r#""\ude00é""#)));
        assert!(!streams.grow("other", &part, &raw(r#""x""#)), "of another session");
        assert_eq!(
            shown(&streams, "s", "p").unwrap(),
            r#"{ "id":"p", "text" : "a\" \ud83d\ude00é" , "time":{"start":1,"end":null} }"#
        );
        streams.note("s", &put("p", r#"{"text":"anew"}"#));
        assert!(streams.grow("s", &part, &raw(r#""!""#)));
        assert_eq!(shown(&streams, "s", "p").unwrap(), r#"{"text":"anew!"}"#);
        streams.note("s", &put("p", r#"{"text":"whole","time":{"start":1,"end":2}}"#));
        assert!(!streams.grow("s", &part, &raw(r#""late""#)));
        assert_eq!((streams.parts.len(), streams.bytes), (0, 0));
    }

    #[test]
    fn what_is_no_text_does_not_grow() {
        let mut streams = Streams::default();
        for json in
            ["7", "[]", r#"{"text":7}"#, r#"{"text":null}"#, r#"{"id":"p"}"#, r#"{"text":"a","text":"b"}"#]
        {
            streams.note("s", &put("p", json));
            assert!(!streams.grow("s", &Key::part("m", "p"), &raw(r#""x""#)), "{json}");
        }
        streams.note("s", &put("p", r#"{"text":""}"#));
        for json in ["7", "null", r#"["x"]"#, r#"{"a":"b"}"#] {
            assert!(!streams.grow("s", &Key::part("m", "p"), &raw(json)), "{json}");
        }
        assert_eq!(shown(&streams, "s", "p").unwrap(), r#"{"text":""}"#);
    }

    #[test]
    fn removals_and_the_end_of_a_share_take_parts_away() {
        let mut streams = Streams::default();
        let fill = |streams: &mut Streams| {
            for session in ["s", "t"] {
                for id in ["p", "q"] {
                    streams.note(session, &put(id, r#"{"text":""}"#));
                }
            }
        };
        fill(&mut streams);
        streams.note("s", &Change::Remove(Key::part("m", "p")));
        assert_eq!((shown(&streams, "s", "p"), streams.parts.len()), (None, 3));
        streams.note("s", &Change::Remove(Key::message("other")));
        assert_eq!(streams.parts.len(), 3);
        streams.note("s", &Change::Remove(Key::message("m")));
        assert_eq!(streams.parts.len(), 2);
        fill(&mut streams);
        streams.forget("t");
        assert!(shown(&streams, "s", "q").is_some() && shown(&streams, "t", "q").is_none());
        streams.forget("s");
        assert_eq!((streams.parts.len(), streams.bytes), (0, 0));
    }

    #[test]
    fn of_too_much_what_was_not_touched_for_longest_goes() {
        let mut streams = Streams::with_limits(2, 40);
        for id in ["a", "b"] {
            streams.note("s", &put(id, r#"{"text":""}"#));
        }
        assert!(streams.grow("s", &Key::part("m", "a"), &raw(r#""x""#)));
        streams.note("s", &put("c", r#"{"text":""}"#));
        assert!(shown(&streams, "s", "b").is_none() && shown(&streams, "s", "a").is_some());
        let much = raw(&format!("\"{}\"", "x".repeat(20)));
        assert!(streams.grow("s", &Key::part("m", "c"), &much));
        assert!(shown(&streams, "s", "a").is_none(), "its bytes were needed");
        assert!(!streams.grow("s", &Key::part("m", "c"), &much), "too large by itself");
        assert_eq!((streams.parts.len(), streams.bytes), (0, 0));
    }
}
