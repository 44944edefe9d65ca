//! The corpora of `tests/fixtures/secrets`, line by line. The unit tests of redaction read them with this too.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A line of a corpus.
pub(super) struct Line(Value);

impl Line {
    pub(super) fn all(corpus: &str) -> Vec<Self> {
        let path = format!("{}/tests/fixtures/secrets/{corpus}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the corpus");
        text.lines().map(|line| Self(serde_json::from_str(line).expect("JSON"))).collect()
    }

    pub(super) fn str(&self, name: &str) -> &str {
        self.0[name].as_str().expect(name)
    }

    /// Values come out of a generator. They are kept in pieces, so that no scanner of repositories takes them for real.
    pub(super) fn joined(&self, name: &str) -> String {
        self.0[name].as_array().expect(name).iter().map(|piece| piece.as_str().expect("a piece")).collect()
    }

    /// The text that its secret stands in.
    pub(super) fn text(&self) -> String {
        if self.0["pieces"].is_array() {
            return self.joined("pieces");
        }
        let Some(context) = self.0["context"].as_str() else { return self.str("text").to_owned() };
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
}

fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
