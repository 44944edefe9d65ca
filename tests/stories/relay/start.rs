//! A relay that nobody started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::relay::on_a_plain_network;
use crate::harness::{TestServer, program};

/// A user, with what was started for them: it ends with the story.
struct User {
    home: TempDir,
    server: String,
}

impl User {
    fn new(server: &str) -> Self {
        Self { home: TempDir::new().expect("a home"), server: server.to_owned() }
    }

    fn local_dir(&self) -> PathBuf {
        self.home.path().join("state/brutus-share/relay")
    }

    /// A command in a world in which there is nothing but the user's home.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        on_a_plain_network(&mut command)
            .args(args)
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.home.path().join("state"))
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            .env("BRUTUS_SHARE_API_URL", &self.server)
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env_remove("CLAUDE_CONFIG_DIR");
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        said(self.command(args).output().expect("runs"))
    }

    fn relay(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.local_dir().join("relay.json")).ok()?).ok()
    }

    /// Ends the relay, by a signal.
    fn end(&self, signal: &str) {
        let Some(pid) = self.relay().and_then(|relay| relay["pid"].as_u64()) else { return };
        let _ = Command::new("kill").args([signal, &pid.to_string()]).status();
        // It is no child of this process.
        while Path::new(&format!("/proc/{pid}")).exists() && !is_zombie(pid) {
            std::thread::yield_now();
        }
    }
}

/// Whether a process has ended, and its parent has not heard of that yet.
fn is_zombie(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

impl Drop for User {
    fn drop(&mut self) {
        self.end("-KILL");
    }
}

fn said(Output { status, stdout, stderr }: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

#[test]
fn a_share_starts_the_relay_that_it_needs_and_it_stays() {
    let server = TestServer::start(&[]);
    let user = User::new(&server.url);
    let (code, said, error) = user.run(&["share", "ses_1", "--from-now", "--no-start"]);
    assert!(code == 3 && said.is_empty() && error.contains("no relay answers"), "{error}");
    assert_eq!(user.relay(), None);

    let (code, url, error) = user.run(&["share", "ses_1", "--from-now"]);
    assert!(code == 0 && url.starts_with(&format!("{}/s/", server.url)), "{url}{error}");
    let relay = user.relay().expect("a relay");
    assert_eq!(user.run(&["share", "ses_1", "--from-now"]).1, url, "the same");
    assert_eq!(user.relay().as_ref(), Some(&relay), "by the same relay");
    let (code, listed, _) = user.run(&["list"]);
    assert!(code == 0 && listed.contains(url.trim()), "{listed}");
    let log = fs::read_to_string(user.local_dir().join("relay.log")).expect("its log");
    assert!(log.contains("listening on"), "{log}");
}

#[test]
fn several_starts_at_once_start_one_relay() {
    let server = TestServer::start(&[]);
    let user = User::new(&server.url);
    let start = |n: usize| {
        let session = format!("ses_{n}");
        let mut command = user.command(&["share", &session, "--from-now"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    };
    let started: Vec<_> = (0..4).map(start).collect();
    for share in started {
        let (code, url, error) = said(share.wait_with_output().expect("ends"));
        assert!(code == 0 && url.starts_with(&server.url), "{url}{error}");
    }
    let (_, listed, _) = user.run(&["list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(4), "one relay knows all of them");
}

#[test]
fn what_a_relay_that_was_killed_left_behind_is_not_believed() {
    let server = TestServer::start(&[]);
    let user = User::new(&server.url);
    let (_, url, _) = user.run(&["share", "ses_1", "--from-now"]);
    let killed = user.relay().expect("a relay");
    user.end("-KILL");
    assert_eq!(user.relay().as_ref(), Some(&killed), "its file is still there");
    let (code, _, error) = user.run(&["share", "ses_1", "--no-start"]);
    assert!(code == 3, "{error}");
    let (code, again, error) = user.run(&["share", "ses_1"]);
    assert_eq!((code, &again), (0, &url), "{error}");
    assert_ne!(user.relay().expect("a relay")["pid"], killed["pid"]);
}

#[test]
fn a_relay_that_was_named_is_never_started() {
    let server = TestServer::start(&[]);
    let user = User::new(&server.url);
    fs::create_dir_all(user.local_dir()).expect("a directory");
    for (args, env) in [(&["--relay", "http://127.0.0.1:1"][..], None), (&[], Some("http://127.0.0.1:1"))] {
        let mut command = user.command(&["share", "ses_1", "--from-now"]);
        command.args(args).envs(env.map(|relay| ("BRUTUS_SHARE_RELAY", relay)));
        let (code, _, error) = said(command.output().expect("runs"));
        assert!(code == 3, "{error}");
    }
    assert_eq!(user.relay(), None);
}

#[test]
fn a_start_that_fails_says_where_the_log_is() {
    let user = User::new("http://198.51.100.7");
    let (code, _, error) = user.run(&["share", "ses_1", "--from-now"]);
    let log = user.local_dir().join("relay.log");
    assert!(code == 3 && error.contains(&log.display().to_string()), "{error}");
    assert!(fs::read_to_string(log).expect("a log").contains("--insecure-http"));
}

#[test]
fn a_relay_that_is_started_finds_its_server_where_setup_wrote_it() {
    let server = TestServer::start(&[]);
    let user = User::new(&server.url);
    let without =
        |args: &[&str]| said(user.command(args).env_remove("BRUTUS_SHARE_API_URL").output().expect("runs"));
    let (code, _, error) = without(&["setup", "brutus", "--server", &server.url]);
    assert_eq!(code, 0, "{error}");
    let (code, url, error) = without(&["share", "ses_1", "--from-now"]);
    assert!(code == 0 && url.starts_with(&server.url), "{url}{error}");
}

#[test]
fn a_tool_starts_the_relay_that_it_needs() {
    use std::io::{BufRead, BufReader, Write};

    let server = TestServer::start(&[]);
    let user = User::new(&server.url);
    let mut mcp = user.command(&["mcp"]);
    let mut mcp = mcp.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut input = mcp.stdin.take().expect("piped");
    let mut output = BufReader::new(mcp.stdout.take().expect("piped")).lines();
    let mut ask = |question: Value| {
        writeln!(input, "{question}").expect("written");
        if question["id"].is_null() { String::new() } else { output.next().expect("a line").expect("text") }
    };
    let client = json!({"name": "test", "version": "1"});
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    ask(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}));
    ask(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let call = json!({"name": "list_shares", "arguments": {}});
    let answer = ask(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}));
    assert!(answer.contains("No session is shared."), "{answer}");
    assert!(user.relay().is_some());
    drop(input);
    mcp.wait().expect("it ends");
    assert_eq!(user.run(&["list"]).0, 0, "the relay outlives it");
}

/// A `systemctl` that knows the relay's unit, and starts what the unit would.
#[test]
fn where_systemd_knows_the_unit_it_is_asked_to_start_it() {
    use std::os::unix::fs::PermissionsExt;

    let server = TestServer::start(&[]);
    let user = User::new(&server.url);
    let bin = user.home.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let systemctl = bin.join("systemctl");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>'{0}/asked'\ncase \"$*\" in *show*) echo loaded;; *' start '*) \
         '{1}' relay --listen 127.0.0.1:0 >/dev/null 2>&1 & ;; esac\n",
        user.home.path().display(),
        env!("CARGO_BIN_EXE_brutus-share"),
    );
    fs::write(&systemctl, script).expect("written");
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let mut share = user.command(&["share", "ses_1", "--from-now"]);
    let (code, url, error) = said(share.env("PATH", path).output().expect("runs"));
    assert!(code == 0 && url.starts_with(&server.url), "{url}{error}");
    let asked = fs::read_to_string(user.home.path().join("asked")).expect("asked");
    assert!(asked.contains("start brutus-share-relay.socket brutus-share-relay.service"), "{asked}");
    assert!(!user.local_dir().join("relay.log").exists(), "no other was started");
}

#[test]
fn a_relay_takes_the_socket_that_systemd_holds() {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;

    use crate::harness::TestProcess;

    let user = User::new("http://127.0.0.1:1");
    let held = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let url = format!("http://{}", held.local_addr().expect("an address"));
    let mut relay = Command::new("bash");
    let start = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@""#;
    relay.args(["-c", start, "bash", env!("CARGO_BIN_EXE_brutus-share"), "relay"]);
    relay.args(["--listen", "127.0.0.1:1", "--local-dir"]).arg(user.local_dir());
    let relay = TestProcess::start(on_a_plain_network(&mut relay).stdin(Stdio::from(OwnedFd::from(held))));
    assert_eq!(relay.url, url);
    assert_eq!(user.relay().expect("a relay")["address"], url.as_str());
}

#[test]
fn a_port_that_is_taken_is_no_reason_not_to_start_when_any_will_do() {
    use std::net::TcpListener;

    use crate::harness::TestProcess;

    let user = User::new("http://127.0.0.1:1");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, error) = user.run(&["relay", "--listen", &address]);
    assert!(code == 1 && error.contains("cannot listen"), "{error}");
    let relay = TestProcess::start(&mut user.command(&["relay", "--listen", &address, "--any-port"]));
    assert!(relay.url.starts_with("http://127.0.0.1:") && relay.url != format!("http://{address}"));
}
