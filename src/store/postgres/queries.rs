//! Every statement that touches the tables.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::upsert::excluded;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;

use super::group::WriteGroup;
use super::schema::{last_deletion, share_data};
use crate::model::{Life, Row, SecretHash, ShareId};
use crate::redact::Digest;
use crate::store::CreateToken;
use crate::store::group::Group;
use crate::store::moving::UNFINISHED;
use crate::store::names::{self, Names, Naming, OVERHEAD};
use crate::store::records::{
    Added, Amendment, Created, Deletions, Head, Heads, NewShare, SHARE_OVERHEAD, ShareHead, ShareRow,
    StoredHead, StoredRow, StoredShare, heads_by_num, lock_text, of_epoch, read, signed, unsigned,
};
use crate::store::schema::{checks, create_tokens, passed_time, redaction_key, redactions, shares, tries};
use crate::store::tokens::living_shares;
use crate::store::tries::Tries;

/// Rows that one step of a purge deletes at the most, so that none is long.
const PURGE_ROWS: i64 = 4000;

/// The key under which values are digested, made by whoever comes first.
pub(super) async fn naming(connection: &mut AsyncPgConnection) -> QueryResult<Naming> {
    let key =
        Naming::new_key().map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    diesel::insert_into(redaction_key::table)
        .values((redaction_key::id.eq(1), redaction_key::key.eq(key)))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    let key: Vec<u8> = redaction_key::table.find(1).select(redaction_key::key).first(connection).await?;
    Ok(Naming::new(&key))
}

/// Whether shares are being moved into the database.
pub(super) async fn is_unfinished(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    let mark = format!("to_regclass('{UNFINISHED}') IS NOT NULL");
    diesel::select(sql::<Bool>(&mark)).first(connection).await
}

/// The settings that are off and without which a commit is not on the disk when it is answered.
pub(super) async fn unsafe_settings(connection: &mut AsyncPgConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let off = "SELECT name FROM pg_settings \
               WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'";
    let off: Vec<Setting> = diesel::sql_query(off).load(connection).await?;
    Ok(off.into_iter().map(|setting| setting.name).collect())
}

/// Stores a share, when its token has not as many as it may have.
pub(super) async fn create(connection: &mut AsyncPgConnection, share: NewShare) -> QueryResult<Created> {
    let insert = diesel::insert_into(shares::table).values(share.row());
    let Some(token) = share.token else {
        insert.execute(connection).await?;
        return Ok(Created::Yes);
    };
    connection
        .transaction(async |connection| {
            // Locked, so that creates at the same time do not pass the limit together.
            let limit = create_tokens::table.find(token).select(create_tokens::max_shares).for_update();
            let limit: Option<i64> = limit.first(connection).await?;
            if let Some(limit) = limit
                && living_shares(token).count().get_result::<i64>(connection).await? >= limit
            {
                return Ok(Created::TooManyOfToken);
            }
            insert.execute(connection).await?;
            Ok(Created::Yes)
        })
        .await
}

/// Writes a group; gives the numbers of the shares of which it took effect.
pub(super) async fn write(connection: &mut AsyncPgConnection, group: &Group) -> QueryResult<Vec<i64>> {
    WriteGroup::of(group).load(connection).await
}

/// The heads of some shares, but for those that are deleted.
pub(super) async fn confirm(
    connection: &mut AsyncPgConnection,
    nums: &[i64],
) -> QueryResult<HashMap<i64, Head>> {
    let living = shares::table.filter(shares::num.eq_any(nums)).filter(shares::deleted_at.is_null());
    Ok(heads_by_num(living.select((shares::num, shares::seq, shares::writer)).load(connection).await?))
}

/// A share's record.
pub(super) async fn head(connection: &mut AsyncPgConnection, id: ShareId) -> QueryResult<Option<StoredHead>> {
    let share = shares::table.filter(shares::id.eq(id.as_str())).select(ShareRow::as_select());
    let share = share.first(connection).await.optional()?;
    share.map(|share| share.into_head(id)).transpose()
}

/// What was added to a share after a position, at one moment; `None` when it is deleted. One statement, for that sees
/// one moment too and takes one round trip: viewers wait for it.
pub(super) async fn since(
    connection: &mut AsyncPgConnection,
    num: i64,
    after: u64,
) -> QueryResult<Option<Added>> {
    let newer = share_data::share_num.eq(shares::num).and(share_data::seq.gt(signed(after)));
    let found = shares::table
        .left_join(share_data::table.on(newer))
        .filter(shares::num.eq(num))
        .filter(shares::deleted_at.is_null())
        .order(share_data::arrived)
        .select((ShareRow::as_select(), (share_data::key, share_data::content, share_data::seq).nullable()));
    let mut found = found.load_stream::<(ShareRow, Option<StoredRow>)>(connection).await?;
    let (mut share, mut rows) = (None, Vec::new());
    while let Some((of, row)) = found.try_next().await? {
        share = Some(of);
        rows.extend(row.map(read).transpose()?);
    }
    share.map(|share| share.into_added(rows)).transpose()
}

/// A share with its content, at one moment, but for one that `ended` says is over.
pub(super) async fn load(
    connection: &mut AsyncPgConnection,
    id: ShareId,
    ended: impl Fn(Life) -> bool + Send + Sync,
) -> QueryResult<Option<StoredShare>> {
    connection
        .build_transaction()
        .repeatable_read()
        .read_only()
        .run(async |connection| {
            let share = shares::table.filter(shares::id.eq(id.as_str())).select(ShareRow::as_select());
            let Some(share) = share.first(connection).await.optional()? else { return Ok(None) };
            let gone = share.is_deleted() || ended(share.life());
            let rows = if gone { Vec::new() } else { rows_after(connection, share.num(), -1).await? };
            share.into_share(rows).map(Some)
        })
        .await
}

/// A share's rows that are newer than a position, in the order in which they first came. They are read one by one: all
/// of them are in memory once.
async fn rows_after(connection: &mut AsyncPgConnection, num: i64, after: i64) -> QueryResult<Vec<Row>> {
    let rows = share_data::table
        .filter(share_data::share_num.eq(num))
        .filter(share_data::seq.gt(after))
        .order(share_data::arrived)
        .select((share_data::key, share_data::content, share_data::seq));
    let rows = rows.load_stream::<StoredRow>(connection).await?;
    rows.and_then(async |row| read(row)).try_collect().await
}

/// Changes a living share beside its items, and moves its head on to one that nobody knows; gives its position.
pub(super) async fn amend(
    connection: &mut AsyncPgConnection,
    num: i64,
    amendment: Amendment,
) -> QueryResult<Option<u64>> {
    let living = || shares::table.filter(shares::num.eq(num)).filter(shares::deleted_at.is_null());
    connection
        .transaction(async |connection| {
            let moved = diesel::update(living())
                .set((shares::seq.eq(shares::seq + 1), shares::writer.eq(shares::writer - 1)))
                .returning(shares::seq);
            let seq: Option<i64> = moved.get_result(connection).await.optional()?;
            if let Some(lock) = &amendment.lock {
                diesel::update(living()).set(shares::lock.eq(lock_text(lock))).execute(connection).await?;
            }
            if let Some(end) = amendment.end {
                diesel::update(living()).set(shares::expires_at.eq(end.time())).execute(connection).await?;
            }
            Ok(seq.map(unsigned))
        })
        .await
}

/// Counts a try of a share's lock, or says when the next one may come.
pub(super) async fn count_try(
    connection: &mut AsyncPgConnection,
    num: i64,
    at: i64,
) -> QueryResult<Result<(), i64>> {
    connection
        .transaction(async |connection| {
            diesel::insert_into(tries::table)
                .values((tries::share_num.eq(num), tries::since.eq(at), tries::count.eq(0)))
                .on_conflict_do_nothing()
                .execute(connection)
                .await?;
            // Locked: other processes count too.
            let counted = tries::table.find(num).select((tries::since, tries::count)).for_update();
            let counted: Option<(i64, i64)> = counted.first(connection).await.optional()?;
            let counted = counted.map(|(since, count)| Tries { since, count });
            let Tries { since, count } = match Tries::one_more(counted, at) {
                Ok(tries) => tries,
                Err(until) => return Ok(Err(until)),
            };
            diesel::update(tries::table.find(num))
                .set((tries::since.eq(since), tries::count.eq(count)))
                .execute(connection)
                .await?;
            Ok(Ok(()))
        })
        .await
}

/// Takes a counted try back.
pub(super) async fn forget_try(connection: &mut AsyncPgConnection, num: i64) -> QueryResult<()> {
    diesel::update(tries::table.find(num).filter(tries::count.gt(0)))
        .set(tries::count.eq(tries::count - 1))
        .execute(connection)
        .await
        .map(|_| ())
}

/// Gives a share another epoch, and a head that nobody knows.
pub(super) async fn renew_epoch(
    connection: &mut AsyncPgConnection,
    num: i64,
    old: String,
    new: String,
) -> QueryResult<()> {
    diesel::update(of_epoch(num, &old))
        .set((shares::epoch.eq(new), shares::writer.eq(shares::writer - 1)))
        .execute(connection)
        .await
        .map(|_| ())
}

/// Ends a share for everybody, unless it was changed since `updated_at`, when that is given. Tells whether it did. Its
/// content goes by `purge`, step by step.
pub(super) async fn mark_deleted(
    connection: &mut AsyncPgConnection,
    num: i64,
    updated_at: Option<i64>,
    at: i64,
) -> QueryResult<bool> {
    connection
        .transaction(async |connection| {
            let living = shares::table.filter(shares::num.eq(num)).filter(shares::deleted_at.is_null());
            let living = living.select(shares::num).for_update();
            let found: Option<i64> = match updated_at {
                None => living.first(connection).await.optional()?,
                // What another process has locked it ends, or a sync changes it.
                Some(updated_at) => {
                    let unchanged = living.filter(shares::updated_at.eq(updated_at)).skip_locked();
                    unchanged.first(connection).await.optional()?
                }
            };
            if found.is_none() {
                return Ok(false);
            }
            let count = diesel::update(last_deletion::table.find(1))
                .set(last_deletion::deletion.eq(last_deletion::deletion + 1))
                .returning(last_deletion::deletion);
            let deletion: i64 = count.get_result(connection).await?;
            diesel::update(shares::table.find(num))
                .set((
                    shares::deleted_at.eq(at),
                    shares::deletion.eq(deletion),
                    shares::session_id.eq(""),
                    shares::lock.eq(None::<String>),
                ))
                .execute(connection)
                .await?;
            Ok(true)
        })
        .await
}

/// Deletes some of a deleted share's content. Tells whether there may be more.
pub(super) async fn purge(connection: &mut AsyncPgConnection, num: i64) -> QueryResult<bool> {
    connection
        .transaction(async |connection| {
            // Locked: another process may be at it too.
            let to_purge = to_purge(num).select(shares::num).for_update();
            if to_purge.first::<i64>(connection).await.optional()?.is_none() {
                return Ok(false);
            }
            diesel::delete(redactions::table.filter(redactions::share_num.eq(num)))
                .execute(connection)
                .await?;
            diesel::delete(tries::table.find(num)).execute(connection).await?;
            let some = share_data::table
                .filter(share_data::share_num.eq(num))
                .select(share_data::key)
                .limit(PURGE_ROWS);
            let some: Vec<String> = some.load(connection).await?;
            let of_share = share_data::table.filter(share_data::share_num.eq(num));
            let deleted =
                diesel::delete(of_share.filter(share_data::key.eq_any(some))).execute(connection).await?;
            Ok(i64::try_from(deleted).is_ok_and(|deleted| deleted == PURGE_ROWS))
        })
        .await
}

/// Whether a share is deleted and not purged.
pub(super) async fn is_to_purge(connection: &mut AsyncPgConnection, num: i64) -> QueryResult<bool> {
    to_purge(num).count().get_result::<i64>(connection).await.map(|count| count == 1)
}

/// A deleted share's content is gone; gives what it took, in bytes.
pub(super) async fn mark_purged(connection: &mut AsyncPgConnection, num: i64, at: i64) -> QueryResult<u64> {
    connection
        .transaction(async |connection| {
            let size = to_purge(num).select(shares::size).for_update();
            let size: Option<i64> = size.first(connection).await.optional()?;
            diesel::update(shares::table.find(num))
                .filter(shares::purged_at.is_null())
                .set((shares::size.eq(0), shares::purged_at.eq(at)))
                .execute(connection)
                .await?;
            Ok(unsigned(size.unwrap_or(0)))
        })
        .await
}

#[diesel::dsl::auto_type]
fn to_purge(num: i64) -> _ {
    shares::table
        .filter(shares::num.eq(num))
        .filter(shares::deleted_at.is_not_null())
        .filter(shares::purged_at.is_null())
}

/// The numbers of some deleted shares whose content is not gone, the lowest above `after`.
pub(super) async fn unpurged(
    connection: &mut AsyncPgConnection,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<i64>> {
    shares::table
        .filter(shares::deleted_at.is_not_null())
        .filter(shares::purged_at.is_null())
        .filter(shares::num.gt(after))
        .order(shares::num)
        .limit(limit)
        .select(shares::num)
        .load(connection)
        .await
}

/// Forgets some shares that were deleted before a time and are purged; gives how many. Those that another process is
/// forgetting are left to it.
pub(super) async fn forget(
    connection: &mut AsyncPgConnection,
    before: i64,
    limit: i64,
) -> QueryResult<usize> {
    connection
        .transaction(async |connection| {
            let old = shares::table
                .filter(shares::deleted_at.lt(before))
                .filter(shares::purged_at.is_not_null())
                .limit(limit)
                .select(shares::num)
                .for_update()
                .skip_locked();
            let old: Vec<i64> = old.load(connection).await?;
            diesel::delete(shares::table.filter(shares::num.eq_any(old))).execute(connection).await
        })
        .await
}

/// Some shares that are not deleted, with numbers above `after`, in the order of these.
pub(super) async fn heads(connection: &mut AsyncPgConnection, after: i64, limit: i64) -> QueryResult<Heads> {
    let alive = shares::table.filter(shares::num.gt(after)).filter(shares::deleted_at.is_null());
    let rows: Vec<ShareRow> =
        alive.order(shares::num).limit(limit).select(ShareRow::as_select()).load(connection).await?;
    let heads: Vec<_> = rows.iter().map(|row| ShareHead { num: row.num(), life: row.life() }).collect();
    let last = heads.last().map(|head| head.num);
    Ok(Heads { heads, last, damaged: Vec::new() })
}

/// The number of the last deletion; 0 before the first.
pub(super) async fn last_deletion(connection: &mut AsyncPgConnection) -> QueryResult<i64> {
    last_deletion::table.find(1).select(last_deletion::deletion).first(connection).await
}

/// Some shares that were deleted after the deletion of the number `after`, in their order.
pub(super) async fn deletions(
    connection: &mut AsyncPgConnection,
    after: i64,
    limit: i64,
) -> QueryResult<Deletions> {
    let rows: Vec<(Option<i64>, String)> = shares::table
        .filter(shares::deletion.gt(after))
        .order(shares::deletion)
        .limit(limit)
        .select((shares::deletion, shares::id))
        .load(connection)
        .await?;
    let last = rows.last().and_then(|(deletion, _)| *deletion).unwrap_or(after);
    Ok(Deletions { shares: rows.into_iter().filter_map(|(_, id)| id.parse().ok()).collect(), last })
}

/// Bytes that all shares take, as a limit on them counts, and those of the whole database.
pub(super) async fn sizes(connection: &mut AsyncPgConnection) -> QueryResult<(u64, u64)> {
    let names: i64 = redactions::table.count().get_result(connection).await?;
    let sum = format!("sum({SHARE_OVERHEAD} + octet_length(session_id) + size)::bigint");
    let total: Option<i64> = shares::table.select(sql::<Nullable<BigInt>>(&sum)).first(connection).await?;
    let database = diesel::select(sql::<BigInt>("pg_database_size(current_database())"));
    let database: i64 = database.get_result(connection).await?;
    let content = unsigned(total.unwrap_or(0)).saturating_add(unsigned(names.saturating_mul(OVERHEAD)));
    Ok((content, unsigned(database)))
}

/// The time that has passed for sure.
pub(super) async fn passed_time(connection: &mut AsyncPgConnection) -> QueryResult<Option<i64>> {
    passed_time::table.find(1).select(passed_time::at).first(connection).await.optional()
}

pub(super) async fn set_passed_time(connection: &mut AsyncPgConnection, at: i64) -> QueryResult<()> {
    diesel::insert_into(passed_time::table)
        .values((passed_time::id.eq(1), passed_time::at.eq(at)))
        .on_conflict(passed_time::id)
        .do_update()
        .set(passed_time::at.eq(excluded(passed_time::at)))
        .execute(connection)
        .await
        .map(|_| ())
}

/// Writes what changes nothing for anybody.
pub(super) async fn check(connection: &mut AsyncPgConnection, at: i64) -> QueryResult<()> {
    diesel::insert_into(checks::table)
        .values((checks::id.eq(1), checks::at.eq(at)))
        .on_conflict(checks::id)
        .do_update()
        .set(checks::at.eq(excluded(checks::at)))
        .execute(connection)
        .await
        .map(|_| ())
}

/// A token that is presented.
pub(super) async fn token(
    connection: &mut AsyncPgConnection,
    hash: SecretHash,
) -> QueryResult<Option<CreateToken>> {
    create_tokens::table
        .filter(create_tokens::hash.eq(hash.as_bytes()))
        .select(CreateToken::as_select())
        .first(connection)
        .await
        .optional()
}

/// The names that the values of a share have.
pub(super) async fn names(connection: &mut AsyncPgConnection, share: ShareId) -> QueryResult<Names> {
    let rows = redactions::table.inner_join(shares::table).filter(shares::id.eq(share.as_str())).select((
        redactions::digest,
        redactions::kind,
        redactions::n,
    ));
    Ok(names::read(rows.load(connection).await?))
}

/// Gives those values a name that have none, by their kinds; with how many got one. The share is locked meanwhile, so
/// that no two values get the same.
pub(super) async fn name(
    connection: &mut AsyncPgConnection,
    share: ShareId,
    values: Arc<Vec<(Digest, String)>>,
) -> QueryResult<(Names, i64)> {
    connection
        .transaction(async |connection| {
            let living =
                shares::table.filter(shares::id.eq(share.as_str())).filter(shares::deleted_at.is_null());
            let num: i64 = living.select(shares::num).for_update().first(connection).await?;
            let mut known = names(connection, share.clone()).await?;
            let added = names::add(&mut known, &values);
            let rows = added.iter().map(|(digest, name)| {
                (
                    redactions::share_num.eq(num),
                    redactions::digest.eq(&digest[..]),
                    redactions::kind.eq(&name.kind),
                    redactions::n.eq(signed(name.number)),
                )
            });
            diesel::insert_into(redactions::table)
                .values(rows.collect::<Vec<_>>())
                .execute(connection)
                .await?;
            Ok((known, i64::try_from(added.len()).unwrap_or(i64::MAX)))
        })
        .await
}
