//! A request's body: read piece by piece, no more of it than is allowed, and accounted for before it is kept.
//!
//! What is not read is not kept: when a request is refused before its end, the answer goes out, and what still comes is
//! thrown away for a while, so that a client that writes first and reads then gets to see it (`serve` says for how
//! long).

use std::pin::pin;
use std::task::Poll;

use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt;
use futures_util::future::{Either, select};

use super::Service;
use super::budget::Account;
use super::pace::Pace;
use crate::error::Error;
use crate::model::SecretHash;
use crate::protocol::{LeadingSecret, leading_secret};

/// A body on its way.
pub(super) struct Incoming {
    payload: web::Payload,
    /// What came while nobody waited for it yet.
    first: Poll<Option<Result<Bytes, PayloadError>>>,
    announced: Option<u64>,
    max: u64,
    pace: Pace,
    bytes: Vec<u8>,
    account: Account,
}

/// A body that has come, with what it takes.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) account: Account,
}

impl Incoming {
    /// The body of a request, of which nothing is read yet.
    pub(super) fn of(request: &HttpRequest, payload: web::Payload, service: &Service) -> Self {
        let announced = request.headers().get(header::CONTENT_LENGTH);
        Self {
            payload,
            first: Poll::Pending,
            announced: announced.and_then(|length| length.to_str().ok()?.parse().ok()),
            max: service.limits.get().max_body,
            pace: Pace::of_body(service.body_timeout),
            bytes: Vec::new(),
            account: service.account(request),
        }
    }

    /// Holds it to so many bytes, and to `max_body`.
    ///
    /// # Errors
    /// When it was announced to have more.
    pub(super) fn limit(&mut self, max: u64) -> Result<(), Error> {
        self.max = self.max.min(max);
        match self.announced {
            Some(announced) if announced > self.max => Err(Error::BodyTooLarge { max: self.max }),
            _ => Ok(()),
        }
    }

    /// Waits for what decides whether the body is wanted. A body that is broken is seen meanwhile: the connection ends
    /// with it, unless it is answered at once.
    ///
    /// # Errors
    /// What the other says, or that the body is broken.
    pub(super) async fn meanwhile<T>(
        &mut self,
        other: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut other = pin!(other);
        if self.first.is_pending() {
            match select(other.as_mut(), self.payload.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((Some(Err(_)), _)) => return Err(Error::BodyIncomplete),
                Either::Right((piece, _)) => self.first = Poll::Ready(piece),
            }
        }
        other.await
    }

    /// The hash of the secret, when it stands first in what has come: clients put it there, and need not send more when
    /// it is wrong.
    pub(super) fn leading_secret(&self) -> Option<SecretHash> {
        match leading_secret(&self.bytes) {
            LeadingSecret::Is(secret) => Some(SecretHash::of(&secret)),
            LeadingSecret::Unfinished | LeadingSecret::Elsewhere => None,
        }
    }

    /// Waits for the next piece; false at the end.
    ///
    /// # Errors
    /// When it does not come, is more than is allowed, or there is no memory for it.
    pub(super) async fn more(&mut self) -> Result<bool, Error> {
        let wait = self.pace.next(self.bytes.len() as u64);
        let piece = match std::mem::replace(&mut self.first, Poll::Pending) {
            Poll::Ready(first) => first,
            Poll::Pending => {
                tokio::time::timeout(wait, self.payload.next()).await.map_err(|_| Error::BodyTimeout)?
            }
        };
        let Some(piece) = piece else { return Ok(false) };
        let piece = piece.map_err(|_| Error::BodyIncomplete)?;
        let length = self.bytes.len() + piece.len();
        if length as u64 > self.max {
            return Err(Error::BodyTooLarge { max: self.max });
        }
        self.account.grow(piece.len() as u64).await?;
        self.reserve(length)?;
        self.bytes.extend_from_slice(&piece);
        Ok(true)
    }

    /// Makes room for so many bytes: for all that was announced, once there is something of it. The system gives memory
    /// for what is written to it, so what does not come costs nothing, and what comes is not copied again.
    fn reserve(&mut self, length: usize) -> Result<(), Error> {
        if length > self.bytes.capacity() {
            let announced = self.announced.and_then(|announced| usize::try_from(announced).ok());
            let wanted = announced.unwrap_or(self.bytes.capacity() * 2).max(length);
            let reserved = self.bytes.try_reserve_exact(wanted - self.bytes.len());
            reserved.map_err(|_| Error::TooMuchAtOnce)?;
        }
        Ok(())
    }

    /// What has come.
    pub(super) fn into_received(self) -> Received {
        Received { bytes: self.bytes, account: self.account }
    }

    /// Reads all of it, of at most `max` bytes.
    ///
    /// # Errors
    /// As above.
    pub(super) async fn all(mut self, max: u64) -> Result<Received, Error> {
        self.limit(max)?;
        while self.more().await? {}
        Ok(self.into_received())
    }
}
