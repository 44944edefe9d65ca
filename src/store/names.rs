//! What the values are called that were taken out of a share: numbered by kind, told apart by a digest, kept nowhere.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use ring::hmac;

use super::schema::{redaction_key, redactions, shares};
use crate::model::ShareId;

/// Names of one share. A session has a few; the limit is for who sends more.
pub const MAX_NAMES: usize = 1000;

/// What a name takes on the disk, with its places in the indexes, in bytes.
pub(super) const OVERHEAD: i64 = 160;

/// Bytes of the key, as many as the hash has.
const KEY_BYTES: usize = 32;

/// A value of a share, without the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    kind: String,
    digest: [u8; 16],
}

/// The numbers of a share's names; of each kind they count from 1.
pub type Numbers = HashMap<Name, u64>;

/// Digests values under this database's key.
#[derive(Clone)]
pub struct Naming(hmac::Key);

impl Naming {
    /// Reads the key, or makes it.
    pub(super) fn open(connection: &mut SqliteConnection) -> QueryResult<Self> {
        let known: Option<Vec<u8>> =
            redaction_key::table.find(1).select(redaction_key::key).first(connection).optional()?;
        let key = if let Some(key) = known {
            key
        } else {
            let mut key = vec![0; KEY_BYTES];
            getrandom::fill(&mut key)
                .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
            diesel::insert_into(redaction_key::table)
                .values((redaction_key::id.eq(1), redaction_key::key.eq(&key)))
                .execute(connection)?;
            key
        };
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The name of a value: half of an HMAC-SHA-256 of share and value. The share is in it so that nobody can tell that
    /// two shares held the same.
    pub fn name(&self, share: &ShareId, kind: &str, value: &str) -> Name {
        let mut context = hmac::Context::with_key(&self.0);
        // Ids are all of one length.
        context.update(share.as_str().as_bytes());
        context.update(value.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        Name { kind: kind.to_owned(), digest }
    }
}

/// The numbers that the names of a share have.
pub(super) fn numbers(connection: &mut SqliteConnection, share: &ShareId) -> QueryResult<Numbers> {
    let rows = redactions::table.inner_join(shares::table).filter(shares::id.eq(share.as_str())).select((
        redactions::kind,
        redactions::digest,
        redactions::n,
    ));
    let rows: Vec<(String, Vec<u8>, i64)> = rows.load(connection)?;
    // One that cannot be read is nobody's.
    let read = rows.into_iter().filter_map(|(kind, digest, n)| {
        Some((Name { kind, digest: digest.try_into().ok()? }, n.try_into().ok()?))
    });
    Ok(read.collect())
}

/// Gives those of some names a number that have none; with how many got one. In one transaction, so that no two values
/// get the same number.
pub(super) fn number(
    connection: &mut SqliteConnection,
    share: &ShareId,
    names: &[Name],
) -> QueryResult<(Numbers, i64)> {
    let living = shares::table.filter(shares::id.eq(share.as_str())).filter(shares::deleted_at.is_null());
    let num: i64 = living.select(shares::num).first(connection)?;
    let mut numbers = numbers(connection, share)?;
    let mut last = HashMap::<String, u64>::new();
    for (name, n) in &numbers {
        let last = last.entry(name.kind.clone()).or_default();
        *last = n.max(last).to_owned();
    }
    let mut added = 0;
    for name in names {
        if numbers.len() >= MAX_NAMES || numbers.contains_key(name) {
            continue;
        }
        let last = last.entry(name.kind.clone()).or_default();
        *last += 1;
        diesel::insert_into(redactions::table)
            .values((
                redactions::share_num.eq(num),
                redactions::digest.eq(&name.digest[..]),
                redactions::kind.eq(&name.kind),
                redactions::n.eq(i64::try_from(*last).unwrap_or(i64::MAX)),
            ))
            .execute(connection)?;
        numbers.insert(name.clone(), *last);
        added += 1;
    }
    Ok((numbers, added))
}
