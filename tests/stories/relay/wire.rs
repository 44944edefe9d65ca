//! What the relay sends, to our server and to others that speak the same wire.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::fake::{FakeServer, created};
use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{TestServer, recorded_batches};

#[actix_web::test]
async fn the_wire_is_opencodes() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&format!("{}/", fake.url), &[]);
    let batches = recorded_batches();
    relay.share("ses_1", &batches[0]).await;
    relay.flush("ses_1").await;
    relay.unshare("ses_1").await;
    let seen = fake.seen();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str(), &seen[0].body),
        ("POST", "/api/share", &json!({"sessionID": "ses_1"}))
    );
    assert_eq!((seen[1].method.as_str(), seen[1].path.as_str()), ("POST", "/api/share/share1/sync"));
    assert_eq!(seen[1].body["secret"], "the-secret");
    let sent = seen[1].body["data"].as_array().expect("data");
    for item in batches[0].iter().filter(|item| item["type"] == "part") {
        assert!(sent.contains(item), "{item} in {sent:?}");
    }
    let last = seen.last().expect("a request");
    assert_eq!(
        (last.method.as_str(), last.path.as_str(), &last.body),
        ("DELETE", "/api/share/share1", &json!({"secret": "the-secret"}))
    );
}

#[actix_web::test]
async fn a_server_that_answers_500_to_a_wrong_secret_is_asked_ever_more_rarely() {
    let fake = FakeServer::start(|seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("POST", "/api/share") => (200, created()),
        ("GET", _) => (200, json!([])),
        _ => (500, json!({"error": "Internal Server Error"})),
    });
    let relay = TestRelay::start(&fake.url, &["--max-backoff", "1h"]);
    relay.share("ses_1", &[]).await;
    relay.report(&[part_event("ses_1", "m", "p", "x")]).await;
    let (status, answer) = relay.flush("ses_1").await;
    assert_eq!((status, &answer["error"]["code"]), (504, &json!("not_flushed")));
    let list = relay.list().await;
    assert_eq!((&list[0]["state"], &list[0]["pending"]), (&json!("retrying"), &json!(1)));
    assert!(list[0]["lastError"].as_str().is_some_and(|error| error.contains("500")));
    let tries = fake.syncs().len();
    for _ in 0..20 {
        relay.report(&[part_event("ses_1", "m", "p", "y")]).await;
    }
    assert!(fake.syncs().len() <= tries + 1, "updates do not hurry the next try");
}

#[actix_web::test]
async fn a_server_that_asks_to_wait_is_given_the_time() {
    let asked = AtomicUsize::new(0);
    let fake = FakeServer::start(move |seen| match seen.path.as_str() {
        "/api/share" => (200, created()),
        _ if asked.fetch_add(1, Ordering::Relaxed) < 2 => (429, json!({})),
        _ => (200, json!({})),
    });
    let relay = TestRelay::start(&fake.url, &[]);
    relay.share("ses_1", &[]).await;
    relay.report(&[part_event("ses_1", "m", "p", "x")]).await;
    relay.flush_through("ses_1").await;
    assert_eq!(fake.syncs().len(), 3);
}

#[actix_web::test]
async fn the_one_item_that_the_server_will_not_take_is_found_and_the_rest_arrives() {
    let server = TestServer::start(&["--max-item", "20KB", "--max-body", "200KB"]);
    let relay = TestRelay::start(&server.url, &["--interval", "1h"]);
    let id = relay.share("ses_1", &[]).await;
    let mut events: Vec<Value> =
        (0..40).map(|n| part_event("ses_1", "m", &format!("p{n:02}"), &"x".repeat(9_000))).collect();
    events[17] = part_event("ses_1", "m", "big", &"x".repeat(30_000));
    assert_eq!(relay.report(&events).await, 40);
    relay.flush_through("ses_1").await;
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    assert_eq!(data.as_array().expect("items").len(), 39);
    let list = relay.list().await;
    assert_eq!(
        (&list[0]["setAside"], &list[0]["pending"], &list[0]["state"]),
        (&json!(1), &json!(0), &json!("active"))
    );
}

#[actix_web::test]
async fn batches_stay_below_their_limit() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&fake.url, &["--max-batch", "50KB", "--interval", "1h"]);
    relay.share("ses_1", &[]).await;
    let events: Vec<_> =
        (0..50).map(|n| part_event("ses_1", "m", &format!("p{n:02}"), &"x".repeat(6_000))).collect();
    relay.report(&events).await;
    relay.flush_through("ses_1").await;
    let sizes: Vec<_> = fake.syncs().iter().map(|sync| sync.body.to_string().len()).collect();
    assert!(sizes.len() >= 6 && sizes.iter().all(|size| *size < 52_000), "{sizes:?}");
    let ids: Vec<_> = fake
        .syncs()
        .iter()
        .flat_map(|sync| sync.body["data"].as_array().expect("data").clone())
        .map(|item| item["data"]["id"].to_string())
        .collect();
    assert!(ids.len() == 50 && ids.is_sorted(), "in order, each once");
}
