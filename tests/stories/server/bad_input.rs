//! What a client should not send: each has its status and says what is wrong, nothing of it is stored, and the next
//! good request works.

use std::io::Write;

use awc::http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::{TestServer, TestShare, message, part, session};

async fn still_works(share: &TestShare<'_>) {
    let before = share.data().await;
    let good = part("m", &format!("good{}", before.len()), "works");
    share.sync(std::slice::from_ref(&good)).await;
    let after = share.data().await;
    assert_eq!(after.len(), before.len() + 1);
    assert!(after.contains(&good));
}

fn assert_refused(answer: &(u16, Value), status: u16, code: &str) {
    assert_eq!(answer.0, status, "{}", answer.1);
    assert_eq!(answer.1["error"]["code"], code, "{}", answer.1);
    assert!(answer.1["error"]["message"].as_str().is_some_and(|message| message.len() > 10));
}

#[actix_web::test]
async fn malformed_bodies_are_400() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let secret = &share.secret;
    let nested = format!(
        r#"{{"secret":"{secret}","data":[{{"type":"x","data":{}{}}}]}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".into(),
        b"null".into(),
        b"[]".into(),
        b"\"text\"".into(),
        b"{}".into(),
        br#"{"secret":1,"data":[]}"#.into(),
        br#"{"secret":null,"data":[]}"#.into(),
        format!(r#"{{"secret":"{secret}"}}"#).into(),
        format!(r#"{{"secret":"{secret}","data":{{}}}}"#).into(),
        format!(r#"{{"secret":"{secret}","data":[1]}}"#).into(),
        format!(r#"{{"secret":"{secret}","data":[{{"type":"part"}}]}}"#).into(),
        format!(r#"{{"secret":"{secret}","data":[{{"data":{{}}}}]}}"#).into(),
        format!(r#"{{"secret":"{secret}","data":[{{"type":5,"data":{{}}}}]}}"#).into(),
        format!(r#"{{"secret":"{secret}","secret":"{secret}","data":[]}}"#).into(),
        [format!(r#"{{"secret":"{secret}","data":[{{"type":"x","data":""#).as_bytes(), b"\xff\xfe\"}]}"]
            .concat(),
        format!(r#"{{"secret":"{secret}","data":[{{"type":"session","data":{{"id":"s""#).into(),
        nested.into(),
    ];
    for body in bodies {
        let answer = server.request(Method::POST, &share.path("/sync"), body).await;
        assert_refused(&answer, 400, "malformed");
    }
    for items in [
        json!([{"type": "message", "data": {}}]),
        json!([{"type": "part", "data": {"id": "p"}}]),
        json!([{"type": "part", "data": {"id": "p", "messageID": 5}}]),
        json!([{"type": "part", "data": "text"}]),
        json!([{"type": "session", "data": null}]),
        json!([{"type": "model", "data": {}}]),
        json!([{"type": "model", "data": [{"id": "x"}]}]),
        json!([{"type": "session_diff", "data": "x"}]),
        json!([{"type": "Not A Type", "data": 1}]),
        json!([{"type": "../../etc", "data": 1}]),
        json!([{"type": "message.removed", "data": {}}]),
        // All of a batch or nothing of it.
        json!([message("m", 1), part("m", "p", "ok"), {"type": "part", "data": {}}]),
    ] {
        let answer = server.post(&share.path("/sync"), &json!({"secret": secret, "data": items})).await;
        assert_refused(&answer, 400, "malformed");
    }
    assert!(share.data().await.is_empty());
    still_works(&share).await;
}

#[actix_web::test]
async fn a_nul_is_no_part_of_a_name_and_content_keeps_it() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let nul = "a\0b";
    for data in [
        json!({"type": "message", "data": {"id": nul}}),
        json!({"type": "part", "data": {"id": nul, "messageID": "m"}}),
        json!({"type": "part", "data": {"id": "p", "messageID": nul}}),
        json!({"type": "messages", "data": {"sessionID": nul, "messages": []}}),
        json!({"type": "todo", "data": {"id": nul}}),
        json!({"type": "todo.removed", "data": {"id": nul}}),
        json!({"type": nul, "data": 1}),
    ] {
        assert_refused(&share.try_sync(&[session("t"), data]).await, 400, "malformed");
    }
    assert!(share.data().await.is_empty());
    // Content is JSON, in which it stands escaped.
    let item = part("m", "p", nul);
    share.sync(&[session(nul), message("m", 1), item.clone()]).await;
    assert!(share.data().await.contains(&item));
    let (status, created) = server.post("/api/share", &json!({"sessionID": nul})).await;
    assert_eq!(status, 200, "{created}");
    for path in ["/api/share/a%00b", "/s/a%00b", "/s/a%00b.md", "/t/a%00b/api/share/x"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    let query = share.path("/items?after=1&epoch=a%00b");
    assert_eq!(server.get(&query).await.0, 200);
    let wrong = json!({"secret": nul, "data": []});
    assert_refused(&server.post(&share.path("/sync"), &wrong).await, 401, "wrong_secret");
    assert_eq!(share.delete(nul).await, 401);
    assert_eq!(share.delete(&share.secret).await, 200);
}

#[actix_web::test]
async fn a_create_needs_a_session_id() {
    let server = TestServer::start(&[]);
    for body in ["", "{}", r#"{"sessionID":""}"#, r#"{"sessionID":7}"#, "[]", r#"{"sessionID":null}"#] {
        assert_refused(&server.request(Method::POST, "/api/share", body).await, 400, "malformed");
    }
    let long = json!({"sessionID": "ä".repeat(257)});
    assert_refused(&server.post("/api/share", &long).await, 400, "malformed");
    assert_eq!(server.post("/api/share", &json!({"sessionID": "ä".repeat(256), "more": 1})).await.0, 200);
}

#[actix_web::test]
async fn wrong_secrets_shares_methods_and_paths_have_their_statuses() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let wrong =
        server.post(&share.path("/sync"), &json!({"secret": "wrong", "data": [session("stolen")]})).await;
    assert_refused(&wrong, 401, "wrong_secret");
    assert_eq!(share.delete("wrong").await, 401);
    let other = server.share().await;
    assert_eq!(share.delete(&other.secret).await, 401);
    assert_eq!(server.get(&share.path("")).await.1["title"], "t");

    let unknown = "0123456789abcdefghijkl";
    for id in
        [unknown, "short", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "0123456789abcdefghij%2fk", "%C3%A4"]
    {
        for rest in ["", "/data", "/items"] {
            let (status, answer) = server.get(&format!("/api/share/{id}{rest}")).await;
            assert_eq!(status, 404, "{id}{rest}");
            assert!(answer["error"]["code"].is_string());
        }
        let sync = json!({"secret": share.secret, "data": []});
        assert_eq!(server.post(&format!("/api/share/{id}/sync"), &sync).await.0, 404);
    }
    for (method, path) in [
        (Method::GET, "/api/share"),
        (Method::PUT, "/api/share"),
        (Method::GET, &*share.path("/sync")),
        (Method::POST, &share.path("/data")),
        (Method::DELETE, &share.path("/items")),
        (Method::PUT, &share.path("")),
        (Method::POST, "/healthz"),
    ] {
        assert_refused(&server.request(method, path, "").await, 405, "method_not_allowed");
    }
    for path in [
        "/",
        "/api",
        "/api/share/a/b/c",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/none.js",
    ] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    assert_refused(&server.get(&share.path("/poll")).await, 400, "not_an_upgrade");
    still_works(&share).await;
}

#[actix_web::test]
async fn what_is_too_large_is_413_and_nothing_of_it_is_stored() {
    let server = TestServer::start(&["--max-body", "100KB", "--max-item", "20KB", "--max-share", "60KB"]);
    let share = server.share().await;
    let item = |id: &str, bytes: usize| part("m", id, &"x".repeat(bytes));
    assert_refused(&share.try_sync(&[item("a", 10), item("b", 20_000)]).await, 413, "item_too_large");
    assert_refused(&share.try_sync(&vec![item("a", 15_000); 7]).await, 413, "body_too_large");
    assert_refused(
        &server.request(Method::POST, &share.path("/sync"), vec![b' '; 3 << 20]).await,
        413,
        "body_too_large",
    );
    let four: Vec<_> = ["a", "b", "c", "d"].into_iter().map(|id| item(id, 15_500)).collect();
    assert_refused(&share.try_sync(&four).await, 413, "share_too_large");
    assert!(share.data().await.is_empty());
    share.sync(&four[..3]).await;
    assert_refused(&share.try_sync(&four[3..]).await, 413, "share_too_large");
    // An item in place of its older version costs the difference.
    share.sync(&[item("a", 15_501)]).await;
    still_works(&share).await;
}

#[actix_web::test]
async fn a_body_that_is_not_what_it_says_is_no_loss() {
    let server = TestServer::start(&["--max-body", "1MiB"]);
    let share = server.share().await;
    let body = json!({"secret": share.secret, "data": [session("t")]}).to_string();
    let request = |length: usize, body: &str| {
        format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}",
            share.path("/sync")
        )
    };
    // Announced larger than allowed; shorter than sent; not a number; twice.
    assert!(server.raw(request(5 << 30, "{}").as_bytes()).starts_with("HTTP/1.1 413"));
    assert!(server.raw(request(body.len() - 5, &body).as_bytes()).starts_with("HTTP/1.1 400"));
    let lying = request(7, &body).replace("content-length: 7", "content-length: seven");
    assert!(server.raw(lying.as_bytes()).starts_with("HTTP/1.1 400"));
    let twice = request(7, &body).replace("content-length: 7", "content-length: 7\r\ncontent-length: 9");
    assert!(server.raw(twice.as_bytes()).starts_with("HTTP/1.1 400"));
    // Chunks without a length, over the limit.
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    let chunked = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n",
        share.path("/sync")
    );
    assert!(server.raw(chunked.as_bytes()).starts_with("HTTP/1.1 413"));
    // Half a body, and gone.
    let mut half = std::net::TcpStream::connect(&server.address).expect("connects");
    half.write_all(request(body.len(), &body[..20]).as_bytes()).expect("sent");
    drop(half);
    assert!(share.data().await.is_empty());
    still_works(&share).await;
}

#[actix_web::test]
async fn creates_are_limited_for_each_address() {
    let server = TestServer::start(&["--create-limit", "3/h"]);
    for _ in 0..3 {
        server.share().await;
    }
    let url = format!("{}/api/share", server.url);
    let mut answer =
        crate::harness::client().post(url).send_body(r#"{"sessionID":"s"}"#).await.expect("an answer");
    assert_eq!(answer.status(), 429);
    let wait: u64 = answer
        .headers()
        .get("retry-after")
        .expect("a time")
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=1200).contains(&wait), "{wait}");
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "too_many_creates");
}

#[actix_web::test]
async fn a_viewer_that_sends_data_is_closed_with_a_code() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[message("m", 1)]).await;
    let fragment = Message::Frame(Frame::message("half", OpCode::Data(Data::Text), false));
    let cases: Vec<(Message, u16)> = vec![
        (Message::text("hello"), 1003),
        (Message::binary(vec![1, 2, 3]), 1003),
        (fragment, 1003),
        (Message::text("x".repeat(10 << 20)), 1009),
        (Message::binary(vec![0; 70_000]), 1009),
    ];
    for (message, code) in cases {
        let mut viewer = share.view().await;
        viewer.until("caught up", |viewer| viewer.caught_up).await;
        viewer.try_send(message).await;
        viewer.until_closed().await;
        assert_eq!(viewer.close_code, Some(code));
    }
    // Pings and closes are what a viewer may send.
    let mut viewer = share.view().await;
    viewer.send(Message::Ping(vec![1].into())).await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    viewer.send(Message::Close(None)).await;
    viewer.until_closed().await;
    still_works(&share).await;
}
