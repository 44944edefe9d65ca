//! A text as it would be read after decoding, with the way back to where each byte came from.

use std::borrow::Cow;

/// Sequences of a terminal that are longer are none.
const MAX_ANSI: usize = 64;

/// A text, decoded so many times.
pub(super) struct View<'a> {
    pub(super) text: Cow<'a, [u8]>,
    maps: Vec<Map>,
}

/// Where what was decoded stands: from each `decoded` on, the bytes are those from `original` on.
#[derive(Default)]
struct Map(Vec<(usize, usize)>);

/// What decoding makes of the bytes from a place on: how many there are, and what they are.
type Decode = fn(&[u8]) -> Option<(usize, Decoded)>;

/// A character at most.
struct Decoded {
    bytes: [u8; 4],
    length: usize,
}

impl<'a> View<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { text: Cow::Borrowed(text), maps: Vec::new() }
    }

    /// The same without what colours a terminal; `None` when there is nothing of that.
    pub(super) fn without_ansi(&self) -> Option<View<'static>> {
        memchr::memchr(0x1b, &self.text)?;
        self.decoded(0x1b, ansi)
    }

    /// The same, percent-decoded.
    pub(super) fn percent_decoded(&self) -> Option<View<'static>> {
        memchr::memchr(b'%', &self.text)?;
        self.decoded(b'%', percent)
    }

    /// The same, with the escapes of JSON undone, where one stands that no rule can read.
    pub(super) fn unescaped(&self) -> Option<View<'static>> {
        let has_sign = memchr::memchr_iter(b'\\', &self.text)
            .any(|at| matches!(self.text.get(at + 1), Some(b'\\' | b'/' | b'u')));
        has_sign.then(|| self.decoded(b'\\', escape)).flatten()
    }

    fn decoded(&self, sign: u8, decode: Decode) -> Option<View<'static>> {
        let text = &*self.text;
        let (mut out, mut map) = (Vec::new(), Map::default());
        let mut done = 0;
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr(sign, rest)) {
            let place = at + found;
            let Some((length, decoded)) = decode(&text[place..]) else {
                at = place + 1;
                continue;
            };
            if out.is_empty() && done == 0 {
                out.reserve(text.len());
            }
            out.extend_from_slice(&text[done..place]);
            map.0.push((out.len(), place));
            out.extend_from_slice(&decoded.bytes[..decoded.length]);
            at = place + length;
            done = at;
            map.0.push((out.len(), done));
        }
        if map.0.is_empty() {
            return None;
        }
        out.extend_from_slice(&text[done..]);
        let mut maps = self.maps.iter().map(|map| Map(map.0.clone())).collect::<Vec<_>>();
        maps.push(map);
        Some(View { text: Cow::Owned(out), maps })
    }

    /// A range of this view as a range of the text that it is of.
    pub(super) fn original(&self, start: usize, end: usize) -> (usize, usize) {
        self.maps.iter().rev().fold((start, end), |(start, end), map| (map.start(start), map.end(end)))
    }
}

impl Map {
    fn start(&self, at: usize) -> usize {
        let next = self.0.partition_point(|(decoded, _)| *decoded <= at);
        let Some((decoded, original)) = next.checked_sub(1).map(|place| self.0[place]) else { return at };
        // Within a decoded character, its begin.
        match self.0.get(next) {
            Some((_, after)) if next % 2 == 1 => original.min(*after),
            _ => original + (at - decoded),
        }
    }

    fn end(&self, end: usize) -> usize {
        let next = self.0.partition_point(|(decoded, _)| *decoded < end);
        let Some((decoded, original)) = next.checked_sub(1).map(|place| self.0[place]) else { return end };
        match self.0.get(next) {
            Some((_, after)) if next % 2 == 1 => *after,
            _ => original + (end - decoded),
        }
    }
}

impl Decoded {
    const NOTHING: Self = Self { bytes: [0; 4], length: 0 };

    fn byte(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0], length: 1 }
    }

    fn character(character: char) -> Self {
        let mut bytes = [0; 4];
        let length = character.encode_utf8(&mut bytes).len();
        Self { bytes, length }
    }
}

/// A sequence that begins with ESC: `ESC [ … letter`, `ESC ] … BEL`.
fn ansi(text: &[u8]) -> Option<(usize, Decoded)> {
    let ends = |byte: u8, kind: u8| if kind == b'[' { (0x40..0x7f).contains(&byte) } else { byte == 7 };
    let kind = *text.get(1).filter(|kind| matches!(kind, b'[' | b']'))?;
    let body = text.get(2..)?;
    let end = body.iter().take(MAX_ANSI).position(|byte| ends(*byte, kind))?;
    Some((end + 3, Decoded::NOTHING))
}

fn percent(text: &[u8]) -> Option<(usize, Decoded)> {
    let high = hex(*text.get(1)?)?;
    let low = hex(*text.get(2)?)?;
    u8::try_from(high * 16 + low).ok().map(|byte| (3, Decoded::byte(byte)))
}

fn escape(text: &[u8]) -> Option<(usize, Decoded)> {
    Some(match text.get(1)? {
        b'n' => (2, Decoded::byte(b'\n')),
        b't' => (2, Decoded::byte(b'\t')),
        b'r' => (2, Decoded::byte(b'\r')),
        sign @ (b'"' | b'\\' | b'/' | b'\'') => (2, Decoded::byte(*sign)),
        b'u' => {
            let unit = text.get(2..6)?.iter().try_fold(0, |unit, digit| Some(unit * 16 + hex(*digit)?))?;
            (6, Decoded::character(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)))
        }
        _ => return None,
    })
}

pub(super) fn hex(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back<'a>(text: &'a str, view: &View, part: &str) -> &'a str {
        let start = memchr::memmem::find(&view.text, part.as_bytes()).unwrap();
        let (start, end) = view.original(start, start + part.len());
        &text[start..end]
    }

    #[test]
    fn what_is_found_in_a_view_is_found_in_the_text() {
        let text = "a \u{1b}[1mKEY\u{1b}[0m=\u{1b}[36mval\u{1b}[1mue\u{1b}[0m z";
        let view = View::of(text.as_bytes()).without_ansi().unwrap();
        assert_eq!(&*view.text, b"a KEY=value z");
        assert_eq!(back(text, &view, "value"), "val\u{1b}[1mue");
        let text = r"x%3Da%2Fb%3Fz";
        let view = View::of(text.as_bytes()).percent_decoded().unwrap();
        assert_eq!(
            (&*view.text, back(text, &view, "a/b"), back(text, &view, "/")),
            (&b"x=a/b?z"[..], "a%2Fb", "%2F")
        );
        let text = r#"{\"a\": \"\u0041\\nb/\"}"#;
        let view = View::of(text.as_bytes()).unescaped().unwrap();
        assert_eq!(&*view.text, br#"{"a": "A\nb/"}"#);
        assert_eq!((back(text, &view, r"A\n"), back(text, &view, r#""a""#)), (r"\u0041\\n", r#"\"a\""#));
        assert!(View::of(b"plain \\n 100% [").unescaped().is_none());
    }

    #[test]
    fn views_of_views_lead_all_the_way_back() {
        let text = r"\u001b[31m%41\u001b[0m";
        let view =
            View::of(text.as_bytes()).unescaped().unwrap().without_ansi().unwrap().percent_decoded().unwrap();
        assert_eq!((&*view.text, view.original(0, 1)), (&b"A"[..], (10, 13)));
    }

    proptest::proptest! {
        #[test]
        fn any_range_of_a_view_is_one_of_the_text(
            text in r"(\\u00[0-9a-f]{2}|\\n|%[0-9a-f]{2}|\x1b\[1m|[a-c]){0,20}",
        ) {
            let base = View::of(text.as_bytes());
            let views = [base.unescaped(), base.percent_decoded(), base.without_ansi()];
            for view in views.into_iter().flatten() {
                for start in 0..view.text.len() {
                    let (from, to) = view.original(start, start + 1);
                    proptest::prop_assert!(from < to && to <= text.len(), "{from} {to}");
                }
            }
        }
    }
}
