//! A lane: writes one group at a time, all that gathered while the one before was committed. A share's writes go
//! through one lane, so they stay in their order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::connect::{Connection, Pool, is_alive};
use super::group::{GROUP_WRITES, Group};
use super::queries;
use crate::metrics::METRICS;
use crate::store::StoreError;
use crate::store::records::Write;

/// Writes that wait for a lane.
const QUEUE: usize = 4096;

/// How long a group may take. A connection that says nothing for longer is given up.
const WITHIN: Duration = Duration::from_secs(20);

/// The sending end of a lane, which ends when all of them are gone.
#[derive(Clone)]
pub(super) struct Lane {
    jobs: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
}

struct Job {
    write: Write,
    done: Done,
}

type Done = oneshot::Sender<Result<(), StoreError>>;

impl Lane {
    /// A lane, and what has to be run for it. `waiting` counts what waits.
    pub(super) fn new(pool: Pool, waiting: Arc<AtomicUsize>) -> (Self, impl Future<Output = ()> + Send) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        (Self { jobs, waiting: waiting.clone() }, run(pool, queue, waiting))
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

async fn run(pool: Pool, mut jobs: mpsc::Receiver<Job>, waiting: Arc<AtomicUsize>) {
    let (mut gathered, mut queue) = (Vec::new(), VecDeque::new());
    loop {
        if queue.is_empty() && jobs.recv_many(&mut gathered, GROUP_WRITES).await == 0 {
            return;
        }
        queue.extend(gathered.drain(..));
        while queue.len() < GROUP_WRITES
            && let Ok(job) = jobs.try_recv()
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
        waiting.fetch_sub(writes, Ordering::Relaxed);
        commit(&pool, group, waiters, writes).await;
    }
}

/// Writes a group and tells each of its writes what became of it.
async fn commit(pool: &Pool, group: Group, mut waiters: HashMap<i64, Vec<Done>>, writes: usize) {
    let began = Instant::now();
    let mut answer = |num: i64, outcome: Result<(), StoreError>| {
        for done in waiters.remove(&num).unwrap_or_default() {
            // Who asked may have gone: what was written stays written.
            let _ = done.send(outcome);
        }
    };
    let nums = group.nums();
    let Ok(connection) = pool.get().await else {
        METRICS.commit_failures.inc();
        for num in nums {
            answer(num, Err(StoreError::Unavailable));
        }
        return;
    };
    let mut connection = Some(connection);
    match write(&mut connection, &group).await {
        Ok(outcomes) => {
            #[allow(clippy::cast_precision_loss)] // A few thousand.
            METRICS.commit_jobs.observe(writes as f64);
            METRICS.commit_time.observe(began.elapsed().as_secs_f64());
            for (num, outcome) in outcomes {
                answer(num, outcome);
            }
        }
        Err(StoreError::Unavailable) if nums.len() > 1 => {
            // One of them is at fault: each gets a transaction of its own, so that its failure is its own.
            for group in group.apart() {
                let nums = group.nums();
                let outcomes = write(&mut connection, &group).await;
                let failed = |error| nums.into_iter().map(|num| (num, Err(error))).collect();
                for (num, outcome) in outcomes.unwrap_or_else(failed) {
                    answer(num, outcome);
                }
            }
        }
        Err(error) => {
            for num in nums {
                answer(num, Err(error));
            }
        }
    }
}

type Outcomes = Vec<(i64, Result<(), StoreError>)>;

/// Writes a group in one statement. An error is that of all: either nothing was written, or it is not known whether.
/// Then there is no connection any more.
async fn write(connection: &mut Option<Connection>, group: &Group) -> Result<Outcomes, StoreError> {
    let Some(mut own) = connection.take() else { return Err(StoreError::Unavailable) };
    match timeout(WITHIN, attempt(&mut own, group)).await {
        Ok(Ok(outcomes)) => {
            *connection = Some(own);
            Ok(outcomes)
        }
        Ok(Err(error)) => {
            METRICS.commit_failures.inc();
            tracing::error!(%error, "cannot write to the database");
            if is_alive(&mut own).await {
                // So it was the database's own word, and the statement is undone.
                *connection = Some(own);
                return Err(StoreError::Unavailable);
            }
            drop(Connection::take(own));
            Err(StoreError::Unknown)
        }
        Err(_) => {
            METRICS.commit_failures.inc();
            tracing::error!("the database does not answer a write");
            drop(Connection::take(own));
            Err(StoreError::Unknown)
        }
    }
}

async fn attempt(connection: &mut Connection, group: &Group) -> QueryResult<Outcomes> {
    let written: HashSet<i64> = queries::write(connection, group).await?.into_iter().collect();
    let nums = group.nums();
    let refused: Vec<i64> = nums.iter().filter(|num| !written.contains(num)).copied().collect();
    // What was written is written, also when this fails: then the refused ones are in conflict, and find out
    // themselves.
    let living = match &refused[..] {
        [] => None,
        refused => queries::confirm(connection, refused).await.ok(),
    };
    let outcome = |num: &i64| {
        if written.contains(num) {
            Ok(())
        } else if living.as_ref().is_some_and(|living| !living.contains_key(num)) {
            Err(StoreError::Gone)
        } else {
            Err(StoreError::Conflict)
        }
    };
    Ok(nums.iter().map(|num| (*num, outcome(num))).collect())
}
