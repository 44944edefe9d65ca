//! One change to a share, out of one item of a sync: what is kept of the item, and under which key.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Key, sealed};
use crate::protocol::Malformed;

/// An item's JSON, shared by the transcript, the writer and the frames.
pub type Content = Arc<RawValue>;

/// What one item of a sync does.
#[derive(Debug, Clone)]
pub enum Change {
    /// Stores the item, in place of its older version.
    Put(Key, Content),
    /// Adds to the list of models, by (providerID, id).
    MergeModels(Content),
    /// Takes an item away; with a message go its parts, with a sealed item those below it.
    Remove(Key),
}

/// What is kept of a model: the rest carries headers, keys and options of its owner's provider.
const MODEL_FIELDS: [&str; 6] = ["id", "providerID", "name", "family", "cost", "limit"];

/// Models of one share. The list is one item, which every merge writes anew.
const MAX_MODELS: usize = 1000;

/// Bytes of that list.
const MAX_MODEL_BYTES: usize = 1 << 20;

impl Change {
    /// Whether an item of a type belongs into a share whose items only readers can open, and into no other.
    pub fn is_of_sealed(kind: &str) -> bool {
        Key::removed_kind(kind).unwrap_or(kind) == sealed::KIND
    }

    /// Reads one `{type, data}`. `place` says where it stood, for the refusal: `data[3]`.
    pub fn from_item(kind: &str, data: &RawValue, place: &str) -> Result<Self, Malformed> {
        if let Some(removed) = Key::removed_kind(kind) {
            return Ok(Self::Remove(Key::of_removed(removed, data, place)?));
        }
        let key = Key::of(kind, data, place)?;
        let broken =
            |_| Malformed::new(format!("`{place}.data` has text that is not Unicode in a field's name"));
        Ok(match kind {
            "model" => Self::MergeModels(strip_models(data, place)?),
            "session" => Self::Put(key, without(data, &["permission", "metadata"]).map_err(broken)?),
            "message" if role_is_user(data) => Self::Put(key, without(data, &["system"]).map_err(broken)?),
            Key::MESSAGES => Self::Put(key, without_system(data).map_err(broken)?),
            sealed::KIND => Self::Put(key, sealed::kept(data, place)?),
            _ => Self::Put(key, Arc::from(data.to_owned())),
        })
    }
}

/// Lists of models as one, the oldest first: each model once, the newest of each, at the place of its first. Of too
/// many the newest stay.
pub(super) fn merge_models<'a>(
    lists: impl IntoIterator<Item = &'a RawValue>,
) -> Result<Content, serde_json::Error> {
    let mut models = Vec::<&RawValue>::new();
    let mut places = HashMap::new();
    for list in lists {
        for model in serde_json::from_str::<Vec<&RawValue>>(list.get())? {
            match places.entry(model_name(model)?) {
                Entry::Occupied(place) => models[*place.get()] = model,
                Entry::Vacant(place) => {
                    place.insert(models.len());
                    models.push(model);
                }
            }
        }
    }
    let mut bytes = 0;
    let newest = models.iter().rev().take(MAX_MODELS).take_while(|model| {
        bytes += model.get().len();
        bytes <= MAX_MODEL_BYTES
    });
    let newest = newest.count();
    serde_json::value::to_raw_value(&models[models.len() - newest..]).map(Arc::from)
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
struct ModelName<'a> {
    #[serde(borrow, rename = "providerID")]
    provider_id: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

fn model_name(model: &RawValue) -> Result<ModelName<'_>, serde_json::Error> {
    serde_json::from_str(model.get())
}

fn strip_models(data: &RawValue, place: &str) -> Result<Content, Malformed> {
    let refusal =
        |_| Malformed::new(format!("`{place}.data` must be an array of models {{id, providerID, …}}"));
    let models: Vec<&RawValue> = serde_json::from_str(data.get()).map_err(refusal)?;
    let mut stripped = Vec::with_capacity(models.len());
    for model in models {
        model_name(model).map_err(refusal)?;
        let mut fields: Fields = serde_json::from_str(model.get()).map_err(refusal)?;
        fields.0.retain(|(name, _)| MODEL_FIELDS.contains(&name.as_ref()));
        stripped.push(fields);
    }
    // Merged with nothing: a model that stands twice in one list counts once.
    let stripped = serde_json::value::to_raw_value(&stripped).map_err(refusal)?;
    merge_models([&*stripped]).map_err(refusal)
}

fn role_is_user(message: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Option<Cow<'a, str>>,
    }
    serde_json::from_str::<Message>(message.get())
        .is_ok_and(|message| message.role.as_deref() == Some("user"))
}

/// All messages of a session without what tells the model how to behave: there that is messages of their own.
fn without_system(data: &RawValue) -> Result<Content, serde_json::Error> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow, rename = "type")]
        kind: &'a RawValue,
    }
    let is_system = |message: &&RawValue| {
        serde_json::from_str::<Message>(message.get()).is_ok_and(|message| message.kind.get() == "\"system\"")
    };
    let as_it_is = || Ok(Arc::from(data.to_owned()));
    if !data.get().starts_with('{') {
        return as_it_is();
    }
    let Fields(mut fields) = serde_json::from_str(data.get())?;
    let Some((_, messages)) = fields.iter_mut().find(|(name, _)| name == "messages") else {
        return as_it_is();
    };
    let Ok(mut list) = serde_json::from_str::<Vec<&RawValue>>(messages.get()) else { return as_it_is() };
    if !list.iter().any(is_system) {
        return as_it_is();
    }
    list.retain(|message| !is_system(message));
    let list = serde_json::value::to_raw_value(&list)?;
    *messages = &list;
    serde_json::value::to_raw_value(&Fields(fields)).map(Arc::from)
}

/// The object without some of its fields; the others keep their bytes and their order.
fn without(object: &RawValue, names: &[&str]) -> Result<Content, serde_json::Error> {
    let mut fields: Fields = serde_json::from_str(object.get())?;
    let before = fields.0.len();
    fields.0.retain(|(name, _)| !names.contains(&name.as_ref()));
    if fields.0.len() == before {
        return Ok(Arc::from(object.to_owned()));
    }
    serde_json::value::to_raw_value(&fields).map(Arc::from)
}

/// An object's fields in their order, values raw: text that is not valid Unicode (a cut surrogate pair) stays as it is.
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        #[derive(Deserialize, PartialEq, Eq)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, json: &str) -> Change {
        Change::from_item(kind, &RawValue::from_string(json.to_owned()).unwrap(), "data[0]").unwrap()
    }

    fn kept(kind: &str, json: &str) -> String {
        match change(kind, json) {
            Change::Put(_, content) | Change::MergeModels(content) => content.get().to_owned(),
            Change::Remove(key) => panic!("removes {key:?}"),
        }
    }

    #[test]
    fn secrets_of_the_owner_are_dropped_and_the_rest_keeps_its_bytes() {
        assert_eq!(
            kept(
                "session",
                r#"{"id":"s","permission":[1],"title":"\ud83d","\u006detadata":{"k":"v"},"n":1.50}"#
            ),
            r#"{"id":"s","title":"\ud83d","n":1.50}"#
        );
        assert_eq!(
            kept("message", r#"{"id":"m","role":"user","system":"be good"}"#),
            r#"{"id":"m","role":"user"}"#
        );
        let assistant = r#"{"id":"m","role":"assistant","system":"kept"}"#;
        assert_eq!(kept("message", assistant), assistant);
        assert_eq!(
            kept(
                "model",
                r#"[{"id":"a","providerID":"p","name":"A","headers":{"x-key":"k"},"options":{"apiKey":"k"}}]"#
            ),
            r#"[{"id":"a","providerID":"p","name":"A"}]"#
        );
    }

    #[test]
    fn parts_are_kept_byte_for_byte() {
        let part = r#"{ "messageID":"m", "id":"p", "text":"\u0000 \ud800 é", "n":1e3 }"#;
        assert_eq!(kept("part", part), part);
    }

    #[test]
    fn models_merge_by_provider_and_id() {
        let older =
            kept("model", r#"[{"id":"a","providerID":"p","name":"old"},{"id":"b","providerID":"p"}]"#);
        let newer =
            kept("model", r#"[{"id":"a","providerID":"p","name":"new"},{"id":"a","providerID":"q"}]"#);
        let raw = |text: String| RawValue::from_string(text).unwrap();
        assert_eq!(
            merge_models([&*raw(older), &*raw(newer)]).unwrap().get(),
            r#"[{"id":"a","providerID":"p","name":"new"},{"id":"b","providerID":"p"},{"id":"a","providerID":"q"}]"#
        );
    }

    #[test]
    fn of_too_many_models_the_newest_stay() {
        let models = |from: usize, count: usize| {
            let models = (from..from + count).map(|id| format!(r#"{{"id":"{id}","providerID":"p"}}"#));
            format!("[{}]", models.collect::<Vec<_>>().join(","))
        };
        let (older, newer) = (kept("model", &models(0, MAX_MODELS)), kept("model", &models(MAX_MODELS, 2)));
        let raw = |text: String| RawValue::from_string(text).unwrap();
        let merged = merge_models([&*raw(older), &*raw(newer)]).unwrap();
        assert_eq!(merged.get(), models(2, MAX_MODELS));
    }

    #[test]
    fn removals_name_their_key() {
        assert!(
            matches!(change("message.removed", r#"{"id":"m"}"#), Change::Remove(key) if key.as_str() == "message/m")
        );
        assert!(matches!(
            change("part.removed", r#"{"messageID":"m","id":"p"}"#),
            Change::Remove(key) if key.as_str() == "part/m/p"
        ));
        for (kind, json, expected) in [
            ("todo.removed", r#"{"id":"t"}"#, "todo/t"),
            ("todo.removed", r#"{"id":7}"#, "todo/7"),
            ("todo.removed", "{}", "todo"),
            ("todo.removed", "null", "todo"),
            ("a.b.removed", r#"{"id":"x"}"#, "a.b/x"),
            ("session_diff.removed", "{}", "session_diff"),
            ("model.removed", "{}", "model"),
            ("messages.removed", r#"{"sessionID":"s"}"#, "messages/s"),
        ] {
            let Change::Remove(key) = change(kind, json) else { panic!("{kind} {json}") };
            assert_eq!(key.as_str(), expected, "{kind} {json}");
            let again = key.removal().to_string();
            let again = Change::from_item(kind, &RawValue::from_string(again).unwrap(), "x").unwrap();
            assert!(matches!(again, Change::Remove(same) if same == key), "{kind} {json}");
        }
        let removal = RawValue::from_string("7".into()).unwrap();
        for kind in ["message.removed", "part.removed", "session.removed", "model.removed", "Upper.removed"] {
            assert!(Change::from_item(kind, &removal, "x").is_err(), "{kind}");
        }
        // No type stands before it: a type of its own.
        assert!(matches!(change(".removed", "{}"), Change::Put(..)));
    }

    #[test]
    fn of_the_messages_of_a_session_those_of_the_system_are_dropped() {
        let kept_as_it_is =
            r#"{"sessionID":"s", "messages":[ {"type":"user","text":"\ud83d"}, 7, {"type":null} ]}"#;
        assert_eq!(kept("messages", kept_as_it_is), kept_as_it_is);
        assert_eq!(
            kept(
                "messages",
                concat!(
                    r#"{"sessionID":"s","n":1.50,"messages":[{"type":"system","text":"be good"},"#,
                    r#"{"type":"user","text":"\ud83d"}]}"#,
                )
            ),
            r#"{"sessionID":"s","n":1.50,"messages":[{"type":"user","text":"\ud83d"}]}"#
        );
        for odd in ["7", "[]", r#"{"messages":7}"#, r#"{"sessionID":"s"}"#] {
            assert_eq!(kept("messages", odd), odd);
        }
    }
}
