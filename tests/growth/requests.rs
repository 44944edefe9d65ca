//! A request's first line and its headers, and many requests.

use std::io::{Read, Write};

use crate::harness::TestServer;
use crate::peer::{connect, get};
use crate::table::{Door, Sizes, door, measure};
use crate::writing::{Owned, part};

/// Bytes of a head, or pieces of it: the largest heads are refused.
const HEAD: Sizes = (1000, 32_000);

/// How a head is made: the target and the headers. `ID` stands for a share.
type Head = (&'static str, fn(usize) -> (String, String));

const HEADS: &[Head] = &[
    ("a path of n bytes", |n| (format!("/{}", "p".repeat(n)), String::new())),
    ("n slashes", |n| (format!("{}healthz", "/".repeat(n)), String::new())),
    ("a path of n parts", |n| (format!("/s{}", "/a".repeat(n / 2)), String::new())),
    ("n escapes in a path", |n| (format!("/s/{}", "%2f".repeat(n / 3)), String::new())),
    ("a share's id of n bytes", |n| (format!("/api/share/{}", "A".repeat(n)), String::new())),
    ("n dots behind an id", |n| (format!("/s/ID{}", ".".repeat(n)), String::new())),
    ("a token of n bytes", |n| (format!("/t/{}/api/share/ID", "t".repeat(n)), String::new())),
    ("a query of n bytes", |n| (format!("/api/share/ID/items?epoch={}", "e".repeat(n)), String::new())),
    ("a position of n digits", |n| (format!("/api/share/ID/items?after={}", "0".repeat(n)), String::new())),
    ("a link of n bytes in a query", |n| (format!("/oembed?url={}", "%2f".repeat(n / 3)), String::new())),
    ("a nonce of n bytes", |n| (format!("/api/server?nonce={}", "n".repeat(n)), String::new())),
    ("n options of a query", |n| (format!("/s/ID.md?{}", "a=1&".repeat(n / 4)), String::new())),
    ("n positions in a query", |n| {
        (format!("/api/share/ID/items?{}", "after=1&".repeat(n / 8)), String::new())
    }),
    ("a header of n bytes", |n| ("/healthz".into(), format!("x-a: {}\r\n", "a".repeat(n)))),
    ("n headers", |n| ("/healthz".into(), "a: b\r\n".repeat(n / 6))),
    ("n names of headers", |n| ("/healthz".into(), lines(n / 12, |i| format!("x-{i}: b")))),
    ("n kinds in Accept", |n| ("/s/ID".into(), format!("accept: {}\r\n", "a/b;q=0.1,".repeat(n / 10)))),
    ("n encodings", |n| {
        ("/api/share/ID/data".into(), format!("accept-encoding: {}\r\n", "gzip;q=0.1,".repeat(n / 11)))
    }),
    ("n tags in If-None-Match", |n| {
        ("/api/share/ID/data".into(), format!("if-none-match: {}\r\n", "W/\"a-1\",".repeat(n / 8)))
    }),
    ("n hops in X-Forwarded-For", |n| {
        ("/api/share/ID/items".into(), format!("x-forwarded-for: {}\r\n", "127.0.0.1,".repeat(n / 10)))
    }),
    ("n hops in Forwarded", |n| {
        ("/api/share/ID/items".into(), format!("forwarded: {}\r\n", "for=127.0.0.1,".repeat(n / 14)))
    }),
    ("n cookies", |n| ("/s/ID".into(), format!("cookie: {}\r\n", "a=b; ".repeat(n / 5)))),
];

/// `n` lines of a head.
fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(|i| line(i) + "\r\n").collect::<Vec<_>>().concat()
}

fn heads() -> Vec<Door<TestServer>> {
    let heads = HEADS.iter().map(|&(name, head)| {
        door(format!("a request's head: {name}"), HEAD, move |server, n| {
            let share = Owned::with(server, &part("m", "p", ""));
            let (target, headers) = head(n);
            let target = target.replace("ID", &share.id);
            Box::new(move |_| {
                // A few, for a head is small.
                for _ in 0..8 {
                    let status = get(&server.address, &target, &headers).status;
                    assert!([200, 308, 400, 404, 414, 431].contains(&status), "{status}");
                }
            })
        })
    });
    heads.into_iter().collect()
}

/// Many requests on one connection, all written before the first answer is read.
fn pipelined(server: &TestServer, request: &str, count: usize) {
    let stream = connect(&server.address);
    let last = request.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
    let requests = request.repeat(count - 1) + &last;
    std::thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(requests.as_bytes()).expect("sent"));
        let mut answers = Vec::new();
        (&stream).read_to_end(&mut answers).expect("answers");
        let answered = answers.windows(9).filter(|window| *window == b"HTTP/1.1 ").count();
        assert_eq!(answered, count);
    });
}

fn many() -> Vec<Door<TestServer>> {
    vec![
        door("n requests at once on a connection", (100, 3200), |server, n| {
            Box::new(move |_| pipelined(server, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", n))
        }),
        door("n requests for an id that nobody made", (100, 1600), |server, n| {
            let request = format!("GET /api/share/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "A".repeat(22));
            Box::new(move |_| pipelined(server, &request, n))
        }),
        door("n requests for content that is known", (100, 1600), |server, n| {
            let share = Owned::with(server, &part("m", "p", ""));
            let head = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n", share.path("/data"));
            let answer = crate::peer::exchange(
                &server.address,
                &[format!("{head}connection: close\r\n\r\n").as_bytes()],
            );
            assert_eq!(answer.status, 200);
            let epoch = get(&server.address, &share.path("/items"), "").json()["epoch"].clone();
            let tag = format!("if-none-match: \"{}-1\"\r\n\r\n", epoch.as_str().expect("an epoch"));
            Box::new(move |_| pipelined(server, &format!("{head}{tag}"), n))
        }),
    ]
}

#[test]
fn heads_of_requests() {
    measure(heads());
}

#[test]
fn many_requests() {
    measure(many());
}
