//! What the spool's database has of sealed shares.

use std::sync::Arc;

use diesel::prelude::*;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use super::ledger::{LedgerOf, SealedBatch};
use crate::client::schema::{sealed_items, sealed_shares, spool};
use crate::client::spool::Spool;
use crate::sqlite::WriteError;

impl Spool {
    /// What a share's server has; `None` when nothing is known of that.
    pub(super) async fn ledger(
        &self,
        session: String,
        share: String,
    ) -> Result<Option<LedgerOf>, WriteError> {
        self.writer().submit(0, move |connection| ledger(connection, &session, &share)).await
    }

    /// Stores what a share's server has.
    pub(super) async fn keep_ledger(
        &self,
        session: String,
        share: String,
        ledger: LedgerOf,
    ) -> Result<(), WriteError> {
        self.writer()
            .submit(0, move |connection| {
                forget(connection, &session)?;
                let row = (
                    sealed_shares::session_id.eq(&session),
                    sealed_shares::share_id.eq(&share),
                    sealed_shares::version.eq(number(ledger.version)),
                    sealed_shares::models.eq(ledger.models.as_ref().map(|models| models.get())),
                );
                diesel::insert_into(sealed_shares::table).values(row).execute(connection)?;
                ledger
                    .items
                    .iter()
                    .try_for_each(|(item, version)| put_item(connection, &session, item, *version))
            })
            .await
    }

    /// Stores a batch that is about to be sent.
    pub(super) async fn sealed(
        &self,
        session: String,
        share: String,
        version: u64,
        batch: Arc<SealedBatch>,
    ) -> Result<(), WriteError> {
        self.writer()
            .submit(batch.data.get().len(), move |connection| {
                let json = serde_json::to_string(&*batch)
                    .map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
                let of_share = sealed_shares::table.find(&session).filter(sealed_shares::share_id.eq(&share));
                diesel::update(of_share)
                    .set((sealed_shares::version.eq(number(version)), sealed_shares::batch.eq(json)))
                    .execute(connection)
                    .map(|_| ())
            })
            .await
    }

    /// The batch that was under way is on the server: takes its items out of the spool, unless they have changed since.
    pub(super) async fn sealed_arrived(
        &self,
        session: String,
        batch: Arc<SealedBatch>,
    ) -> Result<(), WriteError> {
        self.writer()
            .submit(0, move |connection| {
                for (item, version) in &batch.items {
                    match version {
                        Some(version) => put_item(connection, &session, item, *version)?,
                        None => {
                            diesel::delete(sealed_items::table.find((&session, item))).execute(connection)?;
                        }
                    }
                }
                let of_share = || sealed_shares::table.find(&session);
                if let Some(models) = &batch.models {
                    let list = models.first().map(|list| list.get());
                    diesel::update(of_share()).set(sealed_shares::models.eq(list)).execute(connection)?;
                }
                diesel::update(of_share())
                    .set(sealed_shares::batch.eq(None::<String>))
                    .execute(connection)?;
                take_out(connection, &session, &batch.keys)
            })
            .await
    }

    /// The server refuses the batch that was under way; what is given up of it leaves the spool.
    pub(super) fn sealed_refused(
        &self,
        session: String,
        given_up: Vec<(String, i64)>,
    ) -> BoxFuture<'static, Result<(), WriteError>> {
        self.writer().submit(0, move |connection| {
            diesel::update(sealed_shares::table.find(&session))
                .set(sealed_shares::batch.eq(None::<String>))
                .execute(connection)?;
            take_out(connection, &session, &given_up)
        })
    }
}

/// Takes away what is stored of a session's sealed share.
pub(in crate::client) fn forget(connection: &mut SqliteConnection, session: &str) -> QueryResult<()> {
    diesel::delete(sealed_items::table.filter(sealed_items::session_id.eq(session))).execute(connection)?;
    diesel::delete(sealed_shares::table.find(session)).execute(connection).map(|_| ())
}

fn put_item(connection: &mut SqliteConnection, session: &str, item: &str, version: u64) -> QueryResult<()> {
    let row = (
        sealed_items::session_id.eq(session),
        sealed_items::item.eq(item),
        sealed_items::version.eq(number(version)),
    );
    diesel::replace_into(sealed_items::table).values(row).execute(connection).map(|_| ())
}

fn take_out(connection: &mut SqliteConnection, session: &str, keys: &[(String, i64)]) -> QueryResult<()> {
    keys.iter().try_for_each(|(key, seq)| {
        let item = spool::table
            .filter(spool::session_id.eq(session))
            .filter(spool::key.eq(key))
            .filter(spool::seq.eq(seq));
        diesel::delete(item).execute(connection).map(|_| ())
    })
}

fn ledger(connection: &mut SqliteConnection, session: &str, share: &str) -> QueryResult<Option<LedgerOf>> {
    let row = sealed_shares::table
        .find(session)
        .filter(sealed_shares::share_id.eq(share))
        .select((sealed_shares::version, sealed_shares::models, sealed_shares::batch))
        .first::<(i64, Option<String>, Option<String>)>(connection)
        .optional()?;
    let Some((version, models, batch)) = row else { return Ok(None) };
    let unreadable = |error: serde_json::Error| diesel::result::Error::DeserializationError(error.into());
    let items = sealed_items::table
        .filter(sealed_items::session_id.eq(session))
        .select((sealed_items::item, sealed_items::version))
        .load::<(String, i64)>(connection)?;
    Ok(Some(LedgerOf {
        version: u64::try_from(version).unwrap_or(0),
        models: models.map(RawValue::from_string).transpose().map_err(unreadable)?,
        items: items.into_iter().map(|(item, version)| (item, u64::try_from(version).unwrap_or(0))).collect(),
        batch: batch.map(|json| serde_json::from_str(&json)).transpose().map_err(unreadable)?.map(Arc::new),
    }))
}

/// As the database has it. Versions end long before this does.
fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
