//! Many viewers on one thread: as little work a delivery as can be, for it shares the machine with what it measures.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Result;
use crate::payload::Scanner;
use crate::target::Target;

/// What publishers and viewers know together.
pub struct Shared {
    start: Instant,
    /// When each message was sent, in nanoseconds since the start.
    sent_at: Vec<AtomicU64>,
    /// Messages that viewers got, all together.
    pub delivered: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    /// For so many messages.
    pub fn new(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            sent_at: std::iter::repeat_with(|| AtomicU64::new(0)).take(messages).collect(),
            delivered: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Messages that there is room for.
    pub fn room(&self) -> usize {
        self.sent_at.len()
    }

    /// A message is about to be sent.
    pub fn sending(&self, n: usize) {
        self.sent_at[n].store(self.now(), Ordering::Relaxed);
    }

    #[allow(clippy::cast_possible_truncation)] // 584 years.
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

/// Viewers that read all that they get.
pub struct Viewers {
    thread: JoinHandle<Result<Histogram<u64>>>,
    shared: Arc<Shared>,
}

impl Viewers {
    /// Connects `each` viewers to every target, and starts to read.
    pub fn connect(targets: &[Target], each: usize, shared: Arc<Shared>) -> Result<Self> {
        let mut sockets = Vec::with_capacity(targets.len() * each);
        for target in targets {
            for _ in 0..each {
                sockets.push(handshake(target)?);
            }
        }
        let own = shared.clone();
        let thread = std::thread::spawn(move || read(sockets, &own));
        Ok(Self { thread, shared })
    }

    /// Ends reading; gives the time from a message's sending to a viewer's reading, in microseconds.
    pub fn stop(self) -> Result<Histogram<u64>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the reading thread panicked")?
    }
}

/// Opens a WebSocket and says the greeting.
pub fn handshake(target: &Target) -> Result<std::net::TcpStream> {
    let mut stream = open(target.viewers)?;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.view, target.viewers
    );
    stream.write_all(request.as_bytes())?;
    // A byte at a time: what follows the head belongs to the reader.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err("the server closed the connection".into());
        }
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(format!("no WebSocket: {}", String::from_utf8_lossy(&head)).into());
    }
    let unique = format!("{:08}", fastrand::u32(..100_000_000));
    for text in &target.greeting {
        let text = text.replace("{unique}", &unique);
        stream.write_all(&frame(text.as_bytes()))?;
    }
    Ok(stream)
}

fn open(address: SocketAddr) -> Result<std::net::TcpStream> {
    // Thousands at once may overrun a server's backlog for a moment.
    let mut tries = 0;
    loop {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if tries == 5 => return Err(error.into()),
            Err(_) => tries += 1,
        }
    }
}

/// A binary frame from a client, masked with zeros.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    if let Ok(length @ ..=125) = u8::try_from(payload.len()) {
        frame.push(0x80 | length);
    } else {
        frame.push(0x80 | 0x7e);
        #[allow(clippy::cast_possible_truncation)] // Greetings are short.
        frame.extend((payload.len() as u16).to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn read(sockets: Vec<std::net::TcpStream>, shared: &Shared) -> Result<Histogram<u64>> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(sockets.len());
    for (nth, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(socket);
        poll.registry().register(&mut stream, Token(nth), Interest::READABLE)?;
        streams.push((stream, Scanner::default()));
    }
    let mut latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 256 << 10]);
    while !shared.stop.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(20)))?;
        for event in &events {
            let (stream, scanner) = &mut streams[event.token().0];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Err("the server closed a viewer's connection".into()),
                    Ok(bytes) => {
                        let (now, mut count) = (shared.now(), 0);
                        scanner.scan(&buffer[..bytes], |n| {
                            count += 1;
                            let sent = shared.sent_at.get(n).map_or(now, |at| at.load(Ordering::Relaxed));
                            latency.saturating_record(now.saturating_sub(sent) / 1000);
                        });
                        shared.delivered.fetch_add(count, Ordering::Relaxed);
                        if bytes < buffer.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    Ok(latency)
}
