//! Ids and secrets, all from the system's random source.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters in a share's id: 22 of base62 are 131 bits, too many to guess.
const ID_LENGTH: usize = 22;

/// A share's id. Whoever knows it can read the share, so `Debug` shows its start alone and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareId(String);

impl ShareId {
    /// A new id.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(random_base62(ID_LENGTH)?))
    }

    /// The id in full: for URLs, the database and the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShareId {
    type Err = NotAShareId;

    fn from_str(text: &str) -> Result<Self, NotAShareId> {
        let valid = text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { Ok(Self(text.to_owned())) } else { Err(NotAShareId) }
    }
}

/// The text cannot be a share's id.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a share's id is {ID_LENGTH} letters and digits")]
pub struct NotAShareId;

impl fmt::Debug for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids out of `FromStr` and `random` are ASCII and longer than this.
        write!(f, "{}…", &self.0[..4])
    }
}

/// What a client proves with that a share is its own, a UUID v4, or that it may create shares. Kept nowhere on the
/// server.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A new secret.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// A new token by which shares may be created.
    pub fn create_token() -> Result<Self, getrandom::Error> {
        Ok(Self(format!("bst_{}", random_base62(32)?)))
    }

    /// The secret itself: for the one answer that gives it out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the server keeps of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of a secret. A secret has 122 random bits, so a fast hash without salt is enough.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of what a client claims to be the secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether two hashes are of the same secret, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The hash as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A stored hash; `None` when it has the wrong length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A new epoch: sequence numbers of different epochs cannot be compared.
pub fn random_epoch() -> Result<String, getrandom::Error> {
    random_base62(12)
}

/// So many letters and digits, each drawn evenly.
pub fn random_base62(length: usize) -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 32];
    while text.len() < length {
        getrandom::fill(&mut bytes)?;
        // Of 256 values 248 divide evenly by 62: the rest would favour the first letters.
        let digits = bytes.iter().filter(|&&byte| byte < 248).map(|byte| BASE62[usize::from(byte % 62)]);
        text.extend(digits.take(length - text.len()).map(char::from));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_22_of_base62_and_differ() {
        let (one, two) = (ShareId::random().unwrap(), ShareId::random().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_str().parse::<ShareId>().unwrap(), one);
        for bad in ["", "short", "0123456789abcdefghijk/", "0123456789abcdefghijklm", "äääääääääää"]
        {
            assert!(bad.parse::<ShareId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_output_gives_no_capability_away() {
        let id = ShareId::random().unwrap();
        let secret = Secret::random();
        assert!(!format!("{id:?}").contains(id.as_str()));
        assert!(!format!("{secret:?}").contains(secret.expose()));
        assert!(secret.hash().matches(&SecretHash::of(secret.expose())));
        assert!(!secret.hash().matches(&SecretHash::of("")));
    }
}
