//! What the event stream of a session says, for whoever reads its database beside it: the database has a text that is
//! being written only when it is finished, and would take back what the stream told of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::{Status, Told};
use crate::import::Item;
use crate::import::opencode::grows;
use crate::model::Key;

use super::reader::hash;

/// Texts that are noted. The database stands for those beyond.
const MAX_TEXTS: usize = 1000;

/// Texts that are remembered after the database has told of their end: what the stream says of them comes late.
const MAX_OVER: usize = 256;

/// One session's.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// The texts that the stream has told of and the database has not; with a hash once they are finished.
    texts: HashMap<Key, Option<u64>>,
    /// Those whose end the database has told, the oldest first.
    over: VecDeque<Key>,
    status: Option<Status>,
}

impl Live {
    /// The stream tells of a text from now on, unless the database has told of its end.
    pub(super) fn begins(&self, text: &Key) -> bool {
        let mut said = self.lock();
        if said.over.contains(text) {
            return false;
        }
        if said.texts.len() < MAX_TEXTS {
            said.texts.insert(text.clone(), None);
        }
        true
    }

    /// Whether the database has told of a text's end.
    pub(super) fn is_over(&self, text: &Key) -> bool {
        self.lock().over.contains(text)
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
        if said.over.len() == MAX_OVER {
            said.over.pop_front();
        }
        said.over.push_back(item.key.clone());
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
