//! One message, told by its fields: whose it is, and the pieces of which it is made.

use serde_json::{Map, Value, json};

use super::Model;
use super::usage::Usage;
use crate::model::{MAX_ID, parse_lossy};

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

/// A piece of a message.
pub(super) enum Piece {
    Text(String),
    Thought(String),
    /// A file as a part has it.
    File(Value),
    Call(Called),
    Outcome(Outcome),
    /// Of a kind that is not known: shown as it is.
    Other(Value),
}

/// A call of a tool.
pub(super) struct Called {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) input: Value,
}

/// What came out of a call.
pub(super) struct Outcome {
    /// The call's id.
    pub(super) call: Option<String>,
    /// The tool's name.
    pub(super) name: Option<String>,
    pub(super) output: Value,
    pub(super) files: Vec<Value>,
    pub(super) failed: bool,
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
                    if let Value::String(thought) = block["text"].take() {
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
                    .filter_map(|mut output| match output["logs"].take() {
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

/// A block of a message's content. Nothing for what is not to be shown: what is encrypted, and empty texts.
fn block(block: Value) -> Option<Piece> {
    let mut fields = match block {
        Value::Object(fields) => fields,
        Value::String(text) => return text_piece(text),
        _ => return None,
    };
    let kind = text(&fields, &["type"]).unwrap_or_default();
    match kind.as_str() {
        "" => gemini_part(fields),
        "text" | "input_text" | "output_text" => text_piece(take_text(&mut fields, "text")?),
        "refusal" => text_piece(take_text(&mut fields, "refusal")?),
        "thinking" | "reasoning" | "reasoning_text" | "summary_text" => {
            thought_piece(["thinking", "text"].iter().find_map(|name| take_text(&mut fields, name))?)
        }
        "redacted_thinking" => None,
        "image" | "image_url" | "input_image" | "document" | "file" | "input_file" | "input_audio" => {
            attachment(&mut fields).map(Piece::File)
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" | "tool-call" | "toolCall" => {
            call(Value::Object(fields)).map(Piece::Call)
        }
        kind if kind.ends_with("tool_result") || kind == "tool-result" => {
            result(Value::Object(fields)).map(Piece::Outcome)
        }
        _ => Some(Piece::Other(Value::Object(fields))),
    }
}

/// A part as Gemini has it: told by which field it has.
fn gemini_part(mut fields: Map<String, Value>) -> Option<Piece> {
    let is_thought = fields.get("thought").is_some_and(|thought| *thought == true);
    if let Some(text) = take_text(&mut fields, "text") {
        return if is_thought { thought_piece(text) } else { text_piece(text) };
    }
    for name in ["functionCall", "function_call"] {
        if let Some(called) = fields.remove(name) {
            return call(called).map(Piece::Call);
        }
    }
    for name in ["functionResponse", "function_response"] {
        if let Some(response) = fields.remove(name) {
            return result(response).map(Piece::Outcome);
        }
    }
    for name in ["inlineData", "inline_data", "fileData", "file_data"] {
        if let Some(Value::Object(data)) = fields.remove(name) {
            let mime = text(&data, &["mimeType", "mime_type"]).unwrap_or_default();
            let url = text(&data, &["fileUri", "file_uri"]);
            let url = url.or_else(|| Some(held(&mime, data.get("data")?.as_str()?)))?;
            return Some(Piece::File(file(&mime, &url, text(&data, &["displayName", "display_name"]))));
        }
    }
    if let Some(Value::Object(mut code)) = fields.remove("executableCode") {
        let input = Value::Object(std::mem::take(&mut code));
        return Some(Piece::Call(Called { id: None, name: "code_execution".into(), input }));
    }
    if let Some(mut outcome) = fields.remove("codeExecutionResult") {
        let failed = outcome["outcome"].as_str().is_some_and(|outcome| outcome != "OUTCOME_OK");
        let name = Some("code_execution".into());
        return Some(Piece::Outcome(Outcome {
            call: None,
            name,
            output: outcome["output"].take(),
            files: Vec::new(),
            failed,
        }));
    }
    let is_nothing = fields.is_empty() || fields.contains_key("thoughtSignature");
    (!is_nothing).then_some(Piece::Other(Value::Object(fields)))
}

/// A call in any of its shapes: `{id, function: {name, arguments}}`, `{id, name, input}`, `{name, args}`, `{ID, Name,
/// Input}`, `{call_id, name, arguments}`, `{toolCallId, toolName, input}`.
fn call(called: Value) -> Option<Called> {
    let Value::Object(mut fields) = called else { return None };
    let id = text(&fields, &["call_id", "toolCallId", "id", "ID"]);
    for name in ["function", "custom"] {
        if let Some(Value::Object(inner)) = fields.remove(name) {
            fields.extend(inner);
        }
    }
    let mut name = text(&fields, &["name", "Name", "toolName"]).unwrap_or_else(|| "tool".into());
    if let Some(server) = text(&fields, &["server_name"]) {
        name = format!("{server}__{name}");
    }
    let input = ["arguments", "input", "Input", "args"].iter().find_map(|name| fields.remove(*name));
    Some(Called { id, name, input: arguments(input) })
}

/// What a call was given: an object, which may be written as a text. A text that is none, or not yet, stays a text.
pub fn arguments(input: Option<Value>) -> Value {
    match input {
        Some(Value::String(text)) => match parse_lossy(&text) {
            object @ Value::Object(_) => object,
            _ if text.trim().is_empty() => json!({}),
            _ => json!({"input": text}),
        },
        None | Some(Value::Null) => json!({}),
        Some(other) => other,
    }
}

/// A result in any of its shapes.
fn result(result: Value) -> Option<Outcome> {
    let Value::Object(mut fields) = result else { return None };
    let call =
        text(&fields, &["tool_call_id", "tool_use_id", "call_id", "toolCallId", "tool_call", "id", "ID"]);
    let name = text(&fields, &["name", "Name", "toolName", "tool_name"]);
    let flagged =
        ["is_error", "IsError", "isError"].iter().any(|name| fields.get(*name) == Some(&json!(true)));
    let failed =
        flagged || fields.get("status").is_some_and(|status| status == "failed" || status == "error");
    let output = ["content", "Content", "output", "response", "result"]
        .iter()
        .find_map(|name| fields.remove(*name))
        .unwrap_or_default();
    let mut outcome = Outcome { call, name, output: Value::Null, files: Vec::new(), failed };
    fill(&mut outcome, output);
    Some(outcome)
}

/// Takes in what a result says: a text; blocks, of which texts are joined and pictures set beside; or an object, of
/// which the text is taken that it is about.
fn fill(outcome: &mut Outcome, said: Value) {
    match said {
        Value::Array(blocks) => {
            let mut texts = Vec::new();
            for block in blocks {
                match block {
                    Value::String(text) => texts.push(text),
                    Value::Object(mut fields) => match take_text(&mut fields, "text") {
                        Some(text) => texts.push(text),
                        None if is_found(&fields) => texts.push(found(fields)),
                        None => match attachment(&mut fields) {
                            Some(file) => outcome.files.push(file),
                            None => texts.push(found(fields)),
                        },
                    },
                    other => texts.push(other.to_string()),
                }
            }
            outcome.output = json!(texts.join("\n"));
        }
        Value::Object(mut fields) => {
            if let Some(code) = fields.get("metadata").and_then(|metadata| metadata["exit_code"].as_i64()) {
                outcome.failed |= code != 0;
            }
            outcome.failed |= fields.get("isError") == Some(&json!(true));
            if fields.get("content").is_some_and(Value::is_array) {
                return fill(outcome, fields.remove("content").unwrap_or_default());
            }
            if let Some(error) = take_text(&mut fields, "error").filter(|error| !error.is_empty()) {
                outcome.failed = true;
                outcome.output = Value::String(error);
                return;
            }
            let text = ["output", "result", "content", "text", "value"]
                .iter()
                .find_map(|name| take_text(&mut fields, name));
            outcome.output = match text {
                Some(text) => Value::String(text),
                None => Value::Object(fields),
            };
        }
        Value::Null => outcome.output = json!(""),
        other => outcome.output = other,
    }
}

/// Whether a block is something that a search found.
fn is_found(fields: &Map<String, Value>) -> bool {
    text(fields, &["type"]).is_some_and(|kind| kind.ends_with("search_result"))
}

/// What a search found, in words; anything else as JSON, without what is encrypted.
fn found(mut fields: Map<String, Value>) -> String {
    if let (Some(url), Some(title)) = (text(&fields, &["url"]), text(&fields, &["title"])) {
        return format!("{title}\n{url}");
    }
    fields.remove("encrypted_content");
    Value::Object(fields).to_string()
}

/// A file in any of the shapes in which one is attached.
fn attachment(fields: &mut Map<String, Value>) -> Option<Value> {
    let name = text(fields, &["filename", "title", "name"]);
    if let Some(Value::Object(inner)) = fields.remove("file") {
        fields.extend(inner);
    }
    let name = name.or_else(|| text(fields, &["filename"]));
    // Anthropic: `source: {type, media_type, data | url}`.
    if let Some(Value::Object(source)) = fields.remove("source") {
        let mime = text(&source, &["media_type"]).unwrap_or_default();
        if let Some(url) = source.get("url").and_then(Value::as_str) {
            return Some(file(&mime, url, name));
        }
        let data = source.get("data")?.as_str()?;
        let plain = source.get("type").is_some_and(|kind| kind == "text");
        let url = if plain {
            format!("data:{mime};charset=utf-8,{}", percent_encoding::utf8_percent_encode(data, ENCODED))
        } else {
            held(&mime, data)
        };
        return Some(file(&mime, &url, name));
    }
    if let Some(audio) = fields.get("input_audio") {
        let mime = format!("audio/{}", audio["format"].as_str().unwrap_or("wav"));
        let url = held(&mime, audio["data"].as_str()?);
        return Some(file(&mime, &url, name));
    }
    let mime = text(fields, &["mimeType", "mime_type", "mediaType", "media_type"]);
    // `OpenAI`: `image_url: {url}` or the URL itself, `file_data`; others: `data`, `image`.
    let said = ["image_url", "file_url", "file_data", "url", "data", "image"].iter().find_map(|name| {
        let value = fields.get(*name)?;
        value.as_str().or_else(|| value["url"].as_str())
    })?;
    let is_url = ["data:", "http:", "https:"].iter().any(|scheme| said.starts_with(scheme));
    let mime = mime.or_else(|| Some(said.strip_prefix("data:")?.split([';', ',']).next()?.to_owned()));
    let mime = mime.unwrap_or_else(|| "image/png".into());
    let url = if is_url { said.to_owned() } else { held(&mime, said) };
    Some(file(&mime, &url, name))
}

/// What of a text cannot stand in a data URL.
const ENCODED: &percent_encoding::AsciiSet =
    &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'\\');

fn held(mime: &str, base64: &str) -> String {
    format!("data:{mime};base64,{base64}")
}

fn file(mime: &str, url: &str, name: Option<String>) -> Value {
    let mut file = json!({"type": "file", "mime": mime, "url": url});
    if let Some(name) = name {
        file["filename"] = Value::String(name);
    }
    file
}

fn text_piece(text: String) -> Option<Piece> {
    (!text.is_empty()).then_some(Piece::Text(text))
}

fn thought_piece(thought: String) -> Option<Piece> {
    (!thought.trim().is_empty()).then_some(Piece::Thought(thought))
}

/// The first of some fields that is a text with something in it.
fn text(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| fields.get(*name)?.as_str())
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned)
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.get_mut(name)? {
        Value::String(text) => Some(std::mem::take(text)),
        _ => None,
    }
}

fn elements(list: Option<Value>) -> impl Iterator<Item = Value> {
    match list {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    }
    .into_iter()
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
        let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
        return i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok();
    }
    #[allow(clippy::cast_possible_truncation)] // As far as it goes: it is a time.
    let number = value.as_i64().or_else(|| Some(value.as_f64()? as i64)).filter(|number| *number > 0)?;
    Some(if number < SECONDS { number.saturating_mul(1000) } else { number })
}
