//! Long texts in segments: of one that grows, the last is sealed again and not the whole. All on the JSON as it is
//! written, so that a text comes out with the bytes that went in.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes from which on a text goes in segments, as it is written in JSON.
const SEGMENTED_FROM: usize = 4 << 10;

/// Bytes of a segment.
const SEGMENT: usize = 2 << 10;

/// A part whose text goes in segments.
#[derive(Debug, PartialEq, Eq)]
pub struct Segmented<'a> {
    /// The part, with `{"segments": n}` in the place of its text.
    pub part: String,
    /// The segments, as they are written between the quotes of a JSON string.
    pub segments: Vec<&'a str>,
}

/// The field of a part that goes in segments.
#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

/// What stands in a part in the place of a text that goes in segments.
#[derive(Deserialize)]
struct Segments {
    segments: usize,
}

/// A part's text in segments, when it is long. A text that begins with another begins with its segments, but for the
/// last.
pub fn segmented(part: &str) -> Option<Segmented<'_>> {
    let place = text_of(part)?;
    let text = part[place.clone()].strip_prefix('"')?.strip_suffix('"')?;
    if text.len() <= SEGMENTED_FROM {
        return None;
    }
    let segments = cut(text);
    let part = format!("{}{{\"segments\":{}}}{}", &part[..place.start], segments.len(), &part[place.end..]);
    Some(Segmented { part, segments })
}

/// How many segments a part's text is in; `None` of one that is whole.
pub(super) fn segments_of(part: &str) -> Option<usize> {
    let text = &part[text_of(part)?];
    serde_json::from_str::<Segments>(text).ok().map(|Segments { segments }| segments)
}

/// The part with its text, out of its segments.
pub(super) fn joined<'a>(part: &str, segments: impl Iterator<Item = &'a str>) -> Option<String> {
    let place = text_of(part)?;
    let mut whole = part[..place.start].to_owned();
    whole.push('"');
    whole.extend(segments);
    whole.push('"');
    whole += &part[place.end..];
    Some(whole)
}

/// Where a part's text stands.
fn text_of(part: &str) -> Option<Range<usize>> {
    let text = serde_json::from_str::<Text>(part).ok()?.text?.get();
    let start = (text.as_ptr() as usize).checked_sub(part.as_ptr() as usize)?;
    Some(start..start + text.len())
}

/// A JSON string cut at characters, each of which is written by one or two escapes, or as it is.
fn cut(text: &str) -> Vec<&str> {
    let (mut segments, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let length = written(&text.as_bytes()[at..]);
        if at > start && at + length - start > SEGMENT {
            segments.push(&text[start..at]);
            start = at;
        }
        at += length;
    }
    segments.push(&text[start..]);
    segments
}

/// Bytes of the character that a JSON string goes on with.
fn written(rest: &[u8]) -> usize {
    let is_surrogate = |rest: &[u8], digits: &[u8]| match rest {
        [b'\\', b'u', b'd' | b'D', digit, _, _, ..] => digits.contains(&digit.to_ascii_lowercase()),
        _ => false,
    };
    let length = match rest {
        [b'\\', b'u', ..]
            if is_surrogate(rest, b"89ab") && is_surrogate(rest.get(6..).unwrap_or_default(), b"cdef") =>
        {
            12
        }
        [b'\\', b'u', ..] => 6,
        [b'\\', ..] => 2,
        [first, ..] => match first.leading_ones() {
            0 => 1,
            more => more as usize,
        },
        [] => 0,
    };
    length.min(rest.len())
}
