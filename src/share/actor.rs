//! The actor of one share: the mailbox, the timers and the store's side of its state machine.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::Snapshot;
use super::audience::Audience;
use super::hints::Hints;
use super::hub::{Hub, Usage};
use super::messages::{
    Ack, Amend, Delete, Deletion, Goodbye, Heard, Hinted, Idle, Join, Joined, LetGo, Look, Read, ReadAll,
    Removed, SeatFreed, Shutdown, Stretch, Summary, Sync,
};
use super::share::{Effect, Node, Reading, Reply, ShareState, Surroundings};
use crate::bus::Bus;
use crate::clock::now_ms;
use crate::config::LiveLimits;
use crate::error::Error;
use crate::memory::{Held, Memory};
use crate::model::{Lock, ShareId, random_epoch};
use crate::protocol::close_code;
use crate::store::{NoRoom, Store, StoreError, StoredHead};

/// Refused writes in a row after which a share waits before each further try.
const PATIENCE: u32 = 3;

/// How often the longest such wait is doubled, from a millisecond on.
const DOUBLINGS: u32 = 5;

/// How often other servers are told how many watch here, when that stays the same.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// What a share needs to know of its server.
#[derive(Clone)]
pub struct ShareConfig {
    /// How long a share without viewers and syncs stays in memory.
    pub idle: Duration,
    /// How large a share may grow, how many viewers it may have, and when it ends.
    pub limits: LiveLimits,
    /// How often shares are looked for whose time is over.
    pub sweep_interval: Duration,
    /// How often shares that are watched are held against the store; `None` when no other process writes to it.
    pub poll_interval: Option<Duration>,
    /// How long changes of the count of viewers are gathered before they are told.
    pub viewers_delay: Duration,
    /// How long a delete waits for the content to be gone before it is answered that it is under way.
    pub delete_wait: Duration,
    /// What shares take that nobody watches.
    pub memory: Memory,
    /// Where other servers are told what happens.
    pub bus: Bus,
}

/// The actor of one share.
pub struct Share {
    id: ShareId,
    num: i64,
    /// Bytes that it has on the disk, as its record says: what loading it takes.
    stored: u64,
    store: Store,
    hub: Addr<Hub>,
    config: ShareConfig,
    state: ShareState,
    node: Node,
    audience: Audience,
    usage: Arc<Usage>,
    /// What its readers need, for who asks the directory.
    lock: Arc<ArcSwap<Lock>>,
    /// What other servers say of it.
    hints: Arc<Hints>,
    /// What its content takes, while nobody watches it.
    held: Option<Held>,
    /// Whether a change of the count of viewers waits to be told to viewers, and one of those here to other servers.
    count_pending: bool,
    announce_pending: bool,
    /// The count that viewers were told last, and other servers.
    shown: usize,
    announced: usize,
    /// Whether the server is about to stop.
    closing: bool,
}

impl Share {
    /// A share that is about to load itself.
    pub(super) fn new(
        head: StoredHead,
        store: Store,
        hub: Addr<Hub>,
        config: ShareConfig,
        usage: Arc<Usage>,
        lock: Arc<ArcSwap<Lock>>,
        hints: Arc<Hints>,
    ) -> Self {
        usage.touch();
        Self {
            id: head.id,
            num: head.num,
            stored: if head.deleted { 0 } else { head.size },
            node: Node { writer: 0, shared: store.is_shared() },
            store,
            hub,
            config,
            state: ShareState::Loading,
            audience: Audience::new(),
            usage,
            lock,
            hints,
            held: None,
            count_pending: false,
            announce_pending: false,
            shown: 0,
            announced: 0,
            closing: false,
        }
    }

    /// Takes the memory, then loads.
    fn load(&self) -> impl Future<Output = Result<(ShareState, i64, Held), Error>> + 'static {
        let (store, id, stored) = (self.store.clone(), self.id.clone(), self.stored);
        let (memory, limits) = (self.config.memory.clone(), self.config.limits.clone());
        async move {
            let held = memory.take(stored).await?;
            let ended = limits.clone();
            let ended = move |life: crate::model::Life| life.ended(&ended.get().lifetimes(), now_ms());
            let writer = getrandom::u64().map_err(no_randomness)?.cast_signed();
            let stored = store.load(&id, ended).await?;
            Ok((ShareState::of(stored, &limits.get().lifetimes(), now_ms()), writer, held))
        }
    }

    /// Drives the state machine by one step, and does what comes out of it.
    fn step(
        &mut self,
        ctx: &mut Context<Self>,
        step: impl FnOnce(&mut ShareState, &Surroundings, &mut Vec<Effect>),
    ) {
        let limits = self.config.limits.get();
        let around = Surroundings {
            limits: &limits,
            viewers: self.audience.count(),
            elsewhere: self.hints.viewers(),
            now: now_ms(),
            node: self.node,
        };
        let mut effects = Vec::new();
        step(&mut self.state, &around, &mut effects);
        drop(limits);
        for effect in effects {
            self.perform(effect, ctx);
        }
        self.account();
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Write(write) => {
                let (store, seq) = (self.store.clone(), write.seq);
                let written = async move { store.write(write).await };
                ctx.spawn(wrap_future::<_, Self>(written).map(move |result, share, ctx| {
                    share.step(ctx, |state, around, effects| state.written(seq, result, around, effects));
                }));
            }
            Effect::Confirm => {
                let (store, num) = (self.store.clone(), self.num);
                let confirmed = async move { Ok(store.confirm(vec![num]).await?.remove(&num)) };
                ctx.spawn(wrap_future::<_, Self>(confirmed).map(|result, share, ctx| {
                    share.step(ctx, |state, around, effects| state.confirmed(result, around, effects));
                }));
            }
            Effect::CatchUp { after, conflicts } => {
                tracing::debug!(share = ?self.id, conflicts, "catches up with another process");
                let (store, num) = (self.store.clone(), self.num);
                let added = async move {
                    if conflicts > PATIENCE {
                        tokio::time::sleep(pause(conflicts - PATIENCE)).await;
                    }
                    store.since(num, after).await
                };
                ctx.spawn(wrap_future::<_, Self>(added).map(|result, share, ctx| {
                    share.step(ctx, |state, around, effects| state.caught_up(result, around, effects));
                }));
            }
            Effect::RenewEpoch(old) => {
                tracing::error!(share = ?self.id, "the store has lost history: the share gets a new epoch");
                let (store, num) = (self.store.clone(), self.num);
                let renewed = async move {
                    let new = random_epoch().map_err(no_randomness)?;
                    Ok(store.renew_epoch(num, &old, new).await?)
                };
                ctx.spawn(wrap_future::<_, Self>(renewed).map(|result: Result<(), Error>, share, ctx| {
                    if let Err(error) = result {
                        tracing::warn!(%error, "cannot give a share a new epoch");
                    }
                    share.step(ctx, |state, _, effects| state.renewed(effects));
                }));
            }
            Effect::MarkDeleted => {
                let (store, num) = (self.store.clone(), self.num);
                let marked = async move { store.mark_deleted(num, now_ms()).await };
                ctx.spawn(wrap_future::<_, Self>(marked).map(|result, share, ctx| {
                    share.step(ctx, |state, _, effects| state.marked(result, effects));
                }));
            }
            Effect::Purge => {
                let (store, num) = (self.store.clone(), self.num);
                let purged = async move { store.purge(num).await };
                ctx.spawn(wrap_future::<_, Self>(purged).map(|result, share, ctx| {
                    share.step(ctx, |state, _, _| state.purged(result));
                }));
            }
            Effect::Wake => self.audience.wake(),
            Effect::Publish(seq) => self.config.bus.publish(self.num, seq),
            Effect::PublishGone => self.config.bus.gone(self.num),
            Effect::Relocked(lock) => self.lock.store(lock),
            Effect::Ended(reason) => tracing::info!(share = ?self.id, ?reason, "ended"),
            Effect::Dismiss(goodbye) => self.audience.dismiss(&goodbye),
            Effect::Stop => ctx.stop(),
        }
    }

    /// Brings what is said of it outside up to date: what it takes, and whether it has ended.
    fn account(&mut self) {
        let size = match &self.state {
            ShareState::Open(share) => share.size(),
            _ => 0,
        };
        if self.audience.count() > 0 {
            self.held = None;
        } else if let Some(held) = &mut self.held {
            held.resize(size);
        } else {
            self.held = Some(self.config.memory.owe(size));
        }
        self.usage.set_watched(self.audience.count() > 0);
        self.usage.set_spare(if self.held.is_some() { size } else { 0 });
        self.usage.set_ended(matches!(self.state, ShareState::Over(_) | ShareState::Deleted(_)));
    }

    /// Stops when nobody has used the share for a while. Whoever still holds its address gets a closed mailbox and
    /// opens it again. With a write under way it is in use.
    fn stop_when_idle(&mut self, ctx: &mut Context<Self>) {
        self.audience.tidy();
        self.step(ctx, ShareState::end_in_time);
        let in_use = match &mut self.state {
            ShareState::Open(share) => {
                share.forget_snapshot();
                self.audience.count() > 0 || self.usage.idle() < self.config.idle
            }
            // Nothing worth keeping in memory.
            _ => false,
        };
        if !in_use && !self.state.is_busy() {
            ctx.stop();
        }
    }

    /// Tells the viewers, a little later and so once for many, that their number has changed; other servers too when it
    /// is that of those here.
    fn count_changed(&mut self, here: bool, ctx: &mut Context<Self>) {
        let ShareState::Open(open) = &self.state else { return };
        self.announce_pending |= here;
        self.shown = self.audience.count().saturating_add(self.hints.viewers());
        open.feed().set_viewers(self.shown);
        if !std::mem::replace(&mut self.count_pending, true) {
            ctx.run_later(self.config.viewers_delay, |share, _| {
                share.count_pending = false;
                share.audience.wake();
                if std::mem::take(&mut share.announce_pending) {
                    share.announce(share.audience.count());
                }
            });
        }
    }

    /// Tells other servers how many watch here.
    fn announce(&mut self, count: usize) {
        self.announced = count;
        self.config.bus.count(self.num, count);
    }

    /// Tells them again, for what was said may be lost, and forgets what they have not said again.
    fn count_again(&mut self, ctx: &mut Context<Self>) {
        let here = self.audience.count();
        if here > 0 || self.announced > 0 {
            self.announce(here);
        }
        if self.shown != here.saturating_add(self.hints.viewers()) {
            self.count_changed(false, ctx);
        }
    }

    fn read<T: 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        reading: impl FnOnce(Reply<T>) -> Reading,
    ) -> ResponseFuture<Result<T, Error>> {
        self.usage.touch();
        let (reply, answer) = oneshot::channel();
        self.step(ctx, |state, around, effects| state.read(reading(reply), around, effects));
        promised(answer)
    }
}

impl Actor for Share {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.wait(wrap_future::<_, Self>(self.load()).map(|loaded, share, ctx| {
            match loaded {
                Ok((state, writer, held)) => {
                    tracing::debug!(share = ?share.id, "loaded");
                    (share.state, share.node.writer) = (state, writer);
                    if let ShareState::Open(open) = &share.state {
                        // It may be another than when its record was read.
                        share.lock.store(open.lock().clone());
                    }
                    share.held = Some(held);
                }
                Err(error) => share.state = ShareState::Broken(error, 0),
            }
            share.account();
            if !matches!(share.state, ShareState::Open(_)) {
                // Once those who wait have their answer, nothing is worth keeping.
                ctx.run_later(Duration::from_millis(100), Self::stop_when_idle);
            }
        }));
        ctx.run_interval(self.config.idle.min(Duration::from_secs(5)), Self::stop_when_idle);
        if self.config.bus.has_others() {
            ctx.run_interval(COUNT_INTERVAL, Self::count_again);
        }
    }

    fn stopped(&mut self, ctx: &mut Self::Context) {
        tracing::debug!(share = ?self.id, "left memory");
        if self.announced > 0 {
            self.announce(0);
        }
        self.hub.do_send(Idle(self.id.clone(), ctx.address()));
    }
}

impl Handler<Sync> for Share {
    type Result = ResponseFuture<Result<Ack, Error>>;

    fn handle(&mut self, sync: Sync, ctx: &mut Self::Context) -> Self::Result {
        self.usage.touch();
        let (reply, answer) = oneshot::channel();
        self.step(ctx, |state, around, effects| state.sync(sync, reply, around, effects));
        promised(answer)
    }
}

impl Handler<Delete> for Share {
    type Result = ResponseFuture<Result<Deletion, Error>>;

    fn handle(&mut self, Delete { secret }: Delete, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        self.step(ctx, |state, around, effects| state.delete(&secret, reply, around, effects));
        let wait = self.config.delete_wait;
        Box::pin(async move {
            match tokio::time::timeout(wait, promised(answer)).await {
                Ok(answer) => answer,
                Err(_) => Ok(Deletion::UnderWay),
            }
        })
    }
}

impl Handler<Amend> for Share {
    type Result = ResponseFuture<Result<(), Error>>;

    fn handle(&mut self, Amend { secret, amendment }: Amend, ctx: &mut Self::Context) -> Self::Result {
        let mut owned = Ok(());
        self.step(ctx, |state, around, effects| owned = state.is_owner(&secret, around, effects));
        if let Err(error) = owned {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (reply, answer) = oneshot::channel();
        let (store, num) = (self.store.clone(), self.num);
        let amended = async move { store.amend(num, amendment).await };
        ctx.spawn(wrap_future::<_, Self>(amended).map(|amended, share, ctx| match amended {
            Ok(seq) => {
                share.config.bus.publish(share.num, seq);
                share.step(ctx, |state, around, effects| state.amended(reply, around, effects));
            }
            // Who asked may have gone.
            Err(error) => _ = reply.send(Err(error.into())),
        }));
        promised(answer)
    }
}

impl Handler<Removed> for Share {
    type Result = ();

    fn handle(&mut self, _: Removed, ctx: &mut Self::Context) {
        self.step(ctx, ShareState::removed);
    }
}

impl Handler<Heard> for Share {
    type Result = ();

    fn handle(&mut self, Heard(head): Heard, ctx: &mut Self::Context) {
        // Who comes later has it looked at anyway.
        if self.audience.count() > 0 {
            self.step(ctx, |state, around, effects| state.heard(head, around, effects));
        }
    }
}

impl Handler<Hinted> for Share {
    type Result = ();

    fn handle(&mut self, _: Hinted, ctx: &mut Self::Context) {
        let news = self.hints.take();
        if news.counted || news.newcomer {
            self.count_changed(news.newcomer, ctx);
        }
        if self.audience.count() > 0 {
            self.step(ctx, |state, around, effects| state.hinted(news.seq, news.gone, around, effects));
        }
    }
}

impl Handler<LetGo> for Share {
    type Result = ();

    fn handle(&mut self, _: LetGo, ctx: &mut Self::Context) {
        if self.audience.count() == 0 && !self.state.is_busy() {
            ctx.stop();
        } else {
            self.account();
        }
    }
}

impl Handler<Look> for Share {
    type Result = ResponseFuture<Result<Summary, Error>>;

    fn handle(&mut self, Look(lock): Look, ctx: &mut Self::Context) -> Self::Result {
        self.read(ctx, |reply| Reading::Look(lock, reply))
    }
}

impl Handler<Read> for Share {
    type Result = ResponseFuture<Result<Stretch, Error>>;

    fn handle(&mut self, read: Read, ctx: &mut Self::Context) -> Self::Result {
        self.read(ctx, |reply| Reading::Read(read, reply))
    }
}

impl Handler<ReadAll> for Share {
    type Result = ResponseFuture<Result<Arc<Snapshot>, Error>>;

    fn handle(&mut self, ReadAll(lock): ReadAll, ctx: &mut Self::Context) -> Self::Result {
        self.read(ctx, |reply| Reading::ReadAll(lock, reply))
    }
}

impl Handler<Join> for Share {
    type Result = Result<Joined, Error>;

    fn handle(&mut self, Join { crowd, lock, notices }: Join, ctx: &mut Self::Context) -> Self::Result {
        self.usage.touch();
        let mut opened = Ok(());
        self.step(ctx, |state, around, effects| opened = state.open(around, effects).map(|_| ()));
        opened?;
        let ShareState::Open(open) = &self.state else { return Err(Error::Unavailable) };
        open.let_in(&lock)?;
        let feed = open.feed().clone();
        let max = if self.closing { 0 } else { self.config.limits.get().max_viewers };
        let max = max.saturating_sub(self.hints.viewers());
        let share = ctx.address().recipient();
        let seat = self.audience.admit(max, crowd, notices, share).ok_or(Error::TooManyViewers)?;
        self.account();
        self.count_changed(true, ctx);
        Ok(Joined { feed, seat })
    }
}

impl Handler<SeatFreed> for Share {
    type Result = ();

    fn handle(&mut self, _: SeatFreed, ctx: &mut Self::Context) {
        self.usage.touch();
        self.account();
        self.count_changed(true, ctx);
    }
}

impl Handler<Shutdown> for Share {
    type Result = ();

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) {
        self.audience.dismiss(&Goodbye { last_words: None, code: close_code::RESTART });
        // Syncs that are still on their way are served; new viewers are not let in.
        self.closing = true;
    }
}

impl From<NoRoom> for Error {
    fn from(no_room: NoRoom) -> Self {
        Self::StorageFull(match no_room {
            NoRoom::Quota => "the shares take as much room as they may (max_total)",
            NoRoom::Disk => "the disk is nearly full (min_free_disk)",
        })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
            StoreError::TooManyShares => Self::TooManyShares,
            StoreError::Gone => Self::NoSuchShare,
            StoreError::Conflict | StoreError::Unavailable | StoreError::Unknown => Self::Unavailable,
        }
    }
}

pub(super) fn no_randomness(error: getrandom::Error) -> Error {
    tracing::error!(%error, "the system gives no random numbers");
    Error::Unavailable
}

/// A random time, so that processes that are in each other's way get out of it; longer after each try.
fn pause(tries: u32) -> Duration {
    let longest = 1 << tries.min(DOUBLINGS);
    // Without randomness they go on being in each other's way.
    Duration::from_millis((getrandom::u32().unwrap_or_default() % longest).into())
}

fn promised<T: 'static>(answer: oneshot::Receiver<Result<T, Error>>) -> ResponseFuture<Result<T, Error>> {
    // Without an answer the actor has stopped in between.
    Box::pin(async { answer.await.unwrap_or(Err(Error::Unavailable)) })
}
