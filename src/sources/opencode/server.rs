//! `OpenCode`'s server, where one runs: its event stream tells of a text word by word, of which the database hears when
//! it is finished. All else is the database's to tell, whatever process wrote it: a server knows nothing of what
//! happens in a terminal beside it. So nothing is missed while there is no stream, and nothing told twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_http::Payload;
use actix_http::encoding::Decoder;
use awc::http::header;
use awc::{Client, ClientResponse};
use futures_util::StreamExt;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::events::Events;
use super::live::Live;
use crate::client::{Activity, Event, Happening, Manager, Report, Streams};
use crate::import::opencode as import;
use crate::model::{Change, Key};

/// Where `OpenCode` listens that nobody told to listen elsewhere, unless that is taken.
pub(super) const DEFAULT: &str = "http://127.0.0.1:4096";

/// How often a server is looked for.
const LOOK: Duration = Duration::from_secs(2);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A stream that was silent for so long is dead: `OpenCode` says something every ten seconds.
const SILENCE: Duration = Duration::from_secs(35);

/// How long what cannot be stored now waits.
const RETRY: Duration = Duration::from_millis(500);

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 4 << 20;

/// Sessions of subagents that are listened to.
const MAX_FAMILY: usize = 1000;

/// A server that may be one of `OpenCode`'s.
#[derive(Debug, Clone)]
pub(super) struct Server {
    url: String,
    /// Whether the user named it. What else listens at the usual address gets no password.
    is_given: bool,
}

/// Whoever listens there is not believed to be `OpenCode`, or has ended.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotThere(String);

type Answer = ClientResponse<Decoder<Payload>>;

/// The event stream of a server that has the session.
struct Streaming<'a> {
    session: &'a str,
    live: &'a Live,
    /// The session and those of its subagents.
    family: HashSet<String>,
    /// The texts that are being written.
    texts: Streams,
}

impl Server {
    pub(super) fn new(url: Option<String>) -> Self {
        Self { is_given: url.is_some(), url: url.unwrap_or_else(|| DEFAULT.to_owned()) }
    }

    /// Reports the texts of a session as they are written, and what its agent does, whenever there is a server that has
    /// the session; for as long as the session is shared.
    pub(super) async fn follow(self, session: String, live: Arc<Live>, manager: Addr<Manager>) {
        loop {
            match self.listen(&session, &live, &manager).await {
                Ok(()) => return,
                Err(reason) => tracing::debug!(%reason, url = %self.url, "no event stream of OpenCode"),
            }
            live.does(None);
            sleep(LOOK).await;
        }
    }

    /// Ends well when the session is not shared any more.
    async fn listen(&self, session: &str, live: &Live, manager: &Addr<Manager>) -> Result<(), NotThere> {
        if !self.is_given && super::listener::is_of_another(&self.url) {
            return Err(NotThere("another user listens there".into()));
        }
        let client = self.client();
        let health = self.get(&client, "/global/health").await?;
        if health["healthy"] != Value::Bool(true) || !health["version"].is_string() {
            return Err(NotThere("what listens there is not OpenCode".into()));
        }
        // First the stream, then what there is: so no subagent begins in between.
        let mut bytes = self.ask(&client, "/global/event", "text/event-stream").await?;
        let known = self.get(&client, &format!("/session/{session}")).await?;
        if known["id"] != *session || !known["directory"].is_string() || !known["time"]["created"].is_number()
        {
            return Err(NotThere("it does not have the session".into()));
        }
        let family = self.family(&client, session).await?;
        let mut streaming = Streaming { session, live, family, texts: Streams::default() };
        let mut events = Events::default();
        tracing::debug!(url = %self.url, "listening to OpenCode");
        loop {
            let piece = timeout(SILENCE, bytes.next()).await;
            let piece = piece.map_err(|_| NotThere("it is silent".into()))?;
            let piece = piece.ok_or_else(|| NotThere("it has ended".into()))?;
            let piece = piece.map_err(|error| NotThere(error.to_string()))?;
            let happened = streaming.take(events.take(&piece));
            if !happened.is_empty() && !report(happened, manager).await {
                return Ok(());
            }
        }
    }

    fn client(&self) -> Client {
        let client = Client::builder().disable_timeout().disable_redirects();
        let password = std::env::var("OPENCODE_SERVER_PASSWORD").ok().filter(|password| !password.is_empty());
        match password.filter(|_| self.is_given) {
            Some(password) => {
                let user = std::env::var("OPENCODE_SERVER_USERNAME").unwrap_or_else(|_| "opencode".into());
                client.basic_auth(user, Some(&password)).finish()
            }
            None => client.finish(),
        }
    }

    /// The session and those of its subagents.
    async fn family(&self, client: &Client, session: &str) -> Result<HashSet<String>, NotThere> {
        let mut family = HashSet::from([session.to_owned()]);
        let mut asked = vec![session.to_owned()];
        while let Some(parent) = asked.pop() {
            let children = self.get(client, &format!("/session/{parent}/children")).await?;
            for child in children.as_array().into_iter().flatten() {
                let id = child["id"].as_str().filter(|id| is_session(id) && family.len() < MAX_FAMILY);
                if let Some(id) = id.filter(|_| child["parentID"] == *parent)
                    && family.insert(id.to_owned())
                {
                    asked.push(id.to_owned());
                }
            }
        }
        Ok(family)
    }

    async fn get(&self, client: &Client, path: &str) -> Result<Value, NotThere> {
        let mut answer = self.ask(client, path, "application/json").await?;
        let body = timeout(ANSWER, answer.body().limit(MAX_ANSWER)).await;
        let body = body.map_err(|_| NotThere("its answer takes too long".into()))?;
        let body = body.map_err(|error| NotThere(error.to_string()))?;
        serde_json::from_slice(&body).map_err(|_| NotThere("it answers no JSON".into()))
    }

    async fn ask(&self, client: &Client, path: &str, kind: &'static str) -> Result<Answer, NotThere> {
        let request = client.get(format!("{}{path}", self.url)).insert_header((header::ACCEPT, kind));
        let answer = timeout(ANSWER, request.no_decompress().send()).await;
        let answer = answer.map_err(|_| NotThere("it does not answer".into()))?;
        let answer = answer.map_err(|error| NotThere(error.to_string()))?;
        let answered = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if answer.status() != 200 || !answered.is_some_and(|answered| answered.starts_with(kind)) {
            return Err(NotThere(format!("it answers {} to {path}", answer.status())));
        }
        Ok(answer)
    }
}

impl Streaming<'_> {
    /// What of some events is to be reported.
    fn take(&mut self, events: Vec<String>) -> Vec<Event> {
        let (mut happened, mut grown) = (Vec::new(), Vec::new());
        for event in events {
            let event =
                RawValue::from_string(event).ok().and_then(|event| Event::parse(&event, "event").ok()?);
            let Some(Event { session_id, happening }) = event else { continue };
            happened.extend(self.take_one(&session_id, happening, &mut grown));
        }
        // A text that grew is told of once, as it is now.
        let grown =
            grown.iter().filter_map(|part| self.texts.whole(self.session, part)).map(Happening::Changed);
        happened.extend(grown);
        let session_id = self.session.to_owned();
        happened.into_iter().map(|happening| Event { session_id: session_id.clone(), happening }).collect()
    }

    fn take_one(&mut self, session: &str, happening: Happening, grown: &mut Vec<Key>) -> Option<Happening> {
        if let Happening::Changed(Change::Put(key, content)) = &happening
            && key.as_str() == Key::SESSION
        {
            let about: Value = serde_json::from_str(content.get()).ok()?;
            let is_of_family = about["parentID"].as_str().is_some_and(|parent| self.family.contains(parent));
            if is_of_family && self.family.len() < MAX_FAMILY {
                self.family.insert(session.to_owned());
            }
            return None;
        }
        if !self.family.contains(session) {
            return None;
        }
        match happening {
            Happening::Changed(Change::Put(key, content)) if key.part_id().is_some() => {
                let part = import::whole_part(&content)?;
                if import::grows(&part.content) {
                    if !self.live.begins(&part.key) {
                        return None;
                    }
                } else if !self.live.ends(&part) {
                    return None;
                }
                let change = Change::Put(part.key, part.content);
                self.texts.note(self.session, &change);
                Some(Happening::Changed(change))
            }
            Happening::Grew { part, added } => {
                let is_told = !self.live.is_over(&part) && self.texts.grow(self.session, &part, &added);
                if is_told && !grown.contains(&part) {
                    grown.push(part);
                }
                None
            }
            Happening::Does(status) => {
                // Of a subagent it counts that it waits for an answer, until that is given.
                let waits = |state| state == Activity::Waiting;
                let waited = self.live.status().is_some_and(|status| waits(status.state));
                if session != self.session
                    && !waits(status.state)
                    && !(waited && status.state == Activity::Busy)
                {
                    return None;
                }
                self.live.does(Some(status.clone()));
                Some(Happening::Does(status))
            }
            _ => None,
        }
    }
}

/// Tells whether the session is still shared. What cannot be stored now is tried again: it comes once.
async fn report(events: Vec<Event>, manager: &Addr<Manager>) -> bool {
    loop {
        match manager.send(Report(events.clone())).await {
            Ok(Ok(accepted)) => return accepted > 0,
            Err(_) => return false,
            Ok(Err(error)) => tracing::warn!(%error, "what OpenCode says cannot be stored now"),
        }
        sleep(RETRY).await;
    }
}

/// Whether this may be the id of a session, which can stand in a path.
pub(super) fn is_session(id: &str) -> bool {
    id.len() <= 64
        && id.strip_prefix(super::PREFIX).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::import::Item;

    fn streaming(live: &Live) -> Streaming<'_> {
        let family = HashSet::from(["ses_1".to_owned()]);
        Streaming { session: "ses_1", live, family, texts: Streams::default() }
    }

    fn part(id: &str, session: &str, data: &Value) -> String {
        let mut part = json!({"id": id, "messageID": "m", "sessionID": session});
        part.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        json!({"payload": {"type": "message.part.updated", "properties": {"sessionID": session, "part": part}}})
            .to_string()
    }

    fn delta(id: &str, session: &str, delta: &str) -> String {
        let properties =
            json!({"sessionID": session, "messageID": "m", "partID": id, "field": "text", "delta": delta});
        json!({"directory": "/p", "payload": {"type": "message.part.delta", "properties": properties}})
            .to_string()
    }

    fn item(id: &str, data: &Value) -> Item {
        import::part(id, "m", "ses_1", &data.to_string()).unwrap()
    }

    /// What a report says: the key and the text of each part, or the state.
    fn said(events: Vec<Event>) -> Vec<String> {
        let said = events.into_iter().map(|event| {
            assert_eq!(event.session_id, "ses_1");
            match event.happening {
                Happening::Changed(Change::Put(key, content)) => {
                    let content: Value = serde_json::from_str(content.get()).unwrap();
                    format!("{} {}", key.as_str(), content["text"].as_str().unwrap_or_default())
                }
                Happening::Does(status) => format!("{:?}", status.state),
                other => panic!("{other:?}"),
            }
        });
        said.collect()
    }

    #[test]
    fn a_text_is_told_as_it_grows_and_the_database_tells_the_rest() {
        let live = Live::default();
        let mut streaming = streaming(&live);
        let begun = json!({"type": "text", "text": "", "time": {"start": 1}});
        let done = json!({"type": "text", "text": "one two", "time": {"start": 1, "end": 2}});
        assert_eq!(said(streaming.take(vec![delta("p", "ses_1", "lost")])), [""; 0]);
        let events = vec![part("p", "ses_1", &begun), delta("p", "ses_1", "one"), delta("p", "ses_1", " t")];
        assert_eq!(said(streaming.take(events)), ["part/m/p ", "part/m/p one t"]);
        assert!(live.has_said(&item("p", &begun)), "the database has less of it");
        assert_eq!(said(streaming.take(vec![part("p", "ses_1", &done)])), ["part/m/p one two"]);
        assert!(live.has_said(&item("p", &begun)), "a look may have been before the end");
        assert!(live.has_said(&item("p", &done)), "the same");
        assert!(!live.has_said(&item("p", &done)), "from now on the database tells");

        let tool = json!({"type": "tool", "tool": "bash", "state": {"status": "running"}});
        let typed = json!({"type": "text", "text": "typed"});
        let events = vec![part("t", "ses_1", &tool), part("u", "ses_1", &typed), part("p", "ses_1", &done)];
        assert_eq!(said(streaming.take(events)), [""; 0]);
    }

    #[test]
    fn what_the_stream_says_of_a_text_whose_end_the_database_has_told_comes_late() {
        let live = Live::default();
        let mut streaming = streaming(&live);
        let begun = json!({"type": "text", "text": "", "time": {"start": 1}});
        let done = json!({"type": "text", "text": "one two", "time": {"start": 1, "end": 2}});
        let events = vec![part("p", "ses_1", &begun), delta("p", "ses_1", "one")];
        assert_eq!(said(streaming.take(events)), ["part/m/p ", "part/m/p one"]);
        assert!(!live.has_said(&item("p", &done)), "the database is quicker");
        let late = vec![delta("p", "ses_1", " two"), part("p", "ses_1", &begun), part("p", "ses_1", &done)];
        assert_eq!(said(streaming.take(late)), [""; 0]);
    }

    #[test]
    fn subagents_are_listened_to_and_others_are_not() {
        let live = Live::default();
        let mut streaming = streaming(&live);
        let begun = json!({"type": "reasoning", "text": "", "time": {"start": 1}});
        assert_eq!(said(streaming.take(vec![part("p", "ses_2", &begun)])), [""; 0]);
        let created = |id: &str, parent: &str| {
            json!({"type": "session.created", "properties": {"info": {"id": id, "parentID": parent}}})
                .to_string()
        };
        let events = vec![created("ses_2", "ses_1"), created("ses_3", "ses_9"), part("p", "ses_2", &begun)];
        assert_eq!(said(streaming.take(events)), ["part/m/p "]);
        assert_eq!(
            said(streaming.take(vec![delta("p", "ses_2", "x"), part("q", "ses_3", &begun)])),
            ["part/m/p x"]
        );
    }

    #[test]
    fn of_a_subagent_it_counts_that_it_waits() {
        let live = Live::default();
        let mut streaming = streaming(&live);
        streaming.family.insert("ses_2".to_owned());
        let status = |session: &str, kind: &str| {
            json!({"type": "session.status", "properties": {"sessionID": session, "status": {"type": kind}}})
                .to_string()
        };
        let permission = |kind: &str| json!({"type": kind, "properties": {"sessionID": "ses_2"}}).to_string();
        let events = vec![
            status("ses_1", "busy"),
            status("ses_2", "busy"),
            permission("permission.asked"),
            permission("permission.replied"),
            status("ses_2", "idle"),
        ];
        assert_eq!(said(streaming.take(events)), ["Busy", "Waiting", "Busy"]);
        assert_eq!(live.status().map(|status| status.state), Some(Activity::Busy));
    }

    #[test]
    fn only_what_is_an_id_stands_in_a_path() {
        assert!(is_session("ses_ddb391b40ffenm0r9MgVKIinz8"));
        for id in ["", "ses_", "ses_a/b", "ses_..", "cc_1", "ses_a?b", &format!("ses_{}", "a".repeat(64))] {
            assert!(!is_session(id), "{id}");
        }
    }
}
