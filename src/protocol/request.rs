//! What a sharing client sends: create, sync, delete.
//!
//! Bodies are read in two steps, so that a refusal can name the field that is wrong, and so that an item's
//! `data` is never parsed here: it stays raw JSON from the socket to the disk.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Malformed;

/// Brackets that may stand open at once in a body. A reader with the usual limit of 128 (`serde_json`'s) can then
/// read every frame, because a frame wraps an item no deeper than a sync does.
pub const MAX_NESTING: usize = 127;

/// Characters in a session's id.
pub const MAX_SESSION_ID: usize = 256;

/// `POST /api/share`.
#[derive(Debug, Serialize)]
pub struct CreateRequest {
    /// The session to share, as its client calls it.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// How long the share shall live, in seconds; `None` leaves it to the server.
    #[serde(rename = "expiresIn", skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl CreateRequest {
    /// Reads the body of a create.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, rename = "sessionID")]
            session_id: Option<&'a RawValue>,
            #[serde(borrow, rename = "expiresIn")]
            expires_in: Option<&'a RawValue>,
        }
        let fields: Fields = object(body, "{sessionID, expiresIn?}")?;
        let session_id = string(fields.session_id, "sessionID")?.into_owned();
        if session_id.is_empty() || session_id.chars().count() > MAX_SESSION_ID {
            return Err(Malformed::new(format!("`sessionID` must have 1 to {MAX_SESSION_ID} characters")));
        }
        let seconds = |raw: &RawValue| match raw.get().parse::<u64>() {
            Ok(seconds @ 1..) => Ok(seconds),
            _ => Err(Malformed::new("`expiresIn` must be a whole number of seconds above zero")),
        };
        let expires_in = fields.expires_in.map(seconds).transpose()?;
        Ok(Self { session_id, expires_in })
    }
}

/// The answer to a create. The secret is given out once, here.
#[derive(Serialize, Deserialize)]
pub struct Created {
    /// The share's id: whoever knows it can read the share.
    pub id: String,
    /// Where people look at it.
    pub url: String,
    /// Whoever knows it can write and delete the share.
    pub secret: String,
    /// When the share ends at the latest, in milliseconds since 1970; absent when it has no end.
    #[serde(rename = "expiresAt", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// `DELETE /api/share/{id}`.
pub struct SecretRequest<'a> {
    /// The share's secret.
    pub secret: Cow<'a, str>,
}

impl<'a> SecretRequest<'a> {
    /// Reads the body of a delete.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            secret: Option<&'a RawValue>,
        }
        let fields: Fields = object(body, "{secret}")?;
        Ok(Self { secret: string(fields.secret, "secret")? })
    }
}

/// One `{type, data}` of a sync.
#[derive(Debug, Clone)]
pub struct SyncItem<'a> {
    /// The item's type.
    pub kind: Cow<'a, str>,
    /// The item, as it stood in the body.
    pub data: &'a RawValue,
}

/// `POST /api/share/{id}/sync`, as the server reads it.
pub struct SyncRequest<'a> {
    /// The share's secret.
    pub secret: Cow<'a, str>,
    /// What changed.
    pub items: Vec<SyncItem<'a>>,
}

impl<'a> SyncRequest<'a> {
    /// Reads the body of a sync.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            secret: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Item<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        check_nesting(body)?;
        let fields: Fields = object(body, "{secret, data}")?;
        let secret = string(fields.secret, "secret")?;
        let data = fields.data.ok_or_else(|| missing("data", "an array of {type, data}"))?;
        let raw: Vec<&RawValue> = serde_json::from_str(data.get())
            .map_err(|_| Malformed::new("`data` must be an array of {type, data}"))?;
        let items = raw.into_iter().enumerate().map(|(index, raw)| {
            let item: Item = serde_json::from_str(raw.get())
                .map_err(|_| Malformed::new(format!("`data[{index}]` must be an object {{type, data}}")))?;
            Ok(SyncItem {
                kind: string(item.kind, &format!("data[{index}].type"))?,
                data: item.data.ok_or_else(|| missing(&format!("data[{index}].data"), "a JSON value"))?,
            })
        });
        Ok(Self { secret, items: items.collect::<Result<_, Malformed>>()? })
    }
}

/// `POST /api/share/{id}/sync`, as a client writes it.
#[derive(Serialize)]
pub struct SyncBody<'a> {
    /// The share's secret.
    pub secret: &'a str,
    /// What changed.
    pub data: Vec<super::WireItem<'a>>,
}

/// Reads an object of fields; says where the JSON is broken, never what stood there.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8], shape: &str) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            Malformed::new(format!("the body must be a JSON object {shape}, each field once"))
        } else {
            let (line, column) = (error.line(), error.column());
            Malformed::new(format!("the body is not valid JSON: line {line}, column {column}"))
        }
    })
}

fn string<'a>(field: Option<&'a RawValue>, name: &str) -> Result<Cow<'a, str>, Malformed> {
    /// `Cow<str>` alone always copies; borrowing needs the attribute.
    #[derive(Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
    let raw = field.ok_or_else(|| missing(name, "a string"))?;
    let Borrowed(text) =
        serde_json::from_str(raw.get()).map_err(|_| Malformed::new(format!("`{name}` must be a string")))?;
    Ok(text)
}

fn missing(name: &str, expected: &str) -> Malformed {
    Malformed::new(format!("`{name}` is missing: expected {expected}"))
}

/// Refuses a body that nests deeper than its readers can follow.
fn check_nesting(body: &[u8]) -> Result<(), Malformed> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(Malformed::new(format!("the body nests deeper than {MAX_NESTING} levels")));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        SyncRequest::parse(body.as_bytes()).err().expect("refused").to_string()
    }

    #[test]
    fn a_refusal_names_the_field_and_never_its_value() {
        assert_eq!(refusal(r#"{"secret":"s3cret"}"#), "`data` is missing: expected an array of {type, data}");
        assert_eq!(refusal(r#"{"secret":31337,"data":[]}"#), "`secret` must be a string");
        assert_eq!(refusal(r#"{"secret":"s","data":"x"}"#), "`data` must be an array of {type, data}");
        assert_eq!(
            refusal(r#"{"secret":"s","data":[{"type":"a","data":1},{"type":7,"data":1}]}"#),
            "`data[1].type` must be a string"
        );
        assert_eq!(
            refusal(r#"{"secret":"s","data":[{"type":"a"}]}"#),
            "`data[0].data` is missing: expected a JSON value"
        );
        assert_eq!(refusal(r#"{"secret":"s","data":[1]}"#), "`data[0]` must be an object {type, data}");
        assert!(refusal("{").contains("line 1, column 1"));
        assert!(refusal("[]").contains("must be a JSON object"));
    }

    #[test]
    fn data_stays_raw() {
        let body = br#"{"secret":"s","data":[{"type":"part","data":{ "id" : "\ud800", "n":1.0 }}]}"#;
        let request = SyncRequest::parse(body).expect("valid");
        assert_eq!(request.items[0].data.get(), r#"{ "id" : "\ud800", "n":1.0 }"#);
        assert!(matches!(request.secret, Cow::Borrowed("s")));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| {
            format!(
                r#"{{"secret":"s","data":[{{"type":"x","data":{}{}}}]}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        assert!(SyncRequest::parse(nested(MAX_NESTING - 3).as_bytes()).is_ok());
        assert!(refusal(&nested(MAX_NESTING - 2)).contains("deeper"));
        let text = format!(r#"{{"secret":"s","data":[{{"type":"x","data":"{}\\\"["}}]}}"#, "[".repeat(500));
        assert!(SyncRequest::parse(text.as_bytes()).is_ok());
    }
}
