//! Opening a database: its files and their modes, pragmas, migrations.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::Text;
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
    #[error(
        "{path}: written by a newer version (migration {version}): install that version or restore a backup",
        path = .path.display()
    )]
    Newer {
        /// The database's file.
        path: PathBuf,
        /// The migration that this version does not know.
        version: String,
    },
    /// An older version wrote the database.
    #[error(
        "{path}: written by an older version: start the server once, which brings it up to date",
        path = .0.display()
    )]
    Older(PathBuf),
    /// The database could not be copied before its migration.
    #[error("{path}: not brought up to date, because it cannot be copied before: {reason}", path = .path.display())]
    Copy {
        /// The database's file.
        path: PathBuf,
        /// What was in the way.
        reason: String,
    },
    /// The writer thread could not be started.
    #[error("cannot start the writer thread: {0}")]
    Thread(std::io::Error),
}

/// Makes a directory that its owner alone can enter.
///
/// # Errors
/// When it cannot be made, or it exists and others can enter it.
pub fn private_dir(dir: &Path) -> Result<(), PathError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    check_private(dir)
}

/// Refuses a directory or a file that others than its owner can use.
///
/// # Errors
/// When they can, or it is not there.
pub fn check_private(path: &Path) -> Result<(), PathError> {
    let metadata = fs::metadata(path).map_err(at(path))?;
    let mode = metadata.permissions().mode() & 0o777;
    let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
    let of_others = mode & 0o077;
    if of_others == 0 { Ok(()) } else { Err(PathError::Exposed { path: path.to_owned(), mode, wanted }) }
}

/// Who may use a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// This process alone.
    Alone,
    /// This process and others that say the same.
    Shared,
}

/// Takes a directory for this process, until the file is closed.
///
/// # Errors
/// When another process has it.
pub fn lock(path: &Path, hold: Hold) -> Result<File, StartupError> {
    let file = private_file(path)?;
    let locked = match hold {
        Hold::Alone => file.try_lock(),
        Hold::Shared => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StartupError::InUse(path.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(at(path)(error).into()),
    }
}

/// What becomes of a database that an older version wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeforeMigration {
    /// A copy of it is kept beside it.
    KeepCopy,
    /// Nothing.
    Nothing,
}

/// Opens a database for writing, makes it when there is none, and runs the migrations that it has not seen.
///
/// # Errors
/// When the file cannot be used, or a newer version wrote it.
pub fn open_and_migrate(
    path: &Path,
    migrations: EmbeddedMigrations,
    before: BeforeMigration,
) -> Result<SqliteConnection, StartupError> {
    // SQLite gives its log and its shared memory the mode of the database's file.
    private_file(path)?;
    for side in ["-wal", "-shm"].map(|suffix| beside(path, suffix)) {
        if side.exists() {
            check_private(&side)?;
        }
    }
    let refused = |reason: String| StartupError::Database { path: path.to_owned(), reason };
    let mut connection = open(path).map_err(refused)?;
    let (applied, next) = compare(&mut connection, path, &migrations)?;
    let Some(next) = next else { return Ok(connection) };
    if applied && before == BeforeMigration::KeepCopy {
        let copy = beside(path, &format!(".before-{next}"));
        // One that is there is of an earlier try, which may have ended in the middle.
        let copied =
            fs::remove_file(&copy).or_else(absent_is_fine).map_err(at(&copy)).map_err(CopyError::from);
        copied
            .and_then(|()| copy_to(&mut connection, &copy))
            .map_err(|error| StartupError::Copy { path: path.to_owned(), reason: error.to_string() })?;
        tracing::info!(copy = %copy.display(), "kept as it was, before it is brought up to date");
    }
    connection.run_pending_migrations(migrations).map_err(|error| refused(error.to_string()))?;
    Ok(connection)
}

/// Opens a database of exactly this version that is there.
///
/// # Errors
/// When it cannot be used, or another version wrote it.
pub fn open_migrated(path: &Path, migrations: &EmbeddedMigrations) -> Result<SqliteConnection, StartupError> {
    let refused = |reason: String| StartupError::Database { path: path.to_owned(), reason };
    let mut connection = open(path).map_err(refused)?;
    match compare(&mut connection, path, migrations)? {
        (_, None) => Ok(connection),
        _ => Err(StartupError::Older(path.to_owned())),
    }
}

/// Whether a database has seen any migration, and the first that it has not seen.
fn compare(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: &EmbeddedMigrations,
) -> Result<(bool, Option<String>), StartupError> {
    let refused = |reason: String| StartupError::Database { path: path.to_owned(), reason };
    let applied = connection.applied_migrations().map_err(|error| refused(error.to_string()))?;
    let known: Vec<Box<dyn Migration<Sqlite>>> =
        migrations.migrations().map_err(|error| refused(error.to_string()))?;
    let known: Vec<_> = known.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied: Vec<_> = applied.iter().map(ToString::to_string).collect();
    if let Some(version) = applied.iter().find(|version| !known.contains(version)) {
        return Err(StartupError::Newer { path: path.to_owned(), version: version.clone() });
    }
    Ok((!applied.is_empty(), known.into_iter().find(|version| !applied.contains(version))))
}

/// Why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file cannot be made.
    #[error(transparent)]
    Path(#[from] PathError),
    /// SQLite could not copy.
    #[error("{0}")]
    Database(#[from] diesel::result::Error),
}

/// Copies a database, as it is now, to a file that must not exist. Others may write meanwhile. The copy is its owner's
/// alone; when this returns it is on the disk, and there is none when it fails.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn copy_to(connection: &mut SqliteConnection, file: &Path) -> Result<(), CopyError> {
    if file.exists() {
        return Err(at(file)(io::ErrorKind::AlreadyExists.into()).into());
    }
    let unfinished = beside(file, ".unfinished");
    fs::remove_file(&unfinished).or_else(absent_is_fine).map_err(at(&unfinished))?;
    let text = unfinished.to_str().ok_or_else(|| at(file)(io::Error::other("the path is not Unicode")))?;
    let copied = (|| {
        // Into an empty file that is private already: SQLite itself would make one that all can read.
        let copy = private_file(&unfinished)?;
        diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(text).execute(connection)?;
        copy.sync_all().map_err(at(&unfinished))?;
        fs::rename(&unfinished, file).map_err(at(file))?;
        Ok(sync_dir(file)?)
    })();
    if copied.is_err() {
        fs::remove_file(&unfinished).or_else(absent_is_fine).map_err(at(&unfinished))?;
    }
    copied
}

/// Puts the directory that a file is in on the disk: a new name in it is not there before.
///
/// # Errors
/// When it cannot be opened or written.
pub fn sync_dir(file: &Path) -> Result<(), PathError> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// Moves the log into the database and empties it. False when a reader was in the way.
///
/// # Errors
/// When the database cannot be written.
pub fn checkpoint(connection: &mut SqliteConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Checkpoint {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        busy: i32,
    }
    let done: Checkpoint = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(connection)?;
    Ok(done.busy == 0)
}

/// The file whose name is that of another with a suffix.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// How long a statement waits for another connection. An operator's vacuum is the longest that there is to wait for.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// Has statements of a connection wait so long for others.
///
/// # Errors
/// When the connection is broken.
pub(super) fn set_busy_timeout(connection: &mut SqliteConnection, time: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", time.as_millis()))
}

/// A connection with this program's pragmas.
///
/// # Errors
/// What SQLite said, when it refuses the file.
pub fn open(path: &Path) -> Result<SqliteConnection, String> {
    let url = path.to_str().ok_or("the path is not Unicode")?;
    let mut connection = SqliteConnection::establish(url).map_err(|error| error.to_string())?;
    // The busy timeout has to stand before the first statement that may wait.
    set_busy_timeout(&mut connection, BUSY_TIMEOUT).map_err(|error| error.to_string())?;
    // One statement each, in this order: the page size before the log is switched on. `secure_delete` overwrites what
    // is deleted.
    for pragma in [
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
/// When it cannot be opened, or it exists and others can read it.
pub fn private_file(path: &Path) -> Result<File, PathError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    check_private(path)?;
    Ok(file)
}

/// Says of which path an error is.
pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> PathError + use<'_> {
    |source| PathError::Io { path: path.to_owned(), source }
}

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// The system refused.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can use what must be its owner's alone.
    #[error(
        "{path}: others can read what is here (mode {mode:03o}): run `chmod {wanted:03o} {path}`",
        path = .path.display()
    )]
    Exposed {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
}
