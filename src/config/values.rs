//! Values of options: how they are written, and what is refused.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;

/// A time, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub Option<Duration>);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        duration(text).map(|time| Self(Some(time))).map_err(|error| format!("{error}, or `never`"))
    }
}

/// Addresses and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

impl FromStr for Proxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse().or_else(|_| address()).map_err(|_| {
                "expected addresses or networks with commas between them, like 127.0.0.1,10.0.0.0/8"
                    .to_owned()
            })
        };
        text.split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Whose web pages may show a session in a frame: a source list of CSP's `frame-ancestors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAncestors(String);

impl FromStr for FrameAncestors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let source = |source: &str| match source.trim_matches('\'') {
            "none" | "self" => Ok(format!("'{}'", source.trim_matches('\''))),
            _ if is_origin_source(source) => Ok(source.to_owned()),
            _ => Err(format!(
                "`{}` is no origin: expected `none`, `self`, or origins like https://wiki.example or \
                 https://*.example:8443",
                source.escape_debug()
            )),
        };
        let sources: Vec<_> =
            text.split([',', ' ']).filter(|part| !part.is_empty()).map(source).collect::<Result<_, _>>()?;
        match &sources[..] {
            [] => Ok(Self("'none'".into())),
            [_, _, ..] if sources.iter().any(|source| source == "'none'") => {
                Err("`none` stands alone".into())
            }
            sources => Ok(Self(sources.join(" "))),
        }
    }
}

impl Default for FrameAncestors {
    /// Nobody.
    fn default() -> Self {
        Self("'none'".into())
    }
}

impl FrameAncestors {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        self.0 == "'none'"
    }
}

impl fmt::Display for FrameAncestors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is `http(s)://HOST[:PORT]`, where the host may begin with `*.`.
fn is_origin_source(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().is_ok() || port == "*"),
        _ => (authority, true),
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte);
    port && !name.is_empty() && name.bytes().all(known)
}

/// A rate: `10/s`, `60/m`, `500/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub per: Duration,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected N/s, N/m or N/h with N of at least 1";
        let (count, unit) = text.split_once('/').ok_or(expected)?;
        let per = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(expected),
        };
        let count = count.trim().parse().map_err(|_| expected)?;
        Ok(Self { count, per: Duration::from_secs(per) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// Reads a size, in bytes.
pub fn size(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        _ => Err("expected a size above zero, like 64MiB or 500KB".into()),
    }
}

/// The longest time that can be asked for: several of them can be added to a point in time.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads a time.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() && time <= LONGEST => Ok(time),
        _ => Err("expected a time above zero and of at most 100 years, like 500ms, 30s or 5m".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!("3/m".parse::<Rate>().unwrap().per, Duration::from_secs(60));
        assert_eq!("7/h".parse::<Rate>().unwrap().to_string(), "7/h");
        for bad in ["", "3", "0/s", "-1/s", "3/d", "x/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert!(size("0").is_err() && size("much").is_err());
        assert_eq!("never".parse(), Ok(Lifetime(None)));
        assert!(duration("99years").is_ok() && duration("500years").is_err());
        assert!("0s".parse::<Lifetime>().is_err() && "soon".parse::<Lifetime>().is_err());
        let proxies: Proxies = "127.0.0.1, 2001:db8::/32".parse().unwrap();
        let contains = |text: &str| proxies.contains(text.parse().unwrap());
        assert!(contains("127.0.0.1") && contains("::ffff:127.0.0.1") && contains("2001:db8::1"));
        assert!(!contains("127.0.0.2") && "10.0.0.0/99".parse::<Proxies>().is_err());
    }
}
