//! What a sealed share's server has, and what a batch makes of that. Without network and disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::client::spool::Waiting;
use crate::model::{Content, Key, merge_models};
use crate::seal::{Manifest, Opening, SEGMENT, Seal, SealError, Segmented, Set, segmented};

/// By how much versions run ahead in each life: a spool out of a backup is behind what its server has.
const AHEAD: u64 = 1000;

/// A sealed batch.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::client) struct SealedBatch {
    /// What goes over the wire: `[{type, data}, …]`.
    pub(in crate::client) data: Box<RawValue>,
    /// What it has of the spool, and which versions.
    pub(in crate::client) keys: Vec<(String, i64)>,
    /// What the server has of it afterwards: names and versions, or no version of what it has no more.
    pub(super) items: Vec<(String, Option<u64>)>,
    /// The list of models afterwards, when it is another: one, or none at all.
    pub(super) models: Option<Vec<Box<RawValue>>>,
    /// Of segments, what they hold.
    #[serde(skip)]
    segments: Vec<(String, [u8; 8])>,
}

impl SealedBatch {
    /// The newest of what it has of the spool.
    pub(super) fn last(&self) -> i64 {
        self.keys.iter().map(|(_, seq)| *seq).max().unwrap_or(0)
    }
}

/// What is stored of what a server has.
#[derive(Debug, Clone, Default)]
pub(in crate::client) struct LedgerOf {
    pub(super) version: u64,
    pub(super) models: Option<Box<RawValue>>,
    pub(super) items: Vec<(String, u64)>,
    pub(super) batch: Option<Arc<SealedBatch>>,
}

impl LedgerOf {
    /// What a server shows.
    pub(super) fn read(opening: &Opening) -> Self {
        let models = opening.items().into_iter().find(|(kind, ..)| *kind == Key::MODEL);
        Self {
            version: opening.newest(),
            models: models.map(|(_, data, _)| data),
            items: opening.versions().map(|(id, version)| (id.to_owned(), version)).collect(),
            batch: None,
        }
    }
}

/// What a server has.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The highest version that was given to an item.
    version: u64,
    items: BTreeMap<String, u64>,
    set: Set,
    /// What the segments hold, as far as this life has sent them.
    segments: HashMap<String, [u8; 8]>,
    models: Option<Content>,
    /// The batch to which there was no answer yet.
    pub(super) under_way: Option<Arc<SealedBatch>>,
}

impl Ledger {
    pub(super) fn new(stored: LedgerOf, seal: &Seal) -> Self {
        let LedgerOf { version, models, items, batch } = stored;
        let mut set = Set::default();
        for (id, version) in &items {
            set.toggle(&seal.mark(id, *version));
        }
        Self {
            version: version + AHEAD,
            items: items.into_iter().collect(),
            set,
            segments: HashMap::new(),
            models: models.map(Content::from),
            under_way: batch,
        }
    }

    /// The highest version so far.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The server may have lost what it had.
    pub(super) fn doubt(&mut self) {
        self.segments.clear();
    }

    /// A batch is on the server.
    pub(super) fn arrived(&mut self, batch: &SealedBatch, seal: &Seal) {
        for (id, version) in &batch.items {
            let before = if let Some(version) = version {
                self.set.toggle(&seal.mark(id, *version));
                self.items.insert(id.clone(), *version)
            } else {
                self.segments.remove(id);
                self.items.remove(id)
            };
            if let Some(before) = before {
                self.set.toggle(&seal.mark(id, before));
            }
        }
        self.segments.extend(batch.segments.iter().cloned());
        if let Some(models) = &batch.models {
            self.models = models.first().cloned().map(Content::from);
        }
    }

    /// Seals items, with the manifest of what the server has when it has taken them.
    pub(super) fn seal(
        &mut self,
        seal: &Seal,
        waiting: &[Waiting],
        now: i64,
    ) -> Result<SealedBatch, SealError> {
        let mut plan = Plan {
            seal,
            version: self.version,
            set: self.set,
            count: self.items.len(),
            ledger: self,
            wire: Vec::new(),
            items: BTreeMap::new(),
            segments: Vec::new(),
        };
        let sealed = plan.all(waiting, now);
        let Plan { version, wire, items, segments, .. } = plan;
        self.version = version;
        let models = sealed?;
        let data = serde_json::value::to_raw_value(&wire).map_err(|_| SealError::TooLarge)?;
        let keys = waiting.iter().map(|item| (item.key.as_str().to_owned(), item.seq)).collect();
        Ok(SealedBatch { data, keys, items: items.into_iter().collect(), models, segments })
    }
}

/// An item as it goes over the wire.
#[derive(Serialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: &'static str,
    data: Box<RawValue>,
}

/// A batch that is put together.
struct Plan<'a> {
    seal: &'a Seal,
    ledger: &'a Ledger,
    version: u64,
    set: Set,
    count: usize,
    wire: Vec<Wire>,
    /// What the server will have instead of what the ledger says.
    items: BTreeMap<String, Option<u64>>,
    segments: Vec<(String, [u8; 8])>,
}

impl Plan<'_> {
    /// Gives the list of models, when it is another.
    fn all(&mut self, waiting: &[Waiting], now: i64) -> Result<Option<Vec<Box<RawValue>>>, SealError> {
        let is_model = |item: &&Waiting| item.key.kind() == Key::MODEL;
        for item in waiting.iter().filter(|item| !is_model(item)) {
            let name = self.seal.name(&item.key);
            match &item.content {
                Some(content) => self.put(&item.key, &name, content.get())?,
                None => self.remove(&name)?,
            }
        }
        let models = self.models(waiting.iter().filter(is_model))?;
        let manifest = Manifest { count: self.count as u64, set: self.set.encoded(), at: now };
        let manifest = serde_json::to_string(&manifest).map_err(|_| SealError::TooLarge)?;
        self.push(&self.seal.manifest_name(), "manifest", &manifest)?;
        Ok(models)
    }

    /// The list of models goes as a whole: a server that cannot read it cannot merge it.
    fn models<'b>(
        &mut self,
        waiting: impl Iterator<Item = &'b Waiting>,
    ) -> Result<Option<Vec<Box<RawValue>>>, SealError> {
        let mut waiting = waiting.peekable();
        if waiting.peek().is_none() {
            return Ok(None);
        }
        let mut lists = Vec::from_iter(self.ledger.models.clone());
        for item in waiting {
            match &item.content {
                Some(content) => lists.push(content.clone()),
                None => lists.clear(),
            }
        }
        let key = Key::from(Key::MODEL);
        let name = self.seal.name(&key);
        if lists.is_empty() {
            self.remove(&name)?;
            return Ok(Some(Vec::new()));
        }
        let merged = merge_models(lists.iter().map(|list| &**list)).map_err(|_| SealError::Unreadable)?;
        self.put(&key, &name, merged.get())?;
        Ok(Some(vec![(*merged).to_owned()]))
    }

    fn put(&mut self, key: &Key, name: &str, content: &str) -> Result<(), SealError> {
        let part = key.part_id().and_then(|_| segmented(content));
        let Some(Segmented { part, segments }) = part else {
            self.remove_segments(key, name, 0)?;
            return self.push_living(name, key.kind(), content);
        };
        self.push_living(name, key.kind(), &part)?;
        for (number, segment) in segments.iter().enumerate() {
            let name = format!("{name}/{number}");
            let digest = digest(segment);
            if self.ledger.segments.get(&name) == Some(&digest) && self.version_of(&name).is_some() {
                continue;
            }
            self.push_living(&name, SEGMENT, &format!("\"{segment}\""))?;
            self.segments.push((name, digest));
        }
        self.remove_segments(key, name, segments.len())
    }

    /// Removes the segments of a part from a number on.
    fn remove_segments(&mut self, key: &Key, name: &str, from: usize) -> Result<(), SealError> {
        if key.part_id().is_none() {
            return Ok(());
        }
        let prefix = format!("{name}/");
        let is_over = |id: &String| {
            let number = id.strip_prefix(&prefix).and_then(|number| number.parse::<usize>().ok());
            number.is_some_and(|number| number >= from)
        };
        let over: Vec<_> = self.below(name).into_iter().filter(is_over).collect();
        over.iter().try_for_each(|segment| self.remove(segment))
    }

    /// Takes an item away, and all below it.
    fn remove(&mut self, name: &str) -> Result<(), SealError> {
        let data = serde_json::value::to_raw_value(&serde_json::json!({"id": name}));
        self.wire.push(Wire { kind: "sealed.removed", data: data.map_err(|_| SealError::TooLarge)? });
        for id in self.below(name).into_iter().chain([name.to_owned()]) {
            if let Some(version) = self.version_of(&id) {
                self.set.toggle(&self.seal.mark(&id, version));
                self.count -= 1;
                self.items.insert(id, None);
            }
        }
        Ok(())
    }

    fn push_living(&mut self, name: &str, kind: &str, data: &str) -> Result<(), SealError> {
        let before = self.version_of(name);
        let version = self.push(name, kind, data)?;
        match before {
            Some(before) => self.set.toggle(&self.seal.mark(name, before)),
            None => self.count += 1,
        }
        self.set.toggle(&self.seal.mark(name, version));
        self.items.insert(name.to_owned(), Some(version));
        Ok(())
    }

    /// Seals an item; gives its version.
    fn push(&mut self, name: &str, kind: &str, data: &str) -> Result<u64, SealError> {
        self.version += 1;
        // A type has no character that JSON escapes.
        let inside = format!("{{\"type\":\"{kind}\",\"data\":{data}}}");
        let sealed = self.seal.seal(name, self.version, &inside)?;
        let data = serde_json::value::to_raw_value(&sealed).map_err(|_| SealError::TooLarge)?;
        self.wire.push(Wire { kind: "sealed", data });
        Ok(self.version)
    }

    /// The version of an item that the server has, as far as this batch has come.
    fn version_of(&self, name: &str) -> Option<u64> {
        self.items.get(name).copied().unwrap_or_else(|| self.ledger.items.get(name).copied())
    }

    /// The living items below another.
    fn below(&self, name: &str) -> Vec<String> {
        // `0` is what comes after `/`.
        let range = || format!("{name}/")..format!("{name}0");
        let stored = self.ledger.items.range(range()).map(|(id, _)| id);
        let stored = stored.filter(|id| !self.items.contains_key(*id));
        let planned = self.items.range(range()).filter(|(_, version)| version.is_some()).map(|(id, _)| id);
        stored.chain(planned).cloned().collect()
    }
}

/// Enough to tell a segment from what it was before.
fn digest(segment: &str) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&Sha256::digest(segment)[..8]);
    short
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
