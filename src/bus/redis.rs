//! Redis, or what speaks its protocol: PUBLISH and SUBSCRIBE. Nothing is kept there.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use redis::AsyncConnectionConfig;

use super::{Broken, BusError, Carrier, Link, Say, WITHIN};
use crate::config::origin;

pub(super) struct Redis {
    client: redis::Client,
    place: String,
}

impl Redis {
    pub(super) fn new(url: &str) -> Result<Self, BusError> {
        // What the library says of a URL may show it.
        let client = redis::Client::open(url)
            .map_err(|_| BusError::Url("expected redis:// or rediss://USER:PASSWORD@HOST:PORT".into()))?;
        Ok(Self { client, place: origin(url) })
    }
}

impl Carrier for Redis {
    fn place(&self) -> &str {
        &self.place
    }

    fn connect<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Link, Broken>> {
        let connected = async move {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(channel).await?;
            let heard = subscription.into_on_message();
            let heard = heard.map(|message| Bytes::copy_from_slice(message.get_payload_bytes()));
            let config = AsyncConnectionConfig::new();
            let config = config.set_connection_timeout(Some(WITHIN)).set_response_timeout(Some(WITHIN));
            let speaker = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let channel = channel.to_owned();
            let say = move |text: String| {
                let (mut speaker, channel) = (speaker.clone(), channel.clone());
                async move { Ok(redis::cmd("PUBLISH").arg(channel).arg(text).exec_async(&mut speaker).await?) }
                .boxed()
            };
            Ok(Link { heard: heard.boxed(), say: Box::new(say) as Say })
        };
        connected.boxed()
    }
}
