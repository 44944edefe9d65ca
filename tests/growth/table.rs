//! The table's rows, and how one is measured.

use std::any::Any;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::{Not as _, RangeInclusive};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::TestServer;
use crate::harness::relay::TestRelay;
use crate::meter::Meter;
use crate::peer;

/// How much longer twice the input may take: twice, and what a machine that others use adds to it. What is quadratic
/// takes four times as long.
const MOST_GROWTH: f64 = 2.6;

/// Below this, what is measured is the machine and not the door.
const MEASURABLE: Duration = Duration::from_millis(10);

/// Rounds of measuring; more when the first ones say that a door fails.
const ROUNDS: RangeInclusive<usize> = 2..=10;

/// How often another client asks whether the process still answers, and how long that may take in a build for tests.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
const SLOWEST_PROBE: Duration = Duration::from_secs(2);

/// What requests and idle shares together may take: the option that the servers are started with.
pub const MAX_MEMORY: &str = "64MiB";
pub const BUDGET: u64 = 64 << 20;

/// What a process may take beside that budget: what the allocator keeps of a peak, a frame that grows while it is
/// written, the share that is being written, the database's caches.
pub const SLACK: u64 = 96 << 20;

/// How large inputs get.
#[derive(Clone, Copy)]
struct Setting {
    /// An input is made larger until it takes this long.
    target: Duration,
    /// By how much the largest inputs of the table are larger.
    factor: usize,
}

fn setting() -> Setting {
    match std::env::var("GROWTH").as_deref() {
        Ok("large") => Setting { target: Duration::from_secs(1), factor: 8 },
        Ok(other) => panic!("GROWTH is `large` or nothing, not `{other}`"),
        Err(_) => Setting { target: Duration::from_millis(40), factor: 1 },
    }
}

/// One visit at a door. It may prepare itself first and then say `begin`.
pub type Visit<'a> = Box<dyn FnMut(&mut Meter) + 'a>;

/// The smallest and the largest input of a row, in its own measure: items, bytes or requests.
pub type Sizes = (usize, usize);

/// A row: a way into a process of the kind `P`.
pub struct Door<P> {
    name: String,
    sizes: Sizes,
    #[allow(clippy::type_complexity)] // Its parts are named.
    open: Box<dyn for<'a> Fn(&'a P, usize) -> Visit<'a>>,
}

/// A row. `open` makes an input of the size that it is given; what it returns is measured, and called more than once.
pub fn door<P>(
    name: impl Into<String>,
    sizes: Sizes,
    open: impl for<'a> Fn(&'a P, usize) -> Visit<'a> + 'static,
) -> Door<P> {
    Door { name: name.into(), sizes, open: Box::new(open) }
}

/// A process with doors.
pub trait Process {
    fn start() -> Self;
    fn id(&self) -> u32;
    fn address(&self) -> &str;
}

/// What servers are started with. One worker: whoever holds it up holds up everybody, and is seen.
pub const OPTIONS: [&str; 8] = [
    "--workers",
    "1",
    "--max-memory",
    MAX_MEMORY,
    "--trusted-proxies",
    "127.0.0.1",
    "--log",
    "brutus_share=debug",
];

impl Process for TestServer {
    fn start() -> Self {
        Self::start(&OPTIONS)
    }

    fn id(&self) -> u32 {
        self.id()
    }

    fn address(&self) -> &str {
        &self.address
    }
}

/// A server whose shares leave memory at once.
pub struct Forgetful(pub TestServer);

impl Process for Forgetful {
    fn start() -> Self {
        Self(TestServer::start(&[&OPTIONS[..], &["--share-idle", "50ms"]].concat()))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn address(&self) -> &str {
        &self.0.address
    }
}

/// A relay with its server.
pub struct Relayed {
    pub relay: TestRelay,
    _server: TestServer,
    address: String,
}

impl Process for Relayed {
    fn start() -> Self {
        let server = TestServer::start(&[]);
        let relay = TestRelay::start(&server.url, &[]);
        let address = relay.url.replace("http://", "");
        Self { relay, _server: server, address }
    }

    fn id(&self) -> u32 {
        self.relay.id()
    }

    fn address(&self) -> &str {
        &self.address
    }
}

/// What a row came to.
#[derive(Default)]
struct Row {
    size: usize,
    once: Duration,
    twice: Duration,
    memory: u64,
    probe: Duration,
    faults: String,
}

/// One table at a time: what is measured is the process, and this machine has few processors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Waits for the tables before.
pub fn in_turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a row is to be measured.
pub fn wanted(name: &str) -> bool {
    std::env::var("GROWTH_DOOR").is_ok_and(|part| !name.contains(&part)).not()
}

/// A size of a row, in this setting.
pub fn larger(size: usize) -> usize {
    size * setting().factor
}

/// Measures every row, and fails when one of them does.
pub fn measure<P: Process>(doors: Vec<Door<P>>) {
    let _turn = in_turn();
    let mut faults = String::new();
    let mut process = None;
    for door in doors.into_iter().filter(|door| wanted(&door.name)) {
        let began = Instant::now();
        let started = process.get_or_insert_with(P::start);
        // A door that fails leaves the others to be measured.
        let row = catch_unwind(AssertUnwindSafe(|| door.measure(started))).unwrap_or_else(|panic| {
            process = None;
            Row { faults: reason(&*panic), ..Row::default() }
        });
        let growth = if row.once < MEASURABLE { String::new() } else { format!("x{:.2}", row.growth()) };
        say(&format!(
            "growth: {:<62} {:>9} {:>9.1} ms {:>9.1} ms {growth:>6} {:>5} MiB {:>5} ms {:>5.1} s{}",
            door.name,
            row.size,
            milliseconds(row.once),
            milliseconds(row.twice),
            row.memory >> 20,
            row.probe.as_millis(),
            began.elapsed().as_secs_f64(),
            if row.faults.is_empty() { "" } else { "  FAILED" },
        ));
        if !row.faults.is_empty() {
            let _ = writeln!(faults, "growth: FAILED: {}: {}", door.name, row.faults);
        }
    }
    // At once too: what a test says when it fails stands far below, behind all others.
    if !faults.is_empty() {
        say(faults.trim_end());
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// What a panic says.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// Past the test runner, which keeps the output of tests that pass.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl<P: Process> Door<P> {
    fn measure(&self, process: &P) -> Row {
        let target = setting().target;
        let (smallest, largest) = (self.sizes.0, larger(self.sizes.1));
        let mut meter = Meter::of(process.id());
        let mut size = smallest;
        let mut visit = (self.open)(process, size);
        // The first visit pays for what all share.
        visited(&mut visit, &mut meter);
        let mut once = visited(&mut visit, &mut meter);
        while once < target && size < largest {
            let missing = target.as_nanos() / once.as_nanos().max(1);
            size = (size * usize::try_from(missing).expect("a small number").clamp(2, 8)).min(largest);
            visit = (self.open)(process, size);
            once = visited(&mut visit, &mut meter);
        }
        // Of each the least: a machine that others use only adds to it.
        let mut row = Row {
            size,
            once,
            twice: Duration::MAX,
            memory: u64::MAX,
            probe: Duration::MAX,
            faults: String::new(),
        };
        let mut double = (self.open)(process, 2 * size);
        for round in 1..=*ROUNDS.end() {
            let seen = self.watched(process, &mut double, &mut meter);
            row.twice = row.twice.min(seen.took);
            row.memory = row.memory.min(seen.memory);
            row.probe = row.probe.min(seen.probe);
            row.once = row.once.min(visited(&mut visit, &mut meter));
            if round >= *ROUNDS.start() && !row.fails() {
                return row;
            }
        }
        if row.grows() {
            // A step in what is linear is behind it by now; what is quadratic goes on.
            let again = visited(&mut (self.open)(process, 4 * size), &mut meter);
            if growth(row.twice, again) > MOST_GROWTH {
                let _ = write!(
                    row.faults,
                    "twice the input takes {:.1} times as long, twice of that {:.1} times; ",
                    row.growth(),
                    growth(row.twice, again)
                );
            }
        }
        if row.memory > BUDGET + SLACK {
            let _ = write!(
                row.faults,
                "takes {} MiB of memory, with a budget of {MAX_MEMORY}; ",
                row.memory >> 20
            );
        }
        if row.probe > SLOWEST_PROBE {
            let _ = write!(row.faults, "another client waited {} ms; ", row.probe.as_millis());
        }
        row
    }

    /// A visit during which another client asks whether the process still answers.
    fn watched(&self, process: &P, visit: &mut Visit<'_>, meter: &mut Meter) -> Watched {
        meter.settle();
        meter.reset_peak();
        let before = meter.memory();
        let over = AtomicBool::new(false);
        let (address, name) = (process.address(), &self.name);
        thread::scope(|scope| {
            let slowest = scope.spawn(|| {
                let mut slowest = Duration::ZERO;
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    assert_eq!(peer::get(address, "/healthz", "").status, 200, "another client of {name}");
                    slowest = slowest.max(began.elapsed());
                    thread::sleep(PROBE_INTERVAL);
                }
                slowest
            });
            let took = catch_unwind(AssertUnwindSafe(|| visited(visit, meter)));
            over.store(true, Ordering::Relaxed);
            let probe = slowest.join();
            let [took, probe] = [took, probe].map(|time| time.unwrap_or_else(|panic| resume_unwind(panic)));
            Watched { took, probe, memory: meter.peak().saturating_sub(before) }
        })
    }
}

/// What a visit took, and another client waited meanwhile.
struct Watched {
    took: Duration,
    memory: u64,
    probe: Duration,
}

impl Row {
    fn growth(&self) -> f64 {
        growth(self.once, self.twice)
    }

    fn grows(&self) -> bool {
        self.once >= MEASURABLE && self.growth() > MOST_GROWTH
    }

    /// As far as it is measured.
    fn fails(&self) -> bool {
        self.grows() || self.memory > BUDGET + SLACK || self.probe > SLOWEST_PROBE
    }
}

fn visited(visit: &mut Visit<'_>, meter: &mut Meter) -> Duration {
    meter.begin();
    visit(meter);
    meter.end()
}

fn growth(once: Duration, twice: Duration) -> f64 {
    twice.as_secs_f64() / once.as_secs_f64().max(f64::EPSILON)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
