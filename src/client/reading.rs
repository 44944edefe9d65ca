//! Shares read from their servers, page by page: by whoever has a link, and by the relay to look at its own again.

use std::collections::HashMap;
use std::sync::Arc;

use awc::http::{Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Answer, Later, Outcome};
use super::link::Link;
use super::transport::{MAX_SHARE, Place, Transport};
use super::{Config, StartError};
use crate::config::is_in_clear;
use crate::model::{Change, Content, Key, reading_order};
use crate::seal::{Keys, Mismatch, Opening, Phrase, Seal, SealError, Sealed};

/// The items of a share, as they come.
#[derive(Debug)]
pub(super) enum Held {
    /// Those of a share that is not sealed, with their places.
    Plain(HashMap<Key, (Content, u64)>),
    /// Those of a sealed one, and what is wrong with one that does not open.
    Sealed(Opening, Option<SealError>),
}

/// Where a share is read, and what lets one read it.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) server: Place,
    pub(super) id: String,
    pub(super) authorization: Option<header::HeaderValue>,
}

/// What is known of a share before it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct About {
    /// Whether it is read with a password.
    #[serde(default)]
    pub protected: bool,
    /// How it is sealed, when it is.
    pub sealed: Option<AboutSealed>,
}

/// How a share is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AboutSealed {
    /// What tells whether one has its key.
    pub check: String,
    /// Whether it has a phrase beside the key in its link.
    #[serde(default)]
    pub locked: bool,
}

/// What one has beside a link.
#[derive(Clone, Copy)]
pub enum Pass<'a> {
    /// Nothing.
    None,
    /// A password.
    Password(&'a str),
    /// The phrase of a sealed share.
    Phrase(&'a str),
}

/// Why a share cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The server cannot be reached, or does not answer as a share server does.
    #[error("the share server cannot be reached: {0}")]
    Unreachable(String),
    /// There is no such share.
    #[error("there is no such share: it has ended, or the link is changed")]
    NoSuchShare,
    /// It is read with a password.
    #[error("the share is read with a password")]
    PasswordNeeded,
    /// The password is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// Too many passwords were tried.
    #[error("too many passwords were tried: wait a minute")]
    TooManyTries,
    /// It is sealed, and its key is not in the link.
    #[error("the share is encrypted, and the link has no key: it is cut short behind the #")]
    NoKey,
    /// The link has a key, and the server says that the share is not sealed.
    #[error(
        "the link has a key, and the server shows a share that is not encrypted: nothing of it is believed, for it may \
         be another's"
    )]
    NotSealed,
    /// It has a phrase.
    #[error("the share is encrypted with a phrase beside the link")]
    PhraseNeeded,
    /// The phrase is wrong.
    #[error("the phrase is wrong, or the link is cut or changed")]
    WrongPhrase,
    /// The key does not fit.
    #[error("the link is cut or changed: its key does not fit this share")]
    WrongKey,
    /// An item is not what was sent.
    #[error("the server shows what was not sent: {0}")]
    Tampered(#[from] SealError),
    /// Not all is there.
    #[error("The server shows less than was sent, or something older.")]
    Mismatch(Mismatch),
    /// There is nothing, which nobody can tell from all that is withheld.
    #[error("nothing was sent to the share yet, or its server withholds all of it")]
    Nothing,
    /// What is secret would go over the network in clear.
    #[error(
        "the link is http:// to another machine, and what opens the share would go over the network in clear"
    )]
    InClear,
}

impl ReadError {
    /// What it means for a batch that waits for it.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::NoSuchShare => Outcome::Gone,
            error => Outcome::Retry(Later { reason: error.to_string(), after: None }),
        }
    }
}

/// A page of a share's items.
#[derive(Deserialize)]
struct Page<'a> {
    epoch: String,
    seq: u64,
    #[serde(borrow)]
    items: Vec<Item<'a>>,
    removed: Vec<String>,
    more: bool,
}

#[derive(Deserialize)]
struct Item<'a> {
    key: String,
    #[serde(default)]
    n: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The type of a sealed item.
const SEALED: &str = "sealed";

impl Held {
    fn put(&mut self, Item { key, n, kind, data }: Item) -> Result<(), ReadError> {
        match self {
            Self::Plain(_) if kind == SEALED => Err(ReadError::NoKey),
            Self::Plain(items) => {
                items.insert(Key::from(key), (Content::from(data.to_owned()), n));
                Ok(())
            }
            Self::Sealed(..) if kind != SEALED => Err(ReadError::NotSealed),
            Self::Sealed(opening, bad) => {
                let sealed: Result<Sealed, _> = serde_json::from_str(data.get());
                let put = sealed.map_err(|_| SealError::Tampered).and_then(|sealed| opening.put(&sealed, n));
                *bad = bad.or(put.err());
                Ok(())
            }
        }
    }

    fn remove(&mut self, key: &str) {
        match self {
            Self::Plain(items) => _ = items.remove(key),
            Self::Sealed(opening, _) => opening.remove(key.strip_prefix("sealed/").unwrap_or(key)),
        }
    }

    /// The items, in reading order.
    pub(super) fn read(&self) -> Vec<(Key, Content)> {
        let opened: HashMap<Key, (Content, u64)>;
        let items = match self {
            Self::Plain(items) => items,
            Self::Sealed(opening, _) => {
                let items = opening.items().into_iter().filter_map(|(kind, data, place)| {
                    let (key, content) = match Change::from_item(kind, &data, "item").ok()? {
                        Change::Put(key, content) => (key, content),
                        Change::MergeModels(models) => (Key::from(Key::MODEL), models),
                        Change::Remove(_) => return None,
                    };
                    Some((key, (content, place)))
                });
                opened = items.collect();
                &opened
            }
        };
        let arrived = items.iter().map(|(key, (content, place))| (key, content, *place));
        reading_order(arrived).into_iter().map(|(key, content)| (key.clone(), content.clone())).collect()
    }
}

impl Transport {
    /// All items of a share: from its beginning, as far as it goes.
    pub(super) async fn read(&self, reading: &Reading, held: &mut Held) -> Result<(), ReadError> {
        self.read_on(reading, held, &mut None).await
    }

    /// What of a share is newer than a position.
    async fn read_on(
        &self,
        reading: &Reading,
        held: &mut Held,
        position: &mut Option<(String, u64)>,
    ) -> Result<(), ReadError> {
        loop {
            let query = match &position {
                Some((epoch, seq)) => format!("?order=1&after={seq}&epoch={epoch}"),
                None => "?order=1".to_owned(),
            };
            let answer = self.look(reading, &format!("/items{query}"), MAX_SHARE).await?;
            let page: Page = serde_json::from_slice(&answer.body)
                .map_err(|_| ReadError::Unreachable("it gives items in a form that cannot be read".into()))?;
            if page.epoch.len() > 64 || !page.epoch.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(ReadError::Unreachable("it gives an epoch that is none".into()));
            }
            page.removed.iter().for_each(|key| held.remove(key));
            page.items.into_iter().try_for_each(|item| held.put(item))?;
            let goes_on = page.more && position.as_ref().is_none_or(|(_, seq)| page.seq > *seq);
            *position = Some((page.epoch, page.seq));
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// One request to read something of a share.
    async fn look(&self, reading: &Reading, rest: &str, max: usize) -> Result<Answer, ReadError> {
        let Reading { server, id, authorization } = reading;
        let path = format!("/api/share/{id}{rest}");
        let asked = self.ask_as(Method::GET, server, &path, authorization.as_ref(), &(), max).await;
        let answer = asked.map_err(ReadError::Unreachable)?;
        Err(match (answer.status.as_u16(), answer.code().as_deref()) {
            (200, _) => return Ok(answer),
            (404, Some("no_such_share")) => ReadError::NoSuchShare,
            (401, Some("password_needed")) => ReadError::PasswordNeeded,
            (401, Some("wrong_password")) => ReadError::WrongPassword,
            (429, _) => ReadError::TooManyTries,
            (status, _) => ReadError::Unreachable(
                StatusCode::from_u16(status)
                    .map_or_else(|_| status.to_string(), |status| format!("it answers {status}")),
            ),
        })
    }
}

/// A share that is read by its link.
pub struct Reader {
    transport: Transport,
    link: Link,
    insecure_http: bool,
}

/// Times that a share is looked at again when it is not what was sent: batches may be under way.
const LOOKS: u32 = 3;

impl Reader {
    /// One that reaches servers as a client with this configuration does.
    ///
    /// # Errors
    /// When certificates cannot be checked as it says.
    pub fn new(config: &Config, link: Link) -> Result<Self, StartError> {
        // What is read is not secret before it is asked for with something that is.
        let transport = Transport::new(&Config { insecure_http: true, ..config.clone() })?;
        Ok(Self { transport, link, insecure_http: config.insecure_http })
    }

    /// What is known of the share before it is read.
    ///
    /// # Errors
    /// When there is none, or its server is away, or the link does not go with what it is.
    pub async fn about(&self) -> Result<About, ReadError> {
        let answer = self.transport.look(&self.reading(None)?, "", 64 << 10).await?;
        let about: About = serde_json::from_slice(&answer.body)
            .map_err(|_| ReadError::Unreachable("it does not answer as a share server does".into()))?;
        match (&about.sealed, &self.link.key) {
            (Some(_), None) => Err(ReadError::NoKey),
            (None, Some(_)) => Err(ReadError::NotSealed),
            _ => Ok(about),
        }
    }

    /// Its items, in reading order. Of a sealed share only when they are what was sent.
    ///
    /// # Errors
    /// When they cannot be read, or are not.
    pub async fn read(&self, about: &About, pass: Pass<'_>) -> Result<Vec<(Key, Content)>, ReadError> {
        let Some(key) = &self.link.key else {
            let authorization = match pass {
                Pass::Password(password) => {
                    Some(format!("Basic {}", STANDARD.encode(format!(":{password}"))))
                }
                Pass::None | Pass::Phrase(_) => None,
            };
            let mut held = Held::Plain(HashMap::new());
            self.transport.read(&self.reading(authorization)?, &mut held).await?;
            return Ok(held.read());
        };
        let sealed = about.sealed.as_ref().ok_or(ReadError::NotSealed)?;
        let phrase = match pass {
            Pass::Phrase(phrase) => {
                let (phrase, key) = (phrase.to_owned(), key.clone());
                let stretched = actix_web::rt::task::spawn_blocking(move || Phrase::of(&phrase, &key)).await;
                Some(stretched.map_err(|error| ReadError::Unreachable(error.to_string()))?)
            }
            Pass::None | Pass::Password(_) if sealed.locked => return Err(ReadError::PhraseNeeded),
            Pass::None | Pass::Password(_) => None,
        };
        let keys = Keys::new(key, phrase.as_ref());
        if keys.check() != sealed.check {
            return Err(if phrase.is_some() { ReadError::WrongPhrase } else { ReadError::WrongKey });
        }
        let authorization = phrase.map(|_| format!("Bearer {}", keys.door()));
        self.read_sealed(keys.of_share(self.link.id.as_str()), self.reading(authorization)?).await
    }

    async fn read_sealed(&self, seal: Seal, reading: Reading) -> Result<Vec<(Key, Content)>, ReadError> {
        let mut held = Held::Sealed(Opening::new(Arc::new(seal)), None);
        let mut position = None;
        for look in 1.. {
            self.transport.read_on(&reading, &mut held, &mut position).await?;
            let Held::Sealed(opening, bad) = &held else { break };
            if let Some(bad) = bad {
                return Err((*bad).into());
            }
            match opening.check() {
                Ok(()) if opening.newest() == 0 => return Err(ReadError::Nothing),
                Ok(()) => break,
                Err(mismatch) if look > LOOKS => return Err(ReadError::Mismatch(mismatch)),
                Err(_) => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
            }
        }
        Ok(held.read())
    }

    fn reading(&self, authorization: Option<String>) -> Result<Reading, ReadError> {
        if authorization.is_some() && !self.insecure_http && is_in_clear(&self.link.server) {
            return Err(ReadError::InClear);
        }
        let authorization = authorization.map(|value| {
            let mut value = header::HeaderValue::try_from(value)?;
            value.set_sensitive(true);
            Ok::<_, header::InvalidHeaderValue>(value)
        });
        let authorization =
            authorization.transpose().map_err(|error| ReadError::Unreachable(error.to_string()))?;
        let server = Place { url: self.link.server.clone(), key: None };
        Ok(Reading { server, id: self.link.id.as_str().to_owned(), authorization })
    }
}

/// A share's items as JSON, in the shape of `GET …/data`.
pub fn as_data(items: &[(Key, Content)]) -> String {
    let items = items.iter().map(|(key, content)| {
        format!("{{\"type\":{},\"data\":{}}}", serde_json::Value::from(key.kind()), content.get())
    });
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}
