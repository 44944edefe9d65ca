//! Starts a relay where none answers: by systemd's user manager when it knows the relay's unit, else a process of its
//! own. Of several that are started at once the lock of the local directory lets one live, and all who wait find that
//! one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::client::{RelayCallError, RelayClient, RelayOptions};
use super::systemd::{SERVICE, SOCKET, is_installed, systemctl};
use crate::config::relay_env;

/// How long a relay may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the one that was started first may take, once another of them has found its lock and ended.
const AFTER_AN_END: Duration = Duration::from_secs(3);

/// Between two looks for it.
const INTERVAL: Duration = Duration::from_millis(30);

/// What a relay that answers takes for that at most.
const ANSWER: Duration = Duration::from_secs(2);

/// Bytes of the log beyond which it begins anew.
const MAX_LOG: u64 = 1 << 20;

/// Where a relay that was started so writes its log.
const LOG: &str = "relay.log";

impl RelayClient {
    /// The relay that was named, or the one of the local directory. When that one does not answer it is started, if
    /// `start` says so; one that was named never is.
    ///
    /// # Errors
    /// When no relay answers, and none can be started.
    pub(crate) async fn connect_or_start(
        options: &RelayOptions,
        start: bool,
    ) -> Result<Self, RelayCallError> {
        if options.is_named() {
            return Self::new(options);
        }
        let dir = options.local().path()?;
        if let Some(relay) = running(options).await {
            return Ok(relay);
        }
        if !start {
            return Err(RelayCallError::NotRunning {
                relay: dir.display().to_string(),
                reason: "none runs for this directory".into(),
            });
        }
        let log = dir.join(LOG);
        let failed = |reason: String| RelayCallError::NotStarted { log: log.clone(), reason };
        let by_systemd = options.local().is_default()
            && actix_web::rt::task::spawn_blocking(by_systemd).await.unwrap_or(false);
        let mut ended =
            if by_systemd { None } else { Some(spawn(&dir).map_err(|error| failed(error.to_string()))?) };
        let mut deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(relay) = running(options).await {
                return Ok(relay);
            }
            if ended.as_mut().is_some_and(|ended| ended.try_recv().is_ok()) {
                ended = None;
                deadline = deadline.min(Instant::now() + AFTER_AN_END);
            }
            sleep(INTERVAL).await;
        }
        Err(failed("it was started, and does not answer".into()))
    }
}

/// The relay of the local directory, when it answers.
async fn running(options: &RelayOptions) -> Option<RelayClient> {
    let relay = RelayClient::of_whereabouts(options)?;
    timeout(ANSWER, relay.is_alive()).await.is_ok_and(|alive| alive).then_some(relay)
}

/// Whether systemd started it.
fn by_systemd() -> bool {
    is_installed() && systemctl(&["start", SOCKET, SERVICE])
}

/// Starts a process that outlives this one; gives word of its end.
fn spawn(dir: &Path) -> io::Result<oneshot::Receiver<()>> {
    let dir = std::path::absolute(dir)?;
    crate::sqlite::private_dir(&dir).map_err(io::Error::other)?;
    let log = log(&dir.join(LOG))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["relay", "--any-port", "--local-dir"]).arg(&dir).current_dir(&dir);
    let set = |name: &str| std::env::var_os(name).is_some();
    command.envs(relay_env().into_iter().filter(|(name, _)| !set(name)));
    // A group of its own: what ends a terminal's or an agent's processes does not end it.
    command.process_group(0);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn()?;
    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = child.wait();
        let _ = end.send(());
    });
    Ok(ended)
}

/// The log, to add to it: another relay may write there.
fn log(path: &Path) -> io::Result<File> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    if log.metadata()?.len() > MAX_LOG {
        log.set_len(0)?;
    }
    Ok(log)
}
