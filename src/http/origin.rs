//! Which web pages may write: those that this server gave out itself. A browser says in `Origin` whose page it is that
//! asks; what is no browser says nothing, and is not held to this.

use std::net::IpAddr;

use actix_web::dev::ServiceRequest;
use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderName};

use super::ServiceData;
use crate::error::Error;

/// Refuses a request that may change something and comes from a page of somebody else.
pub(super) fn check(request: &ServiceRequest) -> Result<(), Error> {
    let text = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let public_url = request.app_data::<ServiceData>().map_or("", |service| &service.public_url);
    if request.method().is_safe() || is_own(origin, text(header::HOST).unwrap_or_default(), public_url) {
        return Ok(());
    }
    Err(Error::Forbidden("writing is refused to web pages of other origins"))
}

/// Whether an origin is this server's: that of its links, or the address at which it is asked. A name says nothing in
/// the latter case: whoever owns a name can have it lead here.
fn is_own(origin: &str, host: &str, public_url: &str) -> bool {
    let Some(origin) = Origin::of(origin) else { return false };
    let asked = Origin::of(&format!("{}://{host}", origin.scheme));
    Origin::of(public_url).as_ref() == Some(&origin)
        || (asked.as_ref() == Some(&origin) && origin.is_address())
}

/// Scheme, host and port of a URL.
#[derive(PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn of(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let scheme = url.scheme_str()?.to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some(Self { host: url.host()?.to_ascii_lowercase(), scheme, port })
    }

    fn is_address(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_own_origin_and_the_address_that_is_asked_may_write() {
        let links = "https://share.example/path";
        for (origin, host) in [
            ("https://share.example", "127.0.0.1:8090"),
            ("https://share.example:443", "share.example"),
            ("https://Share.Example", ""),
            ("http://127.0.0.1:8090", "127.0.0.1:8090"),
            ("http://[::1]:8090", "[::1]:8090"),
            ("http://[::1]", "[::1]"),
            ("http://LOCALHOST:8090", "localhost:8090"),
            ("http://192.0.2.1", "192.0.2.1:80"),
        ] {
            assert!(is_own(origin, host, links), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "127.0.0.1:8090"),
            ("", ""),
            ("http://share.example", "share.example"),
            ("https://evil.example", "share.example"),
            ("https://share.example.evil", "share.example"),
            // A name that was made to lead here.
            ("http://evil.example:8090", "evil.example:8090"),
            ("http://localhost:9999", "localhost:8090"),
            ("http://127.0.0.1:9999", "127.0.0.1:8090"),
        ] {
            assert!(!is_own(origin, host, links), "{origin} {host}");
        }
    }
}
