//! What setup did, kept until it is undone: which file was how, and how setup left it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files;

/// The journal, which is this process's alone while it is open.
pub(super) struct Journal {
    path: PathBuf,
    entries: Entries,
    _lock: Option<File>,
}

#[derive(Default, Serialize, Deserialize)]
struct Entries {
    files: BTreeMap<PathBuf, Record>,
    /// Whether setup enabled the relay's unit.
    #[serde(default)]
    enabled_unit: bool,
    /// Directories that were made for the journal, the outermost first.
    #[serde(default)]
    dirs: Vec<PathBuf>,
}

/// What was done to a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// For which agents.
    pub(super) agents: BTreeSet<String>,
    /// How it was.
    pub(super) before: Before,
    /// The digest of what setup left there.
    pub(super) after: String,
    /// The share server that was written there.
    pub(super) server: String,
    /// Directories that were made for it, the outermost first.
    pub(super) dirs: Vec<PathBuf>,
}

/// How a file was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Before {
    /// There was none.
    Absent,
    /// As setup would have it.
    Same,
    /// As its copy is.
    Copy(PathBuf),
}

impl Record {
    /// Whether a file is as setup left it.
    pub(super) fn left(&self, now: Option<&[u8]>) -> bool {
        now.is_some_and(|now| digest(now) == self.after)
    }
}

impl Before {
    /// The copy of how it was.
    pub(super) fn copy(&self) -> Option<&PathBuf> {
        match self {
            Self::Copy(copy) => Some(copy),
            Self::Absent | Self::Same => None,
        }
    }
}

impl Journal {
    /// Opens the journal of a directory; to read it alone, when there is nothing to be done.
    pub(super) fn open(dir: &Path, read_only: bool) -> io::Result<Self> {
        let made = if read_only { Vec::new() } else { files::make_dirs(dir)? };
        let lock = if read_only { None } else { Some(File::open(dir)?) };
        if let Some(lock) = &lock {
            lock.lock()?;
        }
        let path = dir.join("setup.json");
        let damaged = |error| io::Error::new(ErrorKind::InvalidData, format!("{}: {error}", path.display()));
        let read =
            files::read(&path)?.map(|bytes| serde_json::from_slice(&bytes).map_err(damaged)).transpose()?;
        let entries = read.unwrap_or(Entries { dirs: made, ..Entries::default() });
        Ok(Self { path, entries, _lock: lock })
    }

    /// What was done to a file.
    pub(super) fn get(&self, path: &Path) -> Option<&Record> {
        self.entries.files.get(path)
    }

    /// The files of an agent.
    pub(super) fn of(&self, agent: &str) -> Vec<(PathBuf, Record)> {
        let of_agent = |(_, record): &(&PathBuf, &Record)| record.agents.contains(agent);
        let files = self.entries.files.iter().filter(of_agent);
        files.map(|(path, record)| (path.clone(), record.clone())).collect()
    }

    /// Whether any agent is set up.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.files.is_empty()
    }

    /// Notes what is about to be done to a file, or that it is undone.
    pub(super) fn set(&mut self, path: &Path, record: Option<Record>) -> io::Result<()> {
        match record {
            Some(record) => self.entries.files.insert(path.to_owned(), record),
            None => self.entries.files.remove(path),
        };
        self.write()
    }

    /// Whether setup enabled the relay's unit.
    pub(super) fn enabled_unit(&self) -> bool {
        self.entries.enabled_unit
    }

    /// Notes whether setup enabled the relay's unit.
    pub(super) fn set_enabled_unit(&mut self, enabled: bool) -> io::Result<()> {
        self.entries.enabled_unit = enabled;
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        if self.is_empty() && !self.enabled_unit() {
            return match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let bytes = serde_json::to_vec_pretty(&self.entries)?;
        files::write(&self.path, &bytes)?;
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // With the last entry goes what was made for them.
        files::remove_empty(std::mem::take(&mut self.entries.dirs));
    }
}

/// What tells a file's content from another.
pub(super) fn digest(bytes: &[u8]) -> String {
    BASE64_STANDARD_NO_PAD.encode(Sha256::digest(bytes))
}
