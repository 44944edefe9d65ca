//! Clients that open connections and do nothing with them, and very many viewers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::json;

use crate::harness::{PATIENCE, TestServer, TestViewer, session};

/// Requests that are begun and never ended.
const HALF_OPEN: usize = 1000;

/// Viewers that wait.
const VIEWERS: usize = 10_000;

/// What docs/OPERATIONS.md says that a viewer who waits takes, in bytes; twice that in a build for tests.
const VIEWER_BYTES: usize = 2 * (20 << 10);

#[actix_web::test]
async fn a_thousand_half_open_requests_keep_nobody_out_and_are_ended() {
    let server = TestServer::start(&["--head-timeout", "2s", "--body-timeout", "2s"]);
    let share = server.share().await;
    let (before, _) = server.descriptors_and_threads();
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n", share.path("/sync"));
    let mut half: Vec<_> = (0..HALF_OPEN)
        .map(|n| {
            let mut stream = TcpStream::connect(&server.address).expect("connects");
            // Nothing, half a head, or a head and the start of a body.
            let sent = match n % 3 {
                0 => String::new(),
                1 => head.clone(),
                _ => format!("{head}\r\n{{\"secret\":"),
            };
            stream.write_all(sent.as_bytes()).expect("sent");
            stream
        })
        .collect();
    for n in 0..100 {
        share.sync(&[session(&format!("title {n}"))]).await;
        // They go on, a byte at a time.
        for stream in half.iter_mut().skip(n).step_by(100).filter(|_| n % 3 == 0) {
            let _ = stream.write_all(b"x");
        }
    }
    assert_eq!(share.data().await.len(), 1);
    // Every one of them is ended by the server, and says so where a request could be understood.
    let mut refused = 0;
    for mut stream in half {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        refused += usize::from(answer.starts_with(b"HTTP/1.1 408"));
    }
    assert!(refused >= HALF_OPEN / 4, "{refused}");
    let ended = async {
        while server.descriptors_and_threads().0 > before + 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("nothing stays of them");
}

#[actix_web::test]
async fn ten_thousand_viewers_wait_in_little_memory_and_all_see_the_news() {
    // They all come from this machine's address.
    let most = (VIEWERS + 200).to_string();
    let server = TestServer::start(&["--log", "warn", "--max-connections-per-address", &most]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    // The server's first viewers pay for what all share.
    drop(crowd(&share.path("/poll"), &server, 100).await);
    let before = server.memory();
    let mut viewers = crowd(&share.path("/poll"), &server, VIEWERS).await;
    let each = server.memory().saturating_sub(before) / VIEWERS;
    assert!(each < VIEWER_BYTES, "{each} bytes a viewer");
    share.sync(&[json!({"type": "news", "data": {}})]).await;
    for viewer in &mut viewers {
        viewer.until("the news", |viewer| viewer.items.contains_key("news")).await;
    }
}

async fn crowd(path: &str, server: &TestServer, count: usize) -> Vec<TestViewer> {
    let url = format!("ws://{}{path}", server.address);
    let viewers = stream::iter(0..count).map(|_| async {
        let mut viewer = TestViewer::connect(&url).await;
        viewer.until("caught up", |viewer| viewer.caught_up).await;
        viewer
    });
    viewers.buffer_unordered(200).collect().await
}
