//! What the machine can do with nothing on top: SQLite alone, and actix-web with nothing behind it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_web_actors::ws;
use bytestring::ByteString;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::Result;
use crate::payload::text;

/// Transactions a second of `batch` upserts of 1 KB each, on one connection, each durable (WAL, FULL).
pub fn sqlite(dir: &Path, batch: usize, seconds: u64) -> Result<f64> {
    let file = dir.join("floor.db");
    let mut connection = SqliteConnection::establish(file.to_str().ok_or("the path is not Unicode")?)?;
    for pragma in [
        "PRAGMA page_size = 8192",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 4000",
        "CREATE TABLE item (id INTEGER PRIMARY KEY, share BIGINT NOT NULL, key TEXT NOT NULL, content TEXT, UNIQUE (share, key))",
    ] {
        connection.batch_execute(pragma)?;
    }
    diesel::table! {
        item (id) {
            id -> BigInt,
            share -> BigInt,
            key -> Text,
            content -> Text,
        }
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let started = Instant::now();
    let mut n = 0;
    let mut transactions = 0_u32;
    while Instant::now() < end {
        connection.immediate_transaction(|connection| {
            for _ in 0..batch {
                n += 1;
                diesel::insert_into(item::table)
                    .values((
                        item::share.eq(1_i64),
                        item::key.eq(format!("k{}", n % 5000)),
                        item::content.eq(text(n, 1024)),
                    ))
                    .on_conflict((item::share, item::key))
                    .do_update()
                    .set(item::content.eq(diesel::upsert::excluded(item::content)))
                    .execute(connection)?;
            }
            Ok::<_, diesel::result::Error>(())
        })?;
        transactions += 1;
    }
    Ok(f64::from(transactions) / started.elapsed().as_secs_f64())
}

type Channels = Arc<Mutex<HashMap<String, Vec<Recipient<Said>>>>>;

#[derive(Message, Clone)]
#[rtype(result = "()")]
struct Said(ByteString);

struct Listener;

impl Actor for Listener {
    type Context = ws::WebsocketContext<Self>;
}

impl Handler<Said> for Listener {
    type Result = ();

    fn handle(&mut self, Said(text): Said, ctx: &mut Self::Context) {
        ctx.text(text);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Listener {
    fn handle(&mut self, _: Result<ws::Message, ws::ProtocolError>, _: &mut Self::Context) {}
}

async fn publish(channel: web::Path<String>, body: String, channels: web::Data<Channels>) -> HttpResponse {
    let said = Said(body.into());
    let channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
    for listener in channels.get(&*channel).into_iter().flatten() {
        listener.do_send(said.clone());
    }
    HttpResponse::Ok().finish()
}

async fn subscribe(
    channel: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    channels: web::Data<Channels>,
) -> actix_web::Result<HttpResponse> {
    let (listener, response) = ws::WsResponseBuilder::new(Listener, &request, payload).start_with_addr()?;
    let mut channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
    channels.entry(channel.into_inner()).or_default().push(listener.recipient());
    Ok(response)
}

/// Serves `POST /pub/{channel}` and a WebSocket at `/sub/{channel}` until the process is ended: nothing is kept,
/// checked or counted.
pub fn serve(port: u16) -> Result<()> {
    let channels = web::Data::new(Channels::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(channels.clone())
            .route("/pub/{channel}", web::post().to(publish))
            .route("/sub/{channel}", web::get().to(subscribe))
    })
    .bind((Ipv4Addr::LOCALHOST, port))?
    .run();
    Ok(actix_web::rt::System::new().block_on(server)?)
}
