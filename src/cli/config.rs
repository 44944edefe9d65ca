//! `brutus-share config`: is a file in order, and what holds?

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::data::serve_config;
use super::logging::Logging;
use super::{Cli, layers};
use crate::config::BusChoice;
use crate::serve::Certificate;

/// `config`
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file, and the certificate that it names
    Check {
        /// The file
        file: PathBuf,
        /// Of which daemon it is
        #[arg(long, value_enum, default_value = "serve")]
        of: Daemon,
    },
    /// Show every option of a daemon, its value and where that comes from; secrets are left out
    Show {
        /// The daemon
        #[arg(value_enum, default_value = "serve")]
        daemon: Daemon,
        /// What it is started with
        #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Daemon {
    Serve,
    Relay,
}

impl Daemon {
    fn args(self, options: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let name = match self {
            Self::Serve => "serve",
            Self::Relay => "relay",
        };
        ["brutus-share", name].into_iter().map(OsString::from).chain(options).collect()
    }
}

/// Runs a command.
pub(super) fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    match &config.command {
        Command::Check { file, of } => {
            match of {
                Daemon::Serve => {
                    let config = serve_config(file)?;
                    if let Some(public_url) = &config.public_url {
                        super::check_http("public_url", public_url, config.in_clear)?;
                    }
                    config.bus(config.store.kind()?)?;
                    Logging::filter(&config.log)?;
                    Certificate::open(&config.tls)?;
                }
                Daemon::Relay => {
                    let cli = super::read(&of.args(["--config".into(), file.into()]));
                    if let super::Command::Relay(config) = cli.map_err(|error| error.to_string())?.command
                        && let Some(api_url) = &config.api_url
                    {
                        super::check_http("api_url", api_url, config.in_clear)?;
                    }
                }
            }
            say!("{}: in order", file.display());
        }
        Command::Show { daemon, options } => {
            for layers::Setting { name, value, source } in
                layers::settings::<Cli>(&daemon.args(options.iter().cloned()))?
            {
                if let Some(value) = value {
                    say!("{name} = {:?}  # {source}", masked(&name, &value));
                } else {
                    say!("# {name} is not set");
                }
            }
        }
    }
    Ok(())
}

/// A value without what is secret of it: a token in the path of a server's address, all but the scheme of a database's
/// URL, or of a bus's.
fn masked(name: &str, value: &str) -> String {
    let word = match name {
        "store" => value == "sqlite",
        "bus" => BusChoice::WORDS.contains(&value),
        _ => true,
    };
    if !word {
        return value.split_once("://").map_or("…".into(), |(scheme, _)| format!("{scheme}://…"));
    }
    match value.split_once("/t/") {
        Some((server, _)) if server.contains("://") => format!("{server}/t/…"),
        _ => value.to_owned(),
    }
}
