//! pi's transcripts: a head, then entries that are linked to a tree by `parentId`; the last one is the leaf.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::conversation::Outcome;
use super::text::{fields, file, instant, is_id, pick};
use super::tree::{Parent, Tree};
use super::{Convert, Session, State, Title};

/// Entries that are known and say nothing for a reader.
const SILENT: [&str; 5] = ["custom", "custom_message", "label", "model_change", "thinking_level_change"];

#[derive(Debug, Default)]
pub(super) struct Pi {
    has_head: bool,
    tree: Tree,
    entries: usize,
}

/// An entry, and where it stands.
struct Entry {
    node: Option<usize>,
    source: String,
    at: Option<i64>,
}

impl Convert for Pi {
    fn record(&mut self, session: &mut Session, record: Map<String, Value>) {
        self.entries += 1;
        let field = |name: &str| record.get(name).unwrap_or(&Value::Null);
        let kind = field("type");
        if kind == "session" {
            return self.head(session, &record);
        }
        let id = field("id").as_str();
        let node = match id {
            Some(id) => {
                let parent = field("parentId").as_str().map_or(Parent::None, Parent::Id);
                // An entry that was read already.
                let Some(node) = self.tree.add(id, parent) else { return };
                Some(node)
            }
            None => None,
        };
        let source = id.map_or_else(|| format!("#{}", self.entries), ToOwned::to_owned);
        let entry = Entry { node, source, at: instant(field("timestamp")) };
        match kind.as_str().unwrap_or_default() {
            "message" => self.message(session, &entry, field("message")),
            "compaction" | "branch_summary" => self.summary(session, &entry, field("summary")),
            "session_info" => session.entitle(Title::User, field("name")),
            name if SILENT.contains(&name) => {}
            _ => session.about.count(kind),
        }
    }

    fn settle(&mut self, session: &mut Session) {
        self.tree.settle(&mut session.conversation);
    }
}

impl Pi {
    fn head(&mut self, session: &mut Session, head: &Map<String, Value>) {
        if std::mem::replace(&mut self.has_head, true) {
            return;
        }
        let field = |name: &str| head.get(name).unwrap_or(&Value::Null);
        session.rename(field("id").as_str().filter(|id| is_id(id)).map(|id| format!("pi_{id}")));
        let about = &mut session.about;
        about.created = instant(field("timestamp"));
        about.directory = field("cwd").as_str().map(ToOwned::to_owned);
    }

    fn attach(&mut self, entry: &Entry, message: usize, is_prompt: bool) {
        if let Some(node) = entry.node {
            self.tree.attach(node, message, is_prompt);
        }
    }

    fn message(&mut self, session: &mut Session, entry: &Entry, message: &Value) {
        match message["role"].as_str().unwrap_or_default() {
            "user" => self.prompt(session, entry, message),
            "assistant" => self.answer(session, entry, message),
            "toolResult" => result(session, entry.at, message),
            "bashExecution" => self.shell(session, entry, message),
            "compactionSummary" | "branchSummary" => self.summary(session, entry, &message["summary"]),
            "custom" | "hookMessage" => {}
            _ => session.about.count(&message["role"]),
        }
    }

    fn prompt(&mut self, session: &mut Session, entry: &Entry, message: &Value) {
        let mut parts = Vec::new();
        for block in &blocks_of(&message["content"]) {
            match block["type"].as_str().unwrap_or_default() {
                "text" => {
                    let text = without_names(block["text"].as_str().unwrap_or_default());
                    if !text.is_empty() {
                        parts.push(fields([("type", json!("text")), ("text", json!(text))]));
                    }
                }
                "image" => parts.extend(picture(block)),
                _ => session.about.count(&block["type"]),
            }
        }
        if parts.is_empty() {
            return;
        }
        let prompt = session.conversation.prompt(0, &entry.source, entry.at);
        for part in parts {
            if let Some(text) = part.get("text") {
                session.entitle(Title::Prompt, text);
            }
            session.conversation.push(prompt, part);
        }
        self.attach(entry, prompt, true);
        session.about.state = State::Busy;
    }

    fn answer(&mut self, session: &mut Session, entry: &Entry, message: &Value) {
        let conversation = &mut session.conversation;
        conversation.freeze(0);
        let answer = conversation.answer(0, &entry.source, entry.at);
        for block in &blocks_of(&message["content"]) {
            let text = |name: &str| block[name].as_str().unwrap_or_default();
            match text("type") {
                "text" if !text("text").trim().is_empty() => {
                    conversation.say(answer, "text", text("text"), entry.at);
                }
                "thinking" if !text("thinking").trim().is_empty() => {
                    conversation.say(answer, "reasoning", text("thinking"), entry.at);
                }
                "toolCall" if !text("id").is_empty() => {
                    let (tool, input) = tool(text("name"), &block["arguments"]);
                    conversation.call(answer, text("id"), tool, input, entry.at);
                }
                "text" | "thinking" | "toolCall" => {}
                _ => session.about.count(&block["type"]),
            }
        }
        if let Some(model) = message["model"].as_str() {
            let provider = message["provider"].as_str();
            conversation.set(answer, "modelID", json!(model));
            conversation.set(answer, "providerID", json!(provider));
            session.about.note_model(provider, model);
        }
        if let Some(usage) = message["usage"].as_object() {
            let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
            let tokens = json!({
                "input": count("input"),
                "output": count("output"),
                "reasoning": 0,
                "cache": {"read": count("cacheRead"), "write": count("cacheWrite")},
            });
            conversation.set(answer, "tokens", tokens);
            if let Some(cost) = usage.get("cost").and_then(|cost| cost["total"].as_f64()) {
                conversation.set(answer, "cost", json!(cost));
                session.about.cost = Some(session.about.cost.unwrap_or_default() + cost);
            }
        }
        let reason = message["stopReason"].as_str().unwrap_or_default();
        if !reason.is_empty() {
            conversation.set(answer, "finish", json!(reason));
        }
        session.about.state = State::Idle;
        match reason {
            "toolUse" => session.about.state = State::Busy,
            "aborted" => conversation.abort(answer, entry.at),
            "error" => {
                let error = message["errorMessage"].as_str().unwrap_or("the request failed");
                conversation.fail(answer, "APIError", fields([("message", json!(error))]));
            }
            _ => conversation.finish(answer),
        }
        self.attach(entry, answer, false);
    }

    /// A command that the user gave to the shell.
    fn shell(&mut self, session: &mut Session, entry: &Entry, message: &Value) {
        let conversation = &mut session.conversation;
        let command = message["command"].as_str().unwrap_or_default();
        let prompt = conversation.prompt(0, &entry.source, entry.at);
        conversation.say(prompt, "text", &format!("! {command}"), entry.at);
        conversation.freeze(0);
        let answer = conversation.answer(0, &entry.source, entry.at);
        let mut outcome = Outcome::completed(message["output"].as_str().unwrap_or_default());
        if let Some(exit) = message["exitCode"].as_i64() {
            outcome = outcome.with("exit", exit);
        }
        if message["truncated"] == true {
            outcome = outcome.with("truncated", true);
        }
        conversation.call(answer, &entry.source, "bash", json!({"command": command}), entry.at);
        conversation.end(&entry.source, outcome, entry.at);
        conversation.finish(answer);
        self.attach(entry, prompt, true);
        self.attach(entry, answer, true);
    }

    fn summary(&mut self, session: &mut Session, entry: &Entry, summary: &Value) {
        let Some(summary) = summary.as_str().filter(|summary| !summary.trim().is_empty()) else { return };
        let conversation = &mut session.conversation;
        let prompt = conversation.prompt(0, &entry.source, entry.at);
        conversation.push(prompt, fields([("type", json!("compaction")), ("auto", json!(false))]));
        conversation.freeze(0);
        let answer = conversation.answer(0, &entry.source, entry.at);
        conversation.set(answer, "summary", json!(true));
        conversation.say(answer, "text", summary, entry.at);
        conversation.finish(answer);
        self.attach(entry, prompt, false);
        self.attach(entry, answer, false);
    }
}

fn result(session: &mut Session, at: Option<i64>, message: &Value) {
    let Some(id) = message["toolCallId"].as_str() else { return };
    let Some((tool, input)) = session.conversation.called(id).filter(|_| session.conversation.runs(id))
    else {
        return;
    };
    let blocks = blocks_of(&message["content"]);
    let texts =
        blocks.iter().filter(|block| block["type"] == "text").filter_map(|block| block["text"].as_str());
    let text = texts.collect::<Vec<_>>().join("\n");
    let mut outcome = match ended(&text).filter(|_| tool == "bash") {
        Some((output, exit)) => Outcome::completed(output).with("exit", exit),
        None if message["isError"] == true => Outcome::failed(text),
        None if tool == "bash" => Outcome::completed(text).with("exit", 0),
        None => Outcome::completed(text),
    };
    if let (Some(diff), "edit", true) = (message["details"]["diff"].as_str(), tool, outcome.output.is_ok()) {
        outcome = outcome.with("diff", unified(diff, input["filePath"].as_str().unwrap_or("file")));
    }
    outcome.attachments =
        blocks.iter().filter(|block| block["type"] == "image").filter_map(picture).collect();
    session.conversation.end(id, outcome, at);
    session.about.state = State::Busy;
}

/// A command's output and its code, when its last line says that.
fn ended(text: &str) -> Option<(&str, i32)> {
    let (output, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
    let exit = last.strip_prefix("Command exited with code ")?.parse().ok()?;
    Some((output.trim_end(), exit))
}

/// A difference in the shape that is known everywhere: pi numbers the lines, and leaves the head out.
fn unified(diff: &str, path: &str) -> String {
    if diff.starts_with("---") || diff.starts_with("@@") {
        return diff.to_owned();
    }
    let mut unified = super::text::diff_head(path);
    let mut hunk = Hunk::default();
    for line in diff.lines() {
        let (sign, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
        let rest = rest.trim_start();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: Option<u64> = rest[..digits].parse().ok();
        let Some(number) = number.filter(|_| matches!(sign, "+" | "-" | " ")) else {
            hunk.write_to(&mut unified);
            continue;
        };
        let text = rest[digits..].strip_prefix(' ').unwrap_or(&rest[digits..]);
        hunk.add(sign, number, text);
    }
    hunk.write_to(&mut unified);
    unified
}

#[derive(Default)]
struct Hunk {
    lines: String,
    first: Option<u64>,
    old: u64,
    new: u64,
}

impl Hunk {
    fn add(&mut self, sign: &str, number: u64, text: &str) {
        self.first.get_or_insert(number);
        self.old += u64::from(sign != "+");
        self.new += u64::from(sign != "-");
        let _ = writeln!(self.lines, "{sign}{text}");
    }

    fn write_to(&mut self, diff: &mut String) {
        let Self { lines, first, old, new } = std::mem::take(self);
        if let Some(first) = first {
            let _ = write!(diff, "@@ -{first},{old} +{first},{new} @@\n{lines}");
        }
    }
}

/// The blocks of a content, which may be one text.
fn blocks_of(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        Value::Array(blocks) => blocks.clone(),
        _ => Vec::new(),
    }
}

fn picture(block: &Value) -> Option<Map<String, Value>> {
    Some(file(block["mimeType"].as_str(), block["data"].as_str()?))
}

/// A prompt without the names of the pictures that stand beside it.
fn without_names(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<file name=\"") {
        let Some((_, after)) = after.split_once("\"></file>").filter(|(name, _)| !name.contains('"')) else {
            break;
        };
        kept.push_str(before);
        rest = after;
    }
    kept.push_str(rest);
    kept.trim().to_owned()
}

/// What a tool and its input are called here.
fn tool<'a>(name: &'a str, input: &Value) -> (&'a str, Value) {
    let (tool, names): (&str, &[(&str, &str)]) = match name {
        "bash" => ("bash", &[("command", "command")]),
        "read" => ("read", &[("path", "filePath"), ("offset", "offset"), ("limit", "limit")]),
        "write" => ("write", &[("path", "filePath"), ("content", "content")]),
        "edit" => ("edit", &[("path", "filePath"), ("oldText", "oldString"), ("newText", "newString")]),
        "grep" => ("grep", &[("pattern", "pattern"), ("path", "path"), ("glob", "include")]),
        "find" => ("glob", &[("pattern", "pattern"), ("path", "path")]),
        "ls" => ("list", &[("path", "path")]),
        _ => return (name, input.clone()),
    };
    (tool, pick(input, names))
}
