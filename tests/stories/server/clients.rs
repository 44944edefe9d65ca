//! The ways in which real HTTP clients speak.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestServer, message, session};

/// What curl prints: the answer's body and, on the last line, its status.
fn curl(args: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(args)
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

#[actix_web::test]
async fn curl_syncs_in_each_of_its_ways() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let url = format!("{}{}", server.url, share.path("/sync"));
    let body = |n: usize| json!({"secret": share.secret, "data": [message(&format!("m{n}"), 1)]}).to_string();
    let ways: [&[&str]; 6] = [
        &[],
        &["--http1.0"],
        // No length; a body that waits to be asked for; a form's type, as curl says when nobody tells it; HTTP/2 if it
        // can be had.
        &["--header", "transfer-encoding: chunked"],
        &["--header", "expect: 100-continue"],
        &["--header", "content-type:"],
        &["--http2"],
    ];
    for (n, way) in ways.iter().enumerate() {
        let body = body(n);
        let args = [*way, &["--data-binary", &body, &url]].concat();
        assert_eq!(curl(&args), (200, "{}".into()), "{way:?}");
    }
    assert_eq!(share.data().await.len(), ways.len());
    let data = format!("{}{}", server.url, share.path("/data"));
    let (status, plain) = curl(&[&data]);
    assert_eq!(status, 200);
    for way in ["--http1.0", "--compressed"] {
        assert_eq!(curl(&[way, &data]), (200, plain.clone()), "{way}");
    }
    let (status, headers) = curl(&["--head", &data]);
    assert_eq!(status, 200);
    assert!(
        headers.to_ascii_lowercase().contains(&format!("content-length: {}\r\n", plain.len())),
        "{headers}"
    );
}

#[actix_web::test]
async fn requests_in_one_packet_are_answered_in_turn() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let sync = json!({"secret": share.secret, "data": [session("t")]}).to_string();
    let requests = [
        format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{sync}",
            share.path("/sync"),
            sync.len()
        ),
        format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", share.path("/data")),
        // With the whole address, as a proxy is asked.
        format!("GET {}/healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", server.url),
    ]
    .concat();
    let mut stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(requests.as_bytes()).expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("all answers");
    let places: Vec<_> = ["\r\n\r\n{}HTTP/1.1 200", r#"[{"type":"session""#, "HTTP/1.1 200 OK"]
        .iter()
        .map(|piece| answers.rfind(piece).unwrap_or_else(|| panic!("{piece} in {answers}")))
        .collect();
    assert!(places.is_sorted(), "{answers}");
}

/// What two programs in a row could understand in two ways is refused, and the connection with it.
#[actix_web::test]
async fn ambiguous_requests_are_refused() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let hidden = format!("DELETE {} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}", share.path(""));
    let heads = [
        "POST PATH HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST PATH HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST PATH HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST PATH HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n0\r\n\r\n",
        "POST PATH HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\na: b\r\n folded: c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\na\0: b\r\n\r\n",
        "GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}",
    ];
    for head in heads {
        let head = head.replace("PATH", &share.path("/sync"));
        let answer = server.raw(format!("{head}{hidden}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
    assert!(share.data().await.is_empty());
}

#[actix_web::test]
async fn python_and_its_keep_alive() {
    let server = TestServer::start(&[]);
    let script = r#"
import http.client, json, sys
connection = http.client.HTTPConnection(sys.argv[1])
def request(method, path, body=None, **headers):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
status, share = request("POST", "/api/share", json.dumps({"sessionID": "s"}))
assert status == 200, share
def pieces():
    yield b'{"secret":"' + share["secret"].encode()
    yield b'","data":[{"type":"session","data":{"title":"caf\xc3\xa9"}}]}'
print(request("POST", "/api/share/" + share["id"] + "/sync", pieces())[0])
print(request("POST", "/api/share/" + share["id"] + "/sync", "{")[0])
print(json.dumps(request("GET", "/api/share/" + share["id"] + "/data")[1]))
"#;
    let output =
        Command::new("python3").args(["-c", script, &server.address]).output().expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = text.lines();
    assert_eq!((lines.next(), lines.next()), (Some("200"), Some("400")));
    let data: Value = serde_json::from_str(lines.next().unwrap_or_default()).expect("JSON");
    assert_eq!(data, json!([{"type": "session", "data": {"title": "café"}}]));
}
