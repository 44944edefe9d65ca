//! `brutus-share protect` and `link`: what readers of a share need, when it ends, and its link again.

use std::fs;
use std::io::{BufRead, IsTerminal, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::person::{Options, Start, ask, ask_or_start, seconds};
use crate::client;
use crate::config::Lifetime;
use crate::protocol::Password;
use crate::relay::client::{ListedShare, RelayCallError, RelayClient};
use crate::text::plain;

/// A share to protect, or to open again.
#[derive(Debug, Args)]
pub(super) struct Protect {
    /// The share's link
    #[arg(value_name = "LINK")]
    link: String,

    #[command(flatten)]
    options: Options,

    /// Read the password from this file [default: it is asked for]
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    password_file: Option<PathBuf>,

    /// Let the link be enough again
    #[arg(long)]
    remove: bool,

    /// Let the link end by itself after this time from now, or `never`; the password stays as it is unless it is named
    /// too
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Lifetime>,

    /// Read the share's secret from standard input, in a line: for a share that the relay here did not make
    #[arg(long)]
    secret_stdin: bool,

    #[command(flatten)]
    start: Start,
}

/// A shared session.
#[derive(Debug, Args)]
pub(super) struct Link {
    /// The session's id, as its agent calls it
    #[arg(value_name = "SESSION")]
    session: String,

    /// Print the owner's link: who has it can end the share and change its password
    #[arg(long)]
    owner: bool,

    #[command(flatten)]
    options: Options,
}

/// A password for a share that is made.
#[derive(Debug, Args)]
pub(super) struct WithPassword {
    /// Ask for a password that readers need besides the link: on the terminal, or else a line of standard input
    #[arg(long, conflicts_with = "password_file")]
    password: bool,

    /// Read that password from this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl WithPassword {
    /// The password, when there is to be one.
    pub(super) fn read(&self) -> Result<Option<Password>, RelayCallError> {
        match &self.password_file {
            Some(file) => of_file(file).map(Some),
            None if self.password => asked_for().map(Some),
            None => Ok(None),
        }
    }
}

/// `protect LINK`
pub(super) fn protect(command: &Protect) -> Result<(), RelayCallError> {
    let Protect { link, options, password_file, remove, expires_in, secret_stdin, start } = command;
    let client::Link { server, id, .. } = place(link)
        .ok_or_else(|| RelayCallError::Input("LINK has to be one like https://HOST/s/ID".into()))?;
    let mut amendment = json!({});
    // First: the password may be in a later line.
    if *secret_stdin {
        amendment["server"] = json!(server);
        amendment["secret"] = json!(line()?);
    }
    if *remove {
        amendment["password"] = Value::Null;
    } else if let Some(file) = password_file {
        amendment["password"] = json!(of_file(file)?);
    } else if expires_in.is_none() {
        amendment["password"] = json!(asked_for()?);
    }
    if let Some(Lifetime(lifetime)) = expires_in {
        amendment["expiresIn"] = json!(lifetime.map(seconds));
    }
    let amend = async |relay: &RelayClient| relay.amend(id.as_str(), &amendment).await;
    ask_or_start(options, start, amend, |_| {
        match &amendment["password"] {
            Value::String(_) => {
                say!("Readers need the password from now on; who watched has to give it too.");
            }
            _ if *remove => {
                say!("The link is enough from now on.");
            }
            _ => {}
        }
        match amendment.get("expiresIn") {
            Some(Value::Null) => {
                say!("The link does not end by itself, as far as its server allows that.");
            }
            Some(_) => {
                say!("The link ends by itself.");
            }
            None => {}
        }
    })?;
    Ok(())
}

/// `link SESSION`
pub(super) fn link(command: &Link) -> Result<(), RelayCallError> {
    let Link { session, owner, options } = command;
    let find = async |relay: &RelayClient| {
        if *owner {
            return relay.owners_link(session).await;
        }
        let shares: Vec<ListedShare> = serde_json::from_value(relay.list().await?).unwrap_or_default();
        let is_shared = |share: &&ListedShare| {
            share.session_id == *session && share.state != "ended" && share.state != "removing"
        };
        let share = shares.iter().find(is_shared).ok_or_else(|| RelayCallError::Refused {
            code: "not_shared".into(),
            message: "this session is not shared".into(),
        })?;
        Ok(json!({"url": share.url}))
    };
    ask(options, find, |answer| say!("{}", plain(answer["url"].as_str().unwrap_or_default())))?;
    Ok(())
}

/// Which share a link names, whatever key it has.
fn place(link: &str) -> Option<client::Link> {
    link.split('#').next()?.parse().ok()
}

/// What a file holds, but for the end of its line.
fn of_file(file: &Path) -> Result<Password, RelayCallError> {
    let text = fs::read_to_string(file)
        .map_err(|source| RelayCallError::NoFile { file: file.to_owned(), source })?;
    password(text.trim_end_matches(['\r', '\n']))
}

/// What is typed, twice and unseen; where there is no terminal, the next line of standard input.
fn asked_for() -> Result<Password, RelayCallError> {
    if !stdin().is_terminal() {
        return password(&line()?);
    }
    let ask =
        |prompt| rpassword::prompt_password(prompt).map_err(|error| RelayCallError::Input(error.to_string()));
    let typed = ask("Password for readers: ")?;
    if typed != ask("Once more: ")? {
        return Err(RelayCallError::Input("the two are not the same".into()));
    }
    password(&typed)
}

fn password(text: &str) -> Result<Password, RelayCallError> {
    Password::new(text).map_err(|error| RelayCallError::Input(error.to_string()))
}

fn line() -> Result<String, RelayCallError> {
    let mut line = String::new();
    stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| RelayCallError::Input(format!("standard input: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_its_server_and_its_share() {
        let id = "0123456789abcdefghijkl";
        for link in [
            format!("https://share.example/here/s/{id}"),
            format!("https://share.example/here/share/{id}/"),
            format!("https://share.example/here/s/{id}?x=1#k1=KEY"),
        ] {
            let named = place(&link).map(|link| (link.server, link.id.as_str().to_owned()));
            assert_eq!(named, Some(("https://share.example/here".into(), id.into())), "{link}");
        }
        for link in ["", id, "https://share.example", "https://share.example/s/", "ftp://share.example/s/abc"]
        {
            assert_eq!(place(link), None, "{link}");
        }
    }
}
