//! `brutus-share acp`: what stands between a client and an agent that speak the Agent Client Protocol, and passes every
//! byte on as it is, so that the relay can be told what is said.
//!
//! Each direction has a thread of its own, which blocks on nothing but its two ends. What is read for the relay is a
//! copy, in a queue that drops what does not fit; the one who looks at the copies may fail, be slow or find no relay.

mod command;
mod pipe;
mod watch;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::oneshot;

use self::pipe::{Pass, Tap, ToClient, UntilExit};
use crate::import::acp::Side;
use crate::relay::client::RelayOptions;

/// What is told to the relay when the agent has ended gets this long.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Signals that end an agent are passed on to it.
const PASSED_ON: [(SignalKind, Signal); 3] = [
    (SignalKind::terminate(), Signal::TERM),
    (SignalKind::interrupt(), Signal::INT),
    (SignalKind::hangup(), Signal::HUP),
];

/// Runs an agent, and gives what this process has to end with: the agent's own code, or 128 and the number of the
/// signal that ended it, as a shell says it.
///
/// # Errors
/// When the agent cannot be started.
pub(crate) fn run(command: &[OsString], relay: &RelayOptions) -> io::Result<u8> {
    actix_web::rt::System::new().block_on(stand_between(command, relay))
}

async fn stand_between(command: &[OsString], relay: &RelayOptions) -> io::Result<u8> {
    // From the agent's first moment on.
    let mut signals = Vec::new();
    for (kind, passed_on) in PASSED_ON {
        signals.push((signal(kind)?, passed_on));
    }
    let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let started =
        std::process::Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut agent = started.map_err(|error| {
        io::Error::new(error.kind(), format!("{} cannot be started: {error}", program.to_string_lossy()))
    })?;
    let (Some(mut to_agent), Some(from_agent)) = (agent.stdin.take(), agent.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    // Neither is buffered: what comes goes.
    let from_client = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let to_client = ToClient::new(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    let (tap, seen) = Tap::new();
    let (own, client) = (tap.clone(), to_client.clone());
    std::thread::spawn(move || {
        let asked = |line: &[u8]| match command::asked(line) {
            Some(asked) => {
                own.command(asked);
                Pass::Withheld
            }
            None => Pass::AsIs,
        };
        // The agent's input ends with the client's.
        pipe::pass(from_client, asked, |bytes, lines| {
            own.lines(Side::Client, lines);
            to_agent.write_all(bytes)
        });
    });
    let (exited, exit) = oneshot::channel();
    let (passed, all_passed) = oneshot::channel();
    let (own, from_agent) = (tap.clone(), UntilExit::new(from_agent, exit)?);
    std::thread::spawn(move || {
        let said = |line: &[u8]| command::with_commands(line).map_or(Pass::AsIs, Pass::Instead);
        pipe::pass(from_agent, said, |bytes, lines| client.pass(bytes, || own.lines(Side::Agent, lines)));
        let _ = passed.send(());
    });
    let watching = actix_web::rt::spawn(watch::watch(seen, to_client, relay.clone()));
    let status = ended(agent, signals).await?;
    let _ = exited.send(());
    // A client that is slow gets all that the agent said.
    let _ = all_passed.await;
    tap.end();
    let _ = tokio::time::timeout(LAST_WORDS, watching).await;
    Ok(code(status))
}

/// Waits for the end of the agent, and passes signals on to it.
async fn ended(mut agent: Child, signals: Vec<(Signals, Signal)>) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(&agent);
    let (sender, ended) = oneshot::channel();
    std::thread::spawn(move || sender.send(agent.wait()));
    let passing = signals.into_iter().map(|(mut signals, passed_on)| {
        actix_web::rt::spawn(async move {
            while signals.recv().await.is_some() {
                let _ = kill_process(pid, passed_on);
            }
        })
    });
    let passing: Vec<_> = passing.collect();
    let status = ended.await;
    for passing in passing {
        passing.abort();
    }
    status.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
