//! A share as a simple model: every state that it had, by its position, and the random batches that lead from one to
//! the next.
//!
//! A position is exact: a batch raises it by one for each key that is different afterwards.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::rc::Rc;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::harness::{message, part};

/// The items of a share, or what a viewer holds of them.
pub type State = BTreeMap<String, Rc<Value>>;

/// What a share went through.
pub struct History {
    /// What is acknowledged.
    pub seq: u64,
    pub state: Rc<State>,
    /// Every state that the share had or may have, by its position. More than one where the order of syncs is not
    /// known, until a viewer has seen which one it was.
    states: BTreeMap<u64, Vec<Rc<State>>>,
    /// Everything that was ever written under a key.
    versions: HashMap<String, Vec<Rc<Value>>>,
    /// The newest position that a viewer was shown.
    pub shown: u64,
}

impl Default for History {
    fn default() -> Self {
        let state = Rc::new(State::new());
        let states = BTreeMap::from([(0, vec![state.clone()])]);
        Self { seq: 0, state, states, versions: HashMap::new(), shown: 0 }
    }
}

impl History {
    /// Syncs that are about to be sent at once, each with its items. They change different keys; so whichever of them
    /// are stored first, the state and the position are known.
    pub fn sending(&mut self, syncs: &[Vec<Value>]) {
        for some in 1..1_u32 << syncs.len() {
            let chosen = syncs.iter().enumerate().filter(|(nth, _)| some & (1 << nth) != 0);
            let (mut seq, mut state) = (self.seq, self.state.clone());
            for (_, items) in chosen {
                let next = self.after(&state, items);
                seq += difference(&state, &next);
                state = Rc::new(next);
            }
            let known = self.states.entry(seq).or_default();
            if !known.contains(&state) {
                known.push(state);
            }
        }
    }

    /// All of them are acknowledged.
    pub fn acknowledged(&mut self, syncs: &[Vec<Value>]) {
        for items in syncs {
            let next = self.after(&self.state.clone(), items);
            self.seq += difference(&self.state, &next);
            self.state = Rc::new(next);
        }
    }

    /// Nobody knows what became of the syncs that were under way: the share is at this position, and holds this. Says
    /// what is wrong.
    pub fn found(&mut self, seq: u64, state: State) -> Result<(), String> {
        if seq < self.seq.max(self.shown) {
            return Err(format!(
                "{} was acknowledged and {} shown, and the share is at {seq}",
                self.seq, self.shown
            ));
        }
        self.check(seq, &state)?;
        self.states.retain(|known, _| *known <= seq);
        (self.seq, self.state) = (seq, Rc::new(state));
        Ok(())
    }

    /// Whether the share had this state at this position. Says what is different.
    pub fn check(&mut self, seq: u64, state: &State) -> Result<(), String> {
        let Some(known) = self.states.get_mut(&seq) else {
            return Err(format!("the share was never at {seq}; it is at {}", self.seq));
        };
        if !known.iter().any(|known| **known == *state) {
            return Err(format!("at {seq} the share held something else: {}", differences(&known[0], state)));
        }
        known.retain(|known| **known == *state);
        Ok(())
    }

    /// Whether this was ever written under this key.
    pub fn wrote(&self, key: &str, data: &Value) -> bool {
        self.versions.get(key).is_some_and(|versions| versions.iter().rev().any(|known| **known == *data))
    }

    /// The state after a batch.
    fn after(&mut self, state: &State, items: &[Value]) -> State {
        let mut state = state.clone();
        for item in items {
            let (key, data) = match item["type"].as_str().expect("a type") {
                "message.removed" => {
                    let message = text(&item["data"]["id"]);
                    let parts = format!("part/{message}/");
                    state.retain(|key, _| *key != format!("message/{message}") && !key.starts_with(&parts));
                    continue;
                }
                "part.removed" => {
                    state.remove(&part_key(&item["data"]));
                    continue;
                }
                "part" => (part_key(&item["data"]), item["data"].clone()),
                "model" => {
                    let key = "model".to_owned();
                    let merged = merged(state.get(&key).map(Rc::as_ref), &item["data"]);
                    (key, merged)
                }
                "session" => ("session".to_owned(), without(&item["data"], &["permission", "metadata"])),
                "message" => {
                    let hidden: &[&str] = if item["data"]["role"] == "user" { &["system"] } else { &[] };
                    (format!("message/{}", text(&item["data"]["id"])), without(&item["data"], hidden))
                }
                kind => match item["data"].get("id") {
                    Some(id) => (format!("{kind}/{}", text(id)), item["data"].clone()),
                    None => (kind.to_owned(), item["data"].clone()),
                },
            };
            let data = Rc::new(data);
            if !self.wrote(&key, &data) {
                self.versions.entry(key.clone()).or_default().push(data.clone());
            }
            state.insert(key, data);
        }
        state
    }

    /// A batch of random changes, to the messages `of` alone.
    pub fn batch(&self, random: &mut Rng, of: &[&str]) -> Vec<Value> {
        let mut texts: HashMap<String, String> = HashMap::new();
        let items = (0..random.usize(1..6)).map(|_| {
            let (m, p) = (of[random.usize(0..of.len())], format!("p{}", random.u8(0..4)));
            let key = format!("part/{m}/{p}");
            match random.u8(0..24) {
                0 => json!({"type": "message.removed", "data": {"id": m}}),
                1 => json!({"type": "part.removed", "data": {"messageID": m, "id": p}}),
                2 => message(m, random.u64(0..100)),
                3 => {
                    let n = random.u8(..);
                    json!({"type": "message", "data": {"id": m, "role": "user", "system": "be good", "n": n}})
                }
                // What only the first message's syncs change: syncs that are sent at once change different keys.
                4 if of[0] == "m0" => {
                    let title = format!("title {}", random.u8(..));
                    json!({"type": "session", "data": {"id": "s", "title": title, "metadata": {"n": random.u8(..)}}})
                }
                5 if of[0] == "m0" => models(random),
                6 if of[0] == "m0" => {
                    let file = format!("f{}", random.u8(..));
                    json!({"type": "session_diff", "data": [{"file": file}]})
                }
                7 => json!({"type": "todo", "data": {"id": format!("{m}-{p}"), "n": random.u8(..)}}),
                // More than a frame holds, or nearly.
                8..=11 => part(m, &p, &"x".repeat(random.usize(0..100_000))),
                12 => part(m, &p, &"y".repeat(random.usize(120_000..140_000))),
                13..=16 => part(m, &p, &"z".repeat(random.usize(0..20))),
                // A text that is streamed.
                _ => {
                    let stored = || self.state.get(&key).and_then(|item| item["text"].as_str());
                    let text = texts.entry(key.clone()).or_insert_with(|| stored().unwrap_or_default().to_owned());
                    let count = random.usize(1..20);
                    text.extend(std::iter::repeat_with(|| random.char('\u{20}'..'\u{1f9ff}')).take(count));
                    part(m, &p, text)
                }
            }
        });
        items.collect()
    }
}

/// An item of `/data`, as a state has it.
pub fn keyed(item: &Value) -> (String, Rc<Value>) {
    let (kind, data) = (text(&item["type"]), &item["data"]);
    let key = match (kind, data["messageID"].as_str(), data["id"].as_str()) {
        ("session" | "model", ..) => kind.to_owned(),
        ("part", Some(message), Some(id)) => format!("part/{message}/{id}"),
        (_, _, Some(id)) => format!("{kind}/{id}"),
        _ => kind.to_owned(),
    };
    (key, data.clone().into())
}

fn models(random: &mut Rng) -> Value {
    let models = (0..random.usize(1..5)).map(|_| {
        let (id, name) = (format!("i{}", random.u8(0..6)), format!("n{}", random.u8(0..9)));
        json!({"id": id, "providerID": "p", "name": name, "headers": {"x": "y"}})
    });
    json!({"type": "model", "data": models.collect::<Vec<_>>()})
}

/// The newer list over the older one, of each model what is kept.
fn merged(older: Option<&Value>, newer: &Value) -> Value {
    let mut models = older.and_then(Value::as_array).cloned().unwrap_or_default();
    for model in newer.as_array().expect("a list") {
        let model = without(model, &["headers"]);
        match models.iter_mut().find(|known| known["id"] == model["id"]) {
            Some(known) => *known = model,
            None => models.push(model),
        }
    }
    Value::Array(models)
}

fn without(object: &Value, names: &[&str]) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
    object
}

fn part_key(data: &Value) -> String {
    format!("part/{}/{}", text(&data["messageID"]), text(&data["id"]))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// In how many keys two states differ.
fn difference(one: &State, other: &State) -> u64 {
    let changed = other.iter().filter(|(key, data)| one.get(*key) != Some(data)).count();
    let removed = one.keys().filter(|key| !other.contains_key(*key)).count();
    (changed + removed) as u64
}

/// What is different, for people.
fn differences(stored: &State, shown: &State) -> String {
    let mut said = String::new();
    for key in stored.keys().chain(shown.keys().filter(|key| !stored.contains_key(*key))) {
        let (stored, shown) = (stored.get(key), shown.get(key));
        if stored != shown {
            let short = |data: Option<&Rc<Value>>| {
                let text = data.map_or("nothing".to_owned(), ToString::to_string);
                let start: String = text.chars().take(120).collect();
                if start.len() < text.len() { format!("{start}… ({} bytes)", text.len()) } else { text }
            };
            let _ = write!(said, "\n  {key}: stored {}\n  {key}: shown  {}", short(stored), short(shown));
        }
    }
    said
}
