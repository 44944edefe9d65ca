//! Claude Code's transcripts, of its versions 1.0 to 2.1: a record a line, one for each block of an answer, linked to a
//! tree by `parentUuid`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::conversation::Outcome;
use super::text::{
    Fingerprint, diff_head, fields, file, file_of_url, fingerprint, instant, is_id, pick, within, without,
};
use super::tree::{Parent, Tree};
use super::{Convert, Session, Source, State, Title};

const PROVIDER: &str = "anthropic";

/// What the program puts into prompts and results for the model alone.
const WRAPPERS: [&str; 3] = ["system-reminder", "ide_opened_file", "ide_selection"];

/// Records that are known and say nothing for a reader.
const SILENT: [&str; 14] = [
    "api-request",
    "api-request-blob",
    "api-request-shape",
    "atis-latch",
    "file-history-snapshot",
    "last-prompt",
    "mode",
    "permission-mode",
    "progress",
    "queue-operation",
    "system",
    "tools-used",
    "turn_duration",
    "attachment",
];

#[derive(Debug, Default)]
pub(super) struct Claude {
    is_child: bool,
    tree: Tree,
    records: usize,
    /// The threads of the subagents whose records stand in the same file, by their records.
    sides: HashMap<Fingerprint, usize>,
    /// The calls that started them.
    linked: HashSet<String>,
    /// The blocks of answers that were read.
    blocks: HashSet<Fingerprint>,
    /// The agent's own session of the last record.
    last_session: Option<String>,
    /// The list that `TaskCreate` and `TaskUpdate` change.
    tasks: Vec<(String, Value)>,
    /// What the shell was last told by the user.
    command: Option<String>,
    /// A failed request of which there is no answer yet.
    retry: Option<Map<String, Value>>,
}

/// A record, and where its message belongs.
struct Entry {
    record: Map<String, Value>,
    thread: usize,
    node: Option<usize>,
    /// What its message is called.
    source: String,
    at: Option<i64>,
}

impl Entry {
    fn field(&self, name: &str) -> &Value {
        self.record.get(name).unwrap_or(&Value::Null)
    }

    fn is(&self, name: &str) -> bool {
        self.field(name) == true
    }
}

impl Claude {
    pub(super) fn new(source: &Source) -> Self {
        Self { is_child: source.parent.is_some(), ..Self::default() }
    }
}

impl Convert for Claude {
    fn record(&mut self, session: &mut Session, record: Map<String, Value>) {
        self.records += 1;
        let kind = record.get("type").cloned().unwrap_or_default();
        let name = kind.as_str().unwrap_or_default();
        let field = |name: &str| record.get(name).unwrap_or(&Value::Null);
        match name {
            "custom-title" => return session.entitle(Title::User, field("customTitle")),
            "ai-title" => return session.entitle(Title::Agent, field("aiTitle")),
            "summary" => {
                // One whose message is not here is of another session.
                if field("leafUuid").as_str().is_some_and(|leaf| self.tree.find(leaf).is_some()) {
                    session.entitle(Title::Summary, field("summary"));
                }
                return;
            }
            "cost-state" => {
                session.about.cost = field("totalCostUSD").as_f64().or(session.about.cost);
                return;
            }
            _ => {}
        }
        let Some(entry) = self.place(session, record) else { return };
        match name {
            "user" => self.user(session, &entry),
            "assistant" => self.assistant(session, &entry),
            "system" => self.system(session, &entry),
            "attachment" => self.attachment(session, &entry),
            "progress" => self.progress(session, &entry),
            _ if SILENT.contains(&name) => {}
            _ => session.about.count(&kind),
        }
    }

    fn settle(&mut self, session: &mut Session) {
        self.tree.settle(&mut session.conversation);
    }

    fn link(&mut self, session: &mut Session, call: &str, agent: &str) -> bool {
        let is_task = session.conversation.called(call).is_some_and(|(tool, _)| tool == "task");
        if is_task && is_id(agent) {
            self.linked.insert(call.to_owned());
            session.conversation.note(call, "sessionId", json!(session_id(agent)));
        }
        is_task
    }
}

/// The id in a share of a subagent's session.
fn session_id(agent: &str) -> String {
    format!("cc_{agent}")
}

impl Claude {
    /// Finds where a record belongs; `None` for one that was read already.
    fn place(&mut self, session: &mut Session, record: Map<String, Value>) -> Option<Entry> {
        let field = |name: &str| record.get(name).unwrap_or(&Value::Null);
        let at = instant(field("timestamp"));
        let uuid = field("uuid").as_str().map(ToOwned::to_owned);
        let is_side = field("isSidechain") == true && !self.is_child;
        if uuid.is_some() && !is_side {
            let about = &mut session.about;
            about.created = about.created.or(at);
            if let Some(version) = field("version").as_str() {
                about.version = Some(version.to_owned());
            }
            if let (None, Some(directory)) = (&about.directory, field("cwd").as_str()) {
                about.directory = Some(directory.to_owned());
            }
        }
        let source = uuid.clone().unwrap_or_else(|| format!("#{}", self.records));
        let thread = if is_side { self.side(session, &record, uuid.as_deref())? } else { 0 };
        let node = match &uuid {
            Some(uuid) if !is_side => {
                let own = field("sessionId").as_str();
                let is_other =
                    own.is_some() && self.last_session.is_some() && own != self.last_session.as_deref();
                let parent = match (field("parentUuid").as_str(), field("logicalParentUuid").as_str()) {
                    (Some(parent), _) | (None, Some(parent)) => Parent::Id(parent),
                    // A session that goes on in the file of another.
                    (None, None) if is_other => Parent::Before,
                    (None, None) => Parent::None,
                };
                let node = self.tree.add(uuid, parent)?;
                self.last_session = own.map(ToOwned::to_owned).or(self.last_session.take());
                Some(node)
            }
            _ => None,
        };
        Some(Entry { record, thread, node, source, at })
    }

    /// The thread of a subagent whose records stand in the same file; `None` for a record that was read already.
    fn side(
        &mut self,
        session: &mut Session,
        record: &Map<String, Value>,
        uuid: Option<&str>,
    ) -> Option<usize> {
        let field = |name: &str| record.get(name).and_then(Value::as_str);
        let known =
            |id: Option<&str>| id.map(|id| fingerprint(&[id])).and_then(|id| self.sides.get(&id)).copied();
        if known(uuid).is_some() {
            return None;
        }
        let agent = field("agentId").filter(|agent| is_id(agent));
        let thread = known(field("parentUuid")).or_else(|| known(agent)).unwrap_or_else(|| {
            let id = agent.or(uuid.filter(|uuid| is_id(uuid))).unwrap_or("subagent");
            let thread = session.conversation.thread(&session_id(id));
            // Nothing else links the two: the first call that asks the same, and is not linked yet.
            let prompt = record.get("message").map(|message| &message["content"]);
            if let Some(call) = self.task_of(session, prompt) {
                self.link(session, &call, id);
            }
            thread
        });
        for id in [uuid, agent].into_iter().flatten() {
            self.sides.insert(fingerprint(&[id]), thread);
        }
        Some(thread)
    }

    /// The running call in the last answer that started a subagent with a prompt.
    fn task_of(&self, session: &Session, prompt: Option<&Value>) -> Option<String> {
        let conversation = &session.conversation;
        let calls = conversation.running_calls(conversation.last_answer(0)?);
        let is_it = |id: &&str| {
            let called = conversation.called(id);
            !self.linked.contains(*id)
                && called.is_some_and(|(tool, input)| tool == "task" && Some(&input["prompt"]) == prompt)
        };
        let call = calls.into_iter().find(is_it)?;
        Some(call.to_owned())
    }

    fn user(&mut self, session: &mut Session, entry: &Entry) {
        if entry.is("isMeta") {
            return;
        }
        let content = &entry.field("message")["content"];
        if entry.is("isCompactSummary") {
            return Self::summary(session, entry, &mut self.tree, content);
        }
        let is_notice = entry.field("origin")["kind"] == "task-notification";
        match content {
            Value::String(text) if is_notice => Self::notice(session, text, entry.at),
            Value::String(text) => self.typed(session, entry, text),
            Value::Array(blocks) => {
                for block in blocks {
                    let text = block["text"].as_str().unwrap_or_default();
                    match block["type"].as_str().unwrap_or_default() {
                        "text" if is_notice => Self::notice(session, text, entry.at),
                        "text" => self.typed(session, entry, text),
                        "tool_result" => self.result(session, entry, block),
                        "image" | "document" => {
                            if let Some(file) = file_of(block) {
                                self.ask(session, entry, |session, prompt| {
                                    session.conversation.push(prompt, file);
                                });
                            }
                        }
                        _ => session.about.count(&block["type"]),
                    }
                }
            }
            _ => {}
        }
    }

    /// Adds to the prompt of a record.
    fn ask(&mut self, session: &mut Session, entry: &Entry, add: impl FnOnce(&mut Session, usize)) {
        let prompt = session.conversation.prompt(entry.thread, &entry.source, entry.at);
        if let Some(node) = entry.node {
            self.tree.attach(node, prompt, entry.field("type") == "user");
        }
        if entry.thread == 0 {
            session.about.state = State::Busy;
        }
        add(session, prompt);
    }

    /// What a user typed, or what the program wrote in the user's name.
    fn typed(&mut self, session: &mut Session, entry: &Entry, text: &str) {
        let start = text.trim_start();
        if start.starts_with("[Request interrupted by user") {
            return self.interrupt(session, entry);
        }
        if start.starts_with("<task-notification>") {
            return Self::notice(session, text, entry.at);
        }
        if start.starts_with("<bash-stdout>") || start.starts_with("<bash-stderr>") {
            return self.shell_output(session, entry, text);
        }
        if start.starts_with("<local-command-") {
            return;
        }
        let shown = if let Some(command) =
            within(start, "bash-input").filter(|_| start.starts_with("<bash-input>"))
        {
            self.command = Some(command.to_owned());
            format!("! {command}")
        } else if start.starts_with("<command-name>") || start.starts_with("<command-message>") {
            let name = within(start, "command-name").unwrap_or_default().trim();
            let args = within(start, "command-args").unwrap_or_default().trim();
            if name == "/rename" && !args.is_empty() {
                session.entitle(Title::User, &json!(args));
            }
            format!("{name} {args}").trim().to_owned()
        } else {
            without(text, &WRAPPERS).trim().to_owned()
        };
        if shown.is_empty() {
            return;
        }
        if entry.thread == 0 {
            session.entitle(Title::Prompt, &json!(shown));
        }
        self.ask(session, entry, |session, prompt| {
            session.conversation.say(prompt, "text", &shown, entry.at);
        });
    }

    /// Shows that the user stopped an answer, which may not have begun.
    fn interrupt(&mut self, session: &mut Session, entry: &Entry) {
        if entry.thread == 0 {
            session.about.state = State::Idle;
        }
        let conversation = &mut session.conversation;
        let current = conversation.current(entry.thread);
        if current.is_some() || conversation.is_asked(entry.thread) {
            let answer =
                current.unwrap_or_else(|| conversation.answer(entry.thread, &entry.source, entry.at));
            conversation.abort(answer, entry.at);
            if let Some(node) = entry.node {
                self.tree.attach(node, answer, false);
            }
        }
    }

    /// Says that something that ran in the background is over. Only subagents wait for that: a command's call has come
    /// to its end when the command went to the background.
    fn notice(session: &mut Session, text: &str, at: Option<i64>) {
        let Some(call) = within(text, "tool-use-id").map(str::trim) else { return };
        if session.conversation.called(call).is_none_or(|(tool, _)| tool != "task") {
            return;
        }
        let status = within(text, "status").unwrap_or_default().trim();
        let result = within(text, "result").unwrap_or_default();
        let outcome = match status {
            "completed" => Outcome::completed(result),
            _ if result.is_empty() => Outcome::failed(status),
            _ => Outcome::failed(result),
        };
        session.conversation.end(call, outcome, at);
    }

    /// What came of a command that the user gave to the shell.
    fn shell_output(&mut self, session: &mut Session, entry: &Entry, text: &str) {
        let conversation = &mut session.conversation;
        let answer = conversation.answer(entry.thread, &entry.source, entry.at);
        if let Some(node) = entry.node {
            self.tree.attach(node, answer, false);
        }
        let outputs = ["bash-stdout", "bash-stderr"].map(|name| within(text, name).unwrap_or_default());
        let outputs: Vec<_> = outputs.into_iter().filter(|output| !output.is_empty()).collect();
        let command = self.command.take().unwrap_or_default();
        conversation.call(answer, &entry.source, "bash", json!({"command": command}), entry.at);
        conversation.end(&entry.source, Outcome::completed(outputs.join("\n")), entry.at);
        conversation.finish(answer);
        if entry.thread == 0 {
            session.about.state = State::Idle;
        }
    }

    fn summary(session: &mut Session, entry: &Entry, tree: &mut Tree, content: &Value) {
        let texts = texts_of(content);
        if texts.is_empty() {
            return;
        }
        let conversation = &mut session.conversation;
        conversation.freeze(entry.thread);
        let answer = conversation.answer(entry.thread, &entry.source, entry.at);
        if let Some(node) = entry.node {
            tree.attach(node, answer, false);
        }
        conversation.set(answer, "summary", json!(true));
        conversation.say(answer, "text", &texts, entry.at);
        conversation.finish(answer);
    }

    fn system(&mut self, session: &mut Session, entry: &Entry) {
        match entry.field("subtype").as_str() {
            Some("compact_boundary") => {
                let is_auto = entry.field("compactMetadata")["trigger"] == "auto";
                let prompt = session.conversation.prompt(entry.thread, &entry.source, entry.at);
                if let Some(node) = entry.node {
                    self.tree.attach(node, prompt, false);
                }
                let part = fields([("type", json!("compaction")), ("auto", json!(is_auto))]);
                session.conversation.push(prompt, part);
            }
            Some("api_error") => {
                let message =
                    ["formatted", "message"].into_iter().find_map(|name| entry.field("error")[name].as_str());
                let status = &entry.field("error")["status"];
                let message =
                    message.map_or_else(|| format!("the request failed ({status})"), ToOwned::to_owned);
                let attempt = entry.field("retryAttempt").as_u64().unwrap_or(1);
                let retry = fields([
                    ("type", json!("retry")),
                    ("attempt", json!(attempt)),
                    ("error", json!({"name": "APIError", "data": {"message": message, "isRetryable": true}})),
                    ("time", json!({"created": entry.at})),
                ]);
                self.retry = Some(retry);
            }
            _ => {}
        }
    }

    fn attachment(&mut self, session: &mut Session, entry: &Entry) {
        let attachment = entry.field("attachment");
        if attachment["type"] != "queued_command" {
            return;
        }
        let is_typed = matches!(attachment["commandMode"].as_str(), None | Some("prompt"));
        match &attachment["prompt"] {
            Value::String(text) if is_typed => self.typed(session, entry, text),
            Value::String(text) if attachment["commandMode"] == "task-notification" => {
                Self::notice(session, text, entry.at);
            }
            Value::Array(blocks) if is_typed => {
                for block in blocks {
                    if let (Some("text"), Some(text)) = (block["type"].as_str(), block["text"].as_str()) {
                        self.typed(session, entry, text);
                    } else if let Some(file) = file_of(block) {
                        self.ask(session, entry, |session, prompt| {
                            session.conversation.push(prompt, file);
                        });
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes that a call started a subagent that has a transcript of its own.
    fn started(&mut self, session: &mut Session, call: &str, agent: &str) {
        if self.link(session, call, agent) && is_id(agent) {
            session.agents.insert(agent.to_owned());
        }
    }

    fn progress(&mut self, session: &mut Session, entry: &Entry) {
        let data = entry.field("data");
        let (call, agent) = (entry.field("parentToolUseID").as_str(), data["agentId"].as_str());
        if let (Some(call), Some(agent), Some("agent_progress")) = (call, agent, data["type"].as_str()) {
            self.started(session, call, agent);
        }
    }

    fn assistant(&mut self, session: &mut Session, entry: &Entry) {
        let message = entry.field("message");
        let source = message["id"].as_str().unwrap_or(&entry.source);
        if entry.is("isApiErrorMessage") {
            return self.api_error(session, entry, message, source);
        }
        let text;
        let blocks = match &message["content"] {
            Value::Array(blocks) => blocks.as_slice(),
            Value::String(words) => {
                text = [json!({"type": "text", "text": words})];
                &text
            }
            _ => &[],
        };
        for block in blocks {
            self.block(session, entry, source, block);
        }
        let Some(answer) = session.conversation.known_answer(entry.thread, source) else { return };
        if let Some(node) = entry.node {
            self.tree.attach(node, answer, false);
        }
        let conversation = &mut session.conversation;
        if let Some(model) = message["model"].as_str().filter(|model| *model != "<synthetic>") {
            conversation.set(answer, "modelID", json!(model));
            conversation.set(answer, "providerID", json!(PROVIDER));
            if entry.thread == 0 {
                session.about.note_model(Some(PROVIDER), model);
            }
        }
        // The counts of all records of an answer are of the whole answer: the last are right, their sum is not.
        if let Some(usage) = message["usage"].as_object() {
            conversation.set(answer, "tokens", tokens(usage));
        }
        if let Some(cost) = entry.field("costUSD").as_f64() {
            conversation.set(answer, "cost", json!(cost));
        }
        if let Some(reason) = message["stop_reason"].as_str() {
            conversation.set(answer, "finish", json!(reason));
            if reason != "tool_use" && reason != "pause_turn" {
                conversation.finish(answer);
                if entry.thread == 0 {
                    session.about.state = State::Idle;
                }
            }
        }
        if entry.is("isAbortedMidStream") {
            conversation.abort(answer, entry.at);
        }
    }

    fn api_error(&mut self, session: &mut Session, entry: &Entry, message: &Value, source: &str) {
        let text = texts_of(&message["content"]);
        let conversation = &mut session.conversation;
        conversation.freeze(entry.thread);
        let answer = conversation.answer(entry.thread, source, entry.at);
        if let Some(node) = entry.node {
            self.tree.attach(node, answer, false);
        }
        let data = [("message", json!(text)), ("statusCode", entry.field("apiErrorStatus").clone())];
        conversation.fail(answer, "APIError", fields(data));
        self.retry = None;
        if entry.thread == 0 {
            session.about.state = State::Idle;
        }
    }

    /// A block of an answer. Old files repeat blocks, and some that were not over.
    fn block(&mut self, session: &mut Session, entry: &Entry, source: &str, block: &Value) {
        let kind = block["type"].as_str().unwrap_or_default();
        match kind {
            "text" | "thinking" => {
                let (kind, text) = match kind {
                    "text" => ("text", block["text"].as_str().unwrap_or_default()),
                    _ => ("reasoning", block["thinking"].as_str().unwrap_or_default()),
                };
                if text.trim().is_empty() {
                    return;
                }
                let answer = self.answer(session, entry, source);
                if !self.blocks.insert(fingerprint(&[&answer.to_string(), kind, text])) {
                    return;
                }
                let conversation = &mut session.conversation;
                let is_last = conversation.last_answer(entry.thread) == Some(answer);
                let last = is_last.then(|| conversation.last_part(answer)).flatten();
                if let Some(grown) = last.filter(|part| part["type"] == kind) {
                    let old = grown["text"].as_str().unwrap_or_default();
                    if text.starts_with(old) {
                        grown.insert("text".into(), json!(text));
                        return;
                    } else if old.starts_with(text) {
                        return;
                    }
                }
                conversation.say(answer, kind, text, entry.at);
            }
            "tool_use" | "server_tool_use" => {
                let (Some(id), Some(name)) = (block["id"].as_str(), block["name"].as_str()) else { return };
                let answer = self.answer(session, entry, source);
                let (tool, input) = tool(name, &block["input"]);
                if entry.thread == 0 {
                    let asks = matches!(tool, "question" | "ExitPlanMode");
                    session.about.state = if asks { State::Waiting } else { State::Busy };
                }
                session.conversation.call(answer, id, tool, input, entry.at);
            }
            "web_search_tool_result" | "web_fetch_tool_result" => {
                let Some(id) = block["tool_use_id"].as_str() else { return };
                let found = block["content"].as_array().map(Vec::as_slice).unwrap_or_default();
                let found =
                    found.iter().filter_map(|found| Some((found["title"].as_str()?, found["url"].as_str()?)));
                let found: Vec<_> = found.map(|(title, url)| format!("{title}\n{url}")).collect();
                session.conversation.end(id, Outcome::completed(found.join("\n\n")), entry.at);
            }
            "redacted_thinking" => {}
            _ => session.about.count(&block["type"]),
        }
    }

    /// The answer of a record, which is there as soon as there is something to show of it.
    fn answer(&mut self, session: &mut Session, entry: &Entry, source: &str) -> usize {
        let conversation = &mut session.conversation;
        if let Some(known) = conversation.known_answer(entry.thread, source) {
            return known;
        }
        conversation.freeze(entry.thread);
        let answer = conversation.answer(entry.thread, source, entry.at);
        if entry.thread == 0 {
            session.about.state = State::Busy;
            if let Some(retry) = self.retry.take() {
                conversation.push(answer, retry);
            }
        }
        answer
    }

    fn result(&mut self, session: &mut Session, entry: &Entry, block: &Value) {
        let Some(id) = block["tool_use_id"].as_str() else { return };
        let Some((tool, input)) = session.conversation.called(id).filter(|_| session.conversation.runs(id))
        else {
            return;
        };
        let (tool, input) = (tool.to_owned(), input.clone());
        if entry.thread == 0 {
            session.about.state = State::Busy;
        }
        let told = entry.field("toolUseResult");
        if tool == "task" {
            if let Some(agent) = told["agentId"].as_str() {
                self.started(session, id, agent);
            }
            if told["status"] == "async_launched" {
                return;
            }
        }
        let text = without(&texts_of(&block["content"]), &WRAPPERS[..1]);
        let is_refused =
            !entry.field("toolDenialKind").is_null() || text.starts_with("The user doesn't want to ");
        let mut outcome = if is_refused {
            Outcome::failed("rejected by the user")
        } else if block["is_error"] == true {
            failure(&tool, &text)
        } else {
            success(session, &tool, &input, text, told)
        };
        if outcome.output.is_ok() && matches!(tool.as_str(), "TaskCreate" | "TaskUpdate") {
            self.change_tasks(&tool, &input, told);
            let todos: Vec<_> = self.tasks.iter().map(|(_, task)| task.clone()).collect();
            session.conversation.retool(id, "todowrite", json!({"todos": todos}));
            outcome = outcome.with("todos", todos);
        }
        if let Value::Array(blocks) = &block["content"] {
            outcome.attachments.extend(blocks.iter().filter_map(file_of));
        }
        session.conversation.end(id, outcome, entry.at);
    }

    /// Changes the list of tasks as a call did.
    fn change_tasks(&mut self, tool: &str, input: &Value, told: &Value) {
        let id =
            [&told["task"]["id"], &told["taskId"], &input["taskId"]].into_iter().find_map(text_or_number);
        let id = id.unwrap_or_else(|| (self.tasks.len() + 1).to_string());
        let task = match self.tasks.iter_mut().find(|(known, _)| *known == id) {
            Some((_, task)) => task,
            None if tool == "TaskCreate" => {
                let task = json!({"content": "", "status": "pending", "priority": "medium"});
                self.tasks.push((id.clone(), task));
                let Some((_, task)) = self.tasks.last_mut() else { return };
                task
            }
            None => return,
        };
        for (from, to) in [("subject", "content"), ("status", "status")] {
            if let (Some(value), Some(task)) = (input[from].as_str(), task.as_object_mut()) {
                task.insert(to.to_owned(), json!(value));
            }
        }
        self.tasks.retain(|(_, task)| task["status"] != "deleted");
    }
}

/// What came of a call that went well.
fn success(session: &mut Session, tool: &str, input: &Value, text: String, told: &Value) -> Outcome {
    match tool {
        "bash" => {
            let is_in_background = told["backgroundTaskId"].is_string();
            if !text.trim_start().starts_with("<persisted-output>") {
                let outcome = Outcome::completed(text);
                return if is_in_background { outcome } else { outcome.with("exit", 0) };
            }
            let whole = told["persistedOutputPath"].as_str().and_then(kept_file);
            if let Some(whole) = whole.and_then(|name| session.outside.read(name)) {
                return Outcome::completed(whole).with("exit", 0);
            }
            let shown =
                told["stdout"].as_str().map_or_else(String::new, |text| without(text, &WRAPPERS[..1]));
            Outcome::completed(shown).with("exit", 0).with("truncated", true)
        }
        "edit" | "multiedit" => match diff(input, told) {
            Some(diff) => Outcome::completed(text).with("diff", diff),
            None => Outcome::completed(text),
        },
        "write" => {
            let exists = told["type"].as_str().is_none_or(|kind| kind != "create");
            Outcome::completed(text).with("exists", exists).with("filepath", input["filePath"].clone())
        }
        "grep" => {
            let matches = ["numMatches", "numLines", "numFiles"].iter().find_map(|name| told[*name].as_u64());
            matches.map_or_else(
                || Outcome::completed(&*text),
                |matches| Outcome::completed(&*text).with("matches", matches),
            )
        }
        "glob" => told["numFiles"].as_u64().map_or_else(
            || Outcome::completed(&*text),
            |count| {
                let is_truncated = told["truncated"] == true;
                Outcome::completed(&*text).with("count", count).with("truncated", is_truncated)
            },
        ),
        "todowrite" => {
            let todos = told.get("newTodos").map_or_else(|| input["todos"].clone(), todos);
            Outcome::completed(text).with("todos", todos)
        }
        "task" => {
            let said = texts_of(&told["content"]);
            Outcome::completed(if said.is_empty() { text } else { said })
        }
        "question" => Outcome::completed(text).with("answers", answers(input, &told["answers"])),
        _ => Outcome::completed(text),
    }
}

fn text_or_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The name of a file in the session's own folder for long results, when a path is of one.
fn kept_file(path: &str) -> Option<&str> {
    let mut names = path.rsplit(['/', '\\']);
    let name = names.next().filter(|name| is_id(name) && !name.starts_with('.'))?;
    names.next().filter(|folder| *folder == "tool-results").map(|_| name)
}

/// A call that failed. A command that ended with a code other than 0 has done its work.
fn failure(tool: &str, text: &str) -> Outcome {
    if let ("bash", Some(rest)) = (tool, text.strip_prefix("Exit code ")) {
        let (code, output) = rest.split_once('\n').unwrap_or((rest, ""));
        if let Ok(code) = code.trim().parse::<i32>() {
            return Outcome::completed(output).with("exit", code);
        }
    }
    let error = within(text, "tool_use_error").unwrap_or(text);
    Outcome::failed(error)
}

/// All texts of a content, which is one or a list of blocks.
fn texts_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks
                .iter()
                .filter(|block| block["type"] == "text")
                .filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// A picture or a document whose bytes are there.
fn file_of(block: &Value) -> Option<Map<String, Value>> {
    if block["type"] != "image" && block["type"] != "document" {
        return None;
    }
    let source = &block["source"];
    match source["type"].as_str()? {
        "base64" => Some(file(source["media_type"].as_str(), source["data"].as_str()?)),
        "url" => file_of_url(source["url"].as_str()?),
        _ => None,
    }
}

fn tokens(usage: &Map<String, Value>) -> Value {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
    json!({
        "input": count("input_tokens"),
        "output": count("output_tokens"),
        "reasoning": 0,
        "cache": {
            "read": count("cache_read_input_tokens"),
            "write": count("cache_creation_input_tokens"),
        },
    })
}

/// What a tool and its input are called here.
fn tool<'a>(name: &'a str, input: &Value) -> (&'a str, Value) {
    let edit: &[(&str, &str)] = &[
        ("file_path", "filePath"),
        ("old_string", "oldString"),
        ("new_string", "newString"),
        ("replace_all", "replaceAll"),
    ];
    let (tool, names): (&str, &[(&str, &str)]) = match name {
        "Bash" => ("bash", &[("command", "command"), ("description", "description")]),
        "Read" => ("read", &[("file_path", "filePath"), ("offset", "offset"), ("limit", "limit")]),
        "Edit" => ("edit", edit),
        "NotebookEdit" => ("edit", &[("notebook_path", "filePath"), ("new_source", "newString")]),
        "MultiEdit" => {
            let edits = input["edits"].as_array().map(Vec::as_slice).unwrap_or_default();
            let edits: Vec<_> = edits.iter().map(|part| pick(part, edit)).collect();
            return ("multiedit", json!({"filePath": input["file_path"], "edits": edits}));
        }
        "Write" => ("write", &[("file_path", "filePath"), ("content", "content")]),
        "Grep" => ("grep", &[("pattern", "pattern"), ("path", "path"), ("glob", "include")]),
        "Glob" => ("glob", &[("pattern", "pattern"), ("path", "path")]),
        "LS" => ("list", &[("path", "path")]),
        "TodoWrite" => return ("todowrite", json!({"todos": todos(&input["todos"])})),
        "Task" | "Agent" => (
            "task",
            &[("description", "description"), ("prompt", "prompt"), ("subagent_type", "subagent_type")],
        ),
        "WebFetch" | "web_fetch" => ("webfetch", &[("url", "url")]),
        "WebSearch" | "web_search" => ("websearch", &[("query", "query")]),
        "AskUserQuestion" => ("question", &[("questions", "questions")]),
        "ExitPlanMode" | "exit_plan_mode" => ("ExitPlanMode", &[("plan", "plan")]),
        "Skill" => ("skill", &[("skill", "name")]),
        _ => return (name, input.clone()),
    };
    (tool, pick(input, names))
}

/// A list of things to do without what is shown while one is done.
fn todos(todos: &Value) -> Value {
    let todos = todos.as_array().map(Vec::as_slice).unwrap_or_default();
    let names = [("id", "id"), ("content", "content"), ("status", "status"), ("priority", "priority")];
    todos.iter().map(|todo| pick(todo, &names)).collect()
}

/// The difference that an edit made.
fn diff(input: &Value, told: &Value) -> Option<String> {
    let hunks = told["structuredPatch"].as_array().filter(|hunks| !hunks.is_empty())?;
    let path = told["filePath"].as_str().or_else(|| input["filePath"].as_str()).unwrap_or("file");
    let mut diff = diff_head(path);
    for hunk in hunks {
        let number = |name: &str| hunk[name].as_u64().unwrap_or_default();
        let [old, olds] = ["oldStart", "oldLines"].map(number);
        let [new, news] = ["newStart", "newLines"].map(number);
        let _ = writeln!(diff, "@@ -{old},{olds} +{new},{news} @@");
        for line in hunk["lines"].as_array().map(Vec::as_slice).unwrap_or_default() {
            diff.push_str(line.as_str().unwrap_or_default());
            diff.push('\n');
        }
    }
    Some(diff)
}

/// What the user answered, in the order of the questions.
fn answers(input: &Value, answers: &Value) -> Value {
    let questions = input["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let answer = |question: &Value| answers.get(question["question"].as_str()?).cloned();
    questions.iter().map(|question| answer(question).unwrap_or_default()).collect()
}
