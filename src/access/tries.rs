//! How often one client may try locks and fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Client;

/// Tries of one client that may fail within [`WINDOW`].
const MAX_TRIES: u32 = 10;

/// How many times that the IPv6 networks of one site may have together.
const SITE_FACTOR: u32 = 10;

/// For how long tries are counted, from the first on.
const WINDOW: Duration = Duration::from_secs(60);

/// Clients that are remembered before those whose time is over are looked for and forgotten.
const REMEMBERED: usize = 10_000;

/// Tries by client. Clones are of the same.
#[derive(Clone, Default)]
pub(super) struct Tries(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    by_client: HashMap<Client, (Instant, u32)>,
    /// How many there were after it was tidied last.
    left: usize,
}

/// A try that is counted.
pub(super) struct Try {
    tries: Tries,
    clients: Vec<Client>,
}

impl Tries {
    /// Counts a try of a client, or says how long it has to wait. Who is not known is not counted.
    pub(super) fn count(&self, client: Option<Client>) -> Result<Try, Duration> {
        let clients = client.into_iter().flat_map(|client| {
            [Some((client, MAX_TRIES)), client.site().map(|site| (site, MAX_TRIES * SITE_FACTOR))]
        });
        let clients: Vec<_> = clients.flatten().collect();
        let now = Instant::now();
        let mut counted = self.lock();
        counted.tidy(now);
        for (client, max) in &clients {
            if let Some((since, count)) = counted.by_client.get(client)
                && now - *since < WINDOW
                && count >= max
            {
                return Err(WINDOW.saturating_sub(now - *since));
            }
        }
        for (client, _) in &clients {
            let (since, count) = counted.by_client.entry(*client).or_insert((now, 0));
            if now - *since >= WINDOW {
                (*since, *count) = (now, 0);
            }
            *count += 1;
        }
        Ok(Try { tries: self.clone(), clients: clients.into_iter().map(|(client, _)| client).collect() })
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Forgets whose time is over: once there are twice as many as were left, so each costs one look.
    fn tidy(&mut self, now: Instant) {
        if self.by_client.len() > REMEMBERED.max(self.left * 2) {
            self.by_client.retain(|_, (since, _)| now - *since < WINDOW);
            self.left = self.by_client.len();
        }
    }
}

impl Try {
    /// Takes it back: it was right.
    pub(super) fn forget(self) {
        let mut counted = self.tries.lock();
        for client in &self.clients {
            if let Some((_, count)) = counted.by_client.get_mut(client) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_fail_and_what_was_right_is_not_counted() {
        let tries = Tries::default();
        let at = |text: &str| Some(Client::at(text.parse().unwrap()));
        for _ in 0..50 {
            tries.count(at("192.0.2.1")).unwrap().forget();
        }
        for _ in 0..MAX_TRIES {
            assert!(tries.count(at("192.0.2.1")).is_ok());
        }
        let wait = tries.count(at("192.0.2.1")).err().unwrap();
        assert!(wait <= WINDOW && wait > WINDOW / 2);
        assert!(tries.count(at("192.0.2.2")).is_ok() && tries.count(None).is_ok());
        let of_site = (0..200).filter(|n| tries.count(at(&format!("2001:db8:1:{n:x}::1"))).is_ok());
        assert_eq!(of_site.count(), 100, "a site has many networks");
    }
}
