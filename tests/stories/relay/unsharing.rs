//! A share goes while other things happen to its session: no secret is lost before the server has heard of it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::fake::{FakeServer, Seen};
use crate::harness::relay::{TestRelay, part_event};
use crate::harness::session;

/// What the `nth` create answers.
fn nth(nth: u32) -> Value {
    let url = format!("http://share.example/s/share{nth}");
    json!({"id": format!("share{nth}"), "url": url, "secret": format!("secret{nth}")})
}

/// A server whose answer to one kind of request waits until it is let go.
struct Gate {
    fake: FakeServer,
    arrived: tokio::sync::mpsc::UnboundedReceiver<()>,
    go: mpsc::Sender<()>,
}

impl Gate {
    /// Requests that are `held` wait before they are answered.
    fn start(
        held: impl Fn(&Seen) -> bool + Send + Sync + 'static,
        answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let (arrive, arrived) = tokio::sync::mpsc::unbounded_channel();
        let (go, wait) = mpsc::channel();
        let wait = Mutex::new(wait);
        let fake = FakeServer::start(move |seen| {
            if held(seen) {
                let _ = arrive.send(());
                let _ = wait.lock().unwrap().recv();
            }
            answer(seen)
        });
        Self { fake, arrived, go }
    }
}

fn deletes(fake: &FakeServer) -> Vec<(String, Value)> {
    let seen = fake.seen().into_iter().filter(|seen| seen.method == "DELETE");
    seen.map(|seen| (seen.path, seen.body["secret"].clone())).collect()
}

fn deleted(session: &str) -> Value {
    json!({"type": "session.deleted", "sessionID": session})
}

#[actix_web::test]
async fn a_session_shared_anew_does_not_lose_the_secret_of_the_share_that_has_to_go() {
    let (created, away) = (AtomicU32::new(0), Arc::new(AtomicBool::new(true)));
    let is_away = away.clone();
    let fake = FakeServer::start(move |seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("POST", "/api/share") => (200, nth(created.fetch_add(1, Ordering::SeqCst) + 1)),
        ("DELETE", _) if is_away.load(Ordering::SeqCst) => (500, json!({})),
        _ => (200, json!({})),
    });
    let mut relay = TestRelay::start(&fake.url, &[]);
    assert_eq!(relay.share("ses_1", &[]).await, "share1");
    assert_eq!(relay.report(&[deleted("ses_1")]).await, 1);
    assert_eq!(relay.share("ses_1", &[session("again")]).await, "share2");
    let states: Vec<_> = relay.list().await.iter().map(|share| share["state"].clone()).collect();
    assert_eq!(states, ["removing", "active"]);

    relay.kill();
    away.store(false, Ordering::SeqCst);
    relay.restart();
    while relay.list().await.len() > 1 {
        tokio::task::yield_now().await;
    }
    assert!(deletes(&fake).contains(&("/api/share/share1".into(), json!("secret1"))));
    assert_eq!(relay.list().await[0]["id"], "share2");
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "goes on")]).await, 1);
    assert_eq!(relay.flush("ses_1").await.0, 200);
}

/// A server that answers a create only when the gate is let go.
fn while_creating() -> Gate {
    let answer = |seen: &Seen| (200, if seen.path == "/api/share" { nth(1) } else { json!({}) });
    Gate::start(|seen| seen.path == "/api/share", answer)
}

#[actix_web::test]
async fn nothing_is_kept_of_what_comes_while_a_session_is_unshared() {
    const ROUNDS: usize = 20;
    let fake = FakeServer::start(|seen| (200, if seen.path == "/api/share" { nth(1) } else { json!({}) }));
    // So little room that the relay looks up what it keeps before it takes anything.
    let mut relay = TestRelay::start(&fake.url, &["--max-spool", "1KB", "--interval", "1h"]);
    for _ in 0..ROUNDS {
        relay.share("ses_1", &[]).await;
        let reports =
            (0..8).map(|id| part_event("ses_1", "m", &format!("p{id}"), "a few words")).collect::<Vec<_>>();
        let reports = reports.iter().map(|event| relay.request(Method::POST, "/v1/events", event));
        let (answers, unshared) =
            futures_util::future::join(futures_util::future::join_all(reports), relay.unshare("ses_1")).await;
        assert!(answers.iter().all(|(status, _)| [202, 507].contains(status)), "{answers:?}");
        assert_eq!(unshared, 200);
    }
    relay.terminate();
    assert_eq!(
        crate::harness::sqlite(&relay.local_dir().join("spool.db"), "select count(*) from spool").trim(),
        "0"
    );
}

#[actix_web::test]
async fn a_session_deleted_while_it_is_being_shared_leaves_no_share() {
    let mut gate = while_creating();
    let relay = TestRelay::start(&gate.fake.url, &[]);
    let body = json!({"empty": true});
    let share = relay.request(Method::POST, "/v1/sessions/ses_1/share", &body);
    let delete = async {
        gate.arrived.recv().await;
        assert_eq!(relay.report(&[deleted("ses_1")]).await, 1);
        gate.go.send(()).expect("waits");
    };
    let ((status, answer), ()) = futures_util::future::join(share, delete).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not_shared")));
    while !relay.list().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(deletes(&gate.fake), [("/api/share/share1".into(), json!("secret1"))]);
}

#[actix_web::test]
async fn an_unshare_waits_for_the_share_that_is_being_created() {
    let mut gate = while_creating();
    let relay = TestRelay::start(&gate.fake.url, &[]);
    let body = json!({"empty": true});
    let share = relay.request(Method::POST, "/v1/sessions/ses_1/share", &body);
    let unshare = async {
        gate.arrived.recv().await;
        let unshared = relay.unshare("ses_1");
        // In the relay before the create is answered: the next answer of the relay comes after it.
        let let_go = async {
            relay.list().await;
            gate.go.send(()).expect("waits");
        };
        futures_util::future::join(unshared, let_go).await.0
    };
    let ((status, _), unshared) = futures_util::future::join(share, unshare).await;
    assert_eq!((status, unshared), (200, 200));
    assert!(relay.list().await.is_empty());
    assert_eq!(deletes(&gate.fake).len(), 1);
}

#[actix_web::test]
async fn a_late_answer_to_an_old_share_does_not_end_the_new_one() {
    let created = AtomicU32::new(0);
    let mut gate = Gate::start(
        |seen| seen.path == "/api/share/share1/sync",
        move |seen| match (seen.method.as_str(), seen.path.as_str()) {
            ("POST", "/api/share") => (200, nth(created.fetch_add(1, Ordering::SeqCst) + 1)),
            ("POST", "/api/share/share1/sync") => (404, json!({})),
            _ => (200, json!({})),
        },
    );
    let relay = TestRelay::start(&gate.fake.url, &[]);
    assert_eq!(relay.share("ses_1", &[session("t")]).await, "share1");
    gate.arrived.recv().await;
    assert_eq!(relay.unshare("ses_1").await, 200);
    assert_eq!(relay.share("ses_1", &[session("t")]).await, "share2");
    assert_eq!(relay.flush("ses_1").await.0, 200);

    gate.go.send(()).expect("waits");
    while gate.fake.seen().iter().all(|seen| seen.path != "/api/share/share1/sync") {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "goes on")]).await, 1);
    assert_eq!(relay.flush("ses_1").await.0, 200);
    assert_eq!(relay.list().await[0]["state"], "active");
}

#[actix_web::test]
async fn switched_off_nothing_leaves_the_machine_but_a_share_can_be_taken_away() {
    let fake = FakeServer::obliging();
    let dir = tempfile::TempDir::new().expect("a directory");
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "").expect("written");
    let mut relay = TestRelay::start(&fake.url, &["--config", file.to_str().expect("text")]);
    relay.share("ses_1", &[session("t")]).await;
    assert_eq!(relay.flush("ses_1").await.0, 200);
    let before = fake.syncs().len();
    relay.terminate();

    std::fs::write(&file, "enabled = false").expect("written");
    relay.restart();
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "secret plans")]).await, 0);
    assert_eq!(relay.flush("ses_1").await.0, 403);
    assert_eq!(relay.list().await[0]["state"], "paused");
    assert_eq!(fake.syncs().len(), before);
    assert_eq!(relay.unshare("ses_1").await, 200);
    assert!(relay.list().await.is_empty());
}
