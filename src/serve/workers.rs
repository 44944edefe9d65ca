//! Whether the threads that serve HTTP do: each is asked, and answers when it comes to it.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

/// The threads that serve HTTP. Clones are of the same.
#[derive(Clone, Default)]
pub struct Workers(Arc<Mutex<Vec<Worker>>>);

/// Where a thread is asked.
type Worker = mpsc::UnboundedSender<oneshot::Sender<()>>;

impl Workers {
    /// Adds the thread on which this is called: it answers from now on, in its turn among what it does.
    pub(super) fn add_this_thread(&self) {
        let (worker, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        actix_web::rt::spawn(async move {
            while let Some(reply) = asked.recv().await {
                // Who asked may not wait any more.
                let _ = reply.send(());
            }
        });
    }

    /// Done when each of them has answered. One that has ended need not: another takes its place.
    pub async fn have_answered(&self) {
        let asked = {
            let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            workers.retain(|worker| !worker.is_closed());
            let ask = |worker: &Worker| {
                let (reply, answer) = oneshot::channel();
                worker.send(reply).is_ok().then_some(answer)
            };
            workers.iter().filter_map(ask).collect::<Vec<_>>()
        };
        join_all(asked).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[actix_web::test]
    async fn a_thread_that_is_held_up_does_not_answer_and_one_that_has_ended_need_not() {
        let workers = Workers::default();
        workers.add_this_thread();
        workers.have_answered().await;

        let (other, of_other) = (actix::Arbiter::new(), workers.clone());
        let (added, is_added) = oneshot::channel();
        other.spawn_fn(move || {
            of_other.add_this_thread();
            let _ = added.send(());
        });
        is_added.await.unwrap();
        workers.have_answered().await;

        let (free, held_up) = std::sync::mpsc::channel::<()>();
        let (began, has_begun) = oneshot::channel();
        other.spawn_fn(move || {
            let _ = began.send(());
            let _ = held_up.recv();
        });
        has_begun.await.unwrap();
        let answered = tokio::time::timeout(Duration::from_millis(50), workers.have_answered());
        assert!(answered.await.is_err());
        free.send(()).unwrap();
        workers.have_answered().await;

        other.stop();
        other.join().unwrap();
        workers.have_answered().await;
    }
}
