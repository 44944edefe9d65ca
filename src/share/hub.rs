//! The Hub: creates shares, and finds or starts the actor of one.
//!
//! Shares live on arbiters of their own: an HTTP worker's arbiter stops at shutdown, while a share may still have
//! syncs to answer.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use actix::dev::ToEnvelope;
use actix::prelude::*;

use super::Share;
use super::actor::ShareConfig;
use super::messages::{Create, Idle, NewShare, Open, Shutdown};
use crate::clock::now_ms;
use crate::error::Error;
use crate::model::{Secret, ShareId, random_epoch};
use crate::store::{self, Store};

/// Tries of a message whose share stops just then.
const TRIES: usize = 4;

/// Creates, finds and starts shares.
pub struct Hub {
    store: Store,
    config: ShareConfig,
    arbiters: Vec<Arbiter>,
    open: HashMap<ShareId, Addr<Share>>,
    closing: bool,
}

impl Hub {
    /// Starts a Hub, with `threads` arbiters to spread its shares over.
    pub fn start(store: Store, config: ShareConfig, threads: usize) -> Addr<Self> {
        let arbiters: Vec<_> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
        let own = arbiters[0].handle();
        Self::start_in_arbiter(&own, move |_| Self {
            store,
            config,
            arbiters,
            open: HashMap::new(),
            closing: false,
        })
    }
}

impl Actor for Hub {
    type Context = Context<Self>;
}

impl Handler<Create> for Hub {
    type Result = ResponseFuture<Result<NewShare, Error>>;

    fn handle(&mut self, create: Create, _: &mut Self::Context) -> Self::Result {
        let store = self.store.clone();
        Box::pin(async move {
            let no_randomness = |error| {
                tracing::error!(%error, "the system gives no random numbers");
                Error::Unavailable
            };
            let share = NewShare { id: ShareId::random().map_err(no_randomness)?, secret: Secret::random() };
            let stored = store::NewShare {
                id: share.id.clone(),
                session_id: create.session_id,
                secret_hash: share.secret.hash(),
                epoch: random_epoch().map_err(no_randomness)?,
                at: now_ms(),
            };
            store.create(stored).await?;
            Ok(share)
        })
    }
}

impl Handler<Open> for Hub {
    type Result = MessageResult<Open>;

    fn handle(&mut self, Open(id): Open, ctx: &mut Self::Context) -> Self::Result {
        if let Some(share) = self.open.get(&id).filter(|share| share.connected()) {
            return MessageResult(share.clone());
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&id);
        #[allow(clippy::cast_possible_truncation)] // Any bits of a hash will do.
        let arbiter = &self.arbiters[hash as usize % self.arbiters.len()];
        let (store, hub, config) = (self.store.clone(), ctx.address(), self.config);
        let share_id = id.clone();
        let share =
            Share::start_in_arbiter(&arbiter.handle(), move |_| Share::new(share_id, store, hub, config));
        if self.closing {
            share.do_send(Shutdown);
        }
        self.open.insert(id, share.clone());
        MessageResult(share)
    }
}

impl Handler<Idle> for Hub {
    type Result = ();

    fn handle(&mut self, Idle(id): Idle, _: &mut Self::Context) {
        // It may have been opened again since.
        if self.open.get(&id).is_some_and(|share| !share.connected()) {
            self.open.remove(&id);
        }
    }
}

impl Handler<Shutdown> for Hub {
    type Result = ();

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) {
        self.closing = true;
        for share in self.open.values() {
            share.do_send(shutdown);
        }
    }
}

/// Sends a message to a share, and once more when the share has stopped in between.
pub async fn ask<M, T>(hub: &Addr<Hub>, id: &ShareId, message: impl Fn() -> M) -> Result<T, Error>
where
    M: Message<Result = Result<T, Error>> + Send + 'static,
    T: Send + 'static,
    Share: Handler<M>,
    <Share as Actor>::Context: ToEnvelope<Share, M>,
{
    for _ in 0..TRIES {
        let share = hub.send(Open(id.clone())).await.map_err(|_| Error::Unavailable)?;
        match share.send(message()).await {
            Ok(result) => return result,
            Err(_) => tokio::task::yield_now().await,
        }
    }
    Err(Error::Unavailable)
}
