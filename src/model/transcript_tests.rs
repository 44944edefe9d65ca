//! The transcript against a simple model of it: whatever is done, a viewer that follows ends with what is there.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

const ROOM: Capacity = Capacity::UNLIMITED;

fn content(text: &str) -> Content {
    Content::from(RawValue::from_string(serde_json::to_string(text).unwrap()).unwrap())
}

fn put(key: &str, text: &str) -> Change {
    Change::Put(Key::from(key), content(text))
}

fn apply(transcript: &mut Transcript, changes: Vec<Change>) -> usize {
    transcript.apply(changes, ROOM).unwrap().rows.len()
}

fn keys<'a>(window: &'a Window) -> Vec<&'a str> {
    window.items.iter().map(|(key, ..)| key.as_str()).collect()
}

#[test]
fn messages_come_before_their_parts_however_they_were_sent() {
    let mut transcript = Transcript::default();
    apply(&mut transcript, vec![put("part/m/p", "text"), put("message/m", "m")]);
    assert_eq!(keys(&transcript.since(0, 1000)), ["message/m", "part/m/p"]);
    apply(&mut transcript, vec![put("message/m", "newer")]);
    assert_eq!(keys(&transcript.since(0, 1000)), ["message/m", "part/m/p"]);
    assert_eq!(keys(&transcript.since(2, 1000)), ["message/m"]);
}

#[test]
fn a_window_holds_at_least_one_item_and_says_whether_there_is_more() {
    let mut transcript = Transcript::default();
    apply(&mut transcript, (0..4).map(|n| put(&format!("part/m/{n}"), "0123456789")).collect());
    let window = transcript.since(0, 1);
    assert_eq!((keys(&window).len(), window.seq, window.more), (1, 1, true));
    let window = transcript.since(1, 45);
    assert_eq!((keys(&window).len(), window.seq, window.more), (2, 3, true));
    let window = transcript.since(3, 45);
    assert_eq!((keys(&window).len(), window.seq, window.more), (1, 4, false));
    assert!(transcript.since(4, 45).items.is_empty());
}

#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let mut transcript = Transcript::default();
    apply(&mut transcript, vec![put("part/m/p", "a")]);
    let (seq, size) = (transcript.seq(), transcript.size());
    let big = put("part/m/q", &"x".repeat(1000));
    let room = Capacity { bytes: size + 500, ..ROOM };
    assert_eq!(transcript.apply(vec![put("part/m/p", "b"), big], room).err(), Some(ShareFull::Bytes));
    assert_eq!((transcript.seq(), transcript.size()), (seq, size));
    assert_eq!(transcript.since(0, 1000).items[0].1.get(), "\"a\"");
}

#[test]
fn a_share_with_as_many_items_as_it_may_have_can_still_change_and_shrink() {
    let room = Capacity { items: 2, ..ROOM };
    let mut transcript = Transcript::default();
    let mut apply = |changes| transcript.apply(changes, room).map(|applied| applied.rows.len());
    assert_eq!(apply(vec![put("part/m/p", "a"), put("part/m/q", "a")]), Ok(2));
    assert_eq!(apply(vec![put("part/m/p", "b"), put("part/m/r", "b")]), Err(ShareFull::Items));
    assert_eq!(apply(vec![put("part/m/p", "b")]), Ok(1));
    assert_eq!(apply(vec![Change::Remove(Key::from("part/m/p")), put("part/m/r", "b")]), Ok(2));
    // What was removed is remembered for viewers who come back, and so bounded too.
    for n in 0..3 {
        let removed = Change::Remove(Key::from(format!("part/m/{n}")));
        let room =
            apply(vec![Change::Remove(Key::from("part/m/r")), put(&format!("part/m/{n}"), "c")]).is_ok();
        assert_eq!(room, n < 2);
        apply(vec![removed]).unwrap();
    }
}

#[test]
fn lists_of_models_of_one_batch_are_merged_in_their_order() {
    let mut transcript = Transcript::default();
    let models = |json: &str| Change::MergeModels(RawValue::from_string(json.to_owned()).unwrap().into());
    let (one, other) = (r#"{"id":"a","providerID":"p","name":"1"}"#, r#"{"id":"b","providerID":"p"}"#);
    let newer = r#"{"id":"a","providerID":"p","name":"2"}"#;
    apply(&mut transcript, vec![models(&format!("[{one}]"))]);
    apply(&mut transcript, vec![models(&format!("[{other}]")), models(&format!("[{newer}]"))]);
    assert_eq!(transcript.since(0, 1000).items[0].1.get(), format!("[{newer},{other}]"));
}

#[test]
fn the_last_change_of_a_key_in_a_batch_counts() {
    let mut transcript = Transcript::default();
    let removed = Change::Remove(Key::message("m"));
    assert_eq!(apply(&mut transcript, vec![put("part/m/p", "a"), removed, put("part/m/p", "b")]), 1);
    assert_eq!(transcript.since(0, 1000).items[0].1.get(), "\"b\"");
    assert_eq!(apply(&mut transcript, vec![put("part/m/p", "c"), put("part/m/p", "b")]), 0);
}

#[test]
fn a_title_may_have_a_cut_surrogate_pair() {
    let mut transcript = Transcript::default();
    let session = RawValue::from_string(r#"{"id":"s","title":"Rockets \ud83d..."}"#.to_owned()).unwrap();
    apply(&mut transcript, vec![Change::Put(Key::from("session"), session.into())]);
    assert!(transcript.title().unwrap().starts_with("Rockets "));
}

#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<(u8, u8, Option<u8>)>),
    RemoveMessage(u8, Vec<(u8, bool)>),
    Follow(u16),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..4_u8, 0..4_u8, proptest::option::weighted(0.8, 0..5_u8));
    let step = prop_oneof![
        4 => proptest::collection::vec(change, 0..6).prop_map(Step::Batch),
        1 => (0..4_u8, proptest::collection::vec((0..4_u8, any::<bool>()), 0..4))
            .prop_map(|(message, more)| Step::RemoveMessage(message, more)),
        3 => (1..200_u16).prop_map(Step::Follow),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #[test]
    fn a_follower_ends_with_what_is_there(steps in steps()) {
        let mut transcript = Transcript::default();
        let mut stored = BTreeMap::<Key, Row>::new();
        let mut model = BTreeMap::<String, String>::new();
        let (mut seen, mut position) = (BTreeMap::<String, String>::new(), 0);
        for step in steps.into_iter().chain([Step::Restart, Step::Follow(u16::MAX), Step::Follow(u16::MAX)]) {
            let changes = match step {
                Step::Batch(changes) => changes
                    .into_iter()
                    .map(|(message, part, text)| {
                        let key = Key::part(&message.to_string(), &part.to_string());
                        if let Some(text) = text {
                            let text = text.to_string();
                            model.insert(key.as_str().to_owned(), format!("\"{text}\""));
                            Change::Put(key, content(&text))
                        } else {
                            model.remove(key.as_str());
                            Change::Remove(key)
                        }
                    })
                    .collect(),
                Step::RemoveMessage(message, more) => {
                    let removed = || Change::Remove(Key::message(&message.to_string()));
                    let gone = |model: &mut BTreeMap<String, String>| {
                        model.retain(|key, _| !key.starts_with(&format!("part/{message}/")));
                    };
                    gone(&mut model);
                    let mut changes = vec![removed()];
                    // Its parts come back in the same batch, and may go again with it.
                    for (part, again) in more {
                        let key = Key::part(&message.to_string(), &part.to_string());
                        model.insert(key.as_str().to_owned(), "\"back\"".into());
                        changes.push(Change::Put(key, content("back")));
                        if again {
                            gone(&mut model);
                            changes.push(removed());
                        }
                    }
                    changes
                }
                Step::Follow(bytes) => {
                    let window = transcript.since(position, bytes.into());
                    for (key, content, _) in &window.items {
                        seen.insert(key.as_str().to_owned(), content.get().to_owned());
                    }
                    for key in &window.removed {
                        seen.remove(key.as_str());
                    }
                    prop_assert!(window.seq >= position);
                    position = window.seq;
                    continue;
                }
                Step::Restart => {
                    let (seq, size) = (transcript.seq(), transcript.size());
                    transcript = Transcript::from_rows(stored.values().cloned(), seq);
                    prop_assert_eq!((transcript.seq(), transcript.size()), (seq, size));
                    continue;
                }
            };
            for row in transcript.apply(changes, ROOM).unwrap().rows {
                stored.insert(row.key.clone(), row);
            }
        }
        prop_assert_eq!(&seen, &model);
        let read: BTreeMap<_, _> = transcript
            .items()
            .map(|(key, content, _)| (key.as_str().to_owned(), content.get().to_owned()))
            .collect();
        prop_assert_eq!(&read, &model);
    }
}

#[test]
fn what_a_subagent_says_is_not_what_the_agent_does() {
    let mut transcript = Transcript::default();
    let put = |key: &str, json: &str| {
        Change::Put(Key::from(key), Content::from(RawValue::from_string(json.to_owned()).unwrap()))
    };
    let state = |transcript: &Transcript| transcript.activity().unwrap().state;
    assert_eq!(transcript.activity(), None);
    apply(&mut transcript, vec![put("message/a", r#"{"sessionID":"sub","role":"user"}"#)]);
    assert_eq!(state(&transcript), "busy", "the only one that says anything");
    let answer = r#"{"sessionID":"ses","role":"assistant","time":{"created":1,"completed":2}}"#;
    apply(&mut transcript, vec![put("session", r#"{"id":"ses"}"#), put("message/m", answer)]);
    apply(&mut transcript, vec![put("message/a", r#"{"sessionID":"sub","role":"user","time":{}}"#)]);
    assert_eq!(state(&transcript), "idle");
    let many = (0..MAX_LOOKED_AT).map(|n| put(&format!("message/a{n}"), r#"{"sessionID":"sub"}"#));
    apply(&mut transcript, many.collect());
    assert_eq!(state(&transcript), "busy", "of very many the newest counts");
}
