//! A session as Markdown.

use std::fmt::Write;

use serde_json::Value;

use crate::model::{Content, Key};

/// Characters of a tool's output, or of a file that it wrote, that are shown unless all is asked for.
const OUTPUT_CHARACTERS: usize = 4000;

/// How a session is written.
#[derive(Debug, Clone, Copy)]
pub struct Markdown {
    /// Whether long outputs are written whole.
    pub full: bool,
    /// Bytes after which the text is cut, with a note; `usize::MAX` for none.
    pub max_bytes: usize,
}

/// Writes a session's items, which are in reading order, as Markdown.
pub fn markdown(items: &[(Key, Content)], how: Markdown) -> String {
    let mut text = String::new();
    let session =
        items.iter().find(|(key, _)| key.as_str() == Key::SESSION).map(|(_, content)| parse(content));
    let session = session.unwrap_or_default();
    let undone = &session["revert"];
    let _ = writeln!(text, "# {}\n", line(session["title"].as_str().unwrap_or("Shared session")));
    if let Some(directory) = session["directory"].as_str() {
        let _ = writeln!(text, "Directory: {}\n", code(directory));
    }
    let mut role = String::new();
    let mut error = Value::Null;
    for (key, content) in items {
        let message = key.message_id().or_else(|| key.parent_message_id());
        if message.is_some_and(|message| is_undone(undone, message, key)) {
            continue;
        }
        if text.len() > how.max_bytes {
            let _ = writeln!(text, "\n*Cut here.*");
            return text;
        }
        if key.message_id().is_some() {
            write_error(&mut text, &error);
            let message = parse(content);
            let newer = message["role"].as_str().unwrap_or_default();
            // An agent answers in many messages: one heading is enough.
            if newer == "user" || newer != role {
                let _ = writeln!(text, "## {}\n", if newer == "user" { "Prompt" } else { "Answer" });
            }
            newer.clone_into(&mut role);
            error = message["error"].clone();
        } else if key.parent_message_id().is_some() {
            write_part(&mut text, &parse(content), how);
        }
    }
    write_error(&mut text, &error);
    text
}

/// Whether an undo took a message, or a part of it, back.
fn is_undone(revert: &Value, message: &str, key: &Key) -> bool {
    let Some(first) = revert["messageID"].as_str() else { return false };
    match revert["partID"].as_str() {
        Some(part) if message == first => key.part_id().is_some_and(|id| id >= part),
        _ => message >= first,
    }
}

fn parse(content: &Content) -> Value {
    // Text with half a surrogate pair is not Unicode: such an item is left out of a text.
    serde_json::from_str(content.get()).unwrap_or_default()
}

fn write_part(text: &mut String, part: &Value, how: Markdown) {
    let field = |name: &str| part[name].as_str().unwrap_or_default();
    let hidden = part["synthetic"] == true || part["ignored"] == true;
    let _ = match field("type") {
        "text" if !hidden && !field("text").trim().is_empty() => {
            writeln!(text, "{}\n", field("text").trim_end())
        }
        "reasoning" if !field("text").trim().is_empty() => {
            let quoted = field("text").trim().replace("\r\n", "\n").replace(['\n', '\r'], "\n> ");
            writeln!(text, "> *Thought:* {quoted}\n")
        }
        "file" => writeln!(
            text,
            "*File: {} ({})*\n",
            code(part["filename"].as_str().unwrap_or("unnamed")),
            line(field("mime"))
        ),
        "tool" => {
            write_tool(text, part, how);
            Ok(())
        }
        "agent" => writeln!(text, "*Agent: {}*\n", line(field("name"))),
        "subtask" => writeln!(text, "*Task: {}*\n", line(field("description"))),
        "retry" => writeln!(text, "*Tried again: {}*\n", line(&error_text(&part["error"]))),
        "compaction" => writeln!(text, "*The conversation was summarised to make room.*\n"),
        _ => Ok(()),
    };
}

fn write_tool(text: &mut String, part: &Value, how: Markdown) {
    let state = &part["state"];
    let input = &state["input"];
    let tool = part["tool"].as_str().unwrap_or("tool");
    let about = ["command", "filePath", "pattern", "url", "description", "path"]
        .iter()
        .find_map(|name| input[*name].as_str())
        .or_else(|| state["title"].as_str())
        .unwrap_or_default();
    let mut outcome = Vec::new();
    if let Some(exit) = state["metadata"]["exit"].as_i64() {
        outcome.push(format!("exit {exit}"));
    }
    match state["status"].as_str() {
        Some("completed") | None => {}
        Some(status) => outcome.push(status.to_owned()),
    }
    let outcome = if outcome.is_empty() { String::new() } else { format!(" ({})", outcome.join(", ")) };
    let first = about.lines().next().unwrap_or_default();
    let about = if first.is_empty() { String::new() } else { format!(" {}", code(first)) };
    let _ = writeln!(text, "**{}**{about}{outcome}\n", line(tool));
    if tool == "bash" && first.len() < input["command"].as_str().map_or(0, str::len) {
        fence(text, "sh", input["command"].as_str().unwrap_or_default(), how);
    }
    let todos = state["metadata"]["todos"].as_array().or_else(|| input["todos"].as_array());
    if let (true, Some(todos)) = (tool.starts_with("todo"), todos) {
        for todo in todos {
            let mark = if todo["status"] == "completed" { 'x' } else { ' ' };
            let _ = writeln!(text, "- [{mark}] {}", line(todo["content"].as_str().unwrap_or_default()));
        }
        text.push('\n');
        return;
    }
    let diff = state["metadata"]["diff"].as_str().or_else(|| state["metadata"]["filediff"]["patch"].as_str());
    if let Some(diff) = diff.filter(|diff| !diff.is_empty()) {
        fence(text, "diff", diff, how);
    } else if tool == "write" {
        fence(text, "", input["content"].as_str().unwrap_or_default(), how);
    } else if let Some(output) = state["output"].as_str().filter(|output| !output.trim().is_empty()) {
        fence(text, "", &plain(output), how);
    }
    if let Some(error) = state["error"].as_str() {
        fence(text, "", error, how);
    }
}

fn write_error(text: &mut String, error: &Value) {
    if !error.is_null() {
        let _ = writeln!(text, "**Error:** {}\n", line(&error_text(error)));
    }
}

fn error_text(error: &Value) -> String {
    if error["name"] == "MessageAbortedError" {
        return "stopped by the user".into();
    }
    let message = error["data"]["message"].as_str().or_else(|| error["message"].as_str());
    message.or_else(|| error["name"].as_str()).unwrap_or("unknown").to_owned()
}

/// A block of text as it is, cut when it is long. The fence is longer than any in it.
fn fence(text: &mut String, language: &str, content: &str, how: Markdown) {
    let shown = match content.char_indices().nth(OUTPUT_CHARACTERS) {
        Some((end, _)) if !how.full => &content[..end],
        _ => content,
    };
    let ticks = "`".repeat((longest_run(shown) + 1).max(3));
    let _ = writeln!(text, "{ticks}{language}\n{}\n{ticks}\n", shown.trim_end_matches('\n'));
    if shown.len() < content.len() {
        let _ = writeln!(text, "*{} more bytes: add `?full=1` to see them.*\n", content.len() - shown.len());
    }
}

/// A short text as code, whatever stands in it.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let ticks = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A text as one line that is no markup.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => line.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' => {
                line.push('\\');
                line.push(character);
            }
            _ => line.push(character),
        }
    }
    line
}

/// A terminal's output without what commands the terminal.
fn plain(output: &str) -> String {
    let mut text = String::with_capacity(output.len());
    let mut rest = output.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\u{1b}' {
            text.push(character);
        } else if rest.next_if_eq(&'[').is_some() {
            // A control sequence ends with its first letter or sign from `@` on.
            while rest.next().is_some_and(|next| !('@'..='~').contains(&next)) {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WHOLE: Markdown = Markdown { full: false, max_bytes: usize::MAX };

    fn items(values: &[(&str, Value)]) -> Vec<(Key, Content)> {
        let content = |value: &Value| Content::from(serde_json::value::to_raw_value(value).unwrap());
        values.iter().map(|(key, value)| (Key::from(*key), content(value))).collect()
    }

    #[test]
    fn a_carriage_return_is_the_end_of_a_line_too() {
        let text = markdown(
            &items(&[
                ("message/m", json!({"role": "assistant"})),
                ("part/m/p1", json!({"type": "file", "filename": "a\r\r# b", "mime": "text/plain"})),
                ("part/m/p2", json!({"type": "reasoning", "text": "one\r\r# two\r\nthree"})),
            ]),
            WHOLE,
        );
        assert_eq!(
            text,
            "# Shared session\n\n## Answer\n\n*File: `a  # b` (text/plain)*\n\n> *Thought:* one\n> \n> # two\n> three\n\n"
        );
    }

    #[test]
    fn a_session_reads_from_top_to_bottom() {
        let text = markdown(
            &items(&[
                ("session", json!({"title": "Fix *it*", "directory": "/a`b"})),
                ("message/m1", json!({"role": "user"})),
                ("part/m1/p", json!({"type": "text", "text": "Please"})),
                ("message/m2", json!({"role": "assistant"})),
                ("part/m2/p1", json!({"type": "reasoning", "text": "one\ntwo"})),
                (
                    "part/m2/p2",
                    json!({"type": "tool", "tool": "bash", "state": {"status": "completed", "input": {"command": "ls"},
                    "output": "\u{1b}[31mred\u{1b}[0m ``` x\n", "metadata": {"exit": 2}}}),
                ),
                (
                    "message/m3",
                    json!({"role": "assistant", "error": {"name": "APIError", "data": {"message": "too busy"}}}),
                ),
                ("part/m3/p1", json!({"type": "text", "text": "Done."})),
            ]),
            WHOLE,
        );
        assert_eq!(
            text,
            "# Fix \\*it\\*\n\nDirectory: ``/a`b``\n\n## Prompt\n\nPlease\n\n## Answer\n\n> *Thought:* one\n> two\n\n**bash** `ls` (exit 2)\n\n\
             ````\nred ``` x\n````\n\nDone.\n\n**Error:** too busy\n\n"
        );
    }

    #[test]
    fn long_outputs_are_cut_unless_all_is_asked_for_and_undone_messages_are_left_out() {
        let output = "é".repeat(5000);
        let tool = json!({"type": "tool", "tool": "read", "state": {"status": "completed", "input": {}, "output": output}});
        let session = items(&[
            ("session", json!({"title": "t", "revert": {"messageID": "m2"}})),
            ("message/m1", json!({"role": "assistant"})),
            ("part/m1/p", tool),
            ("message/m2", json!({"role": "user"})),
            ("part/m2/p", json!({"type": "text", "text": "undone"})),
        ]);
        let cut = markdown(&session, WHOLE);
        assert!(cut.contains("*2000 more bytes: add `?full=1` to see them.*") && !cut.contains("undone"));
        assert!(markdown(&session, Markdown { full: true, ..WHOLE }).contains(&output));
        assert!(markdown(&session, Markdown { max_bytes: 10, ..WHOLE }).ends_with("*Cut here.*\n"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_written_and_no_fence_is_broken_out_of(output in "[`~a\n\u{1b}\\[mé]{0,60}", title in ".{0,20}") {
            let tool = json!({"type": "tool", "tool": "read", "state": {"status": "completed", "input": {}, "output": output}});
            let text = markdown(&items(&[("session", json!({"title": title})), ("message/m", json!({"role": "assistant"})), ("part/m/p", tool)]), WHOLE);
            let fences = text.lines().filter(|line| line.len() >= 3 && line.bytes().all(|byte| byte == b'`')).map(str::len);
            let longest = fences.max().unwrap_or(0);
            proptest::prop_assert!(longest == 0 || longest > longest_run(&plain(&output)));
        }
    }
}
