//! The messages of the manager, and what it answers.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use actix::prelude::*;
use serde_json::value::RawValue;

use super::ClientError;
use super::conversations::{KnownSession, Told};
use super::event::Event;
use super::sealing::Sealing;
use crate::import::Item;
use crate::model::{Change, Key};
use crate::protocol::{Amended, Password};

/// Shares a session, with what it holds so far: what is given here, or else what is known of it. A session that is
/// shared already keeps its share, which is brought up to date.
#[derive(Message)]
#[rtype(result = "Result<Shared, ClientError>")]
pub struct Create {
    /// The session.
    pub session_id: String,
    /// Its items so far.
    pub backlog: Vec<Change>,
    /// Its messages so far.
    pub conversation: Option<Conversation>,
    /// Whether it may be shared although nothing is known of it: what is to come is shared.
    pub empty: bool,
    /// How long a new share shall live at most, in whole seconds; the server may make it shorter. `None` leaves it to
    /// the server.
    pub lifetime: Option<Duration>,
    /// What readers need besides the link: of a share that there is already too, from now on. It is kept nowhere here.
    pub password: Option<Password>,
    /// Whether what a new share shows is read where the session's agent keeps it, by later lives too.
    pub is_read: bool,
    /// How a new share is sealed, when it is to be.
    pub sealing: Option<Sealing>,
}

impl Create {
    /// Shares a session with what is known of it.
    pub fn of(session_id: String) -> Self {
        Self {
            session_id,
            backlog: Vec::new(),
            conversation: None,
            empty: false,
            lifetime: None,
            password: None,
            is_read: false,
            sealing: None,
        }
    }
}

/// What may be known of a share. `Debug` does not show its link.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shared {
    /// Its id.
    pub id: String,
    /// Where people look at it: of a sealed one with its key.
    pub url: String,
    /// When it ends at the latest, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Whether its items are encrypted before they are sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// What its owner should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<&'static str>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

/// Changes what readers of a share need, or when it ends. Answered when its server says that it holds.
#[derive(Message)]
#[rtype(result = "Result<(), ClientError>")]
pub struct Amend {
    /// The share's id.
    pub id: String,
    /// The server and the secret of a share that this client did not make; of its own it knows them.
    pub other: Option<(String, String)>,
    /// What readers need besides the link; `None` leaves it.
    pub password: Option<Amended<Password>>,
    /// How long it shall live from now on, in seconds; `None` leaves it.
    pub expires_in: Option<Amended<u64>>,
}

/// The link of a session's share by which everything can be done with it that its owner can.
#[derive(Message)]
#[rtype(result = "Result<String, ClientError>")]
pub struct OwnersLink {
    /// The session.
    pub session_id: String,
}

/// Takes a session's share away, from the server too. From the moment that this is stored nothing more of the session
/// is sent, and its server is asked until it has deleted the share, in later lives too.
#[derive(Message)]
#[rtype(result = "Result<Removed, ClientError>")]
pub struct Remove {
    /// The session.
    pub session_id: String,
}

/// How far a removal has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The server says that it has nothing of the share any more.
    Gone,
    /// The server has not said so yet, and is asked again.
    UnderWay,
}

/// Takes events. Answered, with the number that belongs to shared sessions, when these are on the disk.
#[derive(Message)]
#[rtype(result = "Result<usize, ClientError>")]
pub struct Report(pub Vec<Event>);

/// Takes a session's messages. Answered when those of a shared session are on the disk; of one that is not shared the
/// last list is kept in memory.
#[derive(Message)]
#[rtype(result = "Result<Taken, ClientError>")]
pub struct Converse {
    /// The session.
    pub session_id: String,
    /// What is said of it.
    pub conversation: Conversation,
    /// Whether these are all messages that there are: what there was beside them goes.
    pub whole: bool,
}

/// The same with messages that go on behind the first so many of those that were given before. When these are not all
/// kept, it is refused: the whole list is needed.
#[derive(Message)]
#[rtype(result = "Result<Taken, ClientError>")]
pub struct Continue {
    /// How many stand in front.
    pub from: usize,
    /// What goes on.
    pub converse: Converse,
}

/// Takes what was read of a shared session where its agent keeps it. Answered when that is on the disk, with whether
/// the session is shared still.
#[derive(Message, Clone)]
#[rtype(result = "Result<bool, ClientError>")]
pub struct Read {
    /// The session.
    pub session_id: String,
    /// What is new or different. What the share has already is not sent again.
    pub items: Vec<Item>,
    /// What is there no more.
    pub removed: Vec<Key>,
    /// When all there is was read: which items that were. What the share has beside them goes.
    pub kept: Option<HashSet<Key>>,
    /// What else is known of the session.
    pub told: Told,
}

/// Messages as the agent has them, and what it says of their session.
#[derive(Debug, Default)]
pub struct Conversation {
    /// The messages, in their order; `None` when nothing is said of them.
    pub messages: Option<Vec<Box<RawValue>>>,
    /// What else is said.
    pub told: Told,
}

/// What became of messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Those that belong to a shared session, and are on the disk.
    pub accepted: usize,
    /// Those that have nothing to show.
    pub ignored: usize,
    /// Those that cannot be read, by their places, and why.
    pub bad: Vec<(usize, String)>,
}

/// The sessions that can be shared.
#[derive(Message)]
#[rtype(result = "Vec<KnownSession>")]
pub struct Known;

/// Brings what was accepted for a session to the server now.
#[derive(Message)]
#[rtype(result = "Result<(), ClientError>")]
pub struct Flush {
    /// The session.
    pub session_id: String,
}

/// All shares.
#[derive(Message)]
#[rtype(result = "Vec<Listed>")]
pub struct List;

/// A share and how its syncing goes. Never its secret.
#[derive(Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// The share's id.
    pub id: String,
    /// Where people look at it.
    pub url: String,
    /// The server that made it, by scheme, host and port.
    pub server: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When it ends at the latest, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Items that wait to be sent.
    pub pending: u64,
    /// Bytes that wait to be sent.
    pub pending_bytes: u64,
    /// When a batch last reached the server, in milliseconds since 1970.
    pub last_sync: Option<i64>,
    /// `active`; `retrying`: the server does not take batches now; `paused`: sharing is switched off; `ended`: the
    /// server does not know the share any more; `removing`: it was taken back, or its session was deleted or shared
    /// anew, and the server has not confirmed yet that it is deleted.
    pub state: &'static str,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// Items that the server will not take, and that were given up.
    pub set_aside: u64,
    /// Whether what it shows is read where the session's agent keeps it.
    #[serde(skip)]
    pub is_read: bool,
    /// Whether its items are encrypted before they are sent.
    pub sealed: bool,
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listed").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Sends what waits, as far as the time allows, and closes the spool.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// How long this may take.
    pub within: Duration,
}
