//! An agent shares its session through the relay.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::fake::FakeServer;
use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{TestServer, message, part, session};

#[actix_web::test]
async fn a_session_is_shared_in_its_middle_and_goes_on() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let backlog = [session("Middle"), message("m", 1), part("m", "p1", "so far")];
    let id = relay.share("ses_1", &backlog).await;
    assert_eq!(relay.share("ses_1", &[]).await, id, "the same share again");
    let url = format!("ws://{}/api/share/{id}/poll", server.address);
    let mut viewer = crate::harness::TestViewer::connect(&url).await;
    viewer.until("the backlog", |viewer| viewer.items.len() == 3).await;

    let shapes = [
        part_event("ses_1", "m", "p2", "native"),
        json!({"type": "message.part.updated", "properties": {"part": {
            "id": "p3", "messageID": "m", "sessionID": "ses_1", "type": "text", "text": "OpenCode's",
            "time": {"start": 1, "end": 2},
        }}}),
        json!({"type": "message.updated", "properties": {"info": {
            "id": "m2", "sessionID": "ses_1", "role": "user", "system": "private", "time": {"created": 2},
        }}}),
        json!({"type": "something.else", "properties": {}}),
    ];
    assert_eq!(relay.report(&shapes).await, 3);
    viewer.until("what was reported", |viewer| viewer.items.len() == 6).await;
    assert_eq!(viewer.items["message/m2"]["system"], Value::Null);

    let removed = json!({"sessionID": "ses_1", "messageID": "m", "partID": "p3"});
    relay.report(&[json!({"type": "message.part.removed", "properties": removed})]).await;
    viewer.until("the removal", |viewer| viewer.items.len() == 5).await;
    assert_eq!(relay.unshare("ses_1").await, 200);
    viewer.until_closed().await;
    assert_eq!(viewer.close_code, Some(4410));
    assert_eq!(relay.unshare("ses_1").await, 404);
    assert!(relay.list().await.is_empty());
}

#[actix_web::test]
async fn sync_only_if_shared() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&fake.url, &[]);
    assert_eq!(relay.report(&[part_event("private", "m", "p", "for nobody")]).await, 0);
    relay.share("ses_1", &[]).await;
    assert_eq!(
        relay
            .report(&[part_event("private", "m", "p", "for nobody"), part_event("ses_1", "m", "p", "x")])
            .await,
        1
    );
    assert_eq!(relay.flush("ses_1").await.0, 200);
    assert_eq!(relay.flush("private").await.0, 404);
    let sent = format!("{:?}", fake.seen());
    assert!(sent.contains("\"x\"") && !sent.contains("for nobody"));
    let spool = std::fs::read(relay.local_dir().join("spool.db-wal")).expect("the log");
    assert!(!spool.windows(10).any(|window| window == b"for nobody"), "not even to the disk");
}

#[actix_web::test]
async fn a_hundred_updates_of_five_parts_make_at_most_two_requests() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&fake.url, &["--interval", "10s"]);
    relay.share("ses_1", &[]).await;
    for version in 0..100 {
        relay.report(&[part_event("ses_1", "m", &format!("p{}", version % 5), &version.to_string())]).await;
    }
    assert_eq!(relay.list().await[0]["pending"], 5);
    assert_eq!(relay.flush("ses_1").await.0, 200);
    let syncs = fake.syncs();
    assert!(syncs.len() <= 2, "{}", syncs.len());
    // On a slow machine the interval passes before all is reported: the newest versions count.
    let items = syncs.iter().flat_map(|sync| sync.body["data"].as_array().expect("data"));
    let newest: std::collections::BTreeMap<_, _> =
        items.map(|item| (item["data"]["id"].as_str(), item["data"]["text"].as_str())).collect();
    assert_eq!(newest.into_values().flatten().collect::<Vec<_>>(), ["95", "96", "97", "98", "99"]);
}

#[actix_web::test]
async fn a_deleted_session_takes_its_share_with_it_also_when_the_server_is_away() {
    let mut server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[session("t")]).await;
    server.kill();
    assert_eq!(
        relay.report(&[json!({"type": "session.deleted", "properties": {"info": {"id": "ses_1"}}})]).await,
        1
    );
    assert_eq!(relay.list().await[0]["state"], "removing");
    relay.kill();
    server.restart();
    relay.restart();
    while !relay.list().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get(&format!("/api/share/{id}")).await.0, 404);
}

#[actix_web::test]
async fn a_share_that_is_deleted_behind_the_relays_back_ends_and_can_be_made_anew() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[session("t")]).await;
    let shares: Value =
        serde_json::from_slice(&std::fs::read(relay.local_dir().join("shares.json")).expect("shares"))
            .expect("JSON");
    let secret = json!({"secret": shares[0]["secret"]}).to_string();
    assert_eq!(server.request(Method::DELETE, &format!("/api/share/{id}"), secret).await.0, 200);

    relay.report(&[part_event("ses_1", "m", "p", "too late")]).await;
    let (status, answer) = relay.flush("ses_1").await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("share_ended")));
    assert_eq!(relay.list().await[0]["state"], "ended");
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "ignored")]).await, 0);

    let anew = relay.share("ses_1", &[session("again")]).await;
    assert_ne!(anew, id);
    assert_eq!(relay.flush("ses_1").await.0, 200);
    assert_eq!(server.get(&format!("/api/share/{anew}")).await.1["title"], "again");
}

#[actix_web::test]
async fn sharing_can_be_switched_off_in_a_file() {
    let fake = FakeServer::obliging();
    let dir = tempfile::TempDir::new().expect("a directory");
    for (name, text) in [("relay.json", r#"{"enabled": false}"#), ("relay.toml", "enabled = false")] {
        let file = dir.path().join(name);
        std::fs::write(&file, text).expect("written");
        let relay = TestRelay::start(&fake.url, &["--config", file.to_str().expect("text")]);
        let (status, answer) =
            relay.request(Method::POST, "/v1/sessions/s/share", &json!({"empty": true})).await;
        assert_eq!((status, &answer["error"]["code"]), (403, &json!("disabled")));
        assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("`enabled`")));
    }
    assert!(fake.seen().is_empty());
}

#[actix_web::test]
async fn bad_input_is_named_and_nothing_of_it_is_kept() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&fake.url, &[]);
    relay.share("ses_1", &[]).await;
    for body in [
        json!(1),
        json!("x"),
        json!({"type": "part.updated", "sessionID": "ses_1"}),
        json!({"sessionID": "ses_1"}),
    ] {
        let (status, answer) = relay.request(Method::POST, "/v1/events", &body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("malformed")), "{body}");
    }
    let (status, answer) = relay
        .request(Method::POST, "/v1/sessions/x/share", &json!({"data": [{"type": "part", "data": {}}]}))
        .await;
    assert_eq!(status, 400);
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("data[0]")));
    assert_eq!(relay.list().await[0]["pending"], 0);
    assert_eq!(relay.list().await.len(), 1);
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "x")]).await, 1);
}

#[actix_web::test]
async fn a_full_spool_says_so_and_takes_again_when_there_is_room() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &["--max-spool", "100KB"]);
    relay.share("ses_1", &[]).await;
    server.kill();
    let text = "x".repeat(10_000);
    let mut taken = 0;
    let full = loop {
        let event = part_event("ses_1", "m", &format!("p{taken}"), &text);
        let (status, answer) = relay.request(Method::POST, "/v1/events", &event).await;
        if status != 202 {
            break (status, answer["error"]["code"].clone());
        }
        taken += 1;
        assert!(taken < 20);
    };
    assert_eq!(full, (507, json!("no_room")));
    // A newer version of what waits takes no more room.
    server.restart();
    relay.flush_through("ses_1").await;
    assert_eq!(relay.report(&[part_event("ses_1", "m", "after", &text)]).await, 1);
    relay.flush_through("ses_1").await;
    let id = relay.list().await[0]["id"].as_str().expect("id").to_owned();
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    assert_eq!(data.as_array().expect("items").len(), taken + 1);
}

#[actix_web::test]
async fn parts_that_waited_stand_in_the_order_in_which_they_first_came() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[message("m", 1)]).await;
    relay.flush_through("ses_1").await;
    server.kill();
    for (id, text) in [("p9", "first"), ("p1", "second"), ("p9", "first, and more of it")] {
        assert_eq!(relay.report(&[part_event("ses_1", "m", id, text)]).await, 1);
    }
    server.restart();
    relay.flush_through("ses_1").await;
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    let texts: Vec<_> =
        data.as_array().expect("items").iter().filter_map(|item| item["data"]["text"].as_str()).collect();
    assert_eq!(texts, ["first, and more of it", "second"]);
}

#[actix_web::test]
async fn what_may_not_go_in_the_clear_any_more_waits() {
    let server = TestServer::start(&[]);
    // Another machine, as far as anybody can tell by its name.
    let elsewhere = server.url.replace("127.0.0.1", "0.0.0.0");
    let mut relay = TestRelay::start(&elsewhere, &["--insecure-http"]);
    let id = relay.share("ses_1", &[message("m", 1)]).await;
    relay.flush_through("ses_1").await;
    relay.terminate();
    relay.restart_with(&server.url, &[]);
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "later")]).await, 1);
    let failed = loop {
        if let Some(error) = relay.list().await[0]["lastError"].as_str() {
            break error.to_owned();
        }
    };
    assert!(failed.contains("--insecure-http"), "{failed}");
    assert_eq!(server.get(&format!("/api/share/{id}/data")).await.1.as_array().map(Vec::len), Some(1));

    relay.terminate();
    relay.restart_with(&server.url, &["--insecure-http"]);
    relay.flush_through("ses_1").await;
    assert_eq!(server.get(&format!("/api/share/{id}/data")).await.1.as_array().map(Vec::len), Some(2));
}

#[actix_web::test]
async fn a_rust_program_can_embed_the_client() {
    let server = TestServer::start(&[]);
    let dir = tempfile::TempDir::new().expect("a directory");
    // With the features of the tests, and without what Cargo tells a test of its package: some build scripts ask to be
    // run again when that changes (`rerun-if-env-changed`), and then this build and the next one compile half of it
    // anew.
    let mut cargo = std::process::Command::new(env!("CARGO"));
    for (name, _) in std::env::vars() {
        if name == "OUT_DIR" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    let built = cargo.args(["build", "--quiet", "--locked", "--workspace", "--example", "embed"]).status();
    assert!(built.expect("cargo runs").success());
    let tests = std::env::current_exe().expect("a path");
    let built = tests.ancestors().nth(2).expect("where Cargo builds");
    let output = std::process::Command::new(built.join("examples/embed"))
        .arg(&server.url)
        .arg(dir.path().join("local"))
        .output()
        .expect("the example runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let url =
        said.lines().next().and_then(|line| line.strip_prefix("shared at ")).expect("a link").to_owned();
    let id = url.rsplit('/').next().expect("an id");
    assert_eq!(server.get(&format!("/api/share/{id}")).await.1["title"], "Embedded");
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    assert_eq!(data[2]["data"]["text"], "Hello from inside");
}
