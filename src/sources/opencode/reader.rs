//! A session in `OpenCode`'s database, followed while it grows. Each session has a log of its changes there, by numbers
//! that are read in an index; of an older database, which has none, all ids are read with the times of their last
//! writes. Either says which rows are read. Blocking: only called where that holds nobody up.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use diesel::sqlite::SqliteConnection;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::database::{Database, ReadError, Stamp};
use super::database::{self, Member, Schema};
use super::live::Live;
use super::{AGENT, Follow, Step};
use crate::client::{Activity, Agent, Status, Told};
use crate::clock::now_ms;
use crate::import::Item;
use crate::import::opencode::{self as import, message_key, part_key};
use crate::model::Key;

/// Bytes of rows that are read before what they say goes on.
pub(super) const STEP: usize = 4 << 20;

/// What was asked so long ago, and is not answered, is worked at no more, in milliseconds: whoever did has ended.
const GIVEN_UP: i64 = 15 * 60_000;

/// A session, as far as it was read.
pub(super) struct Reader {
    database: Database,
    session: String,
    live: Arc<Live>,
    told: Told,
    /// How far the log of each session was read; `None` for one that has no log.
    positions: HashMap<String, Option<i64>>,
    /// The rows that were read.
    known: HashMap<Key, Row>,
    /// Rows that are to be read.
    pending: VecDeque<Key>,
    /// What the session's own row was like.
    about: Option<u64>,
    /// What the files were like at the last look that found all there was.
    seen: Option<Stamp>,
    is_unknown: bool,
}

/// What a row was like.
struct Row {
    session: Arc<str>,
    time: i64,
    hash: u64,
}

/// What one look found.
#[derive(Default)]
struct Look {
    about: Option<Map<String, Value>>,
    last_message: Option<(i64, String)>,
    positions: HashMap<String, Option<i64>>,
    /// Rows that changed, beside those that were to be read already.
    names: Vec<Key>,
    /// Rows that are there no more, as a look at all ids has found.
    gone: Vec<Key>,
    /// The first of the rows that were to be read; `None` for one that is not there, or is no item.
    rows: Vec<Option<(Arc<str>, i64, Item)>>,
    /// Whether the logs go on.
    is_behind: bool,
}

impl Reader {
    /// # Errors
    /// When the database cannot be read. `None` when it does not have the session.
    pub(super) fn find(
        database: Database,
        session: &str,
        live: Arc<Live>,
    ) -> Result<Option<Self>, ReadError> {
        let about =
            database::read(&database, |connection, schema| database::session(connection, schema, session))?;
        let Some(about) = about else { return Ok(None) };
        let about = serde_json::from_str(&about).unwrap_or_default();
        Ok(Some(Self {
            database,
            session: session.to_owned(),
            live,
            told: told(&about, None),
            positions: HashMap::new(),
            known: HashMap::new(),
            pending: VecDeque::new(),
            about: None,
            seen: None,
            is_unknown: false,
        }))
    }

    fn look(&self) -> Result<Option<Look>, ReadError> {
        database::read(&self.database, |connection, schema| {
            let Some(about) = database::session(connection, schema, &self.session)? else { return Ok(None) };
            let about = serde_json::from_str(&about).ok();
            let last_message = database::last_message(connection, &self.session)?;
            let mut look = Look { about, last_message, ..Look::default() };
            if self.pending.is_empty() {
                self.look_for_names(connection, schema, &mut look)?;
            }
            let mut bytes = 0;
            for key in self.pending.iter().chain(&look.names) {
                if bytes >= STEP {
                    break;
                }
                let row = read_row(connection, key)?;
                bytes += row.as_ref().map_or(0, |(_, _, item)| item.content.get().len());
                look.rows.push(row);
            }
            Ok(Some(look))
        })
    }

    fn look_for_names(
        &self,
        connection: &mut SqliteConnection,
        schema: &Schema,
        look: &mut Look,
    ) -> Result<(), ReadError> {
        for Member { id, seq } in database::family(connection, schema, &self.session)? {
            let position = match (self.positions.get(&id), seq) {
                (Some(&Some(known)), Some(seq)) if known == seq => Some(seq),
                (Some(&Some(known)), Some(seq)) => {
                    let logged = database::logged(connection, &id, known)?;
                    let is_whole = logged.iter().zip(known + 1..).all(|(logged, seq)| logged.seq == seq);
                    match logged.last() {
                        Some(last) if is_whole => {
                            look.is_behind |= last.seq < seq;
                            let position = last.seq;
                            // The log says nothing of the parts that went with a message.
                            let removed =
                                logged.iter().filter(|logged| logged.kind.starts_with("message.removed"));
                            let removed: HashSet<_> =
                                removed.filter_map(|logged| logged.message.as_deref()).collect();
                            let went = |key: &&Key| {
                                key.parent_message_id().is_some_and(|message| removed.contains(message))
                            };
                            if !removed.is_empty() {
                                look.names.extend(self.known.keys().filter(went).cloned());
                            }
                            look.names.extend(logged.into_iter().filter_map(name));
                            Some(position)
                        }
                        // The log was cut.
                        _ => {
                            self.compare(connection, &id, look)?;
                            Some(seq)
                        }
                    }
                }
                (_, seq) => {
                    self.compare(connection, &id, look)?;
                    seq
                }
            };
            look.positions.insert(id, position);
        }
        let mut seen = HashSet::new();
        look.names.retain(|key| seen.insert(key.clone()));
        Ok(())
    }

    /// Finds what is different in a session by the ids of all its rows and the times of their last writes.
    fn compare(
        &self,
        connection: &mut SqliteConnection,
        session: &str,
        look: &mut Look,
    ) -> Result<(), ReadError> {
        let known = self.known.iter().filter(|(_, row)| *row.session == *session);
        let mut gone: HashMap<&Key, &Row> = known.collect();
        // What was written in the same millisecond as the last that was read may have been written after that.
        let last = gone.values().map(|row| row.time).max().unwrap_or(i64::MIN);
        let mut differs =
            |key: &Key, time: i64| gone.remove(key).is_none_or(|row| row.time != time) || time >= last;
        let mut parts = HashMap::<_, Vec<_>>::new();
        for (message, id, time) in database::parts(connection, session)? {
            if let Some(key) = part_key(&message, &id)
                && differs(&key, time)
            {
                parts.entry(message).or_default().push(key);
            }
        }
        for (id, time) in database::messages(connection, session)? {
            look.names.extend(message_key(&id).filter(|key| differs(key, time)));
            look.names.extend(parts.remove(&id).unwrap_or_default());
        }
        look.gone.extend(gone.into_keys().cloned());
        Ok(())
    }

    fn take(&mut self, look: Look) -> Step {
        let Look { about, last_message, positions, names, gone, rows, is_behind } = look;
        // The first look finds all there is.
        let mut step = Step { anew: self.positions.is_empty(), ..Step::default() };
        self.positions.extend(positions);
        self.pending.extend(names);
        if let Some(about) = about {
            self.told = told(&about, last_message);
            let item = import::session(&about);
            if let Some(item) =
                item.filter(|item| self.about.replace(hash(&item.content)) != Some(hash(&item.content)))
            {
                step.changes.items.push(item);
            }
        }
        for key in gone {
            self.forget(key, &mut step);
        }
        let read: Vec<_> = self.pending.drain(..rows.len()).collect();
        for (key, row) in read.into_iter().zip(rows) {
            let Some((session, time, item)) = row else {
                self.forget(key, &mut step);
                continue;
            };
            let hash = hash(&item.content);
            let before = self.known.insert(key, Row { session, time, hash });
            if before.is_none_or(|row| row.hash != hash) && !self.live.has_said(&item) {
                step.changes.items.push(item);
            }
        }
        step.more = is_behind || !self.pending.is_empty();
        step
    }

    /// A row is gone; with a message go its parts.
    fn forget(&mut self, key: Key, step: &mut Step) {
        if let Some(message) = key.message_id() {
            self.known.retain(|part, _| part.parent_message_id() != Some(message));
        }
        // What the event stream told of a row is taken back too.
        if self.known.remove(&key).is_some() | self.live.forget(&key) {
            step.changes.removed.push(key);
        }
    }
}

impl Follow for Reader {
    fn step(&mut self) -> io::Result<Step> {
        let stamp = self.database.stamp();
        if self.pending.is_empty() && stamp.as_ref().is_ok_and(|stamp| self.seen == Some(*stamp)) {
            return Ok(Step::default());
        }
        let step = match self.look() {
            Ok(Some(look)) => self.take(look),
            // A share outlives its session.
            Ok(None) | Err(ReadError::Missing | ReadError::Moved) => return Ok(Step::default()),
            Err(error @ ReadError::Unknown(_)) => {
                if !std::mem::replace(&mut self.is_unknown, true) {
                    tracing::warn!(%error, "OpenCode's database is not read");
                }
                return Ok(Step::default());
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        self.seen = stamp.ok().filter(|stamp| !step.more && stamp.is_sure());
        Ok(step)
    }

    fn told(&self) -> Told {
        self.live.told(&self.told)
    }

    fn watched(&self) -> Vec<PathBuf> {
        self.database.files()
    }
}

/// What is known of a session beside its items, by its row or its file, and by its last message and when that was
/// written.
pub(super) fn told(about: &Map<String, Value>, last_message: Option<(i64, String)>) -> Told {
    let text = |name: &str| about.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let works = last_message
        .is_some_and(|(time, message)| now_ms() - time < GIVEN_UP && import::is_working(&message));
    let state = if works { Activity::Busy } else { Activity::Idle };
    Told {
        title: text("title"),
        directory: text("directory"),
        agent: Some(Agent { name: AGENT.to_owned(), version: text("version") }),
        model: None,
        status: Some(Status { state, label: None }),
    }
}

/// The row that an entry of a log is about.
fn name(logged: database::Logged) -> Option<Key> {
    let message = logged.message?;
    if logged.kind.starts_with("message.part.") {
        part_key(&message, &logged.part?)
    } else {
        message_key(&message).filter(|_| logged.kind.starts_with("message."))
    }
}

fn read_row(
    connection: &mut SqliteConnection,
    key: &Key,
) -> Result<Option<(Arc<str>, i64, Item)>, ReadError> {
    let (row, id, of) = if let Some(id) = key.message_id() {
        (database::message(connection, id)?, id, None)
    } else if let Some((message, id)) = key.parent_message_id().zip(key.part_id()) {
        (database::part(connection, message, id)?, id, Some(message))
    } else {
        return Ok(None);
    };
    Ok(row.and_then(|(session, time, data)| {
        let item = match of {
            Some(message) => import::part(id, message, &session, &data),
            None => import::message(id, &session, &data),
        };
        Some((session.into(), time, item?))
    }))
}

pub(super) fn hash(content: &RawValue) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.get().hash(&mut hasher);
    hasher.finish()
}
