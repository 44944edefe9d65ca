//! Writing: one thread that takes all that gathered during its last commit and writes it in one transaction, a savepoint
//! for each job, so that one job's failure is its own and one fsync serves many.

use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use super::StoreError;
use super::connection::StartupError;
use super::queries::{self, NewShare, Write};

/// Jobs that wait for the writer. A share has one write under way at most, so this bounds shares that write at once.
const QUEUE: usize = 4096;

/// Jobs in one transaction: enough to share an fsync widely, few enough that the first waiter is not kept long.
const GROUP_JOBS: usize = 1024;

/// Bytes in one transaction, after which the group is closed.
const GROUP_BYTES: usize = 16 << 20;

#[derive(Clone)]
pub(super) struct Writer {
    jobs: SyncSender<Job>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Job {
    task: Task,
    done: oneshot::Sender<Result<(), StoreError>>,
}

enum Task {
    Create(NewShare),
    Write(Write),
    Delete { num: i64, at: i64 },
    Check,
    Close,
}

impl Task {
    fn bytes(&self) -> usize {
        match self {
            Self::Write(write) => write
                .rows
                .iter()
                .map(|row| row.content.as_ref().map_or(0, |content| content.get().len()))
                .sum(),
            _ => 0,
        }
    }
}

impl Writer {
    /// Starts the thread. It keeps the lock on the data directory for as long as it writes.
    pub(super) fn start(connection: SqliteConnection, lock: File) -> Result<Self, StartupError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                run(connection, &queue);
                drop(lock);
            })
            .map_err(StartupError::Thread)?;
        Ok(Self { jobs, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    pub(super) async fn create(&self, share: NewShare) -> Result<(), StoreError> {
        self.submit(Task::Create(share)).await
    }

    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        self.submit(Task::Write(write)).await
    }

    pub(super) async fn delete(&self, num: i64, at: i64) -> Result<(), StoreError> {
        self.submit(Task::Delete { num, at }).await
    }

    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.submit(Task::Check).await
    }

    async fn submit(&self, task: Task) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.jobs.try_send(Job { task, done }).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Unavailable,
        })?;
        answer.await.unwrap_or(Err(StoreError::Unavailable))
    }

    pub(super) fn close(&self) {
        let (done, _) = oneshot::channel();
        // An error means that the thread has ended already.
        let _ = self.jobs.send(Job { task: Task::Close, done });
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer thread panicked");
        }
    }
}

fn run(mut connection: SqliteConnection, queue: &Receiver<Job>) {
    let mut closing = false;
    while !closing {
        let Ok(first) = queue.recv() else { break };
        let mut group = vec![first];
        let mut bytes = group[0].task.bytes();
        while group.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            let Ok(job) = queue.try_recv() else { break };
            bytes += job.task.bytes();
            group.push(job);
        }
        closing = group.iter().any(|job| matches!(job.task, Task::Close));
        commit(&mut connection, group);
    }
    if let Err(error) = queries::optimize(&mut connection).and_then(|()| queries::checkpoint(&mut connection))
    {
        tracing::warn!(%error, "cannot checkpoint the database at its end");
    }
}

/// Writes a group in one transaction and answers each of its jobs.
fn commit(connection: &mut SqliteConnection, group: Vec<Job>) {
    let committed = connection.immediate_transaction(|connection| {
        let results = group.iter().map(|job| {
            // A nested transaction is a savepoint.
            connection.transaction(|connection| perform(connection, &job.task))
        });
        Ok::<_, diesel::result::Error>(results.collect::<Vec<_>>())
    });
    let results = committed.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot commit");
        group.iter().map(|_| Err(diesel::result::Error::RollbackTransaction)).collect()
    });
    if group.iter().any(|job| matches!(job.task, Task::Delete { .. })) {
        empty_log(connection);
    }
    for (job, result) in group.into_iter().zip(results) {
        if let Err(error) = &result {
            tracing::error!(%error, "cannot write to the database");
        }
        // The one who asked may be gone; what was written stays written.
        let _ = job.done.send(result.map_err(|_| StoreError::Unavailable));
    }
}

fn perform(connection: &mut SqliteConnection, task: &Task) -> QueryResult<()> {
    match task {
        Task::Create(share) => queries::create(connection, share),
        Task::Write(write) => queries::write(connection, write),
        Task::Delete { num, at } => queries::delete(connection, *num, *at),
        Task::Check => queries::check(connection),
        Task::Close => Ok(()),
    }
}

/// Deleted content stands in the log until the log is emptied. A reader can be in the way, for as long as one load takes.
fn empty_log(connection: &mut SqliteConnection) {
    for _ in 0..3 {
        match queries::checkpoint(connection) {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot checkpoint after a delete"),
        }
    }
    tracing::warn!("deleted content stays in the write-ahead log until the next checkpoint");
}
