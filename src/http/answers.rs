//! Answers as large as a share: made piece by piece as their client takes them, so that one that does not read costs a
//! few pieces, whatever it asked for; and not for ever.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header;
use actix_web::web::{BufMut, Bytes, BytesMut};
use tokio::time::{Sleep, sleep};

use super::Service;
use super::budget::Account;
use super::limits::Portion;
use super::pace::Pace;
use crate::model::Key;
use crate::share::{Snapshot, TextKind};

/// How much is made at once, in bytes.
const PIECE: usize = 64 << 10;

/// What an answer holds besides what it is made of, in bytes: a piece here and one in the connection's buffer.
const PIECES: u64 = 2 * PIECE as u64;

/// What the compression of one answer may take, in bytes: Brotli's window, as the HTTP library chooses it.
const COMPRESSION: u64 = 8 << 20;

/// This end of a connection: what handlers know of it. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub struct Endpoint(Rc<State>);

#[derive(Debug, Default)]
struct State {
    /// Where the connection came in; a Unix socket's has no such place.
    address: Option<SocketAddr>,
    /// Until when it has to take bytes; a connection that does not is ended.
    deadline: Cell<Option<Instant>>,
    hung_up: Cell<bool>,
}

impl Endpoint {
    /// That of a connection which came in at an address of this machine.
    pub fn at(address: Option<SocketAddr>) -> Self {
        Self(Rc::new(State { address, ..State::default() }))
    }

    /// The address of this machine at which the connection came in.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Whether the time is over in which it had to take bytes.
    pub fn is_over(&self) -> bool {
        self.0.deadline.get().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Has the connection end once all is written: what its peer may still send is not waited for.
    pub(super) fn hang_up(&self) {
        self.0.hung_up.set(true);
    }

    /// Whether nothing more is read.
    pub fn has_hung_up(&self) -> bool {
        self.0.hung_up.get()
    }
}

/// An answer of known size, in pieces.
pub(super) struct Pieces<I> {
    left: I,
    size: u64,
    made: u64,
    pace: Pace,
    endpoint: Option<Endpoint>,
    /// Wakes the connection when the deadline is over: it then finds that out when it tries to write.
    alarm: Pin<Box<Sleep>>,
    /// What it takes, and its place among its client's reads: until all of it is sent.
    _account: Account,
    _read: Option<Portion>,
}

impl<I: Iterator<Item = Bytes>> Pieces<I> {
    /// `pieces` have `size` bytes in all.
    pub(super) fn new(
        request: &HttpRequest,
        service: &Service,
        (pieces, size): (I, u64),
        account: Account,
        read: Option<Portion>,
    ) -> Self {
        let pace = Pace::of_answer(service.body_timeout);
        Self {
            left: pieces,
            size,
            made: 0,
            pace,
            endpoint: request.conn_data::<Endpoint>().cloned(),
            alarm: Box::pin(sleep(pace.next(0))),
            _account: account,
            _read: read,
        }
    }
}

/// What an answer of `size` bytes takes while it is sent, when it is made piece by piece.
pub(super) fn cost(request: &HttpRequest, size: u64) -> u64 {
    let compressed = request.headers().contains_key(header::ACCEPT_ENCODING);
    PIECES.min(size) + if compressed { COMPRESSION.min(size) } else { 0 }
}

impl<I: Iterator<Item = Bytes> + Unpin> MessageBody for Pieces<I> {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        poller: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let piece = self.left.next();
        self.made += piece.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(endpoint) = &self.endpoint {
            let until = Instant::now() + self.pace.next(self.made);
            // The last pieces stand in buffers of the connection, and nothing else is held for them.
            endpoint.0.deadline.set(piece.is_some().then_some(until));
            self.alarm.as_mut().reset(until.into());
            // So that it knows whom to wake; that it is over is no business of this piece.
            let _ = self.alarm.as_mut().poll(poller);
        }
        Poll::Ready(piece.map(Ok))
    }
}

impl<I> Drop for Pieces<I> {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.0.deadline.set(None);
        }
    }
}

/// A text that a snapshot keeps, cut into pieces.
pub(super) fn text_of(snapshot: Arc<Snapshot>, kind: TextKind) -> (impl Iterator<Item = Bytes> + Unpin, u64) {
    struct Kept(Arc<Snapshot>, TextKind);
    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            self.0.text(self.1).unwrap_or_default().as_bytes()
        }
    }
    cut(Bytes::from_owner(Kept(snapshot, kind)))
}

/// A text, cut into pieces.
pub(super) fn text(text: Bytes) -> (impl Iterator<Item = Bytes> + Unpin, u64) {
    cut(text)
}

fn cut(mut rest: Bytes) -> (impl Iterator<Item = Bytes> + Unpin, u64) {
    let size = rest.len() as u64;
    let pieces = std::iter::from_fn(move || {
        let piece = rest.split_to(PIECE.min(rest.len()));
        (!piece.is_empty()).then_some(piece)
    });
    (pieces, size)
}

/// All items of a share in reading order as JSON, `[{"type":…,"data":…},…]`, in pieces.
pub(super) fn json(snapshot: Arc<Snapshot>) -> (impl Iterator<Item = Bytes> + Unpin, u64) {
    let items = snapshot.in_reading_order();
    let size = items.iter().map(|(key, content)| {
        let before = before(key).iter().map(|text| text.len()).sum::<usize>();
        before + content.get().len() + BEHIND.len()
    });
    // And a comma between two, and the brackets.
    let size = size.sum::<usize>() + items.len().saturating_sub(1) + 2;
    (JsonPieces { snapshot, item: 0, made: None, ended: false }, size as u64)
}

/// What stands before an item's content. A type has no characters that JSON would write in another way.
fn before(key: &Key) -> [&str; 3] {
    [r#"{"type":""#, key.kind(), r#"","data":"#]
}

/// What stands behind it.
const BEHIND: &[u8] = b"}";

struct JsonPieces {
    snapshot: Arc<Snapshot>,
    /// The item that is next, or under way.
    item: usize,
    /// How many bytes of its content are made; `None` when nothing of it is.
    made: Option<usize>,
    ended: bool,
}

impl Iterator for JsonPieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let items = self.snapshot.in_reading_order();
        let mut piece = BytesMut::with_capacity(PIECE + 128);
        if self.item == 0 && self.made.is_none() {
            piece.put_u8(b'[');
        }
        while piece.len() < PIECE {
            let Some((key, content)) = items.get(self.item) else {
                piece.put_u8(b']');
                self.ended = true;
                break;
            };
            if self.made.is_none() {
                piece.put_slice(if self.item > 0 { b"," } else { b"" });
                for text in before(key) {
                    piece.put_slice(text.as_bytes());
                }
            }
            let content = &content.get().as_bytes()[self.made.unwrap_or(0)..];
            let more = content.len().min(PIECE.saturating_sub(piece.len()));
            piece.put_slice(&content[..more]);
            self.made = Some(self.made.unwrap_or(0) + more);
            if more == content.len() {
                piece.put_slice(BEHIND);
                self.item += 1;
                self.made = None;
            }
        }
        Some(piece.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Change, Content};
    use crate::protocol::WireItem;

    fn item(kind: &str, id: usize, length: usize) -> (Key, Content) {
        let data = serde_json::json!({"id": id.to_string(), "messageID": "m", "text": "x".repeat(length)});
        let data = serde_json::value::to_raw_value(&data).unwrap();
        match Change::from_item(kind, &data, "data[0]").unwrap() {
            Change::Put(key, content) => (key, content),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_whole_and_none_is_large(
            items in prop::collection::vec(
                (prop::sample::select(&["part", "message", "x.y-z"][..]), 0..200_000_usize),
                0..8,
            ),
        ) {
            let items = items.into_iter().zip(0..).map(|((kind, length), id)| item(kind, id, length));
            let items = items.zip(0..).map(|((key, content), place)| (key, content, place)).collect();
            let snapshot = Arc::new(Snapshot::new("e".into(), 1, None, items));
            let whole: Vec<_> = snapshot
                .in_reading_order()
                .iter()
                .map(|(key, content)| WireItem { key: None, n: None, kind: key.kind(), data: content })
                .collect();
            let whole = serde_json::to_vec(&whole).unwrap();
            let (pieces, size) = json(snapshot.clone());
            let pieces: Vec<_> = pieces.collect();
            prop_assert!(pieces.iter().all(|piece| piece.len() <= PIECE + 128));
            prop_assert_eq!(size, whole.len() as u64);
            prop_assert!(pieces.concat() == whole);
            let (pieces, size) = text(String::from_utf8(whole.clone()).unwrap().into());
            let pieces: Vec<_> = pieces.collect();
            prop_assert_eq!(size, whole.len() as u64);
            prop_assert!(pieces.iter().all(|piece| piece.len() <= PIECE) && pieces.concat() == whole);
        }
    }
}
