//! What a reader of a share needs besides its link.

use serde::{Deserialize, Serialize};

use super::Sealed;

/// What stands between a share's link and its items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Only who has the key can open the items: it is behind the link, and never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
}

impl Lock {
    /// Whether only readers can open the items.
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }
}
