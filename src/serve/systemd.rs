//! What systemd wants to hear from a service. Without systemd none of it does anything.

use std::time::Duration;

use sd_notify::NotifyState;

use super::Workers;
use crate::share::Directory;

/// The service serves.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The service reads its configuration again; `ready` says that it has.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the system does not say the time"),
    }
}

/// The service ends.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Tells the watchdog, when there is one, that shares can be asked and that all threads that serve HTTP do: again and
/// again, until they do not.
pub async fn keep_watchdog(shares: Directory, http_workers: Workers) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((limit / 3).max(Duration::from_millis(10)));
    loop {
        ticks.tick().await;
        http_workers.have_answered().await;
        if shares.is_alive().await {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
