//! Measures brutus-share, other servers and the machine's own limits, side by side in one run.
//!
//! `brutus-load table` starts everything itself and prints one table; the other commands measure one server that runs
//! already. README.md beside this says how.

#![allow(unreachable_pub)] // A program: nothing of it is reached from outside.

mod args;
mod fan_out;
mod floors;
mod ingest;
mod nodes;
mod payload;
mod process;
mod publish;
mod reading;
mod servers;
mod stores;
mod table;
mod target;
mod viewers;

use std::process::ExitCode;

use clap::Parser;

/// What every step can fail with: this is a tool for people, who read it.
type Result<T, E = Error> = std::result::Result<T, E>;
type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match args::Command::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
