//! The bytes of a WebSocket (RFC 6455): what its peer may send, the frames that it gets, and how it is closed.
//!
//! The WebSocket library looks at a frame's size only when all of the frame is in its buffer. So the head of each frame
//! is read here, before the library gets the bytes: a frame that is too large, or that no client may send, is refused
//! by its head.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use actix::prelude::*;
use actix_http::ws::Codec;
use actix_web::error::PayloadError;
use actix_web::web::{self, Bytes};
use actix_web_actors::ws::{CloseReason, Message, ProtocolError, WebsocketContext};
use futures_util::{FutureExt, Stream, StreamExt};

use crate::memory::Held;
use crate::protocol::close_code;
use crate::share::{FRAME_BYTES, Frame};

/// How long a closed connection is still read, so that its peer gets to read the close code, when it does not answer.
const LINGER: Duration = Duration::from_secs(1);

/// How much of a frame the connection is given at once, in bytes. It copies that into a buffer, which stays as large as
/// the largest piece was: a large frame that all viewers share is not to be copied for each of them. What
/// frames usually take goes in one.
const PIECE: usize = Frame::usual_size(FRAME_BYTES);

/// The largest payload of a control frame, in bytes (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// Bytes of the key that masks a client's payload (RFC 6455, 5.3).
const MASK: u64 = 4;

/// A session's side of its connection. Clones are of the same.
#[derive(Clone, Default)]
pub struct Wire(Rc<Shared>);

#[derive(Default)]
struct Shared {
    /// What the session shows and its connection has not taken yet: WebSocket frames in pieces, with the memory that
    /// they alone take.
    shown: RefCell<VecDeque<(Bytes, Option<Held>)>>,
    /// The close code for a frame that was refused by its head.
    refused: Cell<Option<u16>>,
}

impl Wire {
    /// Shows a text in one frame. The bytes are those that all viewers share: the library's `text` would copy them into
    /// a buffer of its own, which stays as large as its largest frame was.
    pub fn text(&self, text: Bytes) {
        self.show(text, None);
    }

    /// Shows a text that is made for this peer alone, with the memory that it takes until the connection has taken it.
    pub fn own_text(&self, text: Bytes, held: Held) {
        self.show(text, Some(held));
    }

    fn show(&self, text: Bytes, held: Option<Held>) {
        let mut shown = self.0.shown.borrow_mut();
        shown.push_back((text_header(text.len()), None));
        shown.push_back((text, held));
    }

    /// What the connection sends next, and the memory that ends with it.
    fn next_piece(&self) -> Option<(Bytes, Option<Held>)> {
        let mut shown = self.0.shown.borrow_mut();
        let (frame, _) = shown.front_mut()?;
        if frame.len() > PIECE {
            return Some((frame.split_to(PIECE), None));
        }
        shown.pop_front()
    }

    /// The close code that says what was wrong. A connection that is broken does not read it.
    pub fn code_of(&self, error: &ProtocolError) -> u16 {
        if let Some(code) = self.0.refused.get() {
            return code;
        }
        match error {
            // The library says by the kind which of two errors it is: reserved bits that are set, or text that is not
            // UTF-8.
            ProtocolError::Io(error) if error.kind() != ErrorKind::InvalidData => close_code::NOT_UTF8,
            _ => close_code::PROTOCOL,
        }
    }
}

/// Runs an actor behind a WebSocket; gives the bytes that its peer gets. Data frames may have `max_data` bytes: one
/// whose head says more is refused with 1009, and what breaks the protocol with 1002, without waiting for the payload.
/// When all is said, `hang_up` is called: it is the server that ends a connection (RFC 6455, 7.1.1).
pub fn run<A, F>(
    actor: A,
    payload: web::Payload,
    max_data: usize,
    wire: Wire,
    hang_up: F,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + use<A, F>
where
    A: Actor<Context = WebsocketContext<A>> + StreamHandler<Result<Message, ProtocolError>>,
    F: Fn() + Unpin,
{
    let payload = Rc::new(RefCell::new(payload));
    let heads = Rc::new(RefCell::new(Heads::new(max_data as u64)));
    let incoming =
        Incoming { payload: payload.clone(), heads: heads.clone(), refusal: None, wire: wire.clone() };
    let session = Box::pin(WebsocketContext::with_codec(actor, incoming, Codec::new().max_size(max_data)));
    Outgoing { session, wire, said: Poll::Pending, sending: None, payload, heads, until: None, hang_up }
}

/// What a peer's close is answered with: the same code, or that it is none that a peer may send (RFC 6455, 7.4).
pub fn answer_to_close(reason: &CloseReason) -> CloseReason {
    let code = u16::from(reason.code);
    let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    CloseReason { code: if valid { code } else { close_code::PROTOCOL }.into(), description: None }
}

/// What stands before a text of `length` bytes that a server sends in one frame (RFC 6455, 5.2).
fn text_header(length: usize) -> Bytes {
    const TEXT_AND_LAST: u8 = 0x81;
    let mut header = Vec::with_capacity(10);
    header.push(TEXT_AND_LAST);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => header.push(length),
        (_, Ok(length)) => {
            header.push(126);
            header.extend(length.to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header.into()
}

/// Reads the heads of a client's frames, wherever their bytes are cut, and keeps nothing of what stands between them.
struct Heads {
    /// The largest payload of a data frame.
    max_data: u64,
    /// The head that is being read, as far as it has come: without its mask, which says nothing.
    head: [u8; 10],
    read: usize,
    /// Bytes of the frame that are still to come behind its head.
    rest: u64,
    /// Whether the last head was that of a close.
    closes: bool,
    /// Whether a head was refused: what follows means nothing.
    refused: bool,
}

/// A frame that is not taken.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    /// How many of the bytes that were given stand before it.
    before: usize,
    /// The close code that says why.
    code: u16,
}

/// What a head, as far as it has come, says.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// Not enough yet.
    Unfinished,
    /// So many bytes follow.
    Followed(u64),
    /// The same, and it is the peer's close.
    Last(u64),
    /// Close with this code.
    Refused(u16),
}

impl Heads {
    fn new(max_data: u64) -> Self {
        Self { max_data, head: [0; 10], read: 0, rest: 0, closes: false, refused: false }
    }

    /// Whether the peer has closed: nothing more comes.
    fn closed(&self) -> bool {
        self.closes && self.rest == 0
    }

    /// Takes the next bytes in.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let (mut at, mut began) = (0, 0);
        while at < bytes.len() && !self.refused {
            let skipped = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len() - at);
            if skipped > 0 {
                at += skipped;
                self.rest -= skipped as u64;
                continue;
            }
            if self.read == 0 {
                began = at;
            }
            self.head[self.read] = bytes[at];
            self.read += 1;
            at += 1;
            match read_head(&self.head[..self.read], self.max_data) {
                Head::Unfinished => {}
                Head::Followed(rest) => (self.read, self.rest) = (0, rest),
                Head::Last(rest) => (self.read, self.rest, self.closes) = (0, rest, true),
                // What came of its head before went to the library already: too little to do anything with.
                Head::Refused(code) => {
                    self.refused = true;
                    return Err(Refusal { before: began, code });
                }
            }
        }
        Ok(())
    }
}

/// Reads the head of a client's frame (RFC 6455, 5.2), as soon as there is enough of it to say something.
fn read_head(head: &[u8], max_data: u64) -> Head {
    const LAST: u8 = 0x80;
    const RESERVED: u8 = 0x70;
    const CONTROL: u8 = 0x08;
    const CLOSE: u8 = 0x08;
    const MASKED: u8 = 0x80;
    let [first, head @ ..] = head else { return Head::Unfinished };
    let opcode = first & 0x0f;
    let control = opcode & CONTROL != 0;
    let known = matches!(opcode, 0x0..=0x2 | 0x8..=0xa);
    if first & RESERVED != 0 || !known || (control && first & LAST == 0) {
        return Head::Refused(close_code::PROTOCOL);
    }
    let [second, extended @ ..] = head else { return Head::Unfinished };
    let length = second & !MASKED;
    if second & MASKED == 0 || (control && u64::from(length) > MAX_CONTROL) {
        return Head::Refused(close_code::PROTOCOL);
    }
    let length = match length {
        126 => extended.try_into().map(u16::from_be_bytes).map(u64::from),
        127 => extended.try_into().map(u64::from_be_bytes),
        length => Ok(u64::from(length)),
    };
    let Ok(length) = length else { return Head::Unfinished };
    if length > max_data && !control {
        return Head::Refused(close_code::TOO_BIG);
    }
    if opcode == CLOSE { Head::Last(MASK + length) } else { Head::Followed(MASK + length) }
}

/// The bytes that a peer sends, as far as the heads of its frames are taken.
struct Incoming {
    payload: Rc<RefCell<web::Payload>>,
    heads: Rc<RefCell<Heads>>,
    /// Why nothing more comes after what stands before a refused frame.
    refusal: Option<Refusal>,
    wire: Wire,
}

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        if let Some(refusal) = &self.refusal {
            self.wire.0.refused.set(Some(refusal.code));
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        let piece = self.payload.borrow_mut().poll_next_unpin(poller);
        let Poll::Ready(Some(Ok(bytes))) = &piece else { return piece };
        let taken = self.heads.borrow_mut().take(bytes);
        match taken {
            Ok(()) => piece,
            Err(refusal) => {
                let taken = bytes.slice(..refusal.before);
                self.refusal = Some(refusal);
                Poll::Ready(Some(Ok(taken)))
            }
        }
    }
}

/// The bytes that a peer gets: what its session shows, then what the protocol says (pings, the close). The session is
/// polled, and so does anything, only when the connection has taken all that was shown.
///
/// After the last byte the connection is read on until the peer has closed too, a moment at the most, and what comes is
/// thrown away: closing a socket that has unread bytes resets it, and the peer would lose the close frame.
struct Outgoing<S, F> {
    session: Pin<Box<S>>,
    wire: Wire,
    /// What the session has come up with after what is shown.
    said: Poll<Option<Result<Bytes, actix_web::Error>>>,
    /// What the frame takes whose end stands in the connection's buffer: when more is asked for, it is sent.
    sending: Option<Held>,
    payload: Rc<RefCell<web::Payload>>,
    heads: Rc<RefCell<Heads>>,
    until: Option<Pin<Box<tokio::time::Sleep>>>,
    hang_up: F,
}

impl<S: Stream<Item = Result<Bytes, actix_web::Error>>, F: Fn() + Unpin> Stream for Outgoing<S, F> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        if self.until.is_none() {
            if self.said.is_pending() && self.wire.0.shown.borrow().is_empty() {
                self.said = self.session.as_mut().poll_next(poller);
            }
            if let Some((piece, held)) = self.wire.next_piece() {
                self.sending = held;
                return Poll::Ready(Some(Ok(piece)));
            }
            self.sending = None;
            match std::mem::replace(&mut self.said, Poll::Pending) {
                Poll::Ready(None) => self.until = Some(Box::pin(tokio::time::sleep(LINGER))),
                said => return said,
            }
        }
        let has_closed = self.read_on(poller);
        let is_over = self.until.as_mut().is_none_or(|until| until.poll_unpin(poller).is_ready());
        if !has_closed && !is_over {
            return Poll::Pending;
        }
        (self.hang_up)();
        Poll::Ready(None)
    }
}

impl<S, F> Outgoing<S, F> {
    /// Reads what the peer sends until it has closed; tells whether it has.
    fn read_on(&self, poller: &mut Poller<'_>) -> bool {
        let (mut payload, mut heads) = (self.payload.borrow_mut(), self.heads.borrow_mut());
        while !heads.closed() {
            match payload.poll_next_unpin(poller) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(bytes))) => _ = heads.take(&bytes),
                Poll::Ready(_) => return true,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 4 << 10;

    /// A frame as a client sends it, with a head that says `length` in the form that is asked for.
    fn frame(first: u8, length: u64, form: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match form {
            127 => {
                frame.push(0x80 + 127);
                frame.extend(length.to_be_bytes());
            }
            126 => {
                frame.push(0x80 + 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => frame.push(0x80 + u8::try_from(length).unwrap()),
        }
        frame.extend(*b"mask");
        frame.resize(frame.len() + payload, 0xff);
        frame
    }

    /// A frame that says the length of its payload in the shortest form.
    fn plain(first: u8, payload: usize) -> Vec<u8> {
        let form = match payload {
            0..=125 => 0,
            126..=0xffff => 126,
            _ => 127,
        };
        frame(first, payload as u64, form, payload)
    }

    /// What becomes of bytes that come in pieces of these sizes: how many are let through, and the close code.
    fn outcome(bytes: &[u8], mut sizes: impl Iterator<Item = usize>) -> (usize, Option<u16>) {
        let (mut heads, mut passed) = (Heads::new(MAX as u64), 0);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
            match heads.take(piece) {
                Ok(()) => passed += piece.len(),
                Err(refusal) => return (passed + refusal.before, Some(refusal.code)),
            }
            rest = later;
        }
        (passed, None)
    }

    #[test]
    fn a_frame_is_refused_by_its_head_alone() {
        const DATA: [u8; 6] = [0x81, 0x82, 0x80, 0x01, 0x02, 0x00];
        for (head, code) in [
            (&frame(0x82, MAX as u64 + 1, 126, 0)[..4], close_code::TOO_BIG),
            (&frame(0x82, 1 << 40, 127, 0)[..10], close_code::TOO_BIG),
            (&frame(0x81, i64::MAX.cast_unsigned(), 127, 0)[..10], close_code::TOO_BIG),
            (&frame(0x81, u64::MAX, 127, 0)[..10], close_code::TOO_BIG),
            // Pings and closes over 125 bytes, and in fragments; reserved bits and opcodes; without a mask.
            (&frame(0x89, 126, 126, 0)[..2], close_code::PROTOCOL),
            (&frame(0x88, u64::MAX, 127, 0)[..2], close_code::PROTOCOL),
            (&[0x09], close_code::PROTOCOL),
            (&[0xc1], close_code::PROTOCOL),
            (&[0x83], close_code::PROTOCOL),
            (&[0x8b], close_code::PROTOCOL),
            (&[0x81, 0x05], close_code::PROTOCOL),
        ] {
            assert_eq!(outcome(head, std::iter::empty()).1, Some(code), "{head:x?}");
            assert_eq!(outcome(&head[..head.len() - 1], std::iter::empty()).1, None, "{head:x?}");
        }
        for first in DATA {
            assert_eq!(outcome(&plain(first, MAX), std::iter::empty()).1, None);
        }
    }

    proptest! {
        /// However the bytes are cut, all frames before the bad one are let through, it is not, and the reason is the
        /// same.
        #[test]
        fn the_cuts_make_no_difference(
            good in prop::collection::vec(
                (prop::sample::select(&[0x81, 0x02, 0x00, 0x80, 0x89, 0x8a][..]), 0..=MAX),
                0..6,
            ),
            bad in prop::option::of(prop_oneof![
                (MAX as u64 + 1..=u64::MAX).prop_map(|length| (frame(0x82, length, 127, 50), close_code::TOO_BIG)),
                (MAX as u64 + 1..=0xffff).prop_map(|length| (frame(0x01, length, 126, 50), close_code::TOO_BIG)),
                Just((frame(0x89, 126, 126, 126), close_code::PROTOCOL)),
                Just((frame(0xa1, 1, 0, 1), close_code::PROTOCOL)),
            ]),
            sizes in prop::collection::vec(1_usize..3000, 1..20),
        ) {
            let mut bytes = Vec::new();
            for (first, length) in good {
                bytes.extend(plain(first, if first & 8 == 0 { length } else { length % 126 }));
            }
            let before = bytes.len();
            let code = bad.map(|(frame, code)| { bytes.extend(frame); code });
            let whole = outcome(&bytes, std::iter::once(bytes.len()));
            prop_assert_eq!(whole, (before, code));
            for cut in [outcome(&bytes, sizes.into_iter().cycle()), outcome(&bytes, std::iter::empty())] {
                prop_assert_eq!(cut.1, code);
                // Of a head that comes in pieces the beginning is let through.
                prop_assert!((before..before + 10).contains(&cut.0));
            }
        }

        #[test]
        fn anything_is_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = outcome(&bytes, std::iter::once(bytes.len()));
            let cut = outcome(&bytes, std::iter::empty());
            prop_assert_eq!(whole.1, cut.1);
        }
    }
}
