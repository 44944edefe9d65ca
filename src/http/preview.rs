//! What a link says of its session to who has not opened it: chat programs that make previews and keep them, and
//! whatever else reads a page's head.

use std::sync::Arc;

use super::ServiceData;
use super::pages::have_text;
use crate::error::Error;
use crate::model::{Content, Key};
use crate::share::{Snapshot, TextKind};

/// Bytes of the words that are shown.
const PROMPT_BYTES: u64 = 1 << 10;

/// Characters of the first prompt that are shown.
const PROMPT_CHARACTERS: usize = 200;

/// What is said of a session.
pub(super) struct Preview<'a> {
    pub(super) title: &'a str,
    /// What was asked first; nothing when nothing was.
    pub(super) description: Option<&'a str>,
}

/// What is said of a session: the one place that decides it. What is stored may be older than redaction, or redaction
/// off: so secrets are sought here anyway, once for all who look at one position.
pub(super) async fn preview<'a>(
    service: &ServiceData,
    snapshot: &'a Arc<Snapshot>,
) -> Result<Preview<'a>, Error> {
    let title = snapshot.title.clone().unwrap_or_default();
    if snapshot.text(TextKind::Title).is_none() || snapshot.text(TextKind::FirstPrompt).is_none() {
        let of = service.clone();
        service.offload.run(move || of.redaction.prepare_previews()).await?;
    }
    let of = service.clone();
    let bytes = title.len() as u64;
    have_text(service, snapshot, TextKind::Title, bytes, move |_| of.redaction.of_preview(&title)).await?;
    let of = service.clone();
    have_text(service, snapshot, TextKind::FirstPrompt, PROMPT_BYTES, move |items| {
        // All of it, and cut then: of half a secret nobody can tell that it is one.
        beginning(&of.redaction.of_preview(&first_prompt(items)))
    })
    .await?;
    let said = |kind| snapshot.text(kind).filter(|text| !text.is_empty());
    Ok(Preview {
        title: said(TextKind::Title).unwrap_or("Shared session"),
        description: said(TextKind::FirstPrompt),
    })
}

/// What was asked first; nothing when nothing was.
fn first_prompt(items: &[(Key, Content)]) -> String {
    #[derive(serde::Deserialize)]
    struct Part {
        #[serde(rename = "type")]
        kind: String,
        text: Option<String>,
    }
    let parts = items.iter().filter(|(key, _)| key.part_id().is_some());
    let mut parts = parts.filter_map(|(_, content)| serde_json::from_str::<Part>(content.get()).ok());
    parts.find(|part| part.kind == "text").and_then(|part| part.text).unwrap_or_default()
}

/// The first words of a text.
fn beginning(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut words: String = words.chars().take(PROMPT_CHARACTERS).collect();
    if words.len() < text.trim().len() {
        words.push('…');
    }
    words
}
