//! Secrets out of what is synced: a second net, for clients that have none of their own.
//!
//! A whole item is looked at as it comes, before its share gets it: what is found is on no disk and in no frame.
//! Nothing is held back of a text that still grows, for the server cannot know when it ends; a client that can does so
//! itself. What cannot be looked at is refused, and its batch with it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::{Service, offload};
use crate::config::ServeRedact;
use crate::error::Error;
use crate::metrics::METRICS;
use crate::model::{Change, Content, ShareId};
use crate::redact::{Context, Digest, Finding, Level, Namer, Options, Redactor, RuleError};
use crate::store::{MAX_NAMES, Name, Names, Naming};

/// How often a batch is looked at until all that is found has a name: once to find, once to name, and once more where
/// names alone brought something to light.
const MAX_LOOKS: usize = 3;

/// The number of a value that has no name of its own: beyond those that a share may have, and in previews.
const UNNUMBERED: u64 = 0;

/// What is done with secrets. One for the whole server.
pub struct Redaction {
    mode: ServeRedact,
    /// For syncs; nothing when they are not looked at.
    net: Option<Arc<Redactor>>,
    /// For previews: all that is known, built when the first page is read.
    all: OnceLock<Option<Arc<Redactor>>>,
}

impl Redaction {
    /// Builds the rules of a mode.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn new(mode: ServeRedact) -> Result<Self, RuleError> {
        let net = match mode {
            ServeRedact::Shapes => Some(of_level(Level::Shapes)?),
            ServeRedact::All | ServeRedact::Report => Some(of_level(Level::Normal)?),
            ServeRedact::Off => None,
        };
        let all = net.clone().filter(|_| mode != ServeRedact::Shapes);
        let all = all.map_or_else(OnceLock::new, |all| Some(all).into());
        Ok(Self { mode, net, all })
    }

    /// Builds the rules for previews, which takes a while.
    pub(super) fn prepare_previews(&self) {
        self.all();
    }

    /// A text as link previews may show it, whatever is stored; nothing when it cannot be looked at.
    pub(super) fn of_preview(&self, text: &str) -> String {
        let mut unnumbered = |_: &str, _: &str| UNNUMBERED;
        self.all().map_or_else(String::new, |all| all.text(text, &Context::default(), &mut unnumbered).0)
    }

    fn all(&self) -> Option<&Redactor> {
        let all = self.all.get_or_init(|| {
            let all = of_level(Level::Normal);
            all.inspect_err(|error| tracing::error!(%error, "previews of links say nothing")).ok()
        });
        all.as_deref()
    }

    /// A batch of a share as it is to be stored. What is sealed is not looked at: there is nothing to be seen.
    ///
    /// # Errors
    /// When an item cannot be looked at or becomes too large, or names cannot be stored.
    pub(super) async fn of_batch(
        &self,
        service: &Service,
        share: &ShareId,
        changes: Vec<Change>,
        is_sealed: bool,
    ) -> Result<Batch, Error> {
        let bytes = contents(&changes);
        let Some(net) = self.net.as_ref().filter(|_| !is_sealed) else {
            return Ok(Batch { changes, found: 0, grown: 0 });
        };
        let mut look = Look {
            net: net.clone(),
            values: Values::new(service.store.naming().clone(), share.clone()),
            max_item: service.limits.get().max_item,
            report: self.mode == ServeRedact::Report,
            changes,
            originals: Vec::new(),
            found: 0,
        };
        look = look.taken(service, bytes, Look::find).await?;
        for _ in 1..MAX_LOOKS {
            let nameless = std::mem::take(&mut look.values.nameless);
            if nameless.is_empty() {
                break;
            }
            look.values.names = service.store.name(share, nameless).await?;
            look = look.taken(service, bytes, Look::name).await?;
        }
        let grown = contents(&look.changes).saturating_sub(bytes);
        Ok(Batch { found: look.found, grown: grown as u64, changes: look.changes })
    }

    /// Counts what was found in syncs that were acknowledged.
    pub(super) fn count(&self, found: u64) {
        if found > 0 {
            METRICS.redacted(self.mode.name(), found);
        }
    }
}

fn of_level(level: Level) -> Result<Arc<Redactor>, RuleError> {
    Redactor::new(Options { level, ..Options::default() }).map(Arc::new)
}

/// Bytes of what changes store.
fn contents(changes: &[Change]) -> usize {
    changes.iter().filter_map(content).map(|content| content.get().len()).sum()
}

fn content(change: &Change) -> Option<&Content> {
    match change {
        Change::Put(_, content) | Change::MergeModels(content) => Some(content),
        Change::Remove(_) => None,
    }
}

/// A batch that was looked at.
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    /// Places where something was found.
    pub(super) found: u64,
    /// Bytes by which it is larger than it came.
    pub(super) grown: u64,
}

/// A batch that is being looked at.
struct Look {
    net: Arc<Redactor>,
    values: Values,
    max_item: u64,
    /// What is found stays.
    report: bool,
    changes: Vec<Change>,
    /// Items in which something was found, as they came, by their places in the batch.
    originals: Vec<(usize, Content)>,
    found: u64,
}

impl Look {
    /// Takes a step: of a large batch beside the HTTP threads.
    async fn taken(
        mut self,
        service: &Service,
        bytes: usize,
        step: fn(&mut Self) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        if bytes > offload::WORTH_IT {
            service.offload.run(move || step(&mut self).map(|()| self)).await?
        } else {
            step(&mut self)?;
            Ok(self)
        }
    }

    /// Looks at all items.
    fn find(&mut self) -> Result<(), Error> {
        for index in 0..self.changes.len() {
            let Some(original) = content(&self.changes[index]).cloned() else { continue };
            let (redacted, findings) = match self.redacted(index, &original) {
                Err(_) if self.report => continue,
                looked => looked?,
            };
            self.found += findings.iter().map(|finding| finding.count as u64).sum::<u64>();
            if self.report {
                continue;
            }
            if !findings.is_empty() {
                self.originals.push((index, original));
            }
            self.put(index, redacted)?;
        }
        if self.report {
            self.values.nameless.clear();
        }
        Ok(())
    }

    /// Looks once more at those in which something was found, now that it has a name.
    fn name(&mut self) -> Result<(), Error> {
        for (index, original) in std::mem::take(&mut self.originals) {
            let (redacted, _) = self.redacted(index, &original)?;
            self.originals.push((index, original));
            self.put(index, redacted)?;
        }
        Ok(())
    }

    fn redacted(&mut self, index: usize, item: &Content) -> Result<(Content, Vec<Finding>), Error> {
        let redacted = self.net.item(item, &Context::default(), &mut self.values).map_err(|refused| {
            METRICS.redaction_refusals.inc();
            Error::malformed(format!("`data[{index}]` cannot be looked at for secrets: {refused}"))
        })?;
        Ok((redacted.content, redacted.findings))
    }

    fn put(&mut self, index: usize, redacted: Content) -> Result<(), Error> {
        // A name may be longer than what it stands for.
        if redacted.get().len() as u64 > self.max_item {
            return Err(Error::ItemTooLarge { index, max: self.max_item });
        }
        if let Change::Put(_, content) | Change::MergeModels(content) = &mut self.changes[index] {
            *content = redacted;
        }
        Ok(())
    }
}

/// A share's values and their names, as far as these are known.
struct Values {
    naming: Naming,
    share: ShareId,
    names: Names,
    /// Those without a name, by their kinds, in the order in which they were found.
    nameless: Vec<(Digest, String)>,
    /// All that ever were in that list.
    kinds: HashMap<Digest, String>,
}

impl Values {
    fn new(naming: Naming, share: ShareId) -> Self {
        Self { naming, share, names: Names::new(), nameless: Vec::new(), kinds: HashMap::new() }
    }

    fn digest(&self, value: &str) -> Digest {
        self.naming.digest(&self.share, value)
    }
}

impl Namer for Values {
    fn number(&mut self, kind: &str, value: &str) -> u64 {
        let digest = self.digest(value);
        if let Some(Name { number, .. }) = self.names.get(&digest) {
            return *number;
        }
        // There is no room for more of them anyway.
        if self.kinds.len() < MAX_NAMES && !self.kinds.contains_key(&digest) {
            self.kinds.insert(digest, kind.to_owned());
            self.nameless.push((digest, kind.to_owned()));
        }
        UNNUMBERED
    }

    fn first_kind(&mut self, value: &str) -> Option<String> {
        let digest = self.digest(value);
        self.names.get(&digest).map(|name| &name.kind).or_else(|| self.kinds.get(&digest)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::store::Store;

    fn looked(report: bool, items: &[String]) -> (Result<(), Error>, Vec<Change>) {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(&dir.path().join("data")).unwrap();
        let changes = items.iter().map(|json| {
            let data = RawValue::from_string(json.clone()).unwrap();
            Change::from_item("part", &data, "data[0]").unwrap()
        });
        let mut look = Look {
            net: of_level(Level::Shapes).unwrap(),
            values: Values::new(store.naming().clone(), ShareId::random().unwrap()),
            max_item: 1000,
            report,
            changes: changes.collect(),
            originals: Vec::new(),
            found: 0,
        };
        let found = look.find();
        store.close();
        (found, look.changes)
    }

    fn part(text: &str) -> String {
        format!(r#"{{"id":"p","messageID":"m","n":1.50,"text":{text}}}"#)
    }

    #[test]
    fn what_cannot_be_looked_at_is_refused_and_its_place_is_named() {
        let deep = part(&format!("{}{}", "[".repeat(200), "]".repeat(200)));
        let (refused, _) = looked(false, &[part("\"a\""), deep.clone()]);
        let Err(Error::Malformed(message)) = refused else { panic!("{refused:?}") };
        assert_eq!(message, "`data[1]` cannot be looked at for secrets: it is nested too deeply");
        assert!(looked(true, &[deep]).0.is_ok());
    }

    #[test]
    fn an_item_that_names_make_too_large_is_refused() {
        let key = |n: usize| {
            let mut random = fastrand::Rng::with_seed(n as u64);
            let body = (0..16).map(|_| *random.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").unwrap() as char);
            format!("AK{}{}", "IA", body.collect::<String>())
        };
        let keys = |count| part(&format!("{:?}", (0..count).map(key).collect::<Vec<_>>().join(" ")));
        let (taken, changes) = looked(false, &[keys(1)]);
        let Change::Put(_, content) = &changes[0] else { panic!("{changes:?}") };
        assert_eq!((taken, content.get()), (Ok(()), &*part(r#""[redacted:aws-access-key-0]""#)));
        assert!(keys(44).len() < 1000);
        assert_eq!(looked(false, &[keys(44)]).0, Err(Error::ItemTooLarge { index: 0, max: 1000 }));
    }
}
