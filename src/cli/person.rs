//! `brutus-share share`, `list`, `unshare` and `status`: the relay for a person at a terminal, or a script.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::clock::now_ms;
use crate::config::duration;
use crate::relay::client::{ListedShare, RelayCallError, RelayClient, RelayOptions};
use crate::text::plain;

/// What every command here takes.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    relay: RelayOptions,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A command about one session.
#[derive(Debug, Args)]
pub(super) struct OneSession {
    /// The session's id, as its agent calls it
    #[arg(value_name = "SESSION")]
    session: String,

    #[command(flatten)]
    options: Options,
}

/// A session to share.
#[derive(Debug, Args)]
pub(super) struct Share {
    #[command(flatten)]
    one: OneSession,

    /// Let the link end by itself after this time, if the session is not shared yet [default: the server's]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires_in: Option<Duration>,

    /// Share what is to come, although nothing is known of the session yet
    #[arg(long)]
    from_now: bool,

    /// Start no relay when none answers
    #[arg(long)]
    no_start: bool,
}

/// `share SESSION`
pub(super) fn share(Share { one, expires_in, from_now, no_start }: &Share) -> Result<(), RelayCallError> {
    let expires_in = expires_in.map(|time| time.as_secs().max(1));
    ask_of(
        &one.options,
        RelayClient::connect_or_start(&one.options.relay, !no_start),
        async |relay| relay.share(&one.session, expires_in, *from_now).await,
        |answer| {
            println!("{}", plain(answer["url"].as_str().unwrap_or_default()));
        },
    )?;
    Ok(())
}

/// `unshare SESSION`
pub(super) fn unshare(command: &OneSession) -> Result<(), RelayCallError> {
    let answer = ask(
        &command.options,
        async |relay| relay.unshare(&command.session).await,
        |answer| {
            if !is_under_way(answer) {
                println!("{} is no longer shared", plain(&command.session));
            }
        },
    )?;
    if is_under_way(&answer) { Err(RelayCallError::UnderWay) } else { Ok(()) }
}

/// Whether an unshare is stored and not confirmed by the share server yet.
pub(super) fn is_under_way(answer: &Value) -> bool {
    answer["state"] == "removing"
}

/// `list`
pub(super) fn list(options: &Options) -> Result<(), RelayCallError> {
    ask(
        options,
        async |relay| relay.list().await,
        |answer| {
            let shares = shares(answer);
            if shares.is_empty() {
                println!("Nothing is shared.");
                return;
            }
            let width = shares.iter().map(|share| share.session_id.chars().count()).max().unwrap_or(0);
            for share in shares {
                let end = share.expires_at.map_or(String::new(), |end| format!("  ends in {}", until(end)));
                println!(
                    "{:width$}  {:9}  {:>4}  {}{end}",
                    plain(&share.session_id),
                    plain(&share.state),
                    age(share.created_at),
                    plain(&share.url)
                );
            }
        },
    )?;
    Ok(())
}

/// `status`
pub(super) fn status(options: &Options) -> Result<(), RelayCallError> {
    ask(
        options,
        async |relay| relay.list().await,
        |answer| {
            let shares = shares(answer);
            let pending: u64 = shares.iter().map(|share| share.pending).sum();
            println!(
                "The relay runs. Sessions shared: {}. Items waiting to be sent: {pending}.",
                shares.len()
            );
            for share in shares {
                let last = share
                    .last_sync
                    .map_or("nothing sent yet".into(), |at| format!("last sent {} ago", age(at)));
                println!(
                    "{}: {}, {} waiting, {last}",
                    plain(&share.session_id),
                    plain(&share.state),
                    share.pending
                );
                if share.set_aside > 0 {
                    println!("  {} items were given up: the server will not take them", share.set_aside);
                }
                if let Some(error) = share.last_error {
                    println!("  {}", plain(&error));
                }
            }
        },
    )?;
    Ok(())
}

/// Asks the relay, prints its answer, as JSON where that is wished for, and gives it.
fn ask(
    options: &Options,
    question: impl AsyncFnOnce(&RelayClient) -> Result<Value, RelayCallError>,
    say: impl FnOnce(&Value),
) -> Result<Value, RelayCallError> {
    ask_of(options, async { RelayClient::new(&options.relay) }, question, say)
}

/// Asks a relay, once there is one.
fn ask_of(
    options: &Options,
    relay: impl Future<Output = Result<RelayClient, RelayCallError>>,
    question: impl AsyncFnOnce(&RelayClient) -> Result<Value, RelayCallError>,
    say: impl FnOnce(&Value),
) -> Result<Value, RelayCallError> {
    let answer = actix_web::rt::System::new().block_on(async { question(&relay.await?).await })?;
    if options.json {
        println!("{answer:#}");
    } else {
        say(&answer);
    }
    Ok(answer)
}

fn shares(answer: &Value) -> Vec<ListedShare> {
    serde_json::from_value(answer.clone()).unwrap_or_default()
}

/// How long ago something was, in its largest unit.
pub(super) fn age(then_ms: i64) -> String {
    rough(now_ms() - then_ms)
}

/// How long it is until something, in its largest unit.
pub(super) fn until(then_ms: i64) -> String {
    rough(then_ms - now_ms())
}

fn rough(milliseconds: i64) -> String {
    // A second that has begun counts: what lives an hour has `1h` to go.
    let seconds = u64::try_from(milliseconds).unwrap_or(0).div_ceil(1000);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
