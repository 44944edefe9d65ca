//! A file with a session in it, read once and whole.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::file::MAX_DOCUMENT;
use super::follower::{Follow, Follower};
use super::places::{Found, Places};
use crate::clock::now_ms;
use crate::import::Item;

/// Bytes of items that are given to the relay at once.
const MAX_BODY: usize = 8 << 20;

/// What a file holds, as the relay takes it.
#[derive(Debug)]
pub struct Publication {
    /// What it is shared as. Not the session itself: nothing of that is followed.
    pub session: String,
    /// The bodies of requests that share it, one after the other.
    pub bodies: Vec<Value>,
}

/// The id in a share of the session whose transcript a file is.
pub fn session_of(file: &Path) -> Option<String> {
    Found::at(file)?.session()
}

/// Reads a transcript, with its subagents, or a list of messages. `None` when it is neither.
///
/// # Errors
/// When it cannot be read.
pub fn publication(file: &Path) -> io::Result<Option<Publication>> {
    // What cannot be opened is said at once.
    let about = std::fs::File::open(file)?.metadata()?;
    if let Some(follower) =
        Found::at(file).and_then(|found| Follower::new(Arc::new(Places::of_user(None)), found))
    {
        return transcript(follower).map(Some);
    }
    if about.len() > MAX_DOCUMENT {
        return Ok(None);
    }
    let document: Value = serde_json::from_slice(&std::fs::read(file)?).unwrap_or_default();
    Ok(messages(document).map(|(id, body)| Publication {
        session: published(&id.unwrap_or_else(|| file.display().to_string())),
        bodies: vec![body],
    }))
}

/// What a session is published as. A name that is long is cut: the relay takes ids of some length only.
fn published(session: &str) -> String {
    let start = session.char_indices().rev().nth(199).map_or(0, |(at, _)| at);
    format!("published_{}", &session[start..])
}

fn transcript(mut follower: Follower) -> io::Result<Publication> {
    let mut bodies = Vec::new();
    let (mut data, mut bytes) = (Vec::new(), 0);
    loop {
        let step = follower.step()?;
        let removed = step.changes.removed.iter();
        let removed =
            removed.map(|key| json!({"type": format!("{}.removed", key.kind()), "data": key.removal()}));
        data.extend(removed);
        for item in &step.changes.items {
            bytes += item.content.get().len();
            data.push(wire(item));
            if bytes >= MAX_BODY {
                bodies.push(json!({"data": std::mem::take(&mut data)}));
                bytes = 0;
            }
        }
        if !step.more {
            break;
        }
    }
    let told = follower.told();
    data.extend(told.agent.map(|agent| json!({"type": "agent", "data": agent})));
    data.push(json!({"type": "status", "data": {"state": "gone", "at": now_ms()}}));
    bodies.push(json!({"data": data}));
    Ok(Publication { session: published(&follower.session()), bodies })
}

fn wire(item: &Item) -> Value {
    json!({"type": item.key.kind(), "data": crate::model::parse_lossy(item.content.get())})
}

/// A list of messages, in an object or as it is, and the id of its session when it has one.
fn messages(document: Value) -> Option<(Option<String>, Value)> {
    match document {
        Value::Array(messages) => {
            let is_list = !messages.is_empty() && messages.iter().all(Value::is_object);
            is_list.then(|| (None, json!({"messages": messages, "status": "gone"})))
        }
        Value::Object(mut fields) => {
            let messages = fields.remove("messages").filter(Value::is_array)?;
            // What `opencode export` gives has an `info` of the session.
            let info = fields.remove("info").unwrap_or_default();
            let mut body = json!({"messages": messages, "status": "gone"});
            for name in ["title", "directory"] {
                let text = fields.get(name).filter(|text| text.is_string()).unwrap_or(&info[name]);
                if text.is_string() {
                    body[name] = text.clone();
                }
            }
            Some((info["id"].as_str().map(ToOwned::to_owned), body))
        }
        _ => None,
    }
}
