//! What the values are called that were taken out of a share: numbered by kind, told apart by a digest, kept nowhere.

use std::collections::HashMap;

use crate::model::ShareId;
use crate::redact::{Digest, Digester};

/// Names of one share. A session has a few; the limit is for who sends more.
pub const MAX_NAMES: usize = 1000;

/// What a name takes on the disk, with its places in the indexes, in bytes.
pub(super) const OVERHEAD: i64 = 160;

/// What a value is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What found it first.
    pub kind: String,
    /// Its number among those of its kind, from 1.
    pub number: u64,
}

/// The names of a share's values.
pub type Names = HashMap<Digest, Name>;

/// Digests values under the database's key.
#[derive(Clone)]
pub struct Naming(Digester);

impl Naming {
    /// Digests under this key.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Digester::new(key))
    }

    /// A key for a database that has none.
    pub(super) fn new_key() -> Result<Vec<u8>, getrandom::Error> {
        let mut key = vec![0; Digester::KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(key)
    }

    /// What tells the database from others, to whom that may be said.
    pub fn of_database(&self) -> Digest {
        self.0.digest(&[], "the database")
    }

    /// The key of what readers are given who have opened a share's lock. Ids of shares have no blanks, so no value's
    /// digest is of this text.
    pub fn for_readers(&self) -> Digest {
        self.0.digest(&[], "readers of a share")
    }

    /// The digest of a value of a share, which is in it so that nobody can tell that two shares held the same.
    pub fn digest(&self, share: &ShareId, value: &str) -> Digest {
        // Ids are all of one length.
        self.0.digest(share.as_str().as_bytes(), value)
    }
}

/// The names that a database's rows have: digest, kind and number.
pub(super) fn read(rows: Vec<(Vec<u8>, String, i64)>) -> Names {
    // One that cannot be read is nobody's.
    let read = rows.into_iter().filter_map(|(digest, kind, n)| {
        Some((digest.try_into().ok()?, Name { kind, number: n.try_into().ok()? }))
    });
    read.collect()
}

/// Whether nothing is left to name: all have a name, or the share has as many as it may have.
pub(super) fn is_complete(names: &Names, values: &[(Digest, String)]) -> bool {
    names.len() >= MAX_NAMES || values.iter().all(|(digest, _)| names.contains_key(digest))
}

/// Gives those values a name that have none, by their kinds, and says which these are. Once a share has [`MAX_NAMES`]
/// the others get none.
pub(super) fn add(names: &mut Names, values: &[(Digest, String)]) -> Vec<(Digest, Name)> {
    let mut last = HashMap::<String, u64>::new();
    for Name { kind, number } in names.values() {
        let last = last.entry(kind.clone()).or_default();
        *last = (*last).max(*number);
    }
    let mut added = Vec::new();
    for (digest, kind) in values {
        if names.len() >= MAX_NAMES || names.contains_key(digest) {
            continue;
        }
        let number = last.entry(kind.clone()).or_default();
        *number += 1;
        let name = Name { kind: kind.clone(), number: *number };
        names.insert(*digest, name.clone());
        added.push((*digest, name));
    }
    added
}
