//! Which proxy stands between this machine and a share server, as the environment says: the rules are curl's. Pure: it
//! is told the environment.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use awc::http::Uri;
use awc::http::header::HeaderValue;
use awc::http::uri::{Authority, PathAndQuery};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

use crate::config::is_this_machine;

/// The proxies of this machine, and for whom they are not asked.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
    direct: Vec<Direct>,
}

/// What a variable says.
#[derive(Debug, Clone)]
struct Named {
    variable: &'static str,
    proxy: Result<Proxy, &'static str>,
}

/// A proxy that can be asked. What it wants to hear before stands in no log.
#[derive(Clone)]
pub(super) struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// A proxy is named that cannot be used. The variable's value is not repeated: a password may stand in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy in {variable} {reason}")]
pub struct UnusableProxy {
    variable: &'static str,
    reason: &'static str,
}

/// Hosts that are reached without a proxy: an entry of `NO_PROXY`.
#[derive(Debug, Clone)]
enum Direct {
    All,
    Network(IpNet, Option<u16>),
    /// A name and all below it.
    Domain(String, Option<u16>),
}

impl Proxies {
    /// What the environment of this process says: `https_proxy`, `http_proxy` (in lower case alone, as in curl: a CGI
    /// program's `HTTP_PROXY` is a header of whoever asks it), `all_proxy` and `no_proxy`.
    pub fn from_env() -> Self {
        // What is no text is no proxy either, and is refused as such.
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            let set = |name: &'static str| Some((name, variable(name)?));
            names.iter().filter_map(|name| set(name)).find(|(_, value)| !value.trim().is_empty())
        };
        let named = |names: &[&'static str]| {
            first(names).map(|(variable, value)| Named { variable, proxy: Proxy::parse(value.trim()) })
        };
        let (_, direct) = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Self {
            http: named(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: named(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            direct: direct
                .split(|char: char| char == ',' || char.is_whitespace())
                .filter(|entry| !entry.is_empty())
                .map(Direct::parse)
                .collect(),
        }
    }

    /// The proxy that is asked for a URL; `None` where its host is asked itself. This machine always is.
    pub(super) fn of(&self, url: &Uri) -> Result<Option<&Proxy>, UnusableProxy> {
        let (host, tls) = (url.host().unwrap_or_default(), url.scheme_str() == Some("https"));
        let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let named = if tls { &self.https } else { &self.http };
        let Some(named) = named else { return Ok(None) };
        if is_this_machine(host) || self.direct.iter().any(|direct| direct.covers(host, port)) {
            return Ok(None);
        }
        let unusable = |reason: &&'static str| UnusableProxy { variable: named.variable, reason };
        named.proxy.as_ref().map(Some).map_err(unusable)
    }

    /// Whether a URL is that of a proxy, which is asked itself.
    pub(super) fn is_one(&self, url: &Uri) -> bool {
        let is =
            |proxy: &Proxy| (proxy.uri.scheme(), proxy.uri.authority()) == (url.scheme(), url.authority());
        [&self.http, &self.https].into_iter().flatten().any(|named| named.proxy.as_ref().is_ok_and(is))
    }
}

impl Proxy {
    /// `[http[s]://][USER[:PASSWORD]@]HOST[:PORT]`
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme.starts_with("socks") {
            return Err("speaks SOCKS, and this program asks http:// and https:// proxies alone");
        }
        if scheme != "http" && scheme != "https" {
            return Err("is neither an http:// nor an https:// URL");
        }
        // Not every password is written as a URL wants it: the last @ ends it.
        let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        let bad = "has no host, or a port that cannot be";
        let authority: Authority = host.parse().map_err(|_| bad)?;
        if authority.host().trim_matches(['[', ']']).is_empty()
            || (authority.as_str() != authority.host() && authority.port_u16().is_none_or(|port| port == 0))
        {
            return Err(bad);
        }
        let uri = Uri::builder().scheme(scheme.as_str()).authority(authority).path_and_query("/");
        let authorization = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let mut plain: Vec<u8> = percent_decode_str(name).collect();
            plain.push(b':');
            plain.extend(percent_decode_str(password));
            let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain)));
            if let Ok(value) = &mut value {
                value.set_sensitive(true);
            }
            value
        });
        Ok(Self {
            uri: uri.build().map_err(|_| bad)?,
            authorization: authorization
                .transpose()
                .map_err(|_| "has a name or password that cannot be sent")?,
        })
    }

    /// Where it is.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What it is told of who asks.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// A request for an `http` URL as the proxy takes it: it goes to the proxy, and names the whole URL.
    pub(super) fn forwarding(&self, url: &Uri) -> Option<Uri> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(url.to_string()).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Scheme, host and port.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.uri.to_string();
        f.write_str(text.trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Direct {
    fn parse(entry: &str) -> Self {
        if entry == "*" {
            return Self::All;
        }
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        if let Ok(network) = entry.parse().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from)) {
            return Self::Network(network, None);
        }
        if let Ok(address) = entry.parse::<SocketAddr>() {
            return Self::Network(address.ip().into(), Some(address.port()));
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().ok()),
            None => (entry, None),
        };
        let name = name.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
        Self::Domain(name.to_ascii_lowercase(), port)
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let name =
            host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let is_for = |of: &Option<u16>| of.is_none_or(|of| of == port);
        match (self, name.parse::<IpAddr>()) {
            (Self::All, _) => true,
            (Self::Network(network, of), Ok(address)) => {
                is_for(of) && network.contains(&address.to_canonical())
            }
            (Self::Domain(domain, of), Err(_)) => {
                let below = name.strip_suffix(domain.as_str());
                is_for(of)
                    && !domain.is_empty()
                    && below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// The proxy for a URL, as text.
    fn of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        proxies(variables).of(&url.parse().unwrap()).unwrap().map(ToString::to_string)
    }

    /// Variables, and the proxies for `http` and for `https`.
    type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);

    #[test]
    fn the_variables_of_a_scheme_stand_over_those_of_all_and_lower_case_over_upper() {
        let (plain, tls) = ("http://a.example/x", "https://a.example/x");
        let rows: &[Row<'_>] = &[
            (&[], None, None),
            (&[("HTTPS_PROXY", "http://p:1")], None, Some("http://p:1")),
            (&[("https_proxy", "http://q:1"), ("HTTPS_PROXY", "http://p:1")], None, Some("http://q:1")),
            (&[("https_proxy", " "), ("HTTPS_PROXY", "http://p:1")], None, Some("http://p:1")),
            (&[("HTTP_PROXY", "http://p:1")], None, None),
            (&[("http_proxy", "http://p:1")], Some("http://p:1"), None),
            (&[("ALL_PROXY", "http://p:1")], Some("http://p:1"), Some("http://p:1")),
            (&[("all_proxy", "https://p"), ("ALL_PROXY", "http://q")], Some("https://p"), Some("https://p")),
            (&[("ALL_PROXY", "http://p:1"), ("http_proxy", "q:3")], Some("http://q:3"), Some("http://p:1")),
        ];
        for (variables, http, https) in rows {
            assert_eq!(of(variables, plain).as_deref(), *http, "{variables:?}");
            assert_eq!(of(variables, tls).as_deref(), *https, "{variables:?}");
        }
    }

    #[test]
    fn a_proxys_url_is_read_or_refused_without_repeating_it() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("proxy.example:3128", "http://proxy.example:3128", None),
            ("proxy.example", "http://proxy.example", None),
            ("HTTP://proxy.example/", "http://proxy.example", None),
            ("https://proxy.example:8443/path?x", "https://proxy.example:8443", None),
            ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128", None),
            ("http://ada:love@proxy:1", "http://proxy:1", Some("ada:love")),
            ("ada@proxy:1", "http://proxy:1", Some("ada:")),
            ("http://a%40b:c%3Ad%2f@proxy:1", "http://proxy:1", Some("a@b:c:d/")),
            ("http://ada:p@ss/w#rd@proxy:1/", "http://proxy:1", Some("ada:p@ss/w#rd")),
        ];
        for (text, name, user) in rows {
            let proxy = Proxy::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
            assert_eq!(proxy.to_string(), *name, "{text}");
            let told = proxy.authorization().map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(told, user.map(basic), "{text}");
            let debug = format!("{proxy:?} {:?}", proxy.authorization());
            assert!(!debug.contains("love") && !debug.contains("Basic"), "{debug}");
        }
        for bad in [
            "http://",
            "http://ada:love@",
            "http://p:99999",
            "http://p:0",
            "http://[]:1",
            "ftp://p",
            "socks5h://ada:love@p:1",
        ] {
            let variables = [("ALL_PROXY", bad)];
            let refused = proxies(&variables).of(&Uri::from_static("https://a.example")).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains("ALL_PROXY") && !said.contains("love"), "{bad}: {said}");
            // Who is not asked for does not matter.
            assert_eq!(of(&variables, "https://127.0.0.1:8090"), None);
        }
    }

    #[test]
    fn no_proxy_names_hosts_suffixes_networks_and_ports() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            ("*", &["https://a.example", "https://198.51.100.7"], &[]),
            (
                "a.example, .b.example *.c.example",
                &[
                    "https://a.example",
                    "https://X.a.EXAMPLE",
                    "https://a.example.",
                    "https://b.example",
                    "https://x.c.example:1",
                ],
                &["https://nota.example", "https://a.example.org", "https://example"],
            ),
            (
                "10.0.0.0/8,198.51.100.7,2001:db8::/32",
                &[
                    "https://10.1.2.3",
                    "https://198.51.100.7:8443",
                    "https://[2001:db8::9]",
                    "https://[::ffff:10.0.0.1]",
                ],
                &[
                    "https://11.0.0.1",
                    "https://198.51.100.70",
                    "https://[2001:db9::9]",
                    "https://10.0.0.1.example",
                ],
            ),
            (
                "a.example:8443,10.0.0.1:443,[2001:db8::1]:81,[2001:db8::2]",
                &[
                    "https://a.example:8443",
                    "https://10.0.0.1",
                    "https://[2001:db8::1]:81",
                    "https://[2001:db8::2]",
                ],
                &["https://a.example", "https://10.0.0.1:444", "https://[2001:db8::1]"],
            ),
            (", ,.", &[], &["https://a.example"]),
            ("", &[], &["https://a.example"]),
        ];
        for (direct, without, with) in rows {
            let variables = [("HTTPS_PROXY", "p:1"), ("NO_PROXY", *direct)];
            for url in *without {
                assert_eq!(of(&variables, url), None, "{direct}: {url}");
            }
            for url in *with {
                assert!(of(&variables, url).is_some(), "{direct}: {url}");
            }
        }
        let both = [("HTTPS_PROXY", "p:1"), ("NO_PROXY", "*"), ("no_proxy", "b.example")];
        assert!(of(&both, "https://a.example").is_some());
    }

    #[test]
    fn this_machine_is_never_asked_for_by_a_proxy() {
        for host in
            ["localhost", "LocalHost:8090", "x.localhost", "127.0.0.1:8090", "127.9.9.9", "[::1]:8090"]
        {
            for scheme in ["http", "https"] {
                assert_eq!(of(&[("ALL_PROXY", "p:1")], &format!("{scheme}://{host}/x")), None, "{host}");
            }
        }
        assert!(of(&[("ALL_PROXY", "p:1")], "http://127.0.0.1.example").is_some());
    }

    #[test]
    fn what_is_forwarded_names_the_whole_url() {
        let proxies = proxies(&[("http_proxy", "https://ada:love@proxy.example:8443")]);
        let url = Uri::from_static("http://share.example:8090/api/share");
        let proxy = proxies.of(&url).unwrap().unwrap();
        let forwarding = proxy.forwarding(&url).unwrap();
        assert_eq!(forwarding.host(), Some("proxy.example"));
        let target = forwarding.path_and_query().map(PathAndQuery::as_str);
        assert_eq!(target, Some("http://share.example:8090/api/share"));
        assert!(proxies.is_one(&forwarding) && !proxies.is_one(&url));
    }
}
