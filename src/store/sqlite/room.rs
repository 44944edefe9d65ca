//! How much room there is for content: the disk's, and what the operator lets shares take.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use super::DATABASE;
use crate::config::Limits;
use crate::store::{NoRoom, Sizes};

/// What all shares take.
pub(super) struct Room {
    dir: PathBuf,
    /// In bytes. It can be off by what is being written; never below zero for long.
    used: AtomicI64,
}

impl Room {
    pub(super) fn new(dir: &Path, used: u64) -> Self {
        Self { dir: dir.to_owned(), used: AtomicI64::new(i64::try_from(used).unwrap_or(i64::MAX)) }
    }

    pub(super) fn grown(&self, bytes: i64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn is(&self, bytes: u64) {
        self.used.store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    pub(super) fn sizes(&self) -> Sizes {
        // What is not there takes nothing.
        let size = |name: &str| self.dir.join(name).metadata().map_or(0, |file| file.len());
        Sizes {
            content: self.used(),
            database: size(DATABASE) + size(&format!("{DATABASE}-wal")),
            disk_free: self.disk_free(),
        }
    }

    fn disk_free(&self) -> Option<u64> {
        rustix::fs::statvfs(&self.dir).ok().map(|disk| disk.f_bavail * disk.f_frsize)
    }

    /// What all shares take, in bytes.
    pub(super) fn used(&self) -> u64 {
        u64::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn check(&self, limits: &Limits) -> Result<(), NoRoom> {
        if limits.max_total.is_some_and(|max| self.used() >= max) {
            return Err(NoRoom::Quota);
        }
        // A file system that does not say is no reason to refuse: a write will tell.
        let full = self.disk_free().is_some_and(|free| free < limits.min_free_disk);
        if full { Err(NoRoom::Disk) } else { Ok(()) }
    }
}
