//! Writing: one thread that takes all that gathered during its last commit and writes it in one transaction, so that
//! one fsync serves many. When a job fails, the group is undone and each of its jobs gets a transaction of its own, so
//! that its failure is its own; savepoints would do that too, and cost every job of every group two statements.

use std::fs::File;
use std::path::Path;
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

use super::connection::{StartupError, checkpoint, set_busy_timeout};
use super::erasure::Erasure;

/// Jobs that wait for the writer.
const QUEUE: usize = 4096;

/// Jobs in one transaction: enough to share an fsync widely, few enough that the first waiter is not kept long.
const GROUP_JOBS: usize = 1024;

/// Bytes in one transaction, after which the group is closed.
const GROUP_BYTES: usize = 16 << 20;

/// How long after a delete the log is emptied when nobody waits for that.
const EMPTY_LATER: Duration = Duration::from_secs(1);

/// How long after a reader was in the way emptying the log is tried again; then twice as long after each time.
const EMPTY_AGAIN: Duration = Duration::from_millis(10);

/// The longest time between two tries. A try takes a few milliseconds, in which nobody writes.
const EMPTY_AGAIN_MAX: Duration = Duration::from_secs(1);

/// How long the end of the writer waits for readers, to leave one file behind.
const CLOSE_WAIT: Duration = Duration::from_millis(300);

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
    /// Who waits until the log holds nothing that was deleted.
    Emptied(Waiter),
    Close,
}

type Waiter = oneshot::Sender<Result<(), WriteError>>;

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
    /// Starts the thread, for a connection to the database at `path`. The log is emptied first: a crash may have left
    /// deleted content in it. The thread keeps `lock` for as long as it writes, and tells `about` each commit.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        mut connection: SqliteConnection,
        path: &Path,
        lock: File,
        about: impl Fn(Commit) + Send + 'static,
    ) -> Result<Self, StartupError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = waiting.clone();
        let mut emptying = Emptying::new(Erasure::new(path));
        emptying.attempt(&mut connection);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                run(connection, &queue, &taken, &about, emptying);
                drop(lock);
            })
            .map_err(StartupError::Thread)?;
        Ok(Self { jobs, waiting, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Jobs that wait for the thread.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Hands a job over that writes about `bytes`, and that may have to be done again. It is in the queue when this
    /// returns; the future is done when it is on the disk.
    pub fn submit<R: Send + 'static>(
        &self,
        bytes: usize,
        perform: impl Fn(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, WriteError>> {
        self.send(bytes, false, perform)
    }

    /// Like `submit`, for a job that deletes what must not be found on the disk later: the log is emptied soon after.
    pub fn erase<R: Send + 'static>(
        &self,
        perform: impl Fn(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, WriteError>> {
        self.send(0, true, perform)
    }

    /// Done when nothing stands in the log any more of what jobs before this call erased. Readers of other processes
    /// can keep it there for as long as they like.
    pub fn log_emptied(&self) -> BoxFuture<'static, Result<(), WriteError>> {
        let (done, answer) = oneshot::channel();
        self.hand_over(Message::Emptied(done), answer)
    }

    fn send<R: Send + 'static>(
        &self,
        bytes: usize,
        erases: bool,
        perform: impl Fn(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, WriteError>> {
        let (done, answer) = oneshot::channel();
        let call = Call { perform, result: None, done, bytes, erases };
        self.hand_over(Message::Job(Box::new(call)), answer)
    }

    fn hand_over<R: Send + 'static>(
        &self,
        message: Message,
        answer: oneshot::Receiver<Result<R, WriteError>>,
    ) -> BoxFuture<'static, Result<R, WriteError>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.jobs.try_send(message).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => WriteError::Busy,
                TrySendError::Disconnected(_) => WriteError::Unavailable,
            }
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
    mut emptying: Emptying,
) {
    let mut open = true;
    while open {
        let mut next = match emptying.due {
            None => Some(queue.recv().unwrap_or(Message::Close)),
            Some(at) => match queue.recv_timeout(at.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => None,
                message => Some(message.unwrap_or(Message::Close)),
            },
        };
        let (mut group, mut waiters, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(message) = next {
            match message {
                Message::Job(job) => {
                    bytes += job.bytes();
                    group.push(job);
                }
                Message::Emptied(waiter) => waiters.push(waiter),
                Message::Close => {
                    open = false;
                    break;
                }
            }
            let full = group.len() + waiters.len() >= GROUP_JOBS || bytes >= GROUP_BYTES;
            next = if full { None } else { queue.try_recv().ok() };
        }
        waiting.fetch_sub(group.len() + waiters.len(), Ordering::Relaxed);
        if commit(&mut connection, group, about) {
            emptying.erased();
        }
        for waiter in waiters {
            emptying.wait(waiter);
        }
        if emptying.due.is_some_and(|at| at <= Instant::now()) {
            emptying.attempt(&mut connection);
        }
    }
    let ended = set_busy_timeout(&mut connection, CLOSE_WAIT)
        .and_then(|()| connection.batch_execute("PRAGMA optimize"))
        .and_then(|()| checkpoint(&mut connection));
    if let Err(error) = ended {
        tracing::warn!(%error, "cannot checkpoint the database at its end");
    }
}

/// Writes a group in one transaction, answers each of its jobs, and tells whether one of them erased something.
fn commit(connection: &mut SqliteConnection, mut group: Vec<Box<dyn Job>>, about: &impl Fn(Commit)) -> bool {
    if group.is_empty() {
        return false;
    }
    let began = Instant::now();
    let committed = connection
        .immediate_transaction(|connection| group.iter_mut().try_for_each(|job| job.perform(connection)));
    if committed.is_err() && group.len() > 1 {
        // One of them is at fault, or the disk is full for all of them but not for each.
        return group.into_iter().fold(false, |erased, job| commit(connection, vec![job], about) | erased);
    }
    about(Commit { jobs: group.len(), took: began.elapsed(), done: committed.is_ok() });
    let erased = committed.is_ok() && group.iter().any(|job| job.erases());
    let committed = committed.map_err(|error| refusal(&error));
    for job in group {
        job.answer(committed);
    }
    erased
}

/// Has the log emptied after deletes: at once when somebody waits for it, and again at growing distances while readers
/// are in the way.
struct Emptying {
    erasure: Erasure,
    /// When it is tried; `None` when there is nothing to do.
    due: Option<Instant>,
    /// How long the last pause was; zero when no reader was in the way.
    pause: Duration,
    waiters: Vec<Waiter>,
}

impl Emptying {
    fn new(erasure: Erasure) -> Self {
        Self { erasure, due: None, pause: Duration::ZERO, waiters: Vec::new() }
    }

    /// Something was erased: it stands in the log now.
    fn erased(&mut self) {
        self.erasure.begin();
        self.due = self.due.or_else(|| Some(Instant::now() + EMPTY_LATER));
    }

    fn wait(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
        // While a reader is in the way a new waiter makes no difference: each try costs all who write some time.
        if self.pause.is_zero() {
            self.due = Some(Instant::now());
        }
    }

    fn attempt(&mut self, connection: &mut SqliteConnection) {
        match self.erasure.attempt(connection) {
            Ok(true) => {
                (self.due, self.pause) = (None, Duration::ZERO);
                for waiter in self.waiters.drain(..) {
                    // Who waited may have gone.
                    let _ = waiter.send(Ok(()));
                }
                return;
            }
            Ok(false) => tracing::debug!("a reader keeps deleted content in the write-ahead log"),
            Err(error) => tracing::error!(%error, "cannot empty the write-ahead log after a delete"),
        }
        self.pause = (self.pause * 2).clamp(EMPTY_AGAIN, EMPTY_AGAIN_MAX);
        self.due = Some(Instant::now() + self.pause);
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
