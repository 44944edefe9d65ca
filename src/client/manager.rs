//! Which sessions are shared, and what that takes: creating and removing shares, and letting through the events of shared
//! sessions alone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::sync::oneshot;

use super::bus::{Bus, Subscribe};
use super::event::{Event, Happening};
use super::queue::{Attach, Detach, Drain, Ended, Enqueue, FlushLane, Look, Open, Progress, SyncQueue};
use super::secrets::{Secrets, Share, State};
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
    /// Sessions whose share is being created, and who waits for it.
    creating: HashMap<String, Vec<oneshot::Sender<Result<Shared, ClientError>>>>,
}

/// Shares a session, with what it holds so far. A session that is shared already keeps its share.
#[derive(Message)]
#[rtype(result = "Result<Shared, ClientError>")]
pub struct Create {
    /// The session.
    pub session_id: String,
    /// Its items so far.
    pub backlog: Vec<Change>,
}

/// What may be known of a share.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shared {
    /// Its id.
    pub id: String,
    /// Where people look at it.
    pub url: String,
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
    /// Items that wait to be sent.
    pub pending: u64,
    /// Bytes that wait to be sent.
    pub pending_bytes: u64,
    /// When a batch last reached the server, in milliseconds since 1970.
    pub last_sync: Option<i64>,
    /// `active`; `retrying`: the server does not take batches now; `ended`: the server does not know the share any more;
    /// `removing`: its session was deleted and the server has to be told.
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
            for (session, share) in secrets.all().filter(|(_, share)| share.state == State::Active) {
                let (id, secret) = (share.id.clone(), share.secret.clone());
                queue.do_send(Attach { session: session.clone(), id, secret });
            }
            for (session, _) in amounts {
                if secrets.get(&session).is_none_or(|share| share.state != State::Active) {
                    queue.do_send(Detach(session));
                }
            }
            Self { config, secrets, spool, transport, queue, creating: HashMap::new() }
        }))
    }

    /// Subscribes a manager to a bus: its events of shared sessions are synced from now on.
    pub fn init(manager: &Addr<Self>, bus: &Addr<Bus>) {
        bus.do_send(Subscribe(manager.clone().recipient()));
    }

    fn created(&mut self, session: &str, result: Result<Created, ClientError>) {
        let result = result.and_then(|created| {
            let shared = Shared { id: created.id.clone(), url: created.url.clone() };
            let share = Share {
                id: created.id,
                url: created.url,
                secret: created.secret,
                created_at: now_ms(),
                state: State::Active,
            };
            let attach =
                Attach { session: session.to_owned(), id: share.id.clone(), secret: share.secret.clone() };
            self.secrets.put(session, share).map_err(|error| {
                tracing::error!(%error, "cannot store a share's secret");
                ClientError::Unavailable
            })?;
            self.queue.do_send(attach);
            Ok(shared)
        });
        if result.is_err() {
            self.queue.do_send(Detach(session.to_owned()));
        }
        for waiter in self.creating.remove(session).unwrap_or_default() {
            let _ = waiter.send(result.clone());
        }
    }

    /// The share is gone from the server, or was never there: nothing of it is kept.
    fn forget(&mut self, session: &str) {
        self.queue.do_send(Detach(session.to_owned()));
        if let Err(error) = self.secrets.remove(session) {
            tracing::error!(%error, "cannot forget a share");
        }
    }

    /// Tells the server of shares whose sessions were deleted, until it has heard it.
    fn remove_deleted(&mut self, ctx: &mut Context<Self>) {
        let removing: Vec<_> = self
            .secrets
            .all()
            .filter(|(_, share)| share.state == State::Removing)
            .map(|(session, _)| session.clone())
            .collect();
        for session_id in removing {
            let removed = self.handle(Remove { session_id }, ctx);
            ctx.spawn(removed.map(|result, _, ctx| {
                if let Err(error) = result {
                    tracing::warn!(%error, "cannot remove a share now");
                    ctx.run_later(REMOVE_AGAIN, Self::remove_deleted);
                }
            }));
        }
    }

    fn listed(&self, mut progress: HashMap<String, Progress>) -> Vec<Listed> {
        let listed = self.secrets.all().map(|(session, share)| {
            let progress = progress.remove(session).unwrap_or_default();
            Listed {
                session_id: session.clone(),
                id: share.id.clone(),
                url: share.url.clone(),
                created_at: share.created_at,
                pending: progress.pending,
                pending_bytes: progress.pending_bytes,
                last_sync: progress.last_sync,
                state: match share.state {
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

    fn takes(&self, session: &str) -> bool {
        self.creating.contains_key(session)
            || self.secrets.get(session).is_some_and(|share| share.state == State::Active)
    }
}

impl Actor for Manager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.remove_deleted(ctx);
    }
}

impl Handler<Create> for Manager {
    type Result = ResponseFuture<Result<Shared, ClientError>>;

    fn handle(&mut self, Create { session_id, backlog }: Create, ctx: &mut Self::Context) -> Self::Result {
        if !self.config.enabled {
            return Box::pin(std::future::ready(Err(ClientError::Disabled)));
        }
        let shared = self.secrets.get(&session_id).filter(|share| share.state == State::Active);
        let shared = shared.map(|share| Shared { id: share.id.clone(), url: share.url.clone() });
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
        self.creating.entry(session_id.clone()).or_default().push(waiter);
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
            transport.create(&name).await
        };
        ctx.spawn(
            wrap_future::<_, Self>(create)
                .map(move |result, manager, _| manager.created(&session_id, result)),
        );
        Box::pin(created)
    }
}

impl Handler<Remove> for Manager {
    type Result = ResponseActFuture<Self, Result<(), ClientError>>;

    fn handle(&mut self, Remove { session_id }: Remove, _: &mut Self::Context) -> Self::Result {
        let Some(share) = self.secrets.get(&session_id).cloned() else {
            return Box::pin(actix::fut::ready(Err(ClientError::NotShared)));
        };
        let transport = self.transport.clone();
        let deleted = async move { transport.delete(&share.id, &share.secret).await };
        Box::pin(wrap_future::<_, Self>(deleted).map(move |outcome, manager, _| match outcome {
            Outcome::Done | Outcome::Gone => {
                manager.forget(&session_id);
                Ok(())
            }
            Outcome::Retry { reason, after: Some(_) } => Err(ClientError::ServerBusy(reason)),
            Outcome::Retry { reason, .. } | Outcome::Rejected(reason) => {
                Err(ClientError::Unreachable(reason))
            }
        }))
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
                    if let Err(error) = self.secrets.set_state(&session_id, State::Removing) {
                        tracing::error!(%error, "cannot store that a share is to be removed");
                        return Box::pin(std::future::ready(Err(ClientError::Unavailable)));
                    }
                    self.queue.do_send(Detach(session_id));
                    deleted += 1;
                }
            }
        }
        if deleted > 0 {
            self.remove_deleted(ctx);
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
        match self.secrets.get(&session_id) {
            Some(share) if share.state == State::Ended => {
                Box::pin(std::future::ready(Err(ClientError::Ended)))
            }
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

    fn handle(&mut self, Ended(session): Ended, _: &mut Self::Context) {
        if let Err(error) = self.secrets.set_state(&session, State::Ended) {
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
