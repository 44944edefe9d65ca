//! How a call went: by its state, by what the agent recorded of it, and of a command by what its output says. The page
//! reads it in the same way (`viewer/load/outcome.js`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::input::field;
use super::table::table;

/// Bytes at either end of an output in which agents write how a command ended.
const HEAD: usize = 1000;
const TAIL: usize = 500;

/// What Gemini writes behind the exit code of a command.
const BEHIND_CODE: [&str; 4] =
    ["Signal: ", "Background PIDs: ", "Process Group PGID: ", "</untrusted_context>"];

pub(super) struct Outcome<'a> {
    pub(super) exit: Option<i64>,
    pub(super) failed: bool,
    /// What came out as it is, but for a wrapping that says how a command ended.
    pub(super) output: Cow<'a, Value>,
}

/// How a call went, of a command or of another tool.
pub(super) fn outcome(state: &Value, is_run: bool) -> Outcome<'_> {
    let is_error = state["status"] == "error";
    let output = &state["output"];
    if !is_run {
        return Outcome { exit: None, failed: is_error, output: Cow::Borrowed(output) };
    }
    let metadata = &state["metadata"];
    let whole = if output.is_null() { &metadata["output"] } else { output };
    let (output, exit) = match unwrapped(whole) {
        Some((output, exit)) => (Cow::Owned(Value::String(output)), Some(exit)),
        None => (Cow::Borrowed(whole), None),
    };
    let printed = output.as_str().filter(|output| !output.is_empty() || exit.is_some());
    let said = said(printed.or_else(|| state["error"].as_str()).unwrap_or_default());
    let exit = field(metadata, &table().fields.exit, Value::as_i64).or(exit).or(said.exit);
    let failed = is_error || exit.map_or(said.failed, |exit| exit != 0);
    Outcome { exit, failed, output }
}

/// What Codex wraps as JSON: an output, and how its command ended.
fn unwrapped(output: &Value) -> Option<(String, i64)> {
    #[derive(Deserialize)]
    struct Wrapped {
        output: String,
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        exit_code: i64,
    }
    let output = output.as_str().filter(|output| output.starts_with("{\"output\":"))?;
    let Wrapped { output, metadata } = serde_json::from_str(output).ok()?;
    Some((output, metadata.exit_code))
}

#[derive(Default)]
struct Said {
    exit: Option<i64>,
    failed: bool,
}

/// What the output of a command says of how it ended.
fn said(output: &str) -> Said {
    let head: Vec<_> = start(output, HEAD).trim_start().split('\n').collect();
    let first = head.first().copied().unwrap_or_default();
    if first.starts_with("Command failed:") {
        let at = first.rfind("exit status ");
        return Said { exit: at.and_then(|at| number(&first[at..], "exit status ")), failed: true };
    }
    let exit = number(first, "Exit code: ")
        .or_else(|| number(first, "Exit code "))
        .or_else(|| of_process(&head))
        .or_else(|| at_end(end(output, TAIL).trim_end()));
    Said { exit, failed: false }
}

/// Codex, of a process: `Process exited with code 1`, above `Output:`.
fn of_process(head: &[&str]) -> Option<i64> {
    let first = head.first()?;
    if !first.starts_with("Chunk ID: ") && !first.starts_with("Wall time: ") {
        return None;
    }
    let lines = head.iter().take_while(|line| **line != "Output:");
    lines.into_iter().find_map(|line| number(line, "Process exited with code "))
}

/// pi: `Command exited with code 1`. Gemini: `Exit Code: 1`, behind which it may say more.
fn at_end(tail: &str) -> Option<i64> {
    let mut lines = tail.rsplit('\n');
    let last = lines.clone().next()?;
    let code = lines.find(|line| !BEHIND_CODE.iter().any(|words| line.starts_with(words)))?;
    number(last, "Command exited with code ").or_else(|| number(code, "Exit Code: "))
}

/// The number of up to nine digits that ends a line which begins with these words.
fn number(line: &str, words: &str) -> Option<i64> {
    let written = line.strip_prefix(words)?.trim_end();
    let digits = written.strip_prefix('-').unwrap_or(written);
    let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| written.parse().ok()).flatten()
}

/// So many bytes of a text's start, or fewer, that are whole characters.
fn start(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// The same of its end.
fn end(text: &str, bytes: usize) -> &str {
    let start = (text.len().saturating_sub(bytes)..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[start.unwrap_or_default()..]
}
