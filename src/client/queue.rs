//! The queue of what is to be sent: a lane for each shared session, one batch under way in each. Contents wait in the
//! spool; here is when they go, and what became of them.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::sync::oneshot;

use super::answer::{Later, Outcome};
use super::awake;
use super::conversations::Note;
use super::redaction::Records;
use super::schedule::{Schedule, jitter};
use super::sealing::{Sealer, Sending};
use super::spool::{Amount, Batch, Spool, waiting};
use super::transport::{Target, Transport};
use super::{ClientError, Config};
use crate::clock::now_ms;
use crate::model::Change;
use crate::seal::LinkKey;

/// Sends what waits for shared sessions.
pub(super) struct SyncQueue {
    config: Config,
    spool: Spool,
    transport: Transport,
    ended: Recipient<Ended>,
    lanes: HashMap<String, Lane>,
    /// Lanes that were ever opened: a batch of an earlier lane is not this one's.
    opened: u64,
    /// The order of what is accepted.
    seq: i64,
    /// Bytes in the spool, never less than there are: replaced versions are counted until the next look.
    spooled: u64,
}

struct Lane {
    number: u64,
    /// Whether changes may still be put into the spool: until the lane is dropped.
    open: Rc<Cell<bool>>,
    /// `None` while the share is being created.
    share: Option<Target>,
    /// What is known of a sealed share's server.
    sealer: Rc<Sealer>,
    schedule: Schedule,
    timer: Option<SpawnHandle>,
    /// The batch that is under way.
    sending: Option<SpawnHandle>,
    /// Items in one batch: fewer after the server refused a batch, so that the one it refuses is found.
    max_items: usize,
    /// The newest sequence number that was given to a change of this session.
    given: i64,
    /// The newest whose write has ended, by a commit or a refusal.
    settled: i64,
    flushes: Vec<(i64, oneshot::Sender<Result<(), ClientError>>)>,
    progress: Progress,
}

/// How the sending of a session goes.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Items that wait.
    pub pending: u64,
    /// Bytes that wait.
    pub pending_bytes: u64,
    /// When a batch last reached the server, in milliseconds since 1970.
    pub last_sync: Option<i64>,
    /// Why the last try failed; `None` when it did not.
    pub last_error: Option<String>,
    /// Tries that failed since the last that did not.
    pub failures: u32,
    /// Items that the server will not take, and that were given up.
    pub set_aside: u64,
}

/// A session is about to be shared: what is enqueued for it waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Open(pub(super) String);

/// The share of a session exists: what waits for it can go.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Attach {
    pub(super) session: String,
    pub(super) share: Target,
    /// The key in its link: secret as its secret is.
    pub(super) link_key: Option<LinkKey>,
}

/// The server may have lost what it had of a session: all that comes now is sent, whatever was sent before.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Doubt(pub(super) String);

/// A session is not shared any more: what waits for it is dropped.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Detach(pub(super) String);

/// Takes changes of a session. Answered when they are on the disk; with their number, which is 0 when it is not shared.
#[derive(Message)]
#[rtype(result = "Result<usize, ClientError>")]
pub(super) struct Enqueue {
    pub(super) session: String,
    pub(super) changes: Vec<Change>,
    /// What is noted of the changes, together with them.
    pub(super) notes: Vec<Note>,
    /// What redaction found in them, stored together with them.
    pub(super) records: Records,
}

impl Enqueue {
    /// Of changes in which secrets were not sought yet.
    pub(super) fn new(session: String, changes: Vec<Change>, notes: Vec<Note>) -> Self {
        Self { session, changes, notes, records: Records::default() }
    }
}

/// Sends what waits for a session now. Answered when it is on the server, or could not be brought there.
#[derive(Message)]
#[rtype(result = "Result<(), ClientError>")]
pub(super) struct FlushLane(pub(super) String);

/// Sends all that waits now. Answered when every lane has tried.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Drain;

/// How the sending goes, by session.
#[derive(Message)]
#[rtype(result = "HashMap<String, Progress>")]
pub(super) struct Look;

/// To the manager: the server does not know the share any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Ended {
    pub(super) session: String,
    pub(super) id: String,
}

/// What became of one batch.
pub(super) enum Sent {
    /// Nothing was waiting.
    Nothing,
    Batch {
        outcome: Outcome,
        items: usize,
        last: i64,
        more: bool,
    },
    /// The spool could not be read or written.
    Spool(ClientError),
    /// The machine was suspended meanwhile, for so long: an answer may never come.
    Suspended(Duration),
}

impl SyncQueue {
    pub(super) fn new(
        config: Config,
        spool: Spool,
        transport: Transport,
        ended: Recipient<Ended>,
        amounts: &[(String, Amount)],
    ) -> Self {
        let seq = amounts.iter().map(|(_, amount)| amount.last).max().unwrap_or(0);
        let spooled = amounts.iter().map(|(_, amount)| amount.bytes).sum();
        Self { config, spool, transport, ended, lanes: HashMap::new(), opened: 0, seq, spooled }
    }

    fn lane(&mut self, session: &str) -> &mut Lane {
        // What an earlier life left in the spool is older than this.
        let (config, seq, opened) = (&self.config, self.seq, &mut self.opened);
        self.lanes.entry(session.to_owned()).or_insert_with(|| Lane {
            number: {
                *opened += 1;
                *opened
            },
            open: Rc::new(Cell::new(true)),
            share: None,
            sealer: Rc::default(),
            schedule: Schedule::new(config.interval, config.max_backoff),
            timer: None,
            sending: None,
            max_items: usize::MAX,
            given: seq,
            settled: seq,
            flushes: Vec::new(),
            progress: Progress::default(),
        })
    }

    /// Sets a lane's timer to when its next batch is due.
    fn arm(&mut self, session: &str, ctx: &mut Context<Self>) {
        let Some(lane) = self.lanes.get_mut(session) else { return };
        if let Some(timer) = lane.timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(at) = lane.schedule.next().filter(|_| lane.share.is_some()) else { return };
        let session = session.to_owned();
        let wait = at.saturating_duration_since(Instant::now());
        let waited = wrap_future::<_, Self>(awake::sleep(wait)).map(move |suspended, queue, ctx| {
            let Some(lane) = queue.lanes.get_mut(&session) else { return };
            lane.timer = None;
            match suspended {
                Some(suspended) => {
                    lane.schedule.woke(Instant::now(), suspended);
                    queue.arm(&session, ctx);
                }
                None => queue.send(session, ctx),
            }
        });
        lane.timer = Some(ctx.spawn(waited));
    }

    fn send(&mut self, session: String, ctx: &mut Context<Self>) {
        let Some(lane) = self.lanes.get_mut(&session) else { return };
        let Some(share) = lane.share.clone() else { return };
        lane.timer = None;
        lane.schedule.started();
        let (settled, max_items, max_bytes) = (lane.settled, lane.max_items, self.config.max_batch);
        let (number, sealer) = (lane.number, lane.sealer.clone());
        let (spool, transport, name) = (self.spool.clone(), self.transport.clone(), session.clone());
        let sending = async move {
            if let Some(seal) = &share.seal {
                let session = name.as_str();
                let sending = Sending { spool: &spool, transport: &transport, share: &share, seal, session };
                return sending.send(&sealer, max_bytes, max_items).await;
            }
            let Batch { items, more } = match spool.next(name.clone(), max_bytes, max_items).await {
                Ok(batch) => batch,
                Err(error) => return Sent::Spool(error.into()),
            };
            let Some(last) = items.last().map(|item| item.seq) else { return Sent::Nothing };
            let outcome = transport.sync(&share, &items).await;
            let given_up = matches!(outcome, Outcome::Rejected(_)) && items.len() == 1;
            if outcome == Outcome::Done || given_up {
                let sent = items.iter().map(|item| (item.key.clone(), item.seq)).collect();
                if let Err(error) = spool.sent(name, sent).await {
                    return Sent::Spool(error.into());
                }
            }
            Sent::Batch { outcome, items: items.len(), last, more }
        };
        let name = session.clone();
        // A batch may be sent twice: it changes nothing the second time.
        let sending = async move {
            tokio::select! {
                sent = sending => sent,
                suspended = awake::suspend() => Sent::Suspended(suspended),
            }
        };
        let sending = ctx.spawn(wrap_future::<_, Self>(sending).map(move |sent, queue, ctx| {
            // The session may have been unshared, and shared anew, while the batch was under way.
            if queue.lanes.get(&session).is_some_and(|lane| lane.number == number) {
                queue.sent(&session, settled, sent, ctx);
            }
        }));
        if let Some(lane) = self.lanes.get_mut(&name) {
            lane.sending = Some(sending);
        }
    }

    /// A batch has come back. `settled` is what was on the disk when it was put together.
    fn sent(&mut self, session: &str, settled: i64, sent: Sent, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let Some(lane) = self.lanes.get_mut(session) else { return };
        lane.sending = None;
        match sent {
            Sent::Nothing => {
                lane.schedule.succeeded();
                lane.flushed(settled);
            }
            Sent::Batch { outcome: Outcome::Done, last, more, .. } => {
                lane.schedule.succeeded();
                lane.max_items = lane.max_items.saturating_mul(2);
                lane.progress.last_sync = Some(now_ms());
                lane.progress.last_error = None;
                lane.flushed(if more { last } else { last.max(settled) });
                if more {
                    lane.schedule.hurry(now);
                }
            }
            Sent::Batch { outcome: Outcome::Rejected(reason), items, last, .. } => {
                lane.schedule.succeeded();
                lane.schedule.hurry(now);
                if items > 1 {
                    // One of them is what the server refuses: halves find it.
                    lane.max_items = items / 2;
                } else {
                    tracing::warn!(%reason, "the server will not take one item: it is given up");
                    lane.max_items = usize::MAX;
                    lane.progress.set_aside += 1;
                    lane.progress.last_error = Some(format!("one item was given up: {reason}"));
                    lane.flushed(last);
                }
            }
            Sent::Batch { outcome: Outcome::Gone, .. } => {
                tracing::warn!("a share has ended on the server");
                lane.fail(&ClientError::Ended);
                if let Some(share) = lane.share.take() {
                    self.ended.do_send(Ended { session: session.to_owned(), id: share.id });
                }
                self.drop_lane(session, ctx);
                return;
            }
            Sent::Batch { outcome: Outcome::Retry(Later { reason, after }), .. } => {
                lane.retry(now, after, reason.clone());
                lane.fail(&ClientError::Unreachable(reason));
            }
            Sent::Suspended(suspended) => lane.schedule.woke(now, suspended),
            Sent::Spool(error) => {
                lane.retry(now, None, error.to_string());
                lane.fail(&error);
            }
        }
        self.arm(session, ctx);
    }

    fn drop_lane(&mut self, session: &str, ctx: &mut Context<Self>) {
        if let Some(lane) = self.lanes.remove(session) {
            lane.open.set(false);
            // A batch that is under way ends with its connection.
            for running in [lane.timer, lane.sending].into_iter().flatten() {
                ctx.cancel_future(running);
            }
        }
        let discarded = self.spool.discard(session.to_owned());
        ctx.spawn(wrap_future(async move {
            if let Err(error) = discarded.await {
                tracing::error!(%error, "what is not to be sent any more stays in the spool");
            }
        }));
    }
}

impl Lane {
    fn retry(&mut self, now: Instant, after: Option<Duration>, reason: String) {
        tracing::warn!(%reason, failures = self.schedule.failures() + 1, "cannot sync now");
        self.schedule.failed(now, after, jitter());
        self.progress.last_error = Some(reason);
    }

    /// What was accepted up to `seq` is on the server.
    fn flushed(&mut self, seq: i64) {
        for (_, flush) in self.flushes.extract_if(.., |(upto, _)| *upto <= seq) {
            let _ = flush.send(Ok(()));
        }
    }

    fn fail(&mut self, error: &ClientError) {
        for (_, flush) in self.flushes.drain(..) {
            let _ = flush.send(Err(error.clone()));
        }
    }
}

impl Actor for SyncQueue {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Redaction sends from another thread, and its messages keep their order.
        ctx.set_mailbox_capacity(0);
    }
}

impl Handler<Open> for SyncQueue {
    type Result = ();

    fn handle(&mut self, Open(session): Open, _: &mut Self::Context) {
        self.lane(&session);
    }
}

impl Handler<Attach> for SyncQueue {
    type Result = ();

    fn handle(&mut self, Attach { session, share, .. }: Attach, ctx: &mut Self::Context) {
        let lane = self.lane(&session);
        lane.share = Some(share);
        // What waited for the share, or was left by an earlier life, goes at once.
        lane.schedule.hurry(Instant::now());
        self.arm(&session, ctx);
    }
}

impl Handler<Doubt> for SyncQueue {
    type Result = ();

    fn handle(&mut self, Doubt(session): Doubt, _: &mut Self::Context) {
        if let Some(lane) = self.lanes.get(&session) {
            lane.sealer.doubt();
        }
    }
}

impl Handler<Detach> for SyncQueue {
    type Result = ();

    fn handle(&mut self, Detach(session): Detach, ctx: &mut Self::Context) {
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.fail(&ClientError::NotShared);
        }
        self.drop_lane(&session, ctx);
    }
}

impl Handler<Enqueue> for SyncQueue {
    type Result = ResponseActFuture<Self, Result<usize, ClientError>>;

    fn handle(&mut self, enqueue: Enqueue, _: &mut Self::Context) -> Self::Result {
        let Enqueue { session, changes, notes, records } = enqueue;
        let is_empty = changes.is_empty() && notes.is_empty() && records.is_empty();
        if is_empty || !self.lanes.contains_key(&session) {
            return Box::pin(actix::fut::ready(Ok(0)));
        }
        let count = changes.len();
        let items = waiting(changes, || {
            self.seq += 1;
            self.seq
        });
        let (spool, last) = (self.spool.clone(), self.seq);
        let lane = self.lane(&session);
        lane.given = last;
        let open = lane.open.clone();
        let bytes = items.iter().map(|item| item.bytes() as u64).sum::<u64>();
        self.spooled += bytes;
        let (estimate, max) = (self.spooled, self.config.max_spool);
        let name = session.clone();
        // The job is in the writer's queue, in the order of these messages, before anything is awaited; unless the
        // spool may be full, which has to be looked up first.
        let put =
            (estimate <= max).then(|| spool.put(name.clone(), items.clone(), notes.clone(), records.clone()));
        let stored = async move {
            if let Some(put) = put {
                return put.await.map(|()| None).map_err(ClientError::from);
            }
            let spooled = spool.amounts().await?.iter().map(|(_, amount)| amount.bytes).sum::<u64>();
            if spooled + bytes > max {
                return Err(ClientError::SpoolFull);
            }
            if !open.get() {
                // What was dropped meanwhile stays dropped.
                return Err(ClientError::NotShared);
            }
            spool.put(name, items, notes, records).await?;
            Ok(Some(spooled + bytes))
        };
        Box::pin(wrap_future::<_, Self>(stored).map(move |stored, queue, ctx| {
            match stored {
                Ok(Some(spooled)) => queue.spooled = spooled,
                Ok(None) => {}
                Err(_) => queue.spooled = queue.spooled.saturating_sub(bytes),
            }
            if let Some(lane) = queue.lanes.get_mut(&session) {
                let now = Instant::now();
                lane.settled = lane.settled.max(last);
                if stored.is_ok() {
                    lane.schedule.updated(now);
                }
                if !lane.flushes.is_empty() {
                    lane.schedule.hurry(now);
                    queue.arm(&session, ctx);
                } else if lane.timer.is_none() {
                    queue.arm(&session, ctx);
                }
            }
            match stored {
                Err(ClientError::NotShared) => Ok(0),
                stored => stored.map(|_| count),
            }
        }))
    }
}

impl Handler<FlushLane> for SyncQueue {
    type Result = ResponseFuture<Result<(), ClientError>>;

    fn handle(&mut self, FlushLane(session): FlushLane, ctx: &mut Self::Context) -> Self::Result {
        let Some(lane) = self.lanes.get_mut(&session) else {
            return Box::pin(std::future::ready(Err(ClientError::NotShared)));
        };
        let (done, flushed) = oneshot::channel();
        // What is on its way to the disk counts too: who publishes on a bus does not wait for it.
        lane.flushes.push((lane.given, done));
        lane.schedule.flush(Instant::now());
        self.arm(&session, ctx);
        Box::pin(async { flushed.await.unwrap_or(Err(ClientError::Unavailable)) })
    }
}

impl Handler<Drain> for SyncQueue {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let sessions: Vec<_> = self.lanes.keys().cloned().collect();
        let flushes: Vec<_> =
            sessions.into_iter().map(|session| self.handle(FlushLane(session), ctx)).collect();
        Box::pin(async {
            futures_util::future::join_all(flushes).await;
        })
    }
}

impl Handler<Look> for SyncQueue {
    type Result = ResponseFuture<HashMap<String, Progress>>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        let mut progress: HashMap<_, _> = self
            .lanes
            .iter()
            .map(|(session, lane)| {
                (session.clone(), Progress { failures: lane.schedule.failures(), ..lane.progress.clone() })
            })
            .collect();
        let spool = self.spool.clone();
        Box::pin(async move {
            for (session, amount) in spool.amounts().await.unwrap_or_default() {
                if let Some(progress) = progress.get_mut(&session) {
                    progress.pending = amount.items;
                    progress.pending_bytes = amount.bytes;
                }
            }
            progress
        })
    }
}
