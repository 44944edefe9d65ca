//! The shares that this client made, with their secrets: one file that its owner alone can read, replaced as a whole, so
//! that a crash leaves the old one or the new one.
//!
//! A share stays here until it is gone from the server, whatever becomes of its session: without its secret nobody could
//! ever take it away.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const FILE: &str = "shares.json";

/// The shares of a client, on disk.
pub(super) struct Secrets {
    dir: PathBuf,
    shares: BTreeMap<String, Share>,
}

/// One share, as its client knows it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Share {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) secret: String,
    /// Milliseconds since 1970.
    pub(super) created_at: i64,
    #[serde(default)]
    pub(super) state: State,
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
    /// Its session was deleted; the server has to be told.
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
    #[error("{path}: others can read the secrets here (mode {mode:03o}): run `chmod {wanted:03o} {path}`", path = .path.display())]
    Exposed {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
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
    /// Opens the shares of a directory, which is made when there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, SecretsError> {
        let path = dir.join(FILE);
        check_private(dir, 0o700)?;
        let shares = match fs::read(&path) {
            Ok(bytes) => {
                check_private(&path, 0o600)?;
                serde_json::from_slice(&bytes).map_err(|error| SecretsError::Damaged {
                    path,
                    // The error's own words could repeat a secret.
                    reason: format!("line {}, column {}", error.line(), error.column()),
                })?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(SecretsError::Io { path, source }),
        };
        Ok(Self { dir: dir.to_owned(), shares })
    }

    pub(super) fn get(&self, session_id: &str) -> Option<&Share> {
        self.shares.get(session_id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Share)> {
        self.shares.iter()
    }

    /// Stores a share, in place of the session's earlier one.
    pub(super) fn put(&mut self, session_id: &str, share: Share) -> Result<(), SecretsError> {
        self.change(session_id, Some(share))
    }

    pub(super) fn set_state(&mut self, session_id: &str, state: State) -> Result<(), SecretsError> {
        match self.shares.get(session_id) {
            Some(share) if share.state != state => {
                self.change(session_id, Some(Share { state, ..share.clone() }))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn remove(&mut self, session_id: &str) -> Result<(), SecretsError> {
        self.change(session_id, None)
    }

    /// Changes one share, on the disk first.
    fn change(&mut self, session_id: &str, share: Option<Share>) -> Result<(), SecretsError> {
        let mut shares = self.shares.clone();
        match share {
            Some(share) => shares.insert(session_id.to_owned(), share),
            None => shares.remove(session_id),
        };
        write_private(&self.dir, FILE, &serde_json::to_vec_pretty(&shares).unwrap_or_default())?;
        self.shares = shares;
        Ok(())
    }
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

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SecretsError + use<'_> {
    |source| SecretsError::Io { path: path.to_owned(), source }
}
