//! What the manager knows of the secrets of sessions: what was hidden, what would be, and a share looked at again.

use actix::fut::{ready, wrap_future};
use actix::prelude::*;
use serde_json::value::RawValue;

use super::ClientError;
use super::event::backlog;
use super::manager::Manager;
use super::messages::Flush;
use super::redaction::{Again, BeginAgain, Inspect, Inspection, ListRedactions, Redactions, TellSecrets};
use super::secrets::Share;
use crate::import::messages;
use crate::model::Change;

/// What is hidden in a session that is shared, or would be in one that agents talked of; `None` when the session is not
/// known.
#[derive(Message)]
#[rtype(result = "Option<Redactions>")]
pub struct RedactionsOf(pub String);

/// Looks at all that the share of a session has again, under the rules of today, and sends what has to change. Answered
/// with the number of items, when these are on the disk.
#[derive(Message)]
#[rtype(result = "Result<usize, ClientError>")]
pub struct RedactAgain(pub String);

impl Handler<TellSecrets> for Manager {
    type Result = ResponseFuture<usize>;

    fn handle(&mut self, told: TellSecrets, _: &mut Self::Context) -> Self::Result {
        let told = self.queue.send(told);
        Box::pin(async { told.await.unwrap_or_default() })
    }
}

impl Handler<Inspect> for Manager {
    type Result = ResponseFuture<Inspection>;

    fn handle(&mut self, inspect: Inspect, _: &mut Self::Context) -> Self::Result {
        let inspected = self.queue.send(inspect);
        Box::pin(async { inspected.await.unwrap_or_default() })
    }
}

impl Handler<RedactionsOf> for Manager {
    type Result = ResponseFuture<Option<Redactions>>;

    fn handle(&mut self, RedactionsOf(session): RedactionsOf, _: &mut Self::Context) -> Self::Result {
        if self.takes(&session) {
            let listed = self.queue.send(ListRedactions(session));
            return Box::pin(async { Some(listed.await.ok().flatten().unwrap_or_default()) });
        }
        let Some(list) = self.conversations.list(&session) else {
            return Box::pin(std::future::ready(None));
        };
        let about = self.conversations.about(&session);
        let directory = about.directory.as_deref().map(Into::into);
        let items = messages::read(&session, &about, list.iter().map(|raw| &**raw)).items;
        let changes = items.into_iter().map(|item| Change::Put(item.key, item.content)).collect();
        let inspected = self.queue.send(Inspect { changes, directory, so_far: Inspection::default() });
        Box::pin(async { inspected.await.ok().map(|inspection| inspection.listed()) })
    }
}

impl Handler<RedactAgain> for Manager {
    type Result = ResponseActFuture<Self, Result<usize, ClientError>>;

    fn handle(&mut self, RedactAgain(session): RedactAgain, ctx: &mut Self::Context) -> Self::Result {
        let Some(share) = self.active(&session).map(Share::target) else {
            return Box::pin(ready(Err(ClientError::NotShared)));
        };
        // What waits was looked at under older rules too: it has to be on the server before that is read.
        let flushed = ctx.address().send(Flush { session_id: session.clone() });
        let (redaction, transport) = (self.queue.clone(), self.transport.clone());
        let again = async move {
            let gone = |_| ClientError::Unavailable;
            redaction.send(BeginAgain(session.clone())).await.map_err(gone)?;
            flushed.await.map_err(gone)??;
            let data =
                transport.data(&share).await.map_err(|later| ClientError::Unreachable(later.reason))?;
            let changes = changes(&data)?;
            redaction.send(Again { session, changes }).await.map_err(gone)?
        };
        Box::pin(wrap_future(again))
    }
}

/// What a server says that a share has.
fn changes(data: &[u8]) -> Result<Vec<Change>, ClientError> {
    let unreadable =
        || ClientError::Unreachable("it gives a share's items in a form that cannot be read".into());
    let items: Vec<&RawValue> = serde_json::from_slice(data).map_err(|_| unreadable())?;
    backlog(&items).map_err(|_| unreadable())
}
