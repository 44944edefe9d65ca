//! The spool: what was put comes out once, the newest version of each; what was not changed for longest comes first, in
//! batches in which all stand in the order in which they first came; and is on the wire what it was.

#![no_main]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use brutus_share::client::redaction::Records;
use brutus_share::client::spool::{Spool, waiting};
use brutus_share::model::{Change, Key};
use futures_executor::block_on;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tempfile::TempDir;

/// In memory: a commit costs no disk.
const MEMORY: &str = "/dev/shm";

fn spool() -> (&'static Spool, String) {
    static SPOOL: OnceLock<(TempDir, Spool)> = OnceLock::new();
    static SESSIONS: AtomicU64 = AtomicU64::new(0);
    let (_, spool) = SPOOL.get_or_init(|| {
        let dir = TempDir::new_in(MEMORY).expect("memory");
        let spool = Spool::open(&dir.path().join("local")).expect("an empty directory");
        (dir, spool)
    });
    (spool, format!("session {}", SESSIONS.fetch_add(1, Ordering::Relaxed)))
}

fuzz_target!(|input: (u16, u8, Vec<(u8, &str)>)| {
    let (max_bytes, max_items, items) = input;
    let changes: Vec<_> = items.iter().filter_map(|(kind, data)| change(*kind, data)).collect();
    if changes.is_empty() {
        return;
    }
    let (spool, session) = spool();
    let mut seq = 0;
    let items = waiting(changes, || {
        seq += 1;
        seq
    });
    // In the order in which they first came.
    let mut model: Vec<(Key, Option<String>, i64)> = Vec::new();
    for item in &items {
        let gone = item.key.message_id().filter(|_| item.content.is_none());
        model.retain(|(key, ..)| gone.is_none() || key.parent_message_id() != gone);
        let newest =
            (item.key.clone(), item.content.as_ref().map(|content| content.get().to_owned()), item.seq);
        match model.iter_mut().find(|(key, ..)| *key == item.key) {
            Some(known) => *known = newest,
            None => model.push(newest),
        }
    }
    block_on(spool.put(session.clone(), items, Vec::new(), Records::default())).expect("a healthy disk");

    let mut read: Vec<(Key, Option<String>, i64)> = Vec::new();
    loop {
        let (bytes, count) = (usize::from(max_bytes), usize::from(max_items).max(1));
        let batch = block_on(spool.next(session.clone(), bytes, count)).expect("what was put can be read");
        assert!(batch.items.len() <= count);
        for item in &batch.items {
            let (kind, data) = item.wire();
            let change = Change::from_item(&kind, &data, "data[0]").expect("a server takes it");
            match (change, &item.content) {
                (Change::Put(key, content), Some(put)) => {
                    assert_eq!((&key, content.get()), (&item.key, put.get()));
                }
                (Change::MergeModels(_), Some(_)) => assert_eq!(kind, Key::MODEL),
                (Change::Remove(key), None) => assert_eq!(key, item.key),
                other => panic!("{other:?}"),
            }
        }
        let sent = batch.items.iter().map(|item| (item.key.clone(), item.seq)).collect();
        let places = batch.items.iter().map(|item| model.iter().position(|(key, ..)| *key == item.key));
        assert!(places.is_sorted(), "the order of first arrival");
        let newest = read.iter().map(|(.., seq)| *seq).max();
        assert!(batch.items.iter().all(|item| Some(item.seq) > newest), "older changes went before");
        read.extend(
            batch
                .items
                .into_iter()
                .map(|item| (item.key, item.content.map(|content| content.get().to_owned()), item.seq)),
        );
        block_on(spool.sent(session.clone(), sent)).expect("a healthy disk");
        if !batch.more {
            break;
        }
    }
    read.sort_by_key(|(.., seq)| *seq);
    model.sort_by_key(|(.., seq)| *seq);
    assert_eq!(read, model);
    let left = block_on(spool.next(session, usize::MAX, 1)).expect("a healthy disk");
    assert!(left.items.is_empty());
});

fn change(kind: u8, data: &str) -> Option<Change> {
    let (message, part) = (kind / 8 % 4, kind / 32);
    let ids = format!(r#""messageID":"m{message}","id":"p{part}""#);
    let text = serde_json::Value::from(data);
    let (kind, data) = match kind % 8 {
        0 => ("message", format!(r#"{{"id":"m{message}","text":{text}}}"#)),
        1 => ("message.removed", format!(r#"{{"id":"m{message}"}}"#)),
        2 => ("part.removed", format!("{{{ids}}}")),
        3 => ("part", format!(r#"{{{ids},"text":{text}}}"#)),
        4 => ("model", format!(r#"[{{"providerID":"p","id":{text}}},{{"providerID":"p","id":"{part}"}}]"#)),
        5 => ("part", data.to_owned()),
        6 => ("session_diff", data.to_owned()),
        _ => ("other", data.to_owned()),
    };
    Change::from_item(kind, &RawValue::from_string(data).ok()?, "data[0]").ok()
}
