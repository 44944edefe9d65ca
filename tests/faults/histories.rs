//! Random histories of a share: syncs of all kinds, viewers that come, go, read slowly and are refused, a server that
//! is killed and restarted, and an end. Whatever happens, and in which order, what a viewer holds after every frame was
//! stored at that position, and every viewer gets to the newest.
//!
//! `HISTORY_SECONDS=3600` goes on for an hour, with other seeds than the last time.

use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use futures_util::FutureExt;
use serde_json::{Value, json};
use socket2::SockRef;
use tempfile::TempDir;

use crate::harness::{PATIENCE, TestServer, TestShare};
use crate::model::{History, State};
use crate::watcher::{Outcome, Watcher};

/// Histories when nobody asks for more.
const FEW: u64 = 24;

/// Histories at once: they wait more than they work.
const AT_ONCE: usize = 3;

/// Viewers of a history, and how many of them its share lets in.
const WATCHERS: usize = 6;
const MAX_VIEWERS: usize = 4;

const MESSAGES: [&str; 3] = ["m0", "m1", "m2"];

/// What a history did, for whoever has to understand why it failed.
type Trace = Arc<Mutex<Vec<String>>>;

#[test]
fn whatever_happens_viewers_hold_what_was_stored() {
    let seeds = seeds();
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let runs: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(seed) = seeds(next.fetch_add(1, Ordering::Relaxed)) {
                        run(seed);
                    }
                })
            })
            .collect();
        for run in runs {
            run.join().expect("a history whose seed is named above");
        }
    });
}

/// The seed of the n-th history, as long as there are more to come.
fn seeds() -> impl Fn(u64) -> Option<u64> {
    let seconds = std::env::var("HISTORY_SECONDS").ok().map(|seconds| seconds.parse().expect("seconds"));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let few = crate::seeds(FEW);
    move |nth| match end {
        Some(end) => (Instant::now() < end).then_some(now * 100_000 + nth),
        None => few.get(usize::try_from(nth).expect("few")).copied(),
    }
}

fn run(seed: u64) {
    let trace = Trace::default();
    let history = AssertUnwindSafe(async {
        let mut story = Story::begin(seed, trace.clone()).await;
        match story.go_on().await {
            Ok(()) => story.end().await,
            wrong => wrong,
        }
    });
    let ended = actix_web::rt::System::new().block_on(history.catch_unwind());
    let wrong = match ended {
        Ok(Ok(())) => return,
        Ok(Err(wrong)) => wrong,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
        }
    };
    let trace = trace.lock().unwrap();
    let recent = &trace[trace.len().saturating_sub(40)..];
    panic!("BRUTUS_SEED={seed} after {} steps:\n  {}\n{wrong}", trace.len(), recent.join("\n  "));
}

/// One history.
struct Story {
    random: Rng,
    server: TestServer,
    /// The server's configuration, and where it is.
    config: TempDir,
    id: String,
    secret: String,
    history: History,
    watchers: Vec<Watcher>,
    trace: Trace,
}

impl Story {
    async fn begin(seed: u64, trace: Trace) -> Self {
        let mut random = Rng::with_seed(seed);
        let config = TempDir::new().expect("a directory");
        let file = config.path().join("serve.toml");
        std::fs::write(&file, "").expect("written");
        let max_viewers = MAX_VIEWERS.to_string();
        // No ping and no timer heals what a wake has missed.
        let server = TestServer::start(&[
            "--config",
            file.to_str().expect("text"),
            "--share-idle",
            "50ms",
            "--ping-interval",
            "1h",
            "--sweep-interval",
            "100ms",
            "--max-viewers",
            &max_viewers,
        ]);
        let (id, secret) = {
            let share = server.share().await;
            (share.id, share.secret)
        };
        let watchers = (0..WATCHERS).map(|nth| Watcher::new(nth % 3 != 2, random.bool())).collect();
        Self { random, server, config, id, secret, history: History::default(), watchers, trace }
    }

    fn share(&self) -> TestShare<'_> {
        TestShare {
            server: &self.server,
            id: self.id.clone(),
            secret: self.secret.clone(),
            url: String::new(),
        }
    }

    fn note(&self, what: impl Into<String>) {
        self.trace.lock().unwrap().push(what.into());
    }

    fn connected(&self) -> usize {
        self.watchers.iter().filter(|watcher| watcher.is_connected()).count()
    }

    async fn go_on(&mut self) -> Result<(), String> {
        for _ in 0..self.random.usize(40..120) {
            let nth = self.random.usize(0..WATCHERS);
            match self.random.u8(0..64) {
                0..=25 => {
                    let items = self.history.batch(&mut self.random, &MESSAGES);
                    self.sync(vec![items]).await?;
                }
                // One message's text is streamed.
                26..=29 => {
                    for _ in 0..self.random.usize(2..6) {
                        let m = MESSAGES[self.random.usize(0..MESSAGES.len())];
                        let items = self.history.batch(&mut self.random, &[m]);
                        self.sync(vec![items]).await?;
                        self.read_some().await?;
                    }
                }
                // Several clients' syncs at once.
                30..=33 => {
                    let syncs = MESSAGES.map(|m| self.history.batch(&mut self.random, &[m]));
                    self.sync(syncs.to_vec()).await?;
                }
                34..=43 => self.connect(nth).await?,
                44..=47 => {
                    self.note(format!("viewer {nth} leaves"));
                    self.watchers[nth].leave();
                }
                48..=49 => self.load(nth).await?,
                50..=52 => self.resets().await?,
                53..=54 => self.everybody_catches_up().await?,
                55 => self.leaves_memory().await,
                56 => self.crash().await?,
                57 => self.crash_while_syncing().await?,
                58 => self.restart().await?,
                _ => self.read_whole().await?,
            }
            self.read_some().await?;
        }
        Ok(())
    }

    /// Syncs that are sent at once, and one of them once more, as a client does that missed the answer.
    async fn sync(&mut self, syncs: Vec<Vec<Value>>) -> Result<(), String> {
        self.note(format!("sync of {}", described(&syncs)));
        self.history.sending(&syncs);
        let share = self.share();
        futures_util::future::join_all(syncs.iter().map(|items| share.sync(items))).await;
        if let ([items], true) = (&syncs[..], self.history.seq.is_multiple_of(3)) {
            share.sync(&items[items.len() - 1..]).await;
        }
        self.history.acknowledged(&syncs);
        let seq = self.share().seq().await;
        if seq == self.history.seq {
            Ok(())
        } else {
            Err(format!("the share is at {seq}, and was to be at {}", self.history.seq))
        }
    }

    /// Some viewers read some frames. Who does not read has them wait.
    async fn read_some(&mut self) -> Result<(), String> {
        for (nth, watcher) in self.watchers.iter_mut().enumerate() {
            if watcher.is_connected() && self.random.u8(0..3) == 0 {
                let most = self.random.usize(1..8);
                let open = watcher
                    .read(&mut self.history, most)
                    .await
                    .map_err(|wrong| format!("viewer {nth}: {wrong}"))?;
                if !open {
                    return Err(format!("viewer {nth} lost its connection with {:?}", watcher.code));
                }
            }
        }
        Ok(())
    }

    async fn connect(&mut self, nth: usize) -> Result<(), String> {
        if self.watchers[nth].is_connected() {
            return Ok(());
        }
        let room = self.connected() < MAX_VIEWERS;
        let began = Instant::now();
        loop {
            let (server, id) = (&self.server, self.id.clone());
            let share = TestShare { server, id, secret: String::new(), url: String::new() };
            let watcher = &mut self.watchers[nth];
            let mut outcome = watcher.connect(&share).await?;
            if outcome == Outcome::Connected {
                // That there is no room may be found only after the upgrade: who is let in gets a first frame.
                let let_in = watcher.read_first(&mut self.history).await;
                if !let_in.map_err(|wrong| format!("viewer {nth}: {wrong}"))? {
                    if watcher.code != Some(1013) {
                        return Err(format!(
                            "viewer {nth} was closed with {:?} in place of a frame",
                            watcher.code
                        ));
                    }
                    outcome = Outcome::Refused;
                }
            }
            match (outcome, room) {
                (Outcome::Connected, true) => {
                    self.note(format!("viewer {nth} comes"));
                    return Ok(());
                }
                (Outcome::Refused, false) => {
                    self.note(format!("viewer {nth} is refused"));
                    return Ok(());
                }
                // The server learns a little later that others have gone.
                (Outcome::Refused, true) => {}
                (Outcome::Connected, false) => {
                    return Err(format!(
                        "viewer {nth} is let in, beside {MAX_VIEWERS} others, who are all that may"
                    ));
                }
                (Outcome::Gone, _) => return Err(format!("viewer {nth}: the share is gone")),
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("viewer {nth} is never let in, with {} others", self.connected()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A viewer reads over HTTP first, maybe not to the end.
    async fn load(&mut self, nth: usize) -> Result<(), String> {
        if self.watchers[nth].is_connected() {
            return Ok(());
        }
        let pages = self.random.usize(1..4);
        self.note(format!("viewer {nth} loads {pages} pages"));
        let mut watcher = std::mem::take(&mut self.watchers[nth]);
        let mut history = std::mem::take(&mut self.history);
        let loaded = watcher.load(&self.share(), &mut history, pages).await;
        (self.watchers[nth], self.history) = (watcher, history);
        loaded.map_err(|wrong| format!("viewer {nth}: {wrong}"))
    }

    /// Many connect and reset their connections at once, when there is room and when there is none.
    async fn resets(&mut self) -> Result<(), String> {
        let (rounds, count) = (self.random.usize(1..8), self.random.usize(10..60));
        self.note(format!("{rounds} times {count} connect and are gone"));
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.share().path("/poll")
        );
        for _ in 0..rounds {
            let streams: Vec<_> = (0..count)
                .map(|_| {
                    let mut stream = TcpStream::connect(&self.server.address).expect("connects");
                    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
                    // Closed, it is reset.
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
                    stream
                })
                .collect();
            tokio::time::sleep(Duration::from_micros(self.random.u64(0..20_000))).await;
            drop(streams);
        }
        self.count_is_right().await
    }

    /// The server comes to know how many watch.
    async fn count_is_right(&mut self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let viewers = self.share().server.get(&self.share().path("")).await.1["viewers"].clone();
            if viewers == json!(self.connected()) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{viewers} viewers are counted, and {} are there", self.connected()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn everybody_catches_up(&mut self) -> Result<(), String> {
        self.note("all catch up");
        for (nth, watcher) in
            self.watchers.iter_mut().enumerate().filter(|(_, watcher)| watcher.is_connected())
        {
            watcher.catch_up(&mut self.history).await.map_err(|wrong| format!("viewer {nth}: {wrong}"))?;
        }
        Ok(())
    }

    /// Nobody is there, until the share has left memory.
    async fn leaves_memory(&mut self) {
        self.note("the share leaves memory");
        self.watchers.iter_mut().for_each(Watcher::leave);
        let before = self.server.log().matches("left memory").count();
        self.share().seq().await;
        let left = async {
            while self.server.log().matches("left memory").count() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, left).await.expect("a share that nobody uses leaves memory");
    }

    /// `kill -9`, and a server on the same data.
    async fn crash(&mut self) -> Result<(), String> {
        self.note("kill -9");
        self.server.kill();
        self.after_the_end().await
    }

    /// `kill -9` while a sync is under way: it is stored whole or not at all, and what was shown is there.
    async fn crash_while_syncing(&mut self) -> Result<(), String> {
        let syncs = vec![self.history.batch(&mut self.random, &MESSAGES)];
        self.note(format!("kill -9 while syncing {}", described(&syncs)));
        self.history.sending(&syncs);
        let delay = Duration::from_micros(self.random.u64(0..20_000));
        let (url, secret) =
            (format!("{}{}", self.server.url, self.share().path("/sync")), self.secret.clone());
        let body = json!({"secret": secret, "data": syncs[0]});
        let sync = actix_web::rt::spawn(async move {
            crate::harness::client()
                .post(url)
                .send_json(&body)
                .await
                .is_ok_and(|answer| answer.status() == 200)
        });
        tokio::time::sleep(delay).await;
        self.server.kill();
        if sync.await.expect("a sync") {
            self.history.acknowledged(&syncs);
        }
        self.after_the_end().await
    }

    /// A restart that says so to its viewers.
    async fn restart(&mut self) -> Result<(), String> {
        self.note("SIGTERM");
        let server = &mut self.server;
        server.signal("-TERM");
        let codes = self.watchers.iter_mut().enumerate().filter(|(_, watcher)| watcher.is_connected());
        for (nth, watcher) in codes {
            watcher
                .until_closed(&mut self.history)
                .await
                .map_err(|wrong| format!("viewer {nth}: {wrong}"))?;
            // Who was slow to read may not get the close code.
            if !matches!(watcher.code, Some(1012 | 1013) | None) {
                return Err(format!("viewer {nth} was closed with {:?} at a restart", watcher.code));
            }
        }
        self.server.wait();
        self.after_the_end().await
    }

    /// What viewers were sent before the end is read; then a server starts, and has what was acknowledged and what was
    /// shown.
    async fn after_the_end(&mut self) -> Result<(), String> {
        for (nth, watcher) in self.watchers.iter_mut().enumerate() {
            watcher
                .until_closed(&mut self.history)
                .await
                .map_err(|wrong| format!("viewer {nth}: {wrong}"))?;
        }
        self.server.restart();
        let seq = self.share().seq().await;
        let state = self.whole().await;
        self.history.found(seq, state).map_err(|wrong| format!("after a restart: {wrong}"))
    }

    /// All of it over HTTP, as a state.
    async fn whole(&self) -> State {
        let data = self.share().data().await;
        data.iter().map(crate::model::keyed).collect()
    }

    async fn read_whole(&mut self) -> Result<(), String> {
        let state = self.whole().await;
        self.history.check(self.history.seq, &state).map_err(|wrong| format!("/data: {wrong}"))
    }

    /// Everybody who may comes and gets to the newest state; then the share is deleted, or its time is over.
    async fn end(&mut self) -> Result<(), String> {
        for nth in 0..MAX_VIEWERS {
            self.connect(nth).await?;
        }
        self.everybody_catches_up().await?;
        self.count_is_right().await?;
        self.read_whole().await?;
        let reason = if self.random.bool() { "deleted" } else { "expired" };
        self.note(reason);
        if reason == "deleted" {
            while self.share().delete(&self.secret).await == 202 {}
        } else {
            std::fs::write(self.config.path().join("serve.toml"), "max_lifetime = \"1ms\"").expect("written");
            self.server.signal("-HUP");
        }
        for (nth, watcher) in
            self.watchers.iter_mut().enumerate().filter(|(_, watcher)| watcher.is_connected())
        {
            watcher
                .until_closed(&mut self.history)
                .await
                .map_err(|wrong| format!("viewer {nth}: {wrong}"))?;
            if (watcher.closed.as_deref(), watcher.code) != (Some(reason), Some(4410)) {
                return Err(format!(
                    "viewer {nth}: {:?} and {:?} when {reason}",
                    watcher.closed, watcher.code
                ));
            }
        }
        let mut late = std::mem::take(&mut self.watchers[0]);
        match late.connect(&self.share()).await? {
            Outcome::Gone => Ok(()),
            other => Err(format!("a viewer who comes too late: {other:?}")),
        }
    }
}

/// What syncs carry, for people.
fn described(syncs: &[Vec<Value>]) -> String {
    let sync = |items: &Vec<Value>| {
        let items = items.iter().map(|item| {
            let (kind, data) = (item["type"].as_str().unwrap_or_default(), &item["data"]);
            let ids = [&data["messageID"], &data["id"]].map(|id| id.as_str().unwrap_or_default());
            format!("{kind} {} ({})", ids.join("/"), data["text"].as_str().map_or(0, str::len))
        });
        items.collect::<Vec<_>>().join(", ")
    };
    syncs.iter().map(sync).collect::<Vec<_>>().join(" | ")
}
