//! An operator finds and removes shares, while the server runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::operate;
use crate::harness::{LongReader, ON_DISK, TestServer, message, part, program, session, until};

fn json(server: &TestServer, args: &[&str]) -> Value {
    let args = [&["admin"], args, &["--json"]].concat();
    serde_json::from_str(&server.operate(&args).expect("it is done")).expect("JSON")
}

#[actix_web::test]
async fn shares_are_listed_found_and_counted() {
    let server = TestServer::start(&[]);
    let (small, large) = (server.share().await, server.share().await);
    small.sync(&[session("small")]).await;
    large.sync(&[session("large"), message("m", 1), part("m", "p", &"x".repeat(5000))]).await;
    let _never_used = server.share().await;

    let ids = |list: &Value| -> Vec<String> {
        list.as_array()
            .expect("a list")
            .iter()
            .map(|share| share["id"].as_str().expect("an id").into())
            .collect()
    };
    assert_eq!(json(&server, &["list"]).as_array().expect("a list").len(), 3);
    assert_eq!(ids(&json(&server, &["list", "--sort", "size", "--limit", "1"])), [large.id.as_str()]);
    assert_eq!(ids(&json(&server, &["list", "--larger-than", "1KiB"])), [large.id.as_str()]);
    assert_eq!(ids(&json(&server, &["list", "--older-than", "1h"])), [""; 0]);
    assert_eq!(json(&server, &["list", "--session", "ses_1"]).as_array().expect("a list").len(), 3);
    let table = server.operate(&["admin", "list"]).expect("a table");
    assert!(table.contains(&large.id[..8]) && !table.contains(&large.id), "{table}");

    // By its id, the start of it, or its link.
    for name in [large.id.as_str(), &large.id[..8], &large.url] {
        let shown = json(&server, &["show", name]);
        assert_eq!((shown["id"].as_str(), shown["title"].as_str()), (Some(large.id.as_str()), Some("large")));
        let part = &shown["items"][1];
        assert_eq!((part["kind"].as_str(), part["count"].as_i64()), (Some("part"), Some(1)));
        assert!(part["bytes"].as_i64().expect("bytes") > 5000);
    }
    for (name, wrong) in [("zzzz", "no share"), ("z", "4 characters"), ("a/../b", "4 characters")] {
        let refused = server.operate(&["admin", "show", name]).expect_err("no such share");
        assert!(refused.contains(wrong), "{name}: {refused}");
    }
    let stats = json(&server, &["stats"]);
    assert_eq!(
        (stats["shares"].as_i64(), stats["neverSynced"].as_i64(), stats["deleted"].as_i64()),
        (Some(3), Some(1), Some(0))
    );
    assert!(stats["content"].as_i64() > Some(5000) && stats["database"].as_i64() > Some(5000));
}

#[actix_web::test]
async fn a_share_that_its_operator_deletes_is_gone_for_everyone() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1)]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let other = server.share().await;
    other.sync(&[session("other")]).await;

    server.operate(&["admin", "delete", &share.url]).expect("deleted");
    viewer.until_closed().await;
    assert_eq!((viewer.closed.as_deref(), viewer.close_code), (Some("deleted"), Some(4410)));
    assert_eq!(server.get(&share.path("/data")).await.0, 404);
    assert_eq!(share.try_sync(&[session("late")]).await.0, 404);
    assert_eq!(share.delete(&share.secret).await, 200);
    assert_eq!(other.data().await.len(), 1);
    let deleted = json(&server, &["list", "--deleted"]);
    assert_eq!(deleted[0]["id"].as_str(), Some(share.id.as_str()));
    assert_eq!(deleted[0]["sessionID"], "");
    let vacuumed = server.operate(&["admin", "vacuum"]);
    assert!(
        vacuumed.as_ref().map_or_else(|said| said.contains("sqld gives room back"), |_| true),
        "{vacuumed:?}"
    );
    other.sync(&[session("after")]).await;
}

#[actix_web::test]
async fn of_a_share_that_its_operator_deletes_no_byte_stays() {
    let server = TestServer::start(&ON_DISK);
    let (share, other) = (server.share().await, server.share().await);
    let canary = "canary 51c7";
    share.sync(&[session(canary), message("m", 1), part("m", "p", &canary.repeat(100_000))]).await;
    server.operate(&["admin", "delete", &share.url]).expect("deleted");
    for name in ["share.db", "share.db-wal"] {
        let bytes = fs::read(server.data_dir().join(name)).unwrap_or_default();
        assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{name}");
    }
    let before = fs::metadata(server.data_dir().join("share.db")).expect("a file").len();
    server.operate(&["admin", "vacuum"]).expect("vacuumed");
    let after = fs::metadata(server.data_dir().join("share.db")).expect("a file").len();
    assert!(after < before / 4, "{before} {after}");
    other.sync(&[session("after")]).await;
}

#[actix_web::test]
async fn who_watches_a_share_that_has_a_new_epoch_begins_again() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1)]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let epoch = viewer.epoch.clone();
    let said = server.operate(&["admin", "new-epochs"]).expect("done");
    assert!(said.starts_with("1 shares have a new epoch"), "{said}");
    // What the server has in memory it finds out by the next write, which its client sends again.
    until("it is taken", async || share.try_sync(&[part("m", "p", "after")]).await.0 == 200).await;
    let mut again = share.view_from(&format!("?after={}&epoch={epoch}", viewer.seq)).await;
    again.until("caught up", |again| again.caught_up).await;
    assert_ne!(again.epoch, epoch);
    assert_eq!(again.items.len(), 3);
}

#[actix_web::test]
async fn of_several_shares_none_is_deleted_when_one_is_mistyped() {
    let server = TestServer::start(&[]);
    let (one, two) = (server.share().await, server.share().await);
    assert!(server.operate(&["admin", "delete", &one.id, "zzzzzzzz"]).is_err());
    assert_eq!(server.get(&one.path("")).await.0, 200);
    server.operate(&["admin", "delete", &one.id, &two.id]).expect("deleted");
    assert_eq!(json(&server, &["stats"])["deleted"], 2);
}

#[test]
fn a_directory_without_a_database_stays_without_one() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let refused = operate(dir.path(), &["admin", "list"]).expect_err("no database");
    assert!(refused.contains("there is no database here"), "{refused}");
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0);
}

#[actix_web::test]
async fn what_a_command_cannot_erase_the_server_erases_when_the_reader_ends() {
    let server = TestServer::start(&["--store", "sqlite", "--sweep-interval", "50ms"]);
    let share = server.share().await;
    share.sync(&[session("canary 40b7")]).await;
    let reader = LongReader::start(&server.data_dir());
    let said = server.operate(&["admin", "delete", &share.id]).expect("deleted");
    assert!(said.contains("is deleted; another program reads the database"), "{said}");
    assert_eq!(server.get(&share.path("")).await.0, 404);
    assert!(server.holds("canary 40b7"), "the reader is in the way");
    reader.end();
    until("the bytes are gone", async || !server.holds("canary 40b7")).await;
}

#[test]
fn data_that_others_can_read_is_refused_with_the_way_to_mend_it() {
    let mut server = TestServer::start(&ON_DISK);
    server.kill();
    let dir = server.data_dir();
    for (name, mode, wanted) in
        [("", 0o755, "chmod 700"), ("", 0o710, "chmod 700"), ("share.db", 0o640, "chmod 600")]
    {
        let path = if name.is_empty() { dir.clone() } else { dir.join(name) };
        let private = fs::metadata(&path).expect("it is there").permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("exposed");
        let serve = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&dir)
            .output()
            .expect("runs");
        let listed = operate(&dir, &["admin", "list"]).expect_err("refused");
        for said in [String::from_utf8_lossy(&serve.stderr).into_owned(), listed] {
            assert!(said.contains(&format!("{wanted} {}", path.display())), "{said}");
        }
        assert!(!serve.status.success());
        fs::set_permissions(&path, private).expect("private again");
    }
    server.restart();
}
