//! Sealed shares on their way to their servers. What waits in the spool is sealed when it is sent: debouncing and
//! replacing of older versions are as for other shares.
//!
//! A batch is sealed once, stored, and sent as it is until the server has answered; so what the server has is known at
//! any time, and the manifest that goes with each batch says just that.

mod ledger;
mod stored;

pub(super) use self::stored::forget;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use actix_web::rt::task::spawn_blocking;
use serde::{Deserialize, Serialize};

use self::ledger::Ledger;
pub(super) use self::ledger::{LedgerOf, SealedBatch};
use super::ClientError;
use super::answer::{Later, Outcome};
use super::queue::Sent;
use super::reading::Held;
use super::spool::{Batch, Spool};
use super::transport::{Target, Transport};
use crate::clock::now_ms;
use crate::protocol::Sealed;
use crate::seal::{Keys, LinkKey, Opening, Phrase, Seal, SealError, VERSION};

/// How a share is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealing {
    /// The key in its link.
    pub key: LinkKey,
    /// What stands for its phrase, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<Phrase>,
}

impl Sealing {
    /// With a new key, and a phrase if one is given. With a phrase it takes a tenth of a second or more.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new(phrase: Option<&str>) -> Result<Self, ClientError> {
        let key = LinkKey::random().map_err(|_| ClientError::Unavailable)?;
        let phrase = phrase.map(|phrase| Phrase::of(phrase, &key));
        Ok(Self { key, phrase })
    }

    /// Its keys.
    pub fn keys(&self) -> Keys {
        Keys::new(&self.key, self.phrase.as_ref())
    }

    /// What a server is told of it.
    pub(super) fn terms(&self) -> Sealed {
        let keys = self.keys();
        let door = self.phrase.as_ref().map(|_| keys.door_digest());
        Sealed { version: VERSION, check: keys.check(), door }
    }

    /// The link to a share, whose page is at a URL.
    pub(super) fn link(&self, url: &str) -> String {
        format!("{url}#k1={}", self.key.expose())
    }
}

/// What the queue has of a sealed share, apart from its spool.
#[derive(Default)]
pub(super) struct Sealer {
    /// `None` while a batch is put together, and when it has to be read from the disk.
    ledger: RefCell<Option<Ledger>>,
    /// Whether the server may have lost what it had.
    doubts: Cell<bool>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// The server may have lost what it had: segments are sent again, also those that have not changed.
    pub(super) fn doubt(&self) {
        self.doubts.set(true);
    }
}

/// A sealed share and where its batches come from.
pub(super) struct Sending<'a> {
    pub(super) spool: &'a Spool,
    pub(super) transport: &'a Transport,
    pub(super) share: &'a Target,
    pub(super) seal: &'a Arc<Seal>,
    pub(super) session: &'a str,
}

impl Sending<'_> {
    /// Sends the batch that is under way, or the next one.
    pub(super) async fn send(&self, sealer: &Sealer, max_bytes: usize, max_items: usize) -> Sent {
        let taken = sealer.ledger.borrow_mut().take();
        let mut ledger = match taken {
            Some(ledger) => ledger,
            None => match self.ledger().await {
                Ok(ledger) => ledger,
                Err(sent) => return sent,
            },
        };
        if sealer.doubts.take() {
            ledger.doubt();
        }
        let under_way = ledger.under_way.take();
        let is_again = under_way.is_some();
        let (batch, more) = match under_way {
            Some(batch) => (batch, true),
            None => match self.next(&mut ledger, max_bytes, max_items).await {
                Ok(Some(next)) => next,
                Ok(None) => {
                    *sealer.ledger.borrow_mut() = Some(ledger);
                    return Sent::Nothing;
                }
                Err(sent) => return sent,
            },
        };
        tracing::debug!(items = batch.keys.len(), is_again, "sending a sealed batch");
        let outcome = self.transport.sync_sealed(self.share, &batch.data).await;
        let (items, last) = (batch.keys.len(), batch.last());
        let stored = match &outcome {
            Outcome::Done => {
                let stored = self.spool.sealed_arrived(self.session.to_owned(), batch.clone()).await;
                ledger.arrived(&batch, self.seal);
                stored
            }
            Outcome::Rejected(_) => {
                let given_up = if items == 1 { batch.keys.clone() } else { Vec::new() };
                self.spool.sealed_refused(self.session.to_owned(), given_up).await
            }
            Outcome::Gone | Outcome::Retry(_) => {
                ledger.under_way = Some(batch);
                Ok(())
            }
        };
        if let Err(error) = stored {
            // What the disk says counts: it is read again.
            return Sent::Spool(error.into());
        }
        *sealer.ledger.borrow_mut() = Some(ledger);
        Sent::Batch { outcome, items, last, more }
    }

    /// Seals what waits for longest, and stores the batch.
    async fn next(
        &self,
        ledger: &mut Ledger,
        max_bytes: usize,
        max_items: usize,
    ) -> Result<Option<(Arc<SealedBatch>, bool)>, Sent> {
        let session = self.session.to_owned();
        // Sealed, an item has half as much again: padding and base64.
        let waiting = self.spool.next(session.clone(), max_bytes / 3 * 2, max_items).await;
        let Batch { items, more } = waiting.map_err(|error| Sent::Spool(error.into()))?;
        let Some(last) = items.last().map(|item| item.seq) else { return Ok(None) };
        let count = items.len();
        let (mut own, seal) = (std::mem::take(ledger), self.seal.clone());
        let sealed = spawn_blocking(move || {
            let batch = own.seal(&seal, &items, now_ms());
            (own, items, batch)
        });
        let (own, items, batch) = sealed.await.map_err(|_| Sent::Spool(ClientError::Unavailable))?;
        *ledger = own;
        let batch = match batch {
            Ok(batch) => Arc::new(batch),
            Err(SealError::TooLarge) => {
                if count == 1 {
                    let given_up =
                        items.iter().map(|item| (item.key.as_str().to_owned(), item.seq)).collect();
                    let stored = self.spool.sealed_refused(session, given_up).await;
                    stored.map_err(|error| Sent::Spool(error.into()))?;
                }
                let outcome = Outcome::Rejected(SealError::TooLarge.to_string());
                return Err(Sent::Batch { outcome, items: count, last, more });
            }
            Err(error) => {
                let outcome = Outcome::Retry(Later { reason: error.to_string(), after: None });
                return Err(Sent::Batch { outcome, items: count, last, more });
            }
        };
        let stored = self.spool.sealed(session, self.share.id.clone(), ledger.version(), batch.clone()).await;
        stored.map_err(|error| Sent::Spool(error.into()))?;
        Ok(Some((batch, more)))
    }

    /// What the server has: as it stands on the disk, or else as the server says.
    async fn ledger(&self) -> Result<Ledger, Sent> {
        let (session, id) = (self.session.to_owned(), self.share.id.clone());
        let stored = self.spool.ledger(session.clone(), id.clone()).await;
        if let Some(stored) = stored.map_err(|error| Sent::Spool(error.into()))? {
            return Ok(Ledger::new(stored, self.seal));
        }
        let mut held = Held::Sealed(Opening::new(self.seal.clone()), None);
        let read = self.transport.read(&self.share.reading(), &mut held).await;
        read.map_err(|reason| Sent::Batch { outcome: reason.outcome(), items: 0, last: 0, more: true })?;
        let Held::Sealed(opening, bad) = held else { return Err(Sent::Nothing) };
        if let Some(error) = bad {
            tracing::warn!(%error, "the server shows items that do not open");
        }
        let stored = LedgerOf::read(&opening);
        let kept = self.spool.keep_ledger(session, id, stored.clone()).await;
        kept.map_err(|error| Sent::Spool(error.into()))?;
        Ok(Ledger::new(stored, self.seal))
    }
}
