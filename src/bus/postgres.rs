//! PostgreSQL's NOTIFY, on two connections beside the store's.
//!
//! A notification takes a lock of the whole database cluster at its commit, for as long as that takes. So it has a
//! transaction of its own, with everything that gathered meanwhile, which waits for no disk.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use super::{Broken, BusError, Carrier, Link, Say};
use crate::store::PostgresDatabase;

/// Notifications that wait to be read. Further ones wait at the database.
const QUEUE: usize = 256;

pub(super) struct Postgres {
    database: PostgresDatabase,
    place: String,
}

impl Postgres {
    pub(super) fn new(url: &str) -> Result<Self, BusError> {
        let database = PostgresDatabase::new(url)?;
        let place = format!("postgres://{}", database.place());
        Ok(Self { database, place })
    }
}

impl Carrier for Postgres {
    fn place(&self) -> &str {
        &self.place
    }

    fn connect<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Link, Broken>> {
        let connected = async move {
            let (listener, mut connection) = self.database.client().await?;
            let (notified, notifications) = mpsc::channel(QUEUE);
            tokio::spawn(async move {
                while let Some(Ok(message)) = poll_fn(|poller| connection.poll_message(poller)).await {
                    if let AsyncMessage::Notification(notification) = message
                        && notified.send(Bytes::from(notification.payload().to_owned())).await.is_err()
                    {
                        return;
                    }
                }
            });
            listener.batch_execute(&format!("LISTEN {channel}")).await?;
            let (speaker, connection) = self.database.client().await?;
            tokio::spawn(connection);
            speaker.batch_execute("SET synchronous_commit = off").await?;
            let notify = speaker.prepare("SELECT pg_notify($1, $2)").await?;
            let (speaker, channel) = (Arc::new((speaker, notify)), channel.to_owned());
            // The listener lives as long as what it hears is read: its connection ends with it.
            let heard = unfold((listener, notifications), |(listener, mut notifications)| async move {
                let notification = notifications.recv().await?;
                Some((notification, (listener, notifications)))
            });
            let say = move |text: String| {
                let (speaker, channel) = (speaker.clone(), channel.clone());
                let said = async move {
                    let (client, notify) = &*speaker;
                    client.execute(notify, &[&channel, &text]).await?;
                    Ok(())
                };
                said.boxed()
            };
            Ok(Link { heard: heard.boxed(), say: Box::new(say) as Say })
        };
        connected.boxed()
    }
}
