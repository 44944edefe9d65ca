//! A WebSocket that says everything back, in builds for tests alone: what the protocol asks of a server is tried here, on
//! the sessions' own way in and out.

use actix::prelude::*;
use actix_http::ws::Item;
use actix_web::web::BytesMut;
use actix_web::{HttpRequest, HttpResponse, web};
use bytestring::ByteString;

use super::{CloseReason, Shown, WebsocketContext, answer_to_close, code_of, session, ws};
use crate::error::Error;
use crate::protocol::close_code;

/// The largest frame, in bytes: the largest of the conformance cases.
const MAX_FRAME: usize = 32 << 20;

/// `GET /echo`
pub(in crate::http) async fn echo(
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let mut response = ws::handshake(&request).map_err(|error| Error::NotAnUpgrade(error.to_string()))?;
    Ok(response.streaming(session(Echo::default(), payload, MAX_FRAME, Shown::default())))
}

/// A peer, and the message of which it has sent the beginning.
#[derive(Default)]
struct Echo {
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

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Echo {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        match message {
            Ok(ws::Message::Text(text)) => ctx.text(text),
            Ok(ws::Message::Binary(bytes)) => ctx.binary(bytes),
            Ok(ws::Message::Continuation(item)) => {
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
                self.begun.extend_from_slice(&piece);
                if last {
                    self.say(ctx);
                }
            }
            Ok(ws::Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason.as_ref().map(answer_to_close));
                ctx.stop();
            }
            Err(error) => end(code_of(&error), ctx),
        }
    }
}

fn end(code: u16, ctx: &mut WebsocketContext<Echo>) {
    ctx.close(Some(CloseReason { code: code.into(), description: None }));
    ctx.stop();
}
