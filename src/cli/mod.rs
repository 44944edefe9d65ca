//! The command line: one file a subcommand. Here: what there is, and how the layers of configuration are put together.

mod layers;
mod logging;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

/// Live, private-by-default sharing of coding-agent sessions.
#[derive(Debug, Parser)]
#[command(name = "brutus-share", version, about, long_about = None, args_override_self = true)]
#[command(
    after_help = "Every option of a daemon can also be set by its environment name or in the file given with \
                        --config: flags stand over the environment, the environment over the file."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the share server: HTTP API, WebSocket, and the viewer's page
    Serve(crate::config::Serve),
}

/// Runs the command that `args` names, and says how it ended: 0 well, 1 failed, 2 wrong use.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = layers::matches::<Cli>(args.into_iter().collect());
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match &cli.command {
        Command::Serve(config) => serve::run(config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
