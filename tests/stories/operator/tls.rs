//! TLS: in the server itself, and by the proxies that stand in front of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::operate;
use crate::harness::postgres::Postgres;
use crate::harness::{PATIENCE, TestServer, free_address, session};

/// A certificate for this machine, and its key.
pub fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "1",
        ])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (cert, key)
}

/// One request by curl, which trusts one certificate alone; `None` when it does not get that far.
fn curl(cert: &Path, args: &[&str]) -> Option<Value> {
    let output = Command::new("curl")
        // From another address than a proxy here has: its own would be a trusted one.
        .args(["--silent", "--show-error", "--max-time", "20", "--interface", "127.0.0.2", "--cacert"])
        .arg(cert)
        .args(args)
        .output()
        .expect("curl is installed");
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// Creates a share at a base URL, syncs it, and watches it by WebSocket through whatever is in between.
fn share_and_watch(cert: &Path, base: &str) -> Value {
    let share =
        curl(cert, &["--data", r#"{"sessionID":"s"}"#, &format!("{base}/api/share")]).expect("an answer");
    let path = format!("{base}/api/share/{}", share["id"].as_str().unwrap_or_else(|| panic!("{share}")));
    let body = json!({"secret": share["secret"], "data": [session("through")]}).to_string();
    assert_eq!(curl(cert, &["--data", &body, &format!("{path}/sync")]), Some(json!({})));
    // Node's WebSocket, as a browser's: it goes on until a frame has the session in it.
    let script = "const [url, sync, body] = process.argv.slice(1)
        const socket = new WebSocket(url)
        socket.onerror = () => { console.log('error'); process.exit(1) }
        let frames = 0
        socket.onmessage = async ({ data }) => {
          if (!data.includes('through')) return
          frames += 1
          if (frames === 1) await fetch(sync, { method: 'POST', body })
          else { console.log(data); process.exit(0) }
        }";
    let again = json!({"secret": share["secret"], "data": [session("through again")]}).to_string();
    let output = Command::new("node")
        .args(["--experimental-websocket", "-e", script, "--"])
        .args([&format!("{path}/poll").replacen("http", "ws", 1), &format!("{path}/sync"), &again])
        .env("NODE_EXTRA_CA_CERTS", cert)
        .output()
        .expect("node is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("through again"), "{said} {}", String::from_utf8_lossy(&output.stderr));
    share
}

#[actix_web::test]
async fn the_server_speaks_tls_and_takes_a_new_certificate_while_it_runs() {
    let dir = TempDir::new().expect("a directory");
    let (cert, key) = certificate(dir.path(), "one");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let server = TestServer::start(&["--tls-cert", &text(&cert), "--tls-key", &text(&key)]);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let first = dir.path().join("first.pem");
    fs::copy(&cert, &first).expect("copied");
    let share = share_and_watch(&first, &server.url);
    assert!(share["url"].as_str().expect("a link").starts_with("https://"));
    let head =
        Command::new("curl").args(["--silent", "--head", "--cacert"]).arg(&first).arg(&server.url).output();
    let head = String::from_utf8(head.expect("curl is installed").stdout).expect("UTF-8");
    assert!(head.contains("strict-transport-security: max-age="), "{head}");

    let (new_cert, new_key) = certificate(dir.path(), "two");
    let reload = async |said: &str| {
        server.signal("-HUP");
        let told = async {
            while !server.log().contains(said) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("the server says so");
    };
    // A key that does not fit changes nothing.
    fs::copy(&new_key, &key).expect("copied");
    reload("everything stays as it was").await;
    let health = format!("{}/healthz", server.url);
    assert!(curl(&first, &[&health]).is_some());
    fs::copy(&new_cert, &cert).expect("copied");
    reload("are read again").await;
    assert!(curl(&first, &[&health]).is_none());
    assert!(curl(&new_cert, &[&health]).is_some());
}

/// A proxy, killed at the end.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An example that operators get, with the addresses and files of a story in the place of its own.
fn example(name: &str, places: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/examples").join(name);
    let mut text = fs::read_to_string(path).expect("the example");
    for (place, value) in places {
        assert!(text.contains(place), "{name} has {place}");
        text = text.replace(place, value);
    }
    text
}

async fn until_it_listens(port: u16) {
    let listens = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, listens).await.expect("the proxy listens");
}

/// What a proxy in front of `server` has to do: HTTP, WebSocket, and whom it asks for.
fn works_through(cert: &Path, port: u16, server: &TestServer) -> Value {
    let base = format!("https://localhost:{port}");
    let share = share_and_watch(cert, &base);
    // Who writes the header itself gets no other name by that: three creates of this address are one too many.
    let made_up = ["--header", "X-Forwarded-For: 198.51.100.1", "--data", r#"{"sessionID":"s"}"#];
    let create = |args: &[&str]| {
        curl(cert, &[args, &[format!("{base}/api/share").as_str()]].concat()).expect("an answer")
    };
    assert!(create(&made_up)["id"].is_string());
    assert_eq!(create(&made_up)["error"]["code"], "too_many_creates");
    let shares = operate(&server.data_dir(), &["admin", "stats", "--json"]).expect("statistics");
    assert_eq!(serde_json::from_str::<Value>(&shares).expect("JSON")["shares"], 2);
    share
}

const BEHIND: [&str; 4] = ["--trusted-proxies", "127.0.0.1,::1", "--create-limit", "2/h"];

#[actix_web::test]
async fn nginx_stands_in_front_as_its_example_says() {
    let dir = TempDir::new().expect("a directory");
    let (cert, key) = certificate(dir.path(), "nginx");
    let server = TestServer::start(&BEHIND);
    let port = free_address().port();
    let log = dir.path().join("access.log");
    let site = example(
        "nginx.conf",
        &[
            ("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl")),
            ("server_name share.example", "server_name localhost"),
            ("/etc/letsencrypt/live/share.example/fullchain.pem", cert.to_str().expect("UTF-8")),
            ("/etc/letsencrypt/live/share.example/privkey.pem", key.to_str().expect("UTF-8")),
            ("/var/log/nginx/share.log", log.to_str().expect("UTF-8")),
            ("http://127.0.0.1:8090", &server.url),
        ],
    );
    let text = dir.path().display().to_string();
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {text}/pid;\nerror_log {text}/error.log;\nevents {{}}\nhttp {{\n\
         client_body_temp_path {text}/body;\nproxy_temp_path {text}/proxy;\nfastcgi_temp_path {text}/f;\n\
         uwsgi_temp_path {text}/u;\nscgi_temp_path {text}/s;\n{site}\n}}\n"
    );
    let file = dir.path().join("nginx.conf");
    fs::write(&file, whole).expect("written");
    let _proxy = Proxy(
        Command::new("/usr/sbin/nginx")
            .arg("-e")
            .arg(dir.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .spawn()
            .expect("nginx is installed"),
    );
    until_it_listens(port).await;
    let share = works_through(&cert, port, &server);
    // A large body, as the server takes it.
    let body =
        json!({"secret": share["secret"], "data": [{"type": "x", "data": {"text": "x".repeat(10 << 20)}}]});
    let file = dir.path().join("large");
    fs::write(&file, body.to_string()).expect("written");
    let url = format!("https://localhost:{port}/api/share/{}/sync", share["id"].as_str().expect("an id"));
    assert_eq!(curl(&cert, &["--data-binary", &format!("@{}", file.display()), &url]), Some(json!({})));
    let log = fs::read_to_string(log).expect("the access log");
    assert!(
        log.contains("\"POST /api/share/...\" 200") && !log.contains(share["id"].as_str().expect("an id")),
        "{log}"
    );
}

#[actix_web::test]
async fn caddy_stands_in_front_as_its_example_says() {
    let dir = TempDir::new().expect("a directory");
    let (cert, key) = certificate(dir.path(), "caddy");
    let server = TestServer::start(&BEHIND);
    let port = free_address().port();
    // Its own certificates come from an authority, which is not here.
    let tls = format!("https://localhost:{port} {{\n\ttls {} {}", cert.display(), key.display());
    let site = example("Caddyfile", &[("share.example {", &tls), ("127.0.0.1:8090", &server.address)]);
    let file = dir.path().join("Caddyfile");
    fs::write(&file, format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}"))
        .expect("written");
    let _proxy = Proxy(
        Command::new("caddy")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("HOME", dir.path())
            .env("XDG_DATA_HOME", dir.path())
            .env("XDG_CONFIG_HOME", dir.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("caddy is installed"),
    );
    until_it_listens(port).await;
    works_through(&cert, port, &server);
}

#[actix_web::test]
async fn haproxy_stands_in_front_of_two_nodes_as_its_example_says() {
    let dir = TempDir::new().expect("a directory");
    let (cert, key) = certificate(dir.path(), "haproxy");
    let both = [&cert, &key].map(|path| fs::read_to_string(path).expect("PEM")).concat();
    let pem = dir.path().join("both.pem");
    fs::write(&pem, both).expect("written");
    let postgres = Postgres::start();
    let database = postgres.create("share");
    let mut one = TestServer::start(&["--trusted-proxies", "127.0.0.1", "--store", &database]);
    let two = one.beside();
    let port = free_address().port();
    let configuration = example(
        "haproxy.cfg",
        &[
            ("bind :443", &format!("bind 127.0.0.1:{port}")),
            ("/etc/haproxy/share.pem", pem.to_str().expect("UTF-8")),
            ("10.0.0.1:8090", &one.address),
            ("10.0.0.2:8090", &two.address),
        ],
    );
    let file = dir.path().join("haproxy.cfg");
    fs::write(&file, configuration).expect("written");
    let log = dir.path().join("log");
    let _proxy = Proxy(
        Command::new("/usr/sbin/haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("haproxy is installed"),
    );
    until_it_listens(port).await;
    let base = format!("https://localhost:{port}");
    // Each of its own at one node, all of them at both. Its random id tells which, and once in 128 runs the first eight
    // are at the same node.
    let mut shares = Vec::new();
    while shares.len() < 8 || ![&one, &two].iter().all(|node| node.log().contains("/sync")) {
        assert!(shares.len() < 64, "one node takes them all: {}", one.log());
        shares.push(share_and_watch(&cert, &base));
    }
    one.kill();
    for share in &shares {
        let id = share["id"].as_str().expect("an id");
        let body = json!({"secret": share["secret"], "data": [session("after")]}).to_string();
        let path = format!("{base}/api/share/{id}");
        assert_eq!(curl(&cert, &["--data", &body, &format!("{path}/sync")]), Some(json!({})));
        let data = curl(&cert, &[&format!("{path}/data")]).expect("an answer");
        assert_eq!(data[0]["data"]["title"], "after");
        assert!(!fs::read_to_string(&log).expect("the log").contains(id));
    }
}
