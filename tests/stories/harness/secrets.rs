//! The corpora of `tests/fixtures/secrets`, as items that a client sends.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

/// Characters of a secret that are too many to be seen.
const RUN: usize = 12;

/// A line of a corpus.
pub struct Case {
    line: Value,
    nth: usize,
}

impl Case {
    pub fn all(corpus: &str) -> Vec<Self> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/secrets/{corpus}.jsonl"));
        let text = std::fs::read_to_string(path).expect("the corpus");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.enumerate().map(|(nth, line)| Self { line, nth }).collect()
    }

    pub fn str(&self, name: &str) -> &str {
        self.line[name].as_str().expect(name)
    }

    /// What of it nobody may see.
    pub fn secret(&self) -> String {
        self.joined("sensitive")
    }

    /// The secret value that was planted.
    pub fn value(&self) -> String {
        self.joined("secret")
    }

    /// Values are kept in pieces, so that no scanner of repositories takes them for real.
    fn joined(&self, name: &str) -> String {
        self.line[name].as_array().expect(name).iter().map(|piece| piece.as_str().expect("a piece")).collect()
    }

    /// The text that it stands in.
    pub fn text(&self) -> String {
        if self.line["pieces"].is_array() {
            return self.joined("pieces");
        }
        let Some(context) = self.line["context"].as_str() else { return self.str("text").to_owned() };
        let secret = self.joined("secret");
        let written = match self.str("form") {
            "json" => quoted(&secret),
            "json2" => quoted(&quoted(&secret)),
            "url" => percent_encoded(&secret),
            "base64" => STANDARD.encode(&secret),
            "diff" => secret.replace('\n', "\n+"),
            "lines" => secret.replace('\n', "\n00042| "),
            _ => secret,
        };
        context.replace("{{secret}}", &written)
    }

    /// What its item is stored under.
    pub fn key(&self) -> String {
        match self.str("where") {
            "diff" | "title" => format!("message/msg_{}", self.nth),
            _ => format!("part/msg_{0}/prt_{0}", self.nth),
        }
    }

    /// The item of a sync.
    pub fn item(&self) -> Value {
        let text = self.text();
        let (id, message) = (format!("prt_{}", self.nth), format!("msg_{}", self.nth));
        let part = |mut data: Value| {
            (data["id"], data["messageID"]) = (json!(id), json!(message));
            json!({"type": "part", "data": data})
        };
        let tool = |name: &str, input: Value, output: &str, metadata: Value| {
            part(json!({"type": "tool", "tool": name, "state": {"status": "completed", "input": input,
                "output": output, "metadata": metadata, "time": {"start": 1, "end": 2}}}))
        };
        let message = |summary: Value| {
            json!({"type": "message", "data": {"id": message, "role": "user", "time": {"created": self.nth},
                "summary": summary}})
        };
        let file = |mime: &str, body: &str| {
            part(json!({"type": "file", "mime": mime, "url": format!("data:{mime};base64,{body}")}))
        };
        match self.str("where") {
            "bash" => tool("bash", json!({"command": "run"}), &text, json!({"output": text, "exit": 0})),
            "read" => tool(
                "read",
                json!({"filePath": "/app/settings"}),
                &format!("<file>\n{text}</file>"),
                json!({"preview": text}),
            ),
            "edit" => tool(
                "edit",
                json!({"filePath": "/app/main.ts", "newString": text}),
                "",
                json!({"diff": format!("+{text}")}),
            ),
            "diff" => message(json!({"diffs": [{"file": "settings", "patch": text}]})),
            "title" => message(json!({"title": text})),
            "attachment" => file("text/plain", &STANDARD.encode(&text)),
            "attachment-image" => file("image/png", &text),
            "text" => part(json!({"type": "text", "text": text, "time": {"start": 1, "end": 2}})),
            other => panic!("{other}"),
        }
    }

    /// Whether an item shows its secret: characters in a row of it, plain, percent-encoded or behind base64.
    pub fn is_shown_by(&self, item: &Value) -> bool {
        let said = said(item);
        let secret = self.secret();
        shows(&said, &secret) || shows(&said, &percent_encoded(&secret)) || {
            let lenient = GeneralPurposeConfig::new()
                .with_decode_allow_trailing_bits(true)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let lenient = GeneralPurpose::new(&alphabet::STANDARD, lenient);
            let is_run = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
            said.split(|c| !is_run(c)).filter(|run| run.len() >= 24).any(|run| {
                let whole = &run[..run.len() / 4 * 4];
                lenient.decode(whole).is_ok_and(|inside| shows(&String::from_utf8_lossy(&inside), &secret))
            })
        }
    }
}

/// Pieces of secrets, side by side: what shows twice as many characters in a row shows one of them.
pub fn pieces<'a>(cases: impl IntoIterator<Item = &'a Case>) -> BTreeSet<String> {
    let secrets = cases.into_iter().map(Case::secret);
    let pieces = secrets.flat_map(|secret| {
        let characters: Vec<_> = secret.chars().collect();
        let run = RUN.min(characters.len());
        characters.chunks_exact(run).map(|piece| piece.iter().collect::<String>()).collect::<Vec<_>>()
    });
    pieces.filter(|piece| !piece.contains(['\n', '-'])).collect()
}

fn shows(text: &str, secret: &str) -> bool {
    let places: Vec<_> = secret.char_indices().map(|(at, _)| at).chain([secret.len()]).collect();
    let run = RUN.min(places.len() - 1);
    places.windows(run + 1).any(|piece| text.contains(&secret[piece[0]..piece[run]]))
}

/// All texts of an item, attachments decoded.
fn said(item: &Value) -> String {
    fn collect(value: &Value, said: &mut String) {
        match value {
            Value::String(text) => said.extend([text, "\n"]),
            Value::Array(values) => values.iter().for_each(|value| collect(value, said)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, said)),
            _ => {}
        }
    }
    let mut said = item.to_string();
    collect(item, &mut said);
    said
}

fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
