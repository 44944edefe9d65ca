//! Which sessions are shared, and what that takes: creating and removing shares, and letting through the events of shared
//! sessions alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::sync::oneshot;

use super::bus::{Bus, Subscribe};
use super::event::{Event, Happening};
use super::queue::{Attach, Detach, Drain, Ended, Enqueue, FlushLane, Look, Open, Progress, SyncQueue};
use super::secrets::{Secrets, SecretsError, Share, State};
use super::spool::Spool;
use super::transport::{Outcome, Transport};
use super::{ClientError, Config, StartError};
use crate::clock::now_ms;
use crate::model::Change;
use crate::protocol::Created;

/// How long after a failed removal it is tried again.
const REMOVE_AGAIN: Duration = Duration::from_secs(10);

/// Keeps the shares of an agent's sessions.
pub struct Manager {
    config: Config,
    secrets: Secrets,
    spool: Spool,
    transport: Transport,
    queue: Addr<SyncQueue>,
    /// Sessions whose share is being created.
    creating: HashMap<String, Creating>,
    /// Session and id of each share that the server is just being asked to delete.
    leaving: HashSet<(String, String)>,
    /// When deletes that failed are tried again.
    remove_again: Option<SpawnHandle>,
}

/// A share that is being created.
#[derive(Default)]
struct Creating {
    waiters: Vec<oneshot::Sender<Result<Shared, ClientError>>>,
    /// Whether its session was deleted meanwhile: then the share goes as soon as it is there.
    deleted: bool,
}

/// Shares a session, with what it holds so far. A session that is shared already keeps its share.
#[derive(Message)]
#[rtype(result = "Result<Shared, ClientError>")]
pub struct Create {
    /// The session.
    pub session_id: String,
    /// Its items so far.
    pub backlog: Vec<Change>,
    /// How long a new share shall live at most, in whole seconds; the server may make it shorter. `None` leaves it to the
    /// server.
    pub lifetime: Option<Duration>,
}

/// What may be known of a share.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shared {
    /// Its id.
    pub id: String,
    /// Where people look at it.
    pub url: String,
    /// When it ends at the latest, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// Takes a session's share away, from the server too.
#[derive(Message)]
#[rtype(result = "Result<(), ClientError>")]
pub struct Remove {
    /// The session.
    pub session_id: String,
}

/// Takes events. Answered, with the number that belongs to shared sessions, when these are on the disk.
#[derive(Message)]
#[rtype(result = "Result<usize, ClientError>")]
pub struct Report(pub Vec<Event>);

/// Brings what was accepted for a session to the server now.
#[derive(Message)]
#[rtype(result = "Result<(), ClientError>")]
pub struct Flush {
    /// The session.
    pub session_id: String,
}

/// All shares.
#[derive(Message)]
#[rtype(result = "Vec<Listed>")]
pub struct List;

/// A share and how its syncing goes. Never its secret.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The session.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// The share's id.
    pub id: String,
    /// Where people look at it.
    pub url: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When it ends at the latest, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Items that wait to be sent.
    pub pending: u64,
    /// Bytes that wait to be sent.
    pub pending_bytes: u64,
    /// When a batch last reached the server, in milliseconds since 1970.
    pub last_sync: Option<i64>,
    /// `active`; `retrying`: the server does not take batches now; `paused`: sharing is switched off; `ended`: the server
    /// does not know the share any more; `removing`: its session was deleted or shared anew, and the server has to be told.
    pub state: &'static str,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// Items that the server will not take, and that were given up.
    pub set_aside: u64,
}

/// Sends what waits, as far as the time allows, and closes the spool.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// How long this may take.
    pub within: Duration,
}

impl Manager {
    /// Opens the local state and starts the manager and its queue in the current arbiter. What an earlier life left in the
    /// spool is sent.
    ///
    /// # Errors
    /// When the local directory cannot be used, or others can read it.
    pub async fn open(config: Config) -> Result<Addr<Self>, StartError> {
        crate::sqlite::private_dir(&config.local_dir).map_err(crate::sqlite::StartupError::from)?;
        let secrets = Secrets::open(&config.local_dir)?;
        let spool = Spool::open(&config.local_dir)?;
        let amounts = spool.amounts().await.unwrap_or_default();
        let transport = Transport::new(&config);
        Ok(Self::create(|ctx| {
            let ended = ctx.address().recipient();
            let queue =
                SyncQueue::new(config.clone(), spool.clone(), transport.clone(), ended, &amounts).start();
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
                creating: HashMap::new(),
                leaving: HashSet::new(),
                remove_again: None,
            }
        }))
    }

    /// Subscribes a manager to a bus: its events of shared sessions are synced from now on.
    pub fn init(manager: &Addr<Self>, bus: &Addr<Bus>) {
        bus.do_send(Subscribe(manager.clone().recipient()));
    }

    fn created(&mut self, session: &str, result: Result<Created, ClientError>, ctx: &mut Context<Self>) {
        let Creating { waiters, deleted } = self.creating.remove(session).unwrap_or_default();
        let result = result.and_then(|created| {
            let share = Share {
                session: session.to_owned(),
                id: created.id,
                url: created.url,
                secret: created.secret,
                created_at: now_ms(),
                expires_at: created.expires_at,
                state: if deleted { State::Removing } else { State::Active },
            };
            let (shared, attach) = (shared(&share), attach(&share));
            self.secrets.put(share).map_err(|error| {
                tracing::error!(%error, "cannot store a share's secret");
                ClientError::Unavailable
            })?;
            if deleted {
                return Err(ClientError::NotShared);
            }
            self.queue.do_send(attach);
            Ok(shared)
        });
        if result.is_err() {
            self.queue.do_send(Detach(session.to_owned()));
            // A share that was to be replaced, and that could not be removed, goes on.
            if let Some(share) = self.active(session) {
                self.queue.do_send(attach(share));
            }
        }
        for waiter in waiters {
            let _ = waiter.send(result.clone());
        }
        self.remove_leftovers(ctx);
    }

    /// Asks the server to delete a share. Once it is gone from there, nothing of it is kept.
    fn take_away(
        &mut self,
        share: Share,
    ) -> impl ActorFuture<Self, Output = Result<(), ClientError>> + 'static {
        let name = (share.session.clone(), share.id.clone());
        self.leaving.insert(name.clone());
        let transport = self.transport.clone();
        let deleted = async move { (transport.delete(&share.id, &share.secret).await, share) };
        wrap_future::<_, Self>(deleted).map(move |(outcome, share), manager, _| {
            manager.leaving.remove(&name);
            match outcome {
                Outcome::Done | Outcome::Gone => {
                    manager.forget(&share);
                    Ok(())
                }
                Outcome::Retry { reason, after: Some(_) } => Err(ClientError::ServerBusy(reason)),
                Outcome::Retry { reason, .. } | Outcome::Rejected(reason) => {
                    Err(ClientError::Unreachable(reason))
                }
            }
        })
    }

    /// The share is gone from the server, or was never there: nothing of it is kept.
    fn forget(&mut self, share: &Share) {
        if let Err(error) = self.secrets.forget(share) {
            tracing::error!(%error, "cannot forget a share");
        }
        // The session may have been shared anew meanwhile.
        if self.secrets.current(&share.session).is_none() && !self.creating.contains_key(&share.session) {
            self.queue.do_send(Detach(share.session.clone()));
        }
    }

    /// Tells the server of shares whose sessions were deleted or shared anew, until it has heard it.
    fn remove_leftovers(&mut self, ctx: &mut Context<Self>) {
        let leaving = &self.leaving;
        let leftovers: Vec<_> = self
            .secrets
            .all()
            .filter(|share| share.state == State::Removing)
            .filter(|share| !leaving.contains(&(share.session.clone(), share.id.clone())))
            .cloned()
            .collect();
        for share in leftovers {
            let removed = self.take_away(share);
            ctx.spawn(removed.map(|result, manager, ctx| {
                let Err(error) = result else { return };
                tracing::warn!(%error, "cannot remove a share now");
                if manager.remove_again.is_none() {
                    manager.remove_again = Some(ctx.run_later(REMOVE_AGAIN, |manager, ctx| {
                        manager.remove_again = None;
                        manager.remove_leftovers(ctx);
                    }));
                }
            }));
        }
    }

    fn listed(&self, mut progress: HashMap<String, Progress>) -> Vec<Listed> {
        let listed = self.secrets.all().map(|share| {
            let progress = match share.state {
                State::Removing => Progress::default(),
                State::Active | State::Ended => progress.remove(&share.session).unwrap_or_default(),
            };
            Listed {
                session_id: share.session.clone(),
                id: share.id.clone(),
                url: share.url.clone(),
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
            }
        });
        listed.collect()
    }

    /// A session is no more: its share goes, or will when it is there.
    fn delete_session(&mut self, session: &str) -> Result<(), SecretsError> {
        if let Some(creating) = self.creating.get_mut(session) {
            creating.deleted = true;
        }
        if let Some(id) = self.secrets.current(session).map(|share| share.id.clone()) {
            self.secrets.set_state(session, &id, State::Removing)?;
        }
        self.queue.do_send(Detach(session.to_owned()));
        Ok(())
    }

    fn active(&self, session: &str) -> Option<&Share> {
        self.secrets.current(session).filter(|share| share.state == State::Active)
    }

    fn takes(&self, session: &str) -> bool {
        let creating = self.creating.get(session).is_some_and(|creating| !creating.deleted);
        self.config.enabled && (creating || self.active(session).is_some())
    }
}

/// What may be known of a share.
fn shared(share: &Share) -> Shared {
    Shared { id: share.id.clone(), url: share.url.clone(), expires_at: share.expires_at }
}

/// What the queue needs to know of a share.
fn attach(share: &Share) -> Attach {
    Attach { session: share.session.clone(), id: share.id.clone(), secret: share.secret.clone() }
}

impl Actor for Manager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.remove_leftovers(ctx);
    }
}

impl Handler<Create> for Manager {
    type Result = ResponseFuture<Result<Shared, ClientError>>;

    fn handle(&mut self, create: Create, ctx: &mut Self::Context) -> Self::Result {
        let Create { session_id, backlog, lifetime } = create;
        if !self.config.enabled {
            return Box::pin(std::future::ready(Err(ClientError::Disabled)));
        }
        // One that is being removed is not given out any more.
        let shared = self
            .active(&session_id)
            .filter(|share| !self.leaving.contains(&(share.session.clone(), share.id.clone())));
        let shared = shared.map(self::shared);
        let new = shared.is_none() && !self.creating.contains_key(&session_id);
        if new {
            // What an ended share left goes; what comes from now on waits for the new one.
            self.queue.do_send(Detach(session_id.clone()));
            self.queue.do_send(Open(session_id.clone()));
        }
        let stored = self.queue.send(Enqueue { session: session_id.clone(), changes: backlog });
        let stored = async { stored.await.unwrap_or(Err(ClientError::Unavailable)).map(|_| ()) };
        if let Some(shared) = shared {
            return Box::pin(async { stored.await.map(|()| shared) });
        }
        let (waiter, created) = oneshot::channel();
        self.creating.entry(session_id.clone()).or_default().waiters.push(waiter);
        let created = async { created.await.unwrap_or(Err(ClientError::Unavailable)) };
        if !new {
            return Box::pin(async {
                stored.await?;
                created.await
            });
        }
        let transport = self.transport.clone();
        let name = session_id.clone();
        let create = async move {
            stored.await?;
            transport.create(&name, lifetime).await
        };
        ctx.spawn(
            wrap_future::<_, Self>(create)
                .map(move |result, manager, ctx| manager.created(&session_id, result, ctx)),
        );
        Box::pin(created)
    }
}

impl Handler<Remove> for Manager {
    type Result = ResponseActFuture<Self, Result<(), ClientError>>;

    fn handle(&mut self, Remove { session_id }: Remove, ctx: &mut Self::Context) -> Self::Result {
        if let Some(creating) = self.creating.get_mut(&session_id) {
            // What is just being created goes too.
            let (waiter, created) = oneshot::channel();
            creating.waiters.push(waiter);
            let manager = ctx.address();
            return Box::pin(wrap_future(async move {
                let _ = created.await;
                manager.send(Remove { session_id }).await.unwrap_or(Err(ClientError::Unavailable))
            }));
        }
        let share = self.secrets.current(&session_id).or_else(|| self.secrets.of(&session_id).next());
        match share.cloned() {
            Some(share) => Box::pin(self.take_away(share)),
            None => Box::pin(actix::fut::ready(Err(ClientError::NotShared))),
        }
    }
}

impl Handler<Report> for Manager {
    type Result = ResponseFuture<Result<usize, ClientError>>;

    fn handle(&mut self, Report(events): Report, ctx: &mut Self::Context) -> Self::Result {
        let mut changes = BTreeMap::<String, Vec<Change>>::new();
        let mut deleted = 0;
        for Event { session_id, happening } in events {
            if !self.takes(&session_id) {
                continue;
            }
            match happening {
                Happening::Changed(change) => changes.entry(session_id).or_default().push(change),
                Happening::Deleted => {
                    changes.remove(&session_id);
                    if let Err(error) = self.delete_session(&session_id) {
                        tracing::error!(%error, "cannot store that a share is to be removed");
                        return Box::pin(std::future::ready(Err(ClientError::Unavailable)));
                    }
                    deleted += 1;
                }
            }
        }
        if deleted > 0 {
            self.remove_leftovers(ctx);
        }
        let stored: Vec<_> = changes
            .into_iter()
            .map(|(session, changes)| self.queue.send(Enqueue { session, changes }))
            .collect();
        Box::pin(async move {
            let mut accepted = deleted;
            for stored in futures_util::future::join_all(stored).await {
                accepted += stored.unwrap_or(Err(ClientError::Unavailable))?;
            }
            Ok(accepted)
        })
    }
}

impl Handler<Event> for Manager {
    type Result = ();

    /// An event from a bus, whose publisher waits for nobody.
    fn handle(&mut self, event: Event, ctx: &mut Self::Context) {
        let reported = self.handle(Report(vec![event]), ctx);
        ctx.spawn(wrap_future(async {
            if let Err(error) = reported.await {
                tracing::error!(%error, "an event was lost");
            }
        }));
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
        if let Err(error) = self.secrets.set_state(&session, &id, State::Ended) {
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
