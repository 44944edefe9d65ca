//! The fields of a call's input, found under any of their keys.

use serde_json::{Map, Value};

use super::table::Keys;

/// What is read of an input, and which of its values were.
pub(super) struct Input<'a> {
    fields: Option<&'a Map<String, Value>>,
    /// An input that is a text.
    pub(super) whole: Option<&'a str>,
    read: Vec<&'a Value>,
}

impl<'a> Input<'a> {
    pub(super) fn of(input: &'a Value) -> Self {
        Self { fields: input.as_object(), whole: input.as_str(), read: Vec::new() }
    }

    /// What is read `as` something, under the first key that holds such a thing.
    pub(super) fn find<T>(&mut self, keys: &Keys, read_as: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let fields = self.fields?;
        let mut values = keys.iter().filter_map(|key| fields.get(key));
        let (value, found) = values.find_map(|value| Some((value, read_as(value)?)))?;
        self.read.push(value);
        Some(found)
    }

    pub(super) fn words(&mut self, keys: &Keys) -> Option<&'a str> {
        self.find(keys, words)
    }

    pub(super) fn list(&mut self, keys: &Keys) -> Option<&'a Vec<Value>> {
        self.find(keys, Value::as_array)
    }

    /// A text, or several.
    pub(super) fn texts(&mut self, keys: &Keys) -> Vec<&'a str> {
        self.find(keys, texts).unwrap_or_default()
    }

    /// What stands under all of the keys.
    pub(super) fn all(&mut self, keys: &Keys) -> Vec<&'a str> {
        let Some(fields) = self.fields else { return Vec::new() };
        let found = keys.iter().filter_map(|key| fields.get(key)).filter(|value| words(value).is_some());
        let found: Vec<_> = found.collect();
        self.read.extend(&found);
        found.into_iter().filter_map(words).collect()
    }

    /// The fields that nothing that was read says.
    pub(super) fn rest(&self) -> Vec<(&'a str, &'a Value)> {
        let fields = self.fields.into_iter().flatten();
        let rest = fields.filter(|(_, value)| !self.read.contains(value));
        rest.map(|(key, value)| (key.as_str(), value)).collect()
    }
}

/// A text that says something.
pub(super) fn words(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

/// A text, or several, and at least one.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(words).collect(),
        _ => words(value).map(|text| vec![text]),
    }
}

/// What is read `as` something in an object, under the first key that holds such a thing.
pub(super) fn field<'a, T>(
    object: &'a Value,
    keys: &Keys,
    read_as: impl Fn(&'a Value) -> Option<T>,
) -> Option<T> {
    keys.iter().filter_map(|key| object.get(key)).find_map(read_as)
}

/// The first line of a text that says something.
pub(super) fn line(text: &str) -> Option<&str> {
    text.trim_start().split('\n').next().map(str::trim_end).filter(|line| !line.is_empty())
}
