//! The files of one agent, changed and changed back one by one: what goes wrong with one is said, and the others are
//! done.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use imara_diff::{Algorithm, Diff, InternedInput};

use crate::text::plain;

use super::agents::{Agent, Target};
use super::content::{Content, Refused};
use super::journal::{Before, Journal, Record, digest};
use super::{files, unit};

pub(super) struct Work {
    journal: Journal,
    pub(super) agent: Agent,
    dry_run: bool,
    failed: bool,
    /// Directories that were made for files that are gone again.
    left_over: Vec<PathBuf>,
}

type Done = Result<(), Box<dyn Error>>;

impl Work {
    pub(super) fn new(journal: Journal, agent: Agent, dry_run: bool) -> Self {
        Self { journal, agent, dry_run, failed: false, left_over: Vec::new() }
    }

    /// Whether something could not be done.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// What was done for the agent.
    pub(super) fn records(&self) -> Vec<(PathBuf, Record)> {
        self.journal.of(&self.agent.word())
    }

    /// Brings what setup wants into a file; gives whether that changed it.
    pub(super) fn put(&mut self, target: &Target, server: &str) -> bool {
        let done = self.try_put(target, server);
        done.unwrap_or_else(|error| {
            self.fail(&target.path, error.as_ref());
            false
        })
    }

    fn try_put(&mut self, Target { path, content }: &Target, server: &str) -> Result<bool, Box<dyn Error>> {
        let now = files::read(path)?;
        let record = self.journal.get(path).cloned();
        let before = match &record {
            Some(record) => original(record, Some(content), now.as_deref())?,
            None => now.clone(),
        };
        let after = content.put(before.as_deref())?;
        self.say(path, now.as_deref(), Some(&after));
        let is_changed = now.as_ref() != Some(&after);
        if self.dry_run {
            return Ok(is_changed);
        }
        let mut agents = record.as_ref().map_or_else(BTreeSet::new, |record| record.agents.clone());
        agents.insert(self.agent.word());
        let old_copy = record.as_ref().and_then(|record| record.before.copy().cloned());
        let (how, dirs) = match record {
            Some(record) if record.before != Before::Same && record.left(now.as_deref()) => {
                (record.before, record.dirs)
            }
            _ if before.as_ref() == Some(&after) => (Before::Same, Vec::new()),
            _ => (keep(path, before.as_deref(), now.as_deref())?, Vec::new()),
        };
        let mut record =
            Record { agents, before: how, after: digest(&after), server: server.to_owned(), dirs };
        self.journal.set(path, Some(record.clone()))?;
        if is_changed {
            let made = files::write(path, &after)?;
            if !made.is_empty() {
                record.dirs = made;
                self.journal.set(path, Some(record.clone()))?;
            }
        }
        match old_copy {
            Some(copy) if record.before.copy() != Some(&copy) => files::remove(&copy)?,
            _ => {}
        }
        Ok(is_changed)
    }

    /// Takes back what was done to a file.
    pub(super) fn undo(&mut self, path: &Path, record: &Record, content: Option<&Content>) {
        if let Err(error) = self.try_undo(path, record.clone(), content) {
            self.fail(path, error.as_ref());
        }
    }

    fn try_undo(&mut self, path: &Path, mut record: Record, content: Option<&Content>) -> Done {
        record.agents.remove(&self.agent.word());
        if !record.agents.is_empty() {
            let others: Vec<_> = record.agents.iter().map(String::as_str).collect();
            say!("kept       {} (for {})", shown(path), others.join(", "));
            return if self.dry_run { Ok(()) } else { Ok(self.journal.set(path, Some(record))?) };
        }
        let now = files::read(path)?;
        let before = original(&record, content, now.as_deref())?;
        self.replace(path, now.as_deref(), before.as_deref())?;
        if !self.dry_run {
            self.journal.set(path, None)?;
            self.left_over.append(&mut record.dirs);
            if let Some(copy) = record.before.copy() {
                files::remove(copy)?;
            }
        }
        Ok(())
    }

    /// Takes our entries out of a file of which the journal knows nothing.
    pub(super) fn take_out(&mut self, Target { path, content }: &Target) {
        let done = || -> Done {
            let Some(now) = files::read(path)? else { return Ok(()) };
            match content.take_out(&now, None, false) {
                Ok(rest) if rest.as_ref() != Some(&now) => self.replace(path, Some(&now), rest.as_deref()),
                // Nothing of ours that is known.
                _ => Ok(()),
            }
        };
        if let Err(error) = done() {
            self.fail(path, error.as_ref());
        }
    }

    fn replace(&self, path: &Path, now: Option<&[u8]>, then: Option<&[u8]>) -> Done {
        self.say(path, now, then);
        match then {
            _ if self.dry_run || now == then => {}
            Some(then) => {
                files::write(path, then)?;
            }
            None => files::remove(path)?,
        }
        Ok(())
    }

    /// Has systemd hold the relay's address, where it can; gives a relay that runs the server that was written.
    pub(super) fn enable_unit(&mut self, changes_server: bool) -> io::Result<()> {
        if unit::is_installed() && !unit::is_enabled() {
            if unit::enable() {
                self.journal.set_enabled_unit(true)?;
                say!("enabled    {}", unit::SOCKET);
            } else {
                say!(
                    "The relay's unit cannot be enabled: `systemctl --user status {}` says why.",
                    unit::SOCKET
                );
            }
        }
        if changes_server && !unit::restart() {
            say!("A relay that runs already keeps its server: end it, and the next share starts it anew.");
        }
        Ok(())
    }

    /// Takes away what nobody needs once all files are undone: directories, and the unit after the last agent.
    pub(super) fn clean_up(&mut self) -> io::Result<()> {
        files::remove_empty(std::mem::take(&mut self.left_over));
        if !self.dry_run && self.journal.is_empty() && self.journal.enabled_unit() {
            unit::disable();
            self.journal.set_enabled_unit(false)?;
            say!("disabled   {}", unit::SOCKET);
        }
        Ok(())
    }

    /// Says what becomes of a file.
    fn say(&self, path: &Path, now: Option<&[u8]>, then: Option<&[u8]>) {
        let what = match (now, then) {
            _ if now == then => "unchanged",
            (None, _) => "created",
            (_, None) => "removed",
            _ => "changed",
        };
        if self.dry_run && now != then {
            say!("would be {what}: {}", shown(path));
            print!("{}", difference(now.unwrap_or_default(), then.unwrap_or_default()));
        } else {
            say!("{what:10} {}", shown(path));
        }
    }

    fn fail(&mut self, path: &Path, error: &dyn Error) {
        self.failed = true;
        eprintln!("error: {}: {}", shown(path), plain(&error.to_string()));
    }
}

/// A file without our entries: as it was, when it still is as setup left it.
fn original(
    record: &Record,
    content: Option<&Content>,
    now: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
    let Some(now) = now else { return Ok(None) };
    if record.before == Before::Same {
        return Ok(Some(now.to_owned()));
    }
    let before = record.before.copy().map(std::fs::read).transpose()?;
    if record.left(Some(now)) {
        return Ok(before);
    }
    let content = content.ok_or(Refused::Foreign)?;
    Ok(content.take_out(now, before.as_deref(), before.is_none())?)
}

/// Keeps how a file was, in a copy beside it.
fn keep(path: &Path, before: Option<&[u8]>, now: Option<&[u8]>) -> io::Result<Before> {
    let Some(before) = before else { return Ok(Before::Absent) };
    let copy = files::back_up(path)?;
    if now != Some(before) {
        files::write(&copy, before)?;
    }
    Ok(Before::Copy(copy))
}

/// The lines that go and come.
fn difference(now: &[u8], then: &[u8]) -> String {
    let (now, then) = (String::from_utf8_lossy(now), String::from_utf8_lossy(then));
    let input = InternedInput::new(&*now, &*then);
    let diff = Diff::compute(Algorithm::Myers, &input);
    let mut lines = String::new();
    for hunk in diff.hunks() {
        let gone = &input.before[hunk.before.start as usize..hunk.before.end as usize];
        let come = &input.after[hunk.after.start as usize..hunk.after.end as usize];
        let signed = gone.iter().map(|token| ('-', token)).chain(come.iter().map(|token| ('+', token)));
        for (sign, token) in signed {
            let line = plain(input.interner[*token].trim_end());
            lines.extend(["  ", &sign.to_string(), " ", &line, "\n"]);
        }
    }
    lines
}

fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}
