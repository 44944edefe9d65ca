//! What a secret value is known by where the value itself must not be kept.

use ring::hmac;

/// Of a value: the first half of an HMAC-SHA-256.
pub type Digest = [u8; 16];

/// Digests values under a key.
#[derive(Clone)]
pub struct Digester(hmac::Key);

impl Digester {
    /// Bytes of a key, as many as the hash has.
    pub const KEY_BYTES: usize = 32;

    /// Under this key, which is random and kept from others.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The digest of a value, in something of one length that tells equal values apart; or in nothing.
    pub fn digest(&self, within: &[u8], value: &str) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(within);
        context.update(value.as_bytes());
        let mut digest = Digest::default();
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        digest
    }
}
