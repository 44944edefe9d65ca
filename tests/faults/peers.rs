//! Peers that never read, hardly read, say nothing, come back all at once, or send half of what they announced.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::harness::{TestServer, TestShare, part, session};

/// Viewers of one kind at once.
const CROWD: usize = 400;

/// A viewer by hand, which reads as much as the test has it read.
fn connect(share: &TestShare<'_>) -> TcpStream {
    let mut stream = TcpStream::connect(&share.server.address).expect("connects");
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        share.path("/poll")
    );
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let waited = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(3 * crate::harness::PATIENCE, waited)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

#[actix_web::test]
async fn whatever_viewers_do_nothing_of_them_stays_and_others_are_served() {
    for seed in crate::seeds(2) {
        let mut random = Rng::with_seed(seed);
        let server = TestServer::start(&["--dead-peer-timeout", "2s", "--ping-interval", "3s"]);
        let share = server.share().await;
        let parts: Vec<_> = (0..40).map(|n| part("m", &format!("p{n:02}"), &"y".repeat(50_000))).collect();
        share.sync(&parts).await;
        // What the first crowd makes the server allocate is the measure for the others.
        let mut baseline = None;
        let (descriptors, threads) = server.descriptors_and_threads();
        for round in 0..4 {
            let kind = if round == 0 { 0 } else { random.u8(0..4) };
            let mut crowd: Vec<_> = (0..CROWD).map(|_| connect(&share)).collect();
            let mut good = share.view().await;
            good.until("caught up", |viewer| viewer.items.len() == 40).await;
            match kind {
                // Never read, and never answer a ping: the kernel or the pings find them.
                0 => {}
                // Read a byte now and then.
                1 => {
                    for _ in 0..10 {
                        for stream in &mut crowd {
                            let _ = stream.read(&mut [0]);
                        }
                    }
                }
                // Go, all at once, and come back at once.
                2 => {
                    crowd.clear();
                    crowd.extend((0..CROWD).map(|_| connect(&share)));
                    crowd.clear();
                }
                // Say what no viewer may.
                _ => {
                    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(2000).collect();
                    for stream in &mut crowd {
                        let _ = stream.write_all(&noise);
                    }
                }
            }
            for version in 0..5 {
                share.sync(&[part("m", "p00", &format!("{round} {version}"))]).await;
            }
            let newest = format!("{round} 4");
            good.until("the newest", |viewer| viewer.items["part/m/p00"]["text"] == newest.as_str()).await;
            drop(good);
            until(&format!("all gone, seed {seed}, kind {kind}"), async || {
                let (now, _) = server.descriptors_and_threads();
                server.get(&share.path("")).await.1["viewers"] == json!(0) && now <= descriptors + 8
            })
            .await;
            drop(crowd);
            let baseline = *baseline.get_or_insert_with(|| server.memory());
            until(&format!("the memory is back, seed {seed}, kind {kind}"), async || {
                server.memory() < baseline * 5 / 4 + (16 << 20)
            })
            .await;
        }
        // Threads for blocking work come and go by themselves.
        assert!(server.descriptors_and_threads().1 <= threads + 8);
    }
}

#[actix_web::test]
async fn half_a_body_stores_nothing_and_holds_nobody_up() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let body = json!({"secret": share.secret, "data": [part("m", "p", "half")]}).to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        share.path("/sync"),
        body.len()
    );
    let (before, _) = server.descriptors_and_threads();
    let mut halves: Vec<_> = (0..CROWD)
        .map(|nth| {
            let mut stream = TcpStream::connect(&server.address).expect("connects");
            let sent = format!("{head}{body}");
            stream.write_all(&sent.as_bytes()[..=nth * (sent.len() - 2) / CROWD]).expect("sent");
            stream
        })
        .collect();
    share.sync(&[session("served meanwhile")]).await;
    for stream in &mut halves {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    drop(halves);
    until("the connections are gone", async || server.descriptors_and_threads().0 <= before + 8).await;
    assert_eq!(share.data().await.len(), 1);
}
