//! The viewers of one share on one worker thread. A share wakes a crowd with one message, whatever its size; the crowd
//! wakes its viewers a few at a time and lets other work of the thread go in between. So a large crowd does not hold up
//! the syncs that pass through the thread, and a viewer whose turn comes late takes several frames in one write.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;

use super::messages::{CrowdId, Enter, Join, Joined, Leave, Notice, ViewerId};
use crate::error::Error;
use crate::model::ShareId;

/// Viewers that are woken before other work of the thread gets its turn.
const AT_ONCE: usize = 32;

/// How long a crowd without viewers stays: who is on the way to it finds it.
const LINGER: Duration = Duration::from_secs(5);

/// The crowds of one worker thread.
#[derive(Clone)]
pub struct Crowds {
    crowds: Rc<RefCell<HashMap<ShareId, Addr<Crowd>>>>,
    tick: Duration,
}

/// The viewers of one share on one thread.
pub struct Crowd {
    id: CrowdId,
    share_id: ShareId,
    crowds: Crowds,
    /// Who was let in, and is there still.
    viewers: BTreeMap<ViewerId, Recipient<Notice>>,
    /// Who was woken last.
    last: ViewerId,
    /// How many are still to be woken.
    to_wake: usize,
    waking: bool,
}

impl Crowds {
    /// No crowds yet. Their viewers are woken every `tick` even when nothing happens: a timer for all, in place of one
    /// each.
    pub fn new(tick: Duration) -> Self {
        Self { crowds: Rc::default(), tick }
    }

    /// The crowd of a share on this thread.
    pub fn of(&self, share: &ShareId) -> Addr<Crowd> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut crowds = self.crowds.borrow_mut();
        if let Some(crowd) = crowds.get(share).filter(|crowd| crowd.connected()) {
            return crowd.clone();
        }
        let crowd = Crowd {
            id: CrowdId(NEXT.fetch_add(1, Ordering::Relaxed)),
            share_id: share.clone(),
            crowds: self.clone(),
            viewers: BTreeMap::new(),
            last: ViewerId(0),
            to_wake: 0,
            waking: false,
        };
        let crowd = crowd.start();
        crowds.insert(share.clone(), crowd.clone());
        crowd
    }
}

impl Crowd {
    /// Wakes everybody once more, from where it stands.
    fn wake_all(&mut self, ctx: &mut Context<Self>) {
        self.to_wake = self.viewers.len();
        if !self.waking {
            self.wake(ctx);
        }
    }

    /// Wakes a few, and goes on when other work has had its turn.
    fn wake(&mut self, ctx: &mut Context<Self>) {
        let count = self.to_wake.min(self.viewers.len()).min(AT_ONCE);
        // From where it stands, and round.
        let later = self.viewers.range((Bound::Excluded(self.last), Bound::Unbounded));
        for (id, viewer) in later.chain(&self.viewers).take(count) {
            // A full mailbox says it already; a closed one is of a viewer that is about to leave.
            let _ = viewer.try_send(Notice::Wake);
            self.last = *id;
        }
        self.to_wake = self.to_wake.min(self.viewers.len()) - count;
        self.waking = self.to_wake > 0;
        if self.waking {
            ctx.spawn(wrap_future::<_, Self>(tokio::task::yield_now()).map(|(), crowd, ctx| crowd.wake(ctx)));
        }
    }

    fn stop_when_empty(&mut self, ctx: &mut Context<Self>) {
        if self.viewers.is_empty() {
            ctx.stop();
        }
    }
}

impl Actor for Crowd {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1);
        ctx.run_interval(self.crowds.tick, Self::wake_all);
    }

    fn stopped(&mut self, ctx: &mut Self::Context) {
        let mut crowds = self.crowds.crowds.borrow_mut();
        // There may be a newer one: by its address it is known which one has stopped.
        if crowds.get(&self.share_id) == Some(&ctx.address()) {
            crowds.remove(&self.share_id);
        }
    }
}

impl Handler<Enter> for Crowd {
    type Result = ResponseActFuture<Self, Result<Joined, Error>>;

    fn handle(&mut self, Enter { share, id, lock, viewer }: Enter, ctx: &mut Self::Context) -> Self::Result {
        let join = Join { crowd: self.id, lock, notices: ctx.address().recipient() };
        Box::pin(wrap_future::<_, Self>(share.send(join)).map(move |joined, crowd, _| {
            let joined = joined.unwrap_or(Err(Error::Unavailable));
            // One that has gone meanwhile takes its seat along with this answer.
            if joined.is_ok() && viewer.connected() {
                crowd.viewers.insert(id, viewer);
            }
            joined
        }))
    }
}

impl Handler<Leave> for Crowd {
    type Result = ();

    fn handle(&mut self, Leave(id): Leave, ctx: &mut Self::Context) {
        self.viewers.remove(&id);
        if self.viewers.is_empty() {
            ctx.run_later(LINGER, Self::stop_when_empty);
        }
    }
}

impl Handler<Notice> for Crowd {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        match notice {
            Notice::Wake => self.wake_all(ctx),
            Notice::Goodbye(goodbye) => {
                for viewer in std::mem::take(&mut self.viewers).into_values() {
                    viewer.do_send(Notice::Goodbye(goodbye.clone()));
                }
                ctx.stop();
            }
        }
    }
}
