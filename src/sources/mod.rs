//! Sessions of agents that know nothing of sharing: their transcripts are found where the agents keep them, and
//! followed while they are shared. Nothing is read before somebody lists or shares.

mod follower;
mod opencode;
mod places;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::task::{JoinHandle, spawn_blocking};

use self::follower::Follower;
use self::opencode::{Follow, OpenCode, Step};
pub use self::places::Places;
use crate::client::{
    Activity, Agent, ClientError, Conversation, Converse, Create, Event, Happening, KnownSession, List,
    Manager, Report, Shared, Status, Told,
};
use crate::import::transcripts::{Changes, State};
use crate::model::Change;

/// How often the transcript of a shared session is looked at.
const POLL: Duration = Duration::from_millis(500);

/// Follows the transcripts of shared sessions.
pub struct Sources {
    places: Arc<Places>,
    opencode: Option<OpenCode>,
    manager: Addr<Manager>,
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
}

/// A session is not shared any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Unfollow(pub String);

impl Sources {
    /// Those of some places. What of them is shared already is followed from now on. `opencode_url` is where the user
    /// says that `OpenCode` listens.
    pub fn start(places: Places, opencode_url: Option<String>, manager: Addr<Manager>) -> Addr<Self> {
        let opencode = (!places.is_empty()).then(|| OpenCode::of_user(opencode_url));
        Self { places: Arc::new(places), opencode, manager, following: HashMap::new() }.start()
    }

    fn follow(&mut self, session: &str, follower: Box<dyn Follow>) {
        let (opencode, manager) = (self.opencode.clone(), self.manager.clone());
        let opencode = opencode.filter(|_| OpenCode::may_have(session));
        let reading = follow(session.to_owned(), follower, manager.clone());
        let session_id = session.to_owned();
        let following = actix_web::rt::spawn(async move {
            let Some(opencode) = opencode else { return reading.await };
            tokio::select! {
                () = reading => {}
                () = opencode.stream(session_id, manager) => {}
            }
        });
        if let Some(earlier) = self.following.insert(session.to_owned(), following) {
            earlier.abort();
        }
    }
}

impl Actor for Sources {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (places, manager, opencode) = (self.places.clone(), self.manager.clone(), self.opencode.clone());
        let shared = async move {
            let shares = manager.send(List).await.unwrap_or_default();
            let sessions =
                shares.into_iter().filter(|share| share.state != "removing").map(|share| share.session_id);
            let may_have = |session: &String| {
                places.may_have(session) || opencode.is_some() && OpenCode::may_have(session)
            };
            let mut sessions: HashSet<_> = sessions.filter(may_have).collect();
            if sessions.is_empty() {
                // Nothing is read before somebody shares.
                return Vec::new();
            }
            // Looked for once for all of them; of two with one name the one that was written last is it.
            let find = move || {
                let mut found: Vec<(_, Box<dyn Follow>)> = Vec::new();
                sessions.retain(|session| {
                    let follower = opencode.as_ref().and_then(|opencode| opencode.find(session));
                    let is_elsewhere = follower.is_none();
                    found.extend(follower.map(|follower| (session.clone(), follower)));
                    is_elsewhere
                });
                let mut transcripts = places.transcripts();
                transcripts.retain(|found| sessions.remove(&found.session()));
                for transcript in transcripts {
                    found.push((transcript.session(), Box::new(Follower::new(transcript))));
                }
                found
            };
            spawn_blocking(find).await.unwrap_or_default()
        };
        ctx.spawn(wrap_future::<_, Self>(shared).map(|found, sources, _| {
            for (session, follower) in found {
                sources.follow(&session, follower);
            }
        }));
    }
}

impl Handler<Discover> for Sources {
    type Result = ResponseFuture<Vec<KnownSession>>;

    fn handle(&mut self, _: Discover, _: &mut Self::Context) -> Self::Result {
        let (places, opencode) = (self.places.clone(), self.opencode.clone());
        let list = move || list(&places, opencode.as_ref());
        Box::pin(async move { spawn_blocking(list).await.unwrap_or_default() })
    }
}

impl Handler<ShareTranscript> for Sources {
    type Result = ResponseActFuture<Self, Result<Shared, ClientError>>;

    fn handle(&mut self, share: ShareTranscript, _: &mut Self::Context) -> Self::Result {
        let ShareTranscript { session_id, lifetime } = share;
        let (places, manager, session) = (self.places.clone(), self.manager.clone(), session_id.clone());
        let opencode = self.opencode.clone();
        let shared = async move {
            let unknown = |known| ClientError::UnknownSession { known, is_too_large: false };
            let begun = spawn_blocking(move || {
                let follower = opencode
                    .as_ref()
                    .and_then(|opencode| opencode.find(&session))
                    .or_else(|| Some(Box::new(Follower::new(places.find(&session)?)) as Box<dyn Follow>));
                let Some(mut follower) = follower else {
                    return Ok(Err(list(&places, opencode.as_ref())));
                };
                let step = follower.step()?;
                Ok::<_, std::io::Error>(Ok((follower, step)))
            });
            let begun = begun.await.map_err(|_| ClientError::Unavailable)?.map_err(|error| {
                tracing::warn!(%error, "a transcript cannot be read");
                ClientError::Unavailable
            })?;
            let (follower, Step { changes, .. }) = begun.map_err(unknown)?;
            let create = Create {
                backlog: backlog(changes),
                conversation: Some(Conversation { messages: None, told: follower.told() }),
                empty: true,
                lifetime,
                ..Create::of(session_id.clone())
            };
            let shared = manager.send(create).await.map_err(|_| ClientError::Unavailable)??;
            Ok::<_, ClientError>((session_id, follower, shared))
        };
        Box::pin(wrap_future::<_, Self>(shared).map(|begun, sources, _| {
            begun.map(|(session, follower, shared)| {
                sources.follow(&session, follower);
                shared
            })
        }))
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

/// Reports what comes to a transcript, for as long as its session is shared.
async fn follow(session: String, mut follower: Box<dyn Follow>, manager: Addr<Manager>) {
    loop {
        let looked = spawn_blocking(move || {
            let step = follower.step();
            (follower, step)
        });
        let Ok((looked, step)) = looked.await else { return };
        follower = looked;
        let step = step.unwrap_or_else(|error| {
            tracing::warn!(%error, "a transcript cannot be read now");
            Step { changes: Changes::default(), more: false }
        });
        let events: Vec<_> = backlog(step.changes)
            .into_iter()
            .map(|change| Event { session_id: session.clone(), happening: Happening::Changed(change) })
            .collect();
        if !events.is_empty() && !report(&session, events, follower.told(), &manager).await {
            return;
        }
        if !step.more {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Tells whether the session is still shared. What cannot be stored now is tried again: it is read once.
async fn report(session: &str, events: Vec<Event>, told: Told, manager: &Addr<Manager>) -> bool {
    loop {
        match manager.send(Report(events.clone())).await {
            Ok(Ok(0)) | Err(_) => return false,
            Ok(Ok(_)) => break,
            Ok(Err(error)) => tracing::warn!(%error, "what an agent wrote cannot be stored now"),
        }
        tokio::time::sleep(POLL).await;
    }
    let conversation = Conversation { messages: None, told };
    let converse = Converse { session_id: session.to_owned(), conversation, whole: false };
    // Said again with the next change.
    let _ = manager.send(converse).await;
    true
}

fn backlog(changes: Changes) -> Vec<Change> {
    let removed = changes.removed.into_iter().map(Change::Remove);
    removed.chain(changes.items.into_iter().map(|item| Change::Put(item.key, item.content))).collect()
}

/// What can be shared, the newest first.
fn list(places: &Places, opencode: Option<&OpenCode>) -> Vec<KnownSession> {
    let mut known = places.list();
    known.extend(opencode.map(OpenCode::list).unwrap_or_default());
    known.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
    known
}

impl Follow for Follower {
    fn step(&mut self) -> std::io::Result<Step> {
        Follower::step(self)
    }

    fn told(&self) -> Told {
        let about = self.about();
        let state = match about.state {
            State::Idle => Activity::Idle,
            State::Busy => Activity::Busy,
            State::Waiting => Activity::Waiting,
        };
        Told {
            title: about.title.clone(),
            directory: about.directory.clone(),
            agent: Some(Agent { name: self.agent_name().to_owned(), version: about.version.clone() }),
            model: None,
            status: Some(Status { state, label: None }),
        }
    }

    fn watched(&self) -> Vec<std::path::PathBuf> {
        Vec::new()
    }
}
