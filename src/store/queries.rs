//! Every statement that touches the tables.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use diesel::upsert::excluded;
use serde_json::value::RawValue;

use super::schema::{checks, share_data, shares};
use crate::model::{Content, Key, Row, SecretHash, ShareId};

/// A share to be created.
pub struct NewShare {
    /// Its id.
    pub id: ShareId,
    /// The session that it shows, as its client calls it.
    pub session_id: String,
    /// What is kept of its secret.
    pub secret_hash: SecretHash,
    /// Its first epoch.
    pub epoch: String,
    /// Now, in milliseconds since 1970.
    pub at: i64,
}

/// What a batch changed in one share.
pub struct Write {
    /// The share.
    pub num: i64,
    /// The items that are different now.
    pub rows: Vec<Row>,
    /// The share's sequence number after the batch.
    pub seq: u64,
    /// The share's size after the batch, in bytes.
    pub size: u64,
    /// Now, in milliseconds since 1970.
    pub at: i64,
}

/// A share as it is stored.
pub struct StoredShare {
    /// Its number in the database.
    pub num: i64,
    /// What is kept of its secret.
    pub secret_hash: SecretHash,
    /// The epoch of its sequence numbers.
    pub epoch: String,
    /// The sequence number of its last change.
    pub seq: u64,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
    /// When it last changed, in milliseconds since 1970.
    pub updated_at: i64,
    /// Whether it was deleted; then it has no rows.
    pub deleted: bool,
    /// Its items and tombstones.
    pub rows: Vec<Row>,
}

pub(super) fn create(connection: &mut SqliteConnection, share: &NewShare) -> QueryResult<()> {
    diesel::insert_into(shares::table)
        .values((
            shares::id.eq(share.id.as_str()),
            shares::session_id.eq(&share.session_id),
            shares::secret_hash.eq(share.secret_hash.as_bytes()),
            shares::epoch.eq(&share.epoch),
            shares::created_at.eq(share.at),
            shares::updated_at.eq(share.at),
        ))
        .execute(connection)?;
    Ok(())
}

pub(super) fn write(connection: &mut SqliteConnection, write: &Write) -> QueryResult<()> {
    // One statement a row, because it is prepared once and kept: a statement of many rows is prepared each time.
    for row in &write.rows {
        diesel::insert_into(share_data::table)
            .values((
                share_data::share_num.eq(write.num),
                share_data::key.eq(row.key.as_str()),
                share_data::content.eq(row.content.as_ref().map(|content| content.get())),
                share_data::seq.eq(signed(row.seq)),
                share_data::updated_at.eq(write.at),
            ))
            .on_conflict((share_data::share_num, share_data::key))
            .do_update()
            .set((
                share_data::content.eq(excluded(share_data::content)),
                share_data::seq.eq(excluded(share_data::seq)),
                share_data::updated_at.eq(excluded(share_data::updated_at)),
            ))
            .execute(connection)?;
    }
    diesel::update(shares::table.find(write.num))
        .set((
            shares::seq.eq(signed(write.seq)),
            shares::size.eq(signed(write.size)),
            shares::updated_at.eq(write.at),
        ))
        .execute(connection)?;
    Ok(())
}

pub(super) fn delete(connection: &mut SqliteConnection, num: i64, at: i64) -> QueryResult<()> {
    diesel::delete(share_data::table.filter(share_data::share_num.eq(num))).execute(connection)?;
    diesel::update(shares::table.find(num))
        .set((shares::deleted_at.eq(at), shares::size.eq(0), shares::session_id.eq("")))
        .execute(connection)?;
    Ok(())
}

pub(super) fn load(connection: &mut SqliteConnection, id: &ShareId) -> QueryResult<Option<StoredShare>> {
    type ShareRow = (i64, Vec<u8>, String, i64, i64, i64, Option<i64>);
    let share: Option<ShareRow> = shares::table
        .filter(shares::id.eq(id.as_str()))
        .select((
            shares::num,
            shares::secret_hash,
            shares::epoch,
            shares::seq,
            shares::created_at,
            shares::updated_at,
            shares::deleted_at,
        ))
        .first(connection)
        .optional()?;
    let Some((num, secret_hash, epoch, seq, created_at, updated_at, deleted_at)) = share else {
        return Ok(None);
    };
    let rows: Vec<(String, Option<String>, i64)> = share_data::table
        .filter(share_data::share_num.eq(num))
        .select((share_data::key, share_data::content, share_data::seq))
        .load(connection)?;
    let rows = rows.into_iter().map(|(key, content, seq)| {
        Ok(Row { key: Key::from(key), content: content.map(content_of).transpose()?, seq: unsigned(seq) })
    });
    Ok(Some(StoredShare {
        num,
        secret_hash: SecretHash::from_bytes(&secret_hash)
            .ok_or_else(|| damaged("a secret's hash has a wrong length"))?,
        epoch,
        seq: unsigned(seq),
        created_at,
        updated_at,
        deleted: deleted_at.is_some(),
        rows: rows.collect::<QueryResult<_>>()?,
    }))
}

/// Writes what changes nothing for anybody.
pub(super) fn check(connection: &mut SqliteConnection, at: i64) -> QueryResult<()> {
    diesel::replace_into(checks::table)
        .values((checks::id.eq(1), checks::at.eq(at)))
        .execute(connection)
        .map(|_| ())
}

fn content_of(json: String) -> QueryResult<Content> {
    RawValue::from_string(json).map(Content::from).map_err(|_| damaged("an item is not JSON"))
}

fn damaged(what: &'static str) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(what.into())
}

/// SQLite's integers are signed; sequence numbers and sizes never come near the edge.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
