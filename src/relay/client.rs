//! The relay, as local programs speak to it: the commands, the MCP server and the demo.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_service::fn_service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::{Method, Uri, header};
use awc::{Client, Connector};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::{Token, whereabouts};
use crate::client::{KnownSession, SecretsError};
use crate::config::{LocalDir, NoHome};
use crate::protocol::Password;
use crate::redact::Known;
use crate::text::plain;

/// How long a link waits for what there is to be seen behind it.
const FIRST_SYNC: Duration = Duration::from_secs(5);

/// Where a relay listens that nobody told to listen elsewhere.
const DEFAULT: &str = "http://127.0.0.1:8091";

/// Creating a share waits for the server; everything else is local.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Where the relay is, and where its token stands.
#[derive(Debug, Clone, Args)]
pub(crate) struct RelayOptions {
    /// The relay: `http://ADDRESS:PORT` or `unix:PATH` [default: where the relay of the local directory says that it
    /// listens, else `http://127.0.0.1:8091`]
    #[arg(long, env = "BRUTUS_SHARE_RELAY", value_name = "URL")]
    relay: Option<String>,

    #[command(flatten)]
    local: LocalDir,
}

/// A relay that can be asked.
#[derive(Clone)]
pub(crate) struct RelayClient {
    client: Client,
    base: String,
    token: String,
}

/// Why a relay did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayCallError {
    /// There is no relay where it was looked for.
    #[error("no relay answers at {relay} ({reason}): start one with `brutus-share relay`")]
    NotRunning { relay: String, reason: String },
    /// None answers, and none could be started.
    #[error("no relay answers, and none can be started: {reason} (its log: {})", log.display())]
    NotStarted { log: PathBuf, reason: String },
    /// The token cannot be read.
    #[error("the relay's token cannot be read: {0} (has a relay been started with this --local-dir?)")]
    Token(#[from] SecretsError),
    /// No place for the token is known.
    #[error(transparent)]
    NoHome(#[from] NoHome),
    /// An unshare is stored, and the share server has not confirmed it yet.
    #[error(
        "nothing more of the session is sent, but its share server has not confirmed yet that the share is deleted: \
         the relay asks it until it has, and `brutus-share list` shows the share as `removing` until then"
    )]
    UnderWay,
    /// Secrets were found in a session, or in a file.
    #[error("{0} secrets are found: the list says which")]
    SecretsFound(usize),
    /// No session of the directory is known.
    #[error(
        "no session of an agent is known in {}: {}{known}",
        directory.display(),
        if known.is_empty() { "none is known anywhere" } else { "name one of these:\n" }
    )]
    NoSessionHere { directory: PathBuf, known: String },
    /// A file is no transcript of a known agent.
    #[error("{}: no transcript of an agent that is known here", .0.display())]
    NoTranscript(PathBuf),
    /// What was given, typed or read from standard input is not what is expected, or cannot be read.
    #[error("{0}")]
    Input(String),
    /// A file cannot be read.
    #[error("{}: {source}", file.display())]
    NoFile { file: PathBuf, source: std::io::Error },
    /// The relay refuses.
    #[error("{message}")]
    Refused { code: String, message: String },
}

impl RelayCallError {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning { .. } | Self::NotStarted { .. } => 3,
            // No relay has ever been there.
            Self::Token(SecretsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                3
            }
            Self::UnderWay => 6,
            Self::SecretsFound(_) => 5,
            Self::NoSessionHere { .. } => 4,
            Self::Refused { code, .. } if code == "not_shared" || code == "unknown_session" => 4,
            _ => 1,
        }
    }
}

/// A share, as the relay lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedShare {
    #[serde(rename = "sessionID")]
    pub(crate) session_id: String,
    pub(crate) url: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) pending: u64,
    pub(crate) last_sync: Option<i64>,
    pub(crate) state: String,
    pub(crate) last_error: Option<String>,
    pub(crate) set_aside: u64,
}

impl RelayOptions {
    /// Whether they say which relay.
    pub(super) fn is_named(&self) -> bool {
        self.relay.is_some()
    }

    /// The directory of the relay.
    pub(super) fn local(&self) -> &LocalDir {
        &self.local
    }
}

impl RelayClient {
    pub(crate) fn new(options: &RelayOptions) -> Result<Self, RelayCallError> {
        let dir = options.local.path()?;
        let token = Token::read(&dir)?;
        let relay = options.relay.clone().or_else(|| whereabouts::read(&dir));
        Ok(Self::at(relay.as_deref().unwrap_or(DEFAULT), &token))
    }

    /// The relay of the local directory, when it says where it listens.
    pub(crate) fn of_whereabouts(options: &RelayOptions) -> Option<Self> {
        let dir = options.local.path().ok()?;
        let relay = whereabouts::read(&dir)?;
        Some(Self::at(&relay, &Token::read(&dir).ok()?))
    }

    fn at(relay: &str, token: &Token) -> Self {
        let (client, base) = match relay.strip_prefix("unix:") {
            Some(path) => (unix_client(path.into()), "http://localhost".to_owned()),
            None => (Client::builder().timeout(TIMEOUT).finish(), relay.trim_end_matches('/').to_owned()),
        };
        Self { client, base, token: token.expose().to_owned() }
    }

    /// Whether it answers, and as a relay whose token this is.
    pub(super) async fn is_alive(&self) -> bool {
        self.list().await.is_ok()
    }

    /// Shares a session, for some seconds or as long as the server likes; gives its URL. One of which the relay knows
    /// nothing is shared only `from_now` on.
    pub(crate) async fn share(
        &self,
        session: &str,
        expires_in: Option<u64>,
        password: Option<&Password>,
        from_now: bool,
    ) -> Result<Value, RelayCallError> {
        let mut body = expires_in.map_or(json!({}), |seconds| json!({"expiresIn": seconds}));
        if let Some(password) = password {
            body["password"] = json!(password);
        }
        if from_now {
            body["empty"] = json!(true);
        }
        self.share_with(session, &body).await
    }

    /// Changes what readers of a share need, or when it ends.
    pub(crate) async fn amend(&self, id: &str, amendment: &Value) -> Result<Value, RelayCallError> {
        self.ask_with(Method::PATCH, &format!("/v1/shares/{}", escape(id)), Some(amendment)).await
    }

    /// The link to a session's share by which everything can be done with it.
    pub(crate) async fn owners_link(&self, session: &str) -> Result<Value, RelayCallError> {
        self.ask(Method::GET, &format!("/v1/sessions/{}/owner", escape(session))).await
    }

    /// Shares what these bodies of requests hold, one after the other, as one session, on the same `terms`.
    pub(crate) async fn publish(
        &self,
        session: &str,
        bodies: &[Value],
        terms: &Value,
    ) -> Result<Value, RelayCallError> {
        self.tell_secrets().await;
        let mut shared = Value::Null;
        for body in bodies {
            let mut body = body.clone();
            for (name, value) in terms.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            shared = self.ask_with(Method::POST, &share_of(session), Some(&body)).await?;
        }
        self.bring(session).await;
        Ok(shared)
    }

    /// Waits a little until the server has what was given: who opens the link at once shall see something. What cannot
    /// be brought there now goes later.
    async fn bring(&self, session: &str) {
        let flush = format!("/v1/sessions/{}/flush", escape(session));
        let _ = tokio::time::timeout(FIRST_SYNC, self.ask(Method::POST, &flush)).await;
    }

    pub(crate) async fn unshare(&self, session: &str) -> Result<Value, RelayCallError> {
        self.ask(Method::DELETE, &share_of(session)).await
    }

    /// Shares a session with its items so far, or brings its share up to date with them.
    pub(crate) async fn share_with(
        &self,
        session: &str,
        body: &impl Serialize,
    ) -> Result<Value, RelayCallError> {
        self.tell_secrets().await;
        let mut shared = self.ask_with(Method::POST, &share_of(session), Some(body)).await?;
        self.bring(session).await;
        // What was read and brought meanwhile counts too.
        if let Ok(listed) = self.redactions(session).await {
            shared["hidden"] = listed["hidden"].clone();
        }
        Ok(shared)
    }

    /// Gives messages of a session, and what else is said of it: the `whole` list, or what goes on behind it.
    pub(crate) async fn converse(
        &self,
        session: &str,
        body: &impl Serialize,
        whole: bool,
    ) -> Result<Value, RelayCallError> {
        let method = if whole { Method::PUT } else { Method::POST };
        self.ask_with(method, &format!("/v1/sessions/{}/messages", escape(session)), Some(body)).await
    }

    /// Says what a session's agent does.
    pub(crate) async fn tell(&self, session: &str, status: &Value) -> Result<Value, RelayCallError> {
        self.ask_with(Method::POST, &format!("/v1/sessions/{}/status", escape(session)), Some(status)).await
    }

    /// Reports an event, as an agent does, or several.
    pub(crate) async fn report(&self, event: &impl Serialize) -> Result<Value, RelayCallError> {
        self.ask_with(Method::POST, "/v1/events", Some(event)).await
    }

    /// What is hidden in a session, or would be if it were shared.
    pub(crate) async fn redactions(&self, session: &str) -> Result<Value, RelayCallError> {
        self.ask(Method::GET, &redactions_of(session)).await
    }

    /// What would be hidden in a file.
    pub(crate) async fn redactions_of_file(&self, file: &Path) -> Result<Value, RelayCallError> {
        self.ask_with(Method::POST, "/v1/redactions", Some(&json!({"file": file}))).await
    }

    /// Looks at all that a session's share has again, under the rules of today.
    pub(crate) async fn redact_again(&self, session: &str) -> Result<Value, RelayCallError> {
        self.ask(Method::POST, &redactions_of(session)).await
    }

    /// Tells the relay what this process knows to be secret: the relay may have been started elsewhere. One that does
    /// not take it has no use for it.
    async fn tell_secrets(&self) {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            Known::variable(&name, &value).map(|_| (name, value))
        });
        let secrets: BTreeMap<_, _> = variables.collect();
        if !secrets.is_empty() {
            let _ = self.ask_with(Method::PUT, "/v1/secrets", Some(&secrets)).await;
        }
    }

    /// The sessions that can be shared, the one that was talked of last first.
    pub(crate) async fn sessions(&self) -> Result<Vec<KnownSession>, RelayCallError> {
        let sessions = self.ask(Method::GET, "/v1/sessions").await?;
        Ok(serde_json::from_value(sessions).unwrap_or_default())
    }

    /// All shares, as JSON.
    pub(crate) async fn list(&self) -> Result<Value, RelayCallError> {
        self.ask(Method::GET, "/v1/shares").await
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Value, RelayCallError> {
        self.ask_with(method, path, None::<&Value>).await
    }

    async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value, RelayCallError> {
        let not_running = |reason: String| RelayCallError::NotRunning { relay: self.base.clone(), reason };
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .insert_header((header::AUTHORIZATION, format!("Bearer {}", self.token)));
        let sent = match body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let mut answer = sent.map_err(|error| not_running(error.to_string()))?;
        let body = answer.body().limit(64 << 20).await.map_err(|error| not_running(error.to_string()))?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(json);
        }
        let field = |name: &str| json["error"][name].as_str().map(ToOwned::to_owned);
        Err(RelayCallError::Refused {
            code: field("code").unwrap_or_default(),
            message: field("message").unwrap_or_else(|| format!("the relay answers {}", answer.status())),
        })
    }
}

fn unix_client(path: PathBuf) -> Client {
    let connect = fn_service(move |request: ConnectInfo<Uri>| {
        let path = path.clone();
        async move {
            let stream = UnixStream::connect(path).await.map_err(ConnectError::Io)?;
            Ok::<_, ConnectError>(Connection::new(request.request().clone(), stream))
        }
    });
    Client::builder().connector(Connector::new().connector(connect)).timeout(TIMEOUT).finish()
}

fn share_of(session: &str) -> String {
    format!("/v1/sessions/{}/share", escape(session))
}

/// What a share hides, by its kinds; `None` when that is nothing.
pub(crate) fn hidden(answer: &Value) -> Option<String> {
    let hidden = answer["hidden"].as_object().filter(|hidden| !hidden.is_empty())?;
    let kinds: Vec<_> = hidden.iter().map(|(kind, count)| format!("{count} {}", plain(kind))).collect();
    Some(kinds.join(", "))
}

fn redactions_of(session: &str) -> String {
    format!("/v1/sessions/{}/redactions", escape(session))
}

/// A session's id as one piece of a path.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}
