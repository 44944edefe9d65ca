//! `OpenCode`, where it knows nothing of us: its sessions stand in its database, those of older versions in files, and
//! its server, where one runs, tells of them as they are written.

mod database;
mod events;
mod listener;
mod live;
mod reader;
mod server;
mod storage;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use actix::Addr;

use self::live::Live;
use self::reader::Reader;
use self::server::Server;
use self::storage::Storage;
use super::database::{Database, ReadError};
use super::follower::{Follow, Step};
use crate::client::{Activity, KnownSession, Manager};
use crate::clock::now_ms;

/// What the agent is called.
const AGENT: &str = "OpenCode";

/// What the ids of its sessions begin with: these are its own.
const PREFIX: &str = "ses_";

/// Sessions that are listed.
const MAX_LISTED: i64 = 100;

/// An agent that wrote something so lately works, in milliseconds.
const WORKS: i64 = 10_000;

/// Where the `OpenCode` of one user keeps its sessions, and where its server may listen.
#[derive(Debug, Clone)]
pub(super) struct OpenCode {
    database: Database,
    storage: Storage,
    server: Server,
    /// What the streams of sessions say that are followed.
    live: Arc<Mutex<HashMap<String, Weak<Live>>>>,
}

impl OpenCode {
    /// That of a home directory, or where the environment says that it is; and its server, when the user named it.
    pub(super) fn of_user(server: Option<String>) -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = var("XDG_DATA_HOME")
            .filter(|dir| dir.is_absolute())
            .unwrap_or_else(|| etcetera::home_dir().unwrap_or_default().join(".local/share"));
        let name = var("OPENCODE_DB").unwrap_or_else(|| "opencode.db".into());
        Self::new(&data.join("opencode").join(name), server)
    }

    fn new(database: &Path, server: Option<String>) -> Self {
        Self {
            database: Database(database.to_owned()),
            storage: Storage(database.with_file_name("storage")),
            server: Server::new(server),
            live: Arc::default(),
        }
    }

    /// Whether a session may be one of its, by its id.
    pub(super) fn may_have(session: &str) -> bool {
        server::is_session(session)
    }

    /// The sessions of its user, the newest first.
    pub(super) fn list(&self) -> Vec<KnownSession> {
        let listed =
            match database::read(&self.database, |connection, _| database::list(connection, MAX_LISTED)) {
                Ok(listed) => listed,
                // An older version has none.
                Err(ReadError::Missing) => self.storage.list(),
                Err(error) => {
                    note(&error);
                    Vec::new()
                }
            };
        let now = now_ms();
        let known = listed.into_iter().filter(|session| Self::may_have(&session.id)).map(|session| {
            let works = now - session.time_updated < WORKS;
            let said =
                self.live(&session.id, false).and_then(|live| live.status()).map(|status| status.state);
            KnownSession {
                title: Some(session.title),
                directory: Some(session.directory),
                agent: Some(AGENT.to_owned()),
                state: said.or(Some(if works { Activity::Busy } else { Activity::Idle })),
                updated_at: Some(session.time_updated),
                ..KnownSession::named(session.id)
            }
        });
        known.collect()
    }

    /// A session, to be followed.
    pub(super) fn find(&self, session: &str) -> Option<Box<dyn Follow>> {
        if !Self::may_have(session) {
            return None;
        }
        let live = self.live(session, true).unwrap_or_default();
        match Reader::find(self.database.clone(), session, live.clone()) {
            Ok(reader) => Some(Box::new(reader?)),
            Err(ReadError::Missing) => Some(Box::new(self.storage.find(session, live)?)),
            Err(error) => {
                note(&error);
                None
            }
        }
    }

    /// Reports what of a session only its server tells, while one runs that has it; for as long as the session is
    /// shared. Beside what [`find`](Self::find) gives, which was asked for before.
    pub(super) async fn stream(&self, session: String, manager: Addr<Manager>) {
        let live = self.live(&session, true).unwrap_or_default();
        self.server.clone().follow(session, live, manager).await;
    }

    /// What the stream of a session says.
    fn live(&self, session: &str, make: bool) -> Option<Arc<Live>> {
        let mut all = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = all.get(session).and_then(Weak::upgrade) {
            return Some(live);
        }
        all.retain(|_, live| live.strong_count() > 0);
        make.then(|| {
            let live = Arc::<Live>::default();
            all.insert(session.to_owned(), Arc::downgrade(&live));
            live
        })
    }
}

/// A database that cannot be read has nothing to share, and stops nothing.
fn note(error: &ReadError) {
    match error {
        ReadError::Missing => {}
        ReadError::Moved => tracing::debug!(%error, "OpenCode's database is not read"),
        _ => tracing::warn!(%error, "OpenCode's database is not read"),
    }
}
