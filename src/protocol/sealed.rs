//! What a client says of a share whose items only its readers can open.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Malformed;

/// The format of sealed items that there is.
const VERSION: u32 = 1;

/// Bytes of what a key is told from others by.
const CHECK_BYTES: usize = 16;

/// Bytes of a door's hash.
const DOOR_BYTES: usize = 32;

/// What the server knows of a share whose items only its readers can open: nothing of it opens one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The version of the items' format.
    pub version: u32,
    /// What the right key is told from others by: 16 bytes in base64url.
    pub check: String,
    /// The SHA-256, in base64url, of what readers show besides the link; absent when the link is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
}

impl Sealed {
    /// Reads it strictly: the server keeps nothing of it that it does not know.
    pub(super) fn parse(raw: &RawValue) -> Result<Self, Malformed> {
        let is_base64url = |text: &str, bytes| {
            BASE64URL_NOPAD.decode(text.as_bytes()).is_ok_and(|decoded| decoded.len() == bytes)
        };
        let sealed = serde_json::from_str::<Self>(raw.get()).ok().filter(|sealed| {
            let Self { version, check, door } = sealed;
            raw.get().starts_with('{')
                && *version == VERSION
                && is_base64url(check, CHECK_BYTES)
                && door.as_ref().is_none_or(|door| is_base64url(door, DOOR_BYTES))
        });
        sealed.ok_or_else(|| {
            Malformed::new(
                "`sealed` must be {version: 1, check, door?}: 16 bytes and the SHA-256 of 32 bytes, both in base64url",
            )
        })
    }
}
