//! The share server near by to which the user said yes: its key, where it was, and what it called itself.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::secrets::{SecretsError, at, check_private, write_private};
use crate::config::base_url;
use crate::discovery::Fingerprint;

/// Its file in the local directory.
const FILE: &str = "server.json";

/// A server to which the user said yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pairing {
    /// What it called itself then.
    pub name: String,
    /// Where it was then: what `/api/share` is appended to.
    pub url: String,
    /// By what it is known, wherever it is and whatever it calls itself.
    pub fingerprint: Fingerprint,
    /// Milliseconds since 1970.
    pub paired_at: i64,
}

impl Pairing {
    /// The one of a relay's directory, when there is one.
    ///
    /// # Errors
    /// When its file cannot be read, others can read it, or it is not what this program wrote.
    pub fn read(dir: &Path) -> Result<Option<Self>, SecretsError> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(at(&path))?,
        };
        check_private(&path, 0o600)?;
        let pairing = serde_json::from_slice(&bytes).ok();
        let pairing = pairing.filter(|pairing: &Self| base_url(&pairing.url).as_ref() == Ok(&pairing.url));
        pairing.map(Some).ok_or(SecretsError::NoPairing { path })
    }

    /// Keeps it, in the place of another.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), SecretsError> {
        let json = serde_json::to_vec_pretty(self);
        let json = json.map_err(|error| SecretsError::Io { path: dir.join(FILE), source: error.into() })?;
        write_private(dir, FILE, &json)
    }

    /// Forgets the one of a directory.
    ///
    /// # Errors
    /// When the file cannot be taken away.
    pub fn forget(dir: &Path) -> Result<(), SecretsError> {
        let path = dir.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_pairing_is_kept_for_its_owner_alone() {
        let dir = tempfile::TempDir::new().unwrap();
        assert_eq!(Pairing::read(dir.path()).unwrap(), None);
        let pairing = Pairing {
            name: "nas".into(),
            url: "http://192.0.2.7:8090".into(),
            fingerprint: "aaaabbbbccccddddeeeeffffgggghhhh".parse().unwrap(),
            paired_at: 1,
        };
        pairing.write(dir.path()).unwrap();
        assert_eq!(Pairing::read(dir.path()).unwrap().as_ref(), Some(&pairing));
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Pairing::read(dir.path()), Err(SecretsError::Exposed { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let json = serde_json::to_string(&pairing).unwrap();
        for damaged in ["", "{}", &json.replace("aaaa-", "-"), &json.replace("http:", "ftp:")] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(Pairing::read(dir.path()), Err(SecretsError::NoPairing { .. })), "{damaged}");
        }
        Pairing::forget(dir.path()).unwrap();
        Pairing::forget(dir.path()).unwrap();
        assert_eq!(Pairing::read(dir.path()).unwrap(), None);
    }
}
