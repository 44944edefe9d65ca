//! `brutus-share acp -- COMMAND…`

use std::error::Error;
use std::ffi::OsString;

use clap::Args;

use crate::relay::client::RelayOptions;

/// An agent, and the relay that is told what is said.
#[derive(Debug, Args)]
#[command(
    after_help = "In the client's settings this command stands in the place of the agent's own. `/share` and \
                  `/unshare` typed there share the session; `brutus-share share` does too. Every byte passes as it \
                  is, whether a relay runs or not. Ends with the agent's exit code."
)]
pub(super) struct Acp {
    #[command(flatten)]
    relay: RelayOptions,

    /// The agent, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    agent: Vec<OsString>,
}

/// Gives the code that the process has to end with.
pub(super) fn run(Acp { relay, agent }: &Acp) -> Result<u8, Box<dyn Error>> {
    Ok(crate::acp::run(agent, relay)?)
}
