//! A share's requests, passed on to its server for a page on this machine. What the server sets as a cookie stays here.

use std::cell::RefCell;

use actix_web::web::Bytes;
use awc::BoxedSocket;
use awc::http::header::{self, HeaderMap, HeaderValue};
use awc::http::{Method, StatusCode, Uri};

use super::link::Link;
use super::transport::{MAX_SHARE, Transport};
use super::{Config, StartError};
use crate::config::is_in_clear;

/// What is told of an answer.
const TOLD: [header::HeaderName; 3] = [header::CONTENT_TYPE, header::RETRY_AFTER, header::ETAG];

/// The way to one share.
pub struct Passage {
    transport: Transport,
    link: Link,
    insecure_http: bool,
    /// What lets into a protected share, once it was given for a password.
    cookie: RefCell<Option<HeaderValue>>,
}

/// An answer.
#[derive(Debug)]
pub struct Passed {
    /// Its status.
    pub status: StatusCode,
    /// What a page looks at of its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotPassed {
    /// What is secret would go over the network in clear.
    #[error(
        "the share server is http:// to another machine: what opens the share would go over the network in clear"
    )]
    InClear,
    /// The server cannot be reached.
    #[error("the share server cannot be reached: {0}")]
    Unreachable(String),
}

/// A live connection, as bytes: it is a WebSocket to whoever holds its other end.
pub struct Line {
    /// What came before anybody read.
    pub first: Bytes,
    /// The rest, and the way back.
    pub socket: BoxedSocket,
}

impl Passage {
    /// # Errors
    /// When certificates cannot be checked as the configuration says.
    pub fn new(config: &Config, link: Link) -> Result<Self, StartError> {
        let transport = Transport::new(&Config { insecure_http: true, ..config.clone() })?;
        Ok(Self { transport, link, insecure_http: config.insecure_http, cookie: RefCell::default() })
    }

    /// One request: of a path below the server's URL, about the share.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn pass(&self, method: Method, path: &str, body: Bytes) -> Result<Passed, NotPassed> {
        if !body.is_empty() && !self.insecure_http && is_in_clear(&self.link.server) {
            return Err(NotPassed::InClear);
        }
        let unreachable = |reason: String| NotPassed::Unreachable(reason);
        let client = self.transport.client();
        let mut request = self.transport.request(&client, method, &self.url(path)?).map_err(unreachable)?;
        if let Some(cookie) = &*self.cookie.borrow() {
            request = request.insert_header((header::COOKIE, cookie.clone()));
        }
        request = request.content_type("application/json").no_decompress();
        let answer = request.send_body(body).await;
        let mut answer = answer.map_err(|error| NotPassed::Unreachable(error.to_string()))?;
        let body = answer.body().limit(MAX_SHARE).await;
        let body = body.map_err(|_| NotPassed::Unreachable("its answer was cut short".into()))?;
        if let Some(set) = answer.headers().get(header::SET_COOKIE) {
            self.keep(set);
        }
        let mut headers = HeaderMap::new();
        for name in TOLD {
            if let Some(value) = answer.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        Ok(Passed { status: answer.status(), headers, body })
    }

    /// The live connection of a position, which a query names.
    ///
    /// # Errors
    /// When there is none.
    pub async fn line(&self, query: &str) -> Result<Line, NotPassed> {
        let url = self.url(&format!("/api/share/{}/poll?{query}", self.link.id.as_str()))?;
        let client = self.transport.client();
        let mut request = client.ws(url);
        if let Some(cookie) = &*self.cookie.borrow() {
            request = request.header(header::COOKIE, cookie.clone());
        }
        let connected = request.connect().await;
        let (_, framed) = connected.map_err(|error| NotPassed::Unreachable(error.to_string()))?;
        let parts = framed.into_parts();
        Ok(Line { first: parts.read_buf.freeze(), socket: parts.io })
    }

    /// Keeps a cookie's name and value.
    fn keep(&self, set: &HeaderValue) {
        let pair = set.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let Ok(mut cookie) = HeaderValue::from_bytes(pair) else { return };
        cookie.set_sensitive(true);
        *self.cookie.borrow_mut() = Some(cookie);
    }

    fn url(&self, path: &str) -> Result<Uri, NotPassed> {
        let url = format!("{}{path}", self.link.server);
        url.parse().map_err(|_| NotPassed::Unreachable("its URL cannot be read".into()))
    }
}
