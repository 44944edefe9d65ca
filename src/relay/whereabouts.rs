//! Where a relay listens, in its local directory: for the programs that use it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::{SecretsError, check_private, write_private};

const FILE: &str = "relay.json";

#[derive(Serialize, Deserialize)]
struct Whereabouts {
    /// `http://ADDRESS:PORT` or `unix:PATH`.
    address: String,
    pid: u32,
    version: String,
}

/// The file, which goes when the relay ends.
pub(super) struct Written(PathBuf);

/// Writes down where this process listens.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(dir: &Path, address: String) -> Result<Written, SecretsError> {
    let whereabouts =
        Whereabouts { address, pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let json = serde_json::to_vec(&whereabouts).unwrap_or_default();
    write_private(dir, FILE, &json)?;
    Ok(Written(dir.join(FILE)))
}

impl Drop for Written {
    fn drop(&mut self) {
        // One that cannot be taken away is written over by the next relay.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where the relay of a directory listens; `None` when none has said so, or others could have.
pub(super) fn read(dir: &Path) -> Option<String> {
    let path = dir.join(FILE);
    check_private(&path, 0o600).ok()?;
    let Whereabouts { address, .. } = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    Some(address)
}
