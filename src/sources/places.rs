//! Where agents keep their transcripts, and which there are. Blocking: only called where that holds nobody up.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::client::{Activity, KnownSession};
use crate::clock::{ms, now_ms};
use crate::import::transcripts::{Agent, Source, Transcript};

/// Transcripts that are listed.
const MAX_LISTED: usize = 100;

/// Files and folders that are looked at on the way to them.
const MAX_ENTRIES: usize = 20_000;

/// Bytes at the beginning of a transcript out of which a list tells what it is about.
const HEAD: u64 = 256 << 10;

/// An agent that wrote something so lately works, in milliseconds.
const WORKS: i64 = 10_000;

/// Where the agents of one user keep their transcripts.
#[derive(Debug, Clone)]
pub struct Places(Vec<Place>);

/// Where one agent does.
#[derive(Debug, Clone)]
struct Place {
    agent: Agent,
    root: PathBuf,
    /// How many folders stand between the root and a transcript.
    depth: usize,
}

/// A transcript.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) agent: Agent,
    pub(super) path: PathBuf,
    /// The agent's own id of the session.
    id: String,
    /// In milliseconds since 1970.
    modified: i64,
}

impl Places {
    /// Those of a home directory, or where the environment says that they are.
    pub fn of_user() -> Self {
        let home = etcetera::home_dir().unwrap_or_default();
        let dir = |variable: &str, default: &str| {
            std::env::var_os(variable)
                .filter(|dir| !dir.is_empty())
                .map_or_else(|| home.join(default), PathBuf::from)
        };
        let claude = Place {
            agent: Agent::ClaudeCode,
            root: dir("CLAUDE_CONFIG_DIR", ".claude").join("projects"),
            depth: 1,
        };
        Self(vec![claude])
    }

    /// No places.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The transcripts, the one that was written last first.
    pub(super) fn transcripts(&self) -> Vec<Found> {
        let (mut found, mut left) = (Vec::new(), MAX_ENTRIES);
        for place in &self.0 {
            place.walk(&place.root, place.depth, &mut left, &mut found);
        }
        found.sort_by_key(|transcript| std::cmp::Reverse(transcript.modified));
        found
    }

    /// The transcript of a session.
    pub(super) fn find(&self, session: &str) -> Option<Found> {
        self.transcripts().into_iter().find(|transcript| transcript.session() == session)
    }

    /// Whether a session may be one of these agents', by its id.
    pub(super) fn may_have(&self, session: &str) -> bool {
        self.0.iter().any(|place| session.starts_with(place.agent.prefix()))
    }

    /// What can be shared, the newest first.
    pub(super) fn list(&self) -> Vec<KnownSession> {
        self.transcripts().iter().take(MAX_LISTED).filter_map(Found::describe).collect()
    }
}

impl Place {
    fn walk(&self, dir: &Path, depth: usize, left: &mut usize, found: &mut Vec<Found>) {
        // What is not there, or not to be read, has nothing to share.
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.flatten() {
            if *left == 0 {
                return;
            }
            *left -= 1;
            let path = entry.path();
            if depth > 0 {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    self.walk(&path, depth - 1, left, found);
                }
            } else if let (Some(id), Ok(about)) = (self.agent.session_of(&path), entry.metadata())
                && about.is_file()
            {
                let modified = about.modified().map_or(0, ms);
                found.push(Found { agent: self.agent, path, id, modified });
            }
        }
    }
}

impl Found {
    /// The session's id in a share.
    pub(super) fn session(&self) -> String {
        format!("{}{}", self.agent.prefix(), self.id)
    }

    pub(super) fn source(&self) -> Source {
        Source { id: self.id.clone(), ..Source::default() }
    }

    /// What its beginning says that it is about; `None` for one in which nothing was said yet.
    fn describe(&self) -> Option<KnownSession> {
        let mut head = Vec::new();
        fs::File::open(&self.path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
        let mut transcript = Transcript::new(self.agent, &self.source());
        transcript.feed(&head);
        if transcript.take_changes().items.len() < 2 {
            return None;
        }
        let about = transcript.about();
        Some(KnownSession {
            title: about.title.clone(),
            directory: about.directory.clone(),
            agent: Some(self.agent.name().to_owned()),
            state: Some(if now_ms() - self.modified < WORKS { Activity::Busy } else { Activity::Idle }),
            updated_at: Some(self.modified),
            ..KnownSession::named(self.session())
        })
    }

    /// Reads what an agent keeps in a file of its own beside the transcript, by its name: nothing outside of the folder
    /// for such files, whatever a transcript says and wherever a link leads.
    pub(super) fn outside(&self) -> impl FnMut(&str) -> Option<String> + Send + 'static {
        let folder = self.path.with_extension("").join("tool-results");
        move |name| {
            let folder = folder.canonicalize().ok()?;
            let path = folder.join(name).canonicalize().ok()?;
            if path.parent() == Some(&folder) { read_some(&path).ok() } else { None }
        }
    }
}

/// Bytes of a file beside a transcript that are read.
const MAX_OUTSIDE: u64 = 1 << 20;

fn read_some(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_OUTSIDE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
