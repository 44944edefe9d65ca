//! How many shares one client address may create.

use std::net::{IpAddr, Ipv6Addr};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::Rate;
use crate::error::Error;

/// Addresses that are remembered before those whose time is over are forgotten.
const REMEMBERED: usize = 10_000;

/// Counts creates by client address; an IPv6 network of /64 counts as one, for its owner has all of it.
pub struct CreateLimit {
    limiter: RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock>,
}

impl CreateLimit {
    /// A limit of `rate` for each address, which may also come at once.
    pub fn new(rate: Rate) -> Self {
        let quota = Quota::with_period(rate.per / rate.count.get())
            .unwrap_or(Quota::per_second(rate.count))
            .allow_burst(rate.count);
        Self { limiter: RateLimiter::keyed(quota) }
    }

    /// Counts one create, or refuses it.
    pub fn check(&self, address: IpAddr) -> Result<(), Error> {
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&network(address)).map_err(|until| Error::TooManyCreates {
            retry_after: until.wait_time_from(DefaultClock::default().now()),
        })
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_held_to_its_rate_and_others_are_not() {
        let limit = CreateLimit::new("2/h".parse().unwrap());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(limit.check(address("192.0.2.1")).is_ok());
        assert!(limit.check(address("::ffff:192.0.2.1")).is_ok());
        let refused = limit.check(address("192.0.2.1"));
        assert!(
            matches!(refused, Err(Error::TooManyCreates { retry_after }) if retry_after.as_secs() > 1700)
        );
        assert!(limit.check(address("192.0.2.2")).is_ok());
        assert!(limit.check(address("2001:db8::1")).is_ok());
        assert!(limit.check(address("2001:db8::2")).is_ok());
        assert!(limit.check(address("2001:db8::3")).is_err());
        assert!(limit.check(address("2001:db8:0:1::1")).is_ok());
    }
}
