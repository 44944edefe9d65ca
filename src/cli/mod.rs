//! The command line: one file a subcommand. Here: what there is, and how the layers of configuration are put together.

/// Prints a line for a person or a script. Whoever reads no further (`brutus-share sessions | head`) does not need the
/// rest.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod acp;
mod admin;
mod backup;
mod config;
mod data;
mod demo;
mod healthcheck;
mod hook;
mod layers;
mod link;
mod logging;
mod manual;
mod mcp;
mod moving;
mod open;
mod person;
mod protect;
mod redact;
mod relay;
mod serve;
mod servers;
mod setup;
mod token;
mod which;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

use crate::config::{InClear, InsecureHttp, UnknownBus, UnknownStore};
use crate::relay::client::{RelayCallError, RelayOptions};
use crate::store::MoveError;

/// Live, private-by-default sharing of coding-agent sessions.
#[derive(Debug, Parser)]
#[command(name = "brutus-share", version, about, long_about = None, args_override_self = true)]
#[command(
    after_help = "Every option of a daemon can also be set by its environment name or in the file given with \
                  --config: flags \
                  stand over the environment, the environment over the file.\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong use, 3 no relay answers, 4 the session is not shared or not \
                  known, 5 secrets found, \
                  6 asked for and not confirmed yet."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the share server: HTTP API, WebSocket, and the viewer's page
    Serve(Box<crate::config::Serve>),
    /// Run the relay beside a coding agent: takes its events, keeps the secrets, and pushes to the share server
    Relay(Box<crate::config::Relay>),
    /// Share a session through the relay, live from now on, and print its link
    Share(person::Share),
    /// List the sessions of this machine's agents that can be shared
    Sessions(person::Sessions),
    /// Put a transcript behind a link once, without following it
    Publish(person::Publish),
    /// List the secrets that are hidden in a session, or would be if it were shared
    Redact(redact::Redact),
    /// Print what stands behind a link: an encrypted share is opened here
    Read(link::Read),
    /// Open a link in a browser by this program's own page, so that its server's page need not be trusted
    Open(open::Open),
    /// Import what stands behind a link, a session of any agent, into OpenCode
    Import(link::Import),
    /// Take a session's share away, also when the session itself is gone
    Unshare(person::OneSession),
    /// Have readers of a share give a password besides its link, or not any more; or say when it ends
    Protect(protect::Protect),
    /// Print the link of a shared session again, or its owner's
    Link(protect::Link),
    /// List what is shared
    List(person::Options),
    /// Say whether the relay runs, and what waits to be sent
    Status(person::Options),
    /// Run an MCP server on stdio: the tools by which an agent shares, unshares and lists
    Mcp(RelayOptions),
    /// Write an agent's own configuration, so that `/share` in it gives a link; or take that back
    Setup(setup::Setup),
    /// Take what an agent tells its hooks
    #[command(hide = true)]
    Hook(hook::Hook),
    /// Stand between an agent and its client that speak ACP (Zed and others), so that sessions can be shared
    Acp(acp::Acp),
    /// Show a live page: a server and a relay with throw-away data, and a conversation played into them
    Demo(demo::Options),
    /// Find and remove shares, as the server's operator: beside a server that runs, too
    Admin(admin::Admin),
    /// List the share servers that announce themselves on this network
    Servers(servers::Servers),
    /// Make a server of this network the one to which this user's sessions go, once its fingerprint is agreed to
    Pair(servers::Pair),
    /// Make no more shares on the server that is paired
    Unpair(servers::Unpair),
    /// Say who may create shares, where not everybody may
    Token(token::Token),
    /// Copy the server's data to a file, while it runs
    Backup(backup::ToFile),
    /// Put a backup in the place of the server's data, while it does not run
    Restore(backup::FromFile),
    /// Move all shares into another store, SQLite's or PostgreSQL: beside a server that runs, and at last without it
    Move(moving::Move),
    /// Ask whether a server or a relay answers, and exit with 0 when it does: for containers
    Healthcheck(healthcheck::Healthcheck),
    /// Check and show configuration
    Config(config::Config),
    /// Write man pages and shell completions to a directory
    Manual(manual::Manual),
}

/// Refuses a URL at which secrets would go over the network in clear, unless that is accepted: then it is warned of.
fn check_http(option: &'static str, url: &str, accepted: InClear) -> Result<(), InsecureHttp> {
    crate::config::check_http(option, url, accepted.insecure_http).inspect(|in_clear| {
        if *in_clear {
            tracing::warn!(
                "{option} is http:// to another machine: secrets and sessions go over the network in clear"
            );
        }
    })?;
    Ok(())
}

fn read(args: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&layers::matches::<Cli>(args)?)
}

/// How a command that failed ends, as `--help` lists it.
fn exit_code(error: &(dyn std::error::Error + 'static)) -> u8 {
    if error.is::<data::OtherStore>()
        || error.is::<moving::NotThere>()
        || error.is::<UnknownStore>()
        || error.is::<UnknownBus>()
    {
        return 2;
    }
    if let Some(MoveError::InUse) = error.downcast_ref() {
        return 6;
    }
    error.downcast_ref().map_or(1, RelayCallError::exit_code)
}

/// Runs the command that `args` names, and says how it ended, as `--help` lists it.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    let cli = read(&args).unwrap_or_else(|error| error.exit());
    let done = match &cli.command {
        Command::Serve(config) => serve::run(config, move || match read(&args).map(|cli| cli.command) {
            Ok(Command::Serve(config)) => Ok(*config),
            Ok(_) => Err("this is no server".into()),
            Err(error) => Err(error.to_string()),
        }),
        Command::Relay(config) => relay::run(config),
        Command::Share(command) => person::share(command),
        Command::Sessions(command) => person::sessions(command).map_err(Into::into),
        Command::Publish(command) => person::publish(command),
        Command::Redact(command) => redact::redact(command).map_err(Into::into),
        Command::Read(command) => link::read(command).map_err(Into::into),
        Command::Open(command) => open::open(command),
        Command::Import(command) => link::import(command).map_err(Into::into),
        Command::Unshare(command) => person::unshare(command).map_err(Into::into),
        Command::Protect(command) => protect::protect(command).map_err(Into::into),
        Command::Link(command) => protect::link(command).map_err(Into::into),
        Command::List(options) => person::list(options).map_err(Into::into),
        Command::Status(options) => person::status(options).map_err(Into::into),
        Command::Mcp(options) => mcp::run(options),
        Command::Setup(command) => setup::run(command),
        Command::Hook(hook) => {
            hook::run(hook);
            Ok(())
        }
        Command::Acp(command) => match acp::run(command) {
            Ok(code) => return ExitCode::from(code),
            Err(error) => Err(error),
        },
        Command::Demo(options) => demo::run(options),
        Command::Admin(command) => admin::run(command),
        Command::Servers(command) => servers::servers(command),
        Command::Pair(command) => servers::pair(command),
        Command::Unpair(command) => servers::unpair(command),
        Command::Token(command) => token::run(command),
        Command::Backup(command) => backup::back_up(command),
        Command::Restore(command) => backup::restore(command),
        Command::Move(command) => moving::run(command),
        Command::Healthcheck(check) => healthcheck::run(check),
        Command::Config(command) => config::run(command),
        Command::Manual(command) => manual::write(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", crate::text::plain(&error.to_string()));
            ExitCode::from(exit_code(&*error))
        }
    }
}
