//! Several nodes over one PostgreSQL, beside one node on SQLite: ratios, each of one round, and their medians.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

use crate::fan_out::{self, Load};
use crate::ingest::{self, Stream};
use crate::servers::{Database, Kind, Programs, Started};
use crate::table::{self, figure, median};
use crate::target::Target;
use crate::{Error, Result, reading};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Rounds; every round measures everything once
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// How long each measurement of a rate takes
    #[arg(long, default_value_t = 4)]
    pub seconds: u64,
    /// Reads behind an acknowledgement of another node
    #[arg(long, default_value_t = 10_000)]
    pub reads: usize,
}

/// How nodes tell each other what they wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bus {
    Local,
    Postgres,
    Redis,
    Nats,
}

/// Nodes with one database, and what carries their hints.
struct Cluster {
    nodes: Vec<Started>,
    _bus: Option<Started>,
    database: Database,
}

impl Cluster {
    fn start(programs: &Programs, nodes: usize, bus: Bus) -> Result<Self> {
        let database = programs.start_database("postgres", &[])?;
        let store = format!("postgres://postgres@{}/share", database.address());
        let (carrier, bus) = match bus {
            Bus::Local => (None, "local".to_owned()),
            Bus::Postgres => (None, "postgres".to_owned()),
            Bus::Redis => {
                let server = programs.start(Kind::Redis, &[], &[])?;
                let url = format!("redis://{}", server.address());
                (Some(server), url)
            }
            Bus::Nats => {
                let server = programs.start(Kind::Nats, &[], &[])?;
                let url = format!("nats://{}", server.address());
                (Some(server), url)
            }
        };
        let nodes = (0..nodes)
            .map(|_| programs.start(Kind::Ours, &["--store", &store, "--bus", &bus], &[]))
            .collect::<Result<_>>()?;
        Ok(Self { nodes, _bus: carrier, database })
    }

    /// What a target looks like through another node.
    fn through(&self, nth: usize, target: &Target) -> Target {
        target.through(self.nodes[nth].address())
    }
}

/// Measures everything, and prints a table in Markdown; how it goes is told on stderr.
pub fn run(programs: &Programs, options: &Options) -> Result<()> {
    let mut measured = BTreeMap::<(usize, &str), Vec<f64>>::new();
    for round in 0..options.rounds {
        for (nth, (name, value)) in measure(programs, options)?.into_iter().enumerate() {
            eprintln!("{round} {name}: {value:.3}");
            measured.entry((nth, name)).or_default().push(value);
        }
    }
    println!("| | |\n|---|---|");
    for ((_, name), values) in &mut measured {
        println!("| {name} | {} |", figure(median(values)));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // Counts of a run of seconds.
fn measure(programs: &Programs, options: &Options) -> Result<Vec<(&'static str, f64)>> {
    let stream = table::stream(options.seconds);
    let rate = |targets: &[Target], stream| Ok::<_, Error>(ingest::run(targets, stream)?.requests);

    let sqlite = {
        let server = programs.start(Kind::Ours, &[], &[])?;
        rate(&server.channels(64)?, stream)?
    };
    let (alone, one_share, pgbench) = {
        let cluster = Cluster::start(programs, 1, Bus::Local)?;
        let alone = rate(&cluster.nodes[0].channels(64)?, stream)?;
        let one_share = rate(&cluster.nodes[0].channels(1)?, Stream { clients: 16, ..stream })?;
        (alone, one_share, pgbench(programs, &cluster.database, options.seconds)?)
    };
    let (heard, through_both) = {
        let cluster = Cluster::start(programs, 2, Bus::Postgres)?;
        let heard = rate(&cluster.nodes[0].channels(64)?, stream)?;
        let share = cluster.nodes[0].channels(1)?.remove(0);
        let both = [share.clone(), cluster.through(1, &share)];
        (heard, rate(&both, Stream { clients: 16, ..stream })?)
    };
    let (own, other, missed) = {
        let cluster = Cluster::start(programs, 2, Bus::Postgres)?;
        // A share each: what is sent again changes nothing.
        let shares = cluster.nodes[0].channels(3)?;
        let there = |nth: usize| cluster.through(1, &shares[nth]);
        let own = watched(&shares[0], &shares[0], options.seconds)?;
        let other = watched(&shares[1], &there(1), options.seconds)?;
        (own, other, reading::behind(&shares[2], &there(2), options.reads)?)
    };
    let mut buses = Vec::new();
    for bus in [Bus::Postgres, Bus::Redis, Bus::Nats] {
        let cluster = Cluster::start(programs, 2, bus)?;
        let share = cluster.nodes[0].channels(1)?.remove(0);
        let others = cluster.nodes[0].channels(64)?;
        let busy = Stream { rate: 2000, seconds: options.seconds + 2, ..stream };
        let load = thread::spawn(move || ingest::run(&others, busy));
        let seen = watched(&share, &cluster.through(1, &share), options.seconds)?;
        load.join().map_err(|_| "the load ended in a panic")??;
        buses.push(seen);
    }
    Ok(vec![
        ("64 clients, thousand durable syncs/s", alone / 1e3),
        ("the same over SQLite", alone / sqlite),
        ("the same over pgbench with a transaction a request", alone / pgbench),
        ("two nodes, lane on, over one node without", heard / alone),
        ("one share of 16 clients through two nodes over one", through_both / one_share),
        ("sync to a viewer of the same node, p50, ms", own.0),
        ("the same, p99", own.1),
        ("viewer of the other node over it, p50", other.0 / own.0),
        ("the same, p99", other.1 / own.1),
        ("other node, 2,000 other syncs/s, lane: p50, ms", buses[0].0),
        ("the same, p99", buses[0].1),
        ("p99 of the lane over Redis", buses[0].1 / buses[1].1),
        ("p99 of the lane over NATS", buses[0].1 / buses[2].1),
        ("reads behind an acknowledgement of the other node that miss it", missed as f64),
    ])
}

/// From the start of a sync to the frame at a viewer of some node: median and 99th percentile in milliseconds.
pub fn watched(share: &Target, at: &Target, seconds: u64) -> Result<(f64, f64)> {
    let seen = Target { publish: share.publish.clone(), ..at.clone() };
    let load = Load { viewers: 1, publishers: 1, rate: 100, ..table::load(seconds) };
    let outcome = fan_out::run(&[seen], load, None)?;
    if outcome.lost > 0 {
        return Err(format!("{} frames were lost", outcome.lost).into());
    }
    #[allow(clippy::cast_precision_loss)] // Microseconds of seconds.
    let times = (outcome.p50 as f64 / 1e3, outcome.p99 as f64 / 1e3);
    Ok(times)
}

/// Transactions a second of the database alone.
fn pgbench(programs: &Programs, database: &Database, seconds: u64) -> Result<f64> {
    let mut command = Command::new(programs.peers.join("pgbench"));
    let output = command.arg(database.address().port().to_string()).arg(seconds.to_string()).output()?;
    let printed = String::from_utf8(output.stdout)?;
    printed.trim().parse().map_err(|_| format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into())
}
