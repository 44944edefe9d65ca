//! The words of BRUTUS's bus that name no message and no part: who said something, and which tool works. They are put
//! in their place by the order in which they come.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::{Item, item};
use crate::model::Key;

/// One of these words.
#[derive(Debug, Clone)]
pub enum Word {
    /// Somebody said something.
    Said {
        /// Whether it is a prompt.
        is_prompt: bool,
        /// What was said.
        text: String,
    },
    /// A tool works.
    Executing {
        /// The tool.
        tool: String,
        /// What it was given.
        input: Value,
    },
    /// A tool has come to its end.
    Completed {
        /// The tool.
        tool: String,
        /// Whether it did what it should.
        success: bool,
        /// What came out, when that is said.
        output: Value,
    },
}

/// What was said in one session so far, as far as the next word needs it.
#[derive(Debug, Default)]
pub struct Spoken {
    /// When the last message was begun: no two have the same time, of which their ids are made.
    last: i64,
    prompt: Option<String>,
    /// The answer to which the next call belongs.
    answer: Option<String>,
    parts: usize,
    /// The calls that run, by their tools.
    running: HashMap<String, VecDeque<(Key, Value)>>,
}

/// Calls of one tool that are remembered while they run.
const MAX_RUNNING: usize = 1000;

impl Spoken {
    /// The items that a word makes, at `now` in milliseconds since 1970.
    pub fn take(&mut self, session: &str, word: Word, now: i64) -> Vec<Item> {
        let mut items = Vec::new();
        match word {
            Word::Said { is_prompt, text } => {
                let message = self.begin(session, is_prompt, now, &mut items);
                self.parts += 1;
                let id = format!("prt_{message}_{}", self.parts);
                let part = json!({"id": id, "messageID": message, "sessionID": session, "type": "text", "text": text});
                items.extend(item(Key::part(&message, &id), &part, true));
            }
            Word::Executing { tool, input } => {
                let state = json!({"status": "running", "input": input, "time": {"start": now}});
                let (key, part) = self.call(session, &tool, &state, now, &mut items);
                items.extend(item(key.clone(), &part, false));
                let running = self.running.entry(tool).or_default();
                running.push_back((key, part));
                if running.len() > MAX_RUNNING {
                    running.pop_front();
                }
            }
            Word::Completed { tool, success, output } => {
                let known = self.running.get_mut(&tool).and_then(VecDeque::pop_front);
                let (key, mut part) = known.unwrap_or_else(|| {
                    self.call(session, &tool, &json!({"input": {}, "time": {"start": now}}), now, &mut items)
                });
                let state = &mut part["state"];
                state["status"] = json!(if success { "completed" } else { "error" });
                state[if success { "output" } else { "error" }] = output;
                state["time"]["end"] = json!(now);
                items.extend(item(key, &part, true));
            }
        }
        items
    }

    fn begin(&mut self, session: &str, is_prompt: bool, now: i64, items: &mut Vec<Item>) -> String {
        self.last = now.max(self.last + 1);
        self.parts = 0;
        let id = format!("msg_{:013}", self.last);
        let role = if is_prompt { "user" } else { "assistant" };
        let mut info = json!({"id": id, "sessionID": session, "role": role, "time": {"created": now}});
        if is_prompt {
            self.prompt = Some(id.clone());
            self.answer = None;
        } else {
            self.answer = Some(id.clone());
            info["time"]["completed"] = json!(now);
            if let Some(prompt) = &self.prompt {
                info["parentID"] = json!(prompt);
            }
        }
        items.extend(item(Key::message(&id), &info, true));
        id
    }

    /// A call in the answer that there is, or in a new one.
    fn call(
        &mut self,
        session: &str,
        tool: &str,
        state: &Value,
        now: i64,
        items: &mut Vec<Item>,
    ) -> (Key, Value) {
        let message = self.answer.clone().unwrap_or_else(|| self.begin(session, false, now, items));
        self.parts += 1;
        let id = format!("prt_{message}_{}", self.parts);
        let part = json!({
            "id": id, "messageID": message, "sessionID": session, "type": "tool", "callID": id, "tool": tool,
            "state": state,
        });
        (Key::part(&message, &id), part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_in_their_place_by_their_order() {
        let mut spoken = Spoken::default();
        let said = |is_prompt, text: &str| Word::Said { is_prompt, text: text.into() };
        let executing =
            |path: &str| Word::Executing { tool: "read_file".into(), input: json!({"path": path}) };
        let completed = |success, output: &str| Word::Completed {
            tool: "read_file".into(),
            success,
            output: json!(output),
        };
        let words = [
            said(true, "look"),
            executing("a"),
            executing("b"),
            completed(true, "of a"),
            completed(false, "of b"),
            completed(true, "of what nobody saw begin"),
            said(false, "done"),
        ];
        let mut shown = std::collections::BTreeMap::new();
        for word in words {
            // All in one millisecond.
            for Item { key, content, .. } in spoken.take("s", word, 1_000_000_000_000) {
                shown.insert(key.as_str().to_owned(), serde_json::from_str::<Value>(content.get()).unwrap());
            }
        }
        let state = |nth: usize| {
            let part = shown.values().filter(|item| item["type"] == "tool").nth(nth).unwrap();
            let state = &part["state"];
            (
                state["input"]["path"].clone(),
                state["status"].clone(),
                state["output"].clone(),
                state["error"].clone(),
            )
        };
        assert_eq!(state(0), (json!("a"), json!("completed"), json!("of a"), Value::Null));
        assert_eq!(state(1), (json!("b"), json!("error"), Value::Null, json!("of b")));
        assert_eq!(state(2).2, "of what nobody saw begin");
        let messages = shown.keys().filter(|key| key.starts_with("message/")).count();
        assert_eq!(messages, 3, "a prompt, the answer with the calls, and the last word: {shown:?}");
        let answers = shown.values().filter(|item| item["parentID"] == "msg_1000000000000").count();
        assert_eq!(answers, 2);
    }
}
