//! A disk that is full, and what the operator lets shares take.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestProcess, TestServer, TestViewer, client, message, part, session};

fn piece(n: usize) -> Value {
    part("m", &format!("p{n}"), &"x".repeat(30_000))
}

#[actix_web::test]
async fn all_shares_together_take_no_more_than_they_may() {
    let server = TestServer::start(&["--max-total", "100KiB"]);
    let (one, other) = (server.share().await, server.share().await);
    one.sync(&[session("t"), message("m", 1)]).await;
    let mut refused = Value::Null;
    for n in 0..10 {
        let (status, answer) = one.try_sync(&[piece(n)]).await;
        if status != 200 {
            assert_eq!(status, 503);
            refused = answer;
            break;
        }
    }
    assert_eq!(refused["error"]["code"], "storage_full");
    assert_eq!(other.try_sync(&[session("t")]).await.0, 503);
    assert_eq!(server.post("/api/share", &json!({"sessionID": "s"})).await.0, 503);
    assert!(one.data().await.len() > 3);
    assert_eq!(server.get("/readyz").await.0, 200);
    // What is deleted makes room.
    assert_eq!(one.delete(&one.secret).await, 200);
    other.sync(&[session("t")]).await;
}

#[actix_web::test]
async fn shares_without_content_take_room_too() {
    let server = TestServer::start(&["--max-total", "1KiB"]);
    let create = async || server.post("/api/share", &json!({"sessionID": "s"})).await;
    let mut created = 0;
    let refused = loop {
        match create().await {
            (200, _) => created += 1,
            refused => break refused,
        }
    };
    assert_eq!((refused.0, refused.1["error"]["code"].as_str()), (503, Some("storage_full")));
    assert!(created < 4, "{created}");
}

#[actix_web::test]
async fn before_the_disk_is_full_nothing_more_is_taken() {
    let server = TestServer::start(&["--min-free-disk", "1EiB"]);
    let mut answer = client()
        .post(format!("{}/api/share", server.url))
        .send_body(r#"{"sessionID":"s"}"#)
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers().get("retry-after").expect("a time"), "60");
    assert_eq!(answer.json::<Value>().await.expect("JSON")["error"]["code"], "storage_full");
    assert_eq!(server.get("/readyz").await.0, 200);
}

/// A server whose data is on a small file system of its own.
struct SmallDisk {
    process: TestProcess,
    base: String,
    /// The file system, as the server sees it.
    root: PathBuf,
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn start() -> Self {
        let dir = tempfile::TempDir::new().expect("a directory");
        let mount = r#"mount -t tmpfs -o size=6m,mode=700 tmpfs "$0" && exec "$@""#;
        // A user's own namespace where this is not root.
        let root = fs::metadata("/proc/self")
            .map(|own| std::os::unix::fs::MetadataExt::uid(&own))
            .expect("a process")
            == 0;
        let namespace: &[&str] = if root { &["--mount"] } else { &["--mount", "--map-root-user"] };
        let process = TestProcess::start(
            Command::new("unshare")
                .args(namespace)
                .args(["sh", "-c", mount])
                .arg(dir.path())
                .arg(env!("CARGO_BIN_EXE_brutus-share"))
                .args(["serve", "--listen", "127.0.0.1:0", "--min-free-disk", "1B", "--data-dir"])
                .arg(dir.path().join("data")),
        );
        let root = PathBuf::from(format!("/proc/{}/root{}", process.id(), dir.path().display()));
        Self { base: process.url.clone(), process, root, dir }
    }

    /// Runs a program that sees the server's file system.
    fn run(&self, command: &[&str]) -> std::process::Output {
        let target = self.process.id().to_string();
        Command::new("nsenter")
            .args(["--target", &target, "--mount"])
            .args(command)
            .output()
            .expect("nsenter")
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let mut answer = client()
            .post(format!("{}{path}", self.base))
            .send_body(body.to_string())
            .await
            .expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let mut answer = client().get(format!("{}{path}", self.base)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().limit(64 << 20).await.expect("JSON"))
    }
}

#[actix_web::test]
async fn a_full_disk_refuses_syncs_and_nothing_else_and_all_works_when_there_is_room() {
    let server = SmallDisk::start();
    let share = server.post("/api/share", &json!({"sessionID": "s"})).await.1;
    let path = format!("/api/share/{}", share["id"].as_str().expect("an id"));
    let sync = async |items: Vec<Value>| {
        server.post(&format!("{path}/sync"), &json!({"secret": share["secret"], "data": items})).await
    };
    assert_eq!(sync(vec![session("t"), message("m", 1)]).await.0, 200);
    let poll = format!("{}{path}/poll", server.base.replacen("http", "ws", 1));
    let mut viewer = TestViewer::connect(&poll).await;

    // Something else fills the disk.
    let filler = server.root.join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[1; 4096]).is_ok() {}
    // All but what is less than a commit: the database's own writes are to fail, not only the look at the disk.
    let length = file.metadata().expect("a file").len();
    file.set_len(length - 4096).expect("shorter");
    drop(file);
    let mut stored = 0;
    let refused = loop {
        let answer = sync(vec![piece(stored)]).await;
        if answer.0 != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 1000, "the disk never gets full");
    };
    assert_eq!(refused.0, 503, "{refused:?}");
    assert_eq!(server.get("/readyz").await.0, 503);
    assert_eq!(server.get("/healthz").await.0, 200);
    // Reads and viewers go on: those that are there come back, and new ones see all that was acknowledged.
    let (status, data) = server.get(&format!("{path}/data")).await;
    assert_eq!((status, data.as_array().map(Vec::len)), (200, Some(stored + 2)));
    let mut late = TestViewer::connect(&poll).await;
    late.until("all of it", |viewer| viewer.items.len() == stored + 2).await;
    if viewer.close_code.is_some() {
        viewer.reconnect(&poll).await;
    }

    fs::remove_file(&filler).expect("removed");
    let mut last = Value::Null;
    let again = async {
        loop {
            let (status, answer) = sync(vec![piece(stored)]).await;
            if status == 200 {
                break;
            }
            last = answer;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, again).await.is_ok(), "there is room: {last}");
    // What it was a moment ago is told for up to a second.
    let ready = async { while server.get("/readyz").await.0 != 200 {} };
    assert!(tokio::time::timeout(PATIENCE, ready).await.is_ok(), "never ready again");
    let mut newest = TestViewer::connect(&poll).await;
    newest.until("the newest", |viewer| viewer.items.len() == stored + 3).await;
    let database = format!("{}/data/share.db", server.dir.path().display());
    let check = server.run(&["sqlite3", &database, "PRAGMA integrity_check"]);
    assert_eq!(
        String::from_utf8_lossy(&check.stdout).trim(),
        "ok",
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
}
