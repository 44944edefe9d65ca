//! Passwords and their hashes: Argon2id, which takes memory and time, so a few at a time and beside all other work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::model::PasswordHash;
use crate::protocol::Password;

/// What a hash takes: memory in KiB, passes over it, and lanes.
const MEMORY_KIB: u32 = 19 << 10;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes that are made at a time.
const AT_ONCE: usize = 2;

/// Requests that may wait for one: two seconds' worth.
const MAX_WAITING: usize = 64;

/// Makes and compares hashes.
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::new(0) }
    }
}

impl Passwords {
    /// What is kept of a password.
    pub(super) async fn hash(&self, password: &Password) -> Result<PasswordHash, Error> {
        let password = password.clone();
        let hash = move || Ok(argon2()?.hash_password(password.expose().as_bytes())?.to_string());
        let hash: Result<String, argon2::password_hash::Error> = self.run(hash).await?;
        hash.map(PasswordHash).map_err(|error| {
            tracing::error!(%error, "cannot hash a password");
            Error::Unavailable
        })
    }

    /// Whether a hash is of a password.
    pub(super) async fn verify(&self, password: &Password, hash: &PasswordHash) -> Result<bool, Error> {
        let (password, hash) = (password.clone(), hash.clone());
        let verify = move || {
            let hash = phc::PasswordHash::new(&hash.0)?;
            argon2()?.verify_password(password.expose().as_bytes(), &hash)
        };
        match self.run(verify).await? {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => {
                tracing::error!(%error, "cannot compare a password with what is stored");
                Err(Error::Unavailable)
            }
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let waiting = Waiting::new(&self.waiting).ok_or(Error::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Error::Unavailable)?;
        drop(waiting);
        let done = tokio::task::spawn_blocking(move || {
            // Held until the work has ended, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| Error::Unavailable)
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A place in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        // What is counted too much is taken back with the place.
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_of_its_password_and_of_no_other_and_no_two_are_the_same() {
        let passwords = Passwords::default();
        let password = |text: &str| Password::new(text).unwrap();
        let (one, other) = (password("correct horse"), password("correct horse "));
        let hash = passwords.hash(&one).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_eq!(passwords.verify(&one, &hash).await, Ok(true));
        assert_eq!(passwords.verify(&other, &hash).await, Ok(false));
        assert_ne!(passwords.hash(&one).await.unwrap(), hash);
        let damaged = PasswordHash("nonsense".into());
        assert_eq!(passwords.verify(&one, &damaged).await, Err(Error::Unavailable));
    }

    #[tokio::test]
    async fn so_many_wait_and_more_are_refused() {
        let passwords = Passwords::default();
        let password = Password::new("p").unwrap();
        let turns = passwords.turns.clone().acquire_many_owned(2).await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(passwords.hash(&password))).collect();
        for wait in &mut waiting {
            assert!(futures_util::poll!(wait).is_pending());
        }
        assert_eq!(passwords.hash(&password).await, Err(Error::Busy));
        drop((waiting, turns));
        assert!(passwords.hash(&password).await.is_ok());
    }
}
