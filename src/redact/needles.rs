//! Many values sought at once, by Wu and Manber's method: of a window only the last bytes are looked at, and nearly
//! always they say that no value begins within it. An automaton would read every byte.

use std::collections::HashMap;

/// Bytes at the end of a window that say how far it may go on.
const BLOCK: usize = 3;

/// Values of which each has at least as many bytes as a window.
pub(super) struct Needles<const WINDOW: usize> {
    values: Vec<Box<[u8]>>,
    /// By the hash of a window's last bytes: how far the window may go on
    steps: Vec<u8>,
    /// By the first bytes: the values that begin so, the longest first
    beginning: HashMap<[u8; WINDOW], Vec<usize>>,
}

impl<const WINDOW: usize> Needles<WINDOW> {
    /// Values that are shorter than a window are left out.
    pub(super) fn new(values: &[impl AsRef<[u8]>]) -> Self {
        let values: Vec<Box<[u8]>> = values.iter().map(|value| value.as_ref().into()).collect();
        // Not so full that it says little.
        let bits = (values.len() * 32).next_power_of_two().ilog2().clamp(12, 22);
        #[allow(clippy::cast_possible_truncation)] // Windows are small.
        let mut steps = vec![(WINDOW - BLOCK + 1) as u8; 1 << bits];
        let mut beginning: HashMap<[u8; WINDOW], Vec<usize>> = HashMap::new();
        for (nth, value) in values.iter().enumerate() {
            let Some(first) = value.first_chunk() else { continue };
            beginning.entry(*first).or_default().push(nth);
            for (step, block) in (0..).zip(first.windows(BLOCK).rev()) {
                let place = &mut steps[hash(block, bits)];
                *place = step.min(*place);
            }
        }
        for alike in beginning.values_mut() {
            alike.sort_by_key(|nth| std::cmp::Reverse(values[*nth].len()));
        }
        Self { values, steps, beginning }
    }

    /// The first place from a place on where a value stands, and of all that stand there the longest: its begin, its
    /// end, and which it is.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize, usize)> {
        if self.values.is_empty() {
            return None;
        }
        let bits = self.steps.len().ilog2();
        let mut at = from;
        while let Some(window) = text.get(at..).and_then(<[u8]>::first_chunk) {
            let step = self.steps[hash(&window[WINDOW - BLOCK..], bits)];
            if step > 0 {
                at += usize::from(step);
                continue;
            }
            let alike = self.beginning.get(window).map_or(&[][..], Vec::as_slice);
            if let Some(nth) = alike.iter().find(|nth| text[at..].starts_with(&self.values[**nth])) {
                return Some((at, at + self.values[*nth].len(), *nth));
            }
            at += 1;
        }
        None
    }
}

/// A number of so many bits, of the first three bytes.
fn hash(block: &[u8], bits: u32) -> usize {
    let number = u32::from(block[0]) | u32::from(block[1]) << 8 | u32::from(block[2]) << 16;
    (number.wrapping_mul(0x9e37_79b1) >> (u32::BITS - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_what_stands_first_is_found() {
        let needles = Needles::<8>::new(&["tumbling", "tumbling-otter", "otter-42-kettle", "short"]);
        let text = b"a short tumbling-otter-42-kettle";
        assert_eq!(needles.find(text, 0), Some((8, 22, 1)));
        assert_eq!(needles.find(text, 9), Some((17, 32, 2)));
        assert_eq!(needles.find(text, 18), None);
        assert_eq!(Needles::<8>::new(&[""; 0]).find(text, 0), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_is_what_a_plain_search_finds(
            values in proptest::collection::vec("[a-c]{8,10}", 0..6),
            text in "[a-c]{0,60}",
        ) {
            let text = text.as_bytes();
            let plain = (0..text.len()).find_map(|at| {
                let here = values.iter().filter(|value| text[at..].starts_with(value.as_bytes()));
                here.map(String::len).max().map(|length| (at, at + length))
            });
            let found = Needles::<8>::new(&values).find(text, 0).map(|(start, end, _)| (start, end));
            proptest::prop_assert_eq!(found, plain);
        }
    }
}
