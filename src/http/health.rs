//! Whether the server lives, and whether it can do its work.

use std::time::Duration;

use actix_web::HttpResponse;
use serde_json::json;

use super::ServiceData;
use super::openapi::{ReadyRefused, Status};
use crate::clock::now_ms;
use crate::error::Error;

/// How long a commit may take before the server counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// The process answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does", body = Status)))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The store commits.
#[utoipa::path(get, path = "/readyz", responses((status = 200, description = "It does", body = Status), ReadyRefused))]
pub(super) async fn readyz(service: ServiceData) -> Result<HttpResponse, Error> {
    tokio::time::timeout(READY_WITHIN, service.store.check(now_ms())).await.map_err(|_| Error::Busy)??;
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}
