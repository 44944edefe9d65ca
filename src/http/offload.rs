//! Work that takes longer than a moment: beside the threads that serve HTTP, a few at a time.

use std::sync::Arc;

use actix_web::web;
use tokio::sync::Semaphore;

use crate::error::Error;

/// Bytes to read or to write from which on work is done here: handing it over costs as much as a tenth of that.
pub(super) const WORTH_IT: usize = 64 << 10;

/// Runs work on other threads. For the whole server; what waits for its turn has taken its memory already, which bounds
/// how much that can be.
pub struct Offload(Arc<Semaphore>);

impl Offload {
    /// `at_once` at a time.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// Runs work when its turn comes.
    ///
    /// # Errors
    /// When the server ends.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.0.clone().acquire_owned().await.map_err(|_| Error::Unavailable)?;
        let done = web::block(move || {
            // Held until the work has ended, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "work beside the HTTP threads did not end");
            Error::Unavailable
        })
    }
}
