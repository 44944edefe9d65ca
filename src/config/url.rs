//! URLs of servers: what of them can be shown, and whether secrets may go there.

use std::net::{IpAddr, SocketAddr};

/// Where a server of this machine listens that nobody told to listen elsewhere.
pub const OWN_SERVER: &str = "http://127.0.0.1:8090";

/// An `http` or `https` URL without a slash at its end.
///
/// # Errors
/// When the text is none.
pub fn base_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !url.contains(['?', '#', ' ', '"']) => Ok(url.to_owned()),
        _ => Err("expected an http:// or https:// URL".into()),
    }
}

/// A URL at which secrets would go over the network in clear.
#[derive(Debug, thiserror::Error)]
#[error(
    "{option} is http:// to another machine, and secrets and sessions would go over the network in clear: use \
     https://, or accept that with --insecure-http"
)]
pub struct InsecureHttp {
    option: &'static str,
}

/// Whether what is sent to a URL goes over the network in clear, where that is accepted.
///
/// # Errors
/// When it does and that is not accepted.
pub fn check_http(option: &'static str, url: &str, accepted: bool) -> Result<bool, InsecureHttp> {
    let in_clear = is_in_clear(url);
    if in_clear && !accepted { Err(InsecureHttp { option }) } else { Ok(in_clear) }
}

/// Whether a URL is `http` to a host that is not this machine.
pub fn is_in_clear(url: &str) -> bool {
    url.starts_with("http://") && !leads_here(url)
}

/// Whether the host of a URL is this machine.
pub fn leads_here(url: &str) -> bool {
    let origin = origin(url);
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    is_this_machine(name)
}

/// Whether a host is this machine: `localhost` and what ends with it, and loopback addresses.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_local || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The path of a URL, without a slash at its end.
pub fn path_of(url: &str) -> &str {
    let authority_and_path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = authority_and_path.find('/').map_or("", |at| &authority_and_path[at..]);
    path.trim_end_matches('/')
}

/// Scheme, host and port of a URL: its path can hold a token, and what stands before the host a password.
pub fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}")
}

/// The origin of a URL, always with its port, in the one form in which all write it that mean the same: `None` where
/// the URL has none.
pub fn exact_origin(url: &str) -> Option<String> {
    let origin = origin(url).to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match (address, host.trim_end_matches('.')) {
        (Ok(address), _) => Some(format!("{scheme}://{}", SocketAddr::new(address.to_canonical(), port))),
        (Err(_), "") => None,
        (Err(_), name) => Some(format!("{scheme}://{name}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused() {
        assert_eq!(base_url("https://share.example/").as_deref(), Ok("https://share.example"));
        assert!(base_url("share.example").is_err() && base_url("http://").is_err());
        assert_eq!(origin("https://user:pw@share.example:1/t/token?x"), "https://share.example:1");
        let paths = ["https://a.example", "https://a.example/", "https://a.example/b/c/"];
        assert_eq!(paths.map(path_of), ["", "", "/b/c"]);
    }

    #[test]
    fn an_origin_has_one_exact_form() {
        for (url, origin) in [
            ("HTTPS://Share.Example./path", Some("https://share.example:443")),
            ("http://192.0.2.7", Some("http://192.0.2.7:80")),
            ("http://[2001:DB8:0::1]:8090/", Some("http://[2001:db8::1]:8090")),
            ("http://[2001:db8::1]", Some("http://[2001:db8::1]:80")),
            ("http://[::ffff:192.0.2.7]:1", Some("http://192.0.2.7:1")),
            ("http://user@share.example:1", Some("http://share.example:1")),
            ("http://share.example:x", None),
            ("ftp://share.example", None),
            ("http://", None),
        ] {
            assert_eq!(exact_origin(url).as_deref(), origin, "{url}");
        }
    }

    #[test]
    fn what_goes_to_another_machine_in_the_clear_is_known() {
        for (url, in_clear) in [
            ("http://198.51.100.7", true),
            ("http://share.example:8090/x", true),
            ("http://127.0.0.1.evil.example", true),
            ("http://127.0.0.1@evil.example/", true),
            ("http://0.0.0.0:8090", true),
            ("http://127.0.0.1:8090", false),
            ("http://[::1]:8090/base", false),
            ("http://LocalHost", false),
            ("https://share.example", false),
        ] {
            assert_eq!(check_http("api_url", url, true).unwrap(), in_clear, "{url}");
            assert_eq!(check_http("api_url", url, false).is_err(), in_clear, "{url}");
        }
    }
}
