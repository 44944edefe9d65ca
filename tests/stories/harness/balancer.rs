//! A balancer before some servers, Debian's: one after the other, without regard to who asks for what.

use std::fmt::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{PATIENCE, free_address};

/// A balancer that runs for as long as this lives.
pub struct Balancer {
    pub url: String,
    _process: Process,
    _dir: TempDir,
}

struct Process(Child);

impl Balancer {
    /// Starts one before servers at these addresses.
    pub fn start(servers: &[&str]) -> Self {
        Self::start_as("", " check inter 100ms", servers)
    }

    /// Starts one before one server of any kind, which speaks TLS with the certificate and key of a file.
    pub fn start_encrypted(server: &str, pem: &Path) -> Self {
        let started = Self::start_as(&format!(" ssl crt {}", pem.display()), "", &[server]);
        Self { url: started.url.replace("http://", "https://"), ..started }
    }

    fn start_as(bind: &str, check: &str, servers: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory");
        let address = free_address();
        let mut config = format!(
            "global\n nbthread 1\ndefaults\n mode http\n timeout connect 1s\n timeout client 1m\n timeout server 1m\n \
             timeout tunnel 1h\n option redispatch\nfrontend all\n bind {address}{bind}\n default_backend nodes\n\
             backend nodes\n balance roundrobin\n option httpchk GET /healthz\n"
        );
        for (n, server) in servers.iter().enumerate() {
            writeln!(config, " server node{n} {server}{check}").expect("text");
        }
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new("/usr/sbin/haproxy");
        command
            .arg("-db")
            .arg("-f")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().expect("HAProxy is installed");
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "HAProxy does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { url: format!("http://{address}"), _process: Process(process), _dir: dir }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
