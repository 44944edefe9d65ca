//! The HTTP API as `OpenAPI` says it, from the handlers and the table of refusals.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix_web::{HttpResponse, ResponseError};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, OpenApi, ToSchema};

use super::{assets, health, oembed, pages, server, shares, viewer};
use crate::error::{Error, ErrorBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "brutus-share",
        description = "Live, private-by-default sharing of coding-agent sessions. `/api/shares…` is the same as \
                       `/api/share…`. \
                       Before every path can stand `/t/{token}`, with a token by which shares may be created."
    ),
    paths(
        shares::create,
        shares::sync,
        shares::amend,
        shares::open,
        shares::delete,
        shares::summary,
        shares::data,
        shares::items,
        viewer::poll,
        pages::page,
        oembed::oembed,
        server::server,
        assets::asset,
        health::healthz,
        health::readyz,
        openapi
    ),
    components(schemas(
        CreateRequest,
        Sealed,
        SealedSummary,
        Created,
        AmendRequest,
        OpenRequest,
        SecretRequest,
        SyncRequest,
        SyncItem,
        Activity,
        Summary,
        Item,
        ItemsPage,
        KeyedItem,
        Status,
        Deleting,
        Done,
        oembed::Embed,
        ServerProof,
        ErrorBody
    ))
)]
struct Api;

/// The document, as it is served and checked in.
pub fn document() -> String {
    // Strings, numbers and lists: none of them can fail to be written.
    Api::openapi().to_pretty_json().unwrap_or_default()
}

/// `GET /api/openapi.json`
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "openapi",
    responses(
        (
            status = 200,
            description = "This document",
            content_type = "application/json",
            body = serde_json::Value,
        ),
    ),
)]
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}

/// The body of a create.
#[derive(ToSchema)]
#[allow(dead_code)] // Bodies are written and read as the protocol's types: these are for their schemas alone.
pub(super) struct CreateRequest {
    /// The session to share, as its client calls it.
    #[schema(rename = "sessionID", min_length = 1, max_length = 256)]
    session_id: String,
    /// How long the share shall live, in seconds; `None` leaves it to the server.
    #[schema(rename = "expiresIn", minimum = 1)]
    expires_in: Option<u64>,
    /// What readers need besides the link. A sealed share has none: its phrase is a part of its key.
    #[schema(min_length = 1, max_length = 1024)]
    password: Option<String>,
    /// That only its readers can open its items; absent when the server can.
    sealed: Option<Sealed>,
}

/// What the server knows of a share whose items only its readers can open.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct Sealed {
    /// The version of the items' format: 1
    #[schema(minimum = 1, maximum = 1)]
    version: u32,
    /// What the right key is told from others by: 16 bytes in base64url
    #[schema(pattern = "^[0-9A-Za-z_-]{21}[AQgw]$")]
    check: String,
    /// The SHA-256, in base64url, of what readers show besides the link; absent when the link is enough
    #[schema(pattern = "^[0-9A-Za-z_-]{42}[048AEIMQUYcgkosw]$")]
    door: Option<String>,
}

/// What is known of how a share is sealed.
#[derive(ToSchema)]
#[allow(dead_code)] // As below.
pub(super) struct SealedSummary {
    /// The version of the items' format
    version: u32,
    /// What the right key is told from others by
    check: String,
    /// Whether readers need a phrase besides the link
    locked: bool,
}

/// The answer to a create. The secret is given out once, here.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct Created {
    /// The share's id: whoever knows it can read the share.
    id: String,
    /// Where people look at it.
    url: String,
    /// Whoever knows it can write and delete the share.
    secret: String,
    /// When the share ends at the latest, in milliseconds since 1970; absent when it has no end.
    #[schema(rename = "expiresAt")]
    expires_at: Option<i64>,
}

/// The body of an amendment: what it does not name stays.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct AmendRequest {
    /// The share's secret.
    secret: String,
    /// What readers need besides the link; `null` when that is to be enough.
    #[schema(min_length = 1, max_length = 1024)]
    password: Option<String>,
    /// How long the share shall live from now on, in seconds; `null` when it is to have no end of its own.
    #[schema(rename = "expiresIn", minimum = 1)]
    expires_in: Option<u64>,
}

/// The body of who opens a lock: one of both.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct OpenRequest {
    /// The password of a share that has one.
    #[schema(min_length = 1, max_length = 1024)]
    password: Option<String>,
    /// What readers of a sealed share show for its phrase: 32 bytes in base64url
    door: Option<String>,
}

/// The body of a delete.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct SecretRequest {
    /// The share's secret.
    secret: String,
}

/// One `{type, data}` of a sync.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct SyncItem {
    /// The item's type.
    #[schema(rename = "type", pattern = "^[a-z0-9_.-]{1,64}$")]
    kind: String,
    /// The item, as it stood in the body.
    data: serde_json::Value,
}

/// The body of a sync.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct SyncRequest {
    /// The share's secret.
    secret: String,
    /// What changed.
    #[schema(rename = "data")]
    items: Vec<SyncItem>,
}

/// A share that is being erased.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct Deleting {
    /// `deleting`
    state: String,
}

/// `{}`
#[derive(ToSchema)]
pub(super) struct Done {}

/// What is known of a share. Times are milliseconds since 1970. Of one that is locked, for who has not opened it, only
/// `id`, `protected` and `sealed` are there.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // For its schema alone: the handler writes it from several.
pub(super) struct Summary {
    id: String,
    title: Option<String>,
    /// What the agent does; absent when nothing says so
    status: Option<Activity>,
    created_at: Option<i64>,
    updated_at: Option<i64>,
    /// When the share ends by itself, as things stand: a sync may put it off
    expires_at: Option<i64>,
    /// How many watch it now
    viewers: Option<u64>,
    /// The sequence number of its last change
    seq: Option<u64>,
    /// `true` when it has a password; absent when it has none
    protected: Option<bool>,
    /// How it is sealed; absent when it is not
    sealed: Option<SealedSummary>,
}

/// What an agent does.
#[derive(ToSchema)]
#[allow(dead_code)] // As above.
pub(super) struct Activity {
    /// `busy`, `idle`, `waiting` (for an answer or a permission), or `gone`
    state: String,
    /// The same in the agent's own words
    label: Option<String>,
    /// Since when; absent when nobody said so
    at: Option<i64>,
}

/// One stored item.
#[derive(ToSchema)]
#[allow(dead_code)] // As above.
pub(super) struct Item {
    #[schema(rename = "type")]
    kind: String,
    data: serde_json::Value,
}

/// One stored item, with what it is stored under.
#[derive(ToSchema)]
#[allow(dead_code)] // As above.
pub(super) struct KeyedItem {
    key: String,
    #[schema(rename = "type")]
    kind: String,
    data: serde_json::Value,
}

/// What is newer than a position, or the first stretch of it.
#[derive(ToSchema)]
#[allow(dead_code)] // As above.
pub(super) struct ItemsPage {
    /// `items`
    #[schema(rename = "type")]
    kind: String,
    /// Sequence numbers mean something within one epoch only
    epoch: String,
    /// The position after this page
    seq: u64,
    items: Vec<KeyedItem>,
    /// Keys that are no more
    removed: Vec<String>,
    /// Whether there is more to come
    more: bool,
}

/// The server's own key, and that it has it.
#[derive(ToSchema)]
#[allow(dead_code)] // As above.
pub(super) struct ServerProof {
    /// The key's fingerprint: the first 160 bits of its SHA-256 in base32, in groups of four
    #[schema(pattern = "^[a-z2-7]{4}(-[a-z2-7]{4}){7}$")]
    id: String,
    /// The public key (Ed25519), in base64
    key: String,
    /// By that key, in base64: of the nonce and the server's origin, as PROTOCOL.md says
    signature: String,
}

/// `ok` or `ready`
#[derive(ToSchema)]
#[allow(dead_code)] // As above.
pub(super) struct Status {
    status: String,
}

/// The refusals of an operation: its statuses and codes out of the table that answers are made from.
macro_rules! refusals {
    ($($(#[$about:meta])* $name:ident: $($error:expr),+;)+) => {$(
        $(#[$about])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses(&[$($error),+])
            }
        }
    )+};
}

const PASSWORD_NEEDED: Error = Error::PasswordNeeded { ask: true };
const WRONG_PASSWORD: Error = Error::WrongPassword { ask: true };
const TOO_MANY_TRIES: Error = Error::TooManyTries { retry_after: Duration::ZERO };
const TOO_MANY_REQUESTS: Error = Error::TooManyRequests { retry_after: Duration::ZERO };

refusals! {
    /// Of a create.
    CreateRefused:
        Error::malformed(""), Error::BodyIncomplete, Error::WrongCreateToken, Error::TooManyShares, Error::BodyTimeout,
        Error::BodyTooLarge { max: 0 }, Error::TooManyCreates { retry_after: Duration::ZERO }, Error::StorageFull(""),
        Error::Forbidden(""), TOO_MANY_REQUESTS, Error::Busy, Error::TooMuchAtOnce, Error::Unavailable;
    /// Of a sync.
    SyncRefused:
        Error::malformed(""), Error::BodyIncomplete, Error::WrongSecret, Error::NoSuchShare, Error::BodyTimeout,
        Error::SealedMismatch { index: 0 },
        Error::BodyTooLarge { max: 0 }, Error::ItemTooLarge { index: 0, max: 0 }, Error::ShareTooLarge { max: 0 },
        Error::TooManyItems { max: 0 }, Error::Forbidden(""), TOO_MANY_REQUESTS,
        Error::StorageFull(""), Error::Busy, Error::TooMuchAtOnce, Error::Unavailable;
    /// Of an amendment.
    AmendRefused:
        Error::malformed(""), Error::BodyIncomplete, Error::WrongSecret, Error::NoSuchShare, Error::BodyTimeout,
        Error::BodyTooLarge { max: 0 }, Error::Forbidden(""), TOO_MANY_REQUESTS, Error::Busy, Error::TooMuchAtOnce,
        Error::Unavailable;
    /// Of opening a lock.
    OpenRefused:
        Error::malformed(""), Error::BodyIncomplete, PASSWORD_NEEDED, WRONG_PASSWORD, Error::NoSuchShare,
        Error::BodyTimeout, Error::BodyTooLarge { max: 0 }, Error::Forbidden(""), TOO_MANY_REQUESTS, TOO_MANY_TRIES,
        Error::Busy, Error::TooMuchAtOnce, Error::Unavailable;
    /// Of a delete.
    DeleteRefused:
        Error::malformed(""), Error::BodyIncomplete, Error::WrongSecret, Error::NoSuchShare, Error::BodyTimeout,
        Error::BodyTooLarge { max: 0 }, Error::Forbidden(""), TOO_MANY_REQUESTS, Error::Busy, Error::TooMuchAtOnce,
        Error::Unavailable;
    /// Of reading a share.
    ReadRefused:
        WRONG_PASSWORD, Error::NoSuchShare, TOO_MANY_REQUESTS, TOO_MANY_TRIES, Error::Busy, Error::TooMuchAtOnce,
        Error::Unavailable;
    /// Of reading all items of a share.
    DataRefused:
        PASSWORD_NEEDED, WRONG_PASSWORD, Error::Sealed, Error::NoSuchShare, TOO_MANY_REQUESTS, TOO_MANY_TRIES,
        Error::Busy, Error::TooMuchAtOnce, Error::Unavailable;
    /// Of reading a share from a position.
    PositionRefused:
        Error::malformed(""), PASSWORD_NEEDED, WRONG_PASSWORD, Error::NoSuchShare, TOO_MANY_REQUESTS, TOO_MANY_TRIES,
        Error::Busy, Error::TooMuchAtOnce, Error::Unavailable;
    /// Of a WebSocket.
    PollRefused:
        Error::NotAnUpgrade(String::new()), Error::malformed(""), PASSWORD_NEEDED, WRONG_PASSWORD, Error::NoSuchShare,
        Error::TooManyViewers, Error::TooManyViewersHere, TOO_MANY_TRIES, Error::Busy, Error::TooMuchAtOnce,
        Error::Unavailable;
    /// Of a file of the page.
    AssetRefused: Error::NoSuchPath;
    /// Of the page.
    PageRefused:
        PASSWORD_NEEDED, WRONG_PASSWORD, Error::Sealed, TOO_MANY_REQUESTS, TOO_MANY_TRIES, Error::Busy,
        Error::TooMuchAtOnce, Error::Unavailable;
    /// Of asking how a link is shown.
    EmbedRefused:
        Error::malformed(""), Error::NoSuchShare, Error::UnknownFormat, TOO_MANY_REQUESTS, Error::Busy,
        Error::TooMuchAtOnce, Error::Unavailable;
    /// Of asking who the server is.
    ServerRefused: Error::malformed("");
    /// Of a readiness check.
    ReadyRefused: Error::Busy, Error::Unavailable;
}

fn responses(errors: &[Error]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<String, (BTreeSet<&str>, bool)>::new();
    for error in errors {
        let (codes, waits) = by_status.entry(error.status_code().as_str().to_owned()).or_default();
        codes.insert(error.code());
        *waits |= error.retry_after().is_some();
    }
    let response = |(codes, waits): (BTreeSet<&str>, bool)| {
        let codes = codes.into_iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let mut response = ResponseBuilder::new().description(codes).content("application/json", body);
        if waits {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
            let header = HeaderBuilder::new().schema(seconds).description(Some("Seconds to wait")).build();
            response = response.header("Retry-After", header);
        }
        RefOr::T(response.build())
    };
    by_status.into_iter().map(|(status, what)| (status, response(what))).collect()
}
