//! Getting what was deleted out of the write-ahead log.
//!
//! `secure_delete` overwrites deleted content in the database, but older images of its pages stand in the log's
//! frames. They are gone when the log has been truncated, which takes a moment in which no connection reads from it. A
//! connection that never stops reading (Litestream has one) leaves no such moment; but the log is also restarted from
//! its beginning, by whoever writes first when all of it has been copied into the database. Every frame of the time
//! before is then dead, and what the new frames have not overwritten yet can be cut off the file, as SQLite itself
//! does under `journal_size_limit`.
//!
//! The log's format: <https://www.sqlite.org/fileformat2.html#walformat>. POSIX locks are on the database and its
//! `-shm` alone, so opening and closing the log by itself releases none of SQLite's.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sqlite::SqliteConnection;

use super::connection::{BUSY_TIMEOUT, beside, checkpoint, set_busy_timeout};

/// How long a try to empty the log waits for readers. All who write wait as long.
const READERS_WAIT: Duration = Duration::from_millis(5);

/// Bytes of the log's header.
const LOG_HEADER: u64 = 32;

/// Bytes of the header of each frame, before its page.
const FRAME_HEADER: u64 = 24;

/// The salts in the header of a log and of its frames: others each time that the log is restarted.
type Generation = [u8; 8];

/// Whether deleted content may stand in the log of a database, and the means to get it out.
pub struct Erasure {
    log: PathBuf,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// None stands there.
    Clean,
    /// It may stand in frames of this generation, and of those before.
    In(Generation),
    /// It may stand anywhere: the log could not be read.
    Unknown,
}

impl Erasure {
    /// For the database at `path`. Nothing is known of its log: a crash may have left anything there.
    pub fn new(path: &Path) -> Self {
        let mut erasure = Self { log: beside(path, "-wal"), state: State::Unknown };
        erasure.begin();
        erasure
    }

    /// Says that deleted content may stand in the log: a transaction that deletes was committed.
    pub fn begin(&mut self) {
        self.state = match generation(&self.log) {
            Ok(Some(generation)) => State::In(generation),
            Ok(None) => State::Clean,
            Err(error) => {
                tracing::warn!(%error, "cannot read the write-ahead log");
                State::Unknown
            }
        };
    }

    /// Whether deleted content may stand in the log.
    pub fn is_pending(&self) -> bool {
        self.state != State::Clean
    }

    /// Tries to get it out, and tells whether none is left. It waits for readers no longer than a few milliseconds.
    ///
    /// # Errors
    /// When the database or the log cannot be written.
    pub fn attempt(&mut self, connection: &mut SqliteConnection) -> QueryResult<bool> {
        if !self.is_pending() {
            return Ok(true);
        }
        set_busy_timeout(connection, READERS_WAIT)?;
        let gone = checkpoint(connection).and_then(|emptied| Ok(emptied || self.cut(connection)?));
        set_busy_timeout(connection, BUSY_TIMEOUT)?;
        if gone? {
            self.state = State::Clean;
        }
        Ok(!self.is_pending())
    }

    /// Cuts dead frames off the log when it was restarted since; false when it was not, or another process writes just
    /// now.
    fn cut(&self, connection: &mut SqliteConnection) -> QueryResult<bool> {
        let State::In(erased) = self.state else { return Ok(false) };
        if generation(&self.log).map_err(io_error)? == Some(erased) {
            return Ok(false);
        }
        // Nobody appends to the log meanwhile.
        let cut = connection.immediate_transaction(|_| cut_dead_frames(&self.log).map_err(io_error));
        match cut {
            Err(Error::DatabaseError(_, said)) if said.message().contains("locked") => Ok(false),
            cut => cut.map(|()| true),
        }
    }
}

/// The generation of a log; `None` when it is empty.
fn generation(log: &Path) -> io::Result<Option<Generation>> {
    match File::open(log) {
        Ok(file) => salts_at(&file, 0, 16),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn cut_dead_frames(log: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(log)?;
    file.set_len(live_bytes(&file)?)?;
    file.sync_all()
}

/// How many bytes of a log are of its present generation.
fn live_bytes(log: &File) -> io::Result<u64> {
    let Some(salts) = salts_at(log, 0, 16)? else { return Ok(0) };
    let mut page_size = [0; 4];
    log.read_exact_at(&mut page_size, 8)?;
    let page_size = u64::from(u32::from_be_bytes(page_size));
    if !page_size.is_power_of_two() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the write-ahead log has no page size"));
    }
    let mut end = LOG_HEADER;
    while salts_at(log, end, 8)? == Some(salts) {
        end += FRAME_HEADER + page_size;
    }
    Ok(end)
}

/// The salts in the header that begins at `header`, `offset` bytes into it; `None` when the file ends before.
fn salts_at(log: &File, header: u64, offset: u64) -> io::Result<Option<Generation>> {
    let mut salts = Generation::default();
    match log.read_exact_at(&mut salts, header + offset) {
        Ok(()) => Ok(Some(salts)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn io_error(error: io::Error) -> Error {
    Error::QueryBuilderError(error.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use diesel::connection::SimpleConnection;

    use super::super::open;
    use super::*;

    const MARKER: &str = "walrus-marmalade";

    /// A database with content that was deleted a moment ago, and a second process's connection to it.
    struct Deleted {
        dir: tempfile::TempDir,
        writer: SqliteConnection,
        other: SqliteConnection,
        erasure: Erasure,
    }

    impl Deleted {
        /// `before` is what the other connection does before the content is deleted.
        fn new(before: &str) -> Self {
            let dir = tempfile::TempDir::new().unwrap();
            let path = dir.path().join("test.db");
            let (mut writer, mut other) = (open(&path).unwrap(), open(&path).unwrap());
            let content = MARKER.repeat(5000);
            writer.batch_execute("CREATE TABLE t (text TEXT); CREATE TABLE u (n INTEGER)").unwrap();
            writer.batch_execute(&format!("INSERT INTO t VALUES ('{content}')")).unwrap();
            other.batch_execute(before).unwrap();
            writer.batch_execute("DELETE FROM t").unwrap();
            Self { erasure: Erasure::new(&path), dir, writer, other }
        }

        fn attempt(&mut self) -> bool {
            self.erasure.attempt(&mut self.writer).unwrap()
        }

        fn is_on_the_disk(&self) -> bool {
            ["test.db", "test.db-wal"].iter().any(|name| {
                let bytes = fs::read(self.dir.path().join(name)).unwrap_or_default();
                bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
            })
        }
    }

    #[test]
    fn nobody_reads_and_the_log_is_emptied() {
        let mut deleted = Deleted::new("");
        assert!(deleted.is_on_the_disk() && deleted.erasure.is_pending());
        assert!(deleted.attempt() && !deleted.erasure.is_pending() && !deleted.is_on_the_disk());
        assert_eq!(fs::metadata(deleted.dir.path().join("test.db-wal")).unwrap().len(), 0);
    }

    #[test]
    fn a_reader_is_in_the_way_until_it_ends() {
        let mut deleted = Deleted::new("BEGIN; SELECT * FROM u");
        assert!(!deleted.attempt() && !deleted.attempt() && deleted.is_on_the_disk());
        deleted.writer.batch_execute("INSERT INTO u VALUES (1)").unwrap();
        assert!(!deleted.attempt() && deleted.is_on_the_disk());
        deleted.other.batch_execute("COMMIT").unwrap();
        assert!(deleted.attempt() && !deleted.is_on_the_disk());
    }

    /// What Litestream does: it always reads, but for the moments in which it copies the log into the database; then
    /// it restarts the log by a write of its own.
    #[test]
    fn a_reader_that_never_ends_but_lets_the_log_be_restarted_is_not_in_the_way() {
        let mut deleted = Deleted::new("BEGIN; SELECT * FROM u");
        assert!(!deleted.attempt());
        deleted
            .other
            .batch_execute("COMMIT; PRAGMA wal_checkpoint(PASSIVE); BEGIN; SELECT * FROM u")
            .unwrap();
        let path = deleted.dir.path().join("test.db");
        open(&path).unwrap().batch_execute("INSERT INTO u VALUES (1)").unwrap();
        assert!(deleted.is_on_the_disk(), "in what the restarted log has not overwritten");
        assert!(deleted.attempt() && !deleted.is_on_the_disk());
        assert!(fs::metadata(beside(&path, "-wal")).unwrap().len() > LOG_HEADER, "it was not emptied");
        deleted.other.batch_execute("COMMIT").unwrap();
        let mut fresh = open(&path).unwrap();
        fresh.batch_execute("INSERT INTO u VALUES (2)").unwrap();
        let rows: i64 =
            diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("(SELECT sum(n) FROM u)"))
                .get_result(&mut fresh)
                .unwrap();
        assert_eq!(rows, 3, "what others wrote is there");
    }

    #[test]
    fn another_process_that_writes_is_waited_for_another_time() {
        let mut deleted = Deleted::new("BEGIN; SELECT * FROM u");
        deleted
            .other
            .batch_execute("COMMIT; PRAGMA wal_checkpoint(PASSIVE); INSERT INTO u VALUES (1)")
            .unwrap();
        deleted.other.batch_execute("BEGIN IMMEDIATE").unwrap();
        assert!(!deleted.attempt());
        deleted.other.batch_execute("ROLLBACK").unwrap();
        assert!(deleted.attempt() && !deleted.is_on_the_disk());
    }
}
