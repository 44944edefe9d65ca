//! The Agent Client Protocol, as it passes between an agent and its client, read as the items of a share. Pure: whoever
//! stands between the two feeds the lines as they pass, and takes what changed.
//!
//! What passes is far more than a conversation: environments, keys of MCP servers, files, answers to permissions. So
//! what is read is named here, field by field; updates of other kinds are counted at most, and never shown. Ids are
//! made of the agent's own id of the session and of places in it, so the same lines give the same items.

mod call;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use self::call::{Call, Terminal};
pub use super::conversation::Growth;
use super::conversation::{Changes, Conversation, Place};
use super::text::{fields, file, fingerprint, is_id};
pub use super::transcripts::{About, State};
use super::{item, title_of};
use crate::model::{Key, parse_lossy};

/// What the ids of sessions begin with here: agents do not know each other's ids.
const PREFIX: &str = "acp_";

/// Sessions that are known. The one of which nothing was heard for longest goes first.
const MAX_SESSIONS: usize = 64;

/// Bytes of lines whose contents are kept. What was said first goes first.
const MAX_KEPT: usize = 32 << 20;

/// Bytes of lines that go together.
const KEPT_AT_ONCE: usize = 256 << 10;

/// Requests without an answer that are remembered.
const MAX_ASKED: usize = 1024;

/// Bytes of an id of a request.
const MAX_REQUEST_ID: usize = 256;

/// Terminals of a session that are remembered.
const MAX_TERMINALS: usize = 64;

/// Bytes of a call that runs up to which all of it is given whenever something of it changes. A larger one is given
/// again when as much was said since: the cost stays in proportion.
const SMALL_CALL: usize = 16 << 10;

/// Updates that are known and say nothing for a reader.
const SILENT: [&str; 3] = ["available_commands_update", "current_mode_update", "notice"];

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client: an editor.
    Client,
    /// The agent.
    Agent,
}

/// All sessions of one agent, as far as they were read.
#[derive(Debug, Default)]
pub struct Acp {
    /// By the agent's own ids.
    sessions: HashMap<String, Session>,
    asked: HashMap<(Side, String), Asked>,
    agent: Option<Agent>,
    /// What is kept, in the order in which it was said.
    kept: VecDeque<Kept>,
    bytes: usize,
    turn: u64,
}

/// The agent, as it names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// What it is called.
    pub name: String,
    /// Which version it is.
    pub version: Option<String>,
}

/// A piece of a conversation: the parts of a session from one place to another.
#[derive(Debug)]
struct Kept {
    session: String,
    from: Place,
    until: Place,
    bytes: usize,
}

/// A request that waits for its answer.
#[derive(Debug)]
enum Asked {
    Initialize,
    /// A new session, and where its agent works.
    New(Option<String>),
    Load(String),
    Prompt(String),
    Permission(String),
    Terminal {
        session: String,
        command: String,
    },
    /// What a terminal shows, or how it ended.
    Shown {
        session: String,
        terminal: String,
    },
}

/// What a line was about.
#[derive(Debug, PartialEq, Eq)]
pub struct Noted {
    /// The agent's own id of the session.
    pub session: String,
    /// Whether the agent has just said that the session can be used.
    pub is_ready: bool,
}

impl Acp {
    /// Reads a line that somebody wrote, at `now` in milliseconds since 1970. Says which session it changed.
    pub fn read(&mut self, side: Side, line: &[u8], now: i64) -> Option<Noted> {
        let Value::Object(mut message) = parse_lossy(&String::from_utf8_lossy(line)) else { return None };
        let id = message.get("id").filter(|id| !id.is_null()).map(ToString::to_string);
        let id = id.filter(|id| id.len() <= MAX_REQUEST_ID);
        let noted = match message.remove("method") {
            Some(Value::String(method)) => {
                let params = message.remove("params").unwrap_or_default();
                self.called(side, &method, id, &params, now)
            }
            Some(_) => None,
            None => {
                let other = if side == Side::Client { Side::Agent } else { Side::Client };
                let asked = self.asked.remove(&(other, id?))?;
                self.answered(asked, &message, now)
            }
        }?;
        self.keep(&noted.session, line.len());
        Some(noted)
    }

    /// A session by the agent's own id.
    pub fn session(&mut self, id: &str) -> Option<&mut Session> {
        self.sessions.get_mut(id)
    }

    /// A session that there is from now on, if it was not known.
    pub fn any_session(&mut self, id: &str, now: i64) -> &mut Session {
        self.turn += 1;
        if !self.sessions.contains_key(id) && self.sessions.len() >= MAX_SESSIONS {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.turn);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.sessions.remove(&oldest);
            }
        }
        let session = self.sessions.entry(id.to_owned()).or_insert_with(|| Session::new(id, now));
        session.turn = self.turn;
        session
    }

    /// The agent's own ids of all sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &String> {
        self.sessions.keys()
    }

    /// The agent, when it has said who it is.
    pub fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    /// The agent has ended, and with it the turns under way.
    pub fn end(&mut self, now: i64) {
        for session in self.sessions.values_mut().filter(|session| session.turns > 0) {
            session.turns = 1;
            session.end_turn(&json!({"error": {"message": "the agent has ended"}}), now);
        }
    }

    fn called(
        &mut self,
        side: Side,
        method: &str,
        id: Option<String>,
        params: &Value,
        now: i64,
    ) -> Option<Noted> {
        let text = |name: &str| params[name].as_str().map(ToOwned::to_owned);
        let asked = match (side, method, text("sessionId")) {
            (Side::Client, "initialize", _) => Asked::Initialize,
            (Side::Client, "session/new" | "session/fork", _) => Asked::New(text("cwd")),
            (Side::Client, "session/load" | "session/resume", Some(session)) => {
                let known = self.any_session(&session, now);
                known.about.directory = text("cwd").or(known.about.directory.take());
                if method == "session/load" {
                    known.replay();
                }
                Asked::Load(session)
            }
            (Side::Client, "session/prompt", Some(session)) => {
                self.any_session(&session, now).prompt(&params["prompt"], now);
                Asked::Prompt(session)
            }
            (Side::Agent, "session/request_permission", Some(session)) => {
                let known = self.any_session(&session, now);
                known.tool_call(&params["toolCall"], now);
                known.waiting += 1;
                Asked::Permission(session)
            }
            (Side::Agent, "terminal/create", Some(session)) => {
                Asked::Terminal { session, command: call::command_line(params) }
            }
            (Side::Agent, "terminal/output" | "terminal/wait_for_exit", Some(session)) => {
                Asked::Shown { session, terminal: text("terminalId")? }
            }
            (Side::Agent, "session/update", Some(session)) => {
                self.any_session(&session, now).update(&params["update"], now);
                return Some(Noted { session, is_ready: false });
            }
            (Side::Client, "session/cancel", Some(session)) => {
                self.sessions.get_mut(&session)?.is_cancelled = true;
                return None;
            }
            (Side::Client, "session/set_model", Some(session)) => {
                self.sessions.get_mut(&session)?.note_model(&params["modelId"]);
                return None;
            }
            _ => return None,
        };
        let noted = match &asked {
            Asked::Prompt(session) | Asked::Permission(session) => {
                Some(Noted { session: session.clone(), is_ready: false })
            }
            _ => None,
        };
        if self.asked.len() < MAX_ASKED {
            self.asked.insert((side, id?), asked);
        }
        noted
    }

    fn answered(&mut self, asked: Asked, message: &Map<String, Value>, now: i64) -> Option<Noted> {
        let result = message.get("result").unwrap_or(&Value::Null);
        let failed = message.contains_key("error");
        let mut is_ready = false;
        let session = match asked {
            Asked::Initialize => {
                let info = &result["agentInfo"];
                let name = info["title"].as_str().or_else(|| info["name"].as_str());
                let version = info["version"].as_str().map(ToOwned::to_owned);
                self.agent = name.map(|name| Agent { name: name.to_owned(), version });
                return None;
            }
            Asked::New(directory) => {
                let id = result["sessionId"].as_str()?.to_owned();
                let session = self.any_session(&id, now);
                session.about.directory = directory;
                session.note_models(result);
                is_ready = true;
                id
            }
            Asked::Load(id) => {
                let session = self.sessions.get_mut(&id)?;
                session.replayed(failed, now);
                session.note_models(result);
                is_ready = !failed;
                id
            }
            Asked::Prompt(id) => {
                self.sessions.get_mut(&id)?.end_turn(&Value::Object(message.clone()), now);
                id
            }
            Asked::Permission(id) => {
                let session = self.sessions.get_mut(&id)?;
                session.waiting = session.waiting.saturating_sub(1);
                id
            }
            Asked::Terminal { session: id, command } => {
                let terminal = result["terminalId"].as_str()?;
                let session = self.sessions.get_mut(&id)?;
                if session.terminals.len() < MAX_TERMINALS {
                    let terminal = (terminal.to_owned(), Terminal::new(command));
                    session.terminals.extend([terminal]);
                }
                return None;
            }
            Asked::Shown { session: id, terminal } => {
                self.sessions.get_mut(&id)?.shown(&terminal, result);
                id
            }
        };
        Some(Noted { session, is_ready })
    }

    /// Counts what a line has brought, and lets go of what was said first when that is too much.
    fn keep(&mut self, id: &str, bytes: usize) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.unkept += bytes;
        session.said += bytes;
        self.bytes += bytes;
        if session.unkept >= KEPT_AT_ONCE {
            let until = session.conversation.end_of_parts();
            let from = std::mem::replace(&mut session.kept_until, until);
            let bytes = std::mem::take(&mut session.unkept);
            self.kept.push_back(Kept { session: id.to_owned(), from, until, bytes });
        }
        while self.bytes > MAX_KEPT {
            let Some(Kept { session, from, until, bytes }) = self.kept.pop_front() else { return };
            self.bytes -= bytes;
            if let Some(session) = self.sessions.get_mut(&session) {
                session.conversation.let_go(from, until);
            }
        }
    }
}

/// What the share of a session has to be told.
#[derive(Debug, Default)]
pub struct Update {
    /// What was added to texts that are there.
    pub grown: Vec<Growth>,
    /// What is new or different, each message before its parts.
    pub items: Vec<super::Item>,
    /// What is there no more: messages and parts.
    pub removed: Vec<Key>,
}

/// Messages that go behind those that were listed before.
#[derive(Debug)]
pub struct Listing {
    /// How many were listed before.
    pub count: usize,
    /// Each as `{info, parts}`.
    pub messages: Vec<Box<RawValue>>,
    until: usize,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    about: About,
    /// What its agent calls it.
    own_title: Option<String>,
    conversation: Conversation,
    /// The text that is being written.
    open: Option<Open>,
    /// The prompt that is being replayed, by the id that its agent gives it.
    replaying: Option<(usize, Option<String>)>,
    /// What was there before a replay began, until it is over.
    before: Option<Box<Conversation>>,
    /// What may be there no more when a replay is over.
    replaced: HashSet<Key>,
    removed: Vec<Key>,
    calls: HashMap<String, Call>,
    changed: BTreeSet<String>,
    terminals: HashMap<String, Terminal>,
    model: Option<String>,
    /// Prompts without an answer.
    turns: usize,
    prompts: usize,
    has_answered: bool,
    waiting: usize,
    is_cancelled: bool,
    has_commands: bool,
    given: Value,
    /// How many messages were listed, and where the next one is.
    listed: (usize, usize),
    kept_until: Place,
    unkept: usize,
    /// Bytes of all lines about it.
    said: usize,
    turn: u64,
}

#[derive(Debug)]
struct Open {
    place: Place,
    kind: &'static str,
    source: Option<String>,
}

impl Session {
    fn new(id: &str, now: i64) -> Self {
        // An id is part of paths and keys.
        let own = if is_id(id) { id.to_owned() } else { format!("{:032x}", fingerprint(&[id])) };
        let about = About { session: format!("{PREFIX}{own}"), created: Some(now), ..About::default() };
        let conversation = new_conversation(&about.session);
        Self {
            about,
            own_title: None,
            conversation,
            open: None,
            replaying: None,
            before: None,
            replaced: HashSet::new(),
            removed: Vec::new(),
            calls: HashMap::new(),
            changed: BTreeSet::new(),
            terminals: HashMap::new(),
            model: None,
            turns: 0,
            prompts: 0,
            has_answered: false,
            waiting: 0,
            is_cancelled: false,
            has_commands: false,
            given: Value::Null,
            listed: (0, 0),
            kept_until: (0, 0),
            unkept: 0,
            said: 0,
            turn: 0,
        }
    }

    /// What is known of it.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The title, when its agent gave it one.
    pub fn own_title(&self) -> Option<&str> {
        self.own_title.as_deref()
    }

    /// What its agent does.
    pub fn state(&self) -> State {
        match (self.waiting, self.turns) {
            (1.., _) => State::Waiting,
            (0, 1..) => State::Busy,
            (0, 0) => State::Idle,
        }
    }

    /// Whether its agent has said which commands it has.
    pub fn has_commands(&self) -> bool {
        self.has_commands
    }

    /// What is new or different since the last time.
    pub fn take(&mut self) -> Update {
        self.write_calls(false);
        self.about.updated = self.conversation.updated().max(self.about.created);
        let grown = self.conversation.take_growth();
        let mut changes = Changes::default();
        let about = self.about.item();
        if about != self.given {
            changes.items.extend(item(Key::from(Key::SESSION), &about, false));
            self.given = about;
        }
        self.conversation.take(&mut changes);
        let mut removed = changes.removed;
        if !self.removed.is_empty() {
            // What was said again meanwhile is there.
            let now = self.conversation.keys();
            removed.extend(self.removed.drain(..).filter(|key| !now.contains(key)));
        }
        Update { grown, items: changes.items, removed }
    }

    /// Gives all of it, whatever was given before.
    pub fn take_all(&mut self) -> Update {
        self.write_calls(true);
        self.given = Value::Null;
        self.conversation.give_again();
        self.take()
    }

    /// The item of the session itself.
    pub fn item(&self) -> Value {
        self.about.item()
    }

    /// The messages that were not listed yet and do not change any more.
    pub fn unlisted(&mut self) -> Listing {
        self.write_calls(true);
        let (count, from) = self.listed;
        let until = self.over().max(from);
        let messages = (from..until).filter_map(|slot| self.conversation.message_with_parts(slot));
        Listing { count, until, messages: messages.collect() }
    }

    /// Notes that these messages were listed.
    pub fn set_listed(&mut self, listing: &Listing) {
        self.listed = (listing.count + listing.messages.len(), listing.until);
    }

    /// Nobody has the list any more.
    pub fn list_again(&mut self) {
        self.listed = (0, 0);
    }

    /// The first message that may change.
    fn over(&self) -> usize {
        let count = self.conversation.count();
        let answer = self.conversation.current(0).filter(|_| self.turns > 0);
        answer.unwrap_or(count)
    }

    fn note_model(&mut self, id: &Value) {
        self.model = id.as_str().map(ToOwned::to_owned).or(self.model.take());
    }

    /// The model, as what begins a session names it, or the options of the session.
    fn note_models(&mut self, result: &Value) {
        self.note_model(&result["models"]["currentModelId"]);
        let options = result["configOptions"].as_array().into_iter().flatten();
        for option in options.filter(|option| option["category"] == "model") {
            self.note_model(&option["currentValue"]);
        }
    }

    fn source(&self) -> String {
        format!("#{}", self.conversation.count() + 1)
    }

    /// The answer that is being given.
    fn answer(&mut self, now: i64) -> usize {
        self.has_answered = true;
        self.replaying = None;
        if let Some(answer) = self.conversation.current(0) {
            self.conversation.touch(answer, Some(now));
            return answer;
        }
        let source = self.source();
        let answer = self.conversation.answer(0, &source, Some(now));
        if let Some(model) = &self.model {
            self.conversation.set(answer, "modelID", json!(model));
            self.about.model = Some(super::Model { provider: None, id: model.clone() });
        }
        answer
    }

    fn prompt(&mut self, blocks: &Value, now: i64) {
        self.close(now);
        self.replaying = None;
        self.turns += 1;
        self.prompts += 1;
        self.has_answered = false;
        self.is_cancelled = false;
        let parts: Vec<_> = blocks.as_array().into_iter().flatten().filter_map(|it| self.block(it)).collect();
        if parts.is_empty() {
            return;
        }
        let source = self.source();
        let prompt = self.conversation.prompt(0, &source, Some(now));
        for part in parts {
            self.say_prompt(prompt, part);
        }
    }

    fn say_prompt(&mut self, prompt: usize, part: Map<String, Value>) {
        if self.about.title.is_none() {
            self.about.title = part.get("text").and_then(Value::as_str).and_then(title_of);
        }
        self.conversation.push(prompt, part);
    }

    fn update(&mut self, update: &Value, now: i64) {
        let content = &update["content"];
        let source = update["messageId"].as_str();
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "user_message_chunk" => self.prompt_chunk(content, source, now),
            "agent_message_chunk" => self.chunk("text", content, source, now),
            "agent_thought_chunk" => self.chunk("reasoning", content, source, now),
            "tool_call" | "tool_call_update" => self.tool_call(update, now),
            "plan" => self.plan(&update["entries"], now),
            "plan_update" => self.plan(&update["plan"]["entries"], now),
            "session_info_update" => {
                if let Some(title) = update["title"].as_str().and_then(title_of) {
                    self.own_title = Some(title.clone());
                    self.about.title = Some(title);
                }
            }
            "usage_update" => {
                let cost = &update["cost"];
                if cost["currency"] == "USD" {
                    self.about.cost = cost["amount"].as_f64().or(self.about.cost);
                }
            }
            "config_option_update" => self.note_models(update),
            kind if SILENT.contains(&kind) => self.has_commands |= kind == SILENT[0],
            _ => self.about.count(&update["sessionUpdate"]),
        }
    }

    /// A piece of a prompt, as a replay brings it; or of one that was seen, which its agent repeats.
    fn prompt_chunk(&mut self, content: &Value, source: Option<&str>, now: i64) {
        if self.turns > 0 && !self.has_answered {
            return;
        }
        let Some(part) = self.block(content) else { return };
        self.close(now);
        let goes_on = |of: &Option<String>| source.is_none() || of.as_deref() == source;
        let known = self.replaying.take().filter(|(_, of)| goes_on(of)).map(|(prompt, _)| prompt);
        let own = self.source();
        let prompt = known.unwrap_or_else(|| self.conversation.prompt(0, &own, Some(now)));
        self.replaying = Some((prompt, source.map(ToOwned::to_owned)));
        if let (true, Some(text)) = (known.is_some(), part.get("text").and_then(Value::as_str))
            && let Some(last) = self.conversation.last_part(prompt)
            && let Some(Value::String(said)) = last.get_mut("text")
        {
            said.push_str(text);
            return;
        }
        self.say_prompt(prompt, part);
    }

    fn chunk(&mut self, kind: &'static str, content: &Value, source: Option<&str>, now: i64) {
        let Some(part) = self.block(content) else { return };
        let answer = self.answer(now);
        let Some(text) = part.get("text").and_then(Value::as_str) else {
            self.close(now);
            self.conversation.push(answer, part);
            return;
        };
        let goes_on = |open: &&Open| {
            open.place.0 == answer
                && open.kind == kind
                && (source.is_none() || open.source.as_deref() == source)
        };
        if let Some(open) = self.open.as_ref().filter(goes_on) {
            self.conversation.grow(open.place, text);
            return;
        }
        self.close(now);
        let text = [("type", json!(kind)), ("text", json!(text)), ("time", json!({"start": now}))];
        let number = self.conversation.push(answer, fields(text));
        self.open = Some(Open { place: (answer, number), kind, source: source.map(ToOwned::to_owned) });
    }

    /// The text that is being written is over.
    fn close(&mut self, now: i64) {
        if let Some(Open { place, .. }) = self.open.take() {
            self.conversation.close(place, now);
        }
    }

    fn tool_call(&mut self, update: &Value, now: i64) {
        let Some(id) = update["toolCallId"].as_str() else { return };
        if !self.calls.contains_key(id) {
            self.begin_call(id, update["sessionUpdate"] == "tool_call", now);
        }
        let Some(call) = self.calls.get_mut(id) else { return };
        call.update(update, now);
        self.changed.insert(id.to_owned());
        if let Some(answer) = self.conversation.current(0) {
            self.conversation.touch(answer, Some(now));
        }
    }

    /// Begins a call. What is said late of one of another turn is not shown.
    fn begin_call(&mut self, id: &str, is_new: bool, now: i64) {
        let is_known = self.conversation.has_call(id);
        if is_known && !is_new {
            return;
        }
        let key = if is_known { format!("{id}#{}", self.prompts) } else { id.to_owned() };
        self.close(now);
        let answer = self.answer(now);
        self.conversation.call(answer, &key, "tool", json!({}), Some(now));
        self.calls.insert(id.to_owned(), Call::new(key, now));
    }

    /// Notes what a terminal shows.
    fn shown(&mut self, id: &str, result: &Value) {
        let Some(terminal) = self.terminals.get_mut(id) else { return };
        terminal.update(result);
        let shown = self.calls.iter().filter(|(_, call)| call.shows(id)).map(|(id, _)| id.clone());
        self.changed.extend(shown);
    }

    /// Puts the calls that changed into the conversation: all, or those that are due.
    fn write_calls(&mut self, all: bool) {
        for id in std::mem::take(&mut self.changed) {
            let Some(call) = self.calls.get_mut(&id) else { continue };
            let is_due = call.is_over() || call.size <= SMALL_CALL || self.said - call.written >= call.size;
            if !all && !is_due {
                self.changed.insert(id);
                continue;
            }
            let attachments = call.files();
            let (tool, state) = call.state(&self.terminals);
            call.size = serde_json::to_string(&state).map_or(0, |json| json.len());
            call.written = self.said;
            self.conversation.set_call(&call.key, &tool, state, !call.is_over());
            if !attachments.is_empty() {
                self.conversation.attach(&call.key, attachments);
            }
        }
    }

    /// The plan of a turn is one list, which is written anew.
    fn plan(&mut self, entries: &Value, now: i64) {
        let Some(entries) = entries.as_array() else { return };
        let todos = entries.iter().map(|entry| {
            json!({"content": entry["content"], "status": entry["status"], "priority": entry["priority"]})
        });
        let todos: Value = todos.collect();
        self.close(now);
        let key = format!("plan#{}", self.prompts);
        let answer = self.answer(now);
        if !self.conversation.has_call(&key) {
            self.conversation.call(answer, &key, "todowrite", json!({"todos": []}), Some(now));
        }
        let state = [
            ("status", json!("completed")),
            ("title", json!("")),
            ("input", json!({"todos": todos})),
            ("output", json!("")),
            ("metadata", json!({"todos": todos})),
            ("time", json!({"start": now, "end": now})),
        ];
        self.conversation.set_call(&key, "todowrite", fields(state), false);
    }

    /// The answer to a prompt, `{result}` or `{error}`, ends a turn.
    fn end_turn(&mut self, message: &Value, now: i64) {
        self.turns = self.turns.saturating_sub(1);
        self.close(now);
        self.write_calls(true);
        self.calls.clear();
        self.terminals.clear();
        let (result, error) = (&message["result"], &message["error"]);
        let reason = result["stopReason"].as_str();
        if reason == Some("cancelled") || std::mem::take(&mut self.is_cancelled) {
            let answer = self.answer(now);
            self.conversation.abort(answer, Some(now));
        } else if !error.is_null() {
            let answer = self.answer(now);
            let said = error["message"].as_str().unwrap_or("the agent has failed");
            self.conversation.fail(answer, "UnknownError", fields([("message", json!(said))]));
        }
        let Some(answer) = self.conversation.current(0) else { return };
        if let Some(reason) = reason {
            self.conversation.set(answer, "finish", json!(reason));
        }
        if let Some(usage) = result["usage"].as_object() {
            let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
            let cache = json!({"read": count("cachedReadTokens"), "write": count("cachedWriteTokens")});
            let (input, output, reasoning) =
                (count("inputTokens"), count("outputTokens"), count("thoughtTokens"));
            let tokens = json!({"input": input, "output": output, "reasoning": reasoning, "cache": cache});
            self.conversation.set(answer, "tokens", tokens);
        }
        self.conversation.touch(answer, Some(now));
        self.conversation.finish(answer);
    }

    /// What comes now is all of the session from its beginning.
    fn replay(&mut self) {
        let conversation = new_conversation(&self.about.session);
        let before = std::mem::replace(&mut self.conversation, conversation);
        self.replaced.extend(before.keys());
        // One that is asked for again before it is over begins anew.
        if self.before.is_none() {
            self.before = Some(Box::new(before));
        }
        self.open = None;
        self.replaying = None;
        self.calls.clear();
        self.changed.clear();
        self.prompts = 0;
        self.kept_until = (0, 0);
        self.listed = (0, 0);
    }

    /// The replay is over; when it failed, all is as it was.
    fn replayed(&mut self, failed: bool, now: i64) {
        self.close(now);
        self.write_calls(true);
        self.calls.clear();
        self.replaying = None;
        let Some(before) = self.before.take() else { return };
        if failed {
            self.replaced.extend(self.conversation.keys());
            self.conversation = *before;
            self.conversation.give_again();
        } else if let Some(answer) = self.conversation.last_answer(0) {
            self.conversation.finish(answer);
        }
        let now = self.conversation.keys();
        self.removed.extend(self.replaced.drain().filter(|key| !now.contains(key)));
    }

    /// A block of content, as a part; `None` for one that is not for people, or of a kind that is not known.
    fn block(&mut self, block: &Value) -> Option<Map<String, Value>> {
        let part = part_of(block);
        if part.is_none() && !is_empty_text(block) {
            self.about.count(&block["type"]);
        }
        part
    }
}

fn new_conversation(session: &str) -> Conversation {
    let mut conversation = Conversation::streamed();
    conversation.add_thread(session.to_owned());
    conversation
}

fn is_empty_text(block: &Value) -> bool {
    block["type"] == "text" && block["text"] == ""
}

/// A block of content as the fields of a part.
fn part_of(block: &Value) -> Option<Map<String, Value>> {
    let text = |name: &str| block[name].as_str();
    let audience = block["annotations"]["audience"].as_array();
    if audience.is_some_and(|audience| !audience.iter().any(|role| role == "user")) {
        return None;
    }
    match text("type")? {
        "text" => {
            let text = text("text").filter(|text| !text.is_empty())?;
            Some(fields([("type", json!("text")), ("text", json!(text))]))
        }
        "image" | "audio" => Some(file(text("mimeType"), text("data")?)),
        // What it links to lies where others may not look.
        "resource_link" => {
            let name = text("title").or_else(|| text("name"))?;
            let mime = text("mimeType").unwrap_or("text/plain");
            Some(fields([("type", json!("file")), ("filename", json!(name)), ("mime", json!(mime))]))
        }
        "resource" => {
            let resource = &block["resource"];
            let field = |name: &str| resource[name].as_str();
            let mut part = match (field("text"), field("blob")) {
                (Some(text), _) => {
                    file(Some(field("mimeType").unwrap_or("text/plain")), &BASE64_STANDARD.encode(text))
                }
                (None, Some(blob)) => file(field("mimeType"), blob),
                (None, None) => return None,
            };
            let name = field("uri").and_then(|uri| uri.trim_end_matches('/').rsplit('/').next());
            part.extend(name.map(|name| ("filename".to_owned(), json!(name))));
            Some(part)
        }
        _ => None,
    }
}
