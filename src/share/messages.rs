//! The messages of the Hub, of a share, and of a viewer's session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::{Addr, Message, Recipient};
use bytes::Bytes;
use bytestring::ByteString;

use super::{Feed, Frame, Seat, Share, Snapshot};
use crate::error::Error;
use crate::model::{Activity, Change, Lock, Secret, SecretHash, ShareId};
use crate::store::{Amendment, Head, StoredHead};

// To the Hub.

/// Creates a share.
#[derive(Message)]
#[rtype(result = "Result<NewShare, Error>")]
pub struct Create {
    /// The session that it shows, as its client calls it.
    pub session_id: String,
    /// How long it shall live, when it was said.
    pub lifetime: Option<Duration>,
    /// The token by which it is created.
    pub token: Option<i64>,
    /// What its readers need besides the link.
    pub lock: Lock,
}

/// What a create gives out, once.
#[derive(Debug)]
pub struct NewShare {
    /// The share's id.
    pub id: ShareId,
    /// Its secret.
    pub secret: Secret,
    /// When it ends at the latest, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// Finds the actor of a share that there is, or starts it; it loads itself.
#[derive(Message)]
#[rtype(result = "Addr<Share>")]
pub struct Open(pub StoredHead);

/// Memory is short: shares that nobody watches are to be let go, the coldest first, until so many bytes are given back.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Reclaim(pub u64);

/// Answered when the Hub lives.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Alive;

/// A share's actor has stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Idle(pub ShareId, pub Addr<Share>);

/// The server is about to stop: viewers are sent away, to come back.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct Shutdown;

// To a share.

/// Stores a batch. Answered when it is durable.
#[derive(Message)]
#[rtype(result = "Result<Ack, Error>")]
pub struct Sync {
    /// The hash of what the client claims to be the secret.
    pub secret: SecretHash,
    /// What changes.
    pub changes: Vec<Change>,
}

/// The batch is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The share's sequence number after the batch.
    pub seq: u64,
}

/// Deletes the share. Answered when its content is gone from the disk, or when that takes long.
#[derive(Message)]
#[rtype(result = "Result<Deletion, Error>")]
pub struct Delete {
    /// The hash of what the client claims to be the secret.
    pub secret: SecretHash,
}

/// Changes what the share's readers need, or when it ends. Answered when it is durable and holds here: all who watch
/// are sent away when they need something else now.
#[derive(Message)]
#[rtype(result = "Result<(), Error>")]
pub struct Amend {
    /// The hash of what the client claims to be the secret.
    pub secret: SecretHash,
    /// What changes.
    pub amendment: Amendment,
}

/// How far a share is deleted. It has ended for everybody either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Its content is gone from the database's file and its log.
    Gone,
    /// Its content is still being erased.
    UnderWay,
}

/// Nothing is done with the share for now: it may leave memory.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LetGo;

/// The share was deleted by another than itself: by its operator beside this process, or because its time is over.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Removed;

/// The store had this head of the share, or not the share any more: another process may have written.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Heard(pub Option<Head>);

/// Other servers said something of the share: a hint, which may be wrong.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Hinted;

/// What is to be said about the share as a whole, for who was let in by this lock. All readings say by which: when the
/// share has another one they are refused with [`Error::Relocked`], so that whoever changes a lock knows that it holds.
#[derive(Message)]
#[rtype(result = "Result<Summary, Error>")]
pub struct Look(pub Arc<Lock>);

/// A share as a whole.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The session's title; `None` before its first sync.
    pub title: Option<String>,
    /// What the agent does; `None` when nothing says so.
    pub activity: Option<Activity>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
    /// When it ends unless something changes that, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// What its readers need besides the link.
    pub lock: Arc<Lock>,
    /// Viewers that are connected.
    pub viewers: usize,
    /// Whether there is room for one more viewer.
    pub room: bool,
    /// The sequence number of the last change.
    pub seq: u64,
}

/// One frame of what a reader does not have yet, out of what is durable.
#[derive(Message)]
#[rtype(result = "Result<Stretch, Error>")]
pub struct Read {
    /// By which the reader was let in.
    pub lock: Arc<Lock>,
    /// The reader's position.
    pub after: u64,
    /// The epoch of that position; `None` asks from the start.
    pub epoch: Option<ByteString>,
    /// How much the frame may carry, in bytes, when that is more than one item.
    pub max_bytes: usize,
    /// Bytes that the reader has taken of the server's memory: a larger frame is not made.
    pub room: u64,
    /// Whether items say at which place they first came.
    pub places: bool,
}

/// What there is to read from a position on.
#[derive(Debug, Clone)]
pub enum Stretch {
    /// A frame.
    Made(Page),
    /// A frame for which the reader has not taken enough memory: it takes so many bytes.
    Takes(u64),
}

/// A frame, with what identifies it.
#[derive(Debug, Clone)]
pub struct Page {
    /// The epoch that the frame is of.
    pub epoch: ByteString,
    /// The position from which it was made.
    pub after: u64,
    /// The frame.
    pub frame: Frame,
}

/// All items, out of what is durable, for who was let in by this lock.
#[derive(Message)]
#[rtype(result = "Result<Arc<Snapshot>, Error>")]
pub struct ReadAll(pub Arc<Lock>);

// Between a share, its crowds, and the sessions of viewers.

/// Names a crowd in the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CrowdId(pub(super) u64);

/// Names a viewer in the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewerId(pub(super) u64);

impl ViewerId {
    /// A name that no other viewer has.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// To a crowd: a viewer comes.
#[derive(Message)]
#[rtype(result = "Result<Joined, Error>")]
pub struct Enter {
    /// The share.
    pub share: Addr<Share>,
    /// The viewer's name.
    pub id: ViewerId,
    /// The lock by which it was let in.
    pub lock: Arc<Lock>,
    /// Told what happens. Woken without waiting: its mailbox should hold one message.
    pub viewer: Recipient<Notice>,
}

/// To a crowd: a viewer has gone, and is to be woken no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub ViewerId);

/// To a share: a crowd brings one more viewer.
#[derive(Message)]
#[rtype(result = "Result<Joined, Error>")]
pub struct Join {
    /// The crowd.
    pub crowd: CrowdId,
    /// The lock by which the viewer was let in.
    pub lock: Arc<Lock>,
    /// The crowd is told here what happens.
    pub notices: Recipient<Notice>,
}

/// What a viewer has who was let in.
#[derive(Debug)]
pub struct Joined {
    /// Where it finds what is new.
    pub feed: Feed,
    /// It is counted for as long as this lives.
    pub seat: Seat,
}

/// To a share: a viewer has left.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SeatFreed;

/// What happens to a share, to its crowds and on to their viewers.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub enum Notice {
    /// There is something new in the feed.
    Wake,
    /// The session has to end.
    Goodbye(Goodbye),
}

/// How a session has to end.
#[derive(Debug, Clone)]
pub struct Goodbye {
    /// A last frame.
    pub last_words: Option<Bytes>,
    /// The WebSocket close code.
    pub code: u16,
}
