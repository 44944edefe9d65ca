//! Transcripts that the real programs wrote, and some by hand in the same shapes, against what must come of them.

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

mod claude {
    use super::*;

    const EDGES: &str = "claude-edges/11111111-1111-4111-8111-111111111111.jsonl";
    const PROJECT: &str = "claude-2.1.331/.claude/projects/-home-dev-fizz";
    const COMMON: &str = "NoSuchTool 1 TaskCreate 1";

    fn main(name: &str) -> (Held, Transcript, String) {
        let id = Path::new(name).file_stem().expect("a name").to_string_lossy().into_owned();
        let from = source(&id, None);
        check_pieces(Agent::ClaudeCode, &from, &bytes(name));
        let (held, transcript) = read(Agent::ClaudeCode, &from, &bytes(name));
        let session = format!("cc_{id}");
        assert_eq!(transcript.about().session, session);
        check(&held, &session);
        (held, transcript, session)
    }

    fn agent(name: &str, id: &str, parent: &str) -> String {
        let from = source(id, Some(parent));
        check_pieces(Agent::ClaudeCode, &from, &bytes(name));
        let (held, transcript) = read(Agent::ClaudeCode, &from, &bytes(name));
        assert!(!held.0.contains_key("session"));
        assert_eq!(transcript.about().parent, Some(format!("cc_{parent}")));
        check(&held, &format!("cc_{id}"));
        held.summary(&format!("cc_{id}"))
    }

    #[test]
    fn version_1_0() {
        let (held, transcript, session) = main("claude-1.0.128/a3c07838-724c-4659-802a-8ab71e3bcd4d.jsonl");
        assert_eq!(
            held.summary(&session),
            format!(
                "1 + 16 | 4 2 0 0 | {COMMON} bash 4 edit 1 glob 1 grep 1 read 3 task 2 todowrite 1 webfetch 1 write 1 \
                 | completed 11 error 6 | "
            )
        );
        let about = transcript.about();
        assert_eq!(about.title.as_deref(), Some("Write the fizz program."));
        assert_eq!((about.version.as_deref(), about.state), (Some("1.0.128"), State::Idle));
        assert!(about.unknown.is_empty() && about.bad == 0, "{about:?}");
        // The subagent's records stand between the others, without an id.
        let side = "cc_7ce78da6-5c4c-4199-a372-eaf17acb8430";
        assert_eq!(held.summary(side), "1 + 2 | 2 1 0 0 | bash 1 | completed 1 | ");
        assert_eq!(held.call("toolu_00002300")["state"]["metadata"]["sessionId"], side);
        assert_eq!(held.call("toolu_00002300")["state"]["output"], "It has 2 lines.");
        assert!(held.call("toolu_00002200")["state"]["metadata"].is_null());
        // What the program hides in a result is not in it.
        let read = held.call("toolu_00000900");
        assert!(read["state"]["output"].as_str().expect("text").ends_with("3→\n\n\n"), "{read}");
        assert_eq!(held.call("toolu_00002000")["state"]["attachments"][0]["mime"], "image/png");
        assert_eq!(held.call("toolu_00000700")["state"]["metadata"]["exists"], false);
        assert_eq!(held.call("toolu_00001701")["state"]["metadata"]["count"], 1);
    }

    #[test]
    fn version_2_0_and_its_subagent() {
        let (held, _, session) = main("claude-2.0.77/5193da28-cef6-4c02-ac7a-145bb3256f05.jsonl");
        assert_eq!(
            held.summary(&session),
            format!(
                "1 + 16 | 4 2 0 0 | {COMMON} bash 4 edit 1 glob 1 grep 1 read 3 task 2 todowrite 1 webfetch 1 write 1 \
                 | completed 12 error 5 | "
            )
        );
        let task = held.call("toolu_00009000");
        assert_eq!(task["state"]["metadata"]["sessionId"], "cc_af5e4a5");
        assert_eq!(task["state"]["output"], "It has 2 lines.");
        let subagent =
            agent("claude-2.0.77/agent-af5e4a5.jsonl", "af5e4a5", "5193da28-cef6-4c02-ac7a-145bb3256f05");
        assert_eq!(subagent, "1 + 2 | 2 1 0 0 | bash 1 | completed 1 | ");
    }

    #[test]
    fn version_2_1_its_fork_and_its_subagents() {
        let parent = "ced1e0b1-32f6-4b65-a494-1f46e5d5821b";
        let (held, transcript, session) = main(&format!("{PROJECT}/{parent}.jsonl"));
        let tools = "edit 1 glob 1 grep 1 read 3 task 2 todowrite 1 webfetch 1 write 1";
        assert_eq!(
            held.summary(&session),
            format!("7 + 23 | 15 4 0 1 | {COMMON} bash 5 {tools} | completed 10 error 8 | APIError 1")
        );
        assert_eq!(transcript.about().cost, Some(0.035_369_999_999_999_985));
        assert!(transcript.about().unknown.is_empty(), "{:?}", transcript.about().unknown);
        let task = held.call("toolu_00001000");
        assert_eq!(task["state"]["output"], "It has 2 lines.");
        assert_eq!(task["state"]["metadata"]["sessionId"], "cc_aa450bc01875722e5");
        let failed = held.call("toolu_00000401");
        assert_eq!(
            (&failed["state"]["metadata"]["exit"], &failed["state"]["output"]),
            (&3.into(), &"\u{1b}[32mgreen\u{1b}[0m".into())
        );
        assert_eq!(held.call("toolu_00001400")["state"]["metadata"]["truncated"], true);
        let error =
            held.messages(&session).into_iter().find(|message| !message["error"].is_null()).expect("one");
        assert_eq!(error["error"]["data"]["statusCode"], 400);
        // The summary answers the compaction, and what was compacted stays.
        let summary =
            held.messages(&session).into_iter().find(|message| message["summary"] == true).expect("one");
        let part = format!("part/{}/", summary["parentID"].as_str().expect("a parent"));
        let part = held.0.iter().find(|(key, _)| key.starts_with(&part)).expect("its part");
        assert!(part.1.contains(r#""type":"compaction"#) && part.1.contains(r#""auto":false"#));
        assert!(held.texts(&session).contains(&"/compact keep the file names".to_owned()));

        let (held, _, session) = main(&format!("{PROJECT}/cf4807ab-7a31-4281-a927-0be28c687d9b.jsonl"));
        assert_eq!(
            held.summary(&session),
            format!("3 + 19 | 9 4 0 0 | {COMMON} bash 4 {tools} | completed 10 error 7 | ")
        );
        for id in ["a1177f4d6dee94e7e", "aa450bc01875722e5"] {
            let name = format!("{PROJECT}/{parent}/subagents/agent-{id}.jsonl");
            assert_eq!(agent(&name, id, parent), "1 + 2 | 2 1 0 0 | bash 1 | completed 1 | ");
        }
    }

    #[test]
    fn what_stands_in_a_file_of_its_own_is_asked_for_by_name() {
        let parent = "ced1e0b1-32f6-4b65-a494-1f46e5d5821b";
        let from = source(parent, None);
        let folder = fixture(&format!("{PROJECT}/{parent}/tool-results"));
        let outside = move |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        let mut transcript = Transcript::new(Agent::ClaudeCode, &from).with_outside(outside);
        transcript.feed(&bytes(&format!("{PROJECT}/{parent}.jsonl")));
        let mut held = Held::default();
        held.apply(&mut transcript);
        let state = &held.call("toolu_00001400")["state"];
        assert!(
            state["output"].as_str().expect("text").len() > 3000 && state["metadata"]["truncated"].is_null()
        );
    }

    #[test]
    fn interrupts() {
        let (held, transcript, session) =
            main("claude-2.1.331-interrupted/a9da5ed3-2831-422e-9f0d-1b5a5dea9a74.jsonl");
        assert_eq!(held.summary(&session), "6 + 6 | 12 3 1 0 | bash 2 | error 2 | MessageAbortedError 3");
        assert_eq!(held.call("toolu_00000200")["state"]["error"], "rejected by the user");
        assert_eq!(transcript.about().state, State::Idle);
    }

    #[test]
    fn edges() {
        let (held, transcript, session) = main(EDGES);
        assert_eq!(
            held.summary(&session),
            "7 + 15 | 10 0 0 1 | ExitPlanMode 1 bash 2 edit 1 mcp__tracker__create_issue 1 multiedit 1 question 1 \
             read 1 task 1 todowrite 1 websearch 1 | completed 9 error 1 running 1 | APIError 1"
        );
        assert_eq!(
            held.texts(&session),
            [
                "Make a plan for fizz",
                "Here is a plan.",
                "use spaces please",
                "This answer is on a branch that the user left.",
                "Show me the picture instead",
                "/review fizz.py",
                "Reviewed.",
                "! ls",
                "This session is being continued from a previous conversation that ran out of context. The summary: \
                 fizz.py is done.",
                "This prompt has a parent that was never written",
            ]
        );
        let about = transcript.about();
        assert_eq!(about.title.as_deref(), Some("Fizz, with spaces"));
        assert_eq!((about.bad, about.state), (1, State::Busy));
        let unknown: Vec<_> = about.unknown.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(unknown, [("a-block-of-2031", 1), ("a-kind-of-2031", 1), ("another-kind-with-uuid", 1)]);
        let state = |id: &str| held.call(id)["state"].clone();
        assert_eq!(state("t1")["metadata"]["answers"], serde_json::json!(["1-100"]));
        assert_eq!(state("t2")["input"]["plan"], "# Plan\n\n1. write\n2. run");
        assert_eq!(
            state("t3")["metadata"]["todos"],
            serde_json::json!([{"content": "write", "status": "in_progress"}, {"content": "run", "status": "pending"}])
        );
        assert_eq!(
            state("t4")["metadata"]["diff"],
            "--- /home/dev/fizz/fizz.py\n+++ /home/dev/fizz/fizz.py\n@@ -1,2 +1,2 @@\n-a\n+b\n-c\n+d\n"
        );
        assert_eq!(
            (&state("t6")["output"], state("t6")["attachments"].as_array().map(Vec::len)),
            (&"created".into(), Some(1))
        );
        assert_eq!(state("t7")["metadata"]["sessionId"], "cc_abc1234");
        assert_eq!(
            (&state("t8")["metadata"]["exit"], &state("t8")["output"]),
            (&137.into(), &"killed".into())
        );
        let outputs =
            held.parts(&session).into_iter().filter(|part| part["state"]["output"] == "fizz.py").count();
        assert_eq!(outputs, 1);
        let first =
            held.messages(&session).into_iter().find(|message| message["role"] == "assistant").expect("one");
        assert_eq!(first["tokens"]["output"], 20);
        assert_eq!(first["tokens"]["cache"], serde_json::json!({"read": 100, "write": 10}));
    }

    #[test]
    fn half_a_line_is_read_when_its_rest_comes() {
        let (mut held, mut transcript, _) = main(EDGES);
        assert_eq!(held.call("t10")["state"]["status"], "running");
        transcript.feed(
            br#"tent":"ok"}]},"uuid":"u19","timestamp":"2026-03-01T10:00:59.000Z"}
"#,
        );
        held.apply(&mut transcript);
        assert_eq!(held.call("t10")["state"]["status"], "completed");
    }

    #[test]
    fn a_branch_that_is_left_is_removed_while_it_is_watched() {
        let file = bytes(EDGES);
        let mut transcript = Transcript::new(Agent::ClaudeCode, &source("s", None));
        let (mut held, mut removed) = (Held::default(), Vec::new());
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            transcript.feed(line);
            removed.extend(held.apply(&mut transcript));
        }
        assert_eq!(removed.len(), 2);
        assert!(
            !held.texts("cc_s").iter().any(|text| text.contains("edited away") || text.contains("Nobody"))
        );
        assert!(!transcript.wants_rereading());
    }

    fn line(uuid: &str, parent: &str, kind: &str, message: &str) -> String {
        format!(
            r#"{{"type":"{kind}","uuid":"{uuid}","parentUuid":"{parent}","sessionId":"s","message":{message}}}"#,
        ) + "\n"
    }

    #[test]
    fn who_goes_back_to_a_branch_that_was_dropped_is_told_to_read_anew() {
        let prompt = |text: &str| format!(r#"{{"content":"{text}"}}"#);
        let answer = |id: &str| format!(r#"{{"id":"{id}","content":[{{"type":"text","text":"{id}"}}]}}"#);
        let lines = [
            line("1", "", "user", &prompt("one")),
            line("2", "1", "assistant", &answer("a")),
            line("3", "2", "user", &prompt("left")),
            line("4", "3", "assistant", &answer("b")),
            line("5", "2", "user", &prompt("new")),
            line("6", "5", "assistant", &answer("c")),
            line("7", "4", "user", &prompt("back")),
        ];
        let (whole, _) = read(Agent::ClaudeCode, &source("s", None), lines.concat().as_bytes());
        assert_eq!(whole.texts("cc_s"), ["one", "a", "left", "b", "back"]);
        let mut transcript = Transcript::new(Agent::ClaudeCode, &source("s", None));
        let mut held = Held::default();
        for line in &lines {
            assert!(!transcript.wants_rereading());
            transcript.feed(line.as_bytes());
            held.apply(&mut transcript);
        }
        assert!(transcript.wants_rereading());
    }

    #[test]
    fn tasks_are_one_list() {
        let call = |uuid: &str, parent: &str, id: &str, name: &str, input: &str| {
            let block = format!(r#"{{"type":"tool_use","id":"{id}","name":"{name}","input":{input}}}"#);
            line(uuid, parent, "assistant", &format!(r#"{{"id":"m{id}","content":[{block}]}}"#))
        };
        let result = |uuid: &str, parent: &str, id: &str, told: &str| {
            let block = format!(r#"{{"type":"tool_result","tool_use_id":"{id}","content":"ok"}}"#);
            let line = line(uuid, parent, "user", &format!(r#"{{"content":[{block}]}}"#));
            line.replace("\"uuid\"", &format!("\"toolUseResult\":{told},\"uuid\""))
        };
        let file = [
            call("1", "", "x", "TaskCreate", r#"{"subject":"write","description":"d"}"#),
            result("2", "1", "x", r#"{"task":{"id":"7"}}"#),
            call("3", "2", "y", "TaskUpdate", r#"{"taskId":"7","status":"completed"}"#),
            result("4", "3", "y", "{}"),
        ];
        let (held, _) = read(Agent::ClaudeCode, &source("s", None), file.concat().as_bytes());
        for (id, status) in [("x", "pending"), ("y", "completed")] {
            let part = held.call(id);
            assert_eq!(
                (&part["tool"], &part["state"]["metadata"]["todos"][0]["status"]),
                (&"todowrite".into(), &status.into())
            );
            assert_eq!(part["state"]["input"]["todos"][0]["content"], "write");
        }
    }

    #[test]
    fn a_block_that_grows_is_one_part() {
        let says = |uuid: &str, text: &str| {
            line(
                uuid,
                "1",
                "assistant",
                &format!(r#"{{"id":"m","content":[{{"type":"text","text":"{text}"}}]}}"#),
            )
        };
        let file =
            [says("2", "He"), says("3", "Hello"), says("4", "He"), says("5", "Hello"), says("6", "Other")];
        let (held, _) = read(Agent::ClaudeCode, &source("s", None), file.concat().as_bytes());
        assert_eq!(held.texts("cc_s"), ["Hello", "Other"]);
    }
}

mod hostile {
    use std::time::Instant;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The words that converters look for, and others.
    fn word() -> impl Strategy<Value = String> {
        let words = include_str!("words.txt").lines().map(ToOwned::to_owned).collect::<Vec<_>>();
        prop_oneof![9 => proptest::sample::select(words), 1 => ".{0,12}"]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            4 => word().prop_map(Value::from),
            1 => any::<bool>().prop_map(Value::from),
            1 => any::<i64>().prop_map(Value::from),
            1 => Just(Value::Null),
            1 => Just(json!("2026-03-01T10:00:01.000Z")),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                3 => proptest::collection::vec((word(), inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    const AGENTS: [Agent; 1] = [Agent::ClaudeCode];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_records_are_read_in_any_pieces(
            records in proptest::collection::vec(value(), 0..12),
            size in 1..400usize,
            agent in proptest::sample::select(AGENTS.to_vec()),
        ) {
            let lines: Vec<_> = records.iter().map(|record| format!("{record}\n")).collect();
            let file = lines.concat();
            let from = source("s", None);
            let (whole, transcript) = read(agent, &from, file.as_bytes());
            let session = transcript.about().session.clone();
            for key in whole.0.keys() {
                prop_assert!(["session", "message", "part"].contains(&Key::from(key.as_str()).kind()));
            }
            let (mut live, mut held) = (Transcript::new(agent, &from), Held::default());
            for piece in file.as_bytes().chunks(size) {
                live.feed(piece);
                held.apply(&mut live);
            }
            prop_assert_eq!(&live.about().session, &session);
            if !live.wants_rereading() {
                prop_assert_eq!(held, whole);
            }
        }

        #[test]
        fn any_change_of_a_real_file_is_read(
            file in proptest::sample::select(FILES.to_vec()),
            swaps in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6),
            cut in any::<prop::sample::Index>(),
            garbage in value(),
        ) {
            let (agent, name) = file;
            let text = String::from_utf8(bytes(name)).expect("text");
            let mut lines: Vec<_> = text.split_inclusive('\n').collect();
            for (a, b) in swaps {
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
            }
            let garbage = format!("{garbage}\n");
            lines.insert(cut.index(lines.len()), &garbage);
            let file = lines.concat();
            let from = source("s", None);
            let (whole, _) = read(agent, &from, file.as_bytes());
            for content in whole.0.values() {
                prop_assert!(!content.contains("SECRET"));
            }
            let (mut live, mut held) = (Transcript::new(agent, &from), Held::default());
            for piece in file.as_bytes().chunks(2000) {
                live.feed(piece);
                held.apply(&mut live);
            }
            if !live.wants_rereading() {
                prop_assert_eq!(held, whole);
            }
        }
    }

    const FILES: [(Agent, &str); 4] = [
        (Agent::ClaudeCode, "claude-edges/11111111-1111-4111-8111-111111111111.jsonl"),
        (Agent::ClaudeCode, "claude-1.0.128/a3c07838-724c-4659-802a-8ab71e3bcd4d.jsonl"),
        (Agent::ClaudeCode, "claude-2.1.331-interrupted/a9da5ed3-2831-422e-9f0d-1b5a5dea9a74.jsonl"),
        (
            Agent::ClaudeCode,
            "claude-2.1.331/.claude/projects/-home-dev-fizz/ced1e0b1-32f6-4b65-a494-1f46e5d5821b.jsonl",
        ),
    ];

    #[test]
    fn half_surrogates_deep_nesting_and_broken_bytes_are_read() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let prompt = br#"{"type":"user","uuid":"u","sessionId":"s","message":{"content":"a \ud83d b"}}"#;
        let file = [deep.as_bytes(), b"\n\xff\xfe\n\0\n", prompt, b"\n"].concat();
        let (held, transcript) = read(Agent::ClaudeCode, &source("s", None), &file);
        assert_eq!(held.texts("cc_s"), ["a \u{fffd} b"]);
        assert_eq!(transcript.about().bad, 3);
    }

    /// The time that a file takes grows no more than in proportion: parents in a circle, one answer of many blocks,
    /// subagents without ids, branches that are left again and again.
    #[test]
    fn time_grows_in_proportion() {
        let record = |kind: &str, uuid: String, parent: String, side: bool, content: Value| {
            let message = json!({"id": "m", "content": content});
            let record = json!({
                "type": kind, "uuid": uuid, "parentUuid": parent, "isSidechain": side, "message": message,
            });
            format!("{record}\n")
        };
        let words = |text: String| json!([{"type": "text", "text": text}]);
        let cases: [&dyn Fn(usize) -> String; 5] = [
            &|n| record("user", format!("{n}"), format!("{}", n + 1), false, words(format!("{n}"))),
            &|n| record("assistant", format!("{n}"), format!("{}", n / 2), false, words(format!("{n}"))),
            &|n| record("user", format!("{n}"), "none".into(), true, words(format!("{n}"))),
            &|n| record("user", format!("{n}"), "0".into(), false, words(format!("{n}"))),
            &|n| {
                let call = json!([{"type": "tool_use", "id": format!("{n}"), "name": "Task", "input": {"prompt": n}}]);
                record("assistant", format!("{n}"), String::new(), n % 2 == 1, call)
            },
        ];
        for (at, case) in cases.iter().enumerate() {
            let time = |count: usize| {
                let file: String = (0..count).map(case).collect();
                let before = Instant::now();
                read(Agent::ClaudeCode, &source("s", None), file.as_bytes());
                before.elapsed().as_secs_f64()
            };
            let (small, large) = (time(500), time(5_000));
            assert!(large < 40.0 * small.max(0.01), "case {at}: {small} s, then {large} s");
        }
    }
}
