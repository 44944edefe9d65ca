//! Sending messages: one connection that has one request under way.

use std::fmt::Write;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;
use crate::target::Publish;

/// A connection that publishes.
pub struct Publisher {
    connection: Connection,
    publish: Publish,
    /// Where NATS acknowledges what goes into a bucket, and how much went.
    inbox: u64,
    sent: u64,
}

/// A connection, and what was read of it and not yet looked at.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Publisher {
    /// Connects.
    pub async fn connect(publish: &Publish) -> Result<Self> {
        let address = match publish {
            Publish::Http(post) => post.address,
            Publish::Nats { address, .. } | Publish::Redis { address } => *address,
        };
        let mut connection = Connection::open(address).await?;
        // An inbox of its own for each connection.
        let inbox = fastrand::u64(..);
        if let Publish::Nats { .. } = publish {
            let hello = format!(
                "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB _INBOX.{inbox}.* 1\r\nPING\r\n"
            );
            connection.write(hello.as_bytes()).await?;
            connection.until(b"PONG\r\n").await?;
        }
        Ok(Self { connection, publish: publish.clone(), inbox, sent: 0 })
    }

    /// Sends items, and waits until the server has acknowledged them; of NATS without a bucket, until they are written.
    pub async fn send(&mut self, items: &[(String, String)]) -> Result<()> {
        match self.publish.clone() {
            Publish::Http(post) => {
                self.connection.write(&post.request(items)).await?;
                let (status, body) = self.connection.answer().await?;
                if status / 100 != 2 {
                    return Err(format!("answered {status}: {}", String::from_utf8_lossy(&body)).into());
                }
            }
            Publish::Nats { subject, .. } => {
                let acknowledged = subject.starts_with("$KV");
                // Writing to a string cannot fail.
                let mut request = String::new();
                for (key, text) in items {
                    self.sent += 1;
                    if acknowledged {
                        let _ = write!(
                            request,
                            "PUB {subject}.{key} _INBOX.{}.{} {}\r\n{text}\r\n",
                            self.inbox,
                            self.sent,
                            text.len()
                        );
                    } else {
                        let _ = write!(request, "PUB {subject} {}\r\n{text}\r\n", text.len());
                    }
                }
                self.connection.write(request.as_bytes()).await?;
                if acknowledged {
                    for _ in items {
                        // `MSG <inbox> 1 <bytes>`, then an acknowledgement in JSON.
                        self.connection.until(b"\r\n").await?;
                        self.connection.until(b"}\r\n").await?;
                    }
                }
            }
            Publish::Redis { .. } => {
                let mut request = String::new();
                for (key, text) in items {
                    let _ = write!(
                        request,
                        "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{text}\r\n",
                        key.len(),
                        text.len()
                    );
                }
                self.connection.write(request.as_bytes()).await?;
                for _ in items {
                    self.connection.until(b"\r\n").await?;
                }
            }
        }
        Ok(())
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads up to and with `end`; gives what stood before it. What came after it is kept.
    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, end) {
                let rest = self.buffer.split_off(at + end.len());
                let mut before = std::mem::replace(&mut self.buffer, rest);
                before.truncate(at);
                return Ok(before);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    /// Reads an HTTP answer.
    async fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await?)?.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("not an answer")?;
        if head.contains("transfer-encoding: chunked") {
            let mut body = Vec::new();
            loop {
                let size = String::from_utf8(self.until(b"\r\n").await?)?;
                let size = usize::from_str_radix(size.trim(), 16)?;
                let chunk = self.take(size + 2).await?;
                if size == 0 {
                    return Ok((status, body));
                }
                body.extend_from_slice(&chunk[..size]);
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map_or(Ok(0), |length| length.trim().parse())?;
        Ok((status, self.take(length).await?))
    }

    async fn take(&mut self, bytes: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
        let rest = self.buffer.split_off(bytes);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }
}

/// One POST on a connection of its own; the body of its answer.
pub async fn post(address: SocketAddr, path: &str, body: &str) -> Result<Vec<u8>> {
    request(address, &format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await
}

/// One GET on a connection of its own; the body of its answer, compressed when that was asked for.
pub async fn get(address: SocketAddr, path: &str, encoding: &str) -> Result<Vec<u8>> {
    request(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept-encoding: {encoding}\r\n\r\n"),
    )
    .await
}

async fn request(address: SocketAddr, request: &str) -> Result<Vec<u8>> {
    let mut connection = Connection::open(address).await?;
    connection.write(request.as_bytes()).await?;
    let (status, body) = connection.answer().await?;
    if status == 200 {
        Ok(body)
    } else {
        Err(format!("answered {status}: {}", String::from_utf8_lossy(&body)).into())
    }
}

/// A NATS request, answered without an error.
pub async fn nats_request(address: SocketAddr, subject: &str, body: &str) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let request = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB _INBOX.load 1\r\n\
         PUB {subject} _INBOX.load {}\r\n{body}\r\n",
        body.len()
    );
    connection.write(request.as_bytes()).await?;
    connection.until(b"MSG _INBOX.load").await?;
    connection.until(b"\r\n").await?;
    let answer = String::from_utf8(connection.until(b"\r\n").await?)?;
    if answer.contains("\"error\"") { Err(answer.into()) } else { Ok(()) }
}
