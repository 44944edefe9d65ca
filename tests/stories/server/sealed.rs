//! Shares whose items only their readers can open: the server keeps them, and has nothing to show.

use std::sync::Arc;

use awc::http::{Method, header};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{ON_DISK, TestServer, TestShare, client, message, part, program, session};

/// What the vectors of the format have.
struct Vectors {
    check: String,
    /// A session, a message and its part.
    items: Vec<Value>,
}

fn vectors() -> Vectors {
    let text = include_str!("../../fixtures/sealed/vectors.json");
    let vectors: Value = serde_json::from_str(text).expect("JSON");
    let case = &vectors["cases"][0];
    let sealed =
        |item: &Value| json!({"type": "sealed", "data": {"id": item["id"], "v": item["v"], "c": item["c"]}});
    Vectors {
        check: case["check"].as_str().expect("a check").to_owned(),
        items: case["items"].as_array().expect("items").iter().take(3).map(sealed).collect(),
    }
}

fn of_version(item: &Value, version: u64, content: &str) -> Value {
    let mut item = item.clone();
    item["data"]["v"] = json!(version);
    item["data"]["c"] = json!(content);
    item
}

async fn share(server: &TestServer, sealed: Value) -> TestShare<'_> {
    let (status, created) = server.post("/api/share", &json!({"sessionID": "x", "sealed": sealed})).await;
    assert_eq!(status, 200, "{created}");
    let text = |name: &str| created[name].as_str().expect(name).to_owned();
    TestShare { server, id: text("id"), secret: text("secret"), url: text("url") }
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[actix_web::test]
async fn sealed_items_come_back_byte_for_byte_and_are_shown_nowhere_else() {
    let server = TestServer::start(&[]);
    let Vectors { check, items } = vectors();
    let share = share(&server, json!({"version": 1, "check": check})).await;
    let mut viewer = share.view_from("?append=1").await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    share.sync(&items).await;
    viewer.until("all items", |viewer| viewer.items.len() == 3).await;
    for item in &items {
        let id = item["data"]["id"].as_str().expect("an id");
        assert_eq!(viewer.items[&format!("sealed/{id}")], item["data"]);
    }
    let (status, page) = server.get(&share.path("/items")).await;
    let listed = page["items"].as_array().expect("items");
    assert_eq!((status, listed.len(), &listed[0]["type"]), (200, 3, &json!("sealed")));

    let (_, summary) = server.get(&share.path("")).await;
    assert_eq!(summary["title"], Value::Null);
    assert_eq!(summary["sealed"], json!({"version": 1, "check": check, "locked": false}));
    let link = format!("/s/{}", share.id);
    for path in [share.path("/data"), format!("{link}.md"), format!("{link}.json")] {
        let answer = server.get(&path).await;
        assert_eq!(code(&answer), (403, "sealed"), "{path}");
        assert!(answer.1.to_string().contains("brutus-share read LINK"));
    }
    let markdown =
        client().get(format!("{}{link}", server.url)).insert_header((header::ACCEPT, "text/markdown"));
    assert_eq!(markdown.send().await.expect("an answer").status().as_u16(), 403);

    let (status, page) = server.get(&link).await;
    let page = page.as_str().expect("HTML");
    assert_eq!(status, 200);
    assert!(page.contains("<title>An encrypted session</title>"));
    assert!(page.contains("<div class=\"written\"></div>"), "nothing is written into it");
    for hint in ["og:description", "text/markdown", "<noscript>", &*check] {
        assert!(!page.contains(hint), "{hint}");
    }
    let picture = client().get(format!("{}{link}.png", server.url)).send().await.expect("an answer");
    assert_eq!(
        (picture.status().as_u16(), picture.headers().get("content-type").expect("a type").as_bytes()),
        (200, &b"image/png"[..])
    );
    let (_, embed) = server.get(&format!("/oembed?url={}", share.url)).await;
    assert_eq!(embed["title"], "An encrypted session");
}

#[actix_web::test]
async fn what_a_sync_may_hold_goes_by_whether_its_share_is_sealed() {
    let server = TestServer::start(&[]);
    let Vectors { check, items } = vectors();
    let sealed = share(&server, json!({"version": 1, "check": check})).await;
    let plain = server.share().await;
    let removal = json!({"type": "sealed.removed", "data": {"id": items[0]["data"]["id"]}});
    for item in [session("open"), message("m", 1), json!({"type": "todo", "data": {"id": "t"}})] {
        let answer = sealed.try_sync(&[items[0].clone(), item]).await;
        assert_eq!(code(&answer), (409, "sealed_mismatch"));
    }
    for item in [&items[0], &removal] {
        let answer = plain.try_sync(&[session("open"), part("m", "p", "text"), item.clone()]).await;
        assert_eq!(code(&answer), (409, "sealed_mismatch"));
    }
    for odd in [
        json!({"id": "session", "v": 1, "c": "AQE"}),
        json!({"id": items[0]["data"]["id"], "v": 1, "c": "AQE", "title": "open"}),
        json!({"id": items[0]["data"]["id"], "v": 0, "c": "AQE"}),
        json!({"id": items[0]["data"]["id"], "v": 1, "c": "not base64url"}),
    ] {
        let answer = sealed.try_sync(&[json!({"type": "sealed", "data": odd})]).await;
        assert_eq!(code(&answer), (400, "malformed"), "{odd}");
    }
    assert_eq!((sealed.seq().await, plain.seq().await), (0, 0), "of a refused batch nothing is stored");
    for wrong in [json!(true), json!({"version": 2, "check": check}), json!({"version": 1, "check": "short"})]
    {
        let answer = server.post("/api/share", &json!({"sessionID": "x", "sealed": wrong})).await;
        assert_eq!(code(&answer), (400, "malformed"));
    }
}

#[actix_web::test]
async fn a_version_that_is_no_newer_takes_nothing_back_and_a_removal_takes_what_is_below() {
    let server = TestServer::start(&[]);
    let Vectors { check, items } = vectors();
    let share = share(&server, json!({"version": 1, "check": check})).await;
    let message = items[1]["data"]["id"].as_str().expect("an id").to_owned();
    let segment = json!({"type": "sealed", "data": {"id": format!("{}/0", items[2]["data"]["id"].as_str().unwrap()),
        "v": 4, "c": "AQEB"}});
    share.sync(&items).await;
    share.sync(&[segment, of_version(&items[1], 9, "bmV3")]).await;
    let seq = share.seq().await;
    // Late, the same again, and both orders in one batch.
    share.sync(&[of_version(&items[1], 8, "b2xk")]).await;
    share.sync(&[of_version(&items[1], 9, "b2xk"), items[0].clone()]).await;
    assert_eq!(share.seq().await, seq, "an answer, and nothing new");
    share.sync(&[of_version(&items[1], 11, "bmV3ZXI"), of_version(&items[1], 10, "b2xk")]).await;
    let mut viewer = share.view().await;
    viewer.until("all items", |viewer| viewer.items.len() == 4).await;
    assert_eq!(viewer.items[&format!("sealed/{message}")], json!({"id": message, "v": 11, "c": "bmV3ZXI"}));

    share.sync(&[json!({"type": "sealed.removed", "data": {"id": message}})]).await;
    viewer.until("the session alone", |viewer| viewer.items.len() == 1).await;
    share.sync(&[of_version(&items[1], 3, "YWdhaW4")]).await;
    viewer.until("it comes again", |viewer| viewer.items.len() == 2).await;
}

#[actix_web::test]
async fn an_operator_sees_that_a_share_is_sealed_and_it_is_so_wherever_it_goes() {
    let mut server = TestServer::start(&ON_DISK);
    let Vectors { check, items } = vectors();
    let door = "R9C0AZ-seKuZY825tIVdJ0K_ia5Lxgnmnol2RYd5oOE";
    let (id, plain) = {
        let share = share(&server, json!({"version": 1, "check": check, "door": door})).await;
        share.sync(&items).await;
        (share.id.clone(), server.share().await.id)
    };
    let shown = |server: &TestServer, id: &str| -> Value {
        serde_json::from_str(&server.operate(&["admin", "show", id, "--json"]).expect("shown")).expect("JSON")
    };
    let of_sealed = shown(&server, &id);
    assert_eq!((&of_sealed["sealed"], &of_sealed["title"]), (&json!(true), &Value::Null));
    assert!(!of_sealed.to_string().contains(&check) && !of_sealed.to_string().contains(door));
    assert_eq!(shown(&server, &plain)["sealed"], false);
    assert!(server.operate(&["admin", "show", &id]).expect("shown").contains("sealed   yes"));

    let summary = server.get(&format!("/api/share/{id}")).await.1;
    assert_eq!(summary["sealed"]["locked"], true);
    server.crash_and_restart();
    assert_eq!(server.get(&format!("/api/share/{id}")).await.1["sealed"], summary["sealed"]);
    server.signal("-TERM");
    assert!(server.wait().success());
    let moved = Arc::new(TempDir::new().expect("a directory"));
    let done = program()
        .arg("move")
        .env("BRUTUS_SHARE_MOVE_FROM", server.data_dir())
        .env("BRUTUS_SHARE_MOVE_TO", moved.path().join("data"))
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let server = TestServer::start_on(moved, &ON_DISK);
    assert_eq!(server.get(&format!("/api/share/{id}")).await.1["sealed"], summary["sealed"]);
    let answer = server.request(Method::GET, &format!("/api/share/{id}/data"), Vec::new()).await;
    assert_eq!(code(&answer), (403, "sealed"));
}
