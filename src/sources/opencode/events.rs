//! Server-sent events, out of the bytes of their stream: the data of each, as the HTML standard reads it.

/// Bytes of an event. A longer one is skipped: no item is so large.
const MAX_EVENT: usize = 64 << 20;

/// What of an event has come.
#[derive(Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    is_too_long: bool,
}

impl Events {
    /// The events that have come to their end with these bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (piece, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            if self.line.len() + self.data.len() + piece.len() > MAX_EVENT {
                (self.line, self.data, self.is_too_long) = (Vec::new(), Vec::new(), true);
            }
            // Of an event that is too long only its end is looked for, which is an empty line.
            let kept = if self.is_too_long { piece.len().min(1) } else { piece.len() };
            self.line.extend_from_slice(&piece[..kept]);
            if is_whole {
                events.extend(self.end_line());
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let skipped = std::mem::take(&mut self.is_too_long);
            return String::from_utf8(data).ok().filter(|data| !skipped && !data.is_empty());
        }
        if let Some(data) = line.strip_prefix(b"data:")
            && !self.is_too_long
        {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &[u8] =
        b": hello\n\ndata: {\"a\":1}\n\nid: 7\r\nevent: x\r\ndata:one\r\ndata: two\r\n\r\ndata: rest";

    proptest! {
        #[test]
        fn in_whatever_pieces_they_come(pieces in prop::collection::vec(1..20_usize, 1..80)) {
            let (mut events, mut read, mut at) = (Events::default(), Vec::new(), 0);
            for piece in pieces.into_iter().chain([STREAM.len()]) {
                let end = (at + piece).min(STREAM.len());
                read.extend(events.take(&STREAM[at..end]));
                at = end;
            }
            prop_assert_eq!(read, ["{\"a\":1}", "one\ntwo"]);
        }
    }

    #[test]
    fn what_is_too_long_is_skipped_and_not_kept() {
        let mut events = Events::default();
        let much = vec![b'x'; 1 << 20];
        events.take(b"data: ");
        for _ in 0..=(MAX_EVENT >> 20) {
            assert_eq!(events.take(&much), [""; 0]);
            assert!(events.line.capacity() <= 2 * MAX_EVENT);
        }
        assert!(events.line.len() < 1 << 10, "{}", events.line.len());
        assert_eq!(events.take(b"\ndata: y\n\ndata: z\n\n"), ["z"]);
    }
}
