//! The process dies in the middle of its work.

use std::collections::HashMap;
use std::time::Duration;

use awc::http::Method;
use serde_json::json;

use crate::harness::{ON_DISK, TestServer, client, part, session};

#[actix_web::test]
async fn what_was_acknowledged_survives_kill_9() {
    let mut server = TestServer::start(&ON_DISK);
    let (id, secret) = {
        let share = server.share().await;
        share.sync(&[session("t")]).await;
        (share.id.clone(), share.secret.clone())
    };
    let mut acknowledged = HashMap::<String, u64>::new();
    for life in 0_u64..5 {
        // Eight clients write their own parts, each version after the other, until the server dies.
        let clients = (0..8).map(|number| {
            let url = format!("{}/api/share/{id}/sync", server.url);
            let secret = secret.clone();
            async move {
                let (mut acks, http) = (HashMap::new(), client());
                for version in life * 1_000_000.. {
                    let key = format!("c{number}p{}", version % 5);
                    let filler = "f".repeat(usize::try_from(version % 7).expect("small") * 1500);
                    let items = [part("m", &key, &format!("{version} {filler}"))];
                    let body = json!({"secret": secret, "data": items});
                    match http.post(&url).send_json(&body).await {
                        Ok(answer) if answer.status() == 200 => acks.insert(key, version),
                        _ => break,
                    };
                }
                acks
            }
        });
        let clients = futures_util::future::join_all(clients);
        let killed = async {
            // Long enough for many commits, at a moment that differs each time.
            tokio::time::sleep(Duration::from_millis(300 + life * 37)).await;
            server.signal("-KILL");
        };
        let (acks, ()) = futures_util::future::join(clients, killed).await;
        server.wait();
        acknowledged.extend(acks.into_iter().flatten());
        assert!(!acknowledged.is_empty());

        let database = server.data_dir().join("share.db");
        let check =
            std::process::Command::new("sqlite3").arg(&database).arg("PRAGMA integrity_check").output();
        assert_eq!(String::from_utf8_lossy(&check.expect("sqlite3").stdout).trim(), "ok");

        server.restart();
        let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
        let stored: HashMap<&str, u64> = data
            .as_array()
            .expect("items")
            .iter()
            .filter_map(|item| {
                let version = item["data"]["text"].as_str()?.split(' ').next()?.parse().ok()?;
                Some((item["data"]["id"].as_str()?, version))
            })
            .collect();
        for (key, version) in &acknowledged {
            assert!(
                stored.get(key.as_str()) >= Some(version),
                "{key}: {version} was acknowledged, {:?} is there",
                stored.get(key.as_str())
            );
        }
    }
}

#[actix_web::test]
async fn a_viewer_never_sees_what_a_crash_takes_back() {
    let mut server = TestServer::start(&[]);
    let (id, secret) = {
        let share = server.share().await;
        (share.id.clone(), share.secret.clone())
    };
    for life in 0_u64..3 {
        let address = server.address.clone();
        let (mut viewer, _) = tokio_tungstenite::connect_async(format!("ws://{address}/api/share/{id}/poll"))
            .await
            .expect("connects");
        let url = format!("{}/api/share/{id}/sync", server.url);
        let writer = async {
            for version in 0.. {
                let body =
                    json!({"secret": secret, "data": [part("m", "p", &format!("{life}-{version:06}"))]});
                if client().post(&url).send_json(&body).await.is_err() {
                    break;
                }
            }
        };
        let watcher = async {
            use futures_util::StreamExt;
            let mut seen = String::new();
            while let Some(Ok(message)) = viewer.next().await {
                let frame: serde_json::Value =
                    serde_json::from_str(message.to_text().expect("text")).unwrap_or_default();
                if let Some(text) = frame["items"][0]["data"]["text"].as_str() {
                    text.clone_into(&mut seen);
                    if seen.ends_with("50") {
                        server.signal("-KILL");
                    }
                }
            }
            seen
        };
        let ((), seen) = futures_util::future::join(writer, watcher).await;
        server.wait();
        server.restart();
        let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
        let stored = data[0]["data"]["text"].as_str().expect("a text");
        assert!(!seen.is_empty() && stored >= seen.as_str(), "seen {seen}, stored {stored}");
    }
}

#[actix_web::test]
async fn after_a_restart_shares_are_loaded_a_few_at_a_time() {
    let mut server = TestServer::start(&["--trusted-proxies", "127.0.0.1", "--workers", "1"]);
    let mut paths = Vec::new();
    for _ in 0..150 {
        let share = server.share().await;
        share.sync(&[part("m", "p", &"x".repeat(50_000))]).await;
        paths.push(share.path("/data"));
    }
    server.crash_and_restart();
    server.get("/healthz").await;
    let (_, before) = server.descriptors_and_threads();
    let mut most = before;
    // Each is read by a client of its own: of one client a few are read at once, whatever they cost.
    let loads = futures_util::future::join_all(paths.iter().enumerate().map(async |(n, path)| {
        let address = format!("198.51.100.{n}");
        server.request_with(Method::GET, path, &[("x-forwarded-for", &address)], "").await
    }));
    let mut loads = std::pin::pin!(loads);
    let answers = loop {
        // A look at the threads after each step of the loads.
        match futures_util::poll!(&mut loads) {
            std::task::Poll::Ready(answers) => break answers,
            std::task::Poll::Pending => most = most.max(server.descriptors_and_threads().1),
        }
        tokio::task::yield_now().await;
    };
    let refused = answers.iter().find(|(status, _)| *status != 200);
    assert!(refused.is_none(), "{refused:?}");
    // The store reads six at a time; an answer of this size is written without a thread of its own. Loads that waited
    // for the database each on a thread were 34 to 46 more.
    assert!(most < before + 20, "{most} threads, {before} before");
}
