//! The statements of every sync, which are prepared once and kept. Diesel prepares an update, and an insert that may
//! become one, anew each time, because what they set may differ; here it never does. Preparing took longer than doing.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};

/// Puts an item into a share, in place of its older version.
pub(super) struct PutItem<'a> {
    pub(super) share: i64,
    pub(super) key: &'a str,
    /// `None` for a tombstone.
    pub(super) content: Option<&'a str>,
    pub(super) seq: i64,
    pub(super) at: i64,
}

impl QueryFragment<Sqlite> for PutItem<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO share_data (share_num, key, content, seq, updated_at) VALUES (");
        out.push_bind_param::<BigInt, _>(&self.share)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.key)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.content)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.seq)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.at)?;
        out.push_sql(
            ") ON CONFLICT (share_num, key) DO UPDATE \
             SET content = excluded.content, seq = excluded.seq, updated_at = excluded.updated_at",
        );
        Ok(())
    }
}

impl QueryId for PutItem<'_> {
    type QueryId = PutItem<'static>;
}

impl RunQueryDsl<SqliteConnection> for PutItem<'_> {}

/// Moves a living share's head on, when it is the one that is expected: compare and swap.
#[derive(QueryId)]
pub(super) struct MoveHead {
    pub(super) share: i64,
    /// `seq` and `writer` as they have to be, and as they are then.
    pub(super) before: (i64, i64),
    pub(super) after: (i64, i64),
    /// Bytes of all items.
    pub(super) size: i64,
    pub(super) at: i64,
}

impl QueryFragment<Sqlite> for MoveHead {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE shares SET seq = ");
        out.push_bind_param::<BigInt, _>(&self.after.0)?;
        out.push_sql(", writer = ");
        out.push_bind_param::<BigInt, _>(&self.after.1)?;
        out.push_sql(", size = ");
        out.push_bind_param::<BigInt, _>(&self.size)?;
        out.push_sql(", updated_at = ");
        out.push_bind_param::<BigInt, _>(&self.at)?;
        out.push_sql(" WHERE deleted_at IS NULL AND num = ");
        out.push_bind_param::<BigInt, _>(&self.share)?;
        out.push_sql(" AND seq = ");
        out.push_bind_param::<BigInt, _>(&self.before.0)?;
        out.push_sql(" AND writer = ");
        out.push_bind_param::<BigInt, _>(&self.before.1)?;
        Ok(())
    }
}

impl RunQueryDsl<SqliteConnection> for MoveHead {}
