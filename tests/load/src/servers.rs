//! Every server that can be measured, started with nothing in it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Result;
use crate::process::{Server, Usage};
use crate::target::{Target, batched, redis, share, subject, topic};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// brutus-share.
    Ours,
    /// nginx with the Nchan module.
    Nchan,
    /// uWebSockets, by socketify.
    Uwebsockets,
    /// Cloudflare's workerd with a Durable Object a channel.
    Workerd,
    /// The server of packaging/cloudflare, by workerd.
    Cloudflare,
    /// NATS: subjects for viewers, a key-value bucket for items.
    Nats,
    /// Redis with an append-only file, synced always.
    Redis,
    /// actix-web with nothing behind it.
    Bare,
}

impl Kind {
    /// The name in tables and of the script that starts it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "brutus-share",
            Self::Nchan => "nchan",
            Self::Uwebsockets => "uwebsockets",
            Self::Workerd => "workerd",
            Self::Cloudflare => "cloudflare",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Bare => "bare actix",
        }
    }
}

/// How servers are started.
#[derive(Debug, Clone, clap::Args)]
pub struct Programs {
    /// The brutus-share program
    #[arg(long, default_value = "target/release/brutus-share")]
    pub program: PathBuf,
    /// An earlier build of it, to be measured in turns with it
    #[arg(long)]
    pub before: Option<PathBuf>,
    /// The directory of the scripts that start the others
    #[arg(long, default_value = "tests/load/peers")]
    pub peers: PathBuf,
    /// A library that brutus-share and SQLite are started with (`LD_PRELOAD`), to make the disk slower
    #[arg(long)]
    pub preload: Option<PathBuf>,
}

/// A running server with a directory of its own.
pub struct Started {
    kind: Kind,
    server: Server,
    _dir: TempDir,
}

impl Programs {
    /// Starts a server. `env` goes to it; so do `args`, when it is ours.
    pub fn start(&self, kind: Kind, args: &[&str], env: &[(&str, &str)]) -> Result<Started> {
        let dir = TempDir::new()?;
        let address = free_address()?;
        let port = address.port().to_string();
        let mut command = match kind {
            Kind::Ours => {
                let mut command = Command::new(&self.program);
                command.args(["serve", "--listen", &address.to_string(), "--log", "warn"]);
                command.args(["--create-limit", "1000000/s", "--max-viewers", "100000", "--data-dir"]);
                command.arg(dir.path().join("data")).args(args);
                self.preload(&mut command);
                command
            }
            Kind::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["bare", &port]);
                command
            }
            peer => {
                let mut command = Command::new(self.peers.join(peer.name()));
                command.arg(&port).arg(dir.path());
                command
            }
        };
        let server = Server::start(command.envs(env.iter().copied()), address, dir.path())?;
        Ok(Started { kind, server, _dir: dir })
    }

    /// Starts a database by its script: `postgres`, which has a database `share`, or `sqld`.
    pub fn start_database(&self, script: &str, env: &[(&str, &str)]) -> Result<Database> {
        let dir = TempDir::new()?;
        let address = free_address()?;
        let mut command = Command::new(self.peers.join(script));
        command.arg(address.port().to_string()).arg(dir.path()).envs(env.iter().copied());
        let server = Server::start(&mut command, address, dir.path())?;
        Ok(Database { server, _dir: dir })
    }

    /// Has a program sync as slowly as `preload` says.
    pub fn preload(&self, command: &mut Command) {
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
    }

    /// The same programs, but the earlier build of brutus-share in place of it, when there is one.
    pub fn earlier(&self) -> Option<Self> {
        Some(Self { program: self.before.clone()?, ..self.clone() })
    }

    /// The same programs on a slow disk.
    pub fn slowed(&self) -> Result<Self> {
        let script = self.peers.join("slow_fsync");
        let output =
            Command::new(&script).output().map_err(|error| format!("{}: {error}", script.display()))?;
        let library = String::from_utf8(output.stdout)?;
        Ok(Self { preload: Some(Path::new(library.trim()).to_owned()), ..self.clone() })
    }
}

/// A running database with a directory of its own.
pub struct Database {
    server: Server,
    _dir: TempDir,
}

impl Database {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }
}

impl Started {
    /// What it uses.
    pub fn usage(&self) -> Usage {
        self.server.usage()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Channels for viewers.
    pub fn channels(&self, count: usize) -> Result<Vec<Target>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let address = self.server.address;
        (0..count)
            .map(|nth| match self.kind {
                Kind::Ours | Kind::Cloudflare => runtime.block_on(share(address)),
                Kind::Nats => Ok(subject(address, &format!("c{nth}"))),
                Kind::Redis => Ok(redis(address)),
                _ => Ok(topic(address, &format!("c{nth}"))),
            })
            .collect()
    }

    /// Places for items, which are acknowledged when they are safe, as far as the server keeps them at all.
    pub fn stores(&self, count: usize, batch: usize) -> Result<Vec<Target>> {
        match self.kind {
            Kind::Nats => {
                self.create_bucket()?;
                Ok((0..count).map(|nth| subject(self.server.address, &format!("$KV.bench.c{nth}"))).collect())
            }
            Kind::Workerd if batch > 1 => {
                Ok((0..count).map(|nth| batched(self.server.address, &format!("c{nth}"))).collect())
            }
            _ => self.channels(count),
        }
    }

    fn create_bucket(&self) -> Result<()> {
        let config = concat!(
            r#"{"name":"KV_bench","subjects":["$KV.bench.>"],"max_msgs_per_subject":1,"storage":"file","#,
            r#""discard":"new","allow_rollup_hdrs":true,"deny_delete":true,"num_replicas":1}"#,
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(crate::publish::nats_request(
            self.server.address,
            "$JS.API.STREAM.CREATE.KV_bench",
            config,
        ))
    }
}

/// An address that is free, and the next one too: some take two.
fn free_address() -> Result<SocketAddr> {
    for _ in 0..100 {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let next = address.port().checked_add(1).map(|port| SocketAddr::new(address.ip(), port));
        if next.is_some_and(|next| TcpListener::bind(next).is_ok()) {
            return Ok(address);
        }
    }
    Err("no two free ports".into())
}
