use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn list(json: &str) -> Vec<Box<RawValue>> {
    serde_json::from_str(json).unwrap()
}

fn raw(messages: &Value) -> Vec<Box<RawValue>> {
    list(&messages.to_string())
}

fn read_all(messages: &[Box<RawValue>]) -> Imported {
    read("ses_1", &About::default(), messages.iter().map(|message| &**message))
}

fn value(item: &Item) -> Value {
    serde_json::from_str(item.content.get()).unwrap()
}

/// What a reader sees: messages as their roles, parts as what they say.
fn story(imported: &Imported) -> Vec<String> {
    let line = |item: &Item| {
        let data = value(item);
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        match (item.key.kind(), data["type"].as_str()) {
            ("session", _) => format!("session {}", text("title")),
            ("message", _) => text("role"),
            (_, Some("tool")) => {
                let state = &data["state"];
                let said = if state["error"].is_null() { &state["output"] } else { &state["error"] };
                format!("{} {} {} {said}", text("tool"), state["input"], text_of(&state["status"]))
            }
            (_, Some("file")) => format!("file {} {}", text("mime"), text("url")),
            (_, Some(kind)) => format!("{kind} {}", text("text")),
            other => panic!("{other:?}"),
        }
    };
    imported.items.iter().map(line).collect()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

const SHAPES: [(&str, &str); 5] = [
    ("chat", include_str!("../../../tests/fixtures/conversations/chat.json")),
    ("responses", include_str!("../../../tests/fixtures/conversations/responses.json")),
    ("anthropic", include_str!("../../../tests/fixtures/conversations/anthropic.json")),
    ("gemini", include_str!("../../../tests/fixtures/conversations/gemini.json")),
    ("go", include_str!("../../../tests/fixtures/conversations/go.json")),
];

#[test]
fn every_shape_tells_the_same_story() {
    let expected = [
        "session Rename the greeting.",
        "user",
        "text Rename the greeting.\nThen run the tests.",
        "file image/png data:image/png;base64,iVBORw0KGgo=",
        "assistant",
        "reasoning First I read it.",
        r#"read_file {"path":"greet.go"} completed "func greet() {}""#,
        "assistant",
        "text Now the change.",
        r#"edit_file {"new_str":"welcome","old_str":"greet","path":"greet.go"} completed "OK""#,
        r#"bash {"command":"go test"} completed "Command failed: exit status 1""#,
        "assistant",
        "text The tests fail.",
    ];
    for (name, json) in SHAPES {
        let imported = read_all(&list(json));
        // A Go struct has no place for pictures and thoughts.
        let has = |line: &&&str| name != "go" || !(line.starts_with("file") || line.starts_with("reasoning"));
        let expected: Vec<_> = expected.iter().filter(has).copied().collect();
        assert_eq!(story(&imported), expected, "{name}");
        assert_eq!(imported.bad, [], "{name}");
        assert_eq!(imported.ignored, usize::from(matches!(name, "chat" | "responses")), "{name}");
        let all: String = imported.items.iter().map(|item| item.content.get()).collect();
        assert!(!all.contains("SYSTEM WORDS") && !all.contains("SEALED"), "{name}");
        if name != "go" {
            let last =
                imported.items.iter().rev().find(|item| item.key.message_id().is_some()).map(value).unwrap();
            let tokens =
                json!({"input": 60, "output": 20, "reasoning": 0, "cache": {"read": 40, "write": 0}});
            assert_eq!((&last["tokens"], &last["cost"]), (&tokens, &json!(0.5)), "{name}");
        }
    }
}

#[test]
fn every_item_has_what_its_key_needs() {
    for (name, json) in SHAPES {
        for item in read_all(&list(json)).items {
            let change = crate::model::Change::from_item(item.key.kind(), &item.content, name).unwrap();
            let crate::model::Change::Put(key, _) = change else { panic!("{name}") };
            assert_eq!(key, item.key, "{name}");
        }
    }
}

#[test]
fn a_call_runs_until_its_result_comes() {
    let call = json!({"role": "assistant", "content": null,
        "tool_calls": [{"id": "c", "function": {"name": "bash", "arguments": "{\"comm"}}]});
    let running = read_all(&raw(&json!([call])));
    assert_eq!(story(&running)[2], r#"bash {"input":"{\"comm"} running null"#);
    assert!(!running.items[2].settled);
    let failed = json!({"role": "tool", "tool_call_id": "c", "content": "no such file", "is_error": true});
    let ended = read_all(&raw(&json!([call, failed])));
    assert_eq!(story(&ended)[2], r#"bash {"input":"{\"comm"} error "no such file""#);
    assert!(ended.items[2].settled);
    // A result that comes twice, and one whose call nobody saw.
    let again = json!({"role": "tool", "tool_call_id": "c", "content": "again"});
    let stray = json!({"role": "tool", "tool_call_id": "other", "name": "ls", "content": "a\nb"});
    let more = read_all(&raw(&json!([call, failed, again, stray])));
    assert_eq!(
        story(&more)[2..],
        [r#"bash {"input":"{\"comm"} error "no such file""#, "assistant", r#"ls {} completed "a\nb""#]
    );
}

#[test]
fn calls_without_ids_end_in_their_order() {
    let call = |path: &str| json!({"functionCall": {"name": "read", "args": {"path": path}}});
    let response = |text: &str| json!({"functionResponse": {"name": "read", "response": {"output": text}}});
    let messages = json!([
        {"role": "model", "parts": [call("a"), call("b")]},
        {"role": "user", "parts": [response("of a")]},
        {"role": "user", "parts": [response("of b"), {"text": "and now?"}]},
    ]);
    let expected = [
        "session and now?",
        "assistant",
        r#"read {"path":"a"} completed "of a""#,
        r#"read {"path":"b"} completed "of b""#,
        "user",
        "text and now?",
    ];
    assert_eq!(story(&read_all(&raw(&messages))), expected);
}

#[test]
fn times_say_how_long_it_took_and_the_last_answer_ends_when_the_agent_rests() {
    let messages = raw(&json!([
        {"role": "user", "content": "hi", "at": "2026-01-01T00:00:00+01:00"},
        {"role": "assistant", "content": null, "at": 1_767_222_001,
            "tool_calls": [{"id": "c", "function": {"name": "bash", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "", "at": 1_767_222_005_000_i64},
        {"role": "assistant", "content": "done", "at": 1_767_222_006_000_i64, "model": "m-1"},
    ]));
    let about = |rests_since| About {
        rests_since,
        model: Some(Model { provider: Some("p".into()), id: "m-0".into() }),
        ..About::default()
    };
    let read = |about: &About| read("s", about, messages.iter().map(|message| &**message));
    let working = read(&about(None));
    let times: Vec<_> = working
        .items
        .iter()
        .map(value)
        .filter_map(|item| item.get("time").or_else(|| item["state"].get("time")).cloned())
        .collect();
    assert_eq!(
        times,
        [
            json!({"created": 1_767_222_000_000_i64}),
            json!({"created": 1_767_222_001_000_i64, "completed": 1_767_222_005_000_i64}),
            json!({"start": 1_767_222_001_000_i64, "end": 1_767_222_005_000_i64}),
            json!({"created": 1_767_222_006_000_i64}),
        ]
    );
    let last = |imported: &Imported| {
        imported.items.iter().rev().find(|item| item.key.message_id().is_some()).map(value).unwrap()
    };
    assert_eq!((&last(&working)["modelID"], &last(&working)["providerID"]), (&json!("m-1"), &Value::Null));
    let first_answer = working.items.iter().map(value).find(|item| item["role"] == "assistant").unwrap();
    assert_eq!((&first_answer["modelID"], &first_answer["providerID"]), (&json!("m-0"), &json!("p")));
    let rested = read(&about(Some(1_767_222_009_000)));
    assert_eq!(last(&rested)["time"]["completed"], 1_767_222_009_000_i64);
}

#[test]
fn ids_are_those_of_the_messages_or_of_their_places() {
    let imported = read_all(&raw(&json!([
        {"role": "user", "content": "a"},
        {"id": "msg_own", "role": "assistant", "content": "b"},
        {"id": "msg_own", "role": "assistant", "content": "c"},
        {"id": "a/b", "role": "assistant", "content": "d"},
        {"id": "x", "role": "user", "content": "e"},
    ])));
    let ids: Vec<_> = imported.items.iter().filter_map(|item| item.key.message_id()).collect();
    assert_eq!(ids, ["msg_46bf2fa8000000", "msg_own", "msg_46bf2fa8000002", "msg_46bf2fa8000003", "msg_x"]);
    let other = read(
        "ses_2",
        &About::default(),
        raw(&json!([{"role": "user", "content": "a"}])).iter().map(|raw| &**raw),
    );
    assert_ne!(
        other.items[1].key.message_id(),
        Some(ids[0]),
        "an importer keeps messages of all sessions in one place"
    );
}

#[test]
fn messages_as_items_have_them_stay_what_they_are() {
    let user = json!({"info": {"id": "msg_a", "role": "user", "time": {"created": 5}, "system": "SYSTEM WORDS"},
        "parts": [{"id": "prt_a", "type": "text", "text": "look"}]});
    let tool =
        json!({"id": "prt_t", "type": "tool", "tool": "bash", "state": {"status": "running", "input": {}}});
    let answer = json!({"info": {"id": "msg_b", "role": "assistant", "time": {"created": 6}, "parentID": "msg_a"},
        "parts": [tool, {"type": "text", "text": "done"}]});
    let imported = read_all(&raw(&json!([user, answer])));
    assert_eq!(
        story(&imported),
        ["session look", "user", "text look", "assistant", "bash {} running null", "text done"]
    );
    let keys: Vec<_> = imported.items.iter().map(|item| item.key.as_str()).collect();
    assert_eq!(keys[1..5], ["message/msg_a", "part/msg_a/prt_a", "message/msg_b", "part/msg_b/prt_t"]);
    assert_eq!(value(&imported.items[1]), json!({"id": "msg_a", "role": "user", "time": {"created": 5}}));
    let settled: Vec<_> = imported.items.iter().map(|item| item.settled).collect();
    assert_eq!(settled, [false, true, false, false, false, false]);
}

#[test]
fn what_cannot_be_read_does_not_keep_the_rest_from_it() {
    let imported = read_all(&list(
        r#"["text", 7, {"content": "whose?"}, {"role": "critic", "content": "x"}, {"type": "item_reference", "id": "i"},
            {"role": "user", "content": "half \ud83d of a pair"},
            {"role": "assistant", "content": [{"type": "hologram", "shape": "cube"}, 7, null, {"type": "text"}]}]"#,
    ));
    assert_eq!(imported.bad.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((imported.accepted, imported.ignored), (2, 2));
    let expected =
        ["session half \u{fffd} of a pair", "user", "text half \u{fffd} of a pair", "assistant", "hologram "];
    assert_eq!(story(&imported), expected);
}

#[test]
fn what_should_be_an_object_and_is_none_is_no_obstacle() {
    for odd in [json!(7), json!("x"), json!([7]), json!(null), json!({"a": [7]})] {
        let messages = json!([
            {"type": "reasoning", "summary": [odd], "content": [odd]},
            {"type": "code_interpreter_call", "status": "completed", "outputs": [odd], "code": odd},
            {"role": "model", "parts": [odd, {"codeExecutionResult": odd}, {"functionCall": odd}, {"inlineData": odd}]},
            {"role": "assistant", "tool_calls": [odd, {"function": odd}], "usage": odd, "model": odd, "at": odd},
            {"role": "user", "content": [{"type": "image", "source": odd, "file": odd, "image_url": odd}]},
            {"info": {"id": odd, "role": odd, "time": odd}, "parts": [odd, {"state": odd}]},
        ]);
        let imported = read_all(&raw(&messages));
        assert_eq!(imported.accepted, 6, "{odd}");
    }
}

#[test]
fn results_say_what_they_are_about() {
    let output = |content: Value| {
        let messages = json!([
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "t", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": content}]},
        ]);
        let imported = read_all(&raw(&messages));
        value(imported.items.last().unwrap())["state"].take()
    };
    let state = output(json!([{"type": "text", "text": "a"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}]));
    assert_eq!(state["output"], "a");
    assert_eq!(state["attachments"][0]["url"], "data:image/png;base64,QUJD");
    assert_eq!(output(json!({"content": [{"type": "text", "text": "no"}], "isError": true}))["error"], "no");
    assert_eq!(output(json!({"error": "broken"}))["status"], "error");
    assert_eq!(output(json!({"rows": 3}))["output"], json!({"rows": 3}));
    assert_eq!(output(Value::Null)["output"], "");
    assert_eq!(
        output(
            json!([{"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "S"}])
        )["output"],
        "A\nhttps://a.example"
    );
}

fn any_message() -> impl Strategy<Value = Value> {
    let id = prop::option::of(0..3_u8);
    let call = 0..3_u8;
    let text = "[a-z]{0,3}";
    prop_oneof![
        text.prop_map(|text| json!({"role": "user", "content": text})),
        (text, id.clone()).prop_map(|(text, id)| {
            json!({"id": id.map(|id| format!("m{id}")), "role": "assistant", "content": text})
        }),
        (call.clone(), 0..2_u64).prop_map(|(call, at)| {
            let called = json!({"id": format!("c{call}"), "function": {"name": "t", "arguments": "{}"}});
            json!({"role": "assistant", "content": "x", "at": 1_000_000_000 + at, "tool_calls": [called]})
        }),
        (0..4_u8, text).prop_map(|(call, text)| {
            json!({"role": "tool", "tool_call_id": format!("c{call}"), "content": text})
        }),
        id.prop_map(|id| {
            let called = json!({"name": "f", "id": id.map(|id| format!("c{id}"))});
            json!({"role": "model", "parts": [{"functionCall": called}]})
        }),
        Just(json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]})),
        text.prop_map(|text| json!({"type": "reasoning", "summary": [{"text": text}]})),
        call.clone().prop_map(|call| {
            json!({"type": "function_call", "call_id": format!("c{call}"), "name": "t", "arguments": ""})
        }),
        call.prop_map(|call| {
            json!({"type": "function_call_output", "call_id": format!("c{call}"), "output": "o"})
        }),
        Just(json!(7)),
    ]
}

proptest! {
    /// A list and any beginning of it, in any order and number: what is settled of the one is so in the other, and
    /// every item stands under the same key.
    #[test]
    fn a_beginning_of_a_list_says_nothing_else(
        messages in prop::collection::vec(any_message(), 0..12),
        cut in 0..12_usize,
    ) {
        let messages = raw(&json!(messages));
        let by_key = |imported: Imported| -> BTreeMap<Key, Item> {
            imported.items.into_iter().map(|item| (item.key.clone(), item)).collect()
        };
        let count = read_all(&messages).items.len();
        let whole = by_key(read_all(&messages));
        prop_assert_eq!(whole.len(), count, "no two items have one key");
        let beginning = by_key(read_all(&messages[..cut.min(messages.len())]));
        for (key, item) in beginning {
            let later = whole.get(&key);
            prop_assert!(later.is_some(), "{:?}", key);
            let later = later.unwrap();
            if item.settled {
                prop_assert!(later.settled);
                prop_assert_eq!(item.content.get(), later.content.get());
            }
        }
    }
}
