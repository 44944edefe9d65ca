//! Reading a request's body, no more of it than is allowed.

use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt;

use crate::error::Error;

/// What a client has to send in a second, in the long run.
const BYTES_PER_SECOND: u64 = 16 << 10;

/// How much of a body that is too large is read and thrown away, so that its client gets to read the refusal instead of
/// a broken connection.
const DISCARD_BYTES: u64 = 256 << 20;

/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body of at most `max` bytes. `timeout` is how long a client may take between two pieces; all of it may take four of
/// these, and longer for what comes at `BYTES_PER_SECOND`.
pub(super) async fn read(
    request: &HttpRequest,
    payload: &mut web::Payload,
    max: u64,
    timeout: Duration,
) -> Result<Vec<u8>, Error> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: u64| announced > max) {
        discard(payload).await;
        return Err(Error::BodyTooLarge { max });
    }
    // What is announced need not come: memory is taken as it comes.
    let mut body = Vec::new();
    let began = Instant::now();
    loop {
        let longest = 4 * timeout + Duration::from_secs(body.len() as u64 / BYTES_PER_SECOND);
        let wait = timeout.min(longest.saturating_sub(began.elapsed()));
        let piece = tokio::time::timeout(wait, payload.next()).await.map_err(|_| Error::BodyTimeout)?;
        let Some(piece) = piece else { return Ok(body) };
        let piece = piece.map_err(|_| Error::BodyIncomplete)?;
        if (body.len() + piece.len()) as u64 > max {
            drop(body);
            discard(payload).await;
            return Err(Error::BodyTooLarge { max });
        }
        body.extend_from_slice(&piece);
    }
}

async fn discard(payload: &mut web::Payload) {
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(piece)) = payload.next().await {
            bytes += piece.len() as u64;
            if bytes > DISCARD_BYTES {
                break;
            }
        }
    };
    // Either way the answer is the same.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, all).await;
}
