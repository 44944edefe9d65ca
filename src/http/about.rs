//! What the server counts about itself, for its operator: on a listener of its own.

use actix_web::{HttpResponse, web};

use crate::error::resource;
use crate::memory::Memory;
use crate::metrics::METRICS;
use crate::share::Directory;
use crate::store::Store;

/// What the routes here work with.
pub struct About {
    /// How many shares are open is counted when it is asked for, and so is what the store takes.
    pub shares: Directory,
    /// The store.
    pub store: Store,
    /// The budget of memory.
    pub memory: Memory,
}

/// The routes of the operator's listener.
pub fn about_routes(app: &mut web::ServiceConfig) {
    app.service(resource("/metrics", "GET").route(web::get().to(metrics)));
}

/// `GET /metrics`
async fn metrics(about: web::Data<About>) -> HttpResponse {
    let open = i64::try_from(about.shares.open_shares()).unwrap_or(i64::MAX);
    METRICS.open_shares.set(open);
    METRICS.queue.set(i64::try_from(about.store.waiting()).unwrap_or(i64::MAX));
    METRICS.memory.set(about.memory.held());
    let sizes = about.store.sizes();
    METRICS.content.set(sizes.content);
    METRICS.database.set(sizes.database);
    METRICS.disk_free.set(sizes.disk_free.unwrap_or(0));
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(METRICS.text())
}
