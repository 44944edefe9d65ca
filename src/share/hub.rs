//! The Hub creates shares and starts their actors; a Directory finds them.
//!
//! Shares live on arbiters of their own: an HTTP worker's arbiter stops at shutdown, while a share may still have
//! syncs to answer. What is open stands in a map that the Hub alone writes and everybody reads: a message to the Hub and
//! back would cost every request two switches between threads.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use actix::dev::ToEnvelope;
use actix::prelude::*;

use super::Share;
use super::actor::ShareConfig;
use super::messages::{Alive, Create, Idle, NewShare, Open, Shutdown};
use super::sweeper;
use crate::clock::now_ms;
use crate::error::Error;
use crate::model::{Secret, ShareId, expires_at, random_epoch};
use crate::store::{self, Store};

/// Tries of a message whose share stops just then.
const TRIES: usize = 4;

/// Creates shares and starts their actors.
pub struct Hub {
    store: Store,
    config: ShareConfig,
    arbiters: Vec<Arbiter>,
    open: OpenShares,
    closing: bool,
}

type OpenShares = Arc<RwLock<HashMap<ShareId, Addr<Share>>>>;

/// Finds shares, and has the Hub start those that are not open. Clones are of the same directory.
#[derive(Clone)]
pub struct Directory {
    hub: Addr<Hub>,
    open: OpenShares,
}

impl Hub {
    /// Starts a Hub, with `threads` arbiters to spread its shares over.
    pub fn start(store: Store, config: ShareConfig, threads: usize) -> Directory {
        let arbiters: Vec<_> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        let own = arbiters[0].handle();
        let open = OpenShares::default();
        let of_hub = open.clone();
        let of_sweeper = (store.clone(), config.clone());
        let hub = Self::start_in_arbiter(&own, move |_| Self {
            store,
            config,
            arbiters,
            open: of_hub,
            closing: false,
        });
        let shares = Directory { hub, open };
        sweeper::start(&own, of_sweeper.0, shares.clone(), of_sweeper.1);
        shares
    }
}

impl Directory {
    /// The actor of a share, started when it is not open. It loads itself; whether there is such a share is its own to say.
    ///
    /// # Errors
    /// When the server ends.
    pub async fn open(&self, id: &ShareId) -> Result<Addr<Share>, Error> {
        match self.if_open(id) {
            Some(share) => Ok(share),
            None => self.hub.send(Open(id.clone())).await.map_err(|_| Error::Unavailable),
        }
    }

    /// The actor of a share that is open.
    pub(super) fn if_open(&self, id: &ShareId) -> Option<Addr<Share>> {
        read(&self.open).get(id).filter(|share| share.connected()).cloned()
    }

    /// How many shares are open.
    pub fn open_shares(&self) -> usize {
        read(&self.open).len()
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

fn read(open: &OpenShares) -> RwLockReadGuard<'_, HashMap<ShareId, Addr<Share>>> {
    open.read().unwrap_or_else(PoisonError::into_inner)
}

impl Actor for Hub {
    type Context = Context<Self>;
}

impl Handler<Create> for Hub {
    type Result = ResponseFuture<Result<NewShare, Error>>;

    fn handle(&mut self, create: Create, _: &mut Self::Context) -> Self::Result {
        let (store, limits) = (self.store.clone(), self.config.limits.clone());
        Box::pin(async move {
            let no_randomness = |error| {
                tracing::error!(%error, "the system gives no random numbers");
                Error::Unavailable
            };
            let share = NewShare {
                id: ShareId::random().map_err(no_randomness)?,
                secret: Secret::random(),
                expires_at: expires_at(&limits.get().lifetimes, now_ms(), create.lifetime),
            };
            let stored = store::NewShare {
                id: share.id.clone(),
                session_id: create.session_id,
                secret_hash: share.secret.hash(),
                epoch: random_epoch().map_err(no_randomness)?,
                at: now_ms(),
                expires_at: share.expires_at,
                token: create.token,
            };
            store.create(stored).await?;
            Ok(share)
        })
    }
}

impl Handler<Open> for Hub {
    type Result = MessageResult<Open>;

    fn handle(&mut self, Open(id): Open, ctx: &mut Self::Context) -> Self::Result {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = open.get(&id).filter(|share| share.connected()) {
            return MessageResult(share.clone());
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&id);
        #[allow(clippy::cast_possible_truncation)] // Any bits of a hash will do.
        let arbiter = &self.arbiters[hash as usize % self.arbiters.len()];
        let (store, hub, config) = (self.store.clone(), ctx.address(), self.config.clone());
        let share_id = id.clone();
        let share =
            Share::start_in_arbiter(&arbiter.handle(), move |_| Share::new(share_id, store, hub, config));
        if self.closing {
            share.do_send(Shutdown);
        }
        open.insert(id, share.clone());
        MessageResult(share)
    }
}

impl Handler<Alive> for Hub {
    type Result = ();

    fn handle(&mut self, _: Alive, _: &mut Self::Context) {}
}

impl Handler<Idle> for Hub {
    type Result = ();

    fn handle(&mut self, Idle(id): Idle, _: &mut Self::Context) {
        // It may have been opened again since.
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.get(&id).is_some_and(|share| !share.connected()) {
            open.remove(&id);
        }
    }
}

impl Handler<Shutdown> for Hub {
    type Result = ();

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) {
        self.closing = true;
        for share in read(&self.open).values() {
            share.do_send(shutdown);
        }
    }
}
