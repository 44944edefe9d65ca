//! Redaction of one session: what was found in it, and what of its growing texts waits. Without actors and clocks.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::known::OfSession;
use super::names::{Name, Names};
use crate::client::conversations::Note;
use crate::model::{Change, Content, Key};
use crate::redact::{Context, Finding, Growing, KnownValues, Redacted, Redactor};

/// Bytes of the parts of a session that grow, as they were given.
const MAX_HELD: usize = 16 << 20;

/// Where a value was found, and what is said of that place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::client) struct Found {
    pub(in crate::client) finding: Finding,
    /// The tool whose call it stands in.
    pub(in crate::client) tool: Option<String>,
    /// The file that the tool was given.
    pub(in crate::client) file: Option<String>,
}

/// What changes become.
#[derive(Debug, Default)]
pub(in crate::client) struct Redaction {
    pub(in crate::client) changes: Vec<Change>,
    pub(in crate::client) notes: Vec<Note>,
    pub(in crate::client) records: Records,
}

/// What is stored of redaction, together with the items.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Names of values.
    pub(in crate::client) names: Vec<Name>,
    /// What was found in items, instead of what was found in them before, also here; of a message that is gone, in its
    /// parts too.
    pub(in crate::client) found: Vec<(Key, Vec<Found>)>,
    /// Parts whose ends wait, sealed: they are to survive this process. `None` of one that does not wait any more.
    pub(in crate::client) held: Vec<(Key, Option<Vec<u8>>)>,
}

impl Records {
    /// Whether there is nothing to be stored.
    pub(in crate::client) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.found.is_empty() && self.held.is_empty()
    }
}

/// What is looked for, and what is done about it.
pub(super) struct Look<'a> {
    pub(super) redactor: &'a Redactor,
    pub(super) known: &'a KnownValues,
    /// Nothing is replaced, and nothing waits.
    pub(super) reports_only: bool,
    pub(super) now: Instant,
}

/// One session.
pub(super) struct Session {
    id: String,
    names: Names,
    found: HashMap<Key, Vec<Found>>,
    held: HashMap<Key, Held>,
    held_bytes: usize,
    messages: Messages,
    /// Where its agent works, for the values that are known there.
    directory: OfSession,
    /// Items that could not be looked at, and were not let through.
    pub(super) refused: u64,
    /// Since a reading of the whole share began: the items that were given meanwhile.
    given_since: Option<HashSet<Key>>,
}

/// A part that grows.
struct Held {
    /// As it was given, with its end.
    whole: Content,
    /// As it was shown last; `None` when that is not known.
    shown: Option<Content>,
    /// The message and the thread that it belongs to.
    message: u64,
    thread: String,
    since: Instant,
}

impl Session {
    pub(super) fn new(id: String, names: Names, found: impl IntoIterator<Item = (Key, Found)>) -> Self {
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for (key, found) in found {
            by_key.entry(key).or_default().push(found);
        }
        Self {
            id,
            names,
            found: by_key,
            held: HashMap::new(),
            held_bytes: 0,
            messages: Messages::default(),
            directory: OfSession::none(),
            refused: 0,
            given_since: None,
        }
    }

    /// Its agent works in a directory, where values are known: in `.env*` and in `files`.
    pub(super) fn works_in(&mut self, directory: &Path, files: &[String]) {
        if !self.directory.is_of(directory) {
            self.directory = OfSession::of(directory, files);
        }
    }

    /// Takes up a part whose end waited when an earlier life ended.
    pub(super) fn hold_again(&mut self, key: Key, sealed: &[u8], now: Instant) {
        let whole = self.names.locals().opened(sealed).and_then(|json| RawValue::from_string(json).ok());
        let (Some(whole), Some(message)) = (whole.map(Content::from), key.parent_message_id()) else {
            return;
        };
        let Part { message, thread, .. } = self.messages.part(&self.id, message, &whole);
        self.held_bytes += whole.get().len();
        self.held.insert(key, Held { whole, shown: None, message, thread, since: now });
    }

    /// What was shown last may not have been stored.
    pub(super) fn doubt(&mut self) {
        for held in self.held.values_mut() {
            held.shown = None;
        }
    }

    /// What was found in the session.
    pub(super) fn found(&self) -> impl Iterator<Item = (&Key, &Found)> {
        self.found.iter().flat_map(|(key, found)| found.iter().map(move |found| (key, found)))
    }

    /// The names of its values.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// When the first of the growing parts was given that nothing has come for since, if there is one.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.held.values().map(|held| held.since).min()
    }

    /// Takes the secrets out of changes, and holds the ends of growing texts back.
    pub(super) fn take(&mut self, changes: Vec<Change>, notes: Vec<Note>, look: &Look) -> Redaction {
        let mut redaction = Redaction { notes, ..Redaction::default() };
        let rests = changes.iter().any(rests);
        for change in &changes {
            self.messages.note(&self.id, change);
        }
        self.end_of_messages(rests, look, &mut redaction);
        let settled: HashSet<_> = redaction
            .notes
            .iter()
            .filter(|(_, noted)| noted.is_some_and(|noted| noted.settled))
            .map(|(key, _)| key.clone())
            .collect();
        for change in changes {
            match change {
                Change::Put(key, content) => {
                    if let Some(given) = &mut self.given_since {
                        given.insert(key.clone());
                    }
                    let part = key
                        .parent_message_id()
                        .map(|message| self.messages.part(&self.id, message, &content));
                    let ends =
                        rests || settled.contains(&key) || part.as_ref().is_none_or(|part| part.is_over);
                    let growing = if ends { Growing::Done } else { Growing::Grows };
                    self.put(key, content, part, growing, look, &mut redaction);
                }
                Change::Remove(key) => {
                    self.remove(&key, &mut redaction);
                    redaction.changes.push(Change::Remove(key));
                }
                Change::MergeModels(models) => {
                    let key = Key::from(Key::MODEL);
                    if let Some(shown) = self.shown(&key, &models, Growing::Done, look, &mut redaction) {
                        redaction.changes.push(Change::MergeModels(shown.content));
                    }
                }
            }
        }
        redaction.records.names = self.names.take_used();
        redaction
    }

    /// Shows more of the parts that were given before `since`: nothing has come for them for a while, and of their ends
    /// goes what nothing speaks against; or nothing more will come.
    pub(super) fn end(&mut self, since: Instant, growing: Growing, look: &Look) -> Redaction {
        let mut redaction = Redaction::default();
        let quiet = self.held.iter().filter(|(_, held)| held.since <= since);
        for key in quiet.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.show_again(&key, growing, look, &mut redaction);
        }
        redaction.records.names = self.names.take_used();
        redaction
    }

    /// The whole share is about to be read: what is given from now on is newer.
    pub(super) fn begin_again(&mut self) {
        self.given_since = Some(HashSet::new());
    }

    /// Takes the secrets out of what a share has, except of what was given while it was read.
    pub(super) fn again(&mut self, changes: Vec<Change>, look: &Look) -> Redaction {
        let newer = self.given_since.take().unwrap_or_default();
        let mut redaction = Redaction::default();
        for change in changes {
            let (key, content) = match &change {
                Change::Put(key, content) => (key.clone(), content),
                Change::MergeModels(models) => (Key::from(Key::MODEL), models),
                Change::Remove(_) => continue,
            };
            if newer.contains(&key) || self.held.contains_key(&key) {
                continue;
            }
            let before = self.found.get(&key).cloned();
            let Some(shown) = self.shown(&key, content, Growing::Done, look, &mut redaction) else {
                continue;
            };
            if shown.content.get() == content.get() {
                // What was hidden before is hidden still.
                redaction.records.found.pop_if(|(of, _)| *of == key);
                before.map(|before| self.found.insert(key, before));
                continue;
            }
            if let Some(before) = before {
                self.keep_found(&key, before, &mut redaction);
            }
            redaction.changes.push(match change {
                Change::MergeModels(_) => Change::MergeModels(shown.content),
                _ => Change::Put(key, shown.content),
            });
        }
        redaction.records.names = self.names.take_used();
        redaction
    }

    /// What was found in an item before stays found.
    fn keep_found(&mut self, key: &Key, before: Vec<Found>, redaction: &mut Redaction) {
        let found = self.found.entry(key.clone()).or_default();
        for earlier in before {
            let is_same = |now: &Found| {
                let (now, earlier) = (&now.finding, &earlier.finding);
                now.kind == earlier.kind && now.number == earlier.number && now.place == earlier.place
            };
            if !found.iter().any(is_same) {
                found.push(earlier);
            }
        }
        let found = found.clone();
        redaction.records.found.pop_if(|(of, _)| of == key);
        redaction.records.found.push((key.clone(), found));
    }

    /// Shows the ends of the parts whose message is over.
    fn end_of_messages(&mut self, rests: bool, look: &Look, redaction: &mut Redaction) {
        let over =
            self.held.iter().filter(|(_, held)| rests || self.messages.is_over(held.message, &held.thread));
        for key in over.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.show_again(&key, Growing::Done, look, redaction);
        }
    }

    fn show_again(&mut self, key: &Key, growing: Growing, look: &Look, redaction: &mut Redaction) {
        let Some(Held { whole, message, thread, .. }) = self.held.get(key) else { return };
        let part = Part { message: *message, thread: thread.clone(), is_over: false };
        let whole = whole.clone();
        self.put(key.clone(), whole, Some(part), growing, look, redaction);
        if let Some(held) = self.held.get_mut(key) {
            // It waits for more, or for the end of its message.
            held.since = look.now;
        }
    }

    fn put(
        &mut self,
        key: Key,
        content: Content,
        part: Option<Part>,
        growing: Growing,
        look: &Look,
        redaction: &mut Redaction,
    ) {
        let before = self.held.remove(&key);
        self.held_bytes -= before.as_ref().map_or(0, |held| held.whole.get().len());
        let shown = self.shown(&key, &content, growing, look, redaction);
        let grows = part.filter(|_| shown.as_ref().is_some_and(|shown| shown.held > 0));
        let sealed = grows.is_some().then(|| self.names.locals().sealed(content.get())).flatten();
        if grows.is_some() || before.is_some() {
            redaction.records.held.push((key.clone(), sealed));
        }
        let Some(Redacted { content: shown, .. }) = shown else { return };
        if let Some(Part { message, thread, .. }) = grows {
            self.held_bytes += content.get().len();
            let shown = Some(shown.clone());
            self.held.insert(key.clone(), Held { whole: content, shown, message, thread, since: look.now });
            self.make_room();
        }
        let shown_before = before.and_then(|before| before.shown);
        if shown_before.is_none_or(|before| before.get() != shown.get()) {
            redaction.changes.push(Change::Put(key, shown));
        }
    }

    /// An item as it may be shown; `None` when it cannot be looked at.
    fn shown(
        &mut self,
        key: &Key,
        content: &Content,
        growing: Growing,
        look: &Look,
        redaction: &mut Redaction,
    ) -> Option<Redacted> {
        let of_session = self.directory.values(look.now);
        let known = [look.known, of_session];
        let growing = if look.reports_only { Growing::Done } else { growing };
        let looked = look.redactor.item(content, &Context { known: &known, growing }, &mut self.names);
        let mut redacted = match looked {
            Ok(redacted) => redacted,
            Err(error) => {
                tracing::warn!(%error, "an item cannot be looked at for secrets: it is not sent");
                self.refused += 1;
                return None;
            }
        };
        let found = std::mem::take(&mut redacted.findings);
        if look.reports_only {
            redacted.content = content.clone();
        }
        if !found.is_empty() || self.found.contains_key(key) {
            let (tool, file) = if found.is_empty() { (None, None) } else { tool_and_file(&redacted.content) };
            let place = |finding| Found { finding, tool: tool.clone(), file: file.clone() };
            let found: Vec<_> = found.into_iter().map(place).collect();
            redaction.records.found.push((key.clone(), found.clone()));
            if found.is_empty() {
                self.found.remove(key);
            } else {
                self.found.insert(key.clone(), found);
            }
        }
        Some(redacted)
    }

    fn remove(&mut self, key: &Key, redaction: &mut Redaction) {
        let message = key.message_id();
        let goes = |of: &Key| of == key || message.is_some() && of.parent_message_id() == message;
        for (of, held) in self.held.extract_if(|of, _| goes(of)) {
            self.held_bytes -= held.whole.get().len();
            redaction.records.held.push((of, None));
        }
        let before = self.found.len();
        self.found.retain(|of, _| !goes(of));
        if self.found.len() < before {
            redaction.records.found.push((key.clone(), Vec::new()));
        }
    }

    /// Of too much the part goes that was given first: its end comes when it is given whole.
    fn make_room(&mut self) {
        while self.held_bytes > MAX_HELD {
            let oldest = self.held.iter().min_by_key(|(_, held)| held.since);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            self.held_bytes -= self.held.remove(&key).map_or(0, |held| held.whole.get().len());
        }
    }
}

/// Whether a change says that the agent works no more.
fn rests(change: &Change) -> bool {
    #[derive(Deserialize)]
    struct Status<'a> {
        #[serde(borrow)]
        state: Cow<'a, str>,
    }
    let Change::Put(key, content) = change else { return false };
    key.as_str() == "status"
        && serde_json::from_str::<Status>(content.get())
            .is_ok_and(|status| status.state == "idle" || status.state == "gone")
}

/// The tool of a call, and the file that it was given.
fn tool_and_file(part: &Content) -> (Option<String>, Option<String>) {
    let part = crate::model::parse_lossy(part.get());
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let input = &part["state"]["input"];
    let file = ["filePath", "file_path", "path"].iter().find_map(|name| text(&input[name]));
    (text(&part["tool"]), file)
}

/// Which messages there are: a part of one that another has followed does not grow any more.
#[derive(Default)]
struct Messages {
    /// Hashes of the ids of all that were seen.
    seen: HashSet<u64>,
    /// Those that are whole from the beginning, or have ended.
    over: HashSet<u64>,
    /// The newest of each thread: of the session itself, and of its subagents' sessions.
    newest: HashMap<String, u64>,
    hasher: RandomState,
}

/// What is known of a part beside its content.
struct Part {
    message: u64,
    thread: String,
    is_over: bool,
}

#[derive(Default, Deserialize)]
struct About<'a> {
    #[serde(borrow, default, rename = "sessionID")]
    session: Cow<'a, str>,
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(default)]
    time: Value,
}

impl About<'_> {
    /// What an item says of itself; nothing when it says it in another way.
    fn of(content: &Content) -> About<'_> {
        serde_json::from_str(content.get()).unwrap_or_default()
    }

    fn thread(&self, session: &str) -> String {
        if self.session == session { String::new() } else { self.session.clone().into_owned() }
    }
}

impl Messages {
    fn note(&mut self, session: &str, change: &Change) {
        let Change::Put(key, content) = change else { return };
        let Some(id) = key.message_id() else { return };
        let id = self.hasher.hash_one(id);
        let about = About::of(content);
        if about.role == "user" || !about.time["completed"].is_null() {
            self.over.insert(id);
        }
        if self.seen.insert(id) {
            self.newest.insert(about.thread(session), id);
        }
    }

    fn is_over(&self, message: u64, thread: &str) -> bool {
        let is_followed = self.newest.get(thread).is_some_and(|newest| *newest != message);
        self.over.contains(&message) || is_followed && self.seen.contains(&message)
    }

    fn part(&self, session: &str, message: &str, content: &Content) -> Part {
        let (message, thread) = (self.hasher.hash_one(message), About::of(content).thread(session));
        Part { is_over: self.is_over(message, &thread), message, thread }
    }
}
