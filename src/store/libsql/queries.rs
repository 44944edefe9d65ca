//! Every statement that touches the tables, but for those that write groups.

use std::collections::HashMap;

use super::connect::{Failure, Link};
use super::hrana::{Arg, Batch, Columns, Step, StepResult};
use crate::model::{Life, Row, SecretHash, ShareId};
use crate::redact::Digest;
use crate::store::CreateToken;
use crate::store::names::{self, Names, Naming, OVERHEAD};
use crate::store::records::{
    Added, Amendment, Created, Deletions, End, Head, Heads, NewShare, SHARE_OVERHEAD, ShareHead, ShareRow,
    StoredHead, StoredShare, heads_by_num, lock_text, read, signed, unsigned,
};
use crate::store::tries::Tries;

/// Rows that one step of a purge deletes at the most, so that none is long.
const PURGE_ROWS: i64 = 4000;

/// Bytes after which a step of a purge ends.
const PURGE_BYTES: i64 = 4 << 20;

/// How often what stands on what was read is made anew because another process was first.
const WRITE_TRIES: usize = 20;

/// The columns of a share, as `share_row` reads them.
const SHARE: &str =
    "num, secret_hash, epoch, seq, writer, size, created_at, updated_at, deleted_at, expires_at, lock";

/// What is given of one statement.
async fn one(link: &Link, sql: &str, args: impl Into<Vec<Arg<'_>>>) -> Result<StepResult, Failure> {
    Ok(link.read(&Batch::one(Step::new(sql, args.into()))).await?.remove(0))
}

/// How many rows one statement changed, which may be done twice.
async fn change(link: &Link, sql: &str, args: impl Into<Vec<Arg<'_>>>) -> Result<u64, Failure> {
    let done = link.write_again(&Batch::one(Step::new(sql, args.into()))).await?;
    Ok(done.first().map_or(0, |result| result.affected_row_count))
}

/// The first column of the first row, a number.
async fn number(link: &Link, sql: &str, args: impl Into<Vec<Arg<'_>>>) -> Result<Option<i64>, Failure> {
    let rows = one(link, sql, args).await?.rows;
    Ok(rows.into_iter().next().map(|row| Columns::of(row).next::<Option<i64>>()).transpose()?.flatten())
}

fn share_row(columns: &mut Columns) -> Result<ShareRow, Failure> {
    Ok(ShareRow {
        num: columns.next()?,
        secret_hash: columns.next()?,
        epoch: columns.next()?,
        seq: columns.next()?,
        writer: columns.next()?,
        size: columns.next()?,
        created_at: columns.next()?,
        updated_at: columns.next()?,
        deleted_at: columns.next()?,
        expires_at: columns.next()?,
        lock: columns.next()?,
    })
}

/// The key under which values are digested, made by whoever comes first.
pub(super) async fn naming(link: &Link) -> Result<Naming, Failure> {
    let key = Naming::new_key().map_err(|error| Failure::Refused(error.to_string()))?;
    let put = "INSERT INTO redaction_key (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING";
    change(link, put, [Arg::Blob(&key)]).await?;
    let key = one(link, "SELECT key FROM redaction_key WHERE id = 1", []).await?.rows.into_iter().next();
    let key: Vec<u8> = Columns::of(key.unwrap_or_default()).next()?;
    Ok(Naming::new(&key))
}

/// Whether a commit is on the disk when it is answered.
pub(super) async fn is_synchronous(link: &Link) -> Result<bool, Failure> {
    /// `FULL`
    const FULL: i64 = 2;
    Ok(number(link, "PRAGMA synchronous", []).await?.is_none_or(|level| level >= FULL))
}

/// Most bytes of a value that the database takes, as far as it is of interest here: up to a limit.
pub(super) async fn max_value(link: &Link, limit: i64) -> Result<i64, Failure> {
    let (mut takes, mut refuses) = (0, limit + 1);
    while takes + 1 < refuses {
        let bytes = takes.midpoint(refuses);
        match one(link, "SELECT length(zeroblob(?))", [Arg::Integer(bytes)]).await {
            Ok(_) => takes = bytes,
            Err(Failure::Refused(_)) => refuses = bytes,
            Err(failure) => return Err(failure),
        }
    }
    Ok(takes)
}

/// Stores a share, when its token has not as many as it may have: in one statement, so that creates at the same time
/// do not pass the limit together.
pub(super) async fn create(link: &Link, share: &NewShare) -> Result<Created, Failure> {
    let create = "INSERT INTO shares \
        (id, session_id, secret_hash, epoch, created_at, updated_at, expires_at, token_num, lock) \
        SELECT ?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8 WHERE NOT EXISTS (SELECT 1 FROM create_tokens t \
        WHERE t.num = ?7 AND t.max_shares <= \
        (SELECT count(*) FROM shares WHERE token_num = ?7 AND deleted_at IS NULL))";
    let lock = lock_text(&share.lock);
    let args = [
        Arg::Text(share.id.as_str()),
        Arg::Text(&share.session_id),
        Arg::Blob(share.secret_hash.as_bytes()),
        Arg::Text(&share.epoch),
        Arg::Integer(share.at),
        Arg::MaybeInteger(share.expires_at),
        Arg::MaybeInteger(share.token),
        Arg::MaybeText(lock.as_deref()),
    ];
    // Not twice: it has its id already then.
    let done = link.write(&Batch::one(Step::new(create, args))).await?;
    let created = done.first().is_some_and(|result| result.affected_row_count == 1);
    Ok(if created { Created::Yes } else { Created::TooManyOfToken })
}

/// The heads of some shares, but for those that are deleted.
pub(super) async fn confirm(link: &Link, nums: &[i64]) -> Result<HashMap<i64, Head>, Failure> {
    let nums = serde_json::to_string(nums).unwrap_or_default();
    let living = "SELECT s.num, s.seq, s.writer FROM json_each(?) w CROSS JOIN shares s ON s.num = w.value \
                  WHERE s.deleted_at IS NULL";
    let rows = one(link, living, [Arg::Text(&nums)]).await?.rows.into_iter().map(|row| {
        let mut row = Columns::of(row);
        Ok((row.next()?, row.next()?, row.next()?))
    });
    Ok(heads_by_num(rows.collect::<Result<_, Failure>>()?))
}

/// A share's record.
pub(super) async fn head(link: &Link, id: ShareId) -> Result<Option<StoredHead>, Failure> {
    let share = format!("SELECT {SHARE} FROM shares WHERE id = ?");
    let row = one(link, &share, [Arg::Text(id.as_str())]).await?.rows.into_iter().next();
    row.map(|row| Ok(share_row(&mut Columns::of(row))?.into_head(id)?)).transpose()
}

/// A share and some of its rows, at one moment.
#[derive(Default)]
struct Gathered {
    share: Option<ShareRow>,
    rows: Vec<Row>,
    /// Whether the rows are of no use.
    without: bool,
}

/// Gathers the share that is found, and those of its items that are newer than a position, in the order in which they
/// first came, unless `without` says that they are of no use.
async fn gather(
    link: &Link,
    (found, arg): (&str, Arg<'_>),
    after: i64,
    without: impl Fn(&ShareRow) -> bool,
) -> Result<Gathered, Failure> {
    let share = format!("SELECT {SHARE} FROM shares WHERE {found}");
    let items = format!(
        "SELECT key, content, seq FROM share_data \
         WHERE share_num = (SELECT num FROM shares WHERE {found} AND deleted_at IS NULL) AND seq > ?2 ORDER BY id"
    );
    let steps = vec![Step::new(&share, [arg]), Step::new(&items, [arg, Arg::Integer(after)])];
    link.rows(&Batch::transaction("BEGIN", steps), |gathered: &mut Gathered, step, row| {
        let mut row = Columns::of(row);
        if step == 1 {
            let share = share_row(&mut row)?;
            gathered.without = without(&share);
            gathered.share = Some(share);
        } else if !gathered.without {
            gathered.rows.push(read((row.next()?, row.next()?, row.next()?))?);
        }
        Ok(())
    })
    .await
}

/// What was added to a share after a position; `None` when it is deleted.
pub(super) async fn since(link: &Link, num: i64, after: u64) -> Result<Option<Added>, Failure> {
    let gathered = gather(link, ("num = ?1", Arg::Integer(num)), signed(after), ShareRow::is_deleted).await?;
    let share = gathered.share.filter(|share| !share.is_deleted());
    Ok(share.map(|share| share.into_added(gathered.rows)).transpose()?)
}

/// A share with its content, but for one that `ended` says is over.
pub(super) async fn load(
    link: &Link,
    id: &ShareId,
    ended: impl Fn(Life) -> bool,
) -> Result<Option<StoredShare>, Failure> {
    let without = |share: &ShareRow| share.is_deleted() || ended(share.life());
    let Gathered { share, rows, .. } = gather(link, ("id = ?1", Arg::Text(id.as_str())), -1, without).await?;
    Ok(share.map(|share| share.into_share(rows)).transpose()?)
}

/// Gives a share another epoch, and a head that nobody knows.
pub(super) async fn renew_epoch(link: &Link, num: i64, old: &str, new: &str) -> Result<(), Failure> {
    let renew = "UPDATE shares SET epoch = ?3, writer = writer - 1 \
                 WHERE num = ?1 AND epoch = ?2 AND deleted_at IS NULL";
    change(link, renew, [Arg::Integer(num), Arg::Text(old), Arg::Text(new)]).await.map(|_| ())
}

/// Changes a living share beside its items, and moves its head on to one that nobody knows; gives its position.
pub(super) async fn amend(link: &Link, num: i64, amendment: &Amendment) -> Result<Option<u64>, Failure> {
    let amend = "UPDATE shares SET lock = CASE ?2 WHEN 1 THEN ?3 ELSE lock END, \
        expires_at = CASE ?4 WHEN 1 THEN ?5 ELSE expires_at END, seq = seq + 1, writer = writer - 1 \
        WHERE num = ?1 AND deleted_at IS NULL RETURNING seq";
    let lock = amendment.lock.as_ref().and_then(lock_text);
    let args = [
        Arg::Integer(num),
        Arg::Integer(amendment.lock.is_some().into()),
        Arg::MaybeText(lock.as_deref()),
        Arg::Integer(amendment.end.is_some().into()),
        Arg::MaybeInteger(amendment.end.and_then(End::time)),
    ];
    let done = link.write_again(&Batch::one(Step::new(amend, args))).await?;
    let row = done.into_iter().next().and_then(|result| result.rows.into_iter().next());
    row.map(|row| Ok(unsigned(Columns::of(row).next()?))).transpose()
}

/// Counts a try of a share's lock, or says when the next one may come. What other processes count at the same time is
/// seen by what was counted before.
pub(super) async fn count_try(link: &Link, num: i64, at: i64) -> Result<Result<(), i64>, Failure> {
    for _ in 0..WRITE_TRIES {
        let counted = "SELECT since, count FROM tries WHERE share_num = ?";
        let row = one(link, counted, [Arg::Integer(num)]).await?.rows.into_iter().next();
        let counted = row.map(|row| {
            let mut row = Columns::of(row);
            Ok::<_, Failure>(Tries { since: row.next()?, count: row.next()? })
        });
        let counted = counted.transpose()?;
        let Tries { since, count } = match Tries::one_more(counted, at) {
            Ok(tries) => tries,
            Err(until) => return Ok(Err(until)),
        };
        let before = counted.unwrap_or(Tries { since: 0, count: 0 });
        let put = "INSERT INTO tries (share_num, since, count) VALUES (?1, ?2, ?3) ON CONFLICT (share_num) \
            DO UPDATE SET since = excluded.since, count = excluded.count WHERE since = ?4 AND count = ?5";
        let args = [num, since, count, before.since, before.count].map(Arg::Integer);
        let done = link.write(&Batch::one(Step::new(put, args))).await?;
        if done.first().is_some_and(|result| result.affected_row_count > 0) {
            return Ok(Ok(()));
        }
    }
    Err(Failure::Busy)
}

/// Takes a counted try back.
pub(super) async fn forget_try(link: &Link, num: i64) -> Result<(), Failure> {
    let forget = "UPDATE tries SET count = count - 1 WHERE share_num = ? AND count > 0";
    link.write(&Batch::one(Step::new(forget, [Arg::Integer(num)]))).await.map(|_| ())
}

/// Ends a share for everybody, unless it was changed since `updated_at`, when that is given. Tells whether it did. Its
/// content goes by `purge`, step by step.
pub(super) async fn mark_deleted(
    link: &Link,
    num: i64,
    updated_at: Option<i64>,
    at: i64,
) -> Result<bool, Failure> {
    let delete = "UPDATE shares SET deleted_at = ?3, session_id = '', lock = NULL, \
        deletion = (SELECT coalesce(max(deletion), 0) + 1 FROM shares) \
        WHERE num = ?1 AND deleted_at IS NULL AND updated_at = coalesce(?2, updated_at)";
    let args = [Arg::Integer(num), Arg::MaybeInteger(updated_at), Arg::Integer(at)];
    Ok(change(link, delete, args).await? == 1)
}

/// Whether a share is deleted and not purged; what it takes then, in bytes.
pub(super) async fn to_purge(link: &Link, num: i64) -> Result<Option<i64>, Failure> {
    let size = "SELECT size FROM shares WHERE num = ? AND deleted_at IS NOT NULL AND purged_at IS NULL";
    number(link, size, [Arg::Integer(num)]).await
}

/// Deletes some of a deleted share's content. Tells whether there may be more.
pub(super) async fn purge(link: &Link, num: i64) -> Result<bool, Failure> {
    let names = "DELETE FROM redactions WHERE share_num = ?";
    // The first rows, up to the one with which they are enough bytes.
    let items = "DELETE FROM share_data WHERE id IN (SELECT id FROM (SELECT id, \
        coalesce(sum(coalesce(octet_length(content), 0)) \
            OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before \
        FROM share_data WHERE share_num = ?1 ORDER BY id LIMIT ?2) WHERE before < ?3)";
    let args = [Arg::Integer(num), Arg::Integer(PURGE_ROWS), Arg::Integer(PURGE_BYTES)];
    let of_share = |sql| Step::new(sql, [Arg::Integer(num)]);
    let tries = "DELETE FROM tries WHERE share_num = ?";
    let steps = vec![of_share(names), of_share(tries), Step::new(items, args)];
    let done = link.write_again(&Batch::transaction("BEGIN IMMEDIATE", steps)).await?;
    Ok(done.get(3).is_some_and(|result| result.affected_row_count > 0))
}

/// A deleted share's content is gone. Tells whether it was this that noted it.
pub(super) async fn mark_purged(link: &Link, num: i64, at: i64) -> Result<bool, Failure> {
    let purged = "UPDATE shares SET size = 0, purged_at = ?2 \
                  WHERE num = ?1 AND deleted_at IS NOT NULL AND purged_at IS NULL";
    Ok(change(link, purged, [Arg::Integer(num), Arg::Integer(at)]).await? == 1)
}

/// The numbers of some deleted shares whose content is not gone, the lowest above `after`.
pub(super) async fn unpurged(link: &Link, after: i64, limit: i64) -> Result<Vec<i64>, Failure> {
    let some = "SELECT num FROM shares WHERE deleted_at IS NOT NULL AND purged_at IS NULL AND num > ? \
                ORDER BY num LIMIT ?";
    let rows = one(link, some, [Arg::Integer(after), Arg::Integer(limit)]).await?.rows;
    Ok(rows.into_iter().map(|row| Columns::of(row).next()).collect::<Result<_, _>>()?)
}

/// Forgets some shares that were deleted before a time and are purged; gives how many. The last deletion stays, so that
/// no number of a deletion is given twice.
pub(super) async fn forget(link: &Link, before: i64, limit: i64) -> Result<usize, Failure> {
    let forget = "DELETE FROM shares WHERE num IN (SELECT num FROM shares \
        WHERE deleted_at < ?1 AND purged_at IS NOT NULL \
        AND (deletion IS NULL OR deletion < (SELECT max(deletion) FROM shares)) LIMIT ?2)";
    let forgotten = change(link, forget, [Arg::Integer(before), Arg::Integer(limit)]).await?;
    Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
}

/// Some shares that are not deleted, with numbers above `after`, in the order of these.
pub(super) async fn heads(link: &Link, after: i64, limit: i64) -> Result<Heads, Failure> {
    let alive =
        format!("SELECT {SHARE} FROM shares WHERE num > ? AND deleted_at IS NULL ORDER BY num LIMIT ?");
    let rows = one(link, &alive, [Arg::Integer(after), Arg::Integer(limit)]).await?.rows;
    let heads = rows.into_iter().map(|row| {
        let share = share_row(&mut Columns::of(row))?;
        Ok(ShareHead { num: share.num(), life: share.life() })
    });
    let heads: Vec<_> = heads.collect::<Result<_, Failure>>()?;
    let last = heads.last().map(|head| head.num);
    Ok(Heads { heads, last, damaged: Vec::new() })
}

/// The number of the last deletion; 0 before the first.
pub(super) async fn last_deletion(link: &Link) -> Result<i64, Failure> {
    Ok(number(link, "SELECT max(deletion) FROM shares", []).await?.unwrap_or(0))
}

/// Some shares that were deleted after the deletion of the number `after`, in their order.
pub(super) async fn deletions(link: &Link, after: i64, limit: i64) -> Result<Deletions, Failure> {
    let some = "SELECT deletion, id FROM shares WHERE deletion > ? ORDER BY deletion LIMIT ?";
    let rows = one(link, some, [Arg::Integer(after), Arg::Integer(limit)]).await?.rows;
    let (mut shares, mut last) = (Vec::new(), after);
    for row in rows {
        let mut row = Columns::of(row);
        last = row.next()?;
        shares.extend(row.next::<String>()?.parse());
    }
    Ok(Deletions { shares, last })
}

/// Bytes that all shares take, as a limit on them counts, and those of the whole database.
pub(super) async fn sizes(link: &Link) -> Result<(u64, u64), Failure> {
    let sizes = "SELECT (SELECT coalesce(sum(?1 + octet_length(session_id) + size), 0) FROM shares) \
        + ?2 * (SELECT count(*) FROM redactions), \
        (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())";
    let row = one(link, sizes, [Arg::Integer(SHARE_OVERHEAD), Arg::Integer(OVERHEAD)]).await?.rows;
    let mut row = Columns::of(row.into_iter().next().unwrap_or_default());
    Ok((unsigned(row.next()?), unsigned(row.next()?)))
}

/// The time that has passed for sure.
pub(super) async fn passed_time(link: &Link) -> Result<Option<i64>, Failure> {
    number(link, "SELECT at FROM passed_time WHERE id = 1", []).await
}

pub(super) async fn set_passed_time(link: &Link, at: i64) -> Result<(), Failure> {
    let set = "INSERT OR REPLACE INTO passed_time (id, at) VALUES (1, ?)";
    change(link, set, [Arg::Integer(at)]).await.map(|_| ())
}

/// Writes what changes nothing for anybody.
pub(super) async fn check(link: &Link, at: i64) -> Result<(), Failure> {
    let set = "INSERT OR REPLACE INTO checks (id, at) VALUES (1, ?)";
    change(link, set, [Arg::Integer(at)]).await.map(|_| ())
}

/// A token that is presented.
pub(super) async fn token(link: &Link, hash: &SecretHash) -> Result<Option<CreateToken>, Failure> {
    let token = format!("SELECT {TOKEN} FROM create_tokens WHERE hash = ?");
    let row = one(link, &token, [Arg::Blob(hash.as_bytes())]).await?.rows.into_iter().next();
    row.map(|row| create_token(&mut Columns::of(row))).transpose()
}

/// The columns of a token, as `create_token` reads them.
pub(super) const TOKEN: &str = "num, name, create_limit, max_shares, created_at, expires_at, revoked_at";

pub(super) fn create_token(columns: &mut Columns) -> Result<CreateToken, Failure> {
    Ok(CreateToken {
        num: columns.next()?,
        name: columns.next()?,
        create_limit: columns.next()?,
        max_shares: columns.next()?,
        created_at: columns.next()?,
        expires_at: columns.next()?,
        revoked_at: columns.next()?,
    })
}

/// The names that the values of a living share have; `None` when there is no such share.
async fn names(link: &Link, share: &ShareId) -> Result<Option<Names>, Failure> {
    let names = "SELECT r.digest, r.kind, r.n FROM shares s LEFT JOIN redactions r ON r.share_num = s.num \
                 WHERE s.id = ? AND s.deleted_at IS NULL";
    let found = one(link, names, [Arg::Text(share.as_str())]).await?.rows;
    if found.is_empty() {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for row in found {
        let mut row = Columns::of(row);
        // A share without names is one row without a name.
        if let Some(digest) = row.next::<Option<Vec<u8>>>()? {
            rows.push((digest, row.next()?, row.next()?));
        }
    }
    Ok(Some(names::read(rows)))
}

/// Gives those values a name that have none, by their kinds; with how many got one, or `None` when there is no such
/// share. What another process named meanwhile is read, and the others are named anew: names are put only beside as
/// many as were read.
pub(super) async fn name(
    link: &Link,
    share: &ShareId,
    values: &[(Digest, String)],
) -> Result<Option<(Names, i64)>, Failure> {
    let put = "INSERT INTO redactions (share_num, digest, kind, n) \
        SELECT s.num, unhex(r.value ->> 0), r.value ->> 1, r.value ->> 2 FROM json_each(?2) r \
        CROSS JOIN shares s WHERE s.id = ?1 AND s.deleted_at IS NULL \
        AND (SELECT count(*) FROM redactions WHERE share_num = s.num) = ?3";
    for _ in 0..WRITE_TRIES {
        let Some(mut known) = names(link, share).await? else { return Ok(None) };
        let before = i64::try_from(known.len()).unwrap_or(i64::MAX);
        let added = names::add(&mut known, values);
        let rows: Vec<_> = added
            .iter()
            .map(|(digest, name)| (data_encoding::HEXLOWER.encode(digest), &name.kind, name.number))
            .collect();
        if rows.is_empty() {
            return Ok(Some((known, 0)));
        }
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        let args = [Arg::Text(share.as_str()), Arg::Text(&rows), Arg::Integer(before)];
        match link.write(&Batch::one(Step::new(put, args))).await {
            Ok(done) if done.first().is_some_and(|result| result.affected_row_count > 0) => {
                return Ok(Some((known, i64::try_from(added.len()).unwrap_or(i64::MAX))));
            }
            // Others were named meanwhile, or it is not known whether these are: that will be read.
            Ok(_) | Err(Failure::Constraint | Failure::Unknown(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::Busy)
}
