//! The files in which older versions of `OpenCode` keep their sessions: one for each session, message and part, written
//! anew when it changes. Blocking: only called where that holds nobody up.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::database::{Version, version};
use super::database::Listed;
use super::live::Live;
use super::reader::{STEP, told};
use super::server::is_session;
use super::{Follow, Step};
use crate::client::Told;
use crate::clock::ms;
use crate::import::Item;
use crate::import::opencode::{message_key, part_key, whole_message, whole_part, whole_session};
use crate::model::Key;

/// Bytes of a file that are read.
const MAX_FILE: u64 = 256 << 20;

/// Where these files are.
#[derive(Debug, Clone)]
pub(super) struct Storage(pub(super) PathBuf);

/// A session, by its file.
struct Found {
    id: String,
    about: Map<String, Value>,
    json: Box<RawValue>,
    path: PathBuf,
}

/// A session, as far as its files were read.
pub(super) struct FileReader {
    storage: Storage,
    session: Found,
    live: Arc<Live>,
    told: Told,
    /// What the session's own file was like.
    about: Option<Version>,
    /// What the files were like that were read.
    known: HashMap<Key, Version>,
    /// Files that are to be read.
    pending: VecDeque<(Key, PathBuf, Version)>,
}

impl Storage {
    /// The sessions of its user in which something was said, the newest first.
    pub(super) fn list(&self) -> Vec<Listed> {
        let files = entries(&self.0.join("session")).into_iter().flat_map(|project| entries(&project));
        let sessions = files.filter_map(|path| Found::read(&path)).filter(|found| {
            found.parent().is_none() && !entries(&self.0.join("message").join(&found.id)).is_empty()
        });
        let mut listed: Vec<_> = sessions.map(Found::listed).collect();
        listed.sort_by_key(|session| std::cmp::Reverse(session.time_updated));
        listed
    }

    /// A session, to be followed.
    pub(super) fn find(&self, session: &str, live: Arc<Live>) -> Option<FileReader> {
        let name = format!("{session}.json");
        let projects = entries(&self.0.join("session"));
        let session = projects.into_iter().find_map(|project| Found::read(&project.join(&name)))?;
        Some(FileReader {
            storage: self.clone(),
            told: told(&session.about, None),
            session,
            live,
            about: None,
            known: HashMap::new(),
            pending: VecDeque::new(),
        })
    }
}

impl Found {
    fn read(path: &Path) -> Option<Self> {
        let text = read(path).ok()?;
        let about: Map<String, Value> = serde_json::from_str(&text).ok()?;
        let id = about.get("id")?.as_str().filter(|id| is_session(id))?.to_owned();
        Some(Self { id, about, json: RawValue::from_string(text).ok()?, path: path.to_owned() })
    }

    fn listed(self) -> Listed {
        let text = |name: &str| self.about.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let updated = self.about.get("time").and_then(|time| time["updated"].as_i64());
        let (title, directory) = (text("title"), text("directory"));
        Listed { id: self.id, title, directory, time_updated: updated.unwrap_or_default() }
    }

    fn parent(&self) -> Option<&str> {
        self.about.get("parentID").and_then(Value::as_str)
    }
}

impl FileReader {
    /// The session and those of its subagents, of which the files stand beside its own.
    fn family(&self) -> HashSet<String> {
        let mut family = HashSet::from([self.session.id.clone()]);
        let beside = self.session.path.parent().map(entries).unwrap_or_default();
        let mut others: Vec<_> = beside.iter().filter_map(|path| Found::read(path)).collect();
        loop {
            let known = family.len();
            others.retain(|other| {
                let is_of_it = other.parent().is_some_and(|parent| family.contains(parent));
                !(is_of_it && family.insert(other.id.clone()))
            });
            if family.len() == known {
                return family;
            }
        }
    }

    /// Finds the files that are new or different, and takes back what is gone.
    fn look(&mut self, step: &mut Step) -> io::Result<()> {
        let mut gone: HashSet<_> = self.known.keys().cloned().collect();
        let mut last = None;
        for session in self.family() {
            for message in entries(&self.storage.0.join("message").join(&session)) {
                let Some(id) = name(&message) else { continue };
                let parts = entries(&self.storage.0.join("part").join(id));
                let parts = parts.into_iter().filter_map(|path| Some((part_key(id, name(&path)?)?, path)));
                for (key, path) in message_key(id).map(|key| (key, message.clone())).into_iter().chain(parts)
                {
                    let Some(version) = version(&path)? else { continue };
                    gone.remove(&key);
                    if self.known.get(&key) != Some(&version) {
                        self.pending.push_back((key, path, version));
                    }
                }
                last = if session == self.session.id { Some(message) } else { last };
            }
        }
        let last = last.and_then(|path| Some((ms(version(&path).ok()??.2), read(&path).ok()?)));
        self.told = told(&self.session.about, last);
        // Files that are all gone were put elsewhere: nobody took the conversation back.
        let is_moved = gone.len() == self.known.len();
        for key in gone.into_iter().filter(|_| !is_moved) {
            self.known.remove(&key);
            self.live.forget(&key);
            step.changes.removed.push(key);
        }
        Ok(())
    }
}

impl Follow for FileReader {
    fn step(&mut self) -> io::Result<Step> {
        let mut step = Step { anew: self.about.is_none(), ..Step::default() };
        if self.pending.is_empty() {
            // A share outlives its session.
            let Some(about) = version(&self.session.path)? else { return Ok(Step::default()) };
            if self.about != Some(about)
                && let Some(session) = Found::read(&self.session.path)
            {
                step.changes.items.extend(whole_session(&session.json));
                (self.session, self.about) = (session, Some(about));
            }
            self.look(&mut step)?;
        }
        let mut bytes = 0;
        while bytes < STEP
            && let Some((key, path, version)) = self.pending.pop_front()
        {
            // One that is just being written is read the next time.
            let Some(item) = read(&path).ok().and_then(|text| item(&key, text)) else { continue };
            bytes += item.content.get().len();
            self.known.insert(key, version);
            if !self.live.has_said(&item) {
                step.changes.items.push(item);
            }
        }
        step.more = !self.pending.is_empty();
        Ok(step)
    }

    fn told(&self) -> Told {
        self.live.told(&self.told)
    }

    fn watched(&self) -> Vec<PathBuf> {
        vec![self.session.path.clone(), self.storage.0.join("message").join(&self.session.id)]
    }
}

fn item(key: &Key, text: String) -> Option<Item> {
    let json = RawValue::from_string(text).ok()?;
    let item = if key.part_id().is_some() { whole_part(&json) } else { whole_message(&json) };
    item.filter(|item| item.key == *key)
}

/// What is in a folder, by name. What is not there, or not to be read, has nothing to share.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut entries: Vec<_> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// The id of what a file holds.
fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_suffix(".json")
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}
