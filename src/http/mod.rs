//! The server's HTTP and WebSocket side. Every route stands on this page.

mod about;
mod answers;
mod assets;
mod body;
mod budget;
mod gate;
mod health;
mod limits;
mod log;
mod oembed;
mod offload;
mod openapi;
mod origin;
mod pace;
mod pages;
mod picture;
mod preview;
mod redaction;
mod server;
mod shares;
mod viewer;
mod who;

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{Compress, Next};
use actix_web::{HttpResponse, Resource, ResponseError, Route, guard, web};

use crate::access::{Access, Need};
use crate::config::LiveLimits;
use crate::discovery::Identity;
use crate::error::{Error, resource};
use crate::share::Directory;
use crate::store::Store;

pub use about::{About, about_routes};
pub use answers::Endpoint;
pub use budget::Budget;
pub use health::Readiness;
pub use limits::{CreateLimit, InUse, Portion};
pub use log::RequestSpan;
pub use offload::Offload;
pub use openapi::document as openapi_document;
pub use pages::PagePolicy;
pub use redaction::Redaction;
pub use viewer::wire;

/// What handlers work with; one for the whole server.
pub struct Service {
    /// Finds and starts shares.
    pub shares: Directory,
    /// For readiness, room, tokens and the names of secrets: everything else goes through shares.
    pub store: Store,
    /// Lets requests at shares.
    pub access: Access,
    /// The limits that handlers hold.
    pub limits: LiveLimits,
    /// Counts creates by client.
    pub creates: CreateLimit,
    /// Counts viewers by client.
    pub viewers: InUse,
    /// Memory for requests under way.
    pub budget: Budget,
    /// Runs what takes longer than a moment.
    pub offload: Offload,
    /// Takes secrets out of what is synced.
    pub redaction: Redaction,
    /// Whether the store commits, as last seen.
    pub readiness: Readiness,
    /// What links start with, without a slash at the end.
    pub public_url: String,
    /// Its origin, in exact form.
    pub origin: String,
    /// The server's own key.
    pub identity: Identity,
    /// Whether the local network is told of this server.
    pub announced: bool,
    /// What the page may do.
    pub page_policy: PagePolicy,
    /// Whether TLS is the server's own.
    pub over_tls: bool,
    /// How often an idle viewer is pinged.
    pub ping_interval: Duration,
    /// How long a client may take between two pieces of a body, or of an answer.
    pub body_timeout: Duration,
}

impl Service {
    /// The link to a share.
    fn link(&self, id: &str) -> String {
        format!("{}/s/{id}", self.public_url)
    }
}

/// Handlers take this.
pub type ServiceData = web::Data<Arc<Service>>;

/// Before the paths of shares: with a token for clients that cannot send a header.
const API: &[&str] = &["/api/share", "/api/shares", "/t/{token}/api/share", "/t/{token}/api/shares"];

/// Before the paths of pages. `/embed` is for frames of other pages, and the same page: its scripts leave out what a
/// frame has no room for.
const PAGES: &[&str] = &["/s", "/share", "/embed"];

/// Before the paths of all else.
const ROOT: &[&str] = &[""];

/// Where something is answered.
pub struct At {
    bases: &'static [&'static str],
    rest: &'static str,
    /// Whether answers are compressed when that is asked for.
    compressed: bool,
    routes: &'static [Answers],
}

/// The methods that are answered, what a request needs, and the handler.
pub struct Answers(pub &'static str, pub Need, fn() -> Route);

impl At {
    /// The paths: the first is the one that is told.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.bases.iter().map(|base| format!("{base}{}", self.rest))
    }

    /// What is answered there.
    pub fn answers(&self) -> &'static [Answers] {
        self.routes
    }
}

const fn at(bases: &'static [&'static str], rest: &'static str, routes: &'static [Answers]) -> At {
    At { bases, rest, compressed: false, routes }
}

const fn compressed_at(bases: &'static [&'static str], rest: &'static str, routes: &'static [Answers]) -> At {
    At { bases, rest, compressed: true, routes }
}

/// All that is answered. Each says what a request needs; a story holds them to it.
#[rustfmt::skip]
pub const ROUTES: &[At] = &[
    at(API, "", &[Answers("POST", Need::Token, || web::post().to(shares::create))]),
    at(API, "/{id}", &[
        Answers("GET, HEAD", Need::Link, || read().to(shares::summary)),
        Answers("PATCH", Need::Secret, || web::patch().to(shares::amend)),
        Answers("DELETE", Need::Delete, || web::delete().to(shares::delete)),
    ]),
    at(API, "/{id}/sync", &[Answers("POST", Need::Secret, || web::post().to(shares::sync))]),
    at(API, "/{id}/open", &[Answers("POST", Need::Key, || web::post().to(shares::open))]),
    compressed_at(API, "/{id}/data", &[Answers("GET, HEAD", Need::Text, || read().to(shares::data))]),
    compressed_at(API, "/{id}/items", &[Answers("GET, HEAD", Need::Items, || read().to(shares::items))]),
    at(API, "/{id}/poll", &[Answers("GET", Need::Items, || web::get().to(viewer::poll))]),
    // The page and its picture; with `.md` or `.json`, or when one of these is preferred, what `Need::Text` says.
    compressed_at(PAGES, "/{id}", &[Answers("GET, HEAD", Need::Link, || read().to(pages::page))]),
    at(PAGES, "/{id}/", &[Answers("GET, HEAD", Need::Nothing, || read().to(pages::with_slash))]),
    at(ROOT, "/", &[Answers("GET, HEAD", Need::Nothing, || read().to(pages::start))]),
    compressed_at(ROOT, "/assets/{path:.*}", &[Answers("GET, HEAD", Need::Nothing, || read().to(assets::asset))]),
    at(ROOT, "/oembed", &[Answers("GET, HEAD", Need::Link, || read().to(oembed::oembed))]),
    at(ROOT, "/api/server", &[Answers("GET, HEAD", Need::Nothing, || read().to(server::server))]),
    at(ROOT, "/api/openapi.json", &[Answers("GET, HEAD", Need::Nothing, || read().to(openapi::openapi))]),
    at(ROOT, "/healthz", &[Answers("GET, HEAD", Need::Nothing, || read().to(health::healthz))]),
    at(ROOT, "/readyz", &[Answers("GET, HEAD", Need::Nothing, || read().to(health::readyz))]),
];

/// The routes.
pub fn routes(app: &mut web::ServiceConfig) {
    for at in ROUTES {
        let allowed = at.routes.iter().map(|Answers(methods, ..)| *methods).collect::<Vec<_>>().join(", ");
        for path in at.paths() {
            let routes = at.routes.iter().map(|Answers(.., route)| route());
            let resource = routes.fold(resource(&path, allowed.clone()), Resource::route);
            if at.compressed {
                app.service(compressed(resource));
            } else {
                app.service(resource);
            }
        }
    }
    app.default_service(web::to(async || Err::<HttpResponse, _>(Error::NoSuchPath)));
}

/// Around every request: web pages of others are refused what is not reading, and headers stand on every answer. The
/// future and the body are boxed: a connection holds the size of its largest future for as long as it lives, and a
/// viewer's is small.
pub async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, actix_web::Error> {
    let over_tls = request.app_data::<ServiceData>().is_some_and(|service| service.over_tls);
    let mut response = match origin::check(&request) {
        Ok(()) if origin::is_preflight(&request) => request.into_response(origin::preflight()),
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => request.into_response(error.error_response()),
    };
    origin::let_read(&mut response);
    let opens_alone = origin::opens_alone(&response);
    let headers = response.headers_mut();
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ];
    let over_tls = over_tls.then_some((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
    let isolated = opens_alone.then_some((header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"));
    for (name, value) in always.into_iter().chain(over_tls).chain(isolated) {
        if !headers.contains_key(&name) {
            headers.insert(name, header::HeaderValue::from_static(value));
        }
    }
    Ok(response)
}

fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn compressed(
    resource: Resource,
) -> Resource<
    impl actix_web::dev::ServiceFactory<
        actix_web::dev::ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    resource.wrap(Compress::default())
}
