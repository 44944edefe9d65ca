//! Items as nobody foresaw them: each field of a recorded session's items in turn is something else. What is refused is
//! refused with a reason and stores nothing; what is taken stands in `/data` as it came, and costs the other items
//! nothing, there or in Markdown. The seeds are fixed; `BRUTUS_SEEDS` says how many.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::harness::{TestServer, TestShare, recorded_batches};

/// Odd values, one of each type and some that are hard.
fn odd(random: &mut Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(-1.5e300),
        json!(1_u64 << 60),
        json!(""),
        json!("constructor"),
        json!("\u{0}\u{202e}## Prompt"),
        json!([]),
        json!([null, {"type": "text"}]),
        json!({}),
        json!({"text": {"text": 1}}),
    ];
    values[random.usize(..values.len())].clone()
}

/// All places in a value, the value itself aside.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let names: Vec<String> = match value {
        Value::Object(fields) => {
            fields.keys().map(|name| name.replace('~', "~0").replace('/', "~1")).collect()
        }
        Value::Array(elements) => (0..elements.len()).map(|nth| nth.to_string()).collect(),
        _ => return,
    };
    for name in names {
        let place = format!("{at}/{name}");
        places(value.pointer(&place[at.len()..]).expect("its own"), &place, found);
        found.push(place);
    }
}

/// What the items of a session are at its end: the newest of each.
fn newest() -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    let key = |item: &Value| {
        let id = |name: &str| item["data"][name].to_string();
        format!("{} {} {}", item["type"], id("messageID"), id("id"))
    };
    for item in recorded_batches().into_iter().flatten() {
        match items.iter_mut().find(|known| key(known) == key(&item)) {
            Some(known) => *known = item,
            None => items.push(item),
        }
    }
    items
}

fn as_texts(items: &[Value]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

/// The words of text parts, as they stand in Markdown whatever stands around them.
fn words(items: &[Value]) -> impl Iterator<Item = &str> {
    let texts = items.iter().filter(|item| item["data"]["type"] == "text");
    texts
        .filter_map(|item| item["data"]["text"].as_str()?.lines().next())
        .filter(|line| line.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == ' '))
}

async fn markdown(share: &TestShare<'_>) -> String {
    let (status, text) = share.server.get(&format!("/s/{}.md?full=1", share.id)).await;
    assert_eq!(status, 200, "{text}");
    text.as_str().map_or_else(|| text.to_string(), ToOwned::to_owned)
}

#[actix_web::test]
async fn an_odd_field_costs_the_other_items_nothing() {
    let server = TestServer::start(&["--log", "warn"]);
    let items = newest();
    // What the server takes away of an item differs from what was sent: the share says what it keeps.
    let whole = server.share().await;
    whole.sync(&items).await;
    let kept = whole.data().await;
    assert_eq!(kept.len(), items.len());
    let rounds = std::env::var("BRUTUS_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let mut taken = 0;
    for seed in 0..rounds {
        let mut random = Rng::with_seed(seed);
        let changed = random.usize(..kept.len());
        let mut found = Vec::new();
        places(&kept[changed]["data"], "", &mut found);
        if found.is_empty() {
            continue;
        }
        let place = &found[random.usize(..found.len())];
        let mut mutated = kept.clone();
        let value = odd(&mut random);
        *mutated[changed]["data"].pointer_mut(place).expect("a place") = value.clone();
        let of = format!("seed {seed}: {}{place} is {value}", mutated[changed]["type"]);

        let share = server.share().await;
        let body = json!({"secret": share.secret, "data": mutated});
        let (status, answer) = server.post(&share.path("/sync"), &body).await;
        if status != 200 {
            assert_eq!((status, &answer["error"]["code"]), (400, &json!("malformed")), "{of}: {answer}");
            assert!(share.data().await.is_empty(), "{of}");
            continue;
        }
        taken += 1;
        let others = [&kept[..changed], &kept[changed + 1..]].concat();
        let data = as_texts(&share.data().await);
        assert!(as_texts(&others).is_subset(&data), "{of}");
        // An id that is another item's takes its place; else the odd item is there as it came.
        let odd_one = mutated[changed].to_string();
        let stripped = matches!(mutated[changed]["type"].as_str(), Some("session" | "model"))
            || mutated[changed]["data"]["role"] == "user";
        assert!(data.contains(&odd_one) || stripped || data.len() < kept.len(), "{of}");
        let text = markdown(&share).await;
        let reverted = mutated[changed]["data"].get("revert").is_some();
        for line in words(&others).filter(|_| !reverted) {
            assert!(text.contains(line), "{of}: {line} is not in {text}");
        }
        share.delete(&share.secret).await;
    }
    assert!(taken > rounds / 3, "{taken} of {rounds}");
}
