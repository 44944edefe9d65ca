//! What one client may do: how often it creates, and how much it may have under way at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::Notify;

use crate::access::Client;
use crate::config::Rate;
use crate::error::Error;
use crate::memory::taken_in_time;

/// Clients that are remembered before those whose time is over are looked for and forgotten.
const REMEMBERED: usize = 10_000;

/// How many times the rate of one IPv6 network of /64 all networks of its /48 may have together: whoever is given a /48
/// has 65,536 of them.
const SITE_FACTOR: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

type Limiter = RateLimiter<Client, DashMapStateStore<Client>, DefaultClock>;

/// Counts creates by client.
#[derive(Default)]
pub struct CreateLimit {
    /// One for each rate that is in use.
    limiters: RwLock<HashMap<Rate, Arc<Remembering>>>,
}

/// The creates of those who are held to one rate.
struct Remembering {
    limiter: Limiter,
    /// How many clients there may be before the old ones are looked for: that costs a look at each.
    tidy_beyond: AtomicUsize,
}

impl CreateLimit {
    /// Counts one create of a client that is held to `rate`, which may also come at once; or refuses it.
    pub fn check(&self, rate: Rate, client: Client) -> Result<(), Error> {
        self.count(rate, client)?;
        match client.site() {
            Some(site) => self.count(Rate { count: rate.count.saturating_mul(SITE_FACTOR), ..rate }, site),
            None => Ok(()),
        }
    }

    fn count(&self, rate: Rate, client: Client) -> Result<(), Error> {
        let Remembering { limiter, tidy_beyond } = &*self.limiter(rate);
        if limiter.len() > tidy_beyond.load(Ordering::Relaxed) {
            limiter.retain_recent();
            tidy_beyond.store(REMEMBERED.max(limiter.len() * 2), Ordering::Relaxed);
        }
        limiter.check_key(&client).map_err(|until| Error::TooManyCreates {
            retry_after: until.wait_time_from(DefaultClock::default().now()),
        })
    }

    fn limiter(&self, rate: Rate) -> Arc<Remembering> {
        if let Some(limiter) = self.limiters.read().unwrap_or_else(PoisonError::into_inner).get(&rate) {
            return limiter.clone();
        }
        let quota = Quota::with_period(rate.per / rate.count.get())
            .unwrap_or(Quota::per_second(rate.count))
            .allow_burst(rate.count);
        let remembering =
            || Remembering { limiter: RateLimiter::keyed(quota), tidy_beyond: REMEMBERED.into() };
        let mut limiters = self.limiters.write().unwrap_or_else(PoisonError::into_inner);
        limiters.entry(rate).or_insert_with(|| Arc::new(remembering())).clone()
    }
}

/// How much of one thing each client has under way: connections, viewers, reads, bytes. Clones are of the same.
#[derive(Clone, Default)]
pub struct InUse(Arc<Amounts>);

#[derive(Default)]
struct Amounts {
    by_client: Mutex<HashMap<Client, u64>>,
    released: Notify,
}

/// What a client has of it, until this is dropped.
pub struct Portion {
    amounts: Arc<Amounts>,
    client: Client,
    amount: u64,
}

impl InUse {
    /// Nothing yet.
    pub fn nothing(&self, client: Client) -> Portion {
        Portion { amounts: self.0.clone(), client, amount: 0 }
    }

    /// Takes one for a client that may have `max`, when it does not have that many.
    pub fn take_one(&self, client: Client, max: u64) -> Option<Portion> {
        let mut portion = self.nothing(client);
        portion.try_grow(1, max).then_some(portion)
    }
}

impl Portion {
    /// Adds to it, unless its client would then have more than `max` in all. A client that has nothing else may have
    /// more.
    pub fn try_grow(&mut self, amount: u64, max: u64) -> bool {
        let mut by_client = self.amounts.lock();
        let all = by_client.get(&self.client).copied().unwrap_or(0);
        if all.saturating_add(amount) > max && all > self.amount {
            return false;
        }
        if amount > 0 {
            by_client.insert(self.client, all.saturating_add(amount));
            self.amount += amount;
        }
        true
    }

    /// Adds to it, and waits a little until its client has given enough back.
    pub async fn grow(&mut self, amount: u64, max: u64, wait: Duration) -> bool {
        let amounts = self.amounts.clone();
        taken_in_time(&amounts.released, wait, || self.try_grow(amount, max)).await
    }

    /// Sets it, however much the client has.
    pub fn resize(&mut self, amount: u64) {
        match amount.checked_sub(self.amount) {
            Some(more) => _ = self.try_grow(more, u64::MAX),
            None => self.shrink(self.amount - amount),
        }
    }

    /// Gives some of it back.
    pub fn shrink(&mut self, amount: u64) {
        let amount = amount.min(self.amount);
        if amount == 0 {
            return;
        }
        self.amount -= amount;
        if let Entry::Occupied(mut all) = self.amounts.lock().entry(self.client) {
            *all.get_mut() -= amount;
            if *all.get() == 0 {
                all.remove();
            }
        }
        self.amounts.released.notify_waiters();
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.shrink(self.amount);
    }
}

impl Amounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Client, u64>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Client {
        Client::at(text.parse().unwrap())
    }

    #[test]
    fn a_client_is_held_to_its_rate_and_others_are_not() {
        let limit = CreateLimit::default();
        let rate: Rate = "2/h".parse().unwrap();
        let check = |text: &str| limit.check(rate, at(text));
        assert!(check("192.0.2.1").is_ok());
        assert!(check("::ffff:192.0.2.1").is_ok());
        let refused = check("192.0.2.1");
        assert!(
            matches!(refused, Err(Error::TooManyCreates { retry_after }) if retry_after.as_secs() > 1700)
        );
        assert!(check("192.0.2.2").is_ok());
        assert!(check("2001:db8::1").is_ok());
        assert!(check("2001:db8::2").is_ok());
        assert!(check("2001:db8::3").is_err());
        assert!(check("2001:db8:0:1::1").is_ok());
        assert!(limit.check(rate, Client::Token(1)).is_ok());
        assert!(limit.check("3/h".parse().unwrap(), at("192.0.2.1")).is_ok());
    }

    #[test]
    fn the_networks_of_one_site_are_held_to_ten_times_the_rate() {
        let limit = CreateLimit::default();
        let rate: Rate = "2/h".parse().unwrap();
        for network in 0..20 {
            assert!(limit.check(rate, at(&format!("2001:db8:1:{network:x}::1"))).is_ok());
        }
        assert!(limit.check(rate, at("2001:db8:1:ffff::1")).is_err());
        assert!(limit.check(rate, at("2001:db8:2::1")).is_ok());
    }

    #[test]
    fn a_client_has_so_much_at_once_and_one_thing_of_any_size() {
        let in_use = InUse::default();
        let (one, other) = (at("192.0.2.1"), at("192.0.2.2"));
        let mut large = in_use.nothing(one);
        assert!(large.try_grow(500, 100) && large.try_grow(500, 100), "it has nothing else");
        assert!(in_use.take_one(one, 100).is_none() && in_use.take_one(other, 100).is_some());
        large.shrink(950);
        let held = in_use.take_one(one, 100);
        assert!(held.is_some() && !large.try_grow(50, 100) && large.try_grow(49, 100));
        drop((large, held));
        assert!(in_use.0.lock().is_empty(), "who has nothing is not remembered");
    }

    #[tokio::test]
    async fn who_waits_gets_what_its_client_gives_back() {
        let in_use = InUse::default();
        let client = at("192.0.2.1");
        let held = in_use.take_one(client, 1).unwrap();
        assert!(!in_use.nothing(client).grow(1, 1, Duration::from_millis(1)).await);
        let waiting = tokio::spawn({
            let mut portion = in_use.nothing(client);
            async move { portion.grow(1, 1, Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap());
    }
}
