//! The picture that previews of a link show.

use std::sync::{Arc, OnceLock};

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::preview::preview;
use super::shares::{not_modified, tag_of, tagged};
use super::{Service, ServiceData};
use crate::error::Error;
use crate::model::ShareId;
use crate::render::{self, Card, Counts, counts};
use crate::share::{Look, Snapshot};

/// What drawing takes, in bytes: the pixels, and the file that is made of them.
const DRAWING: u64 = 4 << 20;

/// What a neutral picture is known by: it never changes.
const NEUTRAL_TAG: &str = "neutral";

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
    answer(&tag, snapshot.picture())
}

/// The picture of a session of which nothing but this title may be said. It is drawn once.
pub(super) async fn neutral_picture(
    request: &HttpRequest,
    service: &Service,
    title: &'static str,
) -> Result<HttpResponse, Error> {
    static DRAWN: OnceLock<Bytes> = OnceLock::new();
    if let Some(known) = not_modified(request, NEUTRAL_TAG) {
        return Ok(known);
    }
    if DRAWN.get().is_none() {
        let held = service.budget.memory().take(DRAWING).await?;
        let card =
            Card { title: title.into(), prompt: String::new(), counts: Counts::default(), is_live: false };
        let draw = move || {
            let png = render::picture(&card).unwrap_or_default();
            drop(held);
            Bytes::from(png)
        };
        // Who else has drawn it meanwhile has drawn the same.
        let _ = DRAWN.set(service.offload.run(draw).await?);
    }
    answer(NEUTRAL_TAG, DRAWN.get())
}

/// A picture, if it could be drawn.
fn answer(tag: &str, png: Option<&Bytes>) -> Result<HttpResponse, Error> {
    let png = png.filter(|png| !png.is_empty()).ok_or(Error::NoSuchPath)?;
    Ok(tagged(tag)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        // Who shows a preview of a link shows it from here.
        .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin"))
        .content_type("image/png")
        .body(png.clone()))
}
