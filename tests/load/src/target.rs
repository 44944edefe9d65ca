//! What is measured: where its viewers connect, and how it takes messages.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Result;
use crate::publish::post;

/// One channel (a share, a topic, a bucket) of one server.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where viewers connect to.
    pub viewers: SocketAddr,
    /// The path of a viewer's WebSocket.
    pub view: String,
    /// What a viewer says first, in WebSocket frames; `{unique}` becomes eight digits of its own.
    pub greeting: Vec<String>,
    /// Where messages go.
    pub publish: Publish,
}

impl Target {
    /// The same channel through another server, which listens there.
    pub fn through(&self, address: SocketAddr) -> Self {
        let publish = match &self.publish {
            Publish::Http(post) => Publish::Http(Arc::new(Post { address, ..Post::clone(post) })),
            Publish::Nats { subject, .. } => Publish::Nats { address, subject: subject.clone() },
            Publish::Redis { .. } => Publish::Redis { address },
        };
        Self { viewers: address, publish, ..self.clone() }
    }
}

/// How a server takes messages.
#[derive(Debug, Clone)]
pub enum Publish {
    /// A POST for one or several items; the answer acknowledges them.
    Http(Arc<Post>),
    /// NATS: `PUB` without an answer, or into a key-value bucket with one.
    Nats {
        /// Where.
        address: SocketAddr,
        /// The subject, of a bucket when it starts with `$KV`.
        subject: String,
    },
    /// Redis: `SET`.
    Redis {
        /// Where.
        address: SocketAddr,
    },
}

/// A POST out of templates. `{key}` in the path and in an item is the item's key, `{text}` its text.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where.
    pub address: SocketAddr,
    /// The request's path.
    pub path: String,
    /// What stands before the items.
    pub before: String,
    /// One item.
    pub item: String,
    /// What stands after the items; between two of them stands a comma.
    pub after: String,
}

impl Post {
    /// The request for some items, as bytes.
    pub fn request(&self, items: &[(String, String)]) -> Vec<u8> {
        let key = items.first().map_or("", |(key, _)| key.as_str());
        let mut body = self.before.clone();
        for (nth, (key, text)) in items.iter().enumerate() {
            if nth > 0 {
                body.push(',');
            }
            body.push_str(&self.item.replace("{key}", key).replace("{text}", text));
        }
        body.push_str(&self.after);
        let path = self.path.replace("{key}", key);
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .into_bytes()
    }
}

/// A new share on a brutus-share server.
pub async fn share(address: SocketAddr) -> Result<Target> {
    let created = post(address, "/api/share", r#"{"sessionID":"load"}"#).await?;
    let created: serde_json::Value = serde_json::from_slice(&created)?;
    let text = |name: &str| created[name].as_str().ok_or("the server creates no share");
    let (id, secret) = (text("id")?, text("secret")?);
    Ok(Target {
        viewers: address,
        view: format!("/api/share/{id}/poll"),
        greeting: Vec::new(),
        publish: Publish::Http(Arc::new(Post {
            address,
            path: format!("/api/share/{id}/sync"),
            before: format!(r#"{{"secret":"{secret}","data":["#),
            item: r#"{"type":"part","data":{"id":"{key}","messageID":"msg","type":"text","text":"{text}"}}"#
                .into(),
            after: "]}".into(),
        })),
    })
}

/// A channel of a server that takes a POST to `/pub/{channel}` and shows it on a WebSocket at `/sub/{channel}`.
pub fn topic(address: SocketAddr, channel: &str) -> Target {
    let post = Post {
        address,
        path: format!("/pub/{channel}?key={{key}}"),
        before: String::new(),
        item: r#"{"key":"{key}","data":{"id":"{key}","messageID":"msg","type":"text","text":"{text}"}}"#
            .into(),
        after: String::new(),
    };
    Target {
        viewers: address,
        view: format!("/sub/{channel}"),
        greeting: Vec::new(),
        publish: Publish::Http(Arc::new(post)),
    }
}

/// The same, taking several items in one POST to `/batch/{channel}`.
pub fn batched(address: SocketAddr, channel: &str) -> Target {
    let Target { publish, .. } = topic(address, channel);
    let item = match publish {
        Publish::Http(post) => post.item.clone(),
        Publish::Nats { .. } | Publish::Redis { .. } => String::new(),
    };
    let post =
        Post { address, path: format!("/batch/{channel}"), before: "[".into(), item, after: "]".into() };
    Target { publish: Publish::Http(Arc::new(post)), ..topic(address, channel) }
}

/// A subject of a NATS server whose WebSocket listens one port higher.
pub fn subject(address: SocketAddr, subject: &str) -> Target {
    let viewers = SocketAddr::new(address.ip(), address.port() + 1);
    Target {
        viewers,
        view: "/".into(),
        greeting: vec![
            "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n".into(),
            format!("SUB {subject} 1\r\n"),
            "PING\r\n".into(),
        ],
        publish: Publish::Nats { address, subject: subject.into() },
    }
}

/// A Redis server.
pub fn redis(address: SocketAddr) -> Target {
    Target {
        viewers: address,
        view: String::new(),
        greeting: Vec::new(),
        publish: Publish::Redis { address },
    }
}
