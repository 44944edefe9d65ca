//! Every statement that touches the tables.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable};
use diesel::sqlite::SqliteConnection;
use diesel::upsert::excluded;
use serde_json::value::RawValue;

use super::schema::{checks, share_data, shares};
use crate::model::{Content, Key, Life, Row, SecretHash, ShareId};

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
    /// When it ends at the latest, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// The token by which it is created.
    pub token: Option<i64>,
}

/// What a batch changed in one share.
#[derive(Debug, Clone)]
pub struct Write {
    /// The share.
    pub num: i64,
    /// The items that are different now.
    pub rows: Vec<Row>,
    /// The share's sequence number after the batch.
    pub seq: u64,
    /// The share's size after the batch, in bytes.
    pub size: u64,
    /// By how much that is more than before.
    pub grown: i64,
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
    /// What says when it ends.
    pub life: Life,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Its items and tombstones, in the order in which they first came; none when it was deleted or its time is over.
    pub rows: Vec<Row>,
}

/// A share's record, without its content.
#[derive(Debug, Clone)]
pub struct StoredHead {
    /// Its number in the database.
    pub num: i64,
    /// Its id.
    pub id: ShareId,
    /// What is kept of its secret.
    pub secret_hash: SecretHash,
    /// Bytes of its items.
    pub size: u64,
    /// What says when it ends.
    pub life: Life,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// A share that is not deleted, without its content.
pub struct ShareHead {
    /// Its number in the database.
    pub num: i64,
    /// Its id.
    pub id: ShareId,
    /// What says when it ends.
    pub life: Life,
}

/// Rows that one step of a purge deletes at the most, so that syncs get their turn.
const PURGE_ROWS: i64 = 500;

/// Bytes after which a step of a purge ends.
const PURGE_BYTES: i64 = 4 << 20;

pub(super) fn create(connection: &mut SqliteConnection, share: &NewShare) -> QueryResult<()> {
    diesel::insert_into(shares::table)
        .values((
            shares::id.eq(share.id.as_str()),
            shares::session_id.eq(&share.session_id),
            shares::secret_hash.eq(share.secret_hash.as_bytes()),
            shares::epoch.eq(&share.epoch),
            shares::created_at.eq(share.at),
            shares::updated_at.eq(share.at),
            shares::expires_at.eq(share.expires_at),
            shares::token_num.eq(share.token),
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
    let updated = diesel::update(shares::table.find(write.num).filter(shares::deleted_at.is_null()))
        .set((
            shares::seq.eq(signed(write.seq)),
            shares::size.eq(signed(write.size)),
            shares::updated_at.eq(write.at),
        ))
        .execute(connection)?;
    // Deleted meanwhile by its operator, beside this process.
    if updated == 1 { Ok(()) } else { Err(diesel::result::Error::NotFound) }
}

/// Ends a share for everybody. Its content goes by `purge`, step by step.
pub(super) fn mark_deleted(connection: &mut SqliteConnection, num: i64, at: i64) -> QueryResult<()> {
    diesel::update(shares::table.find(num).filter(shares::deleted_at.is_null()))
        .set((shares::deleted_at.eq(at), shares::session_id.eq("")))
        .execute(connection)
        .map(|_| ())
}

/// Deletes some of a deleted share's content, and tells whether there is more.
pub(super) fn purge(connection: &mut SqliteConnection, num: i64) -> QueryResult<bool> {
    // From the record's head: `length` would read all of a text.
    let bytes = sql::<Integer>("coalesce(octet_length(content), 0)");
    let rows: Vec<(i64, i32)> = share_data::table
        .filter(share_data::share_num.eq(num))
        .select((share_data::id, bytes))
        .limit(PURGE_ROWS)
        .load(connection)?;
    let (mut step, mut bytes) = (Vec::new(), 0);
    for (id, size) in &rows {
        step.push(*id);
        bytes += i64::from(*size);
        if bytes >= PURGE_BYTES {
            break;
        }
    }
    diesel::delete(share_data::table.filter(share_data::id.eq_any(&step))).execute(connection)?;
    Ok(!step.is_empty())
}

/// A deleted share's content is gone; gives what it took, in bytes.
pub(super) fn mark_purged(connection: &mut SqliteConnection, num: i64) -> QueryResult<u64> {
    let size = shares::table.find(num).select(shares::size).first(connection)?;
    diesel::update(shares::table.find(num)).set(shares::size.eq(0)).execute(connection)?;
    Ok(unsigned(size))
}

/// Deleted shares whose content is not gone: a crash came in between.
pub(super) fn unpurged(connection: &mut SqliteConnection) -> QueryResult<Vec<i64>> {
    shares::table
        .filter(shares::deleted_at.is_not_null())
        .filter(shares::size.gt(0))
        .select(shares::num)
        .load(connection)
}

/// Some shares that are not deleted, with numbers above `after`, in the order of these.
pub(super) fn heads(
    connection: &mut SqliteConnection,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ShareHead>> {
    type Head = (i64, String, i64, i64, i64, Option<i64>);
    let heads: Vec<Head> = shares::table
        .filter(shares::num.gt(after))
        .filter(shares::deleted_at.is_null())
        .order(shares::num)
        .limit(limit)
        .select((
            shares::num,
            shares::id,
            shares::created_at,
            shares::updated_at,
            shares::seq,
            shares::expires_at,
        ))
        .load(connection)?;
    let head = |(num, id, created_at, updated_at, seq, expires_at): Head| {
        let id = id.parse().map_err(|_| damaged("a share's id is none"))?;
        Ok(ShareHead { num, id, life: Life { created_at, updated_at, synced: seq > 0, expires_at } })
    };
    heads.into_iter().map(head).collect()
}

/// Shares that were deleted at `since` or later.
pub(super) fn deleted_since(connection: &mut SqliteConnection, since: i64) -> QueryResult<Vec<ShareId>> {
    let deleted: Vec<String> =
        shares::table.filter(shares::deleted_at.ge(since)).select(shares::id).load(connection)?;
    deleted.into_iter().map(|id| id.parse().map_err(|_| damaged("a share's id is none"))).collect()
}

/// Bytes of all shares.
pub(super) fn total_size(connection: &mut SqliteConnection) -> QueryResult<u64> {
    let total: Option<i64> = shares::table.select(sql::<Nullable<BigInt>>("sum(size)")).first(connection)?;
    Ok(unsigned(total.unwrap_or(0)))
}

/// A share's record.
pub(super) fn head(connection: &mut SqliteConnection, id: &ShareId) -> QueryResult<Option<StoredHead>> {
    type Head = (i64, Vec<u8>, i64, i64, i64, i64, Option<i64>, Option<i64>);
    let head: Option<Head> = shares::table
        .filter(shares::id.eq(id.as_str()))
        .select((
            shares::num,
            shares::secret_hash,
            shares::seq,
            shares::size,
            shares::created_at,
            shares::updated_at,
            shares::deleted_at,
            shares::expires_at,
        ))
        .first(connection)
        .optional()?;
    let Some((num, secret_hash, seq, size, created_at, updated_at, deleted_at, expires_at)) = head else {
        return Ok(None);
    };
    Ok(Some(StoredHead {
        num,
        id: id.clone(),
        secret_hash: SecretHash::from_bytes(&secret_hash)
            .ok_or_else(|| damaged("a secret's hash has a wrong length"))?,
        size: unsigned(size),
        life: Life { created_at, updated_at, synced: seq > 0, expires_at },
        deleted: deleted_at.is_some(),
    }))
}

/// A share with its content, but for one that `ended` says is over.
pub(super) fn load(
    connection: &mut SqliteConnection,
    id: &ShareId,
    ended: impl Fn(Life) -> bool,
) -> QueryResult<Option<StoredShare>> {
    type ShareRow = (i64, Vec<u8>, String, i64, i64, i64, Option<i64>, Option<i64>);
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
            shares::expires_at,
        ))
        .first(connection)
        .optional()?;
    let Some((num, secret_hash, epoch, seq, created_at, updated_at, deleted_at, expires_at)) = share else {
        return Ok(None);
    };
    let life = Life { created_at, updated_at, synced: seq > 0, expires_at };
    let mut rows: Vec<(String, Option<String>, i64)> = Vec::new();
    if deleted_at.is_none() && !ended(life) {
        rows = share_data::table
            .filter(share_data::share_num.eq(num))
            .order(share_data::id)
            .select((share_data::key, share_data::content, share_data::seq))
            .load(connection)?;
    }
    let rows = rows.into_iter().map(|(key, content, seq)| {
        Ok(Row { key: Key::from(key), content: content.map(content_of).transpose()?, seq: unsigned(seq) })
    });
    Ok(Some(StoredShare {
        num,
        secret_hash: SecretHash::from_bytes(&secret_hash)
            .ok_or_else(|| damaged("a secret's hash has a wrong length"))?,
        epoch,
        seq: unsigned(seq),
        life,
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
