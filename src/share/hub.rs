//! The Hub creates shares and starts their actors; a Directory finds them.
//!
//! Shares live on arbiters of their own: an HTTP worker's arbiter stops at shutdown, while a share may still have syncs
//! to answer. What is open stands in a map that the Hub alone writes and everybody reads: a message to the Hub and back
//! would cost every request two switches between threads.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::prelude::*;
use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use tokio::sync::Notify;

use super::Share;
use super::actor::{ShareConfig, no_randomness};
use super::hints::Hints;
use super::messages::{Alive, Create, Heard, Hinted, Idle, LetGo, NewShare, Open, Reclaim, Shutdown};
use super::sweeper;
use crate::bus::{Hint, Node};
use crate::clock::now_ms;
use crate::config::LiveLimits;
use crate::error::Error;
use crate::model::{Lock, Secret, SecretHash, ShareId, expires_at, random_epoch};
use crate::store::{self, Store, StoreError};

/// Shares that the store is asked about at once.
const PAGE: usize = 1000;

/// Tries of a message whose share stops just then.
const TRIES: usize = 4;

/// Creates shares and starts their actors.
pub struct Hub {
    store: Store,
    config: ShareConfig,
    arbiters: Vec<Arbiter>,
    open: OpenShares,
    /// Whether memory is asked for, and nothing was done for it yet.
    reclaiming: Arc<AtomicBool>,
    closing: bool,
}

type OpenShares = Arc<RwLock<Loaded>>;

/// Shares whose actors are in memory.
#[derive(Default)]
struct Loaded {
    shares: HashMap<ShareId, OpenShare>,
    /// Their ids by their numbers.
    ids: HashMap<i64, ShareId>,
}

/// A share whose actor is in memory.
#[derive(Clone)]
struct OpenShare {
    num: i64,
    actor: Addr<Share>,
    secret: SecretHash,
    lock: Arc<ArcSwap<Lock>>,
    usage: Arc<Usage>,
    hints: Arc<Hints>,
}

/// What an actor says of itself to everybody, without being asked.
#[derive(Debug)]
pub(super) struct Usage {
    began: Instant,
    /// When it was last used, in milliseconds since `began`.
    used: AtomicU64,
    /// Bytes that are given back when it is let go: none while somebody watches.
    spare: AtomicU64,
    /// Whether somebody watches.
    watched: AtomicBool,
    /// Whether the share has ended.
    ended: AtomicBool,
}

/// How it is with a share that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be read and written.
    Live,
    /// It was deleted, or its time is over: all that can be done is to delete it, again.
    Ended,
}

/// What is known of a share without loading it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its number in the store.
    pub num: i64,
    secret: SecretHash,
    /// How it is with it.
    pub standing: Standing,
    /// What its readers need besides the link.
    pub lock: Arc<Lock>,
}

impl Known {
    /// Whether a secret is its own.
    ///
    /// # Errors
    /// When it is another.
    pub fn check(&self, secret: &SecretHash) -> Result<(), Error> {
        if self.secret.matches(secret) { Ok(()) } else { Err(Error::WrongSecret) }
    }

    /// Whether it can be read and written.
    ///
    /// # Errors
    /// When it has ended.
    pub fn lives(&self) -> Result<(), Error> {
        match self.standing {
            Standing::Live => Ok(()),
            Standing::Ended => Err(Error::NoSuchShare),
        }
    }
}

/// Finds shares, and has the Hub start those that are not open. Clones are of the same directory.
#[derive(Clone)]
pub struct Directory {
    hub: Addr<Hub>,
    open: OpenShares,
    store: Store,
    limits: LiveLimits,
    /// Told when hints of other servers may have been missed.
    missed: Arc<Notify>,
}

impl Loaded {
    fn insert(&mut self, id: ShareId, share: OpenShare) {
        self.ids.insert(share.num, id.clone());
        self.shares.insert(id, share);
    }

    fn remove(&mut self, id: &ShareId) {
        if let Some(share) = self.shares.remove(id) {
            self.ids.remove(&share.num);
        }
    }

    fn by_num(&self, num: i64) -> Option<&OpenShare> {
        self.shares.get(self.ids.get(&num)?)
    }
}

impl Usage {
    fn new(ended: bool) -> Self {
        Self {
            began: Instant::now(),
            used: 0.into(),
            spare: 0.into(),
            watched: false.into(),
            ended: ended.into(),
        }
    }

    /// It is used now.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
    }

    /// For how long it has not been used.
    pub(super) fn idle(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.used.load(Ordering::Relaxed)))
    }

    /// Says how many bytes are given back when it is let go.
    pub(super) fn set_spare(&self, bytes: u64) {
        self.spare.store(bytes, Ordering::Relaxed);
    }

    /// Says whether somebody watches.
    pub(super) fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Says whether the share has ended.
    pub(super) fn set_ended(&self, ended: bool) {
        self.ended.store(ended, Ordering::Relaxed);
    }

    fn standing(&self) -> Standing {
        if self.ended.load(Ordering::Relaxed) { Standing::Ended } else { Standing::Live }
    }
}

impl Hub {
    /// Starts a Hub, with `threads` arbiters to spread its shares over.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(store: Store, config: ShareConfig, threads: usize) -> std::io::Result<Directory> {
        let arbiters: Vec<_> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        let own = arbiters[0].handle();
        let open = OpenShares::default();
        let of_hub = open.clone();
        let of_sweeper = (store.clone(), config.clone());
        let reclaiming = Arc::new(AtomicBool::new(false));
        let of_self = reclaiming.clone();
        let (memory, limits, of_directory) = (config.memory.clone(), config.limits.clone(), store.clone());
        let hub = Self::start_in_arbiter(&own, move |_| Self {
            store,
            config,
            arbiters,
            open: of_hub,
            reclaiming: of_self,
            closing: false,
        });
        let asked = hub.clone();
        let of_memory = reclaiming.clone();
        memory.on_shortage(move |missing| {
            // Many may be short at once: it is asked for once at a time.
            if !of_memory.swap(true, Ordering::AcqRel) {
                asked.do_send(Reclaim(missing));
            }
        });
        let shares = Directory { hub, open, store: of_directory, limits, missed: Arc::default() };
        let (store, config) = of_sweeper;
        let (hears, of_database) = (shares.clone(), HEXLOWER.encode(&store.naming().of_database()));
        let channel = format!("brutus_share_{of_database}");
        config.bus.listen(channel, move |node, hint| hears.hear(node, hint))?;
        sweeper::start(&own, store, shares.clone(), config);
        Ok(shares)
    }
}

impl Directory {
    /// The actor of a share, started when it is not open.
    ///
    /// # Errors
    /// When there is no such share, which costs a look into the database and leaves nothing behind; when that cannot be
    /// read; when the server ends.
    pub async fn open(&self, id: &ShareId) -> Result<Addr<Share>, Error> {
        if let Some(share) = self.if_open(id) {
            return Ok(share);
        }
        let head = self.store.head(id).await?.ok_or(Error::NoSuchShare)?;
        self.hub.send(Open(head)).await.map_err(|_| Error::Unavailable)
    }

    /// What is known of a share. Looks at its record alone, so that it can be asked before anything of a request is
    /// read.
    ///
    /// # Errors
    /// When there is no such share, or the database cannot be read.
    pub async fn find(&self, id: &ShareId) -> Result<Known, Error> {
        if let Some(open) = read(&self.open).shares.get(id) {
            let (secret, standing, lock) = (open.secret, open.usage.standing(), open.lock.load_full());
            return Ok(Known { num: open.num, secret, standing, lock });
        }
        self.find_stored(id).await
    }

    /// The same, as the store has it now: another process may have changed it.
    ///
    /// # Errors
    /// As `find`.
    pub async fn find_stored(&self, id: &ShareId) -> Result<Known, Error> {
        let head = self.store.head(id).await?.ok_or(Error::NoSuchShare)?;
        let over = head.life.ended(&self.limits.get().lifetimes(), now_ms());
        let standing = if head.deleted || over { Standing::Ended } else { Standing::Live };
        Ok(Known { num: head.num, secret: head.secret_hash, standing, lock: Arc::new(head.lock) })
    }

    /// The actor of a share that is open.
    pub(super) fn if_open(&self, id: &ShareId) -> Option<Addr<Share>> {
        read(&self.open).shares.get(id).map(|open| &open.actor).filter(|share| share.connected()).cloned()
    }

    /// Passes on what another server says, to the share that it is about when that is open: when somebody watches it,
    /// for who comes later has the store looked at anyway. Never waits.
    fn hear(&self, node: Node, hint: Hint) {
        let (num, always) = match hint {
            Hint::Changed { share, .. } | Hint::Gone { share } => (share, false),
            Hint::Viewers { share, .. } => (share, true),
            Hint::Missed => return self.missed.notify_one(),
        };
        let open = read(&self.open);
        let share = open.by_num(num).filter(|share| always || share.usage.is_watched());
        if let Some(share) = share
            && share.hints.add(node, hint)
        {
            share.actor.do_send(Hinted);
        }
    }

    /// Done when hints of other servers may have been missed.
    pub(super) async fn may_have_missed(&self) {
        self.missed.notified().await;
    }

    /// Tells all shares that somebody watches what head the store has.
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
        let watched: Vec<_> = {
            let open = read(&self.open);
            let watched = open.shares.values().filter(|open| open.usage.is_watched());
            watched.map(|open| (open.num, open.actor.clone())).collect()
        };
        for page in watched.chunks(PAGE) {
            let mut heads = self.store.confirm(page.iter().map(|(num, _)| *num).collect()).await?;
            for (num, share) in page {
                share.do_send(Heard(heads.remove(num)));
            }
        }
        Ok(())
    }

    /// How many shares are open.
    pub fn open_shares(&self) -> usize {
        read(&self.open).shares.len()
    }

    /// Whether shares can be found and started.
    pub async fn is_alive(&self) -> bool {
        self.hub.send(Alive).await.is_ok()
    }

    /// Creates a share.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn create(&self, create: Create) -> Result<NewShare, Error> {
        self.hub.send(create).await.map_err(|_| Error::Unavailable)?
    }

    /// Sends a message to a share, and once more when the share has stopped in between.
    ///
    /// # Errors
    /// What the share answers, or that it cannot be asked.
    pub async fn ask<M, T>(&self, id: &ShareId, message: impl Fn() -> M) -> Result<T, Error>
    where
        M: Message<Result = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
        Share: Handler<M>,
        <Share as Actor>::Context: ToEnvelope<Share, M>,
    {
        for _ in 0..TRIES {
            match self.open(id).await?.send(message()).await {
                Ok(result) => return result,
                Err(_) => tokio::task::yield_now().await,
            }
        }
        Err(Error::Unavailable)
    }

    /// Sends all viewers away, to come back: the server is about to stop.
    pub async fn shut_down(&self) {
        // An error means that the Hub has ended, and its shares with it.
        let _ = self.hub.send(Shutdown).await;
    }
}

fn read(open: &OpenShares) -> RwLockReadGuard<'_, Loaded> {
    open.read().unwrap_or_else(PoisonError::into_inner)
}

impl Actor for Hub {
    type Context = Context<Self>;
}

impl Handler<Create> for Hub {
    type Result = ResponseFuture<Result<NewShare, Error>>;

    fn handle(&mut self, create: Create, _: &mut Self::Context) -> Self::Result {
        let (store, limits) = (self.store.clone(), self.config.limits.clone());
        // One time for all of it: a lifetime counts from the creation.
        let now = now_ms();
        Box::pin(async move {
            let share = NewShare {
                id: ShareId::random().map_err(no_randomness)?,
                secret: Secret::random(),
                expires_at: expires_at(&limits.get().lifetimes(), now, create.lifetime),
            };
            let stored = store::NewShare {
                id: share.id.clone(),
                session_id: create.session_id,
                secret_hash: share.secret.hash(),
                epoch: random_epoch().map_err(no_randomness)?,
                at: now,
                expires_at: share.expires_at,
                token: create.token,
                lock: create.lock,
            };
            store.create(stored).await?;
            Ok(share)
        })
    }
}

impl Handler<Open> for Hub {
    type Result = MessageResult<Open>;

    fn handle(&mut self, Open(head): Open, ctx: &mut Self::Context) -> Self::Result {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) =
            open.shares.get(&head.id).map(|open| &open.actor).filter(|share| share.connected())
        {
            return MessageResult(share.clone());
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&head.id);
        #[allow(clippy::cast_possible_truncation)] // Any bits of a hash will do.
        let arbiter = &self.arbiters[hash as usize % self.arbiters.len()];
        let (store, hub, config) = (self.store.clone(), ctx.address(), self.config.clone());
        let (id, num, secret) = (head.id.clone(), head.num, head.secret_hash);
        let usage = Arc::new(Usage::new(head.deleted));
        let lock = Arc::new(ArcSwap::from_pointee(head.lock.clone()));
        let hints = Arc::new(Hints::default());
        let (own_usage, own_lock, own_hints) = (usage.clone(), lock.clone(), hints.clone());
        let actor = Share::start_in_arbiter(&arbiter.handle(), move |_| {
            Share::new(head, store, hub, config, own_usage, own_lock, own_hints)
        });
        if self.closing {
            actor.do_send(Shutdown);
        }
        open.insert(id, OpenShare { num, actor: actor.clone(), secret, lock, usage, hints });
        MessageResult(actor)
    }
}

impl Handler<Reclaim> for Hub {
    type Result = ();

    fn handle(&mut self, Reclaim(missing): Reclaim, _: &mut Self::Context) {
        self.reclaiming.store(false, Ordering::Release);
        let open = read(&self.open);
        let spare = |open: &OpenShare| open.usage.spare.load(Ordering::Relaxed);
        let mut coldest: Vec<_> = open.shares.values().filter(|open| spare(open) > 0).collect();
        coldest.sort_by_cached_key(|open| std::cmp::Reverse(open.usage.idle()));
        let mut given = 0;
        for share in coldest {
            if given >= missing {
                break;
            }
            // What is asked twice is counted once: it has nothing more to spare.
            given += share.usage.spare.swap(0, Ordering::Relaxed);
            share.actor.do_send(LetGo);
        }
    }
}

impl Handler<Alive> for Hub {
    type Result = ();

    fn handle(&mut self, _: Alive, _: &mut Self::Context) {}
}

impl Handler<Idle> for Hub {
    type Result = ();

    fn handle(&mut self, Idle(id, actor): Idle, _: &mut Self::Context) {
        // It may have been opened again since: by its address it is known which one has stopped.
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.shares.get(&id).is_some_and(|open| open.actor == actor) {
            open.remove(&id);
        }
    }
}

impl Handler<Shutdown> for Hub {
    type Result = ();

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) {
        self.closing = true;
        for share in read(&self.open).shares.values() {
            share.actor.do_send(shutdown);
        }
    }
}
