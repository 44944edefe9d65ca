//! What a command does with a database, on a connection of its own.

use std::ops::AsyncFnOnce;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::runtime::Runtime;

use super::connect::{Database, reason};
use super::{PostgresError, is_up_to_date, queries, runtime};
use crate::store::records::unsigned;
use crate::store::schema::shares;
use crate::store::{Kind, ShareRecord};

/// A PostgreSQL database.
pub(in crate::store) struct Direct {
    pub(in crate::store) connection: AsyncConnectionWrapper<AsyncPgConnection>,
    /// Where the connection lives, so dropped after it.
    runtime: Runtime,
}

impl Direct {
    /// Opens a database that is there and of this version.
    pub(in crate::store) fn open(url: &str) -> Result<Self, PostgresError> {
        let mut direct = Self::connect(url)?;
        if is_up_to_date(&mut direct.connection)? { Ok(direct) } else { Err(PostgresError::Older) }
    }

    pub(super) fn connect(url: &str) -> Result<Self, PostgresError> {
        let database = Database::new(url)?;
        let runtime = runtime()?;
        let connection = runtime.block_on(database.connect());
        let connection = connection.map_err(|error| PostgresError::Database(reason(&error)))?;
        // It finds the runtime that it blocks on where it is made.
        let inside = runtime.enter();
        let connection = AsyncConnectionWrapper::from(connection);
        drop(inside);
        Ok(Self { connection, runtime })
    }

    /// The shares whose ids start so.
    pub(in crate::store) fn starting(&mut self, start: &str) -> QueryResult<Vec<ShareRecord>> {
        // Letters and digits, so no pattern. In the order of a language it would not stand before what it starts.
        shares::table
            .filter(shares::id.like(format!("{start}%")))
            .select(ShareRecord::as_select())
            .load(&mut self.connection)
    }

    /// A share's items by their type.
    pub(in crate::store) fn kinds(&mut self, num: i64) -> QueryResult<Vec<Kind>> {
        diesel::sql_query(
            "SELECT split_part(key, '/', 1) AS kind, count(*) AS count, sum(octet_length(content)) AS bytes \
             FROM share_data WHERE share_num = $1 AND content IS NOT NULL GROUP BY 1 ORDER BY 1",
        )
        .bind::<BigInt, _>(num)
        .load(&mut self.connection)
    }

    /// Deletes a share and its rows.
    pub(in crate::store) fn delete(&mut self, num: i64, at: i64) -> QueryResult<()> {
        self.run(async |connection| {
            queries::mark_deleted(connection, num, None, at).await?;
            while queries::purge(connection, num).await? {}
            queries::mark_purged(connection, num, at).await.map(|_| ())
        })
    }

    /// Bytes of the database.
    pub(in crate::store) fn size(&mut self) -> QueryResult<u64> {
        let size = diesel::select(sql::<BigInt>("pg_database_size(current_database())"));
        size.get_result(&mut self.connection).map(unsigned)
    }

    /// Writes the items anew, without what deleted shares and older versions took: this gives it back to the disk.
    pub(in crate::store) fn vacuum(&mut self) -> QueryResult<()> {
        self.connection.batch_execute("VACUUM (FULL, ANALYZE) share_data")
    }

    fn run<T>(&mut self, job: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<T>) -> QueryResult<T> {
        self.runtime.block_on(job(&mut self.connection))
    }
}
