//! Messages: each carries its number in a form that a reader finds without parsing what is around it, whatever protocol
//! it came by.

use std::fmt::Write;
use std::sync::LazyLock;

/// What stands before a message's number.
pub const MARK: &[u8] = b"@#";

/// Digits of a message's number.
pub const DIGITS: usize = 9;

/// Letters that do not compress and do not repeat soon.
static NOISE: LazyLock<String> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.alphanumeric()).take(1 << 20).collect()
});

/// A text of `bytes` that carries the number `n`, another one for every `n`.
pub fn text(n: usize, bytes: usize) -> String {
    let filler = bytes.saturating_sub(MARK.len() + DIGITS + 1);
    let start = n.wrapping_mul(7919) % (NOISE.len() - filler.min(NOISE.len() - 1));
    let mut text = String::with_capacity(bytes);
    text.push_str("@#");
    // Writing to a string cannot fail.
    let _ = write!(text, "{n:0DIGITS$} ");
    text.push_str(&NOISE[start..(start + filler).min(NOISE.len())]);
    text
}

/// Finds numbers in a stream of bytes that comes in pieces.
#[derive(Default)]
pub struct Scanner {
    /// The end of the last piece, where a number may have begun.
    rest: Vec<u8>,
}

impl Scanner {
    /// Calls `found` for each number in a piece.
    pub fn scan(&mut self, piece: &[u8], mut found: impl FnMut(usize)) {
        if self.rest.is_empty() {
            let whole = numbers(piece, &mut found);
            self.rest.extend_from_slice(&piece[whole..]);
        } else {
            // A number stands across the border: this happens to one read in many.
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(piece);
            let whole = numbers(&joined, &mut found);
            self.rest.extend_from_slice(&joined[whole..]);
        }
    }
}

/// Calls `found` for each number; tells from where on a number may still be cut off.
fn numbers(bytes: &[u8], found: &mut impl FnMut(usize)) -> usize {
    const LENGTH: usize = MARK.len() + DIGITS;
    for at in memchr::memmem::find_iter(bytes, MARK) {
        let Some(digits) = bytes.get(at + MARK.len()..at + LENGTH) else { return at };
        found(digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit.wrapping_sub(b'0'))));
    }
    if bytes.ends_with(&MARK[..1]) { bytes.len() - 1 } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_once_wherever_the_stream_is_cut() {
        let stream: String = (0..20).map(|n| text(n, 40)).collect();
        for size in 1..60 {
            let (mut scanner, mut numbers) = (Scanner::default(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                scanner.scan(piece, |n| numbers.push(n));
            }
            assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "pieces of {size}");
        }
    }
}
