//! Group commit in one statement: the writes of many shares are one round trip, one transaction and one flush, and each
//! takes effect or not by itself.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use crate::store::group::Group;
use crate::store::records::signed;

/// Settings of the connections that write groups. The planner does not know how long arrays are, and a plan is kept
/// from when the tables were small or unknown: by its own choice it goes through all shares for each group, or for each
/// share of one.
pub(super) const BY_INDEX: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Moves the heads of shares on where they are those that are expected, and puts the items of these shares; gives their
/// numbers. Arrays keep its text the same for groups of every size, so it is prepared once.
#[derive(Default)]
pub(super) struct WriteGroup<'a> {
    nums: Vec<i64>,
    befores: Vec<i64>,
    knowns: Vec<i64>,
    afters: Vec<i64>,
    writers: Vec<i64>,
    sizes: Vec<i64>,
    times: Vec<i64>,
    items: Vec<i64>,
    keys: Vec<&'a str>,
    contents: Vec<Option<&'a str>>,
    seqs: Vec<i64>,
    arrivals: Vec<i64>,
    ats: Vec<i64>,
}

impl<'a> WriteGroup<'a> {
    /// Writes a group.
    pub(super) fn of(group: &'a Group) -> Self {
        let mut statement = Self::default();
        for share in group.shares() {
            statement.nums.push(share.num);
            statement.befores.push(signed(share.before.seq));
            statement.knowns.push(share.before.writer);
            statement.afters.push(signed(share.after.seq));
            statement.writers.push(share.after.writer);
            statement.sizes.push(signed(share.size));
            statement.times.push(share.at);
            for (row, arrived) in share.arriving() {
                statement.items.push(share.num);
                statement.keys.push(row.key.as_str());
                statement.contents.push(row.content.as_ref().map(|content| content.get()));
                statement.seqs.push(signed(row.seq));
                statement.arrivals.push(arrived);
                statement.ats.push(share.at);
            }
        }
        statement
    }
}

impl QueryFragment<Pg> for WriteGroup<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Read committed: a row that another transaction has locked is compared again once it is free, so of two writes
        // on one head one finds it gone. The order keeps two groups from waiting for each other. Shares are looked up
        // one by one (LATERAL, `BY_INDEX`), and what is written by hash: an `IN` that is no condition by itself is no
        // join to the planner.
        out.push_sql(
            "WITH want AS MATERIALIZED (SELECT w.num, w.after, w.writer, w.size, w.at \
             FROM (SELECT * FROM unnest(",
        );
        let shares =
            [&self.nums, &self.befores, &self.knowns, &self.afters, &self.writers, &self.sizes, &self.times];
        for (nth, column) in shares.into_iter().enumerate() {
            out.push_sql(if nth == 0 { "" } else { ", " });
            out.push_bind_param::<Array<BigInt>, _>(column)?;
        }
        out.push_sql(
            ") AS w (num, before, known, after, writer, size, at) ORDER BY num) AS w, \
             LATERAL (SELECT FROM shares s WHERE s.num = w.num AND s.seq = w.before AND s.writer = w.known \
             AND s.deleted_at IS NULL FOR UPDATE) AS held), \
             moved AS (UPDATE shares s SET seq = want.after, writer = want.writer, size = want.size, \
             updated_at = want.at FROM want WHERE s.num = want.num AND want.after > s.seq), \
             put AS (INSERT INTO share_data (share_num, key, content, seq, arrived, updated_at) \
             SELECT r.num, r.key, r.content, r.seq, r.arrived, r.at FROM unnest(",
        );
        out.push_bind_param::<Array<BigInt>, _>(&self.items)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.contents)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.seqs)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.arrivals)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.ats)?;
        out.push_sql(
            ") AS r (num, key, content, seq, arrived, at) WHERE (r.num IN (SELECT num FROM want)) IS TRUE \
             ON CONFLICT (share_num, key) DO UPDATE \
             SET content = excluded.content, seq = excluded.seq, updated_at = excluded.updated_at) \
             SELECT num FROM want",
        );
        Ok(())
    }
}

impl QueryId for WriteGroup<'_> {
    type QueryId = WriteGroup<'static>;
}

impl Query for WriteGroup<'_> {
    type SqlType = BigInt;
}
