//! Connections whose answer can be read although the server did not want all that was sent.
//!
//! awc sends a whole body before it looks for an answer. A server that refuses a request by its head answers and
//! closes; the rest of the body then meets a closed connection, the write fails, and the answer lies unread in the
//! socket. Here a write that fails because the peer has closed counts as done: the answer is read, and where there is
//! none the read fails.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector};
use actix_web::rt::net::{ActixStream, Ready, TcpStream};
use awc::http::Uri;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection of this client.
#[derive(Debug)]
pub(super) struct Upload {
    stream: TcpStream,
    /// Whether the peer takes nothing more.
    refused: bool,
}

/// Connects, as awc does by default.
pub(super) fn connector()
-> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, Upload>, Error = ConnectError> + Clone {
    let tcp = Connector::default().service();
    fn_service(move |request: ConnectInfo<Uri>| {
        let connecting = tcp.call(request);
        async move {
            let (stream, uri) = connecting.await?.into_parts();
            Ok(Connection::new(uri, Upload { stream, refused: false }))
        }
    })
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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
        let written = Pin::new(&mut self.stream).poll_write(context, data);
        self.written(written, data.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.written(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl ActixStream for Upload {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, context)
    }
}
