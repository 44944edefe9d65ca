//! Opening a database: its files and their modes, pragmas, migrations.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The data directory or a file in it cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Another process has the data directory.
    #[error("{}: another brutus-share uses this directory", .0.display())]
    InUse(PathBuf),
    /// SQLite refused the file.
    #[error("{path}: {reason}", path = .path.display())]
    Database {
        /// The database's file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// A newer version wrote the database.
    #[error("{path}: written by a newer version (migration {version}): install that version or restore a backup", path = .path.display())]
    Newer {
        /// The database's file.
        path: PathBuf,
        /// The migration that this version does not know.
        version: String,
    },
    /// The writer thread could not be started.
    #[error("cannot start the writer thread: {0}")]
    Thread(std::io::Error),
}

/// Makes a directory that its owner alone can enter. One that exists is left as it is.
///
/// # Errors
/// When it cannot be made.
pub fn private_dir(dir: &Path) -> Result<(), PathError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))
}

/// Takes a directory for this process, until the file is closed.
///
/// # Errors
/// When another process has it.
pub fn lock(path: &Path) -> Result<File, StartupError> {
    let file = private_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StartupError::InUse(path.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(at(path)(error).into()),
    }
}

/// Opens a database for writing, makes it when there is none, and runs the migrations that it has not seen.
///
/// # Errors
/// When the file cannot be used, or a newer version wrote it.
pub fn open_and_migrate(
    path: &Path,
    migrations: EmbeddedMigrations,
) -> Result<SqliteConnection, StartupError> {
    // SQLite gives its log and its shared memory the mode of the database's file.
    private_file(path)?;
    for suffix in ["-wal", "-shm"] {
        let mut side = path.as_os_str().to_owned();
        side.push(suffix);
        let side = Path::new(&side);
        if side.exists() {
            fs::set_permissions(side, Permissions::from_mode(0o600)).map_err(at(side))?;
        }
    }
    let refused = |reason: String| StartupError::Database { path: path.to_owned(), reason };
    let mut connection = open(path).map_err(refused)?;
    let applied = connection.applied_migrations().map_err(|error| refused(error.to_string()))?;
    let known: Vec<Box<dyn Migration<Sqlite>>> =
        migrations.migrations().map_err(|error| refused(error.to_string()))?;
    let unknown = applied
        .into_iter()
        .find(|version| known.iter().all(|migration| migration.name().version() != *version));
    if let Some(version) = unknown {
        return Err(StartupError::Newer { path: path.to_owned(), version: version.to_string() });
    }
    connection.run_pending_migrations(migrations).map_err(|error| refused(error.to_string()))?;
    Ok(connection)
}

/// A connection with this program's pragmas.
///
/// # Errors
/// What SQLite said, when it refuses the file.
pub fn open(path: &Path) -> Result<SqliteConnection, String> {
    let url = path.to_str().ok_or("the path is not Unicode")?;
    let mut connection = SqliteConnection::establish(url).map_err(|error| error.to_string())?;
    // One statement each, in this order: the busy timeout has to stand before the first statement that may wait, and
    // the page size before the log is switched on. `secure_delete` overwrites what is deleted.
    for pragma in [
        "PRAGMA busy_timeout = 5000",
        "PRAGMA page_size = 8192",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA secure_delete = ON",
        "PRAGMA wal_autocheckpoint = 4000",
    ] {
        connection.batch_execute(pragma).map_err(|error| error.to_string())?;
    }
    Ok(connection)
}

/// Opens a file that its owner alone can read, and makes it when there is none.
///
/// # Errors
/// When it cannot be opened.
pub fn private_file(path: &Path) -> Result<File, PathError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(at(path))?;
    Ok(file)
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> PathError + use<'_> {
    |source| PathError { path: path.to_owned(), source }
}

/// A path that could not be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = .path.display())]
pub struct PathError {
    path: PathBuf,
    source: io::Error,
}
