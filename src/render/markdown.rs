//! A session as Markdown, for agents and people who read it without the page.
//!
//! Its readers tell prompts from answers by the headings. So nothing that stands in a part can make a heading of a
//! turn: prose is embedded (`prose`), all else stands in code or is escaped, and the headings carry a word that no item
//! holds.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::item::error_text;
use super::parts::write_part;
use super::session::{Message, Session, Subagent, Turn};
use super::text::{code, fence, line};
use crate::model::parse_lossy as parse;
use crate::model::tools::{self, Call, Said};
use crate::model::{Content, Key};

/// How a session is written.
#[derive(Debug, Clone, Default)]
pub struct Markdown {
    /// Whether long texts and outputs are written whole.
    pub full: bool,
    /// Bytes after which the text is cut, with a note; `None` for no end.
    pub max_bytes: Option<usize>,
    /// Which turns are written.
    pub turns: Turns,
    /// The address of the session's page, for links to its turns.
    pub page: Option<String>,
}

/// Which turns of a session are written. They are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Turns {
    /// All.
    #[default]
    All,
    /// One of them.
    Only(usize),
    /// The last ones.
    Last(usize),
}

/// Writes a session's items, which are in reading order, as Markdown.
pub fn markdown(items: &[(Key, Content)], how: &Markdown) -> String {
    let Session { info: session, turns, orphans } = Session::of(items);
    let mark = mark(items);
    let mut text = String::new();
    write_head(&mut text, &session, turns.len(), &mark, how);
    let shown = match how.turns {
        Turns::All => 0..turns.len(),
        Turns::Only(turn) => turn.saturating_sub(1).min(turns.len())..turn.min(turns.len()),
        Turns::Last(count) => turns.len().saturating_sub(count)..turns.len(),
    };
    if shown.is_empty() && !turns.is_empty() {
        let _ = writeln!(text, "*There is no such turn.*\n");
    }
    for (number, turn) in turns.iter().enumerate().take(shown.end).skip(shown.start) {
        if !write_turn(&mut text, number + 1, turn, &mark, how) {
            return text;
        }
    }
    if how.turns == Turns::All && !orphans.is_empty() {
        let _ = writeln!(text, "## Parts without their message {mark}\n");
        for part in orphans {
            if is_cut(&mut text, how) {
                return text;
            }
            write_part(&mut text, &parse(part.get()), how.full);
        }
    }
    text
}

/// A word that stands in none of the items: whoever writes an item cannot know the hash of what it is a part of.
fn mark(items: &[(Key, Content)]) -> String {
    let mut hash = Sha256::new();
    for (key, content) in items {
        hash.update(key.as_str());
        hash.update(content.get());
    }
    let hex = HEXLOWER.encode(&hash.finalize());
    let stands_there = |mark: &str| items.iter().any(|(_, content)| content.get().contains(mark));
    let length =
        (8..=hex.len()).step_by(8).find(|length| !stands_there(&hex[..*length])).unwrap_or(hex.len());
    format!("[{}]", &hex[..length])
}

fn write_head(text: &mut String, session: &Value, turns: usize, mark: &str, how: &Markdown) {
    let _ = writeln!(text, "# {}\n", line(session["title"].as_str().unwrap_or("Shared session")));
    let directory = session["directory"].as_str().or_else(|| session["location"]["directory"].as_str());
    if let Some(directory) = directory {
        let _ = writeln!(text, "Directory: {}\n", code(directory));
    }
    let started = at(&session["time"]["created"]).map(|time| format!(", started {time}")).unwrap_or_default();
    let cost = cost(session["cost"].as_f64()).map(|cost| format!(", {cost}")).unwrap_or_default();
    let count = if turns == 1 { "1 turn".to_owned() } else { format!("{turns} turns") };
    let page = how.page.as_ref().map(|page| format!(" [The live page]({page}).")).unwrap_or_default();
    let _ = writeln!(
        text,
        "{count}{started}{cost}.{page} Headings of turns end with `{mark}`, which no turn holds.\n"
    );
}

/// Writes a turn; tells whether there is room for more.
fn write_turn(text: &mut String, number: usize, turn: &Turn, mark: &str, how: &Markdown) -> bool {
    if let Some(prompt) = &turn.prompt {
        if is_cut(text, how) {
            return false;
        }
        let _ = writeln!(text, "## Prompt {number} {mark}\n");
        let link = how.page.as_ref().map(|page| format!("[on the page]({page}#{})", fragment(&prompt.id)));
        write_facts(text, at(&prompt.info["time"]["created"]).into_iter().chain(link));
        if !write_message(text, prompt, how) {
            return false;
        }
    }
    if !turn.answers.is_empty() {
        if is_cut(text, how) {
            return false;
        }
        let _ = writeln!(text, "## Answer {number} {mark}\n");
        write_facts(text, answer_facts(&turn.answers).into_iter());
    }
    turn.answers.iter().all(|answer| write_message(text, answer, how))
        && [turn.prompt.as_ref()].into_iter().flatten().chain(&turn.answers).all(|message| {
            let mut unlinked = message.subagents.iter().filter(|subagent| subagent.task.is_none());
            unlinked.all(|subagent| write_subagent(text, subagent, None, how))
        })
}

fn write_message(text: &mut String, message: &Message, how: &Markdown) -> bool {
    let mut places = 0..;
    let written = message.parts.each(|part| {
        if is_cut(text, how) {
            return false;
        }
        write_part(text, part, how.full);
        let place = places.next();
        let mut opened =
            message.subagents.iter().filter(|subagent| place.is_some() && subagent.task == place);
        opened.all(|subagent| write_subagent(text, subagent, Some(part), how))
    });
    if !written {
        return false;
    }
    match &message.info["error"] {
        Value::Null => {}
        error => write_error(text, error, how.full),
    }
    true
}

/// Writes what a subagent did as a quotation, under the task that opened it. Tells whether there is room for more.
fn write_subagent(text: &mut String, subagent: &Subagent, task: Option<&Value>, how: &Markdown) -> bool {
    let name = if task.is_some() { "Subagent" } else { "Subagent (not linked)" };
    if !how.full {
        let _ = writeln!(text, "*{name}: add `?full=1` to see its steps.*\n");
        return true;
    }
    let left = how.max_bytes.map(|max| max.saturating_sub(text.len()));
    let how = Markdown { max_bytes: left, ..how.clone() };
    let mut steps = format!("*{name}:*\n\n");
    let written = subagent.messages.iter().enumerate().all(|(number, message)| {
        if message.info["role"] == "user" {
            // What its task says already.
            if number == 0 && task.is_some_and(|task| asks(task, message)) {
                return true;
            }
            steps.push_str("*Prompt:*\n\n");
        }
        write_message(&mut steps, message, &how)
    });
    for line in steps.trim_end().lines() {
        let _ = writeln!(text, "> {line}");
    }
    text.push('\n');
    written
}

/// Whether a message is what a task asks.
fn asks(task: &Value, message: &Message) -> bool {
    let input = tools::input(task);
    let Said::Task { prompt: Some(prompt), .. } = Call::of(task, &input).said else { return false };
    let mut is_it = false;
    message.parts.each(|part| {
        is_it = part["text"].as_str().is_some_and(|text| text.trim() == prompt.trim());
        is_it
    });
    is_it
}

/// Says that the text ends here, when it is long enough.
fn is_cut(text: &mut String, how: &Markdown) -> bool {
    let cut = how.max_bytes.is_some_and(|max| text.len() > max);
    if cut {
        text.push_str("*Cut here.*\n");
    }
    cut
}

/// What is said of a turn under its heading.
fn write_facts(text: &mut String, facts: impl Iterator<Item = String>) {
    let facts = facts.collect::<Vec<_>>().join(" · ");
    if !facts.is_empty() {
        let _ = writeln!(text, "{facts}\n");
    }
}

/// Models, time, tokens and cost of a turn's answers.
fn answer_facts(answers: &[Message]) -> Vec<String> {
    let mut models = Vec::<&str>::new();
    let (mut read, mut written, mut price) = (0, 0, None);
    let (mut began, mut ended) = (None, None);
    for Message { info, .. } in answers {
        let model = info["modelID"].as_str().or_else(|| info["model"]["id"].as_str());
        models.extend(model.filter(|model| !models.contains(model)));
        let tokens = |name: &str| info["tokens"][name].as_u64().unwrap_or(0);
        read += tokens("input") + info["tokens"]["cache"]["read"].as_u64().unwrap_or(0);
        written += tokens("output") + tokens("reasoning");
        price = info["cost"].as_f64().map(|cost| cost + price.unwrap_or(0.0)).or(price);
        began = began.or_else(|| millis(&info["time"]["created"]));
        ended = millis(&info["time"]["completed"]).or(ended);
    }
    let mut facts: Vec<_> = models.into_iter().map(line).collect();
    if let Some(took) = began.zip(ended).and_then(|(began, ended)| ended.checked_sub(began)) {
        facts.push(match took / 1000 {
            seconds @ ..60 => format!("{seconds} s"),
            seconds => format!("{} min {} s", seconds / 60, seconds % 60),
        });
    }
    if read + written > 0 {
        facts.push(format!("{read} tokens in, {written} out"));
    }
    facts.extend(cost(price));
    facts
}

fn cost(dollars: Option<f64>) -> Option<String> {
    dollars.filter(|dollars| *dollars > 0.0).map(|dollars| format!("US${dollars:.4}"))
}

/// A time in milliseconds since 1970, or as RFC 3339 has it.
fn millis(time: &Value) -> Option<u64> {
    let written = || {
        let time = humantime::parse_rfc3339_weak(time.as_str()?).ok()?;
        u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // Within the bounds that are looked at.
    let counted = time.as_f64().filter(|time| (0.0..1e15).contains(time)).map(|time| time as u64);
    counted.or_else(written)
}

fn at(time: &Value) -> Option<String> {
    /// The last second of the year 9999, after which a date has no four digits.
    const LAST: u64 = 253_402_300_799;
    let seconds = millis(time)? / 1000;
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    Some(humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC"))
}

/// An id as the fragment of an address in a link.
fn fragment(id: &str) -> String {
    id.bytes().fold(String::new(), |mut fragment, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            fragment.push(byte.into());
        } else {
            let _ = write!(fragment, "%{byte:02X}");
        }
        fragment
    })
}

fn write_error(text: &mut String, error: &Value, full: bool) {
    if let Some(message) = error_text(error) {
        let _ = writeln!(text, "**Error:** {}\n", line(&message));
    } else {
        let _ = writeln!(text, "**Error:**\n");
        fence(text, "json", &error.to_string(), full);
    }
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
