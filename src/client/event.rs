//! What an agent reports: its bus events, in the two shapes that there are, and the backlog of a session.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::conversations::{Activity, Status};
use super::{ClientError, streams};
use crate::import::bus::Word;
use crate::import::messages::arguments;
use crate::model::{Change, Key, parse_lossy};

/// Something happened to a session.
#[derive(Debug, Clone, actix::Message)]
#[rtype(result = "()")]
pub struct Event {
    /// The session.
    pub session_id: String,
    /// What happened.
    pub happening: Happening,
}

/// What can happen to a session.
#[derive(Debug, Clone)]
pub enum Happening {
    /// An item of it is new or different, or gone.
    Changed(Change),
    /// The text of a part has grown: `added` is a JSON string.
    Grew {
        /// The part.
        part: Key,
        /// What stands at the end of its text now.
        added: Box<RawValue>,
    },
    /// Its agent does something else now.
    Does(Status),
    /// Something was said, or a tool called, in a word that names no item.
    Spoke(Word),
    /// The session was deleted: its share goes too.
    Deleted,
}

/// `{"type", "sessionID", "data"}`, or OpenCode's `{"type", "properties"}`, which its global stream wraps: `{"payload":
/// {…}}`.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, rename = "sessionID", alias = "session_id", alias = "SessionID")]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

/// What the events of `OpenCode` and BRUTUS carry; each some of it.
#[derive(Deserialize, Default)]
struct Properties<'a> {
    #[serde(borrow, rename = "sessionID", alias = "session_id", alias = "SessionID")]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "messageID")]
    message_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "partID")]
    part_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    #[serde(borrow, alias = "Part")]
    part: Option<&'a RawValue>,
    #[serde(borrow, alias = "Message", alias = "Session")]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, alias = "diffs")]
    diff: Option<&'a RawValue>,
    #[serde(borrow)]
    field: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

/// What an event says in place of an item: that a part's text has grown.
const DELTA: &str = "part.delta";

impl Event {
    /// Reads one event. `None` for a type that has nothing to share. `place` says where it stood.
    ///
    /// # Errors
    /// When an event of a known type lacks what it needs.
    pub fn parse(json: &RawValue, place: &str) -> Result<Option<Self>, ClientError> {
        match read(json, place)? {
            Wire { kind: None, payload: Some(payload), .. } => {
                let place = format!("{place}.payload");
                Self::of_wire(read(payload, &place)?, &place)
            }
            wire => Self::of_wire(wire, place),
        }
    }

    fn of_wire(wire: Wire, place: &str) -> Result<Option<Self>, ClientError> {
        let kind = wire.kind.clone().ok_or_else(|| not_an_event(place))?;
        let kind = match &*kind {
            "session.updated" | "session.created" => "session",
            "message.updated" => "message",
            "part.updated" | "message.part.updated" => "part",
            "session.diff" => "session_diff",
            "message.removed" => "message.removed",
            "part.removed" | "message.part.removed" => "part.removed",
            "session.deleted" => "session.deleted",
            "part.delta" | "message.part.delta" => DELTA,
            "session.status" | "session.idle" | "permission.asked" | "permission.updated"
            | "permission.replied" | "question.asked" | "question.replied" | "question.rejected"
            | "agent.started" | "agent.thinking" | "agent.stopped" => {
                return Self::of_activity(&kind, &wire, place).map(Some);
            }
            "message.created" | "tool.executing" | "tool.started" | "tool.completed" | "tool.error" => {
                return Self::of_word(&kind, &wire, place).map(Some);
            }
            // Known, and nothing of an item: that the agent failed, which its message says too.
            "session.error" => return Ok(None),
            // In the agent's own bus only what has a session and an item of it can be meant.
            other if other.ends_with(".removed") && wire.session_id.is_some() && wire.data.is_some() => other,
            _ => return Ok(None),
        };
        if kind == DELTA {
            let carried = wire.properties.or(wire.data);
            return carried.map_or_else(
                || Err(carries_nothing(place)),
                |carried| Self::of_delta(wire.session_id, carried, place),
            );
        }
        match (wire.data, wire.properties) {
            (Some(data), _) => Self::of_data(kind, wire.session_id, data, place),
            (None, Some(properties)) => Self::of_properties(kind, wire.session_id, properties, place),
            (None, None) if kind == "session.deleted" => {
                Self::of_data(kind, wire.session_id, RawValue::NULL, place)
            }
            (None, None) => Err(carries_nothing(place)),
        }
        .map(Some)
    }

    /// What an agent does now.
    fn of_activity(kind: &str, wire: &Wire, place: &str) -> Result<Self, ClientError> {
        #[derive(Deserialize, Default)]
        struct Fields<'a> {
            #[serde(borrow)]
            status: Option<&'a RawValue>,
            title: Option<String>,
        }
        #[derive(Deserialize, Default)]
        struct Said {
            #[serde(rename = "type")]
            kind: Option<String>,
            message: Option<String>,
        }
        let (session_id, carried) = wire.session_and_carried(place)?;
        let fields: Fields = serde_json::from_str(carried).unwrap_or_default();
        let said = fields.status.and_then(|status| serde_json::from_str::<Said>(status.get()).ok());
        let Said { kind: status, message } = said.unwrap_or_default();
        let (state, label) = match kind {
            "session.status" => match status.as_deref() {
                Some("idle") => (Activity::Idle, None),
                // It waits for its provider, and says why.
                Some("retry") => (Activity::Waiting, message),
                _ => (Activity::Busy, None),
            },
            "permission.asked" | "permission.updated" | "question.asked" => (Activity::Waiting, fields.title),
            "session.idle" | "agent.stopped" => (Activity::Idle, None),
            _ => (Activity::Busy, None),
        };
        Ok(Self { session_id, happening: Happening::Does(Status { state, label }) })
    }

    /// What was said, or which tool works, in the words of BRUTUS's bus.
    fn of_word(kind: &str, wire: &Wire, place: &str) -> Result<Self, ClientError> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Fields {
            role: Option<String>,
            content: Option<Value>,
            #[serde(alias = "tool", alias = "toolName", alias = "name")]
            tool_name: Option<String>,
            input: Option<Value>,
            success: Option<bool>,
            #[serde(alias = "result", alias = "error")]
            output: Option<Value>,
        }
        let (session_id, carried) = wire.session_and_carried(place)?;
        let fields = || serde_json::from_value::<Fields>(parse_lossy(carried));
        let Fields { role, content, tool_name, input, success, output } = fields()
            .map_err(|_| malformed(format!("`{place}` is not what an event of this type carries")))?;
        let word = if kind == "message.created" {
            let Some(Value::String(text)) = content else {
                return Err(malformed(format!("`{place}` has no text in `content`")));
            };
            Word::Said { is_prompt: role.as_deref() == Some("user"), text }
        } else {
            let tool = tool_name.ok_or_else(|| malformed(format!("`{place}` has no `tool_name`")))?;
            if matches!(kind, "tool.executing" | "tool.started") {
                Word::Executing { tool, input: arguments(input) }
            } else {
                let success = success.unwrap_or(kind != "tool.error");
                Word::Completed { tool, success, output: output.unwrap_or_default() }
            }
        };
        Ok(Self { session_id, happening: Happening::Spoke(word) })
    }

    fn of_data(
        kind: &str,
        session_id: Option<Cow<'_, str>>,
        data: &RawValue,
        place: &str,
    ) -> Result<Self, ClientError> {
        let fields: Properties = serde_json::from_str(data.get()).unwrap_or_default();
        // OpenCode's second API says `data` and means what the first calls `properties`.
        if let (Some(carried), None) = (fields.carried(kind), &fields.id) {
            return Self::of_data(kind, session_id.or(fields.session_id), carried, place);
        }
        let session_id = match (session_id, fields.session_id) {
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) if kind.starts_with("session") => {
                fields.id.clone().ok_or_else(|| no_session(place))?
            }
            (None, None) => return Err(no_session(place)),
        };
        if let Some(removal) = removal(kind, fields.message_id, fields.part_id.or(fields.id))? {
            return Self::changed(kind, session_id, &removal, place);
        }
        Self::changed(kind, session_id, data, place)
    }

    fn of_properties(
        kind: &str,
        session_id: Option<Cow<'_, str>>,
        properties: &RawValue,
        place: &str,
    ) -> Result<Self, ClientError> {
        let fields: Properties = serde_json::from_str(properties.get()).map_err(|_| {
            malformed(format!("`{place}.properties` is not what an event of this type carries"))
        })?;
        let carried = fields.carried(kind);
        let session_id = session_id.or(fields.session_id);
        if let Some(carried) = carried {
            return Self::of_data(kind, session_id, carried, place);
        }
        if kind.starts_with("session") && fields.id.is_some() {
            // BRUTUS's events of a session are the session.
            return Self::of_data(kind, session_id, properties, place);
        }
        let session_id = session_id.ok_or_else(|| no_session(place))?;
        match removal(kind, fields.message_id, fields.part_id)? {
            Some(removal) => Self::changed(kind, session_id, &removal, place),
            None if kind == "session.deleted" => Self::changed(kind, session_id, RawValue::NULL, place),
            None => Err(malformed(format!("`{place}.properties` carries no item"))),
        }
    }

    /// `None` when another field than the text has grown: the whole part, which comes at the end, has it.
    fn of_delta(
        session_id: Option<Cow<'_, str>>,
        carried: &RawValue,
        place: &str,
    ) -> Result<Option<Self>, ClientError> {
        let fields: Properties = serde_json::from_str(carried.get())
            .map_err(|_| malformed(format!("`{place}` is not what an event of this type carries")))?;
        let session_id = session_id.or(fields.session_id).ok_or_else(|| no_session(place))?;
        let added = fields.delta.filter(|delta| delta.get().starts_with('"'));
        let added = added.ok_or_else(|| malformed(format!("`{place}` has no text in `delta`")))?;
        let named = removal("part.removed", fields.message_id, fields.part_id.or(fields.id))?;
        let named = named.map(|named| change("part.removed", &named, place)).transpose()?;
        let Some(Change::Remove(part)) = named else { return Ok(None) };
        if fields.field.is_some_and(|field| field != streams::FIELD) {
            return Ok(None);
        }
        let happening = Happening::Grew { part, added: added.to_owned() };
        Ok(Some(Self { session_id: session_id.into_owned(), happening }))
    }

    fn changed(
        kind: &str,
        session_id: Cow<'_, str>,
        data: &RawValue,
        place: &str,
    ) -> Result<Self, ClientError> {
        let happening = if kind == "session.deleted" {
            Happening::Deleted
        } else {
            Happening::Changed(change(kind, data, place)?)
        };
        Ok(Self { session_id: session_id.into_owned(), happening })
    }
}

impl<'a> Properties<'a> {
    /// The item that an event of this kind carries.
    fn carried(&self, kind: &str) -> Option<&'a RawValue> {
        match kind {
            "part" => self.part,
            "session_diff" => self.diff,
            _ => self.info.or(self.message).or(self.data),
        }
    }
}

impl Wire<'_> {
    /// The session, and the object in which the rest stands.
    fn session_and_carried(&self, place: &str) -> Result<(String, &str), ClientError> {
        let carried = self.properties.or(self.data).map_or("{}", RawValue::get);
        let fields: Properties = serde_json::from_str(carried).unwrap_or_default();
        let session_id = self.session_id.clone().or(fields.session_id).ok_or_else(|| no_session(place))?;
        Ok((session_id.into_owned(), carried))
    }
}

fn read<'a>(json: &'a RawValue, place: &str) -> Result<Wire<'a>, ClientError> {
    serde_json::from_str(json.get()).map_err(|_| not_an_event(place))
}

/// Reads the `{type, data}` items of a session so far.
///
/// # Errors
/// When an item lacks what its type needs.
pub fn backlog(items: &[&RawValue]) -> Result<Vec<Change>, ClientError> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let items = items.iter().enumerate().map(|(index, item)| {
        let place = format!("data[{index}]");
        let item: Item = serde_json::from_str(item.get())
            .map_err(|_| malformed(format!("`{place}` must be an object {{type, data}}")))?;
        change(&item.kind, item.data, &place)
    });
    items.collect()
}

fn change(kind: &str, data: &RawValue, place: &str) -> Result<Change, ClientError> {
    Change::from_item(kind, data, place).map_err(|error| malformed(error.to_string()))
}

/// The item that a removal is on the wire, out of the ids that its event carries.
fn removal(
    kind: &str,
    message_id: Option<Cow<'_, str>>,
    id: Option<Cow<'_, str>>,
) -> Result<Option<Box<RawValue>>, ClientError> {
    let item = match kind {
        "message.removed" => serde_json::json!({"id": message_id.or(id)}),
        "part.removed" => serde_json::json!({"messageID": message_id, "id": id}),
        _ => return Ok(None),
    };
    serde_json::value::to_raw_value(&item).map(Some).map_err(|error| malformed(error.to_string()))
}

fn malformed(message: String) -> ClientError {
    ClientError::Malformed(message)
}

fn not_an_event(place: &str) -> ClientError {
    malformed(format!("`{place}` must be an event: {{type, sessionID, data}} or {{type, properties}}"))
}

fn carries_nothing(place: &str) -> ClientError {
    malformed(format!("`{place}` has neither `data` nor `properties`"))
}

fn no_session(place: &str) -> ClientError {
    malformed(format!("`{place}` names no session: `sessionID` is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Option<Event>, ClientError> {
        Event::parse(&RawValue::from_string(json.to_owned()).unwrap(), "event")
    }

    #[test]
    fn both_shapes_say_the_same() {
        for (native, opencode, key) in [
            (
                r#"{"type":"session.updated","sessionID":"s","data":{"id":"s","title":"t"}}"#,
                r#"{"type":"session.updated","properties":{"info":{"id":"s","title":"t"}}}"#,
                "session",
            ),
            (
                r#"{"type":"message.updated","sessionID":"s","data":{"id":"m"}}"#,
                r#"{"type":"message.updated","properties":{"info":{"id":"m","sessionID":"s"}}}"#,
                "message/m",
            ),
            (
                r#"{"type":"part.updated","sessionID":"s","data":{"id":"p","messageID":"m"}}"#,
                r#"{"type":"message.part.updated",
                    "properties":{"part":{"id":"p","messageID":"m","sessionID":"s"},"delta":"x"}}"#,
                "part/m/p",
            ),
            (
                r#"{"type":"session.diff","sessionID":"s","data":[]}"#,
                r#"{"type":"session.diff","properties":{"sessionID":"s","diff":[]}}"#,
                "session_diff",
            ),
            (
                r#"{"id":"evt","type":"session.updated","data":{"sessionID":"s","info":{"id":"s","title":"t"}}}"#,
                r#"{"directory":"/p","payload":{"id":"evt","type":"session.updated",
                    "properties":{"sessionID":"s","info":{"id":"s"}}}}"#,
                "session",
            ),
            (
                r#"{"id":"evt","type":"message.part.updated",
                    "data":{"sessionID":"s","part":{"id":"p","messageID":"m"},"time":1}}"#,
                r#"{"payload":{"type":"message.part.updated",
                    "properties":{"sessionID":"s","part":{"id":"p","messageID":"m"}}}}"#,
                "part/m/p",
            ),
            (
                r#"{"id":"evt","type":"session.diff","data":{"sessionID":"s","diff":[]}}"#,
                r#"{"payload":{"type":"session.diff","sessionID":"s","data":[]}}"#,
                "session_diff",
            ),
            (
                r#"{"type":"todo.removed","sessionID":"s","data":{"id":"t"}}"#,
                r#"{"payload":{"type":"todo.removed","sessionID":"s","data":{"id":"t"}}}"#,
                "todo/t",
            ),
            (
                r#"{"type":"message.removed","sessionID":"s","data":{"id":"m"}}"#,
                r#"{"type":"message.removed","properties":{"sessionID":"s","messageID":"m"}}"#,
                "message/m",
            ),
            (
                r#"{"type":"part.removed","sessionID":"s","data":{"messageID":"m","id":"p"}}"#,
                r#"{"type":"message.part.removed","properties":{"sessionID":"s","messageID":"m","partID":"p"}}"#,
                "part/m/p",
            ),
        ] {
            for json in [native, opencode] {
                let event = parse(json).unwrap().unwrap();
                assert_eq!(event.session_id, "s", "{json}");
                let Happening::Changed(Change::Put(found, _) | Change::Remove(found)) = event.happening
                else {
                    panic!("{json}")
                };
                assert_eq!(found.as_str(), key, "{json}");
            }
        }
        for json in [
            r#"{"type":"session.deleted","sessionID":"s"}"#,
            r#"{"type":"session.deleted","sessionID":"s","data":{}}"#,
            r#"{"type":"session.deleted","properties":{"info":{"id":"s"}}}"#,
        ] {
            let event = parse(json).unwrap().unwrap();
            assert!(event.session_id == "s" && matches!(event.happening, Happening::Deleted), "{json}");
        }
    }

    #[test]
    fn what_an_agent_does_is_read_in_its_own_words() {
        for (json, state, label) in [
            (
                r#"{"type":"session.status","properties":{"sessionID":"s","status":{"type":"busy"}}}"#,
                Activity::Busy,
                None,
            ),
            (
                r#"{"type":"session.status","properties":{"sessionID":"s",
                    "status":{"type":"retry","attempt":2,"message":"Overloaded"}}}"#,
                Activity::Waiting,
                Some("Overloaded"),
            ),
            (r#"{"type":"session.idle","properties":{"sessionID":"s"}}"#, Activity::Idle, None),
            (
                r#"{"type":"permission.updated","properties":{"sessionID":"s","title":"Run make"}}"#,
                Activity::Waiting,
                Some("Run make"),
            ),
            (r#"{"type":"permission.replied","properties":{"sessionID":"s"}}"#, Activity::Busy, None),
            (r#"{"type":"agent.stopped","session_id":"s","data":{"reason":"done"}}"#, Activity::Idle, None),
        ] {
            let event = parse(json).unwrap().unwrap();
            let Happening::Does(status) = event.happening else { panic!("{json}") };
            let said = Status { state, label: label.map(ToOwned::to_owned) };
            assert_eq!((event.session_id.as_str(), status), ("s", said), "{json}");
        }
        assert!(parse(r#"{"type":"session.idle","properties":{}}"#).is_err(), "of no session");
    }

    #[test]
    fn other_types_are_ignored_and_broken_ones_refused() {
        assert!(parse(r#"{"type":"server.connected","properties":{}}"#).unwrap().is_none());
        for json in [
            r#"{"payload":{"type":"sync","syncEvent":{"type":"session.updated.1","data":{}}}}"#,
            r#"{"type":"session.error","properties":{"error":{"name":"UnknownError"}}}"#,
            r#"{"type":"session.error"}"#,
            r#"{"type":"worktree.removed","properties":{"id":"w"}}"#,
        ] {
            assert!(parse(json).unwrap().is_none(), "{json}");
        }
        for json in [
            "{}",
            r#"{"payload":{}}"#,
            r#"{"payload":{"payload":{"type":"session.idle"}}}"#,
            r#"{"payload":7}"#,
            r#"{"type":"message.part.delta"}"#,
            r#"{"type":"message.part.delta","properties":7}"#,
            r#"{"type":"message.part.delta","properties":{"delta":"x"}}"#,
            r#"{"type":"message.part.delta","properties":{"sessionID":"s","messageID":"m","delta":"x"}}"#,
            r#"{"type":"message.part.delta",
                "properties":{"sessionID":"s","messageID":"m/n","partID":"p","delta":"x"}}"#,
            r#"{"type":"message.part.delta","properties":{"sessionID":"s","messageID":"m","partID":"p","delta":7}}"#,
            r#"{"type":"message.part.delta",
                "properties":{"sessionID":"s","messageID":"m","partID":"p","field":7,"delta":"x"}}"#,
            r#"{"type":"message.part.delta","properties":{"sessionID":"s","messageID":"m","partID":"p"}}"#,
            "1",
            r#"{"data":{}}"#,
            r#"{"type":"part.updated","sessionID":"s"}"#,
            r#"{"type":"part.updated","sessionID":"s","data":{"id":"p"}}"#,
            r#"{"type":"part.updated","data":{"id":"p","messageID":"m"}}"#,
            r#"{"type":"message.removed","sessionID":"s","data":{}}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_delta_names_the_part_whose_text_grows() {
        let ids = r#""messageID":"m","partID":"p","field":"text","delta":"a \ud83d""#;
        for json in [
            format!(r#"{{"type":"message.part.delta","properties":{{"sessionID":"s",{ids}}}}}"#),
            format!(r#"{{"type":"message.part.delta","data":{{"sessionID":"s",{ids}}}}}"#),
            format!(r#"{{"type":"part.delta","sessionID":"s","data":{{{ids}}}}}"#),
            format!(
                r#"{{"payload":{{"type":"message.part.delta","properties":{{"sessionID":"s",{ids}}}}}}}"#
            ),
            r#"{"type":"part.delta","sessionID":"s","data":{"messageID":"m","id":"p","delta":"a \ud83d"}}"#
                .into(),
        ] {
            let event = parse(&json).unwrap().unwrap();
            let Happening::Grew { part, added } = event.happening else { panic!("{json}") };
            assert_eq!((&*event.session_id, part.as_str()), ("s", "part/m/p"), "{json}");
            assert_eq!(added.get(), r#""a \ud83d""#, "{json}");
        }
        let other = r#"{"sessionID":"s","messageID":"m","partID":"p","field":"raw","delta":"x"}"#;
        let other = format!(r#"{{"type":"message.part.delta","properties":{other}}}"#);
        assert!(parse(&other).unwrap().is_none(), "the whole part has it");
    }
}
