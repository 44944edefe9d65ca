//! What the secrets of a session are called: the same value the same, over restarts, and no value kept.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ring::{aead, hmac};

use crate::client::secrets::{SecretsError, check_private, write_private};
use crate::redact::{Digest, Digester, Namer};

/// The file with the key under which values are digested, in the local directory.
const KEY_FILE: &str = "redaction.key";

/// What the key for sealing is derived by.
const SEALING: &[u8] = b"brutus-share/held";

/// How a digest is written that lets a value through.
const ALLOWED: &str = "hmac:";

/// What a value is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::client) struct Name {
    pub(in crate::client) digest: Digest,
    pub(in crate::client) kind: String,
    pub(in crate::client) number: u64,
}

/// What is made with the local key: digests of values, and what waits on the disk to be looked at again.
#[derive(Clone)]
pub(super) struct Locals {
    digester: Digester,
    sealing: Arc<aead::LessSafeKey>,
    /// The digests of values that the owner lets through.
    allowed: Arc<[Digest]>,
}

impl Locals {
    /// Reads the key of a directory, or makes it. `allow` has values and digests of all kinds; those that this makes
    /// count.
    pub(super) fn open(dir: &Path, allow: &[String]) -> Result<Self, SecretsError> {
        let path = dir.join(KEY_FILE);
        let key = match std::fs::read(&path) {
            Ok(key) if key.len() == Digester::KEY_BYTES => {
                check_private(&path, 0o600)?;
                key
            }
            // A key that was lost gives other names to what is found from now on, and nothing else.
            _ => {
                let mut key = vec![0; Digester::KEY_BYTES];
                getrandom::fill(&mut key)
                    .map_err(|error| SecretsError::Io { path, source: io::Error::other(error) })?;
                write_private(dir, KEY_FILE, &key)?;
                key
            }
        };
        let allowed = allow.iter().filter_map(|allowed| parsed(allowed.strip_prefix(ALLOWED)?));
        let digester = Digester::new(&key);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        // A key of its own for each use.
        let sealing =
            aead::UnboundKey::new(&aead::AES_256_GCM, hmac::sign(&key, SEALING).as_ref()).map_err(|_| {
                SecretsError::Io { path: dir.join(KEY_FILE), source: io::Error::other("no key can be made") }
            })?;
        let sealing = Arc::new(aead::LessSafeKey::new(sealing));
        Ok(Self { digester, sealing, allowed: allowed.collect() })
    }

    /// A text as it may stand on the disk, where nobody is to find a secret by chance: nonce, ciphertext, tag.
    pub(super) fn sealed(&self, text: &str) -> Option<Vec<u8>> {
        let mut nonce = [0; aead::NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = text.as_bytes().to_vec();
        let with = aead::Nonce::assume_unique_for_key(nonce);
        self.sealing.seal_in_place_append_tag(with, aead::Aad::empty(), &mut sealed).ok()?;
        sealed.splice(0..0, nonce);
        Some(sealed)
    }

    /// What was sealed.
    pub(super) fn opened(&self, sealed: &[u8]) -> Option<String> {
        let (nonce, sealed) = sealed.split_first_chunk()?;
        let (nonce, mut text) = (aead::Nonce::assume_unique_for_key(*nonce), sealed.to_vec());
        let text = self.sealing.open_in_place(nonce, aead::Aad::empty(), &mut text).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    fn digest(&self, value: &str) -> Digest {
        self.digester.digest(b"", value)
    }
}

/// A digest as it stands in `allow`.
pub(super) fn written(digest: &Digest) -> String {
    format!("{ALLOWED}{:032x}", u128::from_be_bytes(*digest))
}

fn parsed(hex: &str) -> Option<Digest> {
    Some(u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32)?.to_be_bytes())
}

/// The names of a session's values.
pub(super) struct Names {
    locals: Locals,
    by_digest: HashMap<Digest, (String, u64)>,
    /// By kind, how many there are.
    counts: HashMap<String, u64>,
    /// Those that were asked for since they were last taken.
    used: HashMap<Digest, Name>,
}

impl Names {
    pub(super) fn new(locals: Locals, known: impl IntoIterator<Item = Name>) -> Self {
        let mut names =
            Self { locals, by_digest: HashMap::new(), counts: HashMap::new(), used: HashMap::new() };
        for Name { digest, kind, number } in known {
            let count = names.counts.entry(kind.clone()).or_default();
            *count = number.max(*count);
            names.by_digest.insert(digest, (kind, number));
        }
        names
    }

    /// The names that were used since the last time, to be stored with what they stand in.
    pub(super) fn take_used(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.used).into_values().collect()
    }

    /// What is made with the local key.
    pub(super) fn locals(&self) -> &Locals {
        &self.locals
    }

    /// The digests of what has a name, by kind and number.
    pub(super) fn digests(&self) -> HashMap<(&str, u64), &Digest> {
        self.by_digest.iter().map(|(digest, (kind, number))| ((&**kind, *number), digest)).collect()
    }
}

impl Namer for Names {
    fn number(&mut self, kind: &str, value: &str) -> u64 {
        let digest = self.locals.digest(value);
        let (kind, number) = self.by_digest.entry(digest).or_insert_with(|| {
            let count = self.counts.entry(kind.to_owned()).or_default();
            *count += 1;
            (kind.to_owned(), *count)
        });
        self.used.entry(digest).or_insert_with(|| Name { digest, kind: kind.clone(), number: *number });
        *number
    }

    fn first_kind(&mut self, value: &str) -> Option<String> {
        self.by_digest.get(&self.locals.digest(value)).map(|(kind, _)| kind.clone())
    }

    fn allows(&mut self, value: &str) -> bool {
        !self.locals.allowed.is_empty() && self.locals.allowed.contains(&self.locals.digest(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_name_over_restarts_and_a_digest_lets_it_through() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut names = Names::new(Locals::open(dir.path(), &[]).unwrap(), []);
        assert_eq!(
            (names.number("token", "a"), names.number("token", "b"), names.number("token", "a")),
            (1, 2, 1)
        );
        assert_eq!(names.first_kind("b").as_deref(), Some("token"));
        let used = names.take_used();
        assert_eq!((used.len(), names.take_used().len()), (2, 0));
        let second = used.iter().find(|name| name.number == 2).unwrap();
        let allow = [written(&second.digest), "hmac:nonsense".into()];
        let mut later = Names::new(Locals::open(dir.path(), &allow).unwrap(), used);
        assert_eq!((later.number("token", "c"), later.number("token", "b")), (3, 2));
        assert!(later.allows("b") && !later.allows("a"));
        let sealed = later.locals.sealed("a secret").unwrap();
        assert_eq!(names.locals.opened(&sealed).as_deref(), Some("a secret"));
        assert_eq!((names.locals.opened(&sealed[1..]), names.locals.opened(b"short")), (None, None));
    }
}
