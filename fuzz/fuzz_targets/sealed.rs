//! What a server shows of a sealed share, and what somebody with its key put inside: nothing opens that was not sealed,
//! and whatever opens is put together without a panic.

#![no_main]

use std::sync::{Arc, LazyLock};

use brutus_share::seal::{Keys, LinkKey, Opening, Seal, Sealed, segmented};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static SEAL: LazyLock<Arc<Seal>> = LazyLock::new(|| {
    let link: LinkKey = "5fQ0sT8vXk2Lr9ZbWm3NcY".parse().expect("a key");
    Arc::new(Keys::new(&link, None).of_share("Qm7yT2LkP9xVbN4sR8cW1Z"))
});

fuzz_target!(|input: (Vec<(u8, u64, &str)>, &str)| {
    let (items, content) = input;
    let mut opening = Opening::new(SEAL.clone());
    let foreign = Sealed { id: content.to_owned(), v: 1, c: content.to_owned() };
    assert!(opening.put(&foreign, 0).is_err());
    for (place, (shape, v, text)) in (0..).zip(items) {
        let (id, inside) = shaped(shape, text);
        let Ok(sealed) = SEAL.seal(&id, v, &inside) else { continue };
        assert_eq!(SEAL.open(&sealed).as_deref(), Ok(inside.as_str()));
        let tampered = Sealed { v: v ^ 1, ..sealed.clone() };
        assert!(SEAL.open(&tampered).is_err());
        let _ = opening.put(&sealed, place);
        if shape % 7 == 6 {
            opening.remove(&id);
        }
    }
    let _ = (opening.check(), opening.newest());
    for (_, data, _) in opening.items() {
        serde_json::from_str::<&serde_json::value::RawValue>(data.get()).expect("JSON");
    }
    if let Some(parts) = segmented(content) {
        assert!(parts.segments.iter().all(|segment| segment.len() <= 2048));
    }
});

/// An item of a kind that is known, around a text.
fn shaped(shape: u8, text: &str) -> (String, String) {
    let json = Value::from(text);
    match shape % 7 {
        0 => ("a".into(), text.to_owned()),
        1 => ("a".into(), format!(r#"{{"type":"part","data":{{"text":{{"segments":2}},"x":{json}}}}}"#)),
        2 => ("a/0".into(), format!(r#"{{"type":"segment","data":{json}}}"#)),
        3 => ("a/1".into(), format!(r#"{{"type":"segment","data":{text}}}"#)),
        4 => (SEAL.manifest_name(), format!(r#"{{"type":"manifest","data":{text}}}"#)),
        5 => (
            SEAL.manifest_name(),
            format!(r#"{{"type":"manifest","data":{{"count":1,"set":{json},"at":1}}}}"#),
        ),
        _ => (text.to_owned(), format!(r#"{{"type":"part","data":{{"text":{json}}}}}"#)),
    }
}
