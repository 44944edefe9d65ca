//! Where an operator's commands find the data of a server.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Command, read};
use crate::config::{STORE_ENV, StoreChoice, StoreKind, default_dir};
use crate::store::{Operator, OperatorError};

/// The command makes no sense with the server's store.
#[derive(Debug, thiserror::Error)]
#[error("this is for shares in SQLite, and the server keeps them in {0}")]
pub(super) struct OtherStore(&'static str);

/// Where the data is.
#[derive(Debug, Args)]
pub(super) struct ServerData {
    /// Directory of the database [default: the configuration file's, or brutus-share in the user's state directory]
    #[arg(long, env = "BRUTUS_SHARE_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    /// The server's store, where it is not SQLite: as `serve --store` [default: the configuration file's, or `sqlite`]
    // A password may stand in it: help does not show what is set.
    #[arg(long, env = STORE_ENV, value_name = "STORE", hide_env_values = true, global = true)]
    store: Option<StoreChoice>,

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

impl ServerData {
    /// The data, beside servers that run or without one.
    pub(super) fn open(&self) -> Result<Operator, Box<dyn Error>> {
        let store = self.store()?;
        match store.as_ref().map(StoreChoice::kind).transpose()? {
            Some(StoreKind::Postgres(url)) => Ok(Operator::open_postgres(url)?),
            Some(StoreKind::Libsql(url)) => Ok(Operator::open_libsql(url)?),
            Some(StoreKind::Sqlite) | None => self.open_sqlite(),
        }
    }

    /// The data, where it is in SQLite.
    pub(super) fn open_sqlite(&self) -> Result<Operator, Box<dyn Error>> {
        Operator::open(&self.dir()?).map_err(|error| match error {
            OperatorError::NoDatabase(_) => format!(
                "{error}; name the server's data directory with --data-dir, or its file with --config"
            )
            .into(),
            error => error.into(),
        })
    }

    fn store(&self) -> Result<Option<StoreChoice>, Box<dyn Error>> {
        match (&self.store, &self.config) {
            (Some(store), _) => Ok(Some(store.clone())),
            (None, Some(file)) => Ok(Some(serve_config(file)?.store)),
            (None, None) => Ok(None),
        }
    }

    /// The data directory, where the data is in SQLite.
    pub(super) fn dir(&self) -> Result<PathBuf, Box<dyn Error>> {
        let tools = match self.store()?.as_ref().map(StoreChoice::kind).transpose()? {
            Some(StoreKind::Postgres(_)) => {
                Some("PostgreSQL: back it up and restore it with PostgreSQL's own tools")
            }
            Some(StoreKind::Libsql(_)) => {
                Some("libSQL: back it up and restore it with the means of sqld, or of who runs it")
            }
            Some(StoreKind::Sqlite) | None => None,
        };
        if let Some(tools) = tools {
            return Err(OtherStore(tools).into());
        }
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
