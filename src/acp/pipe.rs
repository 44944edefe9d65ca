//! One direction: bytes are passed on as they come, whole lines are shown to who may change them, and copied.
//!
//! A line is held until it is whole, up to a length beyond which none is changed: longer ones pass in pieces.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ChildStdout;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::unix::pipe::Receiver;
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::command::Command;
use crate::import::acp::Side;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Bytes of a line that is held until it is whole.
const MAX_HELD: usize = 64 << 10;

/// Bytes of a line that is looked at. Longer ones pass, and are not shown.
const MAX_LINE: usize = 32 << 20;

/// Bytes of lines that wait to be looked at.
const MAX_QUEUED: usize = 64 << 20;

/// What becomes of a line.
pub(super) enum Pass {
    AsIs,
    Instead(Vec<u8>),
    Withheld,
}

/// Passes on what comes until one of the ends is closed. `write` gets what is to be written, and copies of the lines
/// that are whole with it: who looks at these has them before anybody can answer them.
pub(super) fn pass(
    mut from: impl Read,
    mut decide: impl FnMut(&[u8]) -> Pass,
    mut write: impl FnMut(&[u8], Vec<Vec<u8>>) -> io::Result<()>,
) {
    let mut lines = Lines::default();
    let mut piece = vec![0; PIECE];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let (out, whole) = lines.feed(&piece[..count], &mut decide);
        if write(&out, whole).is_err() {
            return;
        }
    }
    let _ = write(&lines.held, Vec::new());
}

/// The line that is coming.
#[derive(Default)]
struct Lines {
    /// What was not passed on yet.
    held: Vec<u8>,
    /// Whether it is too long to be held.
    passes: bool,
    /// A copy of one that is; `None` when it is too long to be looked at.
    copy: Option<Vec<u8>>,
}

impl Lines {
    /// Gives what is to be passed on, and copies of the lines that are whole.
    fn feed(&mut self, bytes: &[u8], decide: &mut impl FnMut(&[u8]) -> Pass) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut out, mut whole) = (Vec::with_capacity(bytes.len()), Vec::new());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if self.passes {
                out.extend_from_slice(piece);
                self.copy.take_if(|copy| copy.len() + piece.len() > MAX_LINE);
                if let Some(copy) = &mut self.copy {
                    copy.extend_from_slice(piece);
                }
                if ends {
                    self.passes = false;
                    whole.extend(self.copy.take());
                }
                continue;
            }
            self.held.extend_from_slice(piece);
            if ends {
                let line = std::mem::take(&mut self.held);
                match decide(&line) {
                    Pass::AsIs => out.extend_from_slice(&line),
                    Pass::Instead(other) => out.extend_from_slice(&other),
                    Pass::Withheld => continue,
                }
                whole.push(line);
            } else if self.held.len() > MAX_HELD {
                out.extend_from_slice(&self.held);
                self.copy = Some(std::mem::take(&mut self.held));
                self.passes = true;
            }
        }
        (out, whole)
    }
}

/// What the client reads: what the agent says, and between its lines what we say ourselves.
#[derive(Clone)]
pub(super) struct ToClient(Arc<Mutex<Out>>);

struct Out {
    file: File,
    in_line: bool,
    /// What waits for the end of the line.
    waiting: Vec<u8>,
}

impl ToClient {
    pub(super) fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new(Out { file, in_line: false, waiting: Vec::new() })))
    }

    /// Passes on what the agent says, `before` which it is noted: what is said of it comes behind it.
    pub(super) fn pass(&self, bytes: &[u8], before: impl FnOnce()) -> io::Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        before();
        out.file.write_all(bytes)?;
        let Some(last) = bytes.last() else { return Ok(()) };
        out.in_line = *last != b'\n';
        if out.in_line {
            return Ok(());
        }
        let waiting = std::mem::take(&mut out.waiting);
        out.file.write_all(&waiting)
    }

    /// Says something between two lines of the agent.
    pub(super) fn say(&self, lines: &[u8]) -> io::Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if out.in_line {
            out.waiting.extend_from_slice(lines);
            return Ok(());
        }
        out.file.write_all(lines)
    }
}

/// Something that passed.
pub(super) enum Seen {
    Line(Side, Vec<u8>),
    /// Something for us.
    Command(Command),
    /// The agent has ended.
    End,
}

/// Where copies go: into a queue in which so many bytes have room, and from which nobody waits.
#[derive(Clone)]
pub(super) struct Tap {
    queue: UnboundedSender<Seen>,
    queued: Arc<AtomicUsize>,
}

/// The other end of the queue.
pub(super) struct Watched {
    queue: UnboundedReceiver<Seen>,
    queued: Arc<AtomicUsize>,
}

impl Tap {
    pub(super) fn new() -> (Self, Watched) {
        let (sender, queue) = unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        (Self { queue: sender, queued: Arc::clone(&queued) }, Watched { queue, queued })
    }

    pub(super) fn lines(&self, side: Side, lines: Vec<Vec<u8>>) {
        for line in lines {
            self.line(side, line);
        }
    }

    fn line(&self, side: Side, line: Vec<u8>) {
        let bytes = line.len();
        if self.queued.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_QUEUED {
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        let _ = self.queue.send(Seen::Line(side, line));
    }

    pub(super) fn command(&self, command: Command) {
        let _ = self.queue.send(Seen::Command(command));
    }

    pub(super) fn end(&self) {
        let _ = self.queue.send(Seen::End);
    }
}

impl Watched {
    pub(super) async fn next(&mut self) -> Option<Seen> {
        let seen = self.queue.recv().await;
        if let Some(Seen::Line(_, line)) = &seen {
            self.queued.fetch_sub(line.len(), Ordering::Relaxed);
        }
        seen
    }
}

/// What an agent writes, which ends with the agent: who it has started may hold its output open.
pub(super) struct UntilExit {
    runtime: Runtime,
    pipe: Receiver,
    /// The same pipe. It says at once whether something is there, which after the end of the agent is the last.
    rest: File,
    exit: oneshot::Receiver<()>,
    has_exited: bool,
}

impl UntilExit {
    pub(super) fn new(pipe: ChildStdout, exit: oneshot::Receiver<()>) -> io::Result<Self> {
        let pipe = OwnedFd::from(pipe);
        let rest = File::from(pipe.try_clone()?);
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let pipe = Receiver::from_owned_fd(pipe)?;
        drop(entered);
        Ok(Self { runtime, pipe, rest, exit, has_exited: false })
    }
}

impl Read for UntilExit {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { runtime, pipe, rest, exit, has_exited } = self;
        let is_empty = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        runtime.block_on(async {
            while !*has_exited {
                match pipe.try_read(buffer) {
                    Err(error) if is_empty(&error) => {}
                    read => return read,
                }
                tokio::select! {
                    ready = pipe.readable() => ready?,
                    _ = &mut *exit => *has_exited = true,
                }
            }
            rest.read(buffer).or_else(|error| if is_empty(&error) { Ok(0) } else { Err(error) })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads in the pieces that are given.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.pop() else { return Ok(0) };
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    fn passed(mut pieces: Vec<Vec<u8>>, decide: impl FnMut(&[u8]) -> Pass) -> (Vec<u8>, Vec<Vec<u8>>) {
        pieces.reverse();
        pieces.retain(|piece| !piece.is_empty());
        let (mut out, mut copies) = (Vec::new(), Vec::new());
        pass(Pieces(pieces), decide, |bytes, lines| {
            out.extend_from_slice(bytes);
            copies.extend(lines);
            Ok(())
        });
        (out, copies)
    }

    #[test]
    fn a_long_line_passes_before_it_is_whole() {
        let mut lines = Lines::default();
        let mut decide = |_: &[u8]| -> Pass { panic!("a long line is not held") };
        let (out, _) = lines.feed(&vec![b'x'; MAX_HELD + 1], &mut decide);
        assert_eq!(out.len(), MAX_HELD + 1);
        let (out, whole) = lines.feed(b"yz\n", &mut decide);
        assert_eq!(out, b"yz\n");
        assert_eq!(whole[0].len(), MAX_HELD + 4);
    }

    #[test]
    fn what_we_say_stands_between_lines() {
        let mut file = tempfile::tempfile().unwrap();
        let client = ToClient::new(file.try_clone().unwrap());
        client.pass(b"half a", || {}).unwrap();
        client.say(b"ours\n").unwrap();
        client.pass(b" line\n", || {}).unwrap();
        client.say(b"and ours\n").unwrap();
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "half a line\nours\nand ours\n");
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_dropped_and_nobody_waits() {
        let (tap, mut watched) = Tap::new();
        for _ in 0..3 {
            tap.line(Side::Agent, vec![0; MAX_QUEUED / 2]);
        }
        let mut count = 0;
        while let Ok(Seen::Line(..)) = watched.queue.try_recv() {
            count += 1;
        }
        assert_eq!(count, 2);
    }

    proptest! {
        #[test]
        fn bytes_pass_as_they_are_and_lines_are_copied(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20),
            newlines in prop::collection::vec(0..20_usize, 0..20),
        ) {
            let mut pieces = pieces;
            for at in newlines {
                if let Some(byte) = pieces.get_mut(at).and_then(|piece| piece.last_mut()) {
                    *byte = b'\n';
                }
            }
            let bytes = pieces.concat();
            let (out, copies) = passed(pieces, |_| Pass::AsIs);
            prop_assert_eq!(&out, &bytes);
            let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let whole: Vec<_> = lines.into_iter().filter(|line| line.ends_with(b"\n")).collect();
            prop_assert_eq!(copies, whole);
        }
    }
}
