//! Backups, restores and upgrades.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::operate;
use crate::harness::{TestServer, TestShare, message, part, session, sqlite};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[actix_web::test]
async fn a_backup_in_the_middle_of_syncs_holds_all_that_was_acknowledged_before() {
    let mut server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1)]).await;
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("backup.db");

    let (acknowledged, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sync = async {
        for n in 0.. {
            if done.load(Ordering::Relaxed) {
                break;
            }
            share.sync(&[part("m", &format!("p{n}"), "text")]).await;
            acknowledged.store(n + 1, Ordering::Relaxed);
        }
    };
    let back_up = async {
        while acknowledged.load(Ordering::Relaxed) < 20 {
            tokio::task::yield_now().await;
        }
        let before = acknowledged.load(Ordering::Relaxed);
        let (data_dir, file) = (server.data_dir(), file.clone());
        let backup = tokio::task::spawn_blocking(move || operate(&data_dir, &["backup", text(&file)]));
        backup.await.expect("it runs").expect("a backup");
        let during = acknowledged.load(Ordering::Relaxed) - before;
        // And some that the backup cannot hold.
        while acknowledged.load(Ordering::Relaxed) < before + during + 20 {
            tokio::task::yield_now().await;
        }
        done.store(true, Ordering::Relaxed);
        before
    };
    let (before, ()) = futures_util::join!(back_up, sync);
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let all = acknowledged.load(Ordering::Relaxed);

    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let refused = operate(&server.data_dir(), &["restore", text(&file)]).expect_err("the server runs");
    assert!(refused.contains("another brutus-share uses this directory"), "{refused}");
    let epoch = viewer.epoch.clone();
    let (secret, id, url) = (share.secret.clone(), share.id.clone(), share.url.clone());
    server.signal("-TERM");
    viewer.until_closed().await;
    server.wait();
    let said = operate(&server.data_dir(), &["restore", text(&file)]).expect("restored");
    assert!(said.contains("1 shares with") && said.contains("kept in"), "{said}");
    server.restart();

    let share = TestShare { server: &server, id, secret, url };
    let parts = share.data().await.iter().filter(|item| item["type"] == "part").count();
    assert!((before..all).contains(&parts), "{parts} of {before} to {all}");
    // Whoever watched it forgets what is no more.
    let mut viewer = share.view_from(&format!("?after=1&epoch={epoch}")).await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    assert_ne!(viewer.epoch, epoch);
    assert_eq!(viewer.items.len(), parts + 2);
    share.sync(&[part("m", "after", "text")]).await;
    assert_eq!(sqlite(&server.data_dir().join("share.db"), "PRAGMA integrity_check"), "ok");
}

#[actix_web::test]
async fn a_restore_brings_nothing_back_that_was_deleted_since() {
    let mut server = TestServer::start(&["--create-tokens", "false"]);
    let (kept, deleted) = (server.share().await, server.share().await);
    for share in [&kept, &deleted] {
        share
            .sync(&[session("t"), message("m", 1), part("m", "p", "canary 77ab"), part("m", "q", "stays")])
            .await;
    }
    operate(&server.data_dir(), &["token", "add", "ada"]).expect("a token");
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("backup.db");
    operate(&server.data_dir(), &["backup", text(&file)]).expect("a backup");
    assert_eq!(deleted.delete(&deleted.secret).await, 200);
    kept.sync(&[json!({"type": "part.removed", "data": {"messageID": "m", "id": "p"}})]).await;
    operate(&server.data_dir(), &["token", "revoke", "ada"]).expect("revoked");
    let (kept, deleted) = (kept.path("/data"), deleted.path(""));
    server.signal("-TERM");
    server.wait();
    let said = operate(&server.data_dir(), &["restore", text(&file)]).expect("restored");
    assert!(said.contains("1 shares were deleted since, and stay so"), "{said}");
    assert!(said.contains("1 items of others were removed since, and stay so"), "{said}");
    server.restart();
    let items = server.get(&kept).await.1.to_string();
    assert!(items.contains("stays") && !items.contains("canary"), "{items}");
    assert_eq!(server.get(&deleted).await.0, 404);
    assert!(operate(&server.data_dir(), &["token", "list"]).expect("a list").contains("revoked"));
}

#[actix_web::test]
async fn a_backup_that_is_damaged_or_none_is_refused_and_changes_nothing() {
    let mut server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1), part("m", "p", &"x".repeat(100_000))]).await;
    let path = share.path("");
    let dir = TempDir::new().expect("a directory");
    let file = |name: &str| dir.path().join(name);
    operate(&server.data_dir(), &["backup", text(&file("good"))]).expect("a backup");
    let again = operate(&server.data_dir(), &["backup", text(&file("good"))]).expect_err("it exists");
    assert!(again.contains("exists"), "{again}");
    assert!(operate(&server.data_dir(), &["backup", "/nowhere/file"]).is_err());
    server.signal("-TERM");
    server.wait();

    let good = fs::read(file("good")).expect("a file");
    fs::write(file("half"), &good[..good.len() / 2]).expect("written");
    fs::write(file("text"), "no database at all, but long enough to look at ".repeat(100)).expect("written");
    sqlite(&file("other"), "CREATE TABLE t (a)");
    for name in ["half", "text", "other", "absent"] {
        for args in [vec!["restore", "--check"], vec!["restore"]] {
            let path = file(name);
            let refused = operate(&server.data_dir(), &[args, vec![text(&path)]].concat());
            let refused = refused.expect_err("refused");
            assert!(refused.contains(name), "{refused}");
        }
    }
    let said = operate(&server.data_dir(), &["restore", "--check", text(&file("good"))]).expect("in order");
    assert!(said.contains("1 shares with 3 items"), "{said}");
    let left: Vec<_> = fs::read_dir(server.data_dir())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| {
            !["share.db", "share.db-wal", "share.db-shm", "lock", "server.key"].contains(&name.as_str())
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    server.restart();
    assert_eq!(server.get(&path).await.0, 200);
}

/// The first released schema: what a server of version 0.1.0 left.
fn first_schema(data_dir: &Path) -> (String, String) {
    fs::DirBuilder::new().mode(0o700).create(data_dir).expect("a directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut migrations: Vec<_> =
        fs::read_dir(root).expect("migrations").map(|entry| entry.expect("an entry").path()).collect();
    migrations.sort();
    migrations.truncate(2);
    let mut sql = String::from(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);",
    );
    for migration in &migrations {
        sql += &fs::read_to_string(migration.join("up.sql")).expect("SQL");
        let name = migration.file_name().and_then(|name| name.to_str()).expect("a name");
        let version: String = name.split('_').next().expect("a version").replace('-', "");
        writeln!(sql, "INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}');")
            .expect("written");
    }
    let (id, secret) = ("AbCdEfGhIjKlMnOpQrStUv", "0b5ab1a4-2d0c-4e0e-8f10-6a3f5c1f0e11");
    // printf %s SECRET | sha256sum
    let output =
        Command::new("sh").arg("-c").arg(format!("printf %s {secret} | sha256sum")).output().expect("runs");
    let hash = String::from_utf8_lossy(&output.stdout)[..64].to_owned();
    write!(
        sql,
        "INSERT INTO shares (num, id, session_id, secret_hash, epoch, seq, size, created_at, updated_at) \
         VALUES (1, '{id}', 's', x'{hash}', 'epoch', 2, 60, 1, 2);\
         INSERT INTO share_data (share_num, key, content, seq, updated_at) VALUES \
         (1, 'session', '{{\"id\":\"s\",\"title\":\"old\"}}', 1, 1), (1, 'message/m', '{{\"id\":\"m\"}}', 2, 2);"
    )
    .expect("written");
    let database = data_dir.join("share.db");
    sqlite(&database, &sql);
    fs::set_permissions(&database, Permissions::from_mode(0o600)).expect("private");
    (id.to_owned(), secret.to_owned())
}

#[actix_web::test]
async fn an_upgrade_keeps_all_shares_and_a_copy_of_what_was_there() {
    let mut server = TestServer::start(&[]);
    server.kill();
    let data_dir = server.data_dir();
    fs::remove_dir_all(&data_dir).expect("removed");
    let (id, secret) = first_schema(&data_dir);
    let refused = operate(&data_dir, &["admin", "list"]).expect_err("an older version");
    assert!(refused.contains("written by an older version"), "{refused}");
    let old = TempDir::new().expect("a directory");
    fs::copy(data_dir.join("share.db"), old.path().join("old.db")).expect("copied");

    server.restart();
    let share = TestShare { server: &server, id, secret, url: String::new() };
    assert_eq!(server.get(&share.path("")).await.1["title"], "old");
    assert_eq!(
        share.data().await,
        [
            json!({"type": "session", "data": {"id": "s", "title": "old"}}),
            json!({"type": "message", "data": {"id": "m"}})
        ]
    );
    share.sync(&[session("new")]).await;
    let copies: Vec<_> = fs::read_dir(&data_dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| text(path).contains("share.db.before-"))
        .collect();
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(fs::metadata(&copies[0]).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(sqlite(&copies[0], "SELECT count(*) FROM share_data"), "2");

    // A backup of the older version is brought up to date when it is restored.
    let path = share.path("");
    server.signal("-TERM");
    server.wait();
    operate(&data_dir, &["restore", text(&old.path().join("old.db"))]).expect("restored");
    server.restart();
    let title: Value = server.get(&path).await.1["title"].clone();
    assert_eq!(title, "old");
}
