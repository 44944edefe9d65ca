//! Where a server listens, and under which paths it is found.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::harness::{TestServer, part, program};

/// A request over a Unix socket, and its answer.
fn ask(socket: &Path, request: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).expect("connects");
    let head = format!("{request} HTTP/1.1\r\nhost: share.example\r\nconnection: close\r\n{headers}");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a head").1.to_owned())
}

#[actix_web::test]
async fn a_proxy_on_the_same_machine_needs_no_port() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let socket = dir.path().join("share.sock");
    let listen = format!("unix:{}", socket.display());
    let public = ["--public-url", "https://share.example", "--create-limit", "1/h"];
    let mut server = TestServer::start(&[&["--listen", &listen], &public[..]].concat());
    assert_eq!(server.url, listen);
    assert_eq!(std::fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777, 0o666);

    // The proxy says who asks, and each has its own limit.
    let create = |client: &str| {
        let header = format!("x-forwarded-for: {client}\r\n");
        ask(&socket, "POST /api/share", &header, r#"{"sessionID":"s"}"#)
    };
    let (status, created) = create("198.51.100.1");
    assert_eq!(status, 200, "{created}");
    let created: Value = serde_json::from_str(&created).expect("JSON");
    assert!(created["url"].as_str().is_some_and(|url| url.starts_with("https://share.example/s/")));
    assert_eq!(create("198.51.100.1").0, 429);
    assert_eq!(create("198.51.100.2").0, 200);
    let path = format!("/api/share/{}", created["id"].as_str().expect("an id"));
    let sync = serde_json::json!({"secret": created["secret"], "data": [part("m", "p", "over a socket")]});
    assert_eq!(ask(&socket, &format!("POST {path}/sync"), "", &sync.to_string()).0, 200);
    assert!(ask(&socket, &format!("GET {path}/data"), "", "").1.contains("over a socket"));

    // A viewer's WebSocket, too.
    let stream = tokio::net::UnixStream::connect(&socket).await.expect("connects");
    let url = format!("ws://share.example{path}/poll");
    let (mut viewer, _) = tokio_tungstenite::client_async(url, stream).await.expect("a viewer connects");
    let frame = futures_util::StreamExt::next(&mut viewer).await.expect("a frame").expect("a frame");
    assert!(frame.into_text().expect("text").contains("over a socket"));

    server.signal("-TERM");
    assert!(server.wait().success());
    assert!(!socket.exists(), "nothing stays of it");
    let output = program().args(["serve", "--listen", &listen]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("public_url"));
}

#[actix_web::test]
async fn names_of_addresses_are_taken() {
    let server = TestServer::start(&["--listen", "localhost:0"]);
    let port = server.address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
    for host in ["127.0.0.1", "::1"] {
        match TcpStream::connect((host, port)) {
            Ok(mut stream) => {
                stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("sent");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).expect("an answer");
                assert!(answer.contains(" 200 "), "{host}: {answer}");
            }
            // This machine may have one family alone.
            Err(error) => assert_eq!(host, "::1", "{error}"),
        }
    }
    let anywhere = TestServer::start(&["--listen", ":0"]);
    let port = anywhere.address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
    TcpStream::connect(("127.0.0.1", port)).expect("connects");
    assert!(anywhere.log().contains("set public_url"), "nobody can follow a link to all addresses");
    for bad in ["example.org:80", "8090", "localhost", ":http"] {
        let output = program().args(["serve", "--listen", bad]).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{bad}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("ADDRESS:PORT, :PORT, localhost:PORT or unix:PATH"), "{error}");
    }
}

/// What `config show` says of where a daemon listens.
fn listens(daemon: &str, env: &[(&str, &str)]) -> String {
    let output = program().args(["config", "show", daemon]).envs(env.iter().copied()).output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let line = text.lines().find(|line| line.starts_with("listen ")).unwrap_or_else(|| panic!("{text}"));
    line.to_owned()
}

#[test]
fn each_daemon_has_its_own_variable_and_the_shared_one_is_still_read() {
    for (daemon, own) in [("serve", "BRUTUS_SHARE_SERVE_LISTEN"), ("relay", "BRUTUS_SHARE_RELAY_LISTEN")] {
        assert!(listens(daemon, &[(own, "localhost:7001")]).contains("localhost:7001"));
        assert!(listens(daemon, &[("BRUTUS_SHARE_LISTEN", "localhost:7002")]).contains("localhost:7002"));
        let both = [("BRUTUS_SHARE_LISTEN", "localhost:7002"), (own, "localhost:7001")];
        assert!(listens(daemon, &both).contains("localhost:7001"));
    }
    let server = TestServer::start_with_env(&[], &[("BRUTUS_SHARE_LISTEN", "127.0.0.1:1")]);
    assert!(server.log().contains("BRUTUS_SHARE_SERVE_LISTEN"), "it is warned of");
}

#[actix_web::test]
async fn all_is_found_under_the_path_of_the_links() {
    let server = TestServer::start(&["--public-url", "https://share.example/under/here/"]);
    let share = server.share().await;
    share.sync(&[part("m", "p", "x")]).await;
    for path in [share.path(""), share.path("/data"), format!("/s/{}", share.id), "/assets/app.js".into()] {
        for base in ["", "/under/here"] {
            let answer = server.get(&format!("{base}{path}")).await;
            assert_eq!(answer.0, 200, "{base}{path}");
        }
    }
    let url = format!("ws://{}/under/here{}", server.address, share.path("/poll"));
    let mut viewer = crate::harness::TestViewer::connect(&url).await;
    viewer.until("the share", |viewer| viewer.items.len() == 1).await;
    for path in ["/under/here/nothing", "/under/s/x", "/here/healthz"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
}
