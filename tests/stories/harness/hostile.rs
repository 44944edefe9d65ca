//! A share server behind something that answers in its place: as a story says, byte for byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use super::fake::Seen;

/// What a request is to the stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Create,
    Sync,
    Delete,
}

/// Answers instead of the server's own, by what was asked.
type InTheWay = Arc<Mutex<Vec<(Kind, String)>>>;

/// A server on loopback that says yes to everything, but for what stands in the way.
pub struct HostileServer {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    in_the_way: InTheWay,
    early: Arc<AtomicBool>,
}

impl HostileServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (seen, in_the_way) = (Arc::new(Mutex::new(Vec::new())), InTheWay::default());
        let early = Arc::new(AtomicBool::new(false));
        let server = Self { url, seen: seen.clone(), in_the_way: in_the_way.clone(), early: early.clone() };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, in_the_way, early) = (seen.clone(), in_the_way.clone(), early.clone());
                thread::spawn(move || answer(client, &seen, &in_the_way, &early));
            }
        });
        server
    }

    /// From now on these answers are given instead of the server's own; none: the server is back.
    pub fn put_in_the_way(&self, answers: &[(Kind, &str)]) {
        let answers = answers.iter().map(|(kind, answer)| (*kind, (*answer).to_owned()));
        *self.in_the_way.lock().unwrap() = answers.collect();
    }

    /// From now on what stands in the way answers a request by its head, and closes with the body unread.
    pub fn answer_early(&self) {
        self.early.store(true, Ordering::SeqCst);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer(
    mut client: TcpStream,
    seen: &Mutex<Vec<Seen>>,
    in_the_way: &Mutex<Vec<(Kind, String)>>,
    early: &AtomicBool,
) {
    let mut request = Vec::new();
    let mut piece = [0; 16384];
    let head_end = loop {
        let Ok(read @ 1..) = client.read(&mut piece) else { return };
        request.extend_from_slice(&piece[..read]);
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
    let mut words = head.split(' ').map(ToOwned::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let kind = match (method.as_str(), path.as_str()) {
        ("DELETE", _) => Kind::Delete,
        (_, "/api/share") => Kind::Create,
        _ => Kind::Sync,
    };
    let other =
        in_the_way.lock().unwrap().iter().find(|(of, _)| *of == kind).map(|(_, answer)| answer.clone());
    if let (Some(answer), true) = (&other, early.load(Ordering::SeqCst)) {
        let _ = client.write_all(answer.as_bytes());
        return;
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    while request.len() < head_end + length.unwrap_or(0) {
        let Ok(read @ 1..) = client.read(&mut piece) else { return };
        request.extend_from_slice(&piece[..read]);
    }
    let body: Value = serde_json::from_slice(&request[head_end..]).unwrap_or_default();
    let own = if kind == Kind::Create {
        let id = body["sessionID"].as_str().unwrap_or_default();
        format!(r#"{{"id":"share_{id}","url":"http://share.example/s/share_{id}","secret":"secret_{id}"}}"#)
    } else {
        "{}".to_owned()
    };
    let answer = other.unwrap_or_else(|| response("200 OK", "content-type: application/json\r\n", &own));
    seen.lock().unwrap().push(Seen { method, path, authorization: None, body });
    let _ = client.write_all(answer.as_bytes());
}

/// A whole answer, after which the connection ends.
pub fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}
