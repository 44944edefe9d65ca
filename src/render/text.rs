//! Texts as pieces of Markdown.

use std::fmt::Write;

use super::prose::embedded;

/// Characters of an output, or of a file that was written, that are shown unless all is asked for.
const OUTPUT_CHARACTERS: usize = 4000;

/// Characters of prose that are shown unless all is asked for.
const PROSE_CHARACTERS: usize = 100_000;

/// Somebody's Markdown, cut when it is long. Nothing of a terminal's is in it.
pub(super) fn prose(text: &str, full: bool) -> String {
    let text = printable(text);
    let text = text.trim_end();
    let shown = start(text, PROSE_CHARACTERS, full);
    let mut prose = embedded(shown);
    if shown.len() < text.len() {
        let _ = write!(prose, "\n\n{}", more(text.len() - shown.len()));
    }
    prose
}

/// A block of text as it is, cut when it is long. The fence is longer than any in it.
pub(super) fn fence(text: &mut String, language: &str, content: &str, full: bool) {
    let content = printable(content);
    let shown = start(&content, OUTPUT_CHARACTERS, full);
    let ticks = "`".repeat((longest_run(shown) + 1).max(3));
    let _ = writeln!(text, "{ticks}{language}\n{}\n{ticks}\n", shown.trim_end_matches('\n'));
    if shown.len() < content.len() {
        let _ = writeln!(text, "{}\n", more(content.len() - shown.len()));
    }
}

/// A short text as code, whatever stands in it.
pub(super) fn code(text: &str) -> String {
    let text = printable(text).replace('\n', " ");
    let ticks = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// A text as one line that is no markup.
pub(super) fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '\n' => line.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '&' => {
                line.push('\\');
                line.push(character);
            }
            _ => line.push(character),
        }
    }
    line
}

/// A text whose lines end with newlines alone, without other control characters but tabs.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                printable.push('\n');
            }
            '\n' | '\t' => printable.push(character),
            _ if character.is_control() => {}
            _ => printable.push(character),
        }
    }
    printable
}

fn start(text: &str, characters: usize, full: bool) -> &str {
    match text.char_indices().nth(characters) {
        Some((end, _)) if !full => &text[..end],
        _ => text,
    }
}

fn more(bytes: usize) -> String {
    format!("*{bytes} more bytes: add `?full=1` to see them.*")
}

pub(super) fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
