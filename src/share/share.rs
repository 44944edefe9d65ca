//! A share as a state machine, without actors, sockets or a disk: what is asked of it comes in, what has to be done
//! comes out.
//!
//! **Durable before visible.** What a sync changes is applied to the transcript, written by the store, and only then
//! acknowledged and shown. While a write is under way the transcript is ahead of the disk, so reads wait, and while
//! somebody waits to read no further write begins. What viewers are shown live was encoded when its write began, so it
//! holds nothing of a later one. A few writes may be under way: the next gathers what came meanwhile, and is in the
//! store's queue when the one before it is done.
//!
//! **A failed write** ends the machine, for its transcript is then ahead of the disk for good: another one starts with
//! what is stored. Where others may write it is taken back instead, as a refused one is, and viewers stay.
//!
//! **The head.** Each write stands on the head that the one before it leaves, and the store refuses it when another
//! process has written meanwhile. What was applied is then taken back, what the other wrote is taken in as if it were
//! of this one, and the syncs are applied anew. Where others may write, what claims to be current has the head looked
//! at first: each reading, a sync that seems to change nothing, and the end of a share's time.
//!
//! **A write whose outcome nobody knows**, for the connection broke, may have taken effect, or may do so later. It is
//! taken back, what the store has is taken in, and its syncs are applied anew, which changes nothing when they are
//! there. The share writes under another number from then on: were the late one to leave the head that the next write
//! leaves too, the one behind that would stand on what it never saw.
//!
//! **History that was lost**: a store that has less than it had, for an older state was restored, gets a new epoch. The
//! numbers of the old one would be given again, to other changes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytestring::ByteString;
use tokio::sync::oneshot;

use super::Snapshot;
use super::feed::Feed;
use super::frame::{Frame, encode};
use super::messages::{Ack, Deletion, Goodbye, Page, Read, Stretch, Summary, Sync};
use crate::config::Limits;
use crate::error::Error;
use crate::model::{Capacity, Key, Life, Lifetimes, Lock, Row, SecretHash, ShareFull, Transcript};
use crate::protocol::{Closed, Reason, close_code};
use crate::store::{Added, Head, StoreError, StoredShare, Write};

/// Writes that may be under way at once.
const WRITES: usize = 4;

/// Writes in a row whose outcome is not known, after which their syncs are refused.
const DOUBTS: i64 = 3;

/// Whoever asked waits for this.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the machine wants to have done. What it asks of the store it is told the outcome of.
#[derive(Debug)]
pub(super) enum Effect {
    /// Store this, then tell `written`.
    Write(Write),
    /// Look which head the store has, then tell `confirmed`.
    Confirm,
    /// Read what was added after a position, then tell `caught_up`. So many tries in a row to write on what is there
    /// came to nothing.
    CatchUp { after: u64, conflicts: u32 },
    /// Give the share another epoch in the place of this one, whose history was lost, then tell `renewed`.
    RenewEpoch(ByteString),
    /// Mark the share as deleted, durably, then tell `marked`.
    MarkDeleted,
    /// Take the content of the deleted share away, then tell `purged`.
    Purge,
    /// Tell the viewers that there is something new in the feed.
    Wake,
    /// Tell other servers that the store has the share at this position.
    Publish(u64),
    /// Tell them that it was deleted.
    PublishGone,
    /// Readers need something else now: note it.
    Relocked(Arc<Lock>),
    /// The share has ended for its readers: note it.
    Ended(Reason),
    /// Send the viewers away.
    Dismiss(Goodbye),
    /// What is in memory is of no use any more.
    Stop,
}

/// What is to be read.
pub(super) enum Reading {
    Look(Arc<Lock>, Reply<Summary>),
    Read(Read, Reply<Stretch>),
    ReadAll(Arc<Lock>, Reply<Arc<Snapshot>>),
    /// Nothing: that what is here is what there is.
    Nothing(Reply<()>),
}

/// A share.
pub(super) enum ShareState {
    /// It is not known yet what it is: whoever drives the machine holds all questions back.
    Loading,
    /// It can be read and written.
    Open(Box<OpenShare>),
    /// It has expired: nobody can read it any more, and the sweeper will delete it.
    Over(SecretHash),
    /// Deleted: what is left is the means to tell a repeated delete from a wrong secret.
    Deleted(DeletedShare),
    /// There is none.
    Missing,
    /// It cannot be loaded, or a write of it failed, or its history was lost; so much that is under way has yet to end.
    /// Who loads it meanwhile would not see that, and give numbers to other changes that are given already.
    Broken(Error, usize),
}

/// A share that is deleted for everybody.
pub(super) struct DeletedShare {
    secret: SecretHash,
    erasing: Erasing,
}

/// How far the content of a deleted share is gone from the disk.
enum Erasing {
    /// Nobody has asked since this was loaded.
    Unknown,
    /// It is being taken away; who waits for that.
    UnderWay(Vec<Reply<Deletion>>),
    Done,
}

/// A share that is open: its transcript, the writes under way, and who waits.
pub(super) struct OpenShare {
    num: i64,
    secret: SecretHash,
    epoch: ByteString,
    life: Life,
    lock: Arc<Lock>,
    transcript: Transcript,
    title: Option<String>,
    /// What was read as a whole last, as long as it is what there is.
    snapshot: Option<Arc<Snapshot>>,
    feed: Feed,
    /// What the next write stands on: the store's head, once the writes under way have taken effect.
    head: Head,
    /// Writes that are under way, in their order.
    writes: VecDeque<Writing>,
    /// Refused writes in a row.
    conflicts: u32,
    /// Writes in a row of which it is not known whether they took effect, and all of these.
    doubts: i64,
    all_doubts: i64,
    /// Whether another process has written what is not here yet. It is read when no write is under way, and none begins
    /// before.
    behind: bool,
    /// The position that the store has, as other servers say.
    hinted: u64,
    catching_up: bool,
    deleting: bool,
    /// For whom the store is to be asked for its head, when it is, and for whom it is being asked.
    unconfirmed: Option<Vec<Reading>>,
    confirming: Option<Look>,
    waiting_syncs: Vec<(Sync, Reply<Ack>)>,
    waiting_reads: Vec<Reading>,
    waiting_deletes: Vec<Reply<Deletion>>,
}

/// A look at the store's head that is under way.
struct Look {
    /// The position that the store had for sure when it was asked.
    asked_at: u64,
    readings: Vec<Reading>,
}

/// A write that is under way.
struct Writing {
    /// The head that it stands on, and the share's position after it: the same when it only finds out whether the head
    /// is still that.
    before: Head,
    seq: u64,
    /// When it began, in milliseconds since 1970.
    at: i64,
    /// What viewers are shown when it is done; `None` when they have to pull, or there are none.
    frame: Option<Frame>,
    waiters: Vec<Waiter>,
    /// What was there before of what it changes.
    older: HashMap<Key, Row>,
    stage: Stage,
}

/// How far a write has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    UnderWay,
    /// It is done, and waits for those before it.
    Stored,
    /// The store's head is another.
    Refused,
    /// It was not done, or it is not known whether it was.
    Failed(StoreError),
}

/// A sync that was applied, and who waits for it.
struct Waiter {
    sync: Sync,
    ack: Ack,
    reply: Reply<Ack>,
}

/// What of its surroundings a share needs to know to go on.
pub(super) struct Surroundings<'a> {
    /// The limits now.
    pub(super) limits: &'a Limits,
    /// Viewers that are connected here.
    pub(super) viewers: usize,
    /// Viewers that are connected to other servers, as these say.
    pub(super) elsewhere: usize,
    /// Milliseconds since 1970.
    pub(super) now: i64,
    /// This process, among those that write to the store.
    pub(super) node: Node,
}

/// One that writes to a store, among others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Names it in the heads of what it writes: drawn whenever a share is loaded, so that what an earlier one has under
    /// way is told from what this one writes.
    pub(super) writer: i64,
    /// Whether others may write too.
    pub(super) shared: bool,
}

impl ShareState {
    /// What a store has of a share.
    pub(super) fn of(stored: Option<StoredShare>, lifetimes: &Lifetimes, now: i64) -> Self {
        match stored {
            Some(stored) if stored.deleted => {
                Self::Deleted(DeletedShare { secret: stored.secret_hash, erasing: Erasing::Unknown })
            }
            Some(stored) if stored.life.ended(lifetimes, now) => Self::Over(stored.secret_hash),
            Some(stored) => Self::Open(Box::new(OpenShare::new(stored))),
            None => Self::Missing,
        }
    }

    /// The open share, or why there is none. One whose time is over ends now.
    pub(super) fn open(
        &mut self,
        around: &Surroundings,
        effects: &mut Vec<Effect>,
    ) -> Result<&mut OpenShare, Error> {
        self.end_in_time(around, effects);
        match self {
            Self::Open(share) => Ok(share),
            Self::Over(_) | Self::Deleted(_) | Self::Missing => Err(Error::NoSuchShare),
            Self::Loading => Err(Error::Unavailable),
            Self::Broken(error, _) => Err(error.clone()),
        }
    }

    /// Ends the share when its time is over. A sync through another process may have put that off: then the store is
    /// looked at before.
    pub(super) fn end_in_time(&mut self, around: &Surroundings, effects: &mut Vec<Effect>) {
        let Self::Open(share) = self else { return };
        if share.deleting || share.catching_up || !share.is_over(around) {
            return;
        }
        if around.node.shared {
            share.behind = true;
            share.proceed(around, effects);
        } else {
            self.end(Reason::Expired, effects);
        }
    }

    /// Takes a batch in. Answered when it is durable.
    pub(super) fn sync(
        &mut self,
        sync: Sync,
        reply: Reply<Ack>,
        around: &Surroundings,
        effects: &mut Vec<Effect>,
    ) {
        match self.open(around, effects) {
            Ok(share) if !share.secret.matches(&sync.secret) => answer(reply, Err(Error::WrongSecret)),
            Ok(share) => {
                share.waiting_syncs.push((sync, reply));
                share.proceed(around, effects);
            }
            Err(error) => answer(reply, Err(error)),
        }
    }

    /// Lets a reader wait its turn, which comes at once when no write is under way.
    pub(super) fn read(&mut self, reading: Reading, around: &Surroundings, effects: &mut Vec<Effect>) {
        match self.open(around, effects) {
            Ok(share) => {
                let waiting = if around.node.shared {
                    share.unconfirmed.get_or_insert_default()
                } else {
                    &mut share.waiting_reads
                };
                waiting.push(reading);
                share.proceed(around, effects);
            }
            Err(error) => reading.refuse(&error),
        }
    }

    /// The store has this head, or not the share any more: those can be served who asked before it was looked at, once
    /// what is here is as new.
    pub(super) fn confirmed(
        &mut self,
        result: Result<Option<Head>, StoreError>,
        around: &Surroundings,
        effects: &mut Vec<Effect>,
    ) {
        let Self::Open(share) = self else { return };
        let Some(Look { asked_at, readings }) = share.confirming.take() else { return };
        match result {
            Ok(head) => {
                share.waiting_reads.extend(readings);
                // It had more when it was asked: that was lost.
                share.behind |= head.is_some_and(|head| head.seq < asked_at);
                self.take_head(head, around, effects);
            }
            Err(error) => {
                for reading in readings {
                    reading.refuse(&error.into());
                }
                share.proceed(around, effects);
            }
        }
    }

    /// The store had this head, or not the share any more.
    pub(super) fn heard(&mut self, head: Option<Head>, around: &Surroundings, effects: &mut Vec<Effect>) {
        if let (Self::Open(share), Some(head)) = (&mut *self, head)
            && head.seq < share.stored_head().seq
        {
            // It was so before what is here was written, or what is here was lost since: a look of its own tells.
            share.unconfirmed.get_or_insert_default();
        }
        self.take_head(head, around, effects);
    }

    /// Another server says that the store has a position, or that the share is gone. Who wrote it need not be said: of
    /// two writes to one position the store takes one, so a position that is here is no news, or the write that leads
    /// to it will be refused. What is said may be wrong, so the store is looked at: nobody ends a share by saying so.
    pub(super) fn hinted(&mut self, seq: u64, gone: bool, around: &Surroundings, effects: &mut Vec<Effect>) {
        let Self::Open(share) = self else { return };
        share.hinted = seq.max(share.hinted);
        if gone {
            share.unconfirmed.get_or_insert_default();
        }
        share.proceed(around, effects);
    }

    fn take_head(&mut self, head: Option<Head>, around: &Surroundings, effects: &mut Vec<Effect>) {
        match (self, head) {
            (Self::Open(share), Some(head)) => {
                share.behind |= !share.knows(head, around.node);
                share.proceed(around, effects);
            }
            (state, None) => state.removed(around, effects),
            _ => {}
        }
    }

    /// What other processes wrote is read, or cannot be.
    pub(super) fn caught_up(
        &mut self,
        result: Result<Option<Added>, StoreError>,
        around: &Surroundings,
        effects: &mut Vec<Effect>,
    ) {
        let Self::Open(share) = self else { return };
        share.catching_up = false;
        match result {
            Ok(Some(added)) if added.epoch == *share.epoch && share.is_before(added.head) => {
                share.take_in(added, around, effects);
                if !share.waiting_syncs.is_empty() {
                    // What was said meanwhile does not hold them up: their write finds out what there is.
                    share.hinted = 0;
                }
                if share.is_over(around) {
                    self.end(Reason::Expired, effects);
                } else {
                    share.proceed(around, effects);
                }
            }
            // History was lost: what is here is none of it any more.
            Ok(Some(added)) => {
                let lost = (added.epoch == *share.epoch).then(|| share.epoch.clone());
                self.give_up(&Error::Unavailable, usize::from(lost.is_some()), effects);
                effects.extend(lost.map(Effect::RenewEpoch));
            }
            Ok(None) => self.removed(around, effects),
            Err(error) => {
                share.behind = true;
                share.refuse_waiting(&error.into());
                if !share.waiting_deletes.is_empty() {
                    share.proceed(around, effects);
                }
            }
        }
    }

    /// Whether the share can be changed by who has this secret.
    pub(super) fn is_owner(
        &mut self,
        secret: &SecretHash,
        around: &Surroundings,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Error> {
        if self.open(around, effects)?.secret.matches(secret) { Ok(()) } else { Err(Error::WrongSecret) }
    }

    /// The store has changed the share beside its items. It is taken in as what another process wrote, and then
    /// answered.
    pub(super) fn amended(&mut self, reply: Reply<()>, around: &Surroundings, effects: &mut Vec<Effect>) {
        match self.open(around, effects) {
            Ok(share) => {
                share.behind = true;
                share.waiting_reads.push(Reading::Nothing(reply));
                share.proceed(around, effects);
            }
            Err(error) => answer(reply, Err(error)),
        }
    }

    /// Deletes the share. Answered when its content is gone from the disk.
    pub(super) fn delete(
        &mut self,
        secret: &SecretHash,
        reply: Reply<Deletion>,
        around: &Surroundings,
        effects: &mut Vec<Effect>,
    ) {
        self.end_in_time(around, effects);
        let own = match self {
            Self::Open(share) => &share.secret,
            Self::Over(secret) => secret,
            Self::Deleted(share) => &share.secret,
            Self::Missing => return answer(reply, Err(Error::NoSuchShare)),
            Self::Loading => return answer(reply, Err(Error::Unavailable)),
            Self::Broken(error, _) => return answer(reply, Err(error.clone())),
        };
        if !own.matches(secret) {
            return answer(reply, Err(Error::WrongSecret));
        }
        match self {
            Self::Open(share) => {
                share.waiting_deletes.push(reply);
                share.proceed(around, effects);
            }
            Self::Over(secret) => {
                // Nobody sees it any more: what is left is to mark it, and then to erase it.
                let erasing = Erasing::UnderWay(vec![reply]);
                *self = Self::Deleted(DeletedShare { secret: *secret, erasing });
                effects.push(Effect::MarkDeleted);
            }
            Self::Deleted(share) => share.erase(vec![reply], effects),
            Self::Loading | Self::Missing | Self::Broken(..) => {}
        }
    }

    /// The write that ends at the position `seq` has ended: its syncs are answered and its news shown, in the order of
    /// the writes, or the machine gives up.
    pub(super) fn written(
        &mut self,
        seq: u64,
        result: Result<(), StoreError>,
        around: &Surroundings,
        effects: &mut Vec<Effect>,
    ) {
        self.step_down(effects);
        let Self::Open(share) = self else { return };
        match result {
            Ok(()) => share.ended(seq, Stage::Stored, around, effects),
            Err(StoreError::Conflict) => share.ended(seq, Stage::Refused, around, effects),
            Err(StoreError::Gone) => self.end(Reason::Deleted, effects),
            Err(error) if around.node.shared => share.ended(seq, Stage::Failed(error), around, effects),
            Err(error) => {
                // The one that failed has ended.
                let under_way = share.writes.iter().filter(|write| write.stage == Stage::UnderWay);
                let under_way = under_way.count().saturating_sub(1);
                self.give_up(&error.into(), under_way, effects);
            }
        }
    }

    /// The share has another epoch now, or nobody could give it one: whoever loads it finds out.
    pub(super) fn renewed(&mut self, effects: &mut Vec<Effect>) {
        self.step_down(effects);
    }

    /// One thing has ended that was under way when the machine gave up.
    fn step_down(&mut self, effects: &mut Vec<Effect>) {
        if let Self::Broken(_, under_way) = self {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                effects.push(Effect::Stop);
            }
        }
    }

    /// The share is marked as deleted, or could not be.
    pub(super) fn marked(&mut self, result: Result<(), StoreError>, effects: &mut Vec<Effect>) {
        match (result, &mut *self) {
            (Ok(()), Self::Open(_)) => {
                effects.push(Effect::PublishGone);
                self.end(Reason::Deleted, effects);
            }
            (Ok(()), Self::Deleted(_)) => effects.extend([Effect::PublishGone, Effect::Purge]),
            (Err(error), Self::Open(_)) => self.give_up(&error.into(), 0, effects),
            (Err(error), Self::Deleted(share)) => {
                let secret = share.secret;
                share.answer_all(&Err(error.into()));
                *self = Self::Over(secret);
            }
            _ => {}
        }
    }

    /// The deleted share's content is gone from the disk, or could not be taken away.
    pub(super) fn purged(&mut self, result: Result<(), StoreError>) {
        let Self::Deleted(share) = self else { return };
        match result {
            Ok(()) => {
                share.answer_all(&Ok(Deletion::Gone));
                share.erasing = Erasing::Done;
            }
            Err(error) => share.answer_all(&Err(error.into())),
        }
    }

    /// The share was deleted by somebody else: by its operator beside this process, by another process that serves it,
    /// or by the sweeper.
    pub(super) fn removed(&mut self, around: &Surroundings, effects: &mut Vec<Effect>) {
        let Self::Open(share) = self else { return };
        // Its own delete ends it when that is on the disk.
        if share.deleting {
            return;
        }
        // Who watches a share whose time is over is told so, when the sweeper was first to see it.
        let reason = if share.is_over(around) { Reason::Expired } else { Reason::Deleted };
        self.end(reason, effects);
    }

    /// Whether something is under way, or somebody waits.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Loading => true,
            Self::Open(share) => {
                let waits = share.deleting || share.catching_up || share.confirming.is_some();
                waits || !share.writes.is_empty()
            }
            Self::Deleted(share) => matches!(share.erasing, Erasing::UnderWay(_)),
            Self::Broken(_, writes) => *writes > 0,
            Self::Over(_) | Self::Missing => false,
        }
    }

    /// Ends the share for everybody: its viewers are told why.
    fn end(&mut self, reason: Reason, effects: &mut Vec<Effect>) {
        let Self::Open(share) = self else { return };
        let secret = share.secret;
        let deletes = std::mem::take(&mut share.waiting_deletes);
        let after = match reason {
            Reason::Deleted => Self::Deleted(DeletedShare { secret, erasing: Erasing::Unknown }),
            Reason::Expired => Self::Over(secret),
        };
        if let Self::Open(mut share) = std::mem::replace(self, after) {
            // Their share went while they waited.
            share.refuse(&Error::NoSuchShare);
        }
        effects.push(Effect::Ended(reason));
        let last_words = Some(encode(&Closed { reason }));
        effects.push(Effect::Dismiss(Goodbye { last_words, code: close_code::GONE }));
        match self {
            Self::Deleted(share) if !deletes.is_empty() => share.erase(deletes, effects),
            Self::Over(secret) if !deletes.is_empty() => {
                let erasing = Erasing::UnderWay(deletes);
                *self = Self::Deleted(DeletedShare { secret: *secret, erasing });
                effects.push(Effect::MarkDeleted);
            }
            _ => {}
        }
    }

    /// The transcript is ahead of the disk for good: everyone who waits is told, viewers are sent to come back.
    fn give_up(&mut self, error: &Error, under_way: usize, effects: &mut Vec<Effect>) {
        let before = std::mem::replace(self, Self::Broken(Error::Unavailable, under_way));
        if let Self::Open(mut share) = before {
            share.refuse(error);
            for reply in share.waiting_deletes.drain(..) {
                answer(reply, Err(error.clone()));
            }
            effects.push(Effect::Dismiss(Goodbye { last_words: None, code: close_code::RESTART }));
        }
        if under_way == 0 {
            effects.push(Effect::Stop);
        }
    }
}

impl DeletedShare {
    /// Has the content taken away, once for all who wait.
    fn erase(&mut self, waiters: Vec<Reply<Deletion>>, effects: &mut Vec<Effect>) {
        match &mut self.erasing {
            Erasing::UnderWay(waiting) => waiting.extend(waiters),
            Erasing::Done => waiters.into_iter().for_each(|reply| answer(reply, Ok(Deletion::Gone))),
            Erasing::Unknown => {
                self.erasing = Erasing::UnderWay(waiters);
                effects.push(Effect::Purge);
            }
        }
    }

    fn answer_all(&mut self, result: &Result<Deletion, Error>) {
        if let Erasing::UnderWay(waiters) = std::mem::replace(&mut self.erasing, Erasing::Unknown) {
            for reply in waiters {
                answer(reply, result.clone());
            }
        }
    }
}

impl OpenShare {
    fn new(stored: StoredShare) -> Self {
        let epoch = ByteString::from(stored.epoch);
        let transcript = Transcript::from_rows(stored.rows, stored.head.seq);
        Self {
            num: stored.num,
            secret: stored.secret_hash,
            feed: Feed::new(epoch.clone(), transcript.seq()),
            epoch,
            life: stored.life,
            lock: Arc::new(stored.lock),
            title: transcript.title(),
            transcript,
            snapshot: None,
            head: stored.head,
            writes: VecDeque::new(),
            conflicts: 0,
            doubts: 0,
            all_doubts: 0,
            behind: false,
            hinted: 0,
            catching_up: false,
            deleting: false,
            unconfirmed: None,
            confirming: None,
            waiting_syncs: Vec::new(),
            waiting_reads: Vec::new(),
            waiting_deletes: Vec::new(),
        }
    }

    /// What its readers need besides the link.
    pub(super) fn lock(&self) -> &Arc<Lock> {
        &self.lock
    }

    /// Lets in who was let in by the lock that there is.
    pub(super) fn let_in(&self, lock: &Lock) -> Result<(), Error> {
        if *self.lock == *lock { Ok(()) } else { Err(Error::Relocked) }
    }

    /// The newest frames, for all viewers.
    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Bytes that its content takes.
    pub(super) fn size(&self) -> u64 {
        self.transcript.size()
    }

    fn is_over(&self, around: &Surroundings) -> bool {
        self.life.ended(&around.limits.lifetimes(), around.now)
    }

    /// Whether a head that the store had is of what is here, or under way from here.
    fn knows(&self, head: Head, node: Node) -> bool {
        let stored = self.stored_head();
        head == stored
            || head.seq < stored.seq
            || head.writer == self.writer(node) && head.seq <= self.head.seq
    }

    /// The head that the store has for sure, when no other process wrote.
    fn stored_head(&self) -> Head {
        self.writes.front().map_or(self.head, |write| write.before)
    }

    /// Whether a head that the store has can have come after the one that is here.
    fn is_before(&self, head: Head) -> bool {
        head == self.head || head.seq > self.head.seq
    }

    /// What names this one in the heads that it writes: another one after each write whose outcome is not known.
    fn writer(&self, node: Node) -> i64 {
        node.writer.wrapping_add(self.all_doubts)
    }

    /// Serves whoever waits, as far as that can be done now. Called whenever something came in or a write ended.
    fn proceed(&mut self, around: &Surroundings, effects: &mut Vec<Effect>) {
        if self.deleting || self.catching_up {
            return;
        }
        if self.confirming.is_none()
            && let Some(readings) = self.unconfirmed.take()
        {
            // One look serves all who came before it.
            self.confirming = Some(Look { asked_at: self.stored_head().seq, readings });
            effects.push(Effect::Confirm);
        }
        let is_behind = self.behind || self.hinted > self.head.seq;
        if self.writes.is_empty() {
            if !self.behind {
                for reading in std::mem::take(&mut self.waiting_reads) {
                    self.serve(reading, around);
                }
            }
            if !self.waiting_deletes.is_empty() {
                self.deleting = true;
                effects.push(Effect::MarkDeleted);
                return;
            }
            if is_behind {
                (self.behind, self.hinted) = (false, 0);
                self.catching_up = true;
                effects.push(Effect::CatchUp { after: self.head.seq, conflicts: self.conflicts });
                return;
            }
        }
        let someone_waits = !self.waiting_reads.is_empty() || !self.waiting_deletes.is_empty();
        let may_write = !is_behind && !someone_waits && self.writes.len() < WRITES;
        if may_write && !self.waiting_syncs.is_empty() {
            self.begin_write(around, effects);
        }
    }

    /// Applies the waiting syncs and hands what they change to the store.
    fn begin_write(&mut self, around: &Surroundings, effects: &mut Vec<Effect>) {
        let capacity = Capacity { bytes: around.limits.max_share, items: around.limits.max_items };
        let (before, size_before) = (self.head, self.transcript.size());
        let (mut rows, mut places, mut older) = (Vec::<Row>::new(), HashMap::new(), HashMap::new());
        let mut waiters = Vec::new();
        for (sync, reply) in std::mem::take(&mut self.waiting_syncs) {
            match self.transcript.apply(sync.changes.clone(), capacity) {
                Ok(applied) => {
                    waiters.push(Waiter { sync, ack: Ack { seq: self.transcript.seq() }, reply });
                    // Viewers have what there was before this write: what a sync found that an earlier one of it left
                    // is none.
                    let before_all = applied.older.into_iter().filter(|row| !places.contains_key(&row.key));
                    older.extend(before_all.map(|row| (row.key.clone(), row)));
                    // Of several versions of an item in one write the last alone is stored, at the place of the first:
                    // the database keeps the order in which items first came.
                    for row in applied.rows {
                        match places.entry(row.key.clone()) {
                            Entry::Occupied(place) => rows[*place.get()] = row,
                            Entry::Vacant(place) => {
                                place.insert(rows.len());
                                rows.push(row);
                            }
                        }
                    }
                }
                Err(ShareFull::Bytes) => answer(reply, Err(Error::ShareTooLarge { max: capacity.bytes })),
                Err(ShareFull::Items) => answer(reply, Err(Error::TooManyItems { max: capacity.items })),
            }
        }
        if rows.is_empty() && !around.node.shared {
            // All of it was known already; it is durable when the last write that is under way is.
            return match self.writes.back_mut() {
                Some(write) => write.waiters.extend(waiters),
                None => waiters.into_iter().for_each(|waiter| answer(waiter.reply, Ok(waiter.ack))),
            };
        }
        if rows.is_empty() && (waiters.is_empty() || !self.writes.is_empty()) {
            // Another process may have changed it again since the store did what is under way: they wait until that has
            // ended, and then a write of nothing finds out.
            let waiting = waiters.into_iter().map(|waiter| (waiter.sync, waiter.reply));
            return self.waiting_syncs.extend(waiting);
        }
        let (seq, size) = (self.transcript.seq(), self.transcript.size());
        let mut frame = None;
        if !rows.is_empty() {
            self.head = Head { seq, writer: self.writer(around.node) };
            self.snapshot = None;
            if places.contains_key(Key::SESSION) {
                self.title = self.transcript.title();
            }
            // What is newer than `before` is this write alone now. Who comes to view later pulls a first frame anyway.
            frame =
                (around.viewers > 0).then(|| Frame::live(&self.transcript, &self.epoch, before.seq, &older));
        }
        let (at, stage) = (around.now, Stage::UnderWay);
        self.writes.push_back(Writing { before, seq, at, frame, waiters, older, stage });
        let grown = grown(size_before, size);
        let writer = self.writer(around.node);
        effects.push(Effect::Write(Write { num: self.num, before, rows, seq, writer, size, grown, at }));
    }

    /// The write that ends at the position `seq` has ended so.
    fn ended(&mut self, seq: u64, stage: Stage, around: &Surroundings, effects: &mut Vec<Effect>) {
        if let Some(write) = self.writes.iter_mut().find(|write| write.seq == seq) {
            write.stage = stage;
        }
        self.behind |= matches!(stage, Stage::Refused | Stage::Failed(_));
        while self.writes.front().is_some_and(|write| write.stage == Stage::Stored)
            && let Some(write) = self.writes.pop_front()
        {
            for Waiter { ack, reply, .. } in write.waiters {
                answer(reply, Ok(ack));
            }
            (self.conflicts, self.doubts) = (0, 0);
            if write.seq > write.before.seq {
                self.life.updated_at = write.at;
                self.life.synced = true;
                self.feed.push(write.before.seq, write.frame, write.seq);
                effects.extend([Effect::Wake, Effect::Publish(write.seq)]);
            }
        }
        if self.behind && self.writes.iter().all(|write| write.stage != Stage::UnderWay) {
            self.take_back();
        }
        self.proceed(around, effects);
    }

    /// Takes back what was applied for writes that were refused, or of which nobody knows. Their syncs come again,
    /// before those that came meanwhile; those of writes that failed are told so.
    fn take_back(&mut self) {
        let Some(first) = self.writes.front() else { return };
        self.head = first.before;
        self.conflicts += 1;
        let unknown = Stage::Failed(StoreError::Unknown);
        if self.writes.iter().any(|write| write.stage == unknown) {
            self.doubts += 1;
            self.all_doubts += 1;
        }
        let (mut older, mut syncs) = (Vec::new(), Vec::new());
        for write in self.writes.drain(..) {
            older.extend(write.older.into_values().filter(|row| row.seq <= self.head.seq));
            for Waiter { sync, reply, .. } in write.waiters {
                match write.stage {
                    Stage::Failed(error) if write.stage != unknown || self.doubts > DOUBTS => {
                        answer(reply, Err(error.into()));
                    }
                    _ => syncs.push((sync, reply)),
                }
            }
        }
        self.transcript.take_back(self.head.seq, older);
        self.title = self.transcript.title();
        syncs.append(&mut self.waiting_syncs);
        self.waiting_syncs = syncs;
    }

    /// Takes in what other processes wrote: viewers are shown it as if this one had.
    fn take_in(&mut self, added: Added, around: &Surroundings, effects: &mut Vec<Effect>) {
        let before = self.head.seq;
        (self.head, self.life) = (added.head, added.life);
        if *self.lock != added.lock {
            self.lock = Arc::new(added.lock);
            effects.push(Effect::Relocked(self.lock.clone()));
            // They come back, and are asked for what is needed now.
            effects.push(Effect::Dismiss(Goodbye { last_words: None, code: close_code::RESTART }));
        }
        if self.head.seq == before {
            return;
        }
        let older = self.transcript.take_in(added.rows);
        self.transcript.reach(self.head.seq);
        let older = older.into_iter().map(|row| (row.key.clone(), row)).collect();
        self.snapshot = None;
        self.title = self.transcript.title();
        let frame = (around.viewers > 0).then(|| Frame::live(&self.transcript, &self.epoch, before, &older));
        self.feed.push(before, frame, self.head.seq);
        effects.push(Effect::Wake);
        if self.doubts > 0 {
            // What was written here without an answer may be among it, and nobody was told.
            effects.push(Effect::Publish(self.head.seq));
        }
    }

    fn serve(&mut self, reading: Reading, around: &Surroundings) {
        let lock = match &reading {
            Reading::Look(lock, _) | Reading::ReadAll(lock, _) => lock,
            Reading::Read(read, _) => &read.lock,
            Reading::Nothing(_) => &self.lock,
        };
        if let Err(error) = self.let_in(lock) {
            return reading.refuse(&error);
        }
        match reading {
            Reading::Nothing(reply) => answer(reply, Ok(())),
            Reading::Look(_, reply) => answer(
                reply,
                Ok(Summary {
                    title: self.title.clone(),
                    activity: self.transcript.activity(),
                    created_at: self.life.created_at,
                    updated_at: self.life.updated_at,
                    expires_at: self.life.end(&around.limits.lifetimes()),
                    lock: self.lock.clone(),
                    viewers: around.viewers.saturating_add(around.elsewhere),
                    room: around.viewers.saturating_add(around.elsewhere) < around.limits.max_viewers,
                    seq: self.transcript.seq(),
                }),
            ),
            Reading::Read(read, reply) => {
                let after = self.position(read.after, read.epoch.as_deref());
                let window = self.transcript.since(after, read.max_bytes);
                let takes = Frame::size_of(&window);
                let stretch = if takes <= read.room {
                    let frame = Frame::of(&window, &self.epoch, read.places);
                    Stretch::Made(Page { epoch: self.epoch.clone(), after, frame })
                } else {
                    Stretch::Takes(takes)
                };
                answer(reply, Ok(stretch));
            }
            Reading::ReadAll(_, reply) => answer(reply, Ok(self.snapshot())),
        }
    }

    /// All items, the same for all who read at one position.
    fn snapshot(&mut self) -> Arc<Snapshot> {
        let seq = self.transcript.seq();
        if let Some(known) = self.snapshot.as_ref().filter(|known| known.seq == seq) {
            return known.clone();
        }
        let items = self.transcript.items();
        let items = items.map(|(key, content, arrival)| (key.clone(), content.clone(), arrival)).collect();
        let snapshot = Snapshot::new(self.epoch.to_string(), seq, self.title.clone(), items);
        self.snapshot.insert(Arc::new(snapshot)).clone()
    }

    /// Lets go of what was kept for who reads again.
    pub(super) fn forget_snapshot(&mut self) {
        self.snapshot = None;
    }

    /// A position means something in its own epoch, and only when it is not ahead of the share.
    fn position(&self, after: u64, epoch: Option<&str>) -> u64 {
        if epoch == Some(&*self.epoch) && after <= self.transcript.seq() { after } else { 0 }
    }

    /// Tells all but those who delete that nothing comes of what they asked.
    fn refuse(&mut self, error: &Error) {
        let under_way = self.writes.drain(..).flat_map(|write| write.waiters);
        under_way.for_each(|waiter| answer(waiter.reply, Err(error.clone())));
        let confirming = self.confirming.take().into_iter().flat_map(|look| look.readings);
        confirming.for_each(|reading| reading.refuse(error));
        self.refuse_waiting(error);
    }

    /// The same for those for whom nothing is under way yet.
    fn refuse_waiting(&mut self, error: &Error) {
        self.waiting_syncs.drain(..).for_each(|(_, reply)| answer(reply, Err(error.clone())));
        let reads = self.unconfirmed.take().into_iter().flatten().chain(self.waiting_reads.drain(..));
        reads.for_each(|reading| reading.refuse(error));
    }
}

impl Reading {
    fn refuse(self, error: &Error) {
        match self {
            Self::Look(_, reply) => answer(reply, Err(error.clone())),
            Self::Read(_, reply) => answer(reply, Err(error.clone())),
            Self::ReadAll(_, reply) => answer(reply, Err(error.clone())),
            Self::Nothing(reply) => answer(reply, Err(error.clone())),
        }
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    // Who asked may have gone: what was stored stays stored.
    let _ = reply.send(result);
}

/// How much larger one size is than another.
fn grown(before: u64, after: u64) -> i64 {
    let signed = |size| i64::try_from(size).unwrap_or(i64::MAX);
    signed(after) - signed(before)
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod nodes_tests;
