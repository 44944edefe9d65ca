//! From a connection to the application: the gate, TLS where it is the server's own, HTTP.
//!
//! HTTP/1 alone, as a WebSocket needs it: actix-web's `HttpServer` makes every connection large enough for HTTP/2 too,
//! which costs each viewer two kilobytes.

use std::fmt;
use std::future::ready;
use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::error::DispatchError;
use actix_http::{HttpService, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::AppConfig;
use actix_web::rt::net::UnixStream;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Gate};
use crate::http::Endpoint;

/// How long a connection stays open between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection is read on that is closed after its answer, because its request was refused before all of it
/// had come: its client writes first and then reads, and is to see why.
const LINGER: Duration = Duration::from_secs(10);

/// How an application is served.
pub(super) struct Http<F, A, S, B> {
    /// Makes the application, once in each thread.
    app: F,
    gate: Gate,
    /// How long a client may take to send a request's head.
    head_timeout: Duration,
    /// What `app` makes.
    application: PhantomData<Application<A, S, B>>,
}

/// What stands for the types that an application is made of.
type Application<A, S, B> = fn() -> (A, S, B);

impl<F: Clone, A, S, B> Clone for Http<F, A, S, B> {
    fn clone(&self) -> Self {
        let (app, gate) = (self.app.clone(), self.gate.clone());
        Self { app, gate, head_timeout: self.head_timeout, application: PhantomData }
    }
}

impl<F, A, S, B> Http<F, A, S, B>
where
    F: Fn() -> A + Clone + Send + 'static,
    A: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    S::InitError: fmt::Debug,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    /// An application behind a gate; its clients have so long to send a request's head.
    pub(super) fn new(app: F, gate: Gate, head_timeout: Duration) -> Self {
        Self { app, gate, head_timeout, application: PhantomData }
    }

    /// Adds sockets to a server, over TLS when there is a configuration for that.
    pub(super) fn listen_on(
        &self,
        mut server: ServerBuilder,
        tcp: Vec<TcpListener>,
        unix: Vec<UnixListener>,
        tls: Option<&ServerConfig>,
    ) -> io::Result<ServerBuilder> {
        for listener in tcp {
            server = match tls {
                Some(tls) => self.listen_tls(server, listener, tls.clone())?,
                None => self.listen(server, listener)?,
            };
        }
        for listener in unix {
            server = self.listen_unix(server, listener)?;
        }
        Ok(server)
    }

    /// Adds a listener to a server, in the clear.
    fn listen(&self, server: ServerBuilder, listener: TcpListener) -> io::Result<ServerBuilder> {
        let http = self.clone();
        server.listen("http", listener, move || {
            let gate = http.gate.clone();
            fn_service(move |stream| ready(gate.admit(stream, true).map_err(DispatchError::Io)))
                .map(|connection: Connection| {
                    let peer = connection.peer;
                    (connection, peer)
                })
                .and_then(http.over(|connection: &Connection| connection.endpoint.clone()))
        })
    }

    /// Adds a Unix socket to a server, for a proxy on the same machine.
    fn listen_unix(&self, server: ServerBuilder, listener: UnixListener) -> io::Result<ServerBuilder> {
        let http = self.clone();
        server.listen_uds("http", listener, move || {
            fn_service(|stream| ready(Ok::<_, DispatchError>((Gate::admit_local(stream), None))))
                .and_then(http.over(|connection: &Connection<UnixStream>| connection.endpoint.clone()))
        })
    }

    /// Adds a listener to a server, over TLS.
    fn listen_tls(
        &self,
        server: ServerBuilder,
        listener: TcpListener,
        tls: ServerConfig,
    ) -> io::Result<ServerBuilder> {
        let http = self.clone();
        server.listen("https", listener, move || {
            let gate = http.gate.clone();
            let over_tls = http.over(|stream: &TlsStream<Connection>| stream.get_ref().0.endpoint.clone());
            fn_service(move |stream| ready(gate.admit(stream, false).map_err(TlsError::Tls)))
                .and_then(Acceptor::new(tls.clone()).map_err(TlsError::into_service_error))
                .map(|stream: TlsStream<Connection>| {
                    let peer = stream.get_ref().0.peer;
                    (stream, peer)
                })
                .and_then(over_tls.map_err(TlsError::Service))
        })
    }

    /// The application, over connections that say how long they may take to be written to.
    fn over<T: AsyncRead + AsyncWrite + Unpin + 'static, D: Fn(&T) -> Endpoint + 'static>(
        &self,
        endpoint: D,
    ) -> impl ServiceFactory<
        (T, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
        Service: 'static,
        Future: 'static,
    > + use<T, D, F, A, S, B> {
        HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(self.head_timeout)
            .client_disconnect_timeout(LINGER)
            .on_connect_ext(move |connection: &T, data| _ = data.insert(endpoint(connection)))
            .h1(map_config((self.app)(), |()| AppConfig::default()))
    }
}
