//! The process is killed, stopped and held under load, at moments that a seed says.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::harness::{TestServer, part};

/// Writes versions of its own parts, each after the other, until the time is over; gives the newest acknowledged of
/// each.
async fn write(
    url: String,
    secret: String,
    client: usize,
    life: u64,
    until: Duration,
) -> HashMap<String, u64> {
    let (mut acknowledged, http) = (HashMap::new(), crate::harness::client());
    let end = tokio::time::Instant::now() + until;
    for n in 0.. {
        if tokio::time::Instant::now() >= end {
            break;
        }
        let (key, version) = (format!("c{client}p{}", n % 5), life * 1_000_000 + n);
        let body = json!({"secret": secret, "data": [part("m", &key, &version.to_string())]});
        match http.post(&url).send_json(&body).await {
            Ok(answer) if answer.status() == 200 => drop(acknowledged.insert(key, version)),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    acknowledged
}

#[actix_web::test]
async fn nothing_acknowledged_is_lost_whatever_signal_comes() {
    for seed in crate::seeds(3) {
        let mut random = Rng::with_seed(seed);
        let mut server = TestServer::start(&[]);
        let (id, secret) = {
            let share = server.share().await;
            (share.id.clone(), share.secret.clone())
        };
        let mut acknowledged = HashMap::<String, u64>::new();
        for life in 0..4 {
            let url = format!("{}/api/share/{id}/sync", server.url);
            let at = Duration::from_millis(random.u64(20..400));
            let fault = random.u8(0..3);
            let clients = (0..6).map(|client| {
                write(url.clone(), secret.clone(), client, life, at + Duration::from_millis(300))
            });
            let clients = futures_util::future::join_all(clients);
            let hurt = async {
                tokio::time::sleep(at).await;
                match fault {
                    0 => server.signal("-KILL"),
                    1 => server.signal("-TERM"),
                    _ => {
                        server.signal("-STOP");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        server.signal("-CONT");
                    }
                }
            };
            let (acks, ()) = futures_util::future::join(clients, hurt).await;
            for (key, version) in acks.into_iter().flatten() {
                let newest = acknowledged.entry(key).or_default();
                *newest = version.max(*newest);
            }
            if fault < 2 {
                server.wait();
                server.restart();
            }
            let (status, data) = server.get(&format!("/api/share/{id}/data")).await;
            assert_eq!(status, 200);
            let stored: HashMap<&str, u64> = data
                .as_array()
                .expect("items")
                .iter()
                .filter_map(|item| {
                    Some((item["data"]["id"].as_str()?, item["data"]["text"].as_str()?.parse().ok()?))
                })
                .collect();
            for (key, version) in &acknowledged {
                assert!(stored.get(key.as_str()) >= Some(version), "seed {seed}, life {life}: {key}");
            }
        }
        assert!(!acknowledged.is_empty(), "seed {seed}");
    }
}
