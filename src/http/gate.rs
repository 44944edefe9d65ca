//! What a request shows, and how it is let at a share by that.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Actor, Handler, Message};
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use data_encoding::BASE64URL_NOPAD;

use super::{Service, who};
use crate::access::{Admitted, Client, Key, Need, Shown};
use crate::error::Error;
use crate::model::{Lock, ShareId};
use crate::protocol::Password;
use crate::share::{ReadAll, Share, Snapshot};

/// How often a reading is tried whose share's lock is changed meanwhile.
const TRIES: usize = 4;

/// On a request that got, or may get, past a lock: its answer is not for web pages of other origins.
pub(super) struct PastALock;

/// What is seen of a share by who has its link.
pub(super) enum Seen {
    /// All of it.
    All(Arc<Snapshot>),
    /// That it is there, and what there is to say of it.
    Title(&'static str),
}

/// What is said of a share that only its readers can open, and of one with a password.
const SEALED_TITLE: &str = "An encrypted session";
const PROTECTED_TITLE: &str = "A protected session";

impl Service {
    /// Lets a request at a share, as its route needs.
    ///
    /// # Errors
    /// When there is no such share, or the request lacks what is needed.
    pub(super) async fn admit(
        &self,
        request: &HttpRequest,
        id: &ShareId,
        need: Need,
    ) -> Result<Admitted, Error> {
        let admitted = self.access.admit(&self.shares, id, need, &self.shown(request, id)).await?;
        if admitted.known.lock.is_closed() {
            request.extensions_mut().insert(PastALock);
        }
        Ok(admitted)
    }

    /// Asks a share for who is let in, and lets in anew when its lock was changed meanwhile.
    ///
    /// # Errors
    /// When the request is not let in, and what the share answers.
    pub(super) async fn read<M, T>(
        &self,
        request: &HttpRequest,
        id: &ShareId,
        need: Need,
        message: impl Fn(Arc<Lock>) -> M,
    ) -> Result<(Admitted, T), Error>
    where
        M: Message<Result = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
        Share: Handler<M>,
        <Share as Actor>::Context: ToEnvelope<Share, M>,
    {
        for _ in 1..TRIES {
            let admitted = self.admit(request, id, need).await?;
            match self.shares.ask(id, || message(admitted.lock())).await {
                Err(Error::Relocked) => {}
                answer => return answer.map(|answer| (admitted, answer)),
            }
        }
        Err(Error::Relocked)
    }

    /// What is seen of a share by who has its link alone.
    ///
    /// # Errors
    /// When there is no such share.
    pub(super) async fn see(&self, request: &HttpRequest, id: &ShareId) -> Result<Seen, Error> {
        for _ in 1..TRIES {
            let lock = self.admit(request, id, Need::Link).await?.lock();
            if let Some(title) = title_of(&lock) {
                return Ok(Seen::Title(title));
            }
            match self.shares.ask(id, || ReadAll(lock.clone())).await {
                Err(Error::Relocked) => {}
                answer => return answer.map(Seen::All),
            }
        }
        Err(Error::Relocked)
    }

    /// What a request shows.
    fn shown(&self, request: &HttpRequest, id: &ShareId) -> Shown {
        let mode = request.headers().get("sec-fetch-mode");
        Shown {
            secret: None,
            cookies: cookies(request, &cookie_name(id)),
            key: key(request),
            client: self.client(request),
            // A browser that is told to would ask in a box of its own, before the page can.
            may_ask: mode.is_none_or(|mode| mode == "navigate"),
        }
    }

    /// Whose request it is, where that is known.
    pub(super) fn client(&self, request: &HttpRequest) -> Option<Client> {
        who::address(request, &self.limits.get().trusted_proxies).map(Client::at)
    }
}

/// What is said of a share whose items are not for all who have its link.
fn title_of(lock: &Lock) -> Option<&'static str> {
    if lock.is_sealed() { Some(SEALED_TITLE) } else { lock.is_closed().then_some(PROTECTED_TITLE) }
}

/// The name of the cookie of who has opened a share's lock.
pub(super) fn cookie_name(id: &ShareId) -> String {
    format!("share_{}", id.as_str())
}

/// The values of all cookies of a name: others may have set some of it too.
fn cookies(request: &HttpRequest, name: &str) -> Vec<String> {
    let lines = request.headers().get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).collect()
}

/// What opens a lock: a password, whatever name stands before it, or what is shown for a phrase.
fn key(request: &HttpRequest) -> Option<Key> {
    let (scheme, shown) =
        request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64_STANDARD.decode(shown.trim()).ok()?).ok()?;
        return Password::new(pair.split_once(':')?.1).ok().map(Key::Password);
    }
    if scheme.eq_ignore_ascii_case("bearer") { door(shown.trim()) } else { None }
}

/// What is shown for a phrase: 32 bytes in base64url. Tokens, by which shares are created, have another length.
pub(super) fn door(text: &str) -> Option<Key> {
    let door = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    (door.len() == 32).then_some(Key::Door(door))
}
