//! What a sharing client sends: create, sync, amend, delete; and what a reader sends who opens a lock.
//!
//! Bodies are read in two steps, so that a refusal can name the field that is wrong, and so that an item's
//! `data` is never parsed here: it stays raw JSON from the socket to the disk.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{Malformed, Password, Sealed};

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
    /// What its readers need besides the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// That only its readers can open its items; `None` when the server can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
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
            #[serde(borrow)]
            password: Option<&'a RawValue>,
            #[serde(borrow)]
            sealed: Option<&'a RawValue>,
        }
        let fields: Fields = object(body, "{sessionID, expiresIn?, password?, sealed?}")?;
        let session_id = string(fields.session_id, "sessionID")?.into_owned();
        if session_id.is_empty() || session_id.chars().count() > MAX_SESSION_ID {
            return Err(Malformed::new(format!("`sessionID` must have 1 to {MAX_SESSION_ID} characters")));
        }
        let expires_in = fields.expires_in.map(seconds).transpose()?;
        let password = fields.password.map(password).transpose()?;
        let sealed = fields.sealed.map(Sealed::parse).transpose()?;
        if sealed.is_some() && password.is_some() {
            return Err(Malformed::new("a sealed share has no `password`: its phrase is a part of its key"));
        }
        Ok(Self { session_id, expires_in, password, sealed })
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

/// What becomes of something that a share may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amended<T> {
    /// It has none any more.
    Removed,
    /// It has this one.
    To(T),
}

/// `PATCH /api/share/{id}`: what it does not name stays.
pub struct AmendRequest<'a> {
    /// The share's secret.
    pub secret: Cow<'a, str>,
    /// What its readers need besides the link.
    pub password: Option<Amended<Password>>,
    /// How long it shall live from now on, in seconds.
    pub expires_in: Option<Amended<u64>>,
}

impl<'a> AmendRequest<'a> {
    /// Reads the body of an amendment.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            secret: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            password: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "expiresIn", deserialize_with = "present")]
            expires_in: Option<&'a RawValue>,
        }
        let fields: Fields = object(body, "{secret, password?, expiresIn?}")?;
        let secret = string(fields.secret, "secret")?;
        let password = fields.password.map(|raw| amended(raw, password)).transpose()?;
        let expires_in = fields.expires_in.map(|raw| amended(raw, seconds)).transpose()?;
        if password.is_none() && expires_in.is_none() {
            return Err(Malformed::new(
                "expected `password`, `expiresIn`, or both: a value, or null for none",
            ));
        }
        Ok(Self { secret, password, expires_in })
    }
}

/// `POST /api/share/{id}/open`.
pub enum OpenRequest {
    /// The password of a share that has one.
    Password(Password),
    /// What opens the door of a sealed share, in base64url.
    Door(String),
}

impl OpenRequest {
    /// Reads the body.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            password: Option<&'a RawValue>,
            #[serde(borrow)]
            door: Option<&'a RawValue>,
        }
        let fields: Fields = object(body, "{password} or {door}")?;
        match (fields.password, fields.door) {
            (Some(raw), None) => password(raw).map(Self::Password),
            (None, Some(raw)) => Ok(Self::Door(string(Some(raw), "door")?.into_owned())),
            _ => Err(Malformed::new("expected either `password` or `door`")),
        }
    }
}

/// One `{type, data}` of a sync.
#[derive(Debug, Clone)]
pub struct SyncItem<'a> {
    /// Its place in the batch.
    pub index: usize,
    /// The item's type.
    pub kind: Cow<'a, str>,
    /// The item, as it stood in the body.
    pub data: &'a RawValue,
}

/// `POST /api/share/{id}/sync`, as the server reads it: the secret, and items that are not looked at yet.
pub struct SyncRequest<'a> {
    /// The share's secret.
    pub secret: Cow<'a, str>,
    data: &'a RawValue,
}

impl<'a> SyncRequest<'a> {
    /// Reads the body of a sync, but for its items.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            secret: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        check_nesting(body)?;
        let fields: Fields = object(body, "{secret, data}")?;
        let secret = string(fields.secret, "secret")?;
        let data = fields.data.ok_or_else(|| missing("data", "an array of {type, data}"))?;
        Ok(Self { secret, data })
    }

    /// Reads one item after the other, and keeps none: a batch may have millions.
    ///
    /// # Errors
    /// At the first that cannot be read, and what `each` says.
    pub fn for_each_item<E: From<Malformed>>(
        &self,
        mut each: impl FnMut(SyncItem<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        #[derive(Deserialize)]
        struct Item<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            data: Option<&'a RawValue>,
        }
        let mut index = 0;
        let mut refused = None;
        let read = for_each_element(self.data, |raw| {
            let item = || {
                let item: Item = serde_json::from_str(raw.get()).map_err(|_| {
                    Malformed::new(format!("`data[{index}]` must be an object {{type, data}}"))
                })?;
                Ok(SyncItem {
                    index,
                    kind: string(item.kind, &format!("data[{index}].type"))?,
                    data: item.data.ok_or_else(|| missing(&format!("data[{index}].data"), "a JSON value"))?,
                })
            };
            let done = item().map_err(|malformed: Malformed| malformed.into()).and_then(&mut each);
            index += 1;
            done.map_err(|error| refused = Some(error)).is_ok()
        });
        match (refused, read) {
            (Some(error), _) => Err(error),
            (None, Err(_)) => Err(Malformed::new("`data` must be an array of {type, data}").into()),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// Gives the elements of an array one after the other, as long as `each` says to go on.
fn for_each_element<'a>(
    array: &'a RawValue,
    each: impl FnMut(&'a RawValue) -> bool,
) -> Result<(), serde_json::Error> {
    struct Elements<F>(F);

    impl<'de, F: FnMut(&'de RawValue) -> bool> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
            while let Some(element) = array.next_element()? {
                if !(self.0)(element) {
                    return Err(A::Error::custom("enough"));
                }
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(array.get()).deserialize_seq(Elements(each))
}

/// What the beginning of a body says of its secret.
#[derive(Debug, PartialEq, Eq)]
pub enum LeadingSecret {
    /// Not enough has come to say.
    Unfinished,
    /// It does not stand first, or the body is none that can be read.
    Elsewhere,
    /// It is this one, if the rest of the body can be read.
    Is(String),
}

/// Looks for the secret at the beginning of a body: its first field, when it is that.
pub fn leading_secret(beginning: &[u8]) -> LeadingSecret {
    /// A secret has 36 bytes; whoever puts so many before its end does not know one.
    const MOST: usize = 1024;
    let beginning = &beginning[..beginning.len().min(MOST)];
    match Beginning(beginning).secret() {
        Ok(secret) => LeadingSecret::Is(secret),
        Err(LeadingSecret::Unfinished) if beginning.len() == MOST => LeadingSecret::Elsewhere,
        Err(why) => why,
    }
}

/// What is left of the beginning of a body. Every step says when there is not enough of it, or when something else
/// stands there.
struct Beginning<'a>(&'a [u8]);

impl Beginning<'_> {
    /// The value of the first field, when that is `secret`.
    fn secret(&mut self) -> Result<String, LeadingSecret> {
        self.expect(b'{')?;
        if self.string()? != "secret" {
            return Err(LeadingSecret::Elsewhere);
        }
        self.expect(b':')?;
        self.string()
    }

    /// A sign, behind spaces.
    fn expect(&mut self, sign: u8) -> Result<(), LeadingSecret> {
        let place = self.0.iter().position(|byte| !b" \t\r\n".contains(byte));
        let place = place.ok_or(LeadingSecret::Unfinished)?;
        if self.0[place] != sign {
            return Err(LeadingSecret::Elsewhere);
        }
        self.0 = &self.0[place + 1..];
        Ok(())
    }

    /// A string.
    fn string(&mut self) -> Result<String, LeadingSecret> {
        self.expect(b'"')?;
        let mut escaped = false;
        let end = self.0.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        let (text, rest) = self.0.split_at(end.ok_or(LeadingSecret::Unfinished)?);
        self.0 = &rest[1..];
        serde_json::from_slice(&[b"\"", text, b"\""].concat()).map_err(|_| LeadingSecret::Elsewhere)
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

fn seconds(raw: &RawValue) -> Result<u64, Malformed> {
    match raw.get().parse::<u64>() {
        Ok(seconds @ 1..) => Ok(seconds),
        _ => Err(Malformed::new("`expiresIn` must be a whole number of seconds above zero")),
    }
}

fn password(raw: &RawValue) -> Result<Password, Malformed> {
    Password::new(string(Some(raw), "password")?)
}

/// What a field says that is there: `null` is nothing.
fn amended<T>(
    raw: &RawValue,
    read: impl Fn(&RawValue) -> Result<T, Malformed>,
) -> Result<Amended<T>, Malformed> {
    if raw.get() == "null" { Ok(Amended::Removed) } else { read(raw).map(Amended::To) }
}

/// A value that is there, also when it is `null`.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
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

    fn items(body: &[u8]) -> Result<Vec<(usize, String, String)>, Malformed> {
        let mut items = Vec::new();
        SyncRequest::parse(body)?.for_each_item(|item| {
            items.push((item.index, item.kind.into_owned(), item.data.get().to_owned()));
            Ok::<_, Malformed>(())
        })?;
        Ok(items)
    }

    fn refusal(body: &str) -> String {
        items(body.as_bytes()).expect_err("refused").to_string()
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
    fn what_is_said_of_a_seal_is_read_strictly() {
        let check = "A".repeat(22);
        let door = "A".repeat(43);
        let parse = |sealed: &str| {
            CreateRequest::parse(format!(r#"{{"sessionID":"s","sealed":{sealed}}}"#).as_bytes())
        };
        let sealed =
            parse(&format!(r#"{{"version":1,"check":"{check}","door":"{door}"}}"#)).expect("read").sealed;
        assert_eq!(sealed, Some(Sealed { version: 1, check: check.clone(), door: Some(door.clone()) }));
        assert!(parse(&format!(r#"{{"version":1,"check":"{check}"}}"#)).is_ok());
        for wrong in [
            "{}".to_owned(),
            "true".to_owned(),
            format!(r#"[1,"{check}",null]"#),
            format!(r#"{{"version":2,"check":"{check}"}}"#),
            format!(r#"{{"version":1,"check":"{check}A"}}"#),
            format!(r#"{{"version":1,"check":"{}"}}"#, "+".repeat(22)),
            format!(r#"{{"version":1,"check":"{check}","door":"{check}"}}"#),
            format!(r#"{{"version":1,"check":"{check}","key":"{check}"}}"#),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_amendment_tells_what_is_taken_away_from_what_it_does_not_name() {
        let amend = |rest: &str| {
            let body = format!(r#"{{"secret":"s"{rest}}}"#);
            AmendRequest::parse(body.as_bytes()).map(|read| (read.password, read.expires_in))
        };
        let password = |text: &str| Some(Amended::To(Password::new(text).expect("a password")));
        assert_eq!(amend(r#","password":"p\u00e9""#), Ok((password("p\u{e9}"), None)));
        assert_eq!(
            amend(r#","password":null,"expiresIn":60"#),
            Ok((Some(Amended::Removed), Some(Amended::To(60))))
        );
        assert_eq!(amend(r#","expiresIn":null"#), Ok((None, Some(Amended::Removed))));
        let long = format!(r#","password":"{}""#, "x".repeat(1025));
        for wrong in ["", r#","password":"""#, r#","password":7"#, r#","expiresIn":0"#, &long] {
            assert!(amend(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", password("hunter2")), "Some(To(Password(…)))");
        for wrong in ["{}", r#"{"password":"p","door":"d"}"#, r#"{"door":7}"#] {
            assert!(OpenRequest::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let both =
            r#"{"sessionID":"s","password":"p","sealed":{"version":1,"check":"AAAAAAAAAAAAAAAAAAAAAA"}}"#;
        assert!(CreateRequest::parse(both.as_bytes()).is_err());
    }

    #[test]
    fn data_stays_raw() {
        let body = br#"{"secret":"s","data":[{"type":"part","data":{ "id" : "\ud800", "n":1.0 }}]}"#;
        let data = r#"{ "id" : "\ud800", "n":1.0 }"#;
        assert_eq!(items(body), Ok(vec![(0, "part".to_owned(), data.to_owned())]));
        assert!(matches!(SyncRequest::parse(body).expect("valid").secret, Cow::Borrowed("s")));
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

    #[test]
    fn reading_ends_at_the_first_item_that_is_refused() {
        let body = br#"{"secret":"s","data":[{"type":"a","data":1},{"type":"b","data":2},7]}"#;
        let mut seen = 0;
        let read = SyncRequest::parse(body).expect("valid").for_each_item(|item| {
            seen += 1;
            if item.index == 1 { Err(Malformed::new("enough")) } else { Ok(()) }
        });
        assert_eq!((read, seen), (Err(Malformed::new("enough")), 2));
    }

    #[test]
    fn a_secret_that_stands_first_is_known_before_the_rest_is() {
        let body = r#" { "se\u0063ret" : "a\"b\u00e9" , "data":[]}"#;
        let known = body.find(" , ").expect("there");
        for length in 0..=body.len() {
            let expected = match length {
                _ if length < known => LeadingSecret::Unfinished,
                _ => LeadingSecret::Is("a\"b\u{e9}".to_owned()),
            };
            assert_eq!(leading_secret(&body.as_bytes()[..length]), expected, "{length}");
        }
        let long = format!(r#"{{"secret":"{}""#, "x".repeat(2000));
        for other in [
            r#"{"data":[],"secret":"s"}"#,
            "[",
            "7",
            r#"{"secret":7"#,
            r#"{"secret""s""#,
            r#"{"secret":"\u00"#,
            &long,
        ] {
            let whole = leading_secret(other.as_bytes());
            assert!(
                matches!(whole, LeadingSecret::Elsewhere | LeadingSecret::Unfinished),
                "{other}: {whole:?}"
            );
        }
        assert_eq!(leading_secret(long.as_bytes()), LeadingSecret::Elsewhere);
        assert_eq!(leading_secret(b"{\"secret\":\"\xff\""), LeadingSecret::Elsewhere);
    }
}
