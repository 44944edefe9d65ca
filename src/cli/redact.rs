//! `brutus-share redact`: what is hidden in a session, or would be. Never a value.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::person::{Options, Start, ask_or_start};
use crate::client::Redactions;
use crate::client::redaction::{Hidden, Place};
use crate::relay::client::{RelayCallError, hidden};
use crate::text::plain;

/// What is looked through.
#[derive(Debug, Args)]
pub(super) struct Redact {
    /// The session's id, or a file that `publish` takes
    #[arg(value_name = "SESSION or FILE")]
    session: String,

    #[command(flatten)]
    options: Options,

    /// Look at all that the share has again, under the rules of today, and send what has to change
    #[arg(long)]
    again: bool,

    #[command(flatten)]
    start: Start,
}

/// `redact`
pub(super) fn redact(Redact { session, options, again, start }: &Redact) -> Result<(), RelayCallError> {
    if *again {
        ask_or_start(
            options,
            start,
            async |relay| relay.redact_again(session).await,
            |answer| {
                say!("Items that changed: {}", answer["changed"]);
            },
        )?;
        return Ok(());
    }
    let file = Path::new(session).is_file().then(|| absolute(session)).transpose()?;
    let answer = ask_or_start(
        options,
        start,
        async |relay| match &file {
            Some(file) => relay.redactions_of_file(file).await,
            None => relay.redactions(session).await,
        },
        |answer| {
            let Redactions { redactions, .. } = read(answer);
            if redactions.is_empty() {
                say!("Nothing is hidden.");
            }
            for hidden in redactions {
                print(&hidden);
            }
        },
    )?;
    match read(&answer).redactions.len() {
        0 => Ok(()),
        found => Err(RelayCallError::SecretsFound(found)),
    }
}

/// A file as the relay finds it, which works elsewhere.
fn absolute(file: &str) -> Result<PathBuf, RelayCallError> {
    std::path::absolute(file).map_err(|source| RelayCallError::NoFile { file: file.into(), source })
}

fn read(answer: &Value) -> Redactions {
    serde_json::from_value(answer.clone()).unwrap_or_default()
}

fn print(Hidden { placeholder, count, sure, allow, places, .. }: &Hidden) {
    let doubt = if *sure { "" } else { ", by the name beside it" };
    let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
    say!("{}  {times}{doubt}", plain(placeholder));
    for Place { field, message, tool, file, count, item } in places {
        let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
        let tool = tool.as_ref().map_or(String::new(), |tool| format!("{} ", plain(tool)));
        let file = file.as_ref().map_or(String::new(), |file| format!(" of {}", plain(file)));
        let place = message.as_ref().unwrap_or(item);
        say!("  {tool}{}{file}, in {}{times}", plain(field), plain(place));
    }
    say!("  to let it through: allow = [\"{}\"] in [redact] of the relay's configuration", plain(allow));
}

/// What a share hides, in a line; `None` when that is nothing.
pub(super) fn summary(session: &str, answer: &Value) -> Option<String> {
    let hidden = hidden(answer)?;
    Some(format!("hides {hidden}; see `brutus-share redact {}`", plain(session)))
}
