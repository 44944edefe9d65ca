//! What it costs to take secrets out of items: beside parsing alone, in text without secrets and in text full of them,
//! with known values and without.

#![allow(clippy::unwrap_used, missing_docs)] // What is read here is written here.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use brutus_share::model::Content;
use brutus_share::redact::{Context, Known, KnownValues, Level, Options, Redactor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A tool's output, as an agent shows it.
fn item(id: usize, output: &str) -> Content {
    let part = json!({
        "id": format!("prt_{id:08}"), "messageID": "msg_00000001", "sessionID": "ses_1", "type": "tool", "tool": "read",
        "state": {"status": "completed", "input": {"filePath": "/app/file"}, "output": output},
    });
    Arc::from(RawValue::from_string(part.to_string()).unwrap())
}

/// This program's own sources with their lines numbered, in pieces of about 8 KB.
fn clean() -> Vec<Content> {
    let mut numbered = Vec::new();
    number_lines(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut numbered);
    numbered.chunks(200).enumerate().map(|(id, lines)| item(id, &lines.concat())).collect()
}

fn number_lines(folder: &Path, numbered: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            number_lines(&path, numbered);
        } else {
            let text = fs::read_to_string(path).unwrap_or_default();
            numbered.extend(text.lines().enumerate().map(|(nth, line)| format!("{:05}| {line}\n", nth + 1)));
        }
    }
}

/// The planted secrets, one an item.
fn planted() -> Vec<Content> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/secrets/planted.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let cases = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let texts = cases.map(|case| {
        let pieces = case["secret"].as_array().unwrap().iter().map(|piece| piece.as_str().unwrap());
        case["context"].as_str().unwrap().replace("{{secret}}", &pieces.collect::<String>())
    });
    texts.enumerate().map(|(id, text)| item(id, &text.repeat(8))).collect()
}

fn redacting(c: &mut Criterion) {
    let known =
        (0..60).map(|nth| Known::secret("env-known", &format!("{nth:03}q7Gh29fKq1LmZp04Rt8sW3yB6nVcXjD5")));
    let known = KnownValues::new(known.flatten());
    for (name, items) in [("clean", clean()), ("planted", planted())] {
        let mut group = c.benchmark_group(format!("redact {name} text"));
        group.throughput(Throughput::Bytes(items.iter().map(|item| item.get().len() as u64).sum()));
        group.bench_function("parsing alone", |b| {
            b.iter(|| {
                for item in &items {
                    black_box(serde_json::from_str::<Value>(item.get()).unwrap());
                }
            });
        });
        for (what, level, known) in [
            ("shapes", Level::Shapes, &[][..]),
            ("normal", Level::Normal, &[]),
            ("normal, 60 known values", Level::Normal, &[&known]),
        ] {
            let redactor = Redactor::new(Options { level, ..Options::default() }).unwrap();
            let context = Context { known, ..Context::default() };
            group.bench_function(BenchmarkId::new("level", what), |b| {
                b.iter(|| {
                    for item in &items {
                        black_box(redactor.item(item, &context, &mut |_: &str, _: &str| 1).unwrap());
                    }
                });
            });
        }
        group.finish();
    }
}

fn starting(c: &mut Criterion) {
    c.bench_function("build all rules", |b| b.iter(|| Redactor::new(Options::default()).unwrap()));
}

criterion_group!(benches, redacting, starting);
criterion_main!(benches);
