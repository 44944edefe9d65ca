//! The messages of a session as `OpenCode`'s second API has them, read as messages and parts. One item holds all of
//! them, each with its content. The page reads them in the same way (`viewer/load/messages.js`), and a table of cases
//! holds both to it.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::item::fields;
use crate::model::parse_lossy as parse;

/// All messages of one session, each raw: one at a time is read.
pub(super) struct List<'a> {
    /// The session, as JSON.
    session: Option<&'a str>,
    pub(super) messages: Vec<&'a RawValue>,
}

/// A message that was read.
pub(super) struct Read {
    pub(super) id: String,
    pub(super) info: Value,
    pub(super) parts: Vec<Value>,
}

impl<'a> List<'a> {
    /// The list that an item holds; `None` when it holds none.
    pub(super) fn of(item: &'a RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Item<'a> {
            #[serde(borrow, rename = "sessionID")]
            session: Option<&'a RawValue>,
            #[serde(borrow)]
            messages: Vec<&'a RawValue>,
        }
        let Item { session, messages } = serde_json::from_str(item.get()).ok()?;
        Some(Self { session: session.map(RawValue::get), messages })
    }

    /// Whether these are the messages of a session with this id.
    pub(super) fn is_of(&self, session: &Value) -> bool {
        self.session.is_some_and(|id| !session.is_null() && parse(id) == *session)
    }
}

/// Reads the message that stands at a place of its list.
pub(super) fn read(message: &RawValue, at: usize) -> Read {
    let mut message = parse(message.get());
    let id = message["id"].as_str().filter(|id| !id.is_empty());
    let id = id.map_or_else(|| format!("message-{at}"), ToOwned::to_owned);
    let (mut info, parts) =
        if message.is_object() { own(&mut message) } else { note(vec![odd(&message)], &Value::Null) };
    info.insert("id".into(), json!(id));
    let parts = parts.into_iter().enumerate().map(|(place, part)| {
        let Value::Object(fields) = part else { return part };
        let mut part = present(fields);
        part.insert("id".into(), json!(format!("{id}-{place}")));
        part.insert("messageID".into(), json!(id));
        Value::Object(part)
    });
    Read { parts: parts.collect(), info: Value::Object(present(info)), id }
}

type Fields = Map<String, Value>;

fn own(message: &mut Value) -> (Fields, Vec<Value>) {
    let time = message["time"].clone();
    let text = message["text"].take();
    match message["type"].as_str().unwrap_or_default() {
        "user" => {
            let mut parts = vec![json!({"type": "text", "text": text})];
            parts.extend(elements(&mut message["files"]).map(file));
            parts.extend(
                elements(&mut message["agents"]).map(|agent| json!({"type": "agent", "name": agent["name"]})),
            );
            (fields(json!({"role": "user", "time": time, "agent": message["agent"]})), parts)
        }
        "assistant" => {
            let parts = elements(&mut message["content"]).map(content).collect();
            (answer(message), parts)
        }
        "shell" => {
            let (start, end) = (&time["created"], &time["completed"]);
            let state = present(fields(json!({
                "status": if end.is_null() { "running" } else { "completed" },
                "input": present(fields(json!({"command": message["command"]}))),
                "output": message["output"],
                "time": present(fields(json!({"start": start, "end": end}))),
            })));
            let call = json!({"type": "tool", "tool": "bash", "callID": message["callID"], "state": state});
            (fields(json!({"role": "assistant", "time": time})), vec![call])
        }
        "synthetic" | "system" => note(vec![json!({"type": "text", "text": text, "synthetic": true})], &time),
        "agent-switched" => note(vec![json!({"type": "agent", "name": message["agent"]})], &time),
        "model-switched" => {
            let model = &message["model"];
            let part = json!({"type": "model", "modelID": model["id"], "providerID": model["providerID"]});
            note(vec![part], &time)
        }
        "compaction" => {
            let mut parts = vec![json!({"type": "compaction", "auto": message["reason"] == "auto"})];
            if message["summary"].as_str().is_some_and(|summary| !summary.trim().is_empty()) {
                parts.push(json!({"type": "text", "text": message["summary"]}));
            }
            note(parts, &time)
        }
        _ => {
            if !text.is_null() {
                message["text"] = text;
            }
            note(vec![message.take()], &time)
        }
    }
}

/// What is said between prompts and answers: done when it is there.
fn note(parts: Vec<Value>, time: &Value) -> (Fields, Vec<Value>) {
    let time = json!({"created": time["created"], "completed": time["created"]});
    (fields(json!({"role": "assistant", "time": present(fields(time))})), parts)
}

fn answer(message: &Value) -> Fields {
    let (model, error) = (&message["model"], &message["error"]);
    let error = if error["type"] == "aborted" {
        let data = present(fields(json!({"message": error["message"]})));
        json!({"name": "MessageAbortedError", "data": data})
    } else {
        error.clone()
    };
    fields(json!({
        "role": "assistant",
        "time": message["time"],
        "agent": message["agent"],
        "modelID": model["id"],
        "providerID": model["providerID"],
        "cost": message["cost"],
        "tokens": message["tokens"],
        "finish": message["finish"],
        "error": error,
    }))
}

fn content(mut piece: Value) -> Value {
    if !piece.is_object() {
        return odd(&piece);
    }
    let time = piece["time"].clone();
    let end = &time["completed"];
    match piece["type"].as_str() {
        Some("text") => json!({"type": "text", "text": piece["text"].take()}),
        Some("reasoning") => {
            let time = present(fields(json!({"start": time["created"], "end": end})));
            json!({"type": "reasoning", "text": piece["text"].take(), "time": time})
        }
        Some("tool") => {
            let start = if time["ran"].is_null() { &time["created"] } else { &time["ran"] };
            let mut state = call(piece["state"].take());
            state.insert("time".into(), Value::Object(present(fields(json!({"start": start, "end": end})))));
            json!({"type": "tool", "tool": piece["name"], "callID": piece["id"], "state": present(state)})
        }
        _ => piece,
    }
}

/// What went in and came out of a call.
fn call(mut state: Value) -> Fields {
    if !state.is_object() {
        return Fields::new();
    }
    let (mut output, mut files) = (None::<String>, Vec::new());
    for piece in elements(&mut state["content"]) {
        if let Some(text) = piece["text"].as_str() {
            let output = output.get_or_insert_default();
            if !output.is_empty() && !output.ends_with('\n') {
                output.push('\n');
            }
            output.push_str(text);
        }
        if piece["type"] == "file" {
            files.push(file(piece));
        }
    }
    files.extend(elements(&mut state["attachments"]).map(file));
    let error =
        if state["error"]["message"].is_null() { &state["error"] } else { &state["error"]["message"] };
    // The newest clients say so of a call whose input is still being written.
    let status = if state["status"] == "streaming" { json!("pending") } else { state["status"].clone() };
    let metadata = if state["structured"].is_null() { &state["metadata"] } else { &state["structured"] };
    let mut call = fields(json!({"status": status, "error": error, "metadata": metadata}));
    call.insert("input".into(), state["input"].take());
    call.insert("output".into(), output.map_or_else(|| state["result"].take(), Value::String));
    if !files.is_empty() {
        call.insert("attachments".into(), Value::Array(files));
    }
    call
}

/// A file that was attached: by its address, or with what it holds.
fn file(mut attached: Value) -> Value {
    if !attached.is_object() {
        return odd(&attached);
    }
    let mime = attached["mime"].as_str().unwrap_or_default();
    let held = attached["data"].as_str().map(|data| format!("data:{mime};base64,{data}"));
    let url = match (attached["uri"].take(), held) {
        (Value::Null, Some(held)) => Value::String(held),
        (Value::Null, None) => attached["source"]["uri"].take(),
        (uri, _) => uri,
    };
    let file = json!({"type": "file", "mime": attached["mime"], "filename": attached["name"], "url": url});
    Value::Object(present(fields(file)))
}

fn odd(value: &Value) -> Value {
    json!({"type": "", "value": value})
}

/// The elements of an array, and of what is none nothing.
fn elements(value: &mut Value) -> impl Iterator<Item = Value> + use<> {
    let elements = match value.take() {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    };
    elements.into_iter()
}

/// The fields that have a value.
fn present(mut fields: Fields) -> Fields {
    fields.retain(|_, value| !value.is_null());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_the_page_reads_them() {
        #[derive(Deserialize)]
        struct Case {
            name: String,
            messages: Value,
            read: Vec<Expected>,
        }
        #[derive(Deserialize, PartialEq, Debug)]
        struct Expected {
            info: Value,
            parts: Vec<Value>,
        }
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/fixtures/messages.json")).unwrap();
        for Case { name, messages, read: expected } in cases {
            let item = json!({"sessionID": "s", "messages": messages}).to_string();
            let item = RawValue::from_string(item).unwrap();
            let list = List::of(&item).unwrap();
            assert!(list.is_of(&json!("s")) && !list.is_of(&json!("t")) && !list.is_of(&Value::Null));
            let found = list.messages.iter().enumerate().map(|(at, message)| read(message, at));
            let found: Vec<_> = found.map(|Read { info, parts, .. }| Expected { info, parts }).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_list_has_no_messages() {
        for odd in ["7", "null", "[]", "{}", r#"{"messages":7}"#] {
            let odd = RawValue::from_string(odd.to_owned()).unwrap();
            assert!(List::of(&odd).is_none_or(|list| list.messages.is_empty()), "{odd}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_costs_its_character_alone() {
        let item = RawValue::from_string(
            r#"{"messages":[{"id":"m","type":"user","text":"a \ud83d b"}]}"#.to_owned(),
        );
        let item = item.unwrap();
        let list = List::of(&item).unwrap();
        assert_eq!(read(list.messages[0], 0).parts[0]["text"], "a \u{fffd} b");
    }
}
