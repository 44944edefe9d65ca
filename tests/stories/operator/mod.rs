//! What an operator does and wants to know.

mod addresses;
mod admin;
mod backup;
mod config;
mod disk;
mod expiry;
mod healthcheck;
mod identity;
pub mod metrics;
mod moving;
mod openapi;
mod proxies;
mod store;
mod systemd;
pub mod tls;
mod tokens;

use std::ffi::OsStr;
use std::path::Path;

use crate::harness::program;

/// Runs a command on a data directory; what it prints, or what it says is wrong.
pub fn operate(data_dir: &Path, args: &[impl AsRef<OsStr>]) -> Result<String, String> {
    let output = program().args(args).arg("--data-dir").arg(data_dir).output().expect("runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}
