//! Codex's transcripts: the bare form of its versions before 0.30, in which a line is an item itself; the one in which
//! each line is an envelope; and the paginated one, in which a fork begins where its parent's lines end.
//!
//! All say the same in `response_item`s, which are what the model is told; events only add to them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::conversation::Outcome;
use super::text::Fingerprint;
use super::text::{diff_head, fields, file_of_url, fingerprint, instant, is_id, pick, whole_diff, within};
use super::{Convert, History, Session, State, Title};
use crate::model::parse_lossy;

/// What the program tells the model in the user's name.
const CONTEXT: [&str; 7] = [
    "<environment_context>",
    "# AGENTS.md instructions",
    "<user_instructions>",
    "<permissions instructions>",
    "<turn_aborted>",
    "<skill>",
    "<subagent_notification>",
];

/// Before this stands what an editor tells the model of its files.
const REQUEST: &str = "## My request for Codex:";

/// Bytes of the output of a running command that are shown of it.
const LIVE: usize = 30_000;

/// Items and records that are known and say nothing for a reader.
const SILENT: [&str; 8] = [
    "compaction",
    "ghost_snapshot",
    "inter_agent_communication_metadata",
    "other",
    "session_state",
    "state",
    "world_state",
    "token_usage_record",
];

/// What stands before the words of one agent to another.
const PAYLOAD: &str = "Payload:\n";

/// Events that are known and say nothing that the items do not say.
const SILENT_EVENTS: [&str; 10] = [
    "agent_message",
    "agent_reasoning",
    "agent_reasoning_raw_content",
    "agent_reasoning_section_break",
    "context_compacted",
    "exec_command_begin",
    "exec_command_end",
    "patch_apply_begin",
    "thread_settings_applied",
    "user_message",
];

#[derive(Debug, Default)]
pub(super) struct Codex {
    /// Whether the next item of the model begins an answer, though there is one already.
    is_fresh: bool,
    head: Option<Head>,
    /// Whether the lines are those of the parent, which this file repeats.
    repeats: bool,
    /// The parent's turns.
    parents_turns: HashSet<Fingerprint>,
    turns: Vec<String>,
    /// The time of the last record that has one.
    at: Option<i64>,
    provider: Option<String>,
    model: Option<String>,
    /// Whether usage is told by response.
    has_usage: bool,
    /// The messages that were not taken back.
    kept: Vec<usize>,
    prompts: Vec<usize>,
    /// The calls whose commands go on, by the numbers of their terminals; and what those gave so far.
    terminals: HashMap<i64, String>,
    outputs: HashMap<String, String>,
    /// The calls that ask how a command goes on.
    polls: HashMap<String, i64>,
    /// A call that looked at a picture, which comes next in the user's name.
    looks: Option<String>,
    /// The calls whose subagents work, by the names that these have among agents.
    subagents: HashMap<String, String>,
    /// The session that started this one, a subagent's.
    spawned_by: Option<String>,
}

/// What the first line says.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    /// Whether the lines are the items themselves.
    is_bare: bool,
    /// Whether the session is a subagent's.
    is_spawned: bool,
}

/// An output, and what stood before it.
#[derive(Debug, Default, PartialEq)]
struct Output<'a> {
    text: &'a str,
    exit: Option<i64>,
    terminal: Option<i64>,
}

impl Convert for Codex {
    fn record(&mut self, session: &mut Session, mut record: Map<String, Value>) {
        let at = record.get("timestamp").and_then(instant);
        self.at = at.or(self.at);
        let Some(payload) = record.remove("payload") else { return self.bare(session, record) };
        let kind = record.remove("type").unwrap_or_default();
        let name = kind.as_str().unwrap_or_default();
        if name == "session_meta" {
            return self.meta(session, &payload);
        }
        if self.repeats && !self.ends_repeat(&kind, &payload) {
            return;
        }
        match name {
            "response_item" => self.item(session, &payload),
            "event_msg" => self.event(session, &payload),
            "turn_context" => {
                self.note_turn(&payload);
                if let Some(model) = payload["model"].as_str() {
                    session.about.note_model(self.provider.as_deref(), model);
                    self.model = Some(model.to_owned());
                }
            }
            "compacted" => self.compacted(session, &payload["message"]),
            "token_usage_record" => {
                self.has_usage = true;
                Self::usage(session, &payload["usage"]);
            }
            _ if SILENT.contains(&name) => {}
            _ => session.about.count(&kind),
        }
    }

    fn link(&mut self, session: &mut Session, call: &str, agent: &str) -> bool {
        let is_task = session.conversation.called(call).is_some_and(|(tool, _)| tool == "task");
        if is_task && is_id(agent) {
            session.agents.insert(agent.to_owned());
            session.conversation.note(call, "sessionId", json!(session_id(agent)));
        }
        is_task
    }

    fn turns(&self) -> &[String] {
        &self.turns
    }

    fn know_turns(&mut self, turns: &[String]) {
        self.parents_turns = turns.iter().map(|turn| fingerprint(&[turn])).collect();
    }
}

fn session_id(id: &str) -> String {
    format!("cx_{id}")
}

impl Codex {
    /// A line of the oldest form: a head without a type, items, and marks of the program's state.
    fn bare(&mut self, session: &mut Session, record: Map<String, Value>) {
        if record.contains_key("record_type") {
            return;
        }
        if record.contains_key("type") {
            return self.item(session, &Value::Object(record));
        }
        if record.contains_key("id") && self.head.is_none() {
            self.meta(session, &Value::Object(record));
            self.head = Some(Head { is_bare: true, is_spawned: false });
            return;
        }
        session.about.count(&Value::Null);
    }

    fn meta(&mut self, session: &mut Session, meta: &Value) {
        if session.is_history {
            let provider = meta["model_provider"].as_str().map(ToOwned::to_owned);
            self.provider = self.provider.take().or(provider);
            return;
        }
        if let Some(Head { is_spawned, .. }) = self.head {
            // The parent's lines are repeated, with times of their own: a fork's own past, but not a subagent's.
            let parent = self.spawned_by.as_ref().or(session.about.parent.as_ref());
            let is_parent = |id: &str| parent == Some(&session_id(id));
            self.repeats |= is_spawned && meta["id"].as_str().is_some_and(is_parent);
            return;
        }
        let id = |value: &Value| value.as_str().filter(|id| is_id(id)).map(session_id);
        session.rename(id(&meta["id"]));
        let about = &mut session.about;
        let spawned = id(&meta["source"]["subagent"]["thread_spawn"]["parent_thread_id"]);
        self.head = Some(Head { is_bare: false, is_spawned: spawned.is_some() });
        about.is_subagent = spawned.is_some();
        self.spawned_by.clone_from(&spawned);
        about.parent = about.parent.take().or(spawned).or_else(|| id(&meta["forked_from_id"]));
        about.created = instant(&meta["timestamp"]).or(self.at);
        about.directory = meta["cwd"].as_str().map(ToOwned::to_owned);
        about.version = meta["cli_version"].as_str().map(ToOwned::to_owned);
        self.provider = meta["model_provider"].as_str().map(ToOwned::to_owned);
        let base = &meta["history_base"];
        let thread = base["thread_id"].as_str().or_else(|| meta["forked_from_id"].as_str());
        if let (Some(thread), Some(bytes)) = (thread, base["end_byte_offset"].as_u64()) {
            about.history = Some(History { id: thread.to_owned(), bytes });
        }
    }

    /// Whether a record is the first that the parent does not have: the first of another turn.
    fn ends_repeat(&mut self, kind: &Value, payload: &Value) -> bool {
        let is_turn = kind == "turn_context" || payload["type"] == "task_started";
        let turn = payload["turn_id"].as_str();
        let is_own = is_turn && turn.is_none_or(|turn| !self.parents_turns.contains(&fingerprint(&[turn])));
        self.repeats = !is_own;
        is_own
    }

    fn note_turn(&mut self, payload: &Value) {
        if let Some(turn) = payload["turn_id"].as_str()
            && self.turns.last().is_none_or(|last| last != turn)
        {
            self.turns.push(turn.to_owned());
        }
    }

    fn item(&mut self, session: &mut Session, item: &Value) {
        let text = |name: &str| item[name].as_str().unwrap_or_default();
        let looks = self.looks.take();
        match text("type") {
            "message" => match text("role") {
                "user" => self.prompt(session, item, looks),
                "assistant" => {
                    let said = texts_of(&item["content"], "output_text");
                    if !said.trim().is_empty() {
                        let answer = self.answer(session);
                        session.conversation.say(answer, "text", &said, self.at);
                        if self.head.is_some_and(|head| head.is_bare) {
                            session.conversation.finish(answer);
                            session.about.state = State::Idle;
                        }
                    }
                }
                // What tells the model how to behave.
                _ => {}
            },
            "reasoning" => {
                let mut thought = texts_of(&item["summary"], "summary_text");
                if thought.trim().is_empty() {
                    thought = texts_of(&item["content"], "reasoning_text");
                }
                if !thought.trim().is_empty() {
                    let answer = self.answer(session);
                    session.conversation.say(answer, "reasoning", &thought, self.at);
                }
            }
            "function_call" => {
                let arguments = match parse_lossy(text("arguments")) {
                    Value::Null => json!({"arguments": text("arguments")}),
                    arguments => arguments,
                };
                self.call(session, text("call_id"), text("name"), &arguments);
            }
            "custom_tool_call" => {
                let input = if text("name") == "apply_patch" {
                    json!({"patchText": text("input")})
                } else {
                    json!({"input": item["input"]})
                };
                self.call(session, text("call_id"), text("name"), &input);
            }
            "local_shell_call" => {
                let id = item["call_id"].as_str().unwrap_or_else(|| text("id"));
                self.call(session, id, "local_shell", &item["action"]);
            }
            "web_search_call" => self.search(session, item),
            "function_call_output" | "custom_tool_call_output" => {
                self.output(session, text("call_id"), &item["output"]);
            }
            "agent_message" => self.message_between(session, item),
            kind if SILENT.contains(&kind) => {}
            _ => session.about.count(&item["type"]),
        }
    }

    /// What one agent says to another. A subagent's last words are what its call gave; what a subagent is asked is a
    /// prompt. What is encrypted is not shown.
    fn message_between(&mut self, session: &mut Session, message: &Value) {
        let said = texts_of(&message["content"], "input_text");
        let words = said.split_once(PAYLOAD).map_or(&*said, |(_, words)| words);
        let author = message["author"].as_str().unwrap_or_default();
        if let Some(call) = self.subagents.get(author) {
            if said.starts_with("Message Type: FINAL_ANSWER") {
                session.conversation.end(call, Outcome::completed(words), self.at);
                self.subagents.remove(author);
            }
        } else if self.head.is_some_and(|head| head.is_spawned) && !words.trim().is_empty() {
            let source = format!("#{}", session.conversation.count());
            let prompt = session.conversation.prompt(0, &source, self.at);
            session.conversation.say(prompt, "text", words, self.at);
            self.kept.push(prompt);
            self.is_fresh = true;
        }
    }

    /// What the user asked; or a picture that a call looked at.
    fn prompt(&mut self, session: &mut Session, message: &Value, looks: Option<String>) {
        let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let marks = &message["internal_chat_message_metadata_passthrough"]["content_item_metadata"];
        let mut parts = Vec::new();
        for (at, block) in blocks.iter().enumerate() {
            if marks[at]["provenance"]["type"].as_str().is_some_and(|from| from != "user") {
                continue;
            }
            match block["type"].as_str().unwrap_or_default() {
                "input_text" => {
                    let text = block["text"].as_str().unwrap_or_default();
                    if session.about.directory.is_none() && text.trim_start().starts_with(CONTEXT[0]) {
                        // The bare form says it nowhere else.
                        session.about.directory = within(text, "cwd").map(|cwd| cwd.trim().to_owned());
                    }
                    let words = asked(text);
                    parts
                        .extend(words.map(|words| fields([("type", json!("text")), ("text", json!(words))])));
                }
                "input_image" => parts.extend(block["image_url"].as_str().and_then(file_of_url)),
                _ => session.about.count(&block["type"]),
            }
        }
        let is_picture = parts.iter().all(|part| part["type"] == "file");
        if let (true, Some(call)) = (is_picture, looks) {
            return session.conversation.attach(&call, parts);
        }
        if parts.is_empty() {
            return;
        }
        let id = message["id"].as_str().unwrap_or_default();
        let source = format!("{id}#{}", session.conversation.count());
        let prompt = session.conversation.prompt(0, &source, self.at);
        for part in parts {
            if let Some(words) = part.get("text") {
                session.entitle(Title::Prompt, words);
            }
            session.conversation.push(prompt, part);
        }
        self.kept.push(prompt);
        self.prompts.push(prompt);
        self.is_fresh = true;
        session.about.state = State::Busy;
    }

    /// The answer that is being given. A new one begins behind a prompt, and behind an output: then the model was asked
    /// again.
    fn answer(&mut self, session: &mut Session) -> usize {
        let conversation = &mut session.conversation;
        let current = conversation.last_answer(0).filter(|_| !self.is_fresh);
        if let Some(current) = current {
            return current;
        }
        self.is_fresh = false;
        // What comes late is of the answer before at most.
        if let Some(before) = conversation.last_answer(0) {
            conversation.freeze_before(0, before);
        }
        let answer = conversation.answer(0, &format!("#{}", conversation.count()), self.at);
        if let Some(model) = &self.model {
            conversation.set(answer, "modelID", json!(model));
            if let Some(provider) = &self.provider {
                conversation.set(answer, "providerID", json!(provider));
            }
        }
        self.kept.push(answer);
        session.about.state = State::Busy;
        answer
    }

    fn call(&mut self, session: &mut Session, id: &str, name: &str, arguments: &Value) {
        if id.is_empty() {
            return;
        }
        if let ("write_stdin", Some(terminal)) = (name, arguments["session_id"].as_i64()) {
            self.polls.insert(id.to_owned(), terminal);
            if arguments["chars"].as_str().unwrap_or_default().is_empty()
                && self.terminals.contains_key(&terminal)
            {
                return;
            }
        }
        let (tool, input) = tool(name, arguments);
        let answer = self.answer(session);
        session.conversation.call(answer, id, tool, input, self.at);
        session.about.state = if tool == "question" { State::Waiting } else { State::Busy };
    }

    fn search(&mut self, session: &mut Session, item: &Value) {
        let answer = self.answer(session);
        let id = ["call_id", "id"].iter().find_map(|name| item[*name].as_str());
        let id = id.map_or_else(
            || format!("search_{}_{}", answer, session.conversation.parts(answer)),
            ToOwned::to_owned,
        );
        let action = &item["action"];
        let query =
            ["query", "url", "pattern"].iter().find_map(|name| action[*name].as_str()).unwrap_or_default();
        session.conversation.call(answer, &id, "websearch", json!({"query": query}), self.at);
        session.conversation.end(&id, Outcome::completed(""), self.at);
    }

    fn output(&mut self, session: &mut Session, id: &str, output: &Value) {
        self.is_fresh = true;
        session.about.state = State::Busy;
        let (text, attachments) = read_output(output);
        let told = parse_lossy(&text);
        let read = match &told {
            json if json["output"].is_string() => Output {
                text: json["output"].as_str().unwrap_or_default(),
                exit: json["metadata"]["exit_code"].as_i64(),
                terminal: None,
            },
            _ => without_head(&text),
        };
        if let Some(terminal) = self.polls.remove(id) {
            self.polled(session, terminal, &read);
        }
        let Some((tool, _)) = session.conversation.called(id).filter(|_| session.conversation.runs(id))
        else {
            return;
        };
        let tool = tool.to_owned();
        if let ("task", Some(name), true) = (&*tool, told["task_name"].as_str(), told["agent_id"].is_null()) {
            // It works beside this one from now on.
            self.subagents.insert(name.to_owned(), id.to_owned());
            return;
        }
        if let ("bash", Some(terminal)) = (&*tool, read.terminal) {
            show_live(session, id, read.text);
            self.terminals.insert(terminal, id.to_owned());
            self.outputs.insert(id.to_owned(), read.text.to_owned());
            return;
        }
        let mut outcome = if read.text.starts_with("unsupported call: ") {
            Outcome::failed(read.text)
        } else if read.text.starts_with("aborted by user") {
            Outcome::failed("stopped by the user")
        } else {
            Outcome::completed(read.text)
        };
        if let (Some(exit), "bash", true) = (read.exit, &*tool, outcome.output.is_ok()) {
            outcome = outcome.with("exit", exit);
        }
        match &*tool {
            "read" if attachments.is_empty() => self.looks = Some(id.to_owned()),
            "task" => {
                let agent = ["agent_id", "thread_id"].iter().find_map(|name| told[*name].as_str());
                if let Some(agent) = agent.filter(|agent| is_id(agent)) {
                    session.agents.insert(agent.to_owned());
                    outcome = outcome.with("sessionId", session_id(agent));
                }
            }
            "question" => {
                if let Some((_, input)) = session.conversation.called(id) {
                    let answers = answers(input, &told["answers"]);
                    outcome = outcome.with("answers", answers);
                }
            }
            "todowrite" if outcome.output.is_ok() => {
                if let Some((_, input)) = session.conversation.called(id) {
                    let todos = input["todos"].clone();
                    outcome = outcome.with("todos", todos);
                }
            }
            _ => {}
        }
        outcome.attachments = attachments;
        session.conversation.end(id, outcome, self.at);
    }

    /// What a command gave since it was asked last.
    fn polled(&mut self, session: &mut Session, number: i64, read: &Output) {
        let Some(call) = self.terminals.get(&number) else { return };
        let Some(output) = self.outputs.get_mut(call) else { return };
        output.push_str(read.text);
        if let Some(exit) = read.exit {
            let outcome = Outcome::completed(std::mem::take(output)).with("exit", exit);
            session.conversation.note(call, "output", Value::Null);
            session.conversation.end(call, outcome, self.at);
            self.outputs.remove(call);
            self.terminals.remove(&number);
        } else if !read.text.is_empty() {
            show_live(session, call, output);
        }
    }

    fn event(&mut self, session: &mut Session, event: &Value) {
        let call = event["call_id"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "task_started" | "turn_started" => {
                self.note_turn(event);
                session.about.state = State::Busy;
            }
            "task_complete" | "turn_complete" => {
                if let Some(error) = error_of(&event["error"]) {
                    self.fail(session, &error);
                }
                if let Some(answer) = session.conversation.current(0) {
                    session.conversation.finish(answer);
                }
                session.about.state = State::Idle;
            }
            "error" => {
                if let Some(error) = error_of(event) {
                    self.fail(session, &error);
                }
            }
            "turn_aborted" => {
                let current = session.conversation.current(0);
                if current.is_some() || session.conversation.is_asked(0) {
                    let answer = current.unwrap_or_else(|| self.answer(session));
                    session.conversation.abort(answer, self.at);
                }
                self.is_fresh = true;
                session.about.state = State::Idle;
            }
            "thread_rolled_back" => self.roll_back(session, event["num_turns"].as_u64().unwrap_or_default()),
            "token_count" if !self.has_usage => Self::usage(session, &event["info"]["last_token_usage"]),
            "patch_apply_end" => changed(session, call, &event["changes"]),
            "mcp_tool_call_end" => {
                let result = &event["result"];
                let (text, attachments) = read_output(&result["Ok"]["content"]);
                let failed = result["Err"].as_str().map(Outcome::failed);
                let mut outcome = failed.unwrap_or_else(|| {
                    if result["Ok"]["isError"] == true {
                        Outcome::failed(&*text)
                    } else {
                        Outcome::completed(&*text)
                    }
                });
                outcome.attachments = attachments;
                session.conversation.end(call, outcome, self.at);
            }
            "collab_agent_spawn_end" => {
                if let Some(agent) = event["new_thread_id"].as_str() {
                    self.link(session, call, agent);
                }
            }
            "item_completed" => self.completed(session, &event["item"]),
            "token_count" => {}
            kind if SILENT_EVENTS.contains(&kind) => {}
            _ => session.about.count(&event["type"]),
        }
    }

    fn completed(&mut self, session: &mut Session, item: &Value) {
        let id = item["id"].as_str().unwrap_or_default();
        match item["type"].as_str().unwrap_or_default() {
            "CommandExecution" => {
                let conversation = &session.conversation;
                let runs =
                    conversation.runs(id) && conversation.called(id).is_some_and(|(tool, _)| tool == "bash");
                if let (true, Some(exit)) = (runs, item["exit_code"].as_i64()) {
                    let output = item["aggregated_output"].as_str().unwrap_or_default();
                    session.conversation.note(id, "output", Value::Null);
                    session.conversation.end(id, Outcome::completed(output).with("exit", exit), self.at);
                    self.outputs.remove(id);
                }
            }
            "SubAgentActivity" => {
                let agent = item["agent_thread_id"].as_str().unwrap_or_default();
                let path = item["agent_path"].as_str().unwrap_or_default();
                match item["kind"].as_str().unwrap_or_default() {
                    "started" => {
                        self.link(session, id, agent);
                    }
                    kind @ ("failed" | "errored" | "interrupted" | "aborted" | "shutdown") => {
                        if let Some(call) = self.subagents.remove(path) {
                            session.conversation.end(&call, Outcome::failed(kind), self.at);
                        }
                    }
                    // The last words of one that is done come behind this.
                    _ => {}
                }
            }
            "FileChange" => changed(session, id, &item["changes"]),
            "Plan" => {
                let todos = plan(&item["plan"]);
                let is_todo = session.conversation.called(id).is_some_and(|(tool, _)| tool == "todowrite");
                if is_todo && todos.as_array().is_some_and(|todos| !todos.is_empty()) {
                    session.conversation.note(id, "todos", todos);
                }
            }
            _ => {}
        }
    }

    /// Shows that a turn failed. Some failures are told twice.
    fn fail(&mut self, session: &mut Session, error: &str) {
        let last = session.conversation.current(0);
        if last.is_some_and(|last| session.conversation.has(last, "error")) {
            return;
        }
        self.is_fresh = true;
        let answer = self.answer(session);
        session.conversation.fail(answer, "APIError", fields([("message", json!(error))]));
        self.is_fresh = true;
        session.about.state = State::Idle;
    }

    fn compacted(&mut self, session: &mut Session, summary: &Value) {
        let conversation = &mut session.conversation;
        let prompt = conversation.prompt(0, &format!("#{}", conversation.count()), self.at);
        conversation.push(prompt, fields([("type", json!("compaction")), ("auto", json!(true))]));
        self.kept.push(prompt);
        self.is_fresh = true;
        if let Some(summary) = summary.as_str().filter(|summary| !summary.trim().is_empty()) {
            let answer = self.answer(session);
            session.conversation.set(answer, "summary", json!(true));
            session.conversation.say(answer, "text", summary, self.at);
            session.conversation.finish(answer);
            self.is_fresh = true;
        }
    }

    /// Takes back the last prompts and all that followed.
    fn roll_back(&mut self, session: &mut Session, turns: u64) {
        let turns = usize::try_from(turns).unwrap_or(usize::MAX).min(self.prompts.len());
        let stay = self.prompts.len() - turns;
        let Some(first) = self.prompts.get(stay).copied() else { return };
        self.prompts.truncate(stay);
        while let Some(last) = self.kept.pop_if(|last| *last >= first) {
            session.conversation.hide(last, true);
        }
        self.is_fresh = true;
    }

    fn usage(session: &mut Session, usage: &Value) {
        let Some(answer) = session.conversation.current(0).filter(|_| usage.is_object()) else { return };
        let count = |name: &str| usage[name].as_u64().unwrap_or_default();
        let (cached, reasoning) = (count("cached_input_tokens"), count("reasoning_output_tokens"));
        let tokens = json!({
            "input": count("input_tokens").saturating_sub(cached),
            "output": count("output_tokens").saturating_sub(reasoning),
            "reasoning": reasoning,
            "cache": {"read": cached, "write": count("cache_write_input_tokens")},
        });
        session.conversation.set(answer, "tokens", tokens);
    }
}

/// Shows what a running command gave so far: of a long output the end.
fn show_live(session: &mut Session, call: &str, output: &str) {
    let start = (output.len().saturating_sub(LIVE)..=output.len()).find(|at| output.is_char_boundary(*at));
    session.conversation.note(call, "output", json!(&output[start.unwrap_or_default()..]));
}

/// Notes the files that a call changed.
fn changed(session: &mut Session, call: &str, changes: &Value) {
    let Some(changes) = changes.as_object().filter(|changes| !changes.is_empty()) else { return };
    let files = changes.iter().map(|(path, change)| {
        let content = change["content"].as_str().unwrap_or_default();
        let patch = match change["type"].as_str().unwrap_or_default() {
            "add" => whole_diff(path, content, true),
            "delete" => whole_diff(path, content, false),
            _ => diff_head(path) + change["unified_diff"].as_str().unwrap_or_default(),
        };
        json!({"path": path, "patch": patch})
    });
    session.conversation.note(call, "files", files.collect());
}

/// The words of a prompt without what the program put around them.
fn asked(text: &str) -> Option<&str> {
    let start = text.trim();
    let wraps_picture =
        start == "</image>" || start.starts_with("<image") && start.ends_with('>') && !start.contains('\n');
    if start.is_empty() || wraps_picture || CONTEXT.iter().any(|context| start.starts_with(context)) {
        return None;
    }
    let request = text.split_once(REQUEST).map_or(start, |(_, request)| request.trim());
    Some(request).filter(|request| !request.is_empty())
}

/// The texts of some blocks.
fn texts_of(blocks: &Value, kind: &str) -> String {
    let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_text = |block: &&Value| block["type"] == kind || block["type"] == "text";
    let texts = blocks.iter().filter(is_text).filter_map(|block| block["text"].as_str());
    texts.collect::<Vec<_>>().join("\n\n")
}

/// An output's words and its pictures.
fn read_output(output: &Value) -> (String, Vec<Map<String, Value>>) {
    match output {
        Value::String(text) => (text.clone(), Vec::new()),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter(|block| {
                matches!(block["type"].as_str(), Some("text" | "input_text" | "output_text"))
            });
            let texts: Vec<_> = texts.filter_map(|block| block["text"].as_str()).collect();
            let pictures = blocks.iter().filter_map(|block| match block["type"].as_str()? {
                "input_image" => file_of_url(block["image_url"].as_str()?),
                "image" => Some(super::text::file(block["mimeType"].as_str(), block["data"].as_str()?)),
                _ => None,
            });
            (texts.join("\n"), pictures.collect())
        }
        Value::Object(_) => match &output["content"] {
            Value::String(text) => (text.clone(), Vec::new()),
            _ => (String::new(), Vec::new()),
        },
        _ => (String::new(), Vec::new()),
    }
}

/// An output without the lines that the program puts before it.
fn without_head(text: &str) -> Output<'_> {
    let mut read = Output { text, ..Output::default() };
    let mut rest = text;
    let number = |line: &str, name: &str| line.strip_prefix(name)?.trim().parse().ok();
    loop {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.trim_end() == "Output:" {
            read.text = after;
            return read;
        }
        let exit = number(line, "Exit code:").or_else(|| number(line, "Process exited with code"));
        let terminal = number(line, "Process running with session ID");
        let names = ["Wall time:", "Chunk ID:", "Original token count:", "Total output lines:"];
        if exit.is_none() && terminal.is_none() && !names.iter().any(|name| line.starts_with(name)) {
            // A head without an output's beginning: what follows it is the output.
            read.text = rest;
            return read;
        }
        (read.exit, read.terminal) = (exit.or(read.exit), terminal.or(read.terminal));
        if after.is_empty() {
            read.text = "";
            return read;
        }
        rest = after;
    }
}

/// What went wrong, in words: some errors are an answer's JSON.
fn error_of(error: &Value) -> Option<String> {
    let text = error["message"].as_str().or_else(|| error.as_str())?;
    let inner = parse_lossy(text);
    Some(inner["error"]["message"].as_str().unwrap_or(text).to_owned())
}

/// What a tool and its input are called here.
fn tool<'a>(name: &'a str, arguments: &Value) -> (&'a str, Value) {
    match name {
        "shell" | "shell_command" | "exec_command" | "local_shell" | "container.exec" => {
            let command = command_of(arguments);
            let is_patch = command.trim_start().starts_with("apply_patch");
            if let Some((start, end)) = patch_in(&command).filter(|_| is_patch) {
                return ("apply_patch", json!({"patchText": &command[start..end]}));
            }
            ("bash", json!({"command": command}))
        }
        "apply_patch" => {
            let patch = ["patchText", "input", "patch"].iter().find_map(|name| arguments[*name].as_str());
            ("apply_patch", json!({"patchText": patch.unwrap_or_default()}))
        }
        "update_plan" => ("todowrite", json!({"todos": plan(&arguments["plan"])})),
        "view_image" => ("read", pick(arguments, &[("path", "filePath")])),
        "web_search" => ("websearch", pick(arguments, &[("query", "query")])),
        "request_user_input" => ("question", pick(arguments, &[("questions", "questions")])),
        "spawn_agent" => {
            let names =
                [("task_name", "description"), ("message", "prompt"), ("agent_type", "subagent_type")];
            ("task", pick(arguments, &names))
        }
        _ => (name, arguments.clone()),
    }
}

/// A command as one would type it.
fn command_of(arguments: &Value) -> String {
    let command = if arguments["cmd"].is_null() { &arguments["command"] } else { &arguments["cmd"] };
    match command {
        Value::String(command) => command.clone(),
        Value::Array(words) => {
            let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
            match &words[..] {
                [_, "-lc" | "-c", script] => (*script).to_owned(),
                _ => words.join(" "),
            }
        }
        _ => String::new(),
    }
}

/// Where a patch stands in a command.
fn patch_in(command: &str) -> Option<(usize, usize)> {
    const END: &str = "*** End Patch";
    let start = command.find("*** Begin Patch")?;
    let end = command[start..].rfind(END).map_or(command.len(), |end| start + end + END.len());
    Some((start, end))
}

fn plan(plan: &Value) -> Value {
    let steps = plan.as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().map(|step| pick(step, &[("step", "content"), ("status", "status")])).collect()
}

/// What the user answered, in the order of the questions.
fn answers(input: &Value, answers: &Value) -> Value {
    let questions = input["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let answer = |question: &Value| {
        let answer = answers.get(question["id"].as_str()?)?;
        Some(if answer["answers"].is_null() { answer.clone() } else { answer["answers"].clone() })
    };
    questions.iter().map(|question| answer(question).unwrap_or_default()).collect()
}
