//! What an answer that is being streamed costs its viewers: the text that was added, in place of all of it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::change::Fields;

/// The field that grows while an answer or a thought is streamed.
const TEXT: &str = "text";

/// Text at the end of a field, which is all that makes a newer version of an item differ from the older.
#[derive(Debug, Clone, Serialize)]
pub struct Append {
    /// The field, as a JSON pointer (RFC 6901).
    pub path: &'static str,
    /// Where the text goes: the length of the older text in UTF-16 code units, as a browser counts.
    pub at: usize,
    /// What is added.
    pub text: Box<RawValue>,
}

impl Append {
    /// What was added between two versions; `None` when something else is different too.
    pub fn between(older: &RawValue, newer: &RawValue) -> Option<Self> {
        let (older, newer) = (fields(older)?, fields(newer)?);
        if older.0.len() != newer.0.len() {
            return None;
        }
        let mut added = None;
        for ((name, before), (same_name, after)) in older.0.iter().zip(&newer.0) {
            if name != same_name {
                return None;
            }
            if before.get() == after.get() {
                continue;
            }
            if name != TEXT || added.is_some() {
                return None;
            }
            // What stands between the quotes, escapes and all. An escape is never cut: the older text is whole.
            let before = before.get().strip_prefix('"')?.strip_suffix('"')?;
            let after = after.get().strip_prefix('"')?.strip_suffix('"')?;
            added = Some((utf16_length(before), after.strip_prefix(before)?));
        }
        let (at, text) = added?;
        let text = RawValue::from_string(format!("\"{text}\"")).ok()?;
        Some(Self { path: "/text", at, text })
    }
}

fn fields(item: &RawValue) -> Option<Fields<'_>> {
    serde_json::from_str(item.get()).ok()
}

/// The length of a JSON string's inside in UTF-16 code units. It may hold half of a surrogate pair, which is no
/// Unicode.
fn utf16_length(inside: &str) -> usize {
    let (mut length, mut characters) = (0, inside.chars());
    while let Some(character) = characters.next() {
        if character == '\\' {
            // An escape is one unit, `\u` with four digits behind it.
            if characters.next() == Some('u') {
                characters.nth(3);
            }
            length += 1;
        } else {
            length += character.len_utf16();
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn between(older: &str, newer: &str) -> Option<(usize, String)> {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        Append::between(&raw(older), &raw(newer)).map(|append| (append.at, append.text.get().to_owned()))
    }

    #[test]
    fn only_text_at_the_end_of_the_text_is_an_append() {
        let older = r#"{"id":"p","text":"a\n\ud83d","n":1}"#;
        assert_eq!(
            between(older, r#"{"id":"p","text":"a\n\ud83d\ude00!","n":1}"#),
            Some((3, r#""\ude00!""#.into()))
        );
        for newer in [
            older,
            r#"{"id":"p","text":"a\n\ud83dx","n":2}"#,
            r#"{"id":"p","text":"A\n\ud83dx","n":1}"#,
            r#"{"id":"px","text":"a\n\ud83d","n":1}"#,
            r#"{"id":"p","text":"a\n\ud83dx","n":1,"m":1}"#,
            r#"{"text":"a\n\ud83dx","id":"p","n":1}"#,
            r#"{"id":"p","text":["a"],"n":1}"#,
            "7",
        ] {
            assert_eq!(between(older, newer), None, "{newer}");
        }
    }

    proptest! {
        #[test]
        fn the_older_text_and_what_is_added_make_the_newer(older: String, added in ".+") {
            let item = |text: &str| json!({"id": "p", "text": text, "z": 1}).to_string();
            let (at, text) = between(&item(&older), &item(&format!("{older}{added}"))).unwrap();
            prop_assert_eq!(at, older.encode_utf16().count());
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), added);
        }
    }
}
