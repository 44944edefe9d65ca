//! What a reader of a share needs besides its link.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Sealed;

/// What stands between a share's link and its items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Only who has the key can open the items: it is behind the link, and never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// Readers give a password. A sealed share has none: its phrase is a part of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
}

/// A password's hash, with its salt and parameters, as a PHC string. Each hash has a salt of its own, so no two locks
/// have the same one, also when they have the same password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl Lock {
    /// Whether only readers can open the items.
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// The hash of what opens it for who has the link; `None` when the link is enough.
    pub fn hash(&self) -> Option<&str> {
        let door = || self.sealed.as_ref()?.door.as_deref();
        self.password.as_ref().map(|PasswordHash(hash)| &**hash).or_else(door)
    }

    /// Whether the link is not enough to get the items.
    pub fn is_closed(&self) -> bool {
        self.hash().is_some()
    }
}
