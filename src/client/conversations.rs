//! Conversations that agents give whole, again and again, as lists of messages: the last list of each, kept in memory
//! alone, so that a session can be shared without giving it once more; and what of them a share was given already.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::import::Item;
use crate::import::messages::{About, Model, title};
use crate::model::{Change, Key};

/// Sessions whose list is kept.
const MAX_SESSIONS: usize = 64;

/// Bytes of the list of one of them.
const MAX_BYTES: usize = 8 << 20;

/// What an agent says of a session beside its messages: each only when it is said.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Its title.
    pub title: Option<String>,
    /// Where the agent works.
    pub directory: Option<String>,
    /// Who works.
    pub agent: Option<Agent>,
    /// The model that answers.
    pub model: Option<Model>,
    /// What the agent does.
    pub status: Option<Status>,
}

/// An agent's name, and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// What it is called.
    pub name: String,
    /// Which version it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What an agent does in a session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// In one word.
    pub state: Activity,
    /// In its own words.
    pub label: Option<String>,
}

/// What an agent does, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// It works.
    Busy,
    /// It waits for the next prompt.
    Idle,
    /// It waits for an answer or a permission.
    Waiting,
    /// It has ended.
    Gone,
}

/// A session that can be shared.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownSession {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where its agent works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Where its agent works, as SHA-256 in hexadecimal digits, when that alone is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory_hash: Option<String>,
    /// Its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What its agent does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Activity>,
    /// When its agent last said something of it, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
    /// Where people look at it, when it is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether there is something of it to share. Of a session whose messages stand elsewhere an agent's hook may have
    /// told what it does, and nothing else.
    #[serde(skip)]
    pub has_content: bool,
}

impl fmt::Debug for KnownSession {
    /// Without its link, which may have a key in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownSession").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

impl KnownSession {
    /// One of which nothing but its id is known.
    pub(crate) fn named(session_id: String) -> Self {
        Self {
            session_id,
            title: None,
            directory: None,
            directory_hash: None,
            agent: None,
            state: None,
            updated_at: None,
            url: None,
            has_content: true,
        }
    }
}

/// The conversations of sessions that were talked of lately, shared or not.
#[derive(Default)]
pub(super) struct Conversations {
    sessions: HashMap<String, Conversation>,
    turn: u64,
}

/// What is known of one session.
#[derive(Default)]
struct Conversation {
    told: Told,
    /// Since when its status is what it is, in milliseconds since 1970.
    since: i64,
    /// Its messages; `None` when it has none yet, or more than are kept.
    list: Option<Vec<Box<RawValue>>>,
    is_too_large: bool,
    updated_at: i64,
    turn: u64,
}

impl Conversations {
    /// Takes in what is said of a session, at `now` in milliseconds since 1970. Tells whether its messages are read in
    /// another way by that.
    pub(super) fn tell(&mut self, session: &str, told: Told, now: i64) -> bool {
        let before = self.about(session);
        let conversation = self.touch(session, now);
        let Told { title, directory, agent, model, status } = told;
        let known = &mut conversation.told;
        known.title = title.or(known.title.take());
        known.directory = directory.or(known.directory.take());
        known.agent = agent.or(known.agent.take());
        known.model = model.or(known.model.take());
        if status.is_some() && status != known.status {
            known.status = status;
            conversation.since = now;
        }
        before != self.about(session)
    }

    /// Keeps a list of messages. Unless it is the `whole` of them, one that is shorter than the last leaves what goes
    /// beyond it. Gives it back when it is too large to be kept.
    pub(super) fn keep(
        &mut self,
        session: &str,
        mut list: Vec<Box<RawValue>>,
        whole: bool,
        now: i64,
    ) -> Option<Vec<Box<RawValue>>> {
        let conversation = self.touch(session, now);
        if let (false, Some(older)) = (whole, conversation.list.take()) {
            list.extend(older.into_iter().skip(list.len()));
        }
        let bytes: usize = list.iter().map(|message| message.get().len()).sum();
        conversation.is_too_large = bytes > MAX_BYTES;
        if conversation.is_too_large {
            return Some(list);
        }
        conversation.list = Some(list);
        None
    }

    /// A list out of the first `from` messages that are kept, and those that go on behind them; `None` when not so many
    /// are kept.
    pub(super) fn continued(
        &mut self,
        session: &str,
        from: usize,
        messages: Vec<Box<RawValue>>,
    ) -> Option<Vec<Box<RawValue>>> {
        let kept = &mut self.sessions.get_mut(session)?.list;
        let mut list = kept.take_if(|list| list.len() >= from)?;
        let beyond = list.split_off(from);
        let behind = beyond.into_iter().skip(messages.len());
        list.extend(messages.into_iter().chain(behind));
        Some(list)
    }

    /// The messages of a session that are kept.
    pub(super) fn list(&self, session: &str) -> Option<&[Box<RawValue>]> {
        self.sessions.get(session)?.list.as_deref()
    }

    /// Whether a session's messages are more than are kept.
    pub(super) fn is_too_large(&self, session: &str) -> bool {
        self.sessions.get(session).is_some_and(|conversation| conversation.is_too_large)
    }

    /// What a reading of a session's messages has to know beside them.
    pub(super) fn about(&self, session: &str) -> About {
        let Some(Conversation { told, since, .. }) = self.sessions.get(session) else {
            return About::default();
        };
        let rests = told.status.as_ref().is_some_and(|status| status.state.rests());
        About {
            title: told.title.clone(),
            directory: told.directory.clone(),
            model: told.model.clone(),
            rests_since: rests.then_some(*since),
        }
    }

    /// The items that say who works in a session, and what it does.
    pub(super) fn told(&self, session: &str) -> Vec<Item> {
        let Some(Conversation { told, since, .. }) = self.sessions.get(session) else { return Vec::new() };
        let status = told.status.as_ref().map(|Status { state, label }| {
            let mut status = serde_json::json!({"state": state, "at": since});
            if let Some(label) = label {
                status["label"] = serde_json::json!(label);
            }
            status
        });
        let agent = told.agent.as_ref().map(|agent| serde_json::json!(agent));
        let item = |(kind, value): (&str, Option<serde_json::Value>)| {
            let content = serde_json::value::to_raw_value(&value?).ok()?.into();
            Some(Item { key: Key::from(kind), content, settled: false })
        };
        [("agent", agent), ("status", status)].into_iter().filter_map(item).collect()
    }

    /// The sessions of which something was said, the one that was talked of last first.
    pub(super) fn known(&self) -> Vec<KnownSession> {
        let mut known: Vec<_> = self.sessions.iter().collect();
        known.sort_by_key(|(_, conversation)| std::cmp::Reverse(conversation.turn));
        let known =
            known.into_iter().map(|(session, Conversation { told, updated_at, list, .. })| KnownSession {
                session_id: session.clone(),
                title: told
                    .title
                    .clone()
                    .or_else(|| title(list.as_deref()?.iter().map(|message| &**message))),
                directory: told.directory.clone(),
                directory_hash: None,
                agent: told.agent.as_ref().map(|agent| agent.name.clone()),
                state: told.status.as_ref().map(|status| status.state),
                updated_at: Some(*updated_at),
                url: None,
                has_content: list.is_some(),
            });
        known.collect()
    }

    fn touch(&mut self, session: &str, now: i64) -> &mut Conversation {
        self.turn += 1;
        if !self.sessions.contains_key(session) && self.sessions.len() >= MAX_SESSIONS {
            let oldest = self.sessions.iter().min_by_key(|(_, conversation)| conversation.turn);
            if let Some(oldest) = oldest.map(|(session, _)| session.clone()) {
                self.sessions.remove(&oldest);
            }
        }
        let conversation = self.sessions.entry(session.to_owned()).or_default();
        conversation.turn = self.turn;
        conversation.updated_at = now;
        conversation
    }

    /// A session was deleted.
    pub(super) fn forget(&mut self, session: &str) {
        self.sessions.remove(session);
    }
}

impl Activity {
    /// Whether the last answer has come to its end.
    pub(super) fn rests(self) -> bool {
        matches!(self, Self::Idle | Self::Gone)
    }
}

/// What shares were given of conversations. Which items these are is kept on the disk too, for a later life.
#[derive(Default)]
pub(super) struct Given(HashMap<String, HashMap<Key, GivenItem>>);

struct GivenItem {
    settled: bool,
    /// Whether it is of the messages, and goes when the whole of these is without it.
    is_message: bool,
    /// Of its content; `None` when that is not known, or may not have been stored.
    hash: Option<i64>,
}

/// What is to be noted of an item that was given; `None` when it was taken away.
pub(super) type Note = (Key, Option<Noted>);

/// What is noted of an item that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Whether it has come to its end.
    pub settled: bool,
    /// Of its content; `None` in what an older version noted.
    pub hash: Option<i64>,
}

impl Given {
    /// What an earlier life gave.
    pub(super) fn load(notes: impl IntoIterator<Item = (String, Key, Noted)>) -> Self {
        let mut given = Self::default();
        for (session, key, Noted { settled, hash }) in notes {
            let item = GivenItem { settled, is_message: true, hash };
            given.0.entry(session).or_default().insert(key, item);
        }
        given
    }

    /// What a share has to be given of items, and what is to be noted before. An item that is there as it is need not
    /// be given, unless `again`; one that has come to its end is not taken back to where it had not. When the items are
    /// the `whole`, what else there was goes.
    pub(super) fn give(
        &mut self,
        session: &str,
        items: Vec<Item>,
        whole: bool,
        again: bool,
    ) -> (Vec<Change>, Vec<Note>) {
        let given = self.0.entry(session.to_owned()).or_default();
        let (mut changes, mut notes) = (Vec::new(), Vec::new());
        if whole {
            let kept: HashSet<_> = items.iter().map(|item| &item.key).collect();
            let gone = given.iter().filter(|(key, item)| item.is_message && !kept.contains(key));
            let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
            for key in gone {
                given.remove(&key);
                notes.push((key.clone(), None));
                changes.push(Change::Remove(key));
            }
        }
        for Item { key, content, settled } in items {
            let known = given.get(&key);
            // The whole may say otherwise than what was there before.
            if known.is_some_and(|known| known.settled && !settled) && !whole {
                continue;
            }
            let now = Noted { settled, hash: Some(hash(&content)) };
            let is_there = known.is_some_and(|known| known.hash == now.hash);
            if known.is_none_or(|known| known.settled != settled) || !is_there {
                notes.push((key.clone(), Some(now)));
            }
            given.insert(key.clone(), GivenItem { settled, is_message: true, hash: now.hash });
            if again || !is_there {
                changes.push(Change::Put(key, content));
            }
        }
        (changes, notes)
    }

    /// What a share has to be given of what was read where its agent keeps the session, and what is to be noted before.
    /// What was read last is right, whatever was given before. Items that are there as they are need not be given. When
    /// all was read, and these were `kept`, what else there was goes.
    pub(super) fn read(
        &mut self,
        session: &str,
        items: Vec<Item>,
        removed: Vec<Key>,
        kept: Option<&HashSet<Key>>,
    ) -> (Vec<Change>, Vec<Note>) {
        let given = self.0.entry(session.to_owned()).or_default();
        let (mut changes, mut notes) = (Vec::new(), Vec::new());
        let mut gone: HashSet<_> = removed.into_iter().collect();
        if let Some(kept) = kept {
            let missing = given.iter().filter(|(key, item)| item.is_message && !kept.contains(*key));
            gone.extend(missing.map(|(key, _)| key.clone()));
        }
        if !gone.is_empty() {
            // A message takes its parts with it.
            let goes = |key: &Key| {
                gone.contains(key)
                    || key.parent_message_id().is_some_and(|id| gone.contains(&Key::message(id)))
            };
            given.retain(|key, _| {
                let goes = goes(key);
                if goes {
                    notes.push((key.clone(), None));
                }
                !goes
            });
            changes.extend(gone.into_iter().map(Change::Remove));
        }
        for Item { key, content, settled } in items {
            let now = Noted { settled, hash: Some(hash(&content)) };
            if given.get(&key).is_some_and(|known| known.hash == now.hash) {
                continue;
            }
            notes.push((key.clone(), Some(now)));
            given.insert(key.clone(), GivenItem { settled, is_message: true, hash: now.hash });
            changes.push(Change::Put(key, content));
        }
        (changes, notes)
    }

    /// What a share has to be given of what is told beside the messages.
    pub(super) fn tell(&mut self, session: &str, told: Vec<Item>, again: bool) -> Vec<Change> {
        let given = self.0.entry(session.to_owned()).or_default();
        let mut changes = Vec::new();
        for Item { key, content, settled } in told {
            let item = GivenItem { settled, is_message: false, hash: Some(hash(&content)) };
            let known = given.get(&key).and_then(|known| known.hash);
            if again || known != item.hash {
                changes.push(Change::Put(key.clone(), content));
            }
            given.insert(key, item);
        }
        changes
    }

    /// What was given may not have been stored: all of it is given again, and what was taken away is taken away again.
    pub(super) fn doubt(&mut self, session: &str, taken_away: impl IntoIterator<Item = Key>) {
        let Some(given) = self.0.get_mut(session) else { return };
        for item in given.values_mut() {
            item.hash = None;
        }
        for key in taken_away {
            given.insert(key, GivenItem { settled: false, is_message: true, hash: None });
        }
    }

    /// The share is no more.
    pub(super) fn forget(&mut self, session: &str) {
        self.0.remove(session);
    }
}

/// A hash that later versions make too: it is kept on the disk.
fn hash(content: &RawValue) -> i64 {
    let digest = Sha256::digest(content.get());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | i64::from(*byte))
}
