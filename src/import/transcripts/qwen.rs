//! Qwen Code's transcripts: a tree by `parentUuid` as Claude Code's is, of messages whose parts are Gemini's.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value, json};

use super::gemini::{Status, finish, inline, tool};
use super::text::{fields, instant};
use super::tree::{Parent, Tree};
use super::{Convert, Session, State, Title};

const PROVIDER: &str = "qwen";

#[derive(Debug, Default)]
pub(super) struct Qwen {
    tree: Tree,
    records: usize,
    /// The calls that have no id of their own, by the tools' names: results come in the same order.
    unnamed: HashMap<String, VecDeque<String>>,
    /// The answer that failed last, while it may be tried again.
    failed: Option<usize>,
}

impl Convert for Qwen {
    fn record(&mut self, session: &mut Session, record: Map<String, Value>) {
        self.records += 1;
        let field = |name: &str| record.get(name).unwrap_or(&Value::Null);
        let at = instant(field("timestamp"));
        let about = &mut session.about;
        about.created = about.created.or(at);
        if let (None, Some(directory)) = (&about.directory, field("cwd").as_str()) {
            about.directory = Some(directory.to_owned());
        }
        if let Some(version) = field("version").as_str() {
            about.version = Some(version.to_owned());
        }
        let id = field("uuid").as_str();
        let node = match id {
            Some(id) => {
                let parent = field("parentUuid").as_str().map_or(Parent::None, Parent::Id);
                // A record that was read already.
                let Some(node) = self.tree.add(id, parent) else { return };
                Some(node)
            }
            None => None,
        };
        let source = id.map_or_else(|| format!("#{}", self.records), ToOwned::to_owned);
        let parts = field("message")["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
        match field("type").as_str().unwrap_or_default() {
            "user" => {
                self.failed = None;
                if let Some(prompt) = prompt(session, &source, parts, at) {
                    self.attach(node, prompt, true);
                }
            }
            "assistant" => {
                if let Some(answer) = self.answer(session, &source, parts, at) {
                    describe(session, answer, field("model"), field("usageMetadata"));
                    self.attach(node, answer, false);
                }
            }
            "tool_result" => self.result(session, parts, field("toolCallResult"), at),
            "system" => {
                let event = &field("systemPayload")["uiEvent"];
                if event["event.name"] == "qwen-code.api_error" && is_of_turn(event) {
                    let failed = self.fail(session, &source, event, at);
                    self.attach(node, failed, false);
                }
            }
            _ => session.about.count(field("type")),
        }
    }

    fn settle(&mut self, session: &mut Session) {
        self.tree.settle(&mut session.conversation);
    }
}

impl Qwen {
    fn attach(&mut self, node: Option<usize>, message: usize, is_prompt: bool) {
        if let Some(node) = node {
            self.tree.attach(node, message, is_prompt);
        }
    }

    fn answer(
        &mut self,
        session: &mut Session,
        source: &str,
        parts: &[Value],
        at: Option<i64>,
    ) -> Option<usize> {
        let text = |part: &Value| {
            part["text"].as_str().filter(|text| !text.trim().is_empty()).map(ToOwned::to_owned)
        };
        if !parts.iter().any(|part| text(part).is_some() || part["functionCall"].is_object()) {
            return None;
        }
        let conversation = &mut session.conversation;
        conversation.freeze(0);
        let answer = self.failed.take().unwrap_or_else(|| conversation.answer(0, source, at));
        conversation.recover(answer);
        conversation.finish(answer);
        session.about.state = State::Idle;
        for (place, part) in parts.iter().enumerate() {
            if let Some(text) = text(part) {
                let kind = if part["thought"] == true { "reasoning" } else { "text" };
                conversation.say(answer, kind, &text, at);
            }
            let call = &part["functionCall"];
            if let Some(name) = call["name"].as_str() {
                let id = call["id"].as_str().map_or_else(|| format!("{source}_{place}"), ToOwned::to_owned);
                if call["id"].is_null() {
                    self.unnamed.entry(name.to_owned()).or_default().push_back(id.clone());
                }
                let (tool, input) = tool(name, &call["args"]);
                conversation.call(answer, &id, tool, input, at);
                session.about.state = State::Busy;
            }
        }
        Some(answer)
    }

    /// Shows that the model failed. What the program measures is the only place where that stands.
    fn fail(&mut self, session: &mut Session, source: &str, event: &Value, at: Option<i64>) -> usize {
        let conversation = &mut session.conversation;
        let answer = self.failed.unwrap_or_else(|| conversation.answer(0, source, at));
        self.failed = Some(answer);
        let told = [("message", &event["error_message"]), ("statusCode", &event["status_code"])];
        conversation.recover(answer);
        conversation.fail(answer, "APIError", fields(told.map(|(name, value)| (name, value.clone()))));
        session.about.state = State::Idle;
        answer
    }

    fn result(&mut self, session: &mut Session, parts: &[Value], told: &Value, at: Option<i64>) {
        let response =
            parts.iter().map(|part| &part["functionResponse"]).find(|response| response.is_object());
        let response = response.unwrap_or(&Value::Null);
        let id = told["callId"].as_str().or_else(|| response["id"].as_str()).map(ToOwned::to_owned);
        let name = response["name"].as_str().unwrap_or_default();
        let Some(id) = id.or_else(|| self.unnamed.get_mut(name)?.pop_front()) else { return };
        let failed = !response["response"]["error"].is_null();
        let status = match told["status"].as_str() {
            Some("cancelled") => Status::Cancelled,
            Some("error") => Status::Error,
            None if failed => Status::Error,
            _ => Status::Success,
        };
        finish(session, &id, status, parts, &told["resultDisplay"], at);
        session.about.state = State::Busy;
    }
}

/// Whether something that was measured is of a turn of the session itself, not of a request beside it.
fn is_of_turn(event: &Value) -> bool {
    let turn = event["prompt_id"].as_str().and_then(|id| Some(id.rsplit_once("########")?.1));
    turn.is_some_and(|turn| !turn.is_empty() && turn.bytes().all(|byte| byte.is_ascii_digit()))
}

fn prompt(session: &mut Session, source: &str, parts: &[Value], at: Option<i64>) -> Option<usize> {
    if parts.iter().any(|part| part["functionResponse"].is_object()) {
        return None;
    }
    let texts = parts.iter().filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str());
    let is_typed = |text: &&str| !text.is_empty() && !text.starts_with("<session_context>");
    let texts = texts
        .map(str::trim)
        .filter(is_typed)
        .map(|text| fields([("type", json!("text")), ("text", json!(text))]));
    let shown: Vec<_> = texts.chain(parts.iter().filter_map(inline)).collect();
    if shown.is_empty() {
        return None;
    }
    let prompt = session.conversation.prompt(0, source, at);
    for part in shown {
        if let Some(text) = part.get("text") {
            session.entitle(Title::Prompt, text);
        }
        session.conversation.push(prompt, part);
    }
    session.about.state = State::Busy;
    Some(prompt)
}

fn describe(session: &mut Session, answer: usize, model: &Value, usage: &Value) {
    let conversation = &mut session.conversation;
    if let Some(model) = model.as_str() {
        conversation.set(answer, "modelID", json!(model));
        conversation.set(answer, "providerID", json!(PROVIDER));
        session.about.note_model(Some(PROVIDER), model);
    }
    if usage.is_object() {
        let count = |name: &str| usage[name].as_u64().unwrap_or_default();
        let cached = count("cachedContentTokenCount");
        let tokens = json!({
            "input": count("promptTokenCount").saturating_sub(cached),
            "output": count("candidatesTokenCount"),
            "reasoning": count("thoughtsTokenCount"),
            "cache": {"read": cached, "write": 0},
        });
        conversation.set(answer, "tokens", tokens);
    }
}
