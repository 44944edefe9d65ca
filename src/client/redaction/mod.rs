//! The secrets of sessions stay here: an actor between the manager and the queue, through which all that is sent goes
//! in its order, so that neither the spool nor the network ever has them. It has a thread of its own, for a look at a
//! large item takes long.

mod known;
mod listing;
mod names;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use serde::Deserialize;

use self::known::Owner;
pub use self::listing::{Hidden, Inspection, Place, Redactions};
pub(super) use self::names::Name;
use self::names::{Locals, Names};
pub use self::session::Records;
pub(super) use self::session::{Found, Redaction as Redacted};
use self::session::{Look, Session};
use super::queue::{
    Attach, Detach, Doubt, Drain, Enqueue, FlushLane, Look as LookAt, Open, Progress, SyncQueue,
};
use super::spool::Redacted as Stored;
use super::{ClientError, Config, StartError};
use crate::model::{Change, Content, Key};
use crate::redact::{Growing, Redactor, Settings};

/// Messages that wait for this actor: whoever sends them waits for the answer.
const UNBOUNDED: usize = 0;

/// Whether secrets are sought, and what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They give way to placeholders.
    #[default]
    On,
    /// They are listed, and sent all the same.
    Report,
    /// They are not sought.
    Off,
}

/// How sessions are redacted.
#[derive(Debug, Clone)]
pub struct Redact {
    /// Whether secrets are sought.
    pub mode: Mode,
    /// What is sought.
    pub settings: Settings,
    /// After how long without anything new the end of a growing text is shown, when no secret may be in it.
    pub pause: Duration,
}

impl Default for Redact {
    fn default() -> Self {
        Self { mode: Mode::default(), settings: Settings::default(), pause: Duration::from_secs(5) }
    }
}

/// Between the manager and the queue.
pub(super) struct Redaction {
    means: Means,
    owner: Owner,
    sessions: HashMap<String, Session>,
    queue: Addr<SyncQueue>,
    /// The next look at texts that have stopped growing.
    looks_again: Option<SpawnHandle>,
}

/// What an agent says is secret: values by their names; `null` forgets one. Answered with how many are sought.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct TellSecrets(pub BTreeMap<String, Option<String>>);

/// What was hidden in a session that is shared.
#[derive(Message)]
#[rtype(result = "Option<Redactions>")]
pub struct ListRedactions(pub String);

/// What would be hidden in items, on top of what would be before.
#[derive(Message)]
#[rtype(result = "Inspection")]
pub struct Inspect {
    /// Items of a session.
    pub changes: Vec<Change>,
    /// Where its agent works.
    pub directory: Option<PathBuf>,
    /// What was found before.
    pub so_far: Inspection,
}

/// The growing texts of a session have come to an end, as far as this says.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Rest {
    pub(super) session: String,
    /// Whether nothing more comes: its agent rests. Else what a session was shared with is all for now, and is shown as
    /// after a pause.
    pub(super) is_over: bool,
}

/// The whole share is about to be read, to be looked at again.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct BeginAgain(pub(super) String);

/// Looks at what a share has again, and sends what has to change. Answered with the number of items.
#[derive(Message)]
#[rtype(result = "Result<usize, ClientError>")]
pub(super) struct Again {
    pub(super) session: String,
    pub(super) changes: Vec<Change>,
}

/// What the actor works with, the same for all sessions.
pub(super) struct Means {
    mode: Mode,
    /// `None` when secrets are not sought.
    redactor: Option<Redactor>,
    locals: Locals,
    /// Whether the values of the owner's environment are secret.
    environment: bool,
    /// Patterns of more files whose values are secret.
    files: Vec<String>,
    pause: Duration,
}

impl Means {
    /// Builds what is sought.
    ///
    /// # Errors
    /// When a rule cannot be used, or the key of the names: nothing may be sent then.
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        let Redact { mode, settings, pause } = config.redact.clone();
        let home = std::env::home_dir().and_then(|home| home.to_str().map(ToOwned::to_owned));
        let redactor = match mode {
            Mode::Off => None,
            Mode::On | Mode::Report => Some(Redactor::new(settings.options(home))?),
        };
        let locals = Locals::open(&config.local_dir, &settings.allow)?;
        let environment = settings.environment && redactor.is_some();
        Ok(Self { mode, redactor, locals, environment, files: settings.files, pause })
    }
}

impl Redaction {
    /// Starts the actor on a thread of its own. `stored` is what earlier lives found.
    pub(super) fn launch(means: Means, queue: Addr<SyncQueue>, stored: Vec<(String, Stored)>) -> Addr<Self> {
        let now = Instant::now();
        let sessions = stored.into_iter().map(|(session, Stored { names, found, held })| {
            let mut state = Session::new(session.clone(), Names::new(means.locals.clone(), names), found);
            for (key, sealed) in held {
                state.hold_again(key, &sealed, now);
            }
            (session, state)
        });
        let sessions = sessions.collect();
        Self::start_in_arbiter(&Arbiter::new().handle(), move |_| {
            let owner = Owner::new(means.environment);
            Self { means, owner, sessions, queue, looks_again: None }
        })
    }

    /// The state of a session and what is sought in it; `None` when nothing is. Changes may say where the session's
    /// agent works: values are known there too.
    fn look(&mut self, session: &str, changes: &[Change]) -> Option<(&mut Session, Look<'_>)> {
        let Means { mode, redactor, locals, files, .. } = &self.means;
        let redactor = redactor.as_ref()?;
        let now = Instant::now();
        let state = self
            .sessions
            .entry(session.to_owned())
            .or_insert_with(|| Session::new(session.to_owned(), Names::new(locals.clone(), []), []));
        let mut directories = changes.iter().filter_map(|change| match change {
            Change::Put(key, content) if key.as_str() == Key::SESSION => directory_of(content),
            _ => None,
        });
        if let Some(directory) = directories.next_back() {
            state.works_in(&directory, files);
        }
        let known = self.owner.values(now);
        Some((state, Look { redactor, known, reports_only: *mode == Mode::Report, now }))
    }

    /// Looks again at the texts that have stopped growing, when the first of them has for long enough.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if self.looks_again.is_some() {
            return;
        }
        let Some(first) = self.sessions.values().filter_map(Session::waits_since).min() else { return };
        let wait = (first + self.means.pause).saturating_duration_since(Instant::now());
        self.looks_again = Some(ctx.run_later(wait, |redaction, ctx| {
            redaction.looks_again = None;
            if let Some(since) = Instant::now().checked_sub(redaction.means.pause) {
                redaction.show_paused(since);
            }
            redaction.arm(ctx);
        }));
    }

    /// Shows what may be shown of the parts for which nothing came after `since`.
    fn show_paused(&mut self, since: Instant) {
        let waits = |(_, state): &(&String, &Session)| state.waits_since().is_some_and(|at| at <= since);
        let waiting: Vec<_> =
            self.sessions.iter().filter(waits).map(|(session, _)| session.clone()).collect();
        for session in waiting {
            self.show_ends(session, since, Growing::Pauses);
        }
    }

    fn show_ends(&mut self, session: String, since: Instant, growing: Growing) {
        let Some((state, look)) = self.look(&session, &[]) else { return };
        let redacted = state.end(since, growing, &look);
        // When it cannot be stored now the end of the part brings it.
        self.queue.do_send(to_be_queued(session, redacted));
    }
}

/// What was redacted, for the queue.
fn to_be_queued(session: String, Redacted { changes, notes, records }: Redacted) -> Enqueue {
    Enqueue { session, changes, notes, records }
}

/// The directory that a session's item names.
fn directory_of(session: &Content) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct About {
        directory: PathBuf,
    }
    let about = serde_json::from_str::<About>(session.get()).ok()?;
    about.directory.is_absolute().then_some(about.directory)
}

impl Actor for Redaction {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(UNBOUNDED);
        self.arm(ctx);
    }
}

impl Handler<Enqueue> for Redaction {
    type Result = ResponseActFuture<Self, Result<usize, ClientError>>;

    fn handle(&mut self, enqueue: Enqueue, ctx: &mut Self::Context) -> Self::Result {
        let Enqueue { session, changes, notes, records } = enqueue;
        let count = changes.len();
        let Some((state, look)) = self.look(&session, &changes) else {
            let queued = self.queue.send(Enqueue { session, changes, notes, records });
            return Box::pin(wrap_future(async { queued.await.unwrap_or(Err(ClientError::Unavailable)) }));
        };
        let redacted = state.take(changes, notes, &look);
        let is_all_held = redacted.changes.is_empty();
        let queued = self.queue.send(to_be_queued(session.clone(), redacted));
        self.arm(ctx);
        let queued = async { queued.await.unwrap_or(Err(ClientError::Unavailable)) };
        Box::pin(wrap_future::<_, Self>(queued).map(move |queued, redaction, _| {
            if queued.is_err()
                && let Some(state) = redaction.sessions.get_mut(&session)
            {
                state.doubt();
            }
            // Of a text that grows there may be nothing to be shown yet.
            queued.map(|stored| if stored == 0 && !is_all_held { 0 } else { count })
        }))
    }
}

impl Handler<Rest> for Redaction {
    type Result = ();

    fn handle(&mut self, Rest { session, is_over }: Rest, _: &mut Self::Context) {
        let growing = if is_over { Growing::Done } else { Growing::Pauses };
        self.show_ends(session, Instant::now(), growing);
    }
}

impl Handler<Open> for Redaction {
    type Result = ();

    fn handle(&mut self, open: Open, _: &mut Self::Context) {
        self.queue.do_send(open);
    }
}

impl Handler<Attach> for Redaction {
    type Result = ();

    fn handle(&mut self, attach: Attach, _: &mut Self::Context) {
        self.owner.own("share-secret", &attach.share.secret);
        if let Some(key) = &attach.link_key {
            self.owner.own("link-key", key.expose());
        }
        self.queue.do_send(attach);
    }
}

impl Handler<Doubt> for Redaction {
    type Result = ();

    fn handle(&mut self, doubt: Doubt, _: &mut Self::Context) {
        self.queue.do_send(doubt);
    }
}

impl Handler<Detach> for Redaction {
    type Result = ();

    fn handle(&mut self, detach: Detach, _: &mut Self::Context) {
        self.sessions.remove(&detach.0);
        self.queue.do_send(detach);
    }
}

impl Handler<FlushLane> for Redaction {
    type Result = ResponseFuture<Result<(), ClientError>>;

    fn handle(&mut self, flush: FlushLane, _: &mut Self::Context) -> Self::Result {
        let flushed = self.queue.send(flush);
        Box::pin(async { flushed.await.unwrap_or(Err(ClientError::Unavailable)) })
    }
}

impl Handler<Drain> for Redaction {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) -> Self::Result {
        self.show_paused(Instant::now());
        let drained = self.queue.send(drain);
        Box::pin(async {
            let _ = drained.await;
        })
    }
}

impl Handler<LookAt> for Redaction {
    type Result = ResponseFuture<HashMap<String, Progress>>;

    fn handle(&mut self, look: LookAt, _: &mut Self::Context) -> Self::Result {
        let refused: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, state)| state.refused > 0)
            .map(|(session, state)| (session.clone(), state.refused))
            .collect();
        let progress = self.queue.send(look);
        Box::pin(async move {
            let mut progress = progress.await.unwrap_or_default();
            for (session, refused) in refused {
                let Some(progress) = progress.get_mut(&session) else { continue };
                progress.set_aside += refused;
                progress.last_error.get_or_insert_with(|| {
                    "an item was given up: it is nested too deeply to be looked at for secrets".into()
                });
            }
            progress
        })
    }
}

impl Handler<TellSecrets> for Redaction {
    type Result = usize;

    fn handle(&mut self, TellSecrets(told): TellSecrets, _: &mut Self::Context) -> usize {
        self.owner.tell(told)
    }
}

impl Handler<ListRedactions> for Redaction {
    type Result = MessageResult<ListRedactions>;

    fn handle(&mut self, ListRedactions(session): ListRedactions, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.sessions.get(&session).map(|state| listing::of(state.found(), state.names())))
    }
}

impl Handler<Inspect> for Redaction {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, inspect: Inspect, _: &mut Self::Context) -> Self::Result {
        let Inspect { changes, directory, mut so_far } = inspect;
        let Means { redactor: Some(redactor), locals, files, .. } = &self.means else {
            return MessageResult(so_far);
        };
        let now = Instant::now();
        let session = so_far.session(locals);
        if let Some(directory) = directory {
            session.works_in(&directory, files);
        }
        let known = self.owner.values(now);
        let _ = session.take(changes, Vec::new(), &Look { redactor, known, reports_only: true, now });
        MessageResult(so_far)
    }
}

impl Handler<BeginAgain> for Redaction {
    type Result = ();

    fn handle(&mut self, BeginAgain(session): BeginAgain, _: &mut Self::Context) {
        if let Some((state, _)) = self.look(&session, &[]) {
            state.begin_again();
        }
    }
}

impl Handler<Again> for Redaction {
    type Result = ResponseFuture<Result<usize, ClientError>>;

    fn handle(&mut self, Again { session, changes }: Again, _: &mut Self::Context) -> Self::Result {
        let Some((state, look)) = self.look(&session, &changes) else {
            return Box::pin(std::future::ready(Ok(0)));
        };
        let redacted = state.again(changes, &look);
        let queued = self.queue.send(to_be_queued(session, redacted));
        Box::pin(async { queued.await.unwrap_or(Err(ClientError::Unavailable)) })
    }
}
