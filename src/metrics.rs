//! What the process counts about itself, for `/metrics`. One for the whole process, as its memory and its files are.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The process's metrics.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Why something was refused, by its stable code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refusal {
    /// `error.code`
    pub code: &'static str,
}

/// What was done with secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Redacted {
    /// The mode of redaction
    pub mode: &'static str,
}

/// What is counted.
pub struct Metrics {
    registry: Registry,
    /// Shares that were created.
    pub creates: Counter,
    /// Syncs that were acknowledged.
    pub syncs: Counter,
    /// Items in them.
    pub items: Counter,
    /// Bytes of their bodies.
    pub bytes: Counter,
    /// Shares whose time was over.
    pub expired: Counter,
    /// Requests that were refused.
    pub refusals: Family<Refusal, Counter>,
    /// Secrets that were found in acknowledged syncs.
    pub redactions: Family<Redacted, Counter>,
    /// Items that could not be looked at for secrets, and were refused.
    pub redaction_refusals: Counter,
    /// Viewers that are connected.
    pub viewers: Gauge,
    /// Frames that viewers were shown.
    pub frames: Counter,
    /// From a commit to a viewer's frame, in seconds; of some frames.
    pub wake_to_frame: Histogram,
    /// Jobs that one commit wrote.
    pub commit_jobs: Histogram,
    /// How long a commit took, in seconds.
    pub commit_time: Histogram,
    /// Commits that failed.
    pub commit_failures: Counter,
    /// Jobs that wait for the writer.
    pub queue: Gauge,
    /// Whether the bus between servers is there.
    pub bus_connected: Gauge,
    /// Hints that were said to other servers.
    pub bus_hints_sent: Counter,
    /// Hints of theirs.
    pub bus_hints_heard: Counter,
    /// How often what others stored was looked for because hints may have been missed.
    pub bus_missed: Counter,
    /// Messages that could not be read.
    pub bus_junk: Counter,
    /// Shares that are in memory.
    pub open_shares: Gauge,
    /// Bytes that are accounted for out of `max_memory`.
    pub memory: Gauge<u64, AtomicU64>,
    /// Bytes of all shares' content.
    pub content: Gauge<u64, AtomicU64>,
    /// Bytes of the database's files.
    pub database: Gauge<u64, AtomicU64>,
    /// Bytes that are free where the database is.
    pub disk_free: Gauge<u64, AtomicU64>,
}

impl Metrics {
    fn new() -> Self {
        // From a tenth of a millisecond to three seconds.
        let seconds = || Histogram::new(exponential_buckets(0.0001, 2.0, 16));
        let mut registry = Registry::with_prefix("brutus_share");
        let metrics = Self {
            registry: Registry::default(),
            creates: Counter::default(),
            syncs: Counter::default(),
            items: Counter::default(),
            bytes: Counter::default(),
            expired: Counter::default(),
            refusals: Family::default(),
            redactions: Family::default(),
            redaction_refusals: Counter::default(),
            viewers: Gauge::default(),
            frames: Counter::default(),
            wake_to_frame: seconds(),
            commit_jobs: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            commit_time: seconds(),
            commit_failures: Counter::default(),
            queue: Gauge::default(),
            bus_connected: Gauge::default(),
            bus_hints_sent: Counter::default(),
            bus_hints_heard: Counter::default(),
            bus_missed: Counter::default(),
            bus_junk: Counter::default(),
            open_shares: Gauge::default(),
            memory: Gauge::default(),
            content: Gauge::default(),
            database: Gauge::default(),
            disk_free: Gauge::default(),
        };
        registry.register("creates", "Shares that were created", metrics.creates.clone());
        registry.register("syncs", "Syncs that were acknowledged", metrics.syncs.clone());
        registry.register("items", "Items in acknowledged syncs", metrics.items.clone());
        registry.register_with_unit(
            "sync",
            "Bodies of acknowledged syncs",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register("expired", "Shares whose time was over", metrics.expired.clone());
        registry.register("refusals", "Requests that were refused, by code", metrics.refusals.clone());
        let about = "Secrets that were found in acknowledged syncs, by mode; with `report` they stay";
        registry.register("redactions", about, metrics.redactions.clone());
        let about = "Items that could not be looked at for secrets, and were refused";
        registry.register("redaction_refusals", about, metrics.redaction_refusals.clone());
        registry.register("viewers", "Viewers that are connected", metrics.viewers.clone());
        registry.register("frames", "Frames that viewers were shown", metrics.frames.clone());
        let about = "From a commit to a viewer's frame; of one frame in sixteen of each viewer";
        registry.register_with_unit("wake_to_frame", about, Unit::Seconds, metrics.wake_to_frame.clone());
        registry.register("commit_jobs", "Writes that one commit held", metrics.commit_jobs.clone());
        registry.register_with_unit(
            "commit",
            "How long a commit took",
            Unit::Seconds,
            metrics.commit_time.clone(),
        );
        registry.register("commit_failures", "Commits that failed", metrics.commit_failures.clone());
        registry.register("writer_queue", "Writes that wait for the writer", metrics.queue.clone());
        let about = "1 while hints of other servers are heard; 0 also when there is no bus";
        registry.register("bus_connected", about, metrics.bus_connected.clone());
        registry.register("bus_hints_sent", "Hints to other servers", metrics.bus_hints_sent.clone());
        registry.register("bus_hints_heard", "Hints of other servers", metrics.bus_hints_heard.clone());
        let about = "How often hints of other servers may have been missed, a start being the first time";
        registry.register("bus_missed", about, metrics.bus_missed.clone());
        registry.register("bus_junk", "Messages on the bus that could not be read", metrics.bus_junk.clone());
        registry.register("open_shares", "Shares that are in memory", metrics.open_shares.clone());
        let about = "Memory of requests under way and of shares that nobody watches, as max_memory counts it";
        registry.register_with_unit("memory_held", about, Unit::Bytes, metrics.memory.clone());
        let about = "Content of all shares, as the limits count it";
        registry.register_with_unit("content", about, Unit::Bytes, metrics.content.clone());
        registry.register_with_unit(
            "database",
            "The database's files",
            Unit::Bytes,
            metrics.database.clone(),
        );
        let about = "Free where the database is";
        registry.register_with_unit("disk_free", about, Unit::Bytes, metrics.disk_free.clone());
        Self { registry, ..metrics }
    }

    /// Counts a refusal.
    pub fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&Refusal { code }).inc();
    }

    /// Counts secrets that were found.
    pub fn redacted(&self, mode: &'static str, found: u64) {
        self.redactions.get_or_create(&Redacted { mode }).inc_by(found);
    }

    /// Everything as Prometheus reads it (`OpenMetrics` text).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
