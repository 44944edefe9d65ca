//! How it is: counters, and a log that programs read.

use serde_json::Value;

use crate::harness::{PATIENCE, TestServer, client, session};

/// The listener of the metrics, from the log.
pub async fn metrics_url(server: &TestServer) -> String {
    let line = async {
        loop {
            let log = server.log();
            if let Some(line) = log.lines().find(|line| line.contains(" metrics") && line.contains("address"))
            {
                let address = line.split("address=").nth(1).expect("an address");
                return address.split_whitespace().next().expect("an address").to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    let address = tokio::time::timeout(PATIENCE, line).await.expect("it is said");
    format!("http://{address}/metrics")
}

pub async fn metrics(url: &str) -> String {
    let mut answer = client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("UTF-8")
}

pub fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("{name} in {metrics}"));
    line.split(' ').nth(1).expect("a value").parse().expect("a number")
}

#[actix_web::test]
async fn what_happens_is_counted_on_a_listener_of_its_own() {
    let server = TestServer::start(&["--metrics-listen", "127.0.0.1:0"]);
    let url = metrics_url(&server).await;
    let share = server.share().await;
    share.sync(&[session("one"), crate::harness::message("m", 1)]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    share.sync(&[session("two")]).await;
    viewer.until("the second", |viewer| viewer.seq == 3).await;
    assert_eq!(server.post(&share.path("/sync"), &Value::Null).await.0, 400);

    let text = metrics(&url).await;
    for (name, least) in [
        ("brutus_share_creates_total", 1.0),
        ("brutus_share_syncs_total", 2.0),
        ("brutus_share_items_total", 3.0),
        ("brutus_share_sync_bytes_total", 100.0),
        ("brutus_share_viewers", 1.0),
        ("brutus_share_open_shares", 1.0),
        ("brutus_share_frames_total", 2.0),
        ("brutus_share_commit_seconds_count", 3.0),
        ("brutus_share_commit_jobs_sum", 3.0),
        ("brutus_share_commit_failures_total", 0.0),
        ("brutus_share_writer_queue", 0.0),
        ("brutus_share_memory_held_bytes", 0.0),
        ("brutus_share_database_bytes", 1000.0),
        ("brutus_share_content_bytes", 10.0),
        ("brutus_share_disk_free_bytes", 1000.0),
        ("brutus_share_refusals_total{code=\"malformed\"}", 1.0),
    ] {
        assert!(value(&text, name) >= least, "{name}: {text}");
    }
    assert!(text.contains("brutus_share_wake_to_frame_seconds_bucket"));
    assert!(!text.contains(&share.id) && text.ends_with("# EOF\n"));
    drop(viewer);
    let gone = async { while value(&metrics(&url).await, "brutus_share_viewers") > 0.0 {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("the viewer is not counted any more");
    assert_eq!(server.get("/metrics").await.0, 404);
}

#[actix_web::test]
async fn a_log_of_json_has_an_object_a_line_and_no_capabilities() {
    let server = TestServer::start(&["--log-format", "json"]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    server.get(&share.path("/data")).await;
    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line["level"] == "INFO" && line["message"] == "serving"), "{log}");
    assert!(!log.contains(&share.id) && !log.contains(&share.secret), "{log}");
}
