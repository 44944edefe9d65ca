//! The relay's requests, each a message to the manager.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use actix::Addr;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{conversation, redactions};
use crate::client::{
    Amend, ClientError, Continue, Conversation, Converse, Create, Event, Flush, Known, KnownSession, List,
    Manager, OwnersLink, Remove, Removed, Report, Sealing, Shared, Status, Taken, Told, backlog,
};
use crate::error::Error;
use crate::protocol::{Amended, Password};
use crate::sources::{Attend, Discover, ShareTranscript, Sources, Unfollow};

pub(super) type ManagerData = web::Data<Addr<Manager>>;
pub(super) type SourcesData = web::Data<Addr<Sources>>;

/// A request's body, or what actix-web says of it.
pub(super) type Body = Result<web::Bytes, actix_web::Error>;

/// `GET /healthz`
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// `POST /v1/events`
pub(super) async fn events(body: Body, manager: ManagerData) -> Result<HttpResponse, Error> {
    let body = whole(body)?;
    let single: &RawValue = parse(&body, "an event or an array of events")?;
    let (mut events, mut ignored, mut bad) = (Vec::new(), 0, Vec::new());
    if single.get().starts_with('[') {
        let all: Vec<&RawValue> = parse(single.get().as_bytes(), "an array of events")?;
        for (index, event) in all.into_iter().enumerate() {
            match Event::parse(event, &format!("[{index}]")) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => ignored += 1,
                Err(error) => bad.push((index, error.to_string())),
            }
        }
    } else {
        // One alone is refused as a whole.
        match Event::parse(single, "event")? {
            Some(event) => events.push(event),
            None => ignored += 1,
        }
    }
    let accepted = manager.send(Report(events)).await.map_err(|_| Error::Unavailable)??;
    Ok(taken(&Taken { accepted, ignored, bad }))
}

/// What became of events or messages.
fn taken(Taken { accepted, ignored, bad }: &Taken) -> HttpResponse {
    let mut answer = json!({"accepted": accepted, "ignored": ignored});
    if !bad.is_empty() {
        let bad = bad.iter().map(|(index, message)| json!({"index": index, "message": message}));
        answer["bad"] = bad.collect();
    }
    HttpResponse::Accepted().json(answer)
}

/// `POST /v1/sessions/{sessionID}/messages`, and `PUT` for the whole list.
pub(super) async fn messages(
    request: HttpRequest,
    session: web::Path<String>,
    body: Body,
    manager: ManagerData,
) -> Result<HttpResponse, Error> {
    let body = whole(body)?;
    let session_id = session_id(session)?;
    let (conversation, from) = conversation::read(&body)?;
    let converse = Converse { session_id, conversation, whole: request.method() == Method::PUT };
    if from == 0 {
        return self::converse(&manager, converse).await;
    }
    let goes_on = Continue { from, converse };
    Ok(taken(&manager.send(goes_on).await.map_err(|_| Error::Unavailable)??))
}

/// `POST /v1/sessions/{sessionID}/status`
pub(super) async fn status(
    session: web::Path<String>,
    body: Body,
    manager: ManagerData,
) -> Result<HttpResponse, Error> {
    let body = whole(body)?;
    let session_id = session_id(session)?;
    let status: Status = parse(&body, "{state: \"busy\", \"idle\", \"waiting\" or \"gone\", label?: text}")?;
    let told = Told { status: Some(status), ..Told::default() };
    let conversation = Conversation { messages: None, told };
    converse(&manager, Converse { session_id, conversation, whole: false }).await
}

async fn converse(manager: &Addr<Manager>, converse: Converse) -> Result<HttpResponse, Error> {
    Ok(taken(&manager.send(converse).await.map_err(|_| Error::Unavailable)??))
}

/// `POST /v1/sessions/{sessionID}/share`
pub(super) async fn share(
    session: web::Path<String>,
    body: Body,
    manager: ManagerData,
    sources: SourcesData,
) -> Result<HttpResponse, Error> {
    #[derive(Deserialize, Default)]
    struct ShareRequest<'a> {
        #[serde(borrow, default)]
        data: Vec<&'a RawValue>,
        #[serde(borrow)]
        messages: Option<&'a RawValue>,
        #[serde(rename = "expiresIn")]
        expires_in: Option<NonZeroU64>,
        password: Option<String>,
        #[serde(default)]
        empty: bool,
        #[serde(default)]
        sealed: bool,
        phrase: Option<String>,
    }
    let body = whole(body)?;
    let expected = "{data?: [{type, data}, …] or messages?: [message, …], title?, directory?, agent?, model?, \
                    status?, expiresIn?: whole seconds above zero, password?: text, empty?: true, sealed?: true, \
                    phrase?: text}";
    let ShareRequest { data, messages, expires_in, password, empty, sealed, phrase } =
        if body.is_empty() { ShareRequest::default() } else { parse(&body, expected)? };
    if messages.is_some() && !data.is_empty() {
        return Err(Error::malformed("a session is shared with `messages` or with `data`, not with both"));
    }
    let conversation =
        messages.map(|_| conversation::read(&body)).transpose()?.map(|(conversation, _)| conversation);
    let session_id = session_id(session)?;
    let name = session_id.clone();
    let lifetime = expires_in.map(|seconds| Duration::from_secs(seconds.get()));
    let sealing = sealing(sealed, phrase).await?;
    let password = password.map(Password::new).transpose()?;
    let is_told = conversation.is_some() || !data.is_empty();
    let create = Create {
        backlog: backlog(&data)?,
        conversation,
        empty,
        lifetime,
        password: password.clone(),
        sealing: sealing.clone(),
        ..Create::of(session_id.clone())
    };
    let shared = match manager.send(create).await.map_err(|_| Error::Unavailable)? {
        Err(ClientError::UnknownSession { known, is_too_large: false }) => {
            let share = ShareTranscript { session_id, lifetime, password, sealing };
            sources.send(share).await.map_err(|_| Error::Unavailable)?.map_err(|error| match error {
                ClientError::UnknownSession { known: found, is_too_large } => {
                    ClientError::UnknownSession { known: merged(known, found), is_too_large }
                }
                error => error,
            })
        }
        shared => {
            if shared.is_ok() && !is_told {
                sources.do_send(Attend(session_id));
            }
            shared
        }
    };
    let shared = shared?;
    let hidden = redactions::hidden(&manager, &name).await;
    Ok(HttpResponse::Ok().json(ShareAnswer { shared, hidden }))
}

/// Characters in a phrase.
const MAX_PHRASE: usize = 1024;

/// How a share that is asked for is sealed.
async fn sealing(sealed: bool, phrase: Option<String>) -> Result<Option<Sealing>, Error> {
    if let Some(phrase) = &phrase
        && !(1..=MAX_PHRASE).contains(&phrase.chars().count())
    {
        return Err(Error::malformed(format!("`phrase` must have 1 to {MAX_PHRASE} characters")));
    }
    if !sealed && phrase.is_none() {
        return Ok(None);
    }
    let sealing =
        web::block(move || Sealing::new(phrase.as_deref())).await.map_err(|_| Error::Unavailable)?;
    Ok(Some(sealing?))
}

/// What a share request is answered with.
#[derive(Serialize)]
struct ShareAnswer {
    #[serde(flatten)]
    shared: Shared,
    /// By kind, how many values are hidden so far.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    hidden: BTreeMap<String, u64>,
}

/// `PATCH /v1/shares/{id}`
pub(super) async fn amend(
    share: web::Path<String>,
    body: Body,
    manager: ManagerData,
) -> Result<HttpResponse, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Amendment {
        #[serde(default, deserialize_with = "amended")]
        password: Option<Amended<String>>,
        #[serde(default, deserialize_with = "amended")]
        expires_in: Option<Amended<NonZeroU64>>,
        server: Option<String>,
        secret: Option<String>,
    }
    let body = whole(body)?;
    let expected = "{password?: text or null, expiresIn?: whole seconds above zero or null, server? and secret?: of a \
                    share that this relay did not make}";
    let Amendment { password, expires_in, server, secret } = parse(&body, expected)?;
    let password = match password {
        Some(Amended::To(text)) => Some(Amended::To(Password::new(text)?)),
        Some(Amended::Removed) => Some(Amended::Removed),
        None => None,
    };
    let expires_in = expires_in.map(|end| match end {
        Amended::To(seconds) => Amended::To(seconds.get()),
        Amended::Removed => Amended::Removed,
    });
    if password.is_none() && expires_in.is_none() {
        return Err(Error::malformed(format!("the body must be {expected}, and name what is to change")));
    }
    let other = match (server, secret) {
        (Some(server), Some(secret)) => Some((server, secret)),
        (None, None) => None,
        _ => return Err(Error::malformed("`server` and `secret` stand together")),
    };
    let amend = Amend { id: share.into_inner(), other, password, expires_in };
    manager.send(amend).await.map_err(|_| Error::Unavailable)??;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// A field that is there: `null` is nothing.
fn amended<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<Amended<T>>, D::Error> {
    Ok(Some(Option::deserialize(field)?.map_or(Amended::Removed, Amended::To)))
}

/// `GET /v1/sessions/{sessionID}/owner`
pub(super) async fn owners_link(
    session: web::Path<String>,
    manager: ManagerData,
) -> Result<HttpResponse, Error> {
    let link = OwnersLink { session_id: session_id(session)? };
    let url = manager.send(link).await.map_err(|_| Error::Unavailable)??;
    Ok(HttpResponse::Ok().json(json!({"url": url})))
}

/// `DELETE /v1/sessions/{sessionID}/share`
pub(super) async fn unshare(
    session: web::Path<String>,
    manager: ManagerData,
    sources: SourcesData,
) -> Result<HttpResponse, Error> {
    let session_id = session_id(session)?;
    sources.do_send(Unfollow(session_id.clone()));
    let remove = Remove { session_id };
    Ok(match manager.send(remove).await.map_err(|_| Error::Unavailable)?? {
        Removed::Gone => HttpResponse::Ok().json(json!({})),
        Removed::UnderWay => HttpResponse::Accepted().json(json!({"state": "removing"})),
    })
}

/// `POST /v1/sessions/{sessionID}/flush`
pub(super) async fn flush(session: web::Path<String>, manager: ManagerData) -> Result<HttpResponse, Error> {
    let session_id = session_id(session)?;
    let flush = Flush { session_id: session_id.clone() };
    match manager.send(flush).await.map_err(|_| Error::Unavailable)? {
        Ok(()) => Ok(HttpResponse::Ok().json(json!({}))),
        Err(ClientError::Unreachable(reason) | ClientError::ServerBusy(reason)) => {
            let shares = manager.send(List).await.map_err(|_| Error::Unavailable)?;
            let waiting = shares.iter().filter(|share| share.session_id == session_id);
            let pending = waiting.map(|share| share.pending).sum();
            Err(Error::NotFlushed { pending, reason })
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /v1/shares`
pub(super) async fn shares(manager: ManagerData) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(manager.send(List).await.map_err(|_| Error::Unavailable)?))
}

/// `GET /v1/sessions`
pub(super) async fn sessions(manager: ManagerData, sources: SourcesData) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(known(&manager, &sources).await?))
}

/// The sessions that can be shared, the newest first.
pub(super) async fn known(
    manager: &Addr<Manager>,
    sources: &Addr<Sources>,
) -> Result<Vec<KnownSession>, Error> {
    let known = manager.send(Known).await.map_err(|_| Error::Unavailable)?;
    let found = sources.send(Discover).await.map_err(|_| Error::Unavailable)?;
    Ok(merged(known, found))
}

/// What is known of sessions by what was said, and by their transcripts; the newest first.
fn merged(mut known: Vec<KnownSession>, found: Vec<KnownSession>) -> Vec<KnownSession> {
    for session in found {
        match known.iter_mut().find(|known| known.session_id == session.session_id) {
            Some(known) => {
                known.title = known.title.take().or(session.title);
                known.directory = known.directory.take().or(session.directory);
                known.directory_hash = known.directory_hash.take().or(session.directory_hash);
                known.agent = known.agent.take().or(session.agent);
                known.state = known.state.or(session.state);
                known.updated_at = known.updated_at.max(session.updated_at);
                known.has_content = true;
            }
            None => known.push(session),
        }
    }
    known.retain(|session| session.has_content || session.url.is_some());
    known.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
    known
}

pub(super) fn whole(body: Body) -> Result<web::Bytes, Error> {
    body.map_err(|error| match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::BodyTooLarge { max: super::MAX_BODY as u64 },
        _ => Error::BodyIncomplete,
    })
}

pub(super) fn session_id(session: web::Path<String>) -> Result<String, Error> {
    let session = session.into_inner();
    if session.is_empty() || session.chars().count() > crate::protocol::MAX_SESSION_ID {
        return Err(Error::malformed(format!(
            "a session's id has 1 to {} characters",
            crate::protocol::MAX_SESSION_ID
        )));
    }
    Ok(session)
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], expected: &str) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        Error::malformed(format!(
            "the body must be {expected} as JSON: line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Disabled => Self::Disabled(message),
            ClientError::NotShared => Self::NotShared,
            ClientError::UnknownSession { known, .. } => {
                Self::UnknownSession { message, sessions: json!(known) }
            }
            ClientError::Malformed(message) => Self::Malformed(message),
            ClientError::Unreachable(_) => Self::Upstream(message),
            ClientError::ServerBusy(_) => Self::UpstreamBusy(message),
            ClientError::Ended => Self::Ended(message),
            ClientError::SpoolFull | ClientError::DiskFull => Self::NoRoom(message),
            ClientError::Unavailable => Self::Unavailable,
        }
    }
}
