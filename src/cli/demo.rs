//! `brutus-share demo`: a server and a relay on loopback with throw-away data, and a conversation that is played into
//! them at a person's pace, so that a newcomer sees a live page with one command.

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, Parser};
use serde_json::{Value, json};

use crate::config;
use crate::daemon::{Address, Visible, stop_signal};
use crate::relay;
use crate::relay::client::{RelayClient, RelayOptions};
use crate::serve::{self, Listeners};

/// The conversation: a line for each event, with how long the agent takes before it.
const CONVERSATION: &str = include_str!("demo.jsonl");

const SESSION: &str = "ses_demo";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How many times faster than a person the conversation goes
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,

    /// Address for the share server; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: Address,

    /// Do not open a browser
    #[arg(long)]
    no_open: bool,

    /// End when the conversation has been played, instead of at Ctrl-C
    #[arg(long)]
    once: bool,
}

/// The daemons' options, out of their defaults: the demo sets what differs.
#[derive(Parser)]
struct Defaults<T: Args> {
    #[command(flatten)]
    options: T,
}

pub(super) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let data = tempfile::Builder::new().prefix("brutus-share-demo-").tempdir()?;
    let dir = |name: &str| data.path().join(name).display().to_string();
    let relay_dir = dir("relay");
    let server_config = defaults::<config::Serve>(&["--data-dir", &dir("server")])?;
    actix_web::rt::System::new().block_on(async {
        let listeners = Listeners { http: options.listen.bind(Visible::ToMachine)?, metrics: None };
        let server_url = serve::own_url(&listeners, &server_config)?;
        let server = serve::start(listeners, &server_config)?;
        let relay_config = defaults::<config::Relay>(&["--api-url", &server_url, "--local-dir", &relay_dir])?;
        let sockets = Address::Localhost(0).bind(Visible::ToOwner)?;
        let relay_url = sockets.url("http")?;
        let relay = relay::start(sockets, &relay_config).await?;
        let (stop_server, server_stops) = tokio::sync::oneshot::channel::<()>();
        let (stop_relay, relay_stops) = tokio::sync::oneshot::channel::<()>();
        let server = actix_web::rt::spawn(server.run(async { drop(server_stops.await) }));
        let relay = actix_web::rt::spawn(relay.run(async { drop(relay_stops.await) }));

        let client = RelayClient::new(&defaults::<RelayOptions>(&[
            "--relay",
            &relay_url,
            "--local-dir",
            &relay_dir,
        ])?)?;
        let shared = client.share(SESSION, None, None, true).await?;
        let url = shared["url"].as_str().unwrap_or_default();
        let stop = stop_signal()?;
        say!("{url}");
        if !options.no_open {
            open(url);
        }
        tokio::pin!(stop);
        let played = tokio::select! {
            played = play(&client, options.speed) => { played?; true }
            () = &mut stop => false,
        };
        if played && !options.once {
            say!("The conversation has been played. Ctrl-C ends the demo and deletes its data.");
            stop.await;
        }
        // The relay first: it has something to say to the server.
        drop(stop_relay);
        relay.await??;
        drop(stop_server);
        server.await??;
        Ok(())
    })
}

fn defaults<T: Args>(args: &[&str]) -> Result<T, clap::Error> {
    let args = std::iter::once("brutus-share").chain(args.iter().copied());
    Defaults::<T>::try_parse_from(args).map(|defaults| defaults.options)
}

/// Reports the conversation as an agent would.
async fn play(relay: &RelayClient, speed: f64) -> Result<(), Box<dyn Error>> {
    let (start, speed) = (crate::clock::now_ms(), speed.clamp(0.01, 1000.0));
    for line in CONVERSATION.lines() {
        let mut step: Value = serde_json::from_str(line)?;
        let wait = step["wait"].as_u64().unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait).div_f64(speed)).await;
        let mut data = step["data"].take();
        shift_times(&mut data, start, speed);
        data["sessionID"] = json!(SESSION);
        relay.report(&json!({"type": step["type"], "sessionID": SESSION, "data": data})).await?;
    }
    Ok(())
}

/// The conversation's times are milliseconds since its start: makes them times of today, at the speed at which it is
/// played.
fn shift_times(value: &mut Value, start: i64, speed: f64) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_time = matches!(name.as_str(), "created" | "updated" | "completed" | "start" | "end");
                match field.as_u64() {
                    Some(milliseconds) if is_time => {
                        let since = Duration::from_millis(milliseconds).div_f64(speed);
                        *field = json!(start + i64::try_from(since.as_millis()).unwrap_or(0));
                    }
                    _ => shift_times(field, start, speed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift_times(item, start, speed)),
        _ => {}
    }
}

/// Opens a browser, where there is one.
fn open(url: &str) {
    let opened = Command::new("xdg-open").arg(url).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if opened.is_err() {
        say!("Open this link in a browser.");
    }
}
