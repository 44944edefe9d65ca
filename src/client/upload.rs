//! Connections to share servers: direct or through a proxy, and such that an answer can be read although the server did
//! not want all that was sent.
//!
//! awc sends a whole body before it looks for an answer. A server that refuses a request by its head answers and
//! closes; the rest of the body then meets a closed connection, the write fails, and the answer lies unread in the
//! socket. Here a write that fails because the peer has closed counts as done: the answer is read, and where there is
//! none the read fails.

use std::cell::Cell;
use std::fmt::Display;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_service::{Service, fn_service};
use actix_tls::connect::rustls_0_23::TlsConnector;
use actix_tls::connect::rustls_0_23::reexports::AsyncTlsStream;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector, ConnectorService, Host};
use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use awc::http::Uri;
use rustls::ClientConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::proxy::{Proxies, Proxy};
use super::tunnel;

/// How long the peer's machine may leave bytes unacknowledged: after that nothing is there any more, whatever is waited
/// for.
const DEAD_PEER: Duration = Duration::from_secs(10);

/// A connection of this client.
#[derive(Debug)]
pub(super) struct Upload {
    stream: Stream,
    /// Whether the peer takes nothing more.
    refused: bool,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    /// To a proxy that speaks TLS itself.
    Tls(Box<AsyncTlsStream<TcpStream>>),
}

/// What connects to servers.
pub(super) trait Connect:
    Service<ConnectInfo<Uri>, Response = Connection<Uri, Upload>, Error = ConnectError, Future: 'static>
    + Clone
    + 'static
{
}

impl<S> Connect for S where
    S: Service<ConnectInfo<Uri>, Response = Connection<Uri, Upload>, Error = ConnectError, Future: 'static>
        + Clone
        + 'static
{
}

/// Connects once, and never again.
pub(super) fn once(connect: impl Connect) -> impl Connect {
    let has_connected = Rc::new(Cell::new(false));
    fn_service(move |request| {
        let (connect, is_again) = (connect.clone(), has_connected.replace(true));
        async move {
            if is_again {
                return Err(failed("the connection on which the server proved its key has ended"));
            }
            connect.call(request).await
        }
    })
}

/// Connects, as awc does by default, but that for `https` a proxy is asked for the way where there is one; `tls` is for
/// proxies that speak it. For `http` a proxy is sent the requests themselves: then it is the host that is connected to.
pub(super) fn connector(proxies: Proxies, tls: Arc<ClientConfig>) -> impl Connect {
    let tcp = Connector::default().service();
    fn_service(move |request: ConnectInfo<Uri>| {
        let (tcp, tls, proxies) = (tcp.clone(), tls.clone(), proxies.clone());
        async move {
            let uri = request.request().clone();
            let tunnelled = uri.scheme_str() == Some("https") && !proxies.is_one(&uri);
            let proxy = if tunnelled { proxies.of(&uri).map_err(failed)? } else { None };
            let stream = match proxy {
                Some(proxy) => tunnel(proxy, &tcp, tls, &uri).await?,
                None => Stream::Tcp(connect(&tcp, request).await?),
            };
            Ok(Connection::new(uri, Upload { stream, refused: false }))
        }
    })
}

fn failed(reason: impl Display) -> ConnectError {
    ConnectError::Io(io::Error::other(reason.to_string()))
}

async fn connect(tcp: &ConnectorService, to: ConnectInfo<Uri>) -> Result<TcpStream, ConnectError> {
    let (stream, _) = tcp.call(to).await?.into_parts();
    // What is sent into the void is found out before any answer could be missed.
    if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(DEAD_PEER)) {
        tracing::debug!(%error, "cannot set a connection's options");
    }
    Ok(stream)
}

/// A stream to a host, through a proxy.
async fn tunnel(
    proxy: &Proxy,
    tcp: &ConnectorService,
    tls: Arc<ClientConfig>,
    to: &Uri,
) -> Result<Stream, ConnectError> {
    // The library's error of a connection does not say what the system said.
    let failed = |error: &dyn Display| failed(format!("the proxy {proxy}: {error}"));
    let stream = match connect(tcp, ConnectInfo::new(proxy.uri().clone())).await {
        Err(ConnectError::Io(error)) => return Err(failed(&error)),
        stream => stream.map_err(|error| failed(&error))?,
    };
    let mut stream = if proxy.uri().scheme_str() == Some("https") {
        let greeted = TlsConnector::service(tls).call(Connection::new(proxy.uri().clone(), stream)).await;
        Stream::Tls(Box::new(greeted.map_err(|error| failed(&error))?.into_parts().0))
    } else {
        Stream::Tcp(stream)
    };
    let to = format!("{}:{}", to.hostname(), Host::port(to).unwrap_or(443));
    tunnel::open(&mut stream.io(), &to, proxy.authorization()).await.map_err(|error| failed(&error))?;
    Ok(stream)
}

/// What can be read and written.
trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

impl Stream {
    fn io(&mut self) -> &mut dyn Io {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.as_mut(),
        }
    }

    /// The connection of the machine, whatever is spoken on it.
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Upload {
    /// What a write has come to, where `all` is what counts as done when the peer takes nothing more.
    fn written<T>(&mut self, written: Poll<io::Result<T>>, all: T) -> Poll<io::Result<T>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match written {
            Poll::Ready(Err(error))
                if matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) =>
            {
                self.refused = true;
                Poll::Ready(Ok(all))
            }
            written => written,
        }
    }
}

impl AsyncRead for Upload {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.stream.io()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Upload {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.refused {
            return Poll::Ready(Ok(data.len()));
        }
        let written = Pin::new(self.stream.io()).poll_write(context, data);
        self.written(written, data.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(self.stream.io()).poll_flush(context);
        self.written(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.io()).poll_shutdown(context)
    }
}

impl ActixStream for Upload {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.stream.tcp(), context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.stream.tcp(), context)
    }
}
