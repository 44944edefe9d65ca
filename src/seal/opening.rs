//! A sealed share as its reader puts it together: what opens, what is the newest, and whether that is all.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::segments::{joined, segments_of};
use super::{Manifest, Seal, SealError, Sealed, Set};

/// The type of a segment, whose data is a text.
pub const SEGMENT: &str = "segment";

/// What a reader has of a share.
#[derive(Debug)]
pub struct Opening {
    seal: Arc<Seal>,
    items: BTreeMap<String, Item>,
    manifest: Option<(u64, Manifest)>,
}

#[derive(Debug)]
struct Item {
    version: u64,
    /// Its place by when it first came.
    place: u64,
    kind: String,
    data: Box<RawValue>,
}

/// What a server shows is not what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// When the newest manifest that came was written, in milliseconds since 1970; `None` when none came.
    pub at: Option<i64>,
}

#[derive(Deserialize)]
struct Inside<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Opening {
    /// Nothing yet.
    pub fn new(seal: Arc<Seal>) -> Self {
        Self { seal, items: BTreeMap::new(), manifest: None }
    }

    /// Takes an item in, in the place of its older version.
    ///
    /// # Errors
    /// When it does not open, or is older than what is there.
    pub fn put(&mut self, sealed: &Sealed, place: u64) -> Result<(), SealError> {
        let inside = self.seal.open(sealed)?;
        let Inside { kind, data } = serde_json::from_str(&inside).map_err(|_| SealError::Unreadable)?;
        if sealed.id == self.seal.manifest_name() {
            let manifest = serde_json::from_str(data.get()).map_err(|_| SealError::Unreadable)?;
            if self.manifest.as_ref().is_some_and(|(version, _)| *version > sealed.v) {
                return Err(SealError::Older);
            }
            self.manifest = Some((sealed.v, manifest));
            return Ok(());
        }
        if self.items.get(&sealed.id).is_some_and(|item| item.version > sealed.v) {
            return Err(SealError::Older);
        }
        let item = Item { version: sealed.v, place, kind, data: data.to_owned() };
        self.items.insert(sealed.id.clone(), item);
        Ok(())
    }

    /// Takes an item away, and all below it.
    pub fn remove(&mut self, id: &str) {
        self.items.remove(id);
        // `0` is what comes after `/`.
        let below = self.items.range(format!("{id}/")..format!("{id}0")).map(|(id, _)| id.clone());
        for id in below.collect::<Vec<_>>() {
            self.items.remove(&id);
        }
    }

    /// Names and versions of what is there, but for the manifest.
    pub fn versions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.items.iter().map(|(id, item)| (&**id, item.version))
    }

    /// The highest version that came.
    pub fn newest(&self) -> u64 {
        let manifest = self.manifest.as_ref().map(|(version, _)| *version);
        self.items.values().map(|item| item.version).chain(manifest).max().unwrap_or(0)
    }

    /// Whether this is what was sent: as the manifest says.
    ///
    /// # Errors
    /// When it is less, or something older.
    pub fn check(&self) -> Result<(), Mismatch> {
        let mut set = Set::default();
        for (id, version) in self.versions() {
            set.toggle(&self.seal.mark(id, version));
        }
        match &self.manifest {
            // A share to which nothing was sent has none.
            None if self.items.is_empty() => Ok(()),
            Some((version, manifest))
                if manifest.set == set.encoded()
                    && manifest.count == self.items.len() as u64
                    && self.newest() == *version =>
            {
                Ok(())
            }
            manifest => Err(Mismatch { at: manifest.as_ref().map(|(_, manifest)| manifest.at) }),
        }
    }

    /// The items, texts whole, by when they first came: type, data and place.
    pub fn items(&self) -> Vec<(&str, Box<RawValue>, u64)> {
        let mut items: Vec<_> = self.items.iter().filter(|(_, item)| item.kind != SEGMENT).collect();
        items.sort_by_key(|(_, item)| item.place);
        items.into_iter().map(|(id, item)| (&*item.kind, self.whole(id, item), item.place)).collect()
    }

    /// An item's data, with its text when that is in segments. What of them is missing is left out.
    fn whole(&self, id: &str, item: &Item) -> Box<RawValue> {
        let data = item.data.get();
        let Some(count) = segments_of(data).filter(|_| item.kind == "part") else { return item.data.clone() };
        let segments = (0..count).map_while(|number| {
            let segment = self.items.get(&format!("{id}/{number}"))?;
            segment.data.get().strip_prefix('"')?.strip_suffix('"')
        });
        joined(data, segments)
            .and_then(|whole| RawValue::from_string(whole).ok())
            .unwrap_or_else(|| item.data.clone())
    }
}
