//! Who sends without end, or asks without reading: it is refused before it costs anything, and others do not notice.
//!
//! `BRUTUS_FLOOD_MIB` says how much is sent, for by hand; the memory that it may cost stays the same.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{PATIENCE, TestServer, TestShare, message};

/// What a flood may add to the server's resident memory, in bytes: buffers of connections, and what the allocator keeps.
const SLACK: usize = 12 << 20;

/// How much is sent to a door that should not take it, in bytes.
fn flood() -> usize {
    let mib = std::env::var("BRUTUS_FLOOD_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(48_usize);
    mib << 20
}

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// The head of an answer.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("an answer") == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// Sends until so much is sent, or the other side takes no more.
fn pour(stream: &mut TcpStream, bytes: usize) {
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < bytes && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
}

/// A viewer's connection, for bytes that no client's library would send.
fn viewer(share: &TestShare<'_>) -> TcpStream {
    let mut stream = connect(share.server);
    write!(
        stream,
        "GET {} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        share.path("/poll")
    )
    .expect("sent");
    assert!(head(&mut stream).starts_with("HTTP/1.1 101"));
    stream
}

/// Reads frames until the close, and gives its code.
fn close_code(stream: &mut TcpStream) -> u16 {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).expect("a frame");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                stream.read_exact(&mut length).expect("a length");
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).expect("a payload");
        if head[0] == 0x88 {
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
    }
}

#[actix_web::test]
async fn a_frame_without_end_is_refused_by_its_head() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[message("m", 1)]).await;
    let long = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), b"mask"].concat();
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (long(1 << 40), 1009),
        (long(i64::MAX.cast_unsigned()), 1009),
        (long(u64::MAX), 1009),
        (b"\x81\xfe\x10\x01mask".to_vec(), 1009),
        // The first of many fragments; the rest of them is thrown away.
        (b"\x01\x83maskabc".to_vec(), 1003),
        (b"\x89\xfe\x00\x7emask".to_vec(), 1002),
        (b"\x82\x05hello".to_vec(), 1002),
    ];
    // Everything that a first viewer brings into memory.
    drop(viewer(&share));
    let before = server.memory();
    for (head, code) in &cases {
        let mut stream = viewer(&share);
        stream.write_all(head).expect("sent");
        // Said before any of the payload has come.
        assert_eq!(close_code(&mut stream), *code, "{head:x?}");
        pour(&mut stream, flood());
    }
    // Many at once, who do not wait for the answer.
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = viewer(&share);
            std::thread::spawn(move || {
                let _ = stream.write_all(b"\x82\xff\0\0\x01\0\0\0\0\0mask");
                pour(&mut stream, flood());
            })
        })
        .collect();
    for flood in floods {
        flood.join().expect("sent");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < SLACK, "{} KiB", grown >> 10);
    assert_eq!(share.data().await.len(), 1);
}
