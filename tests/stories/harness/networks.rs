//! The networks between a relay and its server: a company's proxy, its own certificate authority, what sends from
//! `http` to `https`, and connections that die in the pool.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::hostile::response;

/// A certificate authority, and the certificate that it gave to `localhost` and some names.
pub struct Authority {
    dir: TempDir,
}

impl Authority {
    /// Makes both.
    pub fn new(names: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory");
        let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
        openssl(
            &[
                &[
                    "req",
                    "-x509",
                    "-subj",
                    "/CN=A company",
                    "-keyout",
                    &path("ca.key"),
                    "-out",
                    &path("ca.pem"),
                ],
                &key[..],
            ]
            .concat(),
        );
        let names: Vec<_> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let names = format!("subjectAltName=IP:127.0.0.1,DNS:localhost,{}", names.join(","));
        openssl(
            &[
                &["req", "-x509", "-subj", "/CN=server", "-CA", &path("ca.pem"), "-CAkey", &path("ca.key")][..],
                &["-addext", "basicConstraints=critical,CA:FALSE", "-addext", names.trim_end_matches(',')],
                &["-keyout", &path("server.key"), "-out", &path("server.pem")],
                &key[..],
            ]
            .concat(),
        );
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// The authority's certificate.
    pub fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// The options of a server that has the certificate.
    pub fn server(&self) -> [String; 4] {
        ["--tls-cert".into(), self.path("server.pem"), "--tls-key".into(), self.path("server.key")]
    }

    /// A file in the authority's directory.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("written");
        path
    }

    fn config(&self) -> Arc<ServerConfig> {
        let read = |name: &str| PathBuf::from(self.path(name));
        let chain = CertificateDer::pem_file_iter(read("server.pem")).expect("PEM");
        let chain = chain.collect::<Result<_, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(read("server.key")).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        Arc::new(config.expect("they fit"))
    }
}

fn openssl(args: &[&str]) {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The head of a message, without anything that follows it.
fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A header of a head.
fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// A proxy as companies have it: it knows names that nobody else does, and may want a name and a password.
pub struct CompanyProxy {
    /// `HOST:PORT`
    pub address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Rules {
    names: Vec<(String, String)>,
    authorization: Option<String>,
    refuses: bool,
}

impl CompanyProxy {
    /// Starts a proxy that leads `name:port` to an address.
    pub fn start(names: &[(&str, &str)]) -> Self {
        Self::spawn(names, None, false, None)
    }

    /// A proxy that wants `Proxy-Authorization` to be this.
    pub fn with_password(names: &[(&str, &str)], authorization: &str) -> Self {
        Self::spawn(names, Some(authorization.to_owned()), false, None)
    }

    /// A proxy that leads nowhere.
    pub fn refusing() -> Self {
        Self::spawn(&[], None, true, None)
    }

    /// A proxy that speaks TLS itself.
    pub fn over_tls(names: &[(&str, &str)], authority: &Authority) -> Self {
        Self::spawn(names, None, false, Some(authority.config()))
    }

    fn spawn(
        names: &[(&str, &str)],
        authorization: Option<String>,
        refuses: bool,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address").to_string();
        let names = names.iter().map(|(name, to)| ((*name).to_owned(), (*to).to_owned())).collect();
        let rules = Arc::new(Rules { names, authorization, refuses });
        let asked = Arc::new(Mutex::new(Vec::new()));
        let sink = asked.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rules, asked, tls) = (rules.clone(), sink.clone(), tls.clone());
                thread::spawn(move || match tls {
                    Some(tls) => serve_over_tls(client, &tls, &rules, &asked),
                    None => serve(client, &rules, &asked),
                });
            }
        });
        Self { address, asked }
    }

    /// The first lines of what it was asked.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// TLS is taken off on a connection of its own, so that both directions can wait.
fn serve_over_tls(client: TcpStream, tls: &Arc<ServerConfig>, rules: &Rules, asked: &Mutex<Vec<String>>) {
    let inner = TcpListener::bind("127.0.0.1:0").expect("binds");
    let Ok(mut plain) = TcpStream::connect(inner.local_addr().expect("an address")) else { return };
    let Ok((served, _)) = inner.accept() else { return };
    let connection = ServerConnection::new(tls.clone()).expect("a connection");
    let Ok(reading) = client.try_clone() else { return };
    let mut stream = StreamOwned::new(connection, client);
    thread::scope(|scope| {
        scope.spawn(|| serve(served, rules, asked));
        // What both sides say alternates here: whoever has something is heard within a moment.
        let moment = Some(std::time::Duration::from_millis(5));
        let _ = (reading.set_read_timeout(moment), plain.set_read_timeout(moment));
        let mut piece = [0; 16384];
        let waits = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        };
        loop {
            match stream.read(&mut piece) {
                Ok(read @ 1..) => drop(plain.write_all(&piece[..read])),
                Err(error) if waits(&error) => {}
                _ => break,
            }
            match plain.read(&mut piece) {
                Ok(read @ 1..) => drop(stream.write_all(&piece[..read])),
                Err(error) if waits(&error) => {}
                _ => break,
            }
        }
        let _ = (plain.shutdown(Shutdown::Both), reading.shutdown(Shutdown::Both));
    });
}

fn serve(mut client: TcpStream, rules: &Rules, asked: &Mutex<Vec<String>>) {
    let Some(head) = read_head(&mut client) else { return };
    let line = head.lines().next().unwrap_or_default().to_owned();
    asked.lock().unwrap().push(line.clone());
    let mut refuse = |status: &str| {
        let _ = client.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
    };
    if rules.refuses {
        return refuse("403 Forbidden");
    }
    if rules.authorization.is_some() && header(&head, "proxy-authorization") != rules.authorization {
        return refuse("407 Proxy Authentication Required");
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let tunnels = method == "CONNECT";
    let host = target.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or(target);
    let Some((_, to)) = rules.names.iter().find(|(name, _)| name == host) else {
        return refuse("502 Bad Gateway");
    };
    let Ok(mut server) = TcpStream::connect(to) else { return refuse("502 Bad Gateway") };
    let begun = if tunnels {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
    } else {
        // A server takes the whole URL too.
        server.write_all(head.as_bytes())
    };
    if begun.is_ok() {
        join(&client, &server);
    }
}

/// Passes on what both sides say, until one has ended.
fn join(client: &TcpStream, server: &TcpStream) {
    thread::scope(|scope| {
        for (mut from, mut to) in [(client, server), (server, client)] {
            scope.spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            });
        }
    });
}

/// What answers on port 80 of a server that is to be used over TLS: it sends everybody there, and does nothing else.
pub fn redirect_to(server: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (server, seen) = (server.to_owned(), Arc::new(Mutex::new(Vec::new())));
    let sink = seen.clone();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Some(head) = read_head(&mut client) else { continue };
            let line = head.lines().next().unwrap_or_default().to_owned();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let _ = client.read_exact(&mut vec![0; length]);
            sink.lock().unwrap().push(line);
            let location = format!("location: {server}{path}\r\n");
            let answer = response("308 Permanent Redirect", &location, "");
            let _ = client.write_all(answer.as_bytes());
        }
    });
    (url, seen)
}

/// How a connection ends that was used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By an end of its bytes, with its next request.
    Closed,
    /// By a reset, with its next request: nobody knows the connection any more.
    Reset,
    /// Without a word: what comes is taken, and nothing is ever answered.
    Silent,
}

/// Stands before a server. Each connection takes one request and stays open; its next one kills it.
pub struct Forgetful {
    pub url: String,
    killed: Arc<AtomicUsize>,
}

impl Forgetful {
    /// Starts it before `server`, which is `HOST:PORT`.
    pub fn start(server: &str, death: Death) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (server, killed) = (server.to_owned(), Arc::new(AtomicUsize::new(0)));
        let count = killed.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, killed) = (server.clone(), count.clone());
                thread::spawn(move || take_one(client, &server, death, &killed));
            }
        });
        Self { url, killed }
    }

    /// How many requests met a connection that was dead.
    pub fn killed(&self) -> usize {
        self.killed.load(Ordering::SeqCst)
    }
}

fn take_one(mut client: TcpStream, server: &str, death: Death, killed: &AtomicUsize) {
    let Some(head) = read_head(&mut client) else { return };
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    let Ok(mut upstream) = TcpStream::connect(server) else { return };
    if client.read_exact(&mut body).is_err()
        || upstream.write_all(&[head.as_bytes(), &body].concat()).is_err()
    {
        return;
    }
    let Some(head) = read_head(&mut upstream) else { return };
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if upstream.read_exact(&mut body).is_err()
        || client.write_all(&[head.as_bytes(), &body].concat()).is_err()
    {
        return;
    }
    // Its next request is seen to come.
    let mut first = [0];
    if matches!(client.peek(&mut first), Ok(1)) {
        killed.fetch_add(1, Ordering::SeqCst);
        if death == Death::Silent {
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        }
        // What is left unread makes the kernel reset the connection.
        if death == Death::Closed
            && let Some(head) = read_head(&mut client)
        {
            let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let _ = client.read_exact(&mut vec![0; length]);
        }
    }
}
