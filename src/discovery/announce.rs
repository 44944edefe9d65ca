//! A server that tells the network of itself, for as long as it runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mdns_sd::{DaemonEvent, IfKind, IfPredicate, Receiver, ServiceDaemon, ServiceInfo};
use socket2::SockRef;

use super::record::is_announced;
use super::{Record, SERVICE};
use crate::text::plain;

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// Most bytes of a name (RFC 6763, 4.1.1).
const LONGEST_NAME: usize = 63;

/// What a machine without a name is called.
const NAMELESS: &str = "brutus-share";

/// Why a server cannot be announced.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// It cannot be reached from the network.
    #[error(
        "a server that is announced (announce) has to be reached from the network, and this one listens for this \
         machine alone: listen on an address of the network, or on all of them (`:8090`)"
    )]
    OnlyHere,
    /// The library refuses what is to be said.
    #[error("the server cannot be announced: {0}")]
    Refused(#[from] mdns_sd::Error),
    /// A listener does not say where it listens.
    #[error("the server cannot be announced: {0}")]
    Io(#[from] io::Error),
}

/// A server that is announced. It says goodbye by `end`; what just disappears is believed to be there for up to two
/// minutes.
pub struct Announcement {
    daemon: ServiceDaemon,
    place: Place,
    record: Mutex<Record>,
}

impl Announcement {
    /// Announces a server that listens on these sockets. Has to be called in a runtime.
    ///
    /// # Errors
    /// When nobody else could reach it, or the library refuses.
    pub fn start(listeners: &[TcpListener], record: Record) -> Result<Self, AnnounceError> {
        let listeners = listeners.iter().map(Listener::of).collect::<io::Result<Vec<_>>>()?;
        let place = Place::of(&listeners).ok_or(AnnounceError::OnlyHere)?;
        let info = place.info(&record)?;
        let daemon = ServiceDaemon::new()?;
        tokio::spawn(report(daemon.monitor()?));
        daemon.register(info)?;
        tracing::info!(name = %place.name, fingerprint = %record.id, "announced on the local network");
        Ok(Self { daemon, place, record: Mutex::new(record) })
    }

    /// Says from now on whether creating shares needs a token.
    pub fn ask_for_token(&self, asks_for_token: bool) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if record.asks_for_token == asks_for_token {
            return;
        }
        record.asks_for_token = asks_for_token;
        if let Err(error) = self.place.info(&record).and_then(|info| self.daemon.register(info)) {
            tracing::warn!(%error, "the announcement cannot be changed");
        }
    }

    /// Says goodbye.
    pub async fn end(&self) {
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = tokio::time::timeout(GOODBYE, ended.recv_async()).await;
        }
    }
}

/// Logs what becomes of the announcement.
async fn report(events: Receiver<DaemonEvent>) {
    while let Ok(event) = events.recv_async().await {
        match event {
            DaemonEvent::NameChange(change) => {
                let (old, new) = (plain(&change.original), plain(&change.new_name));
                tracing::warn!(%old, %new, "a name on the local network is taken: another is announced");
            }
            DaemonEvent::Error(error) => tracing::warn!(%error, "announcing on the local network failed"),
            _ => {}
        }
    }
}

/// Where a socket listens.
#[derive(Debug, Clone, Copy)]
struct Listener {
    address: IpAddr,
    port: u16,
    /// Whether all addresses of the sixth version are those of the fourth too.
    both: bool,
}

impl Listener {
    fn of(listener: &TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let both = address.is_ipv6() && !SockRef::from(listener).only_v6()?;
        Ok(Self { address: address.ip(), port: address.port(), both })
    }
}

/// As what, and where, a server is announced.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    name: String,
    port: u16,
    addresses: Addresses,
}

/// The addresses of a server.
#[derive(Debug, PartialEq, Eq)]
enum Addresses {
    /// These.
    These(Vec<IpAddr>),
    /// Those that the machine has, whenever that is, of these versions.
    All { four: bool, six: bool },
}

impl Place {
    /// Where others reach what listens on these sockets. One port is announced: that of the first.
    fn of(listeners: &[Listener]) -> Option<Self> {
        let is_outside =
            |listener: &&Listener| listener.address.is_unspecified() || is_announced(&listener.address);
        let outside: Vec<_> = listeners.iter().filter(is_outside).collect();
        let port = outside.first()?.port;
        let outside: Vec<_> = outside.into_iter().filter(|listener| listener.port == port).collect();
        let is_all = |address: IpAddr| outside.iter().any(|listener| listener.address == address);
        let six = is_all(Ipv6Addr::UNSPECIFIED.into());
        let both = outside.iter().any(|listener| listener.address.is_unspecified() && listener.both);
        let four = is_all(Ipv4Addr::UNSPECIFIED.into()) || both;
        let addresses = if four || six {
            Addresses::All { four, six }
        } else {
            Addresses::These(outside.iter().map(|listener| listener.address.to_canonical()).collect())
        };
        Some(Self { name: name(), port, addresses })
    }

    fn info(&self, record: &Record) -> Result<ServiceInfo, mdns_sd::Error> {
        // A name of its own: the machine's is its mDNS responder's, where it has one.
        let (first, _) = record.id.as_str().split_at(9);
        let host = format!("brutus-share-{first}.local.");
        let properties = record.properties();
        let info = |addresses: &[IpAddr]| {
            ServiceInfo::new(SERVICE, &self.name, &host, addresses, self.port, &properties[..])
        };
        match self.addresses {
            Addresses::These(ref addresses) => info(addresses),
            Addresses::All { four, six } => {
                let mut info = info(&[])?.enable_addr_auto();
                let of_version = move |address: IpAddr| if address.is_ipv4() { four } else { six };
                let predicate = IfPredicate::new(move |interface| {
                    let address = interface.ip();
                    is_announced(&address) && of_version(address)
                });
                info.set_interfaces(vec![IfKind::Predicate(predicate)]);
                Ok(info)
            }
        }
    }
}

/// What this machine is called.
fn name() -> String {
    let uname = rustix::system::uname();
    let host = plain(&uname.nodename().to_string_lossy());
    let mut name = host.split('.').next().unwrap_or_default().trim();
    while name.len() > LONGEST_NAME {
        name = name.char_indices().next_back().map_or("", |(at, _)| &name[..at]);
    }
    if name.is_empty() { NAMELESS.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(listeners: &[(&str, u16, bool)]) -> Option<(u16, Addresses)> {
        let listener = |&(address, port, both): &(&str, u16, bool)| Listener {
            address: address.parse().unwrap(),
            port,
            both,
        };
        let listeners: Vec<_> = listeners.iter().map(listener).collect();
        Place::of(&listeners).map(|place| (place.port, place.addresses))
    }

    #[test]
    fn a_server_is_where_others_reach_it() {
        let these = |addresses: &[&str]| {
            Addresses::These(addresses.iter().map(|address| address.parse().unwrap()).collect())
        };
        for here in [&[][..], &[("127.0.0.1", 1, false), ("::1", 1, false)], &[("fe80::1", 1, false)]] {
            assert_eq!(place(here), None, "{here:?}");
        }
        assert_eq!(
            place(&[("127.0.0.1", 1, false), ("192.0.2.7", 2, false)]),
            Some((2, these(&["192.0.2.7"])))
        );
        let two = [("192.0.2.7", 1, false), ("2001:db8::7", 1, false), ("192.0.2.7", 2, false)];
        assert_eq!(place(&two), Some((1, these(&["192.0.2.7", "2001:db8::7"]))));
        for (listener, four, six) in [
            (("0.0.0.0", 1, false), true, false),
            (("::", 1, true), true, true),
            (("::", 1, false), false, true),
        ] {
            assert_eq!(place(&[listener]), Some((1, Addresses::All { four, six })), "{listener:?}");
        }
    }

    #[test]
    fn a_machine_has_a_name() {
        assert!((1..=LONGEST_NAME).contains(&name().len()));
    }
}
