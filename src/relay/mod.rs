//! The relay: the sharing client behind a local HTTP door, for an agent that is not written in Rust. Every route stands
//! on this page.

pub(crate) mod client;
mod conversation;
mod door;
mod handlers;
mod redactions;
mod start;
pub(crate) mod systemd;
mod whereabouts;

use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::Addr;
use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::client::redaction::Mode;
use crate::client::{self as sharing, Manager, Pairing, SecretsError, StartError, TellSecrets};
use crate::config;
use crate::daemon::{SocketFile, Sockets};
use crate::error::{Error, resource};
use crate::sources::{Places, Sources};
use crate::text::plain;

pub use door::{TOKEN_FILE, Token};

/// The largest body that the relay reads, in bytes: a long session with images comes as one backlog.
const MAX_BODY: usize = 256 << 20;

/// Why the relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The local state cannot be used.
    #[error(transparent)]
    Client(#[from] StartError),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] SecretsError),
    /// The token for creating shares cannot be read.
    #[error("{}: {source}", file.display())]
    CreateToken {
        /// Where it should be.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No place for the state is known.
    #[error(transparent)]
    NoHome(#[from] config::NoHome),
    /// The server does not start.
    #[error("cannot serve: {0}")]
    Io(#[from] std::io::Error),
}

/// A relay that listens.
pub struct Running {
    server: Server,
    manager: Addr<Manager>,
    stop_timeout: Duration,
    /// Taken away at the end.
    _sockets: Vec<SocketFile>,
    _whereabouts: whereabouts::Written,
}

/// Opens the client and starts its door. Has to be called in an actix system.
///
/// # Errors
/// When the local state or the listener cannot be used.
pub async fn start(sockets: Sockets, config: &config::Relay) -> Result<Running, RelayError> {
    let local_dir = config.local.path()?;
    let create_token = config.create_token_file.as_deref().map(create_token).transpose()?;
    let redact = sharing::Redact {
        mode: match config.redact {
            config::RedactMode::On => Mode::On,
            config::RedactMode::Report => Mode::Report,
            config::RedactMode::Off => Mode::Off,
        },
        settings: config.redact_options.clone(),
        ..sharing::Redact::default()
    };
    let manager = Manager::open(sharing::Config {
        redact,
        always_sealed: config.sealed == config::SealedMode::Always,
        enabled: config.enabled,
        insecure_http: config.in_clear.insecure_http,
        interval: config.interval,
        max_batch: usize::try_from(config.max_batch).unwrap_or(usize::MAX),
        max_spool: config.max_spool,
        max_backoff: config.max_backoff,
        timeout: config.timeout,
        api_url: config.api_url.clone(),
        create_token: create_token.clone().map(Into::into),
        ca_file: config.ca_file.clone(),
        ..sharing::Config::new(config::OWN_SERVER, &local_dir)
    })
    .await?;
    let token = Token::open(&local_dir)?;
    let own = [("relay-token", Some(token.expose().to_owned())), ("create-token", create_token)];
    manager.do_send(TellSecrets(own.map(|(name, value)| (name.to_owned(), value)).into()));
    let whereabouts = whereabouts::write(&local_dir, sockets.url("http")?)?;
    let pairing = if config.api_url.is_none() { Pairing::read(&local_dir)? } else { None };
    if let Some(pairing) = pairing.as_ref().filter(|pairing| config::is_in_clear(&pairing.url)) {
        tracing::warn!(name = %plain(&pairing.name), "sessions go over the network in clear to the paired server");
    }
    let server = config.api_url.as_deref().or(pairing.as_ref().map(|pairing| &*pairing.url));
    let server = config::origin(server.unwrap_or(config::OWN_SERVER));
    tracing::info!(local_dir = %local_dir.display(), %server, enabled = config.enabled, "relaying");
    let opencode = config.opencode_url.clone();
    let places = if config.sources { Places::of_user(opencode) } else { Places::none() };
    let sources = web::Data::new(Sources::start(places, manager.clone()));
    let (data, token) = (web::Data::new(manager.clone()), web::Data::new(token));
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(sources.clone())
            .app_data(token.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .wrap(from_fn(door::check))
            .configure(routes)
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals();
    for listener in sockets.tcp {
        server = server.listen(listener)?;
    }
    for listener in sockets.unix {
        server = server.listen_uds(listener)?;
    }
    let (server, stop_timeout) = (server.run(), config.stop_timeout);
    Ok(Running { server, manager, stop_timeout, _sockets: sockets.files, _whereabouts: whereabouts })
}

fn create_token(file: &Path) -> Result<String, RelayError> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|source| RelayError::CreateToken { file: file.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

fn routes(app: &mut web::ServiceConfig) {
    app.service(resource("/healthz", "GET").route(web::get().to(handlers::healthz)))
        .service(resource("/v1/events", "POST").route(web::post().to(handlers::events)))
        .service(
            resource("/v1/sessions/{session}/share", "POST, DELETE")
                .route(web::post().to(handlers::share))
                .route(web::delete().to(handlers::unshare)),
        )
        .service(
            resource("/v1/sessions/{session}/messages", "POST, PUT")
                .route(web::post().to(handlers::messages))
                .route(web::put().to(handlers::messages)),
        )
        .service(resource("/v1/sessions/{session}/status", "POST").route(web::post().to(handlers::status)))
        .service(resource("/v1/sessions/{session}/flush", "POST").route(web::post().to(handlers::flush)))
        .service(
            resource("/v1/sessions/{session}/redactions", "GET, POST")
                .route(web::get().to(redactions::of_session))
                .route(web::post().to(redactions::again)),
        )
        .service(resource("/v1/redactions", "POST").route(web::post().to(redactions::of_file)))
        .service(resource("/v1/secrets", "PUT").route(web::put().to(redactions::secrets)))
        .service(resource("/v1/sessions", "GET").route(web::get().to(handlers::sessions)))
        .service(resource("/v1/sessions/{session}/owner", "GET").route(web::get().to(handlers::owners_link)))
        .service(resource("/v1/shares/{share}", "PATCH").route(web::patch().to(handlers::amend)))
        .service(resource("/v1/shares", "GET").route(web::get().to(handlers::shares)))
        .default_service(web::to(async || Err::<HttpResponse, _>(Error::NoSuchPath)));
}

impl Running {
    /// Serves until `stop` is done; then takes nothing more, and sends what waits as far as the time allows.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: impl Future<Output = ()> + 'static) -> std::io::Result<()> {
        let handle = self.server.handle();
        actix_web::rt::spawn(async move {
            stop.await;
            tracing::info!("stopping");
            handle.stop(true).await;
        });
        self.server.await?;
        let _ = self.manager.send(sharing::Stop { within: self.stop_timeout }).await;
        tracing::info!("stopped");
        Ok(())
    }
}
