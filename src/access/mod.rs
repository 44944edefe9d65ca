//! Who may do what with a share: the one place that decides it. Every route says what it needs.
//!
//! **A lock** stands between a link and its items, when a share has a password or is sealed by a phrase. Who has opened
//! it shows a cookie that this place signed, or what opens it with each request.
//!
//! **Guessing.** A try is counted before it is looked at, by address here and by share in the store, so over all
//! servers together; one that was right is taken back. What was right is known again for a minute, for each look costs
//! as much as a password's hash.

mod client;
mod keys;
mod password;
mod tries;

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

pub use client::Client;
use keys::{Remembered, Signer};
use password::Passwords;
use tries::Tries;

use crate::clock::now_ms;
use crate::error::Error;
use crate::model::{Lock, PasswordHash, SecretHash, ShareId};
use crate::protocol::Password;
use crate::share::{Directory, Known};
use crate::store::Store;

/// How long who has opened a lock need not do so again.
pub const OPEN_FOR: Duration = Duration::from_secs(12 * 3600);

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it shows nothing of a share.
    Nothing,
    /// A token by which shares may be created, where the operator wants one.
    Token,
    /// The link of a share. Of one that is locked or sealed little is said by it.
    Link,
    /// The link, and that its lock is opened: what is asked for are items.
    Items,
    /// The same, for what the server makes of the items: not of those that only readers can open.
    Text,
    /// The link, and what opens the lock.
    Key,
    /// The share's secret.
    Secret,
    /// The share's secret, also when the share has ended.
    Delete,
}

/// What opens a lock.
pub enum Key {
    /// A password.
    Password(Password),
    /// What readers of a sealed share show for its phrase.
    Door(Vec<u8>),
}

/// What a request shows.
#[derive(Default)]
pub struct Shown {
    /// The share's secret, as far as it is known yet: without one it is only looked whether the share is there. Its
    /// owner gets past its lock.
    pub secret: Option<SecretHash>,
    /// Cookies that were given out for the share, as it says.
    pub cookies: Vec<String>,
    /// What opens the lock, as it says.
    pub key: Option<Key>,
    /// Whose tries are counted; nobody's where that is not known.
    pub client: Option<Client>,
    /// Whether a browser may ask for the password by itself.
    pub may_ask: bool,
}

/// Who was let in.
pub struct Admitted {
    /// The share.
    pub known: Known,
    /// Whether its lock is open: also when it has none.
    pub opened: bool,
}

impl Admitted {
    /// The lock by which it was decided.
    pub fn lock(&self) -> Arc<Lock> {
        self.known.lock.clone()
    }
}

/// Lets in, or does not. One for the whole server.
pub struct Access {
    store: Store,
    signer: Signer,
    remembered: Remembered,
    passwords: Passwords,
    tries: Tries,
}

impl Access {
    /// For the shares of a store.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(store: Store) -> Result<Self, getrandom::Error> {
        Ok(Self {
            signer: Signer::new(&store.naming().for_readers()),
            remembered: Remembered::new()?,
            passwords: Passwords::default(),
            tries: Tries::default(),
            store,
        })
    }

    /// Lets a request at a share, or says why not.
    ///
    /// # Errors
    /// When there is no such share, or it lacks what is needed.
    pub async fn admit(
        &self,
        shares: &Directory,
        id: &ShareId,
        need: Need,
        shown: &Shown,
    ) -> Result<Admitted, Error> {
        let mut known = shares.find(id).await?;
        if let Some(secret) = &shown.secret {
            known.check(secret)?;
        }
        if need != Need::Delete {
            known.lives()?;
        }
        let mut opened = shown.secret.is_some() || self.is_open(id, &known.lock, shown);
        let needs_more = matches!(need, Need::Items | Need::Text | Need::Key);
        if !opened && (needs_more || shown.key.is_some()) {
            if self.store.is_shared() {
                // Another process may have changed it. By what is known here nobody is refused.
                known = shares.find_stored(id).await?;
                known.lives()?;
                opened = self.is_open(id, &known.lock, shown);
            }
            let is_of_text = need == Need::Text && known.lock.is_sealed();
            if !opened && !is_of_text {
                opened = self.open(id, &known, need, shown).await?;
            }
        }
        if need == Need::Text && known.lock.is_sealed() {
            return Err(Error::Sealed);
        }
        Ok(Admitted { known, opened })
    }

    /// Whether a lock needs no opening: it is none, or was opened before.
    fn is_open(&self, id: &ShareId, lock: &Lock, shown: &Shown) -> bool {
        let Some(hash) = lock.hash() else { return true };
        let mut cookies = shown.cookies.iter();
        cookies.any(|cookie| self.signer.is_valid(cookie, id, hash, now_ms()))
            || shown.key.as_ref().is_some_and(|key| self.remembered.knows(id, hash, key))
    }

    /// Tries to open a lock by what is shown; false when it need not be open.
    async fn open(&self, id: &ShareId, known: &Known, need: Need, shown: &Shown) -> Result<bool, Error> {
        let lock = &*known.lock;
        let ask = shown.may_ask && lock.password.is_some();
        let (hash, key) = match (&shown.key, lock.hash()) {
            (Some(key), Some(hash)) if key.fits(lock) => (hash, key),
            _ if need == Need::Link => return Ok(false),
            _ => return Err(Error::PasswordNeeded { ask }),
        };
        let too_many = |retry_after| Error::TooManyTries { retry_after };
        let counted = self.tries.count(shown.client).map_err(too_many)?;
        let at = now_ms();
        if let Err(until) = self.store.count_try(known.num, at).await? {
            let wait = u64::try_from(until.saturating_sub(at)).unwrap_or(0);
            return Err(too_many(Duration::from_millis(wait)));
        }
        let is_right = match key {
            Key::Password(password) => {
                self.passwords.verify(password, &PasswordHash(hash.to_owned())).await?
            }
            Key::Door(door) => is_of_hash(door, hash),
        };
        if !is_right {
            return Err(Error::WrongPassword { ask });
        }
        self.remembered.add(id, hash, key);
        counted.forget();
        self.store.forget_try(known.num).await?;
        Ok(true)
    }

    /// What is kept of a password.
    ///
    /// # Errors
    /// When too many wait for that.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, Error> {
        self.passwords.hash(password).await
    }

    /// A cookie for who has opened a lock; `None` when there is nothing to open.
    pub fn cookie(&self, id: &ShareId, lock: &Lock) -> Option<String> {
        let end = now_ms().saturating_add(i64::try_from(OPEN_FOR.as_millis()).unwrap_or(i64::MAX));
        lock.hash().map(|hash| self.signer.cookie(id, hash, end))
    }
}

impl Key {
    /// Whether it is of the kind that opens a lock.
    fn fits(&self, lock: &Lock) -> bool {
        match self {
            Self::Password(_) => lock.password.is_some(),
            Self::Door(_) => lock.password.is_none(),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Password(password) => password.expose().as_bytes(),
            Self::Door(door) => door,
        }
    }
}

/// Whether a hash, in base64url, is of these bytes; in constant time.
fn is_of_hash(bytes: &[u8], hash: &str) -> bool {
    let own = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(bytes));
    own.as_bytes().ct_eq(hash.as_bytes()).into()
}
