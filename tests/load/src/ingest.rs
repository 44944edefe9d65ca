//! Items from many clients, each acknowledged.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use tokio::task::LocalSet;

use crate::Result;
use crate::payload::text;
use crate::publish::Publisher;
use crate::target::Target;

/// What clients send.
#[derive(Debug, Clone, Copy, Args)]
pub struct Stream {
    /// Clients, each with one request under way
    #[arg(long, default_value_t = 64)]
    pub clients: usize,
    /// Items in a request
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Bytes of an item
    #[arg(long, default_value_t = 1024)]
    pub bytes: usize,
    /// How long
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Different keys that each client writes, over and over with new content; 0 for a new key every time
    #[arg(long, default_value_t = 100)]
    pub keys: usize,
    /// Requests a second of all clients, evenly; 0 for as many as are answered
    #[arg(long, default_value_t = 0)]
    pub rate: u32,
}

/// What was acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Requests a second.
    pub requests: f64,
    /// Items a second.
    pub items: f64,
    /// From a request's start to its acknowledgement, in microseconds.
    pub p50: u64,
    /// The same.
    pub p99: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, items, p50, p99 } = self;
        write!(f, "{requests:.0} requests/s, {items:.0} items/s acknowledged; p50 {p50} µs, p99 {p99} µs")
    }
}

/// Sends to `targets`, client after client to one after the other.
pub fn run(targets: &[Target], stream: Stream) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let latency = Rc::new(RefCell::new(Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?));
        let mut publishers = Vec::new();
        for client in 0..stream.clients {
            publishers.push(Publisher::connect(&targets[client % targets.len()].publish).await?);
        }
        let started = Instant::now();
        let end = started + Duration::from_secs(stream.seconds);
        let tasks = publishers.into_iter().enumerate().map(|(client, mut publisher)| {
            let latency = latency.clone();
            tokio::task::spawn_local(async move {
                let mut n = client * 1_000_000;
                let mut turns = pace(stream)?.map(tokio::time::interval);
                while Instant::now() < end {
                    if let Some(turns) = &mut turns {
                        turns.tick().await;
                    }
                    let items: Vec<_> = (0..stream.batch)
                        .map(|_| {
                            n += 1;
                            let key = if stream.keys == 0 { n } else { n % stream.keys };
                            (format!("c{client}k{key}"), text(n, stream.bytes))
                        })
                        .collect();
                    let sent = Instant::now();
                    publisher.send(&items).await?;
                    let micros = u64::try_from(sent.elapsed().as_micros())?;
                    latency.borrow_mut().saturating_record(micros);
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        let (took, latency) = (started.elapsed().as_secs_f64(), latency.borrow());
        #[allow(clippy::cast_precision_loss)] // Counts of a run of seconds.
        let (requests, batch) = (latency.len() as f64 / took, stream.batch as f64);
        Ok(Outcome {
            requests,
            items: requests * batch,
            p50: latency.value_at_quantile(0.5),
            p99: latency.value_at_quantile(0.99),
        })
    })
}

/// From one request of a client to its next.
fn pace(Stream { rate, clients, .. }: Stream) -> Result<Option<Duration>> {
    if rate == 0 {
        return Ok(None);
    }
    Ok(Some(Duration::from_secs(1) * u32::try_from(clients)? / rate))
}

/// Writes `count` items of `bytes` each, in requests of `batch`, with keys of their own.
pub fn fill(target: &Target, count: usize, bytes: usize, batch: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut publisher = Publisher::connect(&target.publish).await?;
        let numbers: Vec<_> = (0..count).collect();
        for chunk in numbers.chunks(batch) {
            let items: Vec<_> = chunk.iter().map(|n| (format!("k{n}"), text(*n, bytes))).collect();
            publisher.send(&items).await?;
        }
        Ok(())
    })
}
