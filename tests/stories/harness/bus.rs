//! Servers that carry hints between share servers: PostgreSQL, Redis from Debian, NATS from `PyPI`.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::postgres::Postgres;
use super::{PATIENCE, free_address};

/// What can carry hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Postgres,
    Redis,
    Nats,
}

impl Carrier {
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::Nats];
}

/// One of them that runs, for as long as this lives.
pub struct BusServer {
    carrier: Carrier,
    pub address: SocketAddr,
    /// `None` for PostgreSQL, which is the store's.
    process: Option<Child>,
    _dir: Option<TempDir>,
}

impl BusServer {
    /// Starts one; PostgreSQL is the one that is there.
    pub fn start(carrier: Carrier, postgres: &Postgres) -> Self {
        if carrier == Carrier::Postgres {
            let address = SocketAddr::from(([127, 0, 0, 1], postgres.port()));
            return Self { carrier, address, process: None, _dir: None };
        }
        Self::start_alone(carrier)
    }

    /// Starts Redis or NATS.
    pub fn start_alone(carrier: Carrier) -> Self {
        Self::start_with(carrier, None)
    }

    /// Starts one, Redis or NATS, that speaks TLS alone, with this certificate and key.
    pub fn start_encrypted(carrier: Carrier, certificate: (&Path, &Path)) -> Self {
        Self::start_with(carrier, Some(certificate))
    }

    fn start_with(carrier: Carrier, certificate: Option<(&Path, &Path)>) -> Self {
        let dir = TempDir::new().expect("a directory");
        let address = free_address();
        let port = address.port().to_string();
        let mut command = match carrier {
            Carrier::Postgres => panic!("that is the store's"),
            Carrier::Redis => {
                let mut command = Command::new("redis-server");
                command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
                if let Some((cert, key)) = certificate {
                    command.args(["--port", "0", "--tls-auth-clients", "no", "--tls-port", &port]);
                    command.arg("--tls-cert-file").arg(cert).arg("--tls-ca-cert-file").arg(cert);
                    command.arg("--tls-key-file").arg(key);
                } else {
                    command.args(["--port", &port]);
                }
                command.args(["--requirepass", PASSWORD, "--dir"]).arg(dir.path());
                command
            }
            Carrier::Nats => {
                let mut command = Command::new(nats_server());
                command.args(["-a", "127.0.0.1", "-p", &port, "--user", "bus", "--pass", PASSWORD]);
                if let Some((cert, key)) = certificate {
                    command.arg("--tls").arg("--tlscert").arg(cert).arg("--tlskey").arg(key);
                }
                command
            }
        };
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = Some(process.unwrap_or_else(|error| panic!("{carrier:?} is installed: {error}")));
        let server = Self { carrier, address, process, _dir: Some(dir) };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "{carrier:?} does not start");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        server
    }

    /// What `--bus` says of it, by way of an address; `database` is the store's.
    pub fn url(&self, address: SocketAddr, database: &str) -> String {
        match self.carrier {
            Carrier::Postgres => database.replace(&self.address.to_string(), &address.to_string()),
            Carrier::Redis => format!("redis://:{PASSWORD}@{address}"),
            Carrier::Nats => format!("nats://bus:{PASSWORD}@{address}"),
        }
    }
}

impl Drop for BusServer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Of a bus: nothing shows it.
pub const PASSWORD: &str = "hunter2";

/// Where `tests/run` puts it, or wherever it is installed.
fn nats_server() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_brutus-share"));
    let target = program.parent().and_then(Path::parent).expect("a target directory");
    let installed = target.join("tests/nats/bin/nats-server");
    if installed.exists() { installed } else { "nats-server".into() }
}
