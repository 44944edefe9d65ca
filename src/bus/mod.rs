//! Hints between servers that share a store: which shares have changed, which are gone, how many watch them where.
//!
//! A hint saves time and decides nothing. It may be lost, come twice or late: whoever hears one looks into the store.
//! Saying one never blocks and never fails. Shares are named by their numbers: who knows an id can read the share, and
//! others may read the bus. Knows nothing of actors, viewers or HTTP.
//!
//! A server knows that it is connected when it hears itself, which tells a connection that is dead at either end, or
//! that a pooler shares among others, from one that works. When it comes it says so: what it said before and what it
//! would have heard is lost, and all servers look for themselves.

mod message;
mod nats;
mod outbox;
mod postgres;
mod redis;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::BoxStream;
use tokio::time::{sleep, timeout};

use self::nats::Nats;
use self::outbox::Outbox;
use self::postgres::Postgres;
use self::redis::Redis;
use crate::config::{self, BusKind};
use crate::metrics::METRICS;
use crate::store::PostgresError;
use crate::trust::TrustError;

/// How long it may take to connect, to hear oneself then, and to say something.
const WITHIN: Duration = Duration::from_secs(5);

/// How often a server that has nothing to say says that.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a server may hear nothing, not even itself.
const SILENCE: Duration = Duration::from_secs(15);

/// How long it waits after the first failure in a row, and after many.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A server, for as long as it runs: a number that it drew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node(pub u64);

/// What one server says to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// The store has the share at this position.
    Changed {
        /// The share's number.
        share: i64,
        /// The position.
        seq: u64,
    },
    /// The share was deleted.
    Gone {
        /// The share's number.
        share: i64,
    },
    /// So many watch the share at the server that says it.
    Viewers {
        /// The share's number.
        share: i64,
        /// How many.
        count: u64,
    },
    /// Anything may have been missed.
    Missed,
}

/// Why a bus cannot be used. Nothing of it shows a password.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Its URL cannot be read.
    #[error("the bus's URL cannot be used: {0}")]
    Url(String),
    /// It is PostgreSQL, and that cannot be used.
    #[error("bus: {0}")]
    Postgres(#[from] PostgresError),
    /// Whom to trust is not known.
    #[error("bus: {0}")]
    Trust(#[from] TrustError),
    /// The system gives no randomness or no thread.
    #[error("bus: {0}")]
    System(#[from] std::io::Error),
}

/// A handle on the bus. Clones are of the same.
#[derive(Clone)]
pub struct Bus(Arc<Shared>);

struct Shared {
    node: Node,
    /// `None` when there is nobody to talk to.
    carrier: Option<Box<dyn Carrier>>,
    outbox: Outbox,
}

/// What carries the hints.
trait Carrier: Send + Sync {
    /// Where it is, without what is secret.
    fn place(&self) -> &str;

    /// Connects to a channel.
    fn connect<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Link, Broken>>;
}

/// A connection to it, for both ways.
struct Link {
    /// What is said by anybody, this server too; ends when the connection does.
    heard: BoxStream<'static, Bytes>,
    /// Says something: done when it has gone out.
    say: Say,
}

type Say = Box<dyn Fn(String) -> BoxFuture<'static, Result<(), Broken>> + Send + Sync>;

/// Why there is no connection, or none any more.
type Broken = Box<dyn Error + Send + Sync>;

impl Bus {
    /// A bus, which nobody listens to yet.
    ///
    /// # Errors
    /// When what its URL says cannot be used. Whether it can be reached is not looked at.
    pub fn open(kind: BusKind<'_>) -> Result<Self, BusError> {
        let carrier: Option<Box<dyn Carrier>> = match kind {
            BusKind::Local => None,
            BusKind::Postgres(url) => Some(Box::new(Postgres::new(url)?)),
            BusKind::Redis(url) => Some(Box::new(Redis::new(url)?)),
            BusKind::Nats(url) => Some(Box::new(Nats::new(url)?)),
        };
        if let BusKind::Redis(url) | BusKind::Nats(url) = kind
            && url.split(',').any(is_in_clear)
        {
            tracing::warn!("the bus's password goes over the network in clear: use rediss:// or tls://");
        }
        let node = Node(getrandom::u64().map_err(std::io::Error::other)?);
        Ok(Self(Arc::new(Shared { node, carrier, outbox: Outbox::default() })))
    }

    /// Whether what is said leaves this process.
    pub fn has_others(&self) -> bool {
        self.0.carrier.is_some()
    }

    /// Says that the store has a share at a position.
    pub fn publish(&self, share: i64, seq: u64) {
        self.0.outbox.add(Hint::Changed { share, seq });
    }

    /// Says that a share was deleted.
    pub fn gone(&self, share: i64) {
        self.0.outbox.add(Hint::Gone { share });
    }

    /// Says how many watch a share here.
    pub fn count(&self, share: i64, viewers: usize) {
        self.0.outbox.add(Hint::Viewers { share, count: viewers.try_into().unwrap_or(u64::MAX) });
    }

    /// Hears what other servers say on a channel, for as long as the process lives, and tells it: in a thread of the
    /// bus's own, which should not be held up. `Missed` comes whenever the bus is there again.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn listen(
        &self,
        channel: String,
        hear: impl Fn(Node, Hint) + Send + Sync + 'static,
    ) -> std::io::Result<()> {
        if !self.has_others() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bus = self.0.clone();
        let thread = std::thread::Builder::new().name("bus".into());
        thread.spawn(move || runtime.block_on(run(&bus, &channel, &hear)))?;
        Ok(())
    }
}

/// Whether what is sent to a URL goes over the network in clear.
fn is_in_clear(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
    ["redis", "nats"].contains(&scheme) && config::is_in_clear(&format!("http://{rest}"))
}

/// Connects again and again.
async fn run(bus: &Shared, channel: &str, hear: &impl Fn(Node, Hint)) {
    let Some(carrier) = bus.carrier.as_deref() else { return };
    let (mut pause, mut is_told) = (FIRST_PAUSE, false);
    loop {
        let broken = match connect(bus, carrier, channel, hear).await {
            Ok(link) => {
                tracing::info!(bus = carrier.place(), "other servers are heard");
                (pause, is_told) = (FIRST_PAUSE, false);
                METRICS.bus_connected.set(1);
                // What was stored since the server began, or was here last, was said to nobody, and the other way
                // round.
                bus.outbox.open();
                bus.outbox.add(Hint::Missed);
                METRICS.bus_missed.inc();
                hear(bus.node, Hint::Missed);
                let broken = talk(bus, link, hear).await;
                bus.outbox.close();
                METRICS.bus_connected.set(0);
                broken
            }
            Err(broken) => broken,
        };
        // Once for as long as it is away.
        if !std::mem::replace(&mut is_told, true) {
            let bus = carrier.place();
            tracing::warn!(bus, %broken, "other servers are not heard: what they store is seen some seconds late");
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Connects, and waits until this server hears itself.
async fn connect(
    bus: &Shared,
    carrier: &dyn Carrier,
    channel: &str,
    hear: &impl Fn(Node, Hint),
) -> Result<Link, Broken> {
    let mut link = timeout(WITHIN, carrier.connect(channel)).await.map_err(|_| "it does not answer")??;
    let hears_itself = async {
        for message in message::write(bus.node, &[]) {
            (link.say)(message).await?;
        }
        while let Some(message) = link.heard.next().await {
            if take(bus, &message, hear) {
                return Ok::<_, Broken>(());
            }
        }
        Err("it ends the connection".into())
    };
    timeout(WITHIN, hears_itself).await.map_err(|_| "it does not tell what it is told")??;
    Ok(link)
}

/// Says what there is to say and hears what is said, until the connection ends.
async fn talk(bus: &Shared, mut link: Link, hear: &impl Fn(Node, Hint)) -> Broken {
    let says = async {
        loop {
            let hints = timeout(HEARTBEAT, bus.outbox.take()).await.unwrap_or_default();
            METRICS.bus_hints_sent.inc_by(hints.len() as u64);
            for message in message::write(bus.node, &hints) {
                match timeout(WITHIN, (link.say)(message)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(broken)) => return broken,
                    Err(_) => return "it takes nothing".into(),
                }
            }
        }
    };
    let hears = async {
        loop {
            match timeout(SILENCE, link.heard.next()).await {
                Ok(Some(message)) => take(bus, &message, hear),
                Ok(None) => return "it ended the connection".into(),
                Err(_) => return "it is silent".into(),
            };
        }
    };
    match select(Box::pin(says), Box::pin(hears)).await {
        Either::Left((broken, _)) | Either::Right((broken, _)) => broken,
    }
}

/// Passes on what another server says; true when it was this one.
fn take(bus: &Shared, message: &[u8], hear: &impl Fn(Node, Hint)) -> bool {
    match message::read(message) {
        Ok((node, _)) if node == bus.node => return true,
        Ok((node, hints)) => {
            METRICS.bus_hints_heard.inc_by(hints.len() as u64);
            for hint in hints {
                hear(node, hint);
            }
        }
        Err(message::Junk) => {
            METRICS.bus_junk.inc();
        }
    }
    false
}
