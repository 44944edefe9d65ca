//! Files of others, changed whole or not at all: through links to where they lead, with their mode and owner.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Links that are followed one after the other.
const MAX_LINKS: usize = 40;

/// Copies of how a file was, beside it. More than one is there only when the journal that knew it is lost.
const MAX_COPIES: usize = 1000;

/// What stands in a file; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file, in place of what is there; gives the directories that it had to make, the outermost first.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<Vec<PathBuf>> {
    let path = target(path)?;
    let dir = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let made = make_dirs(dir)?;
    // `tempfile` makes its files 0600.
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    if let Ok(old) = fs::metadata(&path) {
        let new = file.as_file().metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    // The name is on the disk when the directory is.
    File::open(dir)?.sync_all()?;
    Ok(made)
}

/// Keeps a copy of a file beside it, with its mode, under a name that nothing has.
pub(super) fn back_up(path: &Path) -> io::Result<PathBuf> {
    let path = target(path)?;
    let name = |n: usize| {
        let mut name = path.clone().into_os_string();
        name.push(".before-brutus-share");
        if n > 0 {
            name.push(format!("-{n}"));
        }
        PathBuf::from(name)
    };
    let free = (0..MAX_COPIES).map(name).find(|path| path.symlink_metadata().is_err());
    let backup = free.ok_or(ErrorKind::AlreadyExists)?;
    fs::copy(&path, &backup)?;
    Ok(backup)
}

/// Takes a file away; a link to it stays.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(target(path)?)
}

/// Takes those directories away in which nothing is left.
pub(super) fn remove_empty(mut dirs: Vec<PathBuf>) {
    // The innermost first.
    dirs.sort_by_key(|dir| std::cmp::Reverse(dir.components().count()));
    for dir in dirs {
        let _ = fs::remove_dir(dir);
    }
}

/// Where a path leads, also when nothing is there yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().map_or_else(|| to.clone(), |dir| dir.join(&to)),
            Err(_) => return Ok(path),
        }
    }
    Err(ErrorKind::InvalidInput.into())
}

/// Makes a directory, its user's alone, and those in which it stands; gives those that were missing, the outermost
/// first.
pub(super) fn make_dirs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    for dir in &missing {
        DirBuilder::new().mode(0o700).create(dir)?;
    }
    Ok(missing)
}
