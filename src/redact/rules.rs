//! The rules: what a secret looks like, built once from `rules.toml` and from what the owner adds.

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::RuleError;
use super::checks::Check;

/// Bytes that a built regex may take.
const MAX_REGEX: usize = 1 << 20;

/// The shortest keyword of an owner's rule: what is shorter stands everywhere.
const MIN_KEYWORD: usize = 3;

/// Bytes from a match's begin on that a regex looks at, unless its rule says otherwise.
const REACH: usize = 1024;

/// Bytes before its keyword that an owner's rule looks at.
const OWN_BEFORE: usize = 256;

/// Bytes before a keyword in which a vendor's name may begin.
const VENDOR_BEFORE: usize = 48;

/// How far a finding is to be believed, and which rules there are at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Values of a shape that says whose they are
    Shapes,
    /// And values beside a name, known values, secret files
    #[default]
    Normal,
    /// And long words that look random, whatever stands beside them
    Strict,
}

/// A rule of the owner's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnRule {
    /// What a placeholder calls it
    pub id: String,
    /// One of these stands in or near the value; each of at least 3 characters
    pub keywords: Vec<String>,
    /// Sought around the keyword
    pub regex: String,
    /// The group that is secret; 0 is all that matches
    #[serde(default)]
    pub group: usize,
}

/// Where a regex is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// At the keyword, as a word of its own
    #[default]
    Token,
    /// At the keyword
    Here,
    /// Around the keyword
    Near,
    /// At the keyword: the head of a block
    Block,
}

pub(super) struct Rule {
    pub(super) id: String,
    pub(super) mode: Mode,
    pub(super) regex: Regex,
    pub(super) group: usize,
    pub(super) before: usize,
    pub(super) whole: bool,
    pub(super) reach: usize,
    pub(super) checks: Vec<Check>,
    /// Before its keyword stands a vendor's name
    pub(super) vendor: bool,
    /// It has a shape of its own
    pub(super) shape: bool,
}

pub(super) struct Rules {
    pub(super) table: Vec<Rule>,
    keywords: DFA,
    /// By keyword: the rules that have it
    by_keyword: Vec<Vec<usize>>,
    words: Vec<String>,
    vendors: AhoCorasick,
}

#[derive(Deserialize)]
struct Table {
    rule: Vec<Entry>,
    context: Vec<Entry>,
    vendors: Vendors,
}

#[derive(Deserialize)]
struct Vendors {
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    keywords: Vec<String>,
    #[serde(default)]
    vendor: bool,
    #[serde(default)]
    mode: Mode,
    regex: String,
    #[serde(default)]
    group: usize,
    #[serde(default)]
    before: usize,
    #[serde(default)]
    whole: bool,
    #[serde(default = "reach")]
    reach: usize,
    #[serde(default)]
    check: Vec<String>,
}

fn reach() -> usize {
    REACH
}

impl Rules {
    /// The rules of a level and the owner's, which stand before all others.
    pub(super) fn new(level: Level, own: &[OwnRule], emails: bool) -> Result<Self, RuleError> {
        let table: Table = toml::from_str(include_str!("rules.toml"))
            .map_err(|error| RuleError::new("rules.toml", error.to_string()))?;
        let mut entries = Vec::new();
        for rule in own {
            entries.push((own_entry(rule)?, true));
        }
        entries.extend(table.rule.into_iter().map(|entry| (entry, true)));
        if level > Level::Shapes {
            entries.extend(table.context.into_iter().map(|entry| (entry, false)));
        }
        if emails {
            entries.push((emails_entry(), false));
        }
        let (mut words, mut by_keyword, mut rules) =
            (Vec::<String>::new(), Vec::<Vec<usize>>::new(), Vec::new());
        let mut places = std::collections::HashMap::new();
        for (nth, (mut entry, shape)) in entries.into_iter().enumerate() {
            for keyword in std::mem::take(&mut entry.keywords) {
                let place = *places.entry(keyword.clone()).or_insert_with(|| {
                    words.push(keyword);
                    by_keyword.push(Vec::new());
                    words.len() - 1
                });
                by_keyword[place].push(nth);
            }
            rules.push(built(entry, shape)?);
        }
        let keywords = DFA::builder()
            .match_kind(MatchKind::Standard)
            .build(&words)
            .map_err(|error| RuleError::new("keywords", error.to_string()))?;
        let vendors = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .ascii_case_insensitive(true)
            .build(&table.vendors.names)
            .map_err(|error| RuleError::new("vendors", error.to_string()))?;
        Ok(Self { table: rules, keywords, by_keyword, words, vendors })
    }

    /// Calls with each keyword in a text: where it begins and ends, and the rules that have it. Its own loop over the
    /// automaton's states: an iterator that keeps its place between any two of them takes half as long again.
    pub(super) fn hits(&self, text: &[u8], mut hit: impl FnMut(usize, usize, &[usize])) {
        let Ok(mut state) = self.keywords.start_state(Anchored::No) else { return };
        for (at, byte) in text.iter().enumerate() {
            state = self.keywords.next_state(Anchored::No, state, *byte);
            if !self.keywords.is_special(state) || !self.keywords.is_match(state) {
                continue;
            }
            for nth in 0..self.keywords.match_len(state) {
                let keyword = self.keywords.match_pattern(state, nth);
                let start = at + 1 - self.keywords.pattern_len(keyword);
                hit(start, at + 1, &self.by_keyword[keyword.as_usize()]);
            }
        }
    }

    /// Whether a vendor's name stands shortly before the end of a text, as the begin of a word, with nothing but words
    /// between.
    pub(super) fn follows_vendor(&self, text: &[u8]) -> bool {
        let joins = |byte: &&u8| byte.is_ascii_alphanumeric() || b" ._-".contains(byte);
        let length = text.iter().rev().take(VENDOR_BEFORE).take_while(joins).count();
        let (before, near) = text.split_at(text.len() - length);
        self.vendors.find_iter(near).any(|name| match near[..name.start()].last().or(before.last()) {
            Some(byte) => !byte.is_ascii_alphabetic() || near[name.start()].is_ascii_uppercase(),
            None => true,
        })
    }

    /// Whether a text ends with the begin of a keyword, of two characters at least.
    pub(super) fn begins_at_end(&self, text: &[u8]) -> bool {
        self.words.iter().any(|word| (2..word.len()).any(|length| text.ends_with(&word.as_bytes()[..length])))
    }
}

fn own_entry(rule: &OwnRule) -> Result<Entry, RuleError> {
    let error = |reason: &str| Err(RuleError::new(&rule.id, reason.to_owned()));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if rule.id.is_empty() || rule.id.len() > super::MAX_KIND || !rule.id.chars().all(plain) {
        return error("its id must be 1 to 40 of a-z, 0-9 and -");
    }
    if rule.keywords.is_empty() || rule.keywords.iter().any(|keyword| keyword.len() < MIN_KEYWORD) {
        return error("it needs keywords of at least 3 characters");
    }
    Ok(Entry {
        id: rule.id.clone(),
        keywords: rule.keywords.clone(),
        vendor: false,
        mode: Mode::Near,
        regex: rule.regex.clone(),
        group: rule.group,
        before: OWN_BEFORE,
        whole: false,
        reach: REACH,
        check: Vec::new(),
    })
}

fn emails_entry() -> Entry {
    Entry {
        id: "email".into(),
        keywords: vec!["@".into()],
        vendor: false,
        mode: Mode::Near,
        regex: r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}".into(),
        group: 0,
        before: 64,
        whole: false,
        reach: 400,
        check: Vec::new(),
    }
}

fn built(entry: Entry, shape: bool) -> Result<Rule, RuleError> {
    let pattern = match entry.mode {
        Mode::Near => entry.regex.clone(),
        Mode::Token | Mode::Here | Mode::Block => format!(r"\A(?:{})", entry.regex),
    };
    let regex = RegexBuilder::new(&pattern)
        .unicode(false)
        .size_limit(MAX_REGEX)
        .build()
        .map_err(|error| RuleError::new(&entry.id, error.to_string()))?;
    if entry.group >= regex.captures_len() {
        return Err(RuleError::new(&entry.id, format!("its regex has no group {}", entry.group)));
    }
    if regex.is_match(b"") {
        return Err(RuleError::new(&entry.id, "its regex matches an empty text".into()));
    }
    let checks = entry.check.iter().map(|name| Check::named(name));
    let checks = checks.collect::<Option<Vec<_>>>();
    let checks = checks.ok_or_else(|| RuleError::new(&entry.id, "it has an unknown check".into()))?;
    Ok(Rule {
        id: entry.id,
        mode: entry.mode,
        regex,
        group: entry.group,
        before: entry.before,
        whole: entry.whole,
        reach: entry.reach,
        checks,
        vendor: entry.vendor,
        shape,
    })
}
