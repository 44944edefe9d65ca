//! Changes of JSON that people wrote, comments and all: what is not changed keeps its bytes.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode};
use serde_json::{Map, Value, json};

use super::content::{Refused, is_ours, is_ours_by_name};

/// JSON with comments and commas at the end of lists; nothing more that its agents would not read.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The text with `patch` in it: objects are merged, lists of objects get what they lack, all else is replaced.
pub(super) fn put(text: &str, patch: &Value) -> Result<String, Refused> {
    let root = parse(text)?;
    let object = match root.value() {
        None => root.object_value_or_set(),
        Some(value) => value.as_object().ok_or_else(|| Refused::Shape("its top level".into()))?,
    };
    put_all(&object, patch)?;
    Ok(root.to_string())
}

/// The text without what `put` brought; what it replaced is as in `before` again.
pub(super) fn take_out(text: &str, patch: &Value, before: Option<&str>) -> Result<String, Refused> {
    let root = parse(text)?;
    let before = before.and_then(|before| parse(before).ok()?.to_serde_value()).unwrap_or_default();
    if let Some(object) = root.object_value() {
        take_out_all(&object, patch, &before);
    }
    Ok(root.to_string())
}

fn parse(text: &str) -> Result<CstRootNode, Refused> {
    CstRootNode::parse(text, &OPTIONS).map_err(|error| Refused::Unreadable(error.to_string()))
}

fn put_all(object: &CstObject, patch: &Value) -> Result<(), Refused> {
    for (name, value) in patch.as_object().into_iter().flatten() {
        let Some(property) = find(object, name) else {
            object.append(name, input(value));
            continue;
        };
        let now = property.value().and_then(|now| now.to_serde_value()).unwrap_or_default();
        if &now == value {
            continue;
        }
        let refused = || Refused::Shape(format!("`{name}`"));
        match value {
            Value::Object(_) => put_all(&property.object_value().ok_or_else(refused)?, value)?,
            Value::Array(wanted) if wanted.iter().any(Value::is_object) => {
                put_elements(&property.array_value().ok_or_else(refused)?, wanted);
            }
            _ => property.set_value(input(value)),
        }
    }
    Ok(())
}

fn put_elements(array: &CstArray, wanted: &[Value]) {
    let there: Vec<_> = array.elements().iter().filter_map(CstNode::to_serde_value).collect();
    // What an earlier version of this program put there.
    remove_ours(array, |value| !wanted.contains(value));
    for value in wanted.iter().filter(|value| !there.contains(value)) {
        array.append(input(value));
    }
}

fn remove_ours(array: &CstArray, chosen: impl Fn(&Value) -> bool) {
    for element in array.elements() {
        if element.to_serde_value().is_some_and(|value| is_ours(&value) && chosen(&value)) {
            element.remove();
        }
    }
}

fn take_out_all(object: &CstObject, patch: &Value, before: &Value) {
    for (name, value) in patch.as_object().into_iter().flatten() {
        let Some(property) = find(object, name) else { continue };
        let earlier = before.get(name);
        let now = property.value().and_then(|now| now.to_serde_value()).unwrap_or_default();
        match value {
            _ if is_ours_by_name(name) => {
                put_back(property, earlier);
                continue;
            }
            Value::Object(_) => {
                if let Some(inner) = property.object_value() {
                    take_out_all(&inner, value, earlier.unwrap_or(&Value::Null));
                }
            }
            Value::Array(elements) if elements.iter().any(Value::is_object) => {
                if let Some(array) = property.array_value() {
                    take_out_elements(&array, earlier);
                }
            }
            _ => {
                // One that somebody has changed since is theirs.
                if &now == value {
                    put_back(property, earlier);
                }
                continue;
            }
        }
        let then = property.value().and_then(|then| then.to_serde_value()).unwrap_or_default();
        let is_empty = then == json!({}) || then == json!([]);
        if is_empty && then != now && earlier.is_none() {
            property.remove();
        }
    }
}

fn take_out_elements(array: &CstArray, earlier: Option<&Value>) {
    remove_ours(array, |_| true);
    let earlier = earlier.and_then(Value::as_array).into_iter().flatten();
    for value in earlier.filter(|value| is_ours(value)) {
        array.append(input(value));
    }
}

fn put_back(property: CstObjectProp, earlier: Option<&Value>) {
    match earlier {
        Some(earlier) => property.set_value(input(earlier)),
        None => property.remove(),
    }
}

/// The property of a name: of several the last, which is the one that counts.
fn find(object: &CstObject, name: &str) -> Option<CstObjectProp> {
    object.properties().into_iter().rev().find(|property| property.decoded_name().as_deref() == Some(name))
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(elements) => CstInputValue::Array(elements.iter().map(input).collect()),
        Value::Object(fields) => CstInputValue::Object(properties(fields)),
    }
}

fn properties(fields: &Map<String, Value>) -> Vec<(String, CstInputValue)> {
    fields.iter().map(|(name, value)| (name.clone(), input(value))).collect()
}
