//! The command line: one file a subcommand. Here: what there is, and how the layers of configuration are put together.

mod demo;
mod layers;
mod logging;
mod mcp;
mod person;
mod relay;
mod relay_client;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};
use relay_client::RelayCallError;

/// Live, private-by-default sharing of coding-agent sessions.
#[derive(Debug, Parser)]
#[command(name = "brutus-share", version, about, long_about = None, args_override_self = true)]
#[command(
    after_help = "Every option of a daemon can also be set by its environment name or in the file given with --config: flags \
                  stand over the environment, the environment over the file.\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong use, 3 no relay answers, 4 the session is not shared."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the share server: HTTP API, WebSocket, and the viewer's page
    Serve(crate::config::Serve),
    /// Run the relay beside a coding agent: takes its events, keeps the secrets, and pushes to the share server
    Relay(crate::config::Relay),
    /// Share a session through the relay, and print its link
    Share(person::OneSession),
    /// Take a session's share away, also when the session itself is gone
    Unshare(person::OneSession),
    /// List what is shared
    List(person::Options),
    /// Say whether the relay runs, and what waits to be sent
    Status(person::Options),
    /// Run an MCP server on stdio: the tools by which an agent shares, unshares and lists
    Mcp(relay_client::RelayOptions),
    /// Show a live page: a server and a relay with throw-away data, and a conversation played into them
    Demo(demo::Options),
}

/// Runs the command that `args` names, and says how it ended, as `--help` lists it.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = layers::matches::<Cli>(args.into_iter().collect());
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match &cli.command {
        Command::Serve(config) => serve::run(config),
        Command::Relay(config) => relay::run(config),
        Command::Share(command) => person::share(command).map_err(Into::into),
        Command::Unshare(command) => person::unshare(command).map_err(Into::into),
        Command::List(options) => person::list(options).map_err(Into::into),
        Command::Status(options) => person::status(options).map_err(Into::into),
        Command::Mcp(options) => mcp::run(options),
        Command::Demo(options) => demo::run(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.downcast_ref().map_or(1, RelayCallError::exit_code))
        }
    }
}
