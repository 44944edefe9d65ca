//! A session as `opencode import` takes it, whichever agent it is of: the ids that `OpenCode` would have made, and all
//! fields that it demands. It takes one session a file, so each subagent's is one of its own.

mod ids;
mod shape;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use self::ids::{Ascending, is_own};
use super::item::{error_text, fields};
use super::session::{Message, Parts, add_listed, messages, said_of_session, spoken};
use crate::model::subagents::{Division, Place, divide};
use crate::model::{Content, Key};

/// The agent that answers in `OpenCode` unless another is chosen.
const AGENT: &str = "build";

/// What stands where nobody says which model, provider or tool it was.
const UNKNOWN: &str = "unknown";

/// Sessions as `opencode export` writes them.
#[derive(Debug)]
pub struct OpenCodeSessions {
    /// The session itself, and behind it those of its subagents: each behind the one that it works for.
    pub sessions: Vec<Value>,
    /// Parts that are left out, because `OpenCode` has nothing like them.
    pub left_out: usize,
}

/// Items in reading order as sessions of `OpenCode`. Ids that are its own stay. The others are made out of the old
/// ones, their times and `seed`: the same for the same items, also when more have come behind them.
pub fn opencode_sessions(items: &[(Key, Content)], seed: &str) -> OpenCodeSessions {
    let info = Value::Object(fields(said_of_session(items)));
    let (mut messages, orphans) = messages(items);
    let spoken: Vec<_> = messages.iter().map(spoken).collect();
    let Division { mut own, subagents } = divide(info["id"].as_str(), &spoken);
    let first_listed = messages.len();
    add_listed(&mut messages, items, &info["id"]);
    own.extend(first_listed..messages.len());

    let said = |places: &[usize]| places.iter().find_map(|place| spoken.get(*place)?.session.clone());
    let name = info["id"].as_str().map(ToOwned::to_owned).or_else(|| said(&own)).unwrap_or_default();
    let mut threads = vec![Thread::new(seed, name, own)];
    for subagent in &subagents {
        let name = said(&subagent.messages).unwrap_or_default();
        threads.push(Thread::new(seed, name, subagent.messages.clone()));
    }
    let mut thread_of = vec![0; messages.len()];
    for (number, thread) in threads.iter().enumerate() {
        thread.messages.iter().for_each(|place| thread_of[*place] = number);
    }
    let mut below = vec![Vec::new(); threads.len()];
    for (number, subagent) in (1..).zip(&subagents) {
        let (Place::Task { message, .. } | Place::Behind(message)) = subagent.place;
        below[thread_of[message]].push(number);
        threads[number].parent = Some(threads[thread_of[message]].id.clone());
    }

    let mut writer = Writer::new(seed, info, messages, &threads);
    writer.left_out = orphans.len();
    let (mut order, mut sessions) = (vec![0], Vec::with_capacity(threads.len()));
    while let Some(&number) = order.get(sessions.len()) {
        order.extend(&below[number]);
        sessions.push(writer.session(&threads[number]));
    }
    OpenCodeSessions { sessions, left_out: writer.left_out }
}

/// A session, or a subagent's.
struct Thread {
    id: String,
    /// What its agent calls it.
    name: String,
    /// The id of the session that it works for.
    parent: Option<String>,
    /// The places of its messages.
    messages: Vec<usize>,
}

impl Thread {
    fn new(seed: &str, name: String, messages: Vec<usize>) -> Self {
        let id = if is_own(ids::SESSION, &name) { name.clone() } else { ids::session(&[seed, &name]) };
        Self { id, name, parent: None, messages }
    }
}

/// What has become of a message: its id, and when it was made, in milliseconds since 1970.
#[derive(Default)]
struct Renamed {
    id: String,
    created: u64,
}

struct Writer<'a> {
    seed: &'a str,
    info: Value,
    messages: Vec<Message<'a>>,
    renamed: Vec<Renamed>,
    /// The new ids of sessions and messages, by the old ones.
    sessions: HashMap<String, String>,
    message_ids: HashMap<String, String>,
    /// What the task of a subagent is about, by its session's old id: its part is written before.
    tasks: HashMap<String, String>,
    /// The ids of parts so far. Some agents count the parts of each message anew.
    parts: HashSet<String>,
    left_out: usize,
}

impl<'a> Writer<'a> {
    fn new(seed: &'a str, info: Value, messages: Vec<Message<'a>>, threads: &[Thread]) -> Self {
        let mut renamed: Vec<_> = messages.iter().map(|_| Renamed::default()).collect();
        for Thread { messages: places, .. } in threads {
            let mut ids = Ascending::default();
            let mut last = time(&info["time"]["created"]).unwrap_or_default();
            for &place in places {
                let Message { id, info, .. } = &messages[place];
                let created = time(&info["time"]["created"]);
                // OpenCode sorts by time, and then by id. Its own sessions are sorted as it likes.
                last = created.filter(|at| *at > last || is_own(ids::MESSAGE, id)).unwrap_or(last);
                let id = ids.next(ids::MESSAGE, id, last, &[seed, id]);
                renamed[place] = Renamed { id, created: last };
            }
        }
        let ids = messages.iter().zip(&renamed);
        let message_ids = ids.map(|(message, new)| (message.id.to_string(), new.id.clone())).collect();
        let sessions = threads.iter().map(|thread| (thread.name.clone(), thread.id.clone())).collect();
        let (tasks, parts) = (HashMap::new(), HashSet::new());
        Self { seed, info, messages, renamed, sessions, message_ids, tasks, parts, left_out: 0 }
    }

    fn session(&mut self, thread: &Thread) -> Value {
        let (models, mut prompt) = (self.models(thread), None);
        let mut written = Vec::with_capacity(thread.messages.len());
        for (&place, model) in thread.messages.iter().zip(models) {
            let message = self.message(thread, place, prompt, model);
            if message["info"]["role"] == "user" {
                prompt = Some(place);
            }
            written.push(message);
        }
        json!({"info": self.session_info(thread), "messages": written})
    }

    fn session_info(&self, thread: &Thread) -> Value {
        let of = |place: Option<&usize>| place.map(|place| self.renamed[*place].created);
        let (first, last) = (of(thread.messages.first()), of(thread.messages.last()));
        let mut info = match &thread.parent {
            None => fields(self.info.clone()),
            Some(_) => fields(json!({"directory": self.info["directory"], "version": self.info["version"]})),
        };
        // What is shared there is not shared here, and a stranger does not say what an agent may do.
        for field in ["share", "permission", "workspaceID", "parentID"] {
            info.remove(field);
        }
        let revert = self.revert(&info);
        info.remove("revert");
        let title = if thread.parent.is_some() { "Subagent" } else { "Imported session" };
        let title = self.tasks.get(&thread.name).map_or(title, String::as_str);
        for (name, value) in [("slug", thread.id.as_str()), ("title", title), ("version", UNKNOWN)] {
            put_missing(&mut info, name, value);
        }
        let mut info = shape::INFO.fit(Value::Object(info), first.unwrap_or_default()).unwrap_or_default();
        if let (Some(last), Some(_)) = (last, &thread.parent) {
            info["time"]["updated"] = json!(last);
        }
        info["id"] = json!(thread.id);
        if let Some(parent) = &thread.parent {
            info["parentID"] = json!(parent);
        }
        if let Some(revert) = revert {
            info["revert"] = revert;
        }
        info
    }

    /// What an undo took back: from which message on, and from which of its parts.
    fn revert(&self, info: &Map<String, Value>) -> Option<Value> {
        let mut revert = shape::REVERT.fit(info.get("revert")?.clone(), 0)?;
        revert["messageID"] = json!(self.message_ids.get(revert["messageID"].as_str()?)?);
        let part = revert["partID"].as_str();
        // The ids of other parts are not known before they are written.
        if part.is_some_and(|part| !is_own(ids::PART, part)) {
            return None;
        }
        Some(revert)
    }

    /// The provider and the model of each message of a thread: `OpenCode` has prompts say it too.
    fn models(&self, thread: &Thread) -> Vec<(String, String)> {
        let of_message = |place: &usize| {
            let info = &self.messages[*place].info;
            if info["role"] == "user" { named(&info["model"], "modelID") } else { named(info, "modelID") }
        };
        let mut models: Vec<_> = thread.messages.iter().map(of_message).collect();
        let last = models.iter().rev().find_map(Clone::clone).or_else(|| named(&self.info["model"], "id"));
        let mut next = last.unwrap_or_else(|| (UNKNOWN.into(), UNKNOWN.into()));
        for model in models.iter_mut().rev() {
            next = model.get_or_insert(next).clone();
        }
        models.into_iter().flatten().collect()
    }

    fn message(
        &mut self,
        thread: &Thread,
        place: usize,
        prompt: Option<usize>,
        (provider, model): (String, String),
    ) -> Value {
        let Message { id: old, info, .. } = &self.messages[place];
        let Renamed { id, created } = &self.renamed[place];
        let (id, created, old) = (id.clone(), *created, old.clone().into_owned());
        let mut info = fields(info.clone());
        let is_prompt = info.get("role").is_some_and(|role| role == "user");
        if is_prompt {
            put_missing(&mut info, "agent", AGENT);
            if info.get("model").is_none_or(|said| named(said, "modelID").is_none()) {
                info.insert("model".into(), json!({"providerID": provider, "modelID": model}));
            }
        } else {
            info.insert("role".into(), json!("assistant"));
            put_missing(&mut info, "providerID", &provider);
            put_missing(&mut info, "modelID", &model);
            let agent = info.get("mode").or(info.get("agent")).and_then(Value::as_str).unwrap_or(AGENT);
            let agent = agent.to_owned();
            put_missing(&mut info, "mode", &agent);
            put_missing(&mut info, "agent", &agent);
            let directory = &self.info["directory"];
            info.entry("path").or_insert_with(|| json!({"cwd": directory, "root": directory}));
            if let Some(error) = info.remove("error").filter(|error| !error.is_null()) {
                info.insert("error".into(), known_error(error, shape::ERROR, "UnknownError"));
            }
        }
        let answers = info.remove("parentID");
        let mut info = shape::MESSAGE.fit(Value::Object(info), created).unwrap_or_default();
        info["time"]["created"] = json!(created);
        info["id"] = json!(id);
        info["sessionID"] = json!(thread.id);
        if !is_prompt {
            let answers = answers.as_ref().and_then(Value::as_str);
            let known = answers.and_then(|answers| {
                let known = self.message_ids.get(answers).map(String::as_str);
                known.or_else(|| is_own(ids::MESSAGE, answers).then_some(answers))
            });
            let before = prompt.map(|prompt| self.renamed[prompt].id.as_str());
            info["parentID"] = known.or(before).map_or_else(
                // Of no message: there is none that it answers.
                || json!(Ascending::default().next(ids::MESSAGE, "", 0, &[self.seed, &old, "prompt"])),
                Value::from,
            );
        }

        let mut parts = Vec::new();
        let mut ids = Ascending::default();
        // Out of the way of what is noted while they are read.
        let read = std::mem::replace(&mut self.messages[place].parts, Parts::Left(Vec::new()));
        read.each(|part| {
            let name = part["id"].as_str().unwrap_or_default();
            let Some(mut part) = self.part(part, name, created) else {
                self.left_out += 1;
                return true;
            };
            let own = if self.parts.contains(name) { "" } else { name };
            let new = ids.next(ids::PART, own, created, &[self.seed, &old, name]);
            let ids = json!({"id": new, "messageID": id, "sessionID": thread.id});
            name_files(&mut part, &ids);
            part.extend(fields(ids));
            self.parts.insert(new);
            parts.push(Value::Object(part));
            true
        });
        json!({"info": info, "parts": parts})
    }

    /// A part as `OpenCode` takes it, but for its ids; `None` for what it has nothing like.
    fn part(&mut self, part: &Value, name: &str, created: u64) -> Option<Map<String, Value>> {
        let mut part = fields(part.clone());
        match part.get("type").and_then(Value::as_str) {
            Some("tool") => self.prepare_call(&mut part, name),
            Some("file") if !part.get("url").is_some_and(Value::is_string) => return None,
            Some("retry") => {
                if let Some(error) = part.get_mut("error") {
                    *error = known_error(error.take(), shape::RETRY_ERROR, "APIError");
                }
            }
            Some("compaction") => {
                let tail = part.remove("tail_start_id");
                let known = tail.and_then(|tail| self.message_ids.get(tail.as_str()?));
                part.extend(known.map(|known| ("tail_start_id".into(), json!(known))));
            }
            _ => {}
        }
        let text = part.get("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let text = text.map(|text| json!({"type": "text", "text": text}));
        shape::PART.fit(Value::Object(part), created).or(text).map(fields)
    }

    fn prepare_call(&mut self, part: &mut Map<String, Value>, name: &str) {
        put_missing(part, "callID", name);
        put_missing(part, "tool", UNKNOWN);
        let mut state = part.remove("state").map(fields).unwrap_or_default();
        let input = match state.remove("input").unwrap_or_default() {
            Value::Null => json!({}),
            input @ Value::Object(_) => input,
            input => json!({"input": input}),
        };
        let task = input["description"].as_str().map(ToOwned::to_owned);
        state.insert("input".into(), input);
        let has = |field: &str| state.get(field).is_some_and(|value| !value.is_null());
        let status = state.get("status").and_then(Value::as_str).unwrap_or_default();
        if !["pending", "running", "completed", "error"].contains(&status) {
            let status = [("error", "error"), ("output", "completed")];
            let status = status.iter().find(|(field, _)| has(field)).map_or("pending", |(_, status)| status);
            state.insert("status".into(), json!(status));
        }
        if let Some(error) = state.get_mut("error").filter(|error| !error.is_string()) {
            *error = error_text(error).map_or(error.take(), Value::String);
        }
        if let Some(metadata) = state.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["sessionId", "parentSessionId"] {
                let Some(session) = metadata.get(field).and_then(Value::as_str) else { continue };
                if let Some(known) = self.sessions.get(session) {
                    if let (Some(task), "sessionId") = (&task, field) {
                        self.tasks.entry(session.to_owned()).or_insert_with(|| task.clone());
                    }
                    metadata.insert(field.into(), json!(known));
                } else if !is_own(ids::SESSION, session) {
                    metadata.remove(field);
                }
            }
        }
        part.insert("state".into(), Value::Object(state));
    }
}

/// The files that a call gave are parts of its message, and of the call.
fn name_files(part: &mut Map<String, Value>, ids: &Value) {
    let mut new = Ascending::default();
    let state = part.get_mut("state").and_then(|state| state.get_mut("attachments"));
    let files = state.and_then(Value::as_array_mut).into_iter().flatten();
    for (place, file) in files.filter_map(Value::as_object_mut).enumerate() {
        let own = file.get("id").and_then(Value::as_str).unwrap_or_default();
        let call = ids["id"].as_str().unwrap_or_default();
        let id = new.next(ids::PART, own, 0, &[call, &place.to_string()]);
        file.extend(fields(ids.clone()));
        file.insert("id".into(), json!(id));
    }
}

/// The provider and the model that something says, the model under a name.
fn named(model: &Value, field: &str) -> Option<(String, String)> {
    let provider = model["providerID"].as_str().unwrap_or(UNKNOWN);
    Some((provider.to_owned(), model[field].as_str()?.to_owned()))
}

/// An error that `OpenCode` knows, or one of this name that says the same.
fn known_error(error: Value, known: shape::Shape, name: &str) -> Value {
    let said = error_text(&error).unwrap_or_else(|| error.to_string());
    known
        .fit(error, 0)
        .unwrap_or_else(|| json!({"name": name, "data": {"message": said, "isRetryable": false}}))
}

/// A time, in milliseconds since 1970.
fn time(value: &Value) -> Option<u64> {
    shape::Shape::Time.fit(value.clone(), 0)?.as_u64()
}

fn put_missing(fields: &mut Map<String, Value>, name: &str, text: &str) {
    if fields.get(name).is_none_or(Value::is_null) {
        fields.insert(name.to_owned(), json!(text));
    }
}

#[cfg(test)]
#[path = "opencode/tests.rs"]
mod tests;
