//! `brutus-share setup AGENT`: writes an agent's own configuration, so that `/share` in it gives a link, and takes that
//! back again.
//!
//! How a file was is kept in a copy beside it, and what setup made of it in a journal. A file that still is what setup
//! made of it becomes what it was, byte for byte; of one that has changed since only our entries are taken out.

mod agents;
mod content;
mod env;
mod files;
mod journal;
mod json;
mod toml;
mod unit;
mod work;

#[cfg(test)]
mod tests;

use std::error::Error;

use clap::Args;

use crate::config::{InClear, NoHome, OWN_SERVER, base_url, default_dir, relay_env, relay_env_path};

use agents::{Agent, Homes, Plan, Program, Target};
use content::Content;
use journal::Journal;
use work::Work;

const API_URL: &str = "BRUTUS_SHARE_API_URL";
const INSECURE_HTTP: &str = "BRUTUS_SHARE_INSECURE_HTTP";

/// An agent to set up.
#[derive(Debug, Args)]
pub(super) struct Setup {
    /// The agent
    agent: Agent,

    /// The share server: the relay is told of it [default: the one that the relay has]
    #[arg(long, value_name = "URL", value_parser = base_url, conflicts_with = "undo")]
    server: Option<String>,

    #[command(flatten)]
    in_clear: InClear,

    /// Take back what setup did
    #[arg(long)]
    undo: bool,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Why some of it was not done.
#[derive(Debug, thiserror::Error)]
#[error("not all of it could be done: see above")]
struct Incomplete;

/// `setup AGENT`
pub(super) fn run(command: &Setup) -> Result<(), Box<dyn Error>> {
    if let Some(server) = &command.server {
        super::check_http("server", server, command.in_clear)?;
    }
    let program = Program::new(&std::env::current_exe()?)?;
    let homes = Homes::of_user()?;
    let journal = Journal::open(&default_dir("HOME")?.join("setup"), command.dry_run)?;
    let mut work = Work::new(journal, command.agent, command.dry_run);
    if command.undo {
        undo(&mut work, &homes, program)?;
    } else {
        set_up(&mut work, command, &homes, program)?;
    }
    if work.has_failed() { Err(Incomplete.into()) } else { Ok(()) }
}

fn set_up(work: &mut Work, command: &Setup, homes: &Homes, program: Program) -> Result<(), Box<dyn Error>> {
    let plan = Plan { program, server: command.server.clone().unwrap_or_else(configured_server) };
    for target in command.agent.targets(homes, &plan) {
        work.put(&target, &plan.server);
    }
    let changes_server = command.server.is_some()
        && work.put(&server_file(&plan.server, command.in_clear.insecure_http)?, &plan.server);
    if !command.dry_run {
        work.enable_unit(changes_server)?;
    }
    if !work.has_failed() && !command.dry_run {
        say!("{}", command.agent.use_it());
    }
    Ok(())
}

fn undo(work: &mut Work, homes: &Homes, program: Program) -> Result<(), Box<dyn Error>> {
    let mut plan = Plan { program, server: String::new() };
    let known = work.records();
    for (path, record) in &known {
        plan.server.clone_from(&record.server);
        let mut targets = work.agent.targets(homes, &plan);
        targets.push(server_file(&plan.server, true)?);
        let target = targets.into_iter().find(|target| target.path == *path);
        work.undo(path, record, target.map(|target| target.content).as_ref());
    }
    // What a journal knew that is lost.
    for target in work.agent.targets(homes, &plan) {
        if !known.iter().any(|(path, _)| *path == target.path) {
            work.take_out(&target);
        }
    }
    work.clean_up()?;
    Ok(())
}

/// The file in which the relay finds its server.
fn server_file(server: &str, insecure_http: bool) -> Result<Target, NoHome> {
    let mut variables = vec![(API_URL, server.to_owned())];
    if insecure_http {
        variables.push((INSECURE_HTTP, "true".to_owned()));
    }
    Ok(Target { path: relay_env_path()?, content: Content::Env(variables) })
}

/// The server to which the relay would send.
fn configured_server() -> String {
    let of_file =
        || relay_env().into_iter().rev().find(|(name, _)| name == API_URL).map(|(_, server)| server);
    let server = std::env::var(API_URL).ok().or_else(of_file);
    server.and_then(|server| base_url(&server).ok()).unwrap_or_else(|| OWN_SERVER.to_owned())
}
