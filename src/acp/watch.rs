//! What the relay is told of what passes.
//!
//! The conversation is kept here, whole, so a relay may come late or again: what it missed it is given then. Of a
//! session that is not shared the relay has the messages that are over, each once, and what its agent does; of a shared
//! one it gets changes as they come, of texts what was added. Whether a session is shared the relay says by what it
//! accepts, whoever shares it and where.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::command::{self, Command, What};
use super::pipe::{Seen, ToClient, Watched};
use crate::clock::now_ms;
use crate::import::Item;
use crate::import::acp::{Acp, Growth, State, Update};
use crate::relay::client::{RelayCallError, RelayClient, RelayOptions};
use crate::text::plain;

/// How long what is said gathers until the relay is told.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// How long a relay may take for what it is told.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long it takes at most until a relay that did not answer is asked again.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// How long an agent has to say which commands a new session has.
const COMMANDS_WITHIN: Duration = Duration::from_millis(500);

/// Bytes of a session's messages that a relay keeps of one that is not shared.
const MAX_LISTED: usize = 8 << 20;

/// Looks at all that passes, until the agent has ended and the relay was told so.
pub(super) async fn watch(mut seen: Watched, client: ToClient, options: RelayOptions) {
    let watch = Rc::new(Watch::default());
    let (commands, asked) = mpsc::unbounded_channel();
    let telling = Teller { watch: Rc::clone(&watch), client: client.clone(), options, relay: None };
    let telling = actix_web::rt::spawn(telling.run(asked));
    while let Some(seen) = seen.next().await {
        match seen {
            Seen::Line(side, line) => {
                let noted = watch.acp.borrow_mut().read(side, &line, now_ms());
                let Some(noted) = noted else { continue };
                if noted.is_ready {
                    actix_web::rt::spawn(announce(Rc::clone(&watch), client.clone(), noted.session.clone()));
                }
                watch.changed(noted.session);
            }
            Seen::Command(command) => {
                let _ = commands.send(command);
            }
            Seen::End => break,
        }
    }
    watch.acp.borrow_mut().end(now_ms());
    // Without commands to come the teller ends when all is told.
    drop(commands);
    let _ = telling.await;
}

/// Says that a session has our commands, when its agent does not say which it has: then they stand beside those.
async fn announce(watch: Rc<Watch>, client: ToClient, session: String) {
    sleep(COMMANDS_WITHIN).await;
    let is_silent = watch.acp.borrow_mut().session(&session).is_some_and(|session| !session.has_commands());
    if is_silent {
        say(&client, command::announcement(&session)).await;
    }
}

/// A client that does not read holds up nobody else.
async fn say(client: &ToClient, lines: Vec<u8>) {
    let client = client.clone();
    let _ = tokio::task::spawn_blocking(move || client.say(&lines)).await;
}

/// What was seen, and of which sessions the relay was not told all.
#[derive(Default)]
struct Watch {
    acp: RefCell<Acp>,
    changed: RefCell<BTreeSet<String>>,
    notify: Notify,
}

impl Watch {
    fn changed(&self, session: String) {
        self.changed.borrow_mut().insert(session);
        self.notify.notify_one();
    }
}

/// How far the relay knows a session.
#[derive(Default)]
struct Told {
    is_shared: bool,
    /// Whether the share may lack something that was taken for given.
    is_in_doubt: bool,
    state: Option<State>,
    title: Option<String>,
    listed: usize,
}

struct Teller {
    watch: Rc<Watch>,
    client: ToClient,
    options: RelayOptions,
    relay: Option<RelayClient>,
}

impl Teller {
    /// Tells the relay what changes, and answers commands, one after the other.
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Command>) {
        let mut told = HashMap::new();
        let mut backoff = Duration::ZERO;
        loop {
            tokio::select! {
                () = self.watch.notify.notified() => {}
                command = asked.recv() => match command {
                    Some(command) => {
                        self.answer(&command, &mut told).await;
                        continue;
                    }
                    None => break,
                },
            }
            let due = Instant::now() + DEBOUNCE.max(backoff);
            let is_ending = loop {
                tokio::select! {
                    () = sleep_until(due) => break false,
                    command = asked.recv() => match command {
                        Some(command) => self.answer(&command, &mut told).await,
                        None => break true,
                    },
                }
            };
            if is_ending {
                break;
            }
            backoff = if self.tell_all(&mut told).await {
                Duration::ZERO
            } else {
                // Said again, although nothing may change any more.
                self.watch.notify.notify_one();
                (backoff * 2).clamp(Duration::from_secs(1), MAX_BACKOFF)
            };
        }
        // The last words: that nobody is there any more.
        let ids: Vec<_> = self.watch.acp.borrow().sessions().cloned().collect();
        self.watch.changed.borrow_mut().extend(ids);
        if self.tell_all(&mut told).await
            && let Ok(relay) = self.relay()
        {
            let shares: Vec<_> = told.keys().filter_map(|id| self.share_id(id)).collect();
            for share in shares {
                let _ = relay.tell(&share, &json!({"state": "gone"})).await;
            }
        }
    }

    /// The relay, as it stands now: it may have been started after us, or anew. One that does not run is started by
    /// `/share` alone.
    fn relay(&mut self) -> Result<RelayClient, RelayCallError> {
        if let Some(relay) = &self.relay {
            return Ok(relay.clone());
        }
        let relay = RelayClient::new(&self.options)?;
        Ok(self.relay.insert(relay).clone())
    }

    fn share_id(&self, id: &str) -> Option<String> {
        Some(self.watch.acp.borrow_mut().session(id)?.about().session.clone())
    }

    /// Tells of all sessions that changed; `false` when the relay does not take it.
    async fn tell_all(&mut self, told: &mut HashMap<String, Told>) -> bool {
        let changed = std::mem::take(&mut *self.watch.changed.borrow_mut());
        for id in &changed {
            let told = told.entry(id.clone()).or_default();
            let done = timeout(TIMEOUT, self.tell(id, told)).await;
            if !matches!(done, Ok(Ok(()))) {
                // It may be another one when it is there again, and may have heard it or not.
                self.relay = None;
                told.is_in_doubt = true;
                told.state = None;
                self.watch.changed.borrow_mut().extend(changed.iter().cloned());
                return false;
            }
        }
        told.retain(|id, _| self.watch.acp.borrow_mut().session(id).is_some());
        true
    }

    async fn tell(&mut self, id: &str, told: &mut Told) -> Result<(), RelayCallError> {
        let relay = self.relay()?;
        let Some(share) = self.share_id(id) else { return Ok(()) };
        self.report(&relay, id, &share, told).await?;
        if !told.is_shared {
            self.list(&relay, id, &share, told, false).await?;
        }
        let state = self.watch.acp.borrow_mut().session(id).map(|session| session.state());
        if let Some(state) = state.filter(|state| told.state != Some(*state)) {
            relay.tell(&share, &json!({"state": word(state)})).await?;
            told.state = Some(state);
        }
        Ok(())
    }

    /// Reports what changed; of a session that is not shared so much as shows whether it is now.
    async fn report(
        &self,
        relay: &RelayClient,
        id: &str,
        share: &str,
        told: &mut Told,
    ) -> Result<(), RelayCallError> {
        // What a relay did not accept it lacks, when the session is still shared: it gets all of it, once.
        for _ in 0..3 {
            let (update, probe) = {
                let mut acp = self.watch.acp.borrow_mut();
                let Some(session) = acp.session(id) else { return Ok(()) };
                match (told.is_shared, told.is_in_doubt) {
                    (true, true) => (session.take_all(), None),
                    (true, false) => (session.take(), None),
                    (false, _) => (Update::default(), Some(session.item())),
                }
            };
            let probe = probe.map(|item| Event { kind: "session.updated", share, data: Data::Made(item) });
            let events: Vec<_> = events(share, &update).chain(probe).collect();
            if events.is_empty() {
                return Ok(());
            }
            let answer = relay.report(&events).await;
            let accepted = answer.inspect_err(|_| told.is_in_doubt = true)?["accepted"].as_u64();
            let was_shared = std::mem::replace(&mut told.is_shared, accepted > Some(0));
            let has_all = accepted.is_some_and(|accepted| accepted >= events.len() as u64);
            told.is_in_doubt = !was_shared || !has_all;
            if !told.is_in_doubt || !was_shared && !told.is_shared {
                return Ok(());
            }
        }
        // What it does not take a second time it never will.
        told.is_in_doubt = false;
        Ok(())
    }

    /// Gives the messages that are over, so that others can share the session; `anyway` although there are none, for
    /// what is said beside them.
    async fn list(
        &self,
        relay: &RelayClient,
        id: &str,
        share: &str,
        told: &mut Told,
        anyway: bool,
    ) -> Result<(), RelayCallError> {
        for _ in 0..2 {
            let (listing, body, size, title) = {
                let mut acp = self.watch.acp.borrow_mut();
                let agent = acp.agent().cloned();
                let Some(session) = acp.session(id) else { return Ok(()) };
                let listing = session.unlisted();
                let title = session.own_title().map(ToOwned::to_owned);
                let is_known = listing.count > 0 || told.listed > 0;
                if listing.messages.is_empty() && !anyway && (!is_known || title == told.title) {
                    return Ok(());
                }
                let size: usize = listing.messages.iter().map(|message| message.get().len()).sum();
                let body = json!({
                    "from": listing.count,
                    "title": title,
                    "directory": session.about().directory,
                    "agent": agent.map(|agent| json!({"name": agent.name, "version": agent.version})),
                    "status": word(session.state()),
                });
                (listing, body, size, title)
            };
            told.listed = if listing.count == 0 { size } else { told.listed + size };
            if told.listed > MAX_LISTED {
                return Ok(());
            }
            let body = Listed { messages: &listing.messages, rest: &body };
            match relay.converse(share, &body, listing.count == 0).await {
                Ok(_) => {
                    if let Some(session) = self.watch.acp.borrow_mut().session(id) {
                        session.set_listed(&listing);
                    }
                    told.title = title;
                    return Ok(());
                }
                // It was started anew, and has forgotten what it had.
                Err(RelayCallError::Refused { code, .. }) if code == "unknown_session" => {
                    if let Some(session) = self.watch.acp.borrow_mut().session(id) {
                        session.list_again();
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Does what the user asked of us, and says so.
    async fn answer(&mut self, command: &Command, told: &mut HashMap<String, Told>) {
        let told = told.entry(command.session.clone()).or_default();
        let done = match command.what {
            What::Share => self.share(&command.session, told).await,
            What::Unshare => self.unshare(&command.session, told).await,
        };
        let text = done.unwrap_or_else(|error| {
            self.relay = None;
            format!("This did not work: {}", plain(&error.to_string()))
        });
        say(&self.client, command::answer(command, &text)).await;
    }

    async fn share(&mut self, id: &str, told: &mut Told) -> Result<String, RelayCallError> {
        let relay = RelayClient::connect_or_start(&self.options, true).await?;
        self.relay = Some(relay.clone());
        let (share, items) = {
            let mut acp = self.watch.acp.borrow_mut();
            let session = acp.any_session(id, now_ms());
            let Update { items, .. } = session.take_all();
            (session.about().session.clone(), items)
        };
        // Who works, and where, is said beside the messages.
        let _ = self.list(&relay, id, &share, told, true).await;
        let data = items.iter().map(|Item { key, content, .. }| Shared { kind: key.kind(), data: content });
        let answer = relay.share_with(&share, &Backlog { data: data.collect() }).await;
        let answer = answer.inspect_err(|_| told.is_in_doubt = true)?;
        told.is_shared = true;
        told.is_in_doubt = false;
        told.state = None;
        self.watch.changed(id.to_owned());
        let url = plain(answer["url"].as_str().unwrap_or_default());
        Ok(format!(
            "This session is shared: {url}\n\nWhoever has the link can watch. `/unshare` takes it away."
        ))
    }

    async fn unshare(&mut self, id: &str, told: &mut Told) -> Result<String, RelayCallError> {
        let relay = self.relay()?;
        let share = self.watch.acp.borrow_mut().any_session(id, now_ms()).about().session.clone();
        let answer = match relay.unshare(&share).await {
            Err(RelayCallError::Refused { code, .. }) if code == "not_shared" => {
                return Ok("This session is not shared.".into());
            }
            answer => answer?,
        };
        told.is_shared = false;
        told.is_in_doubt = true;
        self.watch.changed(id.to_owned());
        if answer["state"] == "removing" {
            return Ok(RelayCallError::UnderWay.to_string());
        }
        Ok("This session is no longer shared.".into())
    }
}

/// An event, as the relay takes it.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "sessionID")]
    share: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Kept(&'a RawValue),
    Made(Value),
}

#[derive(Serialize)]
struct Backlog<'a> {
    data: Vec<Shared<'a>>,
}

#[derive(Serialize)]
struct Shared<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Listed<'a> {
    messages: &'a [Box<RawValue>],
    #[serde(flatten)]
    rest: &'a Value,
}

/// What an update says, as events.
fn events<'a>(share: &'a str, update: &'a Update) -> impl Iterator<Item = Event<'a>> {
    let Update { grown, items, removed } = update;
    let grown = grown.iter().map(|Growth { message, part, added }| {
        let data = json!({"messageID": message, "partID": part, "field": "text", "delta": added});
        ("message.part.delta", Data::Made(data))
    });
    let items = items.iter().map(|Item { key, content, .. }| {
        let kind = match key.kind() {
            "message" => "message.updated",
            "part" => "part.updated",
            _ => "session.updated",
        };
        (kind, Data::Kept(content))
    });
    let removed = removed.iter().map(|key| {
        let kind = if key.part_id().is_some() { "part.removed" } else { "message.removed" };
        (kind, Data::Made(key.removal()))
    });
    grown.chain(items).chain(removed).map(move |(kind, data)| Event { kind, share, data })
}

fn word(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Busy => "busy",
        State::Waiting => "waiting",
    }
}
