//! A WebSocket that says everything back, over the sessions' own way in and out: what the protocol (RFC 6455) asks of a
//! server is tried on it by a conformance suite.
//!
//!     cargo run --example echo

use std::time::Duration;

use actix::prelude::*;
use actix_http::HttpService;
use actix_http::ws::Item;
use actix_server::Server;
use actix_service::map_config;
use actix_web::dev::AppConfig;
use actix_web::web::BytesMut;
use actix_web::{App, HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{self, CloseReason, Message, ProtocolError, WebsocketContext};
use brutus_share::http::wire::{self, Wire, answer_to_close};
use brutus_share::protocol::close_code;
use bytestring::ByteString;

/// The largest frame, in bytes: that of the suite's cases.
const MAX_FRAME: usize = 64 << 10;

/// The largest message, in bytes, of all its fragments.
const MAX_MESSAGE: usize = 1 << 20;

/// A peer, and the message of which it has sent the beginning.
#[derive(Default)]
struct Echo {
    wire: Wire,
    begun: BytesMut,
    text: bool,
}

impl Echo {
    fn say(&mut self, ctx: &mut WebsocketContext<Self>) {
        let message = self.begun.split().freeze();
        if !self.text {
            ctx.binary(message);
        } else if let Ok(text) = ByteString::try_from(message) {
            ctx.text(text);
        } else {
            end(close_code::NOT_UTF8, ctx);
        }
    }
}

impl Actor for Echo {
    type Context = WebsocketContext<Self>;
}

impl StreamHandler<Result<Message, ProtocolError>> for Echo {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        match message {
            Ok(Message::Text(text)) => ctx.text(text),
            Ok(Message::Binary(bytes)) => ctx.binary(bytes),
            Ok(Message::Continuation(item)) => {
                let (piece, last) = match item {
                    Item::FirstText(piece) => {
                        self.text = true;
                        (piece, false)
                    }
                    Item::FirstBinary(piece) => {
                        self.text = false;
                        (piece, false)
                    }
                    Item::Continue(piece) => (piece, false),
                    Item::Last(piece) => (piece, true),
                };
                if self.begun.len() + piece.len() > MAX_MESSAGE {
                    return end(close_code::TOO_BIG, ctx);
                }
                self.begun.extend_from_slice(&piece);
                if last {
                    self.say(ctx);
                }
            }
            Ok(Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(Message::Pong(_) | Message::Nop) => {}
            Ok(Message::Close(reason)) => {
                ctx.close(reason.as_ref().map(answer_to_close));
                ctx.stop();
            }
            Err(error) => end(self.wire.code_of(&error), ctx),
        }
    }
}

fn end(code: u16, ctx: &mut WebsocketContext<Echo>) {
    ctx.close(Some(CloseReason { code: code.into(), description: None }));
    ctx.stop();
}

async fn echo(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, actix_web::Error> {
    let mut response = ws::handshake(&request)?;
    let echo = Echo::default();
    let wire = echo.wire.clone();
    Ok(response.streaming(wire::run(echo, payload, MAX_FRAME, wire, || {})))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    let server = Server::build().workers(1).shutdown_timeout(1).listen("echo", listener, || {
        let app = App::new().route("/echo", web::get().to(echo));
        HttpService::build()
            .client_request_timeout(Duration::from_secs(5))
            .h1(map_config(app, |()| AppConfig::default()))
            .tcp()
    })?;
    server.run().await
}
