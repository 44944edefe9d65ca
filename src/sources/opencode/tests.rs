use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::model::Key;

/// The tables that are read, as `OpenCode` 1.18.33 makes them.
const SCHEMA: &str = "
    CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, workspace_id text, parent_id text,
        slug text NOT NULL, directory text NOT NULL, path text, title text NOT NULL, version text NOT NULL,
        share_url text, summary_additions integer, summary_deletions integer, summary_files integer,
        summary_diffs text, metadata text, cost real DEFAULT 0 NOT NULL, tokens_input integer DEFAULT 0 NOT NULL,
        tokens_output integer DEFAULT 0 NOT NULL, tokens_reasoning integer DEFAULT 0 NOT NULL,
        tokens_cache_read integer DEFAULT 0 NOT NULL, tokens_cache_write integer DEFAULT 0 NOT NULL, revert text,
        permission text, agent text, model text, time_created integer NOT NULL, time_updated integer NOT NULL,
        time_compacting integer, time_archived integer);
    CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL,
        time_updated integer NOT NULL, data text NOT NULL);
    CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL,
        time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
    CREATE TABLE credential (id text PRIMARY KEY, value text NOT NULL);
    INSERT INTO credential VALUES ('c', 'SECRET-credential');
    CREATE INDEX message_session_time_created_id_idx ON message (session_id, time_created, id);
    CREATE INDEX part_message_id_id_idx ON part (message_id, id);
    CREATE INDEX part_session_idx ON part (session_id);
    CREATE INDEX session_parent_idx ON session (parent_id);";

/// The log of changes, which older databases lack.
const LOG: &str = "
    CREATE TABLE event_sequence (aggregate_id text PRIMARY KEY, seq integer NOT NULL, owner_id text);
    CREATE TABLE event (id text PRIMARY KEY, aggregate_id text NOT NULL, seq integer NOT NULL, type text NOT NULL,
        data text NOT NULL);
    CREATE UNIQUE INDEX event_aggregate_seq_idx ON event (aggregate_id, seq);";

/// `OpenCode`, as it writes its database.
struct Writer {
    dir: TempDir,
    connection: SqliteConnection,
    has_log: bool,
    seqs: HashMap<String, i64>,
    /// In milliseconds since 1970. Stands still where a test does not let it go on.
    now: i64,
}

impl Writer {
    fn new(has_log: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("opencode.db");
        let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        connection.batch_execute("PRAGMA journal_mode = wal; PRAGMA synchronous = off").unwrap();
        connection.batch_execute(SCHEMA).unwrap();
        if has_log {
            connection.batch_execute(LOG).unwrap();
        }
        let mut writer = Self { dir, connection, has_log, seqs: HashMap::new(), now: 1_000 };
        writer.session("ses_1", None);
        writer
    }

    fn place(&self) -> OpenCode {
        OpenCode::new(&self.dir.path().join("opencode.db"), None)
    }

    fn run(&mut self, sql: &str, texts: &[&str]) {
        let mut query = diesel::sql_query(sql).into_boxed();
        for text in texts {
            query = query.bind::<Text, _>(*text);
        }
        query.execute(&mut self.connection).unwrap();
    }

    fn log(&mut self, session: &str, kind: &str, data: &Value) {
        if self.has_log {
            let seq = self.seqs.entry(session.to_owned()).and_modify(|seq| *seq += 1).or_insert(0);
            diesel::sql_query("INSERT OR REPLACE INTO event_sequence VALUES (?, ?, NULL)")
                .bind::<Text, _>(session)
                .bind::<BigInt, _>(*seq)
                .execute(&mut self.connection)
                .unwrap();
            diesel::sql_query("INSERT INTO event VALUES (?, ?, ?, ?, ?)")
                .bind::<Text, _>(format!("{session}/{seq}"))
                .bind::<Text, _>(session)
                .bind::<BigInt, _>(*seq)
                .bind::<Text, _>(kind)
                .bind::<Text, _>(data.to_string())
                .execute(&mut self.connection)
                .unwrap();
        }
    }

    fn session(&mut self, id: &str, parent: Option<&str>) {
        let (now, parent) = (self.now, parent.map_or("NULL".to_owned(), |parent| format!("'{parent}'")));
        self.run(
            &format!(
                "INSERT INTO session (id, project_id, parent_id, slug, directory, title, version, metadata, permission,
                 share_url, time_created, time_updated) VALUES (?, 'p', {parent}, 's', '/w', 'Title', '1.18.33',
                 'SECRET-metadata', 'SECRET-permission', 'SECRET-url', {now}, {now})"
            ),
            &[id],
        );
        self.log(id, "session.created.1", &json!({"sessionID": id, "info": {"id": id}}));
    }

    fn message(&mut self, session: &str, id: &str, data: &Value) {
        let now = self.now;
        self.run(
            &format!(
                "INSERT INTO message VALUES (?, ?, {now}, {now}, ?) ON CONFLICT DO UPDATE SET data = excluded.data,
                 time_updated = {now}"
            ),
            &[id, session, &data.to_string()],
        );
        self.log(session, "message.updated.1", &json!({"sessionID": session, "info": {"id": id}}));
    }

    fn part(&mut self, session: &str, message: &str, id: &str, data: &Value) {
        let now = self.now;
        self.run(
            &format!(
                "INSERT INTO part VALUES (?, ?, ?, {now}, {now}, ?) ON CONFLICT DO UPDATE SET data = excluded.data,
                 time_updated = {now}"
            ),
            &[id, message, session, &data.to_string()],
        );
        let part = json!({"sessionID": session, "part": {"id": id, "messageID": message}});
        self.log(session, "message.part.updated.1", &part);
    }

    fn remove_message(&mut self, session: &str, id: &str) {
        self.run("DELETE FROM part WHERE message_id = ?", &[id]);
        self.run("DELETE FROM message WHERE id = ?", &[id]);
        self.log(session, "message.removed.1", &json!({"sessionID": session, "messageID": id}));
    }

    fn remove_part(&mut self, session: &str, message: &str, id: &str) {
        self.run("DELETE FROM part WHERE id = ?", &[id]);
        let removed = json!({"sessionID": session, "messageID": message, "partID": id});
        self.log(session, "message.part.removed.1", &removed);
    }

    /// A prompt, and an answer that has begun.
    fn turn(&mut self) {
        self.message(
            "ses_1",
            "msg_1",
            &json!({"role": "user", "time": {"created": 1}, "system": "SECRET-system"}),
        );
        self.part("ses_1", "msg_1", "prt_1", &json!({"type": "text", "text": "Do it"}));
        self.message(
            "ses_1",
            "msg_2",
            &json!({"role": "assistant", "time": {"created": 2}, "parentID": "msg_1"}),
        );
        let tool = json!({"type": "tool", "tool": "bash", "callID": "c", "state": {"status": "running"}});
        self.part("ses_1", "msg_2", "prt_2", &tool);
    }

    fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

fn names(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// What a share has.
#[derive(Default, Debug, PartialEq)]
struct Share(BTreeMap<Key, String>);

impl Share {
    /// Takes in what comes, until there is nothing more; gives how many items and removals that were.
    fn follow(&mut self, follower: &mut dyn Follow) -> usize {
        let mut count = 0;
        loop {
            let Step { changes, more, .. } = follower.step().unwrap();
            count += changes.items.len() + changes.removed.len();
            for key in changes.removed {
                self.0.retain(|part, _| {
                    part.parent_message_id() != key.message_id() || key.message_id().is_none()
                });
                self.0.remove(&key);
            }
            for item in changes.items {
                self.0.insert(item.key, item.content.get().to_owned());
            }
            if !more {
                return count;
            }
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(Key::as_str).collect()
    }
}

#[test]
fn a_session_is_listed_and_followed() {
    for has_log in [true, false] {
        let mut writer = Writer::new(has_log);
        let place = writer.place();
        assert_eq!(place.list(), [], "nothing was said");
        writer.turn();
        writer.session("ses_2", Some("ses_1"));
        writer.message("ses_2", "msg_3", &json!({"role": "user"}));
        writer.session("ses_3", None);
        let listed = place.list();
        let [session] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((&*session.session_id, session.title.as_deref()), ("ses_1", Some("Title")));
        assert_eq!((session.agent.as_deref(), session.state), (Some("OpenCode"), Some(Activity::Idle)));

        let mut follower = place.find("ses_1").unwrap();
        let mut share = Share::default();
        share.follow(&mut *follower);
        let all = [
            "message/msg_1",
            "message/msg_2",
            "message/msg_3",
            "part/msg_1/prt_1",
            "part/msg_2/prt_2",
            "session",
        ];
        assert_eq!(share.keys(), all);
        assert!(share.0["message/msg_3"].contains(r#""sessionID":"ses_2""#));
        assert!(!format!("{share:?}").contains("SECRET"), "{share:?}");
        assert_eq!(share.follow(&mut *follower), 0, "nothing happened");

        writer.now += 1;
        let tool = json!({"type": "tool", "tool": "bash", "callID": "c", "state": {"status": "completed"}});
        writer.part("ses_1", "msg_2", "prt_2", &tool);
        assert_eq!(share.follow(&mut *follower), 1, "what changed, and nothing else");
        assert!(share.0["part/msg_2/prt_2"].contains("completed"));
        writer.remove_message("ses_1", "msg_2");
        writer.session("ses_4", Some("ses_2"));
        writer.message("ses_4", "msg_4", &json!({"role": "user"}));
        share.follow(&mut *follower);
        assert_eq!(
            share.keys(),
            ["message/msg_1", "message/msg_3", "message/msg_4", "part/msg_1/prt_1", "session"]
        );

        writer.run("DELETE FROM session", &[]);
        writer.run("DELETE FROM message", &[]);
        assert_eq!(share.follow(&mut *follower), 0, "a share outlives its session");
        assert!(place.find("ses_1").is_none() && place.find("ses_x/../y").is_none());
    }
}

#[test]
fn of_a_large_session_some_comes_at_once() {
    let mut writer = Writer::new(true);
    writer.turn();
    for n in 0..6 {
        let part = json!({"type": "text", "text": "x".repeat(1 << 20)});
        writer.part("ses_1", "msg_2", &format!("prt_3{n}"), &part);
    }
    let mut follower = writer.place().find("ses_1").unwrap();
    let first = follower.step().unwrap();
    assert!(first.more && first.changes.items.len() < 10, "{}", first.changes.items.len());
    assert_eq!(first.changes.items[1].key.as_str(), "message/msg_1", "in the order of reading");
    let mut share = Share::default();
    share.follow(&mut *follower);
    assert_eq!(share.0.len() + first.changes.items.len(), 11);
}

#[test]
fn a_log_that_was_cut_is_no_loss() {
    let mut writer = Writer::new(true);
    writer.turn();
    let mut follower = writer.place().find("ses_1").unwrap();
    let mut share = Share::default();
    share.follow(&mut *follower);
    writer.now += 1;
    writer.message("ses_1", "msg_3", &json!({"role": "user"}));
    writer.remove_part("ses_1", "msg_2", "prt_2");
    writer.run("DELETE FROM event", &[]);
    share.follow(&mut *follower);
    assert_eq!(
        share.keys(),
        ["message/msg_1", "message/msg_2", "message/msg_3", "part/msg_1/prt_1", "session"]
    );
}

#[test]
fn no_file_is_made_or_changed() {
    let mut writer = Writer::new(true);
    writer.turn();
    let (path, place) = (writer.dir.path().to_owned(), writer.place());
    let log = || std::fs::read(path.join("opencode.db-wal")).unwrap();
    let before = log();
    let mut follower = place.find("ses_1").unwrap();
    let mut share = Share::default();
    share.follow(&mut *follower);
    assert!(!place.list().is_empty() && before == log());
    let names = writer.names();
    assert_eq!(names, ["opencode.db", "opencode.db-shm", "opencode.db-wal"]);

    // As if it had been killed: nobody has the database open, and its log is not in it.
    let killed = TempDir::new().unwrap();
    for name in &names {
        std::fs::copy(path.join(name), killed.path().join(name)).unwrap();
    }
    let place = OpenCode::new(&killed.path().join("opencode.db"), None);
    assert_eq!(place.list().len(), 1);
    assert_eq!(self::names(killed.path()), names);
    assert!(std::fs::read(killed.path().join("opencode.db-wal")).unwrap() == before);

    // It ends well.
    let Writer { dir, connection, .. } = writer;
    drop(connection);
    let place = OpenCode::new(&dir.path().join("opencode.db"), None);
    assert_eq!(self::names(dir.path()), ["opencode.db"]);
    assert_eq!(place.list().len(), 1);
    assert_eq!(share.follow(&mut *place.find("ses_1").unwrap()), 5);
    assert_eq!(self::names(dir.path()), ["opencode.db"]);
    let nowhere = OpenCode::new(&dir.path().join("none.db"), None);
    assert!(nowhere.list().is_empty() && nowhere.find("ses_1").is_none());
    assert_eq!(self::names(dir.path()), ["opencode.db"]);
}

#[test]
fn files_of_an_older_version_are_followed() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join("storage").join(name);
    let write = |name: &str, content: &Value| {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), content.to_string()).unwrap();
    };
    let session = |id: &str, parent: Option<&str>| {
        let mut session =
            json!({"id": id, "title": "Title", "directory": "/w", "version": "0.9", "time": {"updated": 5}});
        session["share"] = json!({"url": "SECRET"});
        if let Some(parent) = parent {
            session["parentID"] = json!(parent);
        }
        write(&format!("session/p/{id}.json"), &session);
    };
    let message = |session: &str, id: &str| {
        let message = json!({"id": id, "sessionID": session, "role": "user", "system": "SECRET"});
        write(&format!("message/{session}/{id}.json"), &message);
    };
    let part = |id: &str, text: &str| {
        let part =
            json!({"id": id, "messageID": "msg_1", "sessionID": "ses_1", "type": "text", "text": text});
        write(&format!("part/msg_1/{id}.json"), &part);
    };
    let place = OpenCode::new(&dir.path().join("opencode.db"), None);
    assert!(place.list().is_empty() && place.find("ses_1").is_none());
    session("ses_1", None);
    session("ses_2", Some("ses_1"));
    session("ses_3", Some("ses_2"));
    message("ses_1", "msg_1");
    message("ses_3", "msg_2");
    part("prt_1", "one");
    std::fs::write(path("part/msg_1/prt_2.json"), r#"{"id":"prt_2","mess"#).unwrap();
    let listed = place.list();
    let [known] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(
        (&*known.session_id, known.title.as_deref(), known.updated_at),
        ("ses_1", Some("Title"), Some(5))
    );

    let mut follower = place.find("ses_1").unwrap();
    let mut share = Share::default();
    share.follow(&mut *follower);
    assert_eq!(share.keys(), ["message/msg_1", "message/msg_2", "part/msg_1/prt_1", "session"]);
    assert!(!format!("{share:?}").contains("SECRET"), "{share:?}");
    assert_eq!(follower.told().title.as_deref(), Some("Title"));
    assert_eq!(share.follow(&mut *follower), 0, "nothing happened");
    part("prt_1", "longer");
    part("prt_2", "whole now");
    assert_eq!(share.follow(&mut *follower), 2);
    assert!(share.0["part/msg_1/prt_1"].contains("longer"));
    std::fs::remove_file(path("part/msg_1/prt_1.json")).unwrap();
    share.follow(&mut *follower);
    assert_eq!(share.keys(), ["message/msg_1", "message/msg_2", "part/msg_1/prt_2", "session"]);
    std::fs::remove_dir_all(path("")).unwrap();
    assert_eq!(share.follow(&mut *follower), 0, "a share outlives its session");
}

#[test]
fn another_schema_stops_nothing() {
    let mut writer = Writer::new(true);
    writer.turn();
    let place = writer.place();
    let mut follower = place.find("ses_1").unwrap();
    writer.connection.batch_execute("ALTER TABLE part RENAME COLUMN data TO body").unwrap();
    assert!(place.list().is_empty() && place.find("ses_1").is_none());
    assert_eq!(Share::default().follow(&mut *follower), 0);
    writer.connection.batch_execute("ALTER TABLE part RENAME COLUMN body TO data").unwrap();
    writer.connection.batch_execute("ALTER TABLE session DROP COLUMN cost").unwrap();
    assert_eq!(Share::default().follow(&mut *follower), 5, "an older version has fewer columns");
}

#[test]
fn a_text_that_the_stream_tells_of_is_not_taken_back() {
    let mut writer = Writer::new(true);
    writer.turn();
    let place = writer.place();
    let mut follower = place.find("ses_1").unwrap();
    let live = place.live("ses_1", false).unwrap();
    live.begins(&Key::part("msg_2", "prt_3"));
    let text = |text: &str, time: Value| json!({"type": "text", "text": text, "time": time});
    writer.part("ses_1", "msg_2", "prt_3", &text("", json!({"start": 1})));
    let mut share = Share::default();
    share.follow(&mut *follower);
    assert!(!share.0.contains_key("part/msg_2/prt_3"), "the stream told of it, and of more");
    // The stream ends before the text does.
    writer.part("ses_1", "msg_2", "prt_3", &text("all of it", json!({"start": 1, "end": 2})));
    assert_eq!(share.follow(&mut *follower), 1);
    assert!(share.0["part/msg_2/prt_3"].contains("all of it"));
}

#[test]
fn a_message_that_was_removed_and_comes_again_has_no_parts_of_before() {
    let mut writer = Writer::new(true);
    let place = writer.place();
    let mut follower = place.find("ses_1").unwrap();
    let mut share = Share::default();
    let part = |part: usize| Write::Part(0, 2, part, 0);
    writer.write(&part(2));
    share.follow(&mut *follower);
    writer.write(&Write::RemoveMessage(0, 2));
    writer.write(&part(0));
    share.follow(&mut *follower);
    assert!(!share.0.contains_key("part/msg_02/prt_022"), "{:?}", share.0.keys());
    assert!(share.0.contains_key("part/msg_02/prt_020"));
}

/// What `OpenCode` may do: in one of two sessions, to one of a few messages and parts.
#[derive(Debug, Clone)]
enum Write {
    Message(usize, usize, u8),
    Part(usize, usize, usize, u8),
    RemoveMessage(usize, usize),
    RemovePart(usize, usize, usize),
    Passes,
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => (0..2_usize, 0..3_usize, any::<u8>()).prop_map(|(s, m, n)| Write::Message(s, m, n)),
        8 => (0..2_usize, 0..3_usize, 0..3_usize, any::<u8>()).prop_map(|(s, m, p, n)| Write::Part(s, m, p, n)),
        1 => (0..2_usize, 0..3_usize).prop_map(|(s, m)| Write::RemoveMessage(s, m)),
        2 => (0..2_usize, 0..3_usize, 0..3_usize).prop_map(|(s, m, p)| Write::RemovePart(s, m, p)),
        2 => Just(Write::Passes),
    ]
}

impl Writer {
    fn write(&mut self, write: &Write) {
        let session = |s: usize| ["ses_1", "ses_2"][s];
        let message = |s: usize, m: usize| format!("msg_{s}{m}");
        let part = |s: usize, m: usize, p: usize| format!("prt_{s}{m}{p}");
        match *write {
            Write::Message(s, m, n) => {
                self.message(session(s), &message(s, m), &json!({"role": "user", "n": n}));
            }
            Write::Part(s, m, p, n) => {
                let data = json!({"type": "text", "text": format!("{n}")});
                self.message(session(s), &message(s, m), &json!({"role": "user"}));
                self.part(session(s), &message(s, m), &part(s, m, p), &data);
            }
            Write::RemoveMessage(s, m) => self.remove_message(session(s), &message(s, m)),
            Write::RemovePart(s, m, p) => self.remove_part(session(s), &message(s, m), &part(s, m, p)),
            Write::Passes => self.now += 1,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whether one looks after every write, now and then, or once at the end: a share has the same.
    #[test]
    fn a_share_has_the_same_however_often_one_looks(
        writes in prop::collection::vec((write(), any::<bool>()), 1..40),
        has_log in any::<bool>(),
    ) {
        let mut writer = Writer::new(has_log);
        writer.session("ses_2", Some("ses_1"));
        let place = writer.place();
        let mut all = [(); 2].map(|()| (place.find("ses_1").unwrap(), Share::default()));
        for (write, looks) in &writes {
            // A look may come in the middle of a millisecond; a second write of the same row in it is found by the
            // time alone only when the row is the last one that was written, or with the log.
            if !has_log {
                writer.now += 1;
            }
            writer.write(write);
            let [(always, share), (sometimes, other)] = &mut all;
            share.follow(&mut **always);
            if *looks {
                other.follow(&mut **sometimes);
            }
        }
        let mut last = Share::default();
        last.follow(&mut *place.find("ses_1").unwrap());
        for (follower, share) in &mut all {
            share.follow(&mut **follower);
            prop_assert_eq!(&*share, &last);
        }
    }
}
