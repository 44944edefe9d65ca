//! A session's items as its turns: prompts, each with what answers it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;
use serde_json::value::RawValue;

use super::messages::{List, read};
use crate::model::parse_lossy as parse;
use crate::model::subagents::{self, Place, Spoken, divide, opens, session_of};
use crate::model::{Content, Key};

/// A session in turns.
pub(super) struct Session<'a> {
    /// What is said of it.
    pub(super) info: Value,
    pub(super) turns: Vec<Turn<'a>>,
    /// Parts whose message is not there.
    pub(super) orphans: Vec<&'a Content>,
}

impl<'a> Session<'a> {
    /// Reads items, which are in reading order.
    pub(super) fn of(items: &'a [(Key, Content)]) -> Self {
        let info = said_of_session(items);
        let (messages, orphans) = messages(items);
        let mut messages = with_subagents(messages, info["id"].as_str());
        add_listed(&mut messages, items, &info["id"]);
        take_back(&mut messages, &info["revert"]);
        Self { turns: turns(messages), info, orphans }
    }
}

/// A prompt with what answers it. The first may have no prompt.
#[derive(Default)]
pub(super) struct Turn<'a> {
    pub(super) prompt: Option<Message<'a>>,
    pub(super) answers: Vec<Message<'a>>,
}

pub(super) struct Message<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) info: Value,
    pub(super) parts: Parts<'a>,
    pub(super) subagents: Vec<Subagent<'a>>,
}

/// What a subagent said.
pub(super) struct Subagent<'a> {
    /// The place of the part that is its task; `None` when no task names it.
    pub(super) task: Option<usize>,
    pub(super) messages: Vec<Message<'a>>,
}

/// The parts of a message. They are read one by one, when they are written.
pub(super) enum Parts<'a> {
    /// Items of their own.
    Items(Vec<&'a Content>),
    /// What a message holds that stands at a place of a list.
    Listed(&'a RawValue, usize),
    /// What an undo left of that.
    Left(Vec<Value>),
}

/// What is said of the session as a whole; null where nothing is.
pub(super) fn said_of_session(items: &[(Key, Content)]) -> Value {
    let info = items.iter().find(|(key, _)| key.as_str() == Key::SESSION);
    info.map(|(_, content)| parse(content.get())).unwrap_or_default()
}

/// The messages, each with its parts, and the parts whose message is not there.
pub(super) fn messages(items: &[(Key, Content)]) -> (Vec<Message<'_>>, Vec<&Content>) {
    let (mut messages, mut orphans) = (Vec::<Message>::new(), Vec::new());
    for (key, content) in items {
        if let Some(id) = key.message_id() {
            let info = parse(content.get());
            let parts = Parts::Items(Vec::new());
            messages.push(Message { id: id.into(), info, parts, subagents: Vec::new() });
        } else if let Some(parent) = key.parent_message_id() {
            // In reading order a part stands behind its message.
            match messages.last_mut().filter(|message| message.id == parent) {
                Some(Message { parts: Parts::Items(parts), .. }) => parts.push(content),
                _ => orphans.push(content),
            }
        }
    }
    (messages, orphans)
}

/// The messages of the session itself. Those of its subagents stand with the messages that opened them.
fn with_subagents<'a>(messages: Vec<Message<'a>>, session: Option<&str>) -> Vec<Message<'a>> {
    if messages.windows(2).all(|two| session_of(&two[0].info) == session_of(&two[1].info)) {
        return messages;
    }
    let spoken: Vec<_> = messages.iter().map(spoken).collect();
    let division = divide(session, &spoken);
    let mut below = HashMap::<usize, Vec<subagents::Subagent>>::new();
    for subagent in division.subagents {
        let (Place::Task { message, .. } | Place::Behind(message)) = subagent.place;
        below.entry(message).or_default().push(subagent);
    }
    let mut messages: Vec<_> = messages.into_iter().map(Some).collect();
    gather(&division.own, &mut messages, &mut below)
}

/// Takes messages out of all, each with its subagents. That these are not too deep `divide` sees to.
fn gather<'a>(
    places: &[usize],
    all: &mut [Option<Message<'a>>],
    below: &mut HashMap<usize, Vec<subagents::Subagent>>,
) -> Vec<Message<'a>> {
    let mut messages = Vec::with_capacity(places.len());
    for &place in places {
        let Some(mut message) = all[place].take() else { continue };
        for subagent in below.remove(&place).unwrap_or_default() {
            let task = match subagent.place {
                Place::Task { part, .. } => Some(part),
                Place::Behind(_) => None,
            };
            message.subagents.push(Subagent { task, messages: gather(&subagent.messages, all, below) });
        }
        messages.push(message);
    }
    messages
}

pub(super) fn spoken(message: &Message) -> Spoken {
    let (mut opened, mut places) = (Vec::new(), 0..);
    message.parts.each(|part| {
        opened.extend(places.next().zip(opens(part).map(ToOwned::to_owned)));
        true
    });
    Spoken { session: session_of(&message.info).map(ToOwned::to_owned), opens: opened }
}

/// Adds the messages of lists, each id once: of the session's own, or of all while nobody knows which are its own.
pub(super) fn add_listed<'a>(messages: &mut Vec<Message<'a>>, items: &'a [(Key, Content)], session: &Value) {
    let lists = items.iter().filter(|(key, _)| key.kind() == Key::MESSAGES);
    let mut lists: Vec<_> = lists.filter_map(|(_, content)| List::of(content)).collect();
    if lists.iter().any(|list| list.is_of(session)) {
        lists.retain(|list| list.is_of(session));
    }
    if lists.is_empty() {
        return;
    }
    let mut known: HashSet<_> = messages.iter().map(|message| message.id.clone()).collect();
    for (at, message) in lists.iter().flat_map(|list| list.messages.iter().copied().enumerate()) {
        let listed = read(message, at);
        let id = Cow::from(listed.id);
        if known.insert(id.clone()) {
            let parts = Parts::Listed(message, at);
            messages.push(Message { id, info: listed.info, parts, subagents: Vec::new() });
        }
    }
}

impl Parts<'_> {
    /// Takes the parts as long as it is not told to stop.
    pub(super) fn each(&self, mut take: impl FnMut(&Value) -> bool) -> bool {
        match self {
            Self::Items(items) => items.iter().all(|item| take(&parse(item.get()))),
            Self::Listed(message, at) => read(message, *at).parts.iter().all(take),
            Self::Left(parts) => parts.iter().all(take),
        }
    }

    /// Leaves out a part and all behind it.
    fn end_before(&mut self, part: &str) {
        match self {
            Self::Items(items) => {
                let kept = items.iter().position(|content| parse(content.get())["id"] == *part);
                items.truncate(kept.unwrap_or(items.len()));
            }
            Self::Listed(message, at) => {
                let mut parts = read(message, *at).parts;
                let kept = parts.iter().position(|found| found["id"] == *part);
                parts.truncate(kept.unwrap_or(parts.len()));
                *self = Self::Left(parts);
            }
            Self::Left(_) => {}
        }
    }
}

/// Leaves out what an undo took back: by its place in the reading order, for ids say nothing of time.
fn take_back(messages: &mut Vec<Message>, revert: &Value) {
    let Some(first) = revert["messageID"].as_str() else { return };
    let Some(place) = messages.iter().position(|message| message.id == first) else { return };
    match revert["partID"].as_str() {
        Some(part) => {
            messages[place].parts.end_before(part);
            messages.truncate(place + 1);
        }
        None => messages.truncate(place),
    }
}

fn turns(messages: Vec<Message<'_>>) -> Vec<Turn<'_>> {
    let mut turns = Vec::<Turn>::new();
    for message in messages {
        if message.info["role"] == "user" {
            turns.push(Turn { prompt: Some(message), answers: Vec::new() });
        } else {
            let mut turn = turns.pop().unwrap_or_default();
            turn.answers.push(message);
            turns.push(turn);
        }
    }
    turns
}
