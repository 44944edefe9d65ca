//! A bad network between a client and a server: it drops, delays, cuts in half and answers 500, as its seed says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A proxy in front of a server.
pub struct BadNetwork {
    pub url: String,
    address: SocketAddr,
    bad: Arc<AtomicBool>,
}

impl BadNetwork {
    /// Starts a proxy that misbehaves as `seed` says.
    pub fn start(server: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let bad = Arc::new(AtomicBool::new(true));
        let (server, state, still_bad) = (server.to_owned(), Arc::new(AtomicU64::new(seed)), bad.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let chance = if still_bad.load(Ordering::Relaxed) { next(&state) % 8 } else { 7 };
                let (server, amount) = (server.clone(), next(&state));
                thread::spawn(move || relay(client, &server, chance, amount));
            }
        });
        Self { url: format!("http://{address}"), address, bad }
    }

    /// From now on everything passes.
    pub fn heal(&self) {
        self.bad.store(false, Ordering::Relaxed);
        // Wakes a listener that may wait with a decision made before.
        drop(TcpStream::connect(self.address));
    }
}

fn next(state: &AtomicU64) -> u64 {
    // SplitMix64: enough to make choices that are the same for the same seed.
    let mut z = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn relay(mut client: TcpStream, server: &str, chance: u64, amount: u64) {
    match chance {
        // Dropped at once.
        0 => return,
        // Answered by somebody else.
        1 => {
            let mut request = vec![0; 65536];
            let _ = client.read(&mut request);
            let _ = client.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            );
            return;
        }
        // Late.
        2 => thread::sleep(Duration::from_millis(amount % 60)),
        _ => {}
    }
    let Ok(mut upstream) = TcpStream::connect(server) else { return };
    // The request, or the answer, is cut somewhere.
    let cut_request = (chance == 3).then_some(amount % 900);
    let cut_answer = (chance == 4).then_some(amount % 120);
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), upstream.try_clone()) else { return };
    let requests = thread::spawn(move || {
        copy(&mut from_client, &mut to_server, cut_request);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    copy(&mut upstream, &mut client, cut_answer);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = requests.join();
}

fn copy(from: &mut TcpStream, to: &mut TcpStream, cut: Option<u64>) {
    let mut left = cut.unwrap_or(u64::MAX);
    let mut piece = [0; 16384];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let pass = usize::try_from(left).unwrap_or(usize::MAX).min(read);
        if to.write_all(&piece[..pass]).is_err() || pass < read {
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
        left -= pass as u64;
    }
}
