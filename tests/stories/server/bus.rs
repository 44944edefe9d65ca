//! Several servers over one database, PostgreSQL or libSQL, and the bus by which they tell each other what has changed.

use std::any::Any;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::bus::{BusServer, Carrier, PASSWORD};
use crate::harness::postgres::{Postgres, psql};
use crate::harness::sqld::Sqld;
use crate::harness::wire::Wire;
use crate::harness::{TestServer, TestShare, TestViewer, part, session, until};
use crate::operator::metrics::{metrics, metrics_url, value};
use crate::operator::tls::certificate;

/// Two servers over one database, which look for what the other wrote once in an hour: so it is the bus that tells
/// them.
struct Two {
    servers: [TestServer; 2],
    /// To the bus, from each of them.
    wires: [Wire; 2],
    metrics: [String; 2],
    database: String,
    _bus: BusServer,
    _database: Box<dyn Any>,
}

impl Two {
    async fn start(carrier: Carrier, args: &[&str]) -> Self {
        let postgres = Postgres::start();
        let database = postgres.create("share");
        let bus = BusServer::start(carrier, &postgres);
        Self::over(database, Box::new(postgres), bus, args).await
    }

    /// Over a database of this URL, which lives as long.
    async fn over(database: String, keeper: Box<dyn Any>, bus: BusServer, args: &[&str]) -> Self {
        let wires = [Wire::to(bus.address), Wire::to(bus.address)];
        let servers = wires.each_ref().map(|wire| {
            let url = bus.url(wire.address(), &database);
            let own = ["--store", &database, "--bus", &url, "--poll-interval", "1h"];
            let metrics = ["--metrics-listen", "127.0.0.1:0"];
            TestServer::start(&[&own[..], &metrics[..], args].concat())
        });
        let metrics = [metrics_url(&servers[0]).await, metrics_url(&servers[1]).await];
        let two = Self { servers, wires, metrics, database, _bus: bus, _database: keeper };
        for n in 0..2 {
            two.until(n, "it hears the other", "brutus_share_bus_connected", |connected| connected > 0.5)
                .await;
        }
        two
    }

    /// The share as it is reached through one of them.
    fn through<'a>(&'a self, n: usize, share: &TestShare) -> TestShare<'a> {
        let (id, secret) = (share.id.clone(), share.secret.clone());
        TestShare { server: &self.servers[n], id, secret, url: String::new() }
    }

    async fn until(&self, n: usize, what: &str, name: &str, is: impl Fn(f64) -> bool) {
        until(what, async || is(value(&metrics(&self.metrics[n]).await, name))).await;
    }
}

async fn sees(viewer: &mut TestViewer, title: &str) {
    viewer.until(title, |viewer| viewer.items.get("session").is_some_and(|it| it["title"] == title)).await;
}

/// With which status no further viewer is let in.
async fn refused(share: &TestShare<'_>) -> u16 {
    match tokio_tungstenite::connect_async(share.poll_url("")).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("it is let in: {other:?}"),
    }
}

async fn is_told_by(carrier: Carrier) {
    are_told(Two::start(carrier, &FEW_VIEWERS).await).await;
}

const FEW_VIEWERS: [&str; 2] = ["--max-viewers", "3"];

async fn are_told(two: Two) {
    let share = two.servers[0].share().await;
    share.sync(&[session("one")]).await;
    let other = two.through(1, &share);
    let (mut here, mut there) = (share.view().await, other.view().await);
    sees(&mut there, "one").await;
    share.sync(&[session("two")]).await;
    sees(&mut there, "two").await;
    other.sync(&[session("three")]).await;
    sees(&mut here, "three").await;

    // All viewers are counted, and those elsewhere take places.
    for viewer in [&mut here, &mut there] {
        viewer.until("both are counted", |viewer| viewer.viewers == 2).await;
    }
    let mut third = other.view().await;
    for viewer in [&mut here, &mut there, &mut third] {
        viewer.until("all are counted", |viewer| viewer.viewers == 3).await;
    }
    for n in 0..2 {
        let (_, summary) = two.servers[n].get(&share.path("")).await;
        assert_eq!(summary["viewers"], 3, "{summary}");
        assert_eq!(refused(&two.through(n, &share)).await, 503);
    }
    drop(third);
    here.until("one has gone", |viewer| viewer.viewers == 2).await;

    let began = Instant::now();
    assert_eq!(share.delete(&share.secret).await, 200);
    there.until("it is closed", |viewer| viewer.close_code.is_some()).await;
    assert_eq!((there.closed.as_deref(), there.close_code), (Some("deleted"), Some(4410)));
    eprintln!("closed elsewhere {:?} after the delete began", began.elapsed());
}

#[actix_web::test]
async fn viewers_elsewhere_are_told_of_what_is_in_libsql() {
    let (sqld, bus) = (Sqld::start(), BusServer::start_alone(Carrier::Redis));
    are_told(Two::over(sqld.url(), Box::new(sqld), bus, &FEW_VIEWERS).await).await;
}

#[actix_web::test]
async fn viewers_elsewhere_are_told_by_postgresql() {
    is_told_by(Carrier::Postgres).await;
}

#[actix_web::test]
async fn viewers_elsewhere_are_told_by_redis() {
    is_told_by(Carrier::Redis).await;
}

#[actix_web::test]
async fn viewers_elsewhere_are_told_by_nats() {
    is_told_by(Carrier::Nats).await;
}

/// What is said while the bus is away is lost; when it is back all look.
async fn catches_up_with(carrier: Carrier) {
    let two = Two::start(carrier, &[]).await;
    let share = two.servers[0].share().await;
    share.sync(&[session("before")]).await;
    let other = two.through(1, &share);
    let mut there = other.view().await;
    sees(&mut there, "before").await;
    // Whoever loses it, the one that says or the one that hears.
    for cut in 0..2 {
        let (title, again) = (format!("while {cut} is away"), format!("{cut} is back"));
        let part_id = format!("p{cut}");
        two.wires[cut].cut();
        two.until(cut, "it is away", "brutus_share_bus_connected", |connected| connected < 0.5).await;
        share.sync(&[session(&title)]).await;
        assert_eq!(two.servers[cut].get("/readyz").await.0, 200);
        // Who asks is not behind.
        assert_eq!(other.data().await[0]["data"]["title"], title.as_str());
        share.sync(&[part("m", &part_id, "unheard")]).await;
        let missed = |text: &str| value(text, "brutus_share_bus_missed_total");
        let before = missed(&metrics(&two.metrics[cut]).await);
        two.wires[cut].mend();
        there
            .until("what was missed", |viewer| viewer.items.contains_key(&format!("part/m/{part_id}")))
            .await;
        assert!(missed(&metrics(&two.metrics[cut]).await) > before);
        share.sync(&[session(&again)]).await;
        sees(&mut there, &again).await;
        assert_eq!(there.close_code, None);
    }
    for server in &two.servers {
        let log = server.log();
        assert_eq!(log.matches("other servers are not heard").count(), 1, "once: {log}");
        assert!(!log.contains(PASSWORD), "{log}");
    }
}

#[actix_web::test]
async fn what_was_missed_without_postgresql_is_looked_for() {
    catches_up_with(Carrier::Postgres).await;
}

#[actix_web::test]
async fn what_was_missed_without_redis_is_looked_for() {
    catches_up_with(Carrier::Redis).await;
}

#[actix_web::test]
async fn what_was_missed_without_nats_is_looked_for() {
    catches_up_with(Carrier::Nats).await;
}

#[actix_web::test]
async fn a_bus_that_speaks_tls_is_trusted_by_its_certificate_alone() {
    let dir = TempDir::new().expect("a directory");
    let (cert, key) = certificate(dir.path(), "bus");
    let (strangers, _) = certificate(dir.path(), "stranger");
    for carrier in [Carrier::Redis, Carrier::Nats] {
        let bus = BusServer::start_encrypted(carrier, (&cert, &key));
        let scheme = if carrier == Carrier::Redis { "rediss" } else { "tls" };
        let url = bus.url(bus.address, "");
        let url = format!("{scheme}://{}", url.split_once("://").expect("a URL").1);
        for (trusted, said) in [(&cert, "other servers are heard"), (&strangers, "invalid peer certificate")]
        {
            let args = ["--store", "sqlite", "--bus", &url];
            let server = TestServer::start_with_env(&args, &[("SSL_CERT_FILE", trusted)]);
            until(said, async || server.log().contains(said)).await;
            assert!(!server.log().contains(PASSWORD), "{}", server.log());
        }
    }
}

#[actix_web::test]
async fn a_server_starts_without_its_bus_and_finds_it_later() {
    let postgres = Postgres::start();
    let database = postgres.create("share");
    let bus = BusServer::start(Carrier::Redis, &postgres);
    let wire = Wire::to(bus.address);
    wire.cut();
    let url = bus.url(wire.address(), &database);
    let first = TestServer::start(&["--store", &database, "--bus", &url, "--poll-interval", "1h"]);
    let second = first.beside();
    until("it is said", async || second.log().contains("other servers are not heard")).await;
    assert_eq!(first.get("/readyz").await.0, 200);
    let share = first.share().await;
    let mut viewer = TestViewer::connect(&format!("ws://{}{}", second.address, share.path("/poll"))).await;
    viewer.until("it is there", |viewer| viewer.caught_up).await;
    share.sync(&[session("found")]).await;
    wire.mend();
    sees(&mut viewer, "found").await;
}

/// Once a second when there is none, and in five when it is not there.
#[actix_web::test]
async fn without_hints_what_others_store_is_looked_for() {
    let postgres = Postgres::start();
    for (bus, within) in [("none", Duration::from_secs(2)), ("redis://127.0.0.1:1", Duration::from_secs(7))] {
        let database = postgres.create(&format!("share{}", within.as_secs()));
        let first = TestServer::start(&["--store", &database, "--bus", bus]);
        let second = first.beside();
        let share = first.share().await;
        let poll = format!("ws://{}{}", second.address, share.path("/poll"));
        let mut viewer = TestViewer::connect(&poll).await;
        viewer.until("it is there", |viewer| viewer.caught_up).await;
        share.sync(&[session("one")]).await;
        let began = Instant::now();
        sees(&mut viewer, "one").await;
        assert!(began.elapsed() < within, "{bus}: {:?}", began.elapsed());
    }
}

/// What cannot be read is counted; what is untrue costs a look into the store.
#[actix_web::test]
async fn whatever_is_said_on_the_bus_ends_nothing() {
    let two = Two::start(Carrier::Postgres, &[]).await;
    let share = two.servers[0].share().await;
    share.sync(&[session("one")]).await;
    let mut viewer = share.view().await;
    sees(&mut viewer, "one").await;
    let listening = "SELECT query FROM pg_stat_activity WHERE query LIKE 'LISTEN %' LIMIT 1";
    let channel = psql(&two.database, listening).replace("LISTEN ", "");
    let num = psql(&two.database, "SELECT num FROM shares");
    let long = "x".repeat(7999);
    let lies = [format!("1 f c{num}:99 g{num} m v{num}:{}", u64::MAX), format!("1 f g999 c{num}:0")];
    for message in ["", "junk", "1 f c", "2 f m", "1 f g-", "1 f c1:18446744073709551616", &long]
        .into_iter()
        .chain(lies.iter().map(String::as_str))
    {
        psql(&two.database, &format!("SELECT pg_notify('{channel}', '{message}')"));
    }
    two.until(0, "junk is counted", "brutus_share_bus_junk_total", |count| count >= 7.0).await;
    two.until(0, "the others are heard", "brutus_share_bus_hints_heard_total", |count| count >= 6.0).await;
    share.sync(&[session("two")]).await;
    sees(&mut viewer, "two").await;
    assert_eq!((viewer.seq, viewer.close_code), (2, None));
    // A count that nobody repeats is not for ever, but it does take the places.
    assert_eq!(refused(&share).await, 503);
}

/// Prints how long it takes from a sync through A to a viewer's frame at A and at B: for docs/SCALE.md.
#[actix_web::test]
#[ignore = "a measurement"]
async fn how_late_is_a_frame_elsewhere() {
    const SYNCS: usize = 1000;
    for carrier in Carrier::ALL {
        let two = Two::start(carrier, &[]).await;
        let share = two.servers[0].share().await;
        let (mut here, mut there) = (share.view().await, two.through(1, &share).view().await);
        let mut late = [Vec::new(), Vec::new()];
        for n in 0..SYNCS {
            let title = format!("{n}");
            let began = Instant::now();
            let at = async |viewer: &mut TestViewer| {
                sees(viewer, &title).await;
                began.elapsed()
            };
            let items = [session(&title)];
            let sync = share.sync(&items);
            let ((), a, b) = futures_util::future::join3(sync, at(&mut here), at(&mut there)).await;
            late[0].push(a);
            late[1].push(b);
        }
        for (name, late) in ["A", "B"].into_iter().zip(&mut late) {
            late.sort();
            let at = |percent: usize| Duration::as_secs_f64(&late[SYNCS * percent / 100]) * 1000.0;
            println!("{carrier:?}, viewer at {name}: p50 {:.2} ms, p99 {:.2} ms", at(50), at(99));
        }
    }
}
