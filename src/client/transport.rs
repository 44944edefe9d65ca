//! The share server, as this client speaks to it: OpenCode's wire. No error here repeats a URL or a body: they hold ids
//! and secrets.

use std::time::Duration;

use actix_web::web::Bytes;
use awc::http::{Method, header};
use awc::{Client, Connector};
use serde::Serialize;

use super::answer::{Answer, Later, Outcome};
use super::spool::Waiting;
use super::upload;
use super::{ClientError, Config, CreateToken};
use crate::config::is_in_clear;
use crate::protocol::{CreateRequest, Created, SyncBody, WireItem};

/// An answer larger than this is none of a share server's, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// Requests to share servers.
#[derive(Clone)]
pub(super) struct Transport {
    client: Client,
    api_url: String,
    insecure_http: bool,
    create_token: Option<CreateToken>,
}

/// A share on the server that made it, and what lets its client change it there.
#[derive(Clone)]
pub(super) struct Target {
    /// What `/api/share` is appended to.
    pub(super) server: String,
    pub(super) id: String,
    pub(super) secret: String,
}

impl Transport {
    pub(super) fn new(config: &Config) -> Self {
        let client = Client::builder()
            .connector(Connector::new().connector(upload::connector()))
            .timeout(config.timeout)
            .disable_redirects()
            .finish();
        Self {
            client,
            api_url: config.api_url.clone(),
            insecure_http: config.insecure_http,
            create_token: config.create_token.clone(),
        }
    }

    /// Creates a share on the configured server, which ends by itself after its lifetime if one is given.
    pub(super) async fn create(
        &self,
        session_id: &str,
        lifetime: Option<Duration>,
    ) -> Result<Created, ClientError> {
        let expires_in = lifetime.map(|lifetime| lifetime.as_secs().max(1));
        let body = CreateRequest { session_id: session_id.to_owned(), expires_in };
        let answer = self.send(Method::POST, &self.api_url, "/api/share", &body).await;
        let answer = answer.map_err(ClientError::Unreachable)?;
        if answer.asks_for_token() {
            return Err(ClientError::Unreachable(
                "creating shares there needs a token that its operator gives out (create_token_file)".into(),
            ));
        }
        answer.created().map_err(|Later { reason, after }| match after {
            Some(_) => ClientError::ServerBusy(reason),
            None => ClientError::Unreachable(reason),
        })
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

    /// Deletes a share on its own server.
    pub(super) async fn delete(&self, share: &Target) -> Result<(), Later> {
        let (path, body) = (format!("/api/share/{}", share.id), serde_json::json!({"secret": share.secret}));
        let answer = self.send(Method::DELETE, &share.server, &path, &body).await;
        answer.map_err(|reason| Later { reason, after: None })?.deleted()
    }

    /// One request, and its whole answer. A redirect is followed once, and only where a secret may go.
    async fn send(
        &self,
        method: Method,
        server: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, String> {
        // A share may be of a time when this was accepted.
        if !self.insecure_http && is_in_clear(server) {
            return Err(
                "it is http:// to another machine, and the secret would go over the network in clear: the \
                        relay's --insecure-http accepts that"
                    .into(),
            );
        }
        let body = serde_json::to_vec(body).map_err(|_| "the request cannot be written as JSON")?;
        let (url, body) = (format!("{}{path}", server.trim_end_matches('/')), Bytes::from(body));
        let token = self.create_token.as_ref().filter(|_| path == "/api/share");
        let answer = self.send_once(method.clone(), &url, token, body.clone()).await?;
        match answer.secure_redirect(&url) {
            Some(secure) => self.send_once(method, &secure, token, body).await,
            None => Ok(answer),
        }
    }

    /// An answer is read to its end, so that its connection is used again.
    async fn send_once(
        &self,
        method: Method,
        url: &str,
        token: Option<&CreateToken>,
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request = self.client.request(method, url).content_type("application/json").no_decompress();
        if let Some(CreateToken(token)) = token {
            request = request.bearer_auth(token);
        }
        let mut response = request.send_body(body).await.map_err(|error| error.to_string())?;
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = text(header::RETRY_AFTER).and_then(|after| after.parse().ok());
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        let location = text(header::LOCATION).map(ToOwned::to_owned);
        let body = response.body().limit(MAX_ANSWER).await;
        let body = body.map_err(|_| "its answer was cut short, or is longer than a share server's")?.to_vec();
        // awc takes the end of the connection for the end of the body.
        if length.is_some_and(|length| length != body.len()) {
            return Err("its answer was cut short".into());
        }
        Ok(Answer {
            status: response.status(),
            retry_after: retry_after.map(Duration::from_secs),
            location,
            body,
        })
    }
}
