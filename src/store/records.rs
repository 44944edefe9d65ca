//! What the store is given and gives: shares, what was changed of them, and the rows of their items.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::value::RawValue;

use super::schema::shares;
use crate::model::{Content, Key, Life, Lock, Row, SecretHash, ShareId};

/// A share to be created.
#[derive(Clone)]
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
    /// What its readers need besides the link.
    pub lock: Lock,
}

impl NewShare {
    /// What it counts as, in bytes.
    pub(super) fn bytes(&self) -> i64 {
        i64::try_from(self.session_id.len()).unwrap_or(i64::MAX).saturating_add(SHARE_OVERHEAD)
    }

    /// Its row.
    pub(super) fn row(&self) -> NewRow<'_> {
        NewRow {
            id: self.id.as_str(),
            session_id: &self.session_id,
            secret_hash: self.secret_hash.as_bytes(),
            epoch: &self.epoch,
            created_at: self.at,
            updated_at: self.at,
            expires_at: self.expires_at,
            token_num: self.token,
            lock: lock_text(&self.lock),
        }
    }
}

/// A lock as it is stored; nothing when it locks nothing.
pub(super) fn lock_text(lock: &Lock) -> Option<String> {
    // Strings and numbers: nothing of that can fail to be written.
    (*lock != Lock::default()).then(|| serde_json::to_string(lock).unwrap_or_default())
}

/// The row of a new share.
#[derive(Insertable)]
#[diesel(table_name = shares, treat_none_as_default_value = false)]
pub(super) struct NewRow<'a> {
    id: &'a str,
    session_id: &'a str,
    secret_hash: &'a [u8],
    epoch: &'a str,
    created_at: i64,
    updated_at: i64,
    expires_at: Option<i64>,
    token_num: Option<i64>,
    lock: Option<String>,
}

/// The last change of a share. No two changes leave the same, whoever makes them, as long as the epoch is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The share's sequence number after it.
    pub seq: u64,
    /// The process that made it: of two that are under way on the same head, both may end at one `seq`.
    pub writer: i64,
}

/// What a batch changed in one share.
#[derive(Debug, Clone)]
pub struct Write {
    /// The share.
    pub num: i64,
    /// The head that it was made on.
    pub before: Head,
    /// The items that are different now, new ones in the order in which they came. With none it is only found out
    /// whether the head is still that.
    pub rows: Vec<Row>,
    /// The share's sequence number after the batch.
    pub seq: u64,
    /// Who writes: what names it in the head.
    pub writer: i64,
    /// The share's size after the batch, in bytes.
    pub size: u64,
    /// By how much that is more than before.
    pub grown: i64,
    /// Now, in milliseconds since 1970.
    pub at: i64,
}

impl Write {
    /// The head that it leaves.
    pub fn after(&self) -> Head {
        if self.rows.is_empty() { self.before } else { Head { seq: self.seq, writer: self.writer } }
    }

    /// Bytes of its items.
    pub(super) fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.content.as_ref().map_or(0, |content| content.get().len())).sum()
    }
}

/// What is to be changed of a share beside its items.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// What its readers need besides the link; `None` leaves it.
    pub lock: Option<Lock>,
    /// When it ends by itself; `None` leaves it.
    pub end: Option<End>,
}

/// When a share ends by itself, for what is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Only when the server's lifetimes end it.
    Never,
    /// At a time, in milliseconds since 1970.
    At(i64),
}

impl End {
    pub(super) fn time(self) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::At(at) => Some(at),
        }
    }
}

/// A share as it is stored.
pub struct StoredShare {
    /// Its number in the database.
    pub num: i64,
    /// What is kept of its secret.
    pub secret_hash: SecretHash,
    /// The epoch of its sequence numbers.
    pub epoch: String,
    /// Its last change.
    pub head: Head,
    /// What says when it ends.
    pub life: Life,
    /// What its readers need besides the link.
    pub lock: Lock,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Its items and tombstones, in the order in which they first came; none when it was deleted or its time is over.
    pub rows: Vec<Row>,
}

/// What was added to a share after a position.
#[derive(Debug, Clone)]
pub struct Added {
    /// The epoch of its sequence numbers.
    pub epoch: String,
    /// Its last change.
    pub head: Head,
    /// What says when it ends.
    pub life: Life,
    /// What its readers need besides the link.
    pub lock: Lock,
    /// The newest version of each item and tombstone that is newer, in the order in which they first came.
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
    /// What its readers need besides the link.
    pub lock: Lock,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// A share that is not deleted, without its content.
pub struct ShareHead {
    /// Its number in the database.
    pub num: i64,
    /// What says when it ends.
    pub life: Life,
}

/// Some shares that are not deleted, in the order of their numbers.
pub struct Heads {
    /// The shares.
    pub heads: Vec<ShareHead>,
    /// The highest number that was looked at; `None` when there was none.
    pub last: Option<i64>,
    /// The numbers of those that were left out, because they cannot be read.
    pub damaged: Vec<i64>,
}

/// Shares that were deleted, in the order of their deletions.
pub struct Deletions {
    /// The shares, but for those whose ids cannot be read.
    pub shares: Vec<ShareId>,
    /// The number of the last of these deletions; that from which they were asked for when there was none.
    pub last: i64,
}

/// What became of a share to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    Yes,
    /// Its token has as many shares as it may have.
    TooManyOfToken,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// The head is another than it was made on.
    Conflict,
    /// The share was deleted, by its operator or by another process that serves it.
    Gone,
}

/// A share's row, but for what only deletions and operators need.
#[derive(Queryable, Selectable)]
#[diesel(table_name = shares)]
pub(super) struct ShareRow {
    pub(super) num: i64,
    pub(super) secret_hash: Vec<u8>,
    pub(super) epoch: String,
    pub(super) seq: i64,
    pub(super) writer: i64,
    pub(super) size: i64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) deleted_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) lock: Option<String>,
}

impl ShareRow {
    pub(super) fn num(&self) -> i64 {
        self.num
    }

    pub(super) fn life(&self) -> Life {
        let (created_at, updated_at, expires_at) = (self.created_at, self.updated_at, self.expires_at);
        Life { created_at, updated_at, synced: self.seq > 0, expires_at }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    fn head(&self) -> Head {
        Head { seq: unsigned(self.seq), writer: self.writer }
    }

    fn secret_hash(&self) -> QueryResult<SecretHash> {
        SecretHash::from_bytes(&self.secret_hash).ok_or_else(|| damaged("a secret's hash has a wrong length"))
    }

    /// What cannot be read keeps everybody out.
    fn lock(&self) -> QueryResult<Lock> {
        let lock = self.lock.as_deref().map_or(Ok(Lock::default()), serde_json::from_str);
        lock.map_err(|_| damaged("a lock cannot be read"))
    }

    pub(super) fn into_head(self, id: ShareId) -> QueryResult<StoredHead> {
        let (num, secret_hash, size) = (self.num, self.secret_hash()?, unsigned(self.size));
        let (life, lock, deleted) = (self.life(), self.lock()?, self.is_deleted());
        Ok(StoredHead { num, id, secret_hash, size, life, lock, deleted })
    }

    pub(super) fn into_share(self, rows: Vec<Row>) -> QueryResult<StoredShare> {
        let (secret_hash, head) = (self.secret_hash()?, self.head());
        let (life, lock, deleted) = (self.life(), self.lock()?, self.is_deleted());
        Ok(StoredShare { num: self.num, secret_hash, epoch: self.epoch, head, life, lock, deleted, rows })
    }

    pub(super) fn into_added(self, rows: Vec<Row>) -> QueryResult<Added> {
        let (head, life, lock) = (self.head(), self.life(), self.lock()?);
        Ok(Added { epoch: self.epoch, head, life, lock, rows })
    }
}

/// A living share of this epoch.
#[diesel::dsl::auto_type]
#[allow(clippy::elidable_lifetime_names)] // The type that is made of it needs the name.
pub(super) fn of_epoch<'a>(num: i64, epoch: &'a str) -> _ {
    shares::table
        .filter(shares::num.eq(num))
        .filter(shares::epoch.eq(epoch))
        .filter(shares::deleted_at.is_null())
}

/// Heads by the numbers of their shares, of rows of `(num, seq, writer)`.
pub(super) fn heads_by_num(rows: Vec<(i64, i64, i64)>) -> HashMap<i64, Head> {
    rows.into_iter().map(|(num, seq, writer)| (num, Head { seq: unsigned(seq), writer })).collect()
}

/// What a share takes beside its items and the id of its session, in bytes: its row and its places in the indexes.
pub(super) const SHARE_OVERHEAD: i64 = 512;

/// The columns of an item: its key, its content and its sequence number.
pub(super) type StoredRow = (String, Option<String>, i64);

pub(super) fn read((key, content, seq): StoredRow) -> QueryResult<Row> {
    Ok(Row { key: Key::from(key), content: content.map(content_of).transpose()?, seq: unsigned(seq) })
}

fn content_of(json: String) -> QueryResult<Content> {
    RawValue::from_string(json).map(Content::from).map_err(|_| damaged("an item is not JSON"))
}

pub(super) fn damaged(what: &'static str) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(what.into())
}

/// Integers of databases are signed; sequence numbers and sizes never come near the edge.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
