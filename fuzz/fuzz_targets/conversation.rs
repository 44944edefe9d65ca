//! A conversation as a list of messages: whatever stands in it, it is read, each item has what its key needs, and no
//! two have one key.

#![no_main]

use std::collections::HashSet;

use brutus_share::import::messages::{About, read};
use brutus_share::model::Change;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|input: Vec<(u8, &str)>| {
    let messages = input.iter().filter_map(|(shape, text)| RawValue::from_string(shaped(*shape, text)).ok());
    let messages: Vec<_> = messages.collect();
    let imported = read("ses_1", &About::default(), messages.iter().map(|message| &**message));
    assert_eq!(imported.accepted + imported.ignored + imported.bad.len(), messages.len());
    let mut keys = HashSet::new();
    for item in imported.items {
        assert!(keys.insert(item.key.clone()), "{:?} twice", item.key);
        let change = Change::from_item(item.key.kind(), &item.content, "item").expect("an item of its kind");
        assert!(matches!(change, Change::Put(key, _) if key == item.key));
    }
});

/// A message of a known shape around some JSON, or around a text: random bytes alone seldom find one.
fn shaped(shape: u8, text: &str) -> String {
    let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
    let json = if is_json { text.to_owned() } else { serde_json::Value::from(text).to_string() };
    match shape % 16 {
        0 => json,
        1 => format!(r#"{{"role":"user","content":{json},"at":{json},"id":{json}}}"#),
        2 => format!(r#"{{"role":"assistant","content":[{json}],"usage":{json},"model":{json}}}"#),
        3 => format!(r#"{{"role":"assistant","tool_calls":[{{"id":{json},"function":{json}}}]}}"#),
        4 => format!(r#"{{"role":"tool","tool_call_id":{json},"content":{json}}}"#),
        5 => format!(r#"{{"type":"reasoning","summary":[{json}],"content":{json}}}"#),
        6 => format!(r#"{{"type":"function_call","call_id":{json},"name":{json},"arguments":{json}}}"#),
        7 => format!(r#"{{"type":"function_call_output","call_id":{json},"output":{json}}}"#),
        8 => format!(r#"{{"type":"code_interpreter_call","status":"completed","outputs":[{json}]}}"#),
        9 => format!(r#"{{"role":"model","parts":[{{"functionCall":{json}}},{{"inlineData":{json}}}]}}"#),
        10 => format!(r#"{{"parts":[{{"functionResponse":{json}}},{{"codeExecutionResult":{json}}}]}}"#),
        11 => format!(r#"{{"Role":"user","Content":{json},"ToolResults":[{json}]}}"#),
        12 => format!(
            r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":{json},"content":{json}}}]}}"#
        ),
        13 => format!(r#"{{"role":"user","content":[{{"type":"image","source":{json},"file":{json}}}]}}"#),
        14 => format!(r#"{{"info":{{"id":{json},"role":{json},"time":{json}}},"parts":[{json}]}}"#),
        _ => format!(r#"{{"type":"mcp_call","id":{json},"error":{json},"output":{json},"status":"failed"}}"#),
    }
}
