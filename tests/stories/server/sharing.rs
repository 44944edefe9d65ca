//! A session is shared: created, synced, read.

use awc::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::harness::{ON_DISK, TestServer, client, message, part, recorded_batches, session};

#[actix_web::test]
async fn a_share_is_created_synced_and_read() {
    let server = TestServer::start(&["--public-url", "https://share.example/base/"]);
    let share = server.share().await;
    assert_eq!(share.id.len(), 22);
    assert!(share.id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(share.url, format!("https://share.example/base/s/{}", share.id));
    assert_eq!(uuid::Uuid::parse_str(&share.secret).expect("a UUID").get_version_num(), 4);

    let (status, empty) = server.get(&share.path("")).await;
    assert_eq!((status, &empty["title"], &empty["seq"]), (200, &Value::Null, &json!(0)));
    assert_eq!(share.data().await, Vec::<Value>::new());

    share.sync(&[part("msg_1", "prt_1", "first"), session("Fix the parser"), message("msg_1", 5)]).await;
    let (_, summary) = server.get(&share.path("")).await;
    assert_eq!(summary["id"], share.id);
    assert_eq!(summary["title"], "Fix the parser");
    assert_eq!(summary["viewers"], 0);
    assert_eq!(summary["seq"], 3);
    assert!(summary["updatedAt"].as_i64() >= summary["createdAt"].as_i64());
    assert!(summary["createdAt"].as_i64() > Some(1_700_000_000_000));
}

#[actix_web::test]
async fn every_create_is_a_new_share() {
    let server = TestServer::start(&[]);
    let (one, two) = (server.share().await, server.share().await);
    assert_ne!(one.id, two.id);
    assert_ne!(one.secret, two.secret);
    one.sync(&[session("one")]).await;
    assert!(two.data().await.is_empty());
}

#[actix_web::test]
async fn the_recorded_session_is_read_back_in_reading_order() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let mut newest = std::collections::BTreeMap::new();
    for batch in recorded_batches() {
        share.sync(&batch).await;
        for item in batch {
            let data = &item["data"];
            let key = match item["type"].as_str().expect("type") {
                "message" => format!("message/{}", data["id"]),
                "part" => format!("part/{}/{}", data["messageID"], data["id"]),
                other => other.to_owned(),
            };
            newest.insert(key, item);
        }
    }
    let data = share.data().await;
    let kinds: Vec<_> = data.iter().map(|item| item["type"].as_str().expect("type")).collect();
    assert_eq!(data.len(), newest.len());
    assert_eq!(kinds[0], "session");
    assert_eq!(kinds.iter().filter(|kind| **kind == "model").count(), 1);

    // Every part is what was sent last, under its message; messages by time, then id.
    let (mut message, mut parts, mut messages) = (Value::Null, Vec::new(), Vec::new());
    for item in &data {
        let data = &item["data"];
        match item["type"].as_str() {
            Some("message") => {
                assert!(parts.is_sorted());
                parts.clear();
                message = data["id"].clone();
                messages.push((data["time"]["created"].as_u64(), message.to_string()));
            }
            Some("part") => {
                assert_eq!(data["messageID"], message);
                parts.push(data["id"].to_string());
                assert_eq!(*item, newest[&format!("part/{}/{}", data["messageID"], data["id"])]);
            }
            _ => {}
        }
    }
    assert!(messages.len() > 5 && messages.is_sorted());
}

#[actix_web::test]
async fn parts_without_a_message_and_unknown_types_come_last_and_whole() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let todo = json!({"type": "todo.list", "data": {"id": 7, "done": false}});
    let v2 = json!({"type": "messages", "data": {"sessionID": "s", "messages": []}});
    share
        .sync(&[v2.clone(), part("lost", "p", "orphan"), todo.clone(), message("b", 1), message("a", 1)])
        .await;
    assert_eq!(
        share.data().await,
        vec![message("b", 1), message("a", 1), part("lost", "p", "orphan"), v2, todo]
    );
}

#[actix_web::test]
async fn what_is_private_is_stripped_before_it_is_stored() {
    let server = TestServer::start(&ON_DISK);
    let share = server.share().await;
    let marker = "sk-must-not-be-kept";
    share
        .sync(&[
            json!({"type": "session", "data": {
                "id": "s", "title": "t", "permission": [marker], "metadata": {"k": marker},
            }}),
            json!({"type": "message", "data": {"id": "m", "role": "user", "system": marker, "time": {"created": 1}}}),
            json!({"type": "model", "data": [{
                "id": "x", "providerID": "p", "name": "X", "headers": {"auth": marker}, "cost": {"input": 1},
                "options": {"apiKey": marker}, "api": {"url": marker},
            }]}),
        ])
        .await;
    share.sync(&[json!({"type": "model", "data": [{"id": "y", "providerID": "p", "key": marker}]})]).await;
    assert_eq!(
        share.data().await,
        vec![
            json!({"type": "session", "data": {"id": "s", "title": "t"}}),
            json!({"type": "message", "data": {"id": "m", "role": "user", "time": {"created": 1}}}),
            json!({"type": "model", "data": [{"id": "x", "providerID": "p", "name": "X", "cost": {"input": 1}},
                                             {"id": "y", "providerID": "p"}]}),
        ]
    );
    for file in std::fs::read_dir(server.data_dir()).expect("the directory") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("bytes");
        assert!(!bytes.windows(marker.len()).any(|window| window == marker.as_bytes()));
    }
}

#[actix_web::test]
async fn removed_messages_take_their_parts_with_them() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share
        .sync(&[
            message("m", 1),
            part("m", "p1", "a"),
            part("m", "p2", "b"),
            message("n", 2),
            part("n", "p3", "c"),
        ])
        .await;
    share.sync(&[json!({"type": "part.removed", "data": {"messageID": "n", "id": "p3"}})]).await;
    share.sync(&[json!({"type": "message.removed", "data": {"id": "m"}})]).await;
    assert_eq!(share.data().await, vec![message("n", 2)]);
    share.sync(&[part("n", "p3", "again")]).await;
    assert_eq!(share.data().await, vec![message("n", 2), part("n", "p3", "again")]);
}

#[actix_web::test]
async fn the_same_batch_again_changes_nothing() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let batch = [session("t"), message("m", 1), part("m", "p", "text")];
    share.sync(&batch).await;
    let seq = share.seq().await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    share.sync(&batch).await;
    share.sync(&[json!({"type": "part.removed", "data": {"messageID": "m", "id": "never"}})]).await;
    assert_eq!(share.seq().await, seq);
    // The next change is the next frame: the repeated batch woke nobody.
    share.sync(&[part("m", "p2", "new")]).await;
    viewer.until("the new part", |viewer| viewer.items.contains_key("part/m/p2")).await;
    assert_eq!(viewer.frames, 2);
}

#[actix_web::test]
async fn twenty_clients_at_once_lose_nothing() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let clients = (0..20).map(|client| {
        let share = &share;
        async move {
            for round in 0..10 {
                let id = format!("p{round:02}");
                share
                    .sync(&[
                        part(&format!("m{client:02}"), &id, "v1"),
                        part("shared", &format!("c{client}"), &id),
                    ])
                    .await;
            }
        }
    });
    futures_util::future::join_all(clients).await;
    let data = share.data().await;
    assert_eq!(data.len(), 20 * 10 + 20);
    assert!(
        data.iter()
            .filter(|item| item["data"]["messageID"] == "shared")
            .all(|item| item["data"]["text"] == "p09")
    );
}

#[actix_web::test]
async fn slashes_collapse_and_the_plural_is_an_alias() {
    let server = TestServer::start(&[]);
    let (status, created) = server.post("//api//shares", &json!({"sessionID": "s"})).await;
    assert_eq!(status, 200);
    let id = created["id"].as_str().expect("id");
    let sync = json!({"secret": created["secret"], "data": [session("t")]});
    assert_eq!(server.post(&format!("//api/shares/{id}/sync"), &sync).await.0, 200);
    assert_eq!(server.get(&format!("/api/share/{id}")).await.1["title"], "t");
    let deleted = json!({"secret": created["secret"]}).to_string();
    assert_eq!(server.request(Method::DELETE, &format!("/api/shares//{id}"), deleted).await.0, 200);
}

#[actix_web::test]
async fn content_is_compressed_tagged_and_not_to_be_kept() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let text = "the same words again and again ".repeat(200);
    share.sync(&[message("m", 1), part("m", "p", &text)]).await;
    for rest in ["/data", "/items?after=0"] {
        let url = format!("{}{}", server.url, share.path(rest));
        for coding in ["gzip", "br"] {
            let answer =
                client().get(&url).no_decompress().insert_header(("accept-encoding", coding)).send().await;
            let mut answer = answer.expect("an answer");
            assert_eq!(answer.headers().get(header::CONTENT_ENCODING).expect("encoded"), coding);
            assert_eq!(answer.headers().get(header::CACHE_CONTROL).expect("cached"), "no-store");
            assert!(answer.body().await.expect("a body").len() < text.len() / 4);
        }
        let answer = client().get(&url).send().await.expect("an answer");
        let tag = answer.headers().get(header::ETAG).expect("a tag").clone();
        let again = client().get(&url).insert_header((header::IF_NONE_MATCH, tag.clone())).send().await;
        assert_eq!(again.expect("an answer").status(), StatusCode::NOT_MODIFIED);
        share.sync(&[part("m", "p2", rest)]).await;
        let changed = client().get(&url).insert_header((header::IF_NONE_MATCH, tag)).send().await;
        assert_eq!(changed.expect("an answer").status(), StatusCode::OK);
    }
}

#[actix_web::test]
async fn items_are_read_from_a_position() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[message("m", 1), part("m", "p1", "one")]).await;
    let (_, first) = server.get(&share.path("/items")).await;
    assert_eq!(first["type"], "items");
    assert_eq!((first["items"].as_array().map(Vec::len), &first["more"]), (Some(2), &json!(false)));
    share
        .sync(&[
            part("m", "p2", "two"),
            json!({"type": "part.removed", "data": {"messageID": "m", "id": "p1"}}),
        ])
        .await;
    let position = format!("/items?after={}&epoch={}", first["seq"], first["epoch"].as_str().expect("epoch"));
    let (_, second) = server.get(&share.path(&position)).await;
    assert_eq!(
        second["items"],
        json!([{"key": "part/m/p2", "type": "part", "data": part("m", "p2", "two")["data"]}])
    );
    assert_eq!(second["removed"], json!(["part/m/p1"]));
    // A position of another epoch, or from the future, is none.
    for position in ["/items?after=2&epoch=other", "/items?after=999", "/items?after=2"] {
        let (_, all) = server.get(&share.path(position)).await;
        assert_eq!(
            (all["items"].as_array().map(Vec::len), &all["removed"]),
            (Some(2), &json!([])),
            "{position}"
        );
    }
    assert_eq!(server.get(&share.path("/items?after=x")).await.0, 400);
}

#[actix_web::test]
async fn a_large_share_comes_in_several_frames_and_whole() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let text = "x".repeat(30_000);
    for batch in 0..5 {
        let parts: Vec<_> = (0..20).map(|n| part(&format!("m{batch}"), &format!("p{n:02}"), &text)).collect();
        share.sync(&parts).await;
    }
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    assert_eq!(viewer.items.len(), 100);
    assert!(viewer.frames > 10);
    let (mut after, mut epoch, mut items) = (0, String::new(), 0);
    loop {
        let (_, frame) = server.get(&share.path(&format!("/items?after={after}&epoch={epoch}"))).await;
        items += frame["items"].as_array().expect("items").len();
        (after, epoch) =
            (frame["seq"].as_u64().expect("seq"), frame["epoch"].as_str().expect("epoch").to_owned());
        if frame["more"] == json!(false) {
            break;
        }
    }
    assert_eq!(items, 100);
}

#[actix_web::test]
async fn an_idle_share_leaves_memory_and_comes_back_whole() {
    let server = TestServer::start(&["--share-idle", "50ms"]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1), part("m", "p", "text")]).await;
    for round in 0..20 {
        // Sometimes loaded, sometimes not, sometimes just leaving: the answer is the same.
        tokio::time::sleep(std::time::Duration::from_millis(30 + (round * 29) % 120)).await;
        share.sync(&[part("m", &format!("r{round:02}"), "again")]).await;
        assert_eq!(share.data().await.len(), 4 + usize::try_from(round).expect("small"));
    }
    assert!(server.log().matches("loaded").count() > 5, "it never left memory");
}
