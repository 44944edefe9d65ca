//! The share server, as this client speaks to it: OpenCode's wire. No error here repeats a URL or a body: they hold ids
//! and secrets.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::error::ParseError;
use actix_web::web::Bytes;
use awc::error::{ConnectError, SendRequestError};
use awc::http::{Method, Uri, header};
use awc::{Client, Connector};
use rustls::ClientConfig;
use serde::Serialize;

use super::answer::{Answer, Later, Outcome};
use super::awake::Suspends;
use super::proxy::Proxies;
use super::spool::Waiting;
use super::upload::{self, Connect};
use super::{ClientError, Config, CreateToken, Pairing, StartError};
use crate::config::{OWN_SERVER, is_in_clear};
use crate::discovery::Fingerprint;
use crate::protocol::{CreateRequest, Created, SyncBody, WireItem};

/// An answer larger than this is none of a share server's, in bytes.
pub(super) const MAX_ANSWER: usize = 64 << 10;

/// Most bytes of a whole share.
const MAX_SHARE: usize = 1 << 30;

/// How long a connection waits for its next request: from one batch of a session at work to the next. Routers and
/// proxies forget silent connections, some without a word, and then nothing would tell that no answer comes.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// How long a connection may take, with a proxy's part in it; TLS may take as much again.
const CONNECT: Duration = Duration::from_secs(10);

/// Requests to share servers.
#[derive(Clone)]
pub(super) struct Transport {
    network: Network,
    /// The client, with its pool of connections; the others are taken away from it when they have to be thought dead.
    client: Rc<RefCell<Client>>,
    suspends: Rc<Suspends>,
    api_url: Option<String>,
    insecure_http: bool,
    create_token: Option<CreateToken>,
    /// Where the pairing is.
    pub(super) local_dir: PathBuf,
    /// Where servers were found, by their keys, that are not where they were.
    pub(super) moved: Rc<RefCell<HashMap<Fingerprint, String>>>,
    /// When one was sought last.
    pub(super) sought: Rc<Cell<Option<Instant>>>,
}

/// A share server.
#[derive(Clone)]
pub(super) struct Place {
    /// What `/api/share` is appended to.
    pub(super) url: String,
    /// The key that it has to prove before anything is sent to it; then the URL says only where it was.
    pub(super) key: Option<Fingerprint>,
}

/// A share on the server that made it, and what lets its client change it there.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) server: Place,
    pub(super) id: String,
    pub(super) secret: String,
}

/// How servers are reached.
#[derive(Clone)]
struct Network {
    proxies: Proxies,
    tls: Arc<ClientConfig>,
    timeout: Duration,
}

/// There was no answer.
pub(super) struct Failed {
    pub(super) reason: String,
    /// Whether there was a connection and nothing of an answer came on it: it may have been dead for long.
    silent: bool,
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self { reason, silent: false }
    }
}

impl Network {
    /// What connects.
    fn connector(&self) -> impl Connect {
        upload::connector(self.proxies.clone(), self.tls.clone())
    }

    /// A client with a pool of its own.
    fn client(&self) -> Client {
        self.client_by(self.connector())
    }

    fn client_by(&self, connect: impl Connect) -> Client {
        let connector = Connector::new()
            .connector(connect)
            .rustls_0_23(self.tls.clone())
            .timeout(CONNECT)
            .handshake_timeout(CONNECT)
            .conn_keep_alive(KEEP_ALIVE);
        Client::builder().connector(connector).timeout(self.timeout).disable_redirects().finish()
    }
}

impl Transport {
    /// # Errors
    /// When certificates cannot be checked as the configuration says, or the proxy on the way cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        if let Some(Ok(url)) = config.api_url.as_ref().map(|url| url.parse())
            && let Some(proxy) = config.proxies.of(&url)?
        {
            tracing::info!(%proxy, "the share server is reached through a proxy");
        }
        let is_https = config.api_url.as_ref().is_some_and(|url| url.starts_with("https:"));
        let tls = crate::trust::client_config(config.ca_file.as_deref(), is_https)?;
        let network = Network { proxies: config.proxies.clone(), tls, timeout: config.timeout };
        Ok(Self {
            client: Rc::new(RefCell::new(network.client())),
            network,
            suspends: Rc::new(Suspends::new()),
            api_url: config.api_url.clone(),
            insecure_http: config.insecure_http,
            create_token: config.create_token.clone(),
            local_dir: config.local_dir.clone(),
            moved: Rc::default(),
            sought: Rc::default(),
        })
    }

    /// Creates a share on the configured server, else on the one that is paired, else on this machine's own; it ends by
    /// itself after its lifetime if one is given. Gives where it is, too.
    pub(super) async fn create(
        &self,
        session_id: &str,
        lifetime: Option<Duration>,
    ) -> Result<(Created, Place), ClientError> {
        let pairing = match &self.api_url {
            Some(_) => None,
            None => {
                Pairing::read(&self.local_dir).map_err(|error| ClientError::Unreachable(error.to_string()))?
            }
        };
        let place = match (&self.api_url, pairing) {
            (Some(url), _) => Place { url: url.clone(), key: None },
            (None, Some(Pairing { url, fingerprint, .. })) => Place { url, key: Some(fingerprint) },
            (None, None) => Place { url: OWN_SERVER.to_owned(), key: None },
        };
        let is_nobodys = self.api_url.is_none() && place.key.is_none();
        let unreachable = async |reason: String| {
            ClientError::Unreachable(if is_nobodys {
                format!("{OWN_SERVER}: {reason}. {}", self.whom_to_pair().await)
            } else {
                reason
            })
        };
        let expires_in = lifetime.map(|lifetime| lifetime.as_secs().max(1));
        let body =
            CreateRequest { session_id: session_id.to_owned(), expires_in, password: None, sealed: None };
        let answer = match self.send(Method::POST, &place, "/api/share", &body).await {
            Ok(answer) => answer,
            Err(reason) => return Err(unreachable(reason).await),
        };
        if answer.asks_for_token() {
            return Err(ClientError::Unreachable(
                "creating shares there needs a token that its operator gives out (create_token_file)".into(),
            ));
        }
        match answer.created() {
            Ok(created) => Ok((created, place)),
            Err(Later { reason, after: Some(_) }) => Err(ClientError::ServerBusy(reason)),
            Err(Later { reason, after: None }) => Err(unreachable(reason).await),
        }
    }

    /// Sends a batch to the share's own server.
    pub(super) async fn sync(&self, share: &Target, batch: &[Waiting]) -> Outcome {
        let items: Vec<_> = batch.iter().map(Waiting::wire).collect();
        let data = items.iter().map(|(kind, data)| WireItem { key: None, n: None, kind, data }).collect();
        let (path, body) =
            (format!("/api/share/{}/sync", share.id), SyncBody { secret: &share.secret, data });
        match self.send(Method::POST, &share.server, &path, &body).await {
            Ok(answer) => answer.synced(),
            Err(reason) => Outcome::Retry(Later { reason, after: None }),
        }
    }

    /// All that a share's own server has of it, as JSON: a list of items.
    pub(super) async fn data(&self, share: &Target) -> Result<Vec<u8>, Later> {
        let path = format!("/api/share/{}/data", share.id);
        let answer = self.ask(Method::GET, &share.server, &path, &(), MAX_SHARE).await;
        answer.map_err(|reason| Later { reason, after: None })?.data()
    }

    /// Deletes a share on its own server.
    pub(super) async fn delete(&self, share: &Target) -> Result<(), Later> {
        let (path, body) = (format!("/api/share/{}", share.id), serde_json::json!({"secret": share.secret}));
        let answer = self.send(Method::DELETE, &share.server, &path, &body).await;
        answer.map_err(|reason| Later { reason, after: None })?.deleted()
    }

    /// One request, and its whole answer, which is short.
    async fn send(
        &self,
        method: Method,
        server: &Place,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, String> {
        self.ask(method, server, path, body, MAX_ANSWER).await
    }

    /// One request, and its whole answer of at most `max` bytes. A redirect is followed once, and only where a secret
    /// may go.
    async fn ask(
        &self,
        method: Method,
        server: &Place,
        path: &str,
        body: &impl Serialize,
        max: usize,
    ) -> Result<Answer, String> {
        let key = server.key.as_ref();
        let body = serde_json::to_vec(body).map_err(|_| "the request cannot be written as JSON")?;
        let (server, body) = (server.url.trim_end_matches('/'), Bytes::from(body));
        let creates = path == "/api/share";
        let token = self.create_token.as_ref().filter(|_| creates);
        if let Some(key) = key {
            // On the connection on which the key was proved, and nowhere else: no other try, no redirect.
            let (client, server) = self.proved(key, server).await?;
            let answer = self.send_once(&client, method, &format!("{server}{path}"), token, body, max).await;
            return answer.map_err(|failed| failed.reason);
        }
        // A share may be of a time when this was accepted.
        if !self.insecure_http && is_in_clear(server) {
            const IN_CLEAR: &str = "it is http:// to another machine, and the secret would go over the network in \
                                    clear: the relay's --insecure-http accepts that";
            return Err(IN_CLEAR.into());
        }
        let url = format!("{server}{path}");
        let attempt = async |method, url: &str| {
            if creates {
                // Not repeated, for each may make a share: so on a connection that nobody can have forgotten.
                return self.send_once(&self.network.client(), method, url, token, body.clone(), max).await;
            }
            self.send_alive(method, url, body.clone(), max).await
        };
        let answer = attempt(method.clone(), &url).await;
        let answer = answer.map_err(|failed| failed.reason)?;
        match answer.secure_redirect(&url) {
            Some(secure) => attempt(method, &secure).await.map_err(|failed| failed.reason),
            None => Ok(answer),
        }
    }

    /// A request that may be repeated: at once on a new connection, when it met one of the pool that had died.
    async fn send_alive(&self, method: Method, url: &str, body: Bytes, max: usize) -> Result<Answer, Failed> {
        if self.suspends.look().is_some() {
            self.forget_connections();
        }
        let client = self.client.borrow().clone();
        match self.send_once(&client, method.clone(), url, None, body.clone(), max).await {
            Err(Failed { reason, silent: true }) => {
                tracing::debug!(%reason, "a connection has died: trying a new one");
                self.forget_connections();
                let client = self.client.borrow().clone();
                self.send_once(&client, method, url, None, body, max).await
            }
            answered => answered,
        }
    }

    /// A client that connects once: all that it sends goes over one connection, or not at all.
    pub(super) fn of_one_connection(&self) -> Client {
        self.network.client_by(upload::once(self.network.connector()))
    }

    /// What died took the others with it, or will soon.
    fn forget_connections(&self) {
        *self.client.borrow_mut() = self.network.client();
    }

    /// An answer is read to its end, so that its connection is used again.
    pub(super) async fn send_once(
        &self,
        client: &Client,
        method: Method,
        url: &str,
        token: Option<&CreateToken>,
        body: Bytes,
        max: usize,
    ) -> Result<Answer, Failed> {
        let url: Uri = url.parse().map_err(|_| "its URL cannot be read".to_owned())?;
        let plain = url.scheme_str() == Some("http");
        let proxy =
            if plain { self.network.proxies.of(&url).map_err(|error| error.to_string())? } else { None };
        let mut request = match proxy {
            Some(proxy) => {
                let to =
                    proxy.forwarding(&url).ok_or_else(|| "its URL cannot be sent to a proxy".to_owned())?;
                let mut request = client.request(method, to);
                if let Some(authority) = url.authority() {
                    request = request.insert_header((header::HOST, authority.as_str()));
                }
                match proxy.authorization() {
                    Some(value) => request.insert_header((header::PROXY_AUTHORIZATION, value.clone())),
                    None => request,
                }
            }
            None => client.request(method, url),
        };
        request = request.content_type("application/json").no_decompress();
        if let Some(CreateToken(token)) = token {
            request = request.bearer_auth(token);
        }
        let mut response = request
            .send_body(body)
            .await
            .map_err(|error| Failed { reason: error.to_string(), silent: is_silent(&error) })?;
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = text(header::RETRY_AFTER).and_then(|after| after.parse().ok());
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        let location = text(header::LOCATION).map(ToOwned::to_owned);
        let body = response.body().limit(max).await;
        let cut = "its answer was cut short, or is longer than a share server's";
        let body = body.map_err(|_| cut.to_owned())?.to_vec();
        // awc takes the end of the connection for the end of the body.
        if length.is_some_and(|length| length != body.len()) {
            return Err("its answer was cut short".to_owned().into());
        }
        Ok(Answer {
            status: response.status(),
            retry_after: retry_after.map(Duration::from_secs),
            location,
            body,
        })
    }
}

/// Whether an error says that a connection ended and nothing of an answer had come.
fn is_silent(error: &SendRequestError) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable, NotConnected,
        TimedOut, UnexpectedEof,
    };
    let ended = |error: &io::Error| {
        matches!(
            error.kind(),
            BrokenPipe
                | ConnectionAborted
                | ConnectionReset
                | HostUnreachable
                | NetworkUnreachable
                | NotConnected
                | TimedOut
                | UnexpectedEof
        )
    };
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => true,
        SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => ended(error),
        _ => false,
    }
}
