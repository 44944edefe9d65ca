//! One budget of bytes for what a server holds in memory on behalf of others: bodies and answers under way, and shares
//! that are loaded and watched by nobody.
//!
//! Memory is accounted before it is used. Who takes more than there is waits a little, in which whoever can spare some
//! is asked to give it back; then the request is refused. Knows nothing of what the bytes are for.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// There is not enough left of the budget, and nobody gave any back in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory for requests under way is in use")]
pub struct TooMuchAtOnce;

/// A budget of bytes. Clones are of the same one.
#[derive(Clone)]
pub struct Memory(Arc<Budget>);

struct Budget {
    max: AtomicU64,
    held: AtomicU64,
    wait: Duration,
    released: Notify,
    reclaim: OnceLock<Box<dyn Fn(u64) + Send + Sync>>,
}

/// Bytes that are accounted for, until this is dropped.
pub struct Held {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Memory {
    /// A budget of `max` bytes. `wait` is how long somebody waits for bytes that are in use.
    pub fn new(max: u64, wait: Duration) -> Self {
        Self(Arc::new(Budget {
            max: max.into(),
            held: 0.into(),
            wait,
            released: Notify::new(),
            reclaim: OnceLock::new(),
        }))
    }

    /// Changes how many bytes there are.
    pub fn set_max(&self, max: u64) {
        self.0.max.store(max, Ordering::Relaxed);
        self.0.released.notify_waiters();
    }

    /// What is asked, with the number of bytes that are missing, to give back what it can spare. It must not block. The
    /// first that is given stays.
    pub fn on_shortage(&self, reclaim: impl Fn(u64) + Send + Sync + 'static) {
        let _ = self.0.reclaim.set(Box::new(reclaim));
    }

    /// Bytes that are accounted for.
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Nothing yet, for who does not know how much it will be.
    pub fn nothing(&self) -> Held {
        Held { budget: self.0.clone(), bytes: 0 }
    }

    /// Takes bytes, when they are there at once.
    pub fn try_take(&self, bytes: u64) -> Option<Held> {
        let mut held = self.nothing();
        held.try_grow(bytes).then_some(held)
    }

    /// Takes bytes, and waits for them a little.
    ///
    /// # Errors
    /// When they are not to be had.
    pub async fn take(&self, bytes: u64) -> Result<Held, TooMuchAtOnce> {
        let mut held = self.nothing();
        held.grow(bytes).await?;
        Ok(held)
    }

    /// Accounts for bytes that are in use already, whether they are to be had or not; who can spare some is asked to.
    pub fn owe(&self, bytes: u64) -> Held {
        self.0.owe(bytes);
        Held { budget: self.0.clone(), bytes }
    }
}

/// Tries to take something, at once and whenever some was released, for as long as is waited. Tells whether it was
/// taken.
pub async fn taken_in_time(released: &Notify, wait: Duration, mut take: impl FnMut() -> bool) -> bool {
    // Most need not wait, and pay nothing for those who do.
    if take() {
        return true;
    }
    let until = Instant::now() + wait;
    loop {
        let released = released.notified();
        tokio::pin!(released);
        // From here on no release is missed, also one between the attempt and the wait.
        released.as_mut().enable();
        if take() {
            return true;
        }
        if tokio::time::timeout_at(until, released).await.is_err() {
            return false;
        }
    }
}

impl Budget {
    /// Adds to what is held, unless that is more than there is. More than the whole budget is given to one who holds
    /// all that is held: a share of the largest size can be loaded while nothing else is under way.
    fn try_add(&self, bytes: u64, own: u64) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        let fits = |held: u64| held.saturating_add(bytes) <= max || held <= own;
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                fits(held).then(|| held.saturating_add(bytes))
            })
            .is_ok()
    }

    fn owe(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.ask_for(self.missing(0));
    }

    fn missing(&self, bytes: u64) -> u64 {
        let wanted = self.held.load(Ordering::Relaxed).saturating_add(bytes);
        wanted.saturating_sub(self.max.load(Ordering::Relaxed))
    }

    fn ask_for(&self, missing: u64) {
        if missing > 0
            && let Some(reclaim) = self.reclaim.get()
        {
            reclaim(missing);
        }
    }

    fn release(&self, bytes: u64) {
        if bytes > 0 {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.released.notify_waiters();
        }
    }
}

impl Held {
    /// How many bytes these are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more bytes, when they are there at once.
    pub fn try_grow(&mut self, bytes: u64) -> bool {
        let added = self.budget.try_add(bytes, self.bytes);
        self.bytes += if added { bytes } else { 0 };
        added
    }

    /// Takes more bytes, and waits for them a little.
    ///
    /// # Errors
    /// When they are not to be had: those that are held already stay held.
    pub async fn grow(&mut self, bytes: u64) -> Result<(), TooMuchAtOnce> {
        let budget = self.budget.clone();
        let taken = taken_in_time(&budget.released, budget.wait, || {
            let taken = self.try_grow(bytes);
            if !taken {
                budget.ask_for(budget.missing(bytes));
            }
            taken
        });
        if taken.await { Ok(()) } else { Err(TooMuchAtOnce) }
    }

    /// Accounts for what is in use by now, whether it is to be had or not; who can spare some is asked to.
    pub fn resize(&mut self, bytes: u64) {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            if more > 0 {
                self.budget.owe(more);
            }
        } else {
            self.budget.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Gives some of the bytes back.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.release(bytes);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(max: u64) -> Memory {
        Memory::new(max, Duration::from_secs(60))
    }

    #[test]
    fn no_more_is_held_than_there_is_but_by_one_alone() {
        let memory = budget(100);
        let mut one = memory.try_take(60).unwrap();
        assert!(memory.try_take(41).is_none() && memory.try_take(40).is_some());
        assert!(one.try_grow(500), "nobody else holds anything");
        assert!(memory.try_take(1).is_none());
        one.shrink(500);
        drop(one);
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back_and_is_refused_when_nothing_is() {
        let impatient = Memory::new(100, Duration::from_millis(1));
        let _held = impatient.try_take(80).unwrap();
        assert_eq!(impatient.take(50).await.err(), Some(TooMuchAtOnce));
        let memory = budget(100);
        let held = memory.try_take(80).unwrap();
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { memory.take(50).await.map(|held| held.bytes()) }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(50));
    }

    #[tokio::test]
    async fn a_shortage_is_told_to_who_can_spare_some() {
        let memory = budget(100);
        let spare = Arc::new(std::sync::Mutex::new(Some(memory.owe(80))));
        let asked = Arc::new(AtomicU64::new(0));
        memory.on_shortage({
            let (spare, asked) = (spare.clone(), asked.clone());
            move |missing| {
                asked.store(missing, Ordering::Relaxed);
                spare.lock().unwrap().take();
            }
        });
        assert_eq!(memory.take(50).await.map(|held| held.bytes()), Ok(50));
        assert_eq!(asked.load(Ordering::Relaxed), 30);
    }
}
