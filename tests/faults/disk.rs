//! The disk is full, slow, read-only or damaged, and the clock jumps.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{TestServer, TestShare, part, program, session, sqlite, until};

/// A server whose disk and clock do as they are told.
struct Hurt {
    server: TestServer,
    control: TempDir,
}

/// The library that stands between a program and the system.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(cc.status().expect("a C compiler").success());
        library
    })
}

/// The environment of a server that does as the file `fault` in a directory says.
pub fn env(control: &TempDir) -> [(&'static str, String); 3] {
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    [
        ("LD_PRELOAD", text(library())),
        ("FAULT_DIR", "share.db".to_owned()),
        ("FAULT_FILE", text(&control.path().join("fault"))),
    ]
}

impl Hurt {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(args: &[&str]) -> Self {
        let control = TempDir::new().expect("a directory");
        let server = TestServer::start_with_env(args, &env(&control));
        Self { server, control }
    }

    fn have(&self, fault: &str) {
        std::fs::write(self.control.path().join("fault"), fault).expect("written");
    }
}

#[actix_web::test]
async fn on_a_full_disk_syncs_are_refused_and_reads_go_on_until_there_is_room() {
    let hurt = Hurt::start();
    let share = hurt.server.share().await;
    share.sync(&[session("before")]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;

    hurt.have("full 0");
    for n in 0..20 {
        let (status, answer) = share.try_sync(&[part("m", &format!("p{n}"), &"x".repeat(20_000))]).await;
        assert!([503, 507].contains(&status), "{status} {answer}");
        assert_eq!(share.data().await.len(), 1, "reads go on, and show what is stored");
    }
    assert_eq!(hurt.server.get("/readyz").await.0, 503);
    assert_eq!(hurt.server.get("/healthz").await.0, 200);
    assert_eq!(hurt.server.post("/api/share", &json!({"sessionID": "s"})).await.0 / 100, 5);

    hurt.have("none 0");
    share.sync(&[part("m", "after", "there is room")]).await;
    let mut back = share.view().await;
    back.until("caught up", |viewer| viewer.items.len() == 2).await;
    assert_eq!(hurt.server.get("/readyz").await.0, 200);
    let mut check = Command::new("sqlite3");
    check.arg(hurt.server.data_dir().join("share.db")).arg("PRAGMA integrity_check");
    assert_eq!(String::from_utf8_lossy(&check.output().expect("sqlite3").stdout).trim(), "ok");
}

#[actix_web::test]
async fn on_a_slow_disk_many_syncs_share_a_commit_and_viewers_see_nothing_early() {
    let hurt = Hurt::start();
    let share = hurt.server.share().await;
    share.sync(&[session("t")]).await;
    hurt.have("slow 100");
    let parts: Vec<_> = (0..40).map(|n| [part("m", &format!("p{n}"), "x")]).collect();
    let before = std::time::Instant::now();
    let syncs = parts.iter().map(|part| share.try_sync(part));
    let answers = futures_util::future::join_all(syncs).await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    // One after the other they would take four seconds and more.
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    assert_eq!(share.data().await.len(), 41);
}

#[actix_web::test]
async fn the_clock_jumps_and_nobody_minds() {
    let hurt = Hurt::start();
    let share = hurt.server.share().await;
    // One that never got a sync has an end, and ends go by the clock.
    share.sync(&[session("t")]).await;
    let mut viewer = share.view().await;
    for (nth, jump) in
        ["clock 31536000", "clock -31536000", "clock 0", "clock -1700000000"].iter().enumerate()
    {
        hurt.have(jump);
        share.sync(&[part("m", &format!("p{nth}"), jump)]).await;
        viewer.until("the part", |viewer| viewer.items.len() == nth + 2).await;
    }
    assert_eq!(share.data().await.len(), 5);
}

#[actix_web::test]
async fn what_a_clock_that_is_ahead_ends_is_there_when_it_comes_right() {
    let mut hurt =
        Hurt::start_with(&["--idle-lifetime", "30days", "--sweep-interval", "50ms", "--share-idle", "50ms"]);
    let (id, secret) = {
        let share = hurt.server.share().await;
        share.sync(&[session("t")]).await;
        (share.id.clone(), share.secret.clone())
    };
    // It jumps in the middle, and is ahead at a start.
    for restarts in [false, true] {
        hurt.have("clock 3456000");
        if restarts {
            hurt.server.crash_and_restart();
        }
        let share =
            TestShare { server: &hurt.server, id: id.clone(), secret: secret.clone(), url: String::new() };
        until("it ends for its readers", async || hurt.server.get(&share.path("")).await.0 == 404).await;
        // One that lives by this clock alone is swept in time, so the other was looked at and left.
        let short = json!({"sessionID": "s", "expiresIn": 1});
        let short = hurt.server.post("/api/share", &short).await.1["id"].as_str().expect("an id").to_owned();
        let is_deleted = format!("SELECT deleted_at IS NOT NULL FROM shares WHERE id = '{short}'");
        let database = hurt.server.data_dir().join("share.db");
        until("a sweep", async || sqlite(&database, &is_deleted) == "1").await;

        hurt.have("clock 0");
        if restarts {
            hurt.server.crash_and_restart();
        }
        let share =
            TestShare { server: &hurt.server, id: id.clone(), secret: secret.clone(), url: String::new() };
        until("it is there again", async || hurt.server.get(&share.path("")).await.0 == 200).await;
        assert_eq!(share.data().await.len(), 1);
    }
}

#[test]
fn what_cannot_be_opened_or_is_no_database_is_refused_with_the_reason() {
    let dir = TempDir::new().expect("a directory");
    let start = |data: &Path, fault: &str| {
        let file = dir.path().join("fault");
        std::fs::write(&file, fault).expect("written");
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
        command.env("LD_PRELOAD", library()).env("FAULT_DIR", "share.db").env("FAULT_FILE", &file);
        let output = command.output().expect("ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, words) = start(&dir.path().join("one"), "readonly 0");
    assert_eq!(code, Some(1));
    assert!(words.contains("share.db") && words.contains("Read-only file system"), "{words}");

    let damaged = dir.path().join("two");
    std::fs::DirBuilder::new().mode(0o700).create(&damaged).expect("made");
    let mut database = std::fs::OpenOptions::new();
    let database = database.write(true).create_new(true).mode(0o600).open(damaged.join("share.db"));
    let words = "this is no database, whatever its name says".repeat(500);
    database.expect("made").write_all(words.as_bytes()).expect("written");
    let (code, words) = start(&damaged, "none 0");
    assert_eq!(code, Some(1));
    assert!(words.contains("share.db") && words.contains("not a database"), "{words}");
}

#[actix_web::test]
async fn a_damaged_page_fails_its_share_and_nothing_else() {
    let mut server = TestServer::start(&[]);
    let (id, healthy) = {
        let (share, healthy) = (server.share().await, server.share().await);
        let parts: Vec<_> =
            (0..50).map(|n| part("m", &format!("p{n:02}"), &"needle ".repeat(2000))).collect();
        healthy.sync(&[session("healthy")]).await;
        share.sync(&parts).await;
        (share.id.clone(), healthy.id.clone())
    };
    server.signal("-TERM");
    server.wait();
    let path = server.data_dir().join("share.db");
    let mut bytes = std::fs::read(&path).expect("the database");
    // Pages that hold nothing but text: their neighbours in the chain of a long item are found by their first bytes.
    let is_text = |page: &[u8]| page[8..].windows(7).filter(|window| *window == b"needle ").count() > 1160;
    let hits: Vec<_> =
        (0..bytes.len() / 8192).filter(|page| is_text(&bytes[page * 8192..(page + 1) * 8192])).collect();
    for page in &hits {
        bytes[page * 8192..page * 8192 + 64].fill(0xff);
    }
    assert!(!hits.is_empty());
    std::fs::write(&path, bytes).expect("written");
    server.restart();
    assert_eq!(server.get(&format!("/api/share/{id}/data")).await.0, 503);
    let (status, answer) = server.get(&format!("/api/share/{healthy}")).await;
    assert_eq!(status, 200, "{answer}\n{}", server.log());
    assert_eq!(server.get("/healthz").await.0, 200);
}
