//! Who asks: the client's address, behind proxies too, and the token by which it may create shares.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName};

use super::Service;
use crate::access::Client;
use crate::clock::now_ms;
use crate::config::Proxies;
use crate::error::Error;
use crate::model::SecretHash;
use crate::store::CreateToken;

/// Lets a client create a share, or says why not. Gives the number of the token by which it is created.
pub(super) async fn admit(service: &Service, request: &HttpRequest) -> Result<Option<i64>, Error> {
    let limits = service.limits.get();
    let token = match presented(request) {
        Some(text) => service.store.token(SecretHash::of(text)).await?.filter(holds),
        None => None,
    };
    let Some(token) = token else {
        if limits.create_tokens {
            return Err(Error::WrongCreateToken);
        }
        if let Some(address) = address(request, &limits.trusted_proxies) {
            service.creates.check(limits.create_limit, Client::at(address))?;
        }
        return Ok(None);
    };
    // A rate was checked when its token was made.
    let rate = token.create_limit.as_deref().and_then(|rate| rate.parse().ok());
    service.creates.check(rate.unwrap_or(limits.create_limit), Client::Token(token.num))?;
    Ok(Some(token.num))
}

fn holds(token: &CreateToken) -> bool {
    token.revoked_at.is_none() && token.expires_at.is_none_or(|end| end > now_ms())
}

/// The token in a request's path, or else in its header.
fn presented(request: &HttpRequest) -> Option<&str> {
    let header = || {
        let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    request.match_info().get("token").or_else(header)
}

/// The address of the client that a request comes from; none where that is not known.
pub(super) fn address(request: &HttpRequest, proxies: &Proxies) -> Option<IpAddr> {
    behind(request.peer_addr().map(|peer| peer.ip()), request.headers(), proxies)
}

/// The address that is nearest to the client, of those that a trusted proxy names; whoever comes over a Unix socket,
/// and so has no address, is one. When the two headers in use say different things, one of them is the client's own,
/// and neither is believed.
fn behind(peer: Option<IpAddr>, headers: &HeaderMap, proxies: &Proxies) -> Option<IpAddr> {
    if peer.is_some_and(|peer| !proxies.contains(peer)) {
        return peer;
    }
    let forwarded_for = hops(headers, &HeaderName::from_static("x-forwarded-for"), |hop| Some(hop));
    let forwarded = hops(headers, &header::FORWARDED, |hop| {
        let mut pairs = hop.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value)
    });
    let nearest = |hops: Vec<Option<IpAddr>>| {
        // From the nearest on: what stands before the first stranger is the stranger's to make up.
        let mut nearest = peer;
        for hop in hops.into_iter().rev() {
            let Some(hop) = hop else { break };
            nearest = Some(hop);
            if !proxies.contains(hop) {
                break;
            }
        }
        nearest
    };
    let (one, other) = (forwarded_for.map(nearest), forwarded.map(nearest));
    match (one, other) {
        (Some(one), Some(other)) if one != other => peer,
        (one, other) => one.or(other).unwrap_or(peer),
    }
}

/// The hops that a header lists, farthest first; one that is no address is `None`.
fn hops(
    headers: &HeaderMap,
    name: &HeaderName,
    address: impl Fn(&str) -> Option<&str>,
) -> Option<Vec<Option<IpAddr>>> {
    let lines: Vec<_> = headers.get_all(name).filter_map(|line| line.to_str().ok()).collect();
    let hops = lines.iter().flat_map(|line| line.split(','));
    (!lines.is_empty()).then(|| hops.map(|hop| parse(address(hop)?)).collect())
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `"[2001:db8::1]"`, `"[2001:db8::1]:80"`.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let address = behind(peer.parse().ok(), &headers, &"127.0.0.1,10.0.0.0/8".parse().unwrap());
        address.map_or_else(|| "nobody".to_owned(), |address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_up_to_the_first_stranger() {
        let forwarded_for = |peer, value| client(peer, &[("x-forwarded-for", value)]);
        assert_eq!(forwarded_for("192.0.2.9", "198.51.100.1"), "192.0.2.9");
        assert_eq!(forwarded_for("127.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(forwarded_for("127.0.0.1", "1.1.1.1, 198.51.100.1, 10.1.1.1"), "198.51.100.1");
        assert_eq!(forwarded_for("127.0.0.1", "1.1.1.1, nonsense, 10.1.1.1"), "10.1.1.1");
        assert_eq!(forwarded_for("127.0.0.1", "2001:db8::1"), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(forwarded_for("unix", "198.51.100.1"), "198.51.100.1");
        assert_eq!(client("unix", &[]), "nobody");
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(client("127.0.0.1", &lines), "198.51.100.1");
    }

    #[test]
    fn the_standard_header_is_read_and_two_that_differ_are_not_believed() {
        let forwarded = r#"for=1.1.1.1, proto=https;For="[2001:db8::1]:4711";by=10.0.0.1"#;
        assert_eq!(client("127.0.0.1", &[("forwarded", forwarded)]), "2001:db8::1");
        let both = [("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(client("127.0.0.1", &both), "127.0.0.1");
        let same = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(client("127.0.0.1", &same), "198.51.100.1");
    }
}
