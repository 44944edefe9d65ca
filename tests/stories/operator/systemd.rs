//! Both sides of systemd: it holds the socket and hears how the service is.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{PATIENCE, TestProcess, TestViewer, client, part, session};

/// A service manager: a socket that it holds, and one on which it is told things.
struct Manager {
    listener: TcpListener,
    told: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let told = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        told.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a socket"), told, dir }
    }

    fn address(&self) -> String {
        self.listener.local_addr().expect("an address").to_string()
    }

    /// Starts the service as systemd does: with the socket as descriptor 3, and its own number in the environment.
    fn start(&self, args: &[&str]) -> TestProcess {
        let socket = OwnedFd::from(self.listener.try_clone().expect("a socket"));
        let start = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@""#;
        TestProcess::start(
            Command::new("bash")
                .args([
                    "-c",
                    start,
                    "bash",
                    env!("CARGO_BIN_EXE_brutus-share"),
                    "serve",
                    "--create-limit",
                    "100000/s",
                ])
                .args(["--listen", "127.0.0.1:1", "--data-dir"])
                .arg(self.dir.path().join("data"))
                .args(args)
                .env("NOTIFY_SOCKET", self.dir.path().join("notify"))
                .env("WATCHDOG_USEC", "200000")
                .stdin(Stdio::from(socket)),
        )
    }

    /// The next thing that it is told.
    fn hears(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.told.recv(&mut buffer).expect("something");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Hears and forgets, as long as the story goes on: a service that nobody hears would wait.
    fn hears_all(&self) {
        let told = self.told.try_clone().expect("a socket");
        told.set_read_timeout(None).expect("no timeout");
        std::thread::spawn(move || while told.recv(&mut [0; 512]).is_ok() {});
    }

    fn hears_until(&self, what: &str) {
        while !self.hears().lines().any(|line| line == what) {}
    }
}

#[actix_web::test]
async fn the_service_says_when_it_is_ready_lives_reloads_and_stops() {
    let manager = Manager::new();
    let mut service = manager.start(&[]);
    manager.hears_until("READY=1");
    // On the socket that was handed over, not on the one of its options.
    assert_eq!(service.url, format!("http://{}", manager.address()));
    let mut answer = client().get(format!("{}/healthz", service.url)).send().await.expect("an answer");
    assert_eq!(answer.json::<Value>().await.expect("JSON"), json!({"status": "ok"}));
    for _ in 0..3 {
        manager.hears_until("WATCHDOG=1");
    }
    service.signal("-HUP");
    loop {
        let said = manager.hears();
        if said.contains("RELOADING=1") {
            assert!(said.contains("MONOTONIC_USEC="), "{said}");
            break;
        }
    }
    manager.hears_until("READY=1");
    service.signal("-TERM");
    manager.hears_until("STOPPING=1");
    assert!(service.wait().success());
}

#[actix_web::test]
async fn a_service_that_hangs_does_not_feed_the_watchdog() {
    let manager = Manager::new();
    let service = manager.start(&[]);
    manager.hears_until("WATCHDOG=1");
    service.signal("-STOP");
    // What it said before it hung; then nothing for longer than the watchdog waits.
    manager.told.set_read_timeout(Some(Duration::from_millis(400))).expect("a timeout");
    let mut buffer = [0; 512];
    while manager.told.recv(&mut buffer).is_ok() {}
    service.signal("-CONT");
    manager.told.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    manager.hears_until("WATCHDOG=1");
}

/// A client that syncs one item after the other, each over a connection of its own, and sends again what was not
/// answered.
async fn sync(base: &str, share: &Value, worker: usize, done: &AtomicBool, answered: &AtomicUsize) -> usize {
    let url = format!("{base}/api/share/{}/sync", share["id"].as_str().expect("an id"));
    let client = client();
    let mut n = 0;
    while !done.load(Ordering::Relaxed) {
        let item = part(&format!("m{worker}"), &format!("p{n}"), "text");
        let body = json!({"secret": share["secret"], "data": [item]}).to_string();
        loop {
            let request = client.post(&url).force_close().send_body(body.clone()).await;
            match request {
                Ok(answer) if answer.status() == 200 => break,
                // The server ends: 503. The connection was accepted and then closed.
                Ok(answer) => assert_eq!(answer.status(), 503),
                Err(SendRequestError::Connect(ConnectError::Disconnected)) => {}
                Err(SendRequestError::Connect(error)) => panic!("a connection is refused: {error}"),
                Err(_) => {}
            }
            tokio::task::yield_now().await;
        }
        n += 1;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    n
}

#[actix_web::test]
async fn a_restart_under_load_refuses_nobody_and_loses_nothing() {
    let manager = Manager::new();
    manager.hears_all();
    let base = format!("http://{}", manager.address());
    let mut service = manager.start(&[]);
    let mut created =
        client().post(format!("{base}/api/share")).send_body(r#"{"sessionID":"s"}"#).await.expect("sent");
    let share: Value = created.json().await.expect("a share");
    let poll = format!("ws://{}/api/share/{}/poll", manager.address(), share["id"].as_str().expect("an id"));

    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let workers = join_all((0..4).map(|worker| sync(&base, &share, worker, &done, &answered)));
    let at_least = async |more: usize| {
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + more {
            tokio::task::yield_now().await;
        }
    };
    let restarts = async {
        for _ in 0..3 {
            at_least(50).await;
            service.signal("-TERM");
            let ended = tokio::task::spawn_blocking(move || service.wait());
            assert!(ended.await.expect("it ends").success());
            service = manager.start(&[]);
        }
        at_least(50).await;
        done.store(true, Ordering::Relaxed);
        service
    };
    let last = async {
        let (synced, service) = futures_util::join!(workers, restarts);
        let body = json!({"secret": share["secret"], "data": [session("last")]}).to_string();
        let url = format!("{base}/api/share/{}/sync", share["id"].as_str().expect("an id"));
        assert_eq!(client().post(url).send_body(body).await.expect("an answer").status(), 200);
        (synced.into_iter().sum::<usize>(), service)
    };
    let viewers = join_all((0..20).map(|_| async {
        let mut viewer = TestViewer::connect(&poll).await;
        while !viewer.until_or_lost(|viewer| viewer.items.contains_key("session")).await {
            viewer.reconnect(&format!("{poll}?after={}&epoch={}", viewer.seq, viewer.epoch)).await;
        }
        viewer.items.len()
    }));
    let ((synced, _service), viewers) = futures_util::join!(last, viewers);
    assert!(synced >= 200, "{synced}");
    for viewer in viewers {
        assert_eq!(viewer, synced + 1);
    }
}
