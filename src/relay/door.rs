//! Who may come in: local programs that can read the token. A web page cannot, whatever name it found for this machine.

use std::path::Path;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web;
use subtle::ConstantTimeEq;

use crate::client::{SecretsError, check_private, write_private};
use crate::error::Error;
use crate::model::Secret;

/// The token's file in the local directory.
pub const TOKEN_FILE: &str = "token";

/// What a local program shows to be let in.
pub struct Token(String);

impl Token {
    /// The token of a directory; a new one where there is none.
    ///
    /// # Errors
    /// When the file cannot be used, or others can read it.
    pub fn open(dir: &Path) -> Result<Self, SecretsError> {
        if !dir.join(TOKEN_FILE).exists() {
            write_private(dir, TOKEN_FILE, Secret::random().expose().as_bytes())?;
        }
        Self::read(dir)
    }

    /// The token of a directory in which a relay has been.
    ///
    /// # Errors
    /// When the file cannot be used, or others can read it.
    pub fn read(dir: &Path) -> Result<Self, SecretsError> {
        let path = dir.join(TOKEN_FILE);
        check_private(&path, 0o600)?;
        let token = std::fs::read_to_string(&path);
        let token = token.map_err(|source| SecretsError::Io { path: path.clone(), source })?;
        match token.trim() {
            "" => Err(SecretsError::Empty { path }),
            token => Ok(Self(token.to_owned())),
        }
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn matches(&self, claimed: &str) -> bool {
        bool::from(self.0.as_bytes().ct_eq(claimed.as_bytes()))
    }
}

/// Refuses web pages and other names first, whatever else they carry; then asks for the token.
pub(super) async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if request.headers().contains_key(header::ORIGIN) {
        return Err(Error::Forbidden("web pages are not let in (Origin)").into());
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_loopback) {
        return Err(Error::Forbidden(
            "this is not the name of the local machine (Host): use 127.0.0.1 or localhost",
        )
        .into());
    }
    if request.path() != "/healthz" {
        let claimed = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let claimed =
            claimed.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
        let token = request.app_data::<web::Data<Token>>();
        if !claimed.zip(token).is_some_and(|(claimed, token)| token.matches(claimed.trim())) {
            return Err(Error::WrongToken.into());
        }
    }
    next.call(request).await
}

/// Whether a `Host` names this machine by a name that no web server can have.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8091", "[::1]", "[::1]:8091", "127.8.8.8:1"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]:1",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
