//! `brutus-share servers`, `pair` and `unpair`: share servers near by, and which of them is this user's.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Config, Pairing, Prover, Unproved};
use crate::clock::now_ms;
use crate::config::{InClear, LocalDir, OWN_SERVER, duration, is_in_clear, relay_env};
use crate::discovery::{Fingerprint, Nearby, browse};
use crate::text::plain;

/// What names the relay's server over any pairing.
const API_URL: &str = "BRUTUS_SHARE_API_URL";

/// How servers are found.
#[derive(Debug, Args)]
struct Search {
    /// How long the network is listened to
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    timeout: Duration,

    /// PEM file with certificate authorities that are trusted beside the system's
    #[arg(long, env = "BRUTUS_SHARE_RELAY_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,

    #[command(flatten)]
    local: LocalDir,
}

/// `servers`
#[derive(Debug, Args)]
pub(super) struct Servers {
    #[command(flatten)]
    search: Search,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `pair NAME`
#[derive(Debug, Args)]
pub(super) struct Pair {
    /// The server's name, its URL or its fingerprint
    #[arg(value_name = "NAME")]
    name: String,

    /// The fingerprint that it has to have: who runs it can say
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<Fingerprint>,

    /// Do not ask: the fingerprint is the one that is given
    #[arg(long, requires = "fingerprint")]
    yes: bool,

    #[command(flatten)]
    in_clear: InClear,

    #[command(flatten)]
    search: Search,
}

/// `unpair`
#[derive(Debug, Args)]
pub(super) struct Unpair {
    #[command(flatten)]
    local: LocalDir,
}

/// Why nothing is paired.
#[derive(Debug, thiserror::Error)]
enum NotPaired {
    #[error("no server {name} is near: {near}")]
    NotNear { name: String, near: String },
    #[error("several servers call themselves {name}: name the fingerprint of one. {near}")]
    Several { name: String, near: String },
    #[error("{name} has the fingerprint {fingerprint}, and not {wanted}: nothing is paired")]
    Other { name: String, fingerprint: Fingerprint, wanted: Fingerprint },
    #[error("{name} announces the fingerprint {claimed}, and does not prove it: {reason}. Nothing is paired")]
    Unproved { name: String, claimed: Fingerprint, reason: String },
    #[error(
        "sessions would go to {url} over the network in clear: accept that with --insecure-http. Nothing is paired"
    )]
    InClear { url: String },
    #[error("nothing is paired")]
    Declined,
}

impl Search {
    /// What is near, the relay's directory, and what asks servers for their keys.
    async fn near(&self) -> Result<(Vec<Nearby>, PathBuf, Prover), Box<dyn Error>> {
        let dir = self.local.path()?;
        let config = Config { ca_file: self.ca_file.clone(), ..Config::new(OWN_SERVER, &dir) };
        let prover = Prover::new(&config)?;
        let near = browse(self.timeout).await;
        let near = near.map_err(|error| format!("the local network cannot be asked: {error}"))?;
        Ok((near, dir, prover))
    }
}

/// What is known of a server near by, beside what it says.
enum Standing {
    Unpaired,
    /// It is the paired one, as it has just proved.
    Paired,
    /// It claims the paired one's key and does not prove it.
    Unproved(String),
    /// It bears the paired one's name, and has another key.
    Namesake,
}

/// `servers`
pub(super) fn servers(Servers { search, json }: &Servers) -> Result<(), Box<dyn Error>> {
    actix_web::rt::System::new().block_on(async {
        let (near, dir, prover) = search.near().await?;
        let pairing = Pairing::read(&dir)?;
        let mut listed = Vec::new();
        for nearby in &near {
            listed.push((nearby, standing(nearby, pairing.as_ref(), &prover).await));
        }
        if *json {
            say!(
                "{:#}",
                listed.iter().map(|(nearby, standing)| as_json(nearby, standing)).collect::<Value>()
            );
            return Ok(());
        }
        if listed.is_empty() {
            say!("No share server announces itself on this network.");
        }
        for (nearby, standing) in &listed {
            let standing = match standing {
                Standing::Unpaired => String::new(),
                Standing::Paired => "  paired".into(),
                Standing::Unproved(reason) => format!("  NOT the paired one, or not to be reached: {reason}"),
                Standing::Namesake => "  NOT the paired one: its name, and another key".into(),
            };
            say!("{}{}", line(nearby), plain(&standing));
        }
        if let Some(pairing) =
            pairing.filter(|_| !listed.iter().any(|(_, found)| matches!(found, Standing::Paired)))
        {
            say!("Paired, and not found: {}  {}  {}", plain(&pairing.name), pairing.url, pairing.fingerprint);
        }
        Ok(())
    })
}

async fn standing(nearby: &Nearby, pairing: Option<&Pairing>, prover: &Prover) -> Standing {
    match pairing {
        Some(pairing) if pairing.fingerprint == nearby.id => match proved_url(nearby, prover).await {
            Ok(_) => Standing::Paired,
            Err(reason) => Standing::Unproved(reason),
        },
        Some(pairing) if pairing.name == nearby.name => Standing::Namesake,
        _ => Standing::Unpaired,
    }
}

/// A URL at which a server proves the key that it announces.
async fn proved_url<'a>(nearby: &'a Nearby, prover: &Prover) -> Result<&'a str, String> {
    let mut reason = "it says of no place where it is".to_owned();
    for url in &nearby.urls {
        reason = match prover.key_at(url).await {
            Ok(key) if key == nearby.id => return Ok(url),
            Ok(other) => format!("what answers at {url} has the key {other}"),
            // A place that does not exist says less than one at which somebody lies.
            Err(Unproved::Unreachable { .. }) if reason.contains("claims") => reason,
            Err(error) => error.to_string(),
        };
    }
    Err(reason)
}

/// A server in a line.
fn line(Nearby { name, id, urls, asks_for_token }: &Nearby) -> String {
    let token = if *asks_for_token { "  needs a token" } else { "" };
    let url = urls.first().map_or("", |url| url);
    format!("{}  {}  {id}{token}", plain(name), plain(url))
}

fn as_json(Nearby { name, id, urls, asks_for_token }: &Nearby, standing: &Standing) -> Value {
    let security = if *asks_for_token { "token" } else { "none" };
    json!({
        "name": name,
        "url": urls.first(),
        "fingerprint": id,
        "security": security,
        "paired": matches!(standing, Standing::Paired),
    })
}

/// `pair NAME`
pub(super) fn pair(command: &Pair) -> Result<(), Box<dyn Error>> {
    actix_web::rt::System::new().block_on(async {
        let (near, dir, prover) = command.search.near().await?;
        let nearby = named(&near, &command.name)?;
        let name = plain(&nearby.name);
        if let Some(wanted) = command.fingerprint.as_ref().filter(|wanted| **wanted != nearby.id) {
            let (fingerprint, wanted) = (nearby.id.clone(), wanted.clone());
            return Err(NotPaired::Other { name, fingerprint, wanted }.into());
        }
        let url = proved_url(nearby, &prover).await;
        let url = url.map_err(|reason| NotPaired::Unproved {
            name: name.clone(),
            claimed: nearby.id.clone(),
            reason,
        })?;
        let before = Pairing::read(&dir)?;
        if !command.is_agreed(nearby, url, before.as_ref())? {
            return Err(NotPaired::Declined.into());
        }
        crate::sqlite::private_dir(&dir)?;
        let fingerprint = nearby.id.clone();
        Pairing { name: nearby.name.clone(), url: url.to_owned(), fingerprint, paired_at: now_ms() }
            .write(&dir)?;
        say!("{name} is paired: new shares are made there.");
        if nearby.asks_for_token {
            say!(
                "It asks for a token, which who runs it gives out: start the relay with --create-token-file."
            );
        }
        if let Some(other) = other_server() {
            say!("But the relay's configuration names {} ({API_URL}), and that comes first.", plain(&other));
        }
        Ok(())
    })
}

impl Pair {
    /// Shows what would be paired, and asks whether it shall be, unless that was answered before.
    fn is_agreed(
        &self,
        nearby: &Nearby,
        url: &str,
        before: Option<&Pairing>,
    ) -> Result<bool, Box<dyn Error>> {
        let in_clear = is_in_clear(url);
        if self.yes && in_clear && !self.in_clear.insecure_http {
            return Err(NotPaired::InClear { url: url.to_owned() }.into());
        }
        say!("name         {}", plain(&nearby.name));
        say!("url          {}", plain(url));
        say!("fingerprint  {}", nearby.id);
        if let Some(before) = before.filter(|before| before.fingerprint != nearby.id) {
            let same = if before.name == nearby.name { ", of the same name" } else { "" };
            say!("It takes the place of another server{same}: {}  {}", before.url, before.fingerprint);
        }
        if in_clear {
            say!("It is http://: sessions, and what it takes to change them, go over this network in clear.");
        }
        if self.yes {
            return Ok(true);
        }
        say!("Who runs the server sees its fingerprint in its log: it has to be the same.");
        print!("Shall your sessions go there? [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

/// The server near by that is meant.
fn named<'a>(near: &'a [Nearby], name: &str) -> Result<&'a Nearby, NotPaired> {
    let fingerprint = name.parse::<Fingerprint>().ok();
    let url = name.trim_end_matches('/');
    let is_meant = |nearby: &&Nearby| {
        nearby.name.eq_ignore_ascii_case(name)
            || fingerprint.as_ref() == Some(&nearby.id)
            || nearby.urls.iter().any(|known| known == url)
    };
    let lines = |near: &[&Nearby]| near.iter().map(|nearby| line(nearby)).collect::<Vec<_>>().join("\n");
    let meant: Vec<_> = near.iter().filter(is_meant).collect();
    match meant[..] {
        [nearby] => Ok(nearby),
        [] if near.is_empty() => Err(NotPaired::NotNear {
            name: plain(name),
            near: "none announces itself on this network".into(),
        }),
        [] => {
            let near = format!("name one of these:\n{}", lines(&near.iter().collect::<Vec<_>>()));
            Err(NotPaired::NotNear { name: plain(name), near })
        }
        _ => Err(NotPaired::Several { name: plain(name), near: format!("They are:\n{}", lines(&meant)) }),
    }
}

/// The server that the relay's environment names.
fn other_server() -> Option<String> {
    let of_file = || relay_env().into_iter().rev().find(|(name, _)| name == API_URL).map(|(_, url)| url);
    std::env::var(API_URL).ok().or_else(of_file)
}

/// `unpair`
pub(super) fn unpair(Unpair { local }: &Unpair) -> Result<(), Box<dyn Error>> {
    let dir = local.path()?;
    match Pairing::read(&dir) {
        Ok(None) => say!("No server is paired."),
        // What cannot be read is taken away too.
        Ok(Some(_)) | Err(_) => forget(&dir)?,
    }
    Ok(())
}

fn forget(dir: &Path) -> Result<(), Box<dyn Error>> {
    Pairing::forget(dir)?;
    say!(
        "No server is paired any more. What was shared stays where it is, and is sent on, until it is unshared."
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearby(name: &str, id: char) -> Nearby {
        let id = id.to_string().repeat(32).parse().unwrap();
        Nearby {
            name: name.into(),
            id,
            urls: vec![format!("http://{name}.example:8090")],
            asks_for_token: false,
        }
    }

    #[test]
    fn a_server_is_named_by_name_url_or_fingerprint_and_never_guessed() {
        let near = [nearby("nas", 'a'), nearby("nas", 'b'), nearby("desk", 'c')];
        assert_eq!(named(&near, "Desk").unwrap(), &near[2]);
        assert_eq!(named(&near, "http://desk.example:8090/").unwrap(), &near[2]);
        assert_eq!(named(&near, near[1].id.as_str()).unwrap(), &near[1]);
        let several = named(&near, "nas").unwrap_err().to_string();
        assert!(several.contains(near[0].id.as_str()) && several.contains(near[1].id.as_str()), "{several}");
        assert!(matches!(named(&near, "das"), Err(NotPaired::NotNear { near, .. }) if near.contains("desk")));
        assert!(matches!(named(&[], "nas"), Err(NotPaired::NotNear { .. })));
    }
}
