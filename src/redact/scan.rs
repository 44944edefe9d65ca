//! What is secret of one text: where, what to call it, and which value it is.

use super::checks::{Check, Place, crc62, decoded, is_randomish};
use super::known::KnownValues;
use super::rules::{Level, Mode, Rule, Rules};
use super::secret_files::{self, Source};
use super::views::{View, hex};

/// Bytes that a block may have from its head to its end.
pub(super) const MAX_BLOCK: usize = 20 << 10;

/// What every key in PEM begins with.
const PEM_HEAD: &[u8] = b"-----BEGIN ";

/// Lines of `Name: value` before the first of base64.
const MAX_HEADS: usize = 8;

/// Bytes behind a keyword that are looked at for a rule that is sought around it.
const BEHIND: usize = 700;

/// The shortest and the longest run of base64 that is decoded.
const MIN_RUN: usize = 24;
const MAX_RUN: usize = 100_000;

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Of two findings in one place the lower one names it
    rank: usize,
    pub(super) kind: String,
    pub(super) value: String,
    /// Its shape or its value says so, not the name beside it
    pub(super) sure: bool,
}

/// What is known of a text beside itself.
#[derive(Clone, Copy, Default)]
pub(super) struct About<'a> {
    pub(super) known: &'a [&'a KnownValues],
    /// It came out of a file or a command that holds secrets
    pub(super) source: Option<Source>,
    /// The name of the field that it is the value of
    pub(super) field: Option<&'a str>,
}

/// Makes a view of a view, where there is something to decode.
type Step = fn(&View) -> Option<View<'static>>;

/// Ranks: known values before shapes before what secret files say before what stands beside names.
const SHAPE: usize = 1;
const FILE: usize = 1 << 20;
const CONTEXT: usize = 1 << 21;
const RANDOM: usize = 1 << 22;

impl Rules {
    /// All findings in a text, in their order, none over another, none over a placeholder.
    pub(super) fn findings(&self, text: &str, about: About, level: Level) -> Vec<Span> {
        let bytes = text.as_bytes();
        let mut spans = Vec::new();
        let base = View::of(bytes);
        self.scan(&base, about.known, &mut spans);
        self.decoded(base, about.known, &mut spans);
        self.runs(bytes, about.known, level, &mut spans);
        if let Some(source) = about.source.filter(|_| level > Level::Shapes) {
            secret_files::values(bytes, source, |name, start, end| {
                let kind = kind_beside(name, about.known);
                spans.push(Span {
                    start,
                    end,
                    rank: FILE,
                    kind,
                    value: lossy(&bytes[start..end]),
                    sure: false,
                });
            });
        }
        if let Some(field) = about.field.filter(|field| super::known::sounds_secret(field)) {
            self.beside(field, text, &mut spans);
        }
        merged(text, spans)
    }

    /// A value as it would be found beside its field's name, were the object a text.
    fn beside(&self, field: &str, text: &str, spans: &mut Vec<Span>) {
        if field.len() > 64 || text.len() > BEHIND || text.contains(['\n', '"']) {
            return;
        }
        let joined = format!("{field}=\"{text}\"");
        let offset = field.len() + 2;
        let mut found = Vec::new();
        self.scan(&View::of(joined.as_bytes()), &[], &mut found);
        let within = |span: &Span| span.start >= offset && span.end <= offset + text.len();
        spans.extend(found.into_iter().filter(within).map(|span| Span {
            start: span.start - offset,
            end: span.end - offset,
            ..span
        }));
    }

    /// One view after the other, each made of the last: colours of a terminal in JSON in JSON are found as well.
    fn decoded(&self, base: View, known: &[&KnownValues], spans: &mut Vec<Span>) {
        const ANSI: Step = |view| view.without_ansi();
        const ESCAPES: Step = |view| view.unescaped();
        const PERCENT: Step = |view| view.percent_decoded();
        let mut view = base;
        for step in [ANSI, ESCAPES, ANSI, ESCAPES, PERCENT] {
            if let Some(next) = step(&view) {
                self.scan(&next, known, spans);
                view = next;
            }
        }
    }

    fn scan(&self, view: &View, known: &[&KnownValues], spans: &mut Vec<Span>) {
        let text = &*view.text;
        let mut push = |start: usize, end: usize, rank, kind: &str, value: String, sure| {
            let (start, end) = view.original(start, end);
            spans.push(Span { start, end, rank, kind: kind.to_owned(), value, sure });
        };
        for values in known {
            for found in values.matches(text) {
                push(found.start, found.end, 0, found.kind, found.value.to_owned(), true);
            }
        }
        // What a rule looked at already: no byte is matched by it twice.
        let mut done = vec![0; self.table.len()];
        let mut near: Vec<(usize, usize, usize)> = Vec::new();
        self.hits(text, |start, end, rules| {
            for nth in rules {
                let rule = &self.table[*nth];
                if start < done[*nth] {
                    continue;
                }
                let rank = if rule.shape { SHAPE } else { CONTEXT } + nth;
                match rule.mode {
                    Mode::Near => {
                        let window = (start.saturating_sub(rule.before), (end + BEHIND).min(text.len()));
                        match near.iter_mut().rfind(|(of, ..)| of == nth) {
                            Some((_, _, until)) if *until >= window.0 => *until = window.1,
                            _ => near.push((*nth, window.0, window.1)),
                        }
                    }
                    Mode::Block => {
                        if let Some(block) = block(text, start, rule) {
                            done[*nth] = block;
                            push(start, block, rank, &rule.id, lossy(&text[start..block]), true);
                        }
                    }
                    Mode::Token | Mode::Here => {
                        let Some(begin) = start.checked_sub(rule.before) else { continue };
                        if rule.vendor && !self.follows_vendor(&text[..start]) {
                            continue;
                        }
                        let Some(found) = at(text, begin, start, rule) else { continue };
                        done[*nth] = found.end;
                        if let Some(value) = found.value {
                            push(found.start, found.end, rank, &rule.id, value, rule.shape && found.sure);
                        }
                    }
                }
            }
        });
        for (nth, start, end) in near {
            let rule = &self.table[nth];
            let rank = if rule.shape { SHAPE } else { CONTEXT } + nth;
            for captures in rule.regex.captures_iter(&text[start..end]) {
                let Some(group) = captures.get(rule.group) else { continue };
                let place = Place { text, keyword: start + group.start(), value: group.as_bytes() };
                if !group.is_empty() && rule.checks.iter().all(|check| check.passes(place)) {
                    let value = lossy(group.as_bytes());
                    push(start + group.start(), start + group.end(), rank, &rule.id, value, rule.shape);
                }
            }
        }
    }

    /// Runs of base64 that are text: all of a run goes, when something in it is secret.
    fn runs(&self, text: &[u8], known: &[&KnownValues], level: Level, spans: &mut Vec<Span>) {
        for (start, end) in runs(text) {
            let run = &text[start..end];
            if level == Level::Strict && run.len() <= 512 && looks_random(run) {
                let value = lossy(run);
                spans.push(Span { start, end, rank: RANDOM, kind: "random".into(), value, sure: false });
            }
            if run.len() > MAX_RUN || !decoded(&run[..MIN_RUN]).is_some_and(|head| is_text(&head)) {
                continue;
            }
            let Some(inside) = decoded(run) else { continue };
            let mut found = Vec::new();
            let view = View::of(&inside);
            self.scan(&view, known, &mut found);
            if let Some(unescaped) = view.unescaped() {
                self.scan(&unescaped, known, &mut found);
            }
            if let Some(first) = found.into_iter().min_by_key(|span| (span.rank, span.start)) {
                let padding = text[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
                spans.push(Span { start, end: end + padding, ..first });
            }
        }
    }

    /// Whether a text has a keyword.
    pub(super) fn has_keyword(&self, text: &str) -> bool {
        let mut has = false;
        self.hits(text.as_bytes(), |_, _, _| has = true);
        has
    }
}

/// What a value beside a name is called. What stands where a name would may be secret itself: then nothing tells it.
fn kind_beside(name: &[u8], known: &[&KnownValues]) -> String {
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') && !is_randomish(name);
    if plain && known.iter().all(|values| values.matches(name).is_empty()) {
        super::known::kind_of_variable(&lossy(name))
    } else {
        "env-value".into()
    }
}

/// What a rule says of one place.
struct Found {
    start: usize,
    end: usize,
    /// Nothing, when a check refuses it
    value: Option<String>,
    sure: bool,
}

/// Tries a regex at a place.
fn at(text: &[u8], begin: usize, keyword: usize, rule: &Rule) -> Option<Found> {
    let token = rule.mode == Mode::Token;
    if token && !begins_word(text, begin) || rule.whole && text[..begin].ends_with(b"-") {
        return None;
    }
    let nowhere = Place { text, keyword, value: b"" };
    if !rule.checks.iter().all(|check| !check.is_of_place() || check.passes(nowhere)) {
        return None;
    }
    let window = &text[begin..(begin + rule.reach).min(text.len())];
    let (whole, group) = if rule.group == 0 {
        let whole = rule.regex.find(window)?;
        (whole, whole)
    } else {
        let captures = rule.regex.captures(window)?;
        (captures.get(0)?, captures.get(rule.group)?)
    };
    if group.is_empty() {
        return None;
    }
    let (start, end) = (begin + group.start(), begin + group.end());
    let overlong = token && text.get(begin + whole.end()).is_some_and(u8::is_ascii_alphanumeric);
    let value = group.as_bytes();
    let place = Place { text, keyword, value };
    let passes = !overlong && rule.checks.iter().all(|check| check.passes(place));
    let sure = !rule.checks.contains(&Check::Crc62) || crc62(value);
    Some(Found { start, end, value: passes.then(|| lossy(value)), sure })
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Whether a word may begin at a place: no letter and no digit stands before it, except as the end of an escape.
fn begins_word(text: &[u8], at: usize) -> bool {
    match at.checked_sub(1).map(|before| text[before]) {
        Some(byte) if byte.is_ascii_alphanumeric() || byte == b'_' => ends_escape(text, at),
        _ => true,
    }
}

/// Whether an escape ends before a place: `\n`, `\u001b`, `%3D`, `ESC[32m`.
pub(super) fn ends_escape(text: &[u8], at: usize) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(|digit| hex(*digit).is_some());
    match &text[at.saturating_sub(6)..at] {
        [.., b'\\', b'n' | b't' | b'r' | b'b' | b'f'] => true,
        [b'\\', b'u', digits @ ..] if digits.len() == 4 && is_hex(digits) => true,
        [.., b'%', high, low] if is_hex(&[*high, *low]) => true,
        [.., b'm'] => {
            let codes = text[..at - 1]
                .iter()
                .rev()
                .take(16)
                .take_while(|byte| byte.is_ascii_digit() || **byte == b';');
            let head = &text[..at - 1 - codes.count()];
            let escapes: [&[u8]; 6] = [b"\x1b[", b"\\u001b[", b"\\x1b[", b"\\x1B[", b"\\033[", b"\\e["];
            escapes.iter().any(|escape| head.ends_with(escape))
        }
        _ => false,
    }
}

/// Where a block ends that begins at a place: with the line of its END, or where its lines of base64 end. Templates in
/// code, which have no such line, are no block.
fn block(text: &[u8], start: usize, rule: &Rule) -> Option<usize> {
    let head = rule.regex.find(&text[start..(start + 128).min(text.len())])?;
    let body = start + head.end();
    let window = &text[body..(body + MAX_BLOCK).min(text.len())];
    // Another head ends it: no byte is looked at for two blocks.
    let pem = text[start..].starts_with(PEM_HEAD);
    let next: &[u8] = if pem { PEM_HEAD } else { &text[start..body] };
    let window = &window[..memchr::memmem::find(window, next).unwrap_or(window.len())];
    if let Some(end) = memchr::memmem::find(window, b"-----END ").filter(|_| pem) {
        let tail = &window[end + 9..(end + 90).min(window.len())];
        let closed = memchr::memmem::find(tail, b"-----").map_or(0, |at| at + 5);
        return has_base64(&window[..end]).then_some(body + end + 9 + closed);
    }
    let end = base64_lines(window);
    has_base64(&window[..end]).then_some(body + end)
}

/// Whether there are 32 characters of base64 in a row.
fn has_base64(text: &[u8]) -> bool {
    text.split(|byte| !is_base64(*byte)).any(|run| run.len() >= 32)
}

/// How far lines go that are one word of base64 each, or a `Name: value` of a block's head, behind whatever prefix.
fn base64_lines(text: &[u8]) -> usize {
    let (mut at, mut end, mut begun, mut heads) = (0, 0, false, 0);
    while at < text.len() {
        let rest = &text[at..];
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\\')).unwrap_or(rest.len());
        let next = match &rest[length..] {
            [b'\\', b'r', b'\\', b'n', ..] => length + 4,
            [b'\\', b'n', ..] => length + 2,
            [b'\n', ..] => length + 1,
            _ => rest.len(),
        };
        let line = &rest[..length];
        let is_prefix = |byte: &u8| byte.is_ascii_digit() || b" \t\r|+->\"'".contains(byte);
        let body = line.iter().position(|byte| !is_prefix(byte)).unwrap_or(line.len());
        // A line of base64 may begin with a digit.
        let body = line[..body]
            .iter()
            .rposition(|byte| !byte.is_ascii_digit() && *byte != b'+')
            .map_or(0, |at| at + 1);
        let run = line[body..].iter().take_while(|byte| is_base64(**byte) || **byte == b'=').count();
        let behind = &line[body + run..];
        // The last line is as long as it is.
        let last = run < 16;
        let is_line = !last || (begun && run > 0 && behind.is_empty());
        let is_head = !begun && (line[body..].is_empty() || memchr::memmem::find(line, b": ").is_some());
        if is_line {
            begun = true;
            end = at + body + run;
            if last || !behind.iter().all(|byte| b" \r\"',".contains(byte)) {
                break;
            }
        } else {
            heads += 1;
            if !is_head || heads > MAX_HEADS {
                break;
            }
        }
        at += next;
    }
    end
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// What a run of either alphabet of base64 is of.
const IS_RUN: [bool; 256] = {
    let mut is_run = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        is_run[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
        byte += 1;
    }
    is_run
};

/// Runs of either alphabet of base64, without padding.
fn runs(text: &[u8]) -> Vec<(usize, usize)> {
    let is_run = |byte: u8| IS_RUN[usize::from(byte)];
    let (mut found, mut at) = (Vec::new(), 0);
    // A run of this length has a character of it at every such step.
    while let Some(probe) = text.get(at + MIN_RUN - 1) {
        if !is_run(*probe) {
            at += MIN_RUN;
            continue;
        }
        let before = text[at..at + MIN_RUN - 1].iter().rev().take_while(|byte| is_run(**byte)).count();
        let start = at + MIN_RUN - 1 - before;
        let behind = text[at + MIN_RUN - 1..].iter().take_while(|byte| is_run(**byte)).count();
        let end = at + MIN_RUN - 1 + behind;
        if end - start >= MIN_RUN {
            found.push((start, end));
        }
        at = end;
    }
    found
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| (b' '..0x7f).contains(byte) || matches!(byte, b'\n' | b'\r' | b'\t'))
}

/// Whether a run looks drawn at random: what entropy alone can say.
fn looks_random(run: &[u8]) -> bool {
    let place = Place { text: run, keyword: 0, value: run };
    run.len() >= 32
        && [Check::Mixed, Check::Randomish, Check::Entropy(4.5)].iter().all(|check| check.passes(place))
}

/// Findings in their order, those over each other as one, which the lowest rank names.
fn merged(text: &str, mut spans: Vec<Span>) -> Vec<Span> {
    if spans.is_empty() {
        return spans;
    }
    let placeholders = placeholders(text);
    for span in &mut spans {
        while !text.is_char_boundary(span.start) {
            span.start -= 1;
        }
        while !text.is_char_boundary(span.end) {
            span.end += 1;
        }
    }
    spans.retain(|span| {
        let next = placeholders.partition_point(|(_, end)| *end <= span.start);
        span.start < span.end && placeholders.get(next).is_none_or(|(start, _)| *start >= span.end)
    });
    spans.sort_by_key(|span| (span.start, span.rank));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => {
                let (start, end) = (last.start, last.end.max(span.end));
                if span.rank < last.rank {
                    *last = span;
                }
                (last.start, last.end) = (start, end);
            }
            _ => merged.push(span),
        }
    }
    merged
}

/// Where placeholders stand.
fn placeholders(text: &str) -> Vec<(usize, usize)> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let bytes = text.as_bytes();
    let found = memchr::memmem::find_iter(bytes, super::PLACEHOLDER).filter_map(|start| {
        let body = start + super::PLACEHOLDER.len();
        let length = bytes[body..].iter().take(super::MAX_KIND + 24).take_while(|byte| plain(byte)).count();
        (length > 0 && bytes.get(body + length) == Some(&b']')).then_some((start, body + length + 1))
    });
    found.collect()
}
