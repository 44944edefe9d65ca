//! What one request may take of the server's memory: of all that there is, and of its client's part.

use std::time::Duration;

use actix_web::HttpRequest;

use super::Service;
use super::limits::{InUse, Portion};
use crate::error::Error;
use crate::memory::{Held, Memory};

/// The part of all memory that one client may have, as a divisor: so that no single one takes it all from the others.
const CLIENT_PART: u64 = 4;

/// Reads that cost as much as all of a share, which one client may have under way at once.
const READS: u64 = 8;

/// How long a client waits for its own other requests.
const WAIT: Duration = Duration::from_secs(3);

/// When a client comes back that has too much under way.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Memory for requests under way. For the whole server.
pub struct Budget {
    memory: Memory,
    bytes: InUse,
    reads: InUse,
}

/// What one request has taken, until this is dropped.
pub(super) struct Account {
    held: Held,
    portion: Option<Portion>,
    max_portion: u64,
}

impl Budget {
    /// Of which nothing is used yet.
    pub fn new(memory: Memory) -> Self {
        Self { memory, bytes: InUse::default(), reads: InUse::default() }
    }

    /// All memory that there is for requests and shares.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }
}

impl Service {
    /// An account for a request that has taken nothing yet.
    pub(super) fn account(&self, request: &HttpRequest) -> Account {
        let limits = self.limits.get();
        let client = self.client(request);
        Account {
            held: self.budget.memory.nothing(),
            portion: client.map(|client| self.budget.bytes.nothing(client)),
            max_portion: limits.max_memory / CLIENT_PART,
        }
    }

    /// A place for a read that costs as much as all of a share; a client that has many under way waits for them.
    ///
    /// # Errors
    /// When they take too long.
    pub(super) async fn heavy_read(&self, request: &HttpRequest) -> Result<Option<Portion>, Error> {
        let Some(client) = self.client(request) else { return Ok(None) };
        let mut read = self.budget.reads.nothing(client);
        if read.grow(1, READS, WAIT).await { Ok(Some(read)) } else { Err(too_many()) }
    }
}

impl Account {
    /// Takes memory before it is used, and waits for it a little.
    ///
    /// # Errors
    /// When its client has too much, or there is no more.
    pub(super) async fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        if let Some(portion) = &mut self.portion
            && !portion.grow(bytes, self.max_portion, WAIT).await
        {
            return Err(too_many());
        }
        Ok(self.held.grow(bytes).await?)
    }

    /// Accounts for what is in use by now, whether it is to be had or not.
    pub(super) fn resize(&mut self, bytes: u64) {
        if let Some(portion) = &mut self.portion {
            portion.resize(bytes);
        }
        self.held.resize(bytes);
    }

    /// Gives back what is not used any more.
    pub(super) fn shrink(&mut self, bytes: u64) {
        if let Some(portion) = &mut self.portion {
            portion.shrink(bytes);
        }
        self.held.shrink(bytes);
    }
}

fn too_many() -> Error {
    Error::TooManyRequests { retry_after: RETRY_AFTER }
}
