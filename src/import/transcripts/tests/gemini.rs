//! Gemini CLI's transcripts.

use super::*;

const FILE: &str = "gemini-0.61.0/.gemini/tmp/fizz/chats/session-2026-11-25T03-29-18fb0021.jsonl";

#[test]
fn lines() {
    let (held, transcript) = whole(Agent::GeminiCli, FILE, "18fb0021-40ee-4392-9ffd-8c621a783bb7");
    assert_eq!(
        held.summary(&transcript.about().session),
        "2 + 11 | 6 2 1 0 | bash 2 edit 1 glob 1 grep 2 list 1 no_such_tool 1 read 3 todowrite 1 write 1 \
         | completed 11 error 2 | "
    );
    let call = |start: &str| {
        let parts = held.parts(&transcript.about().session);
        let call =
            parts.into_iter().find(|part| part["callID"].as_str().is_some_and(|id| id.starts_with(start)));
        call.expect("a call")["state"].clone()
    };
    let failed = call("run_shell_command__run_shell_command_1795577374305_1");
    assert_eq!((&failed["metadata"]["exit"], &failed["output"]), (&3.into(), &"oh".into()));
    assert_eq!(call("run_shell_command__run_shell_command_1795577374299_0")["output"], "fizz\nsecond");
    assert_eq!(call("write_todos")["metadata"]["todos"][0]["content"], "Write fizz");
    assert!(call("replace")["metadata"]["diff"].as_str().expect("text").contains("+print(\"fizz\")"));
    assert_eq!(call("read_file__read_file_1795577376071_0")["attachments"][0]["mime"], "image/png");
    assert!(transcript.about().unknown.is_empty(), "{:?}", transcript.about().unknown);
    assert_eq!(transcript.about().title.as_deref(), Some("Write the fizz program."));
}

#[test]
fn edges() {
    let name = "gemini-edges/session-2026-10-01T08-00-33333333.jsonl";
    let (held, transcript) = whole(Agent::GeminiCli, name, "33333333-3333-4333-8333-333333333333");
    let about = transcript.about();
    assert_eq!(held.summary(&about.session), "2 + 2 | 4 1 1 0 | bash 1 edit 1 | completed 1 error 1 | ");
    assert_eq!(held.texts(&about.session), ["Run it", "I run it.", "It failed.", "Again"]);
    assert_eq!(about.title.as_deref(), Some("Running fizz"));
    let created = held.messages(&about.session).into_iter().map(|message| message["time"]["created"].clone());
    let first = 1_790_841_601_000_i64;
    let expected = [first, first + 1000, first + 3000, first + 10_000];
    assert_eq!(created.collect::<Vec<_>>(), expected.map(Value::from));
    let unknown: Vec<_> = about.unknown.keys().map(String::as_str).collect();
    assert_eq!(unknown, ["$unknownOp", "a-type-of-2031"]);
    assert_eq!(held.call("x1")["state"]["metadata"]["exit"], 1);
    assert_eq!(held.call("x1")["state"]["output"], "");
}

#[test]
fn a_document_that_is_written_anew() {
    let document = bytes("gemini-edges/session-2025-11-01T08-00-22222222.json");
    let mut transcript = Transcript::new(Agent::GeminiCli, &source("22222222", None));
    let mut held = Held::default();
    // Half of it, as one may find it.
    transcript.replace(&document[..900]);
    held.apply(&mut transcript);
    assert!(held.0.is_empty());
    let text = String::from_utf8(document.clone()).expect("text");
    let mut shorter: Value = parse_lossy(&text);
    shorter["messages"].as_array_mut().expect("a list").truncate(2);
    transcript.replace(shorter.to_string().as_bytes());
    held.apply(&mut transcript);
    for _ in 0..2 {
        transcript.replace(&document);
        held.apply(&mut transcript);
        let session = "gm_22222222-2222-4222-8222-222222222222";
        check(&held, session);
        assert_eq!(held.summary(session), "1 + 3 | 2 1 0 0 | list 1 | completed 1 | UnknownError 1");
    }
    transcript.replace(shorter.to_string().as_bytes());
    assert_eq!(held.apply(&mut transcript).len(), 2);
}

#[test]
fn a_resume_that_is_seen_half_way_removes_nothing() {
    let file = bytes(FILE);
    let from = source("18fb0021-40ee-4392-9ffd-8c621a783bb7", None);
    let mut transcript = Transcript::new(Agent::GeminiCli, &from);
    let mut held = Held::default();
    let mut removed = Vec::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        transcript.feed(line);
        removed.extend(held.apply(&mut transcript));
    }
    // The third prompt, whose request failed.
    assert_eq!(removed.len(), 1);
    assert!(!transcript.wants_rereading());
}

#[test]
fn a_subagent_is_linked_and_its_instructions_are_nobodys_business() {
    let line = |id: &str, kind: &str, more: &str| {
        format!(r#"{{"id":"{id}","timestamp":"2026-11-29T03:26:24.000Z","type":"{kind}",{more}}}"#)
    };
    let first = |id: &str, kind: &str| format!(r#"{{"sessionId":"{id}","projectHash":"h","kind":"{kind}"}}"#);
    let call = concat!(
        r#""content":"","toolCalls":[{"id":"c","name":"invoke_agent","agentId":"a-1","status":"success","#,
        r#""args":{"agent_name":"generalist","prompt":"Count"},"#,
        r#""result":[{"functionResponse":{"response":{"output":"Two."}}}]}]"#
    );
    let main =
        [first("m", "main"), line("1", "user", r#""content":[{"text":"Go"}]"#), line("2", "gemini", call)];
    let (held, _) = read(Agent::GeminiCli, &source("m", None), (main.join("\n") + "\n").as_bytes());
    let task = held.call("c");
    assert_eq!(task["tool"], "task");
    assert_eq!(
        (&task["state"]["output"], &task["state"]["metadata"]["sessionId"]),
        (&"Two.".into(), &"gm_a-1".into())
    );
    let asked = r#""content":[{"text":"\n<loaded_context>\nSECRET-x\n</loaded_context>"},{"text":"Count"}]"#;
    let own = [first("a-1", "subagent"), line("1", "user", asked)];
    let (held, transcript) =
        read(Agent::GeminiCli, &source("a-1", Some("m")), (own.join("\n") + "\n").as_bytes());
    assert!(transcript.about().is_subagent);
    assert_eq!(held.texts("gm_a-1"), ["Count"]);
}
