//! What an agent reports: its bus events, in the two shapes that there are, and the backlog of a session.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ClientError;
use crate::model::Change;

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
    /// The session was deleted: its share goes too.
    Deleted,
}

/// `{"type", "sessionID", "data"}`, or OpenCode's `{"type", "properties"}`.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "sessionID")]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

/// What OpenCode's events carry; each some of it.
#[derive(Deserialize, Default)]
struct Properties<'a> {
    #[serde(borrow, rename = "sessionID")]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "messageID")]
    message_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "partID")]
    part_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    #[serde(borrow)]
    part: Option<&'a RawValue>,
    #[serde(borrow)]
    diff: Option<&'a RawValue>,
}

impl Event {
    /// Reads one event. `None` for a type that has nothing to do with sharing. `place` says where it stood.
    ///
    /// # Errors
    /// When an event of a known type lacks what it needs.
    pub fn parse(json: &RawValue, place: &str) -> Result<Option<Self>, ClientError> {
        let wire: Wire = serde_json::from_str(json.get()).map_err(|_| {
            malformed(format!(
                "`{place}` must be an event: {{type, sessionID, data}} or {{type, properties}}"
            ))
        })?;
        let kind = match &*wire.kind {
            "session.updated" | "session.created" => "session",
            "message.updated" => "message",
            "part.updated" | "message.part.updated" => "part",
            "session.diff" => "session_diff",
            "message.removed" => "message.removed",
            "part.removed" | "message.part.removed" => "part.removed",
            "session.deleted" => "session.deleted",
            _ => return Ok(None),
        };
        match (wire.data, wire.properties) {
            (Some(data), _) => Self::of_data(kind, wire.session_id, data, place),
            (None, Some(properties)) => Self::of_properties(kind, wire.session_id, properties, place),
            (None, None) if kind == "session.deleted" => {
                Self::of_data(kind, wire.session_id, RawValue::NULL, place)
            }
            (None, None) => Err(malformed(format!("`{place}` has neither `data` nor `properties`"))),
        }
        .map(Some)
    }

    fn of_data(
        kind: &str,
        session_id: Option<Cow<'_, str>>,
        data: &RawValue,
        place: &str,
    ) -> Result<Self, ClientError> {
        let fields: Properties = serde_json::from_str(data.get()).unwrap_or_default();
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
        let session_id = session_id.or(fields.session_id);
        let carried = match kind {
            "part" => fields.part,
            "session_diff" => fields.diff,
            _ => fields.info,
        };
        if let Some(carried) = carried {
            return Self::of_data(kind, session_id, carried, place);
        }
        let session_id = session_id.ok_or_else(|| no_session(place))?;
        match removal(kind, fields.message_id, fields.part_id)? {
            Some(removal) => Self::changed(kind, session_id, &removal, place),
            None if kind == "session.deleted" => Self::changed(kind, session_id, RawValue::NULL, place),
            None => Err(malformed(format!("`{place}.properties` carries no item"))),
        }
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
                r#"{"type":"message.part.updated","properties":{"part":{"id":"p","messageID":"m","sessionID":"s"},"delta":"x"}}"#,
                "part/m/p",
            ),
            (
                r#"{"type":"session.diff","sessionID":"s","data":[]}"#,
                r#"{"type":"session.diff","properties":{"sessionID":"s","diff":[]}}"#,
                "session_diff",
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
    fn other_types_are_ignored_and_broken_ones_refused() {
        assert!(parse(r#"{"type":"server.connected","properties":{}}"#).unwrap().is_none());
        assert!(parse(r#"{"type":"message.part.delta","properties":{"delta":"x"}}"#).unwrap().is_none());
        for json in [
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
}
