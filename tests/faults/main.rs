//! What the system withstands: random histories against a simple model, and faults of the machine and of peers. Every
//! history comes from a seed; `BRUTUS_SEEDS=200` runs more of them, `BRUTUS_SEED=17` one again.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../stories/harness/mod.rs"]
#[allow(dead_code)] // Stories need more of it.
mod harness;

mod crowds;
mod disk;
mod histories;
mod model;
mod nodes;
mod peers;
mod signals;
mod watcher;

/// The seeds of this run, `few` of them unless more are asked for.
fn seeds(few: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    match (number("BRUTUS_SEED"), number("BRUTUS_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, many) => (0..many.unwrap_or(few)).collect(),
    }
}
