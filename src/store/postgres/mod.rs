//! Shares in PostgreSQL, which processes on many machines write at once: writes in groups, each group one statement,
//! and reads in short transactions. Nobody owns a share: its row decides which write takes effect.
//!
//! All of it runs on threads of its own, for connections live on the runtime on which they were made, and those of the
//! server's actors end before the store does.

mod connect;
mod direct;
mod group;
mod moving;
mod queries;
mod schema;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use futures_util::future::{BoxFuture, join_all};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::group::Group;
use super::lane::{Commit, Lane, NotCommitted, Outcomes};
use super::names::{Names, Naming, OVERHEAD, is_complete};
use super::questions::{self, Questions};
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
pub(crate) use connect::Database;
use connect::{Connection, Pool, is_alive, reason};
pub(super) use direct::Direct;
use group::BY_INDEX;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Threads that speak to the database: what they do is encode and decode.
const THREADS: usize = 2;

/// Lanes: two were as fast as four.
const LANES: usize = 2;

/// Short reads and writes that run at once, beside those of the lanes.
const LOOKUPS: usize = 4;

/// Shares that are loaded at once. Each may take seconds, and all of its content in memory.
const LOADS: usize = 4;

/// How long a short one may take.
const LOOKUP_WITHIN: Duration = Duration::from_secs(10);

/// How long a load may take.
const LOAD_WITHIN: Duration = Duration::from_secs(120);

/// How long a database that cannot be reached is waited for at the start.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How often others may be first to bring the schema up to date: each migration is a transaction of its own.
const RACES: usize = 10;

/// How long after a failure the start is tried again.
const START_AGAIN: Duration = Duration::from_millis(250);

/// How long the end waits for writes under way.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long a group may take. A connection that says nothing for longer is given up.
const COMMIT_WITHIN: Duration = Duration::from_secs(20);

/// A handle on the database. Clones are of the same.
#[derive(Clone)]
pub struct PostgresStore(Arc<Shared>);

struct Shared {
    runtime: Threads,
    lanes: Mutex<Lanes>,
    questions: Questions,
    lookups: Pool,
    loads: Pool,
    naming: Naming,
    waiting: Arc<AtomicUsize>,
    counted: Counted,
}

#[derive(Default)]
struct Lanes {
    ends: Vec<Lane>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a PostgreSQL database cannot be used. Nothing of it shows a password.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Its URL cannot be read.
    #[error("the store's URL cannot be used: {0}")]
    Url(String),
    /// Whom to trust is not known.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It cannot be reached, or refuses.
    #[error("PostgreSQL: {0}")]
    Database(String),
    /// A newer version wrote it.
    #[error("PostgreSQL: written by a newer version (migration {0}): install that version")]
    Newer(String),
    /// An older version wrote it, or none.
    #[error(
        "PostgreSQL: written by an older version, or empty: start the server once, which brings it up to date"
    )]
    Older,
    /// A move into it is not finished.
    #[error("PostgreSQL: a move into this database is not finished: run `brutus-share move` again")]
    Unfinished,
    /// The system gives no threads.
    #[error("cannot start the threads that speak to PostgreSQL: {0}")]
    Threads(#[from] std::io::Error),
}

/// A runtime that may be dropped anywhere.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> std::io::Result<Self> {
        Ok(Self(Some(runtime()?)))
    }

    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.0.as_ref().map(|runtime| runtime.spawn(future))
    }

    /// Waits for a future, also where another runtime is at work: on a thread beside it.
    fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> Option<T> {
        let runtime = self.0.as_ref()?;
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join().ok())
    }
}

/// Threads on which connections live.
fn runtime() -> std::io::Result<Runtime> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.worker_threads(THREADS).thread_name("postgres").enable_all().build()
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl PostgresStore {
    pub(super) fn open(url: &str) -> Result<Self, PostgresError> {
        let database = Database::new(url)?;
        let runtime = Threads::start()?;
        let prepared = runtime.block_on(prepare(&database));
        let (naming, sizes) =
            prepared.unwrap_or_else(|| Err(PostgresError::Database("it was given up".into())))?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let (lookups, loads) = (database.pool(LOOKUPS)?, database.pool(LOADS)?);
        let (questions, asked) = Questions::new();
        // One connection for all who ask for heads, and one for each lane.
        runtime.spawn(asked.answer(Asking(database.pool(1)?)));
        let writers = database.pool_with(LANES, Some(BY_INDEX))?;
        let mut lanes = Lanes::default();
        for _ in 0..LANES {
            let (lane, queue) = Lane::new(waiting.clone());
            lanes.ends.push(lane);
            lanes.tasks.extend(runtime.spawn(queue.run(Writing(writers.clone()))));
        }
        tracing::info!(database = database.place(), "stores in PostgreSQL");
        let store = Shared {
            runtime,
            lanes: Mutex::new(lanes),
            questions,
            lookups,
            loads,
            naming,
            waiting,
            counted: Counted::default(),
        };
        store.counted.are(sizes);
        Ok(Self(Arc::new(store)))
    }

    #[allow(clippy::unused_self)] // As of the other store.
    pub(super) fn is_shared(&self) -> bool {
        true
    }

    pub(super) async fn recount(&self) -> Result<(), StoreError> {
        let sizes = self.lookup(|connection| Box::pin(queries::sizes(connection))).await?;
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
        let pool = self.0.lookups.clone();
        // Not twice: it has its id already then.
        let created = self.run(async move {
            once(&pool, LOOKUP_WITHIN, |connection| Box::pin(queries::create(connection, share.clone())))
                .await
        });
        match created.await? {
            Created::Yes => self.0.counted.grown(bytes),
            Created::TooManyOfToken => return Err(StoreError::TooManyShares),
        }
        Ok(())
    }

    pub(super) async fn write(&self, write: Write) -> Result<(), StoreError> {
        let grown = write.grown;
        self.lane(write.num).ok_or(StoreError::Unavailable)?.write(write).await?;
        self.0.counted.grown(grown);
        Ok(())
    }

    /// The lane of a share.
    fn lane(&self, num: i64) -> Option<Lane> {
        let lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = usize::try_from(num).unwrap_or(0) % LANES;
        lanes.ends.get(nth).cloned()
    }

    pub(super) async fn confirm(&self, nums: Vec<i64>) -> Result<HashMap<i64, Head>, StoreError> {
        self.0.questions.ask(nums).await
    }

    pub(super) async fn since(&self, num: i64, after: u64) -> Result<Option<Added>, StoreError> {
        self.lookup(move |connection| Box::pin(queries::since(connection, num, after))).await
    }

    pub(super) async fn renew_epoch(&self, num: i64, old: &str, new: String) -> Result<(), StoreError> {
        let old = old.to_owned();
        self.lookup(move |connection| {
            Box::pin(queries::renew_epoch(connection, num, old.clone(), new.clone()))
        })
        .await
    }

    pub(super) async fn amend(&self, num: i64, amendment: Amendment) -> Result<Option<u64>, StoreError> {
        self.lookup(move |connection| Box::pin(queries::amend(connection, num, amendment.clone()))).await
    }

    pub(super) async fn count_try(&self, num: i64, at: i64) -> Result<Result<(), i64>, StoreError> {
        self.lookup(move |connection| Box::pin(queries::count_try(connection, num, at))).await
    }

    pub(super) async fn forget_try(&self, num: i64) -> Result<(), StoreError> {
        self.lookup(move |connection| Box::pin(queries::forget_try(connection, num))).await
    }

    pub(super) fn naming(&self) -> &Naming {
        &self.0.naming
    }

    pub(super) async fn name(
        &self,
        id: &ShareId,
        values: Vec<(Digest, String)>,
    ) -> Result<Names, StoreError> {
        let of = id.clone();
        let known = self.lookup(move |connection| Box::pin(queries::names(connection, of.clone()))).await?;
        if is_complete(&known, &values) {
            return Ok(known);
        }
        let (of, values) = (id.clone(), Arc::new(values));
        let name =
            self.lookup(move |connection| Box::pin(queries::name(connection, of.clone(), values.clone())));
        let (names, added) = name.await?;
        self.0.counted.grown(added * OVERHEAD);
        Ok(names)
    }

    pub(super) async fn mark_deleted(&self, num: i64, at: i64) -> Result<(), StoreError> {
        self.lookup(move |connection| Box::pin(queries::mark_deleted(connection, num, None, at))).await?;
        Ok(())
    }

    pub(super) async fn mark_expired(&self, num: i64, updated_at: i64, at: i64) -> Result<bool, StoreError> {
        self.lookup(move |connection| Box::pin(queries::mark_deleted(connection, num, Some(updated_at), at)))
            .await
    }

    pub(super) async fn purge(&self, num: i64) -> Result<(), StoreError> {
        if !self.lookup(move |connection| Box::pin(queries::is_to_purge(connection, num))).await? {
            return Ok(());
        }
        while self.lookup(move |connection| Box::pin(queries::purge(connection, num))).await? {}
        let at = now_ms();
        let freed =
            self.lookup(move |connection| Box::pin(queries::mark_purged(connection, num, at))).await?;
        self.0.counted.freed(freed);
        Ok(())
    }

    pub(super) async fn head(&self, id: &ShareId) -> Result<Option<StoredHead>, StoreError> {
        let id = id.clone();
        self.lookup(move |connection| Box::pin(queries::head(connection, id.clone()))).await
    }

    pub(super) async fn load(
        &self,
        id: &ShareId,
        ended: impl Fn(Life) -> bool + Clone + Send + Sync + 'static,
    ) -> Result<Option<StoredShare>, StoreError> {
        let id = id.clone();
        let pool = self.0.loads.clone();
        let load = async move {
            twice(&pool, LOAD_WITHIN, |connection| {
                Box::pin(queries::load(connection, id.clone(), ended.clone()))
            })
            .await
        };
        self.run(load).await
    }

    pub(super) async fn heads(&self, after: i64, limit: i64) -> Result<Heads, StoreError> {
        self.lookup(move |connection| Box::pin(queries::heads(connection, after, limit))).await
    }

    pub(super) async fn last_deletion(&self) -> Result<i64, StoreError> {
        self.lookup(|connection| Box::pin(queries::last_deletion(connection))).await
    }

    pub(super) async fn deletions(&self, after: i64, limit: i64) -> Result<Deletions, StoreError> {
        self.lookup(move |connection| Box::pin(queries::deletions(connection, after, limit))).await
    }

    pub(super) async fn unpurged(&self, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.lookup(move |connection| Box::pin(queries::unpurged(connection, after, limit))).await
    }

    pub(super) async fn forget(&self, before: i64, limit: i64) -> Result<usize, StoreError> {
        self.lookup(move |connection| Box::pin(queries::forget(connection, before, limit))).await
    }

    pub(super) async fn passed_time(&self) -> Result<Option<i64>, StoreError> {
        self.lookup(|connection| Box::pin(queries::passed_time(connection))).await
    }

    pub(super) async fn set_passed_time(&self, at: i64) -> Result<(), StoreError> {
        self.lookup(move |connection| Box::pin(queries::set_passed_time(connection, at))).await
    }

    pub(super) async fn token(&self, hash: SecretHash) -> Result<Option<CreateToken>, StoreError> {
        self.lookup(move |connection| Box::pin(queries::token(connection, hash))).await
    }

    pub(super) async fn check(&self, at: i64) -> Result<(), StoreError> {
        self.lookup(move |connection| Box::pin(queries::check(connection, at))).await
    }

    pub(super) fn close(&self) {
        let lanes = std::mem::take(&mut *self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        // A lane ends when nobody can give it any more and all that it was given is written.
        drop(lanes.ends);
        let ended =
            self.0.runtime.block_on(async { timeout(CLOSE_WITHIN, join_all(lanes.tasks)).await.is_ok() });
        if ended != Some(true) {
            tracing::warn!("some writes had no answer from the database at the end");
        }
    }

    /// Does what is short, and what may be done twice.
    async fn lookup<T: Send + 'static>(
        &self,
        job: impl Fn(&mut AsyncPgConnection) -> BoxFuture<'_, QueryResult<T>> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let pool = self.0.lookups.clone();
        self.run(async move { twice(&pool, LOOKUP_WITHIN, job).await }).await
    }

    /// Runs what uses connections where they live, to its end: also when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        job: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.0.runtime.spawn(job) {
            Some(done) => done.await.unwrap_or(Err(StoreError::Unavailable)),
            None => Err(StoreError::Unavailable),
        }
    }
}

/// Waits until the database can be reached, brings its schema up to date, and reads what the store begins with.
async fn prepare(database: &Database) -> Result<(Naming, (u64, u64)), PostgresError> {
    let began = Instant::now();
    let mut told = false;
    let mut connection = loop {
        match database.connect().await {
            Ok(connection) => break connection,
            Err(error) if error.may_pass() && began.elapsed() < START_WITHIN => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(reason = reason(&error), "waits for the database");
                }
                sleep(START_AGAIN).await;
            }
            Err(error) => return Err(PostgresError::Database(reason(&error))),
        }
    };
    let mut lost = 0;
    connection = loop {
        match migrate(connection) {
            Ok(connection) => break connection,
            // Another process that starts at the same time was first, and this one's transaction was undone.
            Err(PostgresError::Database(reason)) if lost < RACES => {
                tracing::debug!(reason, "tries again to bring the schema up to date");
                lost += 1;
                sleep(START_AGAIN).await;
                connection = database
                    .connect()
                    .await
                    .map_err(|error| PostgresError::Database(connect::reason(&error)))?;
            }
            Err(error) => return Err(error),
        }
    };
    let refused = |error: diesel::result::Error| PostgresError::Database(error.to_string());
    if queries::is_unfinished(&mut connection).await.map_err(refused)? {
        return Err(PostgresError::Unfinished);
    }
    let naming = queries::naming(&mut connection).await.map_err(refused)?;
    for setting in queries::unsafe_settings(&mut connection).await.map_err(refused)? {
        tracing::warn!("{setting} is off: what the database has acknowledged can be lost when it crashes");
    }
    let sizes = queries::sizes(&mut connection).await.map_err(refused)?;
    Ok((naming, sizes))
}

/// Runs the migrations that the database has not seen.
fn migrate(connection: AsyncPgConnection) -> Result<AsyncPgConnection, PostgresError> {
    let mut harness = AsyncMigrationHarness::new(connection);
    if !is_up_to_date(&mut harness)? {
        harness.run_pending_migrations(MIGRATIONS).map_err(refused)?;
    }
    Ok(harness.into_inner())
}

/// Whether a database has seen all migrations.
fn is_up_to_date(harness: &mut impl MigrationHarness<Pg>) -> Result<bool, PostgresError> {
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(refused)?;
    let known: Vec<_> = known.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied = harness.applied_migrations().map_err(refused)?;
    let applied: Vec<_> = applied.iter().map(ToString::to_string).collect();
    match applied.iter().find(|version| !known.contains(version)) {
        Some(newer) => Err(PostgresError::Newer(newer.clone())),
        None => Ok(known.iter().all(|version| applied.contains(version))),
    }
}

#[allow(clippy::needless_pass_by_value)] // What a `map_err` takes.
fn refused(error: Box<dyn std::error::Error + Send + Sync>) -> PostgresError {
    PostgresError::Database(error.to_string())
}

/// Asks for heads on connections of a pool.
struct Asking(Pool);

impl questions::Heads for Asking {
    async fn heads(&self, nums: &[i64]) -> Result<HashMap<i64, Head>, StoreError> {
        let nums = Arc::new(nums.to_vec());
        twice(&self.0, LOOKUP_WITHIN, |connection| {
            let nums = nums.clone();
            Box::pin(async move { queries::confirm(connection, &nums).await })
        })
        .await
    }
}

/// Writes groups on connections of a pool.
struct Writing(Pool);

impl Commit for Writing {
    /// Writes a group in one statement.
    async fn commit(&self, group: &Group) -> Result<Outcomes, NotCommitted> {
        let Ok(mut connection) = self.0.get().await else {
            return Err(NotCommitted::All(StoreError::Unavailable));
        };
        match timeout(COMMIT_WITHIN, attempt(&mut connection, group)).await {
            Ok(Ok(outcomes)) => return Ok(outcomes),
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot write to the database");
                if is_alive(&mut connection).await {
                    // So it was the database's own word, and the statement is undone.
                    return Err(NotCommitted::Refused);
                }
            }
            Err(_) => tracing::error!("the database does not answer a write"),
        }
        drop(Connection::take(connection));
        Err(NotCommitted::All(StoreError::Unknown))
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

/// Does something, and once more on another connection when the first was broken.
async fn twice<T>(
    pool: &Pool,
    within: Duration,
    job: impl Fn(&mut AsyncPgConnection) -> BoxFuture<'_, QueryResult<T>> + Send + Sync,
) -> Result<T, StoreError> {
    match once(pool, within, &job).await {
        // It may have been broken since it was last used.
        Err(StoreError::Unknown) => once(pool, within, &job).await,
        done => done,
    }
}

async fn once<T>(
    pool: &Pool,
    within: Duration,
    job: impl Fn(&mut AsyncPgConnection) -> BoxFuture<'_, QueryResult<T>> + Send + Sync,
) -> Result<T, StoreError> {
    let mut connection = pool.get().await?;
    let error = match timeout(within, job(&mut connection)).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(diesel::result::Error::NotFound)) => return Err(StoreError::Gone),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not answer".to_owned(),
    };
    if is_alive(&mut connection).await {
        tracing::error!(reason = error, "the database refuses");
        return Err(StoreError::Unavailable);
    }
    tracing::warn!(reason = error, "a connection to the database broke");
    // The pool does not get it back.
    drop(Connection::take(connection));
    Err(StoreError::Unknown)
}
