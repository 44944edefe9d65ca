//! `brutus-share serve`

use std::error::Error;
use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};

use super::logging::Logging;
use crate::config;
use crate::daemon::{Address, Visible, given_sockets, stop_signal};
use crate::serve::{self, Controls, Listeners, systemd};

/// Runs the server. `reread` reads the configuration again, from where it came.
pub(super) fn run(
    config: &config::Serve,
    reread: impl Fn() -> Result<config::Serve, String> + 'static,
) -> Result<(), Box<dyn Error>> {
    let logging = Logging::start(&config.log)?;
    super::layers::warn_of_old_names();
    if let Some(public_url) = &config.public_url {
        super::check_http("public_url", public_url, config.in_clear)?;
    }
    config.bus(config.store.kind()?)?;
    let given = given_sockets().map_err(|error| format!("cannot use systemd's socket: {error}"))?;
    let bind = |address: &Address| address.bind(Visible::ToMachine);
    let http = given.map_or_else(|| bind(&config.listen), Ok)?;
    if config.public_url.is_none() && http.tcp.is_empty() {
        return Err("links cannot start with the path of a Unix socket: set public_url".into());
    }
    let listeners = Listeners { http, metrics: config.metrics_listen.as_ref().map(bind).transpose()? };
    let url = serve::own_url(&listeners, config)?;
    let system = actix_web::rt::System::new();
    system.block_on(async {
        let server = serve::start(listeners, config)?;
        // Before anybody is told: who starts a daemon may stop it at once.
        let stop = stop_signal()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let controls = server.controls();
        actix_web::rt::spawn(async move {
            while hangup.recv().await.is_some() {
                systemd::reloading();
                match reload(&reread, &controls, &logging) {
                    Ok(()) => tracing::info!("limits, log level and certificate are read again"),
                    Err(reason) => tracing::error!(%reason, "everything stays as it was"),
                }
                systemd::ready();
            }
        });
        actix_web::rt::spawn(systemd::keep_watchdog(server.shares(), server.http_workers()));
        // On stdout, for whoever started this process and waits for it.
        say!("listening on {url}");
        let _ = std::io::stdout().flush();
        systemd::ready();
        let told = async {
            stop.await;
            systemd::stopping();
        };
        server.run(told).await?;
        Ok(())
    })
}

fn reload(
    reread: &impl Fn() -> Result<config::Serve, String>,
    controls: &Controls,
    logging: &Logging,
) -> Result<(), String> {
    let config = reread()?;
    let filter = Logging::filter(&config.log).map_err(|error| error.to_string())?;
    controls.apply(&config).map_err(|error| error.to_string())?;
    logging.set(filter)
}
