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

/// How long a store that commits counts as one.
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

/// What the last look at the store found. A look is a commit, so many who ask share one.
#[derive(Default)]
pub struct Readiness(Mutex<Option<Look>>);

struct Look {
    began: Instant,
    found: Result<(), Error>,
}

impl Readiness {
    async fn check(&self, store: &Store) -> Result<(), Error> {
        let asked = Instant::now();
        // Who comes while one looks waits here, and shares the next.
        let mut last = self.0.lock().await;
        if let Some(look) = &*last
            && (look.began >= asked || (look.found.is_ok() && look.began.elapsed() < READY_FOR))
        {
            return look.found.clone();
        }
        let began = Instant::now();
        let checked = tokio::time::timeout(READY_WITHIN, store.check(now_ms())).await;
        let found = checked.map_err(|_| Error::Busy).and_then(|checked| Ok(checked?));
        *last = Some(Look { began, found: found.clone() });
        found
    }
}
