//! Keys: drawn for a link, and all that is derived from one.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::{hkdf, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::Seal;
use crate::model::random_base62;

/// Characters in a link's key: 22 of base62 are 131 bits.
const LINK_LENGTH: usize = 22;

/// The salt of every share's keys, and the label of what is bound to a share.
pub(super) const LABEL: &[u8] = b"brutus-share/e2e/1";

/// What stands before the link's key in the salt of a phrase: who lacks the link cannot even start to guess.
const PHRASE_LABEL: &[u8] = b"brutus-share/e2e/1 pass\n";

/// Rounds of PBKDF2: browsers have nothing stronger of their own.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// The key in a link's fragment, `#k1=KEY`. Its characters are the key material, as they are. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkKey(String);

/// The text cannot be a link's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link's key is not {LINK_LENGTH} letters and digits: the link is cut or changed")]
pub struct NotALinkKey;

impl LinkKey {
    /// A new key, each of its characters drawn evenly from the system's random source.
    pub fn random() -> Result<Self, getrandom::Error> {
        random_base62(LINK_LENGTH).map(Self)
    }

    /// The key itself: for the link, and for the owner's disk.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for LinkKey {
    type Err = NotALinkKey;

    fn from_str(text: &str) -> Result<Self, NotALinkKey> {
        let valid = text.len() == LINK_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { Ok(Self(text.to_owned())) } else { Err(NotALinkKey) }
    }
}

impl TryFrom<String> for LinkKey {
    type Error = NotALinkKey;

    fn try_from(text: String) -> Result<Self, NotALinkKey> {
        text.parse()
    }
}

impl From<LinkKey> for String {
    fn from(LinkKey(text): LinkKey) -> Self {
        text
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

/// What PBKDF2 makes of a phrase and a link's key: all that is ever kept of a phrase.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phrase([u8; 32]);

impl Phrase {
    /// Takes a tenth of a second or more: not for a thread that others wait for.
    pub fn of(phrase: &str, link: &LinkKey) -> Self {
        let salt = [PHRASE_LABEL, link.0.as_bytes()].concat();
        let phrase: String = phrase.nfkc().collect();
        let mut stretched = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, phrase.as_bytes(), &mut stretched);
        Self(stretched)
    }
}

impl TryFrom<String> for Phrase {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or("32 bytes as base64url are expected")
    }
}

impl From<Phrase> for String {
    fn from(Phrase(bytes): Phrase) -> Self {
        BASE64URL_NOPAD.encode(&bytes)
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(…)")
    }
}

/// All keys of a link.
#[derive(Clone)]
pub struct Keys {
    pub(super) seal: LessSafeKey,
    pub(super) name: hmac::Key,
    pub(super) set: hmac::Key,
    check: [u8; 16],
    door: [u8; 32],
}

impl Keys {
    /// Those of a link, and of its phrase when it has one.
    pub fn new(link: &LinkKey, phrase: Option<&Phrase>) -> Self {
        let phrase = phrase.map_or(&[][..], |Phrase(bytes)| bytes);
        let material = [link.0.as_bytes(), phrase].concat();
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL).extract(&material);
        let [seal, name, set, door] = ["seal", "name", "set", "door"].map(|label| expand::<32>(&prk, label));
        Self {
            seal: LessSafeKey::new(unbound(&seal)),
            name: hmac::Key::new(hmac::HMAC_SHA256, &name),
            set: hmac::Key::new(hmac::HMAC_SHA256, &set),
            check: expand(&prk, "check"),
            door,
        }
    }

    /// What tells a link that is cut, or a phrase that is wrong, from an item that was changed. Public.
    pub fn check(&self) -> String {
        BASE64URL_NOPAD.encode(&self.check)
    }

    /// What a server that knows its digest gives items for.
    pub fn door(&self) -> String {
        BASE64URL_NOPAD.encode(&self.door)
    }

    /// The digest of the door, for the server.
    pub fn door_digest(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(self.door))
    }

    /// What seals and opens the items of a share.
    pub fn of_share(self, share: &str) -> Seal {
        Seal::new(self, share)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(prk: &hkdf::Prk, label: &str) -> [u8; N] {
    let mut key = [0; N];
    let info = [label.as_bytes()];
    // HKDF has no more than 255 blocks, and these are one.
    #[allow(clippy::expect_used)]
    prk.expand(&info, Length(N)).and_then(|okm| okm.fill(&mut key)).expect("one block");
    key
}

fn unbound(key: &[u8; 32]) -> UnboundKey {
    #[allow(clippy::expect_used)] // Its length is that of the algorithm.
    UnboundKey::new(&AES_256_GCM, key).expect("32 bytes")
}
