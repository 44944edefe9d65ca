//! Every statement that touches the tables.

use std::collections::HashMap;

use diesel::connection::DefaultLoadingMode;
use diesel::dsl::{max, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable};
use diesel::sqlite::SqliteConnection;

use super::statements::{MoveHead, PutItem};
use crate::model::{Life, SecretHash, ShareId};
use crate::store::CreateToken;
use crate::store::names::OVERHEAD;
use crate::store::records::{
    Added, Amendment, Created, Deletions, Head, Heads, NewShare, SHARE_OVERHEAD, ShareHead, ShareRow,
    StoredHead, StoredRow, StoredShare, Write, Written, heads_by_num, lock_text, of_epoch, read, signed,
    unsigned,
};
use crate::store::schema::{checks, create_tokens, passed_time, redactions, share_data, shares, tries};
use crate::store::tokens::living_shares;
use crate::store::tries::Tries;

/// How far a purge is after one of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PurgeStep {
    /// There is more to delete.
    More,
    /// All is deleted from the database. It may stand in the log.
    RowsGone,
}

/// Rows that one step of a purge deletes at the most, so that syncs get their turn.
const PURGE_ROWS: usize = 4000;

/// Bytes after which a step of a purge ends.
const PURGE_BYTES: i64 = 4 << 20;

pub(super) fn create(connection: &mut SqliteConnection, share: &NewShare) -> QueryResult<Created> {
    // In the transaction of the insert, so that creates at the same time do not pass the limit together.
    if let Some(token) = share.token {
        let limit = create_tokens::table.find(token).select(create_tokens::max_shares);
        let limit: Option<i64> = limit.first(connection)?;
        if let Some(limit) = limit
            && living_shares(token).count().get_result::<i64>(connection)? >= limit
        {
            return Ok(Created::TooManyOfToken);
        }
    }
    diesel::insert_into(shares::table).values(share.row()).execute(connection)?;
    Ok(Created::Yes)
}

/// Stores a batch when the share's head is still the one that it was made on.
pub(super) fn write(connection: &mut SqliteConnection, write: &Write) -> QueryResult<Written> {
    // First, so that a write that is refused has written nothing: the others of its group need not be done again.
    let before = (signed(write.before.seq), write.before.writer);
    let living = || shares::table.find(write.num).filter(shares::deleted_at.is_null());
    let stands = if write.rows.is_empty() {
        let compared = living().filter(shares::seq.eq(before.0)).filter(shares::writer.eq(before.1));
        compared.count().get_result::<i64>(connection)? == 1
    } else {
        let moved = MoveHead {
            share: write.num,
            before,
            after: (signed(write.seq), write.writer),
            size: signed(write.size),
            at: write.at,
        };
        moved.execute(connection)? == 1
    };
    if !stands {
        let lives = living().count().get_result::<i64>(connection)? == 1;
        return Ok(if lives { Written::Conflict } else { Written::Gone });
    }
    for row in &write.rows {
        let put = PutItem {
            share: write.num,
            key: row.key.as_str(),
            content: row.content.as_ref().map(|content| content.get()),
            seq: signed(row.seq),
            at: write.at,
        };
        put.execute(connection)?;
    }
    Ok(Written::Yes)
}

/// The heads of some shares, but for those that are deleted.
pub(super) fn confirm(connection: &mut SqliteConnection, nums: &[i64]) -> QueryResult<HashMap<i64, Head>> {
    let living = shares::table.filter(shares::num.eq_any(nums)).filter(shares::deleted_at.is_null());
    Ok(heads_by_num(living.select((shares::num, shares::seq, shares::writer)).load(connection)?))
}

/// What was added to a share after a position; `None` when it is deleted.
pub(super) fn since(connection: &mut SqliteConnection, num: i64, after: u64) -> QueryResult<Option<Added>> {
    let living = shares::table.find(num).filter(shares::deleted_at.is_null());
    let Some(share) = living.select(ShareRow::as_select()).first(connection).optional()? else {
        return Ok(None);
    };
    let mut rows: Vec<(i64, StoredRow)> = newer(num, after).load(connection)?;
    rows.sort_unstable_by_key(|(id, _)| *id);
    let rows = rows.into_iter().map(|(_, row)| read(row)).collect::<QueryResult<_>>()?;
    share.into_added(rows).map(Some)
}

/// A share's rows that are newer than a position.
#[diesel::dsl::auto_type]
pub(super) fn newer(num: i64, after: u64) -> _ {
    let after: i64 = signed(after);
    share_data::table
        .filter(share_data::share_num.eq(num))
        .filter(share_data::seq.gt(after))
        .select((share_data::id, (share_data::key, share_data::content, share_data::seq)))
}

/// Changes a living share beside its items, and moves its head on to one that nobody knows; gives its position.
pub(super) fn amend(
    connection: &mut SqliteConnection,
    num: i64,
    amendment: &Amendment,
) -> QueryResult<Option<u64>> {
    let living = || shares::table.find(num).filter(shares::deleted_at.is_null());
    if let Some(lock) = &amendment.lock {
        diesel::update(living()).set(shares::lock.eq(lock_text(lock))).execute(connection)?;
    }
    if let Some(end) = amendment.end {
        diesel::update(living()).set(shares::expires_at.eq(end.time())).execute(connection)?;
    }
    diesel::update(living())
        .set((shares::seq.eq(shares::seq + 1), shares::writer.eq(shares::writer - 1)))
        .execute(connection)?;
    let seq: Option<i64> = living().select(shares::seq).first(connection).optional()?;
    Ok(seq.map(unsigned))
}

/// Counts a try of a share's lock, or says when the next one may come.
pub(super) fn count_try(
    connection: &mut SqliteConnection,
    num: i64,
    at: i64,
) -> QueryResult<Result<(), i64>> {
    let counted = tries::table.find(num).select((tries::since, tries::count));
    let counted: Option<(i64, i64)> = counted.first(connection).optional()?;
    let counted = counted.map(|(since, count)| Tries { since, count });
    let Tries { since, count } = match Tries::one_more(counted, at) {
        Ok(tries) => tries,
        Err(until) => return Ok(Err(until)),
    };
    diesel::replace_into(tries::table)
        .values((tries::share_num.eq(num), tries::since.eq(since), tries::count.eq(count)))
        .execute(connection)?;
    Ok(Ok(()))
}

/// Takes a counted try back.
pub(super) fn forget_try(connection: &mut SqliteConnection, num: i64) -> QueryResult<()> {
    diesel::update(tries::table.find(num).filter(tries::count.gt(0)))
        .set(tries::count.eq(tries::count - 1))
        .execute(connection)
        .map(|_| ())
}

/// Gives a share another epoch, and a head that nobody knows.
pub(super) fn renew_epoch(
    connection: &mut SqliteConnection,
    num: i64,
    old: &str,
    new: &str,
) -> QueryResult<()> {
    diesel::update(of_epoch(num, old))
        .set((shares::epoch.eq(new), shares::writer.eq(shares::writer - 1)))
        .execute(connection)
        .map(|_| ())
}

/// Has what is newer than a position found by it. Every write of an item writes the index too, so it is only there
/// where other processes write.
pub(super) fn index_by_seq(connection: &mut SqliteConnection) -> QueryResult<()> {
    diesel::sql_query("CREATE INDEX IF NOT EXISTS share_data_by_seq ON share_data (share_num, seq)")
        .execute(connection)
        .map(|_| ())
}

/// Ends a share for everybody. Its content goes by `purge`, step by step.
pub(super) fn mark_deleted(connection: &mut SqliteConnection, num: i64, at: i64) -> QueryResult<()> {
    let deletion = last_deletion(connection)? + 1;
    diesel::update(shares::table.find(num).filter(shares::deleted_at.is_null()))
        .set((
            shares::deleted_at.eq(at),
            shares::deletion.eq(deletion),
            shares::session_id.eq(""),
            shares::lock.eq(None::<String>),
        ))
        .execute(connection)
        .map(|_| ())
}

/// `mark_deleted`, unless the share was changed since it was last changed at `updated_at`. Tells whether it is done.
pub(super) fn mark_expired(
    connection: &mut SqliteConnection,
    num: i64,
    updated_at: i64,
    at: i64,
) -> QueryResult<bool> {
    let unchanged = shares::table
        .find(num)
        .filter(shares::deleted_at.is_null())
        .filter(shares::updated_at.eq(updated_at))
        .count()
        .get_result::<i64>(connection)?
        == 1;
    if unchanged {
        mark_deleted(connection, num, at)?;
    }
    Ok(unchanged)
}

/// Whether a share is deleted and not purged.
pub(super) fn is_to_purge(connection: &mut SqliteConnection, num: i64) -> QueryResult<bool> {
    to_purge().filter(shares::num.eq(num)).count().get_result::<i64>(connection).map(|count| count == 1)
}

/// Deletes some of a deleted share's content.
pub(super) fn purge(connection: &mut SqliteConnection, num: i64) -> QueryResult<PurgeStep> {
    if !is_to_purge(connection, num)? {
        return Ok(PurgeStep::RowsGone);
    }
    // A few: there is a limit to them.
    diesel::delete(redactions::table.filter(redactions::share_num.eq(num))).execute(connection)?;
    diesel::delete(tries::table.find(num)).execute(connection)?;
    // From the record's head: `length` would read all of a text.
    let bytes = sql::<Integer>("coalesce(octet_length(content), 0)");
    let rows: Vec<(i64, i32)> = share_data::table
        .filter(share_data::share_num.eq(num))
        .select((share_data::id, bytes))
        .limit(i64::try_from(PURGE_ROWS).unwrap_or(i64::MAX))
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
    Ok(if step.len() < rows.len() || rows.len() == PURGE_ROWS {
        PurgeStep::More
    } else {
        PurgeStep::RowsGone
    })
}

/// A deleted share's content is gone; gives what it took, in bytes.
pub(super) fn mark_purged(connection: &mut SqliteConnection, num: i64, at: i64) -> QueryResult<u64> {
    let size: Option<i64> =
        to_purge().filter(shares::num.eq(num)).select(shares::size).first(connection).optional()?;
    diesel::update(shares::table.find(num).filter(shares::purged_at.is_null()))
        .set((shares::size.eq(0), shares::purged_at.eq(at)))
        .execute(connection)?;
    Ok(unsigned(size.unwrap_or(0)))
}

/// Deleted shares whose content is not gone: a crash came in between, or it is being purged.
#[diesel::dsl::auto_type]
fn to_purge() -> _ {
    shares::table.filter(shares::deleted_at.is_not_null()).filter(shares::purged_at.is_null())
}

/// The numbers of some deleted shares whose content is not gone, the lowest above `after`.
pub(super) fn unpurged(connection: &mut SqliteConnection, after: i64, limit: i64) -> QueryResult<Vec<i64>> {
    to_purge()
        .filter(shares::num.gt(after))
        .order(shares::num)
        .limit(limit)
        .select(shares::num)
        .load(connection)
}

/// Forgets some shares that were deleted before a time and are purged; gives how many. The last deletion stays, so that
/// no number of a deletion is given twice.
pub(super) fn forget(connection: &mut SqliteConnection, before: i64, limit: i64) -> QueryResult<usize> {
    let last = last_deletion(connection)?;
    let old: Vec<i64> = shares::table
        .filter(shares::deleted_at.lt(before))
        .filter(shares::purged_at.is_not_null())
        .filter(shares::deletion.is_null().or(shares::deletion.lt(last)))
        .limit(limit)
        .select(shares::num)
        .load(connection)?;
    diesel::delete(shares::table.filter(shares::num.eq_any(old))).execute(connection)
}

/// Some shares that are not deleted, with numbers above `after`, in the order of these.
pub(super) fn heads(connection: &mut SqliteConnection, after: i64, limit: i64) -> QueryResult<Heads> {
    let alive = || shares::table.filter(shares::num.gt(after)).filter(shares::deleted_at.is_null());
    let nums: Vec<i64> = alive().order(shares::num).limit(limit).select(shares::num).load(connection)?;
    let last = nums.last().copied();
    let columns = (shares::num, shares::created_at, shares::updated_at, shares::seq, shares::expires_at);
    let rows = alive().filter(shares::num.le(last.unwrap_or(after))).order(shares::num).select(columns);
    let mut heads = Vec::with_capacity(nums.len());
    for row in rows.load_iter::<(i64, i64, i64, i64, Option<i64>), DefaultLoadingMode>(connection)? {
        // One that cannot be read is no reason to pass over the others. SQLite reads a number that is none as 0.
        if let Ok((num, created_at @ 1.., updated_at @ 1.., seq, expires_at)) = row {
            heads.push(ShareHead { num, life: Life { created_at, updated_at, synced: seq > 0, expires_at } });
        }
    }
    let mut read = heads.iter().map(|head| head.num).peekable();
    let damaged = nums.into_iter().filter(|num| read.next_if_eq(num).is_none()).collect();
    Ok(Heads { heads, last, damaged })
}

/// The number of the last deletion; 0 before the first.
pub(super) fn last_deletion(connection: &mut SqliteConnection) -> QueryResult<i64> {
    let last: Option<i64> = shares::table.select(max(shares::deletion)).first(connection)?;
    Ok(last.unwrap_or(0))
}

/// Some shares that were deleted after the deletion of the number `after`, in their order.
pub(super) fn deletions(connection: &mut SqliteConnection, after: i64, limit: i64) -> QueryResult<Deletions> {
    let rows: Vec<(Option<i64>, String)> = shares::table
        .filter(shares::deletion.gt(after))
        .order(shares::deletion)
        .limit(limit)
        .select((shares::deletion, shares::id))
        .load(connection)?;
    let last = rows.last().and_then(|(deletion, _)| *deletion).unwrap_or(after);
    // An id that cannot be read is nobody's, and so open nowhere.
    Ok(Deletions { shares: rows.into_iter().filter_map(|(_, id)| id.parse().ok()).collect(), last })
}

/// Bytes that all shares take, as a limit on them counts: their items, the names of what was taken out of them, and the
/// rows of deleted shares too.
pub(super) fn total_size(connection: &mut SqliteConnection) -> QueryResult<u64> {
    let names: i64 = redactions::table.count().get_result(connection)?;
    let sum = format!("sum({SHARE_OVERHEAD} + octet_length(session_id) + size)");
    let total: Option<i64> = shares::table.select(sql::<Nullable<BigInt>>(&sum)).first(connection)?;
    Ok(unsigned(total.unwrap_or(0)).saturating_add(unsigned(names.saturating_mul(OVERHEAD))))
}

/// A share's record.
pub(super) fn head(connection: &mut SqliteConnection, id: &ShareId) -> QueryResult<Option<StoredHead>> {
    let share = shares::table.filter(shares::id.eq(id.as_str())).select(ShareRow::as_select());
    let share = share.first(connection).optional()?;
    share.map(|share| share.into_head(id.clone())).transpose()
}

/// The time that has passed for sure.
pub(super) fn passed_time(connection: &mut SqliteConnection) -> QueryResult<Option<i64>> {
    passed_time::table.find(1).select(passed_time::at).first(connection).optional()
}

pub(super) fn set_passed_time(connection: &mut SqliteConnection, at: i64) -> QueryResult<()> {
    diesel::replace_into(passed_time::table)
        .values((passed_time::id.eq(1), passed_time::at.eq(at)))
        .execute(connection)
        .map(|_| ())
}

/// A share with its content, but for one that `ended` says is over.
pub(super) fn load(
    connection: &mut SqliteConnection,
    id: &ShareId,
    ended: impl Fn(Life) -> bool,
) -> QueryResult<Option<StoredShare>> {
    let share = shares::table.filter(shares::id.eq(id.as_str())).select(ShareRow::as_select());
    let Some(share) = share.first(connection).optional()? else { return Ok(None) };
    let mut rows: Vec<StoredRow> = Vec::new();
    if !share.is_deleted() && !ended(share.life()) {
        rows = share_data::table
            .filter(share_data::share_num.eq(share.num()))
            .order(share_data::id)
            .select((share_data::key, share_data::content, share_data::seq))
            .load(connection)?;
    }
    let rows = rows.into_iter().map(read).collect::<QueryResult<_>>()?;
    share.into_share(rows).map(Some)
}

/// Writes what changes nothing for anybody.
pub(super) fn check(connection: &mut SqliteConnection, at: i64) -> QueryResult<()> {
    diesel::replace_into(checks::table)
        .values((checks::id.eq(1), checks::at.eq(at)))
        .execute(connection)
        .map(|_| ())
}

/// A token that is presented.
pub(super) fn token(
    connection: &mut SqliteConnection,
    hash: &SecretHash,
) -> QueryResult<Option<CreateToken>> {
    create_tokens::table
        .filter(create_tokens::hash.eq(hash.as_bytes()))
        .select(CreateToken::as_select())
        .first(connection)
        .optional()
}
