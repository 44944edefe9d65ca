//! A link to a share, as people hand it on.

use std::fmt;
use std::str::FromStr;

use awc::http::Uri;

use crate::config::base_url;
use crate::model::ShareId;
use crate::seal::LinkKey;

/// What opens a share: where it is, and the key when it is sealed. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// What `/api/share` is appended to.
    pub server: String,
    /// The share's id.
    pub id: ShareId,
    /// The key in its fragment.
    pub key: Option<LinkKey>,
}

/// The text is no link to a share. It does not say what stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotALink {
    /// Not a URL like `https://HOST/s/ID`.
    #[error(
        "this is no link to a share: https://HOST/s/ID is expected, whole, with what stands behind its #"
    )]
    Malformed,
    /// The key in it is not whole.
    #[error("the link is cut or changed: its key is not whole")]
    Key,
}

impl Link {
    /// Where its page is, without the key.
    pub fn page(&self) -> String {
        format!("{}/s/{}", self.server, self.id.as_str())
    }
}

impl FromStr for Link {
    type Err = NotALink;

    fn from_str(text: &str) -> Result<Self, NotALink> {
        let text = text.trim();
        let (page, fragment) = text.split_once('#').unwrap_or((text, ""));
        let key = fragment.split('&').find_map(|field| field.strip_prefix("k1="));
        let key = key.map(str::parse).transpose().map_err(|_| NotALink::Key)?;
        let page = page.split('?').next().unwrap_or_default();
        let (server, name) =
            ["/s/", "/share/"].iter().find_map(|place| page.rsplit_once(place)).ok_or(NotALink::Malformed)?;
        let name = name.split('/').next().unwrap_or_default();
        let id: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
        let id = id.parse().map_err(|_| NotALink::Malformed)?;
        let has_host = server.parse::<Uri>().is_ok_and(|url| url.host().is_some());
        let server = base_url(server).ok().filter(|_| has_host).ok_or(NotALink::Malformed)?;
        Ok(Self { server, id, key })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_however_it_was_handed_on() {
        let (id, key) = ("Qm7yT2LkP9xVbN4sR8cW1Z", "5fQ0sT8vXk2Lr9ZbWm3NcY");
        for (text, server, has_key) in [
            (format!("https://share.example/s/{id}"), "https://share.example", false),
            (format!("  http://127.0.0.1:8090/share/{id}/\n"), "http://127.0.0.1:8090", false),
            (
                format!("https://a.example/under/it/s/{id}.md?full=1#at=msg_1"),
                "https://a.example/under/it",
                false,
            ),
            (format!("https://share.example/s/{id}#k1={key}"), "https://share.example", true),
            (format!("https://share.example/s/{id}#at=msg_1&k1={key}"), "https://share.example", true),
            (format!("https://share.example/s/{id})"), "https://share.example", false),
        ] {
            let link: Link = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((link.server.as_str(), link.id.as_str()), (server, id), "{text}");
            assert_eq!(link.key.as_ref().map(LinkKey::expose), has_key.then_some(key), "{text}");
            assert_eq!(format!("{link:?}"), "Link(…)");
        }
        for text in
            ["", "x", &format!("/s/{id}"), &format!("ftp://a.example/s/{id}"), "https://a.example/s/short"]
        {
            assert_eq!(text.parse::<Link>(), Err(NotALink::Malformed), "{text}");
        }
        for cut in [&key[..21], "", &format!("{key}x")] {
            assert_eq!(format!("https://a.example/s/{id}#k1={cut}").parse::<Link>(), Err(NotALink::Key));
        }
    }
}
