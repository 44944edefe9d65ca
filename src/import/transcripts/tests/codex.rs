//! Codex's transcripts.

use std::io::Read;

use super::super::Unpacked;
use super::*;

pub(super) const OLD: &str = concat!(
    "codex-0.20.0/sessions/2026/11/25/rollout-2026-11-25T03-27-55-",
    "cf25b447-2917-486e-8c10-bf1ac5818179.jsonl"
);
pub(super) const MIDDLE: &str = concat!(
    "codex-0.77.0/sessions/2026/11/25/rollout-2026-11-25T03-28-47-",
    "01a210bf-b10f-79d3-bdbb-a61c90f9856f.jsonl"
);
pub(super) const NEW: &str = concat!(
    "codex-0.169.0/sessions/2026/11/25/rollout-2026-11-25T03-28-12-",
    "01a210bf-2839-7cb2-bf0b-23119a62ebba.jsonl"
);
const FORK: &str = concat!(
    "codex-0.169.0/sessions/2026/11/25/rollout-2026-11-25T03-29-19-",
    "01a210c0-2c0d-7512-b946-7b47cf954c8d.jsonl"
);
pub(super) const EDGES: &str =
    "codex-edges/rollout-2026-02-01T09-00-00-0199aaaa-0000-7000-8000-000000000001.jsonl";

/// The id that ends a file's name.
fn id(name: &str) -> &str {
    let stem = name.strip_suffix(".jsonl").expect("a name");
    &stem[stem.len() - 36..]
}

fn read_all(name: &str) -> (Held, Transcript, String) {
    let (held, transcript) = whole(Agent::Codex, name, id(name));
    let session = transcript.about().session.clone();
    (held, transcript, session)
}

#[test]
fn bare() {
    let (held, transcript, session) = read_all(OLD);
    assert_eq!(
        held.summary(&session),
        "1 + 8 | 4 1 0 0 | apply_patch 2 bash 3 no_such_tool 1 read 1 | completed 5 error 2 | "
    );
    assert_eq!(held.call("call_00000401")["state"]["metadata"]["exit"], 3);
    assert_eq!(held.call("call_00000401")["state"]["input"]["command"], "printf 'oh\\n' >&2; exit 3");
    let patch = held.call("call_00000100")["state"]["input"]["patchText"].clone();
    assert!(patch.as_str().expect("text").starts_with("*** Begin Patch\n*** Add File"));
    assert!(patch.as_str().expect("text").ends_with("*** End Patch"));
    assert_eq!(transcript.about().created, Some(1_795_577_275_296));
    assert!(transcript.about().unknown.is_empty() && transcript.about().bad == 0);
}

#[test]
fn envelope() {
    let (held, transcript, session) = read_all(MIDDLE);
    assert_eq!(
        held.summary(&session),
        "1 + 11 | 4 1 0 0 | apply_patch 2 bash 6 no_such_tool 1 read 1 todowrite 1 | completed 6 error 5 | "
    );
    let state = &held.call("call_00002600")["state"];
    assert_eq!(
        (state["attachments"][0]["mime"].as_str(), &state["status"]),
        (Some("image/png"), &"completed".into())
    );
    let first =
        held.messages(&session).into_iter().find(|message| message["role"] == "assistant").expect("one");
    assert_eq!(
        first["tokens"],
        serde_json::json!({"input": 200, "output": 30, "reasoning": 20, "cache": {"read": 800, "write": 0}})
    );
    assert_eq!((&first["modelID"], &first["providerID"]), (&"gpt-5.1-codex".into(), &"fake".into()));
    assert!(transcript.about().unknown.is_empty(), "{:?}", transcript.about().unknown);
}

#[test]
fn paginated_and_its_fork() {
    let tools = "apply_patch 2 bash 7 no_such_tool 1 read 1 todowrite 1";
    let states = "completed 6 error 5 running 1";
    let (held, transcript, session) = read_all(NEW);
    let errors = "APIError 1 MessageAbortedError 1";
    assert_eq!(held.summary(&session), format!("4 + 14 | 9 2 1 0 | {tools} | {states} | {errors}"));
    let error = held.messages(&session).into_iter().find(|message| message["error"]["name"] == "APIError");
    assert_eq!(error.expect("one")["error"]["data"]["message"], "The request was not valid");
    assert_eq!(held.call("call_00003100")["state"]["error"], "stopped by the user");
    assert_eq!(transcript.about().state, State::Idle);
    assert!(transcript.about().unknown.is_empty(), "{:?}", transcript.about().unknown);

    let (held, transcript, session) = read_all(FORK);
    assert_eq!(held.summary(&session), "1 + 1 | 2 1 0 0 |  |  | ");
    let parent = id(NEW);
    assert_eq!(transcript.about().parent, Some(format!("cx_{parent}")));
    let history = transcript.about().history.clone().expect("a history");
    assert_eq!((history.id.as_str(), history.bytes), (parent, 57368));

    let mut transcript = Transcript::new(Agent::Codex, &source(id(FORK), None));
    let mut held = Held::default();
    transcript.feed_history(&bytes(NEW)[..57368]);
    held.apply(&mut transcript);
    transcript.feed(&bytes(FORK));
    held.apply(&mut transcript);
    check(&held, &session);
    assert_eq!(held.summary(&session), format!("5 + 15 | 11 3 1 0 | {tools} | {states} | {errors}"));
    assert_eq!(transcript.about().session, session);
}

#[test]
fn edges() {
    let (held, transcript, session) = read_all(EDGES);
    assert_eq!(
        held.summary(&session),
        "4 + 9 | 5 1 1 1 | apply_patch 1 bash 4 mcp__tracker__create 1 read 1 todowrite 1 websearch 1 \
         | completed 8 error 1 | MessageAbortedError 1"
    );
    assert_eq!(
        held.texts(&session),
        ["Look at this", "I look.", "fizz.py is done.", "Run it", "Last question"]
    );
    assert_eq!(held.call("c1")["state"]["output"], "fizz.py\n");
    let files = held.call("c3")["state"]["metadata"]["files"].clone();
    let patch = "--- /home/dev/fizz/old.py\n+++ /home/dev/fizz/old.py\n@@ -1,1 +0,0 @@\n-x\n";
    assert_eq!((files.as_array().map(Vec::len), &files[1]["patch"]), (Some(2), &patch.into()));
    let state = &held.call("c7")["state"];
    assert_eq!((&state["output"], &state["metadata"]["exit"]), (&"later\n".into(), &0.into()));
    assert!(state["metadata"]["output"].is_null());
    assert_eq!(transcript.about().parent.as_deref(), Some("cx_0199aaaa-0000-7000-8000-000000000000"));
    let unknown: Vec<_> = transcript.about().unknown.keys().map(String::as_str).collect();
    assert_eq!(unknown, ["a_kind_of_2031", "another_kind"]);
}

#[test]
fn a_compressed_file_is_read_as_the_file_itself() {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    let file = bytes(NEW);
    let (half, rest) = file.split_at(file.len() / 2);
    let pack = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
    let from = source(id(NEW), None);
    let mut transcript = Transcript::new(Agent::Codex, &from);
    let packed = [pack(half), pack(rest)].concat();
    let unpack = |packed: &[u8]| {
        let mut file = Vec::new();
        Unpacked::new(packed).read_to_end(&mut file).map(|_| file)
    };
    transcript.feed(&unpack(&packed).expect("a file"));
    let mut held = Held::default();
    held.apply(&mut transcript);
    assert_eq!(held, read(Agent::Codex, &from, &file).0);
    for broken in [&packed[..packed.len() - 9], b"no zstandard", &packed[..3]] {
        assert!(unpack(broken).is_err());
    }
}

#[test]
fn the_turns_of_the_parent_are_not_the_subagents() {
    let mut transcript =
        Transcript::new(Agent::Codex, &source(id(EDGES), Some("0199aaaa-0000-7000-8000-000000000000")));
    transcript.know_turns(&["t-1".into()]);
    transcript.feed(&bytes(EDGES));
    let mut held = Held::default();
    held.apply(&mut transcript);
    assert!(held.0.is_empty(), "{:?}", held.0.keys());
    let (_, parent) = read(Agent::Codex, &source("x", None), &bytes(EDGES));
    assert_eq!(parent.turns(), ["t-1"]);
}

#[test]
fn a_running_command_shows_what_it_gave_so_far() {
    let text = String::from_utf8(bytes(EDGES)).expect("text");
    let text = text.lines().take(33).map(|line| line.replace("Output:\\n\"", "Output:\\nsoon\\n\"") + "\n");
    let (held, _) = read(Agent::Codex, &source("s", None), text.collect::<String>().as_bytes());
    let state = &held.call("c7")["state"];
    assert_eq!((&state["status"], &state["metadata"]["output"]), (&"running".into(), &"soon\n".into()));
}

#[test]
fn the_bare_form_says_where_its_agent_works_to_the_model_alone() {
    let lines = concat!(
        r#"{"id":"a","timestamp":"2025-08-01T10:00:00.000Z","instructions":null}"#,
        "\n",
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"#,
        r#""<environment_context>\n  <cwd>/w/fizz</cwd>\n  <shell>SECRET-SHELL</shell>\n</environment_context>"}]}"#,
        "\n",
    );
    let (held, transcript) = read(Agent::Codex, &source("a", None), lines.as_bytes());
    assert_eq!(transcript.about().directory.as_deref(), Some("/w/fizz"));
    assert!(!format!("{held:?}").contains("SECRET"));
}

#[test]
fn an_abort_before_anything_was_said() {
    let line = |kind: &str, payload: &str| {
        format!(r#"{{"timestamp":"2026-03-01T10:00:00Z","type":"{kind}","payload":{payload}}}"#)
    };
    let file = [
        line("session_meta", r#"{"id":"c","timestamp":"2026-03-01T10:00:00Z","cwd":"/w"}"#),
        line("event_msg", r#"{"type":"turn_aborted","reason":"interrupted"}"#),
        line(
            "response_item",
            r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"Wait"}]}"#,
        ),
        line("event_msg", r#"{"type":"turn_aborted","reason":"interrupted"}"#),
    ];
    let file = file.join("\n") + "\n";
    let from = source("c", None);
    check_pieces(Agent::Codex, &from, file.as_bytes());
    let (held, transcript) = read(Agent::Codex, &from, file.as_bytes());
    assert_eq!(held.summary("cx_c"), "1 + 1 | 1 0 0 0 |  |  | MessageAbortedError 1");
    assert_eq!(transcript.about().state, State::Idle);
}
