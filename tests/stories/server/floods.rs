//! Who sends without end, or asks without reading: it is refused before it costs anything, and others do not notice.
//!
//! `BRUTUS_FLOOD_MIB` says how much is sent, for by hand; the memory that it may cost stays the same.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use awc::http::Method;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::harness::{PATIENCE, TestServer, TestShare, message, part, session, until};
use crate::operator::metrics::{metrics, metrics_url, value};

/// What a flood may add to the server's resident memory, in bytes: buffers of connections, and what the allocator
/// keeps.
const SLACK: usize = 12 << 20;

/// How much is sent to a door that should not take it, in bytes.
fn flood() -> usize {
    let mib = std::env::var("BRUTUS_FLOOD_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(48_usize);
    mib << 20
}

/// A connection from one of the addresses of this machine that are like those of different clients.
fn connect_from(server: &TestServer, last: u8) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // What is not read then stands in the server, and not in the kernel.
    socket.set_recv_buffer_size(16 << 10).expect("a small buffer");
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).expect("an address");
    socket.connect(&server.address.parse::<SocketAddr>().expect("an address").into()).expect("connects");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn connect(server: &TestServer) -> TcpStream {
    connect_from(server, 1)
}

/// The head of a request that says that so many bytes follow.
fn announce(stream: &mut TcpStream, method: &str, path: &str, length: usize) {
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").expect("sent");
}

/// The status and the code of an answer, `-` when it has none.
fn answer(stream: &mut TcpStream) -> (u16, String) {
    let head = head(stream);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut body = vec![0; content_length(&head)];
    stream.read_exact(&mut body).expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    (status, body["error"]["code"].as_str().unwrap_or("-").to_owned())
}

/// The length of a body, by the head before it.
fn content_length(head: &str) -> usize {
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    length.parse().expect("a number")
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

const NO_SHARE: &str = "/api/share/AAAAAAAAAAAAAAAAAAAAAA";

/// The head of an answer.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        // Not `read`: as the socket has a timeout, a pause of this process interrupts that.
        match stream.read_exact(&mut byte) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            read => read.expect("an answer"),
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// Sends until so much is sent, or the other side takes no more.
fn pour(stream: &mut TcpStream, bytes: usize) {
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < bytes && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
}

/// A viewer's connection, for bytes that no client's library would send.
fn viewer(share: &TestShare<'_>) -> TcpStream {
    let mut stream = connect(share.server);
    write!(
        stream,
        "GET {} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        share.path("/poll")
    )
    .expect("sent");
    assert!(head(&mut stream).starts_with("HTTP/1.1 101"));
    stream
}

/// Reads frames until the close, and gives its code.
fn close_code(stream: &mut TcpStream) -> u16 {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).expect("a frame");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                stream.read_exact(&mut length).expect("a length");
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).expect("a payload");
        if head[0] == 0x88 {
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
    }
}

#[actix_web::test]
async fn a_frame_without_end_is_refused_by_its_head() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[message("m", 1)]).await;
    let long = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), b"mask"].concat();
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (long(1 << 40), 1009),
        (long(i64::MAX.cast_unsigned()), 1009),
        (long(u64::MAX), 1009),
        (b"\x81\xfe\x10\x01mask".to_vec(), 1009),
        // The first of many fragments; the rest of them is thrown away.
        (b"\x01\x83maskabc".to_vec(), 1003),
        (b"\x89\xfe\x00\x7emask".to_vec(), 1002),
        (b"\x82\x05hello".to_vec(), 1002),
    ];
    // Everything that a first viewer brings into memory.
    drop(viewer(&share));
    let before = server.memory();
    for (head, code) in &cases {
        let mut stream = viewer(&share);
        stream.write_all(head).expect("sent");
        // Said before any of the payload has come.
        assert_eq!(close_code(&mut stream), *code, "{head:x?}");
        pour(&mut stream, flood());
    }
    // Many at once, who do not wait for the answer.
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = viewer(&share);
            std::thread::spawn(move || {
                let _ = stream.write_all(b"\x82\xff\0\0\x01\0\0\0\0\0mask");
                pour(&mut stream, flood());
            })
        })
        .collect();
    for flood in floods {
        flood.join().expect("sent");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < SLACK, "{} KiB", grown >> 10);
    assert_eq!(share.data().await.len(), 1);
}

#[actix_web::test]
async fn who_may_not_write_is_told_before_the_body_is_read() {
    let server = TestServer::start(&["--max-body", "100MiB"]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let sync = share.path("/sync");
    let before = server.memory();
    // Nothing but the head has come, or the beginning of the body.
    let wrong = r#"{"secret":"00000000-0000-4000-8000-000000000000","data":["#;
    for (method, path, length, beginning, expected) in [
        ("POST", format!("{NO_SHARE}/sync"), 60 << 20, "", refused(404, "no_such_share")),
        ("POST", "/api/share/short/sync".into(), 60 << 20, "", refused(404, "no_such_share")),
        ("DELETE", NO_SHARE.into(), 60 << 20, "", refused(404, "no_such_share")),
        ("POST", sync.clone(), 60 << 20, wrong, refused(401, "wrong_secret")),
        ("POST", sync.clone(), 101 << 20, "", refused(413, "body_too_large")),
        ("DELETE", share.path(""), 1 << 20, "", refused(413, "body_too_large")),
        ("POST", "/api/share".into(), 1 << 20, "", refused(413, "body_too_large")),
    ] {
        let mut stream = connect(&server);
        announce(&mut stream, method, &path, length);
        stream.write_all(beginning.as_bytes()).expect("sent");
        assert_eq!(answer(&mut stream), expected, "{method} {path}");
        // What comes all the same is not kept.
        pour(&mut stream, flood().min(length));
    }
    // A client that writes all of it before it reads sees the answer too.
    let mut stream = connect(&server);
    announce(&mut stream, "POST", &format!("{NO_SHARE}/sync"), 30 << 20);
    stream.write_all(&vec![b' '; 30 << 20]).expect("all of it is taken");
    assert_eq!(answer(&mut stream), refused(404, "no_such_share"));
    let grown = server.memory().saturating_sub(before);
    assert!(grown < SLACK, "{} KiB", grown >> 10);

    // No item is looked at before the secret, also when that stands last.
    let bad = json!([{"type": "message", "data": {}}]);
    let first = format!(r#"{{"secret":"wrong","data":{bad}}}"#);
    let last = format!(r#"{{"data":{bad},"secret":"wrong"}}"#);
    let mine = format!(r#"{{"data":{bad},"secret":"{}"}}"#, share.secret);
    for (body, status) in [(first, 401), (last, 401), (mine, 400)] {
        assert_eq!(server.request(Method::POST, &sync, body).await.0, status);
    }
    let good = format!(r#"{{"data":[{}],"secret":"{}"}}"#, message("m", 1), share.secret);
    assert_eq!(server.request(Method::POST, &sync, good).await.0, 200);
    assert_eq!(share.data().await.len(), 2);
}

#[actix_web::test]
async fn bodies_of_strangers_are_not_held() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let before = server.memory();
    let held: Vec<_> = (0..16)
        .map(|_| {
            let mut stream = connect(&server);
            std::thread::spawn(move || {
                announce(&mut stream, "POST", &format!("{NO_SHARE}/sync"), 64 << 20);
                let _ = stream.write_all(br#"{"secret":""#);
                pour(&mut stream, flood() / 4);
                stream
            })
        })
        .collect();
    let held: Vec<_> = held.into_iter().map(|stream| stream.join().expect("sent")).collect();
    let grown = server.memory().saturating_sub(before);
    assert!(grown < SLACK, "{} KiB", grown >> 10);
    drop(held);
    assert_eq!(share.data().await.len(), 1);
}

/// Sends the beginning of a sync with the right secret that has so many bytes, and holds it.
fn hold(share: &TestShare<'_>, address: u8, bytes: usize) -> TcpStream {
    let mut stream = connect_from(share.server, address);
    announce(&mut stream, "POST", &share.path("/sync"), bytes + 1);
    let beginning = format!(r#"{{"secret":"{}","data":[],"more":""#, share.secret);
    stream.write_all(beginning.as_bytes()).expect("sent");
    stream.write_all(&vec![b'x'; bytes - beginning.len()]).expect("sent");
    stream
}

#[actix_web::test]
async fn all_bodies_together_have_a_limit_and_those_of_one_address_another() {
    let metrics = ["--metrics-listen", "127.0.0.1:0"];
    let server =
        TestServer::start(&[&["--max-memory", "32MiB", "--max-body", "16MiB"], &metrics[..]].concat());
    let url = metrics_url(&server).await;
    let until_held = async |mebibytes: u32| {
        while value(&self::metrics(&url).await, "brutus_share_memory_held_bytes") < f64::from(mebibytes << 20)
        {
        }
    };
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let before = server.memory();
    // One that is larger than the part of an address, for it is alone; then nothing more of that address.
    let mut held = vec![hold(&share, 2, 10 << 20)];
    until_held(10).await;
    assert_eq!(answer(&mut hold(&share, 2, 4 << 20)), refused(429, "too_many_requests"));
    // Others have their parts, until there is no more.
    held.push(hold(&share, 3, 10 << 20));
    until_held(20).await;
    held.push(hold(&share, 4, 7 << 20));
    until_held(27).await;
    let mut more = hold(&share, 5, 10 << 20);
    let head = head(&mut more);
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 1\r\n"), "{head}");
    assert_eq!(answer(&mut hold(&share, 6, 10 << 20)), refused(503, "too_much_at_once"));
    let grown = server.memory().saturating_sub(before);
    assert!(grown < (32 << 20) + SLACK, "{} KiB", grown >> 10);
    // It is given back when they go.
    drop((held, more));
    let large = "x".repeat(3 << 20);
    share.sync(&[part("m", "p", &large), part("m", "q", &large)]).await;
    assert_eq!(share.data().await.len(), 3);
}

#[actix_web::test]
async fn a_body_may_be_slow_but_not_for_ever() {
    let server = TestServer::start(&["--body-timeout", "50ms"]);
    let share = server.share().await;
    let mut stream = connect(&server);
    announce(&mut stream, "POST", &share.path("/sync"), 1 << 20);
    // A byte now and then keeps it going only so long.
    let began = Instant::now();
    while stream.write_all(b" ").is_ok() && began.elapsed() < PATIENCE {
        stream.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
        if stream.peek(&mut [0]).is_ok() {
            break;
        }
    }
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(answer(&mut stream), refused(408, "body_timeout"));
}

/// A share with so many parts of a mebibyte.
async fn large_share(server: &TestServer, mebibytes: usize) -> TestShare<'_> {
    let share = server.share().await;
    for id in 0..mebibytes {
        share.sync(&[part("m", &format!("p{id:04}"), &"text ".repeat((1 << 20) / 5))]).await;
    }
    share
}

fn ask(server: &TestServer, address: u8, path: &str) -> TcpStream {
    let mut stream = connect_from(server, address);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    stream
}

#[actix_web::test]
async fn readers_who_do_not_read_cost_little() {
    let server = TestServer::start(&[]);
    let share = large_share(&server, 24).await;
    assert_eq!(share.data().await.len(), 24);
    let before = server.memory();
    let paths = [share.path("/data"), format!("/s/{}.json", share.id)];
    let mut held: Vec<_> = (0..16).map(|n| ask(&server, 2 + n / 8, &paths[usize::from(n % 2)])).collect();
    for stream in &mut held {
        assert!(head(stream).starts_with("HTTP/1.1 200"));
    }
    // Who has that many open waits a little for them; others do not notice.
    assert_eq!(answer(&mut ask(&server, 2, &paths[0])), refused(429, "too_many_requests"));
    assert_eq!(share.data().await.len(), 24);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < SLACK, "{} KiB", grown >> 10);
    drop(held);
    assert!(head(&mut ask(&server, 2, &paths[0])).starts_with("HTTP/1.1 200"));
}

#[actix_web::test]
async fn readers_who_stop_reading_are_ended() {
    let server = TestServer::start(&["--body-timeout", "1s", "--metrics-listen", "127.0.0.1:0"]);
    let url = metrics_url(&server).await;
    let share = large_share(&server, 8).await;
    let held_bytes = async || value(&metrics(&url).await, "brutus_share_memory_held_bytes");
    let before = held_bytes().await;
    // As many as one client may have open, and one of what is long in the making.
    for (readers, path) in [(8, share.path("/data")), (1, format!("/s/{}.md?full=1", share.id))] {
        let mut held: Vec<_> = (0..readers).map(|_| ask(&server, 2, &path)).collect();
        let heads: Vec<_> = held.iter_mut().map(head).collect();
        assert!(heads.iter().all(|head| head.starts_with("HTTP/1.1 200")), "{heads:?}");
        until("nothing is held for them", async || held_bytes().await <= before).await;
        // Their places are free although they are still there.
        assert!(head(&mut ask(&server, 2, &path)).starts_with("HTTP/1.1 200"));
        for (stream, head) in held.iter_mut().zip(&heads) {
            let mut rest = vec![0; content_length(head)];
            assert!(stream.read_exact(&mut rest).is_err(), "{path} came whole");
        }
    }
}

/// The longest that a look at the server's health takes while something goes on, and how long that takes.
async fn health_during(server: &TestServer, busy: impl FnOnce() + Send + 'static) -> (Duration, Duration) {
    let began = Instant::now();
    let busy = std::thread::spawn(busy);
    let mut longest = Duration::ZERO;
    while !busy.is_finished() {
        let asked = Instant::now();
        assert_eq!(server.get("/healthz").await.0, 200);
        longest = longest.max(asked.elapsed());
    }
    busy.join().expect("done");
    (longest, began.elapsed())
}

#[actix_web::test]
async fn who_asks_for_much_does_not_make_others_wait() {
    // One thread for all: what is done on it is what all wait for.
    let server = TestServer::start(&["--workers", "1"]);
    let share = server.share().await;
    let models: Vec<_> = (0..30_000).map(|id| json!({"id": id.to_string(), "providerID": "p"})).collect();
    let body = json!({"secret": share.secret, "data": [{"type": "model", "data": models}]}).to_string();
    let large = large_share(&server, 6).await;
    let items: Vec<_> = (0..20_000).map(|id| part("m", &format!("q{id}"), "x")).collect();
    large.sync(&items).await;
    let sync = || {
        let mut stream = connect_from(&server, 2);
        announce(&mut stream, "POST", &share.path("/sync"), body.len());
        stream.write_all(body.as_bytes()).expect("sent");
        stream
    };
    let markdown = || ask(&server, 2, &format!("/s/{}.md?full=1", large.id));
    let all: [&dyn Fn() -> TcpStream; 2] = [&sync, &markdown];
    for heavy in all {
        let mut streams: Vec<_> = (0..4).map(|_| heavy()).collect();
        let (longest, all) = health_during(&server, move || {
            for stream in &mut streams {
                assert!(head(stream).starts_with("HTTP/1.1 200"));
            }
        })
        .await;
        // Four of them one after the other, each of which would take a quarter of it.
        assert!(longest < all / 6 + Duration::from_millis(30), "{longest:?} of {all:?}");
    }
}

#[actix_web::test]
async fn connections_of_one_address_are_limited_and_those_of_a_proxy_are_not() {
    let server = TestServer::start(&["--max-connections-per-address", "3", "--trusted-proxies", "127.0.0.9"]);
    // One that is too many is told so, or closed before it has asked.
    let healthy = |address| {
        let mut stream = connect_from(&server, address);
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut beginning = [0; 12];
        let answered = stream.read_exact(&mut beginning).is_ok();
        assert!(!answered || [b"HTTP/1.1 200", b"HTTP/1.1 429"].contains(&&beginning));
        (&beginning == b"HTTP/1.1 200", stream)
    };
    let held: Vec<_> = (0..3).map(|_| healthy(2)).collect();
    assert!(held.iter().all(|(healthy, _)| *healthy));
    assert!(!healthy(2).0 && healthy(3).0);
    let of_proxy: Vec<_> = (0..8).map(|_| healthy(9)).collect();
    assert!(of_proxy.iter().all(|(healthy, _)| *healthy));
    drop(held);
    let until = Instant::now() + PATIENCE;
    while !healthy(2).0 {
        assert!(Instant::now() < until, "its places are free again");
    }
}

#[actix_web::test]
async fn many_who_ask_whether_it_is_ready_cost_one_commit() {
    let server = TestServer::start(&["--metrics-listen", "127.0.0.1:0"]);
    let url = metrics_url(&server).await;
    let commits = async || value(&metrics(&url).await, "brutus_share_commit_seconds_count");
    let (before, began) = (commits().await, Instant::now());
    for asked in futures_util::future::join_all((0..200).map(|_| server.get("/readyz"))).await {
        assert_eq!(asked, (200, json!({"status": "ready"})));
    }
    let seconds = began.elapsed().as_secs_f64().ceil();
    assert!(commits().await - before <= seconds, "no more than one a second");
}

#[actix_web::test]
async fn web_pages_of_others_may_not_write() {
    let server = TestServer::start(&["--public-url", "https://share.example"]);
    let share = server.share().await;
    let write = async |method: Method, path: &str, origin: &str, body: String| {
        let headers = [("origin", origin), ("content-type", "text/plain")];
        let (status, answer) = server.request_with(method, path, &headers, body).await;
        (status, answer["error"]["code"].as_str().unwrap_or("-").to_owned())
    };
    let sync = json!({"secret": share.secret, "data": [session("t")]}).to_string();
    let secret = json!({"secret": share.secret}).to_string();
    for origin in ["https://evil.example", "null", "http://share.example"] {
        for (method, path, body) in [
            (Method::POST, "/api/share", r#"{"sessionID":"s"}"#),
            (Method::POST, &*share.path("/sync"), &*sync),
            (Method::DELETE, &share.path(""), &secret),
        ] {
            let answer = write(method, path, origin, body.to_owned()).await;
            assert_eq!(answer, refused(403, "forbidden"), "{origin} {path}");
        }
    }
    // Its own, by its links and by its address; and reading is for all who have the link.
    for origin in ["https://share.example", &server.url] {
        assert_eq!(write(Method::POST, &share.path("/sync"), origin, sync.clone()).await.0, 200);
    }
    let read = crate::harness::client().get(format!("{}{}", server.url, share.path("/data")));
    let read = read.insert_header(("origin", "https://evil.example")).send().await.expect("an answer");
    assert_eq!(read.status(), 200);
    let policy = |name: &str| read.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(policy("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(policy("strict-transport-security"), None, "its TLS is not the server's own");
    // The page opens in a group of its own.
    let page = crate::harness::client().get(format!("{}/s/{}", server.url, share.id));
    let page = page.send().await.expect("an answer");
    let opener = page.headers().get("cross-origin-opener-policy");
    assert_eq!(opener.and_then(|policy| policy.to_str().ok()), Some("same-origin"));
}
