//! The picture that previews of a link show.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::ServiceData;
use super::preview::preview;
use super::shares::{not_modified, tag_of, tagged};
use crate::error::Error;
use crate::model::ShareId;
use crate::render::{self, Card, counts};
use crate::share::{Look, Snapshot};

/// What drawing takes, in bytes: the pixels, and the file that is made of them.
const DRAWING: u64 = 4 << 20;

/// A session as a picture. It is drawn once for all who look at one position.
pub(super) async fn picture(
    request: &HttpRequest,
    service: &ServiceData,
    id: &ShareId,
    snapshot: Arc<Snapshot>,
) -> Result<HttpResponse, Error> {
    let tag = tag_of(&snapshot);
    if let Some(known) = not_modified(request, &tag) {
        return Ok(known);
    }
    if snapshot.picture().is_none() {
        let activity = service.shares.ask(id, || Look).await?.activity;
        let is_live = activity.is_some_and(|activity| activity.state == "busy");
        let said = preview(service, &snapshot).await?;
        let (title, prompt) = (said.title.to_owned(), said.description.unwrap_or_default().to_owned());
        let held = service.budget.memory().take(DRAWING).await?;
        let of = snapshot.clone();
        let draw = move || {
            of.make_picture(held, |items| {
                render::picture(&Card { title, prompt, counts: counts(items), is_live }).unwrap_or_default()
            });
        };
        service.offload.run(draw).await?;
    }
    let png = snapshot.picture().filter(|png| !png.is_empty()).ok_or(Error::NoSuchPath)?;
    Ok(tagged(&tag)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        // Who shows a preview of a link shows it from here.
        .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"))
        .content_type("image/png")
        .body(png.clone()))
}
