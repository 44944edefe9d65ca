//! What an agent does, as far as the items of its session say.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::parse_lossy;

/// What an agent does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// In one word: `busy`, `idle`, `waiting` or `gone`.
    pub state: &'static str,
    /// In its own words.
    pub label: Option<String>,
    /// Since when, in milliseconds since 1970; `None` when nobody said so.
    pub at: Option<i64>,
}

/// Characters of an agent's own words that are told.
const MAX_LABEL: usize = 200;

impl Activity {
    /// What an agent said of itself, in an item of type `status`; `None` when it cannot be read.
    pub fn said(status: &RawValue) -> Option<Self> {
        let status = parse_lossy(status.get());
        let words = ["busy", "idle", "waiting", "gone"];
        let state = words.into_iter().find(|state| status["state"] == *state)?;
        let label = status["label"].as_str().filter(|label| !label.trim().is_empty());
        let label = label.map(|label| label.chars().take(MAX_LABEL).collect());
        Some(Self { state, label, at: status["at"].as_i64() })
    }

    /// What the message says that changed last, when nobody says more: that an answer is awaited, or has come to its
    /// end.
    pub fn seen(message: &RawValue) -> Self {
        #[derive(Deserialize, Default)]
        struct Message<'a> {
            role: Option<Value>,
            time: Option<Value>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
        }
        let Message { role, time, error } = serde_json::from_str(message.get()).unwrap_or_default();
        let is_answer = role.is_some_and(|role| role == "assistant");
        // An answer of which no times are told ended when it came.
        let is_over = time.is_none_or(|time| !time["completed"].is_null()) || error.is_some();
        Self { state: if is_answer && is_over { "idle" } else { "busy" }, label: None, at: None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    #[test]
    fn an_agent_says_what_it_does_in_a_word_that_is_known() {
        let said = |value: Value| Activity::said(&raw(&value));
        let waiting = said(json!({"state": "waiting", "at": 5, "label": "Run `make`?"})).unwrap();
        assert_eq!(waiting, Activity { state: "waiting", label: Some("Run `make`?".into()), at: Some(5) });
        let odd = said(json!({"state": "gone", "at": "soon", "label": 7})).unwrap();
        assert_eq!(odd, Activity { state: "gone", label: None, at: None });
        let long = said(json!({"state": "busy", "label": "é".repeat(250)})).unwrap();
        assert_eq!(long.label, Some("é".repeat(200)));
        for odd in [json!({"state": "asleep"}), json!({}), json!([]), json!("busy")] {
            assert_eq!(said(odd.clone()), None, "{odd}");
        }
    }

    #[test]
    fn the_last_message_says_whether_an_answer_is_awaited() {
        for (message, state) in [
            (json!({"role": "user", "time": {"created": 1}}), "busy"),
            (json!({"role": "assistant", "time": {"created": 1}}), "busy"),
            (json!({"role": "assistant", "time": {"created": 1, "completed": 2}}), "idle"),
            (
                json!({"role": "assistant", "time": {"created": 1}, "error": {"name": "MessageAbortedError"}}),
                "idle",
            ),
            (json!({"role": "assistant"}), "idle"),
            (json!({"role": 7, "time": []}), "busy"),
        ] {
            assert_eq!(Activity::seen(&raw(&message)).state, state, "{message}");
        }
    }
}
