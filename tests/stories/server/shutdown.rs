//! The server is asked to stop.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{ON_DISK, TestServer, part};

#[actix_web::test]
async fn viewers_are_told_to_come_back_and_syncs_are_answered() {
    for signal in ["-TERM", "-INT"] {
        let mut server = TestServer::start(&[]);
        let (id, secret, mut viewer) = {
            let share = server.share().await;
            let mut viewer = share.view().await;
            viewer.until("caught up", |viewer| viewer.caught_up).await;
            (share.id.clone(), share.secret.clone(), viewer)
        };
        let url = format!("{}/api/share/{id}/sync", server.url);
        let syncs = (0..20).map(|n| {
            let body = json!({"secret": secret, "data": [part("m", &format!("p{n}"), "x")]});
            crate::harness::client().post(&url).send_json(&body)
        });
        let syncs = futures_util::future::join_all(syncs);
        let stop = async {
            server.signal(signal);
            viewer.until_closed().await;
            viewer.close_code
        };
        let (answers, code) = futures_util::future::join(syncs, stop).await;
        assert_eq!(code, Some(1012));
        assert_eq!(server.wait().code(), Some(0));
        let stored = answers
            .iter()
            .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200))
            .count();
        let log = std::fs::metadata(server.data_dir().join("share.db-wal")).map_or(0, |file| file.len());
        assert_eq!(log, 0, "the log was checkpointed");
        server.restart();
        let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
        assert!(data.as_array().expect("items").len() >= stored);
    }
}

#[actix_web::test]
async fn viewers_that_do_not_read_do_not_hold_the_end_up() {
    let mut server = TestServer::start(&[]);
    let share = server.share().await;
    let text = "y".repeat(1 << 20);
    let parts: Vec<_> = (0..8).map(|n| part("m", &format!("p{n}"), &text)).collect();
    share.sync(&parts).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(share.view().await);
    }
    let mut good = share.view().await;
    good.until("all are there", |viewer| viewer.caught_up && viewer.viewers == 21).await;
    let asked = Instant::now();
    server.signal("-TERM");
    good.until_closed().await;
    assert_eq!(good.close_code, Some(1012));
    assert_eq!(server.wait().code(), Some(0));
    // A promise to service managers, not a measurement: the bound is the contract's.
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    drop(stalled);
}

#[test]
fn a_data_directory_has_one_server() {
    let server = TestServer::start(&ON_DISK);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_brutus-share"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .expect("runs");
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another brutus-share uses this directory"));
}
