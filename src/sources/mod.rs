//! Sessions of agents that know nothing of sharing: their transcripts are found where the agents keep them, and
//! followed while they are shared. Nothing is read before somebody lists or shares.

mod database;
mod file;
mod follower;
mod opencode;
mod places;
mod publication;
mod titles;
mod watch;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use self::follower::{Follow, Step};
pub use self::places::Places;
pub(crate) use self::places::sha256;
pub use self::publication::{Publication, publication, session_of};
use self::watch::{Watch, Watcher};
use crate::client::{
    ClientError, Conversation, Create, Inspect, Inspection, KnownSession, List, Manager, Password, Read,
    Redactions, Sealing, Shared, Told,
};
use crate::import::Item;
use crate::model::{Change, Key};

/// How often a session in which something happens is looked at, whether or not a notice came: these get lost.
const LOOK: Duration = Duration::from_secs(1);

/// How often one is looked at in which nothing has happened for [`RESTS`].
const LOOK_AT_REST: Duration = Duration::from_secs(5);

/// After how long without anything new a session rests.
const RESTS: Duration = Duration::from_secs(600);

/// The shortest time between two looks: an agent writes line after line.
const PAUSE: Duration = Duration::from_millis(50);

/// How long what was not stored waits.
const RETRY: Duration = Duration::from_millis(500);

/// How long what a reading from the beginning did not give again is kept after its end: a file may be in the middle of
/// being written anew.
const SETTLES: Duration = Duration::from_secs(2);

/// Follows the transcripts of shared sessions.
pub struct Sources {
    places: Arc<Places>,
    manager: Addr<Manager>,
    watcher: Watcher,
    following: HashMap<String, JoinHandle<()>>,
}

/// The sessions of which there are transcripts, the newest first.
#[derive(Message)]
#[rtype(result = "Vec<KnownSession>")]
pub struct Discover;

/// Shares a session of which there is a transcript, and follows it.
#[derive(Message)]
#[rtype(result = "Result<Shared, ClientError>")]
pub struct ShareTranscript {
    /// The session.
    pub session_id: String,
    /// How long a new share shall live at most.
    pub lifetime: Option<Duration>,
    /// What readers need besides the link.
    pub password: Option<Password>,
    /// How a new share is sealed, when it is to be.
    pub sealing: Option<Sealing>,
}

/// What would be hidden in a session of which there is a transcript, if it were shared; `None` when there is none.
#[derive(Message)]
#[rtype(result = "Option<Redactions>")]
pub struct InspectTranscript(pub String);

/// A session is not shared any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unfollow(pub String);

/// Looks after a session that is shared: when there is a transcript of it, that is followed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attend(pub String);

impl Sources {
    /// Those of some places. What of them is shared already is followed from now on.
    pub fn start(places: Places, manager: Addr<Manager>) -> Addr<Self> {
        let places = Arc::new(places);
        Self { places, manager, watcher: Watcher::new(), following: HashMap::new() }.start()
    }

    /// Follows a session; what was read of it already comes first. Tells when that is stored.
    fn follow(
        &mut self,
        session: String,
        follower: Box<dyn Follow>,
        begun: Option<Step>,
    ) -> oneshot::Receiver<()> {
        let (stored, is_stored) = oneshot::channel();
        let following = Following {
            session: session.clone(),
            manager: self.manager.clone(),
            watch: self.watcher.watch(),
            unconfirmed: None,
        };
        let (opencode, manager) = (self.places.opencode_of(&session).cloned(), self.manager.clone());
        let (reading, streamed) = (following.run(follower, begun, stored), session.clone());
        let following = actix_web::rt::spawn(async move {
            let Some(opencode) = opencode else { return reading.await };
            // Its server tells of texts while they are written.
            tokio::select! {
                () = reading => {}
                () = opencode.stream(streamed, manager) => {}
            }
        });
        if let Some(earlier) = self.following.insert(session, following) {
            earlier.abort();
        }
        is_stored
    }

    fn follows(&self, session: &str) -> bool {
        self.following.get(session).is_some_and(|following| !following.is_finished())
    }
}

impl Actor for Sources {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (places, manager) = (self.places.clone(), self.manager.clone());
        let shared = async move {
            let sessions = read(&places, &manager).await;
            // Nothing is read before somebody shares.
            if sessions.is_empty() {
                return Vec::new();
            }
            spawn_blocking(move || places.follow_all(sessions)).await.unwrap_or_default()
        };
        ctx.spawn(wrap_future::<_, Self>(shared).map(|found, sources, _| {
            for (session, follower) in found {
                sources.follow(session, follower, None);
            }
        }));
    }
}

/// The shared sessions that are read here. Of those that an agent may also tell of itself, `OpenCode`'s, that are only
/// those that were shared out of its database: two who tell of one session would take turns.
async fn read(places: &Places, manager: &Addr<Manager>) -> HashSet<String> {
    let shares = manager.send(List).await.unwrap_or_default().into_iter();
    let shares = shares.filter(|share| share.state != "removing" && places.may_have(&share.session_id));
    let shares = shares.filter(|share| share.is_read || places.opencode_of(&share.session_id).is_none());
    shares.map(|share| share.session_id).collect()
}

impl Handler<Discover> for Sources {
    type Result = ResponseFuture<Vec<KnownSession>>;

    fn handle(&mut self, _: Discover, _: &mut Self::Context) -> Self::Result {
        let places = self.places.clone();
        Box::pin(async move { spawn_blocking(move || places.list()).await.unwrap_or_default() })
    }
}

impl Handler<ShareTranscript> for Sources {
    type Result = ResponseActFuture<Self, Result<Shared, ClientError>>;

    fn handle(&mut self, share: ShareTranscript, _: &mut Self::Context) -> Self::Result {
        let ShareTranscript { session_id, lifetime, password, sealing } = share;
        let (places, manager, session) = (self.places.clone(), self.manager.clone(), session_id.clone());
        let shared = async move {
            let unknown = |known| ClientError::UnknownSession { known, is_too_large: false };
            let begun = spawn_blocking(move || {
                let Some(mut follower) = places.follow(&session) else { return Ok(Err(places.list())) };
                let step = follower.step()?;
                Ok::<_, std::io::Error>(Ok((follower, step)))
            });
            let begun = begun.await.map_err(|_| ClientError::Unavailable)?.map_err(|error| {
                tracing::warn!(%error, "a transcript cannot be read");
                ClientError::Unavailable
            })?;
            let (follower, step) = begun.map_err(unknown)?;
            let create = Create {
                conversation: Some(Conversation { messages: None, told: follower.told() }),
                empty: true,
                lifetime,
                password,
                is_read: true,
                sealing,
                ..Create::of(session_id.clone())
            };
            let shared = manager.send(create).await.map_err(|_| ClientError::Unavailable)??;
            Ok::<_, ClientError>((session_id, follower, step, shared))
        };
        Box::pin(wrap_future::<_, Self>(shared).then(|begun, sources, _| {
            let followed = begun.map(|(session, follower, step, shared)| {
                (sources.follow(session, follower, Some(step)), shared)
            });
            wrap_future(async {
                let (stored, shared) = followed?;
                // What cannot be stored now is stored later.
                let _ = tokio::time::timeout(RETRY * 4, stored).await;
                Ok(shared)
            })
        }))
    }
}

impl Handler<InspectTranscript> for Sources {
    type Result = ResponseFuture<Option<Redactions>>;

    fn handle(
        &mut self,
        InspectTranscript(session): InspectTranscript,
        _: &mut Self::Context,
    ) -> Self::Result {
        let (places, manager) = (self.places.clone(), self.manager.clone());
        Box::pin(async move {
            let mut follower = spawn_blocking(move || places.follow(&session)).await.ok()??;
            let mut so_far = Inspection::default();
            loop {
                let stepped = spawn_blocking(move || {
                    let step = follower.step();
                    (follower, step)
                });
                let (stepped, step) = stepped.await.ok()?;
                follower = stepped;
                let Step { changes, more, .. } = step.ok()?;
                let directory = follower.told().directory.map(PathBuf::from);
                let changes =
                    changes.items.into_iter().map(|item| Change::Put(item.key, item.content)).collect();
                so_far = manager.send(Inspect { changes, directory, so_far }).await.ok()?;
                if !more {
                    return Some(so_far.listed());
                }
            }
        })
    }
}

impl Handler<Attend> for Sources {
    type Result = ();

    fn handle(&mut self, Attend(session): Attend, ctx: &mut Self::Context) {
        if self.follows(&session) || !self.places.may_have(&session) {
            return;
        }
        let (places, manager) = (self.places.clone(), self.manager.clone());
        let found = async move {
            if !read(&places, &manager).await.contains(&session) {
                return None;
            }
            let follow = move || places.follow(&session).map(|follower| (follower, session));
            spawn_blocking(follow).await.ok().flatten()
        };
        ctx.spawn(wrap_future::<_, Self>(found).map(|found, sources, _| {
            if let Some((follower, session)) = found.filter(|(_, session)| !sources.follows(session)) {
                sources.follow(session, follower, None);
            }
        }));
    }
}

impl Handler<Unfollow> for Sources {
    type Result = ();

    fn handle(&mut self, Unfollow(session): Unfollow, _: &mut Self::Context) {
        if let Some(following) = self.following.remove(&session) {
            following.abort();
        }
    }
}

/// A session that is followed for as long as it is shared.
struct Following {
    session: String,
    manager: Addr<Manager>,
    watch: Watch,
    /// During a reading from the beginning, the items that it gave.
    unconfirmed: Option<HashSet<Key>>,
}

impl Following {
    /// Gives the share what comes, first of all what was read already; tells when that is stored.
    async fn run(mut self, mut follower: Box<dyn Follow>, begun: Option<Step>, stored: oneshot::Sender<()>) {
        let (mut begun, mut stored) = (begun, Some(stored));
        let mut last = Instant::now();
        loop {
            let Step { changes, more, anew } = if let Some(step) = begun.take() {
                step
            } else {
                let looked = spawn_blocking(move || {
                    let step = follower.step();
                    let watched = follower.watched();
                    (follower, step, watched)
                });
                let Ok((looked, step, watched)) = looked.await else { return };
                follower = looked;
                self.watch.set(watched);
                step.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a transcript cannot be read now");
                    Step::default()
                })
            };
            if anew {
                self.unconfirmed = Some(HashSet::new());
            }
            if !changes.items.is_empty() || !changes.removed.is_empty() {
                last = Instant::now();
                self.note(&changes.items, &changes.removed);
                if !self.give(changes.items, changes.removed, None, follower.told()).await {
                    return;
                }
            }
            if let Some(stored) = stored.take() {
                let _ = stored.send(());
            }
            if more {
                continue;
            }
            if last.elapsed() >= SETTLES
                && let Some(kept) = self.unconfirmed.take_if(|kept| says_something(kept))
                && !self.give(Vec::new(), Vec::new(), Some(kept), follower.told()).await
            {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            let look = if last.elapsed() < RESTS { LOOK } else { LOOK_AT_REST };
            let _ = tokio::time::timeout(look, self.watch.changed()).await;
        }
    }

    fn note(&mut self, items: &[Item], removed: &[Key]) {
        let Some(kept) = &mut self.unconfirmed else { return };
        for key in removed {
            kept.remove(key);
        }
        kept.extend(items.iter().map(|item| item.key.clone()));
    }

    /// Gives the share what was read; tells whether the session is still shared. What cannot be stored now is tried
    /// again: it is read once.
    async fn give(
        &self,
        items: Vec<Item>,
        removed: Vec<Key>,
        kept: Option<HashSet<Key>>,
        told: Told,
    ) -> bool {
        let read = Read { session_id: self.session.clone(), items, removed, kept, told };
        loop {
            match self.manager.send(read.clone()).await {
                Ok(Ok(is_shared)) => return is_shared,
                Ok(Err(error)) => tracing::warn!(%error, "what an agent wrote cannot be stored now"),
                Err(_) => return false,
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Whether there is a message among these: a file that was emptied takes nothing away.
fn says_something(kept: &HashSet<Key>) -> bool {
    kept.iter().any(|key| key.message_id().is_some())
}
