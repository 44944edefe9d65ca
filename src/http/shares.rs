//! A share over plain HTTP: create, sync, delete, and reading it.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::openapi::{self, CreateRefused, DeleteRefused, Done, PositionRefused, ReadRefused, SyncRefused};
use super::{Service, ServiceData, body, who};
use crate::error::Error;
use crate::metrics::METRICS;
use crate::model::{Change, SecretHash, ShareId};
use crate::protocol::{CreateRequest, Created, SecretRequest, SyncRequest, WireItem};
use crate::share::{Create, Delete, Deletion, Look, Read, ReadAll, Snapshot, Sync};

/// A create's body is small: a session's id and JSON around it.
const MAX_CREATE_BODY: u64 = 64 << 10;

/// How much a frame over `GET …/items` carries, in bytes: fewer, larger ones than over a WebSocket, for they are
/// compressed and leave nothing behind.
const PAGE_BYTES: usize = 1 << 20;

/// Create a share: always a new one.
#[utoipa::path(post, path = "/api/share", request_body = openapi::CreateRequest, security((), ("token" = [])), responses((status = 200, description = "A new share", body = openapi::Created), CreateRefused))]
pub(super) async fn create(
    request: HttpRequest,
    mut payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let body = small_body(&request, &mut payload, &service).await?;
    let CreateRequest { session_id, expires_in } = CreateRequest::parse(&body)?;
    let token = who::admit(&service, &request).await?;
    service.store.has_room(&service.limits.get())?;
    let lifetime = expires_in.map(Duration::from_secs);
    let share = service.shares.create(Create { session_id, lifetime, token }).await?;
    METRICS.creates.inc();
    Ok(fresh(StatusCode::OK).json(Created {
        id: share.id.as_str().to_owned(),
        url: format!("{}/s/{}", service.public_url, share.id.as_str()),
        secret: share.secret.expose().to_owned(),
        expires_at: share.expires_at,
    }))
}

async fn small_body(
    request: &HttpRequest,
    payload: &mut web::Payload,
    service: &Service,
) -> Result<Vec<u8>, Error> {
    let max = service.limits.get().max_body.min(MAX_CREATE_BODY);
    body::read(request, payload, max, service.body_timeout).await
}

/// Store what changed, all of it or nothing. When it is answered, it is on the disk. Sent again, it changes nothing.
#[utoipa::path(post, path = "/api/share/{id}/sync", params(Id), request_body = openapi::SyncRequest, responses((status = 200, description = "All of it is stored", body = Done), SyncRefused))]
pub(super) async fn sync(
    request: HttpRequest,
    mut payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let limits = service.limits.get();
    let body = body::read(&request, &mut payload, limits.max_body, service.body_timeout).await?;
    let (secret, changes) = changes(&body, limits.max_item)?;
    let bytes = body.len() as u64;
    // The items are copies by now.
    drop(body);
    service.store.has_room(&limits)?;
    service.shares.ask(&id, || Sync { secret, changes: changes.clone() }).await?;
    METRICS.syncs.inc();
    METRICS.items.inc_by(changes.len() as u64);
    METRICS.bytes.inc_by(bytes);
    Ok(done())
}

/// Delete a share for good. A repeated delete is answered like the first.
#[utoipa::path(delete, path = "/api/share/{id}", params(Id), request_body = openapi::SecretRequest, responses((status = 200, description = "The content is gone from the disk", body = Done), (status = 202, description = "The share has ended for everybody, and its content is being erased: ask again", body = openapi::Deleting), DeleteRefused))]
pub(super) async fn delete(
    request: HttpRequest,
    mut payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let body = small_body(&request, &mut payload, &service).await?;
    let secret = SecretHash::of(&SecretRequest::parse(&body)?.secret);
    Ok(match service.shares.ask(&id, || Delete { secret }).await? {
        Deletion::Gone => done(),
        Deletion::UnderWay => fresh(StatusCode::ACCEPTED).json(json!({"state": "deleting"})),
    })
}

/// What is known of a share.
#[utoipa::path(get, path = "/api/share/{id}", params(Id), responses((status = 200, description = "The share", body = openapi::Summary), ReadRefused))]
pub(super) async fn summary(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let summary = service.shares.ask(&id, || Look).await?;
    Ok(fresh(StatusCode::OK).json(json!({
        "id": id.as_str(),
        "title": summary.title,
        "createdAt": summary.created_at,
        "updatedAt": summary.updated_at,
        "expiresAt": summary.expires_at,
        "viewers": summary.viewers,
        "seq": summary.seq,
    })))
}

/// All items: the session, each message by time and id with its parts by id, then the rest.
#[utoipa::path(get, path = "/api/share/{id}/data", params(Id), responses((status = 200, description = "All items", body = Vec<openapi::Item>), (status = 304, description = "The same as `If-None-Match` names"), ReadRefused))]
pub(super) async fn data(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let snapshot = service.shares.ask(&id, || ReadAll).await?;
    Ok(snapshot_json(&request, &snapshot))
}

/// A session's items as JSON, or that they are the same as before.
pub(super) fn snapshot_json(request: &HttpRequest, snapshot: &Snapshot) -> HttpResponse {
    let tag = format!("{}-{}", snapshot.epoch, snapshot.seq);
    if let Some(known) = not_modified(request, &tag) {
        return known;
    }
    let items: Vec<_> = snapshot
        .in_reading_order()
        .iter()
        .map(|(key, content)| WireItem { key: None, n: None, kind: key.kind(), data: content })
        .collect();
    tagged(&tag).json(items)
}

/// What changed since a position.
#[utoipa::path(get, path = "/api/share/{id}/items", params(Id, Position), responses((status = 200, description = "What is newer, or the first stretch of it", body = openapi::ItemsPage), (status = 304, description = "The same as `If-None-Match` names"), PositionRefused))]
pub(super) async fn items(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let Position { after, epoch, order, .. } = position(&request)?;
    let places = order.as_deref() == Some("1");
    let read = || Read { after, epoch: epoch.clone(), max_bytes: PAGE_BYTES, places };
    let page = service.shares.ask(&id, read).await?;
    let tag = format!("{}-{}-{}-{}", page.epoch, page.after, page.frame.seq, u8::from(places));
    if let Some(known) = not_modified(&request, &tag) {
        return Ok(known);
    }
    Ok(tagged(&tag).content_type("application/json").body(page.frame.text))
}

/// The share that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // For its documentation alone: see `share_id`.
pub(super) struct Id {
    /// The share's id
    #[param(pattern = "^[0-9A-Za-z]{22}$")]
    id: String,
}

/// Where a reader stands.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Position {
    /// `seq` of the last frame
    #[serde(default)]
    pub(super) after: u64,
    /// `epoch` of the last frame
    pub(super) epoch: Option<String>,
    /// `1`: a live frame may hold what was added to an item in place of the item.
    pub(super) append: Option<String>,
    /// `1`: an item of which the reader does not have all says by `n` at which place it first came.
    pub(super) order: Option<String>,
}

/// The position in a request's query.
pub(super) fn position(request: &HttpRequest) -> Result<Position, Error> {
    web::Query::from_query(request.query_string()).map(web::Query::into_inner).map_err(|_| {
        Error::malformed("`after` must be a sequence number and `epoch` a text, as a frame gave them")
    })
}

/// The share that a request's path names. What cannot be an id names no share.
pub(super) fn share_id(request: &HttpRequest) -> Result<ShareId, Error> {
    request.match_info().query("id").parse().map_err(|_| Error::NoSuchShare)
}

/// An answer with content that nobody else may keep.
pub(super) fn fresh(status: StatusCode) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header(("X-Robots-Tag", "noindex"));
    response
}

/// An answer that its reader may recognise the next time. Weak, for it is the same under every compression.
fn tagged(tag: &str) -> actix_web::HttpResponseBuilder {
    let mut response = fresh(StatusCode::OK);
    response.insert_header((header::ETAG, format!("W/\"{tag}\"")));
    response
}

fn not_modified(request: &HttpRequest, tag: &str) -> Option<HttpResponse> {
    let known = request.headers().get(header::IF_NONE_MATCH)?.to_str().ok()?;
    let same = |candidate: &str| candidate.trim().trim_start_matches("W/").trim_matches('"') == tag;
    known.split(',').any(same).then(|| {
        fresh(StatusCode::NOT_MODIFIED).insert_header((header::ETAG, format!("W/\"{tag}\""))).finish()
    })
}

fn done() -> HttpResponse {
    fresh(StatusCode::OK).json(json!({}))
}

/// What a sync's body changes, with the hash of the secret that it claims.
fn changes(body: &[u8], max_item: u64) -> Result<(SecretHash, Vec<Change>), Error> {
    let request = SyncRequest::parse(body)?;
    let changes = request.items.iter().enumerate().map(|(index, item)| {
        if item.data.get().len() as u64 > max_item {
            return Err(Error::ItemTooLarge { index, max: max_item });
        }
        Ok(Change::from_item(&item.kind, item.data, &format!("data[{index}]"))?)
    });
    Ok((SecretHash::of(&request.secret), changes.collect::<Result<_, _>>()?))
}

/// The epoch of a position, as messages carry it.
pub(super) fn shared_epoch(epoch: Option<String>) -> Option<ByteString> {
    epoch.map(ByteString::from)
}
