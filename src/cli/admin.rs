//! `brutus-share admin`: an operator finds and removes shares, beside a server that runs or without one.

use std::error::Error;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::data::ServerData;
use super::person::{age, until};
use crate::clock::now_ms;
use crate::config::{duration, size};
use crate::store::{Filter, ShareRecord, Sort};
use crate::text::plain;

/// `admin`
#[derive(Debug, Args)]
pub(super) struct Admin {
    #[command(flatten)]
    data: ServerData,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List shares; their ids are cut short, for whoever knows one can read the share
    List(List),
    /// Show what is known of a share
    Show {
        /// Its id, the first characters of it, or its link
        share: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete shares for good: viewers are sent away, and their bytes are overwritten (in PostgreSQL: their rows go)
    Delete {
        /// Their ids, the first characters of them, or their links
        #[arg(required = true)]
        shares: Vec<String>,
    },
    /// Say how many shares there are, and what they take
    Stats {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give the room of deleted shares back to the disk; syncs wait meanwhile
    Vacuum,
    /// Have all viewers begin again: after an older state of a PostgreSQL database was restored
    NewEpochs,
}

/// The sort key.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// When they were created
    Created,
    /// When they last changed
    Updated,
    /// What they take
    Size,
}

#[derive(Debug, Args)]
struct List {
    /// The order, the newest or largest first
    #[arg(long, value_enum, default_value = "updated")]
    sort: Order,
    /// Reverse the order
    #[arg(long)]
    reverse: bool,
    /// The most that are listed; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Those that are deleted
    #[arg(long)]
    deleted: bool,
    /// Created at least so long ago
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Option<Duration>,
    /// Without a sync for so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_for: Option<Duration>,
    /// Of this size at least
    #[arg(long, value_name = "SIZE", value_parser = size)]
    larger_than: Option<u64>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Created by the token of this name
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// Print JSON, with whole ids
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(super) fn run(admin: &Admin) -> Result<(), Box<dyn Error>> {
    let mut operator = admin.data.open()?;
    match &admin.command {
        Command::List(list) => {
            let shares = operator.list(&list.filter(now_ms()))?;
            if list.json {
                return print_json(&shares);
            }
            say!("{:8}  {:>9}  {:>9}  {:>9}  {:>9}  SESSION", "ID", "CREATED", "CHANGED", "ENDS IN", "SIZE");
            for share in &shares {
                let ends = share.expires_at.map_or("-".to_owned(), until);
                say!(
                    "{:8}  {:>9}  {:>9}  {ends:>9}  {:>9}  {}",
                    short(share),
                    age(share.created_at),
                    age(share.updated_at),
                    bytes(share.size),
                    plain(&share.session_id)
                );
            }
        }
        Command::Show { share, json } => {
            let share = operator.find(share)?;
            let contents = operator.contents(&share)?;
            if *json {
                let (mut all, contents) = (json!(share), json!(contents));
                if let (Value::Object(all), Value::Object(contents)) = (&mut all, contents) {
                    all.extend(contents);
                }
                return print_json(&all);
            }
            say!("id       {}", share.id);
            say!("session  {}", plain(&share.session_id));
            say!("title    {}", contents.title.as_deref().map_or("-".into(), plain));
            say!("created  {} ago", age(share.created_at));
            say!("changed  {} ago", age(share.updated_at));
            say!("ends     {}", share.expires_at.map_or("-".into(), |at| format!("in {}", until(at))));
            say!("token    {}", contents.token.as_deref().unwrap_or("-"));
            let yes_or_no = |is: bool| if is { "yes" } else { "no" };
            say!("sealed   {}", yes_or_no(share.lock.sealed));
            say!("password {}", yes_or_no(share.lock.protected));
            say!("size     {}", bytes(share.size));
            for kind in &contents.items {
                say!("         {} × {}, {}", kind.count, plain(&kind.kind), bytes(kind.bytes));
            }
            if let Some(at) = share.deleted_at {
                say!("deleted  {} ago", age(at));
            }
        }
        Command::Delete { shares } => {
            // All are found before the first is deleted: a mistyped one should not leave half of it done.
            let found = shares.iter().map(|share| {
                operator.find(share).map_err(|error| format!("{}: {error}", share.get(..8).unwrap_or(share)))
            });
            for share in found.collect::<Result<Vec<_>, _>>()? {
                let rest = if operator.delete(&share, now_ms())? {
                    ""
                } else {
                    "; another program reads the database, and the server erases its bytes when that ends"
                };
                say!("{}… is deleted{rest}", short(&share));
            }
        }
        Command::Stats { json } => {
            let stats = operator.stats(now_ms())?;
            if *json {
                return print_json(&stats);
            }
            say!("shares       {}", stats.shares);
            say!("  last day   {}", stats.created_last_day);
            say!("  never used {}", stats.never_synced);
            say!("deleted      {}", stats.deleted);
            say!("tokens       {}", stats.tokens);
            say!("content      {}", ByteSize(stats.content));
            say!("database     {}", ByteSize(stats.database));
            say!("  unused     {}", stats.reclaimable.map_or("-".into(), bytes));
            say!("disk free    {}", stats.disk_free.map_or("-".into(), |free| ByteSize(free).to_string()));
        }
        Command::Vacuum => {
            let before = operator.stats(now_ms())?.database;
            operator.vacuum()?;
            let after = operator.stats(now_ms())?.database;
            say!("{} before, {} now", ByteSize(before), ByteSize(after));
        }
        Command::NewEpochs => {
            say!("{} shares have a new epoch: who watches one begins again", operator.renew_epochs()?);
        }
    }
    Ok(())
}

impl List {
    fn filter(&self, now: i64) -> Filter {
        let ago = |time: Duration| now.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        Filter {
            sort: match self.sort {
                Order::Created => Sort::Created,
                Order::Updated => Sort::Updated,
                Order::Size => Sort::Size,
            },
            reverse: self.reverse,
            limit: (self.limit > 0).then_some(i64::from(self.limit)),
            deleted: self.deleted,
            created_before: self.older_than.map(ago),
            updated_before: self.idle_for.map(ago),
            min_size: self.larger_than.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
            session: self.session.clone(),
            token: self.token.clone(),
        }
    }
}

/// Prints what a program reads.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Box<dyn Error>> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The start of an id: enough to find the share.
fn short(share: &ShareRecord) -> &str {
    share.id.get(..8).unwrap_or(&share.id)
}

fn bytes(size: i64) -> String {
    ByteSize(u64::try_from(size).unwrap_or(0)).to_string()
}
