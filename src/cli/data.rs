//! Where an operator's commands find the data of a server.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Command, read};
use crate::config::{STORE_ENV, StoreChoice, StoreKind, default_dir};
use crate::store::{Operator, OperatorError};

/// The command makes no sense with the server's store.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is for shares in SQLite, and the server keeps them in PostgreSQL: back it up and restore it with \
     PostgreSQL's own tools"
)]
pub(super) struct OtherStore;

/// Where the data is.
#[derive(Debug, Args)]
pub(super) struct Data {
    /// Directory of the database [default: the configuration file's, or brutus-share in the user's state directory]
    #[arg(long, env = "BRUTUS_SHARE_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    /// The server's configuration file
    // Not `config`: this command has options of its own, which are not the file's.
    #[arg(
        id = "server_config",
        long = "config",
        env = "BRUTUS_SHARE_CONFIG",
        value_name = "FILE",
        global = true
    )]
    config: Option<PathBuf>,
}

impl Data {
    /// The data, beside a server that runs or without one.
    pub(super) fn open(&self) -> Result<Operator, Box<dyn Error>> {
        self.is_sqlite()?;
        Operator::open(&self.dir()?).map_err(|error| match error {
            OperatorError::NoDatabase(_) => format!(
                "{error}; name the server's data directory with --data-dir, or its file with --config"
            )
            .into(),
            error => error.into(),
        })
    }

    /// Refuses what is for SQLite alone where the server's store is another, as its file or the environment says.
    fn is_sqlite(&self) -> Result<(), Box<dyn Error>> {
        let store = match &self.config {
            Some(file) => Some(serve_config(file)?.store),
            None => std::env::var(STORE_ENV).ok().and_then(|store| store.parse::<StoreChoice>().ok()),
        };
        match store.as_ref().map(StoreChoice::kind).transpose()? {
            Some(StoreKind::Postgres(_)) => Err(OtherStore.into()),
            _ => Ok(()),
        }
    }

    /// The data directory.
    pub(super) fn dir(&self) -> Result<PathBuf, Box<dyn Error>> {
        self.is_sqlite()?;
        match (&self.data_dir, &self.config) {
            (Some(dir), _) => Ok(dir.clone()),
            (None, Some(file)) => Ok(serve_config(file)?.data_dir()?),
            (None, None) => Ok(default_dir("--data-dir")?),
        }
    }
}

/// The configuration that `serve --config FILE` has.
pub(super) fn serve_config(file: &Path) -> Result<crate::config::Serve, Box<dyn Error>> {
    let args = ["brutus-share".into(), "serve".into(), "--config".into(), file.as_os_str().to_owned()];
    match read(&args)?.command {
        Command::Serve(config) => Ok(*config),
        _ => Err("this is no server's configuration".into()),
    }
}
