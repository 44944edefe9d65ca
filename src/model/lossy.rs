//! An item's JSON as a value, whatever a client made of it.

use std::borrow::Cow;

use serde_json::Value;

/// Parses an item. Half of a surrogate pair, which is no Unicode, becomes U+FFFD, and all around it stays. `Null` for
/// JSON that has no value, such as a number beyond all bounds.
pub fn parse_lossy(json: &str) -> Value {
    serde_json::from_str(&whole_pairs(json)).unwrap_or_default()
}

/// JSON in which each escaped half of a surrogate pair without its other half is an escaped U+FFFD.
fn whole_pairs(json: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut done = 0;
    let mut at = 0;
    // What is no JSON may end in the middle of an escape.
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        // An escape is two characters, or six.
        at = escape + 2;
        let Some(unit) = unit(json, escape) else { continue };
        at = escape + 6;
        match unit {
            0xd800..=0xdbff if unit_is_low(json, at) => at += 6,
            0xd800..=0xdfff => {
                mended.push_str(&json[done..escape]);
                mended.push_str("\\ufffd");
                done = at;
            }
            _ => {}
        }
    }
    if done == 0 {
        return Cow::Borrowed(json);
    }
    mended.push_str(&json[done..]);
    Cow::Owned(mended)
}

fn unit_is_low(json: &str, at: usize) -> bool {
    matches!(unit(json, at), Some(0xdc00..=0xdfff))
}

/// The UTF-16 code unit that is escaped as `\uXXXX` at a place.
fn unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_replaced_and_a_whole_one_stays() {
        for (json, expected) in [
            (r#""plain""#, "plain"),
            (r#""a \ud83d b""#, "a \u{fffd} b"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d \" \\\ud83d""#, "\\ud83d \" \\\u{fffd}"),
            (r#""\ud83d é""#, "\u{fffd} é"),
        ] {
            assert_eq!(parse_lossy(json), expected, "{json}");
        }
        assert_eq!(parse_lossy(r#"{"n":1e999}"#), Value::Null);
        for no_json in ["a\\", "\\é", r"\ud83", r#""\ud83d\"#, ""] {
            assert_eq!(parse_lossy(no_json), Value::Null, "{no_json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_is_no_json(text: String) {
            parse_lossy(&text);
        }

        #[test]
        fn any_text_of_units_is_read_as_a_lossy_decoder_does(units: Vec<u16>) {
            let escapes: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{}\"", escapes.concat());
            proptest::prop_assert_eq!(parse_lossy(&json), String::from_utf16_lossy(&units));
        }
    }
}
