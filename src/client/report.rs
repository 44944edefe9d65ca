//! What agents report of their sessions, let through to the queue as far as it belongs to shared ones.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use actix::fut::wrap_future;
use actix::prelude::*;
use serde_json::value::RawValue;

use super::ClientError;
use super::conversations::{Note, Told};
use super::event::{Event, Happening};
use super::manager::{Manager, Unwanted};
use super::messages::{Continue, Conversation, Converse, Read, Report, Taken};
use super::queue::Enqueue;
use super::redaction::Rest;
use crate::clock::now_ms;
use crate::import::messages::{self, Imported};
use crate::model::{Change, Key};

/// What a report does to one session.
#[derive(Default)]
struct Reported {
    events: usize,
    /// In their order; `None` where a part came whole after it had grown.
    changes: Vec<Option<Reporting>>,
    /// Where in `changes` the parts stand that have grown.
    grown: HashMap<Key, usize>,
    notes: Vec<Note>,
    /// Whether its agent rests at the end.
    rests: bool,
}

/// One change of a report, or a part that has grown in it: what that is in the end is put together once.
enum Reporting {
    Changed(Change),
    Grew(Key),
}

impl Handler<Report> for Manager {
    type Result = ResponseActFuture<Self, Result<usize, ClientError>>;

    fn handle(&mut self, Report(events): Report, ctx: &mut Self::Context) -> Self::Result {
        let mut reported = BTreeMap::<String, Reported>::new();
        let mut deleted = 0;
        for Event { session_id, happening } in events {
            if !self.takes(&session_id) {
                continue;
            }
            match happening {
                Happening::Spoke(word) => {
                    let spoken = self.spoken.entry(session_id.clone()).or_default();
                    let items = spoken.take(&session_id, word, now_ms());
                    let changes = items.into_iter().map(|item| Change::Put(item.key, item.content));
                    reported.entry(session_id).or_default().gave(changes.collect(), Vec::new());
                }
                Happening::Does(status) => {
                    reported.entry(session_id.clone()).or_default().rests = status.state.rests();
                    let told = Told { status: Some(status), ..Told::default() };
                    let said = self.tell(&session_id, Conversation { messages: None, told }, false);
                    let Giving { changes, notes, .. } = self.give(&session_id, &said, false, false);
                    reported.entry(session_id).or_default().gave(changes, notes);
                }
                Happening::Changed(change) => {
                    self.streams.note(&session_id, &change);
                    reported.entry(session_id).or_default().changed(change);
                }
                Happening::Grew { part, added } => {
                    // What is not here cannot grow; the whole part that comes at the end has it.
                    if self.streams.grow(&session_id, &part, &added) {
                        reported.entry(session_id).or_default().grew(part);
                    }
                }
                Happening::Deleted => {
                    reported.remove(&session_id);
                    self.conversations.forget(&session_id);
                    if let Err(error) = self.unwant(&session_id, Unwanted::Deleted) {
                        tracing::error!(%error, "cannot store that a share is to be removed");
                        for session in reported.keys() {
                            self.streams.forget(session);
                        }
                        return Box::pin(actix::fut::ready(Err(ClientError::Unavailable)));
                    }
                    deleted += 1;
                }
            }
        }
        if deleted > 0 {
            self.remove_leftovers(ctx);
        }
        let sessions: Vec<_> = reported.keys().cloned().collect();
        let stored: Vec<_> = reported
            .into_iter()
            .map(|(session, Reported { events, changes, notes, rests, .. })| {
                let changes = changes.into_iter().flatten().filter_map(|change| match change {
                    Reporting::Changed(change) => Some(change),
                    Reporting::Grew(part) => self.streams.whole(&session, &part),
                });
                let changes: Vec<_> = changes.collect();
                // What says again what was said is accepted, and is nothing to be stored.
                let unchanged = changes.is_empty();
                let stored = self.queue.send(Enqueue::new(session.clone(), changes, notes));
                if rests {
                    // Also when it did before: texts may have come meanwhile.
                    self.queue.do_send(Rest { session, is_over: true });
                }
                async move {
                    let stored = stored.await.unwrap_or(Err(ClientError::Unavailable))?;
                    Ok::<_, ClientError>(if stored == 0 && !unchanged { 0 } else { events })
                }
            })
            .collect();
        let stored = async move {
            let mut accepted = deleted;
            for stored in futures_util::future::join_all(stored).await {
                accepted += stored?;
            }
            Ok(accepted)
        };
        Box::pin(wrap_future::<_, Self>(stored).map(move |accepted, manager, _| {
            if accepted.is_err() {
                // It is reported again, and what was added must not be added twice.
                for session in &sessions {
                    manager.streams.forget(session);
                    manager.given.doubt(session, []);
                }
            }
            accepted
        }))
    }
}

impl Reported {
    fn changed(&mut self, change: Change) {
        self.events += 1;
        if let Change::Put(key, _) | Change::Remove(key) = &change
            && let Some(place) = self.grown.remove(key)
        {
            self.changes[place] = None;
        }
        self.changes.push(Some(Reporting::Changed(change)));
    }

    fn gave(&mut self, changes: Vec<Change>, notes: Vec<Note>) {
        self.events += 1;
        self.notes.extend(notes);
        self.changes.extend(changes.into_iter().map(Reporting::Changed).map(Some));
    }

    fn grew(&mut self, part: Key) {
        self.events += 1;
        if let Entry::Vacant(place) = self.grown.entry(part.clone()) {
            place.insert(self.changes.len());
            self.changes.push(Some(Reporting::Grew(part)));
        }
    }
}

impl Handler<Event> for Manager {
    type Result = ();

    /// An event from a bus, whose publisher waits for nobody.
    fn handle(&mut self, event: Event, ctx: &mut Self::Context) {
        let reported = self.handle(Report(vec![event]), ctx);
        ctx.spawn(reported.map(|stored, _, _| {
            if let Err(error) = stored {
                tracing::error!(%error, "an event was lost");
            }
        }));
    }
}

impl Handler<Converse> for Manager {
    type Result = ResponseActFuture<Self, Result<Taken, ClientError>>;

    fn handle(&mut self, converse: Converse, _: &mut Self::Context) -> Self::Result {
        let Converse { session_id, conversation, whole } = converse;
        let rests = conversation.told.status.as_ref().is_some_and(|status| status.state.rests());
        let said = self.tell(&session_id, conversation, whole);
        if !self.takes(&session_id) {
            return Box::pin(actix::fut::ready(Ok(Taken::default())));
        }
        let Giving { taken, changes, notes } = self.give(&session_id, &said, whole, false);
        let gone = gone(&notes);
        let stored = self.queue.send(Enqueue::new(session_id.clone(), changes, notes));
        if rests {
            self.queue.do_send(Rest { session: session_id.clone(), is_over: true });
        }
        let stored = async move { stored.await.unwrap_or(Err(ClientError::Unavailable)).map(|_| taken) };
        Box::pin(wrap_future::<_, Self>(stored).map(move |stored, manager, _| {
            if stored.is_err() {
                manager.given.doubt(&session_id, gone);
            }
            stored
        }))
    }
}

impl Handler<Continue> for Manager {
    type Result = ResponseActFuture<Self, Result<Taken, ClientError>>;

    fn handle(&mut self, Continue { from, mut converse }: Continue, ctx: &mut Self::Context) -> Self::Result {
        let session = &converse.session_id;
        let messages = converse.conversation.messages.take().unwrap_or_default();
        let Some(list) = self.conversations.continued(session, from, messages) else {
            let is_too_large = self.conversations.is_too_large(session);
            let unknown = ClientError::UnknownSession { known: Vec::new(), is_too_large };
            return Box::pin(actix::fut::ready(Err(unknown)));
        };
        converse.conversation.messages = Some(list);
        self.handle(converse, ctx)
    }
}

impl Handler<Read> for Manager {
    type Result = ResponseActFuture<Self, Result<bool, ClientError>>;

    fn handle(&mut self, read: Read, _: &mut Self::Context) -> Self::Result {
        let Read { session_id, items, removed, kept, told } = read;
        if !self.takes(&session_id) {
            return Box::pin(actix::fut::ready(Ok(false)));
        }
        self.conversations.tell(&session_id, told, now_ms());
        let (mut changes, notes) = self.given.read(&session_id, items, removed, kept.as_ref());
        changes.extend(self.given.tell(&session_id, self.conversations.told(&session_id), false));
        let gone = gone(&notes);
        let stored = self.queue.send(Enqueue::new(session_id.clone(), changes, notes));
        let stored = async move { stored.await.unwrap_or(Err(ClientError::Unavailable)) };
        Box::pin(wrap_future::<_, Self>(stored).map(move |stored, manager, _| {
            if stored.is_err() {
                manager.given.doubt(&session_id, gone);
            }
            stored.map(|_| manager.takes(&session_id))
        }))
    }
}

/// The items that are noted as taken away.
fn gone(notes: &[Note]) -> Vec<Key> {
    notes.iter().filter(|(_, noted)| noted.is_none()).map(|(key, _)| key.clone()).collect()
}

/// Messages of which a session's share has to hear.
pub(super) enum Said {
    /// None that it has not heard.
    Nothing,
    /// Those that are kept.
    Kept,
    /// These, which are too many to be kept.
    These(Vec<Box<RawValue>>),
}

/// What a share is to be given of a conversation.
pub(super) struct Giving {
    pub(super) taken: Taken,
    pub(super) changes: Vec<Change>,
    /// What is noted of that, together with it.
    pub(super) notes: Vec<Note>,
}

impl Manager {
    /// Notes what an agent says of a session.
    pub(super) fn tell(&mut self, session: &str, said: Conversation, whole: bool) -> Said {
        let Conversation { messages, told } = said;
        let now = now_ms();
        let is_read_anew = self.conversations.tell(session, told, now);
        match messages.map(|messages| self.conversations.keep(session, messages, whole, now)) {
            Some(Some(too_many)) => Said::These(too_many),
            Some(None) => Said::Kept,
            None if is_read_anew => Said::Kept,
            None => Said::Nothing,
        }
    }

    /// What a share is to be given of what was said of its session: of that what it does not have, or all of it
    /// `again`.
    pub(super) fn give(&mut self, session: &str, said: &Said, whole: bool, again: bool) -> Giving {
        let messages = match said {
            Said::Nothing => None,
            Said::Kept => self.conversations.list(session),
            Said::These(messages) => Some(&**messages),
        };
        let about = self.conversations.about(session);
        let read =
            messages.map(|messages| messages::read(session, &about, messages.iter().map(|raw| &**raw)));
        let Imported { items, accepted, ignored, bad } = read.unwrap_or_default();
        let whole = whole && !matches!(said, Said::Nothing);
        let (mut changes, notes) = self.given.give(session, items, whole, again);
        changes.extend(self.given.tell(session, self.conversations.told(session), again));
        Giving { taken: Taken { accepted, ignored, bad }, changes, notes }
    }
}
