//! All shares from one store into another, with their ids, secrets, epochs, positions, lifetimes and tokens: whoever
//! watches one goes on where it was. A server may write to the old store meanwhile. What is copied of a share is a
//! state that it had, so a move that was broken off, or that others wrote behind, goes on with what changed since.
//! While it is not finished no server starts on the new store.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::upsert::excluded;
use sha2::{Digest as _, Sha256};

use super::direct::{Direct, on};
use super::schema::{create_tokens, passed_time, redaction_key, redactions, share_data, shares};
use super::{OperatorError, postgres, sqlite};

/// A table that is there while shares are being moved into a database.
pub(super) const UNFINISHED: &str = "unfinished_move";

/// Shares that are compared in one read.
const PAGE: i64 = 1000;

/// Shares that are written in one transaction.
const BATCH_SHARES: usize = 256;

/// Bytes of content after which a transaction is closed. A share is in one.
const BATCH_BYTES: usize = 16 << 20;

/// A store to move shares from or to.
#[derive(Debug, Clone)]
pub enum Place {
    /// A data directory.
    Directory(PathBuf),
    /// The URL of a PostgreSQL database.
    Postgres(String),
}

/// Why shares were not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// All that was there is copied, and a server may write more.
    #[error(
        "a server uses the old store: stop all that do and run this again, which takes what changed, compares all and \
         finishes"
    )]
    InUse,
    /// The old store is not whole.
    #[error("a move into the old store is not finished")]
    Unfinished,
    /// A server would write to what is being written.
    #[error("a server uses the new store")]
    TargetInUse,
    /// The new store has shares already, which did not come by a move that is to go on.
    #[error("the new store has shares or tokens already, and no unfinished move")]
    NotEmpty,
    /// The new store has shares of another old one.
    #[error("the unfinished move into the new store is from another one")]
    OtherSource,
    /// Something is not as it is in the old store.
    #[error("{0} differs: run this again, and keep the old store")]
    Differs(String),
    /// A share cannot be read or written.
    #[error("the share {id}…: {error}")]
    Share {
        /// The first characters of its id.
        id: String,
        /// What the database says.
        error: diesel::result::Error,
    },
    /// One of the stores cannot be opened.
    #[error(transparent)]
    Open(#[from] OperatorError),
    /// One of the databases refused.
    #[error("the database: {0}")]
    Database(#[from] diesel::result::Error),
}

/// What a pass copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Shares, new or changed; deleted ones too.
    pub shares: u64,
    /// Their items.
    pub items: u64,
    /// Bytes of these.
    pub bytes: u64,
}

/// What the new store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Shares that are not deleted.
    pub shares: u64,
    /// Their items.
    pub items: u64,
}

/// A share's row: all that is known of it but its content.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = shares)]
#[diesel(treat_none_as_default_value = false)]
struct Record {
    num: i64,
    id: String,
    session_id: String,
    secret_hash: Vec<u8>,
    epoch: String,
    seq: i64,
    size: i64,
    created_at: i64,
    updated_at: i64,
    deleted_at: Option<i64>,
    expires_at: Option<i64>,
    token_num: Option<i64>,
    purged_at: Option<i64>,
    deletion: Option<i64>,
    writer: i64,
    lock: Option<String>,
}

/// A token's row.
#[derive(Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = create_tokens)]
#[diesel(treat_none_as_default_value = false)]
struct Token {
    num: i64,
    name: String,
    hash: Vec<u8>,
    create_limit: Option<String>,
    max_shares: Option<i64>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

/// What a value that was taken out of a share is called.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = redactions)]
struct NameRow {
    share_num: i64,
    digest: Vec<u8>,
    kind: String,
    n: i64,
}

/// An item's row.
#[derive(Debug, Queryable)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) content: Option<String>,
    pub(super) seq: i64,
    pub(super) updated_at: i64,
}

/// A share as it was at one moment, from a position on.
pub(super) struct ShareCopy {
    record: Record,
    names: Vec<NameRow>,
    /// Whether there is something of it.
    is_known: bool,
    /// The position after which its items are; `None` when they take the place of all that are there.
    after: Option<i64>,
    /// In the order in which they first came.
    items: Vec<Item>,
}

/// Shares with numbers above some, each with the number of its names: these come without a change of its row.
struct Page {
    theirs: Vec<(Record, i64)>,
    ours: HashMap<i64, (Record, i64)>,
    /// The number up to which they are; `None` when there are no more.
    last: Option<i64>,
}

/// What differs by database.
pub(super) trait Side {
    /// Has the transaction that begins see one moment.
    fn see_one_moment(&mut self) -> QueryResult<()>;

    /// A share's items that are newer than a position, in the order in which they first came.
    fn items(&mut self, num: i64, after: i64) -> QueryResult<Vec<Item>>;

    /// Puts the items of some shares, in place of their older versions.
    fn put_items(&mut self, shares: &[ShareCopy]) -> QueryResult<()>;

    /// Whether shares are being moved into it.
    fn is_unfinished(&mut self) -> QueryResult<bool>;

    /// Says that shares are being moved into it, with the numbers that they have.
    fn mark(&mut self) -> QueryResult<()>;

    /// Takes that back.
    fn unmark(&mut self) -> QueryResult<()>;

    /// Whether a server is connected, where that can be told by the database.
    fn has_server(&mut self) -> QueryResult<bool>;
}

/// Moves shares.
pub struct Move {
    from: Direct,
    to: Direct,
    /// Held while a directory is read that no server uses.
    unused: Option<File>,
    /// Held while a directory is written.
    _written: Option<File>,
}

impl Move {
    /// Opens both stores, makes the new one where there is none, and marks it as unfinished.
    ///
    /// # Errors
    /// When one of them cannot be used, or the new one has shares of its own. Then nothing of it has changed.
    pub fn begin(from: &Place, to: &Place) -> Result<Self, MoveError> {
        let (from, unused) = match from {
            Place::Directory(dir) => {
                (Direct::open(dir)?, sqlite::Direct::lock_unused(dir).map_err(OperatorError::from)?)
            }
            Place::Postgres(url) => (Direct::open_postgres(url)?, None),
        };
        let (to, written) = match to {
            Place::Directory(dir) => {
                let (database, lock) = sqlite::Direct::create(dir).map_err(OperatorError::from)?;
                (Direct::Sqlite(database), Some(lock))
            }
            Place::Postgres(url) => {
                let database = postgres::Direct::create(url).map_err(OperatorError::from)?;
                (Direct::Postgres(Box::new(database)), None)
            }
        };
        let mut this = Self { from, to, unused, _written: written };
        this.mark()?;
        Ok(this)
    }

    /// Marks the new store, unless an earlier try has.
    fn mark(&mut self) -> Result<(), MoveError> {
        if on!(self.to, to => to.has_server())? {
            return Err(MoveError::TargetInUse);
        }
        if on!(self.from, from => from.is_unfinished())? {
            return Err(MoveError::Unfinished);
        }
        // Each database has drawn its own: so it is known again.
        let theirs = key(&mut self.from)?;
        if on!(self.to, to => to.is_unfinished())? {
            let same = theirs.is_none() || theirs == key(&mut self.to)?;
            return if same { Ok(()) } else { Err(MoveError::OtherSource) };
        }
        let used = on!(self.to, to => {
            let shares: i64 = shares::table.count().get_result(to)?;
            shares + create_tokens::table.count().get_result::<i64>(to)?
        });
        if used > 0 {
            return Err(MoveError::NotEmpty);
        }
        on!(self.to, to => to.transaction(|to| {
            to.mark()?;
            if let Some(key) = &theirs {
                diesel::delete(redaction_key::table).execute(to)?;
                let row = (redaction_key::id.eq(1), redaction_key::key.eq(key));
                diesel::insert_into(redaction_key::table).values(row).execute(to)?;
            }
            Ok(())
        }))
    }

    /// Copies, once, what is not as it is in the old store.
    ///
    /// # Errors
    /// When one of the databases fails. What is copied stays.
    pub fn pass(&mut self) -> Result<Copied, MoveError> {
        self.copy_tokens()?;
        let (mut copied, mut after) = (Copied::default(), 0);
        loop {
            let Page { theirs, mut ours, last } = self.page(after)?;
            let (mut batch, mut bytes) = (Vec::new(), 0);
            for theirs in theirs {
                let known = ours.remove(&theirs.0.num);
                if known.as_ref() == Some(&theirs) {
                    continue;
                }
                let known = known.map(|(known, _)| known);
                let share = copy_of(&mut self.from, theirs.0.num, known.as_ref());
                // One that was forgotten in between is gone at the next pass.
                let Some(share) = share.map_err(|error| theirs.0.failed(error))? else { continue };
                bytes += share.bytes();
                batch.push(share);
                if batch.len() >= BATCH_SHARES || bytes >= BATCH_BYTES {
                    self.put(&std::mem::take(&mut batch), &mut copied)?;
                    bytes = 0;
                }
            }
            self.put(&batch, &mut copied)?;
            self.forget(&ours.into_keys().collect::<Vec<_>>())?;
            match last {
                Some(last) => after = last,
                None => return Ok(copied),
            }
        }
    }

    /// The shares of both stores with the next numbers.
    fn page(&mut self, after: i64) -> QueryResult<Page> {
        let theirs = records(&mut self.from, after, i64::MAX, PAGE)?;
        let is_last = i64::try_from(theirs.len()).is_ok_and(|length| length < PAGE);
        let last = theirs.last().map(|(record, _)| record.num).filter(|_| !is_last);
        let ours = records(&mut self.to, after, last.unwrap_or(i64::MAX), i64::MAX)?;
        let ours = ours.into_iter().map(|(record, names)| (record.num, (record, names))).collect();
        Ok(Page { theirs, ours, last })
    }

    fn copy_tokens(&mut self) -> QueryResult<()> {
        let theirs = tokens(&mut self.from)?;
        on!(self.to, to => to.transaction(|to| {
            for token in &theirs {
                diesel::insert_into(create_tokens::table)
                    .values(token)
                    .on_conflict(create_tokens::num)
                    .do_update()
                    .set(create_tokens::revoked_at.eq(excluded(create_tokens::revoked_at)))
                    .execute(to)?;
            }
            Ok(())
        }))
    }

    /// Writes some shares, all or none.
    fn put(&mut self, batch: &[ShareCopy], copied: &mut Copied) -> Result<(), MoveError> {
        on!(self.to, to => to.transaction(|to| {
            for share in batch {
                let mut put = || -> QueryResult<()> {
                    let num = share.num();
                    diesel::insert_into(shares::table)
                        .values(&share.record)
                        .on_conflict(shares::num)
                        .do_update()
                        .set((
                            shares::id.eq(excluded(shares::id)),
                            shares::session_id.eq(excluded(shares::session_id)),
                            shares::secret_hash.eq(excluded(shares::secret_hash)),
                            shares::epoch.eq(excluded(shares::epoch)),
                            shares::seq.eq(excluded(shares::seq)),
                            shares::size.eq(excluded(shares::size)),
                            shares::created_at.eq(excluded(shares::created_at)),
                            shares::updated_at.eq(excluded(shares::updated_at)),
                            shares::deleted_at.eq(excluded(shares::deleted_at)),
                            shares::expires_at.eq(excluded(shares::expires_at)),
                            shares::token_num.eq(excluded(shares::token_num)),
                            shares::purged_at.eq(excluded(shares::purged_at)),
                            shares::deletion.eq(excluded(shares::deletion)),
                            shares::writer.eq(excluded(shares::writer)),
                            shares::lock.eq(excluded(shares::lock)),
                        ))
                        .execute(to)?;
                    if share.is_known && share.after.is_none() {
                        diesel::delete(share_data::table.filter(share_data::share_num.eq(num))).execute(to)?;
                    }
                    if share.is_known {
                        diesel::delete(redactions::table.filter(redactions::share_num.eq(num))).execute(to)?;
                    }
                    for name in &share.names {
                        diesel::insert_into(redactions::table).values(name).execute(to)?;
                    }
                    Ok(())
                };
                put().map_err(|error| share.record.failed(error))?;
            }
            Ok::<_, MoveError>(to.put_items(batch)?)
        }))?;
        copied.shares += batch.len() as u64;
        copied.items += batch.iter().map(|share| share.items.len() as u64).sum::<u64>();
        copied.bytes += batch.iter().map(|share| share.bytes() as u64).sum::<u64>();
        Ok(())
    }

    /// Takes away what the old store has no more: the rows of shares that were deleted long ago.
    fn forget(&mut self, nums: &[i64]) -> QueryResult<()> {
        on!(self.to, to => to.transaction(|to| {
            for num in nums {
                diesel::delete(share_data::table.filter(share_data::share_num.eq(num))).execute(to)?;
                diesel::delete(redactions::table.filter(redactions::share_num.eq(num))).execute(to)?;
                diesel::delete(shares::table.find(num)).execute(to)?;
            }
            Ok(())
        }))
    }

    /// Compares all of both stores, and lets servers use the new one.
    ///
    /// # Errors
    /// When a server uses the old store, so that more may come; when something differs, or one of the databases fails.
    pub fn finish(mut self) -> Result<Compared, MoveError> {
        self.is_unused()?;
        let compared = self.compare()?;
        let passed = on!(self.from, from => {
            passed_time::table.find(1).select(passed_time::at).first::<i64>(from).optional()?
        });
        self.is_unused()?;
        on!(self.to, to => to.transaction(|to| {
            if let Some(passed) = passed {
                diesel::update(passed_time::table.find(1)).set(passed_time::at.eq(passed)).execute(to)?;
            }
            to.unmark()
        }))?;
        Ok(compared)
    }

    fn is_unused(&mut self) -> Result<(), MoveError> {
        let used = match &mut self.from {
            Direct::Sqlite(_) => self.unused.is_none(),
            Direct::Postgres(from) => from.connection.has_server()?,
        };
        if used { Err(MoveError::InUse) } else { Ok(()) }
    }

    /// Compares each share's row, and the number and a digest of its items.
    fn compare(&mut self) -> Result<Compared, MoveError> {
        if tokens(&mut self.from)? != tokens(&mut self.to)? {
            return Err(MoveError::Differs("a token".into()));
        }
        let (mut compared, mut after) = (Compared::default(), 0);
        loop {
            let Page { theirs, mut ours, last } = self.page(after)?;
            for theirs in theirs {
                let record = &theirs.0;
                let differs = || MoveError::Differs(format!("the share {}…", record.short()));
                if ours.remove(&record.num).as_ref() != Some(&theirs) {
                    return Err(differs());
                }
                if record.deleted_at.is_none() {
                    let there = digest(&mut self.from, record.num).map_err(|error| record.failed(error))?;
                    let here = digest(&mut self.to, record.num).map_err(|error| record.failed(error))?;
                    if there != here {
                        return Err(differs());
                    }
                    compared.shares += 1;
                    compared.items += here.0;
                }
            }
            if !ours.is_empty() {
                return Err(MoveError::Differs("the number of shares".into()));
            }
            match last {
                Some(last) => after = last,
                None => return Ok(compared),
            }
        }
    }
}

impl Record {
    /// Whether it is an earlier state of a share, to which what was added since may be added.
    fn is_before(&self, later: &Self) -> bool {
        let same = (&self.id, &self.epoch, self.deleted_at) == (&later.id, &later.epoch, later.deleted_at);
        same && self.seq <= later.seq
    }

    /// As it is in every store: PostgreSQL's texts have no NUL.
    fn without_nul(mut self) -> Self {
        self.session_id = self.session_id.replace('\0', "\u{fffd}");
        self
    }

    /// The start of its id: whoever knows all of it can read the share.
    fn short(&self) -> &str {
        self.id.get(..8).unwrap_or_default()
    }

    fn failed(&self, error: diesel::result::Error) -> MoveError {
        MoveError::Share { id: self.short().to_owned(), error }
    }
}

impl ShareCopy {
    pub(super) fn num(&self) -> i64 {
        self.record.num
    }

    /// Its items, each with its place among all: above the places of those that are there already, and not above the
    /// share's sequence number, for each item has one of its own.
    pub(super) fn placed(&self) -> impl Iterator<Item = (i64, &Item)> {
        (self.after.unwrap_or(0) + 1..).zip(&self.items)
    }

    fn bytes(&self) -> usize {
        self.items.iter().map(|item| item.content.as_ref().map_or(0, String::len)).sum()
    }
}

/// The key under which a store digests what is taken out of shares.
fn key(direct: &mut Direct) -> QueryResult<Option<Vec<u8>>> {
    on!(*direct, database => {
        redaction_key::table.find(1).select(redaction_key::key).first(database).optional()
    })
}

fn tokens(direct: &mut Direct) -> QueryResult<Vec<Token>> {
    on!(*direct, database => {
        create_tokens::table.order(create_tokens::num).select(Token::as_select()).load(database)
    })
}

/// The rows of the first shares with numbers above `after` and up to `last`.
fn records(direct: &mut Direct, after: i64, last: i64, limit: i64) -> QueryResult<Vec<(Record, i64)>> {
    on!(*direct, database => {
        let some = shares::table.filter(shares::num.gt(after)).filter(shares::num.le(last));
        let some = some.order(shares::num).limit(limit).select(Record::as_select());
        let records: Vec<Record> = some.load(database)?;
        let last = records.last().map_or(after, |record| record.num);
        let names = redactions::table
            .filter(redactions::share_num.gt(after))
            .filter(redactions::share_num.le(last))
            .group_by(redactions::share_num)
            .select((redactions::share_num, count_star()));
        let names: HashMap<i64, i64> = names.load::<(i64, i64)>(database)?.into_iter().collect();
        let with_names = |record: Record| {
            // The content of a deleted share is going.
            let names = names.get(&record.num).filter(|_| record.deleted_at.is_none());
            (record.without_nul(), names.copied().unwrap_or(0))
        };
        Ok(records.into_iter().map(with_names).collect())
    })
}

/// A share, from the position of `known` on when that is an earlier state of it. `None` when there is none.
fn copy_of(direct: &mut Direct, num: i64, known: Option<&Record>) -> QueryResult<Option<ShareCopy>> {
    on!(*direct, database => database.transaction(|database| {
        database.see_one_moment()?;
        let record = shares::table.find(num).select(Record::as_select()).first(database).optional()?;
        let Some(record) = record.map(Record::without_nul) else { return Ok(None) };
        let after = known.filter(|known| known.is_before(&record)).map(|known| known.seq);
        let (mut names, mut items) = (Vec::new(), Vec::new());
        if record.deleted_at.is_none() {
            let of_share = redactions::table.filter(redactions::share_num.eq(num)).order(redactions::id);
            names = of_share.select(NameRow::as_select()).load(database)?;
            items = database.items(num, after.unwrap_or(-1))?;
        }
        Ok(Some(ShareCopy { record, names, is_known: known.is_some(), after, items }))
    }))
}

/// How many items a share has, and a digest of these and of its tombstones and names.
fn digest(direct: &mut Direct, num: i64) -> QueryResult<(u64, [u8; 32])> {
    let (names, items) = on!(*direct, database => {
        let names = redactions::table
            .filter(redactions::share_num.eq(num))
            .order((redactions::kind, redactions::n))
            .select(NameRow::as_select());
        (names.load::<NameRow>(database)?, database.items(num, -1)?)
    });
    let mut digest = Sha256::new();
    // Lengths stand before texts, so that no two shares are one text.
    let mut text = |text: Option<&[u8]>| {
        digest.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        digest.update(text.unwrap_or_default());
    };
    for Item { key, content, seq, updated_at } in &items {
        text(Some(key.as_bytes()));
        text(content.as_ref().map(String::as_bytes));
        text(Some(&seq.to_le_bytes()));
        text(Some(&updated_at.to_le_bytes()));
    }
    for NameRow { digest, kind, n, .. } in &names {
        text(Some(digest));
        text(Some(kind.as_bytes()));
        text(Some(&n.to_le_bytes()));
    }
    let living = items.iter().filter(|item| item.content.is_some()).count();
    Ok((living as u64, digest.finalize().into()))
}
