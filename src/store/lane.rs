//! A lane: writes one group at a time, all that gathered while the one before was committed. A share's writes go
//! through one lane, so they stay in their order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::group::{GROUP_WRITES, Group};
use super::records::Write;
use crate::metrics::METRICS;

/// Writes that wait for a lane.
const QUEUE: usize = 4096;

/// What commits groups.
pub(super) trait Commit {
    /// Writes a group, all at once, and tells what became of each of its shares.
    async fn commit(&self, group: &Group) -> Result<Outcomes, NotCommitted>;
}

/// What became of the shares of a group, by their numbers.
pub(super) type Outcomes = Vec<(i64, Result<(), StoreError>)>;

/// Why nothing is known of a group's shares one by one.
#[derive(Debug, Clone, Copy)]
pub(super) enum NotCommitted {
    /// The database refused, and nothing was written. What one share has may be at fault.
    Refused,
    /// This became of all of them.
    All(StoreError),
}

/// The sending end of a lane, which ends when all of them are gone.
#[derive(Clone)]
pub(super) struct Lane {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
}

/// The other end: what waits.
pub(super) struct Queue {
    jobs: mpsc::Receiver<Job>,
    waiting: Arc<AtomicUsize>,
}

struct Job {
    write: Write,
    done: Done,
}

type Done = oneshot::Sender<Result<(), StoreError>>;

impl Lane {
    /// A lane, and what has to be run for it. `waiting` counts what waits.
    pub(super) fn new(waiting: Arc<AtomicUsize>) -> (Self, Queue) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        (Self { jobs, waiting: waiting.clone() }, Queue { jobs: queue, waiting })
    }

    /// Puts a write into the queue; done when its outcome is known, or cannot be.
    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.jobs.try_send(Job { write, done }).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Busy,
                mpsc::error::TrySendError::Closed(_) => StoreError::Unavailable,
            }
        })?;
        outcome.await.unwrap_or(Err(StoreError::Unknown))
    }
}

impl Queue {
    /// Writes what comes, until nobody can give any more.
    pub(super) async fn run(mut self, database: impl Commit) {
        let (mut gathered, mut queue) = (Vec::new(), VecDeque::new());
        loop {
            if queue.is_empty() && self.jobs.recv_many(&mut gathered, GROUP_WRITES).await == 0 {
                return;
            }
            queue.extend(gathered.drain(..));
            while queue.len() < GROUP_WRITES
                && let Ok(job) = self.jobs.try_recv()
            {
                queue.push_back(job);
            }
            let (mut group, mut waiters) = (Group::default(), HashMap::<i64, Vec<Done>>::new());
            while queue.front().is_some_and(|job: &Job| group.takes(&job.write))
                && let Some(Job { write, done }) = queue.pop_front()
            {
                waiters.entry(write.num).or_default().push(done);
                group.add(write);
            }
            let writes = waiters.values().map(Vec::len).sum();
            self.waiting.fetch_sub(writes, Ordering::Relaxed);
            let began = Instant::now();
            for (num, outcome) in commit(&database, group, || count(began, writes)).await {
                for done in waiters.remove(&num).unwrap_or_default() {
                    // Who asked may have gone: what was written stays written.
                    let _ = done.send(outcome);
                }
            }
        }
    }
}

fn count(began: Instant, writes: usize) {
    #[allow(clippy::cast_precision_loss)] // A few thousand.
    METRICS.commit_jobs.observe(writes as f64);
    METRICS.commit_time.observe(began.elapsed().as_secs_f64());
}

/// Writes a group, and tells what became of each of its shares. `committed` is told when that was done at once.
async fn commit(database: &impl Commit, group: Group, committed: impl FnOnce()) -> Outcomes {
    let nums = group.nums();
    let all = |error| nums.iter().map(|num| (*num, Err(error))).collect();
    let failure = match database.commit(&group).await {
        Ok(outcomes) => {
            committed();
            return outcomes;
        }
        Err(failure) => failure,
    };
    METRICS.commit_failures.inc();
    match failure {
        NotCommitted::All(error) => all(error),
        NotCommitted::Refused if nums.len() == 1 => all(StoreError::Unavailable),
        NotCommitted::Refused => {
            // One of them is at fault: each gets a transaction of its own, so that its failure is its own.
            let (mut outcomes, mut is_away) = (Vec::with_capacity(nums.len()), false);
            for group in group.apart() {
                let mut error = StoreError::Unavailable;
                if !is_away {
                    match database.commit(&group).await {
                        Ok(outcome) => {
                            outcomes.extend(outcome);
                            continue;
                        }
                        Err(NotCommitted::Refused) => {}
                        Err(NotCommitted::All(failure)) => (error, is_away) = (failure, true),
                    }
                    METRICS.commit_failures.inc();
                }
                outcomes.extend(group.nums().into_iter().map(|num| (num, Err(error))));
            }
            outcomes
        }
    }
}
