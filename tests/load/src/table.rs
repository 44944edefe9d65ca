//! One table: every server in turns, several rounds, medians. Ratios between its columns mean something; the numbers
//! themselves belong to the machine and the minute.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::fan_out::{self, Load};
use crate::ingest::{self, Stream};
use crate::process::Usage;
use crate::servers::{Kind, Programs};
use crate::target::Target;
use crate::viewers::handshake;
use crate::{Result, reading};

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Rounds; every round measures every server once
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How long each measurement of a rate takes
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Only these rows, by the start of their names
    #[arg(long, value_delimiter = ',')]
    pub rows: Vec<String>,
    /// Only these servers
    #[arg(long, value_enum, value_delimiter = ',')]
    pub servers: Vec<Kind>,
}

/// A column of the table: a server, or a limit of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Server(Kind),
    /// An earlier build of brutus-share.
    Before,
    Sqlite,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Server(kind) => kind.name(),
            Self::Before => "before",
            Self::Sqlite => "SQLite alone",
        }
    }
}

/// One row: what is measured, in which unit, and of whom.
struct Row {
    name: &'static str,
    unit: &'static str,
    columns: Vec<Column>,
    measure: fn(&Programs, Column, u64) -> Result<Values>,
}

/// What one measurement gives: the row's own value, without a name, and others in units of their own.
type Values = Vec<(&'static str, f64)>;

const LIVE: [Kind; 6] = [Kind::Ours, Kind::Nchan, Kind::Uwebsockets, Kind::Workerd, Kind::Nats, Kind::Bare];
const KEEPING: [Kind; 5] = [Kind::Ours, Kind::Workerd, Kind::Nats, Kind::Redis, Kind::Bare];

fn of(kinds: &[Kind]) -> Vec<Column> {
    kinds.iter().copied().map(Column::Server).collect()
}

#[allow(clippy::too_many_lines)] // A list.
fn rows() -> Vec<Row> {
    let live = |name, measure| Row { name, unit: "thousand deliveries/s", columns: of(&LIVE), measure };
    let keeping = |name, unit, measure| Row {
        name,
        unit,
        columns: [of(&KEEPING), vec![Column::Sqlite]].concat(),
        measure,
    };
    vec![
        live("A: 100 viewers, 1 publisher", |programs, column, seconds| {
            fan(programs, column, Load { viewers: 100, publishers: 1, ..load(seconds) })
        }),
        live("B: 1,000 viewers, 1 publisher", |programs, column, seconds| {
            fan(programs, column, Load { publishers: 1, ..load(seconds) })
        }),
        live("C: 5,000 viewers, 1 publisher", |programs, column, seconds| {
            fan(programs, column, Load { viewers: 5000, publishers: 1, ..load(seconds) })
        }),
        live("F: 1,000 viewers, 64 in flight", |programs, column, seconds| {
            fan(programs, column, load(seconds))
        }),
        live("D: 1,000 channels of 5 viewers", |programs, column, seconds| {
            fan(programs, column, Load { viewers: 5, channels: 1000, window: 64_000, ..load(seconds) })
        }),
        Row {
            name: "E: 20 messages/s to 1,000 viewers",
            unit: "p99, ms",
            columns: of(&LIVE),
            measure: |programs, column, seconds| {
                let Column::Server(kind) = column else { return Ok(Vec::new()) };
                let server = programs.start(kind, &[], &[])?;
                let load = Load { publishers: 4, rate: 20, seconds: seconds.max(5), ..load(seconds) };
                let outcome = fan_out::run(&server.channels(1)?, load, None)?;
                #[allow(clippy::cast_precision_loss)] // Microseconds of seconds.
                let (p50, p99) = (outcome.p50 as f64 / 1e3, outcome.p99 as f64 / 1e3);
                Ok(vec![("", p99), ("p50, ms", p50)])
            },
        },
        Row {
            name: "idle viewer",
            unit: "kB",
            columns: of(&LIVE),
            measure: |programs, column, _| {
                let Column::Server(kind) = column else { return Ok(Vec::new()) };
                let server = programs.start(kind, &[], &[])?;
                Ok(vec![("", idle_viewers(&server.channels(1)?[0], server.usage(), 5000)? / 1e3)])
            },
        },
        Row {
            name: "idle channel of one item",
            unit: "kB",
            columns: of(&[Kind::Ours, Kind::Nchan, Kind::Workerd]),
            measure: idle_channels,
        },
        Row {
            name: "viewer that never reads 20 MB",
            unit: "kB",
            columns: of(&[Kind::Ours]),
            measure: stalled,
        },
        keeping("ingest, 1 client", "thousand requests/s", |programs, column, seconds| {
            store(programs, column, Stream { clients: 1, ..stream(seconds) })
        }),
        keeping("ingest, 16 clients", "thousand requests/s", |programs, column, seconds| {
            store(programs, column, Stream { clients: 16, ..stream(seconds) })
        }),
        keeping("ingest, 64 clients", "thousand requests/s", |programs, column, seconds| {
            store(programs, column, stream(seconds))
        }),
        keeping("ingest, 16 clients, batches of 10", "thousand items/s", |programs, column, seconds| {
            store(programs, column, Stream { clients: 16, batch: 10, ..stream(seconds) })
        }),
        Row {
            name: "ingest, 64 clients, fsync 2 ms slower",
            unit: "thousand requests/s",
            columns: vec![Column::Server(Kind::Ours), Column::Sqlite],
            measure: |programs, column, seconds| store(&programs.slowed()?, column, stream(seconds)),
        },
        Row {
            name: "first load of 5,000 items, 10 MB",
            unit: "ms",
            columns: of(&[Kind::Ours, Kind::Workerd, Kind::Nats, Kind::Nchan]),
            measure: |programs, column, _| first_load(programs, column, 1),
        },
        Row {
            name: "the same by 20 viewers at once",
            unit: "ms",
            columns: of(&[Kind::Ours, Kind::Workerd, Kind::Nats, Kind::Nchan]),
            measure: |programs, column, _| first_load(programs, column, 20),
        },
        Row {
            name: "sync of one part, at 5,000 parts over at 100",
            unit: "times",
            columns: of(&[Kind::Ours]),
            measure: growth,
        },
        Row {
            name: "coming back after 100 of 5,000 items",
            unit: "ms",
            columns: of(&[Kind::Ours]),
            measure: |programs, _, _| {
                let server = programs.start(Kind::Ours, &[], &[])?;
                let took = reading::catch_up(&server.channels(1)?[0], 5000, 100)?;
                Ok(vec![("", took.as_secs_f64() * 1e3)])
            },
        },
    ]
}

/// Measures everything, and prints a table in Markdown; how it goes is told on stderr.
pub fn run(programs: &Programs, options: &Options) {
    let wanted = |column: &Column| match column {
        Column::Server(kind) => options.servers.is_empty() || options.servers.contains(kind),
        Column::Before | Column::Sqlite => true,
    };
    let earlier = programs.earlier();
    let rows: Vec<_> = rows()
        .into_iter()
        .filter(|row| {
            options.rows.is_empty() || options.rows.iter().any(|name| row.name.starts_with(name.as_str()))
        })
        .collect();
    let mut measured = BTreeMap::<(usize, &str, Column), Vec<f64>>::new();
    for round in 0..options.rounds {
        for (nth, row) in rows.iter().enumerate() {
            let columns = row.columns.iter().copied().filter(wanted);
            let turns = columns.flat_map(|column| {
                let ours = column == Column::Server(Kind::Ours);
                let before =
                    earlier.as_ref().filter(|_| ours).map(|earlier| (Column::Before, column, earlier));
                std::iter::once((column, column, programs)).chain(before)
            });
            for (column, measured_as, programs) in turns {
                match (row.measure)(programs, measured_as, options.seconds) {
                    Ok(values) => {
                        eprintln!("{round} {}: {} {values:?}", row.name, column.name());
                        for (detail, value) in values {
                            measured.entry((nth, detail, column)).or_default().push(value);
                        }
                    }
                    Err(error) => eprintln!("{round} {}: {} failed: {error}", row.name, column.name()),
                }
            }
        }
    }
    let mut columns: Vec<_> = measured.keys().map(|(.., column)| *column).collect();
    columns.sort_unstable();
    columns.dedup();
    print!("| | |");
    for column in &columns {
        print!(" {} |", column.name());
    }
    println!("\n|---|---|{}", "---|".repeat(columns.len()));
    let mut lines: Vec<_> = measured.keys().map(|(nth, detail, _)| (*nth, *detail)).collect();
    lines.dedup();
    for (nth, detail) in lines {
        let name = if detail.is_empty() { rows[nth].name } else { "" };
        let unit = if detail.is_empty() { rows[nth].unit } else { detail };
        print!("| {name} | {unit} |");
        for column in &columns {
            match measured.get_mut(&(nth, detail, *column)) {
                Some(values) => print!(" {} |", figure(median(values))),
                None => print!(" |"),
            }
        }
        println!();
    }
}

/// The middle one of some measurements.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// As a table shows it.
pub fn figure(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// 1,000 viewers of a channel to which 64 connections publish messages of 1 KB.
pub fn load(seconds: u64) -> Load {
    Load { viewers: 1000, channels: 1, publishers: 64, window: 64, rate: 0, bytes: 1024, seconds }
}

/// 64 clients that write items of 1 KB, one in a request.
pub fn stream(seconds: u64) -> Stream {
    Stream { clients: 64, batch: 1, bytes: 1024, seconds, keys: 100, rate: 0 }
}

fn fan(programs: &Programs, column: Column, load: Load) -> Result<Values> {
    let Column::Server(kind) = column else { return Ok(Vec::new()) };
    let server = programs.start(kind, &[], &[])?;
    let outcome = fan_out::run(&server.channels(load.channels)?, load, Some(server.usage()))?;
    if outcome.lost > 0 {
        eprintln!("{}: {} deliveries were lost", kind.name(), outcome.lost);
    }
    Ok(vec![("", outcome.rate / 1e3), ("CPU µs a delivery", outcome.cpu)])
}

fn store(programs: &Programs, column: Column, stream: Stream) -> Result<Values> {
    let Column::Server(kind) = column else {
        // In a process of its own, so that its disk can be made slower too. For batches, as many as commit together.
        let batch = if stream.batch > 1 { 100 } else { 1 };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["sqlite", "--batch", &batch.to_string(), "--seconds", &stream.seconds.to_string()]);
        programs.preload(&mut command);
        let transactions: f64 = String::from_utf8(command.output()?.stdout)?.trim().parse()?;
        return Ok(vec![("", transactions * f64::from(batch) / 1e3)]);
    };
    let server = programs.start(kind, &[], &[])?;
    let outcome = ingest::run(&server.stores(16, stream.batch)?, stream)?;
    Ok(vec![("", outcome.items / 1e3)])
}

/// Bytes of the server's memory for each of `count` viewers to whom nothing happens.
pub fn idle_viewers(target: &Target, usage: Usage, count: usize) -> Result<f64> {
    ingest::fill(target, 1, 1024, 1)?;
    // What the first viewers of all make the server allocate is not theirs.
    let mut first = (0..50).map(|_| handshake(target)).collect::<Result<Vec<_>>>()?;
    settle();
    let before = usage.memory()?;
    first.extend((0..count).map(|_| handshake(target)).collect::<Result<Vec<_>>>()?);
    settle();
    #[allow(clippy::cast_precision_loss)] // Bytes of one process.
    Ok(usage.memory()?.saturating_sub(before) as f64 / count as f64)
}

/// Until a server has done what it was asked and has told its viewers so.
fn settle() {
    std::thread::sleep(Duration::from_millis(1500));
}

fn idle_channels(programs: &Programs, column: Column, _: u64) -> Result<Values> {
    const COUNT: u16 = 5000;
    let Column::Server(kind) = column else { return Ok(Vec::new()) };
    let server = programs.start(kind, &["--share-idle", "1s"], &[])?;
    let usage = server.usage();
    let fill = |targets: &[Target]| targets.iter().try_for_each(|target| ingest::fill(target, 1, 1024, 1));
    fill(&server.channels(100)?)?;
    settle();
    let before = usage.memory()?;
    let targets = server.channels(usize::from(COUNT))?;
    fill(&targets)?;
    let open = usage.memory()?;
    // Idle shares leave memory, after their time and the check for it, which comes every second then.
    std::thread::sleep(Duration::from_secs(4));
    let closed = usage.memory()?;
    #[allow(clippy::cast_precision_loss)] // Bytes of one process.
    let each = |memory: u64| memory.saturating_sub(before) as f64 / f64::from(COUNT) / 1e3;
    Ok(vec![("", each(closed)), ("just written, kB", each(open))])
}

fn stalled(programs: &Programs, _: Column, _: u64) -> Result<Values> {
    const COUNT: u16 = 10;
    let server = programs.start(Kind::Ours, &[], &[])?;
    let targets = server.channels(1)?;
    ingest::fill(&targets[0], 10_000, 2048, 100)?;
    reading::web_socket(&targets[0], 10_000)?;
    settle();
    let before = server.usage().memory()?;
    let stalled = (0..COUNT).map(|_| handshake(&targets[0])).collect::<Result<Vec<_>>>()?;
    settle();
    let after = server.usage().memory()?;
    drop(stalled);
    #[allow(clippy::cast_precision_loss)] // Bytes of one process.
    Ok(vec![("", after.saturating_sub(before) as f64 / f64::from(COUNT) / 1e3)])
}

fn first_load(programs: &Programs, column: Column, viewers: usize) -> Result<Values> {
    const ITEMS: usize = 5000;
    let Column::Server(kind) = column else { return Ok(Vec::new()) };
    let server =
        programs.start(kind, &["--share-idle", "1s"], &[("NCHAN_BUFFER", "10000"), ("NATS_SYNC", "1m")])?;
    let mut target = server.stores(1, 1)?.remove(0);
    let batch = if kind == Kind::Ours { 100 } else { 1 };
    ingest::fill(&target, ITEMS, 2048, batch)?;
    match kind {
        Kind::Workerd => target.view.push_str("?replay=1"),
        Kind::Nats => {
            let consumer = concat!(
                r#"{"stream_name":"KV_bench","config":{"deliver_subject":"load.{unique}","#,
                r#""deliver_policy":"last_per_subject","ack_policy":"none","filter_subject":"$KV.bench.>"}}"#,
            );
            target.greeting = vec![
                "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n".into(),
                "SUB load.{unique} 1\r\n".into(),
                format!("PUB $JS.API.CONSUMER.CREATE.KV_bench {}\r\n{consumer}\r\n", consumer.len()),
            ];
        }
        _ => {}
    }
    let millis = |took: Duration| took.as_secs_f64() * 1e3;
    let mut values = vec![("", millis(reading::web_sockets(&target, viewers, ITEMS)?))];
    if let Some(share) = target.view.strip_suffix("/poll").filter(|_| kind == Kind::Ours && viewers == 1) {
        let paged = reading::pages(server.address(), share)?;
        #[allow(clippy::cast_precision_loss)] // Bytes of megabytes.
        values.extend([
            ("over HTTP, gzip, ms", millis(paged.took)),
            ("over HTTP, MB", paged.bytes as f64 / 1e6),
        ]);
    }
    if viewers > 1 {
        #[allow(clippy::cast_precision_loss)] // Bytes of one process.
        values.push(("peak memory, MB", server.usage().peak()? as f64 / 1e6));
    }
    Ok(values)
}

/// How much dearer one sync is in a large share: of the server's processor time, and of the client's waiting.
fn growth(programs: &Programs, _: Column, seconds: u64) -> Result<Values> {
    let server = programs.start(Kind::Ours, &[], &[])?;
    let targets = server.channels(2)?;
    let usage = server.usage();
    let cost = |target: &Target, parts: usize| -> Result<(f64, f64)> {
        ingest::fill(target, parts, 1024, 100)?;
        let before = usage.cpu_seconds()?;
        let stream = Stream { clients: 1, keys: 50, ..stream(seconds) };
        let outcome = ingest::run(std::slice::from_ref(target), stream)?;
        #[allow(clippy::cast_precision_loss)] // Counts of a run of seconds.
        let requests = outcome.requests * seconds as f64;
        Ok(((usage.cpu_seconds()? - before) / requests, 1.0 / outcome.requests))
    };
    let ((small_cpu, small), (large_cpu, large)) = (cost(&targets[0], 100)?, cost(&targets[1], 5000)?);
    Ok(vec![("", large / small), ("of processor time", large_cpu / small_cpu)])
}
