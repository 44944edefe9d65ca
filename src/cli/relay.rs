//! `brutus-share relay`

use std::error::Error;
use std::io::Write;

use crate::daemon::{Visible, given_sockets, stop_signal};
use crate::{config, relay};

pub(super) fn run(config: &config::Relay) -> Result<(), Box<dyn Error>> {
    super::logging::Logging::start(&config.log)?;
    super::layers::warn_of_old_names();
    if let Some(api_url) = &config.api_url {
        super::check_http("api_url", api_url, config.in_clear)?;
    }
    let given = given_sockets().map_err(|error| format!("cannot use systemd's socket: {error}"))?;
    let sockets = match given.map_or_else(|| config.listen.bind(Visible::ToOwner), Ok) {
        Err(error) if config.any_port && error.is_taken() => {
            config.listen.with_any_port().bind(Visible::ToOwner)?
        }
        sockets => sockets?,
    };
    let url = sockets.url("http")?;
    actix_web::rt::System::new().block_on(async {
        let relay = relay::start(sockets, config).await?;
        // Before anybody is told: who starts a daemon may stop it at once.
        let stop = stop_signal()?;
        // On stdout, for whoever started this process and waits for it.
        say!("listening on {url}");
        let _ = std::io::stdout().flush();
        relay.run(stop).await?;
        Ok(())
    })
}
