//! `brutus-share healthcheck`: for containers, in which nothing else could ask.

use std::error::Error;
use std::time::Duration;

use clap::Args;

use crate::config::duration;

/// What is asked.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// The server or the relay
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8090")]
    url: String,

    /// How long it may take to answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    timeout: Duration,
}

/// Ends well when `/healthz` answers 200.
pub(super) fn run(check: &Healthcheck) -> Result<(), Box<dyn Error>> {
    let url = format!("{}/healthz", check.url.trim_end_matches('/'));
    let status = actix_web::rt::System::new().block_on(async {
        let tls = crate::trust::client_config(None, false)?;
        let connector = awc::Connector::new().rustls_0_23(tls);
        let client =
            awc::Client::builder().connector(connector).timeout(check.timeout).disable_redirects().finish();
        Ok::<_, Box<dyn Error>>(client.get(url).send().await.map(|answer| answer.status()))
    })?;
    match status {
        Ok(status) if status == awc::http::StatusCode::OK => Ok(()),
        Ok(status) => Err(format!("it answers {status}, not 200").into()),
        // The library's own words tell what failed, and not the URL, in which a password may stand.
        Err(error) => Err(format!("no answer: {error}").into()),
    }
}
