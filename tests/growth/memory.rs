//! What many hold at once: bodies that do not end, answers that are not read, frames that never end, shares that are
//! opened. Whatever their number, the server stays within its budget and answers others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::TestServer;
use crate::meter::Meter;
use crate::peer::{Kind, Viewer, connect, get, head};
use crate::table::{BUDGET, MAX_MEMORY, OPTIONS, SLACK, in_turn, larger, say};
use crate::writing::{Owned, list, text_part};

/// A megabyte.
const MIB: usize = 1 << 20;

/// Bytes of a body that is held.
const BODY: usize = 12 * MIB;

/// How long a peer waits for a server that takes no more bytes.
const STALL: Duration = Duration::from_millis(500);

/// Something that many do at once, and how many. What it returns is kept until the memory was measured.
type Crowd = (&'static str, usize, fn(&mut TestServer, usize) -> Vec<TcpStream>);

const CROWDS: &[Crowd] = &[
    ("n bodies for a share that is not there", 24, |server, n| {
        held(server, n, &format!("/api/share/{}/sync", "A".repeat(22)), "no-secret")
    }),
    ("n bodies with a wrong secret", 24, |server, n| {
        let path = Owned::create(server).path("/sync");
        held(server, n, &path, "no-secret")
    }),
    ("n bodies with the right secret", 24, |server, n| {
        let share = Owned::create(server);
        let (path, secret) = (share.path("/sync"), share.secret.clone());
        held(server, n, &path, &secret)
    }),
    ("n MiB of small items for a share that is not there", 16, |server, n| {
        small_items(server, n, &"A".repeat(22), "no-secret")
    }),
    ("n MiB of small items with the right secret", 16, |server, n| {
        let share = Owned::create(server);
        let (id, secret) = (share.id.clone(), share.secret.clone());
        small_items(server, n, &id, &secret)
    }),
    ("n readers of /data who do not read", 16, |server, n| unread(server, n, "/api/share/ID/data", "")),
    ("n readers of /data as gzip who do not read", 16, |server, n| {
        unread(server, n, "/api/share/ID/data", "accept-encoding: gzip\r\n")
    }),
    ("n readers of .json who do not read", 16, |server, n| unread(server, n, "/s/ID.json", "")),
    ("n readers of .md who do not read", 16, |server, n| unread(server, n, "/s/ID.md?full=1", "")),
    ("n viewers who do not read", 100, |server, n| {
        let share = large(server, 8);
        let (address, path) = (&server.address, &share.path("/poll"));
        // At once: some wait for memory, and are refused when none comes.
        let viewers: Vec<_> = thread::scope(|scope| {
            let connecting: Vec<_> =
                (0..n).map(|_| scope.spawn(|| Viewer::try_connect(address, path))).collect();
            connecting.into_iter().map(|viewer| viewer.join().expect("an answer")).collect()
        });
        let refused = viewers.iter().filter_map(|viewer| viewer.as_ref().err());
        refused.for_each(|head| assert!(head.starts_with("HTTP/1.1 503"), "{head}"));
        viewers.into_iter().flatten().map(|viewer| viewer.stream).collect()
    }),
    ("n frames that announce 2^63-1 bytes", 6, |server, n| {
        let share = Owned::create(server);
        let viewers: Vec<_> =
            (0..n).map(|_| Viewer::connect(&server.address, &share.path("/poll")).stream).collect();
        let first = head(Kind::Binary, true, u64::MAX >> 1);
        let piece = vec![0; MIB];
        write_all(&viewers, |stream| {
            stream.write_all(&first)?;
            (0..64).try_for_each(|_| stream.write_all(&piece))
        });
        viewers
    }),
    ("n shares of 12 MiB, opened after a restart", 16, |server, n| {
        let ids: Vec<_> = (0..n).map(|_| large(server, 12).id).collect();
        server.crash_and_restart();
        thread::scope(|scope| {
            for id in &ids {
                let server = &*server;
                scope.spawn(move || get(&server.address, &format!("/api/share/{id}"), ""));
            }
        });
        Vec::new()
    }),
    ("n shares of 12 MiB that nobody watches", 16, |server, n| {
        (0..n).for_each(|_| drop(large(server, 12)));
        Vec::new()
    }),
    ("n heads of 60 KiB that do not end", 1000, |server, n| {
        let heads: Vec<_> = (0..n).map(|_| connect(&server.address)).collect();
        for mut stream in &heads {
            let head = format!("GET /healthz HTTP/1.1\r\nx-a: {}", "a".repeat(60 << 10));
            let _ = stream.write_all(head.as_bytes());
        }
        heads
    }),
];

/// A share of so many megabytes.
fn large(server: &TestServer, mib: usize) -> Owned<'_> {
    let share = Owned::create(server);
    for batch in 0..mib / 4 {
        share.sync(&list(4, |i| text_part("m", &format!("p{batch}-{i}"), &"some words ".repeat(MIB / 11))));
    }
    share
}

/// Bodies of which all comes but the end.
fn held(server: &TestServer, n: usize, path: &str, secret: &str) -> Vec<TcpStream> {
    let bodies: Vec<_> = (0..n).map(|_| connect(&server.address)).collect();
    let first = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{{\"secret\":\"{secret}\",\"data\":[",
        BODY + 1000
    );
    let piece = vec![b' '; MIB];
    write_all(&bodies, |stream| {
        stream.write_all(first.as_bytes())?;
        (0..BODY / MIB).try_for_each(|_| stream.write_all(&piece))
    });
    bodies
}

/// One body of very many items.
fn small_items(server: &TestServer, mib: usize, id: &str, secret: &str) -> Vec<TcpStream> {
    const ITEM: &str = r#",{"type":"a","data":1}"#;
    let items = ITEM.repeat(mib * MIB / ITEM.len());
    let body = format!(r#"{{"secret":"{secret}","data":[{}]}}"#, &items[1..]);
    let status =
        crate::peer::ask(&server.address, "POST", &format!("/api/share/{id}/sync"), "", body.as_bytes())
            .status;
    assert!([200, 404, 413, 503].contains(&status), "{status}");
    Vec::new()
}

/// Requests whose answers are not read but for their beginning.
fn unread(server: &TestServer, n: usize, path: &str, headers: &str) -> Vec<TcpStream> {
    let share = large(server, 24);
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n{headers}\r\n", path.replace("ID", &share.id));
    let readers: Vec<_> = (0..n).map(|_| connect(&server.address)).collect();
    for mut reader in &readers {
        reader.write_all(request.as_bytes()).expect("sent");
    }
    for mut reader in &readers {
        // The answer, or the refusal, has begun.
        reader.read_exact(&mut [0; 9]).expect("an answer");
    }
    readers
}

/// Writes to all at once, to each until it is done or the server takes no more.
fn write_all(streams: &[TcpStream], write: impl Fn(&mut &TcpStream) -> std::io::Result<()> + Sync) {
    thread::scope(|scope| {
        for mut stream in streams {
            let write = &write;
            scope.spawn(move || {
                stream.set_write_timeout(Some(STALL)).expect("a timeout");
                let _ = write(&mut stream);
            });
        }
    });
}

#[test]
fn what_many_hold_stays_within_the_budget() {
    let _turn = in_turn();
    let mut faults = Vec::new();
    for &(name, n, crowd) in CROWDS.iter().filter(|(name, ..)| crate::table::wanted(name)) {
        let began = Instant::now();
        let mut server = TestServer::start(&OPTIONS);
        let before = Meter::of(server.id()).memory();
        let held = crowd(&mut server, larger(n));
        let meter = Meter::of(server.id());
        meter.settle();
        let peak = meter.peak().saturating_sub(before);
        assert_eq!(get(&server.address, "/healthz", "").status, 200, "{name}");
        drop(held);
        let failed = peak > BUDGET + SLACK;
        say(&format!(
            "growth: memory: {name:<54} {:>9} {:>22} MiB {:>21.1} s{}",
            larger(n),
            peak >> 20,
            began.elapsed().as_secs_f64(),
            if failed { "  FAILED" } else { "" }
        ));
        if failed {
            faults.push(format!("{name}: {} MiB, with a budget of {MAX_MEMORY}", peak >> 20));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
