//! The parts of a message as Markdown, each guarded on its own: what has an unexpected shape is shown as JSON.

use std::fmt::Write;

use serde_json::Value;

use super::item::error_text;
use super::terminal::plain;
use super::text::{code, fence, line, prose};

/// Writes one part.
pub(super) fn write_part(text: &mut String, part: &Value, full: bool) {
    let field = |name: &str| part[name].as_str().unwrap_or_default();
    if part["synthetic"] == true || part["ignored"] == true {
        return;
    }
    let _ = match field("type") {
        "text" => write_prose(text, &part["text"], full),
        "reasoning" => write_thought(text, &part["text"], full),
        "file" => writeln!(
            text,
            "*File: {} ({})*\n",
            code(part["filename"].as_str().unwrap_or("unnamed")),
            line(field("mime"))
        ),
        "tool" => write_tool(text, part, full),
        "agent" => writeln!(text, "*Agent: {}*\n", line(field("name"))),
        "model" => writeln!(text, "*Model: {}*\n", line(field("modelID"))),
        "subtask" => writeln!(text, "*Task: {}*\n", line(field("description"))),
        "retry" => writeln!(
            text,
            "*Tried again: {}*\n",
            line(&error_text(&part["error"]).unwrap_or_else(|| part["error"].to_string()))
        ),
        "compaction" => writeln!(text, "*The conversation was summarised to make room.*\n"),
        // What a client notes for itself.
        "step-start" | "step-finish" | "snapshot" | "patch" => Ok(()),
        "" => writeln!(text, "*A part without a type that can be read.*\n"),
        other => writeln!(text, "*A part of type {}, which is shown as JSON alone.*\n", code(other)),
    };
}

fn write_prose(text: &mut String, content: &Value, full: bool) -> std::fmt::Result {
    match content.as_str() {
        Some(content) if content.trim().is_empty() => Ok(()),
        Some(content) => writeln!(text, "{}\n", prose(content, full)),
        None => {
            odd(text, content, full);
            Ok(())
        }
    }
}

fn write_thought(text: &mut String, content: &Value, full: bool) -> std::fmt::Result {
    match content.as_str() {
        Some(content) if content.trim().is_empty() => Ok(()),
        Some(content) => {
            let quoted = prose(content.trim(), full).replace('\n', "\n> ");
            // With a line between: beside other words a text could be read in another way than by itself.
            writeln!(text, "> *Thought:*\n> \n> {quoted}\n")
        }
        None => {
            odd(text, content, full);
            Ok(())
        }
    }
}

/// What is no text where one is expected.
fn odd(text: &mut String, content: &Value, full: bool) {
    if !content.is_null() {
        fence(text, "json", &pretty(content), full);
    }
}

fn write_tool(text: &mut String, part: &Value, full: bool) -> std::fmt::Result {
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
        Some(status) => outcome.push(line(status)),
    }
    let outcome = if outcome.is_empty() { String::new() } else { format!(" ({})", outcome.join(", ")) };
    let first = about.lines().next().unwrap_or_default();
    let about = if first.is_empty() { String::new() } else { format!(" {}", code(first)) };
    writeln!(text, "**{}**{about}{outcome}\n", line(tool))?;
    if tool == "bash" && first.len() < input["command"].as_str().map_or(0, str::len) {
        fence(text, "sh", input["command"].as_str().unwrap_or_default(), full);
    }
    let todos = state["metadata"]["todos"].as_array().or_else(|| input["todos"].as_array());
    if let (true, Some(todos)) = (tool.starts_with("todo"), todos) {
        for todo in todos {
            let mark = if todo["status"] == "completed" { 'x' } else { ' ' };
            let content = todo["content"].as_str().map_or_else(|| todo.to_string(), ToOwned::to_owned);
            writeln!(text, "- [{mark}] {}", line(&content))?;
        }
        text.push('\n');
        return Ok(());
    }
    let diff = state["metadata"]["diff"].as_str().or_else(|| state["metadata"]["filediff"]["patch"].as_str());
    if let Some(diff) = diff.filter(|diff| !diff.is_empty()) {
        fence(text, "diff", diff, full);
    } else if let ("write", Some(content)) = (tool, input["content"].as_str()) {
        fence(text, "", content, full);
    } else {
        write_output(text, &state["output"], full);
    }
    write_output(text, &state["error"], full);
    Ok(())
}

/// An output or an error: a text as a terminal shows it, anything else as JSON.
fn write_output(text: &mut String, output: &Value, full: bool) {
    match output {
        Value::Null => {}
        Value::String(output) if output.trim().is_empty() => {}
        Value::String(output) => fence(text, "", &plain(output), full),
        other => fence(text, "json", &pretty(other), full),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
