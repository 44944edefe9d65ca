//! What redaction hides, over the relay's HTTP.

use std::collections::BTreeMap;
use std::path::PathBuf;

use actix::Addr;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::conversation;
use super::handlers::{Body, ManagerData, SourcesData, known, parse, session_id, whole};
use crate::client::{
    ClientError, Inspect, Inspection, Manager, RedactAgain, RedactionsOf, TellSecrets, backlog,
};
use crate::error::Error;
use crate::import::messages::{self, About};
use crate::model::Change;
use crate::sources::{self, InspectTranscript, Publication};

/// `GET /v1/sessions/{sessionID}/redactions`
pub(super) async fn of_session(
    session: web::Path<String>,
    manager: ManagerData,
    sources: SourcesData,
) -> Result<HttpResponse, Error> {
    let session = session_id(session)?;
    let talked_of = manager.send(RedactionsOf(session.clone())).await.map_err(|_| Error::Unavailable)?;
    let listed = match talked_of {
        Some(listed) => Some(listed),
        None => sources.send(InspectTranscript(session)).await.map_err(|_| Error::Unavailable)?,
    };
    if let Some(listed) = listed {
        return Ok(HttpResponse::Ok().json(listed));
    }
    let known = known(&manager, &sources).await?;
    Err(ClientError::UnknownSession { known, is_too_large: false }.into())
}

/// `POST /v1/sessions/{sessionID}/redactions`: looks at all that the share has again.
pub(super) async fn again(session: web::Path<String>, manager: ManagerData) -> Result<HttpResponse, Error> {
    let again = RedactAgain(session_id(session)?);
    let changed = manager.send(again).await.map_err(|_| Error::Unavailable)??;
    Ok(HttpResponse::Ok().json(json!({"changed": changed})))
}

/// `POST /v1/redactions`: what would be hidden in a file that `publish` takes.
pub(super) async fn of_file(body: Body, manager: ManagerData) -> Result<HttpResponse, Error> {
    #[derive(Deserialize)]
    struct File {
        file: PathBuf,
    }
    let File { file } = parse(&whole(body)?, "{file: the path of a transcript or a list of messages}")?;
    let name = file.display().to_string();
    let read = web::block(move || sources::publication(&file)).await.map_err(|_| Error::Unavailable)?;
    let published = read.map_err(|error| Error::malformed(format!("{name}: {error}")))?;
    let Some(Publication { session, bodies }) = published else {
        return Err(Error::malformed(format!("{name}: no transcript of an agent that is known here")));
    };
    let mut so_far = Inspection::default();
    for body in bodies {
        let (changes, directory) = items(&session, &body)?;
        let inspect = Inspect { changes, directory, so_far };
        so_far = manager.send(inspect).await.map_err(|_| Error::Unavailable)?;
    }
    Ok(HttpResponse::Ok().json(so_far.listed()))
}

/// Items as a body has them that shares a session.
#[derive(Deserialize)]
struct Backlog<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// The items of a body that shares a session.
fn items(session: &str, body: &Value) -> Result<(Vec<Change>, Option<PathBuf>), Error> {
    let text = body.to_string();
    if body.get("messages").is_some() {
        let (conversation, _) = conversation::read(text.as_bytes())?;
        let about = About { directory: conversation.told.directory, ..About::default() };
        let messages = conversation.messages.unwrap_or_default();
        let read = messages::read(session, &about, messages.iter().map(|raw| &**raw));
        let changes = read.items.into_iter().map(|item| Change::Put(item.key, item.content)).collect();
        return Ok((changes, about.directory.map(PathBuf::from)));
    }
    let Backlog { data } = parse(text.as_bytes(), "{data: [{type, data}, …]}")?;
    Ok((backlog(&data)?, None))
}

/// `PUT /v1/secrets`: what an agent says is secret. Kept in memory alone.
pub(super) async fn secrets(body: Body, manager: ManagerData) -> Result<HttpResponse, Error> {
    // Its own words on what is wrong could repeat a secret; `parse` says where alone.
    let told: BTreeMap<String, Option<String>> =
        parse(&whole(body)?, "{NAME: a secret of at least 8 characters, or null to forget it, …}")?;
    let given = told.values().flatten().count();
    let accepted = manager.send(TellSecrets(told)).await.map_err(|_| Error::Unavailable)?;
    Ok(HttpResponse::Ok().json(json!({"accepted": accepted, "ignored": given - accepted})))
}

/// By kind, how many values of a session are hidden so far.
pub(super) async fn hidden(manager: &Addr<Manager>, session: &str) -> BTreeMap<String, u64> {
    let listed = manager.send(RedactionsOf(session.to_owned())).await.ok().flatten();
    listed.unwrap_or_default().hidden
}
