//! What a process takes: processor time and memory, as Linux counts them.

use std::collections::HashMap;
use std::fs;
use std::thread;
use std::time::Duration;

/// A process is quiet when it takes no more than a tenth of this time.
const QUIET: Duration = Duration::from_millis(10);

/// The processor time and the memory of one process.
pub struct Meter {
    process: u32,
    /// Processor time of each thread so far, in nanoseconds. By thread, because what a thread took is gone with it.
    before: HashMap<String, u64>,
    stopped: Option<Duration>,
}

impl Meter {
    /// A meter that has not begun.
    pub fn of(process: u32) -> Self {
        let meter = Self { process, before: HashMap::new(), stopped: None };
        let sofar: u64 = meter.threads().values().sum();
        assert!(sofar > 0, "this kernel does not count the processor time of threads (CONFIG_SCHEDSTATS)");
        meter
    }

    /// Begins to measure. Called again, what was measured before does not count.
    pub fn begin(&mut self) {
        self.settle();
        self.before = self.threads();
        self.stopped = None;
    }

    /// What comes now does not count.
    pub fn stop(&mut self) {
        self.stopped = Some(self.end());
    }

    /// Processor time since `begin`, once the process is quiet: what it does after an answer counts too.
    pub fn end(&mut self) -> Duration {
        self.stopped.take().unwrap_or_else(|| {
            self.settle();
            since(&self.before, &self.threads())
        })
    }

    /// Waits until the process does nothing.
    pub fn settle(&self) {
        let mut before = self.threads();
        loop {
            thread::sleep(QUIET);
            let now = self.threads();
            if since(&before, &now) < QUIET / 10 {
                return;
            }
            before = now;
        }
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that was resident since `reset_peak`, in bytes.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Forgets the peak (proc(5), `clear_refs`).
    pub fn reset_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process), "5").expect("the peak is forgotten");
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process)).expect("a process");
        let line = status.lines().find(|line| line.starts_with(field)).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
    }

    fn threads(&self) -> HashMap<String, u64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process)).expect("a process that lives");
        let times = threads.flatten().filter_map(|thread| {
            // A thread may end while the list is read.
            let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            Some((
                thread.file_name().to_string_lossy().into_owned(),
                times.split_whitespace().next()?.parse().ok()?,
            ))
        });
        times.collect()
    }
}

fn since(before: &HashMap<String, u64>, now: &HashMap<String, u64>) -> Duration {
    let each = now.iter().map(|(thread, time)| time.saturating_sub(before.get(thread).copied().unwrap_or(0)));
    Duration::from_nanos(each.sum())
}
