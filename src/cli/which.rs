//! Which session is meant when nobody names one.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::client::{Activity, KnownSession};
use crate::sources::sha256;
use crate::text::plain;

/// The session of an agent that works in a directory: of several there the one that works, for it has just called a
/// tool, and of these the newest. One that does not say where it works will do when it alone works.
pub(super) fn at_work<'a>(sessions: &'a [KnownSession], directory: &Path) -> Option<&'a KnownSession> {
    let is_busy = |session: &&KnownSession| session.state == Some(Activity::Busy);
    let somewhere = |session: &&KnownSession| session.directory.is_none() && session.directory_hash.is_none();
    let mut here = sessions.iter().filter(|session| is_of(session, directory));
    let newest = here.next();
    if let Some(newest) = newest {
        return std::iter::once(newest).chain(here).find(is_busy).or(Some(newest));
    }
    let mut busy = sessions.iter().filter(somewhere).filter(is_busy);
    busy.next().filter(|_| busy.next().is_none())
}

/// The session that was talked of last in a directory, or else in one below it; the newest stand first.
pub(super) fn newest<'a>(sessions: &'a [KnownSession], directory: &Path) -> Option<&'a KnownSession> {
    let below = |session: &&KnownSession| {
        let of_session =
            session.directory.as_deref().and_then(|directory| Path::new(directory).canonicalize().ok());
        directory
            .canonicalize()
            .is_ok_and(|directory| of_session.is_some_and(|of_session| of_session.starts_with(directory)))
    };
    sessions.iter().find(|session| is_of(session, directory)).or_else(|| sessions.iter().find(below))
}

fn is_of(session: &KnownSession, directory: &Path) -> bool {
    if let Some(hash) = &session.directory_hash {
        return *hash == sha256(directory.as_os_str().as_bytes());
    }
    session.directory.as_deref().is_some_and(|of_session| same_place(Path::new(of_session), directory))
}

fn same_place(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// A session by its agent, its title and its directory.
pub(super) fn described(session: &KnownSession) -> String {
    let title = session.title.as_ref().map(|title| format!("\"{}\"", plain(title)));
    let agent = session.agent.as_deref().map(plain);
    let directory = session.directory.as_ref().map(|directory| format!("in {}", plain(directory)));
    let known: Vec<_> = [agent, title, directory].into_iter().flatten().collect();
    if known.is_empty() { format!("session {}", plain(&session.session_id)) } else { known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, directory: Option<&str>, state: Option<Activity>) -> KnownSession {
        KnownSession {
            directory: directory.map(ToOwned::to_owned),
            state,
            ..KnownSession::named(id.to_owned())
        }
    }

    #[test]
    fn the_session_without_a_name_is_the_one_of_the_directory() {
        let (busy, idle) = (Some(Activity::Busy), Some(Activity::Idle));
        let found = |sessions: &[KnownSession]| {
            at_work(sessions, Path::new("/w/project")).map(|session| session.session_id.clone())
        };
        let other = session("other", Some("/w/other"), busy);
        let resting = session("resting", Some("/w/project"), idle);
        let working = session("working", Some("/w/project"), busy);
        let (nowhere, nowhere_too) = (session("nowhere", None, busy), session("nowhere too", None, busy));
        assert_eq!(found(&[other.clone(), resting.clone(), working]).as_deref(), Some("working"));
        assert_eq!(found(&[nowhere.clone(), resting]).as_deref(), Some("resting"));
        assert_eq!(found(&[other.clone(), nowhere.clone()]).as_deref(), Some("nowhere"));
        assert_eq!(found(&[nowhere, nowhere_too]), None, "two could be meant");
        assert_eq!(found(&[other, session("unknown", None, None)]), None);
    }

    #[test]
    fn a_person_means_the_newest_session_of_the_directory_they_are_in() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let (here, below) = (dir.path().to_str().unwrap(), below.to_str().unwrap());
        let elsewhere = session("elsewhere", Some("/"), Some(Activity::Busy));
        let sessions = [elsewhere, session("below", Some(below), None), session("here", Some(here), None)];
        let found =
            |sessions: &[KnownSession]| newest(sessions, dir.path()).map(|found| found.session_id.clone());
        assert_eq!(found(&sessions).as_deref(), Some("here"));
        assert_eq!(found(&sessions[..2]).as_deref(), Some("below"));
        assert_eq!(found(&sessions[..1]), None);
        let hash = Some(sha256(here.as_bytes()));
        let hashed = KnownSession { directory_hash: hash, ..session("hashed", None, None) };
        assert_eq!(found(&[hashed]).as_deref(), Some("hashed"));
    }
}
