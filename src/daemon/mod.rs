//! What the two daemons have in common: where they listen, and how they are asked to end.

mod listen;

use tokio::signal::unix::{SignalKind, signal};

pub use listen::{Address, BindError, SocketFile, Sockets, Visible, given_sockets};

/// Done when the process is asked to end.
///
/// # Errors
/// When the signals cannot be listened for.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
