//! What a server says of itself in its TXT record, and what a client makes of what it hears. Saturn's keys and two of
//! our own (`id`, `url`); no value has a blank, at which BRUTUS's older browser would split it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use mdns_sd::ResolvedService;

use super::{Fingerprint, SERVICE};
use crate::config::{base_url, leads_here};

/// What it is: an API of this kind, in this version of Saturn's record.
const API: (&str, &str) = ("api", "brutus-share");
const VERSION: (&str, &str) = ("version", "1.0");

/// Most addresses of one server that are tried.
const ADDRESSES: usize = 8;

/// What a server says of itself.
#[derive(Debug, Clone)]
pub struct Record {
    /// The fingerprint of its key.
    pub id: Fingerprint,
    /// What links start with, and where it is best asked; `None` where it does not know.
    pub url: Option<String>,
    /// Whether only who has a token may create shares.
    pub asks_for_token: bool,
}

impl Record {
    /// The TXT record.
    pub fn properties(&self) -> Vec<(&'static str, String)> {
        let security = if self.asks_for_token { "token" } else { "none" };
        let said = [
            VERSION,
            API,
            ("features", "live,markdown"),
            ("priority", "50"),
            ("security", security),
            ("health_endpoint", "/healthz"),
            ("id", self.id.as_str()),
        ];
        let url = self.url.iter().map(|url| ("url", url.clone()));
        said.into_iter().map(|(key, value)| (key, value.to_owned())).chain(url).collect()
    }
}

/// A server that says that it is near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearby {
    /// What it calls itself. Others may call themselves so too.
    pub name: String,
    /// The key that it claims to have.
    pub id: Fingerprint,
    /// Where it may be asked: at the address that its links start with, and at those of its machine.
    pub urls: Vec<String>,
    /// Whether it says that only who has a token may create shares.
    pub asks_for_token: bool,
}

impl Nearby {
    /// Reads what was heard of a service; `None` when that is no share server that could be asked.
    pub(super) fn read(service: &ResolvedService) -> Option<Self> {
        let addresses = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
        Self::of(&service.fullname, service.port, addresses, |key| service.get_property_val_str(key))
    }

    fn of<'a>(
        fullname: &str,
        port: u16,
        addresses: impl Iterator<Item = IpAddr>,
        said: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let is_ours = |(key, value)| said(key) == Some(value);
        let id = said("id").filter(|_| is_ours(API)).and_then(|id| id.parse().ok())?;
        let url = said("url").filter(|url| url.bytes().all(|byte| byte.is_ascii_graphic()));
        let url = url.and_then(|url| base_url(url).ok()).filter(|url| !leads_here(url));
        let scheme = if url.as_ref().is_some_and(|url| url.starts_with("https:")) { "https" } else { "http" };
        // Those of the fourth version first.
        let addresses: BTreeSet<_> = addresses.filter(is_announced).collect();
        let mut urls: Vec<_> = url.into_iter().collect();
        for address in addresses.into_iter().take(ADDRESSES) {
            let url = format!("{scheme}://{}", SocketAddr::new(address, port));
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        let asks_for_token = said("security") == Some("token");
        (!urls.is_empty()).then(|| Self { name: name_of(fullname), id, urls, asks_for_token })
    }
}

/// The name of a service in the full name, where dots and backslashes stand behind a backslash.
fn name_of(fullname: &str) -> String {
    let at = fullname.len().saturating_sub(SERVICE.len() + 1);
    let escaped = fullname.get(..at).unwrap_or(fullname);
    let mut characters = escaped.chars();
    let mut name = String::with_capacity(escaped.len());
    while let Some(character) = characters.next() {
        name.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    name
}

/// Whether an address means something to other machines of the network: not loopback, nor one that is told apart by
/// the interface alone (link-local, RFC 3927 and RFC 4291).
pub(super) fn is_announced(address: &IpAddr) -> bool {
    match address.to_canonical() {
        address if address.is_loopback() || address.is_unspecified() || address.is_multicast() => false,
        IpAddr::V4(four) => !four.is_link_local(),
        IpAddr::V6(six) => !six.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const ID: &str = "aaaa-bbbb-cccc-dddd-eeee-ffff-gggg-hhhh";

    fn record(url: Option<&str>) -> Record {
        Record { id: ID.parse().unwrap(), url: url.map(ToOwned::to_owned), asks_for_token: false }
    }

    fn heard(properties: &[(&str, &str)], addresses: &[&str]) -> Option<Nearby> {
        let said: HashMap<_, _> = properties.iter().copied().collect();
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        Nearby::of("a\\.b \\\\ (2)._brutus-share._tcp.local.", 8090, addresses, |key| said.get(key).copied())
    }

    #[test]
    fn the_record_is_saturns_and_splits_at_blanks() {
        let properties = record(Some("http://192.0.2.7:8090")).properties();
        let line: Vec<_> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = "version=1.0 api=brutus-share features=live,markdown priority=50 security=none \
                        health_endpoint=/healthz id=aaaa-bbbb-cccc-dddd-eeee-ffff-gggg-hhhh url=http://192.0.2.7:8090";
        assert_eq!(line.join(" "), expected);
        let fields: Vec<_> = expected.split_ascii_whitespace().collect();
        assert_eq!(fields, line, "BRUTUS takes each field between blanks for a property");
        assert!(record(None).properties().iter().all(|(key, _)| *key != "url"));
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        let said = record(Some("http://nas.example:8090/share")).properties();
        let said: Vec<_> = said.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let nearby =
            heard(&said, &["2001:db8::7", "192.0.2.7", "fe80::1", "127.0.0.1", "169.254.1.1", "::1"]);
        let urls = ["http://nas.example:8090/share", "http://192.0.2.7:8090", "http://[2001:db8::7]:8090"];
        assert_eq!(
            nearby,
            Some(Nearby {
                name: "a.b \\ (2)".into(),
                id: ID.parse().unwrap(),
                urls: urls.map(ToOwned::to_owned).into(),
                asks_for_token: false
            })
        );
    }

    #[test]
    fn what_is_no_share_server_or_cannot_be_asked_is_left_out() {
        let ours = [("api", "brutus-share"), ("id", ID)];
        assert!(heard(&ours, &["192.0.2.7"]).is_some());
        for (properties, addresses) in [
            (&[("api", "openai"), ("id", ID)][..], &["192.0.2.7"][..]),
            (&[("id", ID)], &["192.0.2.7"]),
            (&[("api", "brutus-share")], &["192.0.2.7"]),
            (&[("api", "brutus-share"), ("id", "x")], &["192.0.2.7"]),
            (&ours, &["127.0.0.1", "fe80::1"]),
            (&ours, &[]),
        ] {
            assert_eq!(heard(properties, addresses), None, "{properties:?} {addresses:?}");
        }
        let here = [("api", "brutus-share"), ("id", ID), ("url", "http://localhost:8090")];
        assert_eq!(heard(&here, &["192.0.2.7"]).unwrap().urls, ["http://192.0.2.7:8090"]);
        let odd = [("api", "brutus-share"), ("id", ID), ("url", "http://a\u{1b}[2J"), ("security", "token")];
        let nearby = heard(&odd, &["192.0.2.7"]).unwrap();
        assert_eq!((nearby.urls, nearby.asks_for_token), (vec!["http://192.0.2.7:8090".to_owned()], true));
        let many: Vec<_> = (1..100).map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(heard(&ours, &many).unwrap().urls.len(), ADDRESSES);
    }
}
