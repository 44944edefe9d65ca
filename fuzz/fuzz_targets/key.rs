//! Keys: of an item and of its removal the same, and whole when they are taken apart.

#![no_main]

use brutus_share::model::{Change, Key};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|input: (u8, &str, &str)| {
    let (kind, other, data) = input;
    let kind = match kind % 8 {
        0 => "session",
        1 => "message",
        2 => "part",
        3 => "session_diff",
        4 => "model",
        5 => "message.removed",
        6 => "part.removed",
        _ => other,
    };
    let Ok(data) = serde_json::from_str::<&RawValue>(data) else { return };
    let Ok(change) = Change::from_item(kind, data, "data[0]") else { return };
    match change {
        Change::Put(key, content) => {
            assert_eq!(key.kind(), kind);
            whole(&key);
            // What is kept is kept as it is when it comes again.
            match Change::from_item(kind, &content, "data[0]") {
                Ok(Change::Put(same, again)) => {
                    assert_eq!((&same, again.get()), (&key, content.get()));
                }
                other => panic!("{other:?}"),
            }
            if matches!(kind, "message" | "part") {
                match Change::from_item(&format!("{kind}.removed"), data, "data[0]") {
                    Ok(Change::Remove(removed)) => assert_eq!(removed, key),
                    other => panic!("{other:?}"),
                }
            }
        }
        Change::Remove(key) => whole(&key),
        Change::MergeModels(models) => {
            assert_eq!(kind, "model");
            serde_json::from_str::<Vec<&RawValue>>(models.get()).expect("a list");
        }
    }
});

fn whole(key: &Key) {
    let rebuilt = match (key.message_id(), key.parent_message_id(), key.part_id()) {
        (Some(id), None, None) => Key::message(id),
        (None, Some(message), Some(part)) => Key::part(message, part),
        (None, None, None) => key.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(&rebuilt, key);
    assert!(key.as_str().len() <= 600, "{key:?}");
}
