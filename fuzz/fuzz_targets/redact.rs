//! Secrets out of items: whatever an item holds, what comes out is JSON, and has nothing left to find; a planted value
//! is never shown, neither whole nor while it is being written.

#![no_main]

use std::sync::{Arc, LazyLock};

use brutus_share::model::Content;
use brutus_share::redact::{Context, Growing, Known, KnownValues, Options, Redactor};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

const VALUE: &str = "tumbling-otter-42-kettle";
const PIECES: [&str; 2] = ["tumbling-ott", "er-42-kettle"];

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let options = Options { home: Some("/home/ada".into()), emails: true, ..Options::default() };
    Redactor::new(options).expect("its own rules")
});
static KNOWN: LazyLock<KnownValues> = LazyLock::new(|| KnownValues::new(Known::secret("env-planted", VALUE)));

fuzz_target!(|input: (u8, &str, &str)| {
    let (shape, text, more) = input;
    // A fuzzer learns the value. Planted by itself it may stand where nothing is looked at: in `type`, in a picture.
    if PIECES.iter().any(|piece| text.contains(piece) || more.contains(piece)) {
        return;
    }
    let known = [&*KNOWN];
    let growing = [Growing::Done, Growing::Grows, Growing::Pauses][usize::from(shape / 16) % 3];
    let context = Context { known: &known, growing };
    let Some(item) = shaped(shape, text, more) else { return };
    let once = REDACTOR.item(&item, &context, &mut |_: &str, _: &str| 1).expect("flat JSON is looked at");
    let redacted = once.content.get();
    assert!(!PIECES.iter().any(|piece| redacted.contains(piece)), "{redacted}");
    if growing == Growing::Done {
        let twice = REDACTOR.item(&once.content, &context, &mut |_: &str, _: &str| 1).expect("JSON still");
        assert_eq!(redacted, twice.content.get());
    }
});

/// An item of a known shape around two texts, one of them raw: also with escapes that no encoder writes.
fn shaped(shape: u8, text: &str, raw: &str) -> Option<Content> {
    let json = Value::from(text);
    let planted = Value::from(format!("a {text} {VALUE} {text}"));
    let name = Value::from(format!("a {text}"));
    let item = match shape % 16 {
        0 => raw.to_owned(),
        1 => format!(r#"{{"type":"text","text":{planted},"time":{{"start":1}}}}"#),
        2 => format!(r#"{{"type":"reasoning","metadata":{json},"text":"{raw}","signature":{json}}}"#),
        3 => format!(
            r#"{{"type":"tool","state":{{"status":"running","input":{{"command":{json}}},"output":{planted}}}}}"#
        ),
        4 => format!(r#"{{"type":"tool","state":{{"input":{{"filePath":".env"}},"output":{planted}}}}}"#),
        5 => format!(r#"{{"type":"tool","state":{{"status":"pending","input":{{"raw":{json}}}}}}}"#),
        6 => format!(r#"{{{name}:{planted},{name}:"{raw}"}}"#),
        7 => format!(r#"{{"url":"data:text/plain;base64,{raw}","n":{json}}}"#),
        8 => format!(r#"{{"text":{}}}"#, Value::from(json.to_string())),
        9 => format!(r#"{{"text":{}}}"#, Value::from(planted.to_string())),
        10 => format!(r#"{{"diffs":[{{"file":{json},"patch":"{raw}"}},{{"file":".env","patch":{json}}}]}}"#),
        _ => format!(r#"{{"type":"text","text":"{raw}"}}"#),
    };
    // As deep as the item is refused: what is deeper is not what is tried here.
    let flat = item.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= 128;
    RawValue::from_string(item).ok().filter(|_| flat).map(Arc::from)
}
