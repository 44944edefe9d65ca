//! The manifest: what a server that holds something back cannot know how to write.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// All living items of a share with their versions, as one number: each goes in and out by an XOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set([u8; 32]);

impl Set {
    /// Puts an item's mark in, or takes it out.
    pub fn toggle(&mut self, mark: &[u8; 32]) {
        for (byte, of_mark) in self.0.iter_mut().zip(mark) {
            *byte ^= of_mark;
        }
    }

    /// As it stands in a manifest.
    pub fn encoded(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

/// What a share held when its manifest was sent, which is with every batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Living items, segments too.
    pub count: u64,
    /// Their [`Set`].
    pub set: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
}
