//! NATS core: one subject. Nothing is kept there.
//!
//! Its client connects again by itself, which is not made use of: what was missed meanwhile has to be known.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectOptions, Event, ServerAddr};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use percent_encoding::percent_decode_str;
use tokio::sync::Notify;

use super::{Broken, BusError, Carrier, Link, Say, WITHIN};
use crate::config::origin;
use crate::trust;

/// Messages that wait to be read. When there are more some are lost, which the client tells.
const QUEUE: usize = 1024;

pub(super) struct Nats {
    servers: Vec<ServerAddr>,
    options: ConnectOptions,
    place: String,
}

impl Nats {
    /// Reads URLs with commas between them. User and password are taken out of them: the client would log them.
    pub(super) fn new(urls: &str) -> Result<Self, BusError> {
        // What the library says of a URL may show it.
        let refused = || BusError::Url("expected nats:// or tls://USER:PASSWORD@HOST:PORT".into());
        let (mut servers, mut user, mut password) = (Vec::new(), None, None);
        for url in urls.split(',') {
            let mut url = url.parse::<ServerAddr>().map_err(|_| refused())?.into_inner();
            let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
            if !url.username().is_empty() {
                user = Some(decoded(url.username()).map_err(|_| refused())?);
                password = url.password().map(decoded).transpose().map_err(|_| refused())?;
            }
            url.set_password(None).and_then(|()| url.set_username("")).map_err(|()| refused())?;
            servers.push(ServerAddr::from_url(url).map_err(|_| refused())?);
        }
        let encrypted = servers.iter().any(ServerAddr::tls_required);
        let mut tls = rustls::ClientConfig::clone(&*trust::client_config(None, encrypted)?);
        tls.alpn_protocols.clear();
        let options = ConnectOptions::new().name("brutus-share").connection_timeout(WITHIN);
        let mut options = options.tls_client_config(tls).subscription_capacity(QUEUE);
        options = match (user, password) {
            (Some(user), Some(password)) => options.user_and_password(user, password),
            (Some(token), None) => options.token(token),
            (None, _) => options,
        };
        let place = urls.split(',').map(origin).collect::<Vec<_>>().join(",");
        Ok(Self { servers, options, place })
    }
}

impl Carrier for Nats {
    fn place(&self) -> &str {
        &self.place
    }

    fn connect<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Link, Broken>> {
        let connected = async move {
            let lost = Arc::new(Notify::new());
            let loses = lost.clone();
            let options = self.options.clone().reconnect_delay_callback(pause).event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed | Event::SlowConsumer(_)) {
                    loses.notify_one();
                }
                std::future::ready(())
            });
            let client = options.connect(&self.servers[..]).await?;
            let subscription = client.subscribe(channel.to_owned()).await?;
            let heard = subscription.map(|message| message.payload);
            let heard = heard.take_until(async move { lost.notified().await });
            let channel = channel.to_owned();
            let say = move |text: String| {
                let (client, channel) = (client.clone(), channel.clone());
                let said = async move {
                    client.publish(channel, Bytes::from(text)).await?;
                    Ok(client.flush().await?)
                };
                said.boxed()
            };
            Ok(Link { heard: heard.boxed(), say: Box::new(say) as Say })
        };
        connected.boxed()
    }
}

/// How long it waits before an attempt. A client that was given up goes on until it gets through, and ends then.
fn pause(attempt: usize) -> Duration {
    Duration::from_millis(100 * attempt.saturating_sub(1).min(50) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_said_or_logged_of_a_url_shows_a_password() {
        let nats = Nats::new("nats://u:hunter%322@a.example,tls://u:hunter%322@b.example:1").unwrap();
        assert_eq!(nats.place(), "nats://a.example,tls://b.example:1");
        assert!(!format!("{:?}{:?}", nats.servers, nats.place).contains("hunter"));
        for url in
            ["nats://u:hunter2@", "nats://u:hunter2@h:port", "http://u:hunter2@h", "nats://u:hunter2%ff@h"]
        {
            let error = Nats::new(url).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("expected nats://") && !error.contains("hunter"), "{url}: {error}");
        }
    }
}
