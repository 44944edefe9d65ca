//! A share that is loaded: its transcript, its viewers, and who waits. What is served here is durable, because nobody is served
//! while a write is under way, but from the feed, which is added to when a write has ended.

use std::collections::{HashMap, VecDeque};

use actix::prelude::*;
use bytestring::ByteString;
use tokio::sync::oneshot;

use super::feed::Feed;
use super::frame::{FRAME_BYTES, Frame};
use super::messages::{Ack, CrowdId, Goodbye, Notice, Page, Pull, Read, Snapshot, Summary, Sync};
use crate::config::Limits;
use crate::error::Error;
use crate::model::{Content, Key, Life, SecretHash, Transcript};
use crate::store::StoredShare;

/// A share that is loaded.
pub(super) struct Ready {
    pub(super) num: i64,
    pub(super) secret: SecretHash,
    pub(super) epoch: ByteString,
    pub(super) life: Life,
    pub(super) transcript: Transcript,
    /// Writes that are under way, in their order.
    pub(super) writes: VecDeque<Writing>,
    pub(super) deleting: bool,
    pub(super) waiting_syncs: Vec<(Sync, Reply<Ack>)>,
    pub(super) waiting_reads: Vec<WaitingRead>,
    pub(super) waiting_deletes: Vec<Reply<()>>,
    pub(super) feed: Feed,
    pub(super) crowds: HashMap<CrowdId, Audience>,
    /// Whether a change of the count of viewers waits to be told.
    pub(super) count_pending: bool,
}

/// A write that is under way.
pub(super) struct Writing {
    /// The share's position before and after it.
    pub(super) before: u64,
    pub(super) seq: u64,
    /// When it began, in milliseconds since 1970.
    pub(super) at: i64,
    /// What viewers are shown when it is done; `None` when they have to pull, or there are none.
    pub(super) frame: Option<Frame>,
    pub(super) waiters: Vec<(Ack, Reply<Ack>)>,
    /// Whether it is done: it waits for those before it.
    pub(super) written: bool,
}

/// A crowd, as its share sees it.
pub(super) struct Audience {
    pub(super) notices: Recipient<Notice>,
    pub(super) viewers: usize,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A reader that waits for the end of the write under way.
pub(super) enum WaitingRead {
    Look(Reply<Summary>),
    Read(Read, Reply<Page>),
    ReadAll(Reply<Snapshot>),
    Pull(Pull, Reply<Frame>),
}

impl Ready {
    pub(super) fn new(stored: StoredShare) -> Self {
        let epoch = ByteString::from(stored.epoch);
        let transcript = Transcript::from_rows(stored.rows, stored.seq);
        Self {
            num: stored.num,
            secret: stored.secret_hash,
            feed: Feed::new(epoch.clone(), transcript.seq()),
            epoch,
            life: stored.life,
            transcript,
            writes: VecDeque::new(),
            deleting: false,
            waiting_syncs: Vec::new(),
            waiting_reads: Vec::new(),
            waiting_deletes: Vec::new(),
            crowds: HashMap::new(),
            count_pending: false,
        }
    }

    pub(super) fn serve(&mut self, read: WaitingRead, limits: &Limits) {
        match read {
            WaitingRead::Look(reply) => answer(
                reply,
                Ok(Summary {
                    title: self.transcript.title(),
                    created_at: self.life.created_at,
                    updated_at: self.life.updated_at,
                    expires_at: self.life.end(&limits.lifetimes()),
                    viewers: self.viewers(),
                    room: self.viewers() < limits.max_viewers,
                    seq: self.transcript.seq(),
                }),
            ),
            WaitingRead::Read(read, reply) => {
                let after = self.position(read.after, read.epoch.as_deref());
                let frame = self.frame(after, read.max_bytes);
                answer(reply, Ok(Page { epoch: self.epoch.to_string(), after, frame }));
            }
            WaitingRead::ReadAll(reply) => {
                let items = self.transcript.in_reading_order();
                let items = items.into_iter().map(|(key, content)| (key.clone(), content.clone())).collect();
                answer(
                    reply,
                    Ok(Snapshot {
                        epoch: self.epoch.to_string(),
                        seq: self.transcript.seq(),
                        title: self.transcript.title(),
                        items,
                    }),
                );
            }
            WaitingRead::Pull(pull, reply) => {
                let after = self.position(pull.after, pull.epoch.as_deref());
                let frame = self.frame(after, FRAME_BYTES);
                answer(reply, Ok(frame));
            }
        }
    }

    pub(super) fn is_writing(&self) -> bool {
        self.deleting || !self.writes.is_empty()
    }

    /// A position means something in its own epoch, and only when it is not ahead of the share.
    pub(super) fn position(&self, after: u64, epoch: Option<&str>) -> u64 {
        if epoch == Some(&*self.epoch) && after <= self.transcript.seq() { after } else { 0 }
    }

    /// What is newer than a position, or the first stretch of it.
    pub(super) fn frame(&self, after: u64, max_bytes: usize) -> Frame {
        Frame::since(&self.transcript, &self.epoch, after, max_bytes)
    }

    /// What one write brought, which began at the position `before`. `older` holds the items as they were then.
    pub(super) fn live_frame(&self, before: u64, older: &HashMap<Key, Content>) -> Frame {
        Frame::live(&self.transcript, &self.epoch, before, older)
    }

    pub(super) fn viewers(&self) -> usize {
        self.crowds.values().map(|crowd| crowd.viewers).sum()
    }

    pub(super) fn wake_all(&mut self) {
        // A full mailbox says it already; a closed one is of a crowd that has gone with its thread.
        self.crowds
            .retain(|_, crowd| !matches!(crowd.notices.try_send(Notice::Wake), Err(SendError::Closed(_))));
    }

    pub(super) fn dismiss(&mut self, goodbye: &Goodbye) {
        for (_, crowd) in self.crowds.drain() {
            crowd.notices.do_send(Notice::Goodbye(goodbye.clone()));
        }
    }

    pub(super) fn refuse(&mut self, error: &Error) {
        let under_way = self.writes.drain(..).flat_map(|write| write.waiters);
        for (_, reply) in under_way {
            answer(reply, Err(error.clone()));
        }
        for (_, reply) in self.waiting_syncs.drain(..) {
            answer(reply, Err(error.clone()));
        }
        for read in self.waiting_reads.drain(..) {
            match read {
                WaitingRead::Look(reply) => answer(reply, Err(error.clone())),
                WaitingRead::Read(_, reply) => answer(reply, Err(error.clone())),
                WaitingRead::ReadAll(reply) => answer(reply, Err(error.clone())),
                WaitingRead::Pull(_, reply) => answer(reply, Err(error.clone())),
            }
        }
    }
}

pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    // Who asked may have gone: what was stored stays stored.
    let _ = reply.send(result);
}
