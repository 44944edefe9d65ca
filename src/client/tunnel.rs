//! A way through a proxy: `CONNECT`, and its answer.

use std::io;

use awc::http::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A proxy's answer has no longer head, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Asks the proxy at the other end of a stream for a way to `HOST:PORT`. When it gives one, that host is at the other
/// end.
pub(super) async fn open(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    to: &str,
    authorization: Option<&HeaderValue>,
) -> io::Result<()> {
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n").into_bytes();
    if let Some(value) = authorization {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    let end = loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::Error::other("it closes the connection"));
        }
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if head.len() > MAX_HEAD {
            return Err(io::Error::other("it does not answer as an HTTP proxy does"));
        }
    };
    match status(&head) {
        // A server says nothing before it is greeted: what follows here is the proxy's own.
        Some(200..=299) if head.len() == end => Ok(()),
        Some(407) if authorization.is_some() => {
            Err(io::Error::other("it does not take the name and password (407)"))
        }
        Some(407) => Err(io::Error::other("it wants a name and a password (407)")),
        Some(status) if !(200..=299).contains(&status) => {
            Err(io::Error::other(format!("it refuses the way to the share server ({status})")))
        }
        _ => Err(io::Error::other("it does not answer as an HTTP proxy does")),
    }
}

/// The status of an answer that begins as HTTP/1 does.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.strip_prefix(b"HTTP/1.")?.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?;
    words.next().filter(|status| status.len() == 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer, and what the proxy was asked.
    async fn asked(answer: &[u8], authorization: Option<&HeaderValue>) -> (Result<(), String>, String) {
        let (mut ours, mut proxys) = tokio::io::duplex(64 << 10);
        proxys.write_all(answer).await.unwrap();
        if !answer.starts_with(b"HTTP/1.1 200") {
            proxys.shutdown().await.unwrap();
        }
        let opened = open(&mut ours, "a.example:443", authorization).await.map_err(|error| error.to_string());
        drop(ours);
        let mut request = String::new();
        proxys.read_to_string(&mut request).await.unwrap();
        (opened, request)
    }

    #[actix_web::test]
    async fn a_way_is_asked_for_and_any_other_answer_is_none() {
        let mut value = HeaderValue::from_static("Basic YWRhOmxvdmU=");
        value.set_sensitive(true);
        let (opened, request) =
            asked(b"HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n", Some(&value)).await;
        assert_eq!(opened, Ok(()));
        assert_eq!(
            request,
            "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\nproxy-authorization: Basic YWRhOmxvdmU=\r\n\r\n"
        );
        assert_eq!(asked(b"HTTP/1.0 200\r\n\r\n", None).await.0, Ok(()));
        let long = [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"x".repeat(MAX_HEAD + 1)].concat();
        for (answer, said) in [
            (b"HTTP/1.1 407 No\r\n\r\n".as_slice(), "wants a name"),
            (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "403"),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
            (b"HTTP/1.1 200 OK\r\n\r\n<html>", "not answer as"),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not answer as"),
            (b"HTTP/1.1 2000 OK\r\n\r\n", "not answer as"),
            (b"HTTP/1.1 2", "closes"),
            (b"", "closes"),
            (&long, "not answer as"),
        ] {
            let (opened, _) = asked(answer, None).await;
            assert!(opened.clone().is_err_and(|error| error.contains(said)), "{said}: {opened:?}");
        }
        let (opened, _) = asked(b"HTTP/1.1 407 No\r\n\r\n", Some(&value)).await;
        assert!(opened.is_err_and(|error| error.contains("does not take") && !error.contains("YWRh")));
    }
}
