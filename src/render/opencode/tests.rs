use proptest::prelude::*;
use serde_json::value::to_raw_value;

use super::*;
use crate::model::reading_order;

/// Items of a share, which came in this order, as they are read.
fn items(came: &Value) -> Vec<(Key, Content)> {
    let came: Vec<(Key, Content)> = came.as_array().unwrap().iter().map(item).collect();
    let arrived = (0..).zip(&came).map(|(arrival, (key, content))| (key, content, arrival));
    reading_order(arrived).into_iter().map(|(key, content)| (key.clone(), content.clone())).collect()
}

fn item(item: &Value) -> (Key, Content) {
    let data = &item["data"];
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let key = match item["type"].as_str().unwrap() {
        "message" => Key::message(text("id")),
        "part" => Key::part(text("messageID"), text("id")),
        "messages" => Key::from(format!("messages/{}", text("sessionID"))),
        kind => Key::from(kind),
    };
    (key, to_raw_value(data).unwrap().into())
}

fn converted(came: &Value) -> Vec<Value> {
    opencode_sessions(&items(came), "share").sessions
}

/// What `opencode import` checks, and what it does not, although its program relies on it.
fn check(sessions: &[Value]) {
    let (mut known, mut parts) = (HashSet::new(), HashSet::new());
    for session in sessions {
        let info = &session["info"];
        let id = info["id"].as_str().unwrap();
        assert!(is_own(ids::SESSION, id) && known.insert(id.to_owned()), "{id}");
        assert!(info["parentID"].is_null() || known.contains(info["parentID"].as_str().unwrap()), "{info}");
        assert_eq!(shape::INFO.fit(info.clone(), 0).as_ref(), Some(info));
        let mut last = (0, String::new());
        for message in session["messages"].as_array().unwrap() {
            let info = &message["info"];
            assert_eq!(shape::MESSAGE.fit(info.clone(), 0).as_ref(), Some(info));
            let own = info["id"].as_str().unwrap();
            let place = (info["time"]["created"].as_u64().unwrap(), own.to_owned());
            assert!(is_own(ids::MESSAGE, own) && last < place && last.1 < place.1, "{last:?} {place:?}");
            last = place;
            let answers = &info["parentID"];
            let is_known = |id: &Value| id.as_str().is_some_and(|id| is_own(ids::MESSAGE, id));
            assert!(info["role"] == "user" || is_known(answers), "{info}");
            assert_eq!(info["sessionID"], id);
            let mut last = String::new();
            for part in message["parts"].as_array().unwrap() {
                assert_eq!(shape::PART.fit(part.clone(), 0).as_ref(), Some(part));
                assert_eq!((&part["sessionID"], &part["messageID"]), (&json!(id), &info["id"]));
                let own = part["id"].as_str().unwrap();
                assert!(is_own(ids::PART, own) && last.as_str() < own, "{last} {own}");
                assert!(parts.insert(own.to_owned()), "{own} twice");
                last = own.to_owned();
            }
        }
    }
}

/// A session of another agent: a prompt, an answer with a task, and what the subagent said.
fn session() -> Value {
    json!([
        {"type": "session", "data": {"id": "cc_1", "title": "Fix it", "directory": "~/fizz",
            "share": {"url": "https://share.example/s/x"}, "permission": [{"permission": "*", "action": "allow"}]}},
        {"type": "message", "data": {"id": "m1", "sessionID": "cc_1", "role": "user", "time": {"created": 2000}}},
        {"type": "part", "data": {"id": "p", "messageID": "m1", "type": "text", "text": "fix it"}},
        {"type": "message", "data": {"id": "m2", "sessionID": "cc_1", "role": "assistant", "parentID": "m1",
            "time": {"created": 1000}, "providerID": "anthropic", "modelID": "claude"}},
        {"type": "part", "data": {"id": "p", "messageID": "m2", "type": "tool", "tool": "Task", "callID": "c",
            "state": {"status": "completed", "input": {"description": "Look around"}, "output": {"a": 1},
                "attachments": [{"type": "file", "mime": "image/png", "url": "data:"}],
                "metadata": {"sessionId": "cc_2"}}}},
        {"type": "part", "data": {"id": "q", "messageID": "m2", "type": "text", "text": "done"}},
        {"type": "part", "data": {"id": "r", "messageID": "m2", "type": "image", "url": "x"}},
        {"type": "part", "data": {"id": "s", "messageID": "m2", "type": "said", "text": "aloud"}},
        {"type": "message", "data": {"id": "m3", "sessionID": "cc_2", "role": "assistant", "error": "broken"}},
    ])
}

#[test]
fn a_session_of_another_agent_has_all_that_opencode_demands() {
    let items = items(&session());
    let OpenCodeSessions { sessions, left_out } = opencode_sessions(&items, "share");
    check(&sessions);
    assert_eq!((sessions.len(), left_out), (2, 1));
    let (info, messages) = (&sessions[0]["info"], &sessions[0]["messages"]);
    assert_eq!(
        (&info["title"], &info["share"], &info["permission"]),
        (&json!("Fix it"), &json!(null), &json!(null))
    );
    let (prompt, answer) = (&messages[0]["info"], &messages[1]["info"]);
    assert_eq!(prompt["model"], json!({"providerID": "anthropic", "modelID": "claude"}));
    assert_eq!((&prompt["agent"], &answer["mode"]), (&json!("build"), &json!("build")));
    assert_eq!((&answer["parentID"], &answer["time"]["created"]), (&prompt["id"], &json!(2000)));
    let parts = messages[1]["parts"].as_array().unwrap();
    let state = &parts[0]["state"];
    assert_eq!(
        (&state["output"], &state["time"]),
        (&json!(r#"{"a":1}"#), &json!({"start": 2000, "end": 2000}))
    );
    assert!(is_own(ids::PART, state["attachments"][0]["id"].as_str().unwrap()));
    assert_eq!((&parts[1]["text"], &parts[2]["text"]), (&json!("done"), &json!("aloud")));
    let subagent = &sessions[1]["info"];
    assert_eq!(state["metadata"]["sessionId"], subagent["id"]);
    assert_eq!((&subagent["parentID"], &subagent["title"]), (&info["id"], &json!("Look around")));
    let error = &sessions[1]["messages"][0]["info"]["error"];
    assert_eq!((&error["name"], &error["data"]["message"]), (&json!("UnknownError"), &json!("broken")));
}

#[test]
fn what_came_before_keeps_its_ids_when_more_has_come_and_another_link_has_others() {
    let (before, mut more) = (session(), session());
    let files = more[4]["data"]["state"]["attachments"].as_array_mut().unwrap();
    files.push(json!({"type": "file", "mime": "a", "url": "data:"}));
    let rest = json!([
        {"type": "part", "data": {"id": "t", "messageID": "m2", "type": "text", "text": "more"}},
        {"type": "message", "data": {"id": "m4", "sessionID": "cc_1", "role": "user"}},
    ]);
    more.as_array_mut().unwrap().extend(rest.as_array().unwrap().clone());
    let ids = |sessions: &[Value]| {
        let mut ids = Vec::new();
        for session in sessions {
            ids.push(session["info"]["id"].to_string());
            for message in session["messages"].as_array().unwrap() {
                ids.push(message["info"]["id"].to_string());
                ids.extend(message["parts"].as_array().unwrap().iter().map(|part| part["id"].to_string()));
            }
        }
        ids.into_iter().collect::<HashSet<_>>()
    };
    let (before, after) = (ids(&converted(&before)), ids(&converted(&more)));
    assert!(before.is_subset(&after));
    assert_eq!(after.len(), before.len() + 2);
    let other = ids(&opencode_sessions(&items(&session()), "another").sessions);
    assert!(before.is_disjoint(&other));
}

#[test]
fn what_opencode_made_stays_as_it_is() {
    let (session, child) = ("ses_0123456789abABCDEFGHIJKLMN", "ses_0123456789acABCDEFGHIJKLMN");
    let id = |kind: &str, place: u8| format!("{kind}_0123456789{place:02x}ABCDEFGHIJKLMN");
    let user = json!({"id": id("msg", 1), "sessionID": session, "role": "user", "time": {"created": 10},
        "agent": "plan", "model": {"providerID": "p", "modelID": "m"}, "new": [1]});
    let later = json!({"id": id("msg", 3), "sessionID": session, "role": "user", "time": {"created": 11},
        "agent": "plan", "model": {"providerID": "p", "modelID": "m"}});
    let answer = json!({"id": id("msg", 2), "sessionID": session, "role": "assistant", "time": {"created": 12},
        "parentID": id("msg", 1), "providerID": "p", "modelID": "m", "mode": "plan", "agent": "plan",
        "path": {"cwd": "/a", "root": "/"}, "cost": 0.5,
        "tokens": {"input": 1, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}}});
    let part = json!({"id": id("prt", 1), "messageID": id("msg", 2), "sessionID": session, "type": "tool",
        "tool": "task", "callID": "c", "state": {"status": "running", "input": {}, "time": {"start": 12},
            "metadata": {"sessionId": child}}});
    let came = json!([
        {"type": "session", "data": {"id": session, "slug": "s", "projectID": "p", "directory": "/a", "title": "t",
            "version": "1", "time": {"created": 1, "updated": 2}, "revert": {"messageID": id("msg", 3)}}},
        {"type": "message", "data": user}, {"type": "message", "data": later},
        {"type": "message", "data": answer}, {"type": "part", "data": part},
    ]);
    let sessions = converted(&came);
    assert_eq!(sessions[0]["info"], came[0]["data"]);
    let messages = sessions[0]["messages"].as_array().unwrap();
    let infos: Vec<_> = messages.iter().map(|message| &message["info"]).collect();
    assert_eq!(infos, [&user, &answer, &later]);
    assert_eq!(messages[1]["parts"], json!([part]));
}

#[test]
fn nothing_at_all_is_a_session() {
    let sessions = converted(&json!([]));
    check(&sessions);
    assert_eq!(sessions.len(), 1);
}

#[test]
fn odd_items_are_taken() {
    let around = include_str!("../../../tests/fixtures/odd/around.json");
    let odd: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/fixtures/odd/items.json")).unwrap();
    for odd in odd {
        let mut came: Value = serde_json::from_str(around).unwrap();
        came.as_array_mut().unwrap().push(odd["item"].clone());
        check(&converted(&came));
    }
}

/// Anything, often what is expected somewhere.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "cc_2",
            "m1",
            "2026-11-29T00:00:00Z",
            "completed",
            "error",
            "running"
        ])
        .prop_map(Value::from),
    ];
    let names = vec![
        "id",
        "name",
        "data",
        "status",
        "input",
        "output",
        "error",
        "time",
        "start",
        "end",
        "created",
        "metadata",
        "sessionId",
        "message",
        "attachments",
        "type",
        "url",
        "mime",
        "cache",
        "providerID",
    ];
    leaf.prop_recursive(4, 24, 4, move |value| {
        let fields = prop::collection::vec((prop::sample::select(names.clone()), value.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(value, 0..3).prop_map(Value::from),
            fields.prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
            }),
        ]
    })
}

/// Some fields of an item.
fn some(names: &'static [&'static str]) -> impl Strategy<Value = Map<String, Value>> {
    let fields = prop::collection::vec((prop::sample::select(names), value()), 0..6);
    fields.prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn any_item() -> impl Strategy<Value = Value> {
    const MESSAGE: &[&str] = &[
        "agent", "model", "time", "error", "parentID", "tokens", "path", "summary", "tools", "format", "cost",
    ];
    const PART: &[&str] = &[
        "text",
        "state",
        "time",
        "url",
        "mime",
        "files",
        "tokens",
        "error",
        "source",
        "tail_start_id",
        "auto",
    ];
    let kinds = vec![
        "text",
        "reasoning",
        "file",
        "tool",
        "subtask",
        "step-start",
        "step-finish",
        "snapshot",
        "patch",
        "agent",
        "retry",
        "compaction",
        "image",
        "",
    ];
    let sessions = || prop::sample::select(vec!["cc_1", "cc_2", "cc_3"]);
    let created = prop_oneof![0..3_u64, Just((1_u64 << 36) - 1), Just(1 << 36), any::<u64>()];
    let message = (0..5_u8, sessions(), prop::bool::ANY, created, some(MESSAGE));
    let message = message.prop_map(|(id, session, is_prompt, created, mut data)| {
        data.entry("time").or_insert_with(|| json!({"created": created}));
        data.insert("id".into(), json!(format!("m{id}")));
        data.insert("sessionID".into(), json!(session));
        data.insert("role".into(), json!(if is_prompt { "user" } else { "assistant" }));
        json!({"type": "message", "data": data})
    });
    let part = (0..5_u8, 0..3_u8, prop::sample::select(kinds), sessions(), some(PART));
    let part = part.prop_map(|(message, id, kind, session, mut data)| {
        data.insert("id".into(), json!(format!("p{id}")));
        data.insert("messageID".into(), json!(format!("m{message}")));
        data.insert("type".into(), json!(kind));
        if kind == "tool" && !data.contains_key("state") {
            data.insert("state".into(), json!({"status": "completed", "metadata": {"sessionId": session}}));
        }
        json!({"type": "part", "data": data})
    });
    let info = some(&["title", "time", "revert", "model", "tokens", "summary", "directory", "version", "id"]);
    let info = info.prop_map(|data| json!({"type": "session", "data": data}));
    let list = prop::collection::vec(value(), 0..3).prop_map(
        |messages| json!({"type": "messages", "data": {"sessionID": "cc_1", "messages": messages}}),
    );
    prop_oneof![4 => message, 6 => part, 1 => info, 1 => list]
}

proptest! {
    #[test]
    fn whatever_a_share_holds_is_made_to_fit(came in prop::collection::vec(any_item(), 0..16)) {
        // The last of each key counts, as in a share.
        let mut by_key = std::collections::BTreeMap::new();
        for value in came {
            by_key.insert(item(&value).0, value);
        }
        let came = by_key.into_values().collect::<Value>();
        let sessions = converted(&came);
        check(&sessions);
        prop_assert_eq!(sessions, converted(&came));
    }
}
