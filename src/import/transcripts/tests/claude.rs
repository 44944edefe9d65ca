//! Claude Code's transcripts.

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
    let error = held.messages(&session).into_iter().find(|message| !message["error"].is_null()).expect("one");
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
    assert!(state["output"].as_str().expect("text").len() > 3000 && state["metadata"]["truncated"].is_null());
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
fn an_interrupt_before_anything_was_said() {
    let line = |id: u8, parent: &str, content: &str| {
        format!(
            r#"{{"type":"user","uuid":"u{id}","parentUuid":{parent},"sessionId":"s",
            "timestamp":"2026-03-01T10:00:0{id}Z","message":{{"role":"user","content":{content}}}}}"#
        )
        .replace('\n', "")
    };
    let file = [
        line(1, "null", r#""Wait""#),
        line(2, r#""u1""#, r#"[{"type":"text","text":"[Request interrupted by user]"}]"#),
        line(3, r#""u2""#, r#""Go on""#),
    ];
    let file = file.join("\n") + "\n";
    let from = source("s", None);
    check_pieces(Agent::ClaudeCode, &from, file.as_bytes());
    let (held, transcript) = read(Agent::ClaudeCode, &from, file.as_bytes());
    assert_eq!(held.summary("cc_s"), "2 + 1 | 2 0 0 0 |  |  | MessageAbortedError 1");
    assert_eq!(transcript.about().state, State::Busy);
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
    assert_eq!((&state("t8")["metadata"]["exit"], &state("t8")["output"]), (&137.into(), &"killed".into()));
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
    assert!(!held.texts("cc_s").iter().any(|text| text.contains("edited away") || text.contains("Nobody")));
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
    let file = [says("2", "He"), says("3", "Hello"), says("4", "He"), says("5", "Hello"), says("6", "Other")];
    let (held, _) = read(Agent::ClaudeCode, &source("s", None), file.concat().as_bytes());
    assert_eq!(held.texts("cc_s"), ["Hello", "Other"]);
}

#[test]
fn what_was_given_and_cannot_change_is_not_kept() {
    let mut transcript = Transcript::new(Agent::ClaudeCode, &source("s", None));
    transcript.feed(&bytes(EDGES));
    let kept = |transcript: &Transcript| format!("{:?}", transcript.session.conversation);
    assert!(kept(&transcript).contains("Make a plan for fizz"));
    transcript.take_changes();
    let kept = kept(&transcript);
    for gone in ["Make a plan for fizz", "Web search results", "Count the lines", "iVBORw0KGgo", "Reviewed."]
    {
        assert!(!kept.contains(gone), "{gone}");
    }
    // The input of a call that runs.
    assert!(kept.contains("/home/dev/fizz/fizz.py"));
}

#[test]
fn a_line_that_is_too_long_keeps_nothing_from_the_others() {
    let prompt = |uuid: &str, text: &str| line(uuid, "", "user", &format!(r#"{{"content":"{text}"}}"#));
    let file = [prompt("1", "before"), prompt("2", &"x".repeat(10_000_000)), prompt("3", "after")].concat();
    let mut transcript = Transcript::new(Agent::ClaudeCode, &source("s", None));
    for piece in file.as_bytes().chunks(1 << 20) {
        transcript.feed(piece);
    }
    let mut held = Held::default();
    held.apply(&mut transcript);
    assert_eq!(held.texts("cc_s"), ["before", "after"]);
    assert_eq!((transcript.about().set_aside, transcript.about().bad), (1, 0));
}
