//! The order in which a session is read, in one place for all who read it.
//!
//! A message that answers another (`parentID`) stands behind it; the others stand by `time.created`, then by when they
//! first came, then by id. Ids say nothing of time: those of clients wrap, imported ones are random, and clocks of
//! different machines differ. Parts stand in the order in which they first came, which is that of their ids where ids
//! ascend.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Content, Key};

/// An item, and its place among all that ever came, by when it first did.
pub type Arrived<'a> = (&'a Key, &'a Content, u64);

/// All items in the order in which a reader expects them: the session, the messages, each followed by its parts, parts
/// without a message, then the rest by key.
pub fn reading_order<'a>(items: impl IntoIterator<Item = Arrived<'a>>) -> Vec<(&'a Key, &'a Content)> {
    let (mut ordered, mut rest) = (Vec::new(), Vec::new());
    let mut messages = Vec::new();
    let mut parts = HashMap::<&str, Vec<Arrived>>::new();
    for (key, content, arrival) in items {
        if key.as_str() == Key::SESSION {
            ordered.push((key, content));
        } else if let Some(id) = key.message_id() {
            messages.push(Message { id, key, content, arrival, head: Head::of(content) });
        } else if let Some(message) = key.parent_message_id() {
            parts.entry(message).or_default().push((key, content, arrival));
        } else {
            rest.push((key, content));
        }
    }
    for of_one in parts.values_mut() {
        of_one.sort_by_key(|(.., arrival)| *arrival);
    }
    for place in message_order(&mut messages) {
        let Message { id, key, content, .. } = &messages[place];
        ordered.push((key, content));
        ordered.extend(parts.remove(id).into_iter().flatten().map(|(key, content, _)| (key, content)));
    }
    let mut orphans: Vec<_> = parts.into_values().flatten().collect();
    orphans.sort_by_key(|(.., arrival)| *arrival);
    ordered.extend(orphans.into_iter().map(|(key, content, _)| (key, content)));
    rest.sort_by_key(|(key, _)| *key);
    ordered.extend(rest);
    ordered
}

struct Message<'a> {
    id: &'a str,
    key: &'a Key,
    content: &'a Content,
    arrival: u64,
    head: Head<'a>,
}

/// What of a message says where it stands.
#[derive(Default)]
struct Head<'a> {
    /// Milliseconds since 1970.
    created: Option<f64>,
    /// The message that it answers.
    answers: Option<Cow<'a, str>>,
}

impl<'a> Head<'a> {
    fn of(message: &'a RawValue) -> Self {
        // Each field by itself: one of another type takes none of the others along.
        #[derive(Deserialize, Default)]
        struct Fields<'a> {
            #[serde(borrow)]
            time: Option<&'a RawValue>,
            #[serde(borrow, rename = "parentID")]
            parent_id: Option<&'a RawValue>,
            #[serde(borrow)]
            role: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Time<'a> {
            #[serde(borrow)]
            created: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let text = |raw: Option<&'a RawValue>| {
            serde_json::from_str::<Text<'a>>(raw?.get()).ok().map(|Text(text)| text)
        };
        let fields: Fields<'a> = serde_json::from_str(message.get()).unwrap_or_default();
        let created = fields.time.and_then(|time| serde_json::from_str::<Time<'a>>(time.get()).ok()?.created);
        let counted = created.and_then(|created| serde_json::from_str::<f64>(created.get()).ok());
        let created = counted.or_else(|| milliseconds(&text(created)?));
        // A prompt answers nobody, whatever its client notes as its parent.
        let is_prompt = text(fields.role).as_deref() == Some("user");
        Self { created, answers: text(fields.parent_id).filter(|_| !is_prompt) }
    }
}

/// A time as RFC 3339 has it, in milliseconds since 1970.
pub fn milliseconds(text: &str) -> Option<f64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs_f64() * 1000.0)
}

/// The places of messages in the order in which they are read.
fn message_order(messages: &mut [Message]) -> Vec<usize> {
    messages.sort_by_key(|message| message.arrival);
    // One without a time that can be read stands where it came in.
    let mut last = 0.0;
    for Message { head, .. } in &mut *messages {
        last = *head.created.get_or_insert(last);
    }
    messages.sort_by(|one, other| {
        let (one_created, other_created) =
            (one.head.created.unwrap_or(0.0), other.head.created.unwrap_or(0.0));
        one_created.total_cmp(&other_created).then(one.arrival.cmp(&other.arrival)).then(one.id.cmp(other.id))
    });
    let places: HashMap<&str, usize> =
        messages.iter().enumerate().map(|(place, message)| (message.id, place)).collect();
    let mut answers = vec![Vec::new(); messages.len()];
    let mut first = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        match message.head.answers.as_deref().and_then(|id| places.get(id)) {
            Some(&prompt) if prompt != place => answers[prompt].push(place),
            _ => first.push(place),
        }
    }
    let mut order = Vec::with_capacity(messages.len());
    let mut taken = vec![false; messages.len()];
    // Messages that answer each other in a circle come after all others, in their order.
    for start in first.into_iter().chain(0..messages.len()) {
        let mut next = vec![start];
        while let Some(place) = next.pop() {
            if !std::mem::replace(&mut taken[place], true) {
                order.push(place);
                next.extend(answers[place].iter().rev());
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The keys of items, which came in this order, in reading order.
    fn read(items: &[(&str, Value)]) -> Vec<String> {
        let items: Vec<(Key, Content)> = items
            .iter()
            .map(|(key, value)| (Key::from(*key), serde_json::value::to_raw_value(value).unwrap().into()))
            .collect();
        let arrived = (0..).zip(&items).map(|(arrival, (key, content))| (key, content, arrival));
        reading_order(arrived).into_iter().map(|(key, _)| key.as_str().to_owned()).collect()
    }

    fn message(role: &str, created: impl Into<Value>, parent: Option<&str>) -> Value {
        json!({"role": role, "time": {"created": created.into()}, "parentID": parent})
    }

    #[test]
    fn messages_stand_by_time_with_their_parts_and_the_rest_stands_around_them() {
        let keys = read(&[
            ("todo/x", json!(1)),
            ("part/m2/p9", json!({})),
            ("part/m2/p1", json!({})),
            ("part/none/p", json!({})),
            ("message/m2", message("user", 20, None)),
            ("message/m1", message("user", 10, None)),
            ("session", json!({})),
        ]);
        let expected =
            ["session", "message/m1", "message/m2", "part/m2/p9", "part/m2/p1", "part/none/p", "todo/x"];
        assert_eq!(keys, expected);
    }

    /// The same cases as the page's.
    #[test]
    fn messages_stand_as_the_vectors_say() {
        #[derive(Deserialize)]
        struct Case {
            name: String,
            came: Vec<(String, Value)>,
            read: Vec<String>,
        }
        let vectors = include_str!("../../tests/fixtures/order.json");
        let mut cases = 0;
        for Case { name, came, read: expected } in serde_json::from_str::<Vec<Case>>(vectors).unwrap() {
            let items: Vec<_> = came.into_iter().map(|(id, info)| (format!("message/{id}"), info)).collect();
            let items: Vec<_> = items.iter().map(|(key, info)| (key.as_str(), info.clone())).collect();
            let expected: Vec<_> = expected.iter().map(|id| format!("message/{id}")).collect();
            assert_eq!(read(&items), expected, "{name}");
            cases += 1;
        }
        assert!(cases >= 5);
    }

    proptest! {
        #[test]
        fn every_item_is_there_once(
            messages in prop::collection::vec((0..6_u8, 0..4_i64, prop::option::of(0..8_u8), any::<bool>()), 0..8),
        ) {
            let mut items = Vec::new();
            for (id, created, parent, prompt) in messages {
                let parent = parent.map(|id| format!("m{id}"));
                let role = if prompt { "user" } else { "assistant" };
                items.push((format!("message/m{id}"), message(role, created, parent.as_deref())));
                items.push((format!("part/m{id}/p{created}"), json!({})));
            }
            items.sort_by(|(one, _), (other, _)| one.cmp(other));
            items.dedup_by(|(one, _), (other, _)| one == other);
            let items: Vec<_> = items.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            let mut keys = read(&items);
            keys.sort_unstable();
            prop_assert_eq!(keys, items.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>());
        }
    }
}
