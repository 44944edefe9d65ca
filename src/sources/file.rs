//! One file of an agent, as far as it was read. Blocking: only called where that holds nobody up.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::import::transcripts::Unpacked;

/// Bytes that are read at once.
pub(super) const PIECE: usize = 4 << 20;

/// Bytes of a document that is read whole.
pub(super) const MAX_DOCUMENT: u64 = 64 << 20;

/// Bytes before the place up to which a file was read by which it is known again.
const TAIL: usize = 256;

/// A file that grows, is written anew, or was compressed, as far as it was read.
pub(super) struct Tail {
    path: PathBuf,
    form: Form,
    /// What the file was when it was looked at last.
    seen: Option<Seen>,
    /// How far it was read.
    offset: u64,
    /// The last bytes before that.
    before: Vec<u8>,
    unpacked: Option<Unpacked<BufReader<File>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Lines, of which more come.
    Lines,
    /// Lines, compressed.
    Packed,
    /// One document, which is written anew each time.
    Document,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    /// In nanoseconds, as the system gives it.
    modified: (i64, i64),
}

impl Seen {
    fn of(about: &Metadata) -> Self {
        let modified = (about.mtime(), about.mtime_nsec());
        Self { device: about.dev(), inode: about.ino(), bytes: about.len(), modified }
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// What a look at a file gives.
pub(super) enum Look {
    /// Nothing new.
    Nothing,
    /// There is no such file now.
    Missing,
    /// More of its lines.
    Lines {
        bytes: Vec<u8>,
        /// Whether these are its first, of a file that was not read before or that is another now.
        anew: bool,
        /// Whether there may be more to read at once.
        more: bool,
    },
    /// The document that it is now.
    Document {
        bytes: Vec<u8>,
        /// Whether none was read before.
        anew: bool,
    },
}

impl Tail {
    /// A file of which nothing was read.
    pub(super) fn new(path: PathBuf) -> Self {
        let form = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Form::Packed,
            Some("json") => Form::Document,
            _ => Form::Lines,
        };
        Self { path, form, seen: None, offset: 0, before: Vec::new(), unpacked: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on with the same file at another place, or with what was made of it there.
    pub(super) fn moved(&mut self, path: PathBuf) {
        let Self { seen, offset, before, .. } = std::mem::replace(self, Self::new(path));
        if self.form == Form::Lines {
            // Another file is noticed by what it is, as if it had been put in the place of the old one.
            (self.seen, self.offset, self.before) = (seen, offset, before);
        }
    }

    /// Has it read from its beginning.
    pub(super) fn rewind(&mut self) {
        *self = Self::new(std::mem::take(&mut self.path));
    }

    /// Reads what came, a piece of it at most.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn look(&mut self) -> io::Result<Look> {
        if self.unpacked.is_some() {
            return self.unpack(false);
        }
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Missing),
            Err(error) => return Err(error),
        };
        let now = Seen::of(&file.metadata()?);
        if self.seen == Some(now) && (self.form != Form::Lines || self.offset == now.bytes) {
            return Ok(Look::Nothing);
        }
        if self.form == Form::Lines {
            return self.read(file, now);
        }
        // One that is broken is so until it is another.
        let anew = self.seen.replace(now).is_none();
        if self.form == Form::Packed {
            self.unpacked = Some(Unpacked::new(BufReader::new(file)));
            return self.unpack(true);
        }
        let mut bytes = Vec::new();
        if file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)? as u64 > MAX_DOCUMENT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Look::Document { bytes, anew })
    }

    fn read(&mut self, mut file: File, now: Seen) -> io::Result<Look> {
        let goes_on = self.seen.is_some_and(|seen| seen.is_same_file(&now)) && now.bytes >= self.offset;
        let mut anew = !goes_on;
        if goes_on {
            // A file that was written over in its place has other bytes before the place up to which it was read.
            let mut before = vec![0; self.before.len()];
            file.seek(SeekFrom::Start(self.offset - before.len() as u64))?;
            file.read_exact(&mut before)?;
            anew = before != self.before;
        }
        if anew {
            (self.offset, self.before) = (0, Vec::new());
            file.seek(SeekFrom::Start(0))?;
        }
        // One that was never read begins anew too.
        anew |= self.offset == 0;
        let mut bytes = Vec::new();
        file.take(PIECE as u64).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        self.before.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.before.drain(..self.before.len().saturating_sub(TAIL));
        let more = bytes.len() == PIECE;
        self.seen = Some(now);
        Ok(Look::Lines { bytes, anew, more })
    }

    fn unpack(&mut self, anew: bool) -> io::Result<Look> {
        let mut bytes = Vec::new();
        let Some(unpacked) = &mut self.unpacked else { return Ok(Look::Nothing) };
        let read = unpacked.take(PIECE as u64).read_to_end(&mut bytes);
        let more = read.as_ref().is_ok_and(|count| *count == PIECE);
        if !more {
            self.unpacked = None;
        }
        read?;
        Ok(Look::Lines { bytes, anew, more })
    }
}

/// The first bytes of a file, unpacked.
pub(super) fn head(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    open(path)?.take(bytes).read_to_end(&mut head)?;
    Ok(head)
}

/// A file, unpacked while it is read.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    let is_packed = path.extension().is_some_and(|extension| extension == "zst");
    Ok(if is_packed { Box::new(Unpacked::new(BufReader::new(file))) } else { Box::new(file) })
}

/// The last bytes of a file, from the beginning of a line on.
pub(super) fn last_lines(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut tail = Vec::new();
    file.take(bytes).read_to_end(&mut tail)?;
    let line = tail.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    tail.drain(..line);
    Ok(tail)
}
