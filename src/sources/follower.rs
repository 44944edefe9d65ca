//! One transcript, followed while it grows. Blocking: only called where that holds nobody up.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use super::opencode::Step;
use super::places::Found;
use crate::import::transcripts::{About, Changes, Transcript};

/// Bytes that are read before what they changed goes on.
const STEP: u64 = 4 << 20;

/// A transcript, as far as it was read.
pub(super) struct Follower {
    found: Found,
    transcript: Transcript,
    /// Which file it is, by its inode: another under the same name is read from its beginning.
    inode: u64,
    offset: u64,
}

impl Follower {
    pub(super) fn new(found: Found) -> Self {
        Self { transcript: transcript(&found), found, inode: 0, offset: 0 }
    }

    pub(super) fn about(&self) -> &About {
        self.transcript.about()
    }

    pub(super) fn agent_name(&self) -> &'static str {
        self.found.agent.name()
    }

    /// Reads what came since the last time, some of it at least. A file that is gone has nothing new: a share outlives
    /// it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let mut file = match File::open(&self.found.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Step { changes: Changes::default(), more: false });
            }
            Err(error) => return Err(error),
        };
        let about = file.metadata()?;
        let is_another = about.ino() != self.inode || about.len() < self.offset;
        if is_another || self.transcript.wants_rereading() {
            self.transcript = transcript(&self.found);
            (self.inode, self.offset) = (about.ino(), 0);
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut piece = Vec::new();
        self.offset += file.take(STEP).read_to_end(&mut piece)? as u64;
        self.transcript.feed(&piece);
        Ok(Step { changes: self.transcript.take_changes(), more: piece.len() as u64 == STEP })
    }
}

fn transcript(found: &Found) -> Transcript {
    Transcript::new(found.agent, &found.source()).with_outside(found.outside())
}
