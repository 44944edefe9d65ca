//! Whether the server lives, and whether it can do its work.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use serde_json::json;
use tokio::sync::Mutex;

use super::ServiceData;
use super::openapi::{ReadyRefused, Status};
use crate::clock::now_ms;
use crate::error::Error;
use crate::store::Store;

/// How long a commit may take before the server counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// How long what was found counts.
const READY_FOR: Duration = Duration::from_secs(1);

/// The process answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does", body = Status)))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The store commits.
#[utoipa::path(get, path = "/readyz", responses((status = 200, description = "It does", body = Status), ReadyRefused))]
pub(super) async fn readyz(service: ServiceData) -> Result<HttpResponse, Error> {
    service.readiness.check(&service.store).await?;
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}

/// What the last look at the store said: a look is a commit, so all who ask within a second share one.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<(), Error>)>>);

impl Readiness {
    async fn check(&self, store: &Store) -> Result<(), Error> {
        // Who comes while one looks waits for what it finds.
        let mut last = self.0.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < READY_FOR
        {
            return result.clone();
        }
        let checked = tokio::time::timeout(READY_WITHIN, store.check(now_ms())).await;
        let result = checked.map_err(|_| Error::Busy).and_then(|checked| Ok(checked?));
        *last = Some((Instant::now(), result.clone()));
        result
    }
}
