//! The pieces of a message: texts, thoughts, files, calls and their results, in any of the shapes in which one is
//! written.

use serde_json::{Map, Value, json};

use crate::model::parse_lossy;

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

/// A block of a message's content. Nothing for what is not to be shown: what is encrypted, and empty texts.
pub(super) fn block(block: Value) -> Option<Piece> {
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
            output: field(&mut outcome, "output"),
            files: Vec::new(),
            failed,
        }));
    }
    let is_nothing = fields.is_empty() || fields.contains_key("thoughtSignature");
    (!is_nothing).then_some(Piece::Other(Value::Object(fields)))
}

/// A call in any of its shapes: `{id, function: {name, arguments}}`, `{id, name, input}`, `{name, args}`, `{ID, Name,
/// Input}`, `{call_id, name, arguments}`, `{toolCallId, toolName, input}`.
pub(super) fn call(called: Value) -> Option<Called> {
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
pub(super) fn result(result: Value) -> Option<Outcome> {
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

pub(super) fn held(mime: &str, base64: &str) -> String {
    format!("data:{mime};base64,{base64}")
}

pub(super) fn file(mime: &str, url: &str, name: Option<String>) -> Value {
    let mut file = json!({"type": "file", "mime": mime, "url": url});
    if let Some(name) = name {
        file["filename"] = Value::String(name);
    }
    file
}

pub(super) fn text_piece(text: String) -> Option<Piece> {
    (!text.is_empty()).then_some(Piece::Text(text))
}

pub(super) fn thought_piece(thought: String) -> Option<Piece> {
    (!thought.trim().is_empty()).then_some(Piece::Thought(thought))
}

/// The first of some fields that is a text with something in it.
pub(super) fn text(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| fields.get(*name)?.as_str())
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned)
}

/// Takes a field of what should be an object.
pub(super) fn field(value: &mut Value, name: &str) -> Value {
    value.get_mut(name).map(Value::take).unwrap_or_default()
}

pub(super) fn take_text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.get_mut(name)? {
        Value::String(text) => Some(std::mem::take(text)),
        _ => None,
    }
}

pub(super) fn elements(list: Option<Value>) -> impl Iterator<Item = Value> {
    match list {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    }
    .into_iter()
}
