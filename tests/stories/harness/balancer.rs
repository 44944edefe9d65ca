//! A balancer before some servers, Debian's: one after the other, without regard to who asks for what.

use std::fmt::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{PATIENCE, free_address};

/// A balancer that runs for as long as this lives.
pub struct Balancer {
    pub url: String,
    process: Child,
    _dir: TempDir,
}

impl Balancer {
    /// Starts one before servers at these addresses.
    pub fn start(servers: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory");
        let address = free_address();
        let mut config = format!(
            "global\n nbthread 1\ndefaults\n mode http\n timeout connect 1s\n timeout client 1m\n timeout server 1m\n \
             timeout tunnel 1h\n option redispatch\nfrontend all\n bind {address}\n default_backend nodes\n\
             backend nodes\n balance roundrobin\n option httpchk GET /healthz\n"
        );
        for (n, server) in servers.iter().enumerate() {
            writeln!(config, " server node{n} {server} check inter 100ms").expect("text");
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
        Self { url: format!("http://{address}"), process, _dir: dir }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
