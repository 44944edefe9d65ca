//! Where agents keep their transcripts, and which there are. Blocking: only called where that holds nobody up.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::file::{MAX_DOCUMENT, head, last_lines};
use super::follower::{Follow, Follower};
use super::opencode::OpenCode;
use super::titles::Titles;
use crate::client::{Activity, KnownSession};
use crate::clock::{ms, now_ms};
use crate::import::transcripts::{About, Agent, Source, Transcript};

/// Transcripts that are listed.
const MAX_LISTED: usize = 100;

/// Files and folders that are looked at on the way to them.
const MAX_ENTRIES: usize = 20_000;

/// Bytes at the beginning of a transcript out of which a list tells what it is about.
const HEAD: u64 = 256 << 10;

/// Bytes at its end, in which its title may have changed.
const END: u64 = 64 << 10;

/// An agent that wrote something so lately works, in milliseconds.
const WORKS: i64 = 10_000;

/// Where the agents of one user keep their transcripts.
#[derive(Debug, Clone, Default)]
pub struct Places {
    transcripts: Vec<Place>,
    opencode: Option<OpenCode>,
}

/// Where one agent does.
#[derive(Debug, Clone)]
struct Place {
    agent: Agent,
    /// The agent's own folder.
    home: PathBuf,
    /// The folders between that and the transcripts; `None` is one of any name.
    folders: &'static [Option<&'static str>],
}

/// A transcript.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) agent: Agent,
    pub(super) path: PathBuf,
    /// The agent's own folder.
    home: PathBuf,
    /// In milliseconds since 1970.
    modified: i64,
}

impl Places {
    /// Those of a home directory, or where the environment says that they are; and where its user says that `OpenCode`
    /// listens.
    pub fn of_user(opencode_url: Option<String>) -> Self {
        let user = etcetera::home_dir().unwrap_or_default();
        let home = |variable: &str, default: &str| {
            std::env::var_os(variable)
                .filter(|dir| !dir.is_empty())
                .map_or_else(|| user.join(default), PathBuf::from)
        };
        let codex = home("CODEX_HOME", ".codex");
        let place = |agent, home, folders| Place { agent, home, folders };
        let transcripts = vec![
            place(Agent::ClaudeCode, home("CLAUDE_CONFIG_DIR", ".claude"), &[Some("projects"), None]),
            place(Agent::Codex, codex.clone(), &[Some("sessions"), None, None, None]),
            place(Agent::Codex, codex, &[Some("archived_sessions")]),
            place(Agent::GeminiCli, user.join(".gemini"), &[Some("tmp"), None, Some("chats")]),
            place(Agent::QwenCode, user.join(".qwen"), &[Some("projects"), None, Some("chats")]),
            place(Agent::Pi, home("PI_CODING_AGENT_DIR", ".pi/agent"), &[Some("sessions"), None]),
        ];
        Self { transcripts, opencode: Some(OpenCode::of_user(opencode_url)) }
    }

    /// No places.
    pub fn none() -> Self {
        Self::default()
    }

    /// The transcripts of some agents, the one that was written last first.
    fn of_agents(&self, wanted: impl Fn(Agent) -> bool) -> Vec<Found> {
        let mut found = Vec::new();
        for place in self.transcripts.iter().filter(|place| wanted(place.agent)) {
            let mut left = MAX_ENTRIES;
            place.walk(&place.home, place.folders, &mut left, &mut found);
        }
        found.sort_by_key(|transcript| Reverse(transcript.modified));
        found
    }

    /// The transcript of a session; of several the one that was written last in which something was said: Gemini CLI
    /// begins a file for a session that goes on in an older one.
    pub(super) fn find(&self, session: &str) -> Option<Found> {
        of_session(&self.of_agents(|agent| session.starts_with(agent.prefix())), session)
    }

    /// A session, to be followed.
    pub(super) fn follow(self: &Arc<Self>, session: &str) -> Option<Box<dyn Follow>> {
        self.follow_all([session.to_owned()]).pop().map(|(_, follower)| follower)
    }

    /// Sessions, to be followed, as far as they are there. Their transcripts are looked for once for all of them.
    pub(super) fn follow_all(
        self: &Arc<Self>,
        sessions: impl IntoIterator<Item = String>,
    ) -> Vec<(String, Box<dyn Follow>)> {
        let sessions: Vec<_> = sessions.into_iter().collect();
        let wanted = |agent: Agent| sessions.iter().any(|session| session.starts_with(agent.prefix()));
        let found = self.of_agents(wanted);
        let follow = |session: String| {
            let follower: Box<dyn Follow> = if let Some(opencode) = self.opencode_of(&session) {
                opencode.find(&session)?
            } else {
                Box::new(Follower::new(self.clone(), of_session(&found, &session)?)?)
            };
            Some((session, follower))
        };
        sessions.iter().cloned().filter_map(follow).collect()
    }

    /// `OpenCode`, when a session may be one of its.
    pub(super) fn opencode_of(&self, session: &str) -> Option<&OpenCode> {
        self.opencode.as_ref().filter(|_| OpenCode::may_have(session))
    }

    /// Whether a session may be one of these agents', by its id.
    pub(super) fn may_have(&self, session: &str) -> bool {
        let is_of = |place: &Place| session.starts_with(place.agent.prefix());
        self.transcripts.iter().any(is_of) || self.opencode_of(session).is_some()
    }

    /// What can be shared, the newest first.
    pub(super) fn list(&self) -> Vec<KnownSession> {
        let mut titles = Titles::default();
        let transcripts = self.of_agents(|_| true).into_iter().take(MAX_LISTED);
        let mut known: Vec<_> =
            transcripts.filter_map(|transcript| transcript.describe(&mut titles)).collect();
        known.extend(self.opencode.iter().flat_map(OpenCode::list));
        known.sort_by_key(|session| Reverse(session.updated_at));
        known
    }
}

/// The transcript of a session among some, which stand the one that was written last first.
fn of_session(transcripts: &[Found], session: &str) -> Option<Found> {
    let is_of = |transcript: &&Found| {
        let id = session.strip_prefix(transcript.agent.prefix());
        id.is_some_and(|id| transcript.may_be(id) && transcript.id().as_deref() == Some(id))
    };
    let found: Vec<_> = transcripts.iter().filter(is_of).collect();
    let speaks = |transcript: &&Found| transcript.describe(&mut Titles::default()).is_some();
    let spoken = if found.len() > 1 { found.iter().position(speaks) } else { None };
    found.get(spoken.unwrap_or(0)).copied().cloned()
}

impl Place {
    fn walk(&self, dir: &Path, folders: &[Option<&str>], left: &mut usize, found: &mut Vec<Found>) {
        if let [Some(name), deeper @ ..] = folders {
            return self.walk(&dir.join(name), deeper, left, found);
        }
        // What is not there, or not to be read, has nothing to share.
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.flatten() {
            if *left == 0 {
                return;
            }
            *left -= 1;
            let path = entry.path();
            if let [_, deeper @ ..] = folders {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    self.walk(&path, deeper, left, found);
                }
            } else if self.agent.may_write(&path)
                && let Ok(about) = entry.metadata()
                && about.is_file()
            {
                let modified = about.modified().map_or(0, ms);
                found.push(Found { agent: self.agent, path, home: self.home.clone(), modified });
            }
        }
    }
}

impl Found {
    /// A file that stands anywhere, when it is a transcript.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let agent = Agent::of(&head(path, HEAD).ok()?)?;
        Some(Self { agent, path: path.to_owned(), home: PathBuf::new(), modified: 0 })
    }

    /// The agent's own id of the session.
    pub(super) fn id(&self) -> Option<String> {
        self.agent.session_of(&self.path).or_else(|| {
            let is_document = self.path.extension().is_some_and(|extension| extension == "json");
            let head = head(&self.path, if is_document { MAX_DOCUMENT } else { HEAD }).ok()?;
            self.agent.session_in(&head)
        })
    }

    /// Whether this may be the transcript of a session, by the file's name.
    fn may_be(&self, id: &str) -> bool {
        let short = id.get(..8).unwrap_or(id);
        self.path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains(short))
    }

    /// The session's id in a share.
    pub(super) fn session(&self) -> Option<String> {
        Some(format!("{}{}", self.agent.prefix(), self.id()?))
    }

    /// A reading of it, of which nothing was read.
    pub(super) fn transcript(&self, source: &Source) -> Transcript {
        let mut transcript = Transcript::new(self.agent, source).with_outside(self.outside());
        if let Some(directory) = self.directory() {
            transcript.set_directory(&directory);
        }
        transcript
    }

    /// Where the agent works, when it says so beside the transcripts.
    fn directory(&self) -> Option<String> {
        if self.agent != Agent::GeminiCli {
            return None;
        }
        let project = self.path.parent()?.parent()?;
        let root = fs::read_to_string(project.join(".project_root")).ok();
        if let Some(root) = root.map(|root| root.trim().to_owned()).filter(|root| !root.is_empty()) {
            return Some(root);
        }
        let name = self.directory_hash()?;
        let projects = fs::read(self.home.join("projects.json")).ok()?;
        let projects: serde_json::Value = serde_json::from_slice(&projects).ok()?;
        let mut roots = projects["projects"].as_object()?.keys();
        roots.find(|root| sha256(root.as_bytes()) == name).cloned()
    }

    /// Where the agent works, by a hash: older versions of Gemini CLI name their folder by it, and say it nowhere else.
    fn directory_hash(&self) -> Option<String> {
        let name = self.path.parent()?.parent()?.file_name()?.to_str()?;
        let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        (self.agent == Agent::GeminiCli && is_hash).then(|| name.to_owned())
    }

    /// What its beginning says that it is about; `None` for one in which nothing was said yet, and for a subagent's.
    fn describe(&self, titles: &mut Titles) -> Option<KnownSession> {
        let id = self.id()?;
        let beginning = head(&self.path, HEAD).ok()?;
        let is_whole = (beginning.len() as u64) < HEAD;
        let mut transcript = self.transcript(&Source { id: id.clone(), ..Source::default() });
        if self.path.extension().is_some_and(|extension| extension == "json") {
            transcript.replace(&head(&self.path, MAX_DOCUMENT).ok()?);
        } else {
            transcript.feed(&beginning);
        }
        let is_silent = transcript.take_changes().items.len() < 2;
        if is_silent && is_whole || transcript.about().is_subagent {
            return None;
        }
        let is_packed = self.path.extension().is_some_and(|extension| extension == "zst");
        if !is_whole && !is_packed {
            // The rest of the line that was cut is none.
            transcript.feed(b"\n");
            transcript.feed(&last_lines(&self.path, END).unwrap_or_default());
        }
        let About { title, directory, .. } = transcript.about().clone();
        let directory_hash = if directory.is_none() { self.directory_hash() } else { None };
        Some(KnownSession {
            directory_hash,
            title: titles.of(self.agent, &self.home, &id).or(title),
            directory,
            agent: Some(self.agent.name().to_owned()),
            state: Some(if now_ms() - self.modified < WORKS { Activity::Busy } else { Activity::Idle }),
            updated_at: Some(self.modified),
            ..KnownSession::named(format!("{}{id}", self.agent.prefix()))
        })
    }

    /// What the agent calls the session in a place of its own.
    pub(super) fn title(&self, id: &str) -> Option<String> {
        Titles::default().of(self.agent, &self.home, id)
    }

    /// Reads what an agent keeps in a file of its own beside the transcript, by its name: nothing outside of the folder
    /// for such files, whatever a transcript says and wherever a link leads.
    fn outside(&self) -> impl FnMut(&str) -> Option<String> + Send + 'static {
        let folder = self.path.with_extension("").join("tool-results");
        move |name| {
            let folder = folder.canonicalize().ok()?;
            let path = folder.join(name).canonicalize().ok()?;
            if path.parent() != Some(&folder) {
                return None;
            }
            Some(String::from_utf8_lossy(&head(&path, MAX_OUTSIDE).ok()?).into_owned())
        }
    }
}

/// Bytes of a file beside a transcript that are read.
const MAX_OUTSIDE: u64 = 1 << 20;

/// The hash of a directory's path, in hexadecimal digits.
pub(crate) fn sha256(path: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(path))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    const CONVERSATION: &str = include_str!(
        "../../tests/fixtures/transcripts/gemini-0.61.0/.gemini/tmp/fizz/chats/session-2026-11-25T03-29-18fb0021.jsonl"
    );

    #[test]
    fn a_session_goes_on_in_the_file_in_which_something_was_said() {
        let home = tempfile::tempdir().unwrap();
        let chats = home.path().join("tmp/fizz/chats");
        fs::create_dir_all(&chats).unwrap();
        let files = ["session-2026-11-25T03-29-18fb0021.jsonl", "session-2026-11-25T03-35-18fb0021.jsonl"];
        let head = CONVERSATION.split_inclusive('\n').take(2).collect::<String>();
        for (file, (text, age)) in files.iter().zip([(CONVERSATION, 60), (&*head, 0)]) {
            fs::write(chats.join(file), text).unwrap();
            let written = SystemTime::now() - Duration::from_secs(age);
            fs::File::options().append(true).open(chats.join(file)).unwrap().set_modified(written).unwrap();
        }
        let folders = &[Some("tmp"), None, Some("chats")];
        let place = Place { agent: Agent::GeminiCli, home: home.path().to_owned(), folders };
        let places = Places { transcripts: vec![place], opencode: None };
        let found = places.find("gm_18fb0021-40ee-4392-9ffd-8c621a783bb7").unwrap();
        assert_eq!(found.path, chats.join(files[0]));
        assert_eq!(places.list().len(), 1);
    }
}
