//! The corpora of `tests/fixtures/secrets`, as items that a client sends.

use std::collections::BTreeSet;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use super::corpus::{Line, percent_encoded};

/// Characters of a secret that are too many to be seen.
const RUN: usize = 12;

/// A line of a corpus, and its place there.
pub struct Case {
    line: Line,
    nth: usize,
}

impl Case {
    pub fn all(corpus: &str) -> Vec<Self> {
        Line::all(corpus).into_iter().enumerate().map(|(nth, line)| Self { line, nth }).collect()
    }

    pub fn str(&self, name: &str) -> &str {
        self.line.str(name)
    }

    /// What of it nobody may see.
    pub fn secret(&self) -> String {
        self.line.joined("sensitive")
    }

    /// The secret value that was planted.
    pub fn value(&self) -> String {
        self.line.joined("secret")
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
        let text = self.line.text();
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
