//! An item that only readers can open: `{id, v, c}`, of which the server knows a blinded name, a version and a size.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Content;
use crate::protocol::Malformed;

/// The type of such an item.
pub(super) const KIND: &str = "sealed";

/// Characters of a blinded name: 16 bytes in base64url.
const NAME: usize = 22;

/// Digits of a segment's number.
const MAX_DIGITS: usize = 6;

/// The highest version, which every JSON reader can tell from the next.
const MAX_VERSION: u64 = (1 << 53) - 1;

/// Where the version stands: behind the name, in the one form in which such items are kept.
const VERSION: &str = "\",\"v\":";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    v: u64,
    #[serde(borrow)]
    c: Cow<'a, str>,
}

/// An item as it is kept: in one form, so that its version is found without going through all of it.
pub(super) fn kept(data: &RawValue, place: &str) -> Result<Content, Malformed> {
    let item = serde_json::from_str::<Item>(data.get()).ok().filter(|item| {
        (1..=MAX_VERSION).contains(&item.v) && !item.c.is_empty() && item.c.bytes().all(is_base64url)
    });
    let Some(Item { id, v, c }) = item else {
        return Err(Malformed::new(format!(
            "`{place}.data` must be {{id, v, c}}: `v` a whole number from 1 to 2^53 - 1, `c` in base64url"
        )));
    };
    // Nothing in it has to be escaped.
    let kept = RawValue::from_string(format!("{{\"id\":\"{id}{VERSION}{v},\"c\":\"{c}\"}}"));
    kept.map(Arc::from).map_err(|_| Malformed::new(format!("`{place}.data` cannot be kept")))
}

/// Whether an item is no newer than what is there: a request that was late, or tried again, takes nothing back.
pub(super) fn is_late(item: &Content, there: &Content) -> bool {
    version(item) <= version(there)
}

/// An item's version; 0 when it is not in the form in which they are kept.
fn version(kept: &Content) -> u64 {
    let version = || {
        let (_, behind) = kept.get().split_once(VERSION)?;
        behind.split_once(',')?.0.parse().ok()
    };
    version().unwrap_or(0)
}

/// Whether a text can be the name of an item: of one that stands alone (22 of base64url), of one below it (22/22), or
/// of a segment of one of these (a number behind it).
pub(super) fn is_id(text: &str) -> bool {
    let mut names = text.split('/').peekable();
    let is_name = |text: &str| text.len() == NAME && text.bytes().all(is_base64url);
    let is_number = |text: &str| {
        (1..=MAX_DIGITS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    names.next().is_some_and(is_name) && {
        names.next_if(|below| is_name(below));
        names.next().is_none_or(is_number) && names.next().is_none()
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(json: &str) -> Option<Content> {
        kept(&RawValue::from_string(json.to_owned()).unwrap(), "data[0]").ok()
    }

    #[test]
    fn names_are_of_an_item_of_one_below_it_or_of_a_segment() {
        let (one, other) = ("Ou5P6BlENqI9Q1Lj8mnC3A", "yHLukNilQBwj71jZFtqF_w");
        for id in [one.to_owned(), format!("{one}/{other}"), format!("{one}/0"), format!("{one}/{other}/12")]
        {
            assert!(is_id(&id), "{id}");
        }
        for id in [
            String::new(),
            one[1..].to_owned(),
            format!("{one}/"),
            format!("/{one}"),
            format!("{one}/{other}/{one}"),
            format!("{one}/01"),
            format!("{one}/1/2"),
            format!("{one}/{other}/1/"),
            format!("{one}/1234567"),
            "session".to_owned(),
            "Ou5P6BlENqI9Q1Lj8mnC3=".to_owned(),
        ] {
            assert!(!is_id(&id), "{id}");
        }
    }

    #[test]
    fn items_are_kept_in_one_form_and_nothing_else_with_them() {
        let item = keep(r#"{ "c": "AQE\u0042_-", "v": 7, "id": "x" }"#).unwrap();
        assert_eq!(item.get(), r#"{"id":"x","v":7,"c":"AQEB_-"}"#);
        assert_eq!(version(&item), 7);
        for wrong in [
            r#"{"id":"x","v":7}"#,
            r#"{"id":"x","v":7,"c":""}"#,
            r#"{"id":"x","v":7,"c":"a+b"}"#,
            r#"{"id":"x","v":0,"c":"AQE"}"#,
            r#"{"id":"x","v":9007199254740992,"c":"AQE"}"#,
            r#"{"id":"x","v":1.0,"c":"AQE"}"#,
            r#"{"id":"x","v":"1","c":"AQE"}"#,
            r#"{"id":"x","v":7,"c":"AQE","title":"plain"}"#,
            r#"{"id":"x","v":7,"v":8,"c":"AQE"}"#,
        ] {
            assert!(keep(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_newer_is_late() {
        let of = |version: u64| keep(&format!(r#"{{"id":"x","v":{version},"c":"AQE"}}"#)).unwrap();
        assert!(is_late(&of(6), &of(7)) && is_late(&of(7), &of(7)) && !is_late(&of(8), &of(7)));
        let odd = Content::from(RawValue::from_string("3".to_owned()).unwrap());
        assert!(!is_late(&of(1), &odd));
    }
}
