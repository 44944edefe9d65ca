//! What can go wrong with a request, in one table: variant, code, HTTP status, message.
//!
//! A message says what was wrong and what is expected. It never repeats what the client sent: a mistyped
//! secret would be in it.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, Resource, ResponseError, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::memory::TooMuchAtOnce;
use crate::metrics::METRICS;
use crate::protocol::Malformed;

/// A refused request. Every variant has a stable code, which clients may match on, and a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not JSON, or a field is missing or has the wrong type.
    #[error("{0}")]
    Malformed(String),
    /// A request that has to be a WebSocket upgrade and is not.
    #[error("this address speaks WebSocket: send a GET with `Upgrade: websocket` ({0})")]
    NotAnUpgrade(String),
    /// The secret is not the one that was given out when the share was created.
    #[error("wrong secret for this share")]
    WrongSecret,
    /// Readers of this share need more than its link.
    #[error(
        "readers of this session need its password, or what its phrase comes to: send `Authorization: Basic` with any \
         name, or `Bearer`, or open it first"
    )]
    PasswordNeeded {
        /// Whether a browser is to ask for it by itself.
        ask: bool,
    },
    /// The password, or what was shown in its place, is another.
    #[error("wrong password for this session")]
    WrongPassword {
        /// Whether a browser is to ask for it by itself.
        ask: bool,
    },
    /// Too many tries failed, of this address or of this share.
    #[error("too many wrong passwords: wait {} s", .retry_after.as_secs())]
    TooManyTries {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// The share has another lock than the one by which a reader was let in: it is to be let in again.
    #[error("what readers of this session need was changed just now: try again")]
    Relocked,
    /// Only the share's readers can open it: the server has nothing to show.
    #[error(
        "this session is encrypted, and the server cannot open it: run `brutus-share read LINK`, with the whole link"
    )]
    Sealed,
    /// Sealed items belong into sealed shares, and no others do.
    #[error(
        "data[{index}]: a sealed share takes `sealed` and `sealed.removed` alone, and no other share does"
    )]
    SealedMismatch {
        /// The item's place in the batch.
        index: usize,
    },
    /// The share does not exist, was deleted, or has expired.
    #[error("no such share: it never existed, or it was deleted")]
    NoSuchShare,
    /// Nothing lives at this path.
    #[error("nothing lives at this path")]
    NoSuchPath,
    /// A format that answers cannot have.
    #[error("there is no other format than `json`")]
    UnknownFormat,
    /// The path is known, the method is not.
    #[error("method not allowed here: use {0}")]
    MethodNotAllowed(Cow<'static, str>),
    /// The client took too long to send its body.
    #[error("the request's body did not arrive in time")]
    BodyTimeout,
    /// The connection ended before the announced body was there.
    #[error("the request's body ended before its announced length")]
    BodyIncomplete,
    /// The body is larger than `max_body`.
    #[error("the body is larger than {max} bytes (max_body)")]
    BodyTooLarge {
        /// The limit, in bytes.
        max: u64,
    },
    /// One item is larger than `max_item`.
    #[error("data[{index}] is larger than {max} bytes (max_item)")]
    ItemTooLarge {
        /// The item's place in the batch.
        index: usize,
        /// The limit, in bytes.
        max: u64,
    },
    /// The share would grow over `max_share`.
    #[error("the share would grow over {max} bytes (max_share)")]
    ShareTooLarge {
        /// The limit, in bytes.
        max: u64,
    },
    /// The share would hold more than `max_items` items.
    #[error("the share would hold more than {max} items (max_items)")]
    TooManyItems {
        /// The limit.
        max: u64,
    },
    /// Requests under way hold all the memory that there is for them (`max_memory`).
    #[error(
        "the requests under way hold all the memory that there is for them (max_memory): try again shortly"
    )]
    TooMuchAtOnce,
    /// This address has too many connections or requests under way.
    #[error("this address has too much under way at once: wait {} s", .retry_after.as_secs())]
    TooManyRequests {
        /// When to come back.
        retry_after: Duration,
    },
    /// This address created too many shares (`create_limit`).
    #[error("too many shares were created from this address: wait {} s", .retry_after.as_secs())]
    TooManyCreates {
        /// When the next one will be accepted.
        retry_after: Duration,
    },
    /// Only who has a token may create shares here (`create_tokens`).
    #[error(
        "creating shares here needs a token: send `Authorization: Bearer` with one that its operator gave out, or put \
         `/t/TOKEN` before `/api`"
    )]
    WrongCreateToken,
    /// The token has as many shares as it may have.
    #[error("there are as many shares of this token as there may be: delete some")]
    TooManyShares,
    /// There is no room for more content.
    #[error("{0}: deleting and reading go on, try again later")]
    StorageFull(&'static str),
    /// The share has `max_viewers` viewers.
    #[error("this share has as many viewers as it may have (max_viewers)")]
    TooManyViewers,
    /// This address has `max_viewers_per_address` viewers.
    #[error("this address has as many viewers as it may have (max_viewers_per_address)")]
    TooManyViewersHere,
    /// More syncs wait for the disk than the server is willing to hold.
    #[error("the store is behind: try again shortly")]
    Busy,
    /// The relay was asked without its token.
    #[error(
        "the token is missing or wrong: send `Authorization: Bearer` with the text of `token` in the relay's local_dir"
    )]
    WrongToken,
    /// The relay was asked by a web page, or by a name that is not this machine's.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Sharing is switched off in the relay's configuration.
    #[error("{0}")]
    Disabled(String),
    /// The session is not shared.
    #[error("this session is not shared")]
    NotShared,
    /// The relay knows nothing of the session that it shall share.
    #[error("{message}")]
    UnknownSession {
        /// What can be done.
        message: String,
        /// The sessions that are known.
        sessions: serde_json::Value,
    },
    /// The share server does not do what the relay asked.
    #[error("{0}")]
    Upstream(String),
    /// The share server asked the relay to wait.
    #[error("{0}")]
    UpstreamBusy(String),
    /// Not all that the relay accepted of a session is on the share server.
    #[error("{pending} items wait to be sent, and go on waiting: {reason}")]
    NotFlushed {
        /// Items that wait.
        pending: u64,
        /// Why they do.
        reason: String,
    },
    /// The share has ended on the server.
    #[error("{0}")]
    Ended(String),
    /// The relay has no room for more.
    #[error("{0}")]
    NoRoom(String),
    /// The store cannot read or write now.
    #[error("the store is not available: try again later")]
    Unavailable,
}

impl Error {
    /// A malformed request, with what was wrong and what is expected.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed(message.into())
    }

    /// The stable code and the status.
    fn row(&self) -> (&'static str, StatusCode) {
        match self {
            Self::Malformed(_) => ("malformed", StatusCode::BAD_REQUEST),
            Self::NotAnUpgrade(_) => ("not_an_upgrade", StatusCode::BAD_REQUEST),
            Self::WrongSecret => ("wrong_secret", StatusCode::UNAUTHORIZED),
            Self::PasswordNeeded { .. } => ("password_needed", StatusCode::UNAUTHORIZED),
            Self::WrongPassword { .. } => ("wrong_password", StatusCode::UNAUTHORIZED),
            Self::TooManyTries { .. } => ("too_many_tries", StatusCode::TOO_MANY_REQUESTS),
            Self::Sealed => ("sealed", StatusCode::FORBIDDEN),
            Self::SealedMismatch { .. } => ("sealed_mismatch", StatusCode::CONFLICT),
            Self::NoSuchShare => ("no_such_share", StatusCode::NOT_FOUND),
            Self::NoSuchPath => ("no_such_path", StatusCode::NOT_FOUND),
            Self::UnknownFormat => ("unknown_format", StatusCode::NOT_IMPLEMENTED),
            Self::MethodNotAllowed(_) => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::BodyTimeout => ("body_timeout", StatusCode::REQUEST_TIMEOUT),
            Self::BodyIncomplete => ("body_incomplete", StatusCode::BAD_REQUEST),
            Self::BodyTooLarge { .. } => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::ItemTooLarge { .. } => ("item_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::ShareTooLarge { .. } => ("share_too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooManyItems { .. } => ("too_many_items", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooMuchAtOnce => ("too_much_at_once", StatusCode::SERVICE_UNAVAILABLE),
            Self::TooManyRequests { .. } => ("too_many_requests", StatusCode::TOO_MANY_REQUESTS),
            Self::TooManyCreates { .. } => ("too_many_creates", StatusCode::TOO_MANY_REQUESTS),
            Self::WrongCreateToken => ("wrong_create_token", StatusCode::UNAUTHORIZED),
            Self::TooManyShares => ("too_many_shares", StatusCode::FORBIDDEN),
            Self::StorageFull(_) => ("storage_full", StatusCode::SERVICE_UNAVAILABLE),
            Self::TooManyViewers => ("too_many_viewers", StatusCode::SERVICE_UNAVAILABLE),
            Self::TooManyViewersHere => ("too_many_viewers_here", StatusCode::TOO_MANY_REQUESTS),
            Self::Busy | Self::Relocked => ("busy", StatusCode::SERVICE_UNAVAILABLE),
            Self::WrongToken => ("wrong_token", StatusCode::UNAUTHORIZED),
            Self::Forbidden(_) => ("forbidden", StatusCode::FORBIDDEN),
            Self::Disabled(_) => ("disabled", StatusCode::FORBIDDEN),
            Self::NotShared => ("not_shared", StatusCode::NOT_FOUND),
            Self::UnknownSession { .. } => ("unknown_session", StatusCode::NOT_FOUND),
            Self::Upstream(_) => ("server_unreachable", StatusCode::BAD_GATEWAY),
            Self::NotFlushed { .. } => ("not_flushed", StatusCode::GATEWAY_TIMEOUT),
            Self::UpstreamBusy(_) => ("server_busy", StatusCode::SERVICE_UNAVAILABLE),
            Self::Ended(_) => ("share_ended", StatusCode::CONFLICT),
            Self::NoRoom(_) => ("no_room", StatusCode::INSUFFICIENT_STORAGE),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// The stable code, as it stands in `error.code`.
    pub fn code(&self) -> &'static str {
        self.row().0
    }

    /// How long a client should wait before it tries again; `None` where trying again is no use.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyCreates { retry_after }
            | Self::TooManyRequests { retry_after }
            | Self::TooManyTries { retry_after } => Some(*retry_after),
            Self::TooManyViewers | Self::TooManyViewersHere => Some(Duration::from_secs(30)),
            Self::StorageFull(_) => Some(Duration::from_secs(60)),
            Self::Busy | Self::Relocked | Self::TooMuchAtOnce => Some(Duration::from_secs(1)),
            Self::Unavailable | Self::UpstreamBusy(_) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

/// `{"error":{"code":"…","message":"…"}}`: the shape of every refusal, of the server and of the relay.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Serialize, ToSchema)]
struct ErrorDetail<'a> {
    /// What programs match on
    code: &'a str,
    /// What was wrong and what is expected, for people
    message: &'a str,
    /// The sessions that the relay knows
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    sessions: Option<&'a serde_json::Value>,
}

impl<'a> ErrorBody<'a> {
    /// The body for a code and a message.
    pub fn new(code: &'a str, message: &'a str) -> Self {
        Self { error: ErrorDetail { code, message, sessions: None } }
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.to_string())
    }
}

impl From<TooMuchAtOnce> for Error {
    fn from(_: TooMuchAtOnce) -> Self {
        Self::TooMuchAtOnce
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.row().1
    }

    fn error_response(&self) -> HttpResponse {
        METRICS.refused(self.code());
        let mut response = HttpResponse::build(self.status_code());
        if let Some(wait) = self.retry_after() {
            // Rounded up: a client that waits as told must not come too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.insert_header((header::RETRY_AFTER, seconds.max(1)));
        }
        if let Self::MethodNotAllowed(allowed) = self {
            response.insert_header((header::ALLOW, allowed.as_ref()));
        }
        if let Self::PasswordNeeded { ask: true } | Self::WrongPassword { ask: true } = self {
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"share\", charset=\"UTF-8\""));
        }
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        let message = self.to_string();
        let mut body = ErrorBody::new(self.code(), &message);
        if let Self::UnknownSession { sessions, .. } = self {
            body.error.sessions = Some(sessions);
        }
        response.json(body)
    }
}

/// A resource that answers a method it does not know with 405 and what it knows.
pub fn resource(path: &str, allowed: impl Into<Cow<'static, str>>) -> Resource {
    let allowed = allowed.into();
    let refuse = move || std::future::ready(Err::<HttpResponse, _>(Error::MethodNotAllowed(allowed.clone())));
    web::resource(path).default_service(web::to(refuse))
}
