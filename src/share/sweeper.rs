//! Looks for shares whose time is over, and for those that were deleted beside this process.
//!
//! It owns nothing: it tells a share to end, and the share deletes itself. One share at a time, and each in steps, so that
//! syncs get their turn.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;

use super::actor::ShareConfig;
use super::hub::Directory;
use super::messages::{End, Removed};
use crate::clock::now_ms;
use crate::config::LiveLimits;
use crate::store::{Store, StoreError};

/// How often deleted shares are looked for: so long a viewer may go on watching what its operator has deleted.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How far back deleted shares are looked for, in milliseconds: a deletion may be committed a little after its time.
const WATCH_BACK: i64 = 60_000;

/// Shares that are looked at in one read.
const PAGE: i64 = 1000;

pub(super) struct Sweeper {
    store: Store,
    shares: Directory,
    limits: LiveLimits,
    interval: Duration,
    sweeping: bool,
}

impl Sweeper {
    pub(super) fn start(arbiter: &ArbiterHandle, store: Store, shares: Directory, config: ShareConfig) {
        let (limits, interval) = (config.limits, config.sweep_interval);
        Self::start_in_arbiter(arbiter, move |_| Self { store, shares, limits, interval, sweeping: false });
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.sweeping, true) {
            return;
        }
        let swept = sweep(self.store.clone(), self.shares.clone(), self.limits.clone());
        ctx.spawn(wrap_future::<_, Self>(swept).map(|swept, sweeper, _| {
            sweeper.sweeping = false;
            if let Err(error) = swept {
                tracing::warn!(%error, "cannot look for shares whose time is over");
            }
        }));
    }

    /// Viewers of shares that are gone are sent away.
    fn watch(&mut self, ctx: &mut Context<Self>) {
        let (store, shares) = (self.store.clone(), self.shares.clone());
        ctx.spawn(wrap_future(async move {
            // What fails is looked for again in a second.
            for id in store.deleted_since(now_ms() - WATCH_BACK).await.unwrap_or_default() {
                if let Some(share) = shares.if_open(&id) {
                    share.do_send(Removed);
                }
            }
        }));
    }
}

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sweep(ctx);
        ctx.run_interval(self.interval, Self::sweep);
        ctx.run_interval(WATCH_INTERVAL, Self::watch);
    }
}

async fn sweep(store: Store, shares: Directory, limits: LiveLimits) -> Result<(), StoreError> {
    for num in store.unpurged().await? {
        store.purge(num).await?;
    }
    store.recount().await?;
    let mut after = 0;
    loop {
        let heads = store.heads(after, PAGE).await?;
        let Some(last) = heads.last() else { return Ok(()) };
        after = last.num;
        for head in &heads {
            if head.life.ended(&limits.get().lifetimes(), now_ms())
                && let Err(error) = shares.ask(&head.id, || End).await
            {
                tracing::warn!(share = ?head.id, %error, "cannot delete a share whose time is over");
            }
        }
    }
}
