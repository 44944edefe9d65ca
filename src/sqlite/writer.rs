//! Writing: one thread that takes all that gathered during its last commit and writes it in one transaction, so that one
//! fsync serves many. When a job fails, the group is undone and each of its jobs gets a transaction of its own, so that
//! its failure is its own; savepoints would do that too, and cost every job of every group two statements.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::connection::{BUSY_TIMEOUT, StartupError, checkpoint, set_busy_timeout};

/// Jobs that wait for the writer.
const QUEUE: usize = 4096;

/// Jobs in one transaction: enough to share an fsync widely, few enough that the first waiter is not kept long.
const GROUP_JOBS: usize = 1024;

/// Bytes in one transaction, after which the group is closed.
const GROUP_BYTES: usize = 16 << 20;

/// How long emptying the log waits for readers to end.
const LOG_WAIT: Duration = Duration::from_millis(300);

/// How long after that it is tried again.
const LOG_RETRY: Duration = Duration::from_secs(1);

/// Why nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The writer's queue is full.
    #[error("the writer is behind")]
    Busy,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// What was to be changed is not there any more.
    #[error("what was to be changed is not there")]
    NotFound,
    /// The database cannot be written now, or is closed.
    #[error("the database is not available")]
    Unavailable,
}

/// What one commit wrote, or did not.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    /// Jobs that it held.
    pub jobs: usize,
    /// How long it took.
    pub took: Duration,
    /// Whether it is on the disk.
    pub done: bool,
}

/// A handle on the writer thread of one database.
#[derive(Clone)]
pub struct Writer {
    jobs: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

enum Message {
    Job(Box<dyn Job>),
    Close,
}

/// One thing to write. Answered after the commit.
trait Job: Send {
    fn perform(&mut self, connection: &mut SqliteConnection) -> QueryResult<()>;
    fn answer(self: Box<Self>, committed: Result<(), WriteError>);
    fn bytes(&self) -> usize;
    fn erases(&self) -> bool;
}

struct Call<F, R> {
    perform: F,
    result: Option<R>,
    done: oneshot::Sender<Result<R, WriteError>>,
    bytes: usize,
    erases: bool,
}

impl<F, R> Job for Call<F, R>
where
    F: Fn(&mut SqliteConnection) -> QueryResult<R> + Send,
    R: Send,
{
    fn perform(&mut self, connection: &mut SqliteConnection) -> QueryResult<()> {
        self.result = Some((self.perform)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), WriteError>) {
        let result = committed.and(self.result.ok_or(WriteError::Unavailable));
        // The one who asked may be gone; what was written stays written.
        let _ = self.done.send(result);
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn erases(&self) -> bool {
        self.erases
    }
}

impl Writer {
    /// Starts the thread. It keeps `lock` for as long as it writes, and tells `about` each commit.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        connection: SqliteConnection,
        lock: File,
        about: impl Fn(Commit) + Send + 'static,
    ) -> Result<Self, StartupError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = waiting.clone();
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                run(connection, &queue, &taken, &about);
                drop(lock);
            })
            .map_err(StartupError::Thread)?;
        Ok(Self { jobs, waiting, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Jobs that wait for the thread.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Hands a job over that writes about `bytes`, and that may have to be done again. It is in the queue when this returns; the future is done when it is on
    /// the disk.
    pub fn submit<R: Send + 'static>(
        &self,
        bytes: usize,
        perform: impl Fn(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, WriteError>> {
        self.send(bytes, false, perform)
    }

    /// Like `submit`, for a job that deletes: when it is done, what was deleted is no longer in the log either.
    pub fn erase<R: Send + 'static>(
        &self,
        perform: impl Fn(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, WriteError>> {
        self.send(0, true, perform)
    }

    fn send<R: Send + 'static>(
        &self,
        bytes: usize,
        erases: bool,
        perform: impl Fn(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, WriteError>> {
        let (done, answer) = oneshot::channel();
        let call = Call { perform, result: None, done, bytes, erases };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.jobs.try_send(Message::Job(Box::new(call))).inspect_err(|_| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        });
        let sent = sent.map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Busy,
            TrySendError::Disconnected(_) => WriteError::Unavailable,
        });
        Box::pin(async move {
            sent?;
            answer.await.unwrap_or(Err(WriteError::Unavailable))
        })
    }

    /// Writes all that was handed over, checkpoints and closes. Blocks until done; later jobs are refused.
    pub fn close(&self) {
        // An error means that the thread has ended already.
        let _ = self.jobs.send(Message::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer thread panicked");
        }
    }
}

fn run(
    mut connection: SqliteConnection,
    queue: &Receiver<Message>,
    waiting: &AtomicUsize,
    about: &impl Fn(Commit),
) {
    let mut open = true;
    // When the log is to be emptied, because a reader was in the way before.
    let mut unemptied: Option<Instant> = None;
    while open {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut next = match unemptied {
            None => queue.recv().ok(),
            Some(at) => match queue.recv_timeout(at.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => None,
                message => Some(message.unwrap_or(Message::Close)),
            },
        };
        if next.is_none() && unemptied.is_some() {
            unemptied = empty_log(&mut connection);
            continue;
        }
        loop {
            match next {
                Some(Message::Job(job)) => {
                    bytes += job.bytes();
                    group.push(job);
                }
                Some(Message::Close) | None => {
                    open = false;
                    break;
                }
            }
            if group.len() >= GROUP_JOBS || bytes >= GROUP_BYTES {
                break;
            }
            let Ok(message) = queue.try_recv() else { break };
            next = Some(message);
        }
        waiting.fetch_sub(group.len(), Ordering::Relaxed);
        commit(&mut connection, group, about, &mut unemptied);
        if unemptied.is_some_and(|at| at <= Instant::now()) {
            unemptied = empty_log(&mut connection);
        }
    }
    if let Err(error) = connection.batch_execute("PRAGMA optimize").and_then(|()| checkpoint(&mut connection))
    {
        tracing::warn!(%error, "cannot checkpoint the database at its end");
    }
}

/// Writes a group in one transaction and answers each of its jobs.
fn commit(
    connection: &mut SqliteConnection,
    mut group: Vec<Box<dyn Job>>,
    about: &impl Fn(Commit),
    unemptied: &mut Option<Instant>,
) {
    if group.is_empty() {
        return;
    }
    let began = Instant::now();
    let committed = connection
        .immediate_transaction(|connection| group.iter_mut().try_for_each(|job| job.perform(connection)));
    if committed.is_err() && group.len() > 1 {
        // One of them is at fault, or the disk is full for all of them but not for each.
        for job in group {
            commit(connection, vec![job], about, unemptied);
        }
        return;
    }
    about(Commit { jobs: group.len(), took: began.elapsed(), done: committed.is_ok() });
    if group.iter().any(|job| job.erases()) {
        *unemptied = empty_log(connection);
    }
    let committed = committed.map_err(|error| refusal(&error));
    for job in group {
        job.answer(committed);
    }
}

fn refusal(error: &diesel::result::Error) -> WriteError {
    if *error == diesel::result::Error::NotFound {
        return WriteError::NotFound;
    }
    tracing::error!(%error, "cannot write to the database");
    // Diesel has no kind for this; the words are SQLite's own.
    if error.to_string().contains("disk is full") { WriteError::Full } else { WriteError::Unavailable }
}

/// Deleted content stands in the log until the log is emptied. A reader can be in the way, for as long as one load or one backup
/// takes: then this gives the time at which to try again. Everybody who writes waits meanwhile, so it does not wait for long.
fn empty_log(connection: &mut SqliteConnection) -> Option<Instant> {
    let emptied = set_busy_timeout(connection, LOG_WAIT).and_then(|()| checkpoint(connection));
    match set_busy_timeout(connection, BUSY_TIMEOUT).and(emptied) {
        Ok(true) => return None,
        Ok(false) => tracing::debug!("a reader keeps deleted content in the write-ahead log"),
        Err(error) => tracing::error!(%error, "cannot checkpoint after a delete"),
    }
    Some(Instant::now() + LOG_RETRY)
}
