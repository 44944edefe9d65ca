//! A viewer that takes nothing on trust: after every frame it holds its whole state against what was stored at that
//! position.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::harness::{PATIENCE, TestShare};
use crate::model::{History, State};

/// Frames that are told when something is wrong.
const REMEMBERED: usize = 12;

/// What a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Connected,
    /// There is no room for one more viewer.
    Refused,
    /// There is no such share.
    Gone,
}

/// A viewer, and what it keeps when its connection ends.
#[derive(Default)]
pub struct Watcher {
    socket: Option<WebSocketStream<TcpStream>>,
    state: State,
    epoch: String,
    seq: u64,
    /// Whether that position is a state, or the last frame said that there is more.
    whole: bool,
    /// Whether it takes appends.
    appends: bool,
    /// Whether its system takes few bytes that it does not read.
    narrow: bool,
    /// The reason of a `closed` frame, and the close code.
    pub closed: Option<String>,
    pub code: Option<u16>,
    /// Frames with items so far.
    frames: u64,
    recent: VecDeque<String>,
}

impl Watcher {
    pub fn new(appends: bool, narrow: bool) -> Self {
        Self { appends, narrow, ..Self::default() }
    }

    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Goes, with whatever it has not read.
    pub fn leave(&mut self) {
        self.socket = None;
    }

    /// Comes with its position, whichever that is.
    pub async fn connect(&mut self, share: &TestShare<'_>) -> Result<Outcome, String> {
        let append = if self.appends { "&append=1" } else { "" };
        let url = share.poll_url(&format!("?after={}&epoch={}{append}", self.seq, self.epoch));
        let address: SocketAddr = share.server.address.parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        if self.narrow {
            // Smaller than a frame, and large enough for the kernel: a window below one segment starves.
            socket.set_recv_buffer_size(32 << 10).expect("an option");
        }
        let stream = socket.connect(address).await.map_err(|error| error.to_string())?;
        self.note(format!("connects at {}{}", self.seq, if self.whole { "" } else { ", behind" }));
        match tokio_tungstenite::client_async(url, stream).await {
            Ok((socket, _)) => {
                (self.socket, self.closed, self.code) = (Some(socket), None, None);
                Ok(Outcome::Connected)
            }
            Err(Error::Http(answer)) if answer.status() == 503 => Ok(Outcome::Refused),
            Err(Error::Http(answer)) if answer.status() == 404 => Ok(Outcome::Gone),
            Err(error) => Err(format!("a viewer cannot connect: {error}")),
        }
    }

    /// Loads what is there over HTTP, page by page, as the viewer's page does before it connects. May stop before the
    /// last page.
    pub async fn load(
        &mut self,
        share: &TestShare<'_>,
        history: &mut History,
        pages: usize,
    ) -> Result<(), String> {
        for _ in 0..pages {
            let query = format!("/items?after={}&epoch={}", self.seq, self.epoch);
            let (status, frame) = share.server.get(&share.path(&query)).await;
            if status != 200 {
                return Err(format!("a page is answered with {status}: {frame}"));
            }
            self.take(&frame, history)?;
            if self.whole {
                break;
            }
        }
        Ok(())
    }

    /// Reads some frames: as many as there are now, `most` at most. True when the connection still lives.
    pub async fn read(&mut self, history: &mut History, most: usize) -> Result<bool, String> {
        for _ in 0..most {
            match tokio::time::timeout(Duration::from_millis(2), self.step(history)).await {
                Ok(open) => {
                    if !open? {
                        return Ok(false);
                    }
                }
                Err(_) => break,
            }
        }
        Ok(self.is_connected())
    }

    /// Reads the first frame, which always comes to who is let in; false when the server closes in place of it.
    pub async fn read_first(&mut self, history: &mut History) -> Result<bool, String> {
        let frames = self.frames;
        let first = async {
            while self.frames == frames {
                if !self.step(history).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        tokio::time::timeout(PATIENCE, first).await.unwrap_or_else(|_| Err("gets no first frame".into()))
    }

    /// Reads until it holds what is stored.
    pub async fn catch_up(&mut self, history: &mut History) -> Result<(), String> {
        let caught_up = async {
            while !(self.whole && self.seq == history.seq) {
                if !self.step(history).await? {
                    return Err(format!("closed with {:?} before it had all", self.code));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, caught_up).await {
            Ok(caught_up) => caught_up,
            Err(_) => Err(format!(
                "stays at {}, behind {}, while its connection lives:{}",
                self.seq,
                history.seq,
                self.recent()
            )),
        }
    }

    /// Reads until the server closes.
    pub async fn until_closed(&mut self, history: &mut History) -> Result<(), String> {
        let closed = async {
            while self.step(history).await? {}
            Ok(())
        };
        tokio::time::timeout(PATIENCE, closed).await.unwrap_or_else(|_| Err("is never closed".into()))
    }

    /// Takes one message; false when there is no connection any more.
    async fn step(&mut self, history: &mut History) -> Result<bool, String> {
        let Some(socket) = &mut self.socket else { return Ok(false) };
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let frame = serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?;
                self.take(&frame, history)?;
            }
            Some(Ok(Message::Close(frame))) => self.code = frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            // A server that is killed says nothing.
            Some(Err(_)) | None => self.socket = None,
        }
        Ok(self.is_connected())
    }

    /// Takes a frame, and checks all that it holds now.
    fn take(&mut self, frame: &Value, history: &mut History) -> Result<(), String> {
        let checked = match frame["type"].as_str() {
            Some("items") => self.take_items(frame, history),
            Some("viewers") => Ok(()),
            Some("closed") => {
                self.closed = frame["reason"].as_str().map(ToOwned::to_owned);
                Ok(())
            }
            _ => Err(format!("a frame of no known type: {frame}")),
        };
        checked.map_err(|wrong| format!("{wrong}\n  appends {}:{}", self.appends, self.recent()))
    }

    fn take_items(&mut self, frame: &Value, history: &mut History) -> Result<(), String> {
        let seq = frame["seq"].as_u64().ok_or("a frame without seq")?;
        let more = frame["more"].as_bool().ok_or("a frame without more")?;
        let epoch = frame["epoch"].as_str().ok_or("a frame without epoch")?;
        let items = frame["items"].as_array().ok_or("a frame without items")?;
        let appended = items.iter().filter(|item| item["append"].is_object()).count();
        self.note(format!("{} -> {seq}: {} items, {appended} appends, more {more}", self.seq, items.len()));
        if self.epoch.is_empty() {
            epoch.clone_into(&mut self.epoch);
        }
        if self.epoch != epoch {
            return Err(format!("the epoch is {epoch}, and was {}: nothing was restored", self.epoch));
        }
        if seq < self.seq {
            return Err(format!("the position goes back from {} to {seq}", self.seq));
        }
        if appended > 0 && !self.whole {
            return Err(format!("an append to a viewer that is at {} and behind", self.seq));
        }
        if let Some(from) = frame["from"].as_u64()
            && from != self.seq
        {
            return Err(format!("a frame from {from} to a viewer at {}", self.seq));
        }
        for item in items {
            let key = item["key"].as_str().ok_or("an item without a key")?;
            let data = if item["append"].is_object() {
                if !self.appends {
                    return Err(format!("an append to {key}, which this viewer did not ask for"));
                }
                self.appended(key, &item["append"])?
            } else {
                item["data"].clone()
            };
            if !history.wrote(key, &data) {
                return Err(format!("{key} never was {data}").chars().take(400).collect());
            }
            self.state.insert(key.to_owned(), Rc::new(data));
        }
        for key in frame["removed"].as_array().ok_or("a frame without removed")? {
            self.state.remove(key.as_str().ok_or("a key that is no text")?);
        }
        (self.seq, self.whole) = (seq, !more);
        self.frames += 1;
        if self.whole {
            history.check(seq, &self.state)?;
        }
        history.shown = history.shown.max(seq);
        Ok(())
    }

    /// The item with what is added to it.
    fn appended(&self, key: &str, append: &Value) -> Result<Value, String> {
        let mut item =
            Value::clone(self.state.get(key).ok_or(format!("an append to {key}, which is not there"))?);
        let path = append["path"].as_str().ok_or("an append without a path")?;
        let field = item.pointer_mut(path).ok_or(format!("an append to {key}, which has no {path}"))?;
        let older = field.as_str().ok_or(format!("an append to {key}, whose {path} is no text"))?;
        let length = older.encode_utf16().count() as u64;
        if append["at"].as_u64() != Some(length) {
            return Err(format!("an append to {key} at {}, which is {length} long", append["at"]));
        }
        let added = append["text"].as_str().ok_or("an append without a text")?;
        *field = Value::from(format!("{older}{added}"));
        Ok(item)
    }

    fn note(&mut self, what: String) {
        self.recent.push_back(what);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    fn recent(&self) -> String {
        self.recent.iter().flat_map(|what| ["\n  ", what]).collect()
    }
}
