//! A file that is compressed with Zstandard: Codex does that to old transcripts, which do not grow any more.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::StreamingDecoder;

/// Bytes that a compressed transcript may have when it is unpacked.
const MAX_UNPACKED: u64 = 1 << 30;

/// Bytes that are kept while one is unpacked.
const MAX_WINDOW: u64 = 64 << 20;

/// Unpacks frame after frame. What is broken or too large is an error; what was read before that is right.
pub struct Unpacked<R: BufRead> {
    file: Option<R>,
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
    left: u64,
}

impl<R: BufRead> Unpacked<R> {
    /// A file of which nothing was read.
    pub fn new(file: R) -> Self {
        Self { file: Some(file), frame: None, left: MAX_UNPACKED }
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut file) = self.file.take() {
                if file.fill_buf()?.is_empty() {
                    self.file = Some(file);
                    return Ok(0);
                }
                let frame = StreamingDecoder::new_with_max_window_size(file, MAX_WINDOW);
                self.frame = Some(frame.map_err(io::Error::other)?);
            }
            let Some(frame) = &mut self.frame else { return Err(io::ErrorKind::InvalidData.into()) };
            let count = frame.read(piece)?;
            if count > 0 || piece.is_empty() {
                let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "too large when unpacked");
                self.left = self.left.checked_sub(count as u64).ok_or_else(too_large)?;
                return Ok(count);
            }
            self.file = self.frame.take().map(StreamingDecoder::into_inner);
        }
    }
}
