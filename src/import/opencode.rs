//! Sessions as `OpenCode` keeps them, in its database, or in the files of its older versions, and as its server tells
//! of them. Its types are those of a share already: ids, which stand in columns, are put to them, what must not leave
//! the machine is dropped, and the fields of an object get one order, so that all three give the same bytes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::{Item, item};
use crate::model::{Change, Key, MAX_ID};

/// The columns of a session that are read, and where their values stand in it. Others hold what an agent may do, and
/// the link of another share.
const SESSION_PATHS: [(&str, &[&str]); 22] = [
    ("id", &["id"]),
    ("project_id", &["projectID"]),
    ("parent_id", &["parentID"]),
    ("slug", &["slug"]),
    ("directory", &["directory"]),
    ("path", &["path"]),
    ("title", &["title"]),
    ("version", &["version"]),
    ("summary_additions", &["summary", "additions"]),
    ("summary_deletions", &["summary", "deletions"]),
    ("summary_files", &["summary", "files"]),
    ("cost", &["cost"]),
    ("tokens_input", &["tokens", "input"]),
    ("tokens_output", &["tokens", "output"]),
    ("tokens_reasoning", &["tokens", "reasoning"]),
    ("tokens_cache_read", &["tokens", "cache", "read"]),
    ("tokens_cache_write", &["tokens", "cache", "write"]),
    ("agent", &["agent"]),
    ("time_created", &["time", "created"]),
    ("time_updated", &["time", "updated"]),
    ("time_compacting", &["time", "compacting"]),
    ("time_archived", &["time", "archived"]),
];

/// The same for columns that hold JSON.
const SESSION_JSON: [(&str, &[&str]); 3] =
    [("summary_diffs", &["summary", "diffs"]), ("revert", &["revert"]), ("model", &["model"])];

/// The names of the columns of a session that are read.
pub fn session_columns() -> impl Iterator<Item = &'static str> {
    SESSION_PATHS.into_iter().chain(SESSION_JSON).map(|(column, _)| column)
}

/// A session out of its row, by the names of its columns.
pub fn session(row: &Map<String, Value>) -> Option<Item> {
    let mut session = json!({});
    for (column, path) in SESSION_PATHS {
        if let Some(value) = row.get(column).filter(|value| value.is_string() || value.is_number()) {
            put(&mut session, path, value.clone());
        }
    }
    for (column, path) in SESSION_JSON {
        let value = row.get(column).and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
        if let Some(value) = value.filter(|value: &Value| !value.is_null()) {
            put(&mut session, path, value);
        }
    }
    session.get("id")?;
    item(Key::from(Key::SESSION), &session, false)
}

fn put(object: &mut Value, path: &[&str], value: Value) {
    *path.iter().fold(object, |object, name| &mut object[*name]) = value;
}

/// A session that has its ids: out of a file, or as the server tells of it.
pub fn whole_session(json: &RawValue) -> Option<Item> {
    // Its own share is another's link.
    let fields = sorted(json.get(), &[], &["share"])?;
    kept(Key::SESSION, &fields, false)
}

/// A message out of its row.
pub fn message(id: &str, session: &str, data: &str) -> Option<Item> {
    let about: About = serde_json::from_str(data).ok()?;
    let settled =
        about.role.as_deref() == Some("user") || about.time.is_some_and(|time| time.completed.is_some());
    let fields = sorted(data, &[("id", id), ("sessionID", session)], &[])?;
    kept("message", &fields, settled)
}

/// A message that has its ids.
pub fn whole_message(json: &RawValue) -> Option<Item> {
    let ids: Ids = serde_json::from_str(json.get()).ok()?;
    message(&ids.id, &ids.session, json.get())
}

/// A part out of its row.
pub fn part(id: &str, message: &str, session: &str, data: &str) -> Option<Item> {
    let about: About = serde_json::from_str(data).ok()?;
    let settled = match about.state {
        Some(state) => state.status.is_some_and(|status| status == "completed" || status == "error"),
        None => !about.grows(),
    };
    // What a provider wants to see again: signatures, and reasoning that is encrypted.
    let fields = sorted(data, &[("id", id), ("messageID", message), ("sessionID", session)], &["metadata"])?;
    kept("part", &fields, settled)
}

/// A part that has its ids.
pub fn whole_part(json: &RawValue) -> Option<Item> {
    let ids: Ids = serde_json::from_str(json.get()).ok()?;
    part(&ids.id, ids.message.as_deref()?, &ids.session, json.get())
}

/// The key of a message with this id; `None` for what is no id.
pub fn message_key(id: &str) -> Option<Key> {
    is_id(id).then(|| Key::message(id))
}

/// The key of a part.
pub fn part_key(message: &str, id: &str) -> Option<Key> {
    (is_id(message) && is_id(id)).then(|| Key::part(message, id))
}

/// Whether what is asked last is not answered yet, by the last message of a session.
pub fn is_working(message: &str) -> bool {
    let Ok(about) = serde_json::from_str::<About>(message) else { return false };
    let has_ended = about.time.is_some_and(|time| time.completed.is_some());
    // After its calls an agent answers again.
    let goes_on = about.finish.as_deref() == Some("tool-calls");
    about.role.as_deref() == Some("user") || about.error.is_none() && (!has_ended || goes_on)
}

/// Whether an item is a text that is still being written. In the database it is empty until it is finished.
pub fn grows(part: &RawValue) -> bool {
    serde_json::from_str::<About>(part.get()).is_ok_and(|about| about.grows())
}

/// What has to be known of a message or a part. Fields of any type: what is odd says nothing.
#[derive(Deserialize)]
struct About<'a> {
    #[serde(default, deserialize_with = "text_or_none")]
    role: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "text_or_none")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text_or_none")]
    finish: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    time: Option<Time>,
    state: Option<State>,
}

#[derive(Deserialize)]
struct Time {
    start: Option<Value>,
    end: Option<Value>,
    completed: Option<Value>,
}

#[derive(Deserialize)]
struct State {
    status: Option<String>,
}

#[derive(Deserialize)]
struct Ids {
    id: String,
    #[serde(rename = "sessionID")]
    session: String,
    #[serde(rename = "messageID")]
    message: Option<String>,
}

impl About<'_> {
    fn grows(&self) -> bool {
        matches!(self.kind.as_deref(), Some("text" | "reasoning"))
            && self.time.as_ref().is_some_and(|time| time.start.is_some() && time.end.is_none())
    }
}

fn text_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_str().map(ToOwned::to_owned))
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID && !id.contains('/') && !id.chars().any(char::is_control)
}

/// An object with these ids and without these fields. Its values keep their bytes.
fn sorted(object: &str, ids: &[(&str, &str)], without: &[&str]) -> Option<Box<RawValue>> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object).ok()?;
    for name in without {
        fields.remove(*name);
    }
    for (name, id) in ids {
        fields.insert((*name).to_owned(), to_raw_value(id).ok()?);
    }
    to_raw_value(&fields).ok()
}

/// What of an item is kept in a share.
fn kept(kind: &str, data: &RawValue, settled: bool) -> Option<Item> {
    match Change::from_item(kind, data, kind).ok()? {
        Change::Put(key, content) => Some(Item { key, content, settled }),
        Change::MergeModels(_) | Change::Remove(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn a_row_and_what_the_server_tells_give_the_same_bytes() {
        let row = r#"{"type":"text","text":"a \ud83d","time":{"start":1,"end":2},"n":1.50}"#;
        let told = r#"{"n":1.50,"time":{"start":1,"end":2},"sessionID":"s","messageID":"m","id":"p","type":"text",
                       "text":"a \ud83d"}"#;
        let (row, told) = (part("p", "m", "s", row).unwrap(), whole_part(&raw(told)).unwrap());
        assert_eq!(row.key.as_str(), "part/m/p");
        assert_eq!(row.content.get(), told.content.get());
        assert_eq!(
            row.content.get(),
            concat!(
                r#"{"id":"p","messageID":"m","n":1.50,"sessionID":"s","text":"a \ud83d","#,
                r#""time":{"start":1,"end":2},"type":"text"}"#,
            )
        );
        let row = message("m", "s", r#"{"role":"assistant","time":{"created":1}}"#).unwrap();
        let told =
            whole_message(&raw(r#"{"time":{"created":1},"id":"m","role":"assistant","sessionID":"s"}"#));
        assert_eq!(row.content.get(), told.unwrap().content.get());
    }

    #[test]
    fn what_must_not_leave_the_machine_is_dropped() {
        let row = json!({
            "id": "ses_1", "project_id": "p", "parent_id": null, "title": "T", "version": "1.18.33", "cost": 0.5,
            "tokens_input": 7, "tokens_cache_read": 8, "summary_additions": 1, "summary_diffs": "[]",
            "revert": r#"{"messageID":"m"}"#, "model": r#"{"id":"x","providerID":"y"}"#, "time_created": 1,
            "time_updated": 2, "permission": "SECRET", "metadata": "SECRET", "share_url": "SECRET",
        });
        let item = session(row.as_object().unwrap()).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(item.content.get()).unwrap(),
            json!({
                "id": "ses_1", "projectID": "p", "title": "T", "version": "1.18.33", "cost": 0.5,
                "tokens": {"input": 7, "cache": {"read": 8}}, "summary": {"additions": 1, "diffs": []},
                "revert": {"messageID": "m"}, "model": {"id": "x", "providerID": "y"},
                "time": {"created": 1, "updated": 2},
            })
        );
        let told =
            r#"{"id":"s","permission":["SECRET"],"metadata":"SECRET","share":{"url":"SECRET"},"title":"T"}"#;
        assert_eq!(whole_session(&raw(told)).unwrap().content.get(), r#"{"id":"s","title":"T"}"#);
        let item = message("m", "s", r#"{"role":"user","system":"SECRET"}"#).unwrap();
        assert_eq!(item.content.get(), r#"{"id":"m","role":"user","sessionID":"s"}"#);
        let data = r#"{"type":"tool","metadata":"SECRET","state":{"status":"running","metadata":{"sessionId":"c"}}}"#;
        let item = part("p", "m", "s", data).unwrap();
        assert!(!item.content.get().contains("SECRET") && item.content.get().contains("sessionId"));
    }

    #[test]
    fn items_say_whether_they_have_come_to_their_end() {
        for (data, settled, growing) in [
            (r#"{"type":"text","text":"","time":{"start":1}}"#, false, true),
            (r#"{"type":"reasoning","text":"x","time":{"start":1,"end":2}}"#, true, false),
            (r#"{"type":"text","text":"typed"}"#, true, false),
            (r#"{"type":"tool","state":{"status":"running","time":{"start":1}}}"#, false, false),
            (r#"{"type":"tool","state":{"status":"error"}}"#, true, false),
            (r#"{"type":7}"#, true, false),
        ] {
            let item = part("p", "m", "s", data).unwrap();
            assert_eq!((item.settled, grows(&item.content)), (settled, growing), "{data}");
        }
        for (data, settled, working) in [
            (r#"{"role":"user"}"#, true, true),
            (r#"{"role":"assistant","time":{"created":1}}"#, false, true),
            (r#"{"role":"assistant","time":{"completed":1},"finish":"tool-calls"}"#, true, true),
            (r#"{"role":"assistant","time":{"completed":1},"finish":"stop"}"#, true, false),
            (
                r#"{"role":"assistant","time":{"completed":1},"error":{"name":"MessageAbortedError"}}"#,
                true,
                false,
            ),
        ] {
            assert_eq!(message("m", "s", data).unwrap().settled, settled, "{data}");
            assert_eq!(is_working(data), working, "{data}");
        }
    }

    #[test]
    fn what_is_no_item_is_left_out() {
        for data in ["", "7", "[]", "{", "null", r#"{"time":7}"#] {
            assert!(message("m", "s", data).is_none() && part("p", "m", "s", data).is_none(), "{data}");
            assert!(!is_working(data), "{data}");
        }
        assert!(part("p", "a/b", "s", "{}").is_none() && message("", "s", "{}").is_none());
        assert!(session(&Map::new()).is_none() && whole_session(&raw("7")).is_none());
        assert!(part_key("m", "a/b").is_none() && message_key("m\n").is_none() && message_key("m").is_some());
    }
}
