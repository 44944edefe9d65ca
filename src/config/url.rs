//! URLs of servers: what of them can be shown, and whether secrets may go there.

use std::net::IpAddr;

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
    let origin = origin(url);
    let Some(host) = origin.strip_prefix("http://") else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    !is_this_machine(name)
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
