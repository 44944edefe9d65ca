//! A relay process, and an agent that reports to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use awc::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, TestProcess, client, program};

/// A running `brutus-share relay`.
pub struct TestRelay {
    process: TestProcess,
    pub url: String,
    dir: Arc<TempDir>,
    api_url: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// What may stand in the environment of whoever runs the stories, and sends a relay elsewhere.
const NETWORK: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A command without what the environment says about networks.
pub fn on_a_plain_network(command: &mut Command) -> &mut Command {
    NETWORK.iter().fold(command, |command, name| command.env_remove(name))
}

impl TestRelay {
    /// Starts a relay with a local directory of its own, quick to send and to try again.
    pub fn start(api_url: &str, args: &[&str]) -> Self {
        Self::start_with_env(api_url, args, &[])
    }

    /// Like `start`, with an environment of its own.
    pub fn start_with_env(api_url: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = Arc::new(TempDir::new().expect("a temporary directory"));
        let args = args.iter().map(ToString::to_string).collect();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::spawn(api_url.to_owned(), dir, args, env.collect())
    }

    fn spawn(api_url: String, dir: Arc<TempDir>, args: Vec<String>, env: Vec<(String, String)>) -> Self {
        let process = TestProcess::start(
            on_a_plain_network(&mut program())
                // What agents of whoever runs the stories keep is nobody's business.
                .env("HOME", dir.path())
                .env_remove("CLAUDE_CONFIG_DIR")
                .env_remove("CODEX_HOME")
                .env_remove("PI_CODING_AGENT_DIR")
                .env_remove("XDG_DATA_HOME")
                .envs(env.iter().map(|(name, value)| (name, value)))
                .args(["relay", "--listen", "127.0.0.1:0", "--api-url", &api_url, "--interval", "50ms"])
                .args(["--max-backoff", "200ms", "--log", "debug", "--local-dir"])
                .arg(dir.path().join("local"))
                .args(&args),
        );
        Self { url: process.url.clone(), process, dir, api_url, args, env }
    }

    /// The home of the user beside whose agents this relay runs.
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    pub fn local_dir(&self) -> PathBuf {
        self.dir.path().join("local")
    }

    pub fn token(&self) -> String {
        std::fs::read_to_string(self.local_dir().join("token")).expect("a token")
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Asks the relay to end, and waits for that.
    pub fn terminate(&mut self) -> Option<i32> {
        self.process.signal("-TERM");
        self.process.wait().code()
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// A new process on the same directory, once this one has ended.
    pub fn restart(&mut self) {
        let (args, env) = (std::mem::take(&mut self.args), std::mem::take(&mut self.env));
        *self = Self::spawn(self.api_url.clone(), self.dir.clone(), args, env);
    }

    /// Like `restart`, with another server for new shares.
    pub fn restart_on(&mut self, api_url: &str) {
        api_url.clone_into(&mut self.api_url);
        self.restart();
    }

    /// Like `restart_on`, with other options.
    pub fn restart_with(&mut self, api_url: &str, args: &[&str]) {
        self.args = args.iter().map(ToString::to_string).collect();
        self.restart_on(api_url);
    }

    pub async fn request(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = client()
            .request(method, format!("{}{path}", self.url))
            .insert_header(("authorization", format!("Bearer {}", self.token())));
        let mut answer = if body.is_null() { request.send().await } else { request.send_json(body).await }
            .expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Runs a command on it: its exit code, and what it says on both streams.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = program()
            .args(args)
            .args(["--relay", &self.url, "--local-dir"])
            .arg(self.local_dir())
            .output()
            .expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code().expect("a code"), text(stdout), text(stderr))
    }

    /// Shares a session with what it holds so far, if anything; gives the share's id.
    pub async fn share(&self, session: &str, backlog: &[Value]) -> String {
        let body = json!({"data": backlog, "empty": true});
        let (status, shared) =
            self.request(Method::POST, &format!("/v1/sessions/{session}/share"), &body).await;
        assert_eq!(status, 200, "{shared}");
        assert!(shared["url"].as_str().is_some_and(|url| url.ends_with(shared["id"].as_str().expect("id"))));
        shared["id"].as_str().expect("id").to_owned()
    }

    pub async fn unshare(&self, session: &str) -> u16 {
        self.request(Method::DELETE, &format!("/v1/sessions/{session}/share"), &Value::Null).await.0
    }

    /// Reports events; gives how many were accepted.
    pub async fn report(&self, events: &[Value]) -> u64 {
        let (status, answer) = self.request(Method::POST, "/v1/events", &json!(events)).await;
        assert_eq!(status, 202, "{answer}");
        answer["accepted"].as_u64().expect("a number")
    }

    pub async fn flush(&self, session: &str) -> (u16, Value) {
        self.request(Method::POST, &format!("/v1/sessions/{session}/flush"), &Value::Null).await
    }

    /// Flushes until it works: the server or the way to it may be broken now and then.
    pub async fn flush_through(&self, session: &str) {
        let flushed = async {
            while self.flush(session).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(3 * PATIENCE, flushed)
            .await
            .unwrap_or_else(|_| panic!("never flushed\n{}", self.log()));
    }

    pub async fn list(&self) -> Vec<Value> {
        let (status, list) = self.request(Method::GET, "/v1/shares", &Value::Null).await;
        assert_eq!(status, 200);
        list.as_array().expect("a list").clone()
    }
}

/// `part.updated` of a text part that is whole.
pub fn part_event(session: &str, message: &str, id: &str, text: &str) -> Value {
    let time = json!({"start": 1, "end": 2});
    let data = json!({"id": id, "messageID": message, "sessionID": session, "type": "text", "text": text,
        "time": time});
    json!({"type": "part.updated", "sessionID": session, "data": data})
}
