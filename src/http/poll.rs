//! The session of one viewer: an actor behind a WebSocket. The only module that knows `actix-web-actors`.
//!
//! A session holds no queue. A wake says that there is something new; the session then takes it from the share's feed, or
//! pulls what is newer than its position, one pull at a time, and writes it. A socket that does not take bytes stops this
//! actor (its future is polled by the connection), so a viewer that does not read takes nothing, and holds one frame. When such a peer is dead, the
//! kernel ends the connection (`TCP_USER_TIMEOUT`); a peer that is silent but takes bytes is found by pings.

#[cfg(debug_assertions)]
pub(super) mod echo;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Poller, Poll};
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use actix_http::ws::Codec;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{self, CloseReason, WebsocketContext};
use bytestring::ByteString;
use futures_util::{FutureExt, Stream, StreamExt};

use super::limits::{Client, Seat};
use super::openapi::PollRefused;
use super::shares::{Id, Position, position, share_id, shared_epoch};
use super::{Service, ServiceData, who};
use crate::error::Error;
use crate::metrics::METRICS;
use crate::protocol::close_code;
use crate::share::{
    Crowd, Crowds, Enter, Goodbye, Joined, Leave, Look, Notice, Pull, Share, ViewerId, viewers_frame,
};

/// The largest frame that a viewer may send, in bytes: pings and closes are smaller.
const MAX_INCOMING: usize = 4 << 10;

/// One in so many frames of a viewer is measured: a histogram has a lock, which all viewers would share.
const MEASURE_EVERY: u8 = 16;

/// How long a closed connection is still read, so that its peer gets to read the close code.
const LINGER: Duration = Duration::from_secs(1);

/// A WebSocket: what is stored since a position, and then what comes.
#[utoipa::path(get, path = "/api/share/{id}/poll", params(Id, Position), responses((status = 101, description = "Frames follow, as PROTOCOL.md says"), PollRefused))]
pub(super) async fn poll(
    request: HttpRequest,
    payload: web::Payload,
    service: ServiceData,
    crowds: web::Data<Crowds>,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let mut response = ws::handshake(&request).map_err(|error| Error::NotAnUpgrade(error.to_string()))?;
    let position = position(&request)?;
    if !service.shares.ask(&id, || Look).await?.room {
        return Err(Error::TooManyViewers);
    }
    let seat = seat(&service, &request)?;
    let share = service.shares.open(&id).await?;
    let viewer = Viewer {
        share,
        crowd: crowds.of(&id),
        shown: Shown::default(),
        id: ViewerId::next(),
        joined: None,
        after: position.after,
        complete: false,
        epoch: shared_epoch(position.epoch),
        takes: Takes {
            appends: position.append.as_deref() == Some("1"),
            places: position.order.as_deref() == Some("1"),
        },
        viewers: None,
        measured: 0,
        pulling: false,
        heard: Instant::now(),
        pinged: Instant::now(),
        ping_interval: service.ping_interval,
        _seat: seat,
    };
    let shown = viewer.shown.clone();
    Ok(response.streaming(session(viewer, payload, MAX_INCOMING, shown)))
}

/// Counts a viewer against its address, if there is a limit for that.
fn seat(service: &Service, request: &HttpRequest) -> Result<Option<Seat>, Error> {
    let limits = service.limits.get();
    let Some(max) = limits.max_viewers_per_address else { return Ok(None) };
    let Some(address) = who::address(request, &limits.trusted_proxies) else { return Ok(None) };
    service.viewers.seat(max, Client::at(address)).map(Some)
}

/// Runs an actor behind a WebSocket; gives the bytes that its peer gets.
fn session<A>(
    actor: A,
    payload: web::Payload,
    max_incoming: usize,
    shown: Shown,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + use<A>
where
    A: Actor<Context = WebsocketContext<A>> + StreamHandler<Result<ws::Message, ws::ProtocolError>>,
{
    let payload = Rc::new(RefCell::new(payload));
    let incoming = Incoming(payload.clone());
    let session = WebsocketContext::with_codec(actor, incoming, Codec::new().max_size(max_incoming));
    Outgoing {
        session: Box::pin(session),
        shown,
        said: Poll::Pending,
        payload: Incoming(payload),
        until: None,
    }
}

/// What a session shows and its connection has not taken yet: WebSocket frames in pieces.
type Shown = Rc<RefCell<VecDeque<Bytes>>>;

/// What a viewer takes beside whole items.
#[derive(Clone, Copy)]
struct Takes {
    /// Text that was added, in place of the item.
    appends: bool,
    /// At which place an item first came.
    places: bool,
}

struct Viewer {
    share: Addr<Share>,
    crowd: Addr<Crowd>,
    shown: Shown,
    id: ViewerId,
    /// Once the share has let it in.
    joined: Option<Joined>,
    after: u64,
    /// Whether `after` is the position of a whole state: what a first stretch of all that is newer leads to is none, because items
    /// that changed later are left out of it.
    complete: bool,
    /// The epoch of that position, until the first frame says that it is the share's.
    epoch: Option<ByteString>,
    takes: Takes,
    /// The count of viewers that was told last.
    viewers: Option<usize>,
    /// How often it took news.
    measured: u8,
    /// Whether a pull is under way.
    pulling: bool,
    heard: Instant,
    pinged: Instant,
    ping_interval: Duration,
    /// Counted against its address, where that has a limit.
    _seat: Option<Seat>,
}

impl Viewer {
    /// Takes what is new. While a pull is under way its answer comes first. Who does not hold a whole state pulls on: what is in
    /// the feed was added to one.
    fn advance(&mut self, ctx: &mut WebsocketContext<Self>) {
        let Some(joined) = self.joined.as_ref().filter(|_| !self.pulling) else { return };
        if !self.complete {
            return self.pull(ctx);
        }
        let news = joined.feed.news(self.after, self.takes.appends);
        self.after = news.seq;
        if let (false, Some(committed)) = (news.frames.is_empty(), news.committed) {
            METRICS.frames.inc_by(news.frames.len() as u64);
            if self.measured.is_multiple_of(MEASURE_EVERY) {
                METRICS.wake_to_frame.observe(committed.elapsed().as_secs_f64());
            }
            self.measured = self.measured.wrapping_add(1);
        }
        for frame in news.frames {
            self.text(frame);
        }
        if self.viewers != Some(news.viewers) && news.viewers > 0 {
            self.viewers = Some(news.viewers);
            self.text(viewers_frame(news.viewers));
        }
        if news.behind {
            self.pull(ctx);
        }
    }

    fn pull(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.pulling = true;
        let pull = Pull { after: self.after, epoch: self.epoch.clone(), places: self.takes.places };
        ctx.spawn(wrap_future::<_, Self>(self.share.send(pull)).map(|frame, viewer, ctx| {
            viewer.pulling = false;
            match frame {
                Ok(Ok(frame)) => {
                    // From now on the position is one of the share's own.
                    viewer.epoch = viewer.joined.as_ref().map(|joined| joined.feed.epoch().clone());
                    viewer.after = frame.seq;
                    viewer.complete = !frame.more;
                    METRICS.frames.inc();
                    viewer.text(frame.text);
                    // What came up meanwhile woke nobody.
                    viewer.advance(ctx);
                }
                // The share was deleted or stopped; where it could, it has said goodbye itself.
                Ok(Err(Error::NoSuchShare)) => viewer.end(close_code::GONE, ctx),
                Ok(Err(_)) | Err(_) => viewer.end(close_code::RESTART, ctx),
            }
        }));
    }

    /// Shows a text. The bytes are those that all viewers share: `ctx.text` would copy them into a buffer of its own, which
    /// stays as large as its largest frame was.
    fn text(&self, text: ByteString) {
        let mut shown = self.shown.borrow_mut();
        shown.push_back(text_header(text.len()));
        shown.push_back(text.into_bytes());
    }

    #[allow(clippy::unused_self)] // Reads as what it is at its callers.
    fn end(&self, code: u16, ctx: &mut WebsocketContext<Self>) {
        ctx.close(Some(CloseReason { code: code.into(), description: None }));
        ctx.stop();
    }

    /// Asks a peer that is silent whether it is there; one that does not answer has gone. Called at every wake, of which
    /// there is one in a while even when nothing happens. A share that has left memory wakes nobody: its viewers come back.
    fn keep_alive(&mut self, ctx: &mut WebsocketContext<Self>) {
        let now = Instant::now();
        if !self.share.connected() {
            self.end(close_code::RESTART, ctx);
        } else if now - self.heard > self.ping_interval * 2 + self.ping_interval / 2 {
            ctx.stop();
        } else if now - self.pinged >= self.ping_interval {
            self.pinged = now;
            ctx.ping(b"");
        }
    }
}

impl Actor for Viewer {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // One wake says all that many would say.
        ctx.set_mailbox_capacity(1);
        let enter = Enter { share: self.share.clone(), id: self.id, viewer: ctx.address().recipient() };
        ctx.wait(wrap_future::<_, Self>(self.crowd.send(enter)).map(|joined, viewer, ctx| match joined {
            Ok(Ok(joined)) => {
                viewer.joined = Some(joined);
                // A first frame comes even when nothing is new: its viewer then knows that it has all.
                viewer.pull(ctx);
            }
            Ok(Err(Error::NoSuchShare)) => viewer.end(close_code::GONE, ctx),
            Ok(Err(_)) => viewer.end(close_code::TRY_AGAIN, ctx),
            Err(_) => viewer.end(close_code::RESTART, ctx),
        }));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.crowd.do_send(Leave(self.id));
    }
}

impl Handler<Notice> for Viewer {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        match notice {
            Notice::Wake => {
                self.advance(ctx);
                self.keep_alive(ctx);
            }
            Notice::Goodbye(Goodbye { last_words, code }) => {
                if let Some(words) = last_words {
                    self.text(words);
                }
                self.end(code, ctx);
            }
        }
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Viewer {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        self.heard = Instant::now();
        match message {
            Ok(ws::Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason.as_ref().map(answer_to_close));
                ctx.stop();
            }
            Ok(ws::Message::Text(_) | ws::Message::Binary(_) | ws::Message::Continuation(_)) => {
                self.end(close_code::UNSUPPORTED, ctx);
            }
            Err(error) => self.end(code_of(&error), ctx),
        }
    }
}

/// What a peer's close is answered with: the same code, or that it is none that a peer may send (RFC 6455, 7.4).
fn answer_to_close(reason: &CloseReason) -> CloseReason {
    let code = u16::from(reason.code);
    let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    CloseReason { code: if valid { code } else { close_code::PROTOCOL }.into(), description: None }
}

/// The close code that says what was wrong. A connection that is broken does not read it.
fn code_of(error: &ws::ProtocolError) -> u16 {
    match error {
        ws::ProtocolError::Overflow => close_code::TOO_BIG,
        // The library says by the kind which of two errors it is: reserved bits that are set, or text that is not UTF-8.
        ws::ProtocolError::Io(error) if error.kind() != ErrorKind::InvalidData => close_code::NOT_UTF8,
        _ => close_code::PROTOCOL,
    }
}

/// The bytes that a viewer sends.
struct Incoming(Rc<RefCell<web::Payload>>);

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next_unpin(poller)
    }
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

/// The bytes that a viewer gets: what its session shows, then what the protocol says (pings, the close). The session is
/// polled, and so does anything, only when the connection has taken all that was shown.
///
/// After the last byte the connection is read on for a moment: closing a socket that has unread bytes resets it, and the
/// peer would lose the close frame.
struct Outgoing<S> {
    session: Pin<Box<S>>,
    shown: Shown,
    /// What the session has come up with after what is shown.
    said: Poll<Option<Result<Bytes, actix_web::Error>>>,
    payload: Incoming,
    until: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<S: Stream<Item = Result<Bytes, actix_web::Error>>> Stream for Outgoing<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Option<Self::Item>> {
        if self.until.is_none() {
            if self.said.is_pending() && self.shown.borrow().is_empty() {
                self.said = self.session.as_mut().poll_next(poller);
            }
            let shown = self.shown.borrow_mut().pop_front();
            if let Some(bytes) = shown {
                return Poll::Ready(Some(Ok(bytes)));
            }
            match std::mem::replace(&mut self.said, Poll::Pending) {
                Poll::Ready(None) => self.until = Some(Box::pin(tokio::time::sleep(LINGER))),
                said => return said,
            }
        }
        while let Poll::Ready(piece) = self.payload.poll_next_unpin(poller) {
            if !matches!(piece, Some(Ok(_))) {
                return Poll::Ready(None);
            }
        }
        match &mut self.until {
            Some(until) => until.poll_unpin(poller).map(|()| None),
            None => Poll::Pending,
        }
    }
}
