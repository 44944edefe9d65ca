//! A conversation as a list of messages, in the shapes in which providers of models give and take them: `OpenAI`'s chat
//! and its responses, Anthropic's, Gemini's, and those fields as a Go struct without tags encodes them.
//!
//! The whole conversation is given again and again while it grows. What each message becomes hangs on the list up to
//! it, but for a call's result, which comes later: so any beginning of a list gives the same items, under the same ids,
//! and a longer list only adds to them. Ids are those that the messages have, or are made of the session and the place
//! in the list.

mod pieces;
mod shape;
mod usage;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use self::pieces::arguments;
use self::pieces::{Called, Outcome, Piece};
use self::shape::{Entry, Role, Unread};
pub use super::Model;
use super::{Item, item, title_of};
use crate::model::{Key, parse_lossy};

/// What is said of a conversation beside its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The title; without one the first prompt gives it.
    pub title: Option<String>,
    /// Where the agent works.
    pub directory: Option<String>,
    /// The model that answers, where a message does not name its own.
    pub model: Option<Model>,
    /// Since when nobody works on it, in milliseconds since 1970: its last answer is finished then.
    pub rests_since: Option<i64>,
}

/// A conversation that was read.
#[derive(Debug, Default)]
pub struct Imported {
    /// Its items: the session, then each message before its parts, in the order of the list.
    pub items: Vec<Item>,
    /// Messages that were read.
    pub accepted: usize,
    /// Messages that have nothing to show: what tells a model how to behave, and kinds that are not known.
    pub ignored: usize,
    /// Messages that cannot be read, by their places in the list, and why.
    pub bad: Vec<(usize, String)>,
}

/// Reads a conversation. One message that cannot be read does not keep the others from it.
pub fn read<'a>(session: &str, about: &About, messages: impl IntoIterator<Item = &'a RawValue>) -> Imported {
    let mut reading = Reading::new(session, about);
    let mut imported = Imported::default();
    for (place, message) in messages.into_iter().enumerate() {
        match reading.add_any(place, message) {
            Ok(()) => imported.accepted += 1,
            Err(Unread::Ignored) => imported.ignored += 1,
            Err(Unread::Bad(why)) => imported.bad.push((place, why)),
        }
    }
    imported.items = reading.into_items();
    imported
}

/// The title that a conversation has by its first prompt.
pub fn title<'a>(messages: impl IntoIterator<Item = &'a RawValue>) -> Option<String> {
    let about = About::default();
    let mut reading = Reading::new("", &about);
    for (place, message) in messages.into_iter().enumerate() {
        reading.add_any(place, message).ok();
        if reading.title.is_some() {
            break;
        }
    }
    reading.title
}

/// An id that is none of those that there are: the one that is wished for, or else another.
fn unique(ids: &mut HashSet<String>, wished: Option<String>, other: impl FnOnce() -> String) -> String {
    let mut id = wished.filter(|id| !ids.contains(id)).unwrap_or_else(other);
    while !ids.insert(id.clone()) {
        id.push('x');
    }
    id
}

/// A list, as far as it was read.
struct Reading<'a> {
    session: &'a str,
    about: &'a About,
    /// What ids begin with that are made of a place.
    prefix: String,
    messages: Vec<Message>,
    ids: HashSet<String>,
    /// The calls without a result of each id, and of those without an id of each name, in their order.
    running: HashMap<CallName, VecDeque<Place>>,
    /// The id of the last prompt.
    prompt: Option<String>,
    title: Option<String>,
    /// The message to which the next piece of the same answer is added.
    open: Option<usize>,
}

#[derive(PartialEq, Eq, Hash)]
enum CallName {
    Id(String),
    Name(String),
}

/// Where a call stands: its message, and its part there.
#[derive(Clone, Copy)]
struct Place(usize, usize);

struct Message {
    id: String,
    info: Map<String, Value>,
    is_answer: bool,
    /// Whether it says itself when it came to its end.
    is_own: bool,
    created: Option<i64>,
    /// When the last of its calls came to its end.
    worked_until: Option<i64>,
    parts: Vec<Part>,
}

struct Part {
    id: String,
    fields: Map<String, Value>,
    /// Whether it is a call without a result.
    runs: bool,
    is_call: bool,
}

impl<'a> Reading<'a> {
    fn new(session: &'a str, about: &'a About) -> Self {
        let digest = Sha256::digest(session.as_bytes());
        let prefix = format!("{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
        Self {
            session,
            about,
            prefix,
            messages: Vec::new(),
            ids: HashSet::new(),
            running: HashMap::new(),
            prompt: None,
            title: None,
            open: None,
        }
    }

    fn add_any(&mut self, place: usize, message: &RawValue) -> Result<(), Unread> {
        let message = parse_lossy(message.get());
        if shape::is_own(&message) {
            self.add_own(place, message);
        } else {
            self.add(place, shape::read(message)?);
        }
        Ok(())
    }

    fn add(&mut self, place: usize, mut entry: Entry) {
        let mut pieces = Vec::new();
        for piece in std::mem::take(&mut entry.pieces) {
            match piece {
                Piece::Outcome(outcome) => {
                    // What comes next was said in the knowledge of this: it is another answer.
                    self.open = None;
                    pieces.extend(self.complete(outcome, entry.at).map(Piece::Outcome));
                }
                piece => pieces.push(piece),
            }
        }
        if pieces.is_empty() && entry.role == Role::Outcome {
            return;
        }
        let own = entry.id.take().map(|own| if own.starts_with("msg_") { own } else { format!("msg_{own}") });
        let id = self.id(place, own);
        let part_prefix = id.replacen("msg_", "prt_", 1);
        let message = match self.open {
            Some(open) if entry.joins && entry.role == Role::Answer => open,
            _ => self.begin(id, &entry),
        };
        self.describe(message, &mut entry);
        for (at, piece) in pieces.into_iter().enumerate() {
            self.add_piece(message, format!("{part_prefix}_{at}"), piece, entry.at);
        }
        self.open = (entry.role == Role::Answer).then_some(message);
    }

    /// A message as `OpenCode` gives it: `{info, parts}`.
    fn add_own(&mut self, place: usize, mut message: Value) {
        self.open = None;
        let Value::Object(mut info) = message["info"].take() else { return };
        let own = info.get("id").and_then(Value::as_str).map(ToOwned::to_owned);
        let id = self.id(place, own);
        // What tells the model how to behave is nobody's business.
        info.remove("system");
        info.insert("id".into(), json!(id));
        let is_answer = info.get("role").is_none_or(|role| role != "user");
        let (mut parts, mut ids) = (Vec::new(), HashSet::new());
        if let Value::Array(given) = message["parts"].take() {
            for (at, part) in given.into_iter().enumerate() {
                let Value::Object(fields) = part else { continue };
                let usable = |id: &&str| shape::is_id(id);
                let part = fields.get("id").and_then(Value::as_str).filter(usable).map(ToOwned::to_owned);
                if !is_answer && self.title.is_none() && !fields.contains_key("synthetic") {
                    self.title = fields.get("text").and_then(Value::as_str).and_then(title_of);
                }
                let status = fields.get("state").map(|state| &state["status"]);
                let ended = |status: &Value| status == "completed" || status == "error";
                parts.push(Part {
                    id: unique(&mut ids, part, || format!("prt_{id}_{at}")),
                    runs: status.is_some_and(|status| !ended(status)),
                    is_call: status.is_some(),
                    fields,
                });
            }
        }
        if !is_answer {
            self.prompt = Some(id.clone());
        }
        let is_own = true;
        self.messages.push(Message { id, info, is_answer, is_own, created: None, worked_until: None, parts });
    }

    /// The id of a message: its own, if it is one that nobody had before; else one of its place.
    fn id(&mut self, place: usize, own: Option<String>) -> String {
        let own = own.filter(|id| shape::is_id(id));
        unique(&mut self.ids, own, || format!("msg_{}{place:06}", self.prefix))
    }

    fn begin(&mut self, id: String, entry: &Entry) -> usize {
        let is_answer = entry.role != Role::Prompt;
        let mut info = Map::new();
        info.insert("id".into(), json!(id));
        info.insert("sessionID".into(), json!(self.session));
        info.insert("role".into(), json!(if is_answer { "assistant" } else { "user" }));
        if is_answer {
            if let Some(prompt) = &self.prompt {
                info.insert("parentID".into(), json!(prompt));
            }
        } else {
            self.prompt = Some(id.clone());
        }
        self.messages.push(Message {
            id,
            info,
            is_answer,
            is_own: false,
            created: entry.at,
            worked_until: entry.at,
            parts: Vec::new(),
        });
        self.messages.len() - 1
    }

    /// Notes what an answer says of itself.
    fn describe(&mut self, message: usize, entry: &mut Entry) {
        let Message { info, is_answer: true, .. } = &mut self.messages[message] else { return };
        if let Some(Model { provider, id }) = entry.model.take().or_else(|| self.about.model.clone()) {
            info.insert("modelID".into(), json!(id));
            if let Some(provider) = provider {
                info.insert("providerID".into(), json!(provider));
            }
        }
        if let Some(usage) = entry.usage.take() {
            info.insert("tokens".into(), usage.tokens());
            if let Some(cost) = usage.cost {
                info.insert("cost".into(), json!(cost));
            }
        }
        if let Some(finish) = entry.finish.take() {
            info.insert("finish".into(), json!(finish));
        }
        if let Some(error) = entry.error.take() {
            info.insert("error".into(), json!({"name": "APIError", "data": {"message": error}}));
        }
    }

    fn add_piece(&mut self, message: usize, id: String, piece: Piece, at: Option<i64>) {
        let (mut fields, runs) = match piece {
            Piece::Text(text) => {
                if !self.messages[message].is_answer && self.title.is_none() {
                    self.title = title_of(&text);
                }
                (json!({"type": "text", "text": text}), false)
            }
            Piece::Thought(text) => (json!({"type": "reasoning", "text": text}), false),
            Piece::File(file) => (file, false),
            Piece::Other(value) => (value, false),
            Piece::Call(Called { id: call, name, input }) => {
                let place = Place(message, self.messages[message].parts.len());
                let known = call.clone().map_or_else(|| CallName::Name(name.clone()), CallName::Id);
                self.running.entry(known).or_default().push_back(place);
                let mut state = json!({"status": "running", "input": input});
                if let Some(at) = at {
                    state["time"] = json!({"start": at});
                }
                let call = call.unwrap_or_else(|| id.clone());
                (json!({"type": "tool", "callID": call, "tool": name, "state": state}), true)
            }
            Piece::Outcome(outcome) => {
                // Its call was never seen.
                let name = outcome.name.clone().unwrap_or_else(|| "tool".into());
                let call = outcome.call.clone().unwrap_or_else(|| id.clone());
                let mut state = json!({"input": {}});
                finish(&mut state, outcome, at);
                (json!({"type": "tool", "callID": call, "tool": name, "state": state}), false)
            }
        };
        let Some(fields) = fields.as_object_mut().map(std::mem::take) else { return };
        let is_call = fields.contains_key("callID");
        self.messages[message].parts.push(Part { id, fields, runs, is_call });
    }

    /// Ends the call that a result is of: of those with its id or name the first that runs. Gives the result back when
    /// there never was such a call; one that comes a second time changes nothing.
    fn complete(&mut self, outcome: Outcome, at: Option<i64>) -> Option<Outcome> {
        let name = match (&outcome.call, &outcome.name) {
            (Some(id), _) => CallName::Id(id.clone()),
            (None, Some(name)) => CallName::Name(name.clone()),
            (None, None) => return Some(outcome),
        };
        let Some(running) = self.running.get_mut(&name) else { return Some(outcome) };
        let Place(message, part) = running.pop_front()?;
        let message = &mut self.messages[message];
        message.worked_until = message.worked_until.max(at);
        let part = &mut message.parts[part];
        part.runs = false;
        if let Some(state) = part.fields.get_mut("state") {
            finish(state, outcome, at);
        }
        None
    }

    fn into_items(self) -> Vec<Item> {
        let Self { session, about, messages, title, .. } = self;
        let mut items = Vec::new();
        let mut info = json!({"id": session});
        if let Some(title) = about.title.as_ref().or(title.as_ref()) {
            info["title"] = json!(title);
        }
        if let Some(directory) = &about.directory {
            info["directory"] = json!(directory);
        }
        items.extend(item(Key::from(Key::SESSION), &info, false));
        let count = messages.len();
        for (at, message) in messages.into_iter().enumerate() {
            let Message { id, mut info, is_answer, is_own, created, worked_until, parts } = message;
            let ended = if at + 1 < count { worked_until } else { about.rests_since.max(worked_until) };
            let is_over = || !is_answer || !info.get("time").is_none_or(|time| time["completed"].is_null());
            let is_finished = if is_own { is_over() } else { at + 1 < count || about.rests_since.is_some() };
            let runs = parts.iter().any(|part| part.runs);
            if let Some(created) = created {
                let mut time = json!({"created": created});
                if is_answer && is_finished {
                    time["completed"] = json!(ended);
                }
                info.insert("time".into(), time);
            }
            items.extend(item(Key::message(&id), &Value::Object(info), is_finished && !runs));
            for Part { id: part, mut fields, runs, is_call } in parts {
                fields.insert("id".into(), json!(part));
                fields.insert("sessionID".into(), json!(session));
                fields.insert("messageID".into(), json!(id));
                items.extend(item(Key::part(&id, &part), &Value::Object(fields), is_call && !runs));
            }
        }
        items
    }
}

fn finish(state: &mut Value, outcome: Outcome, at: Option<i64>) {
    let Outcome { output, files, failed, .. } = outcome;
    if failed {
        state["status"] = json!("error");
        state["error"] = output;
    } else {
        state["status"] = json!("completed");
        state["output"] = output;
    }
    if let Some(at) = at {
        let start = state["time"]["start"].as_i64().unwrap_or(at);
        state["time"] = json!({"start": start, "end": at.max(start)});
    }
    if !files.is_empty() {
        state["attachments"] = Value::Array(files);
    }
}
