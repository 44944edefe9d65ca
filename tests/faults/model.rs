//! Random histories of shares: whatever happens, and in which order, every viewer ends with what a map of the items that
//! were acknowledged holds.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::harness::{TestServer, TestShare, TestViewer, message, part, session};

/// A viewer with what a browser keeps of it when its connection ends.
struct Watcher {
    viewer: Option<TestViewer>,
    items: BTreeMap<String, Value>,
    epoch: String,
    seq: u64,
    appends: bool,
}

impl Watcher {
    async fn connect(&mut self, share: &TestShare<'_>) {
        let append = if self.appends { "&append=1" } else { "" };
        let mut viewer = share.view_from(&format!("?after={}&epoch={}{append}", self.seq, self.epoch)).await;
        viewer.items.clone_from(&self.items);
        viewer.epoch.clone_from(&self.epoch);
        self.viewer = Some(viewer);
    }

    fn drop(&mut self) {
        let Some(viewer) = self.viewer.take() else { return };
        self.items = viewer.items;
        self.seq = viewer.seq;
        self.epoch = viewer.epoch;
    }
}

/// A batch of random changes, and what it does to the model.
fn batch(random: &mut Rng, model: &mut BTreeMap<String, Value>) -> Vec<Value> {
    let mut items = Vec::new();
    for _ in 0..random.usize(1..6) {
        let (m, p) = (format!("m{}", random.u8(0..3)), format!("p{}", random.u8(0..4)));
        let key = format!("part/{m}/{p}");
        let item = match random.u8(0..10) {
            0 => json!({"type": "message.removed", "data": {"id": m}}),
            1 => json!({"type": "part.removed", "data": {"messageID": m, "id": p}}),
            2 => message(&m, random.u64(0..100)),
            3 => session(&format!("title {}", random.u8(..))),
            4 => json!({"type": "session_diff", "data": [{"file": format!("f{}", random.u8(..))}]}),
            5 => part(&m, &p, &"x".repeat(random.usize(0..40_000))),
            // A text that is streamed.
            6..=8 => {
                let older = model.get(&key).and_then(|item| item["text"].as_str()).unwrap_or_default();
                let more: String =
                    std::iter::repeat_with(|| random.char('\u{20}'..'\u{1f9ff}')).take(20).collect();
                part(&m, &p, &format!("{older}{more}"))
            }
            _ => json!({"type": "todo", "data": {"id": p, "n": random.u8(..)}}),
        };
        let data = item["data"].clone();
        match item["type"].as_str().expect("a type") {
            "message.removed" => {
                model.retain(|key, _| {
                    *key != format!("message/{m}") && !key.starts_with(&format!("part/{m}/"))
                });
            }
            "part.removed" => drop(model.remove(&key)),
            "message" => drop(model.insert(format!("message/{m}"), data)),
            "part" => drop(model.insert(key, data)),
            "todo" => drop(model.insert(format!("todo/{p}"), data)),
            kind => drop(model.insert(kind.to_owned(), data)),
        }
        items.push(item);
    }
    items
}

#[actix_web::test]
async fn every_viewer_ends_with_what_the_model_holds() {
    for seed in crate::seeds(12) {
        history(seed).await;
    }
}

async fn history(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let mut server = TestServer::start(&["--share-idle", "50ms"]);
    let (id, secret) = {
        let share = server.share().await;
        (share.id.clone(), share.secret.clone())
    };
    let mut model = BTreeMap::new();
    let mut watchers: Vec<_> = (0..6)
        .map(|nth| Watcher {
            viewer: None,
            items: BTreeMap::new(),
            epoch: String::new(),
            seq: 0,
            appends: nth % 2 == 0,
        })
        .collect();
    for _ in 0..random.usize(30..80) {
        let share = TestShare { server: &server, id: id.clone(), secret: secret.clone(), url: String::new() };
        let nth = random.usize(0..watchers.len());
        match random.u8(0..20) {
            0..=11 => {
                let items = batch(&mut random, &mut model);
                share.sync(&items).await;
                if random.bool() {
                    // Once more, as a client does that missed the answer.
                    share.sync(&items[items.len() - 1..]).await;
                }
            }
            12..=14 => {
                if watchers[nth].viewer.is_none() {
                    watchers[nth].connect(&share).await;
                }
            }
            15 | 16 => watchers[nth].drop(),
            17 => {
                // Nobody is there, until the share has left memory.
                for watcher in &mut watchers {
                    watcher.drop();
                }
                let left = |server: &TestServer| server.log().matches("left memory").count();
                let before = left(&server);
                share.seq().await;
                while left(&server) == before {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            }
            18 => {
                for watcher in &mut watchers {
                    watcher.drop();
                }
                server.crash_and_restart();
            }
            _ => {
                // As it is now: what is read is what the model holds.
                assert_eq!(share.data().await.len(), model.len(), "seed {seed}");
            }
        }
    }
    let share = TestShare { server: &server, id: id.clone(), secret: secret.clone(), url: String::new() };
    for (nth, watcher) in watchers.iter_mut().enumerate() {
        if watcher.viewer.is_none() {
            watcher.connect(&share).await;
        }
        let viewer = watcher.viewer.as_mut().expect("connected");
        viewer.until(&format!("the end of seed {seed}, viewer {nth}"), |viewer| viewer.items == model).await;
    }
    assert_eq!(share.delete(&secret).await, 200);
    for watcher in &mut watchers {
        let viewer = watcher.viewer.as_mut().expect("connected");
        viewer.until_closed().await;
        assert_eq!(
            (viewer.closed.as_deref(), viewer.close_code),
            (Some("deleted"), Some(4410)),
            "seed {seed}"
        );
    }
}
