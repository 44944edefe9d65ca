//! A viewer's WebSocket: the route here, the session of one viewer, and the bytes on the wire.

mod session;
pub mod wire;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;

use self::session::Viewer;
use super::limits::Portion;
use super::openapi::PollRefused;
use super::shares::{Id, Position, position, share_id};
use super::{Service, ServiceData};
use crate::access::Need;
use crate::error::Error;
use crate::share::{Crowds, Look};

/// The largest data frame that is read to its end, in bytes: a viewer has no business to send any.
const MAX_INCOMING: usize = 4 << 10;

/// A WebSocket: what is stored since a position, and then what comes.
#[utoipa::path(
    get,
    path = "/api/share/{id}/poll",
    params(Id, Position),
    responses((status = 101, description = "Frames follow, as PROTOCOL.md says"), PollRefused),
)]
pub(super) async fn poll(
    request: HttpRequest,
    payload: web::Payload,
    service: ServiceData,
    crowds: web::Data<Crowds>,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let mut response = ws::handshake(&request).map_err(|error| Error::NotAnUpgrade(error.to_string()))?;
    let position = position(&request)?;
    let (admitted, summary) = service.read(&request, &id, Need::Items, Look).await?;
    if !summary.room {
        return Err(Error::TooManyViewers);
    }
    // What a viewer is sent is accounted for when it is made: while there is nothing left, none is let in.
    service.budget.memory().take(0).await?;
    let seat = seat(&service, &request)?;
    let share = service.shares.open(&id).await?;
    let viewer = Viewer::new(share, admitted.lock(), crowds.of(&id), position, &service, seat);
    let wire = viewer.wire();
    Ok(response.streaming(wire::run(viewer, payload, MAX_INCOMING, wire)))
}

/// Counts a viewer against its address, if there is a limit for that.
fn seat(service: &Service, request: &HttpRequest) -> Result<Option<Portion>, Error> {
    let Some(max) = service.limits.get().max_viewers_per_address else { return Ok(None) };
    let Some(client) = service.client(request) else { return Ok(None) };
    let seat = service.viewers.take_one(client, max as u64);
    seat.map(Some).ok_or(Error::TooManyViewersHere)
}
