//! Who watches a share: the one owner of that fact.
//!
//! A viewer who was let in holds a `Seat`, and is counted for as long as it does. Nobody tells the count up or down, so
//! it cannot be told wrong: who was refused has no seat, and one that is dropped is no more, however its viewer ended.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;

use super::messages::{CrowdId, Goodbye, Notice, SeatFreed};
use crate::metrics::METRICS;

/// The viewers of one share, and the crowds through which they are woken.
pub(super) struct Audience {
    /// Each seat holds one more of it.
    seats: Arc<()>,
    crowds: HashMap<CrowdId, Recipient<Notice>>,
}

/// A place of a viewer who was let in: it watches for as long as this lives.
#[must_use = "dropping it is leaving"]
#[derive(Debug)]
pub struct Seat {
    /// `None` once it is given back.
    taken: Option<Arc<()>>,
    freed: Recipient<SeatFreed>,
}

impl Audience {
    /// Nobody.
    pub(super) fn new() -> Self {
        Self { seats: Arc::new(()), crowds: HashMap::new() }
    }

    /// How many watch.
    pub(super) fn count(&self) -> usize {
        Arc::strong_count(&self.seats) - 1
    }

    /// Lets one more in, unless there are `max`. Its crowd is woken from now on; `freed` is told when it has left.
    pub(super) fn admit(
        &mut self,
        max: usize,
        crowd: CrowdId,
        notices: Recipient<Notice>,
        freed: Recipient<SeatFreed>,
    ) -> Option<Seat> {
        if self.count() >= max {
            return None;
        }
        self.crowds.insert(crowd, notices);
        METRICS.viewers.inc();
        Some(Seat { taken: Some(self.seats.clone()), freed })
    }

    /// Tells everybody that there is something new.
    pub(super) fn wake(&mut self) {
        // A full mailbox says it already; a closed one is of a crowd that has ended.
        self.crowds.retain(|_, notices| !matches!(notices.try_send(Notice::Wake), Err(SendError::Closed(_))));
    }

    /// Sends everybody away.
    pub(super) fn dismiss(&mut self, goodbye: &Goodbye) {
        for (_, notices) in self.crowds.drain() {
            notices.do_send(Notice::Goodbye(goodbye.clone()));
        }
    }

    /// Forgets crowds that have ended.
    pub(super) fn tidy(&mut self) {
        self.crowds.retain(|_, notices| notices.connected());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Given back before it is told, so that who counts then counts right.
        self.taken = None;
        METRICS.viewers.dec();
        self.freed.do_send(SeatFreed);
    }
}
