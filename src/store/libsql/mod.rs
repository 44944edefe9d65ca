//! Shares in libSQL, by the server that is called sqld, or Turso: SQLite behind HTTP, which processes on many machines
//! write at once, each with one request at a time. Nobody owns a share: its row decides which write takes effect.
//!
//! All of it runs on a thread of its own, for the HTTP client stays on one.

mod connect;
mod direct;
mod group;
mod hrana;
mod queries;
mod schema;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::lane::{Lane, Queue};
use super::names::{Names, Naming, OVERHEAD};
use super::questions::{self, Asked, Questions};
use super::records::{
    Added, Amendment, Created, Deletions, Head, Heads, NewShare, StoredHead, StoredShare, Write,
};
use super::room::Counted;
use super::{CreateToken, NoRoom, Sizes, StoreError};
use crate::clock::now_ms;
use crate::config::Limits;
use crate::model::{Life, SecretHash, ShareId};
use crate::redact::Digest;
use crate::trust::TrustError;
use connect::{Database, Failure, Link};
pub(super) use direct::Direct;
use group::Writing;

/// How long a database that cannot be reached is waited for at the start.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How long after a failure the start is tried again.
const START_AGAIN: Duration = Duration::from_millis(250);

/// How long the end waits for writes under way.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A value of more bytes than this is of no interest: no item is that large.
const LARGEST_VALUE: i64 = 1 << 30;

/// A handle on the database. Clones are of the same.
#[derive(Clone)]
pub struct LibsqlStore(Arc<Shared>);

struct Shared {
    /// `None` once the store is closed.
    thread: Mutex<Option<Thread>>,
    questions: Questions,
    naming: Naming,
    waiting: Arc<AtomicUsize>,
    counted: Counted,
    max_item: u64,
}

/// The thread on which all is done, which ends when nobody can give it anything any more.
struct Thread {
    jobs: mpsc::UnboundedSender<Job>,
    lane: Lane,
    handle: JoinHandle<()>,
}

/// Something to do on the thread, which goes on when nobody waits for it any more.
type Job = Box<dyn FnOnce(Link) + Send>;

/// What a store begins with.
struct Prepared {
    naming: Naming,
    sizes: (u64, u64),
    max_item: u64,
}

/// Why a libSQL database cannot be used. Nothing of it shows a token.
#[derive(Debug, thiserror::Error)]
pub enum LibsqlError {
    /// Its URL cannot be read.
    #[error("the store's URL cannot be used: {0}")]
    Url(String),
    /// Whom to trust is not known.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It cannot be reached, or refuses.
    #[error("libSQL: {0}")]
    Database(String),
    /// A newer version wrote it.
    #[error("libSQL: written by a newer version (migration {0}): install that version")]
    Newer(String),
    /// An older version wrote it, or none.
    #[error(
        "libSQL: written by an older version, or empty: start the server once, which brings it up to date"
    )]
    Older,
    /// The system gives no threads.
    #[error("cannot start the thread that speaks to libSQL: {0}")]
    Threads(#[from] io::Error),
}

impl From<Failure> for LibsqlError {
    fn from(failure: Failure) -> Self {
        Self::Database(failure.to_string())
    }
}

/// Where requests are made.
fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

impl Thread {
    fn start(
        database: Database,
        waiting: Arc<AtomicUsize>,
        asked: Asked,
    ) -> io::Result<(Self, oneshot::Receiver<Result<Prepared, LibsqlError>>)> {
        let runtime = runtime()?;
        let (jobs, queue) = mpsc::unbounded_channel();
        let (lane, writes) = Lane::new(waiting);
        let (told, prepared) = oneshot::channel();
        let run = move || {
            LocalSet::new().block_on(&runtime, async {
                let link = Link::new(database);
                let prepared = prepare(&link).await;
                let failed = prepared.is_err();
                if told.send(prepared).is_ok() && !failed {
                    run(link, queue, writes, asked).await;
                }
            });
        };
        let handle = std::thread::Builder::new().name("libsql".into()).spawn(run)?;
        Ok((Self { jobs, lane, handle }, prepared))
    }
}

/// Does what comes until nobody can give any more, and then what was given.
async fn run(link: Link, mut jobs: mpsc::UnboundedReceiver<Job>, writes: Queue, asked: Asked) {
    let lane = spawn_local(writes.run(Writing(link.clone())));
    spawn_local(asked.answer(Asking(link.clone())));
    while let Some(job) = jobs.recv().await {
        job(link.clone());
    }
    if timeout(CLOSE_WITHIN, lane).await.is_err() {
        tracing::warn!("some writes had no answer from the database at the end");
    }
}

/// Asks for heads.
struct Asking(Link);

impl questions::Heads for Asking {
    async fn heads(&self, nums: &[i64]) -> Result<HashMap<i64, Head>, StoreError> {
        queries::confirm(&self.0, nums).await.map_err(Failure::told)
    }
}

impl LibsqlStore {
    pub(super) fn open(url: &str) -> Result<Self, LibsqlError> {
        let database = Database::new(url)?;
        let place = database.place();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (questions, asked) = Questions::new();
        let (thread, prepared) = Thread::start(database, waiting.clone(), asked)?;
        // On a thread beside this one, which may be a runtime's.
        let prepared = std::thread::scope(|scope| scope.spawn(|| prepared.blocking_recv()).join());
        let prepared = prepared.ok().and_then(Result::ok);
        let Prepared { naming, sizes, max_item } =
            prepared.unwrap_or_else(|| Err(LibsqlError::Database("it was given up".into())))?;
        tracing::info!(database = place, "stores in libSQL");
        let counted = Counted::default();
        counted.are(sizes);
        let thread = Mutex::new(Some(thread));
        Ok(Self(Arc::new(Shared { thread, questions, naming, waiting, counted, max_item })))
    }

    #[allow(clippy::unused_self)] // As of the other stores.
    pub(super) fn is_shared(&self) -> bool {
        true
    }

    pub(super) fn max_item(&self) -> u64 {
        self.0.max_item
    }

    pub(super) async fn recount(&self) -> Result<(), StoreError> {
        let sizes = self.run(async |link| queries::sizes(&link).await).await?;
        self.0.counted.are(sizes);
        Ok(())
    }

    pub(super) fn has_room(&self, limits: &Limits) -> Result<(), NoRoom> {
        self.0.counted.check(limits)
    }

    pub(super) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.0.counted.sizes()
    }

    pub(super) async fn create(&self, share: NewShare) -> Result<(), StoreError> {
        let bytes = share.bytes();
        match self.run(async move |link| queries::create(&link, &share).await).await? {
            Created::Yes => self.0.counted.grown(bytes),
            Created::TooManyOfToken => return Err(StoreError::TooManyShares),
        }
        Ok(())
    }

    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let grown = write.grown;
        let lane = self.thread(|thread| thread.lane.clone()).ok_or(StoreError::Unavailable)?;
        lane.write(write).await?;
        self.0.counted.grown(grown);
        Ok(())
    }

    pub(super) async fn confirm(&self, nums: Vec<i64>) -> Result<HashMap<i64, Head>, StoreError> {
        self.0.questions.ask(nums).await
    }

    pub(super) async fn since(&self, num: i64, after: u64) -> Result<Option<Added>, StoreError> {
        self.run(async move |link| queries::since(&link, num, after).await).await
    }

    pub(super) async fn renew_epoch(&self, num: i64, old: &str, new: String) -> Result<(), StoreError> {
        let old = old.to_owned();
        self.run(async move |link| queries::renew_epoch(&link, num, &old, &new).await).await
    }

    pub(super) async fn amend(&self, num: i64, amendment: Amendment) -> Result<Option<u64>, StoreError> {
        self.run(async move |link| queries::amend(&link, num, &amendment).await).await
    }

    pub(super) async fn count_try(&self, num: i64, at: i64) -> Result<Result<(), i64>, StoreError> {
        self.run(async move |link| queries::count_try(&link, num, at).await).await
    }

    pub(super) async fn forget_try(&self, num: i64) -> Result<(), StoreError> {
        self.run(async move |link| queries::forget_try(&link, num).await).await
    }

    pub(super) fn naming(&self) -> &Naming {
        &self.0.naming
    }

    pub(super) async fn name(
        &self,
        id: &ShareId,
        values: Vec<(Digest, String)>,
    ) -> Result<Names, StoreError> {
        let id = id.clone();
        let outcome = self.run(async move |link| queries::name(&link, &id, &values).await).await?;
        let (names, added) = outcome.ok_or(StoreError::Gone)?;
        self.0.counted.grown(added * OVERHEAD);
        Ok(names)
    }

    pub(super) async fn mark_deleted(&self, num: i64, at: i64) -> Result<(), StoreError> {
        self.run(async move |link| queries::mark_deleted(&link, num, None, at).await).await.map(|_| ())
    }

    pub(super) async fn mark_expired(&self, num: i64, updated_at: i64, at: i64) -> Result<bool, StoreError> {
        self.run(async move |link| queries::mark_deleted(&link, num, Some(updated_at), at).await).await
    }

    pub(super) async fn purge(&self, num: i64) -> Result<(), StoreError> {
        let Some(size) = self.run(async move |link| queries::to_purge(&link, num).await).await? else {
            return Ok(());
        };
        while self.run(async move |link| queries::purge(&link, num).await).await? {}
        let at = now_ms();
        if self.run(async move |link| queries::mark_purged(&link, num, at).await).await? {
            self.0.counted.freed(u64::try_from(size).unwrap_or(0));
        }
        Ok(())
    }

    pub(super) async fn head(&self, id: &ShareId) -> Result<Option<StoredHead>, StoreError> {
        let id = id.clone();
        self.run(async move |link| queries::head(&link, id).await).await
    }

    pub(super) async fn load(
        &self,
        id: &ShareId,
        ended: impl Fn(Life) -> bool + Send + 'static,
    ) -> Result<Option<StoredShare>, StoreError> {
        let id = id.clone();
        self.run(async move |link| queries::load(&link, &id, ended).await).await
    }

    pub(super) async fn heads(&self, after: i64, limit: i64) -> Result<Heads, StoreError> {
        self.run(async move |link| queries::heads(&link, after, limit).await).await
    }

    pub(super) async fn last_deletion(&self) -> Result<i64, StoreError> {
        self.run(async |link| queries::last_deletion(&link).await).await
    }

    pub(super) async fn deletions(&self, after: i64, limit: i64) -> Result<Deletions, StoreError> {
        self.run(async move |link| queries::deletions(&link, after, limit).await).await
    }

    pub(super) async fn unpurged(&self, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.run(async move |link| queries::unpurged(&link, after, limit).await).await
    }

    pub(super) async fn forget(&self, before: i64, limit: i64) -> Result<usize, StoreError> {
        self.run(async move |link| queries::forget(&link, before, limit).await).await
    }

    pub(super) async fn passed_time(&self) -> Result<Option<i64>, StoreError> {
        self.run(async |link| queries::passed_time(&link).await).await
    }

    pub(super) async fn set_passed_time(&self, at: i64) -> Result<(), StoreError> {
        self.run(async move |link| queries::set_passed_time(&link, at).await).await
    }

    pub(super) async fn token(&self, hash: SecretHash) -> Result<Option<CreateToken>, StoreError> {
        self.run(async move |link| queries::token(&link, &hash).await).await
    }

    pub(super) async fn check(&self, at: i64) -> Result<(), StoreError> {
        self.run(async move |link| queries::check(&link, at).await).await
    }

    pub(super) fn close(&self) {
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Thread { jobs, lane, handle }) = thread else { return };
        drop((jobs, lane));
        if handle.join().is_err() {
            tracing::error!("the thread that speaks to libSQL ended in a panic");
        }
    }

    fn thread<T>(&self, of: impl FnOnce(&Thread) -> T) -> Option<T> {
        self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(of)
    }

    /// Does something on the thread, to its end: also when nobody waits for it any more.
    async fn run<T: Send + 'static, F: Future<Output = Result<T, Failure>> + 'static>(
        &self,
        job: impl FnOnce(Link) -> F + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move |link| {
            spawn_local(async move {
                // Who asked may have gone.
                let _ = done.send(job(link).await.map_err(Failure::told));
            });
        });
        let given = self.thread(|thread| thread.jobs.send(job).is_ok());
        if given != Some(true) {
            return Err(StoreError::Unavailable);
        }
        outcome.await.unwrap_or(Err(StoreError::Unavailable))
    }
}

/// Waits until the database can be reached, brings its schema up to date, and reads what the store begins with.
async fn prepare(link: &Link) -> Result<Prepared, LibsqlError> {
    let began = Instant::now();
    let mut told = false;
    let is_synchronous = loop {
        match queries::is_synchronous(link).await {
            Ok(is_synchronous) => break is_synchronous,
            Err(failure @ (Failure::Unreachable(_) | Failure::Unknown(_) | Failure::Busy))
                if began.elapsed() < START_WITHIN =>
            {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(reason = %failure, "waits for the database");
                }
                sleep(START_AGAIN).await;
            }
            Err(failure) => return Err(failure.into()),
        }
    };
    if !is_synchronous {
        tracing::warn!(
            "the database is not `synchronous=FULL`: what it has acknowledged is lost when its machine loses power; \
             sqld's durability_mode `strong` changes that"
        );
    }
    schema::migrate(link).await?;
    let naming = queries::naming(link).await?;
    let max_value = u64::try_from(queries::max_value(link, LARGEST_VALUE).await?).unwrap_or(0);
    // An item is a row with its key, and may become longer by what stands for what was taken out of it.
    let max_item = max_value - max_value / 16;
    Ok(Prepared { naming, sizes: queries::sizes(link).await?, max_item })
}
