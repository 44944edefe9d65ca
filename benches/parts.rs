//! What one sync costs on its way, part by part: reading the body, applying it, encoding what viewers are shown; and a
//! session as Markdown.

#![allow(clippy::unwrap_used, missing_docs)] // What is read here is written here.

use std::collections::HashMap;
use std::hint::black_box;

use brutus_share::model::{Append, Capacity, Change, Key, Row, Transcript, reading_order};
use brutus_share::protocol::{Malformed, SyncRequest};
use brutus_share::render::{Markdown, markdown};
use brutus_share::seal::{Keys, LinkKey};
use brutus_share::share::Frame;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use serde_json::value::RawValue;

/// A part of a tool's call, with so many bytes of output.
fn part(id: usize, version: usize, bytes: usize) -> serde_json::Value {
    let output = format!("{version} {}", "a line of what a command said\n".repeat(bytes / 30));
    json!({
        "id": format!("prt_{id:08}"), "messageID": format!("msg_{:08}", id / 10), "sessionID": "ses_1", "type": "tool",
        "tool": "bash", "state": {"status": "completed", "input": {"command": "make"}, "output": output},
    })
}

fn body(items: usize, bytes: usize) -> Vec<u8> {
    let items: Vec<_> = (0..items).map(|id| json!({"type": "part", "data": part(id, 0, bytes)})).collect();
    serde_json::to_vec(&json!({"secret": "00000000-0000-4000-8000-000000000000", "data": items})).unwrap()
}

fn put(id: usize, version: usize, bytes: usize) -> Change {
    let data = serde_json::value::to_raw_value(&part(id, version, bytes)).unwrap();
    Change::from_item("part", &data, "data[0]").unwrap()
}

fn transcript(parts: usize, bytes: usize) -> Transcript {
    let mut transcript = Transcript::default();
    for id in 0..parts {
        transcript.apply(vec![put(id, 0, bytes)], Capacity::UNLIMITED).unwrap();
    }
    transcript
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("read a sync");
    for (items, bytes) in [(1, 1000), (100, 1000), (1, 1_000_000)] {
        let body = body(items, bytes);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(
            BenchmarkId::new("items x bytes", format!("{items} x {bytes}")),
            &body,
            |b, body| {
                b.iter(|| {
                    let sync = SyncRequest::parse(black_box(body)).unwrap();
                    let mut changes = Vec::new();
                    let read = sync.for_each_item(|item| {
                        changes.push(Change::from_item(&item.kind, item.data, "data[0]")?);
                        Ok::<_, Malformed>(())
                    });
                    read.unwrap();
                    changes
                });
            },
        );
    }
    group.finish();
}

fn applying(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply one part and encode its frame");
    for parts in [100, 5000] {
        let mut transcript = transcript(parts, 1000);
        let mut version = 0;
        group.bench_function(BenchmarkId::new("parts", parts), |b| {
            b.iter_batched(
                || {
                    version += 1;
                    vec![put(version % parts, version, 1000)]
                },
                |changes| {
                    let before = transcript.seq();
                    let applied = transcript.apply(changes, Capacity::UNLIMITED).unwrap();
                    let older: HashMap<Key, Row> =
                        applied.older.into_iter().map(|row| (row.key.clone(), row)).collect();
                    Frame::live(&transcript, "epoch", before, &older)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn first_load(c: &mut Criterion) {
    let transcript = transcript(5000, 2000);
    let mut group = c.benchmark_group("first load");
    group.throughput(Throughput::Bytes(transcript.size()));
    group.bench_function("frames of 10 MB", |b| {
        b.iter(|| {
            let mut after = 0;
            loop {
                let frame = black_box(Frame::of(&transcript.since(after, 128 << 10), "epoch", false));
                after = frame.seq;
                if !frame.more {
                    break;
                }
            }
        });
    });
    let items: Vec<_> = reading_order(transcript.items())
        .into_iter()
        .map(|(key, content)| (key.clone(), content.clone()))
        .collect();
    group.bench_function("Markdown of 10 MB", |b| {
        b.iter(|| markdown(black_box(&items), &Markdown { full: true, ..Markdown::default() }));
    });
    group.finish();
}

fn appending(c: &mut Criterion) {
    let text = |bytes: usize| {
        let text = "What an agent says. ".repeat(bytes / 20);
        RawValue::from_string(json!({"id": "p", "messageID": "m", "type": "text", "text": text}).to_string())
            .unwrap()
    };
    let mut group = c.benchmark_group("what was added");
    for bytes in [1000, 50_000] {
        let (older, newer) = (text(bytes), text(bytes + 1000));
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("bytes", bytes), |b| {
            b.iter(|| Append::between(black_box(&older), black_box(&newer)).unwrap());
        });
    }
    group.finish();
}

fn sealing(c: &mut Criterion) {
    let link: LinkKey = "5fQ0sT8vXk2Lr9ZbWm3NcY".parse().unwrap();
    let seal = Keys::new(&link, None).of_share("Qm7yT2LkP9xVbN4sR8cW1Z");
    let id = seal.name(&Key::part("msg_1", "prt_1"));
    let mut group = c.benchmark_group("seal and open a part");
    for bytes in [200, 2000, 100_000] {
        let inside = json!({"type": "part", "data": part(1, 0, bytes)}).to_string();
        let sealed = seal.seal(&id, 1, &inside).unwrap();
        group.throughput(Throughput::Bytes(inside.len() as u64));
        group.bench_function(BenchmarkId::new("seal", bytes), |b| {
            b.iter(|| seal.seal(&id, 1, black_box(&inside)).unwrap());
        });
        group.bench_function(BenchmarkId::new("open", bytes), |b| {
            b.iter(|| seal.open(black_box(&sealed)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(parts, reading, applying, first_load, appending, sealing);
criterion_main!(parts);
