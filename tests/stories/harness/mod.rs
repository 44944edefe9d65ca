//! Processes, a sharing client and a viewer, for the stories.

pub mod bad_bus;
pub mod balancer;
pub mod bus;
pub mod corpus;
pub mod fake;
pub mod hostile;
pub mod networks;
pub mod postgres;
pub mod proxy;
pub mod relay;
pub mod secrets;
pub mod sqld;
pub mod wire;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use awc::http::Method;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sqld::Sqld;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything here takes on a slow machine. Reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The options of a server whose files a story looks into, so that its store is the one that has some. Without them
/// `BRUTUS_TEST_STORE=postgres`, or `libsql`, has each server keep its shares there.
pub const ON_DISK: [&str; 2] = ["--store", "sqlite"];

/// An address on loopback that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("an address")
}

const NO_ENV: [(&str, &str); 0] = [];

fn owned(env: &[(&str, impl AsRef<OsStr>)]) -> Vec<(OsString, OsString)> {
    env.iter().map(|(name, value)| (name.into(), value.as_ref().into())).collect()
}

/// A running `brutus-share`, followed by its output.
pub struct TestProcess {
    child: Child,
    /// What it says that it listens on.
    pub url: String,
    log: Arc<Mutex<String>>,
}

impl TestProcess {
    /// Starts a daemon and waits until it listens.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, "listening on ")
    }

    /// Starts a program and waits for its first line, which starts as told and goes on with where it is.
    pub fn start_with(command: &mut Command, greeting: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().expect("piped");
        let sink = log.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut piece) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let Some(url) = line.trim().strip_prefix(greeting) else {
            panic!("it did not start: {line:?}\n{}", log.lock().unwrap());
        };
        Self { url: url.to_owned(), child, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.wait();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that is tested.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_brutus-share"))
}

/// A running `brutus-share serve`.
pub struct TestServer {
    process: TestProcess,
    pub address: String,
    pub url: String,
    data: Arc<TempDir>,
    args: Vec<String>,
    env: Vec<(OsString, OsString)>,
    /// Its database, when that is one of its own.
    sqld: Option<Arc<Sqld>>,
}

impl TestServer {
    /// Starts a server with a data directory of its own.
    pub fn start(args: &[&str]) -> Self {
        Self::start_with_env(args, &NO_ENV)
    }

    /// Starts a server with an environment of its own.
    pub fn start_with_env(args: &[&str], env: &[(&str, impl AsRef<OsStr>)]) -> Self {
        let data = TempDir::new().expect("a temporary directory");
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let elsewhere = args.iter().any(|arg| arg == "--store" || arg == "--poll-interval");
        let sqld = (!elsewhere).then(Sqld::for_all).flatten().map(Arc::new);
        let database = sqld.as_deref().map(Sqld::url);
        if let Some(database) = database.or_else(|| (!elsewhere).then(postgres::database_for_all).flatten()) {
            args.extend(["--store".to_owned(), database]);
        }
        let server = Self::spawn("127.0.0.1:0", Arc::new(data), args, owned(env));
        Self { sqld, ..server }
    }

    /// Starts a server on the data that is in a directory.
    pub fn start_on(data: Arc<TempDir>, args: &[&str]) -> Self {
        Self::spawn("127.0.0.1:0", data, args.iter().map(ToString::to_string).collect(), Vec::new())
    }

    /// Starts another one on the same data directory, with the same options.
    pub fn beside(&self) -> Self {
        self.beside_with_env(&NO_ENV)
    }

    /// Like `beside`, with an environment of its own.
    pub fn beside_with_env(&self, env: &[(&str, impl AsRef<OsStr>)]) -> Self {
        let server = Self::spawn("127.0.0.1:0", self.data.clone(), self.args.clone(), owned(env));
        Self { sqld: self.sqld.clone(), ..server }
    }

    fn spawn(listen: &str, data: Arc<TempDir>, args: Vec<String>, env: Vec<(OsString, OsString)>) -> Self {
        let process = TestProcess::start(
            program()
                .arg("serve")
                .args(["--listen", listen, "--log", "debug", "--create-limit", "100000/s", "--data-dir"])
                .arg(data.path().join("data"))
                .args(&args)
                .envs(env.iter().map(|(name, value)| (name, value))),
        );
        let url = process.url.clone();
        Self { process, address: url.replace("http://", ""), url, data, args, env, sqld: None }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Runs an operator's command on its data; what it prints, or what it says is wrong.
    pub fn operate(&self, args: &[impl AsRef<OsStr>]) -> Result<String, String> {
        let mut command = program();
        command.args(args).arg("--data-dir").arg(self.data_dir());
        if let Some(at) = self.args.iter().position(|arg| arg == "--store") {
            // Not as an argument: it may have a password.
            command.env("BRUTUS_SHARE_SERVE_STORE", &self.args[at + 1]);
        }
        let output = command.output().expect("runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// `kill -9`, and a new process on the same data and port.
    pub fn crash_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// A new process on the same data and port, once this one has ended, for which all else is as it was.
    pub fn restart(&mut self) {
        let (data, sqld) = (self.data.clone(), self.sqld.take());
        let (args, env) = (std::mem::take(&mut self.args), std::mem::take(&mut self.env));
        *self = Self { sqld, ..Self::spawn(&self.address.clone(), data, args, env) };
    }

    /// Whether a text stands in the database or beside it.
    pub fn holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.data_dir()).expect("the directory");
        // A file may go meanwhile.
        files
            .map(|file| std::fs::read(file.expect("a file").path()).unwrap_or_default())
            .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Open files and threads of the process.
    pub fn descriptors_and_threads(&self) -> (usize, usize) {
        let count = |what| {
            std::fs::read_dir(format!("/proc/{}/{what}", self.process.id())).expect("a process").count()
        };
        (count("fd"), count("task"))
    }

    /// The process's resident memory, in bytes.
    pub fn memory(&self) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("a number") << 10
    }

    /// Bytes over a plain connection, and what comes back until a JSON object ends it, or the server closes it or is
    /// silent.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // The server may refuse before it has read all.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece) {
                Ok(read @ 1..) => answer.extend_from_slice(&piece[..read]),
                // A signal ends a read that has a timeout, and none that has not (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
            if answer.ends_with(b"}") {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request; the status and the JSON, or the text, of its answer.
    pub async fn request(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        self.request_with(method, path, &[], body).await
    }

    /// The same with headers, which take the place of others of their names.
    pub async fn request_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> (u16, Value) {
        let mut request = client()
            .request(method, format!("{}{path}", self.url))
            .insert_header(("content-type", "application/json"));
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let sent = request.send_body(body.into()).await;
        let mut answer = sent.unwrap_or_else(|error| panic!("{path}: {error}"));
        let body = answer.body().limit(256 << 20).await.expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.request(Method::GET, path, Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.request(Method::POST, path, body.to_string()).await
    }

    /// Creates a share.
    pub async fn share(&self) -> TestShare<'_> {
        let (status, created) = self.post("/api/share", &json!({"sessionID": "ses_1"})).await;
        assert_eq!(status, 200, "{created}");
        let text = |name: &str| created[name].as_str().expect(name).to_owned();
        TestShare { server: self, id: text("id"), secret: text("secret"), url: text("url") }
    }
}

/// An HTTP client that waits as long as a story does.
pub fn client() -> awc::Client {
    awc::Client::builder().timeout(PATIENCE).finish()
}

/// Waits until something is so.
pub async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waits = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waits).await.is_ok(), "never: {what}");
}

/// Runs SQL on a database; what it prints.
pub fn sqlite(database: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg(database).arg(sql).output().expect("sqlite3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// A program that reads the database for a long time, as a backup does.
pub struct LongReader(Child);

impl LongReader {
    pub fn start(data_dir: &Path) -> Self {
        let mut reader = Command::new("sqlite3")
            .arg(data_dir.join("share.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3");
        let stdin = reader.stdin.as_mut().expect("piped");
        stdin.write_all(b"BEGIN; SELECT count(*) FROM shares;\n").expect("sent");
        let mut line = String::new();
        BufReader::new(reader.stdout.take().expect("piped")).read_line(&mut line).expect("an answer");
        Self(reader)
    }

    /// Ends as a program does.
    pub fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("it ends").success());
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("it ends");
    }
}

impl Drop for LongReader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A share, as the one who created it knows it.
pub struct TestShare<'a> {
    pub server: &'a TestServer,
    pub id: String,
    pub secret: String,
    pub url: String,
}

impl TestShare<'_> {
    pub fn path(&self, rest: &str) -> String {
        format!("/api/share/{}{rest}", self.id)
    }

    pub async fn try_sync(&self, items: &[Value]) -> (u16, Value) {
        self.server.post(&self.path("/sync"), &json!({"secret": self.secret, "data": items})).await
    }

    pub async fn sync(&self, items: &[Value]) {
        let (status, answer) = self.try_sync(items).await;
        assert_eq!((status, &answer), (200, &json!({})));
    }

    pub async fn delete(&self, secret: &str) -> u16 {
        let body = json!({"secret": secret}).to_string();
        self.server.request(Method::DELETE, &self.path(""), body).await.0
    }

    /// All items, as `/data` gives them.
    pub async fn data(&self) -> Vec<Value> {
        let (status, data) = self.server.get(&self.path("/data")).await;
        assert_eq!(status, 200, "{data}");
        data.as_array().expect("an array").clone()
    }

    pub async fn seq(&self) -> u64 {
        self.server.get(&self.path("")).await.1["seq"].as_u64().expect("seq")
    }

    pub async fn view(&self) -> TestViewer {
        self.view_from("").await
    }

    pub fn poll_url(&self, query: &str) -> String {
        format!("ws://{}{}{query}", self.server.address, self.path("/poll"))
    }

    pub async fn view_from(&self, query: &str) -> TestViewer {
        TestViewer::connect(&self.poll_url(query)).await
    }
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// A viewer that keeps what it is shown.
pub struct TestViewer {
    socket: Socket,
    pub items: BTreeMap<String, Value>,
    pub epoch: String,
    pub seq: u64,
    pub frames: usize,
    /// Bytes of all frames.
    pub bytes: usize,
    pub caught_up: bool,
    pub viewers: u64,
    /// The reason in a `closed` frame.
    pub closed: Option<String>,
    pub close_code: Option<u16>,
}

impl TestViewer {
    pub async fn connect(url: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.expect("a viewer connects");
        Self::new(socket)
    }

    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            items: BTreeMap::new(),
            epoch: String::new(),
            seq: 0,
            frames: 0,
            bytes: 0,
            caught_up: false,
            viewers: 0,
            closed: None,
            close_code: None,
        }
    }

    /// Comes back, with what it has; false when that server is not there.
    pub async fn try_reconnect(&mut self, url: &str) -> bool {
        let Ok((socket, _)) = tokio_tungstenite::connect_async(url).await else { return false };
        (self.socket, self.close_code, self.caught_up) = (socket, None, false);
        true
    }

    /// Comes back, with what it has, to a server that may still be on its way.
    pub async fn reconnect(&mut self, url: &str) {
        let mut last = String::new();
        let again = async {
            loop {
                match tokio_tungstenite::connect_async(url).await {
                    Ok((socket, _)) => return socket,
                    Err(error) => last = error.to_string(),
                }
                assert!(!last.contains("refused"), "{last}");
            }
        };
        let socket = tokio::time::timeout(PATIENCE, again).await;
        self.socket = socket.unwrap_or_else(|_| panic!("a viewer does not get through: {last}"));
        (self.close_code, self.caught_up) = (None, false);
    }

    /// Reads until the viewer is in the state that a story waits for.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let step = tokio::time::timeout(PATIENCE, self.step()).await;
            assert!(step.is_ok_and(|open| open || done(self)), "never: {what}; {} items", self.items.len());
        }
    }

    /// Reads until the server has closed the connection.
    pub async fn until_closed(&mut self) {
        while tokio::time::timeout(PATIENCE, self.step()).await.expect("closes") {}
    }

    pub async fn send(&mut self, message: Message) {
        self.socket.send(message).await.expect("sent");
    }

    /// Sends what the server may refuse before it has read all of it.
    pub async fn try_send(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    /// Reads until the viewer is in the state that a story waits for; false when its connection ends before, in any
    /// way.
    pub async fn until_or_lost(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            let step = tokio::time::timeout(PATIENCE, self.try_step()).await.expect("something happens");
            if !step.unwrap_or(false) {
                return done(self);
            }
        }
        true
    }

    /// Reads one message; false at the end.
    async fn step(&mut self) -> bool {
        self.try_step().await.expect("a connection ends with a close code")
    }

    async fn try_step(&mut self) -> Result<bool, tungstenite::Error> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => {
                self.bytes += text.len();
                self.take(&serde_json::from_str(&text).expect("JSON"));
            }
            Some(Ok(Message::Close(frame))) => self.close_code = frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(tungstenite::Error::ConnectionClosed)) | None => return Ok(false),
            Some(Err(error)) => return if self.close_code.is_some() { Ok(false) } else { Err(error) },
        }
        Ok(true)
    }

    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str() {
            Some("items") => {
                self.frames += 1;
                let epoch = frame["epoch"].as_str().expect("epoch");
                if self.epoch != epoch {
                    self.items.clear();
                    epoch.clone_into(&mut self.epoch);
                }
                for item in frame["items"].as_array().expect("items") {
                    let key = item["key"].as_str().expect("key");
                    if item["append"].is_object() {
                        self.append(key, &item["append"]);
                        continue;
                    }
                    let kind = item["type"].as_str().expect("type");
                    assert_eq!(key.split('/').next(), Some(kind));
                    self.items.insert(key.to_owned(), item["data"].clone());
                }
                for key in frame["removed"].as_array().expect("removed") {
                    self.items.remove(key.as_str().expect("key"));
                }
                let seq = frame["seq"].as_u64().expect("seq");
                assert!(seq >= self.seq, "a position never goes back");
                self.seq = seq;
                self.caught_up = frame["more"] == json!(false);
            }
            Some("viewers") => self.viewers = frame["count"].as_u64().expect("count"),
            Some("closed") => self.closed = frame["reason"].as_str().map(ToOwned::to_owned),
            other => panic!("unknown frame {other:?}"),
        }
    }
}

impl TestViewer {
    fn append(&mut self, key: &str, append: &Value) {
        let item = self.items.get_mut(key).expect("an append is to what is there");
        let field = item.pointer_mut(append["path"].as_str().expect("a path")).expect("a field");
        let older = field.as_str().expect("a text");
        assert_eq!(append["at"].as_u64(), Some(older.encode_utf16().count() as u64));
        *field = json!(format!("{older}{}", append["text"].as_str().expect("a text")));
    }
}

/// A part of a message, of kind text.
pub fn part(message: &str, id: &str, text: &str) -> Value {
    let time = json!({"start": 1, "end": 2});
    json!({"type": "part", "data": {"id": id, "messageID": message, "type": "text", "text": text, "time": time}})
}

/// A message.
pub fn message(id: &str, created: u64) -> Value {
    json!({"type": "message", "data": {"id": id, "role": "assistant", "time": {"created": created}}})
}

/// The session itself.
pub fn session(title: &str) -> Value {
    json!({"type": "session", "data": {"id": "ses_1", "title": title}})
}

/// The batches of the recorded session.
pub fn recorded_batches() -> Vec<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/opencode-session.jsonl");
    let text = std::fs::read_to_string(path).expect("the fixture");
    let requests = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    requests.filter_map(|request| request["body"]["data"].as_array().cloned()).collect()
}
