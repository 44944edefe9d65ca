//! Messages to many viewers.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::LocalSet;

use crate::Result;
use crate::payload::text;
use crate::process::Usage;
use crate::publish::Publisher;
use crate::target::Target;
use crate::viewers::{Shared, Viewers};

/// How viewers are loaded.
#[derive(Debug, Clone, Copy, Args)]
pub struct Load {
    /// Viewers of each channel
    #[arg(long, default_value_t = 1000)]
    pub viewers: usize,
    /// Channels (shares)
    #[arg(long, default_value_t = 1)]
    pub channels: usize,
    /// Connections that publish, each with one request under way
    #[arg(long, default_value_t = 64)]
    pub publishers: usize,
    /// Messages that may be on their way to some viewer before the next is published
    #[arg(long, default_value_t = 64)]
    pub window: usize,
    /// Messages a second, evenly; 0 for as many as the window lets through
    #[arg(long, default_value_t = 0)]
    pub rate: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 1024)]
    pub bytes: usize,
    /// How long
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Deliveries a second.
    pub rate: f64,
    /// Messages that were published.
    pub published: usize,
    /// Deliveries that did not come.
    pub lost: u64,
    /// Time from the start of a message's publishing to a viewer's reading, in microseconds.
    pub p50: u64,
    /// The same.
    pub p99: u64,
    /// The same.
    pub max: u64,
    /// The server's processor time for one delivery, in microseconds; 0 when its process is not known.
    pub cpu: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, published, lost, p50, p99, max, cpu } = self;
        write!(
            f,
            "{rate:.0} deliveries/s of {published} messages, {lost} lost; p50 {p50} µs, p99 {p99} µs, max {max} µs; \
             the server's processor time {cpu:.2} µs a delivery"
        )
    }
}

/// How long stragglers are waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Loads viewers of `targets`. `usage` is of the server, when it is known.
pub fn run(targets: &[Target], load: Load, usage: Option<Usage>) -> Result<Outcome> {
    let seconds = usize::try_from(load.seconds)?;
    let shared = Shared::new(seconds * 60_000);
    let viewers = Viewers::connect(targets, load.viewers, shared.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cpu_before = usage.map_or(Ok(0.0), Usage::cpu_seconds)?;
    let started = Instant::now();
    let published = LocalSet::new().block_on(&runtime, publish(targets, load, shared.clone()))?;
    let expected = (published * load.viewers) as u64;
    let at_end = shared.delivered.load(Ordering::Relaxed);
    let took = started.elapsed().as_secs_f64();
    let waited = Instant::now();
    while shared.delivered.load(Ordering::Relaxed) < expected && waited.elapsed() < GRACE {
        std::thread::sleep(Duration::from_millis(1));
    }
    let delivered = shared.delivered.load(Ordering::Relaxed);
    let cpu = usage.map_or(Ok(0.0), Usage::cpu_seconds)? - cpu_before;
    let latency = viewers.stop()?;
    #[allow(clippy::cast_precision_loss)] // Counts of a run of seconds.
    Ok(Outcome {
        rate: at_end as f64 / took,
        published,
        lost: expected.saturating_sub(delivered),
        p50: latency.value_at_quantile(0.5),
        p99: latency.value_at_quantile(0.99),
        max: latency.max(),
        cpu: cpu * 1e6 / (delivered.max(1)) as f64,
    })
}

/// Publishes for as long as the load says; gives the number of messages.
async fn publish(targets: &[Target], load: Load, shared: Arc<Shared>) -> Result<usize> {
    let next = Rc::new(AtomicUsize::new(0));
    let end = Instant::now() + Duration::from_secs(load.seconds);
    let started = tokio::time::Instant::now();
    let mut tasks = Vec::new();
    for nth in 0..load.publishers {
        // A connection publishes to one channel after the other; it needs one publisher for each.
        let mut publishers = Vec::new();
        let own: Vec<_> = targets.iter().skip(nth % targets.len()).step_by(load.publishers).collect();
        for target in if own.is_empty() { vec![&targets[nth % targets.len()]] } else { own } {
            publishers.push(Publisher::connect(&target.publish).await?);
        }
        let (next, shared) = (next.clone(), shared.clone());
        tasks.push(tokio::task::spawn_local(async move {
            for turn in 0.. {
                if Instant::now() >= end {
                    break;
                }
                while (next.load(Ordering::Relaxed) as u64) * load.viewers as u64
                    >= shared.delivered.load(Ordering::Relaxed) + (load.window * load.viewers) as u64
                {
                    if Instant::now() >= end {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_micros(50)).await;
                }
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= shared.room() {
                    next.fetch_sub(1, Ordering::Relaxed);
                    break;
                }
                if load.rate > 0 {
                    let at = Duration::from_secs(1) / load.rate * u32::try_from(n)?;
                    tokio::time::sleep_until(started + at).await;
                }
                let items = [(format!("k{n}"), text(n, load.bytes))];
                shared.sending(n);
                let count = publishers.len();
                publishers[turn % count].send(&items).await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(next.load(Ordering::Relaxed))
}
