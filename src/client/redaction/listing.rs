//! What was hidden, as people and programs are told: never a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{Locals, Names, written};
use super::session::{Found, Session};
use crate::model::Key;

/// Places that are listed of one value.
const MAX_PLACES: usize = 20;

/// What was hidden in a session, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redactions {
    /// By kind, how many values.
    pub hidden: BTreeMap<String, u64>,
    /// Each value.
    pub redactions: Vec<Hidden>,
}

/// A value that was hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// What it is.
    pub kind: String,
    /// Its number among the values of its kind.
    pub number: u64,
    /// What stands in its place.
    pub placeholder: String,
    /// How often it stood there.
    pub count: u64,
    /// Whether its shape or its value says that it is secret; else the name beside it does.
    pub sure: bool,
    /// What lets it through, as an entry of `allow`.
    pub allow: String,
    /// Where it stood, the first of these places.
    pub places: Vec<Place>,
}

/// Where a value stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The item, by its key.
    pub item: String,
    /// The fields that lead to it.
    pub field: String,
    /// The message that it belongs to.
    #[serde(rename = "messageID", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The tool whose call it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The file that the tool was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How often it stands there.
    pub count: u64,
}

/// What was found so far in a session that is looked through.
#[derive(Default)]
pub struct Inspection(Option<Box<Session>>);

impl Inspection {
    pub(super) fn session(&mut self, locals: &Locals) -> &mut Session {
        self.0
            .get_or_insert_with(|| Box::new(Session::new(String::new(), Names::new(locals.clone(), []), [])))
    }

    /// What would be hidden.
    pub fn listed(&self) -> Redactions {
        self.0.as_ref().map_or_else(Redactions::default, |state| of(state.found(), state.names()))
    }
}

/// Lists what was found.
pub(super) fn of<'a>(found: impl Iterator<Item = (&'a Key, &'a Found)>, names: &Names) -> Redactions {
    let mut values = BTreeMap::<(&str, u64), Hidden>::new();
    let mut all: Vec<_> = found.collect();
    all.sort_by(|(a, x), (b, y)| (a.as_str(), &x.finding.place).cmp(&(b.as_str(), &y.finding.place)));
    let digests = names.digests();
    for (key, Found { finding, tool, file }) in all {
        let (kind, number) = (&*finding.kind, finding.number);
        let hidden = values.entry((kind, number)).or_insert_with(|| Hidden {
            kind: kind.to_owned(),
            number,
            placeholder: format!("[redacted:{kind}-{number}]"),
            count: 0,
            sure: false,
            allow: digests.get(&(kind, number)).map(|digest| written(digest)).unwrap_or_default(),
            places: Vec::new(),
        });
        let count = finding.count as u64;
        hidden.count += count;
        hidden.sure |= finding.sure;
        if hidden.places.len() < MAX_PLACES {
            hidden.places.push(Place {
                item: key.as_str().to_owned(),
                field: finding.place.clone(),
                message: key.message_id().or_else(|| key.parent_message_id()).map(ToOwned::to_owned),
                tool: tool.clone(),
                file: file.clone(),
                count,
            });
        }
    }
    let mut hidden = BTreeMap::new();
    for (kind, _) in values.keys() {
        *hidden.entry((*kind).to_owned()).or_default() += 1;
    }
    Redactions { hidden, redactions: values.into_values().collect() }
}
