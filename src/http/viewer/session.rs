//! The session of one viewer: an actor behind a WebSocket.
//!
//! A session holds no queue. A wake says that there is something new; the session then takes it from the share's feed,
//! or pulls what is newer than its position, one pull at a time, and writes it. A socket that does not take bytes stops
//! this actor (its future is polled by the connection), so a viewer that does not read takes nothing, and holds one
//! frame. When such a peer is dead, the kernel ends the connection (`TCP_USER_TIMEOUT`); a peer that is silent but
//! takes bytes is found by pings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use actix_web_actors::ws::{CloseReason, Message, ProtocolError, WebsocketContext};
use bytestring::ByteString;

use super::wire::{Wire, answer_to_close};
use crate::error::Error;
use crate::http::Service;
use crate::http::limits::Portion;
use crate::http::shares::{Position, shared_epoch};
use crate::memory::{Held, Memory};
use crate::metrics::METRICS;
use crate::model::Lock;
use crate::protocol::close_code;
use crate::share::{
    Crowd, Enter, FRAME_BYTES, Frame, Goodbye, Joined, Leave, Notice, Page, Read, Share, Stretch, ViewerId,
    viewers_frame,
};

/// One in so many frames of a viewer is measured: a histogram has a lock, which all viewers would share.
const MEASURE_EVERY: u8 = 16;

/// How long a viewer waits for the last words of a share that has stopped.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a viewer takes beside whole items.
#[derive(Clone, Copy)]
struct Takes {
    /// Text that was added, in place of the item.
    appends: bool,
    /// At which place an item first came.
    places: bool,
}

/// The session of one viewer.
pub(super) struct Viewer {
    share: Addr<Share>,
    /// The lock by which it was let in.
    lock: Arc<Lock>,
    crowd: Addr<Crowd>,
    wire: Wire,
    id: ViewerId,
    /// Once the share has let it in.
    joined: Option<Joined>,
    after: u64,
    /// Whether `after` is the position of a whole state: what a first stretch of all that is newer leads to is none,
    /// because items that changed later are left out of it.
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
    /// Where frames are accounted for that are made for it alone.
    memory: Memory,
    /// Whether its share was seen to have stopped.
    orphaned: bool,
    heard: Instant,
    pinged: Instant,
    ping_interval: Duration,
    /// Counted against its address, where that has a limit.
    _seat: Option<Portion>,
}

impl Viewer {
    /// A viewer that is about to be let into its share, and stands at a position.
    pub(super) fn new(
        share: Addr<Share>,
        lock: Arc<Lock>,
        crowd: Addr<Crowd>,
        position: Position,
        service: &Service,
        seat: Option<Portion>,
    ) -> Self {
        let now = Instant::now();
        Self {
            share,
            lock,
            crowd,
            wire: Wire::default(),
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
            memory: service.budget.memory().clone(),
            orphaned: false,
            heard: now,
            pinged: now,
            ping_interval: service.ping_interval,
            _seat: seat,
        }
    }

    /// Its side of the connection.
    pub(super) fn wire(&self) -> Wire {
        self.wire.clone()
    }

    /// Takes what is new. While a pull is under way its answer comes first. Who does not hold a whole state pulls on:
    /// what is in the feed was added to one.
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
            self.wire.text(frame);
        }
        if self.viewers != Some(news.viewers) && news.viewers > 0 {
            self.viewers = Some(news.viewers);
            self.wire.text(viewers_frame(news.viewers));
        }
        if news.behind {
            self.pull(ctx);
        }
    }

    fn pull(&mut self, ctx: &mut WebsocketContext<Self>) {
        self.pulling = true;
        let pull = pull(
            self.share.clone(),
            self.memory.clone(),
            Read {
                lock: self.lock.clone(),
                after: self.after,
                epoch: self.epoch.clone(),
                max_bytes: FRAME_BYTES,
                room: 0,
                places: self.takes.places,
            },
        );
        ctx.spawn(wrap_future::<_, Self>(pull).map(|pulled, viewer, ctx| {
            viewer.pulling = false;
            match pulled {
                Ok((frame, held)) => {
                    // From now on the position is one of the share's own.
                    viewer.epoch = viewer.joined.as_ref().map(|joined| joined.feed.epoch().clone());
                    viewer.after = frame.seq;
                    viewer.complete = !frame.more;
                    METRICS.frames.inc();
                    viewer.wire.own_text(frame.text, held);
                    // What came up meanwhile woke nobody.
                    viewer.advance(ctx);
                }
                // The share was deleted or stopped; where it could, it has said goodbye itself.
                Err(Error::NoSuchShare) => viewer.end(close_code::GONE, ctx),
                Err(Error::TooMuchAtOnce) => viewer.end(close_code::TRY_AGAIN, ctx),
                Err(_) => viewer.end_soon(ctx),
            }
        }));
    }

    #[allow(clippy::unused_self)] // Reads as what it is at its callers.
    fn end(&self, code: u16, ctx: &mut WebsocketContext<Self>) {
        ctx.close(Some(CloseReason { code: code.into(), description: None }));
        ctx.stop();
    }

    /// Ends when the share has stopped. Its last words may be on their way still, by way of the crowd: they come first.
    fn end_soon(&mut self, ctx: &mut WebsocketContext<Self>) {
        if !std::mem::replace(&mut self.orphaned, true) {
            ctx.run_later(LAST_WORDS, |viewer, ctx| viewer.end(close_code::RESTART, ctx));
        }
    }

    /// Asks a peer that is silent whether it is there; one that does not answer has gone. Called at every wake, of
    /// which there is one in a while even when nothing happens. A share that has left memory wakes nobody: its viewers
    /// come back.
    fn keep_alive(&mut self, ctx: &mut WebsocketContext<Self>) {
        let now = Instant::now();
        if !self.share.connected() {
            self.end_soon(ctx);
        } else if now - self.heard > self.ping_interval * 2 + self.ping_interval / 2 {
            ctx.stop();
        } else if now - self.pinged >= self.ping_interval {
            self.pinged = now;
            ctx.ping(b"");
        }
    }
}

/// Asks a share for a frame, and takes the memory that it needs before it is made.
async fn pull(share: Addr<Share>, memory: Memory, read: Read) -> Result<(Frame, Held), Error> {
    let mut held = memory.take(Frame::usual_size(FRAME_BYTES) as u64).await?;
    loop {
        let read = Read { lock: read.lock.clone(), room: held.bytes(), epoch: read.epoch.clone(), ..read };
        match share.send(read).await.map_err(|_| Error::Unavailable)?? {
            Stretch::Made(Page { frame, .. }) => {
                held.resize(frame.text.len() as u64);
                return Ok((frame, held));
            }
            Stretch::Takes(bytes) => held.grow(bytes.saturating_sub(held.bytes())).await?,
        }
    }
}

impl Actor for Viewer {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // One wake says all that many would say.
        ctx.set_mailbox_capacity(1);
        let (share, lock) = (self.share.clone(), self.lock.clone());
        let enter = Enter { share, id: self.id, lock, viewer: ctx.address().recipient() };
        ctx.wait(wrap_future::<_, Self>(self.crowd.send(enter)).map(|joined, viewer, ctx| match joined {
            Ok(Ok(joined)) => {
                viewer.joined = Some(joined);
                // A first frame comes even when nothing is new: its viewer then knows that it has all.
                viewer.pull(ctx);
            }
            Ok(Err(Error::NoSuchShare)) => viewer.end(close_code::GONE, ctx),
            Err(_) | Ok(Err(Error::Relocked)) => viewer.end(close_code::RESTART, ctx),
            Ok(Err(_)) => viewer.end(close_code::TRY_AGAIN, ctx),
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
                    self.wire.text(words);
                }
                self.end(code, ctx);
            }
        }
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Viewer {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        self.heard = Instant::now();
        match message {
            Ok(Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(Message::Pong(_) | Message::Nop) => {}
            Ok(Message::Close(reason)) => {
                ctx.close(reason.as_ref().map(answer_to_close));
                ctx.stop();
            }
            Ok(Message::Text(_) | Message::Binary(_) | Message::Continuation(_)) => {
                self.end(close_code::UNSUPPORTED, ctx);
            }
            Err(error) => self.end(self.wire.code_of(&error), ctx),
        }
    }
}
