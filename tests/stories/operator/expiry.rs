//! Shares end by themselves.

use serde_json::{Value, json};

use crate::harness::{ON_DISK, TestServer, TestShare, session, sqlite, until};

const SOON: [&str; 2] = ["--sweep-interval", "50ms"];

/// Creates a share that asks for a lifetime.
async fn create(server: &TestServer, expires_in: Value) -> (u16, Value) {
    server.post("/api/share", &json!({"sessionID": "s", "expiresIn": expires_in})).await
}

fn share<'a>(server: &'a TestServer, created: &Value) -> TestShare<'a> {
    let text = |name: &str| created[name].as_str().expect(name).to_owned();
    TestShare { server, id: text("id"), secret: text("secret"), url: text("url") }
}

/// Waits until a share is gone for those who read it.
async fn until_gone(share: &TestShare<'_>) {
    while share.server.get(&share.path("")).await.0 != 404 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_share_lives_as_long_as_was_asked_and_its_viewers_are_told() {
    let server = TestServer::start(&[ON_DISK, SOON].concat());
    let (status, created) = create(&server, json!(5)).await;
    assert_eq!(status, 200);
    let share = share(&server, &created);
    share.sync(&[session("canary 8d1f")]).await;
    let summary = server.get(&share.path("")).await.1;
    assert_eq!(summary["expiresAt"], created["expiresAt"]);
    let left =
        created["expiresAt"].as_i64().expect("a time") - summary["createdAt"].as_i64().expect("a time");
    assert_eq!(left, 5000);
    let mut viewer = share.view().await;
    viewer.until_closed().await;
    assert_eq!((viewer.closed.as_deref(), viewer.close_code), (Some("expired"), Some(4410)));
    assert_eq!(share.try_sync(&[session("late")]).await.0, 404);
    until_gone(&share).await;
    // The owner's delete is answered as after any delete, once the content is gone from the disk.
    assert_eq!(share.delete(&share.secret).await, 200);
    assert!(!server.holds("canary 8d1f"));
}

#[actix_web::test]
async fn the_server_has_a_default_and_a_longest_lifetime() {
    let server = TestServer::start(&["--default-lifetime", "1h", "--max-lifetime", "2h"]);
    for (asked, hours) in [(Value::Null, 1), (json!(1800), 0), (json!(3600), 1), (json!(u64::MAX), 2)] {
        let (_, created) = create(&server, asked).await;
        let summary = server.get(&share(&server, &created).path("")).await.1;
        let lives =
            created["expiresAt"].as_i64().expect("a time") - summary["createdAt"].as_i64().expect("a time");
        assert_eq!(lives / 3_600_000, hours, "{lives}");
    }
    for bad in [json!(0), json!(-1), json!(1.5), json!("1h"), json!([])] {
        assert_eq!(create(&server, bad).await.0, 400);
    }
}

#[actix_web::test]
async fn a_share_that_nobody_syncs_goes_and_one_that_is_used_stays() {
    let server = TestServer::start(&["--unsynced-lifetime", "2s", "--idle-lifetime", "1h", SOON[0], SOON[1]]);
    let used = server.share().await;
    used.sync(&[session("t")]).await;
    let unused = server.share().await;
    until_gone(&unused).await;
    assert_eq!(used.data().await.len(), 1);
    assert_eq!(unused.try_sync(&[session("t")]).await.0, 404);
}

#[actix_web::test]
async fn a_share_without_syncs_for_a_while_goes_also_when_the_server_was_away() {
    let mut server = TestServer::start(&["--idle-lifetime", "1s", SOON[0], SOON[1]]);
    let created = create(&server, Value::Null).await.1;
    share(&server, &created).sync(&[session("t")]).await;
    server.crash_and_restart();
    let share = share(&server, &created);
    until_gone(&share).await;
    // The content goes after that, in steps.
    until("nothing stays", async || stats(&server) == (1, 0)).await;
}

/// How many shares are deleted, and how many bytes of items there are.
fn stats(server: &TestServer) -> (i64, i64) {
    let stats = server.operate(&["admin", "stats", "--json"]).expect("statistics");
    let stats: Value = serde_json::from_str(&stats).expect("JSON");
    (stats["deleted"].as_i64().expect("a number"), stats["content"].as_i64().expect("a number"))
}

#[actix_web::test]
async fn rows_of_deleted_shares_go_after_a_year() {
    let mut server = TestServer::start(&[ON_DISK, SOON].concat());
    let (old, new) = (create(&server, Value::Null).await.1, create(&server, Value::Null).await.1);
    for created in [&old, &new] {
        let share = share(&server, created);
        assert_eq!(share.delete(&share.secret).await, 200);
    }
    server.kill();
    let year_ago = "UPDATE shares SET deleted_at = deleted_at - 366 * 24 * 3600000";
    sqlite(&server.data_dir().join("share.db"), year_ago);
    server.restart();
    // The last of all deletions is remembered for longer: the next one's number follows it.
    until("the row goes", async || stats(&server).0 == 1).await;
    let (old, new) = (share(&server, &old), share(&server, &new));
    assert_eq!((old.delete(&old.secret).await, new.delete(&new.secret).await), (404, 200));
}

#[actix_web::test]
async fn a_damaged_share_is_no_reason_not_to_end_the_others() {
    let mut server = TestServer::start(&[&ON_DISK[..], &SOON, &["--idle-lifetime", "1s"]].concat());
    let (damaged, other) = (create(&server, Value::Null).await.1, create(&server, Value::Null).await.1);
    for created in [&damaged, &other] {
        share(&server, created).sync(&[session("t")]).await;
    }
    server.kill();
    let id = damaged["id"].as_str().expect("an id");
    let database = server.data_dir().join("share.db");
    sqlite(&database, &format!("UPDATE shares SET updated_at = 'damaged' WHERE id = '{id}'"));
    server.restart();
    until("the other is deleted", async || stats(&server).0 == 1).await;
    assert!(server.log().contains("shares cannot be read") && !server.log().contains(id), "{}", server.log());
    // It can still be listed and deleted.
    server.operate(&["admin", "delete", id]).expect("deleted");
}
