//! A wire between a client and a server that can be cut, and mended.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy in front of a server.
pub struct Wire {
    address: SocketAddr,
    ends: Arc<Mutex<Ends>>,
}

#[derive(Default)]
struct Ends {
    is_cut: bool,
    open: Vec<TcpStream>,
}

impl Wire {
    /// A wire to a server.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let ends = Arc::new(Mutex::new(Ends::default()));
        let shared = ends.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut ends = shared.lock().unwrap();
                // Whoever comes while it is cut is sent away.
                let Some(server) = (!ends.is_cut).then(|| TcpStream::connect(server).ok()).flatten() else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    thread::spawn(move || copy(from, to));
                }
                ends.open.extend([client, server]);
            }
        });
        Self { address, ends }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and those that come, until it is mended.
    pub fn cut(&self) {
        let mut ends = self.ends.lock().unwrap();
        ends.is_cut = true;
        for end in ends.open.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// From now on everything passes.
    pub fn mend(&self) {
        self.ends.lock().unwrap().is_cut = false;
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 16384];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
