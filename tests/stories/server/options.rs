//! Options: flags over environment over a file over defaults, and clear words for what is wrong.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use awc::http::Method;
use tempfile::TempDir;

use crate::harness::{ON_DISK, TestServer};

fn refused(args: &[&str], file: Option<&str>) -> String {
    let dir = TempDir::new().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_brutus-share"));
    command.arg("serve").args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path().join("d")).args(args);
    if let Some(text) = file {
        let path = dir.path().join("serve.toml");
        std::fs::write(&path, text).expect("written");
        command.arg("--config").arg(path);
    }
    let Output { status, stderr, .. } = command.output().expect("runs");
    assert_eq!(status.code(), Some(2));
    String::from_utf8(stderr).expect("text")
}

#[actix_web::test]
async fn flags_stand_over_the_environment_over_the_file() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("serve.toml");
    std::fs::write(
        &file,
        "max_body = \"1KiB\"\npublic_url = \"https://file.example\"\ncreate_limit = \"5/h\"\n",
    )
    .expect("written");
    let file = file.to_str().expect("text");
    let server = TestServer::start_with_env(
        &["--config", file, "--max-body", "3KiB"],
        &[("BRUTUS_SHARE_MAX_BODY", "2KiB"), ("BRUTUS_SHARE_PUBLIC_URL", "https://env.example")],
    );
    let share = server.share().await;
    assert!(share.url.starts_with("https://env.example/s/"));
    let body = |bytes: usize| format!("{{\"sessionID\":\"{}\"}}", " ".repeat(bytes));
    assert_eq!(server.request(Method::POST, "/api/share", body(2500)).await.0, 400);
    assert_eq!(server.request(Method::POST, "/api/share", body(3500)).await.0, 413);
}

#[test]
fn what_is_wrong_is_named() {
    assert!(
        refused(&[], Some("max_boddy = \"1MiB\""))
            .contains("unknown key `max_boddy`: did you mean `max_body`?")
    );
    assert!(refused(&[], Some("max_body = \"much\"")).contains("'much' for '--max-body"));
    assert!(
        refused(&[], Some("max_body = [1]")).contains("`max_body` must be a text, a number or true/false")
    );
    assert!(refused(&[], Some("not toml")).contains("serve.toml"));
    assert!(refused(&["--config", "/nowhere.toml"], None).contains("/nowhere.toml"));
    assert!(refused(&["--create-limit", "often"], None).contains("expected N/s, N/m or N/h"));
    assert!(
        refused(&["--public-url", "share.example"], None).contains("expected an http:// or https:// URL")
    );
}

#[test]
fn links_that_nobody_else_could_follow_are_warned_of() {
    for (args, warned) in [(&[][..], true), (&["--public-url", "https://share.example"], false)] {
        let dir = TempDir::new().expect("a directory");
        let mut server = Command::new(env!("CARGO_BIN_EXE_brutus-share"))
            .args(["serve", "--listen", "0.0.0.0:0", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut said = String::new();
        BufReader::new(server.stdout.take().expect("stdout")).read_line(&mut said).expect("it says where");
        server.kill().expect("killed");
        let log = String::from_utf8(server.wait_with_output().expect("ends").stderr).expect("text");
        assert_eq!(log.contains("set public_url"), warned, "{log}");
    }
}

#[test]
fn a_database_that_is_none_is_refused_and_left_alone() {
    let dir = TempDir::new().expect("a directory");
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("private");
    let database = dir.path().join("share.db");
    std::fs::write(&database, "this is not a database, but somebody may want it").expect("written");
    std::fs::set_permissions(&database, Permissions::from_mode(0o600)).expect("private");
    let output = Command::new(env!("CARGO_BIN_EXE_brutus-share"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(error.contains("share.db") && error.contains("not a database"), "{error}");
    assert!(std::fs::read_to_string(&database).expect("still there").starts_with("this is not"));
}

#[actix_web::test]
async fn a_database_of_a_newer_version_is_refused() {
    let mut server = TestServer::start(&ON_DISK);
    let _ = server.share().await;
    server.signal("-TERM");
    server.wait();
    let sql = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231235959')";
    let status = Command::new("sqlite3").arg(server.data_dir().join("share.db")).arg(sql).status();
    assert!(status.expect("sqlite3").success());
    let output = Command::new(env!("CARGO_BIN_EXE_brutus-share"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("written by a newer version (migration 99991231235959)")
    );
}
