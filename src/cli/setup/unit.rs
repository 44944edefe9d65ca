//! The relay's unit, where systemd's user manager runs and the unit is installed.

pub(super) use crate::relay::systemd::{SOCKET, is_installed};

use crate::relay::systemd::{SERVICE, systemctl};

/// Whether the unit starts with the user's session.
pub(super) fn is_enabled() -> bool {
    systemctl(&["is-enabled", "--quiet", SOCKET])
}

/// Has the unit start with the user's session, and now; gives whether that worked.
pub(super) fn enable() -> bool {
    systemctl(&["enable", "--quiet", "--now", SOCKET])
}

/// The other way round, from the next session on: the relay that runs has its shares to look after.
pub(super) fn disable() -> bool {
    systemctl(&["disable", "--quiet", SOCKET])
}

/// Starts a relay that runs by the unit anew, so that it reads its environment; gives whether none runs without it.
pub(super) fn restart() -> bool {
    is_installed() && systemctl(&["try-restart", SERVICE])
}
