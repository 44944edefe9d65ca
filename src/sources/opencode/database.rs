//! `OpenCode`'s database, read while `OpenCode` writes it: one short read transaction a look, and nothing that it would
//! notice. A connection that stayed open would keep `OpenCode` from tidying its log up when it ends.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::import::opencode;

/// How long a look waits for a lock, in milliseconds: a log that was left behind is read in before it is used.
const BUSY_TIMEOUT: u32 = 2000;

/// Sessions of subagents that stand in one share.
const MAX_FAMILY: i64 = 1000;

/// How deep subagents may call others.
const MAX_DEPTH: i64 = 16;

/// Events whose names are read at once.
const MAX_EVENTS: i64 = 1000;

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

/// Which of the columns are there of which an older database has fewer.
pub(super) struct Schema {
    session: Vec<&'static str>,
    events: bool,
}

/// A session or a subagent's, by its row.
#[derive(QueryableByName)]
pub(super) struct Member {
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    /// How many changes its log has, where there is one.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) seq: Option<i64>,
}

/// A session that can be shared.
#[derive(QueryableByName)]
pub(super) struct Listed {
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    #[diesel(sql_type = Text)]
    pub(super) title: String,
    #[diesel(sql_type = Text)]
    pub(super) directory: String,
    #[diesel(sql_type = BigInt)]
    pub(super) time_updated: i64,
}

/// What a change in a session's log is about.
#[derive(QueryableByName)]
pub(super) struct Logged {
    #[diesel(sql_type = BigInt)]
    pub(super) seq: i64,
    #[diesel(sql_type = Text)]
    pub(super) kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) message: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) part: Option<String>,
}

#[derive(QueryableByName)]
struct Json {
    #[diesel(sql_type = Text)]
    json: String,
}

diesel::table! {
    message (id) {
        id -> Text,
        session_id -> Text,
        time_created -> BigInt,
        time_updated -> BigInt,
        data -> Text,
    }
}

diesel::table! {
    part (id) {
        id -> Text,
        message_id -> Text,
        session_id -> Text,
        time_updated -> BigInt,
        data -> Text,
    }
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
        look: impl Fn(&mut SqliteConnection, &Schema) -> Result<T, ReadError>,
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
        look: &impl Fn(&mut SqliteConnection, &Schema) -> Result<T, ReadError>,
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
        let read = connection.transaction(|connection| {
            let schema = Schema::read(connection)?;
            look(connection, &schema)
        });
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

impl Schema {
    fn read(connection: &mut SqliteConnection) -> Result<Self, ReadError> {
        #[derive(QueryableByName)]
        struct Column {
            #[diesel(sql_type = Text)]
            of: String,
            #[diesel(sql_type = Text)]
            name: String,
        }
        let known = ["session", "message", "part", "event", "event_sequence"];
        let columns =
            known.map(|table| format!("SELECT '{table}' AS \"of\", name FROM pragma_table_info('{table}')"));
        let columns: Vec<Column> = sql_query(columns.join(" UNION ALL ")).load(connection)?;
        let has = |table: &str, names: &[&str]| {
            names.iter().all(|name| columns.iter().any(|column| column.of == table && column.name == *name))
        };
        for (table, names) in [
            ("session", &["id", "parent_id", "title", "directory", "time_updated"][..]),
            ("message", &["id", "session_id", "time_created", "time_updated", "data"]),
            ("part", &["id", "message_id", "session_id", "time_updated", "data"]),
        ] {
            if !has(table, names) {
                return Err(ReadError::Unknown(table));
            }
        }
        Ok(Self {
            session: opencode::session_columns().filter(|column| has("session", &[column])).collect(),
            events: has("event", &["aggregate_id", "seq", "type", "data"])
                && has("event_sequence", &["aggregate_id", "seq"]),
        })
    }
}

/// The sessions of users in which something was said, the newest first.
pub(super) fn list(connection: &mut SqliteConnection, limit: i64) -> Result<Vec<Listed>, ReadError> {
    let listed = sql_query(
        "SELECT id, title, directory, time_updated FROM session WHERE parent_id IS NULL \
         AND EXISTS (SELECT 1 FROM message WHERE message.session_id = session.id) \
         ORDER BY time_updated DESC, id LIMIT ?",
    );
    Ok(listed.bind::<BigInt, _>(limit).load(connection)?)
}

/// A session and those of its subagents, itself first; nothing when it is not there.
pub(super) fn family(
    connection: &mut SqliteConnection,
    schema: &Schema,
    session: &str,
) -> Result<Vec<Member>, ReadError> {
    let seq = if schema.events {
        "(SELECT seq FROM event_sequence WHERE aggregate_id = family.id)"
    } else {
        "NULL"
    };
    let family = sql_query(format!(
        "WITH RECURSIVE family(id, depth) AS (SELECT id, 0 FROM session WHERE id = ? UNION \
         SELECT session.id, depth + 1 FROM session JOIN family ON session.parent_id = family.id \
         WHERE depth < {MAX_DEPTH} LIMIT {MAX_FAMILY}) SELECT id, {seq} AS seq FROM family ORDER BY depth, id"
    ));
    Ok(family.bind::<Text, _>(session).load(connection)?)
}

/// A session's row, as JSON by its columns.
pub(super) fn session(
    connection: &mut SqliteConnection,
    schema: &Schema,
    session: &str,
) -> Result<Option<String>, ReadError> {
    let columns: Vec<_> = schema.session.iter().map(|column| format!("'{column}', {column}")).collect();
    let row = format!("SELECT json_object({}) AS json FROM session WHERE id = ?", columns.join(", "));
    let row: Option<Json> = sql_query(row).bind::<Text, _>(session).get_result(connection).optional()?;
    Ok(row.map(|row| row.json))
}

/// What changed in a session behind a number of its log, and no more of it than is read at once.
pub(super) fn logged(
    connection: &mut SqliteConnection,
    session: &str,
    after: i64,
) -> Result<Vec<Logged>, ReadError> {
    // The ids alone: an event holds all of the item, of which the newest version is enough.
    let logged = sql_query(format!(
        "SELECT seq, type AS kind, \
         CAST(coalesce(json ->> '$.part.messageID', json ->> '$.info.id', json ->> '$.messageID') AS TEXT) AS message, \
         CAST(coalesce(json ->> '$.part.id', json ->> '$.partID') AS TEXT) AS part \
         FROM (SELECT seq, type, CASE WHEN json_valid(data) THEN data ELSE '{{}}' END AS json FROM event \
         WHERE aggregate_id = ? AND seq > ? ORDER BY seq LIMIT {MAX_EVENTS})"
    ));
    Ok(logged.bind::<Text, _>(session).bind::<BigInt, _>(after).load(connection)?)
}

/// The messages of a session, and when each was written last.
pub(super) fn messages(
    connection: &mut SqliteConnection,
    session: &str,
) -> Result<Vec<(String, i64)>, ReadError> {
    let messages = message::table.filter(message::session_id.eq(session));
    let messages = messages.order((message::time_created, message::id));
    Ok(messages.select((message::id, message::time_updated)).load(connection)?)
}

/// The parts of a session: each message's id, the part's own, and when it was written last.
pub(super) fn parts(
    connection: &mut SqliteConnection,
    session: &str,
) -> Result<Vec<(String, String, i64)>, ReadError> {
    let parts = part::table.filter(part::session_id.eq(session)).order((part::message_id, part::id));
    Ok(parts.select((part::message_id, part::id, part::time_updated)).load(connection)?)
}

/// A message: its session, when it was written last, and what it is.
pub(super) fn message(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<(String, i64, String)>, ReadError> {
    let columns = (message::session_id, message::time_updated, message::data);
    Ok(message::table.find(id).select(columns).first(connection).optional()?)
}

/// A part of a message, in the same way.
pub(super) fn part(
    connection: &mut SqliteConnection,
    message: &str,
    id: &str,
) -> Result<Option<(String, i64, String)>, ReadError> {
    let columns = (part::session_id, part::time_updated, part::data);
    let found = part::table.find(id).filter(part::message_id.eq(message));
    Ok(found.select(columns).first(connection).optional()?)
}

/// What the last message of a session is.
pub(super) fn last_message(
    connection: &mut SqliteConnection,
    session: &str,
) -> Result<Option<(i64, String)>, ReadError> {
    let messages = message::table.filter(message::session_id.eq(session));
    let messages = messages.order((message::time_created.desc(), message::id.desc()));
    Ok(messages.select((message::time_updated, message::data)).first(connection).optional()?)
}
