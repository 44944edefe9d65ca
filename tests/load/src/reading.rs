//! A viewer's first load, and its coming back.

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Result;
use crate::payload::{Scanner, text};
use crate::publish::{Publisher, get};
use crate::target::Target;
use crate::viewers::handshake;

/// Longer than any load takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads over a WebSocket until `items` different messages came; gives the time from before the connection to the last.
pub fn web_socket(target: &Target, items: usize) -> Result<Duration> {
    let started = Instant::now();
    let mut socket = handshake(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (mut scanner, mut buffer) = (Scanner::default(), vec![0; 256 << 10]);
    let mut seen = vec![false; items];
    let mut missing = items;
    while missing > 0 {
        let bytes = socket.read(&mut buffer)?;
        if bytes == 0 {
            return Err(format!("the server closed the connection; {missing} items are missing").into());
        }
        scanner.scan(&buffer[..bytes], |n| {
            if let Some(seen) = seen.get_mut(n)
                && !std::mem::replace(seen, true)
            {
                missing -= 1;
            }
        });
    }
    Ok(started.elapsed())
}

/// The same for several viewers at once; gives the time until the last has all.
pub fn web_sockets(target: &Target, viewers: usize, items: usize) -> Result<Duration> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..viewers).map(|_| scope.spawn(|| web_socket(target, items))).collect();
        for reader in readers {
            reader.join().map_err(|_| "a reader panicked")??;
        }
        Ok(started.elapsed())
    })
}

/// What a load over HTTP took, and how much went over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Paged {
    /// Until the last byte.
    pub took: Duration,
    /// Bytes of all bodies, compressed.
    pub bytes: usize,
}

/// Reads a share's `items`, page after page, compressed.
pub fn pages(address: SocketAddr, share: &str) -> Result<Paged> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (started, mut bytes, mut query) = (Instant::now(), 0, String::new());
        loop {
            let page = get(address, &format!("{share}/items{query}"), "gzip").await?;
            bytes += page.len();
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*page).read_to_string(&mut text)?;
            // What says where to go on stands at the ends of a frame.
            let field = |name: &str| {
                let at = text.find(&format!("\"{name}\":")).map(|at| at + name.len() + 3);
                at.and_then(|at| text[at..].split([',', '}']).next())
            };
            if text.ends_with("\"more\":false}") {
                return Ok(Paged { took: started.elapsed(), bytes });
            }
            let epoch = field("epoch").ok_or("a frame without an epoch")?.trim_matches('"');
            query = format!("?epoch={epoch}&after={}", field("seq").ok_or("a frame without a position")?);
        }
    })
}

/// Writes to a share and then reads it at another server, so many times. How many readings miss what was acknowledged.
pub fn behind(share: &Target, at: &Target, reads: usize) -> Result<usize> {
    let base = at.view.strip_suffix("/poll").ok_or("only a share can be read")?;
    let path = format!("{base}/data");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut publisher = Publisher::connect(&share.publish).await?;
        let mut missed = 0;
        for n in 0..reads {
            let words = text(n, 64);
            publisher.send(&[("behind".to_owned(), words.clone())]).await?;
            let read = get(at.viewers, &path, "identity").await?;
            missed += usize::from(memchr::memmem::find(&read, words.as_bytes()).is_none());
        }
        Ok(missed)
    })
}

/// A viewer that has `items` and comes back after `missed` more: the time until it has these.
pub fn catch_up(share: &Target, items: usize, missed: usize) -> Result<Duration> {
    crate::ingest::fill(share, items, 1024, 100)?;
    let address = share.viewers;
    let base = share.view.strip_suffix("/poll").ok_or("only a share can be caught up with")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let page = runtime.block_on(get(address, &format!("{base}/items"), "identity"))?;
    let frame: serde_json::Value = serde_json::from_slice(&page)?;
    let seq = runtime.block_on(get(address, base, "identity"))?;
    let seq: serde_json::Value = serde_json::from_slice(&seq)?;
    crate::ingest::fill(share, missed, 1000, 100)?;
    let epoch = frame["epoch"].as_str().ok_or("a frame without an epoch")?;
    let view = format!("{}?epoch={epoch}&after={}", share.view, seq["seq"]);
    web_socket(&Target { view, ..share.clone() }, missed)
}
