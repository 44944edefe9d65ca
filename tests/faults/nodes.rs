//! Two processes on one database, SQLite's, PostgreSQL or libSQL: clients and viewers go to either, and either is
//! killed. The bus between them loses, doubles and delays what they say, or is cut; the database crashes, and its
//! standby takes over.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::disk;
use crate::harness::bad_bus::BadBus;
use crate::harness::balancer::Balancer;
use crate::harness::postgres::{Postgres, psql};
use crate::harness::sqld::Sqld;
use crate::harness::{PATIENCE, TestServer, TestShare, TestViewer, client, part, until};
use crate::model::{History, State};
use crate::watcher::{Outcome, Watcher};

const MESSAGES: [&str; 3] = ["m0", "m1", "m2"];

/// What is written when all else was.
const END: &str = "part/m/end";

/// How often one of them is killed.
const KILLS: usize = 6;

const CLIENTS: usize = 6;
const VIEWERS: usize = 6;

/// How often the database crashes.
const CRASHES: usize = 4;

/// Two that serve the same directory, or the same database. `poll` is how often each looks for what the
/// other wrote when nothing else makes it.
fn start(poll: &str, database: Option<&str>, bus: Option<&str>) -> [TestServer; 2] {
    let mut args = vec!["--poll-interval", poll];
    args.extend(database.into_iter().flat_map(|url| ["--store", url]));
    args.extend(bus.into_iter().flat_map(|url| ["--bus", url]));
    let first = TestServer::start(&args);
    let second = first.beside();
    [first, second]
}

/// How often a server wrote on a head that was no more.
fn conflicts(server: &TestServer) -> usize {
    server.log().matches("conflicts=1 ").count() + server.log().matches("conflicts=1\n").count()
}

#[test]
fn a_directory_is_shared_only_by_those_who_say_so() {
    let [first, second] = start("1h", None, None);
    let refused = |args: &[&str]| {
        let mut command = crate::harness::program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(first.data_dir()).args(args);
        String::from_utf8(command.output().expect("ends").stderr).expect("UTF-8")
    };
    assert!(refused(&[]).contains("another brutus-share uses this directory"));
    drop(second);
    assert!(refused(&[]).contains("another brutus-share uses this directory"));
}

/// A history of one share, in which every state is known: each frame and each answer of both processes is held against
/// the state that the share had at that position.
struct Story {
    random: Rng,
    servers: [TestServer; 2],
    id: String,
    secret: String,
    history: History,
    watchers: Vec<(usize, Watcher)>,
    database: Option<String>,
}

impl Story {
    async fn begin(seed: u64, database: Option<String>, bus: Option<&str>) -> Self {
        let servers = start("100ms", database.as_deref(), bus);
        let (id, secret) = {
            let share = servers[0].share().await;
            (share.id, share.secret)
        };
        let watchers = (0..VIEWERS).map(|nth| (0, Watcher::new(nth % 2 == 0, nth % 3 == 0))).collect();
        let history = History::default();
        Self { random: Rng::with_seed(seed), servers, id, secret, history, watchers, database }
    }

    fn share(&self, n: usize) -> TestShare<'_> {
        let (id, secret) = (self.id.clone(), self.secret.clone());
        TestShare { server: &self.servers[n], id, secret, url: String::new() }
    }

    async fn go_on(&mut self) -> Result<(), String> {
        for _ in 0..40 {
            let (n, nth) = (self.random.usize(0..2), self.random.usize(0..VIEWERS));
            match self.random.u8(0..32) {
                0..=9 => {
                    let items = self.history.batch(&mut self.random, &MESSAGES);
                    self.sync(vec![items]).await?;
                }
                10..=17 => {
                    let syncs = MESSAGES.map(|m| self.history.batch(&mut self.random, &[m]));
                    self.sync(syncs.to_vec()).await?;
                }
                18..=24 => self.connect(nth, n).await?,
                25..=26 => self.watchers[nth].1.leave(),
                27..=28 => self.everybody_catches_up().await?,
                29..=30 => self.crash(n).await?,
                _ => {
                    let state = self.whole(n).await;
                    self.history.check(self.history.seq, &state)?;
                }
            }
            for (_, watcher) in self.watchers.iter_mut().filter(|(_, watcher)| watcher.is_connected()) {
                if self.random.bool() && !watcher.read(&mut self.history, 8).await? {
                    return Err(format!("a viewer lost its connection with {:?}", watcher.code));
                }
            }
        }
        for nth in 0..VIEWERS {
            self.connect(nth, nth % 2).await?;
        }
        self.everybody_catches_up().await?;
        for n in 0..2 {
            let state = self.whole(n).await;
            self.history.check(self.history.seq, &state)?;
        }
        Ok(())
    }

    /// Syncs at once, each through any of the two. When they are acknowledged both have them.
    async fn sync(&mut self, syncs: Vec<Vec<Value>>) -> Result<(), String> {
        self.history.sending(&syncs);
        let through: Vec<_> = syncs.iter().map(|items| (self.random.usize(0..2), items)).collect();
        let shares = [self.share(0), self.share(1)];
        join_all(through.into_iter().map(|(n, items)| shares[n].sync(items))).await;
        let seqs = join(shares[0].seq(), shares[1].seq()).await;
        self.history.acknowledged(&syncs);
        let seq = self.history.seq;
        if seqs == (seq, seq) {
            Ok(())
        } else {
            Err(format!("they are at {seqs:?}, and were to be at {seq}"))
        }
    }

    async fn connect(&mut self, nth: usize, n: usize) -> Result<(), String> {
        let share = TestShare {
            server: &self.servers[n],
            id: self.id.clone(),
            secret: String::new(),
            url: String::new(),
        };
        let (at, watcher) = &mut self.watchers[nth];
        watcher.leave();
        *at = n;
        match watcher.connect(&share).await? {
            Outcome::Connected if watcher.read_first(&mut self.history).await? => Ok(()),
            other => Err(format!("a viewer is not let in: {other:?}, {:?}", watcher.code)),
        }
    }

    async fn everybody_catches_up(&mut self) -> Result<(), String> {
        for (_, watcher) in self.watchers.iter_mut().filter(|(_, watcher)| watcher.is_connected()) {
            watcher.catch_up(&mut self.history).await?;
        }
        Ok(())
    }

    /// `kill -9` of one while a sync goes through it. What the other has then is what there is.
    async fn crash(&mut self, n: usize) -> Result<(), String> {
        let syncs = vec![self.history.batch(&mut self.random, &MESSAGES)];
        self.history.sending(&syncs);
        let (url, body) = (
            format!("{}{}", self.servers[n].url, self.share(n).path("/sync")),
            json!({"secret": self.secret, "data": syncs[0]}),
        );
        let sync = actix_web::rt::spawn(async move {
            client().post(url).send_json(&body).await.is_ok_and(|answer| answer.status() == 200)
        });
        tokio::time::sleep(Duration::from_micros(self.random.u64(0..20_000))).await;
        self.servers[n].kill();
        if sync.await.expect("a sync") {
            self.history.acknowledged(&syncs);
        }
        for (_, watcher) in self.watchers.iter_mut().filter(|(at, _)| *at == n) {
            watcher.until_closed(&mut self.history).await?;
        }
        // A database goes on with what it was told.
        if let Some(database) = self.database.as_ref().filter(|url| url.starts_with("libsql")) {
            has_written_all(database).await;
        } else if let Some(database) = &self.database {
            let busy = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
                        AND datname = current_database()";
            let mut idle = 0;
            until("what the killed one asked for has ended", async || {
                idle = if psql(database, busy) == "0" { idle + 1 } else { 0 };
                idle == 2
            })
            .await;
        }
        let (seq, state) = (self.share(1 - n).seq().await, self.whole(1 - n).await);
        self.servers[n].restart();
        self.history.found(seq, state)
    }

    /// All of it over HTTP, as a state.
    async fn whole(&self, n: usize) -> State {
        let (status, page) = self.servers[n].get(&self.share(n).path("/data")).await;
        assert_eq!(status, 200, "{page}");
        page.as_array().expect("items").iter().map(crate::model::keyed).collect()
    }
}

/// sqld lets one write after the other, so what came before has ended when this has: twice, for what was sent may not
/// have been read when this is.
async fn has_written_all(url: &str) {
    let url = format!("{}/v3/pipeline", url.trim_start_matches("libsql+"));
    let write =
        json!({"requests": [{"type": "sequence", "sql": "BEGIN IMMEDIATE; COMMIT"}, {"type": "close"}]});
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut answer = client().post(&url).send_json(&write).await.expect("sqld answers");
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["results"][0]["type"], "ok", "{answer}");
    }
}

#[test]
fn whatever_happens_both_processes_show_what_was_stored() {
    histories(|_| None, |_| None);
}

#[test]
fn whatever_happens_both_processes_show_what_postgresql_has() {
    let postgres = Postgres::start();
    histories(|seed| Some(postgres.create(&format!("share{seed}"))), |_| None);
}

#[test]
fn whatever_happens_both_processes_show_what_libsql_has() {
    let servers = RefCell::new(Vec::new());
    let start = |_| {
        let server = Sqld::start();
        let url = server.url();
        servers.borrow_mut().push(server);
        Some(url)
    };
    histories(start, |_| None);
}

/// Hints that are lost, doubled, late and in any order save time or not, and change nothing else.
#[test]
fn whatever_the_bus_does_both_processes_show_what_postgresql_has() {
    let (postgres, bad) = (Postgres::start(), BadBus::start(crate::seeds(1)[0]));
    histories(|seed| Some(postgres.create(&format!("share{seed}"))), |_| Some(bad.url()));
    let done = bad.done();
    for (name, count) in [("passed", &done.passed), ("lost", &done.lost), ("doubled", &done.doubled)]
        .into_iter()
        .chain([("late", &done.late), ("cut", &done.cut)])
    {
        let count = count.load(Ordering::Relaxed);
        println!("{count} {name}");
        assert!(count > 0, "{name}");
    }
}

fn histories(database: impl Fn(u64) -> Option<String>, bus: impl Fn(u64) -> Option<String>) {
    for seed in crate::seeds(2) {
        let history = async {
            let mut story = Story::begin(seed, database(seed), bus(seed).as_deref()).await;
            let ended = story.go_on().await;
            (ended, story.servers.each_ref().map(TestServer::log))
        };
        let (ended, logs) = actix_web::rt::System::new().block_on(history);
        if let Err(wrong) = ended {
            let last = logs.map(|log| log.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
            panic!("BRUTUS_SEED={seed}: {wrong}\n{}\n--\n{}", last[0], last[1]);
        }
    }
}

/// Clients that write as fast as they can through both, while one and then the other is killed.
struct Load {
    urls: [String; 2],
    path: String,
    secret: String,
    ends: Cell<bool>,
    acknowledged: RefCell<HashMap<String, u64>>,
    writes: Cell<u64>,
    reads: Cell<u64>,
}

impl Load {
    /// Writes versions of its own parts, each until it is acknowledged, and looks now and then whether both have it.
    async fn write(&self, client_number: usize, mut random: Rng) {
        let http = client();
        for version in 1.. {
            if self.ends.get() {
                return;
            }
            let key = format!("c{client_number}p{}", version % 5);
            let body = json!({"secret": self.secret, "data": [part("m", &key, &version.to_string())]});
            loop {
                let url = format!("{}{}/sync", self.urls[random.usize(0..2)], self.path);
                match http.post(url).send_json(&body).await {
                    Ok(answer) if answer.status() == 200 => break,
                    _ => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
            self.acknowledged.borrow_mut().insert(key.clone(), version);
            self.writes.set(self.writes.get() + 1);
            let url = format!("{}{}/data", self.urls[random.usize(0..2)], self.path);
            let Ok(mut answer) = http.get(url).send().await else { continue };
            if let (200, Ok(items)) = (answer.status().as_u16(), answer.json::<Value>().limit(1 << 20).await)
            {
                assert_eq!(versions(&items).get(&key), Some(&version), "read after it was acknowledged");
                self.reads.set(self.reads.get() + 1);
            }
        }
    }

    /// So many more syncs are acknowledged.
    async fn goes_on(&self, more: u64) {
        let writes = self.writes.get() + more;
        until("more is acknowledged", async || {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.writes.get() >= writes
        })
        .await;
    }

    /// Goes from one to the other, until it has seen the end.
    async fn watch(&self, mut viewer: TestViewer, mut random: Rng) -> TestViewer {
        loop {
            let most = viewer.frames + random.usize(1..40);
            let all = |viewer: &TestViewer| viewer.caught_up && viewer.items.contains_key(END);
            viewer.until_or_lost(|viewer| viewer.frames >= most || all(viewer)).await;
            if all(&viewer) {
                return viewer;
            }
            let at = format!("after={}&epoch={}&append=1", viewer.seq, viewer.epoch);
            let urls =
                self.urls.each_ref().map(|url| format!("{url}{}/poll?{at}", self.path).replace("http", "ws"));
            while !viewer.try_reconnect(&urls[random.usize(0..2)]).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

fn versions(items: &Value) -> HashMap<String, u64> {
    let items = items.as_array().expect("items").iter().map(|item| &item["data"]);
    items
        .filter_map(|data| Some((data["id"].as_str()?.to_owned(), data["text"].as_str()?.parse().ok()?)))
        .collect()
}

fn versions_of(viewer: &TestViewer) -> HashMap<String, u64> {
    let items = viewer.items.values();
    items
        .filter_map(|data| Some((data["id"].as_str()?.to_owned(), data["text"].as_str()?.parse().ok()?)))
        .collect()
}

#[actix_web::test]
async fn of_two_processes_either_is_killed_and_nothing_acknowledged_is_lost() {
    let mut conflicted = 0;
    for seed in crate::seeds(2) {
        conflicted += under_load(seed, Faults::of(Database::Sqlite)).await;
    }
    assert!(conflicted > 0, "they were never in each other's way");
}

#[actix_web::test]
async fn either_process_is_killed_and_postgresql_crashes_and_nothing_acknowledged_is_lost() {
    let mut conflicted = 0;
    for seed in crate::seeds(2) {
        conflicted += under_load(seed, Faults::of(Database::Postgres(Postgres::start()))).await;
    }
    assert!(conflicted > 0, "they were never in each other's way");
}

#[actix_web::test]
async fn either_process_is_killed_and_sqld_is_killed_and_nothing_acknowledged_is_lost() {
    let mut conflicted = 0;
    for seed in crate::seeds(2) {
        conflicted += under_load(seed, Faults::of(Database::Libsql(Sqld::start()))).await;
    }
    assert!(conflicted > 0, "they were never in each other's way");
}

#[actix_web::test]
async fn behind_a_balancer_either_process_is_killed_and_a_standby_takes_over_and_nothing_acknowledged_is_lost()
 {
    for seed in crate::seeds(1) {
        let faults = Faults::of(Database::Postgres(Postgres::start()));
        under_load(seed, Faults { fails_over: true, ..faults }).await;
    }
}

/// Nobody hears of what others write: all look for it every five seconds.
#[actix_web::test]
async fn with_the_bus_cut_for_good_viewers_have_all_soon() {
    for seed in crate::seeds(1) {
        let faults = Faults::of(Database::Postgres(Postgres::start()));
        under_load(seed, Faults { bus: Some("nats://127.0.0.1:1"), poll: "5s", ..faults }).await;
    }
}

#[actix_web::test]
async fn with_clocks_that_are_hours_apart_nothing_acknowledged_is_lost() {
    for seed in crate::seeds(1) {
        let faults = Faults::of(Database::Postgres(Postgres::start()));
        under_load(seed, Faults { ahead: "clock 10000", ..faults }).await;
    }
}

/// Where two processes keep their shares.
enum Database {
    Sqlite,
    Postgres(Postgres),
    Libsql(Sqld),
}

impl Database {
    fn url(&self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres(server) => Some(server.create("share")),
            Self::Libsql(server) => Some(server.url()),
        }
    }

    /// A standby of it, when it is PostgreSQL.
    fn standby(&self) -> Option<Postgres> {
        if let Self::Postgres(server) = self { Some(server.standby()) } else { None }
    }

    fn crash(&mut self) {
        match self {
            Self::Sqlite => {}
            Self::Postgres(server) => server.crash(),
            Self::Libsql(server) => server.crash(),
        }
    }

    fn restart(&mut self) {
        match self {
            Self::Sqlite => {}
            Self::Postgres(server) => server.restart(),
            Self::Libsql(server) => server.restart(),
        }
    }
}

/// What happens to two processes besides being killed.
struct Faults {
    /// Their database, which crashes.
    database: Database,
    /// It does not come back: a standby takes over, and all go by a balancer.
    fails_over: bool,
    bus: Option<&'static str>,
    poll: &'static str,
    /// What the clock of one of them does.
    ahead: &'static str,
}

impl Faults {
    fn of(database: Database) -> Self {
        Self { database, fails_over: false, bus: None, poll: "100ms", ahead: "clock 0" }
    }
}

/// Clients write through both while they are killed, and while their database crashes. Tells how often they were in
/// each other's way.
async fn under_load(seed: u64, faults: Faults) -> usize {
    let Faults { mut database, fails_over, bus, poll, ahead } = faults;
    let mut conflicted = 0;
    let mut store = database.url();
    let standby = if fails_over { database.standby() } else { None };
    if let (Some(url), Database::Postgres(postgres), Some(standby)) = (&mut store, &database, &standby) {
        let first = format!("127.0.0.1:{}", postgres.port());
        *url = url.replace(&first, &format!("{first},127.0.0.1:{}", standby.port()));
    }
    {
        let mut random = Rng::with_seed(seed);
        let mut servers = start(poll, store.as_deref(), bus);
        // One has a clock of its own.
        let control = TempDir::new().expect("a directory");
        std::fs::write(control.path().join("fault"), ahead).expect("written");
        servers[1] = servers[0].beside_with_env(&disk::env(&control));
        let (path, secret) = {
            let share = servers[0].share().await;
            (share.path(""), share.secret)
        };
        let balancer =
            fails_over.then(|| Balancer::start(&servers.each_ref().map(|server| &*server.address)));
        let url =
            |server: &TestServer| balancer.as_ref().map_or(&server.url, |balancer| &balancer.url).clone();
        let load = Rc::new(Load {
            urls: servers.each_ref().map(url),
            path: path.clone(),
            secret: secret.clone(),
            ends: Cell::new(false),
            acknowledged: RefCell::default(),
            writes: Cell::new(0),
            reads: Cell::new(0),
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (load, random) = (load.clone(), random.fork());
                actix_web::rt::spawn(async move { load.write(n, random).await })
            })
            .collect();
        let mut viewers = Vec::new();
        for _ in 0..VIEWERS {
            let viewer =
                TestViewer::connect(&format!("{}{path}/poll?append=1", servers[0].url).replace("http", "ws"))
                    .await;
            let (load, random) = (load.clone(), random.fork());
            viewers.push(actix_web::rt::spawn(async move { load.watch(viewer, random).await }));
        }
        for _ in 0..KILLS {
            load.goes_on(random.u64(5..40)).await;
            let n = random.usize(0..2);
            conflicted += conflicts(&servers[n]);
            servers[n].kill();
            load.goes_on(random.u64(0..10)).await;
            servers[n].restart();
        }
        if store.is_some() {
            crash_under(&load, &mut database, standby.as_ref(), &servers[0], &mut random).await;
        }
        load.goes_on(20).await;
        load.ends.set(true);
        ended(clients).await;
        let id = path.rsplit('/').next().expect("an id").to_owned();
        let share = TestShare { server: &servers[0], id, secret, url: String::new() };
        share.sync(&[part("m", "end", "all was written")]).await;
        // Before anybody reads, for who is read from looks whether there is more.
        let written = Instant::now();
        let viewers = ended(viewers).await;
        let late = written.elapsed();
        println!("seed {seed}: all viewers have all {late:?} after the last was acknowledged");
        assert!(late < Duration::from_secs(10), "seed {seed}: {late:?}");
        let all = share.path("/data");
        let ((_, stored), (_, same)) = join(servers[0].get(&all), servers[1].get(&all)).await;
        let stored = versions(&stored);
        assert_eq!(stored, versions(&same), "seed {seed}: both have the same");
        for (key, version) in load.acknowledged.borrow().iter() {
            assert_eq!(stored.get(key), Some(version), "seed {seed}: {key}");
        }
        assert!(load.reads.get() > 0, "seed {seed}");
        println!("seed {seed}: {} acknowledged, {} read", load.writes.get(), load.reads.get());
        for viewer in &viewers {
            assert_eq!(versions_of(viewer), stored, "seed {seed}: who watches has the same");
        }

        is_gone_once_deleted(&share, &servers[1], viewers).await;
        conflicted += servers.each_ref().map(conflicts).iter().sum::<usize>();
    }
    conflicted
}

/// The database crashes while clients write: it comes back, and does so again, or its standby takes over.
async fn crash_under(
    load: &Load,
    database: &mut Database,
    standby: Option<&Postgres>,
    server: &TestServer,
    random: &mut Rng,
) {
    if let Some(standby) = standby {
        load.goes_on(random.u64(5..40)).await;
        database.crash();
        let began = Instant::now();
        standby.promote();
        let promoted = began.elapsed();
        load.goes_on(1).await;
        println!("acknowledged {:?} after a promotion of {promoted:?} began", began.elapsed());
        return;
    }
    for _ in 0..CRASHES {
        load.goes_on(random.u64(5..40)).await;
        database.crash();
        assert_eq!(server.get(&load.path).await.0, 503);
        database.restart();
    }
}

/// What one deletes is gone at the other, at once for who asks and soon for who watches.
async fn is_gone_once_deleted(share: &TestShare<'_>, other: &TestServer, viewers: Vec<TestViewer>) {
    let deleted = share.delete(&share.secret).await;
    assert!([200, 202].contains(&deleted), "{deleted}");
    assert_eq!(other.get(&share.path("")).await.0, 404);
    for mut viewer in viewers {
        viewer.until("it is closed", |viewer| viewer.close_code.is_some()).await;
        assert_eq!((viewer.closed.as_deref(), viewer.close_code), (Some("deleted"), Some(4410)));
    }
    until("its content is gone", async || share.delete(&share.secret).await == 200).await;
}

/// What those who were started come to.
async fn ended<T>(started: Vec<actix_web::rt::task::JoinHandle<T>>) -> Vec<T> {
    let all = tokio::time::timeout(PATIENCE, join_all(started)).await.expect("they get through");
    all.into_iter().collect::<Result<_, _>>().expect("nothing is wrong with them")
}
