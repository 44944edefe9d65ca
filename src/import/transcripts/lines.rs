//! A file's lines, out of the pieces in which it is read.

/// Bytes of a line from which on it is set aside. Pictures make lines so long; an item of that size has no place in a
/// share anyway.
pub(super) const MAX_LINE: usize = 10_000_000;

/// Whole lines. What stands behind the last newline waits for the rest: an agent may be in the middle of writing it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    half: Vec<u8>,
    /// Whether the rest of a line that is too long is passed over.
    skips: bool,
    set_aside: usize,
}

impl Lines {
    /// Reads a piece, and gives each line that is whole now.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.skips {
                self.skips = false;
            } else if self.half.len() + line.len() >= MAX_LINE {
                self.set_aside += 1;
            } else if self.half.is_empty() {
                take(line);
            } else {
                self.half.extend_from_slice(line);
                take(&self.half);
            }
            self.half.clear();
        }
        if self.skips {
            return;
        }
        if self.half.len() + bytes.len() >= MAX_LINE {
            self.skips = true;
            self.set_aside += 1;
            self.half = Vec::new();
        } else {
            self.half.extend_from_slice(bytes);
        }
    }

    /// How many lines were too long.
    pub(super) fn set_aside(&self) -> usize {
        self.set_aside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, usize) {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| taken.push(line.to_vec()));
        }
        (taken, lines.set_aside())
    }

    #[test]
    fn half_a_line_waits() {
        assert_eq!(lines(&[b"a\nb"]).0, [b"a"]);
        assert_eq!(lines(&[b"a\nb", b"c", b"\n", b"\nd"]).0, [&b"a"[..], b"bc", b""]);
    }

    #[test]
    fn a_line_that_is_too_long_is_set_aside_and_the_next_is_read() {
        let long = vec![b'x'; MAX_LINE];
        for pieces in [vec![&long[..], b"\nb\n"], vec![&long[..7], &long[7..], b"yy", b"\nb\n"]] {
            assert_eq!(lines(&pieces), (vec![b"b".to_vec()], 1));
        }
        let whole = [&long[..], b"\nb\n"].concat();
        assert_eq!(lines(&[&whole]), (vec![b"b".to_vec()], 1));
        let short = [&long[1..], b"\n"].concat();
        assert_eq!((lines(&[&short]).0.len(), lines(&[&short]).1), (1, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_split_gives_the_same_lines(text in "[ab\n]{0,60}", cuts in proptest::collection::vec(0..60usize, 0..8)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            proptest::prop_assert_eq!(lines(&pieces), lines(&[bytes]));
        }
    }
}
