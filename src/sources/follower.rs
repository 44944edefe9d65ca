//! A session that is followed where its agent keeps it, with what its subagents write. Blocking: only called where that
//! holds nobody up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::file::{self, Look, PIECE, Tail};
use super::places::{Found, Places};
use crate::client::{Activity, Agent as AgentName, Status, Told};
use crate::import::transcripts::{Agent, Changes, History, Source, State, Transcript};

/// Subagents of a session that are followed.
const MAX_SUBAGENTS: usize = 1000;

/// Forks of forks that are read to the end.
const MAX_FORKS: usize = 32;

/// Bytes of a subagent's description that are read.
const MAX_META: u64 = 64 << 10;

/// Bytes of a file in which its first line ends.
const MAX_FIRST_LINE: u64 = 10 << 20;

/// How long a transcript that is gone is not looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long the same of a subagent's.
const SEARCH_AGAIN: Duration = Duration::from_secs(2);

/// How long a title that stands beside the transcript is believed.
const TITLE_HOLDS: Duration = Duration::from_secs(10);

/// A session that is followed. Blocking: called where that holds nobody up.
pub(super) trait Follow: Send {
    /// Reads what came since the last time, some of it at least; at first all there is.
    ///
    /// # Errors
    /// When it cannot be read now.
    fn step(&mut self) -> io::Result<Step>;

    /// What else is known of the session.
    fn told(&self) -> Told;

    /// The files and folders whose change says that there is something to read.
    fn watched(&self) -> Vec<PathBuf>;
}

/// What one look found.
#[derive(Default)]
pub(super) struct Step {
    pub(super) changes: Changes,
    /// Whether there is more to read at once.
    pub(super) more: bool,
    /// Whether these changes are the first of a reading from the beginning: what was given before and does not come
    /// again is there no more.
    pub(super) anew: bool,
}

/// A session in files.
pub(super) struct Follower {
    places: Arc<Places>,
    found: Found,
    /// The agent's own id of it.
    id: String,
    main: Thread,
    /// What of the sessions that this one was forked from is still to be read, the oldest first.
    past: VecDeque<Box<dyn Read + Send>>,
    /// What was read of its own before that.
    held: Vec<u8>,
    subagents: BTreeMap<PathBuf, Subagent>,
    /// When the transcripts of subagents that stand among those of sessions were looked for, by the subagents' own ids;
    /// `None` when they were found.
    searched: BTreeMap<String, Option<Instant>>,
    /// The calls that started subagents, and the subagents' own ids, where both are not brought together yet.
    links: BTreeSet<(String, String)>,
    looked_for: Option<Instant>,
    title_read: Option<Instant>,
}

/// A transcript, and its file as far as it was read.
struct Thread {
    tail: Tail,
    transcript: Transcript,
}

struct Subagent {
    thread: Thread,
    source: Source,
    /// Whether the file beside it that says which call started it was read.
    is_described: bool,
}

impl Follower {
    /// One of which nothing was read. `None` when the file does not say which session it is of.
    pub(super) fn new(places: Arc<Places>, found: Found) -> Option<Self> {
        let id = found.id()?;
        let source = Source { id: id.clone(), ..Source::default() };
        let main = Thread { tail: Tail::new(found.path.clone()), transcript: found.transcript(&source) };
        Some(Self {
            places,
            found,
            id,
            main,
            past: VecDeque::new(),
            held: Vec::new(),
            subagents: BTreeMap::new(),
            searched: BTreeMap::new(),
            links: BTreeSet::new(),
            looked_for: None,
            title_read: None,
        })
    }

    pub(super) fn session(&self) -> String {
        format!("{}{}", self.found.agent.prefix(), self.id)
    }

    /// Begins with the session's transcript as if nothing of it had been read. What belongs to it is read, and linked,
    /// again.
    fn begin(&mut self) {
        let source = Source { id: self.id.clone(), ..Source::default() };
        self.main.transcript = self.found.transcript(&source);
        self.past = self.history().into();
        self.held.clear();
        self.subagents.clear();
        self.searched.clear();
        self.links.clear();
        self.title_read = None;
    }

    /// What comes before the first line of a fork, which does not repeat it, the oldest first. What is not there any
    /// more is left out.
    fn history(&self) -> Vec<Box<dyn Read + Send>> {
        let (mut past, mut path) = (Vec::new(), self.found.path.clone());
        while let Some(History { id, bytes }) = self.forked_at(&path) {
            let parent = self.places.find(&format!("{}{id}", self.found.agent.prefix()));
            let opened = parent.and_then(|parent| Some((file::open(&parent.path).ok()?, parent.path)));
            let Some((file, of_parent)) = opened.filter(|_| past.len() < MAX_FORKS) else {
                tracing::info!(
                    "the session that a followed one was forked from is not there: its part is left out"
                );
                break;
            };
            past.push(Box::new(file.take(bytes)) as Box<dyn Read + Send>);
            path = of_parent;
        }
        past.reverse();
        past
    }

    fn forked_at(&self, path: &Path) -> Option<History> {
        if self.found.agent != Agent::Codex {
            return None;
        }
        let head = file::head(path, MAX_FIRST_LINE).ok()?;
        let line = head.iter().position(|byte| *byte == b'\n')?;
        let mut transcript = Transcript::new(self.found.agent, &Source::default());
        transcript.feed(&head[..=line]);
        transcript.about().history.clone()
    }

    /// The transcript has another place: archived, renamed, compressed; or it is gone, and the share outlives it.
    fn search(&mut self) {
        let now = Instant::now();
        if self.looked_for.is_some_and(|looked| now.duration_since(looked) < LOOK_AGAIN) {
            return;
        }
        self.looked_for = Some(now);
        if let Some(found) = self.places.find(&self.session()) {
            self.main.tail.moved(found.path.clone());
            self.found = found;
            self.looked_for = None;
        }
    }

    /// Reads more of the session's own transcript.
    fn step_main(&mut self) -> io::Result<Step> {
        if let Some(past) = self.past.front_mut() {
            let mut piece = Vec::new();
            let count = past.take(PIECE as u64).read_to_end(&mut piece)?;
            self.main.transcript.feed_history(&piece);
            if count < PIECE {
                self.past.pop_front();
            }
            if self.past.is_empty() {
                self.main.transcript.feed(&std::mem::take(&mut self.held));
            }
            return Ok(Step { changes: self.main.transcript.take_changes(), more: true, anew: false });
        }
        if self.main.transcript.wants_rereading() {
            self.main.tail.rewind();
        }
        let (more, anew) = match self.main.tail.look()? {
            Look::Nothing => return Ok(Step::default()),
            Look::Missing => {
                self.search();
                return Ok(Step::default());
            }
            Look::Lines { bytes, anew, more } => {
                if anew {
                    self.begin();
                }
                if self.past.is_empty() {
                    self.main.transcript.feed(&bytes);
                } else {
                    self.held = bytes;
                }
                (more || !self.past.is_empty(), anew)
            }
            Look::Document { bytes, anew } => {
                self.main.transcript.replace(&bytes);
                (false, anew)
            }
        };
        self.entitle();
        Ok(Step { changes: self.main.transcript.take_changes(), more, anew })
    }

    /// Takes over what the agent calls the session in a place of its own.
    fn entitle(&mut self) {
        let now = Instant::now();
        if self.title_read.is_none_or(|read| now.duration_since(read) >= TITLE_HOLDS) {
            self.title_read = Some(now);
            if let Some(title) = self.found.title(&self.id) {
                self.main.transcript.entitle(&title);
            }
        }
    }

    /// Reads more of what the subagents wrote. What of that cannot be read now is left for the next time.
    fn step_subagents(&mut self, step: &mut Step) {
        self.find_subagents();
        let turns = self.main.transcript.turns();
        for (path, subagent) in &mut self.subagents {
            if !subagent.is_described
                && let Some(call) = call_of(path)
            {
                subagent.is_described = true;
                self.links.insert((call, subagent.source.id.clone()));
            }
            match subagent.step(self.found.agent, turns) {
                Ok(more) => step.more |= more,
                Err(error) => tracing::debug!(%error, "a subagent's transcript cannot be read now"),
            }
            step.changes.append(subagent.thread.transcript.take_changes());
        }
        if self.links.is_empty() {
            return;
        }
        let Self { links, main, subagents, .. } = self;
        let subagents = subagents.values_mut().map(|subagent| &mut subagent.thread.transcript);
        // One may have been started by another.
        let mut transcripts: Vec<_> = std::iter::once(&mut main.transcript).chain(subagents).collect();
        links.retain(|(call, agent)| !transcripts.iter_mut().any(|transcript| transcript.link(call, agent)));
        for transcript in transcripts {
            step.changes.append(transcript.take_changes());
        }
    }

    /// Finds the transcripts of the session's subagents.
    fn find_subagents(&mut self) {
        let threads = std::iter::once(&self.main).chain(self.subagents.values().map(|agent| &agent.thread));
        let named: BTreeSet<String> =
            threads.flat_map(|thread| thread.transcript.subagents()).cloned().collect();
        let own = self.subagents_folder().map(|folder| transcripts_in(&folder)).unwrap_or_default();
        let found: Vec<(PathBuf, String)> = match self.found.agent {
            Agent::ClaudeCode => {
                let own = own.into_iter().filter_map(|path| Some((claude_agent(&path)?, path)));
                // Older versions put them beside the session's, and warm some up that nobody asks.
                let older = named.into_iter().map(|id| {
                    let path = self.found.path.with_file_name(format!("agent-{id}.jsonl"));
                    (id, path)
                });
                let older = older.filter(|(_, path)| path.is_file());
                own.chain(older).map(|(id, path)| (path, id)).collect()
            }
            Agent::Codex => {
                named.into_iter().filter_map(|id| Some((self.codex_subagent(&id)?, id))).collect()
            }
            Agent::GeminiCli => {
                let id =
                    |path: &PathBuf| Agent::GeminiCli.session_in(&file::head(path, MAX_FIRST_LINE).ok()?);
                let new = own.into_iter().filter(|path| !self.subagents.contains_key(path));
                new.filter_map(|path| Some((id(&path)?, path))).map(|(id, path)| (path, id)).collect()
            }
            Agent::QwenCode | Agent::Pi => Vec::new(),
        };
        for (path, id) in found {
            if self.subagents.contains_key(&path) || self.subagents.len() >= MAX_SUBAGENTS {
                continue;
            }
            let source = Source { id, parent: Some(self.id.clone()) };
            let transcript = Transcript::new(self.found.agent, &source);
            let thread = Thread { tail: Tail::new(path.clone()), transcript };
            let is_described = self.found.agent != Agent::ClaudeCode;
            self.subagents.insert(path, Subagent { thread, source, is_described });
        }
    }

    /// Where the agent puts what the session's subagents write, when it has a folder for it.
    fn subagents_folder(&self) -> Option<PathBuf> {
        match self.found.agent {
            Agent::ClaudeCode => Some(self.found.path.with_extension("").join("subagents")),
            Agent::GeminiCli => Some(self.found.path.with_file_name(&self.id)),
            Agent::Codex | Agent::QwenCode | Agent::Pi => None,
        }
    }

    /// The transcript of a subagent of Codex, which stands among those of sessions.
    fn codex_subagent(&mut self, id: &str) -> Option<PathBuf> {
        let now = Instant::now();
        match self.searched.get(id) {
            Some(None) => return None,
            Some(Some(searched)) if now.duration_since(*searched) < SEARCH_AGAIN => return None,
            _ => {}
        }
        let found = self.places.find(&format!("{}{id}", self.found.agent.prefix()));
        self.searched.insert(id.to_owned(), found.is_none().then_some(now));
        found.map(|found| found.path)
    }
}

impl Follow for Follower {
    fn step(&mut self) -> io::Result<Step> {
        let mut step = self.step_main()?;
        self.step_subagents(&mut step);
        Ok(step)
    }

    fn told(&self) -> Told {
        let about = self.main.transcript.about();
        let state = match about.state {
            State::Idle => Activity::Idle,
            State::Busy => Activity::Busy,
            State::Waiting => Activity::Waiting,
        };
        let name = self.found.agent.name().to_owned();
        Told {
            title: about.title.clone(),
            directory: about.directory.clone(),
            agent: Some(AgentName { name, version: about.version.clone() }),
            model: None,
            status: Some(Status { state, label: None }),
        }
    }

    fn watched(&self) -> Vec<PathBuf> {
        let threads = self.subagents.values().map(|subagent| &subagent.thread);
        let files = std::iter::once(&self.main).chain(threads).map(|thread| thread.tail.path().to_owned());
        files.chain(self.subagents_folder()).collect()
    }
}

impl Subagent {
    /// Reads more of it; tells whether there is more to read at once.
    fn step(&mut self, agent: Agent, turns: &[String]) -> io::Result<bool> {
        let Thread { tail, transcript } = &mut self.thread;
        if transcript.wants_rereading() {
            tail.rewind();
        }
        let (bytes, anew, more) = match tail.look()? {
            Look::Nothing | Look::Missing => return Ok(false),
            Look::Document { bytes, .. } => {
                transcript.replace(&bytes);
                return Ok(false);
            }
            Look::Lines { bytes, anew, more } => (bytes, anew, more),
        };
        if anew {
            *transcript = Transcript::new(agent, &self.source);
            transcript.know_turns(turns);
        }
        transcript.feed(&bytes);
        Ok(more)
    }
}

/// The call that started a subagent of Claude Code, by the file beside its transcript. `None` as long as that does not
/// say so.
fn call_of(transcript: &Path) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        tool_use_id: String,
    }
    let meta = file::head(&transcript.with_extension("meta.json"), MAX_META).ok()?;
    Some(serde_json::from_slice::<Meta>(&meta).ok()?.tool_use_id)
}

fn claude_agent(transcript: &Path) -> Option<String> {
    let name = transcript.file_name()?.to_str()?;
    Some(name.strip_prefix("agent-")?.strip_suffix(".jsonl")?.to_owned())
}

/// The files of a folder that may be transcripts.
fn transcripts_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_SUBAGENTS * 4);
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl" || extension == "json"))
        .collect();
    paths.sort();
    paths
}
