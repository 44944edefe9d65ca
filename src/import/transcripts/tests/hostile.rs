//! Transcripts that nobody wrote: any JSON, real ones that were changed, and such as cost the most.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
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

const AGENTS: [Agent; 5] = [Agent::ClaudeCode, Agent::Codex, Agent::GeminiCli, Agent::QwenCode, Agent::Pi];

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
        swaps in proptest::collection::vec((any::<Index>(), any::<Index>()), 0..6),
        changes in proptest::collection::vec(
            (any::<Index>(), proptest::collection::vec(any::<Index>(), 0..8), proptest::option::of(value())),
            0..8,
        ),
        size in 500..5000usize,
    ) {
        let (agent, name) = file;
        let text = String::from_utf8(bytes(name)).expect("text");
        let mut lines: Vec<_> = text.split_inclusive('\n').map(ToOwned::to_owned).collect();
        for (a, b) in swaps {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
        }
        let is_known = changes.is_empty();
        for (line, path, value) in changes {
            let line = &mut lines[line.index(text.lines().count())];
            let mut record = parse_lossy(line);
            change(&mut record, &path, value);
            *line = format!("{record}\n");
        }
        let file = lines.concat();
        let from = source("s", None);
        let (whole, _) = read(agent, &from, file.as_bytes());
        prop_assert!(!is_known || whole.0.values().all(|content| !content.contains("SECRET")));
        let (mut live, mut held) = (Transcript::new(agent, &from), Held::default());
        for piece in file.as_bytes().chunks(size) {
            live.feed(piece);
            held.apply(&mut live);
        }
        if !live.wants_rereading() {
            prop_assert_eq!(held, whole);
        }
    }
}

/// Puts a value in place of one somewhere within a record, or takes that away.
fn change(mut record: &mut Value, path: &[Index], value: Option<Value>) {
    let Some((end, path)) = path.split_last() else { return };
    for step in path {
        if record.as_object().is_some_and(|fields| !fields.is_empty())
            || record.as_array().is_some_and(|list| !list.is_empty())
        {
            record = child(record, *step);
        }
    }
    match (value, record) {
        (Some(value), record) => *record = value,
        (None, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(end.index(fields.len())).expect("a field").clone();
            fields.remove(&name);
        }
        (None, Value::Array(list)) if !list.is_empty() => {
            list.remove(end.index(list.len()));
        }
        (None, record) => *record = Value::Null,
    }
}

fn child(value: &mut Value, step: Index) -> &mut Value {
    match value {
        Value::Object(fields) => {
            let at = step.index(fields.len());
            fields.values_mut().nth(at).expect("a field")
        }
        Value::Array(list) => {
            let at = step.index(list.len());
            &mut list[at]
        }
        _ => unreachable!("only what has children is asked"),
    }
}

const FILES: [(Agent, &str); 11] = [
    (Agent::Codex, codex::OLD),
    (Agent::Codex, codex::MIDDLE),
    (Agent::Codex, codex::NEW),
    (Agent::Codex, codex::EDGES),
    (Agent::GeminiCli, "gemini-0.61.0/.gemini/tmp/fizz/chats/session-2026-11-25T03-29-18fb0021.jsonl"),
    (Agent::GeminiCli, "gemini-edges/session-2026-10-01T08-00-33333333.jsonl"),
    (Agent::Pi, "pi-0.73.1/2026-11-25T03-30-56-212Z_01a210c1-a653-7529-a413-990df420d324.jsonl"),
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
/// subagents without ids, branches that are left again and again, turns that are taken back.
#[test]
fn time_grows_in_proportion() {
    type Case = fn(usize) -> Value;
    let cases: [(Agent, Case); 11] = [
        (Agent::ClaudeCode, |n| claude("user", n, n + 1, false, &words(n))),
        (Agent::ClaudeCode, |n| claude("assistant", n, n / 2, false, &words(n))),
        (Agent::ClaudeCode, |n| claude("user", n, n + 1, true, &words(n))),
        (Agent::ClaudeCode, |n| claude("user", n, 0, false, &words(n))),
        (Agent::ClaudeCode, |n| {
            let call =
                json!({"type": "tool_use", "id": n.to_string(), "name": "Task", "input": {"prompt": n}});
            claude("assistant", n, 0, n % 2 == 1, &json!([call]))
        }),
        (Agent::Codex, |n| match n % 2 {
            0 => {
                codex("response_item", &json!({"type": "message", "role": "user", "content": codex_words(n)}))
            }
            _ => codex("event_msg", &json!({"type": "thread_rolled_back", "num_turns": n % 4 / 2})),
        }),
        (Agent::Codex, |n| {
            let (call, terminal) = ((n / 3).to_string(), n / 3);
            let head = format!("Process running with session ID {terminal}\nOutput:\n");
            match n % 3 {
                0 => codex(
                    "response_item",
                    &json!({
                        "type": "function_call",
                        "call_id": call,
                        "name": "exec_command",
                        "arguments": "{\"cmd\":\"x\"}",
                    }),
                ),
                1 => codex(
                    "response_item",
                    &json!({
                        "type": "function_call_output", "call_id": call, "output": head,
                    }),
                ),
                _ => codex(
                    "event_msg",
                    &json!({
                        "type": "item_completed",
                        "item": {"type": "CommandExecution", "id": (n / 6).to_string(), "exit_code": 0},
                    }),
                ),
            }
        }),
        (Agent::GeminiCli, |n| match n % 3 {
            2 => json!({"$rewindTo": (n / 2).to_string()}),
            kind => {
                json!({"id": n.to_string(), "type": (["user", "gemini"][kind]), "content": n.to_string()})
            }
        }),
        (Agent::GeminiCli, |n| json!({"id": "a", "type": "gemini", "content": n.to_string(), "tokens": {}})),
        (Agent::Pi, |n| {
            let message = json!({"role": (["user", "assistant"][n % 2]), "content": n.to_string()});
            json!({"type": "message", "id": n.to_string(), "parentId": (n / 2).to_string(), "message": message})
        }),
        (Agent::QwenCode, |n| {
            let part = json!({"functionCall": {"name": "x", "args": {}}});
            json!({"type": "assistant", "uuid": n.to_string(), "message": {"parts": [part]}})
        }),
    ];
    for (at, (agent, case)) in cases.into_iter().enumerate() {
        let time = |count: usize| {
            let file: String = (0..count).map(|n| case(n).to_string() + "\n").collect();
            let before = processor_time();
            read(agent, &source("s", None), file.as_bytes());
            processor_time().saturating_sub(before).as_secs_f64()
        };
        let (small, large) = (time(400), time(4_000));
        assert!(large < 40.0 * small.max(0.01), "case {at}: {small} s, then {large} s");
    }
}

/// Of this thread: what else the machine does takes none of it.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

fn claude(kind: &str, uuid: usize, parent: usize, side: bool, content: &Value) -> Value {
    let message = json!({"id": "m", "content": content});
    let (uuid, parent) = (uuid.to_string(), parent.to_string());
    json!({"type": kind, "uuid": uuid, "parentUuid": parent, "isSidechain": side, "message": message})
}

fn words(n: usize) -> Value {
    json!([{"type": "text", "text": n.to_string()}])
}

fn codex(kind: &str, payload: &Value) -> Value {
    json!({"type": kind, "payload": payload})
}

fn codex_words(n: usize) -> Value {
    json!([{"type": "input_text", "text": n.to_string()}])
}
