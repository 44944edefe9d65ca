//! A PostgreSQL server of a test's own, from Debian's package.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than it takes to start or to recover on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a directory and a port of its own, which ends with this value.
pub struct Postgres {
    dir: TempDir,
    port: u16,
    process: Child,
}

impl Postgres {
    pub fn start() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        if let Some((user, group)) = owner() {
            chown(dir.path(), Some(user), Some(group)).expect("its directory");
        }
        let mut initdb = program("initdb");
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        assert!(
            initdb.arg(dir.path().join("data")).stdout(Stdio::null()).status().expect("initdb").success()
        );
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("a port").port();
        drop(free);
        let process = spawn(&dir, port);
        let server = Self { dir, port, process };
        server.wait();
        server
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// A new database; its URL.
    pub fn create(&self, name: &str) -> String {
        psql(&self.url("postgres"), &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `pg_ctl -m immediate stop`: as a crash of all its processes.
    pub fn crash(&mut self) {
        self.signal("-QUIT");
        self.process.wait().expect("it ends");
    }

    /// Starts it again after a crash; it recovers by its log.
    pub fn restart(&mut self) {
        self.process = spawn(&self.dir, self.port);
        self.wait();
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    fn wait(&self) {
        let began = Instant::now();
        let port = self.port.to_string();
        while !program("pg_isready")
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status()
            .expect("runs")
            .success()
        {
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal("-QUIT");
        let _ = self.process.wait();
    }
}

fn spawn(dir: &TempDir, port: u16) -> Child {
    let mut postgres = program("postgres");
    postgres.arg("-D").arg(dir.path().join("data")).arg("-p").arg(port.to_string());
    postgres.args(["-c", "listen_addresses=127.0.0.1", "-c", "logging_collector=off"]);
    postgres.arg("-c").arg(format!("unix_socket_directories={}", dir.path().display()));
    postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres")
}

/// Runs SQL; what it prints.
pub fn psql(url: &str, sql: &str) -> String {
    let output = program("psql").args(["-X", "-A", "-t", "-q", "-c", sql, url]).output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// One of its programs, as a user that is not root: it refuses that one.
fn program(name: &str) -> Command {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed: apt-get install postgresql")
        .map(|version| version.expect("a version").path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    versions.sort();
    let mut command = Command::new(versions.pop().expect(name));
    command.current_dir("/");
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command
}

/// Debian's user for it, where this one is root.
fn owner() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    Some((id(&["-u", "postgres"]).expect("its user"), id(&["-g", "postgres"]).expect("its group")))
}
