//! Configuration: every number once, with its flag, its environment name, its default and its validation.
//!
//! Flags stand over the environment, the environment over a file, the file over the defaults. `cli` layers them; here
//! stands what there is.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytesize::ByteSize;
use clap::Args;
use etcetera::BaseStrategy;
use ipnet::IpNet;

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

    /// What links start with, as people reach the server [default: the address listened on]
    #[arg(long, env = "BRUTUS_SHARE_PUBLIC_URL", value_name = "URL", value_parser = base_url)]
    pub public_url: Option<String>,

    /// Accept an `http://` URL to another machine, over which secrets and sessions go in clear
    #[arg(
        long,
        env = "BRUTUS_SHARE_INSECURE_HTTP",
        value_name = "BOOL",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pub insecure_http: bool,

    /// Whose web pages may show a session in a frame: `none`, `self`, or origins like `https://wiki.example`, with
    /// commas
    #[arg(long, env = "BRUTUS_SHARE_FRAME_ANCESTORS", value_name = "ORIGINS", default_value = "none")]
    pub frame_ancestors: FrameAncestors,

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

/// A time, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub Option<Duration>);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        duration(text).map(|time| Self(Some(time))).map_err(|error| format!("{error}, or `never`"))
    }
}

/// Limits that can be changed while they are in use. Clones are of the same.
#[derive(Clone)]
pub struct LiveLimits(Arc<ArcSwap<Limits>>);

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

/// Addresses and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

impl FromStr for Proxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse().or_else(|_| address()).map_err(|_| {
                "expected addresses or networks with commas between them, like 127.0.0.1,10.0.0.0/8"
                    .to_owned()
            })
        };
        text.split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
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
}

/// What is logged.
#[derive(Debug, Clone, Args)]
pub struct Log {
    /// What to log, on stderr: a level (error, warn, info, debug, trace) or tracing's filter syntax
    #[arg(long, env = "BRUTUS_SHARE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// How log lines look
    #[arg(long, env = "BRUTUS_SHARE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The relay, beside the coding agent.
#[derive(Debug, Clone, Args)]
pub struct Relay {
    /// Where to listen, on this machine alone: `ADDRESS:PORT`, `localhost:PORT` or `unix:PATH`; port 0 takes a free one
    #[arg(long, env = "BRUTUS_SHARE_RELAY_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8091",
          value_parser = relay_address)]
    pub listen: Address,

    /// The share server
    #[arg(
        long,
        env = "BRUTUS_SHARE_API_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8090",
        value_parser = base_url,
    )]
    pub api_url: String,

    /// Accept an `http://` URL to another machine, over which secrets and sessions go in clear
    #[arg(
        long,
        env = "BRUTUS_SHARE_INSECURE_HTTP",
        value_name = "BOOL",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pub insecure_http: bool,

    /// File with the token that the share server's operator gave out, where creating shares needs one
    #[arg(long, env = "BRUTUS_SHARE_CREATE_TOKEN_FILE", value_name = "FILE")]
    pub create_token_file: Option<PathBuf>,

    /// PEM file with certificate authorities that are trusted for share servers, beside the system's
    #[arg(long, env = "BRUTUS_SHARE_RELAY_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// The secrets' place.
    #[command(flatten)]
    pub local: LocalDir,

    /// Whether sessions may be shared at all
    #[arg(
        long,
        env = "BRUTUS_SHARE_ENABLED",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
    )]
    pub enabled: bool,

    /// How long updates of a session are gathered before they are sent
    #[arg(long, env = "BRUTUS_SHARE_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub interval: Duration,

    /// Items in one sync, all together; has to be below the server's limit for a body
    #[arg(long, env = "BRUTUS_SHARE_MAX_BATCH", value_name = "SIZE", default_value = "4MiB", value_parser = size)]
    pub max_batch: u64,

    /// Most that may wait on the disk for the server
    #[arg(long, env = "BRUTUS_SHARE_MAX_SPOOL", value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub max_spool: u64,

    /// Longest wait between two tries when the server is away
    #[arg(long, env = "BRUTUS_SHARE_MAX_BACKOFF", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub max_backoff: Duration,

    /// How long one request to the server may take
    #[arg(long, env = "BRUTUS_SHARE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,

    /// How long pending updates may take to be sent when the relay is asked to stop
    #[arg(long, env = "BRUTUS_SHARE_STOP_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub stop_timeout: Duration,

    /// The log.
    #[command(flatten)]
    pub log: Log,

    /// TOML or JSON file with any of these options, by their names with underscores
    #[arg(long, env = "BRUTUS_SHARE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where the relay keeps its state, and where its clients find the token.
#[derive(Debug, Clone, Args)]
pub struct LocalDir {
    /// Directory of the secrets, the token and the spool [default: brutus-share/relay in the user's state directory]
    #[arg(long, env = "BRUTUS_SHARE_LOCAL_DIR", value_name = "DIR")]
    local_dir: Option<PathBuf>,
}

impl LocalDir {
    /// The directory.
    ///
    /// # Errors
    /// When none is given and the user has no home directory.
    pub fn path(&self) -> Result<PathBuf, NoHome> {
        self.local_dir.clone().map_or_else(|| Ok(default_dir("--local-dir")?.join("relay")), Ok)
    }
}

/// Where the relay listens: `:PORT` is loopback too.
fn relay_address(text: &str) -> Result<Address, String> {
    match text.parse()? {
        Address::Any(port) => Ok(Address::Localhost(port)),
        address if address.is_local() => Ok(address),
        _ => Err("the relay listens on loopback alone: it keeps the secrets".into()),
    }
}

/// Whose web pages may show a session in a frame: a source list of CSP's `frame-ancestors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAncestors(String);

impl FromStr for FrameAncestors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let source = |source: &str| match source.trim_matches('\'') {
            "none" | "self" => Ok(format!("'{}'", source.trim_matches('\''))),
            _ if is_origin_source(source) => Ok(source.to_owned()),
            _ => Err(format!(
                "`{}` is no origin: expected `none`, `self`, or origins like https://wiki.example or \
                 https://*.example:8443",
                source.escape_debug()
            )),
        };
        let sources: Vec<_> =
            text.split([',', ' ']).filter(|part| !part.is_empty()).map(source).collect::<Result<_, _>>()?;
        match &sources[..] {
            [] => Ok(Self("'none'".into())),
            [_, _, ..] if sources.iter().any(|source| source == "'none'") => {
                Err("`none` stands alone".into())
            }
            sources => Ok(Self(sources.join(" "))),
        }
    }
}

impl fmt::Display for FrameAncestors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is `http(s)://HOST[:PORT]`, where the host may begin with `*.`.
fn is_origin_source(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().is_ok() || port == "*"),
        _ => (authority, true),
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte);
    port && !name.is_empty() && name.bytes().all(known)
}

/// There is no home directory to put things under.
#[derive(Debug, thiserror::Error)]
#[error("no home directory is known: set {flag}")]
pub struct NoHome {
    flag: &'static str,
}

/// `brutus-share` in the user's state directory. `flag` is what to set where there is none.
pub fn default_dir(flag: &'static str) -> Result<PathBuf, NoHome> {
    let dirs = etcetera::choose_base_strategy().map_err(|_| NoHome { flag })?;
    Ok(dirs.state_dir().unwrap_or_else(|| dirs.data_dir()).join("brutus-share"))
}

/// A rate: `10/s`, `60/m`, `500/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub per: Duration,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected N/s, N/m or N/h with N of at least 1";
        let (count, unit) = text.split_once('/').ok_or(expected)?;
        let per = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(expected),
        };
        let count = count.trim().parse().map_err(|_| expected)?;
        Ok(Self { count, per: Duration::from_secs(per) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// Reads a size, in bytes.
pub fn size(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        _ => Err("expected a size above zero, like 64MiB or 500KB".into()),
    }
}

/// The longest time that can be asked for: several of them can be added to a point in time.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads a time.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err("expected a time above zero and of at most 100 years, like 500ms, 30s or 5m".into()),
    }
}

/// An `http` or `https` URL without a slash at its end.
fn base_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !url.contains(['?', '#', ' ', '"']) => Ok(url.to_owned()),
        _ => Err("expected an http:// or https:// URL".into()),
    }
}

/// A URL at which secrets would go over the network in clear.
#[derive(Debug, thiserror::Error)]
#[error(
    "{option} is http:// to another machine, and secrets and sessions would go over the network in clear: use \
     https://, or accept that with --insecure-http"
)]
pub struct InsecureHttp {
    option: &'static str,
}

/// Whether what is sent to a URL goes over the network in clear, where that is accepted.
///
/// # Errors
/// When it does and that is not accepted.
pub fn check_http(option: &'static str, url: &str, accepted: bool) -> Result<bool, InsecureHttp> {
    let in_clear = is_in_clear(url);
    if in_clear && !accepted { Err(InsecureHttp { option }) } else { Ok(in_clear) }
}

/// Whether a URL is `http` to a host that is not this machine.
pub fn is_in_clear(url: &str) -> bool {
    let origin = origin(url);
    let Some(host) = origin.strip_prefix("http://") else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    !is_this_machine(name)
}

/// Whether a host is this machine: `localhost` and what ends with it, and loopback addresses.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_local || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The path of a URL, without a slash at its end.
pub fn path_of(url: &str) -> &str {
    let authority_and_path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = authority_and_path.find('/').map_or("", |at| &authority_and_path[at..]);
    path.trim_end_matches('/')
}

/// Scheme, host and port of a URL: its path can hold a token, and what stands before the host a password.
pub fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_sizes_and_urls_are_read_or_refused() {
        assert_eq!("3/m".parse::<Rate>().unwrap().per, Duration::from_secs(60));
        assert_eq!("7/h".parse::<Rate>().unwrap().to_string(), "7/h");
        for bad in ["", "3", "0/s", "-1/s", "3/d", "x/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert!(size("0").is_err() && size("much").is_err());
        assert_eq!(base_url("https://share.example/").as_deref(), Ok("https://share.example"));
        assert!(base_url("share.example").is_err() && base_url("http://").is_err());
        for (url, in_clear) in [
            ("http://198.51.100.7", true),
            ("http://share.example:8090/x", true),
            ("http://127.0.0.1.evil.example", true),
            ("http://127.0.0.1@evil.example/", true),
            ("http://0.0.0.0:8090", true),
            ("http://127.0.0.1:8090", false),
            ("http://[::1]:8090/base", false),
            ("http://LocalHost", false),
            ("https://share.example", false),
        ] {
            assert_eq!(check_http("api_url", url, true).unwrap(), in_clear, "{url}");
            assert_eq!(check_http("api_url", url, false).is_err(), in_clear, "{url}");
        }
        assert_eq!(origin("https://user:pw@share.example:1/t/token?x"), "https://share.example:1");
        assert!(relay_address("0.0.0.0:1").is_err() && relay_address("nonsense").is_err());
        assert_eq!(relay_address(":8091"), Ok(Address::Localhost(8091)));
        assert_eq!(relay_address("unix:/a"), Ok(Address::Unix("/a".into())));
        assert_eq!("never".parse(), Ok(Lifetime(None)));
        assert!(duration("99years").is_ok() && duration("500years").is_err());
        assert!("0s".parse::<Lifetime>().is_err() && "soon".parse::<Lifetime>().is_err());
        let proxies: Proxies = "127.0.0.1, 2001:db8::/32".parse().unwrap();
        let contains = |text: &str| proxies.contains(text.parse().unwrap());
        assert!(contains("127.0.0.1") && contains("::ffff:127.0.0.1") && contains("2001:db8::1"));
        assert!(!contains("127.0.0.2") && "10.0.0.0/99".parse::<Proxies>().is_err());
    }
}
