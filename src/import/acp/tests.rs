//! Lines of the protocol, by hand in the shapes of its schema, against what must come of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Acp, Session, Side, State, Update};
use crate::model::tools::{Call, Said, input};

const START: i64 = 1_700_000_000_000;

/// Both ends, and what somebody holds who applied all changes.
#[derive(Default)]
struct Play {
    acp: Acp,
    now: i64,
    held: BTreeMap<String, Value>,
    given: usize,
}

impl Play {
    fn new() -> Self {
        let mut play = Self { now: START, ..Self::default() };
        play.client(&json!({"id": 0, "method": "initialize", "params": {"protocolVersion": 1}}));
        play.agent(&json!({"id": 0, "result": {"agentInfo": {"name": "scripted", "version": "1.0"}}}));
        let server = json!({"name": "db", "command": "x", "env": [{"name": "TOKEN", "value": "SECRET-ENV"}]});
        play.client(
            &json!({"id": 1, "method": "session/new", "params": {"cwd": "/p", "mcpServers": [server]}}),
        );
        play.agent(&json!({"id": 1, "result": {"sessionId": "s1"}}));
        play
    }

    fn line(&mut self, side: Side, message: &Value) {
        self.now += 1;
        self.acp.read(side, message.to_string().as_bytes(), self.now);
    }

    fn client(&mut self, message: &Value) {
        self.line(Side::Client, message);
    }

    fn agent(&mut self, message: &Value) {
        self.line(Side::Agent, message);
    }

    fn prompt(&mut self, id: u32, text: &str) {
        let params = json!({"sessionId": "s1", "prompt": [{"type": "text", "text": text}]});
        self.client(&json!({"id": id, "method": "session/prompt", "params": params}));
    }

    fn update(&mut self, update: &Value) {
        self.agent(&json!({"method": "session/update", "params": {"sessionId": "s1", "update": update}}));
    }

    fn says(&mut self, text: &str) {
        self.update(
            &json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}),
        );
    }

    fn ends(&mut self, id: u32, reason: &str) {
        self.agent(&json!({"id": id, "result": {"stopReason": reason}}));
    }

    fn session(&mut self) -> &mut Session {
        self.acp.session("s1").expect("the session")
    }

    /// Applies what changed, as the relay does.
    fn take(&mut self) {
        let Update { grown, items, removed } = self.session().take();
        for growth in grown {
            let part =
                self.held.get_mut(&format!("part/{}/{}", growth.message, growth.part)).expect("a part");
            assert!(part["time"]["end"].is_null(), "a text that is over does not grow");
            let text = format!("{}{}", part["text"].as_str().expect("a text"), growth.added);
            part["text"] = json!(text);
            self.given += growth.added.len();
        }
        for item in items {
            if let Some(message) = item.key.parent_message_id() {
                assert!(
                    self.held.contains_key(&format!("message/{message}")),
                    "before its message: {:?}",
                    item.key
                );
            }
            self.given += item.content.get().len();
            let value = serde_json::from_str(item.content.get()).expect("JSON");
            self.held.insert(item.key.as_str().to_owned(), value);
        }
        for key in removed {
            self.held.remove(key.as_str());
        }
    }

    fn parts(&mut self) -> Vec<Value> {
        self.take();
        self.held.iter().filter(|(key, _)| key.starts_with("part/")).map(|(_, part)| part.clone()).collect()
    }

    fn messages(&mut self) -> Vec<Value> {
        self.take();
        self.held.iter().filter(|(key, _)| key.starts_with("message/")).map(|(_, it)| it.clone()).collect()
    }

    fn only_call(&mut self) -> Value {
        let calls: Vec<_> = self.parts().into_iter().filter(|part| part["type"] == "tool").collect();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls[0].clone()
    }
}

#[test]
fn texts_are_given_as_they_grow_and_whole_in_the_end() {
    let mut play = Play::new();
    play.prompt(2, "Say it.\nWith care.");
    play.update(&json!({"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "Hm"}}));
    play.says("One");
    play.take();
    play.says(" two");
    let update = play.session().take();
    assert!(update.grown.iter().any(|growth| growth.added == " two"), "{update:?}");
    assert!(update.items.iter().all(|item| item.key.part_id().is_none()), "the text is not given anew");
    play.says(" three");
    play.ends(2, "end_turn");
    let parts = play.parts();
    let shown: Vec<_> = parts.iter().map(|part| (&part["type"], &part["text"])).collect();
    assert_eq!(
        shown,
        [
            (&json!("text"), &json!("Say it.\nWith care.")),
            (&json!("reasoning"), &json!("Hm")),
            (&json!("text"), &json!("One two three"))
        ]
    );
    assert!(parts[1]["time"]["end"].is_i64() && parts[2]["time"]["end"].is_i64());
    let messages = play.messages();
    assert_eq!(messages[1]["parentID"], messages[0]["id"]);
    assert_eq!(messages[1]["finish"], "end_turn");
    assert!(messages[1]["time"]["completed"].is_i64());
    assert!(messages[0]["id"].as_str().expect("an id").starts_with("msg_00000001_"), "{messages:?}");
    let session = &play.held["session"];
    assert_eq!((&session["id"], &session["title"]), (&json!("acp_s1"), &json!("Say it.")));
    assert_eq!(session["directory"], "/p");
    assert_eq!(play.acp.agent().map(|agent| agent.name.as_str()), Some("scripted"));
}

#[test]
fn a_prompt_shows_what_it_carries_and_no_paths() {
    let mut play = Play::new();
    let prompt = json!([
        {"type": "text", "text": "Look"},
        {"type": "image", "mimeType": "image/png", "data": "AAAA"},
        {"type": "resource_link", "uri": "file:///home/me/SECRET-PATH/a.rs", "name": "a.rs"},
        {"type": "resource", "resource": {"uri": "file:///home/me/b.txt", "mimeType": "text/plain", "text": "hi"}},
        {"type": "text", "text": "SECRET-HINT", "annotations": {"audience": ["assistant"]}},
        {"type": "hologram", "data": "SECRET-KIND"},
    ]);
    play.client(
        &json!({"id": 2, "method": "session/prompt", "params": {"sessionId": "s1", "prompt": prompt}}),
    );
    let parts = play.parts();
    assert_eq!(parts.len(), 4, "{parts:#?}");
    assert_eq!(parts[1]["url"], "data:image/png;base64,AAAA");
    assert_eq!((&parts[2]["filename"], &parts[2]["url"]), (&json!("a.rs"), &Value::Null));
    assert_eq!(
        (&parts[3]["filename"], &parts[3]["url"]),
        (&json!("b.txt"), &json!("data:text/plain;base64,aGk="))
    );
    assert_eq!(play.session().about().unknown["hologram"], 1);
}

#[test]
fn calls_are_read_by_their_meaning() {
    let fenced = json!([{"type": "content", "content": {"type": "text", "text": "```console\nok\n```"}}]);
    let cases = [
        (
            json!({"kind": "execute", "title": "`ls -la`", "content": fenced}),
            "bash",
            Some("ls -la"),
            Some("ok"),
        ),
        (
            json!({"kind": "execute", "title": "Lists", "rawInput": {"command": "ls"},
                "rawOutput": {"output": "a.rs", "metadata": {"exit": 3}}}),
            "bash",
            Some("ls"),
            Some("a.rs"),
        ),
        (
            json!({"kind": "read", "title": "Read a.rs", "locations": [{"path": "/p/a.rs", "line": 3}],
                "rawOutput": "fn main"}),
            "read",
            Some("/p/a.rs"),
            Some("fn main"),
        ),
        (
            json!({"kind": "search", "title": "x", "rawInput": {"pattern": "needle"}}),
            "grep",
            Some("needle"),
            None,
        ),
        (
            json!({"kind": "fetch", "title": "x", "rawInput": {"url": "https://e.org"}}),
            "webfetch",
            Some("https://e.org"),
            None,
        ),
        (json!({"kind": "think", "title": "Ponders"}), "think", Some("Ponders"), None),
        (json!({"kind": "delete", "title": "Deletes a.rs"}), "delete", Some("Deletes a.rs"), None),
        (json!({"title": "Asks", "name": "mcp__db__query"}), "mcp__db__query", Some("Asks"), None),
    ];
    for (mut call, tool, about, output) in cases {
        let mut play = Play::new();
        play.prompt(2, "Go");
        call["sessionUpdate"] = json!("tool_call");
        call["toolCallId"] = json!("c1");
        let place = call.to_string();
        play.update(&call);
        play.take();
        play.update(&json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed"}));
        let part = play.only_call();
        assert_eq!((&part["tool"], &part["state"]["status"]), (&json!(tool), &json!("completed")), "{place}");
        let input = input(&part);
        let call = Call::of(&part, &input);
        assert_eq!(call.about.as_deref(), about, "{place}");
        if let Some(output) = output {
            assert_eq!(part["state"]["output"], output, "{place}");
        }
    }
}

#[test]
fn a_change_of_a_file_is_a_diff_and_not_the_file() {
    let mut play = Play::new();
    play.prompt(2, "Edit");
    let lines: Vec<_> = (0..100).map(|line| format!("line {line}\n")).collect();
    let old = lines.concat();
    let new = old.replace("line 50\n", "line fifty\n");
    let diff = json!({"type": "diff", "path": "/p/a.txt", "oldText": old, "newText": new});
    let created = json!({"type": "diff", "path": "/p/b.txt", "newText": "new\n"});
    play.update(
        &json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "Edit a.txt", "kind": "edit",
        "status": "pending", "content": [diff, created]}),
    );
    play.update(&json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed"}));
    let part = play.only_call();
    let files = part["state"]["metadata"]["files"].as_array().expect("files");
    let patch = files[0]["patch"].as_str().expect("a patch");
    assert!(patch.contains("-line 50\n+line fifty\n") && !patch.contains("line 10\n"), "{patch}");
    assert_eq!(files[1]["patch"], "--- /p/b.txt\n+++ /p/b.txt\n@@ -0,0 +1,1 @@\n+new\n");
    let input = input(&part);
    let call = Call::of(&part, &input);
    assert!(matches!(&call.said, Said::Changes(changes) if changes.len() == 2), "{:?}", call.said);
}

#[test]
fn a_terminal_shows_its_output_and_not_its_environment() {
    let mut play = Play::new();
    play.prompt(2, "Run");
    let env = json!([{"name": "TOKEN", "value": "SECRET-ENV"}]);
    play.agent(&json!({"id": "t", "method": "terminal/create",
        "params": {"sessionId": "s1", "command": "make", "args": ["test"], "env": env}}));
    play.client(&json!({"id": "t", "result": {"terminalId": "term1"}}));
    play.update(
        &json!({"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "Tests", "kind": "execute",
        "content": [{"type": "terminal", "terminalId": "term1"}]}),
    );
    for (output, status) in [("one\n", Value::Null), ("one\ntwo\n", json!({"exitCode": 2}))] {
        let params = json!({"sessionId": "s1", "terminalId": "term1"});
        play.agent(&json!({"id": 9, "method": "terminal/output", "params": params}));
        play.client(
            &json!({"id": 9, "result": {"output": output, "truncated": false, "exitStatus": status}}),
        );
        assert_eq!(play.only_call()["state"]["metadata"]["output"], output);
    }
    play.update(&json!({"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed"}));
    let state = &play.only_call()["state"];
    assert_eq!((&state["output"], &state["metadata"]["exit"]), (&json!("one\ntwo\n"), &json!(2)));
    assert_eq!(state["input"]["command"], "make test");
}

#[test]
fn a_plan_is_one_list_of_a_turn() {
    let mut play = Play::new();
    play.prompt(2, "Plan");
    for status in ["pending", "completed"] {
        let entries =
            json!([{"content": "Do it", "status": status, "priority": "high", "x": "SECRET-FIELD"}]);
        play.update(&json!({"sessionUpdate": "plan", "entries": entries}));
        play.take();
    }
    let part = play.only_call();
    let todo = json!({"content": "Do it", "status": "completed", "priority": "high"});
    assert_eq!((&part["tool"], &part["state"]["metadata"]["todos"]), (&json!("todowrite"), &json!([todo])));
}

#[test]
fn permissions_are_waited_for_and_a_cancelled_turn_has_no_calls_that_run() {
    let mut play = Play::new();
    play.prompt(2, "Remove it");
    assert_eq!(play.session().state(), State::Busy);
    let call = json!({"toolCallId": "c1", "title": "rm a", "kind": "execute"});
    let options = json!([{"optionId": "SECRET-OPTION", "name": "Yes", "kind": "allow_once"}]);
    play.agent(&json!({"id": 0, "method": "session/request_permission",
        "params": {"sessionId": "s1", "toolCall": call, "options": options}}));
    assert_eq!(play.session().state(), State::Waiting);
    play.client(
        &json!({"id": 0, "result": {"outcome": {"outcome": "selected", "optionId": "SECRET-OPTION"}}}),
    );
    assert_eq!(play.session().state(), State::Busy);
    assert_eq!(play.only_call()["state"]["status"], "running");
    play.client(&json!({"method": "session/cancel", "params": {"sessionId": "s1"}}));
    play.ends(2, "cancelled");
    assert_eq!(play.session().state(), State::Idle);
    assert_eq!(play.only_call()["state"]["status"], "error");
    assert_eq!(play.messages()[1]["error"]["name"], "MessageAbortedError");
}

#[test]
fn what_fails_says_why_and_what_was_used_is_counted() {
    let mut play = Play::new();
    play.prompt(2, "Go");
    play.agent(
        &json!({"id": 2, "error": {"code": -32000, "message": "no credit", "data": {"key": "SECRET-DATA"}}}),
    );
    let messages = play.messages();
    assert_eq!(messages[1]["error"], json!({"name": "UnknownError", "data": {"message": "no credit"}}));
    play.prompt(3, "Again");
    play.says("Yes");
    play.update(&json!({"sessionUpdate": "usage_update", "used": 5, "size": 10,
        "cost": {"amount": 0.25, "currency": "USD"}}));
    let usage = json!({"totalTokens": 9, "inputTokens": 4, "outputTokens": 3, "thoughtTokens": 2});
    play.agent(&json!({"id": 3, "result": {"stopReason": "end_turn", "usage": usage}}));
    let tokens = json!({"input": 4, "output": 3, "reasoning": 2, "cache": {"read": 0, "write": 0}});
    assert_eq!(play.messages()[3]["tokens"], tokens);
    assert_eq!(play.held["session"]["cost"], 0.25);
    play.prompt(4, "And?");
    play.acp.end(play.now);
    let messages = play.messages();
    assert_eq!(messages[5]["error"]["data"]["message"], "the agent has ended");
}

fn replay(play: &mut Play, words: &[(&str, &str)]) {
    play.client(&json!({"id": 50, "method": "session/load",
        "params": {"sessionId": "s1", "cwd": "/p", "mcpServers": [{"headers": [{"value": "SECRET-KEY"}]}]}}));
    for (who, text) in words {
        for piece in [&text[..1], &text[1..]] {
            let content = json!({"type": "text", "text": piece});
            play.update(&json!({"sessionUpdate": format!("{who}_message_chunk"), "content": content}));
        }
    }
    play.agent(&json!({"id": 50, "result": {}}));
}

#[test]
fn a_session_that_is_loaded_again_is_there_once() {
    let mut play = Play::new();
    play.prompt(2, "First");
    play.says("Answer");
    play.update(
        &json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "t", "status": "completed"}),
    );
    play.ends(2, "end_turn");
    play.prompt(3, "Second");
    play.says("Again");
    play.ends(3, "end_turn");
    play.take();
    replay(&mut play, &[("user", "First"), ("agent", "Answer"), ("user", "Second"), ("agent", "Again")]);
    let texts = |parts: &[Value]| -> Vec<String> {
        parts.iter().map(|part| part["text"].as_str().unwrap_or("?").to_owned()).collect()
    };
    assert_eq!(texts(&play.parts()), ["First", "Answer", "Second", "Again"]);
    assert_eq!(play.messages().len(), 4);
    assert_eq!(play.session().state(), State::Idle);
    let fresh = &mut Play { now: START, ..Play::default() };
    replay(fresh, &[("user", "First"), ("agent", "Answer"), ("user", "Second"), ("agent", "Again")]);
    assert_eq!(texts(&fresh.parts()), ["First", "Answer", "Second", "Again"]);
    let (one, other): (Vec<_>, Vec<_>) = (fresh.held.keys().collect(), play.held.keys().collect());
    assert_eq!(one, other, "the same words have the same ids");
    // A replay that fails leaves all as it was.
    play.client(&json!({"id": 51, "method": "session/load", "params": {"sessionId": "s1", "cwd": "/p"}}));
    play.agent(&json!({"id": 51, "error": {"code": 1, "message": "no"}}));
    play.take();
    assert_eq!(texts(&play.parts()), ["First", "Answer", "Second", "Again"]);
}

#[test]
fn messages_are_listed_once_and_when_they_are_over() {
    let mut play = Play::new();
    assert!(play.session().unlisted().messages.is_empty());
    play.prompt(2, "First");
    play.says("Answer");
    let listing = play.session().unlisted();
    assert_eq!((listing.count, listing.messages.len()), (0, 1), "the answer may change");
    play.session().set_listed(&listing);
    play.ends(2, "end_turn");
    let listing = play.session().unlisted();
    assert_eq!((listing.count, listing.messages.len()), (1, 1));
    assert!(listing.messages[0].get().contains("Answer"));
    play.session().set_listed(&listing);
    assert!(play.session().unlisted().messages.is_empty());
    play.session().list_again();
    assert_eq!(play.session().unlisted().messages.len(), 2);
}

#[test]
fn what_is_given_is_linear_in_what_was_said() {
    let said = |chunks: usize| {
        let mut play = Play::new();
        play.prompt(2, "Go");
        for chunk in 0..chunks {
            play.says("some words ");
            if chunk % 4 == 0 {
                play.take();
            }
        }
        play.ends(2, "end_turn");
        play.take();
        play.given
    };
    let (once, twice) = (said(1000), said(2000));
    assert!(twice < once * 5 / 2, "{once} {twice}");
}

#[test]
fn a_large_call_that_changes_a_little_is_not_given_again_and_again() {
    let mut play = Play::new();
    play.prompt(2, "Go");
    let input = json!({"command": "x".repeat(200 << 10)});
    play.update(&json!({"sessionUpdate": "tool_call", "toolCallId": "c", "title": "t", "kind": "execute",
        "rawInput": input}));
    for nth in 0..1000 {
        play.update(
            &json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "title": format!("{nth}")}),
        );
        play.take();
    }
    assert!(play.given < 1 << 20, "{}", play.given);
    play.update(&json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "completed"}));
    assert_eq!(play.only_call()["state"]["title"], "999");
}

#[test]
fn memory_is_bounded_and_the_newest_stays() {
    let mut play = Play::new();
    let text = "x".repeat(1 << 20);
    for turn in 0..40 {
        play.prompt(100 + turn, &format!("Turn {turn}"));
        play.says(&text);
        play.ends(100 + turn, "end_turn");
    }
    let Update { items, .. } = play.session().take_all();
    let bytes: usize = items.iter().map(|item| item.content.get().len()).sum();
    assert!(bytes < super::MAX_KEPT + (2 << 20) && bytes > super::MAX_KEPT / 2, "{bytes}");
    let shown = |text: &str| items.iter().any(|item| item.content.get().contains(text));
    assert!(shown("Turn 39") && !shown("\"Turn 1\""));
}

fn any_line() -> impl Strategy<Value = (Side, Value)> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Agent)];
    let session = prop_oneof![Just("s1"), Just("s2")];
    let secret = Just("SECRET-ANYWHERE");
    let message = prop_oneof![
        (session.clone(), "[a-z]{0,3}").prop_map(|(session, text)| json!({"id": 7, "method": "session/prompt",
            "params": {"sessionId": session, "prompt": [{"type": "text", "text": text}]}})),
        Just(json!({"id": 7, "result": {"stopReason": "end_turn"}})),
        Just(json!({"id": 7, "error": 3})),
        (session.clone(), prop_oneof![Just("agent_message"), Just("agent_thought"), Just("user_message")], "[a-z]{0,3}")
            .prop_map(|(session, kind, text)| json!({"method": "session/update", "params": {"sessionId": session,
                "update": {"sessionUpdate": format!("{kind}_chunk"), "content": {"type": "text", "text": text}}}})),
        (session.clone(), 0..3_u8, prop_oneof![Just("pending"), Just("completed"), Just("failed")]).prop_map(
            |(session, call, status)| json!({"method": "session/update", "params": {"sessionId": session, "update": {
                "sessionUpdate": if call == 0 { "tool_call" } else { "tool_call_update" },
                "toolCallId": format!("c{call}"), "status": status, "title": "t"}}})
        ),
        session.clone().prop_map(|session| json!({"method": "session/update", "params": {"sessionId": session,
            "update": {"sessionUpdate": "plan", "entries": [{"content": "x"}, 3]}}})),
        session.clone().prop_map(|session| json!({"id": session, "method": "session/load",
            "params": {"sessionId": session, "cwd": "/"}})),
        session.clone().prop_map(|session| json!({"id": session, "result": null})),
        session.clone().prop_map(|session| json!({"id": session, "error": null})),
        session.clone().prop_map(|session| json!({"method": "session/cancel", "params": {"sessionId": session}})),
        (session, secret).prop_map(|(session, secret)| json!({"id": 9, "method": "fs/write_text_file",
            "params": {"sessionId": session, "content": secret, "_meta": secret}})),
        secret.prop_map(|secret| json!({"method": "session/update", "params": {"sessionId": "s1",
            "update": {"sessionUpdate": "config_secret", "content": {"type": "text", "text": secret}}}})),
        Just(json!([1, 2])),
        Just(json!({"id": {}, "method": 4})),
    ];
    (side, message)
}

proptest! {
    /// Whatever passes, and whenever what changed is taken: what somebody holds in the end is what there is.
    #[test]
    fn changes_add_up_to_the_whole(lines in prop::collection::vec((any_line(), any::<bool>()), 0..40)) {
        let mut play = Play { now: START, ..Play::default() };
        play.acp.any_session("s1", START);
        for ((side, message), takes) in &lines {
            play.line(*side, message);
            if *takes {
                play.take();
            }
        }
        // A replay that is not over says nothing of what was there before.
        play.line(Side::Agent, &json!({"id": "s1", "result": null}));
        play.take();
        let mut whole: BTreeMap<String, Value> = BTreeMap::new();
        for item in play.session().take_all().items {
            whole.insert(item.key.as_str().to_owned(), serde_json::from_str(item.content.get()).expect("JSON"));
        }
        let shown = format!("{whole:?}");
        prop_assert_eq!(&play.held, &whole);
        prop_assert!(!shown.contains("SECRET"));
    }
}
