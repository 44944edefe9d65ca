//! Servers as child processes, and what they use of the machine.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// A process with its children.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// The process's number.
    pub pid: u32,
}

impl Usage {
    /// Processor time that was used up to now.
    pub fn cpu_seconds(self) -> Result<f64> {
        let ticks = rustix::param::clock_ticks_per_second();
        let mut sum = 0;
        for pid in self.family() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The name in parentheses may hold anything.
            let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let numbers: Vec<u64> = fields.split(' ').filter_map(|field| field.parse().ok()).collect();
            // utime and stime are the 14th and 15th field of the line; the state is no number.
            sum += numbers.get(10).unwrap_or(&0) + numbers.get(11).unwrap_or(&0);
        }
        #[allow(clippy::cast_precision_loss)] // Ticks of minutes.
        Ok(sum as f64 / ticks as f64)
    }

    /// Resident memory in bytes; what processes share is counted once.
    pub fn memory(self) -> Result<u64> {
        let mut sum = 0;
        for pid in self.family() {
            let maps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = maps.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            sum += kib.unwrap_or(0) << 10;
        }
        Ok(sum)
    }

    /// The most that was resident at once, in bytes.
    pub fn peak(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.unwrap_or(0) << 10)
    }

    fn family(self) -> Vec<u32> {
        let mut family = vec![self.pid];
        let mut at = 0;
        while let Some(pid) = family.get(at).copied() {
            let tasks = fs::read_dir(format!("/proc/{pid}/task"));
            for task in tasks.into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            at += 1;
        }
        family
    }
}

/// A server that runs until this is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it takes connections. Its output goes to a file in `dir`.
    pub fn start(command: &mut Command, address: SocketAddr, dir: &Path) -> Result<Self> {
        let log = fs::File::create(dir.join("output.log"))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut server = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if server.child.try_wait()?.is_some() || started.elapsed() > Duration::from_secs(20) {
                let log = fs::read_to_string(dir.join("output.log")).unwrap_or_default();
                return Err(format!("{command:?} does not listen: {log}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// What it uses.
    pub fn usage(&self) -> Usage {
        Usage { pid: self.child.id() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gently first: a server may have children.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(3) {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
