//! A NATS server that is none to rely on: what one share server says the other hears, or not, or twice, or late, and
//! now and then all lose their connections. A seed says when. What a server says it hears itself, so that it does not
//! give up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use fastrand::Rng;

/// It runs as long as the process.
pub struct BadBus {
    address: SocketAddr,
    done: Arc<Done>,
}

/// How often it did what.
#[derive(Default)]
pub struct Done {
    pub passed: AtomicUsize,
    pub lost: AtomicUsize,
    pub doubled: AtomicUsize,
    pub late: AtomicUsize,
    pub cut: AtomicUsize,
}

struct State {
    random: Rng,
    clients: Vec<Client>,
    /// What is late, and for whom.
    held: Vec<(usize, String)>,
    next: usize,
}

struct Client {
    id: usize,
    stream: TcpStream,
    /// Its subscription.
    sid: Option<String>,
}

impl BadBus {
    pub fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let (address, done) = (listener.local_addr().expect("an address"), Arc::<Done>::default());
        let state = State { random: Rng::with_seed(seed), clients: Vec::new(), held: Vec::new(), next: 0 };
        let (state, does) = (Arc::new(Mutex::new(state)), done.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, done) = (state.clone(), does.clone());
                thread::spawn(move || drop(serve(stream, &state, &done)));
            }
        });
        Self { address, done }
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    pub fn done(&self) -> &Done {
        &self.done
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, done: &Done) -> std::io::Result<()> {
    let info = r#"{"server_id":"bad","version":"2.15.0","proto":1,"headers":true,"max_payload":1048576}"#;
    write!(stream, "INFO {info}\r\n")?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let id = {
        let mut state = state.lock().unwrap();
        state.next += 1;
        let id = state.next;
        state.clients.push(Client { id, stream: stream.try_clone()?, sid: None });
        id
    };
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["PING"] => write!(stream, "PONG\r\n")?,
            ["SUB", _, sid] => {
                let mut state = state.lock().unwrap();
                if let Some(client) = state.clients.iter_mut().find(|client| client.id == id) {
                    client.sid = Some(sid.to_owned());
                }
            }
            ["PUB", subject, length] => {
                let mut payload = vec![0; length.parse::<usize>().expect("a length") + 2];
                lines.read_exact(&mut payload)?;
                let payload = String::from_utf8(payload).expect("ASCII");
                state.lock().unwrap().say(id, subject, &payload, done);
            }
            _ => {}
        }
        line.clear();
    }
    state.lock().unwrap().clients.retain(|client| client.id != id);
    Ok(())
}

impl State {
    fn say(&mut self, from: usize, subject: &str, payload: &str, done: &Done) {
        let count = |what: &AtomicUsize| what.fetch_add(1, Ordering::Relaxed);
        let mut due = Vec::new();
        for client in &self.clients {
            let Some(sid) = &client.sid else { continue };
            let message = format!("MSG {subject} {sid} {}\r\n{payload}", payload.len() - 2);
            let chance = if client.id == from { 7 } else { self.random.u8(0..8) };
            match chance {
                0..=2 => drop(count(&done.lost)),
                3 => {
                    count(&done.doubled);
                    due.extend([(client.id, message.clone()), (client.id, message)]);
                }
                4..=5 => {
                    count(&done.late);
                    self.held.push((client.id, message));
                }
                _ => {
                    count(&done.passed);
                    due.push((client.id, message));
                }
            }
        }
        while self.held.len() > 8 || !self.held.is_empty() && self.random.bool() {
            let any = self.random.usize(..self.held.len());
            due.push(self.held.swap_remove(any));
        }
        for (id, message) in due {
            if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
                let _ = client.stream.write_all(message.as_bytes());
            }
        }
        if self.random.u8(0..12) == 0 {
            count(&done.cut);
            for client in self.clients.drain(..) {
                let _ = client.stream.shutdown(Shutdown::Both);
            }
        }
    }
}
