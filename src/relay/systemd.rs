//! The relay's unit in systemd's user manager.

use std::process::{Command, Stdio};

/// The socket that starts the relay.
pub(crate) const SOCKET: &str = "brutus-share-relay.socket";

/// The relay.
pub(crate) const SERVICE: &str = "brutus-share-relay.service";

/// Whether a user manager runs and knows the unit.
pub(crate) fn is_installed() -> bool {
    let shown = command(&["show", "--property=LoadState", "--value", SOCKET]).output();
    shown.is_ok_and(|shown| shown.status.success() && shown.stdout.trim_ascii() == b"loaded")
}

/// Asks the user manager for something; gives whether it was done.
pub(crate) fn systemctl(args: &[&str]) -> bool {
    command(args).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.arg("--user").arg("--no-ask-password").args(args).stdin(Stdio::null()).stderr(Stdio::null());
    command
}
