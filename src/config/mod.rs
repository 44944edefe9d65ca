//! Configuration: every number once, with its flag, its environment name, its default and its validation.
//!
//! Flags stand over the environment, the environment over a file, the file over the defaults. `cli` layers them; here
//! stands what there is.

mod bus;
mod relay;
mod relay_env;
mod serve;
mod store;
mod url;
mod values;

use std::path::PathBuf;

use clap::Args;
use etcetera::BaseStrategy;

pub use bus::{BusChoice, BusKind, UnknownBus};
pub use relay::{LocalDir, RedactMode, Relay, SealedMode};
pub use relay_env::{relay_env, relay_env_path};
pub use serve::{Lifetimes, Limits, LiveLimits, Serve, ServeRedact, Timings, Tls};
pub use store::{STORE_ENV, StoreChoice, StoreKind, UnknownStore};
pub use url::{
    InsecureHttp, OWN_SERVER, base_url, check_http, exact_origin, is_in_clear, is_this_machine, leads_here,
    origin, path_of,
};
pub use values::{FrameAncestors, Lifetime, Proxies, Rate, duration, size};

/// What may go over the network in clear.
#[derive(Debug, Clone, Copy, Args)]
pub struct InClear {
    /// Accept an `http://` URL to another machine, over which secrets and sessions go in clear
    #[arg(
        long,
        env = "BRUTUS_SHARE_INSECURE_HTTP",
        value_name = "BOOL",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pub insecure_http: bool,
}

/// What is logged.
#[derive(Debug, Clone, Args)]
pub struct Log {
    /// What to log, on stderr: a level (error, warn, info, debug, trace) or tracing's filter syntax
    #[arg(long, env = "BRUTUS_SHARE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// How log lines look
    #[arg(long, env = "BRUTUS_SHARE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// There is no home directory to put things under.
#[derive(Debug, thiserror::Error)]
#[error("no home directory is known: set {flag}")]
pub struct NoHome {
    flag: &'static str,
}

/// `brutus-share` in the user's state directory. `flag` is what to set where there is none.
pub fn default_dir(flag: &'static str) -> Result<PathBuf, NoHome> {
    let dirs = etcetera::choose_base_strategy().map_err(|_| NoHome { flag })?;
    Ok(dirs.state_dir().unwrap_or_else(|| dirs.data_dir()).join("brutus-share"))
}
