//! What the event stream of a session says, for whoever reads its database beside it: the database has a text that is
//! being written only when it is finished, and would take back what the stream told of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::{Status, Told};
use crate::import::Item;
use crate::import::opencode::grows;
use crate::model::Key;

use super::reader::hash;

/// Texts that are noted. The database stands for those beyond.
const MAX_TEXTS: usize = 1000;

/// One session's.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// The texts that the stream has told of and the database has not; with a hash once they are finished.
    texts: HashMap<Key, Option<u64>>,
    status: Option<Status>,
}

impl Live {
    /// The stream tells of a text from now on.
    pub(super) fn begins(&self, text: Key) {
        let mut said = self.lock();
        if said.texts.len() < MAX_TEXTS {
            said.texts.insert(text, None);
        }
    }

    /// Whether a part is the end of a text that the stream told of. It is told by the stream then, and not again.
    pub(super) fn ends(&self, text: &Item) -> bool {
        match self.lock().texts.get_mut(&text.key) {
            Some(said) => {
                *said = Some(hash(&text.content));
                true
            }
            None => false,
        }
    }

    /// Whether the stream has told of an item what the database says, or more.
    pub(super) fn has_said(&self, item: &Item) -> bool {
        let mut said = self.lock();
        let Some(text) = said.texts.get(&item.key) else { return false };
        if grows(&item.content) {
            return true;
        }
        let is_same = *text == Some(hash(&item.content));
        said.texts.remove(&item.key);
        is_same
    }

    /// A part is gone. Whether the stream had told of it.
    pub(super) fn forget(&self, key: &Key) -> bool {
        self.lock().texts.remove(key).is_some()
    }

    /// What the agent does, as long as there is a stream that says it.
    pub(super) fn status(&self) -> Option<Status> {
        self.lock().status.clone()
    }

    /// What is known of the session, with that.
    pub(super) fn told(&self, told: &Told) -> Told {
        Told { status: self.status().or_else(|| told.status.clone()), ..told.clone() }
    }

    pub(super) fn does(&self, status: Option<Status>) {
        self.lock().status = status;
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        // Each change is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
