//! Something answers in the share server's place: a proxy, a log-in page, another server. Nothing is lost by it,
//! nothing is told to others, and no secret is forgotten before the server itself has said that the share is gone.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::fake::FakeServer;
use crate::harness::hostile::{HostileServer, Kind, response};
use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{TestServer, session, until};

fn refusal(status: &str, code: &str) -> String {
    let body = json!({"error": {"code": code, "message": "no"}}).to_string();
    response(status, "content-type: application/json\r\n", &body)
}

/// What may answer instead of the server, by name: none of it is the server's word on a sync, a delete or a create.
fn strangers(other: &str) -> Vec<(&'static str, String)> {
    let html = |status: &str| response(status, "content-type: text/html\r\n", "<html>log in</html>");
    let to = |status: &str| response(status, &format!("location: {other}/elsewhere\r\n"), "");
    vec![
        ("moved for good, 301", to("301 Moved Permanently")),
        ("to a log-in page, 302", to("302 Found")),
        ("see other, 303", to("303 See Other")),
        ("sent on with its body, 307", to("307 Temporary Redirect")),
        ("sent on for good, 308", to("308 Permanent Redirect")),
        ("sent on within the server", response("307 Temporary Redirect", "location: /elsewhere\r\n", "{}")),
        ("a page, 200", html("200 OK")),
        ("a page, 401", html("401 Unauthorized")),
        ("a page, 403", html("403 Forbidden")),
        ("a page, 404", html("404 Not Found")),
        ("a page, 410", html("410 Gone")),
        ("a page, 413", html("413 Payload Too Large")),
        ("a page, 400", html("400 Bad Request")),
        ("nothing, 200", response("200 OK", "", "")),
        ("nothing, 204", "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".into()),
        ("a list", response("200 OK", "", "[]")),
        ("accepted", response("202 Accepted", "", "{}")),
        ("another object's 202", response("202 Accepted", "", r#"{"state":"queued"}"#)),
        ("our shape, 200", refusal("200 OK", "no_such_share")),
        ("our code with another status", refusal("410 Gone", "no_such_share")),
        ("our code with the other's status", refusal("401 Unauthorized", "no_such_share")),
        ("a secret's code with a share's status", refusal("404 Not Found", "wrong_secret")),
        ("an unknown code", refusal("404 Not Found", "no_such_tenant")),
        ("another of our codes", refusal("404 Not Found", "no_such_path")),
        ("a code without our shape", response("404 Not Found", "", r#"{"error":"no_such_share"}"#)),
        ("too large without its status", refusal("400 Bad Request", "item_too_large")),
        ("cut short", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{}".into()),
        ("without an end", response("200 OK", "", &format!("{{}}{}", " ".repeat(1 << 20)))),
        ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n".into()),
        ("closed", String::new()),
    ]
}

fn secrets(relay: &TestRelay) -> String {
    std::fs::read_to_string(relay.local_dir().join("shares.json")).expect("shares")
}

async fn unshare(relay: &TestRelay, session: &str) -> (u16, Value) {
    relay.request(Method::DELETE, &format!("/v1/sessions/{session}/share"), &Value::Null).await
}

#[actix_web::test]
async fn whatever_answers_nothing_is_lost_or_told_and_it_goes_on_when_the_server_is_back() {
    let (server, other) = (HostileServer::start(), HostileServer::start());
    let mut relay = TestRelay::start(&server.url, &["--timeout", "5s"]);
    for (row, (name, answer)) in strangers(&other.url).into_iter().enumerate() {
        let (kept, left, never) = (format!("kept{row}"), format!("left{row}"), format!("never{row}"));
        relay.share(&kept, &[]).await;
        relay.share(&left, &[]).await;
        server.put_in_the_way(&[(Kind::Create, &answer), (Kind::Sync, &answer), (Kind::Delete, &answer)]);

        let (status, _) = relay
            .request(Method::POST, &format!("/v1/sessions/{never}/share"), &json!({"empty": true}))
            .await;
        assert!(matches!(status, 502 | 503), "{name}: create {status}");
        assert_eq!(relay.report(&[part_event(&kept, "m", "p", name)]).await, 1, "{name}");
        let (status, answer) = relay.flush(&kept).await;
        assert_eq!((status, &answer["error"]["code"]), (504, &json!("not_flushed")), "{name}");
        let message = answer["error"]["message"].as_str().expect("words");
        assert!(message.starts_with("1 items wait to be sent"), "{name}: {message}");
        let listed = relay.list().await;
        let of = |session: &str| listed.iter().find(|share| share["sessionID"] == session).cloned();
        let share = of(&kept).expect("kept");
        assert_eq!((&share["state"], &share["pending"]), (&json!("retrying"), &json!(1)), "{name}: {share}");
        assert!(share["lastError"].is_string() && of(&never).is_none(), "{name}");

        assert_eq!(unshare(&relay, &left).await, (202, json!({"state": "removing"})), "{name}");
        assert_eq!(relay.report(&[part_event(&left, "m", "p", "taken back")]).await, 0, "{name}");
        relay.kill();
        relay.restart();
        assert!(secrets(&relay).contains(&format!("secret_{left}")), "{name}");

        server.put_in_the_way(&[]);
        relay.flush_through(&kept).await;
        let gone = async || relay.list().await.iter().all(|share| share["sessionID"] != left.as_str());
        until(&format!("{name}: removed"), gone).await;
        assert!(!secrets(&relay).contains(&format!("secret_{left}")), "{name}");
        let arrived = server
            .seen()
            .iter()
            .any(|seen| seen.path.contains(&kept) && seen.body["data"][0]["data"]["text"] == name);
        assert!(arrived, "{name}");
        assert_eq!(unshare(&relay, &kept).await, (200, json!({})), "{name}");
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());
    assert!(!format!("{:?}", server.seen()).contains("taken back"));
}

#[actix_web::test]
async fn a_refusal_of_another_request_is_none_of_a_delete() {
    let server = HostileServer::start();
    let relay = TestRelay::start(&server.url, &[]);
    for (row, (status, code)) in
        [("413 Payload Too Large", "item_too_large"), ("400 Bad Request", "malformed")]
            .into_iter()
            .enumerate()
    {
        let session = format!("ses{row}");
        relay.share(&session, &[]).await;
        server.put_in_the_way(&[(Kind::Delete, &refusal(status, code))]);
        assert_eq!(unshare(&relay, &session).await.0, 202, "{code}");
        server.put_in_the_way(&[]);
        until("removed", async || relay.list().await.is_empty()).await;
    }
}

#[actix_web::test]
async fn a_delete_that_is_under_way_is_asked_for_until_it_is_done() {
    let server = HostileServer::start();
    let relay = TestRelay::start(&server.url, &[]);
    relay.share("ses_1", &[]).await;
    let deleting = response("202 Accepted", "", r#"{"state":"deleting"}"#);
    server.put_in_the_way(&[(Kind::Delete, &deleting)]);
    assert_eq!(unshare(&relay, "ses_1").await, (202, json!({"state": "removing"})));
    assert_eq!(relay.list().await[0]["state"], "removing");
    assert!(secrets(&relay).contains("secret_ses_1"));
    server.put_in_the_way(&[]);
    until("removed", async || relay.list().await.is_empty()).await;
}

#[actix_web::test]
async fn an_unshare_while_the_server_is_away_holds_and_nothing_is_published_after_it() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[session("t")]).await;
    relay.flush_through("ses_1").await;
    server.kill();
    assert_eq!(unshare(&relay, "ses_1").await.0, 202);
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "after")]).await, 0);
    assert_eq!(relay.flush("ses_1").await.0, 404);
    server.restart();
    until("removed", async || relay.list().await.is_empty()).await;
    assert_eq!(server.get(&format!("/api/share/{id}")).await.0, 404);
}

#[actix_web::test]
async fn a_share_belongs_to_the_server_that_made_it() {
    let (a, b) = (TestServer::start(&[]), TestServer::start(&[]));
    let mut relay = TestRelay::start(&a.url, &[]);
    let id = relay.share("ses_1", &[session("on A")]).await;
    relay.flush_through("ses_1").await;
    relay.kill();
    relay.restart_on(&b.url);
    assert_eq!(relay.list().await[0]["server"], a.url.as_str());
    relay.report(&[part_event("ses_1", "m", "p", "still to A")]).await;
    relay.flush_through("ses_1").await;
    assert_eq!(a.get(&format!("/api/share/{id}/data")).await.1.as_array().map(Vec::len), Some(2));
    assert_eq!(relay.unshare("ses_1").await, 200);
    assert_eq!(a.get(&format!("/api/share/{id}")).await.0, 404);
    let on_b = relay.share("ses_1", &[session("on B")]).await;
    assert_eq!(b.get(&format!("/api/share/{on_b}")).await.0, 200);
}

#[actix_web::test]
async fn shares_of_an_earlier_version_belong_to_the_server_of_the_first_start() {
    let (a, b) = (FakeServer::obliging(), FakeServer::obliging());
    let mut relay = TestRelay::start(&a.url, &[]);
    relay.share("ses_1", &[]).await;
    relay.kill();
    let mut stored: Value = serde_json::from_str(&secrets(&relay)).expect("JSON");
    stored[0].as_object_mut().expect("a share").remove("server");
    std::fs::write(relay.local_dir().join("shares.json"), stored.to_string()).expect("written");
    relay.restart();
    relay.kill();
    relay.restart_on(&b.url);
    assert_eq!(relay.unshare("ses_1").await, 200);
    assert_eq!(a.seen().last().expect("a delete").method, "DELETE");
    assert!(b.seen().is_empty());
}

#[actix_web::test]
async fn a_link_that_commands_a_terminal_is_refused_and_its_share_deleted() {
    let server = HostileServer::start();
    let relay = TestRelay::start(&server.url, &[]);
    let created = json!({"id": "AAAA", "url": "http://x/\u{1b}]0;pwned\u{7} IGNORE ALL", "secret": "s"});
    server.put_in_the_way(&[(Kind::Create, &response("200 OK", "", &created.to_string()))]);
    let (status, answer) =
        relay.request(Method::POST, "/v1/sessions/ses_1/share", &json!({"data": [session("t")]})).await;
    assert_eq!((status, &answer["error"]["code"]), (502, &json!("server_unreachable")));
    until("deleted there", async || relay.list().await.is_empty()).await;
    let seen = server.seen();
    assert_eq!((seen.len(), seen[1].method.as_str(), &seen[1].body["secret"]), (2, "DELETE", &json!("s")));
}

#[actix_web::test]
async fn a_share_whose_secret_cannot_be_stored_is_deleted_there_and_then() {
    let server = HostileServer::start();
    let relay = TestRelay::start(&server.url, &[]);
    // A directory cannot be replaced by a file.
    let file = relay.local_dir().join("shares.json");
    std::fs::create_dir(&file).expect("in the way");
    server.put_in_the_way(&[(Kind::Delete, &response("503 Service Unavailable", "", ""))]);
    let share = relay.request(Method::POST, "/v1/sessions/ses_1/share", &json!({"empty": true})).await;
    assert_eq!((share.0, &share.1["error"]["code"]), (503, &json!("unavailable")));
    server.put_in_the_way(&[]);
    std::fs::remove_dir(&file).expect("gone");
    until("deleted there", async || relay.list().await.is_empty()).await;
    let deletes = server.seen().into_iter().filter(|seen| seen.method == "DELETE").count();
    assert!(deletes >= 1 && relay.log().contains("cannot store a share's secret"), "{}", relay.log());
}

#[actix_web::test]
async fn an_answer_that_comes_before_the_body_is_sent_is_read() {
    let server = HostileServer::start();
    let relay = TestRelay::start(&server.url, &["--max-batch", "32MB", "--interval", "1h"]);
    relay.share("ses_1", &[]).await;
    server.put_in_the_way(&[(Kind::Sync, &refusal("404 Not Found", "no_such_share"))]);
    server.answer_early();
    for part in 0..3 {
        let text = "x".repeat(8 << 20);
        assert_eq!(relay.report(&[part_event("ses_1", "m", &format!("p{part}"), &text)]).await, 1);
    }
    let (status, answer) = relay.flush("ses_1").await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("share_ended")), "{answer}");
}

#[actix_web::test]
async fn a_share_that_is_gone_ends_whatever_size_its_batch_has() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &["--max-batch", "32MB", "--interval", "1h"]);
    let id = relay.share("ses_1", &[session("t")]).await;
    relay.flush_through("ses_1").await;
    let stored: Value = serde_json::from_str(&secrets(&relay)).expect("JSON");
    let secret = json!({"secret": stored[0]["secret"]}).to_string();
    assert_eq!(server.request(Method::DELETE, &format!("/api/share/{id}"), secret).await.0, 200);
    for part in 0..3 {
        let text = "x".repeat(8 << 20);
        assert_eq!(relay.report(&[part_event("ses_1", "m", &format!("p{part}"), &text)]).await, 1);
    }
    let (status, answer) = relay.flush("ses_1").await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("share_ended")), "{answer}");
}
