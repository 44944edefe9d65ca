//! One item: its blinded name, and what its content looks like on the wire.

use std::fmt;
use std::io::{Read, Write};

use data_encoding::BASE64URL_NOPAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use ring::aead::{Aad, MAX_TAG_LEN, NONCE_LEN, Nonce};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::keys::LABEL;
use super::{Keys, SealError};
use crate::model::Key;

/// The highest version of an item: what JavaScript's numbers hold.
pub const MAX_VERSION: u64 = (1 << 53) - 1;

/// Bytes of an item's inside, opened.
const MAX_BODY: usize = 64 << 20;

/// Bytes from which on an item is compressed, when that saves a quarter.
const COMPRESSED_FROM: usize = 1 << 10;

/// Bytes that the smallest item is padded to.
const MIN_PLAIN: usize = 64;

/// How what is inside is written: as it is, or by raw deflate.
const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

/// Encoding and length, which stand before what is inside.
const HEAD: usize = 5;

/// A sealed item as it goes over the wire, in `data` of the type `sealed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its name.
    pub id: String,
    /// Its version: it grows with every seal of the share.
    pub v: u64,
    /// Nonce, ciphertext and tag, as base64url.
    pub c: String,
}

/// What seals and opens the items of one share.
#[derive(Clone)]
pub struct Seal {
    keys: Keys,
    share: String,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    pub(super) fn new(keys: Keys, share: &str) -> Self {
        Self { keys, share: share.to_owned() }
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The name of what is stored under a key. Blinded, for ids carry times; parts stand below their message, so that
    /// whoever removes that removes them.
    pub fn name(&self, key: &Key) -> String {
        let name = self.blinded(key.as_str());
        match key.parent_message_id() {
            Some(message) => format!("{}/{name}", self.blinded(Key::message(message).as_str())),
            None => name,
        }
    }

    /// The name of the manifest.
    pub fn manifest_name(&self) -> String {
        self.blinded("manifest")
    }

    fn blinded(&self, text: &str) -> String {
        BASE64URL_NOPAD.encode(&hmac::sign(&self.keys.name, text.as_bytes()).as_ref()[..16])
    }

    /// What an item adds to the manifest's set.
    pub fn mark(&self, id: &str, version: u64) -> [u8; 32] {
        let mark = hmac::sign(&self.keys.set, format!("{id}\n{version}").as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(mark.as_ref());
        bytes
    }

    /// Seals what is inside of an item: `{"type","data"}`, as a share that is not sealed would be sent it.
    pub fn seal(&self, id: &str, version: u64, inside: &str) -> Result<Sealed, SealError> {
        // Random, also for a repeated seal: a counter in a restored backup would be used twice.
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        self.seal_with(nonce, id, version, inside)
    }

    pub(super) fn seal_with(
        &self,
        nonce: [u8; NONCE_LEN],
        id: &str,
        version: u64,
        inside: &str,
    ) -> Result<Sealed, SealError> {
        if inside.len() > MAX_BODY {
            return Err(SealError::TooLarge);
        }
        let mut bytes = padded(inside.as_bytes())?;
        let tag = self.keys.seal.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            self.bound(id, version),
            &mut bytes,
        );
        let tag = tag.map_err(|_| SealError::TooLarge)?;
        let c = BASE64URL_NOPAD.encode(&[&nonce[..], &bytes, tag.as_ref()].concat());
        Ok(Sealed { id: id.to_owned(), v: version, c })
    }

    /// Opens an item.
    pub fn open(&self, Sealed { id, v, c }: &Sealed) -> Result<String, SealError> {
        let bytes = BASE64URL_NOPAD.decode(c.as_bytes()).map_err(|_| SealError::Tampered)?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Tampered)?;
        if rest.len() < MAX_TAG_LEN {
            return Err(SealError::Tampered);
        }
        let (nonce, mut rest) = (Nonce::assume_unique_for_key(*nonce), rest.to_vec());
        let opened = self.keys.seal.open_in_place(nonce, self.bound(id, *v), &mut rest);
        inside(opened.map_err(|_| SealError::Tampered)?)
    }

    /// What an item is bound to: it opens in no other share, under no other name, and as no other version.
    fn bound(&self, id: &str, version: u64) -> Aad<Vec<u8>> {
        let place = format!("\n{}\n{id}\n{version}", self.share);
        Aad::from([LABEL, place.as_bytes()].concat())
    }
}

/// What is encrypted: how it is written, its length, it, and zeros.
fn padded(inside: &[u8]) -> Result<Vec<u8>, SealError> {
    let deflated = if inside.len() >= COMPRESSED_FROM { deflated(inside) } else { None };
    let (encoding, written) = deflated.as_deref().map_or((PLAIN, inside), |deflated| (DEFLATED, deflated));
    let length = u32::try_from(written.len()).map_err(|_| SealError::TooLarge)?;
    let size = padme(HEAD + written.len()).max(MIN_PLAIN);
    let mut bytes = Vec::with_capacity(size);
    bytes.push(encoding);
    bytes.extend(length.to_be_bytes());
    bytes.extend(written);
    bytes.resize(size, 0);
    Ok(bytes)
}

/// Compressed, when that saves a quarter.
fn deflated(inside: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(inside.len() / 2), Compression::fast());
    encoder.write_all(inside).ok()?;
    let deflated = encoder.finish().ok()?;
    (deflated.len() <= inside.len() / 4 * 3).then_some(deflated)
}

/// What stands in what was decrypted.
pub(super) fn inside(plain: &[u8]) -> Result<String, SealError> {
    let (&encoding, rest) = plain.split_first().ok_or(SealError::Unreadable)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(SealError::Unreadable)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SealError::TooLarge)?;
    let written = rest.get(..length).ok_or(SealError::Unreadable)?;
    let bytes = match encoding {
        PLAIN => written.to_vec(),
        DEFLATED => {
            let mut bytes = Vec::new();
            let most = MAX_BODY as u64 + 1;
            DeflateDecoder::new(written)
                .take(most)
                .read_to_end(&mut bytes)
                .map_err(|_| SealError::Unreadable)?;
            bytes
        }
        _ => return Err(SealError::Unreadable),
    };
    if bytes.len() > MAX_BODY {
        return Err(SealError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| SealError::Unreadable)
}

/// The size that a number of bytes is padded to: at most 12 % more, and so few sizes that they tell little (Padmé).
pub(super) fn padme(size: usize) -> usize {
    let Some(exponent) = size.checked_ilog2() else { return size };
    let Some(bits) = exponent.checked_ilog2() else { return size };
    let step = 1 << (exponent - (bits + 1).min(exponent));
    size.next_multiple_of(step)
}
