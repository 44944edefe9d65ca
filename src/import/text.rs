//! What the texts of all agents have in common: times, wrapped passages, differences of files, pictures.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::import::rfc3339;

/// What an agent's own id, or a text, is known by: short, of one length, and without two that are alike.
pub(super) type Fingerprint = u128;

/// The fingerprint of some words; what stands in one of them never counts for another.
pub(super) fn fingerprint(words: &[&str]) -> Fingerprint {
    let mut hash = Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(16).fold(0, |print, byte| print << 8 | u128::from(*byte))
}

/// A time in milliseconds since 1970: a number of them, or RFC 3339, for which a space in the middle and no zone will
/// do.
pub(super) fn instant(value: &Value) -> Option<i64> {
    let mut text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => return number.as_i64(),
        _ => return None,
    };
    if text.as_bytes().get(10) == Some(&b' ') {
        text.replace_range(10..=10, "T");
    }
    if text.get(19..).is_some_and(|rest| rest.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())) {
        text.push('Z');
    }
    rfc3339(&text)
}

/// A text without the passages that stand between `<name>` and `</name>`. One that is never closed is no such passage.
pub(super) fn without(text: &str, names: &[&str]) -> String {
    let mut kept = text.to_owned();
    for name in names {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        if !kept.contains(&open) {
            continue;
        }
        let mut rest = &*kept;
        let mut left = String::new();
        while let Some((before, inside)) = rest.split_once(&open) {
            let Some((_, after)) = inside.split_once(&close) else { break };
            left.push_str(before);
            rest = after;
        }
        left.push_str(rest);
        kept = left;
    }
    kept
}

/// What stands between the first `<name>` and the last `</name>`, or all that follows when it is not closed.
pub(super) fn within<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, inside) = text.split_once(&format!("<{name}>"))?;
    Some(inside.rsplit_once(&format!("</{name}>")).map_or(inside, |(inside, _)| inside))
}

/// A picture or a document whose bytes stand in the transcript, as the fields of a part.
pub(super) fn file(mime: Option<&str>, base64: &str) -> Map<String, Value> {
    let is_mime = |mime: &&str| {
        mime.contains('/') && mime.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.+-".contains(&byte))
    };
    let mime = mime.filter(is_mime).unwrap_or("application/octet-stream");
    fields([
        ("type", json!("file")),
        ("mime", json!(mime)),
        ("url", json!(format!("data:{mime};base64,{base64}"))),
    ])
}

/// The same for bytes that already stand in a `data:` URL. Others are not for everybody: what they name may not be.
pub(super) fn file_of_url(url: &str) -> Option<Map<String, Value>> {
    let (mime, base64) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some(file(Some(mime), base64))
}

/// Whether something is fit to be part of an id.
pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// An object of some fields.
pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Fields of an object under other names; those that are not there are left out.
pub(super) fn pick(from: &Value, names: &[(&str, &str)]) -> Value {
    let there = names.iter().filter_map(|(old, new)| Some(((*new).to_owned(), from.get(*old)?.clone())));
    Value::Object(there.collect())
}

/// The head of a file's difference.
pub(super) fn diff_head(path: &str) -> String {
    // A path is one line, whatever it is.
    let path = path.replace(['\n', '\r'], " ");
    format!("--- {path}\n+++ {path}\n")
}

/// The difference to a file that was not there before, or is not there any more.
pub(super) fn whole_diff(path: &str, content: &str, is_added: bool) -> String {
    let lines = content.lines().count();
    let (sign, range) =
        if is_added { ('+', format!("-0,0 +1,{lines}")) } else { ('-', format!("-1,{lines} +0,0")) };
    let mut diff = diff_head(path);
    let _ = writeln!(diff, "@@ {range} @@");
    for line in content.lines() {
        let _ = writeln!(diff, "{sign}{line}");
    }
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-25T03:22:05.040Z", Some(1_795_576_925_040)),
            ("2000-02-29T23:59:59.9999999Z", Some(951_868_799_999)),
            ("2026-11-25T05:22:05.04+02:00", Some(1_795_576_925_040)),
            ("2026-11-25T03:22:05", Some(1_795_576_925_000)),
            ("2026-13-25T03:22:05Z", None),
            ("2026-11-25", None),
            ("2026-11-25T03:22:05Zé", None),
            ("é026-11-25T03:22:05Z", None),
            ("+026-11-25T03:22:05Z", None),
        ] {
            assert_eq!(instant(&json!(text)), expected, "{text}");
        }
        assert_eq!(instant(&json!(17)), Some(17));
        assert_eq!(instant(&json!([])), None);
    }

    #[test]
    fn wrapped_passages_are_left_out() {
        for (text, expected) in [
            ("a<x>b</x>c<x>d</x>", "ac"),
            ("a<x>b", "a<x>b"),
            ("<x><x></x>b", "b"),
            ("</x>a<x></x>", "</x>a"),
        ] {
            assert_eq!(without(text, &["x"]), expected, "{text}");
        }
        assert_eq!(within("a<x>b</x>c</x>d", "x"), Some("b</x>c"));
        assert_eq!(within("a<x>b", "x"), Some("b"));
    }

    #[test]
    fn only_bytes_that_are_there_make_a_file() {
        assert_eq!(
            Value::Object(file_of_url("data:image/png;base64,AA==").unwrap()),
            json!({"type": "file", "mime": "image/png", "url": "data:image/png;base64,AA=="})
        );
        assert!(file_of_url("file:///etc/passwd").is_none());
        assert_eq!(file(Some("text/html\"x"), "AA==")["mime"], "application/octet-stream");
    }

    proptest::proptest! {
        #[test]
        fn no_text_stops_the_reader_of_times(text in "[0-9TZ:.+é-]{0,30}") {
            instant(&json!(text));
        }
    }
}
