//! From a connection to the application: the gate, TLS where it is the server's own, HTTP.
//!
//! HTTP/1 alone, as a WebSocket needs it: actix-web's `HttpServer` makes every connection large enough for HTTP/2 too,
//! which costs each viewer two kilobytes.

use std::fmt;
use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::error::DispatchError;
use actix_http::{HttpService, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::dev::AppConfig;
use rustls::ServerConfig;

use super::connection::{Connection, Gate};

/// How long a connection stays open between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a connection is read on that is closed after its answer, because its request was refused before all of it
/// had come: its client writes first and then reads, and is to see why.
const LINGER: Duration = Duration::from_secs(10);

/// How an application is served.
#[derive(Clone)]
pub(super) struct Http<F> {
    /// Makes the application, once in each thread.
    pub(super) app: F,
    pub(super) gate: Gate,
    /// How long a client may take to send a request's head.
    pub(super) head_timeout: Duration,
}

impl<F: Clone + Send + 'static> Http<F> {
    /// Adds a listener to a server: over TLS when there is a configuration for that, else in the clear.
    pub(super) fn listen<A, S, B>(
        &self,
        server: ServerBuilder,
        listener: TcpListener,
        tls: Option<ServerConfig>,
    ) -> io::Result<ServerBuilder>
    where
        F: Fn() -> A,
        A: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Response: Into<Response<B>>,
        S::Error: Into<Response<BoxBody>>,
        S::InitError: fmt::Debug,
        S::Future: 'static,
        B: MessageBody + 'static,
    {
        let Self { app, gate, head_timeout } = self.clone();
        let application = move || map_config(app(), |()| AppConfig::default());
        let Some(tls) = tls else {
            return server.listen("http", listener, move || {
                let gate = gate.clone();
                let http = HttpService::build()
                    .keep_alive(KEEP_ALIVE)
                    .client_request_timeout(head_timeout)
                    .client_disconnect_timeout(LINGER)
                    .on_connect_ext(|connection: &Connection, data| {
                        data.insert(connection.deadline.clone());
                    })
                    .h1(application());
                fn_service(move |stream| ready(gate.admit(stream, true).map_err(DispatchError::Io)))
                    .map(|connection: Connection| {
                        let peer = connection.peer;
                        (connection, peer)
                    })
                    .and_then(http)
            });
        };
        server.listen("https", listener, move || {
            let gate = gate.clone();
            let http = HttpService::build()
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(head_timeout)
                .client_disconnect_timeout(LINGER)
                .on_connect_ext(|stream: &TlsStream<Connection>, data| {
                    data.insert(stream.get_ref().0.deadline.clone());
                })
                .h1(application());
            fn_service(move |stream| ready(gate.admit(stream, false).map_err(TlsError::Tls)))
                .and_then(Acceptor::new(tls.clone()).map_err(TlsError::into_service_error))
                .map(|stream: TlsStream<Connection>| {
                    let peer = stream.get_ref().0.peer;
                    (stream, peer)
                })
                .and_then(http.map_err(TlsError::Service))
        })
    }
}
