//! Connections to the database: who it is, streams, and what it means when one fails.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Payload;
use actix_http::encoding::Decoder;
use awc::error::{ConnectError, SendRequestError};
use awc::http::{StatusCode, header};
use awc::{Client, ClientResponse, Connector};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

use super::LibsqlError;
use super::hrana::{
    Answer, Answered, Batch, BatchResult, Cursor, Entry, Error, Opened, Pipeline, Request, StepResult,
    Unreadable, Value,
};
use crate::config::{is_in_clear, origin};
use crate::store::StoreError;
use crate::trust;

/// How long connecting may take; TLS may take as much again.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection that nobody uses is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long a short one may take.
const LOOKUP_WITHIN: Duration = Duration::from_secs(10);

/// How long a write may take.
const WRITE_WITHIN: Duration = Duration::from_secs(20);

/// How long a load may take.
const LOAD_WITHIN: Duration = Duration::from_secs(120);

/// How long a turn is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// Short reads that run at once.
const LOOKUPS: usize = 4;

/// Shares that are loaded at once. Each may take seconds, and all of its content in memory.
const LOADS: usize = 4;

/// How often it is tried to write while another process does, and how much longer is waited each time.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Most bytes of an answer that comes at once, and of a line of one that comes in lines.
const MAX_ANSWER: usize = 64 << 20;

/// Most characters of what a database says that are told.
const MAX_MESSAGE: usize = 200;

/// An answer that comes.
type Body = ClientResponse<Decoder<Payload>>;

/// How the database is reached.
#[derive(Clone)]
pub(super) struct Database {
    /// Without a slash at its end.
    url: String,
    /// What it wants to see, when it wants to see something.
    authorization: Option<String>,
    tls: Arc<ClientConfig>,
}

impl Database {
    /// Reads a URL: `libsql+http://HOST:PORT?authToken=TOKEN`. Nothing that is said of it shows it: it has a token.
    pub(super) fn new(url: &str) -> Result<Self, LibsqlError> {
        let refused = |reason: &str| LibsqlError::Url(reason.to_owned());
        let url = url.strip_prefix("libsql+").unwrap_or(url);
        let (address, options) = url.split_once('?').unwrap_or((url, ""));
        if address.contains(['@', '#']) {
            return Err(refused(
                "it has more than a scheme, a host, a port and a path; a token is `authToken`",
            ));
        }
        let mut token = None;
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let Some(("authToken", value)) = option.split_once('=') else {
                return Err(refused("it has another option than `authToken`"));
            };
            let value = percent_decode_str(value).decode_utf8().ok();
            let value = value.filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()));
            token = Some(value.ok_or_else(|| refused("its authToken is none"))?.into_owned());
        }
        let url = address.trim_end_matches('/').to_owned();
        if url.parse::<awc::http::Uri>().ok().is_none_or(|uri| uri.host().is_none_or(str::is_empty)) {
            return Err(refused("it has no host"));
        }
        if is_in_clear(&url) {
            tracing::warn!("libsql+http: sessions go to the database over the network in clear");
        }
        let tls = trust::client_config(None, url.starts_with("https://"))?;
        Ok(Self { url, authorization: token.map(|token| format!("Bearer {token}")), tls })
    }

    /// Where it is.
    pub(super) fn place(&self) -> String {
        origin(&self.url)
    }
}

/// Why something was not done.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// There was no connection.
    Unreachable(String),
    /// It was refused before anything was done: the token, the request as such.
    Denied(String),
    /// Another writes, and went on doing so.
    Busy,
    /// A rule of the tables stands against it. Nothing was done.
    Constraint,
    /// The database's word. Nothing was done.
    Refused(String),
    /// It was sent, and is done, or will be, or not.
    Unknown(String),
}

impl Failure {
    /// What the store says of it.
    pub(super) fn told(self) -> StoreError {
        match self {
            Self::Busy => StoreError::Busy,
            Self::Unreachable(reason) => {
                tracing::warn!(reason, "cannot connect to the database");
                StoreError::Unavailable
            }
            Self::Denied(reason) | Self::Refused(reason) => {
                tracing::error!(reason, "the database refuses");
                StoreError::Unavailable
            }
            Self::Constraint => {
                tracing::error!("the database refuses: a constraint");
                StoreError::Unavailable
            }
            Self::Unknown(reason) => {
                tracing::warn!(reason, "a connection to the database broke");
                StoreError::Unknown
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy => f.write_str("another process writes"),
            Self::Constraint => f.write_str("a constraint failed"),
            Self::Unreachable(reason)
            | Self::Denied(reason)
            | Self::Refused(reason)
            | Self::Unknown(reason) => f.write_str(reason),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = error.code.as_deref().unwrap_or_default();
        if code.starts_with("SQLITE_BUSY") || code.starts_with("SQLITE_LOCKED") || code == "TRANSACTION_BUSY"
        {
            Self::Busy
        } else if code.starts_with("SQLITE_CONSTRAINT") {
            Self::Constraint
        } else {
            Self::Refused(format!("{} {code}", shortened(&error.message)))
        }
    }
}

impl From<diesel::result::Error> for Failure {
    /// What is wrong with a record that was read.
    fn from(error: diesel::result::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::Refused(error.to_string())
    }
}

/// A stream at the server. It ends there when it was not used for some seconds; so another one takes its place when a
/// request on it is refused.
#[derive(Default)]
struct Stream {
    baton: Option<String>,
}

/// What speaks to the database, on the thread on which it was made. Clones are of the same.
#[derive(Clone)]
pub(super) struct Link(Rc<Inner>);

struct Inner {
    client: Client,
    database: Database,
    /// One request that writes is under way: with several, sqld makes each wait for the lock of all others.
    writer: Mutex<Stream>,
    lookups: Semaphore,
    loads: Semaphore,
    /// Streams of reads that nobody uses now.
    idle: RefCell<Vec<Stream>>,
}

impl Link {
    pub(super) fn new(database: Database) -> Self {
        let connector = Connector::new()
            .rustls_0_23(database.tls.clone())
            .timeout(CONNECT_WITHIN)
            .handshake_timeout(CONNECT_WITHIN)
            .conn_keep_alive(KEEP_ALIVE);
        let client = Client::builder().connector(connector).disable_redirects().finish();
        Self(Rc::new(Inner {
            client,
            database,
            writer: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
            loads: Semaphore::new(LOADS),
            idle: RefCell::default(),
        }))
    }

    /// Runs a short batch that only reads; what its statements have given. Another try when the connection broke: it
    /// may have been broken since it was last used.
    pub(super) async fn read(&self, batch: &Batch<'_>) -> Result<Vec<StepResult>, Failure> {
        let _turn = turn(&self.0.lookups).await?;
        let mut stream = self.idle();
        let answer = match self.batch(&mut stream, batch, LOOKUP_WITHIN).await {
            Err(Failure::Unknown(_)) => self.batch(&mut stream, batch, LOOKUP_WITHIN).await,
            answer => answer,
        };
        self.0.idle.borrow_mut().push(stream);
        answer
    }

    /// Runs a batch that writes, when its turn has come; what its statements have given. While another process writes
    /// it is tried again, within bounds.
    pub(super) async fn write(&self, batch: &Batch<'_>) -> Result<Vec<StepResult>, Failure> {
        let mut stream = timeout(WAIT, self.0.writer.lock()).await.map_err(|_| Failure::Busy)?;
        for tried in 1..BUSY_TRIES {
            match self.batch(&mut stream, batch, WRITE_WITHIN).await {
                Err(Failure::Busy) => sleep(BUSY_PAUSE * tried).await,
                answer => return answer,
            }
        }
        self.batch(&mut stream, batch, WRITE_WITHIN).await
    }

    /// `write` for what may be done twice: another try when the connection broke.
    pub(super) async fn write_again(&self, batch: &Batch<'_>) -> Result<Vec<StepResult>, Failure> {
        match self.write(batch).await {
            Err(Failure::Unknown(_)) => self.write(batch).await,
            answer => answer,
        }
    }

    /// Runs statements with semicolons between them, up to the first that fails, and undoes what that left open.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Failure> {
        let requests = [Request::Sequence { sql }, Request::Close];
        let answer = self.pipeline(&mut Stream::default(), &requests, LOAD_WITHIN).await?;
        match answer.into_iter().next() {
            Some(Answered::Ok { .. }) => Ok(()),
            Some(Answered::Error { error }) => Err(error.into()),
            None => Err(nonsense()),
        }
    }

    /// Runs a transaction that only reads, and gathers its rows, each with the place of its statement: as many and as
    /// large ones as there are, which an answer that comes at once could not hold. Another try when the connection
    /// broke.
    pub(super) async fn rows<T: Default>(
        &self,
        batch: &Batch<'_>,
        gather: impl Fn(&mut T, usize, Vec<Value>) -> Result<(), Failure>,
    ) -> Result<T, Failure> {
        let _turn = turn(&self.0.loads).await?;
        let mut stream = self.idle();
        let mut tried = false;
        loop {
            let mut gathered = T::default();
            let row = |nth, values| gather(&mut gathered, nth, values);
            let read = timeout(LOAD_WITHIN, self.cursor(&mut stream, batch, row)).await;
            match read.unwrap_or_else(|_| Err(silent())) {
                Ok(()) => {
                    self.0.idle.borrow_mut().push(stream);
                    return Ok(gathered);
                }
                Err(Failure::Unknown(_)) if !std::mem::replace(&mut tried, true) => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    fn idle(&self) -> Stream {
        self.0.idle.borrow_mut().pop().unwrap_or_default()
    }

    async fn batch(
        &self,
        stream: &mut Stream,
        batch: &Batch<'_>,
        within: Duration,
    ) -> Result<Vec<StepResult>, Failure> {
        let answer = self.pipeline(stream, &[Request::Batch { batch }], within).await?;
        match answer.into_iter().next() {
            Some(Answered::Ok { response }) => results(batch, response.result.ok_or_else(nonsense)?),
            Some(Answered::Error { error }) => Err(error.into()),
            None => Err(nonsense()),
        }
    }

    async fn pipeline(
        &self,
        stream: &mut Stream,
        requests: &[Request<'_>],
        within: Duration,
    ) -> Result<Vec<Answered>, Failure> {
        let mut baton = stream.baton.take();
        loop {
            let pipeline = Pipeline { baton: baton.as_deref(), requests };
            let answer = async {
                let mut answer = self.post("pipeline", &pipeline, within).await?;
                answer.body().limit(MAX_ANSWER).await.map_err(|error| broken(&error))
            };
            let answer = timeout(within, answer).await.unwrap_or_else(|_| Err(silent()));
            match answer {
                // The stream is there no more: it has expired, or the server is another one.
                Err(Failure::Denied(_)) if baton.take().is_some() => {}
                Err(failure) => return Err(failure),
                Ok(body) => {
                    let Answer { baton, results } = serde_json::from_slice(&body).map_err(|_| nonsense())?;
                    stream.baton = baton;
                    return Ok(results);
                }
            }
        }
    }

    async fn cursor(
        &self,
        stream: &mut Stream,
        batch: &Batch<'_>,
        mut row: impl FnMut(usize, Vec<Value>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut baton = stream.baton.take();
        let body = loop {
            match self.post("cursor", &Cursor { baton: baton.as_deref(), batch }, LOAD_WITHIN).await {
                Err(Failure::Denied(_)) if baton.take().is_some() => {}
                answer => break answer?,
            }
        };
        let mut lines = Lines::new(body);
        let Some(first) = lines.next().await? else { return Err(nonsense()) };
        let Opened { baton } = serde_json::from_slice(&first).map_err(|_| nonsense())?;
        let mut nth = 0;
        while let Some(line) = lines.next().await? {
            match serde_json::from_slice(&line).map_err(|_| nonsense())? {
                Entry::StepBegin { step } => nth = step,
                Entry::Row { row: values } => row(nth, values)?,
                Entry::StepError { error } | Entry::Error { error } => return Err(error.into()),
                Entry::StepEnd | Entry::Other => {}
            }
        }
        // An answer that was cut off looks like the end of one.
        if nth < batch.done_at() {
            return Err(nonsense());
        }
        stream.baton = baton;
        Ok(())
    }

    async fn post(&self, to: &str, body: &impl Serialize, within: Duration) -> Result<Body, Failure> {
        let Database { url, authorization, .. } = &self.0.database;
        let body = serde_json::to_vec(body).map_err(|error| Failure::Denied(error.to_string()))?;
        let mut request = self.0.client.post(format!("{url}/v3/{to}")).timeout(within).no_decompress();
        request = request.content_type("application/json");
        if let Some(authorization) = authorization {
            request = request.insert_header((header::AUTHORIZATION, &**authorization));
        }
        let mut answer = request.send_body(body).await.map_err(|error| match error {
            // It was connected, and ended before it answered.
            SendRequestError::Connect(ConnectError::Disconnected) => {
                Failure::Unknown("it has hung up".into())
            }
            SendRequestError::Connect(error) => Failure::Unreachable(reason(&error)),
            SendRequestError::Url(error) => Failure::Denied(error.to_string()),
            error => broken(&error),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let said = timeout(within, answer.body().limit(MAX_ANSWER)).await.ok().and_then(Result::ok);
        let error: Option<Error> = said.and_then(|said| serde_json::from_slice(&said).ok());
        let code = error.and_then(|error| error.code).unwrap_or_default();
        let said = format!("HTTP {status} {}", shortened(&code));
        // These are said before anything is done. Of others, as of what stands in between, nobody knows.
        let before = [
            StatusCode::BAD_REQUEST,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        let denied = before.contains(&status) || code == "STREAM_EXPIRED";
        Err(if denied { Failure::Denied(said) } else { Failure::Unknown(said) })
    }
}

/// What the statements of a batch have given, when it was done: its last statement, or that which commits.
fn results(batch: &Batch<'_>, result: BatchResult) -> Result<Vec<StepResult>, Failure> {
    let BatchResult { step_results, step_errors } = result;
    if step_results.get(batch.done_at()).is_some_and(Option::is_some) {
        return Ok(step_results.into_iter().map(Option::unwrap_or_default).collect());
    }
    Err(step_errors.into_iter().flatten().next().map_or_else(nonsense, Failure::from))
}

async fn turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    // It is never closed.
    timeout(WAIT, turns.acquire()).await.ok().and_then(Result::ok).ok_or(Failure::Busy)
}

/// The lines of a body, one by one.
struct Lines {
    body: Body,
    /// What has come and not been given.
    come: Vec<u8>,
    /// How much of it has been looked through.
    looked: usize,
    /// How much of it has been given.
    given: usize,
}

impl Lines {
    fn new(body: Body) -> Self {
        Self { body, come: Vec::new(), looked: 0, given: 0 }
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.come[self.looked..]) {
                let line = self.come[self.given..self.looked + at].to_vec();
                self.looked += at + 1;
                self.given = self.looked;
                return Ok(Some(line));
            }
            self.come.drain(..self.given);
            (self.given, self.looked) = (0, self.come.len());
            if self.come.len() > MAX_ANSWER {
                return Err(nonsense());
            }
            match self.body.next().await {
                Some(piece) => self.come.extend_from_slice(&piece.map_err(|error| broken(&error))?),
                None if self.come.is_empty() => return Ok(None),
                None => return Err(nonsense()),
            }
        }
    }
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::Unknown(reason(error))
}

fn silent() -> Failure {
    Failure::Unknown("it does not answer".into())
}

fn nonsense() -> Failure {
    Failure::Unknown("its answer cannot be read".into())
}

/// An error with what caused it.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The beginning of what a database says.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
