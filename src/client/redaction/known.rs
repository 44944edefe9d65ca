//! The values that are known to be secret: of the owner's environment, of files, and what is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::redact::{Known, KnownValues, credentials};

/// Files of a home directory in which programs keep what lets them in.
const CREDENTIALS: [&str; 18] = [
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".pgpass",
    ".aws/credentials",
    ".docker/config.json",
    ".config/gh/hosts.yml",
    ".config/git/credentials",
    ".cargo/credentials.toml",
    ".kube/config",
    ".claude/.credentials.json",
    ".codex/auth.json",
    ".gemini/oauth_creds.json",
    ".qwen/oauth_creds.json",
    ".pi/agent/auth.json",
    ".local/share/opencode/auth.json",
    ".local/share/opencode/mcp-auth.json",
];

/// The files of a session's directory whose values are secret.
const OF_SESSION: &str = ".env*";

/// Files that patterns may name, in a set.
const MAX_FILES: usize = 100;

/// Bytes of a file that are read.
const MAX_FILE: u64 = 1 << 20;

/// How long files are believed to be as they were.
const HOLDS: Duration = Duration::from_secs(2);

/// Names of values that are told.
const MAX_TOLD: usize = 1000;

/// Values that are known everywhere.
pub(super) struct Owner {
    /// The values of the environment.
    environment: Vec<Known>,
    files: Files,
    /// What agents told, by name.
    told: BTreeMap<String, BTreeSet<String>>,
    /// The secrets of shares.
    own: Vec<Known>,
    values: KnownValues,
    /// Whether these are older than what they are made of.
    is_stale: bool,
}

impl Owner {
    /// Of this process and its user.
    pub(super) fn new(environment: bool) -> Self {
        let home = std::env::home_dir().filter(|_| environment);
        let variables = std::env::vars_os().filter(|_| environment);
        let variables =
            variables.filter_map(|(name, value)| Known::variable(name.to_str()?, value.to_str()?));
        let credentials = CREDENTIALS.map(ToOwned::to_owned).to_vec();
        Self {
            environment: variables.collect(),
            files: home.map_or_else(Files::none, |home| Files::new(home, credentials)),
            told: BTreeMap::new(),
            own: Vec::new(),
            values: KnownValues::new([]),
            is_stale: true,
        }
    }

    /// What an agent says of its secrets: values by their names; one without a value is forgotten. Tells how many are
    /// sought; others are too short.
    pub(super) fn tell(&mut self, told: BTreeMap<String, Option<String>>) -> usize {
        let mut sought = 0;
        for (name, value) in told {
            match value {
                None => {
                    self.told.remove(&name);
                }
                Some(value) if Known::told(&name, &value).is_some() => {
                    sought += 1;
                    if self.told.len() < MAX_TOLD || self.told.contains_key(&name) {
                        self.told.entry(name).or_default().insert(value);
                    }
                }
                Some(_) => {}
            }
        }
        self.is_stale = true;
        sought
    }

    /// A secret of the relay's.
    pub(super) fn own(&mut self, kind: &str, value: &str) {
        let known = Known::secret(kind, value).filter(|known| !self.own.contains(known));
        if let Some(known) = known {
            self.own.push(known);
            self.is_stale = true;
        }
    }

    /// The values, after a look at the files when that is due.
    pub(super) fn values(&mut self, now: Instant) -> &KnownValues {
        if self.files.look(now) || self.is_stale {
            self.build();
        }
        &self.values
    }

    fn build(&mut self) {
        self.is_stale = false;
        let told = self.told.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let told = told.filter_map(|(name, value)| Known::told(name, value));
        let all = self.own.iter().cloned().chain(told).chain(self.environment.iter().cloned());
        self.values = KnownValues::new(all.chain(self.files.known.iter().cloned()));
    }
}

/// Values that are known in one session.
pub(super) struct OfSession {
    files: Files,
    values: KnownValues,
}

impl OfSession {
    pub(super) fn none() -> Self {
        Self { files: Files::none(), values: KnownValues::new([]) }
    }

    /// Of the directory in which the session's agent works; `more` are patterns of files beside `.env*`.
    pub(super) fn of(directory: &Path, more: &[String]) -> Self {
        let patterns = std::iter::once(OF_SESSION.to_owned()).chain(more.iter().cloned()).collect();
        Self { files: Files::new(directory.to_owned(), patterns), values: KnownValues::new([]) }
    }

    pub(super) fn is_of(&self, directory: &Path) -> bool {
        self.files.directory == directory
    }

    pub(super) fn values(&mut self, now: Instant) -> &KnownValues {
        if self.files.look(now) {
            self.values = KnownValues::new(self.files.known.iter().cloned());
        }
        &self.values
    }
}

/// A file as it was when it was read.
type Version = (PathBuf, u64, Option<SystemTime>);

/// Files with credentials, read again when they change.
struct Files {
    directory: PathBuf,
    patterns: Vec<String>,
    looked: Option<Instant>,
    versions: Vec<Version>,
    known: Vec<Known>,
}

impl Files {
    fn none() -> Self {
        Self::new(PathBuf::new(), Vec::new())
    }

    fn new(directory: PathBuf, patterns: Vec<String>) -> Self {
        Self { directory, patterns, looked: None, versions: Vec::new(), known: Vec::new() }
    }

    /// Looks at the files, unless it did so a moment ago. Tells whether their values may be others.
    fn look(&mut self, now: Instant) -> bool {
        if self.patterns.is_empty() || self.looked.is_some_and(|looked| now.duration_since(looked) < HOLDS) {
            return false;
        }
        self.looked = Some(now);
        let versions: Vec<_> = self.paths().into_iter().filter_map(version).collect();
        if versions == self.versions {
            return false;
        }
        self.known =
            versions.iter().filter_map(|(path, ..)| read(path)).flat_map(|text| credentials(&text)).collect();
        self.versions = versions;
        true
    }

    fn paths(&self) -> Vec<PathBuf> {
        let found = |pattern: &String| {
            if !pattern.contains(['*', '?', '[']) {
                return vec![self.directory.join(pattern)];
            }
            let Some(directory) = self.directory.to_str() else { return Vec::new() };
            let pattern = format!("{}/{pattern}", glob::Pattern::escape(directory));
            glob::glob(&pattern)
                .map_or_else(|_| Vec::new(), |paths| paths.flatten().take(MAX_FILES).collect())
        };
        self.patterns.iter().flat_map(found).take(MAX_FILES).collect()
    }
}

fn version(path: PathBuf) -> Option<Version> {
    // Files to be copied hold words in the places of secrets.
    let is_model = |extension: &str| ["example", "sample", "template", "dist"].contains(&extension);
    if path.extension().and_then(|extension| extension.to_str()).is_some_and(is_model) {
        return None;
    }
    let about = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    Some((path, about.len(), about.modified().ok()))
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
