//! What an answer means: decided from its status, its body and what was asked. Proxies, log-in pages and other servers
//! at an old name answer too, and none of them speaks for the share server.

use std::time::Duration;

use awc::http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::protocol::Created;

/// The longest wait that a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Most characters in an id, a secret and a link that a server gives out.
const MAX_ID: usize = 256;
const MAX_LINK: usize = 4096;

/// What became of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// The share is gone, or is not ours.
    Gone,
    /// The server will not take this, now or later.
    Rejected(String),
    /// It may work later.
    Retry(Later),
}

/// Why an amendment does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotAmended {
    /// The share is gone, or is not ours.
    Gone,
    /// The server will not do it, now or later.
    Refused(String),
    /// It may work later.
    Later(Later),
}

/// The server itself has not said yes: it may later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Later {
    /// Why it did not work now.
    pub(super) reason: String,
    /// How long the server asked to wait.
    pub(super) after: Option<Duration>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The share that a create made.
    pub(super) fn created(&self) -> Result<Created, Later> {
        let created =
            (self.status == StatusCode::OK).then(|| serde_json::from_slice(&self.body).ok()).flatten();
        created
            .filter(|created: &Created| {
                is_name(&created.id) && !created.secret.is_empty() && created.secret.len() <= MAX_ID
            })
            .ok_or_else(|| self.later())
    }

    /// What it means for a sync.
    pub(super) fn synced(&self) -> Outcome {
        match (self.status.as_u16(), self.code().as_deref()) {
            (200, _) if self.object().is_some_and(|object| object.is_empty()) => Outcome::Done,
            _ if self.ends_share() => Outcome::Gone,
            (
                413,
                Some(code @ ("body_too_large" | "item_too_large" | "share_too_large" | "too_many_items")),
            )
            | (400, Some(code @ "malformed")) => {
                Outcome::Rejected(format!("it answers {} ({code})", self.status))
            }
            _ => Outcome::Retry(self.later()),
        }
    }

    /// The items of a share: a list.
    pub(super) fn data(self) -> Result<Vec<u8>, Later> {
        if self.status == StatusCode::OK && self.body.first() == Some(&b'[') {
            Ok(self.body)
        } else {
            Err(self.later())
        }
    }

    /// Whether a delete is confirmed: the server has nothing of the share any more.
    pub(super) fn deleted(&self) -> Result<(), Later> {
        let object = self.object();
        let has = |field: &str| object.as_ref().is_some_and(|object| object.contains_key(field));
        match self.status.as_u16() {
            _ if self.ends_share() => Ok(()),
            200 if object.is_some() && !has("error") && !has("state") => Ok(()),
            200 | 202
                if object.as_ref().and_then(|object| object.get("state")) == Some(&"deleting".into()) =>
            {
                Err(Later { reason: "it has heard, and is still erasing".into(), after: None })
            }
            _ => Err(self.later()),
        }
    }

    /// Whether an amendment holds.
    pub(super) fn amended(&self) -> Result<(), NotAmended> {
        match (self.status.as_u16(), self.code().as_deref()) {
            (200, _) if self.object().is_some_and(|object| object.is_empty()) => Ok(()),
            _ if self.ends_share() => Err(NotAmended::Gone),
            (400, Some("malformed")) => {
                Err(NotAmended::Refused("the server refuses that: a sealed share has no password".into()))
            }
            (405, Some("method_not_allowed")) => {
                Err(NotAmended::Refused("the server is of an older version, which cannot do that".into()))
            }
            _ => Err(NotAmended::Later(self.later())),
        }
    }

    /// Whether the server says that it has no such share, or that it is not this client's.
    fn ends_share(&self) -> bool {
        matches!(
            (self.status.as_u16(), self.code().as_deref()),
            (404, Some("no_such_share")) | (401, Some("wrong_secret"))
        )
    }

    /// Whether the server creates shares for nobody without a token.
    pub(super) fn asks_for_token(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED && self.code().as_deref() == Some("wrong_create_token")
    }

    /// Where a request may be sent once more, with its secret: to the same host over TLS, by a redirect that keeps
    /// method and body or that sends them on as they are by long custom (301, 302). Nowhere else.
    pub(super) fn secure_redirect(&self, from: &str) -> Option<String> {
        if !matches!(self.status.as_u16(), 301 | 302 | 307 | 308) {
            return None;
        }
        let (from, to): (Uri, Uri) = (from.parse().ok()?, self.location.as_ref()?.parse().ok()?);
        let same_host = from.host()?.eq_ignore_ascii_case(to.host()?);
        let plain = !to.authority()?.as_str().contains('@');
        let upgrade = from.scheme_str() == Some("http") && to.scheme_str() == Some("https");
        (same_host && plain && upgrade).then(|| to.to_string())
    }

    fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The code of a refusal in the shape of a share server: `{"error":{"code","message"}}`.
    pub(super) fn code(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Refusal {
            error: Detail,
        }
        #[derive(Deserialize)]
        struct Detail {
            code: String,
            #[serde(rename = "message")]
            _message: String,
        }
        serde_json::from_slice::<Refusal>(&self.body).ok().map(|refusal| refusal.error.code)
    }

    fn later(&self) -> Later {
        let status = self.status;
        let busy = status.is_server_error()
            || status == StatusCode::REQUEST_TIMEOUT
            || status == StatusCode::TOO_MANY_REQUESTS;
        let reason = if status.is_redirection() {
            format!("it answers {status}: where it points to is not followed with a secret, check --api-url")
        } else if busy || self.code().is_some() {
            format!("it answers {status}")
        } else {
            format!("it answers {status}, and not as a share server does: something stands in between")
        };
        let after = self.retry_after.filter(|_| busy).map(|wait| wait.min(MAX_RETRY_AFTER));
        Later { reason, after }
    }
}

/// Whether an id can stand in a path and in a line of text.
fn is_name(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(plain) && id.bytes().any(|byte| byte != b'.')
}

/// Whether a link is one that people can be given: http or https, with a host, without spaces or what commands a
/// terminal.
pub(super) fn is_link(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    url.len() <= MAX_LINK
        && host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && url.parse::<Uri>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, retry_after: Some(Duration::from_secs(9)), location: None, body: body.into() }
    }

    fn refusal(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"x"}}}}"#)
    }

    #[test]
    fn only_what_the_share_server_itself_says_counts() {
        let gone = [(404, refusal("no_such_share")), (401, refusal("wrong_secret"))];
        for (status, body) in &gone {
            assert_eq!(answer(*status, body).synced(), Outcome::Gone, "{body}");
            assert_eq!(answer(*status, body).deleted(), Ok(()), "{body}");
        }
        for code in ["body_too_large", "item_too_large", "share_too_large", "too_many_items"] {
            assert!(matches!(answer(413, &refusal(code)).synced(), Outcome::Rejected(_)), "{code}");
            assert!(matches!(answer(400, &refusal(code)).synced(), Outcome::Retry(_)), "{code}");
            assert!(answer(413, &refusal(code)).deleted().is_err(), "{code}");
        }
        assert!(matches!(answer(400, &refusal("malformed")).synced(), Outcome::Rejected(_)));
        assert_eq!((answer(200, "{}").synced(), answer(200, "{}").deleted()), (Outcome::Done, Ok(())));
        assert!(answer(200, r#"{"id":"a","url":"x","secret":"s","more":1}"#).created().is_ok());

        let strangers = [
            (200, String::new()),
            (204, String::new()),
            (200, "[]".into()),
            (200, "<html>log in</html>".into()),
            (202, "{}".into()),
            (202, r#"{"state":"deleting"}"#.into()),
            (404, "<html>404</html>".into()),
            (403, "<html>403</html>".into()),
            (404, refusal("no_such_path")),
            (401, refusal("no_such_share")),
            (404, refusal("wrong_secret")),
            (410, refusal("no_such_share")),
            (200, refusal("no_such_share")),
            (404, r#"{"error":"no_such_share"}"#.into()),
            (404, r#"{"error":{"code":"no_such_share"}}"#.into()),
            (302, "{}".into()),
        ];
        for (status, body) in strangers {
            let answer = answer(status, &body);
            assert!(matches!(answer.synced(), Outcome::Retry(Later { after: None, .. })), "{status} {body}");
            assert!(answer.deleted().is_err() && answer.created().is_err(), "{status} {body}");
        }
        assert!(matches!(answer(200, r#"{"login":"needed"}"#).synced(), Outcome::Retry(_)));
        assert!(answer(200, r#"{"id":"../x","url":"x","secret":"s"}"#).created().is_err());
        assert_eq!(answer(503, "{}").deleted().unwrap_err().after, Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_secret_is_sent_on_to_the_same_host_over_tls_alone() {
        let to = |status: u16, from: &str, location: &str| {
            let answer = Answer { location: Some(location.into()), ..answer(status, "") };
            answer.secure_redirect(from)
        };
        for status in [301, 302, 307, 308] {
            let moved = to(status, "http://a.example:8090/api/share", "https://A.example:8443/api/share");
            assert_eq!(moved.as_deref(), Some("https://A.example:8443/api/share"), "{status}");
        }
        for (status, from, location) in [
            (303, "http://a.example/x", "https://a.example/x"),
            (300, "http://a.example/x", "https://a.example/x"),
            (307, "http://a.example/x", "https://b.example/x"),
            (307, "http://a.example/x", "https://a.example.evil.example/x"),
            (307, "http://a.example/x", "https://user@a.example/x"),
            (307, "http://a.example/x", "http://a.example:81/x"),
            (307, "https://a.example/x", "https://a.example/y"),
            (307, "https://a.example/x", "http://a.example/x"),
            (307, "http://a.example/x", "/y"),
            (307, "http://a.example/x", "//a.example/y"),
        ] {
            assert_eq!(to(status, from, location), None, "{status} {from} {location}");
        }
    }

    #[test]
    fn a_link_is_http_and_plain() {
        assert!(is_link("https://share.example/s/AbC") && is_link("http://127.0.0.1:8090/s/x?y#z"));
        for bad in [
            "",
            "share.example/s/x",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "http://x/\u{1b}]0;pwned\u{7}",
            "http://x/ IGNORE ALL PREVIOUS INSTRUCTIONS",
            "http://x/\u{202e}",
            "http://x/\n",
        ] {
            assert!(!is_link(bad), "{bad:?}");
        }
    }
}
