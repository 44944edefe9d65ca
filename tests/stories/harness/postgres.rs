//! A PostgreSQL server of a test's own, from Debian's package.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than it takes to start or to recover on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The value of `BRUTUS_TEST_STORE` that has every test's server keep its shares in a database of one PostgreSQL
/// server.
const SWITCH: &str = "postgres";

/// A server with a directory and a port of its own, which ends with this value, and with this process.
pub struct Postgres {
    dir: TempDir,
    port: u16,
    process: Child,
    options: Vec<String>,
}

/// A database of its own for a test's server, when all of them are to have one.
pub fn database_for_all() -> Option<String> {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    static DATABASES: AtomicUsize = AtomicUsize::new(0);
    let wanted = std::env::var("BRUTUS_TEST_STORE").is_ok_and(|store| store == SWITCH);
    wanted.then(|| {
        let server = SERVER
            .get_or_init(|| Postgres::start_with(vec!["fsync=off".into(), "max_connections=1000".into()]));
        server.create(&format!("share{}", DATABASES.fetch_add(1, Ordering::Relaxed)))
    })
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(Vec::new())
    }

    /// One that speaks TLS, with a certificate for this machine; where that is.
    pub fn start_encrypted() -> (Self, PathBuf) {
        let mut server = Self::start();
        let (cert, key) = (server.dir.path().join("server.pem"), server.dir.path().join("server.key"));
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
        ]);
        openssl
            .args([
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(&cert);
        if let Some((user, group)) = owner() {
            openssl.uid(user).gid(group);
        }
        assert!(openssl.output().expect("openssl is installed").status.success());
        server.options.push("ssl=on".into());
        server.options.push(format!("ssl_cert_file={}", cert.display()));
        server.options.push(format!("ssl_key_file={}", key.display()));
        server.crash();
        server.restart();
        (server, cert)
    }

    /// A standby of it, without which it acknowledges nothing from now on.
    pub fn standby(&self) -> Self {
        let (dir, port) = (own_directory(), free_port());
        let mut copy = program("pg_basebackup");
        copy.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            "postgres",
            "-R",
            "-c",
            "fast",
            "-D",
        ]);
        assert!(copy.arg(dir.path().join("data")).status().expect("pg_basebackup").success());
        let process = spawn(&dir, port, &[]);
        let standby = Self { dir, port, process, options: Vec::new() };
        standby.wait();
        let url = self.url("postgres");
        psql(&url, "ALTER SYSTEM SET synchronous_standby_names = '*'");
        psql(&url, "SELECT pg_reload_conf()");
        let began = Instant::now();
        while psql(&url, "SELECT sync_state FROM pg_stat_replication") != "sync" {
            assert!(began.elapsed() < PATIENCE, "the standby does not follow");
            std::thread::sleep(Duration::from_millis(20));
        }
        standby
    }

    /// The standby takes over.
    pub fn promote(&self) {
        let mut promote = program("pg_ctl");
        promote.args(["-w", "-s", "promote", "-D"]).arg(self.dir.path().join("data"));
        assert!(promote.status().expect("pg_ctl").success());
    }

    fn start_with(options: Vec<String>) -> Self {
        let dir = own_directory();
        let mut initdb = program("initdb");
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        assert!(
            initdb.arg(dir.path().join("data")).stdout(Stdio::null()).status().expect("initdb").success()
        );
        let port = free_port();
        let process = spawn(&dir, port, &options);
        let server = Self { dir, port, process, options };
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
        self.end();
    }

    /// Starts it again after a crash; it recovers by its log.
    pub fn restart(&mut self) {
        self.process = spawn(&self.dir, self.port, &self.options);
        self.wait();
    }

    fn end(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
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
        self.end();
    }
}

/// A directory of its user's.
fn own_directory() -> TempDir {
    let dir = TempDir::new().expect("a temporary directory");
    if let Some((user, group)) = owner() {
        chown(dir.path(), Some(user), Some(group)).expect("its directory");
    }
    dir
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("a port").port()
}

/// Starts it. It is told to end when its standard input does, so also when this process ends or is killed.
fn spawn(dir: &TempDir, port: u16, options: &[String]) -> Child {
    let postgres = program("postgres").get_program().to_owned();
    let mut shell = of_owner(Command::new("sh"));
    shell.args(["-c", "\"$@\" & read -r end; kill -QUIT $!; wait", "sh"]).arg(postgres);
    shell.arg("-D").arg(dir.path().join("data")).arg("-p").arg(port.to_string());
    shell.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c"]);
    shell.arg(format!("unix_socket_directories={}", dir.path().display()));
    for option in options {
        shell.arg("-c").arg(option);
    }
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres")
}

/// Runs SQL; what it prints.
pub fn psql(url: &str, sql: &str) -> String {
    let output = program("psql").args(["-X", "-A", "-t", "-q", "-c", sql, url]).output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// One of its programs, as a user that it does not refuse.
fn program(name: &str) -> Command {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed: apt-get install postgresql")
        .map(|version| version.expect("a version").path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    versions.sort();
    of_owner(Command::new(versions.pop().expect(name)))
}

/// As a user that is not root.
fn of_owner(mut command: Command) -> Command {
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
