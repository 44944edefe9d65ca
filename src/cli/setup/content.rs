//! What setup wants in a file, and how it comes in and out of what stands there. Pure: bytes to bytes.

use serde_json::Value;

use super::{env, json, toml};

/// The name of our entries in agents' lists of MCP servers.
pub(super) const NAME: &str = "brutus-share";

/// What a file of ours says of where it comes from.
pub(super) const MARK: &str = "written by `brutus-share setup`";

/// How the command of our hooks ends.
const HOOK: &str = " hook claude";

/// What setup wants in a file.
pub(super) enum Content {
    /// These values, in JSON with or without comments.
    Json(Value),
    /// These tables, in TOML.
    Toml(Value),
    /// These variables.
    Env(Vec<(&'static str, String)>),
    /// All of it: the file is ours.
    Whole(String),
}

/// Why a file is left alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It is not in its format.
    #[error("it cannot be read ({0}), and is left alone")]
    Unreadable(String),
    /// There is something else where our entries belong.
    #[error("{0} is not what it should be, and the file is left alone")]
    Shape(String),
    /// It is somebody else's.
    #[error("there is one that `brutus-share setup` did not write, and it is left alone")]
    Foreign,
}

const BOM: &str = "\u{feff}";

impl Content {
    /// The file with it.
    pub(super) fn put(&self, before: Option<&[u8]>) -> Result<Vec<u8>, Refused> {
        let (bom, text) = text(before.unwrap_or_default())?;
        let changed = match self {
            // Laid out as their agents do.
            Self::Json(patch) if before.is_none() => format!("{patch:#}\n"),
            Self::Json(patch) => json::put(text, patch)?,
            Self::Toml(patch) => toml::put(text, patch)?,
            Self::Env(variables) => env::put(text, variables),
            Self::Whole(_) if before.is_some() && !text.contains(MARK) => return Err(Refused::Foreign),
            Self::Whole(whole) => return Ok(whole.clone().into_bytes()),
        };
        Ok(format!("{bom}{changed}").into_bytes())
    }

    /// A file that has changed since without it; `None` when nothing is left of a file that was made for it. What it
    /// replaced is as in `before` again, the file as it was.
    pub(super) fn take_out(
        &self,
        now: &[u8],
        before: Option<&[u8]>,
        made: bool,
    ) -> Result<Option<Vec<u8>>, Refused> {
        let (bom, text_now) = text(now)?;
        let before = before.and_then(|before| text(before).ok()).map(|(_, text)| text);
        let rest = match self {
            Self::Json(patch) => json::take_out(text_now, patch, before)?,
            Self::Toml(patch) => toml::take_out(text_now, patch, before)?,
            Self::Env(variables) => env::take_out(text_now, variables, before),
            Self::Whole(whole) if text_now == whole => return Ok(None),
            // Somebody has made it their own.
            Self::Whole(_) => return Err(Refused::Foreign),
        };
        let is_empty = matches!(rest.trim(), "" | "{}");
        Ok((!made || !is_empty).then(|| format!("{bom}{rest}").into_bytes()))
    }
}

/// Whether an entry is ours whatever it says.
pub(super) fn is_ours_by_name(name: &str) -> bool {
    name == NAME
}

/// Whether an element of a list of hooks is ours: one of its commands is.
pub(super) fn is_ours(value: &Value) -> bool {
    match value {
        Value::String(text) => text.ends_with(HOOK),
        Value::Array(elements) => elements.iter().any(is_ours),
        Value::Object(fields) => fields.values().any(is_ours),
        _ => false,
    }
}

fn text(bytes: &[u8]) -> Result<(&'static str, &str), Refused> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Refused::Unreadable(format!("no UTF-8 at byte {}", error.valid_up_to())))?;
    Ok(text.strip_prefix(BOM).map_or(("", text), |text| (BOM, text)))
}
