//! Batches of random changes, some of which are refused or get no answer: whoever reads what the server has finds it to
//! be what was sent.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::seal::{Keys, LinkKey, Sealed};

/// A server that keeps what it cannot read.
#[derive(Default)]
struct Server(BTreeMap<String, Sealed>);

impl Server {
    fn take(&mut self, batch: &SealedBatch) {
        for item in serde_json::from_str::<Vec<Value>>(batch.data.get()).unwrap() {
            let id = item["data"]["id"].as_str().unwrap();
            if item["type"] == "sealed.removed" {
                self.0.retain(|other, _| other != id && !other.starts_with(&format!("{id}/")));
                continue;
            }
            let sealed: Sealed = serde_json::from_value(item["data"].clone()).unwrap();
            if self.0.get(id).is_none_or(|before| before.v < sealed.v) {
                self.0.insert(id.to_owned(), sealed);
            }
        }
    }

    /// What a reader finds, by type and data.
    fn read(&self, seal: &Arc<Seal>) -> Vec<(String, String)> {
        let mut opening = Opening::new(seal.clone());
        for sealed in self.0.values() {
            opening.put(sealed, 0).unwrap();
        }
        assert_eq!(opening.check(), Ok(()));
        let items = opening.items().into_iter();
        let mut items: Vec<_> =
            items.map(|(kind, data, _)| (kind.to_owned(), data.get().to_owned())).collect();
        items.sort();
        items
    }
}

fn seal() -> Arc<Seal> {
    let link: LinkKey = "5fQ0sT8vXk2Lr9ZbWm3NcY".parse().unwrap();
    Arc::new(Keys::new(&link, None).of_share("Qm7yT2LkP9xVbN4sR8cW1Z"))
}

const KEYS: [&str; 9] = [
    "session",
    "message/m",
    "message/n",
    "part/m/p",
    "part/m/q",
    "part/n/r",
    "todo/7",
    "model/p/a",
    "model/p/b",
];

/// A change of an item: its content, or that it goes.
fn waiting(key: &str, length: Option<usize>, seq: i64) -> Waiting {
    let content = length.map(|length| {
        let content = match key.rsplit_once('/') {
            Some(("model/p", id)) => json!([{"providerID": "p", "id": id, "name": length}]),
            _ => json!({"id": key, "text": "a\u{1f41a}\n".repeat(length)}),
        };
        Content::from(serde_json::value::to_raw_value(&content).unwrap())
    });
    // A model alone is not removed.
    let key = if content.is_none() && key.starts_with("model/") { Key::MODEL } else { key };
    Waiting { key: Key::from(key.to_owned()), content, seq }
}

/// What a share that is not sealed would have.
fn apply(plain: &mut BTreeMap<String, String>, item: &Waiting) {
    let key = item.key.as_str();
    if let Some(content) = &item.content {
        plain.insert(key.to_owned(), content.get().to_owned());
        return;
    }
    let below = key.strip_prefix("message/").map(|message| format!("part/{message}/"));
    plain.retain(|other, _| {
        let is_below = below.as_ref().is_some_and(|below| other.starts_with(below));
        let is_model = key == Key::MODEL && other.starts_with("model/");
        other != key && !is_below && !is_model
    });
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Done,
    Refused,
    /// It was taken, and nobody heard of that.
    Lost,
    /// The same, and the relay ended.
    Restart,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_read_is_what_was_sent(
        batches in prop::collection::vec(
            (
                prop::collection::vec((0..KEYS.len(), prop::option::weighted(0.8, 0..1500_usize)), 1..6),
                prop_oneof![
                    4 => Just(Answer::Done), 1 => Just(Answer::Refused), 1 => Just(Answer::Lost),
                    1 => Just(Answer::Restart)
                ],
                any::<bool>(),
            ),
            1..12,
        )
    ) {
        let seal = seal();
        let (mut ledger, mut server, mut plain) = (Ledger::default(), Server::default(), BTreeMap::new());
        let mut newest = 0;
        for (changes, answer, doubts) in batches {
            // The spool has each key once.
            let mut of_batch = BTreeMap::new();
            for (seq, (key, length)) in (0..).zip(changes) {
                let item = waiting(KEYS[key], length, seq);
                of_batch.insert(item.key.clone(), item);
            }
            let mut of_batch: Vec<_> = of_batch.into_values().collect();
            of_batch.sort_by_key(|item| item.seq);
            if doubts {
                ledger.doubt();
            }
            let batch = Arc::new(ledger.seal(&seal, &of_batch, 1).unwrap());
            prop_assert!(ledger.version() > newest);
            newest = ledger.version();
            if matches!(answer, Answer::Refused) {
                continue;
            }
            server.take(&batch);
            if matches!(answer, Answer::Restart) {
                let stored = serde_json::to_string(&*batch).unwrap();
                let items = ledger.items.iter().map(|(id, version)| (id.clone(), *version)).collect();
                let models = ledger.models.as_ref().map(|list| (**list).to_owned());
                let batch = Some(Arc::new(serde_json::from_str(&stored).unwrap()));
                ledger = Ledger::new(LedgerOf { version: newest, models, items, batch }, &seal);
                prop_assert!(ledger.version() >= newest + AHEAD);
                let batch = ledger.under_way.take().unwrap();
                server.take(&batch);
                ledger.arrived(&batch, &seal);
            } else {
                if matches!(answer, Answer::Lost) {
                    server.take(&batch);
                }
                ledger.arrived(&batch, &seal);
            }
            // Models stand behind all else in a batch.
            let (models, others): (Vec<_>, Vec<_>) =
                of_batch.iter().partition(|item| item.key.kind() == Key::MODEL);
            others.into_iter().chain(models).for_each(|item| apply(&mut plain, item));
            let (mut expected, mut models) = (Vec::new(), Vec::new());
            for (key, content) in &plain {
                if key.starts_with("model/") {
                    models.push(content.trim_matches(['[', ']']).to_owned());
                } else {
                    expected.push((Key::from(key.as_str()).kind().to_owned(), content.clone()));
                }
            }
            let mut found = server.read(&seal);
            let list = found.iter().position(|(kind, _)| kind == Key::MODEL).map(|place| found.remove(place).1);
            let list: Vec<Value> = list.map_or(Vec::new(), |list| serde_json::from_str(&list).unwrap());
            prop_assert_eq!(list.len(), models.len());
            prop_assert!(models.iter().all(|model| list.contains(&serde_json::from_str(model).unwrap())));
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn of_a_text_that_grows_the_last_segment_is_sent_again() {
    let seal = seal();
    let mut ledger = Ledger::default();
    let sent = |ledger: &mut Ledger, length: usize| {
        let batch = ledger.seal(&seal, &[waiting("part/m/p", Some(length), 1)], 1).unwrap();
        ledger.arrived(&batch, &seal);
        serde_json::from_str::<Vec<Value>>(batch.data.get()).unwrap().len()
    };
    // Seven bytes each, as JSON: 10 segments, the part and the manifest.
    assert_eq!(sent(&mut ledger, 2900), 12);
    assert_eq!(sent(&mut ledger, 2910), 3);
    ledger.doubt();
    assert_eq!(sent(&mut ledger, 2910), 12);
    // Seven of ten go, and the third is cut; then all three go, for the text is short.
    assert_eq!(sent(&mut ledger, 600), 3 + 7);
    assert_eq!(sent(&mut ledger, 500), 2 + 3);
}
