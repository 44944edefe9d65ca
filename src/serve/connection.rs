//! A client's connection: counted by its address before anything is read from it, and ended when it has to take bytes
//! and does not.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::ResponseError;
use actix_web::rt::net::{ActixStream, Ready, TcpStream, UnixStream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::access::Client;
use crate::config::LiveLimits;
use crate::error::{Error, ErrorBody};
use crate::http::{Endpoint, InUse, Portion};
use crate::metrics::METRICS;

/// When a client comes back that has too many connections.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Files that the server needs for itself.
const OWN_FILES: usize = 100;

/// How many connections there is room for, of those that are wanted: each is an open file, and the database and its
/// like need some too.
pub(super) fn room(files: usize, wanted: usize) -> usize {
    let room = files.saturating_sub(OWN_FILES).max(files / 2).max(1);
    if room < wanted {
        tracing::warn!(
            "the system allows {files} open files: there is room for {room} connections, not for {wanted} \
             (max_connections)"
        );
    }
    room.min(wanted)
}

/// Lets connections in.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) limits: LiveLimits,
    pub(super) connections: InUse,
    /// How many the server has room for.
    pub(super) room: usize,
    /// How long a peer may leave bytes unacknowledged or unread.
    pub(super) dead_peer_timeout: Duration,
}

/// A connection that was let in.
pub(super) struct Connection<S = TcpStream> {
    stream: S,
    pub(super) peer: Option<SocketAddr>,
    pub(super) endpoint: Endpoint,
    /// Its place among those of its address, unless that is a proxy's.
    _place: Option<Portion>,
}

impl Gate {
    /// Lets a connection in, unless its address has as many as it may have. One that is refused is told so when it
    /// speaks `plain` HTTP, as far as that costs nothing.
    pub(super) fn admit(&self, stream: TcpStream, plain: bool) -> io::Result<Connection> {
        let peer = stream.peer_addr().ok();
        let place = match peer {
            Some(peer) if !self.limits.get().trusted_proxies.contains(peer.ip()) => {
                let place = self.connections.take_one(Client::at(peer.ip()), self.max_of_one());
                if place.is_none() {
                    refuse(&stream, plain);
                    return Err(io::ErrorKind::QuotaExceeded.into());
                }
                place
            }
            _ => None,
        };
        self.set_options(&stream);
        let endpoint = Endpoint::at(stream.local_addr().ok());
        Ok(Connection { stream, peer, endpoint, _place: place })
    }

    /// Lets a connection over a Unix socket in. It is a proxy's, on this machine, and counts for no address.
    pub(super) fn admit_local(stream: UnixStream) -> Connection<UnixStream> {
        Connection { stream, peer: None, endpoint: Endpoint::default(), _place: None }
    }

    /// How many one address may have.
    fn max_of_one(&self) -> u64 {
        self.limits.get().max_connections_per_address.unwrap_or(self.room / 2).max(1) as u64
    }

    /// Lets the kernel end a connection whose peer takes nothing any more. A connection that cannot be written freezes
    /// the actor behind it, timers and all, so nobody else could.
    fn set_options(&self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        let timeout = socket.set_tcp_user_timeout(Some(self.dead_peer_timeout));
        if let Err(error) = timeout.and_then(|()| socket.set_tcp_nodelay(true)) {
            tracing::warn!(%error, "cannot set a connection's options");
        }
    }
}

fn refuse(stream: &TcpStream, plain: bool) {
    let error = Error::TooManyRequests { retry_after: RETRY_AFTER };
    METRICS.refused(error.code());
    if !plain {
        return;
    }
    let body = serde_json::to_string(&ErrorBody::new(error.code(), &error.to_string())).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/json\r\nretry-after: {}\r\nconnection: close\r\n\
         cache-control: no-store\r\ncontent-length: {}\r\n\r\n{body}",
        error.status_code(),
        RETRY_AFTER.as_secs(),
        body.len(),
    );
    // A request that has come is read: a socket that is closed with unread bytes is reset, and the answer would be
    // lost. A connection that takes no byte yet is closed without one.
    let _ = stream.try_read(&mut [0; 8 << 10]);
    let _ = stream.try_write(answer.as_bytes());
}

impl<S: ActixStream> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        poller: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(poller, buffer)
    }
}

impl<S: ActixStream> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        poller: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(poller, bytes) {
            Poll::Pending if self.endpoint.is_over() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            written => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        poller: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(poller, bytes) {
            Poll::Pending if self.endpoint.is_over() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(poller)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(poller)
    }
}

impl<S: ActixStream> ActixStream for Connection<S> {
    fn poll_read_ready(&self, poller: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, poller)
    }

    fn poll_write_ready(&self, poller: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, poller)
    }
}
