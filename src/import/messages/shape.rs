//! One message, told by its fields: whose it is, and the pieces of which it is made.

use serde_json::{Map, Value, json};

use super::Model;
use super::pieces::{
    Called, Outcome, Piece, arguments, block, call, elements, field, file, held, result, text, text_piece,
    thought_piece,
};
use super::usage::Usage;
use crate::import::rfc3339;
use crate::model::MAX_ID;

/// A message that was read.
pub(super) struct Entry {
    pub(super) role: Role,
    pub(super) id: Option<String>,
    /// Milliseconds since 1970.
    pub(super) at: Option<i64>,
    pub(super) model: Option<Model>,
    pub(super) usage: Option<Usage>,
    /// Why the model ended.
    pub(super) finish: Option<String>,
    /// Why there is no answer.
    pub(super) error: Option<String>,
    pub(super) pieces: Vec<Piece>,
    /// Whether it is a piece of an answer, which the pieces beside it go on.
    pub(super) joins: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Prompt,
    Answer,
    /// Results of calls alone, whoever is said to give them.
    Outcome,
}

/// Why a message gives nothing.
pub(super) enum Unread {
    /// It has nothing to show.
    Ignored,
    /// It cannot be read.
    Bad(String),
}

/// Whether a message is `{info, parts}`, as `OpenCode` keeps it.
pub(super) fn is_own(message: &Value) -> bool {
    message["info"].is_object() && message["parts"].is_array()
}

/// Whether a text can be an item's id.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID / 2 && !text.contains(|c: char| c == '/' || c.is_control())
}

/// Tells a message by its shape.
pub(super) fn read(message: Value) -> Result<Entry, Unread> {
    let Value::Object(mut fields) = message else {
        return Err(Unread::Bad("a message must be an object".into()));
    };
    let role = text(&fields, &["role", "Role"]).map(|role| role.to_ascii_lowercase());
    let mut entry = Entry {
        role: Role::Answer,
        id: text(&fields, &["id", "ID"]),
        at: fields.get("at").and_then(moment),
        model: fields.get("model").and_then(model),
        usage: Usage::of(&fields),
        finish: text(&fields, &["finish_reason", "stop_reason", "finishReason"]),
        error: None,
        pieces: Vec::new(),
        joins: false,
    };
    match role.as_deref() {
        Some("user" | "human") => entry.role = Role::Prompt,
        Some("assistant" | "model" | "ai" | "agent") => {}
        Some("tool" | "function" | "toolresult") => entry.role = Role::Outcome,
        Some(_) => return Err(Unread::Ignored),
        None => return read_response_item(fields, entry),
    }
    if entry.role == Role::Outcome && !fields.contains_key("parts") {
        read_tool_message(&mut fields, &mut entry);
        return Ok(entry);
    }
    read_message(&mut fields, &mut entry);
    // An item of a response says what it is, and stands beside the others of the same answer.
    entry.joins = fields.get("type").is_some_and(|kind| kind == "message");
    if entry.role == Role::Prompt
        && !entry.pieces.is_empty()
        && entry.pieces.iter().all(|piece| matches!(piece, Piece::Outcome(_)))
    {
        entry.role = Role::Outcome;
    }
    Ok(entry)
}

/// What somebody says: `content` as a text or as pieces, `parts`, and calls beside them.
fn read_message(fields: &mut Map<String, Value>, entry: &mut Entry) {
    let pieces = &mut entry.pieces;
    for name in ["reasoning_content", "reasoning"] {
        if let Some(Value::String(thought)) = fields.remove(name) {
            pieces.extend(thought_piece(thought));
        }
    }
    for name in ["content", "Content", "parts"] {
        match fields.remove(name) {
            Some(Value::Array(blocks)) => pieces.extend(blocks.into_iter().filter_map(block)),
            Some(Value::String(text)) => pieces.extend(text_piece(text)),
            Some(block @ Value::Object(_)) => pieces.extend(self::block(block)),
            _ => {}
        }
    }
    if let Some(Value::String(refusal)) = fields.remove("refusal") {
        pieces.extend(text_piece(refusal));
    }
    for name in ["tool_calls", "toolCalls", "ToolCalls"] {
        pieces.extend(elements(fields.remove(name)).filter_map(call).map(Piece::Call));
    }
    pieces.extend(fields.remove("function_call").and_then(call).map(Piece::Call));
    for name in ["tool_results", "toolResults", "ToolResults"] {
        pieces.extend(elements(fields.remove(name)).filter_map(result).map(Piece::Outcome));
    }
    // Agents note so that the provider failed.
    entry.error = match fields.remove("error").or_else(|| fields.remove("errorMessage")) {
        Some(Value::String(error)) => Some(error),
        Some(Value::Object(error)) => text(&error, &["message"]),
        _ => None,
    };
}

/// A message that is the result of a call.
fn read_tool_message(fields: &mut Map<String, Value>, entry: &mut Entry) {
    let blocks = fields.get("content").and_then(Value::as_array);
    let carries = |block: &Value| matches!(block["type"].as_str(), Some("tool_result" | "tool-result"));
    if blocks.is_some_and(|blocks| !blocks.is_empty() && blocks.iter().all(carries)) {
        entry.pieces.extend(elements(fields.remove("content")).filter_map(block));
    } else {
        entry.pieces.extend(result(Value::Object(std::mem::take(fields))).map(Piece::Outcome));
    }
}

/// An item of a response, which has a type and no role.
fn read_response_item(mut fields: Map<String, Value>, mut entry: Entry) -> Result<Entry, Unread> {
    entry.joins = true;
    let Some(kind) = text(&fields, &["type"]) else {
        // Gemini's prompts need not say whose they are; nor do Go's results.
        if fields.contains_key("parts")
            || fields.contains_key("Content")
            || fields.contains_key("ToolResults")
        {
            entry.role = Role::Prompt;
            entry.joins = false;
            read_message(&mut fields, &mut entry);
            return Ok(entry);
        }
        return Err(Unread::Bad(
            "a message must have a `role`, or the `type` of an item of a response".into(),
        ));
    };
    // Their own ids name the item; the call is named by `call_id`.
    let call_id = text(&fields, &["call_id"]).or_else(|| entry.id.clone());
    let named = |name: &str, input: Value| Called { id: call_id.clone(), name: name.to_owned(), input };
    let ended = |output: Value, failed: bool| {
        Piece::Outcome(Outcome { call: call_id.clone(), name: None, output, files: Vec::new(), failed })
    };
    let failed = fields.get("status").is_some_and(|status| status == "failed");
    let is_over = failed || fields.get("status").is_some_and(|status| status == "completed");
    match kind.as_str() {
        "reasoning" => {
            for name in ["summary", "content"] {
                for mut block in elements(fields.remove(name)) {
                    if let Value::String(thought) = field(&mut block, "text") {
                        entry.pieces.extend(thought_piece(thought));
                    }
                }
            }
        }
        "function_call" | "custom_tool_call" => {
            entry.pieces.extend(call(Value::Object(fields)).map(Piece::Call));
        }
        "local_shell_call" | "shell_call" => {
            let action = fields.remove("action").unwrap_or_default();
            entry.pieces.push(Piece::Call(named("local_shell", action)));
        }
        "web_search_call" => {
            let action = fields.remove("action").unwrap_or_default();
            entry.pieces.push(Piece::Call(named("web_search", action)));
            if is_over {
                entry.pieces.push(ended(json!(""), failed));
            }
        }
        "file_search_call" => {
            let queries = fields.remove("queries").unwrap_or_default();
            entry.pieces.push(Piece::Call(named("file_search", json!({"queries": queries}))));
            if is_over {
                entry.pieces.push(ended(fields.remove("results").unwrap_or_else(|| json!("")), failed));
            }
        }
        "code_interpreter_call" => {
            let code = fields.remove("code").unwrap_or_default();
            entry.pieces.push(Piece::Call(named("code_interpreter", json!({"code": code}))));
            if is_over {
                let logs = elements(fields.remove("outputs"))
                    .filter_map(|mut output| match field(&mut output, "logs") {
                        Value::String(logs) => Some(logs),
                        _ => None,
                    })
                    .collect::<Vec<_>>();
                entry.pieces.push(ended(json!(logs.join("\n")), failed));
            }
        }
        "mcp_call" => {
            let server =
                text(&fields, &["server_label"]).map(|server| format!("{server}__")).unwrap_or_default();
            let name = text(&fields, &["name"]).unwrap_or_else(|| "tool".into());
            let input = arguments(fields.remove("arguments"));
            entry.pieces.push(Piece::Call(named(&format!("{server}{name}"), input)));
            match (fields.remove("error"), fields.remove("output")) {
                (Some(error), _) if !error.is_null() => entry.pieces.push(ended(error, true)),
                (_, Some(output)) if !output.is_null() => entry.pieces.push(ended(output, false)),
                _ => {}
            }
        }
        "image_generation_call" => {
            if let Some(Value::String(image)) = fields.remove("result") {
                entry.pieces.push(Piece::File(file("image/png", &held("image/png", &image), None)));
            }
        }
        kind if kind.ends_with("_output") => {
            entry.role = Role::Outcome;
            entry.pieces.extend(result(Value::Object(fields)).map(Piece::Outcome));
        }
        _ => return Err(Unread::Ignored),
    }
    Ok(entry)
}

/// A model: its name, or its names.
pub(super) fn model(value: &Value) -> Option<Model> {
    match value {
        Value::String(id) if !id.is_empty() => Some(Model { provider: None, id: id.clone() }),
        Value::Object(names) => Some(Model {
            provider: text(names, &["providerID", "provider"]),
            id: text(names, &["id", "modelID", "name"])?,
        }),
        _ => None,
    }
}

/// Above this a number counts milliseconds since 1970, and seconds below it.
const SECONDS: i64 = 100_000_000_000;

/// A time, in milliseconds since 1970: a number of seconds or milliseconds, or RFC 3339.
pub(super) fn moment(value: &Value) -> Option<i64> {
    if let Some(text) = value.as_str() {
        return rfc3339(text);
    }
    #[allow(clippy::cast_possible_truncation)] // As far as it goes: it is a time.
    let number = value.as_i64().or_else(|| Some(value.as_f64()? as i64)).filter(|number| *number > 0)?;
    Some(if number < SECONDS { number.saturating_mul(1000) } else { number })
}
