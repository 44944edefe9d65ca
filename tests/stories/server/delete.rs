//! A share is deleted.

use crate::harness::{LongReader, ON_DISK, TestServer, TestShare, message, part, session, sqlite, until};

#[actix_web::test]
async fn a_deleted_share_is_gone_for_everyone() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1), part("m", "p", "text")]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;

    assert_eq!(share.delete("wrong").await, 401);
    assert_eq!(share.delete(&share.secret).await, 200);
    viewer.until_closed().await;
    assert_eq!((viewer.closed.as_deref(), viewer.close_code), (Some("deleted"), Some(4410)));

    for rest in ["", "/data", "/items", "/poll"] {
        let status = server.get(&share.path(rest)).await.0;
        // `/poll` without an upgrade is refused as such.
        assert_eq!(status, if rest == "/poll" { 400 } else { 404 }, "{rest}");
    }
    assert_eq!(server.get(&format!("/s/{}", share.id)).await.0, 404);
    assert_eq!(share.try_sync(&[session("again")]).await.0, 404);
    let url = share.poll_url("");
    let refused = tokio_tungstenite::connect_async(url).await;
    assert!(
        matches!(refused, Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == 404)
    );
}

#[actix_web::test]
async fn a_repeated_delete_is_fine_with_the_right_secret_even_after_a_restart() {
    let mut server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let (id, secret) = (share.id.clone(), share.secret.clone());
    assert_eq!(share.delete(&secret).await, 200);
    assert_eq!(share.delete(&secret).await, 200);
    assert_eq!(share.delete("wrong").await, 401);
    server.crash_and_restart();
    let delete = |secret: &str| serde_json::json!({"secret": secret}).to_string();
    let path = format!("/api/share/{id}");
    assert_eq!(server.request(awc::http::Method::DELETE, &path, delete(&secret)).await.0, 200);
    assert_eq!(server.request(awc::http::Method::DELETE, &path, delete("wrong")).await.0, 401);
    assert_eq!(server.get(&path).await.0, 404);
}

#[actix_web::test]
async fn deleted_bytes_stand_in_no_file() {
    let server = TestServer::start(&ON_DISK);
    let (share, other) = (server.share().await, server.share().await);
    let marker = "walrus-marmalade-93";
    for version in 0..5 {
        let parts: Vec<_> = (0..40)
            .map(|n| part("m", &format!("p{n}"), &format!("{marker} {version} {}", "z".repeat(n * 997))))
            .collect();
        share.sync(&parts).await;
    }
    other.sync(&[part("m", "p", "stays")]).await;
    assert!(server.holds(marker), "the search finds what is there");
    assert_eq!(share.delete(&share.secret).await, 200);
    assert!(!server.holds(marker));
    assert_eq!(other.data().await.len(), 1);
}

/// Deletes a share, and repeats it until the server says that its content is gone.
async fn delete(share: &TestShare<'_>) {
    until("it is deleted", async || match share.delete(&share.secret).await {
        200 => true,
        202 => false,
        status => panic!("{status}"),
    })
    .await;
}

#[actix_web::test]
async fn a_delete_is_not_said_to_be_done_while_a_reader_keeps_the_bytes() {
    let server = TestServer::start(&ON_DISK);
    let (share, other) = (server.share().await, server.share().await);
    let mut viewer = share.view().await;
    let reader = LongReader::start(&server.data_dir());
    share.sync(&[session("canary 9e2d")]).await;
    let body = serde_json::json!({"secret": share.secret}).to_string();
    let answer = server.request(awc::http::Method::DELETE, &share.path(""), body).await;
    assert_eq!(answer, (202, serde_json::json!({"state": "deleting"})));
    assert!(server.holds("canary 9e2d"), "the reader is in the way");
    // It has ended for everybody, and the others go on.
    viewer.until_closed().await;
    assert_eq!(server.get(&share.path("")).await.0, 404);
    other.sync(&[session("goes on")]).await;
    reader.end();
    delete(&share).await;
    assert!(!server.holds("canary 9e2d"));
    assert_eq!(other.data().await.len(), 1);
}

#[actix_web::test]
async fn what_a_crash_left_in_the_log_is_gone_after_the_next_start() {
    let mut server = TestServer::start(&ON_DISK);
    let canary = "canary 31fb";
    let (id, secret) = {
        let share = server.share().await;
        share.sync(&[session(canary)]).await;
        (share.id.clone(), share.secret.clone())
    };
    let mut reader = LongReader::start(&server.data_dir());
    let body = serde_json::json!({"secret": secret}).to_string();
    let request = crate::harness::client().delete(format!("{}/api/share/{id}", server.url)).send_body(body);
    let killed = async {
        until("the reader is in the way", async || server.log().contains("a reader keeps deleted")).await;
        server.signal("-KILL");
    };
    let (answer, ()) = futures_util::join!(request, killed);
    assert!(!answer.is_ok_and(|answer| answer.status() == 200), "it was not gone");
    server.wait();
    reader.kill();
    assert!(server.holds(canary));

    server.restart();
    let share = TestShare { server: &server, id, secret, url: String::new() };
    delete(&share).await;
    assert!(!server.holds(canary));
}

#[actix_web::test]
async fn a_delete_that_a_crash_cut_short_is_not_said_to_be_done_before_it_is() {
    let mut server = TestServer::start(&ON_DISK);
    let canary = "canary c05e";
    let (id, secret) = {
        let share = server.share().await;
        share.sync(&[session(canary)]).await;
        (share.id.clone(), share.secret.clone())
    };
    server.kill();
    // It was marked, and its content is all there.
    sqlite(&server.data_dir().join("share.db"), "UPDATE shares SET deleted_at = updated_at");
    let reader = LongReader::start(&server.data_dir());
    server.restart();
    let share = TestShare { server: &server, id, secret, url: String::new() };
    let end = async {
        until("the reader is in the way", async || server.log().contains("a reader keeps deleted")).await;
        assert!(server.holds(canary), "the reader is in the way");
        reader.end();
    };
    let deleted = async {
        delete(&share).await;
        assert!(!server.holds(canary), "it was said to be gone");
    };
    futures_util::join!(deleted, end);
    assert_eq!(share.delete("wrong").await, 401);
}
