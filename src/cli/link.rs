//! `brutus-share read` and `import`: what stands behind a link, without a browser and without a relay. A sealed share
//! is opened here, and its server's page is not needed.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::Value;

use crate::client::{self, About, Link, NotALink, Pass, ReadError, Reader, StartError, as_data};
use crate::config::{InClear, OWN_SERVER};
use crate::model::{Content, Key};
use crate::render::{Markdown, OpenCodeSessions, markdown, opencode_sessions};
use crate::text::printable;

/// Bytes of a link, and of a password or a phrase in a file.
const MAX_SECRET: u64 = 4 << 10;

/// A link, and what opens what it leads to.
#[derive(Debug, Args)]
pub(super) struct Opened {
    /// The link, or `-` to read it from standard input, so that it stands in no list of processes
    #[arg(value_name = "LINK")]
    link: String,

    /// File with the share's password, if it has one [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// File with the phrase of an encrypted share, if it has one [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    phrase_file: Option<PathBuf>,

    #[command(flatten)]
    network: Network,
}

/// How the server is reached.
#[derive(Debug, Args)]
pub(super) struct Network {
    /// What may go in clear.
    #[command(flatten)]
    in_clear: InClear,

    /// PEM file with certificate authorities that are trusted beside the system's
    #[arg(long, env = "BRUTUS_SHARE_RELAY_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// `read LINK`
#[derive(Debug, Args)]
pub(super) struct Read {
    #[command(flatten)]
    opened: Opened,

    /// Print Markdown (the default)
    #[arg(long, conflicts_with = "json")]
    md: bool,

    /// Print the items as JSON
    #[arg(long)]
    json: bool,

    /// Print long texts and outputs whole
    #[arg(long)]
    full: bool,
}

/// `import LINK`
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    opened: Opened,
}

/// Why a link cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// It is none.
    #[error(transparent)]
    NotALink(#[from] NotALink),
    /// It cannot be read from where it should be.
    #[error("standard input: {0}")]
    Input(io::Error),
    /// A secret cannot be read from its file.
    #[error("{}: {source}", file.display())]
    File { file: PathBuf, source: io::Error },
    /// There is nobody to ask.
    #[error("the {what} cannot be asked for here ({source}): give it with --{what}-file")]
    NotAsked { what: &'static str, source: io::Error },
    /// The network cannot be used as it is configured.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The share cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// `OpenCode` is not there.
    #[error("opencode is not installed here: `brutus-share read LINK --json` gives the session's items")]
    NoOpencode,
    /// `OpenCode` does not take it.
    #[error("opencode does not import it")]
    NotImported,
    /// A file cannot be written for it.
    #[error("a file for opencode cannot be written: {0}")]
    NotWritten(io::Error),
}

impl Opened {
    /// The link.
    pub(super) fn link(&self) -> Result<Link, LinkError> {
        if self.link != "-" {
            return Ok(self.link.parse()?);
        }
        let mut text = String::new();
        io::stdin().take(MAX_SECRET).read_to_string(&mut text).map_err(LinkError::Input)?;
        Ok(text.trim().parse()?)
    }

    /// How its server is reached.
    pub(super) fn config(&self) -> client::Config {
        let Network { in_clear, ca_file } = &self.network;
        // No directory: nothing is kept.
        client::Config {
            ca_file: ca_file.clone(),
            insecure_http: in_clear.insecure_http,
            ..client::Config::new(OWN_SERVER, PathBuf::new())
        }
    }

    /// All items behind it, in reading order.
    fn items(&self, link: Link) -> Result<Vec<(Key, Content)>, LinkError> {
        actix_web::rt::System::new().block_on(async {
            let reader = Reader::new(&self.config(), link)?;
            let about = reader.about().await?;
            let items = match &about {
                About { sealed: Some(sealed), .. } if sealed.locked => {
                    let phrase = secret("phrase", self.phrase_file.as_deref())?;
                    reader.read(&about, Pass::Phrase(&phrase)).await?
                }
                About { protected: true, .. } => {
                    let password = secret("password", self.password_file.as_deref())?;
                    reader.read(&about, Pass::Password(&password)).await?
                }
                About { .. } => reader.read(&about, Pass::None).await?,
            };
            Ok(items)
        })
    }
}

/// A password or a phrase: out of a file, or asked for at the terminal without showing it.
pub(super) fn secret(what: &'static str, file: Option<&Path>) -> Result<String, LinkError> {
    let Some(file) = file else {
        let asked = rpassword::prompt_password(format!("The share's {what}: "));
        return asked.map_err(|source| LinkError::NotAsked { what, source });
    };
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|opened| opened.take(MAX_SECRET).read_to_string(&mut text));
    read.map_err(|source| LinkError::File { file: file.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// `read LINK`
pub(super) fn read(Read { opened, json, full, .. }: &Read) -> Result<(), LinkError> {
    let items = opened.items(opened.link()?)?;
    if *json {
        say!("{}", printable(&as_data(&items)));
    } else {
        let how = Markdown { full: *full, ..Markdown::default() };
        let _ = io::stdout().write_all(markdown(&items, &how).as_bytes());
    }
    Ok(())
}

/// `import LINK`
pub(super) fn import(Import { opened }: &Import) -> Result<(), LinkError> {
    let link = opened.link()?;
    let share = link.id.clone();
    let OpenCodeSessions { sessions, left_out } = opencode_sessions(&opened.items(link)?, share.as_str());
    let (session, subagents) = sessions.split_first().ok_or(LinkError::NotImported)?;
    give_to_opencode(session, Stdio::inherit())?;
    for subagent in subagents {
        give_to_opencode(subagent, Stdio::null())?;
    }
    if !subagents.is_empty() {
        say!("Imported sessions of its subagents: {}", subagents.len());
    }
    if left_out > 0 {
        eprintln!("parts left out, because OpenCode has nothing like them: {left_out}");
    }
    Ok(())
}

/// Has `opencode import` take a session.
fn give_to_opencode(session: &Value, output: Stdio) -> Result<(), LinkError> {
    // `tempfile` makes its files 0600.
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().map_err(LinkError::NotWritten)?;
    file.write_all(session.to_string().as_bytes()).map_err(LinkError::NotWritten)?;
    let status = Command::new("opencode").arg("import").arg(file.path()).stdout(output).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(LinkError::NotImported),
        Err(_) => Err(LinkError::NoOpencode),
    }
}
