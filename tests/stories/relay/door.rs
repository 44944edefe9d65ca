//! The relay's door: local programs with the token come in, and nobody else.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::fake::FakeServer;
use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{client, program};

async fn status(relay: &TestRelay, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = client().get(format!("{}{path}", relay.url));
    for (name, value) in headers {
        request = request.insert_header((*name, *value));
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[actix_web::test]
async fn web_pages_other_names_and_strangers_are_refused() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&fake.url, &[]);
    let bearer = format!("Bearer {}", relay.token());
    let token = ("authorization", bearer.as_str());
    assert_eq!(status(&relay, "/healthz", &[]).await, 200);
    assert_eq!(status(&relay, "/v1/shares", &[token]).await, 200);
    assert_eq!(status(&relay, "/v1/shares", &[token, ("host", "localhost:8091")]).await, 200);
    for headers in [
        &[][..],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Basic x")],
        &[("authorization", "Bearer ")],
    ] {
        assert_eq!(status(&relay, "/v1/shares", headers).await, 401, "{headers:?}");
        assert_eq!(status(&relay, "/v1/nothing", headers).await, 401, "{headers:?}");
    }
    for headers in [
        &[token, ("origin", "http://127.0.0.1:8091")][..],
        &[token, ("origin", "null")],
        &[token, ("host", "evil.example")],
        &[token, ("host", "127.0.0.1.evil.example:8091")],
        &[("host", "evil.example")],
    ] {
        for path in ["/healthz", "/v1/shares"] {
            assert_eq!(status(&relay, path, headers).await, 403, "{headers:?}");
        }
    }
}

#[actix_web::test]
async fn nothing_gives_the_token_or_a_secret_away() {
    let fake = FakeServer::obliging();
    let mut relay = TestRelay::start(&fake.url, &["--log", "trace"]);
    relay.share("ses_1", &[]).await;
    relay.report(&[part_event("ses_1", "m", "p", "text")]).await;
    relay.flush("ses_1").await;
    let listed = format!("{:?}", relay.list().await);
    assert!(!listed.contains("the-secret"));
    let token = relay.token();
    assert_eq!(relay.terminate(), Some(0));
    let log = relay.log();
    assert!(log.len() > 100);
    assert!(!log.contains("the-secret") && !log.contains(&token), "{log}");

    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&relay.local_dir()), 0o700);
    for file in std::fs::read_dir(relay.local_dir()).expect("the directory") {
        assert_eq!(mode(&file.expect("a file").path()), 0o600);
    }
}

#[test]
fn a_directory_that_others_can_read_is_refused_with_the_way_to_mend_it() {
    for (name, mode, wanted) in
        [("", 0o755, "chmod 700"), ("shares.json", 0o644, "chmod 600"), ("token", 0o640, "chmod 600")]
    {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join(name);
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).expect("set");
        if !name.is_empty() {
            std::fs::write(&path, "{}").expect("written");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        let output = program()
            .args(["relay", "--listen", "127.0.0.1:0", "--local-dir"])
            .arg(dir.path())
            .output()
            .expect("runs");
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("others can read") && error.contains(wanted), "{error}");
    }
    let output = program().args(["relay", "--listen", "0.0.0.0:0"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback alone"));
}

#[actix_web::test]
async fn a_unix_socket_is_a_door_too() {
    let fake = FakeServer::obliging();
    let dir = tempfile::TempDir::new().expect("a directory");
    let path = dir.path().join("relay.sock");
    let listen = format!("unix:{}", path.display());
    let mut relay = TestRelay::start(&fake.url, &["--listen", &listen]);
    assert_eq!(relay.url, listen);
    assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);

    let mut stream = UnixStream::connect(&path).expect("connects");
    let request = format!(
        "GET /v1/shares HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        relay.token()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("[]"), "{answer}");

    let mut command = program();
    command.args(["share", "ses_1", "--from-now", "--relay", &listen, "--local-dir"]).arg(relay.local_dir());
    let shared = actix_web::web::block(move || command.output()).await.expect("ends").expect("runs");
    assert_eq!(String::from_utf8_lossy(&shared.stdout).trim(), "http://share.example/s/share1");

    // A socket that a crash left is no obstacle.
    relay.kill();
    relay.restart();
    assert_eq!(relay.terminate(), Some(0));
    assert!(!path.exists());
}

#[actix_web::test]
async fn what_is_no_socket_is_not_taken_away() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let path = dir.path().join("notes");
    std::fs::write(&path, "mine").expect("written");
    let mut command = program();
    command.arg("relay").arg("--listen").arg(format!("unix:{}", path.display()));
    command.arg("--local-dir").arg(dir.path().join("local"));
    let output = actix_web::web::block(move || command.output()).await.expect("ends").expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on unix:"));
    assert_eq!(std::fs::read_to_string(&path).expect("still there"), "mine");
}

#[actix_web::test]
async fn a_body_that_is_too_large_is_refused_in_json() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&fake.url, &[]);
    let address = relay.url.replace("http://", "");
    let mut stream = std::net::TcpStream::connect(&address).expect("connects");
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: 300000000\r\n\r\n",
        relay.token()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).expect("read");
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_said_in_json() {
    let fake = FakeServer::obliging();
    let relay = TestRelay::start(&fake.url, &[]);
    let (status, answer) = relay.request(Method::GET, "/v1/nothing", &Value::Null).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("no_such_path")));
    let (status, answer) = relay.request(Method::GET, "/v1/events", &Value::Null).await;
    assert_eq!((status, &answer["error"]["code"]), (405, &json!("method_not_allowed")));
}
