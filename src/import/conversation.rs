//! What a transcript or an agent's own words have given so far, as the items of a share, and which of them are new.
//!
//! Contents are dropped when they were given and cannot change any more: what stays of a long session are its ids.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::text::{Fingerprint, fingerprint};
use crate::import::{Item, item};
use crate::model::Key;

/// How many of a message's parts are looked through for a call: an answer of a model makes some of them at once, not
/// thousands.
const LAST_PARTS: usize = 64;

/// The session and its subagents: each has messages of its own.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    threads: Vec<Thread>,
    messages: Vec<Message>,
    /// The messages by what their agent calls them.
    sources: HashMap<Fingerprint, usize>,
    /// Where the calls of tools stand.
    calls: HashMap<Fingerprint, Place>,
    /// What is new, in the order in which it is given: a message before its parts.
    dirty: BTreeSet<Place>,
    /// The texts that have grown since they were given, and how many bytes of each were.
    grown: BTreeMap<Place, usize>,
    /// The parts that were given, and are kept because they may change.
    held: BTreeSet<Place>,
    /// The messages that were hidden or shown since the last time.
    toggled: BTreeSet<usize>,
    /// Whether texts come in pieces: else each is whole when it comes.
    streams: bool,
    froze: bool,
    has_lost: bool,
    updated: Option<i64>,
}

/// A part's message, and its number there from 1. Number 0 is the message itself.
pub(super) type Place = (usize, usize);

#[derive(Debug, Default)]
struct Thread {
    session: String,
    messages: usize,
    created: Option<i64>,
    prompt: Option<usize>,
    answer: Option<usize>,
    /// Before this message nothing changes but calls that run.
    frozen: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

#[derive(Debug)]
struct Message {
    thread: usize,
    /// Its place among the messages of its thread.
    ordinal: usize,
    /// A short hash of what its agent calls it.
    hash: u32,
    role: Role,
    prompt: Option<usize>,
    created: Option<i64>,
    /// When something was added to it last.
    last: Option<i64>,
    is_finished: bool,
    fields: Fields,
    parts: Vec<Part>,
    is_hidden: bool,
    is_given: bool,
}

impl Message {
    /// Drops what is kept of a part, unless that runs.
    fn drop_part(&mut self, number: usize) {
        self.fields.pack();
        if let Some(part) = self.parts.get_mut(number - 1).filter(|part| !part.runs) {
            part.fields = None;
        }
    }
}

/// The fields of a message. They are kept for good, so those of one that hardly changes any more are kept as text: a
/// tenth of the memory.
#[derive(Debug, Default)]
struct Fields {
    open: Map<String, Value>,
    packed: Option<Box<str>>,
}

impl Fields {
    fn read(&self) -> Cow<'_, Map<String, Value>> {
        match &self.packed {
            // What was packed here can be read.
            Some(text) => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
            None => Cow::Borrowed(&self.open),
        }
    }

    fn open(&mut self) -> &mut Map<String, Value> {
        if self.packed.is_some() {
            *self = Self { open: self.read().into_owned(), packed: None };
        }
        &mut self.open
    }

    fn pack(&mut self) {
        if self.packed.is_none()
            && let Ok(text) = serde_json::to_string(&self.open)
        {
            *self = Self { open: Map::new(), packed: Some(text.into()) };
        }
    }
}

#[derive(Debug)]
struct Part {
    /// Its fields without ids; `None` once they were given and cannot change.
    fields: Option<Map<String, Value>>,
    /// Whether it is a call without a result.
    runs: bool,
    is_call: bool,
    /// Bytes of a call's input.
    size: usize,
}

/// What came of a call.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What it gave, or why it failed.
    pub(super) output: Result<String, String>,
    pub(super) metadata: Map<String, Value>,
    /// Pictures, as the fields of file parts.
    pub(super) attachments: Vec<Map<String, Value>>,
}

impl Outcome {
    pub(super) fn completed(output: impl Into<String>) -> Self {
        Self { output: Ok(output.into()), metadata: Map::new(), attachments: Vec::new() }
    }

    pub(super) fn failed(error: impl Into<String>) -> Self {
        Self { output: Err(error.into()), ..Self::completed("") }
    }

    /// Adds something that the viewer shows beside the output.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }
}

/// What was added to the text of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The id of its message.
    pub message: String,
    /// Its own.
    pub part: String,
    /// What stands at the end of its text now.
    pub added: String,
}

/// What changed since the last time.
#[derive(Debug, Default)]
pub struct Changes {
    /// What is new or different: each message before its parts.
    pub items: Vec<Item>,
    /// The messages that are there no more: an undo took them back, or a branch was left. Their parts go with them.
    pub removed: Vec<Key>,
}

impl Changes {
    /// Adds those of another transcript.
    pub fn append(&mut self, others: Self) {
        self.items.extend(others.items);
        self.removed.extend(others.removed);
    }
}

impl Conversation {
    /// One whose texts come in pieces.
    pub(super) fn streamed() -> Self {
        Self { streams: true, ..Self::default() }
    }

    /// The thread of a session's id, which begins when it is named first.
    pub(super) fn thread(&mut self, session: &str) -> usize {
        let known = self.threads.iter().position(|thread| thread.session == session);
        known.unwrap_or_else(|| self.add_thread(session.to_owned()))
    }

    /// A new thread.
    pub(super) fn add_thread(&mut self, session: String) -> usize {
        self.threads.push(Thread { session, ..Thread::default() });
        self.threads.len() - 1
    }

    /// Gives the session of a thread its id, as long as it has no messages.
    pub(super) fn rename(&mut self, thread: usize, session: &str) -> bool {
        let thread = &mut self.threads[thread];
        if thread.messages == 0 {
            session.clone_into(&mut thread.session);
        }
        thread.messages == 0
    }

    /// The id of a thread's session.
    pub(super) fn session(&self, thread: usize) -> &str {
        &self.threads[thread].session
    }

    /// How many messages there are.
    pub(super) fn count(&self) -> usize {
        self.messages.len()
    }

    /// The last time at which something changed.
    pub(super) fn updated(&self) -> Option<i64> {
        self.updated
    }

    /// Whether something is shown again whose content is not kept any more.
    pub(super) fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// A prompt, by what its agent calls it.
    pub(super) fn prompt(&mut self, thread: usize, source: &str, at: Option<i64>) -> usize {
        self.message(thread, Role::User, source, at)
    }

    /// An answer, by what its agent calls it.
    pub(super) fn answer(&mut self, thread: usize, source: &str, at: Option<i64>) -> usize {
        self.message(thread, Role::Assistant, source, at)
    }

    /// The answer that a source is the name of, when it is there.
    pub(super) fn known_answer(&self, thread: usize, source: &str) -> Option<usize> {
        self.sources.get(&self.source(thread, Role::Assistant, source)).copied()
    }

    fn source(&self, thread: usize, role: Role, source: &str) -> Fingerprint {
        fingerprint(&[&self.threads[thread].session, role.name(), source])
    }

    fn message(&mut self, thread: usize, role: Role, source: &str, at: Option<i64>) -> usize {
        let source = self.source(thread, role, source);
        let is_answer = role == Role::Assistant;
        if let Some(known) = self.sources.get(&source).copied() {
            self.touch(known, at);
            return known;
        }
        let slot = self.messages.len();
        let before = is_answer.then(|| self.threads[thread].answer.replace(slot)).flatten();
        if let Some(before) = before {
            self.finish(before);
        }
        let thread_state = &mut self.threads[thread];
        thread_state.messages += 1;
        // Clocks and compactions go backwards; a session's messages do not.
        thread_state.created = thread_state.created.max(at);
        let created = thread_state.created;
        if !is_answer {
            thread_state.prompt = Some(slot);
        }
        self.messages.push(Message {
            thread,
            ordinal: thread_state.messages,
            hash: (source >> 96) as u32,
            role,
            prompt: is_answer.then_some(thread_state.prompt).flatten(),
            created,
            last: created,
            is_finished: false,
            fields: Fields::default(),
            parts: Vec::new(),
            is_hidden: false,
            is_given: false,
        });
        self.sources.insert(source, slot);
        self.updated = self.updated.max(created);
        self.dirty.insert((slot, 0));
        slot
    }

    /// The last answer of a thread after its last prompt.
    pub(super) fn current(&self, thread: usize) -> Option<usize> {
        let thread = &self.threads[thread];
        thread.answer.filter(|answer| thread.prompt.is_none_or(|prompt| prompt < *answer))
    }

    /// Whether something was asked in a thread.
    pub(super) fn is_asked(&self, thread: usize) -> bool {
        self.threads[thread].prompt.is_some()
    }

    /// The last answer of a thread.
    pub(super) fn last_answer(&self, thread: usize) -> Option<usize> {
        self.threads[thread].answer
    }

    /// Whether this is its thread's last answer.
    fn is_open(&self, slot: usize) -> bool {
        self.threads[self.messages[slot].thread].answer == Some(slot)
    }

    /// Notes that something came of the last answer.
    pub(super) fn touch(&mut self, slot: usize, at: Option<i64>) {
        if !self.is_open(slot) {
            return;
        }
        let message = &mut self.messages[slot];
        if message.last < at {
            message.last = at;
            self.updated = self.updated.max(at);
            if message.is_finished {
                self.dirty.insert((slot, 0));
            }
        }
    }

    /// Notes that an answer is over.
    pub(super) fn finish(&mut self, slot: usize) {
        if !std::mem::replace(&mut self.messages[slot].is_finished, true) {
            self.dirty.insert((slot, 0));
        }
    }

    /// Sets a field of a message.
    pub(super) fn set(&mut self, slot: usize, name: &str, value: Value) {
        let fields = self.messages[slot].fields.open();
        if fields.get(name) != Some(&value) {
            fields.insert(name.to_owned(), value);
            self.dirty.insert((slot, 0));
        }
    }

    /// Whether a message has a field.
    pub(super) fn has(&self, slot: usize, name: &str) -> bool {
        self.messages[slot].fields.read().contains_key(name)
    }

    /// Ends an answer with an error, unless it has one.
    pub(super) fn fail(&mut self, slot: usize, name: &str, mut data: Map<String, Value>) {
        if !self.has(slot, "error") {
            data.retain(|_, value| !value.is_null());
            self.set(slot, "error", json!({"name": name, "data": data}));
        }
        self.finish(slot);
    }

    /// Takes back that an answer ended with an error: it was tried again.
    pub(super) fn recover(&mut self, slot: usize) {
        if self.messages[slot].fields.open().remove("error").is_some() {
            self.dirty.insert((slot, 0));
        }
    }

    /// Ends an answer that its user stopped, and its calls that run.
    pub(super) fn abort(&mut self, slot: usize, at: Option<i64>) {
        if self.has(slot, "error") {
            return;
        }
        self.fail(
            slot,
            "MessageAbortedError",
            super::text::fields([("message", json!("stopped by the user"))]),
        );
        for number in 1..=self.messages[slot].parts.len() {
            self.end_at((slot, number), Outcome::failed("stopped by the user"), at);
        }
    }

    /// Adds a part.
    pub(super) fn push(&mut self, slot: usize, fields: Map<String, Value>) -> usize {
        let message = &mut self.messages[slot];
        message.parts.push(Part { fields: Some(fields), runs: false, is_call: false, size: 0 });
        let number = message.parts.len();
        self.dirty.insert((slot, number));
        if !message.is_given {
            self.dirty.insert((slot, 0));
        }
        number
    }

    /// Adds words: of type `text` or `reasoning`.
    pub(super) fn say(&mut self, slot: usize, kind: &str, text: &str, at: Option<i64>) -> usize {
        let mut fields = super::text::fields([("type", json!(kind)), ("text", json!(text))]);
        if kind == "reasoning" {
            let at = self.moment(slot, at);
            fields.insert("time".into(), json!({"start": at, "end": at}));
        }
        self.touch(slot, at);
        self.push(slot, fields)
    }

    /// How many parts a message has.
    pub(super) fn parts(&self, slot: usize) -> usize {
        self.messages[slot].parts.len()
    }

    /// Adds to the text of a part.
    pub(super) fn grow(&mut self, (slot, number): Place, added: &str) {
        let Some(index) = number.checked_sub(1) else { return };
        let fields = self.messages[slot].parts.get_mut(index).and_then(|part| part.fields.as_mut());
        let Some(Value::String(text)) = fields.and_then(|fields| fields.get_mut("text")) else { return };
        self.grown.entry((slot, number)).or_insert(text.len());
        text.push_str(added);
    }

    /// Notes when the last word of a text was said.
    pub(super) fn close(&mut self, place: Place, at: i64) {
        if let Some(Value::Object(time)) = self.part(place).and_then(|fields| fields.get_mut("time")) {
            time.insert("end".into(), json!(at));
        }
    }

    /// Says something in place of what was said, unless that is over for good.
    pub(super) fn rewrite(&mut self, slot: usize, number: usize, text: &str) -> bool {
        if self.is_frozen(slot) {
            return false;
        }
        let part = self.part((slot, number));
        part.map(|fields| fields.insert("text".into(), json!(text))).is_some()
    }

    /// The fields of a message's last part, to change them, unless that is over for good.
    pub(super) fn last_part(&mut self, slot: usize) -> Option<&mut Map<String, Value>> {
        if self.is_frozen(slot) {
            return None;
        }
        let number = self.messages[slot].parts.len();
        self.part((slot, number))
    }

    /// The fields of a part, as long as they are kept, to change them.
    fn part(&mut self, place: Place) -> Option<&mut Map<String, Value>> {
        let (slot, number) = place;
        let fields = self.messages[slot].parts.get_mut(number.checked_sub(1)?)?.fields.as_mut()?;
        self.dirty.insert(place);
        Some(fields)
    }

    /// A time of a message, not before it began.
    fn moment(&self, slot: usize, at: Option<i64>) -> i64 {
        at.max(self.messages[slot].created).unwrap_or_default()
    }

    /// Adds a call, which runs. One that is known stays where it is, and takes the input that says more.
    pub(super) fn call(&mut self, slot: usize, id: &str, tool: &str, input: Value, at: Option<i64>) {
        if let Some(place) = self.calls.get(&fingerprint(&[id])).copied() {
            let size = input.to_string().len();
            let grows = |part: &Part| part.runs && part.size < size;
            if place.0 == slot
                && self.call_part(id).is_some_and(grows)
                && let Some(Value::Object(state)) =
                    self.part(place).and_then(|fields| fields.get_mut("state"))
            {
                state.insert("input".into(), input);
                self.messages[slot].parts[place.1 - 1].size = size;
            }
            return;
        }
        let start = self.moment(slot, at);
        let size = input.to_string().len();
        let state = json!({"status": "running", "input": input, "time": {"start": start}});
        let fields =
            [("type", json!("tool")), ("callID", json!(id)), ("tool", json!(tool)), ("state", state)];
        let number = self.push(slot, super::text::fields(fields));
        if let Some(part) = self.messages[slot].parts.last_mut() {
            part.runs = true;
            part.is_call = true;
            part.size = size;
        }
        self.calls.insert(fingerprint(&[id]), (slot, number));
        self.touch(slot, at);
    }

    /// Sets the tool of a call and its state, as they are now.
    pub(super) fn set_call(&mut self, id: &str, tool: &str, state: Map<String, Value>, runs: bool) {
        let Some(place) = self.calls.get(&fingerprint(&[id])).copied() else { return };
        let Some(fields) = self.part(place) else { return };
        fields.insert("tool".into(), json!(tool));
        fields.insert("state".into(), Value::Object(state));
        self.messages[place.0].parts[place.1 - 1].runs = runs;
    }

    /// Whether a call was made.
    pub(super) fn has_call(&self, id: &str) -> bool {
        self.calls.contains_key(&fingerprint(&[id]))
    }

    /// Whether a call waits for its result.
    pub(super) fn runs(&self, id: &str) -> bool {
        self.call_part(id).is_some_and(|part| part.runs)
    }

    fn call_part(&self, id: &str) -> Option<&Part> {
        let (slot, number) = self.calls.get(&fingerprint(&[id])).copied()?;
        self.messages[slot].parts.get(number.checked_sub(1)?)
    }

    /// The calls of a message that run, among its last parts.
    pub(super) fn running_calls(&self, slot: usize) -> Vec<&str> {
        let parts = &self.messages[slot].parts;
        let last = &parts[parts.len().saturating_sub(LAST_PARTS)..];
        let running = last.iter().filter(|part| part.runs);
        running.filter_map(|part| part.fields.as_ref()?.get("callID")?.as_str()).collect()
    }

    /// The tool and the input of a call, as long as they are kept.
    pub(super) fn called(&self, id: &str) -> Option<(&str, &Value)> {
        let fields = self.call_part(id)?.fields.as_ref()?;
        Some((fields.get("tool")?.as_str()?, fields.get("state")?.get("input")?))
    }

    /// The state of a call, as long as it may change.
    pub(super) fn state(&self, id: &str) -> Option<&Value> {
        let place = self.calls.get(&fingerprint(&[id])).copied()?;
        let part = self.call_part(id)?;
        if !part.runs && self.is_frozen(place.0) {
            return None;
        }
        part.fields.as_ref()?.get("state")
    }

    /// Notes something of a call beside its result.
    pub(super) fn note(&mut self, id: &str, name: &str, value: Value) {
        self.amend(id, |state| {
            if let Some(Value::Object(metadata)) = state.get_mut("metadata") {
                metadata.insert(name.to_owned(), value);
            } else {
                state.insert("metadata".into(), json!({name: value}));
            }
        });
    }

    /// Changes the state of a call, unless that is over for good.
    pub(super) fn amend(&mut self, id: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let Some(place) = self.calls.get(&fingerprint(&[id])).copied() else { return };
        if self.state(id).is_none() {
            return;
        }
        if let Some(Value::Object(state)) = self.part(place).and_then(|fields| fields.get_mut("state")) {
            change(state);
        }
    }

    /// Adds pictures to what a call gave, unless that is over for good.
    pub(super) fn attach(&mut self, id: &str, files: Vec<Map<String, Value>>) {
        let Some((slot, number)) = self.calls.get(&fingerprint(&[id])).copied() else { return };
        let ids = self.ids(slot, number);
        self.amend(id, |state| {
            let attachments = state.entry("attachments").or_insert_with(|| json!([]));
            if let Value::Array(attachments) = attachments {
                for file in files {
                    attachments.push(ids.attachment(file, attachments.len()));
                }
            }
        });
    }

    /// Makes a call one of another tool.
    pub(super) fn retool(&mut self, id: &str, tool: &str, input: Value) {
        let Some(place) = self.calls.get(&fingerprint(&[id])).copied() else { return };
        if !self.runs(id) {
            return;
        }
        let Some(fields) = self.part(place) else { return };
        fields.insert("tool".into(), json!(tool));
        if let Some(Value::Object(state)) = fields.get_mut("state") {
            state.insert("input".into(), input);
        }
    }

    /// Ends a call. A result that comes a second time changes nothing.
    pub(super) fn end(&mut self, id: &str, outcome: Outcome, at: Option<i64>) {
        if let Some(place) = self.calls.get(&fingerprint(&[id])).copied() {
            self.end_at(place, outcome, at);
        }
    }

    fn end_at(&mut self, place: Place, outcome: Outcome, at: Option<i64>) {
        let (slot, number) = place;
        let Some(index) = number.checked_sub(1) else { return };
        if !self.messages[slot].parts.get(index).is_some_and(|part| part.runs) {
            return;
        }
        self.touch(slot, at);
        let ids = self.ids(slot, number);
        let Some(Value::Object(state)) = self.part(place).and_then(|fields| fields.get_mut("state")) else {
            return;
        };
        let start = state.get("time").and_then(|time| time["start"].as_i64());
        let end = at.max(start);
        state.insert("time".into(), json!({"start": start, "end": end}));
        let mut metadata = outcome.metadata;
        if let Some(Value::Object(noted)) = state.remove("metadata") {
            metadata.extend(noted);
        }
        metadata.retain(|_, value| !value.is_null());
        match outcome.output {
            Ok(output) => {
                state.insert("status".into(), json!("completed"));
                state.insert("title".into(), json!(title(state.get("input"))));
                state.insert("metadata".into(), json!(metadata));
                state.insert("output".into(), json!(output));
            }
            Err(error) => {
                state.insert("status".into(), json!("error"));
                state.insert("error".into(), json!(error));
                if !metadata.is_empty() {
                    state.insert("metadata".into(), json!(metadata));
                }
            }
        }
        if !outcome.attachments.is_empty() {
            let attachments = outcome.attachments.into_iter().enumerate();
            let attachments = attachments.map(|(at, file)| ids.attachment(file, at));
            state.insert("attachments".into(), attachments.collect());
        }
        self.messages[slot].parts[index].runs = false;
    }

    /// Says that nothing before the message that comes next changes any more, but for calls that run.
    pub(super) fn freeze(&mut self, thread: usize) {
        self.threads[thread].frozen = self.messages.len();
        self.froze = true;
    }

    /// The same for what stands before a message.
    pub(super) fn freeze_before(&mut self, thread: usize, slot: usize) {
        self.threads[thread].frozen = slot;
        self.froze = true;
    }

    fn is_frozen(&self, slot: usize) -> bool {
        slot < self.threads[self.messages[slot].thread].frozen
    }

    /// Takes a message away, or brings it back. Nothing is said of it before the next changes are taken.
    pub(super) fn hide(&mut self, slot: usize, is_hidden: bool) {
        if std::mem::replace(&mut self.messages[slot].is_hidden, is_hidden) != is_hidden {
            self.toggled.insert(slot);
        }
    }

    /// Gives what was added to texts since the last time. One that changed otherwise too is given whole.
    pub(super) fn take_growth(&mut self) -> Vec<Growth> {
        let grown = std::mem::take(&mut self.grown).into_iter();
        let grown = grown.filter(|(place, _)| !self.dirty.contains(place));
        let growth = grown.filter_map(|((slot, number), given)| {
            let text = self.messages[slot].parts.get(number.checked_sub(1)?)?.fields.as_ref()?.get("text")?;
            let added = text.as_str()?.get(given..).filter(|added| !added.is_empty())?.to_owned();
            Some(Growth { message: self.id(slot), part: self.part_id(slot, number), added })
        });
        growth.collect()
    }

    /// All that is kept is given again.
    pub(super) fn give_again(&mut self) {
        for (slot, message) in self.messages.iter_mut().enumerate() {
            message.is_given = false;
            if message.parts.iter().any(|part| part.fields.is_some()) || message.parts.is_empty() {
                self.dirty.extend((0..=message.parts.len()).map(|number| (slot, number)));
            }
        }
    }

    /// Where the next part will stand.
    pub(super) fn end_of_parts(&self) -> Place {
        let slot = self.messages.len();
        slot.checked_sub(1).map_or((0, 0), |last| (last, self.messages[last].parts.len() + 1))
    }

    /// Drops the contents of parts from one place up to another, but for calls that run: they are kept no longer.
    pub(super) fn let_go(&mut self, from: Place, until: Place) {
        for (slot, message) in self.messages.iter_mut().enumerate().take(until.0 + 1).skip(from.0) {
            for (at, part) in message.parts.iter_mut().enumerate() {
                let place = (slot, at + 1);
                if (from..until).contains(&place) && !part.runs {
                    part.fields = None;
                }
            }
        }
    }

    /// A message as `{info, parts}`, when there is something of it to show.
    pub(super) fn message_with_parts(&self, slot: usize) -> Option<Box<RawValue>> {
        let message = self.messages.get(slot)?;
        let parts = (1..=message.parts.len()).filter_map(|number| self.part_item(slot, number));
        let parts: Vec<_> = parts.map(|part| part.content.get().to_owned()).collect();
        if parts.is_empty() && !message.fields.read().contains_key("error") {
            return None;
        }
        let info = self.message_item(slot)?;
        let json = format!("{{\"info\":{},\"parts\":[{}]}}", info.content.get(), parts.join(","));
        RawValue::from_string(json).ok()
    }

    /// The keys of all messages and parts that have something to show.
    pub(super) fn keys(&self) -> HashSet<Key> {
        let shown = self.messages.iter().enumerate();
        let shown = shown
            .filter(|(_, message)| !message.parts.is_empty() || message.fields.read().contains_key("error"));
        let keys = shown.flat_map(|(slot, message)| {
            let parts = (1..=message.parts.len())
                .map(move |number| Key::part(&self.id(slot), &self.part_id(slot, number)));
            std::iter::once(self.key(slot)).chain(parts)
        });
        keys.collect()
    }

    /// Gives what changed since the last time.
    pub(super) fn take(&mut self, changes: &mut Changes) {
        for slot in std::mem::take(&mut self.toggled) {
            let message = &mut self.messages[slot];
            if message.is_hidden {
                if std::mem::take(&mut message.is_given) {
                    changes.removed.push(self.key(slot));
                }
            } else if !message.is_given {
                self.has_lost |= message.parts.iter().any(|part| part.fields.is_none());
                self.dirty.extend((0..=message.parts.len()).map(|number| (slot, number)));
            }
        }
        for place in std::mem::take(&mut self.dirty) {
            let (slot, number) = place;
            let message = &self.messages[slot];
            if message.is_hidden || message.parts.is_empty() && !message.fields.read().contains_key("error") {
                continue;
            }
            if number == 0 {
                changes.items.extend(self.message_item(slot));
                self.messages[slot].is_given = true;
                continue;
            }
            changes.items.extend(self.part_item(slot, number));
            if self.is_frozen(slot) {
                self.messages[slot].drop_part(number);
            } else {
                self.held.insert(place);
            }
        }
        if std::mem::take(&mut self.froze) {
            for place in std::mem::take(&mut self.held) {
                let (slot, number) = place;
                if self.is_frozen(slot) {
                    // One of a hidden message is given anew when that is shown again before it could be dropped.
                    self.messages[slot].drop_part(number);
                } else {
                    self.held.insert(place);
                }
            }
        }
    }

    fn id(&self, slot: usize) -> String {
        let message = &self.messages[slot];
        format!("msg_{:08}_{:08x}", message.ordinal, message.hash)
    }

    /// The hash of the message keeps the ids of all parts of a session apart: not every program looks at both.
    fn part_id(&self, slot: usize, number: usize) -> String {
        format!("prt_{number:08}_{:08x}", self.messages[slot].hash)
    }

    fn ids(&self, slot: usize, number: usize) -> Ids {
        Ids {
            session: self.session(self.messages[slot].thread).to_owned(),
            message: self.id(slot),
            part: self.part_id(slot, number),
        }
    }

    fn key(&self, slot: usize) -> Key {
        Key::message(&self.id(slot))
    }

    fn message_item(&self, slot: usize) -> Option<Item> {
        let message = &self.messages[slot];
        let mut info = message.fields.read().into_owned();
        let id = self.id(slot);
        info.insert("id".into(), json!(id));
        info.insert("sessionID".into(), json!(self.threads[message.thread].session));
        info.insert("role".into(), json!(message.role.name()));
        if let Some(prompt) = message.prompt {
            info.insert("parentID".into(), json!(self.id(prompt)));
        }
        let is_answer = message.role == Role::Assistant;
        let is_over = is_answer && message.is_finished;
        let mut time = Map::new();
        if let Some(created) = message.created {
            time.insert("created".into(), json!(created));
            if is_over {
                time.insert("completed".into(), json!(message.last));
            }
        }
        info.insert("time".into(), Value::Object(time));
        item(Key::message(&id), &Value::Object(info), !is_answer || is_over)
    }

    fn part_item(&self, slot: usize, number: usize) -> Option<Item> {
        let message = &self.messages[slot];
        let part = message.parts.get(number.checked_sub(1)?)?;
        let mut fields = part.fields.clone()?;
        let (message_id, id) = (self.id(slot), self.part_id(slot, number));
        fields.insert("id".into(), json!(id));
        fields.insert("sessionID".into(), json!(self.threads[message.thread].session));
        fields.insert("messageID".into(), json!(message_id));
        let is_whole = if part.is_call { !part.runs } else { !self.streams };
        item(Key::part(&message_id, &id), &Value::Object(fields), is_whole)
    }
}

/// The ids of a part.
struct Ids {
    session: String,
    message: String,
    part: String,
}

impl Ids {
    /// A picture of a call, by its place among them.
    fn attachment(&self, mut file: Map<String, Value>, at: usize) -> Value {
        file.insert("id".into(), json!(format!("{}_{at}", self.part)));
        file.insert("sessionID".into(), json!(self.session));
        file.insert("messageID".into(), json!(self.message));
        Value::Object(file)
    }
}

/// The line that says what a call was about.
fn title(input: Option<&Value>) -> &str {
    let Some(input) = input else { return "" };
    let names = ["description", "filePath", "pattern", "query", "url", "command", "path"];
    names.iter().find_map(|name| input.get(*name)?.as_str()?.lines().next()).unwrap_or_default()
}
