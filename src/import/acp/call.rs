//! A call of a tool, which its agent describes piece by piece, as the state of a part.

use std::borrow::Cow;
use std::collections::HashMap;

use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};
use serde_json::{Map, Value, json};

use super::part_of;
use crate::import::text::{diff_head, fields, whole_diff};

/// Lines of two texts up to which it is found out what they have in common.
const MAX_LINES: usize = 20_000;

/// Under which keys of an input a path may stand. The page knows more of them; one of these is added when none of them
/// is there.
const PATHS: [&str; 7] =
    ["filePath", "file_path", "path", "absolute_path", "notebook_path", "directory", "paths"];

/// Under which keys of what a tool gave its words may stand.
const OUTPUTS: [&str; 7] = ["output", "formatted_output", "stdout", "content", "text", "error", "message"];

/// A terminal of the client, in which a command runs.
#[derive(Debug)]
pub(super) struct Terminal {
    command: String,
    output: String,
    exit: Option<i64>,
}

impl Terminal {
    pub(super) fn new(command: String) -> Self {
        Self { command, output: String::new(), exit: None }
    }

    /// Takes in what it shows, or how it ended.
    pub(super) fn update(&mut self, result: &Value) {
        if let Some(output) = result["output"].as_str() {
            output.clone_into(&mut self.output);
        }
        let ended = if result["exitStatus"].is_object() { &result["exitStatus"] } else { result };
        self.exit = ended["exitCode"].as_i64().or(self.exit);
    }
}

/// A command and its arguments. What else a terminal is created with, such as its environment, is not looked at.
pub(super) fn command_line(params: &Value) -> String {
    let arguments = params["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    params["command"].as_str().into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

/// One call, as far as it was described.
#[derive(Debug)]
pub(super) struct Call {
    /// What the call is known by in the conversation.
    pub(super) key: String,
    start: i64,
    last: i64,
    name: Option<String>,
    kind: Option<String>,
    title: Option<String>,
    status: Option<String>,
    path: Option<String>,
    input: Value,
    raw: Value,
    content: Vec<Value>,
    /// The changes of files that stand in the content.
    patches: Option<Vec<Value>>,
    /// Bytes of its state when it was written last, and how much had been said then.
    pub(super) size: usize,
    pub(super) written: usize,
}

impl Call {
    pub(super) fn new(key: String, now: i64) -> Self {
        Self {
            key,
            start: now,
            last: now,
            name: None,
            kind: None,
            title: None,
            status: None,
            path: None,
            input: Value::Null,
            raw: Value::Null,
            content: Vec::new(),
            patches: None,
            size: 0,
            written: 0,
        }
    }

    /// Takes in what is said of it: what is not said stays as it was.
    pub(super) fn update(&mut self, update: &Value, now: i64) {
        self.last = now;
        let text = |name: &str| update[name].as_str().map(ToOwned::to_owned);
        self.name = text("name").or(self.name.take());
        self.kind = text("kind").or(self.kind.take());
        self.title = text("title").or(self.title.take());
        self.status = text("status").or(self.status.take());
        let place = update["locations"][0]["path"].as_str().map(ToOwned::to_owned);
        self.path = place.or(self.path.take());
        for (name, known) in [("rawInput", &mut self.input), ("rawOutput", &mut self.raw)] {
            if let Some(value) = update.get(name).filter(|value| !value.is_null()) {
                known.clone_from(value);
            }
        }
        if let Some(content) = update["content"].as_array() {
            self.content.clone_from(content);
            self.patches = None;
        }
    }

    /// Whether it has its result.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.as_deref(), Some("completed" | "failed"))
    }

    /// Whether a terminal belongs to it.
    pub(super) fn shows(&self, terminal: &str) -> bool {
        self.content.iter().any(|block| block["type"] == "terminal" && block["terminalId"] == terminal)
    }

    /// Pictures and files among what it gave.
    pub(super) fn files(&self) -> Vec<Map<String, Value>> {
        let parts = self.content.iter().filter(|block| block["type"] == "content");
        parts.filter_map(|block| part_of(&block["content"])).filter(|part| part.contains_key("url")).collect()
    }

    /// The tool's name and the state of the call.
    pub(super) fn state(&mut self, terminals: &HashMap<String, Terminal>) -> (String, Map<String, Value>) {
        if self.patches.is_none() {
            let diffs = self.content.iter().filter(|block| block["type"] == "diff");
            self.patches = Some(diffs.filter_map(patch).collect());
        }
        let patches = self.patches.as_deref().unwrap_or_default();
        let shown = self.content.iter().filter(|block| block["type"] == "terminal");
        let shown = shown.filter_map(|block| terminals.get(block["terminalId"].as_str()?));
        let shown: Vec<_> = shown.collect();
        let tool = self.tool(!patches.is_empty(), !shown.is_empty());
        let input = self.input(&tool, patches, &shown);
        let mut metadata = Map::new();
        if !patches.is_empty() {
            metadata.insert("files".into(), json!(patches));
        }
        let exit = shown.iter().find_map(|terminal| terminal.exit).or_else(|| exit(&self.raw));
        if let Some(exit) = exit.filter(|_| tool == "bash") {
            metadata.insert("exit".into(), json!(exit));
        }
        let output = self.output(&shown);
        let title = self.title.as_deref().unwrap_or_default();
        let mut state = fields([("input", input), ("title", json!(title))]);
        let mut time = json!({"start": self.start});
        match self.status.as_deref() {
            Some("completed") => {
                state.insert("status".into(), json!("completed"));
                state.insert("output".into(), json!(output));
            }
            Some("failed") => {
                state.insert("status".into(), json!("error"));
                let error = if output.is_empty() { Cow::Borrowed("failed") } else { output };
                state.insert("error".into(), json!(error));
            }
            _ => {
                state.insert("status".into(), json!("running"));
                if !output.is_empty() {
                    metadata.insert("output".into(), json!(output));
                }
            }
        }
        if self.is_over() {
            time["end"] = json!(self.last);
        }
        state.insert("time".into(), time);
        state.insert("metadata".into(), Value::Object(metadata));
        (tool, state)
    }

    /// The tool, by what it means; else by its own name.
    fn tool(&self, changes_files: bool, has_terminal: bool) -> String {
        let kind = self.kind.as_deref().unwrap_or("other");
        let tool = match kind {
            _ if changes_files => "edit",
            "read" => "read",
            "edit" => "edit",
            "search" => "grep",
            "execute" => "bash",
            "fetch" => "webfetch",
            _ if has_terminal => "bash",
            _ => return self.name.clone().unwrap_or_else(|| kind.to_owned()),
        };
        tool.to_owned()
    }

    /// The input, with what it does not say itself.
    fn input(&self, tool: &str, patches: &[Value], terminals: &[&Terminal]) -> Value {
        let mut input = match &self.input {
            Value::Object(input) => input.clone(),
            Value::Null => Map::new(),
            other => return other.clone(),
        };
        let has =
            |input: &Map<String, Value>, names: &[&str]| names.iter().any(|name| input.contains_key(*name));
        match tool {
            "read" | "edit" if !has(&input, &PATHS) => {
                let path = self.path.as_deref().or_else(|| patches.first()?["path"].as_str());
                input.extend(path.map(|path| ("filePath".to_owned(), json!(path))));
            }
            "bash" if !has(&input, &["command", "cmd"]) => {
                let command = terminals.first().map(|terminal| &*terminal.command);
                let command = command.filter(|command| !command.is_empty()).or(self.title.as_deref());
                let command = command.map(|command| command.trim().trim_matches('`'));
                input.extend(command.map(|command| ("command".to_owned(), json!(command))));
            }
            _ => {}
        }
        Value::Object(input)
    }

    /// What came out: what the client shows, or else what the tool itself gave.
    fn output<'a>(&'a self, terminals: &[&'a Terminal]) -> Cow<'a, str> {
        let blocks = self.content.iter().filter(|block| block["type"] == "content");
        let blocks = blocks.map(|block| &block["content"]);
        let texts =
            blocks.filter(|block| part_of(block).is_some()).filter_map(|block| block["text"].as_str());
        let shown = terminals.iter().map(|terminal| &*terminal.output);
        let said: Vec<_> = texts.map(without_fence).chain(shown).filter(|text| !text.is_empty()).collect();
        match said[..] {
            [] => raw_output(&self.raw),
            [text] => Cow::Borrowed(text),
            _ => Cow::Owned(said.join("\n")),
        }
    }
}

/// The change of a file, as a unified diff. Of a file that is too large to be compared it is said that it changed.
fn patch(block: &Value) -> Option<Value> {
    let (path, new) = (block["path"].as_str()?, block["newText"].as_str()?);
    let Some(old) = block["oldText"].as_str() else {
        return Some(json!({"path": path, "patch": whole_diff(path, new, true)}));
    };
    let mut unified = diff_head(path);
    if old.lines().count() + new.lines().count() <= MAX_LINES {
        let input = InternedInput::new(old, new);
        // Its time is linear in practice; that of the others is quadratic where every second line is the same.
        let mut diff = Diff::compute(Algorithm::Myers, &input);
        diff.postprocess_lines(&input);
        let printer = BasicLineDiffPrinter(&input.interner);
        unified += &diff.unified_diff(&printer, UnifiedDiffConfig::default(), &input).to_string();
    }
    Some(json!({"path": path, "patch": unified}))
}

/// A text without the fence in which all of it stands, as agents put it for the client's Markdown.
fn without_fence(text: &str) -> &str {
    let inside = || {
        let (head, rest) = text.trim().strip_prefix("```")?.split_once('\n')?;
        let (rest, end) = rest.rsplit_once("```")?;
        let is_fence = !head.contains('`') && end.trim_matches('`').is_empty() && !rest.contains("\n```");
        is_fence.then(|| rest.strip_suffix('\n').unwrap_or(rest))
    };
    inside().unwrap_or(text)
}

fn raw_output(raw: &Value) -> Cow<'_, str> {
    match raw {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => {
            let words = OUTPUTS.iter().find_map(|name| other[*name].as_str());
            words.map_or_else(|| Cow::Owned(other.to_string()), Cow::Borrowed)
        }
    }
}

/// How a command ended, where what it gave says so.
fn exit(raw: &Value) -> Option<i64> {
    let names = ["exit", "exit_code", "exitCode"];
    names.iter().find_map(|name| raw[*name].as_i64().or_else(|| raw["metadata"][*name].as_i64()))
}
