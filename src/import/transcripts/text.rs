//! What the texts of all agents have in common: times, wrapped passages, differences of files, pictures.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Characters of a prompt that make a title.
const TITLE: usize = 100;

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

/// A time in milliseconds since 1970: RFC 3339, or a number of them.
pub(super) fn instant(value: &Value) -> Option<i64> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => return number.as_i64(),
        _ => return None,
    };
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mark = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|mark| marks.contains(mark));
    if !(mark(4, b"-") && mark(7, b"-") && mark(10, b"Tt ") && mark(13, b":") && mark(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("", rest),
    };
    let thousandths = fraction.bytes().chain(*b"000").take(3);
    let millis = thousandths.fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0'));
    let offset = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', _, _] if hours.len() == 2 => {
            let digits = |digits: Option<&str>| digits.and_then(|digits| digits.parse::<i64>().ok());
            let minutes = digits(zone.get(1..3))? * 60 + digits(zone.get(4..6))?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    // Days since 1970 by the proleptic Gregorian calendar; years begin in March, so that leap days end them.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469;
    Some((((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000 + millis)
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

/// The first line of a prompt that has words.
pub(super) fn title_of(prompt: &str) -> Option<String> {
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty())?;
    let mut title: String = line.chars().take(TITLE).collect();
    if title.len() < line.len() {
        title.push('…');
    }
    Some(title)
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
