//! HTTP and WebSocket over plain sockets: what is sent is what a row says, to the byte, also when no client would send
//! it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use serde_json::Value;

use crate::harness::PATIENCE;

/// Longer than the slowest door takes at a size of the large setting.
const LONG: std::time::Duration = std::time::Duration::from_secs(300);

/// An answer over HTTP.
pub struct Answer {
    pub status: u16,
    /// As it came: with the sizes of its chunks, when it came in chunks.
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A connection.
pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// One request on a connection of its own. Its answer is read while it is sent, because it may come before all is sent.
pub fn ask(address: &str, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{headers}\r\n",
        body.len()
    );
    exchange(address, &[head.as_bytes(), body])
}

pub fn get(address: &str, target: &str, headers: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    exchange(address, &[head.as_bytes()])
}

/// Bytes, and the answer to them. It is over at its `content-length`, else when the server closes: one who refuses a
/// body at its beginning reads on for a while, and so does not close.
pub fn exchange(address: &str, pieces: &[&[u8]]) -> Answer {
    let stream = connect(address);
    let (mut head, mut body) = (String::new(), Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            for piece in pieces {
                // Who refused already may have closed.
                if (&stream).write_all(piece).is_err() {
                    break;
                }
            }
        });
        let mut reader = BufReader::new(&stream);
        let mut line = Vec::new();
        // Closed with bytes unread, a connection is reset after the answer.
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            head.push_str(&String::from_utf8_lossy(&line));
            if line == b"\r\n" {
                break;
            }
            line.clear();
        }
        let _ = reader.take(content_length(&head).unwrap_or(u64::MAX)).read_to_end(&mut body);
        let _ = stream.shutdown(Shutdown::Both);
    });
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer, but {head:?}"));
    Answer { status, body }
}

/// How many bytes an answer's head announces.
fn content_length(head: &str) -> Option<u64> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    length.trim().parse().ok()
}

/// The kind of a WebSocket frame (RFC 6455, 5.2).
#[derive(Clone, Copy)]
pub enum Kind {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Ping = 9,
    Pong = 10,
}

/// A WebSocket.
pub struct Viewer {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

impl Viewer {
    pub fn connect(address: &str, target: &str) -> Self {
        Self::try_connect(address, target).unwrap_or_else(|head| panic!("{head}"))
    }

    /// A viewer, or the head of the answer that refuses it.
    pub fn try_connect(address: &str, target: &str) -> Result<Self, String> {
        let mut viewer = Self { stream: connect(address), unread: Vec::new() };
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        viewer.stream.write_all(head.as_bytes()).expect("sent");
        let end = loop {
            if let Some(end) = viewer.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(viewer.read(), "no answer to the handshake");
        };
        let head: Vec<u8> = viewer.unread.drain(..end).collect();
        if head.starts_with(b"HTTP/1.1 101") {
            Ok(viewer)
        } else {
            Err(String::from_utf8_lossy(&head).into())
        }
    }

    /// Reads what is there; false at the end.
    fn read(&mut self) -> bool {
        let mut piece = [0; 16384];
        let read = self.stream.read(&mut piece).unwrap_or(0);
        self.unread.extend_from_slice(&piece[..read]);
        read > 0
    }

    /// The next frame's first byte and its payload; `None` at the end.
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let number =
            |bytes: &[u8]| bytes.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        loop {
            let head = match self.unread.get(1) {
                Some(127) => 10,
                Some(126) => 4,
                _ => 2,
            };
            if self.unread.len() >= head {
                let length =
                    if head == 2 { number(&self.unread[1..2]) } else { number(&self.unread[2..head]) };
                if self.unread.len() >= head + length {
                    let frame: Vec<u8> = self.unread.drain(..head + length).collect();
                    return Some((frame[0], frame[head..].to_vec()));
                }
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// Reads frames until one holds a text.
    pub fn until(&mut self, text: &str) {
        loop {
            let (_, payload) = self.frame().unwrap_or_else(|| panic!("closed before {text}"));
            // What is looked for stands near an end: frames are long.
            let ends = [&payload[..payload.len().min(300)], &payload[payload.len().saturating_sub(300)..]];
            if ends.iter().any(|end| String::from_utf8_lossy(end).contains(text)) {
                return;
            }
        }
    }

    /// Reads until the server says goodbye; gives its close code.
    pub fn close_code(&mut self) -> u16 {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        loop {
            match self.frame() {
                Some((CLOSE, payload)) => {
                    return payload.iter().fold(0, |code, byte| code << 8 | u16::from(*byte));
                }
                Some(_) => {}
                None => panic!("it was not closed, or not with a close frame"),
            }
        }
    }
}

/// The first byte of a close frame.
const CLOSE: u8 = 0x88;

/// The bytes of a frame that a viewer sends, under a mask of zeros.
pub fn frame(kind: Kind, last: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(kind, last, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// The head of a frame that announces `length` bytes.
pub fn head(kind: Kind, last: bool, length: u64) -> Vec<u8> {
    let mut head = vec![(u8::from(last) << 7) | kind as u8];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => head.push(0x80 | length),
        (_, Ok(length)) => {
            head.push(0x80 | 0x7e);
            head.extend(length.to_be_bytes());
        }
        _ => {
            head.push(0x80 | 0x7f);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend([0; 4]);
    head
}
