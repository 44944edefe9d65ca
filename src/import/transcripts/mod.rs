//! The transcripts that agents write of their sessions, read as the items of a share. Pure: whoever follows the files
//! feeds their bytes as they grow, and takes what changed.
//!
//! Agents write down far more than a conversation: system prompts, whole requests, keys. So each converter names the
//! records, fields and blocks that it reads; all others are counted at most, and never shown. Ids are made of a
//! message's place and of what its agent calls it, so the same file gives the same items, in whatever pieces it is
//! read.

mod claude;
mod codex;
mod gemini;
mod lines;
mod packed;
mod pi;
mod qwen;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use self::conversation::Conversation;
use self::lines::Lines;
pub use self::packed::Unpacked;
pub use super::Model;
pub use super::conversation::Changes;
use super::{conversation, item, text, title_of};
use crate::model::{Key, parse_lossy};

/// Kinds of unknown records that are counted by name.
const MAX_UNKNOWN: usize = 32;

/// Characters of such a name.
const MAX_NAME: usize = 64;

/// Lines of a file by which its agent is recognised.
const MAX_HEAD_LINES: usize = 100;

/// An agent that writes transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agent {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// `OpenAI`'s Codex.
    Codex,
    /// Google's Gemini CLI.
    GeminiCli,
    /// Alibaba's Qwen Code.
    QwenCode,
    /// The agent that is called pi.
    Pi,
}

impl Agent {
    /// Its name, as people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
            Self::GeminiCli => "Gemini CLI",
            Self::QwenCode => "Qwen Code",
            Self::Pi => "pi",
        }
    }

    /// Whether a file of this name, in a folder of this agent, is a transcript of a session; not one of a subagent.
    pub fn may_write(self, file: &std::path::Path) -> bool {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self {
            Self::GeminiCli => {
                let is_transcript = |extension| matches!(extension, "jsonl" | "json");
                name.starts_with("session-")
                    && file.extension().and_then(|extension| extension.to_str()).is_some_and(is_transcript)
            }
            _ => self.session_of(file).is_some(),
        }
    }

    /// The agent's own id of the session whose transcript a file is, by its name; `None` when it is none, or when the
    /// name does not hold all of the id ([`Self::session_in`] finds it then).
    pub fn session_of(self, file: &std::path::Path) -> Option<String> {
        let name = file.file_name()?.to_str()?;
        let id = match self {
            // Those of subagents stand beside the older ones.
            Self::ClaudeCode => name.strip_suffix(".jsonl").filter(|id| !id.starts_with("agent-")),
            Self::QwenCode => name.strip_suffix(".jsonl"),
            // `rollout-TIME-ID`; a UUID has 36 characters.
            Self::Codex => {
                let name = name.strip_suffix(".zst").unwrap_or(name);
                let name = name.strip_suffix(".jsonl")?.strip_prefix("rollout-")?;
                name.len().checked_sub(36).and_then(|start| name.get(start..))
            }
            // `TIME_ID`.
            Self::Pi => name.strip_suffix(".jsonl").and_then(|name| Some(name.rsplit_once('_')?.1)),
            Self::GeminiCli => None,
        };
        id.map(ToOwned::to_owned)
    }

    /// The agent's own id of a session, by the first line of its transcript or, for one document, by all of it.
    pub fn session_in(self, head: &[u8]) -> Option<String> {
        let mut transcript = Transcript::new(self, &Source::default());
        transcript.feed(head);
        if transcript.about().session == self.prefix() {
            transcript.replace(head);
        }
        let session = transcript.session.about.session;
        session.strip_prefix(self.prefix()).filter(|id| !id.is_empty()).map(ToOwned::to_owned)
    }

    /// Whose transcript a file is, by its first lines.
    pub fn of(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let document = parse_lossy(&text);
        let lines = text.lines().take(MAX_HEAD_LINES).map(parse_lossy).filter(Value::is_object);
        let mut records: Vec<_> = if document.is_object() { vec![document] } else { lines.collect() };
        let first = records.first_mut()?.take();
        let has = |record: &Value, names: &[&str]| names.iter().all(|name| !record[*name].is_null());
        if first["type"] == "session_meta" || has(&first, &["id", "timestamp"]) && first["type"].is_null() {
            return Some(Self::Codex);
        }
        if has(&first, &["sessionId", "projectHash"]) {
            return Some(Self::GeminiCli);
        }
        if first["type"] == "session" && has(&first, &["version"]) {
            return Some(Self::Pi);
        }
        records[0] = first;
        let is_message = |record: &&Value| has(record, &["uuid", "sessionId"]) && has(record, &["message"]);
        let message = records.iter().find(is_message)?;
        Some(if message["message"]["parts"].is_array() { Self::QwenCode } else { Self::ClaudeCode })
    }

    /// What the ids of its sessions begin with here: agents do not know each other's ids.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ClaudeCode => "cc_",
            Self::Codex => "cx_",
            Self::GeminiCli => "gm_",
            Self::QwenCode => "qw_",
            Self::Pi => "pi_",
        }
    }
}

/// What is known of a session beside its items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// The session's id in a share: the agent's own with the agent's prefix.
    pub session: String,
    /// The id in a share of the session that this one works for, when it is a subagent's; or which it was forked from.
    pub parent: Option<String>,
    /// Whether a session of its own is a subagent's: it has no place in a list.
    pub is_subagent: bool,
    /// What the session is called: by its user, by its agent, or by its first prompt.
    pub title: Option<String>,
    /// Where the agent works.
    pub directory: Option<String>,
    /// The agent's version.
    pub version: Option<String>,
    /// The model that answered last, and who provides it.
    pub model: Option<Model>,
    /// When the session began, in milliseconds since 1970.
    pub created: Option<i64>,
    /// When something was said in it last.
    pub updated: Option<i64>,
    /// What the session has cost in US dollars, when its agent says so.
    pub cost: Option<f64>,
    /// Where the session's beginning is to be read: it was forked from another, whose lines are not repeated.
    pub history: Option<History>,
    /// Whether the agent works, as far as the records say.
    pub state: State,
    /// Records and blocks of kinds that are not known, by their names.
    pub unknown: BTreeMap<String, usize>,
    /// Lines that are no record.
    pub bad: usize,
    /// Lines that are too long.
    pub set_aside: usize,
}

/// The beginning of a session that was forked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The agent's own id of the session that it was forked from. That may be a fork itself.
    pub id: String,
    /// How many bytes of that one's file belong to this one.
    pub bytes: u64,
}

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing: it waits for a prompt.
    #[default]
    Idle,
    /// It answers.
    Busy,
    /// It waits for an answer of its user.
    Waiting,
}

impl About {
    /// Counts what is not known.
    pub(super) fn count(&mut self, kind: &Value) {
        let name = kind.as_str().filter(|name| name.chars().count() <= MAX_NAME).unwrap_or("other");
        let name =
            if self.unknown.len() < MAX_UNKNOWN || self.unknown.contains_key(name) { name } else { "other" };
        *self.unknown.entry(name.to_owned()).or_default() += 1;
    }

    /// Notes a model, unless it is none.
    fn note_model(&mut self, provider: Option<&str>, id: &str) {
        self.model = Some(Model { provider: provider.map(ToOwned::to_owned), id: id.to_owned() });
    }

    /// The item of the session.
    pub(super) fn item(&self) -> Value {
        let mut time = Map::new();
        for (name, at) in [("created", self.created), ("updated", self.updated)] {
            time.extend(at.map(|at| (name.to_owned(), json!(at))));
        }
        let mut session = Map::new();
        session.insert("id".into(), json!(self.session));
        session.insert("time".into(), Value::Object(time));
        let texts = [("title", &self.title), ("directory", &self.directory), ("version", &self.version)];
        for (name, text) in texts {
            session.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
        }
        if let Some(Model { provider, id }) = &self.model {
            session.insert("model".into(), json!({"id": id, "providerID": provider}));
        }
        session.extend(self.cost.map(|cost| ("cost".to_owned(), json!(cost))));
        Value::Object(session)
    }
}

/// Which session a transcript is of.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The agent's own id of the session, as the file's name has it. What the file itself says counts for more where it
    /// says it in one way.
    pub id: String,
    /// For a subagent's file the agent's own id of the session that it works for: its messages stand in that one's
    /// share, and it has no `session` item.
    pub parent: Option<String>,
}

/// What a converter does with the records of its agent.
trait Convert: Send {
    /// Reads a record.
    fn record(&mut self, session: &mut Session, record: Map<String, Value>);

    /// Reads a whole document.
    fn document(&mut self, session: &mut Session, _document: &Value) {
        session.about.bad += 1;
    }

    /// Decides what stands only when a batch is over: which branch is the conversation.
    fn settle(&mut self, _session: &mut Session) {}

    /// Notes that a call started a subagent; tells whether the call is there.
    fn link(&mut self, _session: &mut Session, _call: &str, _agent: &str) -> bool {
        false
    }

    /// The agent's own ids of the turns that were read.
    fn turns(&self) -> &[String] {
        &[]
    }

    /// Says which turns are the parent's.
    fn know_turns(&mut self, _turns: &[String]) {}
}

/// What all converters write to.
#[derive(Debug)]
struct Session {
    about: About,
    conversation: Conversation,
    outside: Outside,
    title: Title,
    /// Whether what is read is of the session that this one was forked from.
    is_history: bool,
    /// The agent's own ids of the subagents that calls started.
    agents: BTreeSet<String>,
}

/// How good a title is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Title {
    #[default]
    None,
    Prompt,
    Summary,
    Agent,
    User,
    /// What its agent keeps beside the transcript.
    Outside,
}

impl Session {
    /// Notes the id that the transcript itself gives its session, as long as nothing was said in it.
    fn rename(&mut self, id: Option<String>) {
        if let Some(id) = id.filter(|id| self.conversation.rename(0, id)) {
            self.about.session = id;
        }
    }

    /// Notes a title, unless there is a better one. Of prompts the first gives it.
    fn entitle(&mut self, how: Title, title: &Value) {
        let title = title.as_str().and_then(title_of);
        if let Some(title) = title.filter(|_| how > self.title || how == self.title && how != Title::Prompt) {
            self.about.title = Some(title);
            self.title = how;
        }
    }
}

/// What an agent put into a file beside the transcript, by the file's name alone; who has the session's folder looks
/// there and nowhere else.
#[derive(Default)]
struct Outside(Option<ReadFile>);

type ReadFile = Box<dyn FnMut(&str) -> Option<String> + Send>;

impl Outside {
    fn read(&mut self, name: &str) -> Option<String> {
        self.0.as_mut()?(name)
    }
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

/// One transcript, as far as it was read.
pub struct Transcript {
    agent: Agent,
    lines: Lines,
    history: Lines,
    session: Session,
    convert: Box<dyn Convert>,
    is_child: bool,
    /// The `session` item that was given last.
    given: Value,
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcript")
            .field("agent", &self.agent)
            .field("about", &self.session.about)
            .finish_non_exhaustive()
    }
}

impl Transcript {
    /// A transcript of which nothing was read.
    pub fn new(agent: Agent, source: &Source) -> Self {
        let name = |id: &str| format!("{}{id}", agent.prefix());
        let about = About {
            session: name(&source.id),
            parent: source.parent.as_deref().map(name),
            ..About::default()
        };
        let mut conversation = Conversation::default();
        conversation.add_thread(about.session.clone());
        let convert: Box<dyn Convert> = match agent {
            Agent::ClaudeCode => Box::new(claude::Claude::new(source)),
            Agent::Codex => Box::new(codex::Codex::default()),
            Agent::GeminiCli => Box::new(gemini::Gemini::default()),
            Agent::QwenCode => Box::new(qwen::Qwen::default()),
            Agent::Pi => Box::new(pi::Pi::default()),
        };
        Self {
            agent,
            lines: Lines::default(),
            history: Lines::default(),
            session: Session {
                about,
                conversation,
                outside: Outside::default(),
                title: Title::None,
                is_history: false,
                agents: BTreeSet::new(),
            },
            convert,
            is_child: source.parent.is_some(),
            given: Value::Null,
        }
    }

    /// Says how what an agent put into a file beside the transcript is read: by the file's name, in the session's own
    /// folder for such files (Claude Code's `tool-results`).
    #[must_use]
    pub fn with_outside(mut self, read: impl FnMut(&str) -> Option<String> + Send + 'static) -> Self {
        self.session.outside = Outside(Some(Box::new(read)));
        self
    }

    /// Says what the session is called, when its agent keeps that in another place.
    pub fn entitle(&mut self, title: &str) {
        self.session.entitle(Title::Outside, &json!(title));
    }

    /// Says where the agent works, when it keeps that in another place.
    pub fn set_directory(&mut self, directory: &str) {
        self.session.about.directory = Some(directory.to_owned());
    }

    /// Reads a piece of the session that this one was forked from (see [`About::history`]), before its own lines: as
    /// many bytes in all as belong to this one; the oldest first, where that is a fork itself.
    pub fn feed_history(&mut self, bytes: &[u8]) {
        let Self { history, session, convert, .. } = self;
        session.is_history = true;
        history.feed(bytes, |line| read(line, session, &mut **convert));
        session.is_history = false;
    }

    /// Says which turns the parent of a subagent has, before its lines are read: Codex repeats them in the subagent's
    /// file. Without that the first turn is taken for the subagent's own.
    pub fn know_turns(&mut self, turns: &[String]) {
        self.convert.know_turns(turns);
    }

    /// The agent's own ids of the turns that were read, for the transcripts of subagents.
    pub fn turns(&self) -> &[String] {
        self.convert.turns()
    }

    /// Reads a file that is one document and is written anew each time (Gemini CLI's older `.json`). One that cannot be
    /// read changes nothing: it may be half written.
    pub fn replace(&mut self, document: &[u8]) {
        match parse_lossy(&String::from_utf8_lossy(document)) {
            document @ Value::Object(_) => self.convert.document(&mut self.session, &document),
            _ => self.session.about.bad += 1,
        }
    }

    /// Reads what was added to the file. Half a line waits for its other half.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { lines, session, convert, .. } = self;
        lines.feed(bytes, |line| read(line, session, &mut **convert));
        session.about.set_aside = lines.set_aside();
    }

    /// Notes that a call started a subagent, by the ids of both: some agents say so only in a file of their own.
    /// Tells whether the call was read.
    pub fn link(&mut self, call: &str, agent: &str) -> bool {
        self.convert.link(&mut self.session, call, agent)
    }

    /// The agent's own ids of the subagents that calls started and that have a transcript of their own.
    pub fn subagents(&self) -> &BTreeSet<String> {
        &self.session.agents
    }

    /// What is new or different since the last time. What the user took back meanwhile is not in it.
    pub fn take_changes(&mut self) -> Changes {
        let Self { session, convert, .. } = self;
        convert.settle(session);
        session.about.updated = session.conversation.updated().max(session.about.created);
        let mut changes = Changes::default();
        let about = session.about.item();
        if !self.is_child
            && (session.conversation.count() > 0 || session.about.created.is_some())
            && about != self.given
        {
            changes.items.extend(item(Key::from(Key::SESSION), &about, false));
            self.given = about;
        }
        session.conversation.take(&mut changes);
        changes
    }

    /// What is known of the session.
    pub fn about(&self) -> &About {
        &self.session.about
    }

    /// Which agent wrote this.
    pub fn agent(&self) -> Agent {
        self.agent
    }

    /// Whether the user went back to a branch whose contents are not kept any more. The whole file, read by a new
    /// transcript, gives it again under the same ids.
    pub fn wants_rereading(&self) -> bool {
        self.session.conversation.has_lost()
    }
}

fn read(line: &[u8], session: &mut Session, convert: &mut dyn Convert) {
    let line = String::from_utf8_lossy(line);
    if line.trim().is_empty() {
        return;
    }
    match parse_lossy(&line) {
        Value::Object(record) => convert.record(session, record),
        _ => session.about.bad += 1,
    }
}
