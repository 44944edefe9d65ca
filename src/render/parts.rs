//! The parts of a message as Markdown, each guarded on its own: what has an unexpected shape is shown as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::diff::unified;
use super::item::error_text;
use super::terminal::plain;
use super::text::{code, fence, line, prose};
use crate::model::tools::{self, Call, How, Meaning, Question, Said, Todo};

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
        Some(content) => write_quote(text, "Thought", content, full),
        None => {
            odd(text, content, full);
            Ok(())
        }
    }
}

/// Somebody's Markdown as a quotation.
fn write_quote(text: &mut String, title: &str, content: &str, full: bool) -> std::fmt::Result {
    let quoted = prose(content.trim(), full).replace('\n', "\n> ");
    // With a line between: beside other words a text could be read in another way than by itself.
    writeln!(text, "> *{title}:*\n> \n> {quoted}\n")
}

/// What is no text where one is expected.
fn odd(text: &mut String, content: &Value, full: bool) {
    if !content.is_null() {
        fence(text, "json", &pretty(content), full);
    }
}

fn write_tool(text: &mut String, part: &Value, full: bool) -> std::fmt::Result {
    let input = tools::input(part);
    let call = Call::of(part, &input);
    write_head(text, &call, &part["state"]["status"])?;
    match &call.said {
        Said::Other => {
            write_input(text, &input, full);
            write_output(text, &call.output, full);
        }
        said => {
            // Nobody knows what the tools of an MCP server take, even where their names say what they do.
            if call.server.is_some() && !call.rest.is_empty() {
                fence(text, "json", &pretty(&call.rest.iter().copied().collect::<BTreeMap<_, _>>()), full);
            }
            write_said(text, &call, said, full)?;
        }
    }
    write_output(text, &part["state"]["error"], full);
    Ok(())
}

/// What was called, what it was about, and how it went.
fn write_head(text: &mut String, call: &Call, status: &Value) -> std::fmt::Result {
    let name = match call.server {
        Some(server) => format!("{server} › {}", call.tool),
        None if call.tool.is_empty() => "tool".to_owned(),
        None => call.tool.to_string(),
    };
    write!(text, "**{}**", line(&name))?;
    if let Some(about) = &call.about {
        write!(text, " {}", code(about))?;
    }
    if !call.within.is_empty() {
        write!(text, " in {}", code(&call.within.join(", ")))?;
    }
    let mut outcome = Vec::new();
    if let Some(exit) = call.exit.filter(|exit| *exit != 0 || call.meaning == Some(Meaning::Run)) {
        outcome.push(format!("exit {exit}"));
    }
    match status.as_str() {
        Some("completed") | None if call.failed && call.exit.is_none() => outcome.push("failed".into()),
        Some("completed") | None => {}
        Some(status) => outcome.push(line(status)),
    }
    if !outcome.is_empty() {
        write!(text, " ({})", outcome.join(", "))?;
    }
    text.push_str("\n\n");
    Ok(())
}

/// What a call says by its meaning, and what came out.
fn write_said(text: &mut String, call: &Call, said: &Said, full: bool) -> std::fmt::Result {
    match said {
        Said::Command(command) => {
            if call.about.as_ref().is_some_and(|about| about.len() < command.trim().len()) {
                fence(text, "sh", command, full);
            }
        }
        Said::Changes(changes) => {
            for change in changes {
                match change.how {
                    How::Content(content) => fence(text, "", content, full),
                    _ => fence(text, "diff", &unified(change), full),
                }
            }
            // That it went well says nothing more.
            if !call.failed {
                return Ok(());
            }
        }
        Said::Todos(todos) => {
            for Todo { content, status } in todos {
                let mark = if *status == "completed" { 'x' } else { ' ' };
                write!(text, "- [{mark}] {}", line(content))?;
                if !["completed", "pending"].contains(status) {
                    write!(text, " ({})", line(&status.replace('_', " ")))?;
                }
                text.push('\n');
            }
            text.push('\n');
            return Ok(());
        }
        Said::Task { prompt: Some(prompt), .. } => write_quote(text, "Task", prompt, full)?,
        Said::Plan(plan) => writeln!(text, "{}\n", prose(plan, full))?,
        Said::Questions(questions) => {
            for Question { question, options, answers } in questions {
                let options =
                    if options.is_empty() { String::new() } else { format!(" ({})", options.join(" · ")) };
                let answers = if answers.is_empty() {
                    String::new()
                } else {
                    format!(" **{}**", line(&answers.join(", ")))
                };
                writeln!(text, "- {}{}{answers}", line(question), line(&options))?;
            }
            text.push('\n');
            if questions.iter().any(|question| !question.answers.is_empty()) {
                return Ok(());
            }
        }
        Said::Fetch { url: Some(_), query: Some(query) } => writeln!(text, "*{}*\n", line(query))?,
        Said::Fetch { .. } | Said::Task { .. } | Said::Look | Said::Other => {}
    }
    write_output(text, &call.output, full);
    Ok(())
}

/// The input of a tool that is not known, or of which something else was expected.
fn write_input(text: &mut String, input: &Value, full: bool) {
    match input {
        Value::Object(fields) if fields.is_empty() => {}
        Value::Null => {}
        Value::String(input) if input.trim().is_empty() => {}
        Value::String(input) => fence(text, "", input, full),
        other => fence(text, "json", &pretty(other), full),
    }
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

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
