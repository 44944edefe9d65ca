//! The server's HTTP and WebSocket side. Every route stands on this page.

mod about;
mod answers;
mod assets;
mod body;
mod budget;
mod health;
mod limits;
pub mod local;
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
use actix_web::{HttpResponse, Resource, ResponseError, guard, web};

use crate::config::LiveLimits;
use crate::discovery::Identity;
use crate::error::{Error, resource};
use crate::share::Directory;
use crate::store::Store;

pub use about::{About, about_routes};
pub use answers::Endpoint;
pub use budget::Budget;
pub use health::Readiness;
pub use limits::{Client, CreateLimit, InUse, Portion};
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

/// The routes.
pub fn routes(app: &mut web::ServiceConfig) {
    // With a token in its path for clients that cannot send a header.
    for base in ["/api/share", "/api/shares", "/t/{token}/api/share", "/t/{token}/api/shares"] {
        app.service(resource(base, "POST").route(web::post().to(shares::create)))
            .service(
                resource(&format!("{base}/{{id}}"), "GET, HEAD, DELETE")
                    .route(read().to(shares::summary))
                    .route(web::delete().to(shares::delete)),
            )
            .service(resource(&format!("{base}/{{id}}/sync"), "POST").route(web::post().to(shares::sync)))
            .service(compressed(
                resource(&format!("{base}/{{id}}/data"), "GET, HEAD").route(read().to(shares::data)),
            ))
            .service(compressed(
                resource(&format!("{base}/{{id}}/items"), "GET, HEAD").route(read().to(shares::items)),
            ))
            .service(resource(&format!("{base}/{{id}}/poll"), "GET").route(web::get().to(viewer::poll)));
    }
    // `/embed` is for frames of other pages, and the same page: its scripts leave out what a frame has no room for.
    for base in ["/s", "/share", "/embed"] {
        app.service(compressed(
            resource(&format!("{base}/{{id}}"), "GET, HEAD").route(read().to(pages::page)),
        ))
        .service(resource(&format!("{base}/{{id}}/"), "GET, HEAD").route(read().to(pages::with_slash)));
    }
    app.service(resource("/", "GET, HEAD").route(read().to(pages::start)))
        .service(compressed(resource("/assets/{path:.*}", "GET, HEAD").route(read().to(assets::asset))))
        .service(resource("/oembed", "GET, HEAD").route(read().to(oembed::oembed)))
        .service(resource("/api/server", "GET, HEAD").route(read().to(server::server)))
        .service(resource("/api/openapi.json", "GET, HEAD").route(read().to(openapi::openapi)))
        .service(resource("/healthz", "GET, HEAD").route(read().to(health::healthz)))
        .service(resource("/readyz", "GET, HEAD").route(read().to(health::readyz)))
        .default_service(web::to(async || Err::<HttpResponse, _>(Error::NoSuchPath)));
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

fn read() -> actix_web::Route {
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
