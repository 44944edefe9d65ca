//! `brutus-share share`, `sessions`, `publish`, `list`, `unshare` and `status`: the relay for a person at a terminal,
//! or a script.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::link::{self, LinkError};
use super::protect::WithPassword;
use super::redact;
use super::which::{described, newest};
use crate::client::KnownSession;
use crate::clock::now_ms;
use crate::config::duration;
use crate::relay::client::{ListedShare, RelayCallError, RelayClient, RelayOptions};
use crate::sources::{self, Publication};
use crate::text::plain;

/// Sessions that are listed unless all are wished for.
const LISTED: usize = 20;

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
    /// The session's id, or the file in which its agent writes it down [default: the newest session of any agent in
    /// this directory]
    #[arg(value_name = "SESSION")]
    session: Option<String>,

    #[command(flatten)]
    options: Options,

    /// Let the link end by itself after this time, if the session is not shared yet [default: the server's]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires_in: Option<Duration>,

    #[command(flatten)]
    password: WithPassword,

    /// Share what is to come, although nothing is known of the session yet
    #[arg(long)]
    from_now: bool,

    #[command(flatten)]
    sealing: Sealing,

    #[command(flatten)]
    start: Start,
}

/// Whether a share is encrypted.
#[derive(Debug, Args)]
pub(super) struct Sealing {
    /// Encrypt the session before it is sent: the link alone opens it, and its server cannot
    #[arg(long)]
    sealed: bool,

    /// Ask for a phrase, without which the link does not open it either; implies --sealed
    #[arg(long)]
    phrase: bool,

    /// The same with the phrase out of a file
    #[arg(long, value_name = "FILE", conflicts_with = "phrase")]
    phrase_file: Option<PathBuf>,
}

impl Sealing {
    /// What a request to share says of it.
    fn terms(&self) -> Result<Value, LinkError> {
        if self.phrase || self.phrase_file.is_some() {
            let phrase = link::secret("phrase", self.phrase_file.as_deref())?;
            return Ok(json!({"sealed": true, "phrase": phrase}));
        }
        Ok(if self.sealed { json!({"sealed": true}) } else { json!({}) })
    }
}

/// Whether a relay is started where there is none.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// Start no relay when none answers
    #[arg(long)]
    no_start: bool,
}

/// What can be listed.
#[derive(Debug, Args)]
pub(super) struct Sessions {
    /// List all that are known, not the newest alone
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    start: Start,
}

/// A file to publish.
#[derive(Debug, Args)]
pub(super) struct Publish {
    /// A transcript as Claude Code, Codex, Gemini CLI, Qwen Code or pi write it, what `opencode export` gives, or a
    /// list of messages as JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    options: Options,

    /// Let the link end by itself after this time [default: the server's]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires_in: Option<Duration>,

    #[command(flatten)]
    sealing: Sealing,

    #[command(flatten)]
    start: Start,
}

/// `share`
pub(super) fn share(share: &Share) -> Result<(), Box<dyn Error>> {
    let Share { session, options, expires_in, password, from_now, sealing, start } = share;
    let mut terms = sealing.terms()?;
    if let Some(password) = password.read()? {
        terms["password"] = json!(password);
    }
    if let Some(time) = expires_in {
        terms["expiresIn"] = json!(seconds(*time));
    }
    if *from_now {
        terms["empty"] = json!(true);
    }
    let share = async |relay: &RelayClient| {
        let (id, found) = if let Some(session) = session {
            (session_of(session)?, None)
        } else {
            let found = session_here(relay).await?;
            (found.session_id.clone(), Some(found))
        };
        let mut answer = relay.share_with(&id, &terms).await?;
        if let Some(found) = found {
            answer["session"] = json!(found);
        }
        answer["sessionID"] = json!(id);
        Ok(answer)
    };
    ask_or_start(options, start, share, |answer| {
        if let Ok(found) = serde_json::from_value::<KnownSession>(answer["session"].clone()) {
            let age = found.updated_at.map_or(String::new(), |at| format!(", {} ago", age(at)));
            say!("{}{age}", described(&found));
        }
        if let Some(summary) = redact::summary(answer["sessionID"].as_str().unwrap_or_default(), answer) {
            say!("{summary}");
        }
        if let Some(warning) = answer["warning"].as_str() {
            say!("Note: {}.", plain(warning));
        }
        say!("{}", plain(answer["url"].as_str().unwrap_or_default()));
    })?;
    Ok(())
}

pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs().max(1)
}

/// The id of a session that is named by its id or by its transcript.
fn session_of(name: &str) -> Result<String, RelayCallError> {
    let file = Path::new(name);
    if !file.is_file() {
        return Ok(name.to_owned());
    }
    sources::session_of(file).ok_or_else(|| RelayCallError::NoTranscript(file.to_owned()))
}

/// The newest session of the directory in which the command runs.
async fn session_here(relay: &RelayClient) -> Result<KnownSession, RelayCallError> {
    let directory = std::env::current_dir().unwrap_or_default();
    let sessions = relay.sessions().await?;
    newest(&sessions, &directory).cloned().ok_or_else(|| {
        let known: Vec<_> = sessions.iter().take(LISTED).map(line).collect();
        let known = known.join("\n");
        RelayCallError::NoSessionHere { directory, known }
    })
}

/// `sessions`
pub(super) fn sessions(Sessions { all, options, start }: &Sessions) -> Result<(), RelayCallError> {
    let list = async |relay: &RelayClient| {
        let mut sessions = relay.sessions().await?;
        if !all {
            sessions.truncate(LISTED);
        }
        Ok(json!(sessions))
    };
    ask_or_start(options, start, list, |answer| {
        let sessions: Vec<KnownSession> = serde_json::from_value(answer.clone()).unwrap_or_default();
        if sessions.is_empty() {
            say!("No session is known that could be shared.");
        }
        for session in sessions {
            say!("{}", line(&session));
        }
    })?;
    Ok(())
}

/// A session in a line: its id, how long ago something was said in it, what it is, and its link when it is shared.
fn line(session: &KnownSession) -> String {
    let age = session.updated_at.map_or_else(|| "-".to_owned(), age);
    let link = session.url.as_ref().map_or(String::new(), |url| format!("  {}", plain(url)));
    format!("{}  {age:>4}  {}{link}", plain(&session.session_id), described(session))
}

/// `publish FILE`
pub(super) fn publish(command: &Publish) -> Result<(), Box<dyn Error>> {
    let Publish { file, options, expires_in, sealing, start } = command;
    let mut terms = sealing.terms()?;
    if let Some(time) = expires_in {
        terms["expiresIn"] = json!(seconds(*time));
    }
    let publication = sources::publication(file)
        .map_err(|source| RelayCallError::NoFile { file: file.clone(), source })?
        .ok_or_else(|| RelayCallError::NoTranscript(file.clone()))?;
    let publish = async |relay: &RelayClient| {
        let Publication { session, bodies } = &publication;
        relay.publish(session, bodies, &terms).await
    };
    ask_or_start(options, start, publish, |answer| {
        say!("{}", plain(answer["url"].as_str().unwrap_or_default()));
    })?;
    Ok(())
}

/// `unshare SESSION`
pub(super) fn unshare(command: &OneSession) -> Result<(), RelayCallError> {
    let answer = ask(
        &command.options,
        async |relay| relay.unshare(&command.session).await,
        |answer| {
            if !is_under_way(answer) {
                say!("{} is no longer shared", plain(&command.session));
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
                say!("Nothing is shared.");
                return;
            }
            let width = shares.iter().map(|share| share.session_id.chars().count()).max().unwrap_or(0);
            for share in shares {
                let end = share.expires_at.map_or(String::new(), |end| format!("  ends in {}", until(end)));
                say!(
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
            say!("The relay runs. Sessions shared: {}. Items waiting to be sent: {pending}.", shares.len());
            for share in shares {
                let last = share
                    .last_sync
                    .map_or("nothing sent yet".into(), |at| format!("last sent {} ago", age(at)));
                say!(
                    "{}: {}, {} waiting, {last}",
                    plain(&share.session_id),
                    plain(&share.state),
                    share.pending
                );
                if share.set_aside > 0 {
                    say!("  {} items were given up: the server will not take them", share.set_aside);
                }
                if let Some(error) = share.last_error {
                    say!("  {}", plain(&error));
                }
            }
        },
    )?;
    Ok(())
}

/// Asks the relay, prints its answer, as JSON where that is wished for, and gives it.
pub(super) fn ask(
    options: &Options,
    question: impl AsyncFnOnce(&RelayClient) -> Result<Value, RelayCallError>,
    say: impl FnOnce(&Value),
) -> Result<Value, RelayCallError> {
    ask_of(options, async { RelayClient::new(&options.relay) }, question, say)
}

/// Asks the relay, which is started when there is none.
pub(super) fn ask_or_start(
    options: &Options,
    Start { no_start }: &Start,
    question: impl AsyncFnOnce(&RelayClient) -> Result<Value, RelayCallError>,
    say: impl FnOnce(&Value),
) -> Result<Value, RelayCallError> {
    ask_of(options, RelayClient::connect_or_start(&options.relay, !no_start), question, say)
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
        say!("{answer:#}");
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
