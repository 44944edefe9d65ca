//! Changes of TOML that people wrote: comments, order and all that is not changed stay as they are.

use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::content::{Refused, is_ours_by_name};

/// The text with the tables of `patch` in it.
pub(super) fn put(text: &str, patch: &Value) -> Result<String, Refused> {
    let mut document = parse(text)?;
    let read: Value = toml::from_str(text).map_err(|error| Refused::Unreadable(error.to_string()))?;
    put_all(document.as_table_mut(), patch, &read)?;
    Ok(with_line_ends_of(text, document.to_string()))
}

/// The text without what `put` brought; what it replaced is as in `before` again.
pub(super) fn take_out(text: &str, patch: &Value, before: Option<&str>) -> Result<String, Refused> {
    let mut document = parse(text)?;
    let as_it_is = document.to_string();
    let values = before.and_then(|before| toml::from_str(before).ok()).unwrap_or_default();
    take_out_all(document.as_table_mut(), patch, &values);
    let rest = document.to_string();
    if rest == as_it_is {
        return Ok(text.to_owned());
    }
    let mut rest = with_line_ends_of(text, rest);
    // The library ends every line.
    if before.is_some_and(|before| !before.ends_with('\n')) {
        rest.truncate(rest.trim_end_matches(['\r', '\n']).len());
    }
    Ok(rest)
}

fn parse(text: &str) -> Result<DocumentMut, Refused> {
    text.parse().map_err(|error: toml_edit::TomlError| Refused::Unreadable(error.to_string()))
}

/// `read` is what the table holds.
fn put_all(table: &mut dyn TableLike, patch: &Value, read: &Value) -> Result<(), Refused> {
    for (name, value) in patch.as_object().into_iter().flatten() {
        let now = read.get(name).unwrap_or(&Value::Null);
        if now == value {
            continue;
        }
        match table.get_mut(name) {
            Some(item) if value.is_object() => {
                let inner = item.as_table_like_mut().ok_or_else(|| Refused::Shape(format!("`{name}`")))?;
                put_all(inner, value, now)?;
            }
            Some(item) => {
                let mut value = inline(value);
                // With the comment behind it.
                if let Some(old) = item.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *item = Item::Value(value);
            }
            None => {
                table.insert(name, item_of(value));
            }
        }
    }
    Ok(())
}

fn take_out_all(table: &mut dyn TableLike, patch: &Value, before: &Value) {
    for (name, value) in patch.as_object().into_iter().flatten() {
        let earlier = before.get(name);
        if is_ours_by_name(name) {
            match earlier {
                Some(earlier) => table.insert(name, item_of(earlier)),
                None => table.remove(name),
            };
            continue;
        }
        let Some(inner) = table.get_mut(name).and_then(Item::as_table_like_mut) else { continue };
        let entries = inner.len();
        take_out_all(inner, value, earlier.unwrap_or(&Value::Null));
        if inner.is_empty() && entries > 0 && earlier.is_none() {
            table.remove(name);
        }
    }
}

/// A value in TOML; an object as a table with a head of its own.
fn item_of(value: &Value) -> Item {
    match value {
        Value::Object(fields) => {
            let mut table = Table::new();
            table.extend(fields.iter().map(|(name, value)| (name, item_of(value))));
            // `[mcp_servers]` alone says nothing when only tables follow.
            table.set_implicit(fields.values().all(Value::is_object));
            Item::Table(table)
        }
        value => Item::Value(inline(value)),
    }
}

fn inline(value: &Value) -> toml_edit::Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name, inline(value))).collect::<InlineTable>().into()
        }
        Value::Array(elements) => elements.iter().map(inline).collect::<Array>().into(),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.into(),
        Value::Null => "".into(),
    }
}

/// The new lines of a text whose lines end with CRLF end so too.
fn with_line_ends_of(text: &str, changed: String) -> String {
    let lines = text.matches('\n').count();
    if lines > 0 && text.matches("\r\n").count() == lines {
        changed.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        changed
    }
}
