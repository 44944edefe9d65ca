//! `brutus-share open`: the page out of this program, on this machine, for a share on any server. The server gives
//! what it stores, and no script: so it cannot see what an encrypted share holds, whatever page it would serve.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::rc::Rc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, web};
use clap::Args;
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::link::Opened;
use crate::client::{Config, Line, Link, NotPassed, Passage};
use crate::config::FrameAncestors;
use crate::daemon::stop_signal;
use crate::error::Error as Refusal;
use crate::http::{PagePolicy, local};
use crate::model::random_base62;

/// Bytes that a page's request may have: a password.
const MAX_BODY: usize = 64 << 10;

/// Characters of what stands before all paths: no other page and no other user can guess it.
const ROOM: usize = 22;

/// `open LINK`
#[derive(Debug, Args)]
pub(super) struct Open {
    #[command(flatten)]
    opened: Opened,

    /// Print the address alone
    #[arg(long)]
    no_browser: bool,
}

/// What the page is served with.
struct Door {
    passage: Passage,
    id: String,
    policy: PagePolicy,
    /// Where the page is, with its key: told once, to the browser that this program starts.
    page: Cell<Option<String>>,
}

type DoorData = web::Data<Rc<Door>>;

/// `open LINK`
pub(super) fn open(Open { opened, no_browser }: &Open) -> Result<(), Box<dyn Error>> {
    let (link, config) = (opened.link()?, opened.config());
    // What would not work is said before anybody looks.
    Passage::new(&config, link.clone())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let room = random_base62(ROOM)?;
    let start = format!("http://{}/{room}/", listener.local_addr()?);
    let fragment = link.key.as_ref().map_or(String::new(), |key| format!("#k1={}", key.expose()));
    let page = format!("s/{}{fragment}", link.id.as_str());
    let told = if *no_browser { None } else { Some(page.clone()) };
    actix_web::rt::System::new().block_on(async {
        let server = serve(listener, room, config, link, told)?;
        say!("{start}{page}");
        if !no_browser {
            browse(&start);
        }
        let (handle, stop) = (server.handle(), stop_signal()?);
        actix_web::rt::spawn(async move {
            stop.await;
            handle.stop(false).await;
        });
        Ok(server.await?)
    })
}

/// Opens a browser, where there is one. The address stands in lists of processes, so it has no key in it.
fn browse(start: &str) {
    let opened = Command::new("xdg-open").arg(start).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if opened.is_err() {
        say!("Open this link in a browser.");
    }
}

fn serve(
    listener: TcpListener,
    room: String,
    config: Config,
    link: Link,
    told: Option<String>,
) -> io::Result<actix_web::dev::Server> {
    let server = HttpServer::new(move || {
        let door = Passage::new(&config, link.clone()).map(|passage| {
            let page = Cell::new(told.clone());
            let policy = PagePolicy::new(&FrameAncestors::default());
            Rc::new(Door { passage, id: link.id.as_str().to_owned(), policy, page })
        });
        let app = App::new().app_data(web::PayloadConfig::new(MAX_BODY));
        let app = match door {
            Ok(door) => app.app_data(web::Data::new(door)),
            // It was tried before: every request is refused now.
            Err(_) => app,
        };
        app.service(
            web::scope(&room)
                .route("/", web::get().to(start))
                .route("/s/{id}", web::get().to(page))
                .route("/assets/{path:.*}", web::get().to(asset))
                .route("/api/share/{id}/poll", web::get().to(poll))
                .route("/api/share/{id}{rest:.*}", web::to(pass)),
        )
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

/// Leads the browser to the page, once.
async fn start(door: DoorData) -> HttpResponse {
    match door.page.take() {
        Some(page) => HttpResponse::SeeOther()
            .insert_header((header::LOCATION, page))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish(),
        None => Refusal::NoSuchPath.error_response(),
    }
}

async fn page(request: HttpRequest, door: DoorData) -> Result<HttpResponse, Refusal> {
    let name = request.match_info().query("id");
    match name.rsplit_once('.') {
        Some((id, _)) if id == door.id => {
            Ok(answered(door.passage.pass(Method::GET, &format!("/s/{name}"), web::Bytes::new()).await))
        }
        None if name == door.id => local::page(&door.policy),
        _ => Err(Refusal::NoSuchPath),
    }
}

async fn asset(request: HttpRequest, door: DoorData) -> Result<HttpResponse, Refusal> {
    local::asset(&request, &door.policy)
}

/// What the page asks of its share.
async fn pass(request: HttpRequest, body: web::Bytes, door: DoorData) -> Result<HttpResponse, Refusal> {
    let (id, rest) = (request.match_info().query("id"), request.match_info().query("rest"));
    let is_known = matches!(rest, "" | "/items" | "/data" | "/open");
    if id != door.id || !is_known {
        return Err(Refusal::NoSuchPath);
    }
    let query = Some(request.query_string()).filter(|query| !query.is_empty());
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    let path = format!("/api/share/{id}{rest}{query}");
    Ok(answered(door.passage.pass(request.method().clone(), &path, body).await))
}

fn answered(passed: Result<crate::client::Passed, NotPassed>) -> HttpResponse {
    match passed {
        Ok(passed) => {
            let mut response = HttpResponse::build(passed.status);
            for header in &passed.headers {
                response.insert_header(header);
            }
            response.insert_header((header::CACHE_CONTROL, "no-store")).body(passed.body)
        }
        Err(error) => {
            let (status, code) = match error {
                NotPassed::InClear => (StatusCode::FORBIDDEN, "in_clear"),
                NotPassed::Unreachable(_) => (StatusCode::BAD_GATEWAY, "upstream"),
            };
            let message = error.to_string();
            HttpResponse::build(status).json(json!({"error": {"code": code, "message": message}}))
        }
    }
}

/// The live connection: its bytes go to and fro as they are.
async fn poll(request: HttpRequest, payload: web::Payload, door: DoorData) -> Result<HttpResponse, Refusal> {
    if request.match_info().query("id") != door.id {
        return Err(Refusal::NoSuchPath);
    }
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return Err(Refusal::NotAnUpgrade("it has no Sec-WebSocket-Key".into()));
    };
    let accept = actix_http::ws::hash_key(key.as_bytes());
    let Line { first, socket } = match door.passage.line(request.query_string()).await {
        Ok(line) => line,
        Err(error) => return Ok(answered(Err(error))),
    };
    let (incoming, outgoing) = tokio::io::split(socket);
    actix_web::rt::spawn(send(payload, outgoing));
    let accept = HeaderValue::from_bytes(&accept).map_err(|_| Refusal::NoSuchPath)?;
    let first = stream::once(async { Ok(first) });
    Ok(HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS)
        .upgrade("websocket")
        .insert_header((header::SEC_WEBSOCKET_ACCEPT, accept))
        .streaming(first.chain(received(incoming))))
}

async fn send(mut payload: web::Payload, mut outgoing: WriteHalf<impl tokio::io::AsyncWrite>) {
    while let Some(Ok(bytes)) = payload.next().await {
        if outgoing.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = outgoing.shutdown().await;
}

fn received(
    incoming: ReadHalf<impl tokio::io::AsyncRead>,
) -> impl Stream<Item = Result<web::Bytes, io::Error>> {
    stream::try_unfold(incoming, async |mut incoming| {
        let mut bytes = web::BytesMut::with_capacity(16 << 10);
        let read = incoming.read_buf(&mut bytes).await?;
        Ok((read > 0).then(|| (bytes.freeze(), incoming)))
    })
}
