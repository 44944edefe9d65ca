//! The picture that previews of a link show.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::preview::preview;
use super::shares::{not_modified, tag_of, tagged};
use super::{Service, ServiceData};
use crate::access::Need;
use crate::error::Error;
use crate::model::ShareId;
use crate::render::{self, Card, Counts, counts};
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
        let activity = service.read(request, id, Need::Link, Look).await?.1.activity;
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

/// The picture of a session of which nothing but a title may be said.
pub(super) async fn neutral_picture(
    request: &HttpRequest,
    service: &Service,
    id: &ShareId,
    title: &'static str,
) -> Result<HttpResponse, Error> {
    // That it is there says the share itself: its time may be over.
    service.read(request, id, Need::Link, Look).await?;
    // The same title has the same picture.
    let tag = title.replace(' ', "-");
    if let Some(known) = not_modified(request, &tag) {
        return Ok(known);
    }
    let held = service.budget.memory().take(DRAWING).await?;
    let draw = move || {
        let card =
            Card { title: title.into(), prompt: String::new(), counts: Counts::default(), is_live: false };
        let png = render::picture(&card).unwrap_or_default();
        drop(held);
        Bytes::from(png)
    };
    let png = service.offload.run(draw).await?;
    answer(&tag, Some(&png))
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
