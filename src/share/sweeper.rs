//! Ends shares whose time is over, has the content of deleted ones purged, and sends away who watches one that was
//! deleted beside this process. Where other processes write, it has shares look for what they wrote.
//!
//! A share ends for its readers at once on the word of the wall clock, which is undone when the clock comes right.
//! Deleting it is not: that waits for the time that has passed for sure (`PassedTime`).
//!
//! What fails is logged and done in the next round; it keeps nothing else from being done.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::actor::ShareConfig;
use super::hub::Directory;
use super::messages::Removed;
use crate::bus::Bus;
use crate::clock::{PassedTime, now_ms};
use crate::config::LiveLimits;
use crate::metrics::METRICS;
use crate::model::{Life, Lifetimes};
use crate::store::{Store, StoreError};

/// How often deleted shares are looked for: so long a viewer may go on watching what its operator has deleted.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How often the clocks are looked at, to find a jump.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Shares that are looked at in one read.
const PAGE: i64 = 1000;

/// How long the row of a deleted share is kept, in milliseconds: so long a repeated delete can be told from a wrong
/// secret.
const REMEMBERED_FOR: i64 = 365 * 24 * 3600 * 1000;

/// By how much the time that has passed moves on until it is noted again, in milliseconds. After a crash so much is in
/// doubt.
const NOTE_EVERY: i64 = 60_000;

/// Starts its tasks on an arbiter.
pub(super) fn start(arbiter: &ArbiterHandle, store: Store, shares: Directory, config: ShareConfig) {
    arbiter.spawn(watch(store.clone(), shares.clone()));
    if let Some(every) = config.poll_interval {
        arbiter.spawn(poll(shares, every));
    }
    arbiter.spawn(Sweeper::new(store, config.limits, config.bus).run(config.sweep_interval));
}

/// Sends the viewers of shares away that were deleted. These are followed by the numbers of their deletions, which
/// depend on no clock.
async fn watch(store: Store, shares: Directory) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        ticks.tick().await;
        // What fails is looked for again in a second.
        let Some(after) = last else {
            last = store.last_deletion().await.ok();
            continue;
        };
        let mut after = after;
        while let Ok(deletions) = store.deletions(after, PAGE).await
            && deletions.last > after
        {
            for share in deletions.shares.iter().filter_map(|id| shares.if_open(id)) {
                share.do_send(Removed);
            }
            after = deletions.last;
        }
        last = Some(after);
    }
}

/// Has shares that are watched look for what other processes wrote, now and then and when hints may have been missed:
/// nothing else tells them then when nobody writes or reads here.
async fn poll(shares: Directory, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shares.may_have_missed() => {}
        }
        said("look for what other processes wrote", shares.catch_up().await);
    }
}

struct Sweeper {
    store: Store,
    limits: LiveLimits,
    bus: Bus,
    /// `None` until the store has said what was noted.
    passed: Option<PassedTime>,
    noted: i64,
    /// Each gives the number of its share.
    purges: JoinSet<i64>,
    /// Shares that are being purged, which another process that reads may hold up for long.
    purging: HashSet<i64>,
    /// Shares that the last sweep could not read.
    damaged: Vec<i64>,
}

impl Sweeper {
    fn new(store: Store, limits: LiveLimits, bus: Bus) -> Self {
        let (purges, purging) = (JoinSet::new(), HashSet::new());
        Self { store, limits, bus, passed: None, noted: 0, purges, purging, damaged: Vec::new() }
    }

    async fn run(mut self, every: Duration) {
        let (mut sweeps, mut looks) = (interval(every), interval(CLOCK_INTERVAL));
        for ticks in [&mut sweeps, &mut looks] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                _ = sweeps.tick() => self.sweep().await,
                _ = looks.tick() => self.look(),
            }
        }
    }

    fn look(&mut self) {
        if let Some(passed) = &mut self.passed {
            passed.look(now_ms(), Instant::now());
        }
    }

    async fn sweep(&mut self) {
        said("purge deleted shares", self.purge_deleted().await);
        said("count what the shares take", self.store.recount().await);
        if self.passed.is_none() {
            let noted = self.store.passed_time().await;
            self.passed = noted.ok().map(|noted| PassedTime::new(now_ms(), Instant::now(), noted));
        }
        said("end shares whose time is over", self.end_in_time().await);
        said("forget deleted shares", self.forget().await);
        said("note the time that has passed", self.note().await);
    }

    /// Purges what a crash or an operator's command left.
    async fn purge_deleted(&mut self) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let unpurged = self.store.unpurged(after, PAGE).await?;
            let Some(&last) = unpurged.last() else { return Ok(()) };
            for num in unpurged {
                self.purge(num);
            }
            after = last;
        }
    }

    /// Has a share purged, unless it is being purged.
    fn purge(&mut self, num: i64) {
        while let Some(Ok(purged)) = self.purges.try_join_next() {
            self.purging.remove(&purged);
        }
        if self.purging.insert(num) {
            let store = self.store.clone();
            self.purges.spawn(async move {
                said("purge a deleted share", store.purge(num).await);
                num
            });
        }
    }

    async fn end_in_time(&mut self) -> Result<(), StoreError> {
        let (mut after, mut damaged) = (0, Vec::new());
        let mut failed = Ok(());
        loop {
            let page = self.store.heads(after, PAGE).await?;
            let Some(last) = page.last else { break };
            after = last;
            damaged.extend(page.damaged);
            self.look();
            let Some(passed) = &self.passed else { break };
            let (now, lifetimes) = (passed.wall(), self.limits.get().lifetimes());
            let over = page.heads.iter().filter(|head| is_over(&head.life, &lifetimes, passed));
            for (num, updated_at) in over.map(|head| (head.num, head.life.updated_at)).collect::<Vec<_>>() {
                match self.store.mark_expired(num, updated_at, now).await {
                    Ok(true) => {
                        METRICS.expired.inc();
                        self.bus.gone(num);
                        self.purge(num);
                    }
                    Ok(false) => {}
                    Err(error) => failed = Err(error),
                }
            }
        }
        if damaged != self.damaged {
            tracing::error!(nums = ?damaged, "shares cannot be read, and never end by themselves");
            self.damaged = damaged;
        }
        failed
    }

    async fn forget(&self) -> Result<(), StoreError> {
        let Some(passed) = &self.passed else { return Ok(()) };
        let before = passed.surely().saturating_sub(REMEMBERED_FOR);
        while self.store.forget(before, PAGE).await? > 0 {}
        Ok(())
    }

    async fn note(&mut self) -> Result<(), StoreError> {
        let Some(passed) = &self.passed else { return Ok(()) };
        // Also when it went back: then what was noted was never true.
        if passed.surely().abs_diff(self.noted) >= NOTE_EVERY.unsigned_abs() {
            self.store.set_passed_time(passed.surely()).await?;
            self.noted = passed.surely();
        }
        Ok(())
    }
}

/// Whether a share's time is over for sure.
fn is_over(life: &Life, lifetimes: &Lifetimes, passed: &PassedTime) -> bool {
    life.ended(lifetimes, passed.surely())
        || passed.is_steady_since(life.created_at) && life.ended(lifetimes, passed.wall())
}

/// Logs what failed.
fn said(what: &'static str, result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "cannot {what}");
    }
}
