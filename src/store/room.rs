//! How much room there is for content.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::config::Limits;

/// Sizes, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// What all shares take, as the limits count it.
    pub content: u64,
    /// The database's files.
    pub database: u64,
    /// What is free where they are; `None` when that is another machine's to know.
    pub disk_free: Option<u64>,
}

/// There is no room for more. Deleting makes some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// All shares together take as much as they may.
    #[error("the shares take as much room as they may")]
    Quota,
    /// The disk is nearly full.
    #[error("the disk is nearly full")]
    Disk,
}

/// What shares take in a database on another machine: counted by it now and then, and followed here in between.
#[derive(Default)]
pub(super) struct Counted {
    /// What all shares take, in bytes. It can be off by what is being written, and by what others write.
    content: AtomicI64,
    database: AtomicU64,
}

impl Counted {
    pub(super) fn grown(&self, bytes: i64) {
        self.content.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What a deleted share took is gone.
    pub(super) fn freed(&self, bytes: u64) {
        self.grown(i64::try_from(bytes).map_or(i64::MIN, i64::saturating_neg));
    }

    /// Bytes of all shares and of the database, as it counts them.
    pub(super) fn are(&self, (content, database): (u64, u64)) {
        self.content.store(i64::try_from(content).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.database.store(database, Ordering::Relaxed);
    }

    pub(super) fn sizes(&self) -> Sizes {
        let content = u64::try_from(self.content.load(Ordering::Relaxed)).unwrap_or(0);
        Sizes { content, database: self.database.load(Ordering::Relaxed), disk_free: None }
    }

    /// Whether there is room by the limits. How full the disk is, is the database's affair: it refuses.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), NoRoom> {
        let full = limits.max_total.is_some_and(|max| self.sizes().content >= max);
        if full { Err(NoRoom::Quota) } else { Ok(()) }
    }
}
