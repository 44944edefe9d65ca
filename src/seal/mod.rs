//! Sealed shares: items encrypted for whoever has the link, of which a server sees names, sizes and times alone. Pure:
//! no network, no files, no clock. `docs/PRIVACY.md` has the format for other implementers.
//!
//! ```text
//! LinkKey [+ Phrase] -> Keys -> Seal (of one share): items, names, marks of the manifest's set
//! ```

mod item;
mod keys;
mod manifest;
mod opening;
mod segments;
#[cfg(test)]
mod tests;

pub use item::{MAX_VERSION, Seal, Sealed};
pub use keys::{Keys, LinkKey, NotALinkKey, Phrase};
pub use manifest::{Manifest, Set};
pub use opening::{Mismatch, Opening, SEGMENT};
pub use segments::{Segmented, segmented};

/// The version of the format: `k1` in a link, and `version` when a share is created.
pub const VERSION: u32 = 1;

/// Why an item does not open, or is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system has no randomness to give.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// It is too large to be sealed or opened.
    #[error("an item is too large to be sealed")]
    TooLarge,
    /// It was not sealed with this key, for this share, under this name, as this version.
    #[error("an item was changed on its way, or is of another share")]
    Tampered,
    /// It opened, and what is inside is no item.
    #[error("an item opens, but cannot be read: it is of a newer version of this program, perhaps")]
    Unreadable,
    /// A newer version of it was there already.
    #[error("an item was taken back to an older version")]
    Older,
}
