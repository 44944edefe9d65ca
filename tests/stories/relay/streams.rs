//! What an agent's newest events say: texts that grow, in the shapes of all its streams.

use serde_json::{Value, json};

use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{TestServer, TestViewer, message, until};

fn delta(session: &str, message: &str, id: &str, text: &str) -> Value {
    let properties =
        json!({"sessionID": session, "messageID": message, "partID": id, "field": "text", "delta": text});
    json!({"id": "evt_1", "type": "message.part.delta", "properties": properties})
}

fn whole(session: &str, id: &str, text: &str, time: &Value) -> Value {
    let part =
        json!({"id": id, "messageID": "m", "sessionID": session, "type": "text", "text": text, "time": time});
    json!({"type": "message.part.updated", "properties": {"sessionID": session, "part": part, "time": 1}})
}

/// A part to whose text more will come.
fn unfinished(message: &str, id: &str, text: &str) -> Value {
    json!({"type": "part", "data": {"id": id, "messageID": message, "type": "text", "text": text}})
}

async fn text(server: &TestServer, share: &str, id: &str) -> Value {
    let (_, data) = server.get(&format!("/api/share/{share}/data")).await;
    let parts = data.as_array().expect("items").iter().filter(|item| item["type"] == "part");
    parts
        .map(|item| &item["data"])
        .find(|part| part["id"] == id)
        .map(|part| part["text"].clone())
        .unwrap_or_default()
}

#[actix_web::test]
async fn a_text_grows_by_what_is_added_and_the_whole_part_ends_it() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[message("m", 1), unfinished("m", "p0", "so")]).await;
    let url = format!("ws://{}/api/share/{id}/poll", server.address);
    let mut viewer = TestViewer::connect(&url).await;
    assert_eq!(relay.report(&[delta("ses_1", "m", "p0", " far")]).await, 1, "to a part of the backlog");
    // The last word waits until it is whole: it may be the beginning of a secret.
    viewer
        .until("what was added", |viewer| {
            viewer.items.get("part/m/p0").is_some_and(|part| part["text"] == "so ")
        })
        .await;

    let started = whole("ses_1", "p1", "", &json!({"start": 1}));
    assert_eq!(
        relay.report(&[started, delta("ses_1", "m", "p1", "Here "), delta("ses_1", "m", "p1", "is")]).await,
        3
    );
    for word in [" the", " plan"] {
        assert_eq!(relay.report(&[delta("ses_1", "m", "p1", word)]).await, 1);
    }
    viewer
        .until("the text so far", |viewer| {
            viewer.items.get("part/m/p1").is_some_and(|part| part["text"] == "Here is the ")
        })
        .await;
    assert_eq!(viewer.items["part/m/p1"]["time"], json!({"start": 1}));

    let ended = whole("ses_1", "p1", "Here is the whole plan.", &json!({"start": 1, "end": 2}));
    assert_eq!(
        relay.report(&[delta("ses_1", "m", "p1", "."), ended, delta("ses_1", "m", "p1", "late")]).await,
        2
    );
    viewer.until("the end", |viewer| viewer.items["part/m/p1"]["text"] == "Here is the whole plan.").await;
    relay.report(&[json!({"type": "session.idle", "properties": {"sessionID": "ses_1"}})]).await;
    viewer.until("the rest", |viewer| viewer.items["part/m/p0"]["text"] == "so far").await;
    // Also when the agent never said that it works again.
    relay.report(&[delta("ses_1", "m", "p0", " and further")]).await;
    relay.report(&[json!({"type": "session.idle", "properties": {"sessionID": "ses_1"}})]).await;
    viewer.until("the rest again", |viewer| viewer.items["part/m/p0"]["text"] == "so far and further").await;
    relay.flush_through("ses_1").await;
    assert_eq!(text(&server, &id, "p1").await, "Here is the whole plan.");
}

#[actix_web::test]
async fn what_was_added_survives_a_kill_and_what_cannot_be_added_is_healed_by_the_whole_part() {
    let mut server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[message("m", 1)]).await;
    relay.flush_through("ses_1").await;
    server.kill();
    let started = whole("ses_1", "p", "", &json!({"start": 1}));
    assert_eq!(relay.report(&[started, delta("ses_1", "m", "p", "on the table")]).await, 2);
    relay.kill();
    relay.restart();
    assert_eq!(
        relay.report(&[delta("ses_1", "m", "p", ", and not")]).await,
        0,
        "this life has not seen the part"
    );
    server.restart();
    // When nothing comes for a while the last word goes too.
    until("all that was added", async || text(&server, &id, "p").await == "on the table").await;
    assert_eq!(
        relay
            .report(&[whole("ses_1", "p", "on the table, and not lost", &json!({"start": 1, "end": 2}))])
            .await,
        1
    );
    relay.flush_through("ses_1").await;
    assert_eq!(text(&server, &id, "p").await, "on the table, and not lost");
}

#[actix_web::test]
async fn what_is_reported_again_because_it_was_refused_is_not_added_twice() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &["--max-spool", "100KB"]);
    let id = relay.share("ses_1", &[message("m", 1), unfinished("m", "p", "a ")]).await;
    relay.flush_through("ses_1").await;
    server.kill();
    let filling = part_event("ses_1", "m", "big", &"x".repeat(90_000));
    assert_eq!(relay.report(&[filling]).await, 1);
    let more = json!([delta("ses_1", "m", "p", &"b".repeat(20_000))]);
    for _ in 0..2 {
        let (status, answer) = relay.request(awc::http::Method::POST, "/v1/events", &more).await;
        if status == 202 {
            assert_eq!(answer["accepted"], 0, "left out: it may have been added before");
        } else {
            assert_eq!(status, 507, "{answer}");
        }
    }
    server.restart();
    relay.flush_through("ses_1").await;
    assert_eq!(text(&server, &id, "p").await, "a ");
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "abc")]).await, 1);
    relay.flush_through("ses_1").await;
    assert_eq!(text(&server, &id, "p").await, "abc");
}

#[actix_web::test]
async fn a_session_that_was_unshared_leaves_nothing_to_add_to() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    relay.share("ses_1", &[message("m", 1), unfinished("m", "p", "private")]).await;
    assert_eq!(relay.unshare("ses_1").await, 200);
    assert_eq!(relay.report(&[delta("ses_1", "m", "p", "!")]).await, 0);
    let id = relay.share("ses_1", &[message("m", 1)]).await;
    assert_eq!(relay.report(&[delta("ses_1", "m", "p", "!")]).await, 0);
    relay.flush_through("ses_1").await;
    assert_eq!(text(&server, &id, "p").await, Value::Null);
}

#[actix_web::test]
async fn every_stream_of_the_agent_is_read() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let todo = json!({"type": "todo", "data": {"id": "t", "content": "Check"}});
    let id = relay.share("ses_1", &[message("m", 1), unfinished("m", "p", ""), todo]).await;
    let wrapped = |payload: Value| json!({"directory": "/project", "project": "x", "payload": payload});
    let events = [
        wrapped(delta("ses_1", "m", "p", "wrapped")),
        // The second API calls `data` what the first calls `properties`.
        json!({"type": "message.part.delta", "durable": {"seq": 1}, "data": {
            "sessionID": "ses_1", "messageID": "m", "partID": "p", "field": "text", "delta": ", and more",
        }}),
        json!({"type": "session.updated", "data": {
            "sessionID": "ses_1", "info": {"id": "ses_1", "title": "By its second API"},
        }}),
        json!({"type": "todo.removed", "sessionID": "ses_1", "data": {"id": "t"}}),
    ];
    assert_eq!(relay.report(&events).await, 4);
    let of_what_it_does = [
        json!({"type": "session.status", "properties": {"sessionID": "ses_1", "status": {"type": "busy"}}}),
        wrapped(json!({"type": "session.idle", "properties": {"sessionID": "ses_1"}})),
    ];
    assert_eq!(relay.report(&of_what_it_does).await, 2);
    let of_no_use = [
        json!({"type": "session.error", "properties": {"error": {"name": "UnknownError", "data": {}}}}),
        wrapped(json!({"type": "sync", "syncEvent": {"type": "message.updated.1", "data": {}}})),
        json!({"type": "message.part.delta", "properties": {
            "sessionID": "ses_1", "messageID": "m", "partID": "p", "field": "raw", "delta": "x",
        }}),
    ];
    assert_eq!(relay.report(&of_no_use).await, 0);
    relay.flush_through("ses_1").await;
    assert_eq!(text(&server, &id, "p").await, "wrapped, and more");
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    let items = data.as_array().expect("items");
    let kinds: Vec<_> = items.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["session", "message", "part", "status"], "the to-do is gone");
    assert_eq!(items[0]["data"]["title"], "By its second API");
}
