//! The SQLite database of another program, read while that writes it: one short read transaction a look, and nothing
//! that it would notice. A connection that stayed open would keep it from tidying its log up when it ends.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// How long a look waits for a lock, in milliseconds: a log that was left behind is read in before it is used.
const BUSY_TIMEOUT: u32 = 2000;

/// A file that was written so lately may be written again and look the same.
const RACY: Duration = Duration::from_millis(100);

/// How often a database is tried again that is just being opened or closed, and how soon.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(20);

/// Everything in a path but these is escaped in a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is not there.
    #[error("there is none")]
    Missing,
    /// Its tables are not those that are known.
    #[error("its table `{0}` is not as it is known here")]
    Unknown(&'static str),
    /// It was written in a moment in which that was not to be expected.
    #[error("it is just being opened or closed")]
    Moved,
    /// It cannot be opened.
    #[error("it cannot be opened: {0}")]
    Open(#[from] ConnectionError),
    /// SQLite refuses to read it.
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
    /// The file system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) struct Database(pub(super) PathBuf);

/// What a file was like.
pub(super) type Version = (u64, u64, SystemTime);

/// What the files of a database were like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    database: Version,
    log: Option<Version>,
}

impl Database {
    /// Its files, of which a change says that a look is worth it.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        vec![self.0.clone(), self.beside("-wal")]
    }

    pub(super) fn stamp(&self) -> Result<Stamp, ReadError> {
        let database = version(&self.0)?.ok_or(ReadError::Missing)?;
        Ok(Stamp { database, log: version(&self.beside("-wal"))? })
    }

    /// Reads it in one transaction. No file is made: where there is no write-ahead log nobody has the database open,
    /// and it is read as it is; should somebody open it meanwhile, what was read is thrown away.
    pub(super) fn read<T>(
        &self,
        look: impl Fn(&mut SqliteConnection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        for _ in 0..TRIES {
            match self.try_to_read(&look) {
                Err(ReadError::Moved) => std::thread::sleep(AGAIN),
                read => return read,
            }
        }
        self.try_to_read(&look)
    }

    fn try_to_read<T>(
        &self,
        look: &impl Fn(&mut SqliteConnection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let before = self.stamp()?;
        let is_closed = before.log.is_none();
        if !is_closed && version(&self.beside("-shm"))?.is_none() {
            return Err(ReadError::Moved);
        }
        let path = percent_encode(self.0.as_os_str().as_bytes(), PATH);
        let closed = if is_closed { "&immutable=1" } else { "" };
        let mut connection = SqliteConnection::establish(&format!("file:{path}?mode=ro{closed}"))?;
        connection.batch_execute(&format!("PRAGMA busy_timeout = {BUSY_TIMEOUT}"))?;
        let read = connection.transaction(look);
        if is_closed && self.stamp()? != before {
            return Err(ReadError::Moved);
        }
        read
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.0.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}

impl Stamp {
    /// Whether files that look like this are surely as they were.
    pub(super) fn is_sure(self) -> bool {
        let written = self.log.map_or(self.database.2, |log| log.2.max(self.database.2));
        SystemTime::now().duration_since(written).is_ok_and(|age| age > RACY)
    }
}

/// What a file is like; `None` when it is not there.
pub(super) fn version(path: &Path) -> io::Result<Option<Version>> {
    match fs::metadata(path) {
        Ok(file) => Ok(Some((file.ino(), file.len(), file.modified()?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
