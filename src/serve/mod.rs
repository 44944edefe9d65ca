//! The server put together, from the store up, and taken down in order.

mod connection;
mod listen;
pub mod systemd;
mod tls;
mod workers;

use std::future::{Future, ready};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::{Server, ServerBuilder, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::TrailingSlash::MergeOnly;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::rt::net::UnixStream;
use actix_web::{App, web};

use self::connection::Gate;
use self::listen::Http;
pub use self::tls::{Certificate, CertificateError};
pub use self::workers::Workers;
use crate::access::Access;
use crate::bus::{Bus, BusError};
use crate::config::{self, LiveLimits, StoreKind};
use crate::daemon::{SocketFile, Sockets};
use crate::discovery::{AnnounceError, Announcement, Fingerprint, Identity, IdentityError, Record};
use crate::http::{self, Budget, CreateLimit, InUse, Offload, Redaction, RequestSpan, Service};
use crate::memory::Memory;
use crate::redact::RuleError;
use crate::share::{Crowds, Directory, Hub, ShareConfig};
use crate::sqlite::{StartupError, private_dir};
use crate::store::{LibsqlError, PostgresError, Store};

/// How long requests under way get to end when the server stops. Everything that they wait for is quick; the rest of
/// the two seconds within which a service should stop is for the last commits.
const SHUTDOWN_SECONDS: u64 = 1;

/// Threads beside each that serves HTTP, for compression and looks into the database.
const BLOCKING_THREADS: usize = 16;

/// How long changes of the count of viewers are gathered.
const VIEWERS_DELAY: Duration = Duration::from_millis(250);

/// How often what other servers wrote is looked for, where they share the store: when they say nothing, and when they
/// do, for what they say may be lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const POLL_INTERVAL_WITH_BUS: Duration = Duration::from_secs(5);

/// How long a delete waits for the content to be gone from the disk before it is answered that it is under way.
const DELETE_WAIT: Duration = Duration::from_secs(5);

/// How long a request waits for memory that others use.
const MEMORY_WAIT: Duration = Duration::from_secs(3);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StartupError),
    /// The store's database cannot be used.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The store's database cannot be used.
    #[error(transparent)]
    Libsql(#[from] LibsqlError),
    /// There is no such store.
    #[error(transparent)]
    UnknownStore(#[from] config::UnknownStore),
    /// There is no such bus.
    #[error(transparent)]
    UnknownBus(#[from] config::UnknownBus),
    /// The bus cannot be used.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// No place for the data is known.
    #[error(transparent)]
    NoHome(#[from] config::NoHome),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] CertificateError),
    /// The server's own key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The server cannot be announced.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    /// The rules of redaction cannot be used.
    #[error(transparent)]
    Redaction(#[from] RuleError),
    /// The listener cannot be used.
    #[error("cannot serve: {0}")]
    Io(#[from] std::io::Error),
}

/// Sockets that are bound already.
pub struct Listeners {
    /// For everybody.
    pub http: Sockets,
    /// For `/metrics`.
    pub metrics: Option<Sockets>,
}

/// A server that listens.
pub struct Running {
    server: Server,
    shares: Directory,
    store: Store,
    controls: Controls,
    http_workers: Workers,
    announcement: Option<Arc<Announcement>>,
    /// Taken away at the end.
    files: Vec<SocketFile>,
}

/// What of a server can be changed while it runs.
#[derive(Clone)]
pub struct Controls {
    limits: LiveLimits,
    /// What the store takes.
    max_item: Option<u64>,
    memory: Memory,
    certificate: Option<Certificate>,
    announcement: Option<Arc<Announcement>>,
}

impl Controls {
    /// Puts the limits of a configuration in the place of those that hold, and reads the certificate's files again.
    ///
    /// # Errors
    /// When the files cannot be used: what was there stays, and so do the limits.
    pub fn apply(&self, config: &config::Serve) -> Result<(), CertificateError> {
        self.certificate.as_ref().map_or(Ok(()), Certificate::reload)?;
        self.memory.set_max(config.limits.max_memory);
        if let Some(announcement) = &self.announcement {
            announcement.ask_for_token(config.limits.create_tokens);
        }
        self.limits.set(config.limits.clone().within(self.max_item));
        Ok(())
    }
}

impl Listeners {
    /// Whether a link can start with the address that is listened on.
    fn can_be_linked(&self) -> bool {
        let first = self.http.tcp.first().and_then(|listener| listener.local_addr().ok());
        first.is_some_and(|address| !address.ip().is_unspecified())
    }
}

/// The address at which people find what listens on these sockets, when nobody says another.
///
/// # Errors
/// When the system does not say.
pub fn own_url(listeners: &Listeners, config: &config::Serve) -> std::io::Result<String> {
    let scheme = if config.tls.tls_cert.is_some() { "https" } else { "http" };
    listeners.http.url(scheme)
}

/// Opens the store and starts the server on listeners that are bound already. Has to be called in an actix system.
///
/// # Errors
/// When the data directory, the certificate or a listener cannot be used.
pub fn start(listeners: Listeners, config: &config::Serve) -> Result<Running, StartError> {
    let files = raise_file_limit();
    let address = own_url(&listeners, config)?;
    let public_url = config.public_url.clone().unwrap_or_else(|| address.clone());
    let certificate = Certificate::open(&config.tls)?;
    let redaction = Redaction::new(config.redact)?;
    let bus = Bus::open(config.bus(config.store.kind()?)?)?;
    let data_dir = config.data_dir()?;
    let store = open_store(config, &data_dir)?;
    let max_item = store.max_item();
    let limits = limits_within(config, max_item);
    let identity = Identity::open(&data_dir)?;
    let fingerprint = identity.fingerprint().clone();
    tracing::info!(%public_url, %address, %fingerprint, "serving");
    if config.public_url.is_none() && !listeners.can_be_linked() {
        tracing::warn!("links start with {public_url}, which others cannot reach: set public_url");
    }

    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = config.workers.unwrap_or(threads).max(1);
    let memory = Memory::new(config.limits.max_memory, MEMORY_WAIT);
    let poll_interval = if bus.has_others() { POLL_INTERVAL_WITH_BUS } else { POLL_INTERVAL };
    let share = ShareConfig {
        idle: config.timings.share_idle,
        limits: limits.clone(),
        sweep_interval: config.timings.sweep_interval,
        poll_interval: config.timings.poll_interval.or(store.is_shared().then_some(poll_interval)),
        bus,
        viewers_delay: VIEWERS_DELAY,
        delete_wait: DELETE_WAIT,
        memory: memory.clone(),
    };
    let shares = Hub::start(store.clone(), share, threads)?;
    let service = web::Data::new(Arc::new(Service {
        shares: shares.clone(),
        store: store.clone(),
        access: Access::new(store.clone()).map_err(std::io::Error::from)?,
        limits: limits.clone(),
        creates: CreateLimit::default(),
        viewers: InUse::default(),
        budget: Budget::new(memory.clone()),
        offload: Offload::new(threads),
        redaction,
        readiness: http::Readiness::default(),
        origin: config::exact_origin(&public_url).unwrap_or_default(),
        public_url,
        identity,
        announced: config.announce,
        page_policy: http::PagePolicy::new(&config.frame_ancestors),
        over_tls: certificate.is_some(),
        ping_interval: config.timings.ping_interval,
        body_timeout: config.timings.body_timeout,
    }));
    let about =
        web::Data::new(http::About { shares: shares.clone(), store: store.clone(), memory: memory.clone() });
    let ping_interval = config.timings.ping_interval;
    let http_workers = Workers::default();
    let of_app = http_workers.clone();
    let path = config::path_of(&service.public_url).to_owned();
    let app = move || {
        // Once in each thread.
        of_app.add_this_thread();
        App::new()
            .app_data(service.clone())
            .app_data(web::Data::new(Crowds::new(ping_interval / 2)))
            .wrap(NormalizePath::new(MergeOnly))
            .wrap(tracing_actix_web::TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(http::around))
            .configure(|app| {
                // A proxy may leave the path of the links in, or take it away.
                if !path.is_empty() {
                    app.service(web::scope(&path).configure(http::routes));
                }
                http::routes(app);
            })
    };
    let room = connection::room(files, config.limits.max_connections);
    let gate = Gate {
        limits: limits.clone(),
        connections: InUse::default(),
        room,
        dead_peer_timeout: config.timings.dead_peer_timeout,
    };
    let http = Http::new(app, gate, config.timings.head_timeout);
    let server = Server::build()
        .workers(workers)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .max_concurrent_connections(room.div_ceil(workers))
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals();
    let tls = certificate.as_ref().map(Certificate::config).transpose()?;
    let announcement = announce(&listeners, config, address, fingerprint)?;
    let Sockets { tcp, unix, mut files } = listeners.http;
    let mut server = http.listen_on(server, tcp, unix, tls.as_ref())?;
    if let Some(sockets) = listeners.metrics {
        tracing::info!(address = %sockets.name()?, "metrics");
        let Sockets { tcp, unix, files: more } = sockets;
        server = listen_for_metrics(server, tcp, unix, &about)?;
        files.extend(more);
    }
    let controls = Controls { limits, max_item, memory, certificate, announcement: announcement.clone() };
    Ok(Running { server: server.run(), shares, store, controls, http_workers, announcement, files })
}

/// The limits as configured, but for items that are larger than what the store takes.
fn limits_within(config: &config::Serve, max_item: Option<u64>) -> LiveLimits {
    if let Some(max_item) = max_item.filter(|max| *max < config.limits.max_item) {
        tracing::warn!(max_item, "the database takes no larger items");
    }
    LiveLimits::new(config.limits.clone().within(max_item))
}

/// Tells the network that the server is there, when that is wanted.
fn announce(
    listeners: &Listeners,
    config: &config::Serve,
    address: String,
    fingerprint: Fingerprint,
) -> Result<Option<Arc<Announcement>>, AnnounceError> {
    if !config.announce {
        return Ok(None);
    }
    // An address that is none to others is no place to ask at either.
    let url = config.public_url.clone().or_else(|| listeners.can_be_linked().then_some(address));
    let url = url.filter(|url| !config::leads_here(url));
    let record = Record { id: fingerprint, url, asks_for_token: config.limits.create_tokens };
    Ok(Some(Arc::new(Announcement::start(&listeners.http.tcp, record)?)))
}

fn open_store(config: &config::Serve, data_dir: &Path) -> Result<Store, StartError> {
    let kind = config.store.kind()?;
    if kind != StoreKind::Sqlite {
        // The server's own key is there nevertheless.
        private_dir(data_dir).map_err(StartupError::from)?;
    }
    Ok(match kind {
        StoreKind::Postgres(url) => Store::open_postgres(url)?,
        StoreKind::Libsql(url) => Store::open_libsql(url)?,
        StoreKind::Sqlite => {
            tracing::info!(data_dir = %data_dir.display(), "stores in SQLite");
            let shared = config.timings.poll_interval.is_some();
            if shared { Store::open_shared(data_dir) } else { Store::open(data_dir) }?
        }
    })
}

/// Adds the operator's sockets to a server.
fn listen_for_metrics(
    mut server: ServerBuilder,
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
    about: &web::Data<http::About>,
) -> std::io::Result<ServerBuilder> {
    let about = about.clone();
    let app = move || {
        let app = App::new().app_data(about.clone()).configure(http::about_routes);
        map_config(app, |()| AppConfig::default())
    };
    for listener in tcp {
        let app = app.clone();
        server = server.listen("metrics", listener, move || HttpService::build().h1(app()).tcp())?;
    }
    for listener in unix {
        let app = app.clone();
        server = server.listen_uds("metrics", listener, move || {
            fn_service(|stream: UnixStream| ready(Ok((stream, None))))
                .and_then(HttpService::build().h1(app()))
        })?;
    }
    Ok(server)
}

impl Running {
    /// What can be changed while it runs.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// Where shares are found.
    pub fn shares(&self) -> Directory {
        self.shares.clone()
    }

    /// The threads that serve HTTP.
    pub fn http_workers(&self) -> Workers {
        self.http_workers.clone()
    }

    /// Serves until `stop` is done, then ends in order: viewers are told to come back, requests under way are answered,
    /// the store writes what it has and checkpoints.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: impl Future<Output = ()> + 'static) -> std::io::Result<()> {
        let Self { server, shares, store, files, announcement, .. } = self;
        actix_web::rt::spawn(stop_when(stop, announcement, shares, server.handle()));
        server.await?;
        drop(files);
        tokio::task::spawn_blocking(move || store.close()).await?;
        tracing::info!("stopped");
        Ok(())
    }
}

async fn stop_when(
    stop: impl Future<Output = ()>,
    announcement: Option<Arc<Announcement>>,
    shares: Directory,
    server: ServerHandle,
) {
    stop.await;
    tracing::info!("stopping");
    if let Some(announcement) = announcement {
        announcement.end().await;
    }
    // Viewers first: a graceful stop would wait for their connections.
    shares.shut_down().await;
    server.stop(true).await;
}

/// Every viewer is a file descriptor: takes as many as the system allows, and gives how many these are.
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = &raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let files = if raised.is_ok() { limit.maximum } else { limit.current };
    files.and_then(|files| files.try_into().ok()).unwrap_or(usize::MAX)
}
