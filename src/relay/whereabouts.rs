//! Where a relay listens, in its local directory: for the programs that use it.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
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

/// Where the relay of a directory listens; `None` when none has said so, when others could have, and when the one that
/// has is gone without taking the file away.
pub(super) fn read(dir: &Path) -> Option<String> {
    let path = dir.join(FILE);
    check_private(&path, 0o600).ok()?;
    let Whereabouts { address, pid, .. } = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    is_alive(pid).then_some(address)
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Whom this process may not signal lives too.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_is_gone_is_nowhere() {
        let dir = tempfile::TempDir::new().unwrap();
        assert_eq!(read(dir.path()), None);
        let written = write(dir.path(), "unix:/a".into()).unwrap();
        assert_eq!(read(dir.path()).as_deref(), Some("unix:/a"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        for pid in [child.id(), 0, u32::MAX] {
            let left = Whereabouts { address: "unix:/a".into(), pid, version: String::new() };
            write_private(dir.path(), FILE, &serde_json::to_vec(&left).unwrap()).unwrap();
            assert_eq!(read(dir.path()), None, "{pid}");
        }
        drop(written);
        assert!(!dir.path().join(FILE).exists());
    }
}
