//! The relay's options.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::url::base_url;
use super::values::{duration, size};
use super::{InClear, Log, NoHome, default_dir};
use crate::daemon::Address;
use crate::redact::Settings;

/// The relay, beside the coding agent.
#[derive(Debug, Clone, Args)]
pub struct Relay {
    /// Where to listen, on this machine alone: `ADDRESS:PORT`, `localhost:PORT` or `unix:PATH`; port 0 takes a free one
    #[arg(long, env = "BRUTUS_SHARE_RELAY_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8091",
          value_parser = relay_address)]
    pub listen: Address,

    /// Take a free port when another program has that of `--listen`
    #[arg(
        long,
        env = "BRUTUS_SHARE_RELAY_ANY_PORT",
        value_name = "BOOL",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pub any_port: bool,

    /// The share server [default: the one that is paired (`brutus-share pair`), or else `http://127.0.0.1:8090`]
    #[arg(long, env = "BRUTUS_SHARE_API_URL", value_name = "URL", value_parser = base_url)]
    pub api_url: Option<String>,

    /// What may go in clear.
    #[command(flatten)]
    pub in_clear: InClear,

    /// File with the token that the share server's operator gave out, where creating shares needs one
    #[arg(long, env = "BRUTUS_SHARE_CREATE_TOKEN_FILE", value_name = "FILE")]
    pub create_token_file: Option<PathBuf>,

    /// PEM file with certificate authorities that are trusted for share servers, beside the system's
    #[arg(long, env = "BRUTUS_SHARE_RELAY_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// The secrets' place.
    #[command(flatten)]
    pub local: LocalDir,

    /// Whether sessions may be shared at all
    #[arg(
        long,
        env = "BRUTUS_SHARE_ENABLED",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
    )]
    pub enabled: bool,

    /// Whether secrets in sessions give way to placeholders, are listed alone (`brutus-share redact`), or are not
    /// sought (docs/PRIVACY.md); in a file also a table with more options, where this is `mode`
    #[arg(long, env = "BRUTUS_SHARE_RELAY_REDACT", value_name = "MODE", default_value = "on")]
    pub redact: RedactMode,

    /// The other options of the table, as JSON: only a file has them.
    #[arg(long, hide = true, value_name = "JSON", default_value = "{}", value_parser = redact_options)]
    pub redact_options: Settings,

    /// Whether sessions are encrypted before they are sent, so that only their links open them: when it is asked for
    /// (`share --sealed`), or always
    #[arg(long, env = "BRUTUS_SHARE_RELAY_SEALED", value_name = "WHEN", default_value = "asked")]
    pub sealed: SealedMode,

    /// Find sessions where agents keep them (docs/AGENTS.md), when somebody lists or shares them
    #[arg(
        long,
        env = "BRUTUS_SHARE_SOURCES",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
    )]
    pub sources: bool,

    /// Where OpenCode's server listens, so that its texts are shared word by word [default: `http://127.0.0.1:4096`, if
    /// it is OpenCode that listens there]
    #[arg(long, env = "BRUTUS_SHARE_OPENCODE_URL", value_name = "URL", value_parser = base_url)]
    pub opencode_url: Option<String>,

    /// How long updates of a session are gathered before they are sent
    #[arg(long, env = "BRUTUS_SHARE_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub interval: Duration,

    /// Items in one sync, all together; has to be below the server's limit for a body
    #[arg(long, env = "BRUTUS_SHARE_MAX_BATCH", value_name = "SIZE", default_value = "4MiB", value_parser = size)]
    pub max_batch: u64,

    /// Most that may wait on the disk for the server
    #[arg(long, env = "BRUTUS_SHARE_MAX_SPOOL", value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub max_spool: u64,

    /// Longest wait between two tries when the server is away
    #[arg(long, env = "BRUTUS_SHARE_MAX_BACKOFF", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub max_backoff: Duration,

    /// How long one request to the server may take
    #[arg(long, env = "BRUTUS_SHARE_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,

    /// How long pending updates may take to be sent when the relay is asked to stop
    #[arg(long, env = "BRUTUS_SHARE_STOP_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub stop_timeout: Duration,

    /// The log.
    #[command(flatten)]
    pub log: Log,

    /// TOML or JSON file with any of these options, by their names with underscores
    #[arg(long, env = "BRUTUS_SHARE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Whether the relay seeks secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RedactMode {
    /// They give way to placeholders.
    On,
    /// They are listed, and sent all the same.
    Report,
    /// They are not sought.
    Off,
}

/// When the relay seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SealedMode {
    /// When it is asked for.
    Asked,
    /// Every new share.
    Always,
}

/// Reads the options of the table `[redact]`.
fn redact_options(json: &str) -> Result<Settings, String> {
    serde_json::from_str(json).map_err(|error| {
        let text = error.to_string();
        // Where it stands in the JSON tells nothing of where it stands in the file.
        text.split(" at line ").next().unwrap_or_default().to_owned()
    })
}

/// Where the relay keeps its state, and where its clients find the token.
#[derive(Debug, Clone, Args)]
pub struct LocalDir {
    /// Directory of the secrets, the token and the spool [default: brutus-share/relay in the user's state directory]
    #[arg(long, env = "BRUTUS_SHARE_LOCAL_DIR", value_name = "DIR")]
    local_dir: Option<PathBuf>,
}

impl LocalDir {
    /// Whether none is given.
    pub fn is_default(&self) -> bool {
        self.local_dir.is_none()
    }

    /// The directory.
    ///
    /// # Errors
    /// When none is given and the user has no home directory.
    pub fn path(&self) -> Result<PathBuf, NoHome> {
        self.local_dir.clone().map_or_else(|| Ok(default_dir("--local-dir")?.join("relay")), Ok)
    }
}

/// Where the relay listens: `:PORT` is loopback too.
fn relay_address(text: &str) -> Result<Address, String> {
    match text.parse()? {
        Address::Any(port) => Ok(Address::Localhost(port)),
        address if address.is_local() => Ok(address),
        _ => Err("the relay listens on loopback alone: it keeps the secrets".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_listens_on_this_machine_alone() {
        assert!(relay_address("0.0.0.0:1").is_err() && relay_address("nonsense").is_err());
        assert_eq!(relay_address(":8091"), Ok(Address::Localhost(8091)));
        assert_eq!(relay_address("unix:/a"), Ok(Address::Unix("/a".into())));
    }
}
