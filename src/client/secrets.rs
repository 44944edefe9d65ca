//! The shares that this client made, with their secrets: one file that its owner alone can read, replaced as a whole,
//! so that a crash leaves the old one or the new one.
//!
//! A share stays here until it is gone from the server, whatever becomes of its session: without its secret nobody
//! could ever take it away.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::sealing::Sealing;
use super::transport::{Place, Target};
use crate::discovery::Fingerprint;

const FILE: &str = "shares.json";

/// The shares of a client, on disk.
pub(super) struct Secrets {
    dir: PathBuf,
    shares: Vec<Share>,
}

/// One share, as its client knows it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Share {
    /// The session that it shows. One of its shares at most is not on its way out.
    #[serde(default)]
    pub(super) session: String,
    pub(super) id: String,
    pub(super) url: String,
    /// The server that made it and alone can change it: what `/api/share` is appended to.
    #[serde(default)]
    pub(super) server: String,
    /// The key that its server has to prove before anything is sent to it, wherever it is; none of a server that was
    /// named by its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) secret: String,
    /// Milliseconds since 1970.
    pub(super) created_at: i64,
    /// When the server ends it at the latest, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<i64>,
    #[serde(default)]
    pub(super) state: State,
    /// Whether what it shows is read where the session's agent keeps it.
    #[serde(default)]
    pub(super) is_read: bool,
    /// How it is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealing: Option<Sealing>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("state", &self.state).finish_non_exhaustive()
    }
}

/// What a share is to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Updates are sent.
    #[default]
    Active,
    /// The server no longer knows it, or not with this secret. The session can be shared anew.
    Ended,
    /// It was taken back, its session was deleted or has a newer share: the server has to be told.
    Removing,
}

/// Why the secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can read what they must not.
    #[error(
        "{path}: others can read the secrets here (mode {mode:03o}): run `chmod {wanted:03o} {path}`",
        path = .path.display()
    )]
    Exposed {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// There is no token in the file.
    #[error(
        "{path}: the token's file is empty: remove it, and the relay makes a new one when it starts",
        path = .path.display()
    )]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// The file with the server near by is not what this program wrote.
    #[error("{path}: not a pairing with a share server: remove it, and pair again", path = .path.display())]
    NoPairing {
        /// The path.
        path: PathBuf,
    },
    /// The file is not what this program wrote.
    #[error("{path}: not a list of shares ({reason}): restore it or move it away", path = .path.display())]
    Damaged {
        /// The path.
        path: PathBuf,
        /// Where it is broken.
        reason: String,
    },
}

impl Secrets {
    /// Opens the shares of a directory. Those that an earlier version stored without their server get `api_url`, to
    /// which that version would have sent them.
    pub(super) fn open(dir: &Path, api_url: &str) -> Result<Self, SecretsError> {
        let path = dir.join(FILE);
        check_private(dir, 0o700)?;
        let shares = match fs::read(&path) {
            Ok(bytes) => {
                check_private(&path, 0o600)?;
                parse(&bytes).map_err(|error| SecretsError::Damaged {
                    path,
                    // The error's own words could repeat a secret.
                    reason: format!("line {}, column {}", error.line(), error.column()),
                })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(SecretsError::Io { path, source }),
        };
        let mut secrets = Self { dir: dir.to_owned(), shares };
        if secrets.shares.iter().any(|share| share.server.is_empty()) {
            secrets.change(|shares| {
                for share in shares.iter_mut().filter(|share| share.server.is_empty()) {
                    api_url.clone_into(&mut share.server);
                }
            })?;
        }
        Ok(secrets)
    }

    /// The share of a session, unless it is on its way out.
    pub(super) fn current(&self, session: &str) -> Option<&Share> {
        self.of(session).find(|share| share.state != State::Removing)
    }

    /// All shares of a session: one that is on its way out stays until it is gone from the server.
    pub(super) fn of(&self, session: &str) -> impl Iterator<Item = &Share> {
        self.shares.iter().filter(move |share| share.session == session)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Share> {
        self.shares.iter()
    }

    /// Stores a share. The session's earlier ones are on their way out from now on.
    pub(super) fn put(&mut self, new: Share) -> Result<(), SecretsError> {
        self.change(|shares| {
            shares.retain(|share| !share.is(&new));
            for share in shares.iter_mut().filter(|share| share.session == new.session) {
                share.state = State::Removing;
            }
            shares.push(new);
        })
    }

    /// Notes that the server does not know the session's share any more, if that is still the one of this id.
    pub(super) fn ended(&mut self, session: &str, id: &str) -> Result<(), SecretsError> {
        if self.current(session).is_none_or(|share| share.id != id) {
            return Ok(());
        }
        self.change(|shares| {
            let same = |share: &&mut Share| share.session == session && share.state == State::Active;
            for share in shares.iter_mut().filter(same) {
                share.state = State::Ended;
            }
        })
    }

    /// Notes when a share ends at the latest.
    pub(super) fn ends(&mut self, share: &Share, at: Option<i64>) -> Result<(), SecretsError> {
        self.change(|shares| {
            for known in shares.iter_mut().filter(|known| known.is(share)) {
                known.expires_at = at;
            }
        })
    }

    /// Notes that a share is on its way out: in memory also when the disk does not take it, for nothing more of it may
    /// be sent.
    pub(super) fn removing(&mut self, session: &str) -> Result<(), SecretsError> {
        if self.current(session).is_none() {
            return Ok(());
        }
        self.change_in_memory_at_least(|shares| {
            for share in shares.iter_mut().filter(|share| share.session == session) {
                share.state = State::Removing;
            }
        })
    }

    /// Keeps a share that the disk does not take, until it is gone from the server or this process ends.
    pub(super) fn put_in_memory_at_least(&mut self, share: Share) -> Result<(), SecretsError> {
        self.change_in_memory_at_least(|shares| shares.push(share))
    }

    /// Forgets a share, which is gone from the server.
    pub(super) fn forget(&mut self, gone: &Share) -> Result<(), SecretsError> {
        self.change(|shares| shares.retain(|share| !share.is(gone)))
    }

    /// Changes the shares, on the disk first.
    fn change(&mut self, change: impl FnOnce(&mut Vec<Share>)) -> Result<(), SecretsError> {
        let mut shares = self.shares.clone();
        change(&mut shares);
        self.write(&shares)?;
        self.shares = shares;
        Ok(())
    }

    fn change_in_memory_at_least(
        &mut self,
        change: impl FnOnce(&mut Vec<Share>),
    ) -> Result<(), SecretsError> {
        change(&mut self.shares);
        self.write(&self.shares)
    }

    fn write(&self, shares: &[Share]) -> Result<(), SecretsError> {
        let path = self.dir.join(FILE);
        let bytes = serde_json::to_vec_pretty(shares)
            .map_err(|error| SecretsError::Io { path, source: error.into() })?;
        write_private(&self.dir, FILE, &bytes)
    }
}

/// What tells a share from all others: another server may give out the same id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    session: String,
    server: String,
    id: String,
}

impl Share {
    /// Its name.
    pub(super) fn name(&self) -> Name {
        Name { session: self.session.clone(), server: self.server.clone(), id: self.id.clone() }
    }

    /// Whether two are the same share, whatever its state.
    fn is(&self, other: &Self) -> bool {
        self.session == other.session && self.id == other.id && self.server == other.server
    }

    /// Where it is changed, and with what.
    pub(super) fn target(&self) -> Target {
        let server = Place { url: self.server.clone(), key: self.fingerprint.clone() };
        let seal = self.sealing.as_ref().map(|sealing| Arc::new(sealing.keys().of_share(&self.id)));
        Target { server, id: self.id.clone(), secret: self.secret.clone(), seal }
    }

    /// Where people look at it: the whole link, with the key of a sealed one.
    pub(super) fn link(&self) -> String {
        self.sealing.as_ref().map_or_else(|| self.url.clone(), |sealing| sealing.link(&self.url))
    }
}

/// A list of shares. An earlier version wrote an object of them by session.
fn parse(bytes: &[u8]) -> Result<Vec<Share>, serde_json::Error> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        let by_session: BTreeMap<String, Share> = serde_json::from_slice(bytes)?;
        return Ok(by_session.into_iter().map(|(session, share)| Share { session, ..share }).collect());
    }
    serde_json::from_slice(bytes)
}

/// Refuses a path that others than its owner can use.
pub fn check_private(path: &Path, wanted: u32) -> Result<(), SecretsError> {
    let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o777;
    let of_others = mode & 0o077;
    if of_others == 0 { Ok(()) } else { Err(SecretsError::Exposed { path: path.to_owned(), mode, wanted }) }
}

/// Replaces a file by one that its owner alone can read, whole or not at all.
pub fn write_private(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), SecretsError> {
    let path = dir.join(name);
    // `tempfile` makes its files 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(at(&path))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(at(&path))?;
    file.persist(&path).map_err(|error| SecretsError::Io { path: path.clone(), source: error.error })?;
    // The name is on the disk when the directory is.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// Says of which path an error is.
pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SecretsError + use<'_> {
    |source| SecretsError::Io { path: path.to_owned(), source }
}
