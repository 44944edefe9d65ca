//! Which strings of an item are looked at, and what is known of each: its field, the file or the command that it came
//! out of, whether it still grows.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::growing::{Growing, ready};
use super::json::{Object, Strings, raw_places, spliced, strings, unescaped};
use super::scan::About;
use super::secret_files::{COMMANDS, PATHS, Source, of_command, of_path};
use super::{Context, Findings, Level, Look, Namer, Redactor, Refused, checks};

/// Fields whose values say what an item is, not what was said.
const UNTOUCHED: [&str; 12] = [
    "id",
    "sessionID",
    "messageID",
    "callID",
    "parentID",
    "type",
    "role",
    "mime",
    "hash",
    "snapshot",
    "providerID",
    "modelID",
];

/// Fields that hold what a tool was given.
const INPUTS: [&str; 5] = ["input", "args", "arguments", "parameters", "rawInput"];

/// Fields of a thought that only its model's provider can read.
const SIGNATURES: [&str; 5] =
    ["metadata", "providerMetadata", "signature", "encrypted_content", "encryptedContent"];

/// Bytes of a string that is too short for anything to be found in it.
const SHORT: usize = 4;

/// A replaced piece of an item's text.
type Edit<'a> = (usize, usize, Cow<'a, str>);

/// An item's strings and what they are about.
struct Item<'a> {
    json: &'a str,
    strings: Strings,
    /// By object: what it came out of
    sources: Vec<Option<Source>>,
}

impl Redactor {
    /// An item's text without its secrets; `None` when it is the same.
    pub(super) fn within(
        &self,
        json: &str,
        context: &Context,
        namer: &mut dyn Namer,
    ) -> Result<(Option<String>, Findings), Refused> {
        let item = Item::new(json, self.level)?;
        let grows = item.grows(context.growing);
        let dropped = item.signatures();
        let mut findings = Findings::default();
        let mut look = Look { redactor: self, namer, findings: &mut findings };
        let mut edits: Vec<Edit> = Vec::new();
        let mut next_dropped = dropped.iter().peekable();
        let mut secret_names = vec![false; item.strings.tokens.len()];
        for (nth, token) in item.strings.tokens.iter().enumerate() {
            while let Some((start, end)) = next_dropped.next_if(|(_, end)| *end <= token.start) {
                edits.push((*start, *end, "".into()));
            }
            let raw = &json[token.start..token.end];
            let field = item.field(token.field);
            let untouched = !token.is_name && field.is_some_and(|field| UNTOUCHED.contains(&field));
            let grows = grows.includes(&item, nth);
            let short = raw.len() < SHORT && !grows;
            if short || untouched || next_dropped.peek().is_some_and(|(start, _)| *start < token.start) {
                continue;
            }
            let says_what =
                !token.is_name && field.is_some_and(|field| is_of(field, &PATHS) || is_of(field, &COMMANDS));
            let about = About {
                known: context.known,
                source: token
                    .object
                    .and_then(|object| item.sources[object])
                    .filter(|_| !says_what && !token.is_name),
                field: field.filter(|_| !token.is_name),
            };
            let shown = if grows {
                let text = unescaped(raw);
                let ready = ready(&text, context.growing, about.source.is_some(), &self.rules, context.known);
                look.findings.held += text.len() - ready;
                &raw[..raw_places(raw, [ready]).first().copied().unwrap_or(raw.len())]
            } else {
                raw
            };
            look.findings.place.clear();
            let found = look.findings.found.len();
            let redacted = match attachment(raw) {
                Some(Attachment::Other) => None,
                Some(Attachment::Text { head, body }) => {
                    place(&item, nth, &secret_names, &mut look.findings.place);
                    look.plain(&body, about).map(|text| escaped(&format!("{head}{}", STANDARD.encode(text))))
                }
                None => {
                    place(&item, nth, &secret_names, &mut look.findings.place);
                    look.string(shown, about)
                }
            };
            secret_names[nth] = look.findings.found.len() > found;
            match redacted {
                Some(text) => edits.push((token.start, token.end, text.into())),
                None if shown.len() < raw.len() => {
                    edits.push((token.start + shown.len(), token.end, "".into()));
                }
                None => {}
            }
        }
        edits.extend(next_dropped.map(|(start, end)| (*start, *end, "".into())));
        Ok(((!edits.is_empty()).then(|| spliced(json, edits)), findings))
    }
}

/// A text as it stands in JSON, without the quotes.
fn escaped(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// What an address of the scheme `data` holds.
enum Attachment {
    /// Text, in base64, and what stands before that
    Text { head: String, body: String },
    /// Pictures, sound, whatever is no text
    Other,
}

fn attachment(raw: &str) -> Option<Attachment> {
    const HEAD: usize = 256;
    const TEXTS: [&str; 10] = [
        "json",
        "xml",
        "yaml",
        "toml",
        "javascript",
        "typescript",
        "x-sh",
        "sql",
        "x-www-form-urlencoded",
        "env",
    ];
    raw.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
    let comma = raw.bytes().take(HEAD).position(|byte| byte == b',')?;
    let head = unescaped(&raw[..=comma]).to_ascii_lowercase();
    let mime = head[5..].split([';', ',']).next().unwrap_or_default();
    let is_text =
        mime.is_empty() || mime.starts_with("text/") || TEXTS.iter().any(|kind| mime.ends_with(kind));
    if !is_text && mime.contains('/') {
        return Some(Attachment::Other);
    }
    // Percent-encoded it is read as any string is, and so is what is no base64.
    head.contains(";base64").then_some(())?;
    let body = checks::decoded(unescaped(&raw[comma + 1..]).trim_end_matches('=').as_bytes())?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Attachment::Text { head: unescaped(&raw[..=comma]).into_owned(), body })
}

fn is_of(field: &str, names: &[&str]) -> bool {
    names.contains(&field)
}

/// The fields that lead to a string; one that is no plain name, or has a secret in it, is a star.
fn place(item: &Item, nth: usize, secret: &[bool], place: &mut String) {
    let token = &item.strings.tokens[nth];
    let mut path = Vec::new();
    let (mut field, mut object) = (token.field, token.object);
    loop {
        if let Some(name) = field {
            let text = item.text(name);
            let plain = text.len() <= 24
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
            path.push(if plain && !secret[name] { text } else { "*" });
        }
        let Some(Object { field: above, parent }) = object.map(|object| &item.strings.objects[object]) else {
            break;
        };
        (field, object) = (*above, *parent);
    }
    path.reverse();
    *place = path.join("/");
}

impl<'a> Item<'a> {
    fn new(json: &'a str, level: Level) -> Result<Self, Refused> {
        let strings = strings(json)?;
        let mut item = Self { json, sources: vec![None; strings.objects.len()], strings };
        if level > Level::Shapes {
            item.find_sources();
        }
        Ok(item)
    }

    fn text(&self, token: usize) -> &'a str {
        let token = &self.strings.tokens[token];
        &self.json[token.start..token.end]
    }

    fn field(&self, name: Option<usize>) -> Option<&'a str> {
        name.map(|name| self.text(name))
    }

    /// What each object came out of: the file that it names, or the command; what a tool was given tells of the call.
    fn find_sources(&mut self) {
        for (nth, token) in self.strings.tokens.iter().enumerate().filter(|(_, token)| !token.is_name) {
            let (Some(field), Some(object)) = (self.field(token.field), token.object) else { continue };
            let source = if is_of(field, &PATHS) {
                of_path(&unescaped(self.text(nth)))
            } else if is_of(field, &COMMANDS) {
                of_command(&unescaped(self.text(nth)))
            } else {
                None
            };
            let Some(source) = source else { continue };
            self.sources[object].get_or_insert(source);
            let Object { field, parent } = &self.strings.objects[object];
            if let Some(parent) =
                parent.filter(|_| self.field(*field).is_some_and(|field| is_of(field, &INPUTS)))
            {
                self.sources[parent].get_or_insert(source);
            }
        }
        // Parents stand before what is in them.
        for nth in 0..self.sources.len() {
            let above = self.strings.objects[nth].parent.and_then(|parent| self.sources[parent]);
            self.sources[nth] = self.sources[nth].or(above);
        }
    }

    /// Where fields stand that are dropped, with the comma that goes with each.
    fn signatures(&self) -> Vec<(usize, usize)> {
        let tokens = &self.strings.tokens;
        // Of each thought: where its last field ended, and whether one before stays.
        let mut thoughts = HashMap::new();
        for (nth, token) in tokens.iter().enumerate().filter(|(_, token)| !token.is_name) {
            let is_type = self.field(token.field) == Some("type");
            if let Some(object) =
                token.object.filter(|_| is_type && ["reasoning", "thinking"].contains(&self.text(nth)))
            {
                thoughts.insert(object, (0, false));
            }
        }
        let mut dropped: Vec<(usize, usize)> = Vec::new();
        if thoughts.is_empty() {
            return dropped;
        }
        for (nth, token) in tokens.iter().enumerate().filter(|(_, token)| token.is_name) {
            let Some((end, stays)) = token.object.and_then(|object| thoughts.get_mut(&object)) else {
                continue;
            };
            if !SIGNATURES.contains(&self.text(nth)) {
                (*end, *stays) = (token.value_end, true);
                continue;
            }
            let range = if *stays {
                (*end, token.value_end)
            } else {
                (token.start - 1, self.after_comma(token.value_end))
            };
            *end = token.value_end;
            // One within another goes with it.
            if dropped.last().is_none_or(|(_, end)| *end <= range.0) {
                dropped.push(range);
            }
        }
        dropped
    }

    fn after_comma(&self, end: usize) -> usize {
        let rest = &self.json[end..];
        let behind = rest.trim_ascii_start();
        behind.strip_prefix(',').map_or(end, |behind| self.json.len() - behind.trim_ascii_start().len())
    }

    /// Which strings of a part still grow.
    fn grows(&self, growing: Growing) -> Grows {
        if growing == Growing::Done {
            return Grows::None;
        }
        let Some(root) = self.strings.objects.first().filter(|root| root.parent.is_none()).map(|_| 0) else {
            return Grows::None;
        };
        let below = |name: &str| {
            self.strings
                .objects
                .iter()
                .position(|object| object.parent == Some(root) && self.field(object.field) == Some(name))
        };
        match self.value(root, "type") {
            Some("text" | "reasoning") => {
                let end = below("time").and_then(|time| self.name(time, "end"));
                let ended = end.is_some_and(|name| {
                    let token = &self.strings.tokens[name];
                    !self.json[token.end..token.value_end].ends_with("null")
                });
                if ended { Grows::None } else { Grows::Text { root } }
            }
            Some("tool") => {
                let state = below("state");
                let status = state.and_then(|state| self.value(state, "status"));
                match (state, status) {
                    (Some(state), Some("pending" | "running")) => {
                        Grows::Tool { state, given: status == Some("running") }
                    }
                    _ => Grows::None,
                }
            }
            _ => Grows::None,
        }
    }

    /// The name of a field of an object.
    fn name(&self, object: usize, name: &str) -> Option<usize> {
        let tokens = self.strings.tokens.iter();
        tokens
            .enumerate()
            .position(|(nth, token)| token.is_name && token.object == Some(object) && self.text(nth) == name)
    }

    /// The value of a field of an object, when it is a text.
    fn value(&self, object: usize, name: &str) -> Option<&'a str> {
        let tokens = self.strings.tokens.iter().enumerate();
        let mut values = tokens.filter(|(_, token)| !token.is_name && token.object == Some(object));
        values.find(|(_, token)| self.field(token.field) == Some(name)).map(|(nth, _)| self.text(nth))
    }
}

/// Which strings of a part still grow.
enum Grows {
    None,
    /// Its text
    Text {
        root: usize,
    },
    /// What its tool says, and what the tool is given unless that is there whole
    Tool {
        state: usize,
        given: bool,
    },
}

impl Grows {
    fn includes(&self, item: &Item, nth: usize) -> bool {
        let token = &item.strings.tokens[nth];
        let field = item.field(token.field);
        match self {
            _ if token.is_name => false,
            Self::None => false,
            Self::Text { root } => token.object == Some(*root) && field == Some("text"),
            Self::Tool { state, given } => {
                let (mut object, mut top) = (token.object, field);
                while let Some(at) = object.filter(|object| object != state) {
                    let above = &item.strings.objects[at];
                    (object, top) = (above.parent, item.field(above.field));
                }
                let whole = *given && matches!(top, Some("input" | "title")) && field != Some("raw");
                // Ids are there whole: of a subagent's session, of a process.
                let is_id = field.is_some_and(|field| field.ends_with("Id") || field.ends_with("_id"));
                object.is_some() && top != Some("status") && !whole && !is_id
            }
        }
    }
}
