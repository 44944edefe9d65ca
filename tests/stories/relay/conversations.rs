//! Conversations as agents have them: whole lists of messages, given again and again.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::relay::TestRelay;

const SESSION: &str = "/v1/sessions/ses_1";

const SHAPES: [(&str, &str); 5] = [
    ("chat", include_str!("../../fixtures/conversations/chat.json")),
    ("responses", include_str!("../../fixtures/conversations/responses.json")),
    ("anthropic", include_str!("../../fixtures/conversations/anthropic.json")),
    ("gemini", include_str!("../../fixtures/conversations/gemini.json")),
    ("go", include_str!("../../fixtures/conversations/go.json")),
];

fn conversation(name: &str) -> Vec<Value> {
    let (_, json) = SHAPES.iter().find(|(shape, _)| *shape == name).expect("a shape");
    serde_json::from_str(json).expect("a list")
}

async fn send(relay: &TestRelay, method: Method, door: &str, body: &Value) -> Value {
    let (status, answer) = relay.request(method, &format!("{SESSION}/{door}"), body).await;
    assert!(status == 202 || status == 200, "{status} {answer}");
    answer
}

/// Shares a session with something said of it; gives the share's id.
async fn share(relay: &TestRelay, body: &Value) -> String {
    send(relay, Method::POST, "share", body).await["id"].as_str().expect("an id").to_owned()
}

async fn items(relay: &TestRelay, server: &TestServer, share: &str) -> Vec<Value> {
    relay.flush_through("ses_1").await;
    let (_, data) = server.get(&format!("/api/share/{share}/data")).await;
    data.as_array().expect("items").clone()
}

async fn seq(server: &TestServer, share: &str) -> Value {
    server.get(&format!("/api/share/{share}")).await.1["seq"].clone()
}

async fn markdown(server: &TestServer, share: &str) -> String {
    let mut answer = crate::harness::client()
        .get(format!("{}/s/{share}.md?full=1", server.url))
        .send()
        .await
        .expect("an answer");
    String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("text")
}

/// The parts that are calls, by their tools, with how they stand.
fn calls(items: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let calls = items.iter().map(|item| &item["data"]).filter(|data| data["type"] == "tool");
    calls.map(|call| (text(&call["tool"]), text(&call["state"]["status"]))).collect()
}

#[actix_web::test]
async fn one_request_shares_a_conversation_of_any_shape() {
    let server = TestServer::start(&[]);
    for (name, _) in SHAPES {
        let relay = TestRelay::start(&server.url, &[]);
        let body = json!({"messages": conversation(name), "agent": {"name": "brutus", "version": "1"}, "model": "m-1",
            "status": "idle"});
        let share = share(&relay, &body).await;
        let items = items(&relay, &server, &share).await;
        assert_eq!(items[0]["data"]["title"], "Rename the greeting.", "{name}");
        let done = |tool: &str| (tool.to_owned(), "completed".to_owned());
        assert_eq!(calls(&items), [done("read_file"), done("edit_file"), done("bash")], "{name}");
        let agent = items.iter().find(|item| item["type"] == "agent").expect("the agent");
        assert_eq!(agent["data"], json!({"name": "brutus", "version": "1"}), "{name}");
        let shown = markdown(&server, &share).await;
        for text in [
            "Then run the tests.",
            "greet.go",
            "Now the change.",
            "Command failed: exit status 1",
            "The tests fail.",
        ] {
            assert!(shown.contains(text), "{name}: {text}: {shown}");
        }
        assert!(!shown.contains("SYSTEM WORDS"), "{name}");
    }
}

#[actix_web::test]
async fn a_list_goes_on_behind_what_was_given_before() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let messages = conversation("chat");
    let path = format!("{SESSION}/messages");
    let goes_on = json!({"messages": messages[3..], "from": 3});
    let (status, answer) = relay.request(Method::POST, &path, &goes_on).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("unknown_session")), "there is no beginning");
    send(&relay, Method::POST, "messages", &json!(messages[..3])).await;
    send(&relay, Method::POST, "messages", &goes_on).await;
    send(&relay, Method::POST, "messages", &json!({"messages": messages[1..2], "from": 1})).await;
    let share = share(&relay, &json!({})).await;
    assert_eq!(calls(&items(&relay, &server, &share).await).len(), 3, "what goes beyond stays");
    let one = [json!({"role": "user", "content": "And then?"})];
    send(&relay, Method::POST, "messages", &json!({"messages": one, "from": messages.len()})).await;
    items(&relay, &server, &share).await;
    // Its last word waits until it is whole: another message says so.
    let shown = markdown(&server, &share).await;
    assert!(shown.contains("The tests fail.") && shown.contains("And then?"), "{shown}");
    relay.kill();
    relay.restart();
    let (status, _) = relay.request(Method::POST, &path, &goes_on).await;
    assert_eq!(status, 404, "the list is in memory alone");
}

#[actix_web::test]
async fn a_conversation_that_is_sent_again_and_again_changes_nothing_and_one_that_grows_adds() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let messages = conversation("chat");
    let share = share(&relay, &json!({"messages": messages[..3]})).await;
    let before = items(&relay, &server, &share).await;
    assert_eq!(calls(&before), [("read_file".into(), "running".into())]);
    let answer = send(&relay, Method::POST, "messages", &json!(messages)).await;
    assert_eq!(
        answer,
        json!({"accepted": 7, "ignored": 1}),
        "what tells the model how to behave is nothing to show"
    );
    let whole = items(&relay, &server, &share).await;
    let once = seq(&server, &share).await;
    for round in 0..100 {
        // A beginning of the list, and a list from another life of the relay, take nothing back.
        let sent = if round % 3 == 0 { &messages[..=round % 8] } else { &messages[..] };
        if round == 50 {
            relay.kill();
            relay.restart();
        }
        send(&relay, Method::POST, "messages", &json!({"messages": sent})).await;
    }
    assert_eq!(items(&relay, &server, &share).await, whole);
    assert_eq!(seq(&server, &share).await, once);
}

#[actix_web::test]
async fn the_whole_list_takes_away_what_is_not_in_it_in_another_life_too() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let messages = conversation("anthropic");
    let share = share(&relay, &json!({"messages": messages})).await;
    relay.flush_through("ses_1").await;
    relay.kill();
    relay.restart();
    let mut shorter = messages[..2].to_vec();
    shorter[0]["content"] = json!("Rename the greeting.");
    send(&relay, Method::PUT, "messages", &json!(shorter)).await;
    let left = items(&relay, &server, &share).await;
    assert_eq!(calls(&left), [("read_file".into(), "running".into())], "the whole says that it runs");
    let kinds: Vec<_> = left.iter().map(|item| item["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["session", "message", "part", "message", "part", "part"]);
}

#[actix_web::test]
async fn what_could_not_be_stored_is_given_and_taken_away_the_next_time() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &["--max-spool", "100KB"]);
    let first = json!([{"role": "user", "content": "stays"}, {"role": "assistant", "content": "goes"}]);
    let share = share(&relay, &json!({"messages": first})).await;
    relay.flush_through("ses_1").await;
    server.kill();
    let filler = json!({"type": "part.updated", "sessionID": "ses_1",
        "data": {"id": "p", "messageID": "m", "text": "x".repeat(80_000)}});
    assert_eq!(relay.report(std::slice::from_ref(&filler)).await, 1);
    let shorter = json!([{"role": "user", "content": "x".repeat(50_000)}]);
    let door = format!("{SESSION}/messages");
    let (status, refused) = relay.request(Method::PUT, &door, &shorter).await;
    assert_eq!((status, &refused["error"]["code"]), (507, &json!("no_room")), "{refused}");
    server.restart();
    relay.flush_through("ses_1").await;
    send(&relay, Method::PUT, "messages", &shorter).await;
    let left = items(&relay, &server, &share).await;
    let messages: Vec<_> = left.iter().filter(|item| item["type"] == "message").collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(left.iter().any(|item| item["data"]["text"].as_str().is_some_and(|text| text.len() == 50_000)));
}

#[actix_web::test]
async fn a_session_of_which_nothing_is_known_gets_no_link_and_one_that_was_told_does() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let told = json!({
        "messages": conversation("go"), "directory": "/home/a/project", "agent": "brutus", "status": "busy",
    });
    assert_eq!(send(&relay, Method::POST, "messages", &told).await, json!({"accepted": 0, "ignored": 0}));

    let (status, refused) =
        relay.request(Method::POST, "/v1/sessions/made_up/share", &json!({"data": []})).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("unknown_session")), "{refused}");
    assert_eq!(refused["error"]["sessions"][0]["sessionID"], "ses_1");
    assert!(
        refused["error"]["message"].as_str().expect("a text").contains("ses_1 (Rename the greeting.)"),
        "{refused}"
    );
    assert_eq!(relay.list().await, Vec::<Value>::new());

    let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
    let updated_at = sessions[0]["updatedAt"].clone();
    let expected = json!({"sessionID": "ses_1", "title": "Rename the greeting.", "directory": "/home/a/project",
        "agent": "brutus", "state": "busy", "updatedAt": updated_at});
    assert_eq!(sessions, json!([expected]));

    let share = share(&relay, &Value::Null).await;
    let shown = items(&relay, &server, &share).await;
    assert_eq!(calls(&shown).len(), 3);
    assert_eq!(shown[0]["data"]["directory"], "/home/a/project");
    let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
    assert!(sessions[0]["url"].as_str().is_some_and(|url| url.ends_with(&share)));

    let (status, empty) =
        relay.request(Method::POST, "/v1/sessions/to_come/share", &json!({"empty": true})).await;
    assert_eq!(status, 200, "{empty}");
    let both = json!({"messages": [], "data": [{"type": "session", "data": {"id": "s"}}]});
    assert_eq!(relay.request(Method::POST, &format!("{SESSION}/share"), &both).await.0, 400);
}

#[actix_web::test]
async fn a_conversation_too_large_to_be_kept_is_shared_with_its_messages() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let large = json!({"messages": [{"role": "user", "content": "x".repeat(9 << 20)}]});
    send(&relay, Method::POST, "messages", &large).await;
    let (status, refused) = relay.request(Method::POST, &format!("{SESSION}/share"), &Value::Null).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("unknown_session")));
    assert!(
        refused["error"]["message"].as_str().expect("a text").contains("too large to be kept"),
        "{refused}"
    );
    let share = share(&relay, &large).await;
    assert_eq!(items(&relay, &server, &share).await.len(), 3);
    send(&relay, Method::POST, "messages", &large).await;
}

#[actix_web::test]
async fn sharing_again_with_the_conversation_heals_what_was_missed() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let messages = conversation("chat");
    let share_id = share(&relay, &json!({"messages": messages[..2]})).await;
    relay.flush_through("ses_1").await;
    // The server loses what it had, as when an old copy is put back.
    let database = server.data_dir().join("share.db");
    server.signal("-TERM");
    server.wait();
    crate::harness::sqlite(&database, "DELETE FROM share_data");
    server.restart();
    assert_eq!(share(&relay, &json!({"messages": messages})).await, share_id);
    assert_eq!(calls(&items(&relay, &server, &share_id).await).len(), 3);
}

#[actix_web::test]
async fn an_agent_says_what_it_does_and_its_last_answer_ends_with_it() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let messages = json!([
        {"role": "user", "content": "hi", "at": 1_700_000_000_000_i64},
        {"role": "assistant", "content": "hello", "at": 1_700_000_001_000_i64},
    ]);
    let share =
        share(&relay, &json!({"messages": messages, "status": {"state": "busy", "label": "writing"}})).await;
    let status =
        |items: &[Value]| items.iter().find(|item| item["type"] == "status").map(|item| item["data"].clone());
    let completed = |items: &[Value]| {
        items
            .iter()
            .find(|item| item["data"]["role"] == "assistant")
            .map(|item| item["data"]["time"]["completed"].clone())
    };
    let busy = items(&relay, &server, &share).await;
    let said = status(&busy).expect("a status");
    assert_eq!((&said["state"], &said["label"]), (&json!("busy"), &json!("writing")));
    assert!(said["at"].as_i64().is_some_and(|at| at > 1_700_000_000_000));
    assert_eq!(completed(&busy), Some(Value::Null));
    for _ in 0..3 {
        send(&relay, Method::POST, "status", &json!({"state": "idle"})).await;
    }
    let idle = items(&relay, &server, &share).await;
    let rests = status(&idle).expect("a status");
    assert_eq!(rests["state"], "idle");
    assert_eq!(completed(&idle), Some(rests["at"].clone()));
    let (status, refused) =
        relay.request(Method::POST, &format!("{SESSION}/status"), &json!({"state": "asleep"})).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("malformed")));

    // An agent that reports events says it in its own words.
    let event =
        json!({"type": "session.status", "properties": {"sessionID": "ses_1", "status": {"type": "busy"}}});
    assert_eq!(relay.report(std::slice::from_ref(&event)).await, 1);
    assert_eq!(relay.report(&[event]).await, 1, "said again");
    let busy = items(&relay, &server, &share).await;
    assert!(busy.iter().any(|item| item["type"] == "status" && item["data"]["state"] == "busy"), "{busy:?}");
}

#[actix_web::test]
async fn one_event_that_cannot_be_read_does_not_keep_the_others_out() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let share = relay.share("ses_1", &[]).await;
    let events = json!([
        {"type": "message.updated", "session_id": "ses_1", "data": {"id": "m", "role": "user"}},
        {"type": "part.updated", "sessionID": "ses_1", "data": {"messageID": "m"}},
        {"type": "weather.changed", "sessionID": "ses_1"},
        7,
        {"type": "message.part.updated", "properties": {"SessionID": "ses_1", "Part": {"id": "p", "messageID": "m"}}},
        {"type": "session.updated", "properties": {"id": "ses_1", "title": "flat"}},
        {"type": "session.diff", "properties": {"sessionID": "ses_1", "diffs": []}},
        {"type": "message.updated", "properties": {"sessionID": "ses_1", "message": {"id": "n", "role": "user"}}},
        {"type": "message.updated", "sessionID": "of nobody's share", "data": {"id": "m"}},
    ]);
    let (status, answer) = relay.request(Method::POST, "/v1/events", &events).await;
    assert_eq!((status, &answer["accepted"], &answer["ignored"]), (202, &json!(5), &json!(1)), "{answer}");
    let bad = answer["bad"].as_array().expect("some are bad");
    assert_eq!(bad.iter().map(|bad| bad["index"].clone()).collect::<Vec<_>>(), [1, 3]);
    assert!(bad[0]["message"].as_str().expect("a text").contains("`[1].data.id` is missing"), "{bad:?}");
    let kinds: Vec<_> =
        items(&relay, &server, &share).await.iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, ["session", "message", "part", "message", "session_diff"]);
    let (status, _) = relay.request(Method::POST, "/v1/events", &json!({"type": "part.updated"})).await;
    assert_eq!(status, 400, "one alone");
}

#[actix_web::test]
async fn the_words_of_a_bus_that_names_no_items_are_shown_in_their_order() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let share = relay.share("ses_1", &[]).await;
    let said = |kind: &str, mut fields: Value| {
        fields["session_id"] = json!("ses_1");
        json!({"type": kind, "properties": fields})
    };
    let events = [
        said("agent.started", json!({})),
        said("message.created", json!({"role": "user", "content": "List the files"})),
        said("tool.executing", json!({"tool_name": "list_files", "input": "{\"path\":\".\"}"})),
        said("tool.completed", json!({"tool_name": "list_files", "success": true})),
        said("tool.executing", json!({"tool_name": "bash", "input": "{\"command\":\"make\"}"})),
        said("tool.completed", json!({"tool_name": "bash", "success": false})),
        said("message.created", json!({"role": "assistant", "content": "There are two."})),
        said("agent.stopped", json!({"reason": "done"})),
    ];
    for event in &events {
        assert_eq!(relay.report(std::slice::from_ref(event)).await, 1, "{event}");
    }
    let shown = items(&relay, &server, &share).await;
    let status = |tool: &str, status: &str| (tool.to_owned(), status.to_owned());
    assert_eq!(calls(&shown), [status("list_files", "completed"), status("bash", "error")]);
    let texts: Vec<_> = shown.iter().filter_map(|item| item["data"]["text"].as_str()).collect();
    assert_eq!(texts, ["List the files", "There are two."]);
    let input = shown.iter().find(|item| item["data"]["tool"] == "list_files").expect("the call");
    assert_eq!(input["data"]["state"]["input"], json!({"path": "."}));
    assert!(shown.iter().any(|item| item["type"] == "status" && item["data"]["state"] == "idle"));
}
