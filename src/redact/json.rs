//! JSON as text: where its strings stand, and how some of them are replaced while all else keeps its bytes.

use std::borrow::Cow;

/// Objects and arrays in each other: as deep as values are read elsewhere.
const MAX_DEPTH: usize = 128;

/// A string in JSON.
#[derive(Debug)]
pub(super) struct Token {
    /// What stands between its quotes
    pub(super) start: usize,
    pub(super) end: usize,
    /// It is the name of a field
    pub(super) is_name: bool,
    /// The field that it is the value of, also as one of a list: a token
    pub(super) field: Option<usize>,
    /// The object that it stands in
    pub(super) object: Option<usize>,
    /// Of a name: where its value ends
    pub(super) value_end: usize,
}

/// An object in JSON.
#[derive(Debug)]
pub(super) struct Object {
    /// The field that it is the value of, also as one of a list: a token
    pub(super) field: Option<usize>,
    /// The object that it stands in
    pub(super) parent: Option<usize>,
}

/// All strings and objects, in their order.
#[derive(Debug, Default)]
pub(super) struct Strings {
    pub(super) tokens: Vec<Token>,
    pub(super) objects: Vec<Object>,
}

/// Objects and arrays are nested deeper than is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

struct Level {
    is_object: bool,
    object: Option<usize>,
    field: Option<usize>,
    names: bool,
}

/// The strings of what is JSON.
pub(super) fn strings(json: &str) -> Result<Strings, TooDeep> {
    let bytes = json.as_bytes();
    let mut found = Strings::default();
    let mut levels: Vec<Level> = Vec::new();
    let (mut at, mut last) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let byte = *byte;
        let mut end = at + 1;
        match byte {
            b'{' | b'[' => {
                if levels.len() == MAX_DEPTH {
                    return Err(TooDeep);
                }
                let (object, field) = levels.last().map_or((None, None), |level| (level.object, level.field));
                let is_object = byte == b'{';
                if is_object {
                    found.objects.push(Object { field, parent: object });
                    let object = Some(found.objects.len() - 1);
                    levels.push(Level { is_object, object, field: None, names: true });
                } else {
                    levels.push(Level { is_object, object, field, names: false });
                }
            }
            b'}' | b']' => {
                if let Some(Level { is_object: true, field: Some(name), .. }) = levels.pop() {
                    found.tokens[name].value_end = last;
                }
            }
            b',' => {
                if let Some(level) = levels.last_mut().filter(|level| level.is_object) {
                    if let Some(name) = level.field.take() {
                        found.tokens[name].value_end = last;
                    }
                    level.names = true;
                }
            }
            b':' => {
                if let Some(level) = levels.last_mut() {
                    level.names = false;
                }
            }
            b'"' => {
                end = string_end(bytes, at + 1);
                let (object, field, is_name) = levels
                    .last()
                    .map_or((None, None, false), |level| (level.object, level.field, level.names));
                found.tokens.push(Token { start: at + 1, end, is_name, field, object, value_end: 0 });
                if let Some(level) = levels.last_mut().filter(|_| is_name) {
                    level.field = Some(found.tokens.len() - 1);
                }
                end += 1;
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() && byte != b',' {
            last = end;
        }
        at = end;
    }
    Ok(found)
}

/// Where the string ends whose characters begin at a place.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        if bytes[at + found] == b'"' {
            return at + found;
        }
        at += found + 2;
    }
    bytes.len()
}

/// What a string says, given what stands between its quotes. Half of a surrogate pair is one odd character.
pub(super) fn unescaped(raw: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(escape) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..escape]);
        let (length, character) = escaped(&rest[escape..]);
        text.push(character);
        rest = &rest[escape + length..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The escape that begins a text: its length, and what it says.
fn escaped(text: &str) -> (usize, char) {
    let odd = char::REPLACEMENT_CHARACTER;
    match text.as_bytes().get(1) {
        Some(b'n') => (2, '\n'),
        Some(b't') => (2, '\t'),
        Some(b'r') => (2, '\r'),
        Some(b'b') => (2, '\u{8}'),
        Some(b'f') => (2, '\u{c}'),
        Some(sign @ (b'"' | b'\\' | b'/')) => (2, char::from(*sign)),
        Some(b'u') => match (unit(text), text.get(6..).and_then(unit)) {
            (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
                (12, char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap_or(odd))
            }
            (Some(unit), _) => (6, char::from_u32(unit).unwrap_or(odd)),
            // Not of JSON.
            (None, _) => (1, '\\'),
        },
        _ => (1, '\\'),
    }
}

fn unit(text: &str) -> Option<u32> {
    let digits = text.get(..6)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}

/// A string's places, given as bytes of what it says and in their order, as bytes of what stands between its quotes.
pub(super) fn raw_places(raw: &str, places: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let (mut said, mut at) = (0, 0);
    let mut found = Vec::new();
    for place in places {
        while said < place {
            let rest = &raw[at..];
            // No further than to the place: each byte is looked at once, however many places there are.
            let plain = &rest.as_bytes()[..rest.len().min(place - said)];
            let plain = memchr::memchr(b'\\', plain).unwrap_or(plain.len());
            if plain > 0 {
                (said, at) = (said + plain, at + plain);
            } else if rest.is_empty() {
                break;
            } else {
                let (length, character) = escaped(rest);
                (said, at) = (said + character.len_utf8(), at + length);
            }
        }
        found.push(at);
    }
    found
}

/// A text with some of its ranges replaced, which stand in their order and not in each other.
pub(super) fn spliced<'a>(
    text: &str,
    edits: impl IntoIterator<Item = (usize, usize, Cow<'a, str>)>,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end, by) in edits {
        out.push_str(&text[done..start]);
        out.push_str(&by);
        done = end;
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_stand_under_their_fields() {
        let json = r#" {"a\"b": ["x", {"c": 1.50 , "d":"y"}], "e":{} ,"f" : "z" } "#;
        let found = strings(json).unwrap();
        let said = |token: &Token| &json[token.start..token.end];
        let field = |token: &Token| token.field.map(|name| said(&found.tokens[name]));
        let told: Vec<_> = found
            .tokens
            .iter()
            .map(|token| (said(token), token.is_name, field(token), token.object))
            .collect();
        let name = r#"a\"b"#;
        assert_eq!(
            told,
            [
                (name, true, None, Some(0)),
                ("x", false, Some(name), Some(0)),
                ("c", true, None, Some(1)),
                ("d", true, None, Some(1)),
                ("y", false, Some("d"), Some(1)),
                ("e", true, None, Some(0)),
                ("f", true, None, Some(0)),
                ("z", false, Some("f"), Some(0)),
            ]
        );
        let value = |nth: usize| &json[found.tokens[nth].end + 1..found.tokens[nth].value_end];
        assert_eq!(
            (value(0), value(2), value(3)),
            (r#": ["x", {"c": 1.50 , "d":"y"}]"#, ": 1.50", r#":"y""#)
        );
        assert_eq!((value(5), value(6)), (":{}", r#" : "z""#));
        assert!(strings(&"[".repeat(MAX_DEPTH)).is_ok() && strings(&"[".repeat(MAX_DEPTH + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_a_string_says_is_what_a_decoder_reads(
            units in proptest::collection::vec(0xd7f0_u16..0xe010, 0..8),
            text: String,
        ) {
            let escapes: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = serde_json::Value::from(text.as_str()).to_string();
            let raw = format!("{}{}", escapes.concat(), &json[1..json.len() - 1]);
            proptest::prop_assert_eq!(unescaped(&raw), String::from_utf16_lossy(&units) + &text);
        }

        #[test]
        fn places_of_what_is_said_are_places_of_the_string(text: String, head in 0_usize..4) {
            let json = serde_json::Value::from(text.as_str()).to_string();
            let raw = format!("{}{}", &r"\u0041\n\ud83d"[..[0, 6, 8, 14][head]], &json[1..json.len() - 1]);
            let said = unescaped(&raw).into_owned();
            let places: Vec<_> = said.char_indices().map(|(at, _)| at).chain([said.len()]).collect();
            let found = raw_places(&raw, places.iter().copied());
            for pair in found.windows(2).zip(places.windows(2)) {
                proptest::prop_assert_eq!(unescaped(&raw[pair.0[0]..pair.0[1]]), &said[pair.1[0]..pair.1[1]]);
            }
        }
    }
}
