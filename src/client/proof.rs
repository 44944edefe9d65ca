//! Servers that are known by their keys: each has to prove that it has its key, at the place where it is asked, on the
//! connection over which something is then sent to it. One that is not where it was is sought near by.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use awc::Client;
use awc::http::{Method, StatusCode};
use tokio::time::timeout;

use super::transport::{MAX_ANSWER, Transport};
use super::{Config, Pairing, StartError};
use crate::config::{exact_origin, origin};
use crate::discovery::{Browser, Fingerprint, Nearby, Nonce, Proof, browse};
use crate::text::plain;

/// How long a server may take to prove its key.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the network is listened to: a responder does not say the same twice within a second (RFC 6762, 6), so who
/// asks right after another hears it at the second asking.
const SEARCH: Duration = Duration::from_secs(2);

/// Between two searches: each share of a server that is gone tries again by itself.
const BETWEEN_SEARCHES: Duration = Duration::from_secs(5);

/// Most places at which a server is sought, of all that somebody may announce.
const PLACES: usize = 16;

/// Servers that a refusal names, and bytes of where one is.
const NAMED: usize = 10;
const LONGEST_ORIGIN: usize = 80;

/// What answers at a place has proved no key.
#[derive(Debug, thiserror::Error)]
pub enum Unproved {
    /// Nothing answers.
    #[error("{origin} cannot be reached: {reason}")]
    Unreachable {
        /// Where it was asked.
        origin: String,
        /// Why not.
        reason: String,
    },
    /// It answers something else.
    #[error("what answers at {origin} says of no key that it has it, as share servers do")]
    NoProof {
        /// Where it was asked.
        origin: String,
    },
    /// It claims a key.
    #[error("what answers at {origin} claims the key {claimed} and does not prove that it has it there")]
    Claimed {
        /// Where it was asked.
        origin: String,
        /// The fingerprint of what it claims.
        claimed: Fingerprint,
    },
}

/// Asks servers for their keys.
pub struct Prover(Transport);

impl Prover {
    /// One that reaches servers as a client with this configuration does.
    ///
    /// # Errors
    /// When certificates cannot be checked as it says.
    pub fn new(config: &Config) -> Result<Self, StartError> {
        Transport::new(config).map(Self)
    }

    /// The key that what answers at a URL proves to have there.
    ///
    /// # Errors
    /// When it proves none.
    pub async fn key_at(&self, url: &str) -> Result<Fingerprint, Unproved> {
        self.0.key_at(&self.0.of_one_connection(), url).await
    }
}

impl Transport {
    /// The key that what answers at a URL proves to have there. A nonce is sent, and nothing else.
    async fn key_at(&self, client: &Client, url: &str) -> Result<Fingerprint, Unproved> {
        let origin = origin(url);
        let unreachable = |reason: String| Unproved::Unreachable { origin: origin.clone(), reason };
        let place = exact_origin(url).ok_or_else(|| unreachable("its URL cannot be read".into()))?;
        let nonce = Nonce::random().map_err(|error| unreachable(error.to_string()))?;
        let question = format!("{}/api/server?nonce={}", url.trim_end_matches('/'), nonce.as_str());
        let asked = self.send_once(client, Method::GET, &question, None, Bytes::new(), MAX_ANSWER);
        let answer = timeout(PATIENCE, asked).await.map_err(|_| unreachable("it does not answer".into()))?;
        let answer = answer.map_err(|failed| unreachable(failed.reason))?;
        let proof =
            (answer.status == StatusCode::OK).then(|| serde_json::from_slice::<Proof>(&answer.body).ok());
        let proof = proof.flatten().ok_or_else(|| Unproved::NoProof { origin: origin.clone() })?;
        let proved = proof.check(&nonce, &place).cloned();
        proved.map_err(|not_proved| Unproved::Claimed { origin, claimed: not_proved.claimed })
    }

    /// A client with a connection to what has just proved to have the key there, and that place's URL.
    async fn connect(&self, url: &str, key: &Fingerprint) -> Result<Client, String> {
        let client = self.of_one_connection();
        match self.key_at(&client, url).await {
            Ok(proved) if proved == *key => Ok(client),
            Ok(other) => Err(foreign(&format!("answers at {}", origin(url)), &other, key)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A client with a connection to the server that has the key, which was at `known` when it was paired, and where it
    /// is.
    pub(super) async fn proved(&self, key: &Fingerprint, known: &str) -> Result<(Client, String), String> {
        let moved = self.moved.borrow().get(key).cloned().filter(|moved| moved != known);
        let places: Vec<_> = moved.into_iter().chain([known.to_owned()]).collect();
        let mut refused = String::new();
        for place in &places {
            match self.connect(place, key).await {
                Ok(client) => return Ok((client, place.clone())),
                Err(reason) => refused = reason,
            }
        }
        if self.sought.get().is_some_and(|at| at.elapsed() < BETWEEN_SEARCHES) {
            return Err(refused);
        }
        let found = self.seek(key, known, places).await;
        self.sought.set(Some(Instant::now()));
        let (client, url) = found.map_err(|namesake| match namesake {
            Some(namesake) => format!("{refused}; {namesake}"),
            None => refused,
        })?;
        tracing::info!(server = %origin(&url), fingerprint = %key, "the paired server is found at another place");
        self.moved.borrow_mut().insert(key.clone(), url.clone());
        Ok((client, url))
    }

    /// Seeks the server that has a key near by. What it finds in its place is said of a server that bears its name.
    async fn seek(
        &self,
        key: &Fingerprint,
        known: &str,
        tried: Vec<String>,
    ) -> Result<(Client, String), Option<String>> {
        let pairing = Pairing::read(&self.local_dir).ok().flatten();
        let name = pairing.filter(|pairing| pairing.fingerprint == *key).map(|pairing| pairing.name);
        let mut browser = Browser::start(SEARCH).map_err(|error| {
            tracing::warn!(%error, "the local network cannot be asked for the paired server");
            None
        })?;
        let (mut tried, mut namesake) = (HashSet::<_>::from_iter(tried), None);
        while let Some(nearby) = browser.next().await {
            if nearby.id != *key {
                if Some(&nearby.name) == name.as_ref() {
                    namesake =
                        Some(foreign(&format!("is announced as {}", plain(&nearby.name)), &nearby.id, key));
                }
                continue;
            }
            for url in nearby.urls {
                // Whoever said yes to TLS did not say yes to clear text.
                let is_as_safe = url.starts_with("https:") || known.starts_with("http:");
                if is_as_safe && tried.len() < PLACES && tried.insert(url.clone()) {
                    match self.connect(&url, key).await {
                        Ok(client) => return Ok((client, url)),
                        Err(reason) => tracing::warn!(%reason, "this is not the paired server"),
                    }
                }
            }
        }
        Err(namesake)
    }

    /// What can be done where there is no server.
    pub(super) async fn whom_to_pair(&self) -> String {
        let near = browse(SEARCH).await.unwrap_or_default();
        if near.is_empty() {
            return "No server is configured (--api-url) or paired, and none is announced on this network"
                .into();
        }
        let named = |Nearby { name, id, urls, .. }: &Nearby| {
            let name = if is_word(name) { name } else { "?" };
            let place = urls.iter().map(|url| origin(url)).find(|origin| origin.len() <= LONGEST_ORIGIN);
            format!("{name} ({}, {id})", place.unwrap_or_default())
        };
        let named: Vec<_> = near.iter().take(NAMED).map(named).collect();
        format!(
            "No server is configured (--api-url) or paired; nothing was sent to those that are announced on this \
             network: {}. `brutus-share servers` lists them, `brutus-share pair NAME` makes one of them yours",
            named.join(", ")
        )
    }
}

/// Whether a name is a host's, with a number where two had the same. A model may read it, and strangers make it up: it
/// shall be no sentence.
fn is_word(name: &str) -> bool {
    let (word, number) = name.split_once(" (").unwrap_or((name, "2)"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    word.bytes().all(is_plain) && number.strip_suffix(')').is_some_and(|number| number.parse::<u8>().is_ok())
}

/// That another server is where the paired one was looked for.
fn foreign(what: &str, other: &Fingerprint, key: &Fingerprint) -> String {
    format!(
        "what {what} has the key {other}, and the server that was paired has {key}: nothing was sent to it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_sentence_is_not_repeated() {
        for name in ["nas", "nas-2.office", "nas (2)"] {
            assert!(is_word(name), "{name}");
        }
        for name in ["run this now", "nas (and run this)", "nas (2) now", "n\u{e4}s", "a\u{1b}[2J"] {
            assert!(!is_word(name), "{name}");
        }
    }
}
