//! Which sessions are shared, and what that takes: creating and removing shares.

use std::collections::{HashMap, HashSet};

use actix::fut::{ready, wrap_future};
use actix::prelude::*;
use tokio::sync::oneshot;

use super::answer::{Later, NotAmended, is_link};
use super::awake;
use super::bus::{Bus, Subscribe};
use super::conversations::{Conversations, Given, KnownSession};
use super::messages::{Amend, Create, Flush, Known, List, Listed, OwnersLink, Remove, Removed, Shared, Stop};
use super::queue::{
    Attach, Detach, Doubt, Drain, Ended, Enqueue, FlushLane, Look, Open, Progress, SyncQueue,
};
use super::redaction::{Means, Redaction, Rest};
use super::report::{Giving, Said};
use super::schedule::{Backoff, jitter};
use super::sealing::Sealing;
use super::secrets::{Name, Secrets, SecretsError, Share, State};
use super::spool::Spool;
use super::streams::Streams;
use super::transport::{Place, Target, Transport};
use super::{ClientError, Config, StartError};
use crate::clock::now_ms;
use crate::config::{OWN_SERVER, is_in_clear, origin};
use crate::import::bus::Spoken;
use crate::protocol::{Amended, Created};

/// Keeps the shares of an agent's sessions.
pub struct Manager {
    config: Config,
    secrets: Secrets,
    spool: Spool,
    pub(super) transport: Transport,
    /// The way to the queue.
    pub(super) queue: Addr<Redaction>,
    /// The parts of shared sessions that are being streamed.
    pub(super) streams: Streams,
    /// What agents say of sessions, shared or not.
    pub(super) conversations: Conversations,
    /// What of that the shares have.
    pub(super) given: Given,
    /// What agents said in shared sessions in words that name no item.
    pub(super) spoken: HashMap<String, Spoken>,
    /// Sessions whose share is being created.
    creating: HashMap<String, Creating>,
    /// The shares that their servers have to delete.
    removals: HashMap<Name, Removal>,
}

/// What a server is asked until it has deleted a share.
struct Removal {
    backoff: Backoff,
    /// Whether it is being asked just now.
    asking: bool,
    /// When it is asked again.
    again: Option<SpawnHandle>,
    /// Why the last try did not do it.
    last_error: Option<String>,
    /// Who waits for what becomes of the next try.
    waiters: Vec<oneshot::Sender<Removed>>,
}

/// A share that is being created.
#[derive(Default)]
struct Creating {
    waiters: Vec<oneshot::Sender<Result<Shared, ClientError>>>,
    /// Whether it is wanted no more: then it goes as soon as it is there, and nothing is sent to it.
    unwanted: Option<Unwanted>,
    /// Whether what it is to show is read where the session's agent keeps it.
    is_read: bool,
    /// How it is sealed.
    sealing: Option<Sealing>,
}

/// Why a share that is being created is wanted no more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unwanted {
    /// It was taken back.
    Unshared,
    /// Its session was deleted.
    Deleted,
}

impl Manager {
    /// Opens the local state and starts the manager and its queue in the current arbiter. What an earlier life left in
    /// the spool is sent.
    ///
    /// # Errors
    /// When the local directory cannot be used, or others can read it.
    pub async fn open(config: Config) -> Result<Addr<Self>, StartError> {
        crate::sqlite::private_dir(&config.local_dir).map_err(crate::sqlite::StartupError::from)?;
        let secrets = Secrets::open(&config.local_dir, config.api_url.as_deref().unwrap_or(OWN_SERVER))?;
        let spool = Spool::open(&config.local_dir)?;
        let amounts = spool.amounts().await.unwrap_or_default();
        let noted = spool.noted().await.unwrap_or_default();
        let redacted = spool.redacted().await.unwrap_or_default();
        let transport = Transport::new(&config)?;
        let means = Means::new(&config)?;
        Ok(Self::create(|ctx| {
            let ended = ctx.address().recipient();
            let queue =
                SyncQueue::new(config.clone(), spool.clone(), transport.clone(), ended, &amounts).start();
            let queue = Redaction::launch(means, queue, redacted);
            // While sharing is switched off nothing leaves this machine, and what waits goes on waiting.
            if config.enabled {
                for share in secrets.all().filter(|share| share.state == State::Active) {
                    queue.do_send(attach(share));
                }
            }
            for (session, _) in amounts {
                if secrets.current(&session).is_none_or(|share| share.state != State::Active) {
                    queue.do_send(Detach(session));
                }
            }
            Self {
                config,
                secrets,
                spool,
                transport,
                queue,
                streams: Streams::default(),
                conversations: Conversations::default(),
                given: Given::load(noted),
                spoken: HashMap::new(),
                creating: HashMap::new(),
                removals: HashMap::new(),
            }
        }))
    }

    /// Subscribes a manager to a bus: its events of shared sessions are synced from now on.
    pub fn init(manager: &Addr<Self>, bus: &Addr<Bus>) {
        bus.do_send(Subscribe(manager.clone().recipient()));
    }

    fn created(
        &mut self,
        session: &str,
        result: Result<(Created, Place), ClientError>,
        ctx: &mut Context<Self>,
    ) {
        let creating = self.creating.remove(session).unwrap_or_default();
        let result = result.and_then(|created| self.keep(session, created, &creating));
        if result.is_err() || creating.unwanted.is_some() {
            self.detach(session);
        }
        for waiter in creating.waiters {
            let _ = waiter.send(result.clone());
        }
        self.remove_leftovers(ctx);
    }

    /// Stores a share that was created. One that cannot be used is stored too, to be deleted.
    fn keep(
        &mut self,
        session: &str,
        (created, Place { url: server, key: fingerprint }): (Created, Place),
        &Creating { unwanted, is_read, ref sealing, .. }: &Creating,
    ) -> Result<Shared, ClientError> {
        let usable = is_link(&created.url);
        let share = Share {
            session: session.to_owned(),
            id: created.id,
            url: if usable { created.url } else { String::new() },
            server,
            fingerprint,
            secret: created.secret,
            created_at: now_ms(),
            expires_at: created.expires_at,
            state: if usable && unwanted.is_none() { State::Active } else { State::Removing },
            is_read,
            sealing: sealing.clone(),
        };
        if let Err(error) = self.secrets.put(share.clone()) {
            tracing::error!(%error, "cannot store a share's secret: the share is deleted again");
            // Fails as the other did, and keeps the secret until the server has deleted the share.
            let _ = self.secrets.put_in_memory_at_least(Share { state: State::Removing, ..share });
            return Err(ClientError::Unavailable);
        }
        if !usable {
            return Err(ClientError::Unreachable("it gives a link that is no http(s) URL".into()));
        }
        match unwanted {
            Some(Unwanted::Deleted) => return Err(ClientError::NotShared),
            Some(Unwanted::Unshared) => {}
            None => self.queue.do_send(attach(&share)),
        }
        Ok(shared(&share))
    }

    /// Asks the servers to delete what has to go, each until it has confirmed it.
    pub(super) fn remove_leftovers(&mut self, ctx: &mut Context<Self>) {
        let removing = self.secrets.all().filter(|share| share.state == State::Removing);
        for share in removing.cloned().collect::<Vec<_>>() {
            if !self.removals.contains_key(&share.name()) {
                self.ask_to_delete(share, ctx);
            }
        }
    }

    /// Asks a share's server to delete it, now, unless it is just being asked.
    fn ask_to_delete(&mut self, share: Share, ctx: &mut Context<Self>) -> &mut Removal {
        let max_backoff = self.config.max_backoff;
        let removal = self.removals.entry(share.name()).or_insert_with(|| Removal {
            backoff: Backoff::new(max_backoff),
            asking: false,
            again: None,
            last_error: None,
            waiters: Vec::new(),
        });
        if !removal.asking {
            removal.asking = true;
            if let Some(again) = removal.again.take() {
                ctx.cancel_future(again);
            }
            let transport = self.transport.clone();
            let asked = async move { (transport.delete(&share.target()).await, share) };
            ctx.spawn(wrap_future::<_, Self>(asked).map(|(answer, share), manager, ctx| {
                manager.asked_to_delete(share, answer, ctx);
            }));
        }
        removal
    }

    /// Once its server has confirmed that a share is deleted, nothing of it is kept. Until then it is asked again.
    fn asked_to_delete(&mut self, share: Share, answer: Result<(), Later>, ctx: &mut Context<Self>) {
        let name = share.name();
        let removed = if answer.is_ok() { Removed::Gone } else { Removed::UnderWay };
        let failed = answer.and_then(|()| {
            self.secrets.forget(&share).map_err(|error| {
                tracing::error!(%error, "cannot forget a share that is deleted");
                Later { reason: "it is deleted, and cannot be forgotten here".into(), after: None }
            })
        });
        let Some(removal) = self.removals.get_mut(&name) else { return };
        for waiter in removal.waiters.drain(..) {
            let _ = waiter.send(removed);
        }
        match failed {
            Ok(()) => {
                self.removals.remove(&name);
            }
            Err(Later { reason, after }) => {
                tracing::warn!(%reason, "a share is not deleted yet: its server is asked again");
                let wait = removal.backoff.failed(jitter()).max(after.unwrap_or_default());
                removal.asking = false;
                removal.last_error = Some(reason);
                removal.again = Some(ctx.spawn(wrap_future::<_, Self>(awake::sleep(wait)).map(
                    move |_, manager, ctx| {
                        manager.ask_to_delete(share, ctx);
                    },
                )));
            }
        }
    }

    fn listed(&self, mut progress: HashMap<String, Progress>) -> Vec<Listed> {
        let listed = self.secrets.all().map(|share| {
            let progress = match share.state {
                State::Removing => Progress {
                    last_error: self
                        .removals
                        .get(&share.name())
                        .and_then(|removal| removal.last_error.clone()),
                    ..Progress::default()
                },
                State::Active | State::Ended => progress.remove(&share.session).unwrap_or_default(),
            };
            Listed {
                session_id: share.session.clone(),
                id: share.id.clone(),
                url: share.link(),
                server: origin(&share.server),
                created_at: share.created_at,
                expires_at: share.expires_at,
                pending: progress.pending,
                pending_bytes: progress.pending_bytes,
                last_sync: progress.last_sync,
                state: match share.state {
                    State::Active if !self.config.enabled => "paused",
                    State::Active if progress.failures > 0 => "retrying",
                    State::Active => "active",
                    State::Ended => "ended",
                    State::Removing => "removing",
                },
                last_error: progress.last_error,
                set_aside: progress.set_aside,
                is_read: share.is_read,
                sealed: share.sealing.is_some(),
            }
        });
        listed.collect()
    }

    /// The sessions that can be shared, and those that are.
    fn known(&self) -> Vec<KnownSession> {
        let mut known = self.conversations.known();
        for session in &mut known {
            session.url = self.active(&session.session_id).map(Share::link);
        }
        let told: HashSet<_> = known.iter().map(|session| session.session_id.clone()).collect();
        let shared = self.secrets.all().filter(|share| share.state == State::Active);
        let untold = shared.filter(|share| !told.contains(&share.session));
        known.extend(untold.map(|share| KnownSession {
            url: Some(share.link()),
            ..KnownSession::named(share.session.clone())
        }));
        known
    }

    /// A share is wanted no more: it goes, or will when it is there, and nothing more is sent to it.
    pub(super) fn unwant(&mut self, session: &str, why: Unwanted) -> Result<(), SecretsError> {
        if let Some(creating) = self.creating.get_mut(session) {
            creating.unwanted = Some(why);
        }
        let stored = self.secrets.removing(session);
        self.detach(session);
        stored
    }

    /// How a session's share is to be sealed when it is made.
    ///
    /// # Errors
    /// When there is a share that is not what is asked for.
    fn sealing(
        &self,
        session: &str,
        asked: Option<Sealing>,
        has_password: bool,
    ) -> Result<Option<Sealing>, ClientError> {
        let refused = |reason: &str| Err(ClientError::Malformed(reason.to_owned()));
        if let Some(share) = self.active(session) {
            if let Some(Err(reason)) = asked.as_ref().map(|asked| may_stay(share, asked)) {
                return refused(reason);
            }
            return Ok(asked);
        }
        let sealing = match asked {
            None if self.config.always_sealed => Some(Sealing::new(None)?),
            asked => asked,
        };
        if sealing.is_some() && has_password {
            return refused("an encrypted share has no password: give it a phrase");
        }
        Ok(sealing)
    }

    /// Nothing more of a session is sent, and nothing of it kept.
    fn detach(&mut self, session: &str) {
        self.streams.forget(session);
        self.given.forget(session);
        self.spoken.remove(session);
        self.queue.do_send(Detach(session.to_owned()));
    }

    pub(super) fn active(&self, session: &str) -> Option<&Share> {
        self.secrets.current(session).filter(|share| share.state == State::Active)
    }

    pub(super) fn takes(&self, session: &str) -> bool {
        let creating = self.creating.get(session).is_some_and(|creating| creating.unwanted.is_none());
        self.config.enabled && (creating || self.active(session).is_some())
    }
}

/// What is said of a sealed share on a server whose pages anybody on the way can change.
const IN_CLEAR: &str = "the server is http:// to another machine: browsers do not open encrypted sessions there, and \
                        its page can be changed on the way. Read the link with `brutus-share open LINK`";

/// What may be known of a share.
fn shared(share: &Share) -> Shared {
    let sealed = share.sealing.is_some();
    // Whoever can change what goes over the network can change the page that gets the key.
    let warning = (sealed && is_in_clear(&share.server)).then_some(IN_CLEAR);
    Shared { id: share.id.clone(), url: share.link(), expires_at: share.expires_at, sealed, warning }
}

/// Whether a share that is there already is what is asked for.
fn may_stay(share: &Share, asked: &Sealing) -> Result<(), &'static str> {
    match &share.sealing {
        None => Err("this session is shared already, and not encrypted: unshare it first"),
        Some(Sealing { phrase: None, .. }) if asked.phrase.is_some() => {
            Err("this session is shared already, without a phrase: unshare it first")
        }
        Some(_) => Ok(()),
    }
}

/// What the queue needs to know of a share.
fn attach(share: &Share) -> Attach {
    let link_key = share.sealing.as_ref().map(|sealing| sealing.key.clone());
    Attach { session: share.session.clone(), share: share.target(), link_key }
}

impl Actor for Manager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.remove_leftovers(ctx);
    }
}

impl Handler<Create> for Manager {
    type Result = ResponseActFuture<Self, Result<Shared, ClientError>>;

    fn handle(&mut self, create: Create, ctx: &mut Self::Context) -> Self::Result {
        let Create { session_id, backlog, conversation, empty, lifetime, password, is_read, sealing } =
            create;
        if !self.config.enabled {
            return Box::pin(ready(Err(ClientError::Disabled)));
        }
        let sealing = match self.sealing(&session_id, sealing, password.is_some()) {
            Ok(sealing) => sealing,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let shared = self.active(&session_id).map(self::shared);
        let new = shared.is_none() && !self.creating.contains_key(&session_id);
        let is_told = conversation.as_ref().is_some_and(|conversation| conversation.messages.is_some());
        let said = match conversation {
            Some(conversation) => self.tell(&session_id, conversation, false),
            // Sharing anew brings what is known of it.
            None => Said::Kept,
        };
        let is_known = is_told || !backlog.is_empty() || self.conversations.list(&session_id).is_some();
        if new && !is_known && !empty {
            let is_too_large = self.conversations.is_too_large(&session_id);
            let known = self.known().into_iter().filter(|session| session.has_content).collect();
            return Box::pin(ready(Err(ClientError::UnknownSession { known, is_too_large })));
        }
        if new {
            // What an ended share left goes; what comes from now on waits for the new one.
            self.detach(&session_id);
            self.queue.do_send(Open(session_id.clone()));
        }
        if !new && !backlog.is_empty() {
            self.queue.do_send(Doubt(session_id.clone()));
        }
        for change in &backlog {
            self.streams.note(&session_id, change);
        }
        let said = if new && matches!(said, Said::Nothing) { Said::Kept } else { said };
        let Giving { changes: given, notes, .. } = self.give(&session_id, &said, false, true);
        let changes = given.into_iter().chain(backlog).collect();
        let stored = self.queue.send(Enqueue::new(session_id.clone(), changes, notes));
        self.queue.do_send(Rest { session: session_id.clone(), is_over: false });
        let stored = async { stored.await.unwrap_or(Err(ClientError::Unavailable)).map(|_| ()) };
        if let Some(shared) = shared {
            let amend = Amend {
                id: shared.id.clone(),
                other: None,
                password: password.map(Amended::To),
                expires_in: None,
            };
            let manager = ctx.address();
            return Box::pin(
                wrap_future::<_, Self>(stored)
                    .map(move |stored, manager, _| {
                        if stored.is_err() {
                            manager.given.doubt(&session_id, []);
                        }
                        stored
                    })
                    .then(move |stored, _, _| {
                        wrap_future(async move {
                            stored?;
                            if amend.password.is_some() {
                                manager.send(amend).await.map_err(|_| ClientError::Unavailable)??;
                            }
                            Ok(shared)
                        })
                    }),
            );
        }
        let (waiter, created) = oneshot::channel();
        let creating = self.creating.entry(session_id.clone()).or_default();
        creating.waiters.push(waiter);
        creating.is_read |= is_read;
        if new {
            creating.sealing.clone_from(&sealing);
        }
        let created = async { created.await.unwrap_or(Err(ClientError::Unavailable)) };
        if !new {
            return Box::pin(wrap_future(async {
                stored.await?;
                created.await
            }));
        }
        let transport = self.transport.clone();
        let name = session_id.clone();
        let create = async move {
            stored.await?;
            transport.create(&name, lifetime, password, sealing.as_ref()).await
        };
        ctx.spawn(
            wrap_future::<_, Self>(create)
                .map(move |result, manager, ctx| manager.created(&session_id, result, ctx)),
        );
        Box::pin(wrap_future(created))
    }
}

impl Handler<Amend> for Manager {
    type Result = ResponseActFuture<Self, Result<(), ClientError>>;

    fn handle(&mut self, amend: Amend, _: &mut Self::Context) -> Self::Result {
        let Amend { id, other, password, expires_in } = amend;
        let own = self.secrets.all().find(|share| share.id == id && share.state == State::Active).cloned();
        let target = match (&own, other) {
            (_, Some((url, secret))) => Target { server: Place { url, key: None }, id, secret, seal: None },
            (Some(own), None) => own.target(),
            (None, None) => return Box::pin(ready(Err(ClientError::NotShared))),
        };
        let transport = self.transport.clone();
        let end = expires_in.clone();
        let amended = async move { transport.amend(&target, password, expires_in).await };
        Box::pin(wrap_future::<_, Self>(amended).map(move |amended, manager, _| {
            match amended {
                Ok(()) => {}
                Err(NotAmended::Gone) => {
                    let unknown = "the server has no such share, or its secret is another";
                    return Err(ClientError::Malformed(unknown.into()));
                }
                Err(NotAmended::Refused(why)) => return Err(ClientError::Malformed(why)),
                Err(NotAmended::Later(Later { reason, after: Some(_) })) => {
                    return Err(ClientError::ServerBusy(reason));
                }
                Err(NotAmended::Later(Later { reason, .. })) => return Err(ClientError::Unreachable(reason)),
            }
            if let (Some(own), Some(end)) = (own, end) {
                let at = match end {
                    Amended::To(seconds) => {
                        Some(now_ms().saturating_add_unsigned(seconds.saturating_mul(1000)))
                    }
                    Amended::Removed => None,
                };
                if let Err(error) = manager.secrets.ends(&own, at) {
                    tracing::warn!(%error, "cannot store when a share ends");
                }
            }
            Ok(())
        }))
    }
}

impl Handler<OwnersLink> for Manager {
    type Result = Result<String, ClientError>;

    fn handle(&mut self, OwnersLink { session_id }: OwnersLink, _: &mut Self::Context) -> Self::Result {
        let share = self.active(&session_id).ok_or(ClientError::NotShared)?;
        // Behind a key, when one stands in the link.
        let link = share.link();
        let and = if link.contains('#') { '&' } else { '#' };
        Ok(format!("{link}{and}o={}", share.secret))
    }
}

impl Handler<Remove> for Manager {
    type Result = ResponseFuture<Result<Removed, ClientError>>;

    fn handle(&mut self, Remove { session_id }: Remove, ctx: &mut Self::Context) -> Self::Result {
        let stored = self.unwant(&session_id, Unwanted::Unshared);
        if let Some(creating) = self.creating.get_mut(&session_id) {
            let (waiter, created) = oneshot::channel();
            creating.waiters.push(waiter);
            let manager = ctx.address();
            return Box::pin(async move {
                let _ = created.await;
                manager.send(Remove { session_id }).await.unwrap_or(Err(ClientError::Unavailable))
            });
        }
        let removing: Vec<_> = self.secrets.of(&session_id).cloned().collect();
        if removing.is_empty() {
            return Box::pin(std::future::ready(Err(ClientError::NotShared)));
        }
        let answers: Vec<_> = removing
            .into_iter()
            .map(|share| {
                let (waiter, answer) = oneshot::channel();
                self.ask_to_delete(share, ctx).waiters.push(waiter);
                answer
            })
            .collect();
        Box::pin(async move {
            let answers = futures_util::future::join_all(answers).await;
            if answers.into_iter().all(|answer| answer == Ok(Removed::Gone)) {
                return Ok(Removed::Gone);
            }
            // What is in memory alone is forgotten when this process ends.
            stored.map(|()| Removed::UnderWay).map_err(|error| {
                tracing::error!(%error, "cannot store that a share is to be removed");
                ClientError::Unavailable
            })
        })
    }
}

impl Handler<Flush> for Manager {
    type Result = ResponseFuture<Result<(), ClientError>>;

    fn handle(&mut self, Flush { session_id }: Flush, _: &mut Self::Context) -> Self::Result {
        match self.secrets.current(&session_id) {
            Some(share) if share.state == State::Ended => {
                Box::pin(std::future::ready(Err(ClientError::Ended)))
            }
            Some(_) if !self.config.enabled => Box::pin(std::future::ready(Err(ClientError::Disabled))),
            _ => {
                let flushed = self.queue.send(FlushLane(session_id));
                Box::pin(async { flushed.await.unwrap_or(Err(ClientError::Unavailable)) })
            }
        }
    }
}

impl Handler<Known> for Manager {
    type Result = MessageResult<Known>;

    fn handle(&mut self, _: Known, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.known())
    }
}

impl Handler<List> for Manager {
    type Result = ResponseActFuture<Self, Vec<Listed>>;

    fn handle(&mut self, _: List, _: &mut Self::Context) -> Self::Result {
        let progress = self.queue.send(Look);
        Box::pin(
            wrap_future::<_, Self>(async { progress.await.unwrap_or_default() })
                .map(|progress, manager, _| manager.listed(progress)),
        )
    }
}

impl Handler<Ended> for Manager {
    type Result = ();

    fn handle(&mut self, Ended { session, id }: Ended, _: &mut Self::Context) {
        self.streams.forget(&session);
        if let Err(error) = self.secrets.ended(&session, &id) {
            tracing::error!(%error, "cannot store that a share has ended");
        }
    }
}

impl Handler<Stop> for Manager {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Stop { within }: Stop, _: &mut Self::Context) -> Self::Result {
        let (drained, spool) = (self.queue.send(Drain), self.spool.clone());
        Box::pin(async move {
            if tokio::time::timeout(within, drained).await.is_err() {
                tracing::warn!("not all could be sent in time: it stays in the spool");
            }
            // What is under way meets a closed spool, and is sent again by the next life.
            let _ = tokio::task::spawn_blocking(move || spool.close()).await;
        })
    }
}
