//! Secrets out of items: pure, over an item's JSON as it is written. What has no finding keeps its bytes.
//!
//! A string is unescaped and looked at: for values that are known ([`KnownValues`]), for shapes and for what stands
//! beside names (`rules.toml`), as it is and as it reads after decoding. What is found gives way to
//! `[redacted:KIND-N]`; which N, the caller says ([`Namer`]), who alone knows what a session had before. What cannot be
//! looked at is refused.

mod checks;
mod credentials;
mod digest;
mod growing;
mod home;
mod item;
mod json;
mod known;
mod needles;
mod rules;
mod scan;
mod secret_files;
mod settings;
#[cfg(test)]
mod tests;
mod views;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::model::Content;
use home::Home;
use json::{raw_places, spliced, unescaped};
use rules::Rules;
use scan::{About, Span};

pub use credentials::{credentials, variables};
pub use digest::{Digest, Digester};
pub use growing::Growing;
pub use known::{Known, KnownValues};
pub use rules::{Level, OwnRule};
pub use settings::Settings;

/// Characters of a kind in a placeholder.
const MAX_KIND: usize = 40;

/// What a placeholder begins with.
const PLACEHOLDER: &[u8] = b"[redacted:";

/// How often a text is looked at until nothing is found any more: what gave way may have hidden where a word begins.
const MAX_PASSES: usize = 8;

/// What is sought, for all sessions.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How far a finding is to be believed
    pub level: Level,
    /// The owner's home directory, which becomes `~`
    pub home: Option<String>,
    /// Addresses of mail are secret
    pub emails: bool,
    /// What is let through: values, or `sha256:` and the hex digest of one
    pub allow: Vec<String>,
    /// The owner's rules
    pub rules: Vec<OwnRule>,
}

/// A rule, or an option, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("redaction rule `{rule}`: {reason}")]
pub struct RuleError {
    rule: String,
    reason: String,
}

impl RuleError {
    fn new(rule: &str, reason: String) -> Self {
        Self { rule: rule.to_owned(), reason }
    }
}

/// An item that cannot be looked at, and so must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No JSON
    #[error("it is not JSON")]
    NotJson,
    /// Objects and lists in each other, too many to be looked at
    #[error("it is nested too deeply")]
    TooDeep,
}

impl From<json::TooDeep> for Refused {
    fn from(_: json::TooDeep) -> Self {
        Self::TooDeep
    }
}

/// Numbers the values of a session: the same value has the same number, whenever and wherever it is found.
pub trait Namer {
    /// The number of a value of a kind; from 1.
    fn number(&mut self, kind: &str, value: &str) -> u64;

    /// The kind that a value had when it was first found, whatever found it.
    fn first_kind(&mut self, _value: &str) -> Option<String> {
        None
    }

    /// Whether the owner lets a value through.
    fn allows(&mut self, _value: &str) -> bool {
        false
    }
}

impl<F: FnMut(&str, &str) -> u64> Namer for F {
    fn number(&mut self, kind: &str, value: &str) -> u64 {
        self(kind, value)
    }
}

/// What is known beside an item.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// Values that are known to be secret
    pub known: &'a [&'a KnownValues],
    /// What is shown of the text of a part that is not finished
    pub growing: Growing,
}

/// What was found, without the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule or the variable
    pub kind: String,
    /// Its number among the values of its kind, as the [`Namer`] gave it
    pub number: u64,
    /// The fields that lead to it: `state/output`
    pub place: String,
    /// How often it stands there
    pub count: usize,
    /// Its shape or its value says that it is secret; else the name beside it does
    pub sure: bool,
}

/// An item without its secrets.
#[derive(Debug)]
pub struct Redacted {
    /// The same item when nothing had to change
    pub content: Content,
    /// What was found
    pub findings: Vec<Finding>,
    /// Bytes of its texts that wait, because they still grow
    pub held: usize,
}

/// Takes secrets out of items. Building takes tens of milliseconds: once for a process, shared by all threads.
pub struct Redactor {
    rules: Rules,
    level: Level,
    home: Option<Home>,
    allowed: HashSet<String>,
    allowed_digests: HashSet<[u8; 32]>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Redactor {
    /// Builds all rules; fails with the first that cannot be used.
    pub fn new(options: Options) -> Result<Self, RuleError> {
        let Options { level, home, emails, allow, rules } = options;
        let mut redactor = Self {
            rules: Rules::new(level, &rules, emails)?,
            level,
            home: home.as_deref().and_then(Home::new),
            allowed: HashSet::new(),
            allowed_digests: HashSet::new(),
        };
        for allowed in allow {
            if let Some(digest) = allowed.strip_prefix("sha256:") {
                let digest = digest_of(digest)
                    .ok_or_else(|| RuleError::new("allow", "`sha256:` needs 64 hexadecimal digits".into()))?;
                redactor.allowed_digests.insert(digest);
            } else {
                redactor.allowed.insert(allowed);
            }
        }
        Ok(redactor)
    }

    /// An item without its secrets.
    pub fn item(
        &self,
        item: &Content,
        context: &Context,
        namer: &mut dyn Namer,
    ) -> Result<Redacted, Refused> {
        let (text, Findings { found, held, .. }) = self.within(item.get(), context, namer)?;
        let kept = match text {
            Some(text) => RawValue::from_string(text).map(Arc::from).map_err(|_| Refused::NotJson)?,
            None => item.clone(),
        };
        Ok(Redacted { content: kept, findings: listed(found), held })
    }

    /// JSON that nobody has read yet, such as a line of a transcript, without its secrets.
    pub fn json(&self, json: &str, context: &Context, namer: &mut dyn Namer) -> Result<Redacted, Refused> {
        let item = serde_json::from_str::<Box<RawValue>>(json).map_err(|_| Refused::NotJson)?;
        self.item(&Arc::from(item), context, namer)
    }

    /// A text that is no JSON, such as a title, without its secrets.
    pub fn text(&self, text: &str, context: &Context, namer: &mut dyn Namer) -> (String, Vec<Finding>) {
        let mut findings = Findings::default();
        let about = About { known: context.known, ..About::default() };
        let mut looked = Look { redactor: self, namer, findings: &mut findings };
        let redacted = looked.plain(text, about).unwrap_or_else(|| text.to_owned());
        (redacted, listed(findings.found))
    }

    fn allows(&self, value: &str) -> bool {
        self.allowed.contains(value)
            || (!self.allowed_digests.is_empty()
                && self.allowed_digests.contains(&<[u8; 32]>::from(Sha256::digest(value.as_bytes()))))
    }
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let digits = hex.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (nth, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(nth * 2..nth * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// By kind, number and place: how often, and whether it is sure.
type Found = BTreeMap<(String, u64, String), (usize, bool)>;

#[derive(Default)]
struct Findings {
    found: Found,
    place: String,
    held: usize,
}

fn listed(found: Found) -> Vec<Finding> {
    let listed = found.into_iter().map(|((kind, number, place), (count, sure))| Finding {
        kind,
        number,
        place,
        count,
        sure,
    });
    listed.collect()
}

/// One look at the strings of an item.
struct Look<'a, 'n> {
    redactor: &'a Redactor,
    namer: &'n mut dyn Namer,
    findings: &'n mut Findings,
}

impl Look<'_, '_> {
    /// A string as it stands in JSON, without its secrets; `None` when it has none.
    fn string(&mut self, raw: &str, about: About) -> Option<String> {
        let mut changed: Option<String> = None;
        for _ in 0..MAX_PASSES {
            let raw = changed.as_deref().unwrap_or(raw);
            let text = unescaped(raw);
            let edits = self.edits(&text, about);
            if edits.is_empty() {
                break;
            }
            let places = raw_places(raw, edits.iter().flat_map(|(start, end, _)| [*start, *end]));
            let edits =
                edits.into_iter().zip(places.chunks_exact(2)).map(|((.., by), at)| (at[0], at[1], by));
            changed = Some(spliced(raw, edits));
        }
        changed
    }

    /// A text without its secrets; `None` when it has none.
    fn plain(&mut self, text: &str, about: About) -> Option<String> {
        let mut changed: Option<String> = None;
        for _ in 0..MAX_PASSES {
            let text = changed.as_deref().unwrap_or(text);
            let edits = self.edits(text, about);
            if edits.is_empty() {
                break;
            }
            changed = Some(spliced(text, edits));
        }
        changed
    }

    /// What is to be replaced in a text.
    fn edits(&mut self, text: &str, about: About) -> Vec<(usize, usize, Cow<'static, str>)> {
        let Redactor { rules, level, home, .. } = self.redactor;
        let mut edits = Vec::new();
        for Span { start, end, kind, value, sure, .. } in rules.findings(text, about, *level) {
            let allowed = self.redactor.allows(&value) || self.redactor.allows(&text[start..end]);
            if allowed || self.namer.allows(&value) {
                continue;
            }
            let kind = self.namer.first_kind(&value).unwrap_or(kind);
            let number = self.namer.number(&kind, &value);
            edits.push((start, end, Cow::Owned(format!("[redacted:{kind}-{number}]"))));
            let place = self.findings.place.clone();
            self.findings.found.entry((kind, number, place)).or_insert((0, sure)).0 += 1;
        }
        if let Some(home) = home {
            let mut paths = Vec::new();
            home.places(text.as_bytes(), |start, end, by| paths.push((start, end, Cow::Borrowed(by))));
            if !paths.is_empty() {
                edits.extend(paths);
                // Of two in one place the secret stays: it is the first, or the longer.
                edits.sort_by_key(|(start, end, by)| {
                    (*start, matches!(by, Cow::Borrowed(_)), std::cmp::Reverse(*end))
                });
                edits = without_overlaps(edits);
            }
        }
        edits
    }
}

/// Secrets go before paths that they stand in or over.
fn without_overlaps<'a>(edits: Vec<(usize, usize, Cow<'a, str>)>) -> Vec<(usize, usize, Cow<'a, str>)> {
    let mut kept: Vec<(usize, usize, Cow<'a, str>)> = Vec::with_capacity(edits.len());
    for edit in edits {
        match kept.last() {
            Some((_, end, by)) if edit.0 < *end => {
                if matches!((by, &edit.2), (Cow::Borrowed(_), Cow::Owned(_))) {
                    kept.pop();
                    kept.push(edit);
                }
            }
            _ => kept.push(edit),
        }
    }
    kept
}
