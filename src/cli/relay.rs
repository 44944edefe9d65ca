//! `brutus-share relay`

use std::error::Error;
use std::io::Write;

use crate::relay::{self, Listener};
use crate::{config, serve};

pub(super) fn run(config: &config::Relay) -> Result<(), Box<dyn Error>> {
    super::logging::Logging::start(&config.log)?;
    super::check_http("api_url", &config.api_url, config.insecure_http)?;
    let listener = Listener::bind(&config.listen)?;
    let url = listener.url()?;
    actix_web::rt::System::new().block_on(async {
        let relay = relay::start(listener, config).await?;
        // Before anybody is told: who starts a daemon may stop it at once.
        let stop = serve::stop_signal()?;
        // On stdout, for whoever started this process and waits for it.
        println!("listening on {url}");
        let _ = std::io::stdout().flush();
        relay.run(stop).await?;
        Ok(())
    })
}
