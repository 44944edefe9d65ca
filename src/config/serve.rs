//! The server's options, and the limits that can change while it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Args;

use super::bus::{BusChoice, BusKind, UnknownBus};
use super::store::{STORE_ENV, StoreChoice, StoreKind};
use super::url::base_url;
use super::values::{FrameAncestors, Lifetime, Proxies, Rate, duration, size};
use super::{InClear, Log, NoHome, default_dir};
use crate::daemon::Address;
use crate::model;

/// The share server.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where to listen: `ADDRESS:PORT`, `:PORT`, `localhost:PORT` or `unix:PATH`; port 0 takes a free one
    #[arg(long, env = "BRUTUS_SHARE_SERVE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: Address,

    /// Directory of the database [default: brutus-share in the user's state directory]
    #[arg(long, env = "BRUTUS_SHARE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Where shares are kept: `sqlite`, in the data directory, or the URL of a database, which many servers may share:
    /// `postgres://USER:PASSWORD@HOST/DATABASE`, or `libsql+http://HOST:PORT` and `libsql+https://HOST?authToken=TOKEN`
    // A password may stand in it: help does not show what is set.
    #[arg(
        long,
        env = STORE_ENV,
        value_name = "STORE",
        default_value = "sqlite",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub store: StoreChoice,

    /// How servers that share a store tell each other what has changed: `local`, not at all, `postgres`, the store's
    /// own database, or the URL of a server: `redis://`, `rediss://`, `nats://`, `tls://` (NATS), `postgres://`
    /// [default: postgres when the store is that, else local]
    #[arg(long, env = "BRUTUS_SHARE_BUS", value_name = "BUS", hide_env_values = true)]
    bus: Option<BusChoice>,

    /// What links start with, as people reach the server [default: the address listened on]
    #[arg(long, env = "BRUTUS_SHARE_PUBLIC_URL", value_name = "URL", value_parser = base_url)]
    pub public_url: Option<String>,

    /// What may go in clear.
    #[command(flatten)]
    pub in_clear: InClear,

    /// Tell the local network that this server is here, so that `brutus-share servers` and `pair` find it
    #[arg(
        long,
        env = "BRUTUS_SHARE_ANNOUNCE",
        value_name = "BOOL",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pub announce: bool,

    /// Whose web pages may show a session in a frame: `none`, `self`, or origins like `https://wiki.example`, with
    /// commas
    #[arg(long, env = "BRUTUS_SHARE_FRAME_ANCESTORS", value_name = "ORIGINS", default_value = "none")]
    pub frame_ancestors: FrameAncestors,

    /// What is done with secrets in what is synced: `shapes` takes out those of a known shape, `all` also what stands
    /// beside names like PASSWORD, `report` counts what `all` would take out, `off` does not look
    #[arg(long, env = "BRUTUS_SHARE_SERVE_REDACT", value_name = "MODE", default_value = "shapes")]
    pub redact: ServeRedact,

    /// The limits.
    #[command(flatten)]
    pub limits: Limits,

    /// The timings.
    #[command(flatten)]
    pub timings: Timings,

    /// TLS.
    #[command(flatten)]
    pub tls: Tls,

    /// Address on which `/metrics` is served, for Prometheus [default: not served]
    #[arg(long, env = "BRUTUS_SHARE_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<Address>,

    /// Threads that serve HTTP [default: one a core]
    #[arg(long, env = "BRUTUS_SHARE_WORKERS", value_name = "N")]
    pub workers: Option<usize>,

    /// The log.
    #[command(flatten)]
    pub log: Log,

    /// TOML file with any of these options, by their names with underscores (`max_body = "64MiB"`)
    #[arg(long, env = "BRUTUS_SHARE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Serve {
    /// The directory of the database.
    ///
    /// # Errors
    /// When none is given and the user has no home directory.
    pub fn data_dir(&self) -> Result<PathBuf, NoHome> {
        self.data_dir.clone().map_or_else(|| default_dir("--data-dir"), Ok)
    }

    /// How servers that share this store tell each other what has changed.
    ///
    /// # Errors
    /// When it is no bus that there is.
    pub fn bus<'a>(&'a self, store: StoreKind<'a>) -> Result<BusKind<'a>, UnknownBus> {
        BusChoice::kind(self.bus.as_ref(), store)
    }
}

/// What the server does with secrets in what is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ServeRedact {
    /// Takes out those of a known shape.
    Shapes,
    /// Takes out those and what stands beside names.
    All,
    /// Counts what `all` would take out.
    Report,
    /// Does not look.
    Off,
}

impl ServeRedact {
    /// Its name, as an option has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shapes => "shapes",
            Self::All => "all",
            Self::Report => "report",
            Self::Off => "off",
        }
    }
}

/// How much of anything the server takes.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// Shares that one client address may create: N/s, N/m or N/h
    #[arg(long, env = "BRUTUS_SHARE_CREATE_LIMIT", value_name = "RATE", default_value = "120/m")]
    pub create_limit: Rate,

    /// Largest body of a request
    #[arg(long, env = "BRUTUS_SHARE_MAX_BODY", value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub max_body: u64,

    /// Largest item of a sync
    #[arg(long, env = "BRUTUS_SHARE_MAX_ITEM", value_name = "SIZE", default_value = "16MiB", value_parser = size)]
    pub max_item: u64,

    /// Largest share, all its items together
    #[arg(long, env = "BRUTUS_SHARE_MAX_SHARE", value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub max_share: u64,

    /// Most living items of one share; what is there already can always be changed and removed
    #[arg(long, env = "BRUTUS_SHARE_MAX_ITEMS", value_name = "N", default_value_t = 200_000)]
    pub max_items: u64,

    /// Memory for bodies, answers and loads of shares under way, and for open shares that nobody watches
    #[arg(long, env = "BRUTUS_SHARE_MAX_MEMORY", value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub max_memory: u64,

    /// Most viewers of one share
    #[arg(long, env = "BRUTUS_SHARE_MAX_VIEWERS", value_name = "N", default_value_t = 10_000)]
    pub max_viewers: usize,

    /// Most viewers that one client address may have, of all shares together [default: no limit]
    #[arg(long, env = "BRUTUS_SHARE_MAX_VIEWERS_PER_ADDRESS", value_name = "N")]
    pub max_viewers_per_address: Option<usize>,

    /// Most connections that one client address may have, but for those of trusted proxies [default: half of all]
    #[arg(long, env = "BRUTUS_SHARE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub max_connections_per_address: Option<usize>,

    /// Most connections of the whole server; further ones wait to be accepted
    #[arg(long, env = "BRUTUS_SHARE_MAX_CONNECTIONS", value_name = "N", default_value_t = 50_000)]
    pub max_connections: usize,

    /// Most that all shares together may take [default: no limit]
    #[arg(long, env = "BRUTUS_SHARE_MAX_TOTAL", value_name = "SIZE", value_parser = size)]
    pub max_total: Option<u64>,

    /// Room on the disk that is left free: below it nothing more is taken, and all can still be read
    #[arg(long, env = "BRUTUS_SHARE_MIN_FREE_DISK", value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub min_free_disk: u64,

    /// Whether only who has a token may create shares; see `brutus-share token`
    #[arg(
        long,
        env = "BRUTUS_SHARE_CREATE_TOKENS",
        value_name = "BOOL",
        default_value_t = false,
        action = clap::ArgAction::Set,
    )]
    pub create_tokens: bool,

    /// Proxies that say whom they ask for (`Forwarded`, `X-Forwarded-For`): addresses and networks with commas between
    /// them
    #[arg(long, env = "BRUTUS_SHARE_TRUSTED_PROXIES", value_name = "ADDRS", default_value = "")]
    pub trusted_proxies: Proxies,

    /// When shares end.
    #[command(flatten)]
    lifetimes: Lifetimes,
}

impl Limits {
    /// When shares end by themselves.
    pub fn lifetimes(&self) -> model::Lifetimes {
        (&self.lifetimes).into()
    }
}

/// When shares end by themselves.
#[derive(Debug, Clone, Copy, Args)]
pub struct Lifetimes {
    /// How long a share lives whose creator asked for nothing else, or `never` for no end
    #[arg(long, env = "BRUTUS_SHARE_DEFAULT_LIFETIME", value_name = "TIME", default_value = "never")]
    pub default_lifetime: Lifetime,

    /// The longest that a share may live, or `never` for no end
    #[arg(long, env = "BRUTUS_SHARE_MAX_LIFETIME", value_name = "TIME", default_value = "never")]
    pub max_lifetime: Lifetime,

    /// How long after its last sync a share lives, or `never` for no end
    #[arg(long, env = "BRUTUS_SHARE_IDLE_LIFETIME", value_name = "TIME", default_value = "never")]
    pub idle_lifetime: Lifetime,

    /// How long a share lives that never gets a sync, or `never` for no end
    #[arg(long, env = "BRUTUS_SHARE_UNSYNCED_LIFETIME", value_name = "TIME", default_value = "1h")]
    pub unsynced_lifetime: Lifetime,
}

impl From<&Lifetimes> for model::Lifetimes {
    fn from(lifetimes: &Lifetimes) -> Self {
        Self {
            default: lifetimes.default_lifetime.0,
            max: lifetimes.max_lifetime.0,
            idle: lifetimes.idle_lifetime.0,
            unsynced: lifetimes.unsynced_lifetime.0,
        }
    }
}

/// Limits that can be changed while they are in use. Clones are of the same.
#[derive(Clone)]
pub struct LiveLimits(Arc<ArcSwap<Limits>>);

impl Limits {
    /// The same, with no larger items than a store takes.
    #[must_use]
    pub fn within(mut self, max_item: Option<u64>) -> Self {
        self.max_item = self.max_item.min(max_item.unwrap_or(u64::MAX));
        self
    }
}

impl LiveLimits {
    /// Limits to begin with.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(limits)))
    }

    /// The limits now.
    pub fn get(&self) -> arc_swap::Guard<Arc<Limits>> {
        self.0.load()
    }

    /// Puts others in their place.
    pub fn set(&self, limits: Limits) {
        self.0.store(Arc::new(limits));
    }
}

/// TLS, when there is no proxy that does it.
#[derive(Debug, Clone, Args)]
pub struct Tls {
    /// PEM file with the server's certificate and those between it and a root: serves HTTPS
    #[arg(long, env = "BRUTUS_SHARE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's key
    #[arg(long, env = "BRUTUS_SHARE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

/// When things happen by themselves.
#[derive(Debug, Clone, Copy, Args)]
pub struct Timings {
    /// How long a share that nobody uses stays in memory
    #[arg(long, env = "BRUTUS_SHARE_SHARE_IDLE", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub share_idle: Duration,

    /// How often a silent viewer is pinged; without an answer its connection ends after two and a half of these
    #[arg(
        long,
        env = "BRUTUS_SHARE_PING_INTERVAL",
        value_name = "TIME",
        default_value = "30s",
        value_parser = duration,
    )]
    pub ping_interval: Duration,

    /// How long a peer may leave bytes unacknowledged or unread before the kernel ends its connection
    #[arg(
        long,
        env = "BRUTUS_SHARE_DEAD_PEER_TIMEOUT",
        value_name = "TIME",
        default_value = "60s",
        value_parser = duration,
    )]
    pub dead_peer_timeout: Duration,

    /// How long a client may take to send a request's head
    #[arg(long, env = "BRUTUS_SHARE_HEAD_TIMEOUT", value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub head_timeout: Duration,

    /// How long a client may take between two pieces of a body or an answer; all of it may take four of these and a
    /// second for each 16 KiB, a body forty of these at most
    #[arg(long, env = "BRUTUS_SHARE_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,

    /// How often shares are looked for whose time is over
    #[arg(
        long,
        env = "BRUTUS_SHARE_SWEEP_INTERVAL",
        value_name = "TIME",
        default_value = "1m",
        value_parser = duration,
    )]
    pub sweep_interval: Duration,

    /// How often what other servers wrote is looked for, where they share the store. With `sqlite` for tests alone:
    /// other processes serve the same data directory.
    #[arg(long, hide = true, value_name = "TIME", value_parser = duration)]
    pub poll_interval: Option<Duration>,
}
