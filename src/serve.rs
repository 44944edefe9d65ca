//! The server put together, from the store up, and taken down in order.

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::{Server, ServerHandle};
use actix_service::map_config;
use actix_web::dev::AppConfig;
use actix_web::middleware::TrailingSlash::MergeOnly;
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::{App, web};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

use crate::config;
use crate::http::{self, CreateLimit, RequestSpan, Service};
use crate::share::{Crowds, Directory, Hub, ShareConfig};
use crate::sqlite::StartupError;
use crate::store::Store;

/// How long requests under way get to end when the server stops. Everything that they wait for is quick; the rest of
/// the two seconds within which a service should stop is for the last commits.
const SHUTDOWN_SECONDS: u64 = 1;

/// How long a connection stays open between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long changes of the count of viewers are gathered.
const VIEWERS_DELAY: Duration = Duration::from_millis(250);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StartupError),
    /// No place for the data is known.
    #[error(transparent)]
    NoHome(#[from] config::NoHome),
    /// The listener cannot be used.
    #[error("cannot serve: {0}")]
    Io(#[from] std::io::Error),
}

/// A server that listens.
pub struct Running {
    server: Server,
    shares: Directory,
    store: Store,
}

/// Opens the store and starts the server on a listener that is bound already. Has to be called in an actix system.
///
/// # Errors
/// When the data directory or the listener cannot be used.
pub fn start(listener: TcpListener, config: &config::Serve) -> Result<Running, StartError> {
    raise_file_limit();
    let address = listener.local_addr()?;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let data_dir = config.data_dir()?;
    let store = Store::open(&data_dir)?;
    tracing::info!(data_dir = %data_dir.display(), %public_url, %address, "serving");

    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = config.workers.unwrap_or(threads).max(1);
    let share = ShareConfig {
        idle: config.timings.share_idle,
        max_share: config.limits.max_share,
        max_viewers: config.limits.max_viewers,
        viewers_delay: VIEWERS_DELAY,
    };
    let shares = Hub::start(store.clone(), share, threads);
    let service = web::Data::new(Arc::new(Service {
        shares: shares.clone(),
        store: store.clone(),
        limits: config.limits.clone(),
        creates: CreateLimit::new(config.limits.create_limit),
        public_url,
        ping_interval: config.timings.ping_interval,
    }));
    let ping_interval = config.timings.ping_interval;
    let dead_peer_timeout = config.timings.dead_peer_timeout;
    let app = move || {
        App::new()
            .app_data(service.clone())
            // One for each thread: this runs once in each.
            .app_data(web::Data::new(Crowds::new(ping_interval / 2)))
            .wrap(NormalizePath::new(MergeOnly))
            .wrap(tracing_actix_web::TracingLogger::<RequestSpan>::new())
            .wrap(from_fn(http::around))
            .configure(http::routes)
    };
    // HTTP/1 alone, as a WebSocket needs it: `HttpServer` makes every connection large enough for HTTP/2 too, which costs
    // each viewer two kilobytes.
    let connections = move || {
        HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .on_connect_ext(move |stream: &TcpStream, _| reap_when_dead(stream, dead_peer_timeout))
            .h1(map_config(app(), |()| AppConfig::default()))
            .tcp()
    };
    let server = Server::build()
        .workers(workers)
        .max_concurrent_connections(config.limits.max_connections.div_ceil(workers))
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen("http", listener, connections)?
        .run();
    Ok(Running { server, shares, store })
}

impl Running {
    /// Serves until `stop` is done, then ends in order: viewers are told to come back, requests under way are answered,
    /// the store writes what it has and checkpoints.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: impl Future<Output = ()> + 'static) -> std::io::Result<()> {
        let Self { server, shares, store } = self;
        actix_web::rt::spawn(stop_when(stop, shares, server.handle()));
        server.await?;
        tokio::task::spawn_blocking(move || store.close()).await?;
        tracing::info!("stopped");
        Ok(())
    }
}

async fn stop_when(stop: impl Future<Output = ()>, shares: Directory, server: ServerHandle) {
    stop.await;
    tracing::info!("stopping");
    // Viewers first: a graceful stop would wait for their connections.
    shares.shut_down().await;
    server.stop(true).await;
}

/// Done when the process is asked to end.
///
/// # Errors
/// When the signals cannot be listened for.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Lets the kernel end a connection whose peer takes nothing any more. A connection that cannot be written freezes the
/// actor behind it, timers and all, so nobody else could.
fn reap_when_dead(stream: &TcpStream, timeout: Duration) {
    let socket = SockRef::from(stream);
    if let Err(error) = socket.set_tcp_user_timeout(Some(timeout)).and_then(|()| socket.set_tcp_nodelay(true))
    {
        tracing::warn!(%error, "cannot set a connection's options");
    }
}

/// Every viewer is a file descriptor: takes as many as the system allows.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
