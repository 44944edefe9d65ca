//! The commands.

use std::net::SocketAddr;

use clap::Parser;

use crate::fan_out::Load;
use crate::ingest::Stream;
use crate::process::Usage;
use crate::servers::Programs;
use crate::target::{Post, Publish, Target, share};
use crate::{Result, fan_out, floors, ingest, nodes, reading, stores, table};

/// Measures a share server, its peers and the machine's limits.
#[derive(Debug, Parser)]
pub enum Command {
    /// Starts every server, measures them in turns, and prints one table of medians
    Table {
        #[command(flatten)]
        programs: Programs,
        #[command(flatten)]
        options: table::Options,
    },
    /// Starts nodes over one PostgreSQL and one over SQLite, measures them in turns, and prints the ratios
    Nodes {
        #[command(flatten)]
        programs: Programs,
        #[command(flatten)]
        options: nodes::Options,
    },
    /// Starts a server over each store, and the one for Cloudflare, and prints one table of medians
    Stores {
        #[command(flatten)]
        programs: Programs,
        #[command(flatten)]
        options: stores::Options,
    },
    /// Messages to many viewers: deliveries a second, latency, loss
    FanOut {
        #[command(flatten)]
        server: ServerOptions,
        #[command(flatten)]
        load: Load,
    },
    /// Items from many clients: acknowledged requests and items a second, latency
    Ingest {
        #[command(flatten)]
        server: ServerOptions,
        /// Shares that the clients write to
        #[arg(long, default_value_t = 1)]
        shares: usize,
        #[command(flatten)]
        stream: Stream,
    },
    /// A first load of a share: time to the last byte, over WebSocket and over HTTP compressed
    FirstLoad {
        #[command(flatten)]
        server: ServerOptions,
        /// Items in the share
        #[arg(long, default_value_t = 5000)]
        items: usize,
        /// Bytes of an item
        #[arg(long, default_value_t = 2048)]
        bytes: usize,
        /// Viewers at once
        #[arg(long, default_value_t = 1)]
        viewers: usize,
    },
    /// A viewer that comes back after some items: time until it has all
    CatchUp {
        #[command(flatten)]
        server: ServerOptions,
        /// Items in the share
        #[arg(long, default_value_t = 5000)]
        items: usize,
        /// Items that it missed
        #[arg(long, default_value_t = 100)]
        missed: usize,
    },
    /// Viewers that are connected and nothing happens: bytes of the server's memory for each
    Idle {
        #[command(flatten)]
        server: ServerOptions,
        /// Viewers
        #[arg(long, default_value_t = 1000)]
        viewers: usize,
    },
    /// SQLite alone: transactions a second on one connection
    Sqlite {
        /// Items in a transaction
        #[arg(long, default_value_t = 1)]
        batch: usize,
        /// How long
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Serves a bare actix-web: a POST that does nothing and a WebSocket that is told everything
    Bare {
        /// On loopback
        port: u16,
    },
}

/// A server that runs already.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerOptions {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:8090")]
    address: SocketAddr,
    /// Its process, to measure what it uses
    #[arg(long)]
    pid: Option<u32>,
    /// Of another server than brutus-share: the path of a viewer's WebSocket, `{channel}` in it
    #[arg(long, requires = "publish")]
    view: Option<String>,
    /// Of another server: the path that takes a POST, `{channel}` and `{key}` in it
    #[arg(long, requires = "view")]
    publish: Option<String>,
    /// Of another server: the body of that POST, `{key}` and `{text}` in it
    #[arg(long, default_value = "{text}")]
    body: String,
}

impl ServerOptions {
    fn targets(&self, count: usize) -> Result<Vec<Target>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        (0..count)
            .map(|nth| match (&self.view, &self.publish) {
                (Some(view), Some(publish)) => {
                    let channel = format!("load{nth}");
                    let post = Post {
                        address: self.address,
                        path: publish.replace("{channel}", &channel),
                        before: String::new(),
                        item: self.body.clone(),
                        after: String::new(),
                    };
                    Ok(Target {
                        viewers: self.address,
                        view: view.replace("{channel}", &channel),
                        greeting: Vec::new(),
                        publish: Publish::Http(post.into()),
                    })
                }
                _ => runtime.block_on(share(self.address)),
            })
            .collect()
    }

    fn usage(&self) -> Option<Usage> {
        self.pid.map(|pid| Usage { pid })
    }
}

impl Command {
    /// Does it.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Table { programs, options } => table::run(&programs, &options),
            Self::Nodes { programs, options } => nodes::run(&programs, &options)?,
            Self::Stores { programs, options } => stores::run(&programs, &options),
            Self::FanOut { server, load } => {
                let outcome = fan_out::run(&server.targets(load.channels)?, load, server.usage())?;
                println!("{outcome}");
            }
            Self::Ingest { server, shares, stream } => {
                println!("{}", ingest::run(&server.targets(shares)?, stream)?);
            }
            Self::FirstLoad { server, items, bytes, viewers } => {
                let targets = server.targets(1)?;
                ingest::fill(&targets[0], items, bytes, 100)?;
                println!("over WebSocket: {:?}", reading::web_sockets(&targets[0], viewers, items)?);
                if let Some(share) = targets[0].view.strip_suffix("/poll") {
                    println!("over HTTP: {:?}", reading::pages(server.address, share)?);
                }
            }
            Self::CatchUp { server, items, missed } => {
                let took = reading::catch_up(&server.targets(1)?[0], items, missed)?;
                println!("{took:?}");
            }
            Self::Idle { server, viewers } => {
                let usage = server.usage().ok_or("say the server's process with --pid")?;
                println!(
                    "{:.0} bytes a viewer",
                    table::idle_viewers(&server.targets(1)?[0], usage, viewers)?
                );
            }
            Self::Sqlite { batch, seconds } => {
                let dir = tempfile::TempDir::new()?;
                println!("{:.1}", floors::sqlite(dir.path(), batch, seconds)?);
            }
            Self::Bare { port } => floors::serve(port)?,
        }
        Ok(())
    }
}
