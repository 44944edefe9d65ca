//! What goes over the bus: one line of ASCII with the sender and many hints.
//!
//! `1 SENDER HINT HINT …`, where `c7:12` says that share 7 is at position 12, `g7` that it is gone, `v7:3` that three
//! watch it at the sender, and `m` that what the sender said lately may be lost. Without a hint it only tells that the
//! sender can be heard. PostgreSQL takes no more than 8,000 bytes, and no NUL: so it is text, and short, for all.

use std::fmt;

use super::{Hint, Node};

/// The longest message, in bytes.
pub(super) const MAX_BYTES: usize = 7900;

/// Of this format. Who does not know a version ignores its messages.
const VERSION: &str = "1";

/// A message that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Junk;

/// Hints as messages, as few as they fit into; one when there are none.
pub(super) fn write(node: Node, hints: &[Hint]) -> Vec<String> {
    let begin = || format!("{VERSION} {node}");
    let mut messages = Vec::new();
    let mut message = begin();
    for hint in hints {
        let word = hint.to_string();
        if message.len() + 1 + word.len() > MAX_BYTES {
            messages.push(std::mem::replace(&mut message, begin()));
        }
        message.push(' ');
        message.push_str(&word);
    }
    messages.push(message);
    messages
}

/// Reads a message. All of it is junk when any of it is.
pub(super) fn read(message: &[u8]) -> Result<(Node, Vec<Hint>), Junk> {
    if message.len() > MAX_BYTES {
        return Err(Junk);
    }
    let mut words = str::from_utf8(message).map_err(|_| Junk)?.split(' ');
    let (version, node) = (words.next(), words.next().ok_or(Junk)?);
    if version != Some(VERSION) {
        return Err(Junk);
    }
    let node = Node(u64::from_str_radix(node, 16).map_err(|_| Junk)?);
    Ok((node, words.map(hint).collect::<Result<_, _>>()?))
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { share, seq } => write!(f, "c{share}:{seq}"),
            Self::Gone { share } => write!(f, "g{share}"),
            Self::Viewers { share, count } => write!(f, "v{share}:{count}"),
            Self::Missed => f.write_str("m"),
        }
    }
}

/// Reads a hint.
fn hint(word: &str) -> Result<Hint, Junk> {
    let kind = word.chars().next().ok_or(Junk)?;
    let rest = &word[kind.len_utf8()..];
    let pair = || {
        let (share, number) = rest.split_once(':').ok_or(Junk)?;
        Ok((share.parse().map_err(|_| Junk)?, number.parse().map_err(|_| Junk)?))
    };
    match kind {
        'c' => pair().map(|(share, seq)| Hint::Changed { share, seq }),
        'g' => rest.parse().map(|share| Hint::Gone { share }).map_err(|_| Junk),
        'v' => pair().map(|(share, count)| Hint::Viewers { share, count }),
        'm' if rest.is_empty() => Ok(Hint::Missed),
        _ => Err(Junk),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_hint() -> impl Strategy<Value = Hint> {
        prop_oneof![
            (any::<i64>(), any::<u64>()).prop_map(|(share, seq)| Hint::Changed { share, seq }),
            any::<i64>().prop_map(|share| Hint::Gone { share }),
            (any::<i64>(), any::<u64>()).prop_map(|(share, count)| Hint::Viewers { share, count }),
            Just(Hint::Missed),
        ]
    }

    #[test]
    fn a_message_is_as_it_is_documented() {
        let hints = [
            Hint::Changed { share: 7, seq: 12 },
            Hint::Gone { share: 7 },
            Hint::Viewers { share: 7, count: 3 },
            Hint::Missed,
        ];
        assert_eq!(write(Node(0xab), &hints), ["1 ab c7:12 g7 v7:3 m"]);
        assert_eq!(write(Node(1), &[]), ["1 1"]);
        assert_eq!(read(b"1 1"), Ok((Node(1), vec![])));
    }

    #[test]
    fn what_is_no_message_is_junk() {
        let too_long = format!("1 1{}", " m".repeat(MAX_BYTES));
        for junk in [
            "",
            " ",
            "1",
            "1 ",
            "2 1 m",
            "1 x m",
            "1 1 ",
            "1 1 m ",
            "1 1  m",
            "1 1 mm",
            "1 1 c7",
            "1 1 c7:",
            "1 1 c:7",
            "1 1 c7:-1",
            "1 1 g",
            "1 1 g7:1",
            "1 1 v7:1:1",
            "1 1 ü7",
            "1 1 c7:99999999999999999999",
            "1 11111111111111111 m",
            &too_long,
        ] {
            assert_eq!(read(junk.as_bytes()), Err(Junk), "{junk:?}");
        }
        assert_eq!(read(b"1 1 g\xff"), Err(Junk));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(node: u64, hints in prop::collection::vec(any_hint(), 0..1500)) {
            let mut read_back = Vec::new();
            for message in write(Node(node), &hints) {
                prop_assert!(message.len() <= MAX_BYTES);
                let (from, hints) = read(message.as_bytes()).expect("it can be read");
                prop_assert_eq!(from, Node(node));
                read_back.extend(hints);
            }
            prop_assert_eq!(read_back, hints);
        }

        #[test]
        fn whatever_comes_is_read_or_junk(bytes: Vec<u8>, words in "1 [0-9a-f]{0,17}( [cgvm]?[0-9:-]{0,21}){0,9}") {
            let _ = read(&bytes);
            if let Ok((node, hints)) = read(words.as_bytes()) {
                prop_assert_eq!(read(write(node, &hints)[0].as_bytes()), Ok((node, hints)));
            }
        }
    }
}
