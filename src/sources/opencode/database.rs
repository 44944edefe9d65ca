//! `OpenCode`'s database: its tables, as far as they are read here.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::super::database::{Database, ReadError};
use crate::import::opencode;

/// Sessions of subagents that stand in one share.
const MAX_FAMILY: i64 = 1000;

/// How deep subagents may call others.
const MAX_DEPTH: i64 = 16;

/// Events whose names are read at once.
const MAX_EVENTS: i64 = 1000;

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

/// Reads the database of `OpenCode` in one transaction.
pub(super) fn read<T>(
    database: &Database,
    look: impl Fn(&mut SqliteConnection, &Schema) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    database.read(|connection| {
        let schema = Schema::read(connection)?;
        look(connection, &schema)
    })
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
