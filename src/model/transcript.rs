//! A share's items, their order in time, and what is newer than a position.
//!
//! Pure: whoever owns a transcript decides when a change is durable and who may see it.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use serde::Deserialize;

use super::change::merge_models;
use super::{Activity, Arrived, Change, Content, Key, sealed, subagents};

/// What an item costs beside its key and content, in bytes: its places in the two maps. It also keeps a share from
/// growing without bound by tombstones.
const ITEM_OVERHEAD: u64 = 128;

/// Messages that are looked at for one of the session itself, among those that its subagents change.
const MAX_LOOKED_AT: usize = 256;

/// The items of one share.
///
/// Every item carries the sequence number of its last change, no two the same; so a position between any two items is
/// a plain number, and everything newer than it a range.
#[derive(Debug, Default)]
pub struct Transcript {
    seq: u64,
    size: u64,
    /// Items that are not removed.
    living: u64,
    items: BTreeMap<Key, Item>,
    order: BTreeMap<u64, Key>,
}

#[derive(Debug)]
struct Item {
    seq: u64,
    /// Its place among all items by when it first came. It keeps it when it changes, and when it is removed and comes
    /// back.
    arrival: u64,
    /// `None` is a tombstone: viewers who have the item must learn that it is gone.
    content: Option<Content>,
}

/// One item as it is stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is stored under.
    pub key: Key,
    /// The item, or `None` for a tombstone.
    pub content: Option<Content>,
    /// The sequence number of its last change.
    pub seq: u64,
}

/// What a batch changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// The items that are different now. Empty when the batch was known already.
    pub rows: Vec<Row>,
    /// What there was before, of those that there were: their versions, or that they had been removed.
    pub older: Vec<Row>,
}

/// What is newer than a position, or the first stretch of it.
#[derive(Debug)]
pub struct Window<'a> {
    /// Items in the order of their last change, messages before parts.
    pub items: Vec<Arrived<'a>>,
    /// Keys that are no more.
    pub removed: Vec<&'a Key>,
    /// Bytes of all these: keys and content.
    pub bytes: usize,
    /// The position after this window.
    pub seq: u64,
    /// Whether there is still more.
    pub more: bool,
}

/// How much a share may hold.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Bytes of its items, as `Transcript::size` counts them.
    pub bytes: u64,
    /// Living items. Removed ones, of which viewers have yet to hear, may be as many again.
    pub items: u64,
}

impl Capacity {
    /// No limits.
    pub const UNLIMITED: Self = Self { bytes: u64::MAX, items: u64::MAX };
}

/// The batch would make the share larger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareFull {
    /// In bytes.
    Bytes,
    /// In items.
    Items,
}

impl Transcript {
    /// A transcript out of its stored items, in the order in which these first came.
    pub fn from_rows(rows: impl IntoIterator<Item = Row>, seq: u64) -> Self {
        let mut transcript = Self { seq, ..Self::default() };
        transcript.take_in(rows);
        transcript
    }

    /// Takes in what is stored: those that are new in the order in which they first came. Gives what there was before,
    /// of those that there were.
    pub fn take_in(&mut self, rows: impl IntoIterator<Item = Row>) -> Vec<Row> {
        rows.into_iter().filter_map(|row| self.put(row)).collect()
    }

    /// Takes back all that was applied since a position. `older` has what there was then of what has changed.
    pub fn take_back(&mut self, position: u64, older: impl IntoIterator<Item = Row>) {
        self.take_in(older);
        // What is newer still came since.
        for key in self.order.split_off(&(position + 1)).into_values() {
            if let Some(item) = self.items.remove(&key) {
                self.uncount(&key, item.content.as_ref());
            }
        }
        self.seq = position;
    }

    /// Goes to a position to which a change led that was none of its items.
    pub fn reach(&mut self, position: u64) {
        self.seq = self.seq.max(position);
    }

    /// The sequence number of the last change.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Bytes that the items take, as `max_share` counts them.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Applies a batch, all of it or nothing. Within a batch the last change of a key counts. A change that changes
    /// nothing is left out, so that a repeated batch wakes nobody. A share that is over a limit already (the limit was
    /// lowered) may change and shrink.
    pub fn apply(&mut self, changes: Vec<Change>, capacity: Capacity) -> Result<Applied, ShareFull> {
        let staged = self.stage(changes);
        let (mut size, mut living, mut entries) = (self.size, self.living, self.items.len() as u64);
        for (key, content) in &staged {
            let before = self.items.get(key);
            size -= before.map_or(0, |item| cost(key, item.content.as_ref()));
            size += cost(key, content.as_ref());
            living -= u64::from(before.is_some_and(|item| item.content.is_some()));
            living += u64::from(content.is_some());
            entries += u64::from(before.is_none());
        }
        if size > capacity.bytes && size > self.size {
            return Err(ShareFull::Bytes);
        }
        let too_many = living > capacity.items && living > self.living;
        let too_many_ever = entries / 2 > capacity.items && entries > self.items.len() as u64;
        if too_many || too_many_ever {
            return Err(ShareFull::Items);
        }
        let mut applied = Applied::default();
        for (key, content) in staged {
            let row = Row { key, content, seq: self.seq + 1 };
            applied.older.extend(self.put(row.clone()));
            applied.rows.push(row);
        }
        Ok(applied)
    }

    /// Stores an item; gives what there was before, if it is not new.
    fn put(&mut self, Row { key, content, seq }: Row) -> Option<Row> {
        self.seq = self.seq.max(seq);
        self.size += cost(&key, content.as_ref());
        self.living += u64::from(content.is_some());
        self.order.insert(seq, key.clone());
        let arrival = self.items.len() as u64;
        match self.items.entry(key) {
            Slot::Occupied(mut slot) => {
                let arrival = slot.get().arrival;
                let older = slot.insert(Item { seq, arrival, content });
                self.order.remove(&older.seq);
                let older = Row { key: slot.key().clone(), content: older.content, seq: older.seq };
                self.uncount(&older.key, older.content.as_ref());
                Some(older)
            }
            Slot::Vacant(slot) => {
                slot.insert(Item { seq, arrival, content });
                None
            }
        }
    }

    /// An item is there no more, or no longer so.
    fn uncount(&mut self, key: &Key, content: Option<&Content>) {
        self.size -= cost(key, content);
        self.living -= u64::from(content.is_some());
    }

    /// What a batch would change, in the order in which it gets its sequence numbers: parts last, because a client may
    /// send a part before its message.
    fn stage(&self, changes: Vec<Change>) -> Vec<(Key, Option<Content>)> {
        // What goes with an item is gone through once, at its last removal, however often the batch removes it.
        let mut last_removals = HashMap::new();
        for (place, change) in changes.iter().enumerate() {
            if let Change::Remove(key) = change
                && (key.message_id().is_some() || key.is_sealed())
            {
                last_removals.insert(key.clone(), place);
            }
        }
        let mut staged = Staged::default();
        let mut models = Vec::new();
        for (place, change) in changes.into_iter().enumerate() {
            match change {
                Change::Put(key, content) => {
                    let there = match staged.get(&key) {
                        Some((_, staged)) => staged.as_ref(),
                        None => self.content(key.as_str()),
                    };
                    if !(key.is_sealed() && there.is_some_and(|there| sealed::is_late(&content, there))) {
                        staged.set(key, Some(content));
                    }
                }
                Change::MergeModels(newer) => models.push(newer),
                Change::Remove(key) => {
                    if last_removals.get(&key) == Some(&place)
                        && let Some(prefix) = key.below()
                    {
                        let stored = with_prefix(&self.items, &prefix);
                        let stored = stored.filter(|(_, item)| item.content.is_some()).map(|(key, _)| key);
                        for below in stored.chain(staged.with_prefix(&prefix)).cloned().collect::<Vec<_>>() {
                            staged.set(below, None);
                        }
                    }
                    staged.set(key, None);
                }
            }
        }
        if !models.is_empty() {
            let newer = models.iter().map(|list| &**list);
            let older = self.content(Key::MODEL).map(|list| &**list);
            // The newer lists were checked when they came in; an older one that cannot be read is replaced.
            let merged =
                merge_models(older.into_iter().chain(newer.clone())).or_else(|_| merge_models(newer));
            if let Ok(merged) = merged {
                staged.set(Key::from(Key::MODEL), Some(merged));
            }
        }
        let mut different = staged.changes;
        different.retain(|(key, content)| match (self.items.get(key), content) {
            (None, None) => false,
            (None, Some(_)) => true,
            (Some(item), content) => {
                item.content.as_ref().map(|content| content.get())
                    != content.as_ref().map(|content| content.get())
            }
        });
        different.sort_by_key(|(key, _)| key.parent_message_id().is_some());
        different
    }

    fn content(&self, key: &str) -> Option<&Content> {
        self.items.get(key)?.content.as_ref()
    }

    /// Everything newer than `after`, or as much of it as `max_bytes` allows, but at least one item. A viewer that has
    /// nothing yet (`after` 0) need not hear what was removed; going past it counts all the same.
    pub fn since(&self, after: u64, max_bytes: usize) -> Window<'_> {
        let mut window =
            Window { items: Vec::new(), removed: Vec::new(), bytes: 0, seq: self.seq, more: false };
        let mut last = after;
        for (&seq, key) in self.order.range((Bound::Excluded(after), Bound::Unbounded)) {
            let Some(item) = self.items.get(key) else { continue };
            let cost = key.as_str().len() + item.content.as_ref().map_or(0, |content| content.get().len());
            if window.bytes > 0 && window.bytes + cost > max_bytes {
                window.seq = last;
                window.more = true;
                break;
            }
            last = seq;
            match &item.content {
                Some(content) => window.items.push((key, content, item.arrival)),
                None if after == 0 => {}
                None => window.removed.push(key),
            }
            window.bytes += cost;
        }
        window.items.sort_by_key(|(key, ..)| key.parent_message_id().is_some());
        window
    }

    /// Items that are not removed, each with its place by when it first came; by key.
    pub fn items(&self) -> impl Iterator<Item = Arrived<'_>> {
        self.items
            .iter()
            .filter_map(|(key, item)| item.content.as_ref().map(|content| (key, content, item.arrival)))
    }

    /// What the agent does: as it says itself, or else as the message says that changed last; its own, not one of its
    /// subagents.
    pub fn activity(&self) -> Option<Activity> {
        if let Some(said) = self.content(Key::STATUS).and_then(|status| Activity::said(status)) {
            return Some(said);
        }
        let messages = self.order.values().rev().filter(|key| key.message_id().is_some());
        let mut messages =
            messages.filter_map(|key| self.content(key.as_str())).take(MAX_LOOKED_AT).peekable();
        let newest = *messages.peek()?;
        let own = self.session_id().and_then(|id| messages.find(|message| subagents::is_of(message, &id)));
        Some(Activity::seen(own.unwrap_or(newest)))
    }

    /// The id that the session's item says.
    fn session_id(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Session {
            id: Option<String>,
        }
        let session: Session = serde_json::from_str(self.content(Key::SESSION)?.get()).ok()?;
        session.id
    }

    /// The session's title; `None` before the first sync of the session.
    pub fn title(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Session {
            title: Option<Text>,
        }
        let session: Session = serde_json::from_str(self.content(Key::SESSION)?.get()).ok()?;
        session.title.map(|Text(text)| text)
    }
}

/// What stands under keys that begin so.
fn with_prefix<'a, T>(
    items: &'a BTreeMap<Key, T>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a Key, &'a T)> {
    items
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(key, _)| key.as_str().starts_with(prefix))
}

/// Changes of one batch, the last one of each key, in the order of their first.
#[derive(Default)]
struct Staged {
    changes: Vec<(Key, Option<Content>)>,
    /// Ordered, so that the parts of a message are a range.
    places: BTreeMap<Key, usize>,
}

impl Staged {
    fn set(&mut self, key: Key, content: Option<Content>) {
        if let Some(&place) = self.places.get(&key) {
            self.changes[place].1 = content;
        } else {
            self.places.insert(key.clone(), self.changes.len());
            self.changes.push((key, content));
        }
    }

    /// What the batch says of an item so far.
    fn get(&self, key: &Key) -> Option<&(Key, Option<Content>)> {
        self.places.get(key).map(|&place| &self.changes[place])
    }

    fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Key> {
        with_prefix(&self.places, prefix).map(|(key, _)| key)
    }
}

/// Text in which a surrogate pair may have been cut: a client that shortens a title by UTF-16 units does that.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl serde::de::Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(TextVisitor)
    }
}

fn cost(key: &Key, content: Option<&Content>) -> u64 {
    let bytes = key.as_str().len() + content.map_or(0, |content| content.get().len());
    bytes as u64 + ITEM_OVERHEAD
}

#[cfg(test)]
#[path = "transcript_tests.rs"]
mod tests;
