//! How much room there is for content.

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
