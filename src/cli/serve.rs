//! `brutus-share serve`

use std::error::Error;
use std::io::Write;
use std::net::TcpListener;

use crate::config;
use crate::serve;

pub(super) fn run(config: &config::Serve) -> Result<(), Box<dyn Error>> {
    super::logging::start(&config.log)?;
    let listen = config.listen;
    let listener =
        TcpListener::bind(listen).map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr()?;
    let system = actix_web::rt::System::new();
    system.block_on(async {
        let server = serve::start(listener, config)?;
        // Before anybody is told: who starts a daemon may stop it at once.
        let stop = serve::stop_signal()?;
        // On stdout, for whoever started this process and waits for it.
        println!("listening on http://{address}");
        let _ = std::io::stdout().flush();
        server.run(stop).await?;
        Ok(())
    })
}
