//! `brutus-share backup` and `brutus-share restore`.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;

use super::data::ServerData;
use super::person::age;
use crate::store::{self, Backup};

/// `backup FILE`
#[derive(Debug, Args)]
pub(super) struct ToFile {
    /// A file that does not exist
    file: PathBuf,

    #[command(flatten)]
    data: ServerData,
}

/// `restore FILE`
#[derive(Debug, Args)]
pub(super) struct FromFile {
    /// A backup
    file: PathBuf,

    /// Check the backup, and change nothing
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    data: ServerData,
}

/// `backup FILE`
pub(super) fn back_up(to: &ToFile) -> Result<(), Box<dyn Error>> {
    to.data.open_sqlite()?.back_up(&to.file)?;
    say!("{}", described(&store::check(&to.file)?));
    Ok(())
}

/// `restore FILE`
pub(super) fn restore(from: &FromFile) -> Result<(), Box<dyn Error>> {
    if from.check {
        say!("{}", described(&store::check(&from.file)?));
        return Ok(());
    }
    let restored = store::restore(&from.data.dir()?, &from.file)?;
    say!("{}", described(&restored.backup));
    if restored.since.shares > 0 {
        say!("{} shares were deleted since, and stay so", restored.since.shares);
    }
    if restored.since.items > 0 {
        say!("{} items of others were removed since, and stay so", restored.since.items);
    }
    if let Some(replaced) = restored.replaced {
        say!("what was there before is kept in {}", replaced.display());
    }
    Ok(())
}

fn described(backup: &Backup) -> String {
    let newest = backup.newest.map_or(String::new(), |at| format!(", the newest change {} ago", age(at)));
    format!("{} shares with {} items{newest}", backup.shares, backup.items)
}
