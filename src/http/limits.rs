//! How many shares a client may create, and how many viewers it may have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::Rate;
use crate::error::Error;

/// Clients that are remembered before those whose time is over are forgotten.
const REMEMBERED: usize = 10_000;

/// Whose creates are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// An address; an IPv6 network of /64 counts as one, for its owner has all of it.
    Network(IpAddr),
    /// A token, by its number.
    Token(i64),
}

type Limiter = RateLimiter<Client, DashMapStateStore<Client>, DefaultClock>;

/// Counts creates by client.
#[derive(Default)]
pub struct CreateLimit {
    /// One for each rate that is in use.
    limiters: RwLock<HashMap<Rate, Arc<Limiter>>>,
}

impl Client {
    /// The client at an address.
    pub fn at(address: IpAddr) -> Self {
        Self::Network(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl CreateLimit {
    /// Counts one create of a client that is held to `rate`, which may also come at once; or refuses it.
    pub fn check(&self, rate: Rate, client: Client) -> Result<(), Error> {
        let limiter = self.limiter(rate);
        if limiter.len() > REMEMBERED {
            limiter.retain_recent();
        }
        limiter.check_key(&client).map_err(|until| Error::TooManyCreates {
            retry_after: until.wait_time_from(DefaultClock::default().now()),
        })
    }

    fn limiter(&self, rate: Rate) -> Arc<Limiter> {
        if let Some(limiter) = self.limiters.read().unwrap_or_else(PoisonError::into_inner).get(&rate) {
            return limiter.clone();
        }
        let quota = Quota::with_period(rate.per / rate.count.get())
            .unwrap_or(Quota::per_second(rate.count))
            .allow_burst(rate.count);
        let mut limiters = self.limiters.write().unwrap_or_else(PoisonError::into_inner);
        limiters.entry(rate).or_insert_with(|| Arc::new(RateLimiter::keyed(quota))).clone()
    }
}

/// Counts viewers by client.
#[derive(Default)]
pub struct ViewerLimit(Arc<Mutex<HashMap<Client, usize>>>);

/// A viewer that is counted, as long as this lives.
pub(super) struct Seat {
    taken: Arc<Mutex<HashMap<Client, usize>>>,
    client: Client,
}

impl ViewerLimit {
    /// Counts one more viewer of a client that may have `max`; or refuses it.
    pub(super) fn seat(&self, max: usize, client: Client) -> Result<Seat, Error> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&client).copied().unwrap_or(0);
        if count >= max {
            return Err(Error::TooManyViewersHere);
        }
        taken.insert(client, count + 1);
        Ok(Seat { taken: self.0.clone(), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = taken.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_held_to_its_rate_and_others_are_not() {
        let limit = CreateLimit::default();
        let rate: Rate = "2/h".parse().unwrap();
        let check = |text: &str| limit.check(rate, Client::at(text.parse().unwrap()));
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
        assert!(limit.check("3/h".parse().unwrap(), Client::at("192.0.2.1".parse().unwrap())).is_ok());
    }
}
