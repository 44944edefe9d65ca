//! What web pages of other origins may do. A browser says in `Origin` whose page it is that asks; what is no browser
//! says nothing, and is not held to this.
//!
//! Writing is for those that this server gave out itself. What a link opens may be read by all (CORS, the Fetch
//! standard): whoever has the link can read it anyway. No answer lets credentials along.

use std::net::IpAddr;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::{HttpMessage, HttpResponse};

use super::ServiceData;
use super::gate::PastALock;
use crate::config::is_in_clear;
use crate::error::Error;

/// What all may read.
const FOR_ALL: &[&str] = &[
    "/api/share/{id}",
    "/api/share/{id}/data",
    "/api/share/{id}/items",
    "/s/{id}",
    "/share/{id}",
    "/oembed",
];

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

/// Whether a path is one of those that all may read.
fn is_for_all(pattern: Option<String>) -> bool {
    let of_share = |pattern: &str| FOR_ALL.iter().any(|route| pattern.ends_with(route));
    pattern.is_some_and(|pattern| of_share(&pattern))
}

/// Whether a browser asks if a page may read what it could not ask for without leave.
pub(super) fn is_preflight(request: &ServiceRequest) -> bool {
    let reads = || {
        let method = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
        method.is_some_and(|method| [b"GET".as_slice(), b"HEAD"].contains(&method.as_bytes()))
    };
    request.method() == Method::OPTIONS && reads() && is_for_all(request.match_pattern())
}

/// The answer to that: it may, for a day, also what it has read before.
pub(super) fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "accept, if-none-match"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

/// Whether an answer is a page that is to open in a group of its own (`Cross-Origin-Opener-Policy`). Browsers take that
/// from origins alone that nobody can pretend to be, and complain of it elsewhere.
pub(super) fn opens_alone<B>(response: &ServiceResponse<B>) -> bool {
    let request = response.request();
    let over_tls = |service: &ServiceData| service.public_url.starts_with("https:");
    is_page(response)
        && (request.app_data::<ServiceData>().is_some_and(over_tls)
            || !is_in_clear(&format!("http://{}", request.connection_info().host())))
}

fn is_page<B>(response: &ServiceResponse<B>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Says on an answer that a page of any origin may read it, when it may: not what stands behind a lock. The viewer's
/// page itself is for people.
pub(super) fn let_read<B>(response: &mut ServiceResponse<B>) {
    let request = response.request();
    let asks = request.method().is_safe() || request.method() == Method::OPTIONS;
    let past_a_lock = request.extensions().contains::<PastALock>();
    if !asks || past_a_lock || is_page(response) || !is_for_all(request.match_pattern()) {
        return;
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("etag, location, retry-after"),
    );
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
