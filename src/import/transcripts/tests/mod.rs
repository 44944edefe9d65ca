//! Transcripts that the real programs wrote, and some by hand in the same shapes, against what must come of them.

mod claude;
mod codex;
mod gemini;
mod hostile;
mod others;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Agent, Source, State, Transcript};
use crate::model::{Key, parse_lossy};

/// What somebody holds who applied all changes.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Held(pub(super) BTreeMap<String, String>);

impl Held {
    /// Takes what changed; says which keys were removed.
    pub(super) fn apply(&mut self, transcript: &mut Transcript) -> Vec<String> {
        let changes = transcript.take_changes();
        for key in &changes.removed {
            let id = key.message_id().expect("only messages are removed").to_owned();
            assert!(self.0.remove(key.as_str()).is_some(), "{key:?} was never given");
            self.0.retain(|known, _| !known.starts_with(&format!("part/{id}/")));
        }
        for item in changes.items {
            let content = item.content.get().to_owned();
            if let Some(message) = item.key.parent_message_id() {
                let key = Key::message(message);
                assert!(self.0.contains_key(key.as_str()), "{:?} came before its message", item.key);
            }
            self.0.insert(item.key.as_str().to_owned(), content);
        }
        changes.removed.iter().map(|key| key.as_str().to_owned()).collect()
    }

    fn of(&self, kind: &str, session: &str) -> Vec<Value> {
        let items = self.0.iter().filter(|(key, _)| key.starts_with(&format!("{kind}/")));
        let mut items: Vec<_> = items.map(|(_, content)| parse_lossy(content)).collect();
        items.retain(|item| item["sessionID"] == session);
        items
    }

    pub(super) fn messages(&self, session: &str) -> Vec<Value> {
        self.of("message", session)
    }

    pub(super) fn parts(&self, session: &str) -> Vec<Value> {
        self.of("part", session)
    }

    /// The part that a call is.
    pub(super) fn call(&self, id: &str) -> Value {
        let mut parts = self.0.iter().filter(|(key, _)| key.starts_with("part/"));
        parts
            .find_map(|(_, part)| Some(parse_lossy(part)).filter(|part| part["callID"] == id))
            .expect("a call")
    }

    /// Texts in the order of the session.
    pub(super) fn texts(&self, session: &str) -> Vec<String> {
        let texts = self.parts(session).into_iter().filter(|part| part["type"] == "text");
        texts.map(|part| part["text"].as_str().expect("a text").to_owned()).collect()
    }

    /// `user + assistant | text reasoning file compaction | tools | states | errors`, as the table of fixtures has it.
    pub(super) fn summary(&self, session: &str) -> String {
        fn count<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
            let mut counts = BTreeMap::new();
            words.for_each(|word| *counts.entry(word).or_default() += 1);
            counts
        }
        let list = |counts: BTreeMap<&str, usize>| {
            counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(" ")
        };
        let (messages, parts) = (self.messages(session), self.parts(session));
        let roles = count(messages.iter().filter_map(|message| message["role"].as_str()));
        let kinds = count(parts.iter().filter_map(|part| part["type"].as_str()));
        let kind = |name: &str| kinds.get(name).copied().unwrap_or_default();
        let role = |name: &str| roles.get(name).copied().unwrap_or_default();
        let calls = || parts.iter().filter(|part| part["type"] == "tool");
        let errors = messages.iter().filter_map(|message| message["error"]["name"].as_str());
        format!(
            "{} + {} | {} {} {} {} | {} | {} | {}",
            role("user"),
            role("assistant"),
            kind("text"),
            kind("reasoning"),
            kind("file"),
            kind("compaction"),
            list(count(calls().filter_map(|part| part["tool"].as_str()))),
            list(count(calls().filter_map(|part| part["state"]["status"].as_str()))),
            list(count(errors)),
        )
    }
}

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transcripts").join(name)
}

pub(super) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).expect(name)
}

pub(super) fn source(id: &str, parent: Option<&str>) -> Source {
    Source { id: id.to_owned(), parent: parent.map(ToOwned::to_owned) }
}

/// All of a file at once.
pub(super) fn read(agent: Agent, source: &Source, bytes: &[u8]) -> (Held, Transcript) {
    let (mut held, mut transcript) = (Held::default(), Transcript::new(agent, source));
    transcript.feed(bytes);
    held.apply(&mut transcript);
    (held, transcript)
}

/// Nothing that agents keep to themselves is in any item; and every item is one for its key.
pub(super) fn check(held: &Held, session: &str) {
    for (key, content) in &held.0 {
        for word in ["SECRET", "system-reminder", "encrypted", "base_instructions"] {
            assert!(!content.contains(word), "{key} {word}: {content}");
        }
        let kind = key.split('/').next().expect("a kind").to_owned();
        let raw = serde_json::value::RawValue::from_string(content.clone()).expect("JSON");
        let change = crate::model::Change::from_item(&kind, &raw, "item").expect("an item");
        let crate::model::Change::Put(own, kept) = change else { panic!("{key}") };
        assert_eq!((own.as_str(), kept.get()), (key.as_str(), content.as_str()));
    }
    // The order of reading: by time, and ids ascend with it.
    let messages = held.messages(session);
    let created: Vec<_> = messages.iter().map(|message| message["time"]["created"].as_i64()).collect();
    assert!(created.is_sorted(), "{created:?}");
}

/// The same whatever the size of the pieces, and whenever the changes are taken.
pub(super) fn check_pieces(agent: Agent, from: &Source, bytes: &[u8]) {
    let (whole, _) = read(agent, from, bytes);
    let (again, _) = read(agent, from, bytes);
    assert_eq!(whole, again);
    for size in [1, 7, 1000, 4096] {
        let (mut late, mut held) = (Transcript::new(agent, from), Held::default());
        let (mut live, mut seen) = (Transcript::new(agent, from), Held::default());
        for (at, piece) in bytes.chunks(size).enumerate() {
            late.feed(piece);
            live.feed(piece);
            if size > 7 || at % 97 == 0 {
                seen.apply(&mut live);
            }
        }
        held.apply(&mut late);
        seen.apply(&mut live);
        assert_eq!(held, whole, "pieces of {size}");
        assert!(!live.wants_rereading());
        assert_eq!(seen, whole, "live, pieces of {size}");
        assert_eq!(late.about(), live.about());
    }
}

/// A file that is read alone, in all the ways there are.
fn whole(agent: Agent, name: &str, id: &str) -> (Held, Transcript) {
    let from = source(id, None);
    check_pieces(agent, &from, &bytes(name));
    let (held, transcript) = read(agent, &from, &bytes(name));
    assert_eq!(transcript.about().session, format!("{}{id}", agent.prefix()));
    check(&held, &transcript.about().session);
    (held, transcript)
}

#[test]
fn files_say_whose_they_are() {
    for (agent, name, expected) in [
        (Agent::ClaudeCode, "a/11111111-1111.jsonl", Some("11111111-1111")),
        (Agent::ClaudeCode, "a/agent-af5e4a5.jsonl", None),
        (Agent::ClaudeCode, "a/notes.txt", None),
        (
            Agent::Codex,
            "rollout-2026-11-25T03-27-55-cf25b447-2917-486e-8c10-bf1ac5818179.jsonl.zst",
            Some("cf25b447-2917-486e-8c10-bf1ac5818179"),
        ),
        (Agent::Codex, "rollout-é.jsonl", None),
        (Agent::Pi, "2026-11-25T03-30-56-212Z_01a210c1.jsonl", Some("01a210c1")),
        (Agent::GeminiCli, "session-2026-10-01T08-00-33333333.jsonl", None),
    ] {
        assert_eq!(agent.session_of(Path::new(name)).as_deref(), expected, "{name}");
    }
    for (agent, name, expected) in [
        (
            Agent::GeminiCli,
            "gemini-edges/session-2025-11-01T08-00-22222222.json",
            Some("22222222-2222-4222-8222-222222222222"),
        ),
        (
            Agent::GeminiCli,
            "gemini-edges/session-2026-10-01T08-00-33333333.jsonl",
            Some("33333333-3333-4333-8333-333333333333"),
        ),
        (Agent::Codex, codex::EDGES, Some("0199aaaa-0000-7000-8000-000000000001")),
        (Agent::GeminiCli, codex::EDGES, None),
    ] {
        assert_eq!(agent.session_in(&bytes(name)).as_deref(), expected, "{name}");
    }
}
