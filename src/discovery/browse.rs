//! A client that listens for servers near by.

use std::time::Duration;

use mdns_sd::{Receiver, ServiceDaemon, ServiceEvent};
use tokio::time::{Instant, timeout_at};

use super::{Nearby, SERVICE};

/// Most servers that are looked at: a network may be full of them, or of somebody who makes them up.
const MOST: usize = 64;

/// Servers as they are heard of.
pub struct Browser {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    until: Instant,
    seen: Vec<Nearby>,
}

impl Browser {
    /// Asks the network, and listens for so long. Has to be called in a runtime.
    ///
    /// # Errors
    /// When the system does not let this process speak to the network so.
    pub fn start(time: Duration) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        let events = daemon.browse(SERVICE)?;
        Ok(Self { daemon, events, until: Instant::now() + time, seen: Vec::new() })
    }

    /// The next server, or the next that is heard of one; `None` when the time is over.
    pub async fn next(&mut self) -> Option<Nearby> {
        while self.seen.len() < MOST {
            let event = timeout_at(self.until, self.events.recv_async()).await.ok()?.ok()?;
            let ServiceEvent::ServiceResolved(service) = event else { continue };
            let Some(nearby) = Nearby::read(&service).filter(|nearby| !self.seen.contains(nearby)) else {
                continue;
            };
            self.seen.push(nearby.clone());
            return Some(nearby);
        }
        None
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

/// The servers that are heard of within a time, by their names. Two of one name are two: nobody owns a name.
///
/// # Errors
/// As `Browser::start`.
pub async fn browse(time: Duration) -> Result<Vec<Nearby>, mdns_sd::Error> {
    let mut browser = Browser::start(time)?;
    let mut near = Vec::<Nearby>::new();
    while let Some(nearby) = browser.next().await {
        let same = |known: &Nearby| (&known.name, &known.id) == (&nearby.name, &nearby.id);
        // What is heard later has more of its addresses.
        near.retain(|known| !same(known));
        near.push(nearby);
    }
    near.sort_by(|one, other| (&one.name, one.id.as_str()).cmp(&(&other.name, other.id.as_str())));
    Ok(near)
}
