//! Whatever happens to the network, the server or the relay: what was accepted arrives.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::proxy::BadNetwork;
use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{TestServer, session};

/// What the server has: part ids and texts.
async fn stored(server: &TestServer, id: &str) -> BTreeMap<String, String> {
    let (status, data) = server.get(&format!("/api/share/{id}/data")).await;
    assert_eq!(status, 200);
    let items = data.as_array().expect("items").iter().filter(|item| item["type"] == "part");
    items.map(|item| (item["data"]["id"].to_string(), item["data"]["text"].to_string())).collect()
}

/// Reports a part, and notes what should be on the server.
async fn report(relay: &TestRelay, model: &mut BTreeMap<String, String>, id: &str, text: &str) {
    assert_eq!(relay.report(&[part_event("ses_1", "m", id, text)]).await, 1);
    model.insert(json!(id).to_string(), json!(text).to_string());
}

#[actix_web::test]
async fn server_away_and_relay_killed_the_newest_of_all_that_was_accepted_arrives() {
    let mut server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[session("t")]).await;
    let mut model = BTreeMap::new();
    for round in 0..4 {
        for n in 0..20 {
            report(&relay, &mut model, &format!("p{}", (n * 7 + round) % 30), &format!("{round}-{n}")).await;
        }
        match round {
            0 => server.kill(),
            1 => {
                relay.kill();
                relay.restart();
            }
            2 => {
                server.restart();
                relay.kill();
                relay.restart();
            }
            _ => {}
        }
    }
    relay.flush_through("ses_1").await;
    assert_eq!(stored(&server, &id).await, model);
    assert_eq!(relay.list().await[0]["pending"], 0);
}

#[actix_web::test]
async fn over_a_bad_network_the_end_is_the_same_for_every_seed() {
    let server = TestServer::start(&[]);
    for seed in 0..12 {
        let network = BadNetwork::start(&server.address, seed);
        let mut relay = TestRelay::start(&network.url, &["--interval", "5ms", "--timeout", "2s"]);
        let share = async {
            loop {
                let (status, shared) = relay
                    .request(awc::http::Method::POST, "/v1/sessions/ses_1/share", &json!({"empty": true}))
                    .await;
                match status {
                    200 => break shared["id"].as_str().expect("id").to_owned(),
                    502 | 503 => {}
                    other => panic!("{other} {shared}"),
                }
            }
        };
        let id = share.await;
        let mut model = BTreeMap::new();
        for n in 0..60_u64 {
            let id = format!("p{}", (n * (seed + 3)) % 13);
            if n % 11 == 10 {
                let removed = json!({"messageID": "m", "id": id});
                relay.report(&[json!({"type": "part.removed", "sessionID": "ses_1", "data": removed})]).await;
                model.remove(&json!(id).to_string());
            } else {
                report(
                    &relay,
                    &mut model,
                    &id,
                    &format!("{seed} {n} {}", "z".repeat(usize::try_from(n * 13 % 700).expect("small"))),
                )
                .await;
            }
            if n == 30 {
                relay.kill();
                relay.restart();
            }
        }
        network.heal();
        relay.flush_through("ses_1").await;
        assert_eq!(stored(&server, &id).await, model, "seed {seed}");
    }
}

#[actix_web::test]
async fn what_is_pending_at_sigterm_arrives_and_what_cannot_stays() {
    let mut server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &["--interval", "1h"]);
    let id = relay.share("ses_1", &[]).await;
    let mut model = BTreeMap::new();
    relay.flush_through("ses_1").await;
    report(&relay, &mut model, "p1", "pending").await;
    assert!(stored(&server, &id).await.is_empty());
    assert_eq!(relay.terminate(), Some(0));
    assert_eq!(stored(&server, &id).await, model);

    relay.restart();
    relay.flush_through("ses_1").await;
    server.kill();
    report(&relay, &mut model, "p2", "stays").await;
    assert_eq!(relay.terminate(), Some(0));
    server.restart();
    relay.restart();
    relay.flush_through("ses_1").await;
    assert_eq!(stored(&server, &id).await, model);
}

#[actix_web::test]
async fn a_flush_after_a_restart_waits_for_all_that_was_left() {
    let mut server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &["--max-batch", "10KB"]);
    let id = relay.share("ses_1", &[]).await;
    relay.flush_through("ses_1").await;
    server.kill();
    let mut model = BTreeMap::new();
    for n in 0..20 {
        report(&relay, &mut model, &format!("p{n:02}"), &"x".repeat(4_000)).await;
    }
    relay.kill();
    server.restart();
    relay.restart();
    relay.flush_through("ses_1").await;
    assert_eq!(stored(&server, &id).await, model);
}
