//! What several views say of an item.

use serde_json::{Map, Value};

/// The fields of an object, and of what is none nothing.
pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What an error says, when it is of a shape that is known.
pub(super) fn error_text(error: &Value) -> Option<String> {
    if error["name"] == "MessageAbortedError" {
        return Some("stopped by the user".into());
    }
    [&error["data"]["message"], &error["message"], &error["name"], error]
        .into_iter()
        .find_map(|text| text.as_str().map(ToOwned::to_owned))
}
