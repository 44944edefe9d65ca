//! What Codex calls its sessions, which it keeps beside their transcripts: in a database, older versions in a list.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::Deserialize;

use super::database::Database;
use crate::import::transcripts::Agent;

/// Bytes of the list that are read.
const MAX_INDEX: u64 = 16 << 20;

/// Sessions whose titles are read out of the database, the newest first.
const MAX_TITLES: usize = 10_000;

/// The titles, by the folders of their agents: read once.
#[derive(Debug, Default)]
pub(super) struct Titles(HashMap<PathBuf, HashMap<String, String>>);

#[derive(QueryableByName)]
struct Thread {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    title: String,
}

impl Titles {
    /// The title of a session, by its agent, the agent's own folder, and the agent's own id of it.
    pub(super) fn of(&mut self, agent: Agent, home: &Path, id: &str) -> Option<String> {
        if agent != Agent::Codex || home.as_os_str().is_empty() {
            return None;
        }
        let titles = self.0.entry(home.to_owned()).or_insert_with(|| {
            let mut titles = listed(home).unwrap_or_default();
            titles.extend(stored(home));
            titles
        });
        titles.get(id).cloned()
    }
}

/// The titles of the list `session_index.jsonl`, of which the last counts.
fn listed(home: &Path) -> Option<HashMap<String, String>> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        thread_name: String,
    }
    let index = fs::File::open(home.join("session_index.jsonl")).ok()?;
    let lines = BufReader::new(index.take(MAX_INDEX)).split(b'\n').map_while(Result::ok);
    let entries = lines.filter_map(|line| serde_json::from_slice::<Entry>(&line).ok());
    Some(entries.map(|entry| (entry.id, entry.thread_name)).collect())
}

/// The titles of the newest database. One that has another form, or cannot be read now, has none.
fn stored(home: &Path) -> HashMap<String, String> {
    let databases = fs::read_dir(home).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version: u32 = name.strip_prefix("state_")?.strip_suffix(".sqlite")?.parse().ok()?;
        Some((version, entry.path()))
    });
    let Some((_, path)) = databases.max() else { return HashMap::new() };
    let query = format!("SELECT id, title FROM threads ORDER BY updated_at DESC LIMIT {MAX_TITLES}");
    let threads = Database(path).read(|connection| Ok(diesel::sql_query(&query).load::<Thread>(connection)?));
    let threads = threads.unwrap_or_default();
    let titled = threads.into_iter().filter(|thread| !thread.title.trim().is_empty());
    titled.map(|Thread { id, title }| (id, title)).collect()
}
