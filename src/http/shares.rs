//! A share over plain HTTP: create, sync, delete, and reading it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::answers::{self, Pieces};
use super::body::{Incoming, Received};
use super::budget::Account;
use super::gate::{cookie_name, door};
use super::limits::Portion;
use super::openapi::{
    self, AmendRefused, CreateRefused, DataRefused, DeleteRefused, Done, OpenRefused, PositionRefused,
    ReadRefused, SyncRefused,
};
use super::{Service, ServiceData, offload, who};
use crate::access::{Key, Need, OPEN_FOR, Shown};
use crate::clock::now_ms;
use crate::error::Error;
use crate::metrics::METRICS;
use crate::model::{Change, Lock, Sealed, SecretHash, ShareId, expires_at};
use crate::protocol::{
    AmendRequest, Amended, CreateRequest, Created, Malformed, OpenRequest, SecretRequest, SyncItem,
    SyncRequest,
};
use crate::share::{
    Amend, Create, Delete, Deletion, Frame, Known, Look, Read, ReadAll, Snapshot, Stretch, Sync,
};
use crate::store::{Amendment, End};

/// The body of a create or a delete is small: an id or a secret, and JSON around it.
const MAX_SMALL_BODY: u64 = 64 << 10;

/// How much a frame over `GET …/items` carries, in bytes: fewer, larger ones than over a WebSocket, for they are
/// compressed and leave nothing behind.
const PAGE_BYTES: usize = 1 << 20;

/// What a change takes beside the content of its item, in bytes: its key, and its places in lists and maps until it is
/// stored.
const ITEM_OVERHEAD: u64 = 256;

/// What an item of a large body usually has at least, in bytes of the body; a small body is read with room for a few.
const USUAL_ITEM: usize = 256;
const FEW_ITEMS: usize = 64;

/// Create a share: always a new one.
#[utoipa::path(
    post,
    path = "/api/share",
    request_body = openapi::CreateRequest,
    security((), ("token" = [])),
    responses((status = 200, description = "A new share", body = openapi::Created), CreateRefused),
)]
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let body = Incoming::of(&request, payload, &service).all(MAX_SMALL_BODY).await?;
    let CreateRequest { session_id, expires_in, password, sealed } = CreateRequest::parse(&body.bytes)?;
    let token = who::admit(&service, &request).await?;
    service.store.has_room(&service.limits.get())?;
    let lifetime = expires_in.map(Duration::from_secs);
    let password = match password {
        Some(password) => Some(service.access.hash(&password).await?),
        None => None,
    };
    let lock = Lock { sealed, password };
    let share = service.shares.create(Create { session_id, lifetime, token, lock }).await?;
    METRICS.creates.inc();
    Ok(fresh(StatusCode::OK).json(Created {
        id: share.id.as_str().to_owned(),
        url: service.link(share.id.as_str()),
        secret: share.secret.expose().to_owned(),
        expires_at: share.expires_at,
    }))
}

/// Store what changed, all of it or nothing. When it is answered, it is on the disk. Sent again, it changes nothing.
#[utoipa::path(
    post,
    path = "/api/share/{id}/sync",
    params(Id),
    request_body = openapi::SyncRequest,
    responses((status = 200, description = "All of it is stored", body = Done), SyncRefused),
)]
pub(super) async fn sync(
    request: HttpRequest,
    payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let mut body = Incoming::of(&request, payload, &service);
    // The share and the secret before all else: nothing of a body is kept or read for somebody who may not write.
    let is_sealed = body.meanwhile(admit_writer(&service, &id, None)).await?.lock.is_sealed();
    body.limit(u64::MAX)?;
    let mut checked = None;
    while body.more().await? {
        if checked.is_none() {
            checked = body.leading_secret();
            if checked.is_some() {
                admit_writer(&service, &id, checked.as_ref()).await?;
            }
        }
    }
    let body = body.into_received();
    let bytes = body.bytes.len() as u64;
    let Batch { secret, changes, mut account } = read_batch(&service, &id, body, checked, is_sealed).await?;
    service.store.has_room(&service.limits.get())?;
    // What the body took is for what stands in the place of secrets, until they are named.
    let redacted = service.redaction.of_batch(&service, &id, changes, is_sealed).await?;
    account.shrink(bytes.saturating_sub(redacted.grown));
    account.grow(redacted.grown.saturating_sub(bytes)).await?;
    let changes = redacted.changes;
    service.shares.ask(&id, || Sync { secret, changes: changes.clone() }).await?;
    METRICS.syncs.inc();
    METRICS.items.inc_by(changes.len() as u64);
    METRICS.bytes.inc_by(bytes);
    service.redaction.count(redacted.found);
    Ok(done())
}

/// Looks whether a share can be written, and whether the secret is its own when it is known.
async fn admit_writer(service: &Service, id: &ShareId, secret: Option<&SecretHash>) -> Result<Known, Error> {
    let shown = Shown { secret: secret.copied(), ..Shown::default() };
    Ok(service.access.admit(&service.shares, id, Need::Secret, &shown).await?.known)
}

/// A sync that has been read.
struct Batch {
    secret: SecretHash,
    changes: Vec<Change>,
    /// What the body and the changes take, until these are stored.
    account: Account,
}

/// Reads a sync's body, a large one beside the HTTP threads. When its secret does not stand first it is looked for in
/// all of the body, and checked before any item is read. Memory is taken for as many items as such a body usually has;
/// one that has more of them is read again with room for twice as many, so all readings together cost at most as much
/// as two.
async fn read_batch(
    service: &Service,
    id: &ShareId,
    body: Received,
    mut checked: Option<SecretHash>,
    is_sealed: bool,
) -> Result<Batch, Error> {
    let (max_item, max_items) = {
        let limits = service.limits.get();
        (limits.max_item, limits.max_items)
    };
    let Received { mut bytes, mut account } = body;
    let size = bytes.len();
    let mut room = (size / USUAL_ITEM).max(FEW_ITEMS);
    // What is kept of the items are copies.
    account.grow(size as u64 + room as u64 * ITEM_OVERHEAD).await?;
    loop {
        let max = ItemLimits { size: max_item, count: max_items, room, is_sealed };
        let read;
        if size > offload::WORTH_IT {
            let reading = move || {
                let read = read_changes(&bytes, checked, &max);
                (bytes, read)
            };
            (bytes, read) = service.offload.run(reading).await?;
        } else {
            read = read_changes(&bytes, checked, &max);
        }
        match read? {
            Reading::Batch(secret, changes) => {
                account.shrink((room - changes.len()) as u64 * ITEM_OVERHEAD);
                return Ok(Batch { secret, changes, account });
            }
            Reading::NoRoom => {
                account.grow(room as u64 * ITEM_OVERHEAD).await?;
                room *= 2;
            }
            Reading::Unchecked(secret) => {
                admit_writer(service, id, Some(&secret)).await?;
                checked = Some(secret);
            }
        }
    }
}

/// What a sync's items are held to.
struct ItemLimits {
    /// Bytes of one.
    size: u64,
    /// Of a share.
    count: u64,
    /// How many there is memory for.
    room: usize,
    /// Whether only readers can open them.
    is_sealed: bool,
}

/// How far a sync's body was read.
enum Reading {
    /// To its end.
    Batch(SecretHash, Vec<Change>),
    /// To its secret, which is not the one that was checked.
    Unchecked(SecretHash),
    /// To an item for which there is no memory yet.
    NoRoom,
}

/// Why a body is read no further.
enum Stopped {
    NoRoom,
    Refused(Error),
}

impl From<Malformed> for Stopped {
    fn from(malformed: Malformed) -> Self {
        Self::Refused(malformed.into())
    }
}

/// What a sync's body changes, when its secret is the one that was checked.
fn read_changes(bytes: &[u8], checked: Option<SecretHash>, max: &ItemLimits) -> Result<Reading, Error> {
    let request = SyncRequest::parse(bytes)?;
    let secret = SecretHash::of(&request.secret);
    if !checked.is_some_and(|checked| checked.matches(&secret)) {
        return Ok(Reading::Unchecked(secret));
    }
    let mut changes = Vec::new();
    let read = request.for_each_item(|SyncItem { index, kind, data }| {
        // A batch that takes all items of a full share away and brings as many others is no larger.
        if index as u64 >= max.count.saturating_mul(2) {
            return Err(Stopped::Refused(Error::TooManyItems { max: max.count }));
        }
        if index >= max.room {
            return Err(Stopped::NoRoom);
        }
        if Change::is_of_sealed(&kind) != max.is_sealed {
            return Err(Stopped::Refused(Error::SealedMismatch { index }));
        }
        if data.get().len() as u64 > max.size {
            return Err(Stopped::Refused(Error::ItemTooLarge { index, max: max.size }));
        }
        changes.push(Change::from_item(&kind, data, &format!("data[{index}]"))?);
        Ok(())
    });
    match read {
        Ok(()) => Ok(Reading::Batch(secret, changes)),
        Err(Stopped::NoRoom) => Ok(Reading::NoRoom),
        Err(Stopped::Refused(error)) => Err(error),
    }
}

/// Change what readers need besides the link, or when the share ends. What is not named stays; `null` is none. A new
/// password ends all that was opened by an old one, and sends away who watches.
#[utoipa::path(
    patch,
    path = "/api/share/{id}",
    params(Id),
    request_body = openapi::AmendRequest,
    responses((status = 200, description = "It holds, at all servers", body = Done), AmendRefused),
)]
pub(super) async fn amend(
    request: HttpRequest,
    payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let mut body = Incoming::of(&request, payload, &service);
    body.meanwhile(admit_writer(&service, &id, None)).await?;
    let body = body.all(MAX_SMALL_BODY).await?;
    let AmendRequest { secret, password, expires_in } = AmendRequest::parse(&body.bytes)?;
    let secret = SecretHash::of(&secret);
    let is_sealed = admit_writer(&service, &id, Some(&secret)).await?.lock.is_sealed();
    if is_sealed && password.is_some() {
        return Err(Error::malformed("a sealed share has no `password`: its phrase is a part of its key"));
    }
    let lock = match password {
        Some(Amended::To(password)) => {
            Some(Lock { sealed: None, password: Some(service.access.hash(&password).await?) })
        }
        Some(Amended::Removed) => Some(Lock::default()),
        None => None,
    };
    let end = expires_in.map(|expires_in| match expires_in {
        Amended::Removed => End::Never,
        Amended::To(seconds) => {
            let asked = Some(Duration::from_secs(seconds));
            expires_at(&service.limits.get().lifetimes(), now_ms(), asked).map_or(End::Never, End::At)
        }
    });
    service.shares.ask(&id, || Amend { secret, amendment: Amendment { lock: lock.clone(), end } }).await?;
    Ok(done())
}

/// Open a share's lock for a browser: it gets a cookie, which holds for twelve hours, or until there is another lock.
#[utoipa::path(
    post,
    path = "/api/share/{id}/open",
    params(Id),
    request_body = openapi::OpenRequest,
    responses((status = 200, description = "It is open", body = Done), OpenRefused),
)]
pub(super) async fn open(
    request: HttpRequest,
    payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let mut body = Incoming::of(&request, payload, &service);
    let admit = async |need, key| {
        let shown = Shown { key, client: service.client(&request), ..Shown::default() };
        service.access.admit(&service.shares, &id, need, &shown).await
    };
    body.meanwhile(admit(Need::Link, None)).await?;
    let body = body.all(MAX_SMALL_BODY).await?;
    let key = match OpenRequest::parse(&body.bytes)? {
        OpenRequest::Password(password) => Key::Password(password),
        OpenRequest::Door(text) => {
            door(&text).ok_or_else(|| Error::malformed("`door` must be 32 bytes in base64url"))?
        }
    };
    let admitted = admit(Need::Key, Some(key)).await?;
    let mut response = fresh(StatusCode::OK);
    if let Some(cookie) = service.access.cookie(&id, &admitted.known.lock) {
        let secure =
            if service.over_tls || service.public_url.starts_with("https:") { "; Secure" } else { "" };
        let (name, age) = (cookie_name(&id), OPEN_FOR.as_secs());
        let cookie = format!("{name}={cookie}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
        response.insert_header((header::SET_COOKIE, cookie));
    }
    Ok(response.json(json!({})))
}

/// Delete a share for good. A repeated delete is answered like the first.
#[utoipa::path(
    delete,
    path = "/api/share/{id}",
    params(Id),
    request_body = openapi::SecretRequest,
    responses(
        (status = 200, description = "The content is gone from the disk", body = Done),
        (
            status = 202,
            description = "The share has ended for everybody, and its content is being erased: ask again",
            body = openapi::Deleting,
        ),
        DeleteRefused,
    ),
)]
pub(super) async fn delete(
    request: HttpRequest,
    payload: web::Payload,
    service: ServiceData,
) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let mut body = Incoming::of(&request, payload, &service);
    // One that has ended can be deleted, again too.
    let admit = async |secret| {
        let shown = Shown { secret, ..Shown::default() };
        service.access.admit(&service.shares, &id, Need::Delete, &shown).await
    };
    body.meanwhile(admit(None)).await?;
    let body = body.all(MAX_SMALL_BODY).await?;
    let secret = SecretHash::of(&SecretRequest::parse(&body.bytes)?.secret);
    admit(Some(secret)).await?;
    Ok(match service.shares.ask(&id, || Delete { secret }).await? {
        Deletion::Gone => done(),
        Deletion::UnderWay => fresh(StatusCode::ACCEPTED).json(json!({"state": "deleting"})),
    })
}

/// What is known of a share.
#[utoipa::path(
    get,
    path = "/api/share/{id}",
    params(Id),
    responses((status = 200, description = "The share", body = openapi::Summary), ReadRefused),
)]
pub(super) async fn summary(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let (admitted, summary) = service.read(&request, &id, Need::Link, Look).await?;
    let mut answer = json!({"id": id.as_str(), "title": null});
    if let Some(Sealed { version, check, door }) = &summary.lock.sealed {
        answer["sealed"] = json!({"version": version, "check": check, "locked": door.is_some()});
    }
    if summary.lock.password.is_some() {
        answer["protected"] = json!(true);
    }
    if !admitted.opened {
        return Ok(fresh(StatusCode::OK).json(answer));
    }
    let status = summary.activity.map(|activity| {
        let mut status = json!({"state": activity.state});
        if let Some(label) = activity.label {
            status["label"] = json!(label);
        }
        if let Some(at) = activity.at {
            status["at"] = json!(at);
        }
        status
    });
    let rest = [
        ("title", json!(summary.title)),
        ("status", json!(status)),
        ("createdAt", json!(summary.created_at)),
        ("updatedAt", json!(summary.updated_at)),
        ("expiresAt", json!(summary.expires_at)),
        ("viewers", json!(summary.viewers)),
        ("seq", json!(summary.seq)),
    ];
    for (name, value) in rest {
        answer[name] = value;
    }
    Ok(fresh(StatusCode::OK).json(answer))
}

/// All items: the session, each message by time and id with its parts by id, then the rest.
#[utoipa::path(
    get,
    path = "/api/share/{id}/data",
    params(Id),
    responses(
        (status = 200, description = "All items", body = Vec<openapi::Item>),
        (status = 304, description = "The same as `If-None-Match` names"),
        DataRefused,
    ),
)]
pub(super) async fn data(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let read = service.heavy_read(&request).await?;
    let snapshot = service.read(&request, &id, Need::Text, ReadAll).await?.1;
    snapshot_json(&request, &service, snapshot, read).await
}

/// A session's items as JSON, or that they are the same as before.
pub(super) async fn snapshot_json(
    request: &HttpRequest,
    service: &Service,
    snapshot: Arc<Snapshot>,
    read: Option<Portion>,
) -> Result<HttpResponse, Error> {
    let tag = tag_of(&snapshot);
    if let Some(known) = not_modified(request, &tag) {
        return Ok(known);
    }
    let mut account = service.account(request);
    account.grow(answers::cost(request, snapshot.bytes())).await?;
    if !snapshot.is_in_order() && snapshot.bytes() > offload::WORTH_IT as u64 {
        let snapshot = snapshot.clone();
        service.offload.run(move || _ = snapshot.in_reading_order()).await?;
    }
    let pieces = Pieces::new(request, service, answers::json(snapshot), account, read);
    Ok(tagged(&tag).content_type("application/json").body(pieces))
}

/// What changed since a position.
#[utoipa::path(
    get,
    path = "/api/share/{id}/items",
    params(Id, Position),
    responses(
        (status = 200, description = "What is newer, or the first stretch of it", body = openapi::ItemsPage),
        (status = 304, description = "The same as `If-None-Match` names"),
        PositionRefused,
    ),
)]
pub(super) async fn items(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let id = share_id(&request)?;
    let Position { after, epoch, order, .. } = position(&request)?;
    let places = order.as_deref() == Some("1");
    let mut account = service.account(&request);
    let epoch = shared_epoch(epoch);
    let mut room = Frame::usual_size(PAGE_BYTES) as u64;
    account.grow(room).await?;
    let page = loop {
        let read = |lock| Read { lock, after, epoch: epoch.clone(), max_bytes: PAGE_BYTES, room, places };
        match service.read(&request, &id, Need::Items, read).await?.1 {
            Stretch::Made(page) => break page,
            Stretch::Takes(bytes) => {
                account.grow(bytes.saturating_sub(room)).await?;
                room = bytes;
            }
        }
    };
    let tag = format!("{}-{}-{}-{}", page.epoch, page.after, page.frame.seq, u8::from(places));
    if let Some(known) = not_modified(&request, &tag) {
        return Ok(known);
    }
    let text = page.frame.text;
    account.resize(text.len() as u64 + answers::cost(&request, text.len() as u64));
    let pieces = Pieces::new(&request, &service, answers::text(text), account, None);
    Ok(tagged(&tag).content_type("application/json").body(pieces))
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

/// What tells the contents of a snapshot from those of another one.
pub(super) fn tag_of(snapshot: &Snapshot) -> String {
    format!("{}-{}", snapshot.epoch, snapshot.seq)
}

/// An answer that its reader may recognise the next time. Weak, for it is the same under every compression.
pub(super) fn tagged(tag: &str) -> actix_web::HttpResponseBuilder {
    let mut response = fresh(StatusCode::OK);
    response.insert_header((header::ETAG, format!("W/\"{tag}\"")));
    response
}

pub(super) fn not_modified(request: &HttpRequest, tag: &str) -> Option<HttpResponse> {
    knows(request, tag).then(|| {
        fresh(StatusCode::NOT_MODIFIED).insert_header((header::ETAG, format!("W/\"{tag}\""))).finish()
    })
}

/// Whether a reader names a tag as one that it has (`If-None-Match`).
pub(super) fn knows(request: &HttpRequest, tag: &str) -> bool {
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let same = |candidate: &str| candidate.trim().trim_start_matches("W/").trim_matches('"') == tag;
    known.is_some_and(|known| known.split(',').any(same))
}

fn done() -> HttpResponse {
    fresh(StatusCode::OK).json(json!({}))
}

/// The epoch of a position, as messages carry it.
pub(super) fn shared_epoch(epoch: Option<String>) -> Option<ByteString> {
    epoch.map(ByteString::from)
}
