//! The key under which values are digested, and the rows of their names.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::model::ShareId;
use crate::redact::Digest;
use crate::store::names::{self, Names, Naming};
use crate::store::schema::{redaction_key, redactions, shares};

/// Reads the key, or makes it.
pub(super) fn open(connection: &mut SqliteConnection) -> QueryResult<Naming> {
    let known: Option<Vec<u8>> =
        redaction_key::table.find(1).select(redaction_key::key).first(connection).optional()?;
    let key = if let Some(key) = known {
        key
    } else {
        let key =
            Naming::new_key().map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
        diesel::insert_into(redaction_key::table)
            .values((redaction_key::id.eq(1), redaction_key::key.eq(&key)))
            .execute(connection)?;
        key
    };
    Ok(Naming::new(&key))
}

/// The names that the values of a share have.
pub(super) fn names(connection: &mut SqliteConnection, share: &ShareId) -> QueryResult<Names> {
    let rows = redactions::table.inner_join(shares::table).filter(shares::id.eq(share.as_str())).select((
        redactions::digest,
        redactions::kind,
        redactions::n,
    ));
    Ok(names::read(rows.load(connection)?))
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
    let mut known = names(connection, share)?;
    let mut added = 0;
    for (digest, name) in names::add(&mut known, values) {
        diesel::insert_into(redactions::table)
            .values((
                redactions::share_num.eq(num),
                redactions::digest.eq(&digest[..]),
                redactions::kind.eq(name.kind),
                redactions::n.eq(i64::try_from(name.number).unwrap_or(i64::MAX)),
            ))
            .execute(connection)?;
        added += 1;
    }
    Ok((known, added))
}
