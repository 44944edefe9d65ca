//! The share server, as this client speaks to it: OpenCode's wire. What comes back is told by what can be done about it.
//! No error here repeats a URL or a body: they hold ids and secrets.

use std::time::Duration;

use awc::Client;
use awc::http::{Method, StatusCode, header};
use serde::Serialize;

use super::{ClientError, Config, CreateToken};
use crate::protocol::{CreateRequest, Created, SyncBody, WireItem};

use super::spool::Waiting;

/// An answer larger than this is none of a share server's, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The longest wait that a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A connection to the share server.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
    api_url: String,
    create_token: Option<CreateToken>,
}

/// What became of a sync or a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// The share is gone, or is not ours.
    Gone,
    /// The server will not take this, now or later.
    Rejected(String),
    /// It may work later.
    Retry {
        /// Why it did not work now.
        reason: String,
        /// How long the server asked to wait.
        after: Option<Duration>,
    },
}

impl Transport {
    pub(super) fn new(config: &Config) -> Self {
        let client = Client::builder().timeout(config.timeout).finish();
        let api_url = config.api_url.trim_end_matches('/').to_owned();
        Self { client, api_url, create_token: config.create_token.clone() }
    }

    /// Creates a share, which ends by itself after its lifetime if one is given.
    pub(super) async fn create(
        &self,
        session_id: &str,
        lifetime: Option<Duration>,
    ) -> Result<Created, ClientError> {
        let expires_in = lifetime.map(|lifetime| lifetime.as_secs().max(1));
        let body = CreateRequest { session_id: session_id.to_owned(), expires_in };
        let answer = self.send(Method::POST, "/api/share", &body).await.map_err(ClientError::Unreachable)?;
        match answer.outcome() {
            Outcome::Done => serde_json::from_slice(&answer.body)
                .map_err(|_| ClientError::Unreachable("it does not answer as a share server does".into())),
            Outcome::Retry { reason, after: Some(_) } => Err(ClientError::ServerBusy(reason)),
            Outcome::Gone if answer.status == StatusCode::UNAUTHORIZED => Err(ClientError::Unreachable(
                "creating shares there needs a token that its operator gives out (create_token_file)".into(),
            )),
            _ => Err(ClientError::Unreachable(format!("it answers {}", answer.status))),
        }
    }

    /// Sends a batch.
    pub(super) async fn sync(&self, id: &str, secret: &str, batch: &[Waiting]) -> Outcome {
        let items: Vec<_> = batch.iter().map(Waiting::wire).collect();
        let data = items.iter().map(|(kind, data)| WireItem { key: None, n: None, kind, data }).collect();
        self.attempt(Method::POST, &format!("/api/share/{id}/sync"), &SyncBody { secret, data }).await
    }

    /// Deletes a share.
    pub(super) async fn delete(&self, id: &str, secret: &str) -> Outcome {
        let body = serde_json::json!({"secret": secret});
        self.attempt(Method::DELETE, &format!("/api/share/{id}"), &body).await
    }

    async fn attempt(&self, method: Method, path: &str, body: &impl Serialize) -> Outcome {
        match self.send(method, path, body).await {
            Ok(answer) => answer.outcome(),
            Err(reason) => Outcome::Retry { reason, after: None },
        }
    }

    /// One request, and its whole answer: a connection whose answer was read to its end is used again.
    async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Answer, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.api_url));
        if let (Some(CreateToken(token)), "/api/share") = (&self.create_token, path) {
            request = request.bearer_auth(token);
        }
        let mut response = request.send_json(body).await.map_err(|error| error.to_string())?;
        let retry_after =
            response.headers().get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let body = response.body().limit(MAX_ANSWER).await.map_err(|_| "its answer was cut short")?.to_vec();
        Ok(Answer { status: response.status(), retry_after: retry_after.map(Duration::from_secs), body })
    }
}

struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    fn outcome(&self) -> Outcome {
        let reason = format!("it answers {}", self.status);
        match self.status {
            status if status.is_success() => Outcome::Done,
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Gone,
            status
                if status.is_server_error()
                    || status == StatusCode::REQUEST_TIMEOUT
                    || status == StatusCode::TOO_MANY_REQUESTS =>
            {
                Outcome::Retry { reason, after: self.retry_after.map(|wait| wait.min(MAX_RETRY_AFTER)) }
            }
            _ => Outcome::Rejected(reason),
        }
    }
}
