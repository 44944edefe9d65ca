//! Gemini CLI's transcripts: a document that is written whole again and again, and since version 0.50 or so lines that
//! are operations on a list of messages.
//!
//! When a session is resumed, the list is emptied and filled again, with new times and without most of what the
//! messages had. So a list says only which messages are there; of a message, what was once known stays.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::conversation::Outcome;
use super::text::{Fingerprint, fields, file, fingerprint, instant, is_id, pick};
use super::{Convert, Session, State, Title};

const PROVIDER: &str = "google";

/// What the program tells the model before a prompt: where it is, and what stands in the user's instructions.
const CONTEXT: [&str; 2] = ["<session_context>", "<loaded_context>"];

/// What stands around the files that a prompt names.
const FILES: [&str; 2] = ["--- Content from referenced files ---", "--- End of content ---"];

#[derive(Debug, Default)]
pub(super) struct Gemini {
    has_head: bool,
    known: HashMap<Fingerprint, Known>,
    /// The messages that are there, in their order: by id and type, for a prompt can have the id of an answer.
    list: Vec<(Fingerprint, Fingerprint)>,
    /// The messages that came into the list or went out of it since that was shown last.
    changed: Vec<Fingerprint>,
    /// Whether the list was emptied, and may be filled again by the next line.
    is_emptied: bool,
}

/// What is known of a message.
#[derive(Debug, Default)]
struct Known {
    /// Its place in the conversation, if there is something to show of it.
    slot: Option<usize>,
    /// Whether it is in the list.
    is_listed: bool,
    thoughts: usize,
    /// Where its words stand, and which they are.
    text: Option<(usize, Fingerprint)>,
}

impl Convert for Gemini {
    fn record(&mut self, session: &mut Session, mut record: Map<String, Value>) {
        if let Some(set) = record.remove("$set") {
            if let Some(summary) = set.get("summary") {
                session.entitle(Title::Agent, summary);
            }
            if let Some(messages) = set.get("messages").and_then(Value::as_array) {
                self.set_messages(session, messages);
            }
            return;
        }
        if let Some(to) = record.remove("$rewindTo") {
            return self.rewind(to.as_str().unwrap_or_default());
        }
        if let Some(operation) = record.keys().find(|name| name.starts_with('$')) {
            return session.about.count(&json!(operation));
        }
        if record.contains_key("projectHash") || record.contains_key("startTime") {
            return self.head(session, &record);
        }
        self.is_emptied = false;
        self.message(session, &Value::Object(record));
    }

    fn document(&mut self, session: &mut Session, document: &Value) {
        if let Value::Object(head) = document {
            self.head(session, head);
        }
        session.entitle(Title::Agent, &document["summary"]);
        if let Some(messages) = document["messages"].as_array() {
            self.set_messages(session, messages);
            self.is_emptied = false;
        }
    }

    fn settle(&mut self, session: &mut Session) {
        if !self.is_emptied {
            self.show(session);
        }
    }
}

impl Gemini {
    fn head(&mut self, session: &mut Session, head: &Map<String, Value>) {
        if std::mem::replace(&mut self.has_head, true) {
            return;
        }
        let field = |name: &str| head.get(name).unwrap_or(&Value::Null);
        session.about.created = instant(field("startTime"));
        session.about.is_subagent = field("kind") == "subagent";
        session.rename(field("sessionId").as_str().filter(|id| is_id(id)).map(|id| format!("gm_{id}")));
    }

    /// Shows what is in the list, and hides what is not.
    fn show(&mut self, session: &mut Session) {
        for key in std::mem::take(&mut self.changed) {
            if let Some(Known { slot: Some(slot), is_listed, .. }) = self.known.get(&key) {
                session.conversation.hide(*slot, !is_listed);
            }
        }
    }

    /// Says which messages are there, and in which order.
    fn set_messages(&mut self, session: &mut Session, messages: &[Value]) {
        // What was decided before stands as long as the list is empty.
        self.settle(session);
        for (key, _) in std::mem::take(&mut self.list) {
            self.unlist(key);
        }
        for message in messages {
            self.message(session, message);
        }
        self.is_emptied =
            !self.list.iter().any(|(key, _)| self.known.get(key).is_some_and(|known| known.slot.is_some()));
    }

    fn unlist(&mut self, key: Fingerprint) {
        if let Some(known) = self.known.get_mut(&key) {
            known.is_listed = false;
            self.changed.push(key);
        }
    }

    /// Removes a message and all after it; all, if there is none of that id.
    fn rewind(&mut self, id: &str) {
        let id = fingerprint(&[id]);
        self.is_emptied = false;
        let mut found = false;
        while let Some((key, of)) = self.list.pop_if(|(_, of)| !found || *of == id) {
            found |= of == id;
            self.unlist(key);
        }
    }

    fn message(&mut self, session: &mut Session, message: &Value) {
        let (Some(id), Some(kind)) = (message["id"].as_str(), message["type"].as_str()) else {
            return session.about.count(&message["type"]);
        };
        let key = fingerprint(&[id, kind]);
        let known = self.known.entry(key).or_default();
        if !std::mem::replace(&mut known.is_listed, true) {
            self.list.push((key, fingerprint(&[id])));
            self.changed.push(key);
        }
        let source = format!("{kind}/{id}");
        match kind {
            "user" if known.slot.is_none() => known.slot = prompt(session, &source, message),
            "gemini" => answer(session, known, &source, message),
            "error" if known.slot.is_none() => {
                let conversation = &mut session.conversation;
                let answer = conversation.answer(0, &source, instant(&message["timestamp"]));
                let text = texts_of(&message["content"]);
                conversation.fail(answer, "UnknownError", fields([("message", json!(text))]));
                session.about.state = State::Idle;
                known.slot = Some(answer);
            }
            "user" | "error" => {}
            "info" | "warning" => session.about.state = State::Idle,
            _ => session.about.count(&message["type"]),
        }
    }
}

/// A prompt, as it was typed; nothing for what the program says to the model in the user's name.
fn prompt(session: &mut Session, source: &str, message: &Value) -> Option<usize> {
    let single;
    let content = match &message["content"] {
        Value::Array(content) => content.as_slice(),
        Value::String(text) => {
            single = [json!({"text": text})];
            &single
        }
        _ => return None,
    };
    if content.iter().any(|part| !part["functionResponse"].is_null()) {
        return None;
    }
    let typed = message["displayContent"].as_array().map_or(content, Vec::as_slice);
    let mut parts = Vec::new();
    let mut is_in_files = false;
    for text in typed.iter().filter_map(|part| part["text"].as_str()) {
        let text = text.trim();
        if FILES.contains(&text) {
            is_in_files = text == FILES[0];
        } else if !is_in_files && !text.is_empty() && !CONTEXT.iter().any(|mark| text.starts_with(mark)) {
            parts.push(fields([("type", json!("text")), ("text", json!(text))]));
        }
    }
    parts.extend(content.iter().filter_map(inline));
    if parts.is_empty() {
        return None;
    }
    let conversation = &mut session.conversation;
    let prompt = conversation.prompt(0, source, instant(&message["timestamp"]));
    for part in parts {
        if let Some(text) = part.get("text") {
            session.entitle(Title::Prompt, text);
        }
        session.conversation.push(prompt, part);
    }
    session.about.state = State::Busy;
    Some(prompt)
}

/// An answer, or more of it.
fn answer(session: &mut Session, known: &mut Known, source: &str, message: &Value) {
    let at = instant(&message["timestamp"]);
    let thoughts = message["thoughts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let calls = message["toolCalls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = texts_of(&message["content"]);
    if known.slot.is_none() && thoughts.is_empty() && calls.is_empty() && text.trim().is_empty() {
        return;
    }
    let conversation = &mut session.conversation;
    let answer = *known.slot.get_or_insert_with(|| {
        if let Some(before) = conversation.last_answer(0) {
            conversation.freeze_before(0, before);
        }
        let answer = conversation.answer(0, source, at);
        conversation.finish(answer);
        answer
    });
    for thought in thoughts.iter().skip(known.thoughts) {
        let (subject, words) = (&thought["subject"], &thought["description"]);
        let subject =
            subject.as_str().filter(|subject| !subject.is_empty()).map(|subject| format!("**{subject}**"));
        let words = words.as_str().filter(|words| !words.is_empty()).map(ToOwned::to_owned);
        let thought: Vec<_> = subject.into_iter().chain(words).collect();
        if !thought.is_empty() {
            conversation.say(answer, "reasoning", &thought.join("\n\n"), at);
        }
    }
    known.thoughts = known.thoughts.max(thoughts.len());
    if !text.trim().is_empty() {
        let print = fingerprint(&[&text]);
        match known.text {
            None => known.text = Some((conversation.say(answer, "text", &text, at), print)),
            // A version that has less than what is known says nothing new.
            Some((number, old)) if old != print && !message["tokens"].is_null() => {
                if conversation.rewrite(answer, number, &text) {
                    known.text = Some((number, print));
                }
            }
            Some(_) => {}
        }
    }
    if let Some(model) = message["model"].as_str() {
        conversation.set(answer, "modelID", json!(model));
        conversation.set(answer, "providerID", json!(PROVIDER));
        session.about.note_model(Some(PROVIDER), model);
    }
    if let Some(tokens) = message["tokens"].as_object() {
        conversation.set(answer, "tokens", usage(tokens));
    }
    session.about.state = if calls.is_empty() { State::Idle } else { State::Busy };
    for call in calls {
        call_of(session, answer, call);
    }
}

fn call_of(session: &mut Session, answer: usize, call: &Value) {
    let (Some(id), Some(name)) = (call["id"].as_str(), call["name"].as_str()) else { return };
    let at = instant(&call["timestamp"]);
    let (tool, input) = tool(name, &call["args"]);
    session.conversation.call(answer, id, tool, input, at);
    if let Some(agent) = call["agentId"].as_str().filter(|agent| is_id(agent)) {
        session.conversation.note(id, "sessionId", json!(format!("gm_{agent}")));
    }
    let status = match call["status"].as_str().unwrap_or_default() {
        "success" => Status::Success,
        "error" => Status::Error,
        "cancelled" => Status::Cancelled,
        _ => return,
    };
    let results = call["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    finish(session, id, status, results, &call["resultDisplay"], at);
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Error,
    Cancelled,
}

/// Ends a call with what it gave to the model, and what the program showed of it.
pub(super) fn finish(
    session: &mut Session,
    id: &str,
    status: Status,
    results: &[Value],
    display: &Value,
    at: Option<i64>,
) {
    let Some((tool, input)) = session.conversation.called(id).filter(|_| session.conversation.runs(id))
    else {
        return;
    };
    let responses = results.iter().map(|result| &result["functionResponse"]["response"]);
    let said = responses.clone().filter_map(|response| response["output"].as_str());
    let said = plain(&said.collect::<Vec<_>>().join("\n"));
    let error = responses.filter_map(|response| response["error"].as_str()).collect::<Vec<_>>().join("\n");
    let mut outcome = match status {
        Status::Success | Status::Error if display["type"] == "shell_result" => shell_result(display),
        Status::Success if tool == "bash" => ran(&said),
        Status::Success => Outcome::completed(&*said),
        Status::Cancelled => Outcome::failed("cancelled"),
        Status::Error => {
            let shown = display.as_str().unwrap_or_default();
            let words = [&*error, &*said, shown].into_iter().find(|words| !words.is_empty());
            Outcome::failed(words.unwrap_or("failed"))
        }
    };
    if status == Status::Success {
        if let Some(diff) = display["fileDiff"].as_str() {
            outcome = outcome.with("diff", diff);
        }
        match tool {
            "write" => {
                let exists = display["isNewFile"] != true;
                outcome = outcome.with("exists", exists).with("filepath", input["filePath"].clone());
            }
            "todowrite" => outcome = outcome.with("todos", input["todos"].clone()),
            _ => {}
        }
    }
    outcome.attachments = results.iter().filter_map(inline).collect();
    session.conversation.end(id, outcome, at);
}

/// An output without the marks that tell the model not to believe it.
fn plain(output: &str) -> String {
    let lines = output.lines().filter(|line| {
        !matches!(line.trim(), "<untrusted_context>" | "</untrusted_context>")
            && !line.starts_with("Process Group PGID:")
    });
    let mut plain = lines.collect::<Vec<_>>().join("\n");
    if output.ends_with('\n') && !plain.is_empty() {
        plain.push('\n');
    }
    plain
}

/// What a command gave: its output and its code.
fn ran(said: &str) -> Outcome {
    let said = said.strip_prefix("Output: ").unwrap_or(said);
    let mut exit = 0;
    let mut lines: Vec<_> = said.lines().collect();
    if let Some(code) = lines.iter().rposition(|line| line.starts_with("Exit Code: ")) {
        exit = lines.remove(code).trim_start_matches("Exit Code: ").trim().parse::<i32>().unwrap_or(1);
    }
    let output = lines.join("\n");
    Outcome::completed(if output == "(empty)" { "" } else { &output }).with("exit", exit)
}

/// What a command gave, as Qwen Code notes it down beside what the model reads of it. One that failed is an error
/// there.
fn shell_result(display: &Value) -> Outcome {
    let killed = display["signal"].as_i64().map(|signal| 128 + signal);
    let exit = display["exitCode"].as_i64().or(killed).unwrap_or(1);
    let outcome = Outcome::completed(display["output"].as_str().unwrap_or_default()).with("exit", exit);
    if display["truncated"] == true { outcome.with("truncated", true) } else { outcome }
}

/// The texts of a content, which is one or a list of parts; thoughts are none.
pub(super) fn texts_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts =
                parts.iter().filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("")
        }
        _ => String::new(),
    }
}

/// A file whose bytes stand in a part.
pub(super) fn inline(part: &Value) -> Option<Map<String, Value>> {
    let data = part.get("inlineData")?;
    Some(file(data["mimeType"].as_str(), data["data"].as_str()?))
}

fn usage(tokens: &Map<String, Value>) -> Value {
    let count = |name: &str| tokens.get(name).and_then(Value::as_u64).unwrap_or_default();
    json!({
        "input": count("input").saturating_sub(count("cached")),
        "output": count("output"),
        "reasoning": count("thoughts"),
        "cache": {"read": count("cached"), "write": 0},
    })
}

/// What a tool and its input are called here.
pub(super) fn tool<'a>(name: &'a str, args: &Value) -> (&'a str, Value) {
    let paths: &[(&str, &str)] = &[("dir_path", "path"), ("path", "path")];
    let (tool, names): (&str, &[(&str, &str)]) = match name {
        "run_shell_command" => ("bash", &[("command", "command"), ("description", "description")]),
        "read_file" => (
            "read",
            &[
                ("absolute_path", "filePath"),
                ("file_path", "filePath"),
                ("offset", "offset"),
                ("limit", "limit"),
            ],
        ),
        "read_many_files" => {
            let list = ["include", "paths"].iter().find_map(|name| args[*name].as_array());
            let list: Vec<_> =
                list.map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str).collect();
            return ("read", json!({"filePath": list.join(", ")}));
        }
        "write_file" => ("write", &[("file_path", "filePath"), ("content", "content")]),
        "replace" | "edit" => {
            ("edit", &[("file_path", "filePath"), ("old_string", "oldString"), ("new_string", "newString")])
        }
        "grep_search" | "search_file_content" => (
            "grep",
            &[("pattern", "pattern"), ("dir_path", "path"), ("path", "path"), ("include", "include")],
        ),
        "glob" => ("glob", &[("pattern", "pattern"), ("dir_path", "path"), ("path", "path")]),
        "list_directory" => ("list", paths),
        "write_todos" | "todo_write" => {
            let todos = args["todos"].as_array().map(Vec::as_slice).unwrap_or_default();
            let names = [("description", "content"), ("content", "content"), ("status", "status")];
            let todos: Vec<_> = todos.iter().map(|todo| pick(todo, &names)).collect();
            return ("todowrite", json!({"todos": todos}));
        }
        "invoke_agent" => {
            ("task", &[("agent_name", "description"), ("agent_name", "subagent_type"), ("prompt", "prompt")])
        }
        "google_web_search" | "web_search" => ("websearch", &[("query", "query")]),
        "web_fetch" => ("webfetch", &[("url", "url"), ("prompt", "prompt")]),
        _ => return (name, args.clone()),
    };
    (tool, pick(args, names))
}
