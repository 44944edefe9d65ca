//! The sharing client: takes an agent's events, keeps the secrets, batches and pushes. The relay is a local HTTP door
//! to it; a Rust program can embed it without one (`examples/embed.rs`).
//!
//! ```text
//! Bus -> Manager -> SyncQueue -> Transport -> server
//!           |           |
//! ```
//!
//! What was accepted is in the spool, on the disk, before anybody is told so. Events of sessions that are not shared
//! are dropped where they come in.

mod answer;
mod awake;
mod bus;
mod conversations;
mod event;
mod hidden;
mod link;
mod manager;
mod messages;
mod pairing;
mod passage;
mod proof;
mod proxy;
mod queue;
mod reading;
pub mod redaction;
mod report;
mod schedule;
mod schema;
mod sealing;
mod secrets;
pub mod spool;
mod streams;
mod transport;
mod tunnel;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::protocol::Password;
pub use bus::{Bus, Publish, Subscribe};
pub use conversations::{Activity, Agent, KnownSession, Status, Told};
pub use event::{Event, Happening, backlog};
pub use hidden::{RedactAgain, RedactionsOf};
pub use link::{Link, NotALink};
pub use manager::Manager;
pub use messages::{
    Amend, Continue, Conversation, Converse, Create, Flush, Known, List, OwnersLink, Read, Remove, Removed,
    Report, Shared, Stop, Taken,
};
pub use pairing::Pairing;
pub use passage::{Line, NotPassed, Passage, Passed};
pub use proof::{Prover, Unproved};
pub use proxy::{Proxies, UnusableProxy};
pub use queue::Progress;
pub use reading::{About, Pass, ReadError, Reader, as_data};
pub use redaction::{Inspect, Inspection, Redact, Redactions, TellSecrets};
pub use sealing::Sealing;
pub use secrets::{SecretsError, check_private, write_private};
pub(crate) use streams::Streams;

use crate::redact::RuleError;
use crate::sqlite::{StartupError, WriteError};

/// How a client works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether sessions may be shared at all.
    pub enabled: bool,
    /// The share server on which shares are made: what `/api/share` is appended to; `None` stands for the one that is
    /// paired, or else for this machine's own. A share stays with the server that made it.
    pub api_url: Option<String>,
    /// Whether secrets and sessions may go over the network in clear, to an `http` URL of another machine.
    pub insecure_http: bool,
    /// What lets this client create shares on a server that asks for it.
    pub create_token: Option<CreateToken>,
    /// The proxies through which share servers are reached.
    pub proxies: Proxies,
    /// A PEM file with certificate authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The directory of the secrets and the spool.
    pub local_dir: PathBuf,
    /// How long updates of a session are gathered before they are sent.
    pub interval: Duration,
    /// Bytes of items in one sync. Has to be below the server's limit for a body.
    pub max_batch: usize,
    /// Bytes that may wait in the spool.
    pub max_spool: u64,
    /// The longest wait between two tries of a batch.
    pub max_backoff: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// How secrets are kept here.
    pub redact: Redact,
    /// Whether every new share is sealed.
    pub always_sealed: bool,
}

/// A token that a share server's operator gave out.
#[derive(Clone)]
pub struct CreateToken(String);

impl<T: Into<String>> From<T> for CreateToken {
    fn from(token: T) -> Self {
        Self(token.into())
    }
}

impl fmt::Debug for CreateToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreateToken(…)")
    }
}

impl Config {
    /// The defaults, for a server and a directory, with the proxies that the environment names.
    pub fn new(api_url: impl Into<String>, local_dir: impl Into<PathBuf>) -> Self {
        Self {
            enabled: true,
            api_url: Some(api_url.into()),
            insecure_http: false,
            create_token: None,
            proxies: Proxies::from_env(),
            ca_file: None,
            local_dir: local_dir.into(),
            interval: Duration::from_secs(1),
            max_batch: 4 << 20,
            max_spool: 1 << 30,
            max_backoff: Duration::from_secs(60),
            timeout: Duration::from_secs(60),
            redact: Redact::default(),
            always_sealed: false,
        }
    }
}

/// Why a client does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] StartupError),
    /// The secrets cannot be read, or others can read them.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// A rule of redaction cannot be used: nothing may be sent then.
    #[error(transparent)]
    Redact(#[from] RuleError),
    /// Certificates of servers cannot be checked as the configuration says.
    #[error(transparent)]
    Trust(#[from] crate::trust::TrustError),
    /// The proxy on the way to the share server cannot be used.
    #[error(transparent)]
    Proxy(#[from] UnusableProxy),
}

/// Why a client did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Sharing is switched off.
    #[error("sharing is switched off: set `enabled` to true in the relay's configuration")]
    Disabled,
    /// The session is not shared.
    #[error("this session is not shared")]
    NotShared,
    /// Nothing is known of the session, or its conversation is too large to be kept until it is shared.
    #[error("{}", unknown_session(known, *is_too_large))]
    UnknownSession {
        /// The sessions that are known, the one that was talked of last first.
        known: Vec<KnownSession>,
        /// Whether it is known, but for its messages.
        is_too_large: bool,
    },
    /// The input is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The server cannot be reached, or does not answer as a share server does.
    #[error("the share server cannot be reached: {0}")]
    Unreachable(String),
    /// The server refuses for now.
    #[error("the share server is busy: {0}")]
    ServerBusy(String),
    /// The share has ended on the server.
    #[error("the share has ended on the server: share the session again")]
    Ended,
    /// Too much waits to be sent.
    #[error("too much waits to be sent to the server (max_spool): nothing of this was accepted")]
    SpoolFull,
    /// The disk is full.
    #[error("the disk is full: nothing of this was accepted")]
    DiskFull,
    /// The local state cannot be written.
    #[error("the local state cannot be written now: nothing of this was accepted")]
    Unavailable,
}

/// What can be shared in the place of a session that cannot.
fn unknown_session(known: &[KnownSession], is_too_large: bool) -> String {
    let why = if is_too_large {
        "the conversation of this session is too large to be kept here until it is shared: share it with its \
         `messages`"
    } else {
        "this session is not known: share it with its `messages` or `data`, or with `empty` to share what is to come"
    };
    if known.is_empty() {
        return format!("{why}. No session is known here");
    }
    let named = |session: &KnownSession| match &session.title {
        Some(title) => format!("{} ({title})", session.session_id),
        None => session.session_id.clone(),
    };
    let named: Vec<_> = known.iter().take(NAMED).map(named).collect();
    format!("{why}. Known sessions: {}", named.join(", "))
}

/// Sessions that a refusal names.
const NAMED: usize = 10;

impl From<WriteError> for ClientError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full => Self::DiskFull,
            WriteError::Busy | WriteError::NotFound | WriteError::Unavailable => Self::Unavailable,
        }
    }
}
