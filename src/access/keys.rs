//! What is given out and kept for who has opened a lock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;

use super::Key;
use crate::model::ShareId;

/// How long what was right is known again.
const REMEMBER_FOR: Duration = Duration::from_secs(60);

/// How many of these.
const MAX_REMEMBERED: usize = 10_000;

/// Signs cookies: an end and a MAC over it, the share, and the hash of what opens its lock. So another lock ends them,
/// also one with the same password.
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// All servers of a store have one key.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A cookie that holds until `end`, in milliseconds since 1970.
    pub(super) fn cookie(&self, id: &ShareId, hash: &str, end: i64) -> String {
        let tag = hmac::sign(&self.0, &signed(id, hash, end));
        format!("{end}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    }

    /// Whether a cookie opens a lock at a time.
    pub(super) fn is_valid(&self, cookie: &str, id: &ShareId, hash: &str, now: i64) -> bool {
        let Some((end, tag)) = cookie.split_once('.') else { return false };
        let (Ok(end), Ok(tag)) = (end.parse::<i64>(), BASE64URL_NOPAD.decode(tag.as_bytes())) else {
            return false;
        };
        now < end && hmac::verify(&self.0, &signed(id, hash, end), &tag).is_ok()
    }
}

/// Parts of one length, and then the rest.
fn signed(id: &ShareId, hash: &str, end: i64) -> Vec<u8> {
    [id.as_str().as_bytes(), &end.to_be_bytes(), hash.as_bytes()].concat()
}

/// What was right lately, under a key that nobody else has: what a password's hash costs is paid once a minute.
pub(super) struct Remembered {
    key: hmac::Key,
    until: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Remembered {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), until: Mutex::default() })
    }

    pub(super) fn knows(&self, id: &ShareId, hash: &str, key: &Key) -> bool {
        self.lock().get(&self.name(id, hash, key)).is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn add(&self, id: &ShareId, hash: &str, key: &Key) {
        let name = self.name(id, hash, key);
        let mut until = self.lock();
        let now = Instant::now();
        if until.len() >= MAX_REMEMBERED {
            until.retain(|_, until| now < *until);
        }
        if until.len() < MAX_REMEMBERED {
            until.insert(name, now + REMEMBER_FOR);
        }
    }

    fn name(&self, id: &ShareId, hash: &str, key: &Key) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(id.as_str().as_bytes());
        context.update(&(hash.len() as u64).to_be_bytes());
        context.update(hash.as_bytes());
        context.update(key.as_bytes());
        let mut name = [0; 32];
        name.copy_from_slice(context.sign().as_ref());
        name
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Password;

    #[test]
    fn a_cookie_holds_for_one_share_one_lock_and_until_its_end() {
        let signer = Signer::new(b"key");
        let (one, other) = (ShareId::random().unwrap(), ShareId::random().unwrap());
        let cookie = signer.cookie(&one, "hash", 1000);
        assert!(signer.is_valid(&cookie, &one, "hash", 999));
        assert!(!signer.is_valid(&cookie, &one, "hash", 1000));
        assert!(!signer.is_valid(&cookie, &other, "hash", 999));
        assert!(!signer.is_valid(&cookie, &one, "another", 999));
        assert!(!Signer::new(b"another").is_valid(&cookie, &one, "hash", 999));
        let later = cookie.replace("1000.", "2000.");
        for wrong in [&*later, "", ".", "1000.", "1000.AAAA", "x.y", &cookie[..cookie.len() - 1]] {
            assert!(!signer.is_valid(wrong, &one, "hash", 999), "{wrong}");
        }
    }

    #[test]
    fn what_was_right_is_known_again_for_its_share_and_lock() {
        let remembered = Remembered::new().unwrap();
        let id = ShareId::random().unwrap();
        let key = |text: &str| Key::Password(Password::new(text).unwrap());
        remembered.add(&id, "hash", &key("p"));
        assert!(remembered.knows(&id, "hash", &key("p")));
        assert!(!remembered.knows(&id, "hash", &key("q")) && !remembered.knows(&id, "another", &key("p")));
        assert!(!remembered.knows(&ShareId::random().unwrap(), "hash", &key("p")));
    }
}
