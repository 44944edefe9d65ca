//! What the values are called that were taken out of a share: numbered by kind, told apart by a digest, kept nowhere.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::schema::{redaction_key, redactions, shares};
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

/// Digests values under this database's key.
#[derive(Clone)]
pub struct Naming(Digester);

impl Naming {
    /// Reads the key, or makes it.
    pub(super) fn open(connection: &mut SqliteConnection) -> QueryResult<Self> {
        let known: Option<Vec<u8>> =
            redaction_key::table.find(1).select(redaction_key::key).first(connection).optional()?;
        let key = if let Some(key) = known {
            key
        } else {
            let mut key = vec![0; Digester::KEY_BYTES];
            getrandom::fill(&mut key)
                .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
            diesel::insert_into(redaction_key::table)
                .values((redaction_key::id.eq(1), redaction_key::key.eq(&key)))
                .execute(connection)?;
            key
        };
        Ok(Self(Digester::new(&key)))
    }

    /// The digest of a value of a share, which is in it so that nobody can tell that two shares held the same.
    pub fn digest(&self, share: &ShareId, value: &str) -> Digest {
        // Ids are all of one length.
        self.0.digest(share.as_str().as_bytes(), value)
    }
}

/// The names that the values of a share have.
pub(super) fn names(connection: &mut SqliteConnection, share: &ShareId) -> QueryResult<Names> {
    let rows = redactions::table.inner_join(shares::table).filter(shares::id.eq(share.as_str())).select((
        redactions::digest,
        redactions::kind,
        redactions::n,
    ));
    let rows: Vec<(Vec<u8>, String, i64)> = rows.load(connection)?;
    // One that cannot be read is nobody's.
    let read = rows.into_iter().filter_map(|(digest, kind, n)| {
        Some((digest.try_into().ok()?, Name { kind, number: n.try_into().ok()? }))
    });
    Ok(read.collect())
}

/// Gives those values a name that have none, by their kinds; with how many got one. In one transaction, so that no two
/// values get the same.
pub(super) fn name(
    connection: &mut SqliteConnection,
    share: &ShareId,
    values: &[(Digest, String)],
) -> QueryResult<(Names, i64)> {
    let living = shares::table.filter(shares::id.eq(share.as_str())).filter(shares::deleted_at.is_null());
    let num: i64 = living.select(shares::num).first(connection)?;
    let mut names = names(connection, share)?;
    let mut last = HashMap::<String, u64>::new();
    for Name { kind, number } in names.values() {
        let last = last.entry(kind.clone()).or_default();
        *last = (*last).max(*number);
    }
    let mut added = 0;
    for (digest, kind) in values {
        if names.len() >= MAX_NAMES || names.contains_key(digest) {
            continue;
        }
        let number = last.entry(kind.clone()).or_default();
        *number += 1;
        diesel::insert_into(redactions::table)
            .values((
                redactions::share_num.eq(num),
                redactions::digest.eq(&digest[..]),
                redactions::kind.eq(kind),
                redactions::n.eq(i64::try_from(*number).unwrap_or(i64::MAX)),
            ))
            .execute(connection)?;
        names.insert(*digest, Name { kind: kind.clone(), number: *number });
        added += 1;
    }
    Ok((names, added))
}
