//! The actor of one share.
//!
//! **Durable before visible.** What a sync changes is applied to the transcript, written by the store, and only then
//! acknowledged and shown. While a write is under way the transcript is ahead of the disk, so reads wait, and while
//! somebody waits to read no further write begins. What viewers are shown live was encoded when its write began, so it
//! holds nothing of a later one. A few writes may be under way: the next gathers what came meanwhile, and is in the store's
//! queue when the one before it is done.
//!
//! **A failed write** stops the actor, for its transcript is then ahead of the disk for good. The next `Open` starts
//! another one, which loads what is stored.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::sync::oneshot;

use super::feed::Feed;
use super::frame::{Frame, encode};
use super::hub::Hub;
use super::messages::{
    Ack, Delete, Goodbye, Idle, Join, Left, Look, Page, Pull, Read, ReadAll, Removed, Shutdown, Snapshot,
    Summary, Sync,
};
use super::ready::{Audience, Ready, Reply, WaitingRead, Writing, answer};
use crate::clock::now_ms;
use crate::config::LiveLimits;
use crate::error::Error;
use crate::model::{Life, SecretHash, ShareId};
use crate::protocol::{Closed, Reason, close_code};
use crate::store::{NoRoom, Store, StoreError, StoredShare, Write};

/// Writes that may be under way at once.
const WRITES: usize = 4;

/// What a share needs to know of its server.
#[derive(Clone)]
pub struct ShareConfig {
    /// How long a share without viewers and syncs stays in memory.
    pub idle: Duration,
    /// How large a share may grow, how many viewers it may have, and when it ends.
    pub limits: LiveLimits,
    /// How often shares are looked for whose time is over.
    pub sweep_interval: Duration,
    /// How long changes of the count of viewers are gathered before they are told.
    pub viewers_delay: Duration,
}

/// The actor of one share.
pub struct Share {
    id: ShareId,
    store: Store,
    hub: Addr<Hub>,
    config: ShareConfig,
    state: State,
    used: Instant,
    /// Whether the server is about to stop.
    closing: bool,
}

enum State {
    /// Nothing is handled: `ctx.wait` holds the mailbox back.
    Loading,
    Ready(Box<Ready>),
    /// Its time is over; the sweeper will have it deleted.
    Over(i64, SecretHash),
    /// Deleted: what is left is the means to tell a repeated delete from a wrong secret.
    Deleted(i64, SecretHash),
    Missing,
    Broken,
}

impl Share {
    /// A share that is about to load itself.
    pub fn new(id: ShareId, store: Store, hub: Addr<Hub>, config: ShareConfig) -> Self {
        Self { id, store, hub, config, state: State::Loading, used: Instant::now(), closing: false }
    }

    fn loaded(&mut self, stored: Result<Option<StoredShare>, StoreError>) {
        tracing::debug!(share = ?self.id, "loaded");
        self.state = match stored {
            Ok(Some(stored)) if stored.deleted => State::Deleted(stored.num, stored.secret_hash),
            Ok(Some(stored)) if self.is_over(stored.life) => State::Over(stored.num, stored.secret_hash),
            Ok(Some(stored)) => State::Ready(Box::new(Ready::new(stored))),
            Ok(None) => State::Missing,
            Err(_) => State::Broken,
        };
    }

    fn is_over(&self, life: Life) -> bool {
        life.ended(&self.config.limits.get().lifetimes, now_ms())
    }

    /// Ends the share when its time is over.
    fn end_in_time(&mut self) {
        if let State::Ready(ready) = &self.state
            && !ready.deleting
            && self.is_over(ready.life)
        {
            tracing::info!(share = ?self.id, "its time is over");
            self.end(Reason::Expired);
        }
    }

    /// The loaded share, or why there is none.
    fn ready(&mut self) -> Result<&mut Ready, Error> {
        self.used = Instant::now();
        self.end_in_time();
        match &mut self.state {
            State::Ready(ready) => Ok(ready),
            State::Over(..) | State::Deleted(..) | State::Missing => Err(Error::NoSuchShare),
            State::Loading | State::Broken => Err(Error::Unavailable),
        }
    }

    /// Serves whoever waits, as far as that can be done now. Called whenever something came in or a write ended.
    fn turn(&mut self, ctx: &mut Context<Self>) {
        let limits = self.config.limits.get();
        let State::Ready(ready) = &mut self.state else { return };
        if ready.writes.is_empty() && !ready.deleting {
            for read in std::mem::take(&mut ready.waiting_reads) {
                ready.serve(read, &limits);
            }
            if !ready.waiting_deletes.is_empty() {
                self.delete(ctx);
                return;
            }
        }
        let may_write = ready.waiting_reads.is_empty() && ready.waiting_deletes.is_empty() && !ready.deleting;
        if may_write && ready.writes.len() < WRITES && !ready.waiting_syncs.is_empty() {
            self.write(ctx);
        }
    }

    /// Applies the waiting syncs and hands what they change to the store.
    fn write(&mut self, ctx: &mut Context<Self>) {
        let State::Ready(ready) = &mut self.state else { return };
        let max_share = self.config.limits.get().max_share;
        let (before, size_before) = (ready.transcript.seq(), ready.transcript.size());
        let (mut rows, mut older) = (HashMap::new(), HashMap::new());
        let mut waiters = Vec::new();
        for (sync, reply) in std::mem::take(&mut ready.waiting_syncs) {
            match ready.transcript.apply(sync.changes, max_share) {
                Ok(applied) => {
                    waiters.push((Ack { seq: ready.transcript.seq() }, reply));
                    // Viewers have what there was before this write: what a sync found that an earlier one of it left is none.
                    older.extend(applied.older.into_iter().filter(|(key, _)| !rows.contains_key(key)));
                    // Of several versions of an item in one write the last alone is stored.
                    rows.extend(applied.rows.into_iter().map(|row| (row.key.clone(), row)));
                }
                Err(_) => answer(reply, Err(Error::ShareTooLarge { max: max_share })),
            }
        }
        if rows.is_empty() {
            // All of it was known already; it is durable when the last write that is under way is.
            match ready.writes.back_mut() {
                Some(write) => write.waiters.extend(waiters),
                None => waiters.into_iter().for_each(|(ack, reply)| answer(reply, Ok(ack))),
            }
            return;
        }
        let at = now_ms();
        // What is newer than `before` is this write alone now. Who comes to view later pulls a first frame anyway.
        let frame = (ready.viewers() > 0).then(|| ready.live_frame(before, &older));
        let write = Write {
            num: ready.num,
            rows: rows.into_values().collect(),
            seq: ready.transcript.seq(),
            size: ready.transcript.size(),
            grown: grown(size_before, ready.transcript.size()),
            at,
        };
        let seq = write.seq;
        ready.writes.push_back(Writing { before, seq, at, frame, waiters, written: false });
        let store = self.store.clone();
        let written = async move { store.write(write).await };
        ctx.spawn(
            wrap_future::<_, Self>(written).map(move |result, share, ctx| share.written(seq, result, ctx)),
        );
    }

    /// The write that ends at the position `seq` has ended: its syncs are answered and its news shown, in the order of the
    /// writes, or the share gives up.
    fn written(&mut self, seq: u64, result: Result<(), StoreError>, ctx: &mut Context<Self>) {
        let State::Ready(ready) = &mut self.state else { return };
        match result {
            Ok(()) => {}
            Err(StoreError::Gone) => return self.end(Reason::Deleted),
            Err(error) => return self.give_up(&error.into(), ctx),
        }
        if let Some(write) = ready.writes.iter_mut().find(|write| write.seq == seq) {
            write.written = true;
        }
        while ready.writes.front().is_some_and(|write| write.written)
            && let Some(write) = ready.writes.pop_front()
        {
            ready.life.updated_at = write.at;
            ready.life.synced = true;
            for (ack, reply) in write.waiters {
                answer(reply, Ok(ack));
            }
            ready.feed.push(write.before, write.frame, write.seq);
            ready.wake_all();
        }
        self.turn(ctx);
    }

    fn delete(&mut self, ctx: &mut Context<Self>) {
        let State::Ready(ready) = &mut self.state else { return };
        ready.deleting = true;
        let waiters = std::mem::take(&mut ready.waiting_deletes);
        let (store, num) = (self.store.clone(), ready.num);
        let marked = async move { store.mark_deleted(num, now_ms()).await };
        ctx.spawn(wrap_future::<_, Self>(marked).map(move |result, share, ctx| match result {
            Ok(()) => {
                share.end(Reason::Deleted);
                answer_when_erased(share.store.clone(), num, waiters);
            }
            Err(error) => {
                for reply in waiters {
                    answer(reply, Err(error.into()));
                }
                share.give_up(&error.into(), ctx);
            }
        }));
    }

    /// Ends the share for everybody: its viewers are told why.
    fn end(&mut self, reason: Reason) {
        let State::Ready(ready) = &mut self.state else { return };
        let last_words = encode(&Closed { reason });
        ready.dismiss(&Goodbye { last_words: Some(last_words), code: close_code::GONE });
        let after = match reason {
            Reason::Deleted => State::Deleted(ready.num, ready.secret),
            Reason::Expired => State::Over(ready.num, ready.secret),
        };
        let after = std::mem::replace(&mut self.state, after);
        if let State::Ready(mut ready) = after {
            // Their share went while they waited; a delete that came in meanwhile got what it asked for.
            ready.refuse(&Error::NoSuchShare);
            answer_when_erased(self.store.clone(), ready.num, ready.waiting_deletes);
        }
    }

    /// The transcript is ahead of the disk for good: everyone who waits is told, viewers are sent to come back.
    fn give_up(&mut self, error: &Error, ctx: &mut Context<Self>) {
        if let State::Ready(mut ready) = std::mem::replace(&mut self.state, State::Broken) {
            ready.refuse(error);
            for reply in ready.waiting_deletes.drain(..) {
                answer(reply, Err(error.clone()));
            }
            ready.dismiss(&Goodbye { last_words: None, code: close_code::RESTART });
        }
        ctx.stop();
    }

    /// Stops when nobody has used the share for a while. Whoever still holds its address gets a closed mailbox and opens
    /// it again. With a write under way it is in use.
    fn stop_when_idle(&mut self, ctx: &mut Context<Self>) {
        self.end_in_time();
        let in_use = match &mut self.state {
            State::Ready(ready) => {
                ready.crowds.retain(|_, crowd| crowd.notices.connected());
                ready.is_writing() || ready.viewers() > 0 || self.used.elapsed() < self.config.idle
            }
            State::Loading => true,
            // Nothing worth keeping in memory.
            State::Over(..) | State::Deleted(..) | State::Missing | State::Broken => false,
        };
        if !in_use {
            ctx.stop();
        }
    }

    /// Tells the viewers, a little later and so once for many, that their number has changed.
    fn count_changed(&mut self, ctx: &mut Context<Self>) {
        let State::Ready(ready) = &mut self.state else { return };
        if !std::mem::replace(&mut ready.count_pending, true) {
            ctx.run_later(self.config.viewers_delay, |share, _| {
                if let State::Ready(ready) = &mut share.state {
                    ready.count_pending = false;
                    ready.wake_all();
                }
            });
        }
    }

    /// Lets a reader wait its turn, which comes at once when no write is under way.
    fn read<T: 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        waiting: impl FnOnce(Reply<T>) -> WaitingRead,
    ) -> ResponseFuture<Result<T, Error>> {
        let (reply, answer) = oneshot::channel();
        match self.ready() {
            Ok(ready) => ready.waiting_reads.push(waiting(reply)),
            Err(error) => return refused(error),
        }
        self.turn(ctx);
        promised(answer)
    }
}

impl Actor for Share {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (store, id) = (self.store.clone(), self.id.clone());
        let limits = self.config.limits.clone();
        let ended = move |life: Life| life.ended(&limits.get().lifetimes, now_ms());
        let load = async move { store.load(&id, ended).await };
        ctx.wait(wrap_future::<_, Self>(load).map(|stored, share, ctx| {
            share.loaded(stored);
            if !matches!(share.state, State::Ready(_)) {
                // Once those who wait have their answer, nothing is worth keeping: guessing ids costs no memory.
                ctx.run_later(Duration::from_millis(100), Self::stop_when_idle);
            }
        }));
        ctx.run_interval(self.config.idle.min(Duration::from_secs(5)), Self::stop_when_idle);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        tracing::debug!(share = ?self.id, "left memory");
        self.hub.do_send(Idle(self.id.clone()));
    }
}

impl Handler<Sync> for Share {
    type Result = ResponseFuture<Result<Ack, Error>>;

    fn handle(&mut self, sync: Sync, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        match self.ready() {
            Ok(ready) if !ready.secret.matches(&sync.secret) => return refused(Error::WrongSecret),
            Ok(ready) => ready.waiting_syncs.push((sync, reply)),
            Err(error) => return refused(error),
        }
        self.turn(ctx);
        promised(answer)
    }
}

impl Handler<Delete> for Share {
    type Result = ResponseFuture<Result<(), Error>>;

    fn handle(&mut self, delete: Delete, ctx: &mut Self::Context) -> Self::Result {
        self.end_in_time();
        match &self.state {
            State::Deleted(_, secret) | State::Over(_, secret) if !secret.matches(&delete.secret) => {
                return refused(Error::WrongSecret);
            }
            State::Deleted(num, _) | State::Over(num, _) => return erased(self.store.clone(), *num),
            _ => {}
        }
        let (reply, answer) = oneshot::channel();
        match self.ready() {
            Ok(ready) if !ready.secret.matches(&delete.secret) => return refused(Error::WrongSecret),
            Ok(ready) => ready.waiting_deletes.push(reply),
            Err(error) => return refused(error),
        }
        self.turn(ctx);
        promised(answer)
    }
}

impl Handler<Removed> for Share {
    type Result = ();

    fn handle(&mut self, _: Removed, _: &mut Self::Context) {
        // Who watches a share whose time is over is told so, when the sweeper was first to see it.
        self.end_in_time();
        // Its own delete ends it when the content is gone.
        if !matches!(&self.state, State::Ready(ready) if ready.deleting) {
            self.end(Reason::Deleted);
        }
    }
}

impl Handler<Look> for Share {
    type Result = ResponseFuture<Result<Summary, Error>>;

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) -> Self::Result {
        self.read(ctx, WaitingRead::Look)
    }
}

impl Handler<Read> for Share {
    type Result = ResponseFuture<Result<Page, Error>>;

    fn handle(&mut self, read: Read, ctx: &mut Self::Context) -> Self::Result {
        self.read(ctx, |reply| WaitingRead::Read(read, reply))
    }
}

impl Handler<ReadAll> for Share {
    type Result = ResponseFuture<Result<Snapshot, Error>>;

    fn handle(&mut self, _: ReadAll, ctx: &mut Self::Context) -> Self::Result {
        self.read(ctx, WaitingRead::ReadAll)
    }
}

impl Handler<Pull> for Share {
    type Result = ResponseFuture<Result<Frame, Error>>;

    fn handle(&mut self, pull: Pull, ctx: &mut Self::Context) -> Self::Result {
        self.read(ctx, |reply| WaitingRead::Pull(pull, reply))
    }
}

impl Handler<Join> for Share {
    type Result = Result<Feed, Error>;

    fn handle(&mut self, Join { crowd, notices }: Join, ctx: &mut Self::Context) -> Self::Result {
        let max = if self.closing { 0 } else { self.config.limits.get().max_viewers };
        let ready = self.ready()?;
        if ready.viewers() >= max {
            return Err(Error::TooManyViewers);
        }
        ready.crowds.entry(crowd).or_insert(Audience { notices, viewers: 0 }).viewers += 1;
        let feed = ready.feed.clone();
        feed.set_viewers(ready.viewers());
        self.count_changed(ctx);
        Ok(feed)
    }
}

impl Handler<Left> for Share {
    type Result = ();

    fn handle(&mut self, Left(crowd): Left, ctx: &mut Self::Context) {
        self.used = Instant::now();
        if let State::Ready(ready) = &mut self.state {
            if let Some(audience) = ready.crowds.get_mut(&crowd) {
                audience.viewers -= 1;
                if audience.viewers == 0 {
                    ready.crowds.remove(&crowd);
                }
            }
            ready.feed.set_viewers(ready.viewers());
            self.count_changed(ctx);
        }
    }
}

impl Handler<Shutdown> for Share {
    type Result = ();

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) {
        if let State::Ready(ready) = &mut self.state {
            ready.dismiss(&Goodbye { last_words: None, code: close_code::RESTART });
        }
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
            StoreError::Unavailable => Self::Unavailable,
        }
    }
}

/// Done when a share's content is gone.
fn erased(store: Store, num: i64) -> ResponseFuture<Result<(), Error>> {
    Box::pin(async move {
        store.mark_deleted(num, now_ms()).await?;
        Ok(store.purge(num).await?)
    })
}

/// Answers deletes when the share's content is gone, whether its actor still is there or not.
fn answer_when_erased(store: Store, num: i64, waiters: Vec<Reply<()>>) {
    if waiters.is_empty() {
        return;
    }
    actix::spawn(async move {
        let erased = erased(store, num).await;
        for reply in waiters {
            answer(reply, erased.clone());
        }
    });
}

/// How much larger one size is than another.
fn grown(before: u64, after: u64) -> i64 {
    let signed = |size| i64::try_from(size).unwrap_or(i64::MAX);
    signed(after) - signed(before)
}

fn refused<T: 'static>(error: Error) -> ResponseFuture<Result<T, Error>> {
    Box::pin(std::future::ready(Err(error)))
}

fn promised<T: 'static>(answer: oneshot::Receiver<Result<T, Error>>) -> ResponseFuture<Result<T, Error>> {
    // Without an answer the actor has stopped in between.
    Box::pin(async { answer.await.unwrap_or(Err(Error::Unavailable)) })
}
