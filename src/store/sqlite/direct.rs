//! What a command does with a database, on a connection of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel::sqlite::SqliteConnection;

use super::queries::PurgeStep;
use super::room::Room;
use super::{DATABASE, MIGRATIONS, queries};
use crate::sqlite::{self, Erasure, StartupError};
use crate::store::schema::shares;
use crate::store::{Kind, OperatorError, ShareRecord};

/// How long a command waits for readers of other processes before it leaves the rest of erasing to the server.
const ERASE_WITHIN: Duration = Duration::from_secs(5);

/// How long after a reader was in the way it tries again.
const ERASE_PAUSE: Duration = Duration::from_millis(50);

/// The database of a data directory.
pub(in crate::store) struct Direct {
    pub(in crate::store) connection: SqliteConnection,
    data_dir: PathBuf,
}

impl Direct {
    /// Opens a database that is there and of this version.
    pub(in crate::store) fn open(data_dir: &Path) -> Result<Self, OperatorError> {
        let path = data_dir.join(DATABASE);
        if !path.is_file() {
            return Err(OperatorError::NoDatabase(data_dir.to_owned()));
        }
        for private in [data_dir, &path] {
            sqlite::check_private(private).map_err(StartupError::from)?;
        }
        let connection = sqlite::open_migrated(&path, &MIGRATIONS)?;
        Ok(Self::new(connection, data_dir))
    }

    pub(super) fn new(connection: SqliteConnection, data_dir: &Path) -> Self {
        Self { connection, data_dir: data_dir.to_owned() }
    }

    /// The shares whose ids start so.
    pub(in crate::store) fn starting(&mut self, start: &str) -> QueryResult<Vec<ShareRecord>> {
        shares::table
            // Greater than or equal to the start, and below all that starts with something greater: by the index.
            .filter(shares::id.ge(start))
            .filter(shares::id.lt(format!("{start}~")))
            .select(ShareRecord::as_select())
            .load(&mut self.connection)
    }

    /// A share's items by their type.
    pub(in crate::store) fn kinds(&mut self, num: i64) -> QueryResult<Vec<Kind>> {
        diesel::sql_query(
            "SELECT substr(key, 1, instr(key || '/', '/') - 1) AS kind, count(*) AS count, \
                    sum(octet_length(content)) AS bytes \
             FROM share_data WHERE share_num = ? AND content IS NOT NULL GROUP BY 1 ORDER BY 1",
        )
        .bind::<BigInt, _>(num)
        .load(&mut self.connection)
    }

    /// Deletes a share, and tells whether its bytes are gone.
    pub(in crate::store) fn delete(&mut self, num: i64, at: i64) -> QueryResult<bool> {
        self.write(|connection| queries::mark_deleted(connection, num, at))?;
        while self.write(|connection| queries::purge(connection, num))? == PurgeStep::More {}
        let gone = self.erase()?;
        if gone {
            self.write(|connection| queries::mark_purged(connection, num, at))?;
        }
        Ok(gone)
    }

    /// Gets what was deleted out of the log, and tells whether that is done.
    fn erase(&mut self) -> QueryResult<bool> {
        let mut erasure = Erasure::new(&self.data_dir.join(DATABASE));
        let until = Instant::now() + ERASE_WITHIN;
        while !erasure.attempt(&mut self.connection)? {
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(ERASE_PAUSE);
        }
        Ok(true)
    }

    fn write<T>(&mut self, job: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>) -> QueryResult<T> {
        self.connection.immediate_transaction(job)
    }

    /// Bytes of the database's files, those in them that hold nothing, and those that are free beside them.
    pub(in crate::store) fn room(&mut self) -> QueryResult<(u64, Option<i64>, Option<u64>)> {
        let pages = sql::<Integer>("(SELECT freelist_count FROM pragma_freelist_count)");
        let page_size = sql::<Integer>("(SELECT page_size FROM pragma_page_size)");
        let (free_pages, page_size): (i32, i32) =
            diesel::select((pages, page_size)).first(&mut self.connection)?;
        let sizes = Room::new(&self.data_dir, 0).sizes();
        Ok((sizes.database, Some(i64::from(free_pages) * i64::from(page_size)), sizes.disk_free))
    }

    /// Gives what deleted shares took back to the disk.
    pub(in crate::store) fn vacuum(&mut self) -> QueryResult<()> {
        self.connection.batch_execute("VACUUM")?;
        // The file becomes smaller when the log is in it. A reader that is in the way puts that off.
        self.erase().map(|_| ())
    }
}
