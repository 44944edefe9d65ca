//! `OpenCode`'s ids: a kind, twelve hexadecimal digits that ascend with time, and fourteen letters and digits. It sorts
//! by them, those that it makes later too, so an id that is made here begins with its item's time.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

pub(super) const SESSION: &str = "ses";
pub(super) const MESSAGE: &str = "msg";
pub(super) const PART: &str = "prt";

/// Hexadecimal digits that ascend: 48 bits.
const PLACE: usize = 12;
const LAST_PLACE: u64 = (1 << 48) - 1;

/// Places of a millisecond. Those of a time begin anew every 795 days.
const PER_MILLISECOND: u64 = 1 << 12;

/// Places that the end of such a time leaves to what comes behind it: more than a share has items.
const ROOM: u64 = 1 << 32;

/// Letters and digits that tell ids of one place apart.
const TAIL: usize = 14;

/// Whether `OpenCode` has made an id.
pub(super) fn is_own(kind: &str, id: &str) -> bool {
    digits(kind, id).is_some()
}

/// The ascending digits of an id that is `OpenCode`'s own.
fn digits<'a>(kind: &str, id: &'a str) -> Option<&'a str> {
    let (place, tail) = id.strip_prefix(kind)?.strip_prefix('_')?.split_at_checked(PLACE)?;
    let is_place = place.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_tail = tail.len() == TAIL && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_place && is_tail).then_some(place)
}

/// A session's id: the same for the same names.
pub(super) fn session(names: &[&str]) -> String {
    format!("{SESSION}_{}", hash(names, PLACE + TAIL))
}

/// The ids of a list, in its order.
#[derive(Default)]
pub(super) struct Ascending {
    last: Option<u64>,
}

impl Ascending {
    /// The id of the next item, which came at a time: its own, where it is `OpenCode`'s, or else the same one for the
    /// same names, time and items before.
    pub(super) fn next(&mut self, kind: &str, own: &str, at: u64, names: &[&str]) -> String {
        if let Some(digits) = digits(kind, own) {
            self.last = u64::from_str_radix(digits, 16).ok();
            return own.to_owned();
        }
        let of_time = (at.wrapping_mul(PER_MILLISECOND) & LAST_PLACE).min(LAST_PLACE - ROOM);
        let place = self.last.map_or(of_time, |last| of_time.max(last + 1)).min(LAST_PLACE);
        self.last = Some(place);
        format!("{kind}_{place:0PLACE$x}{}", hash([&[kind], names].concat().as_slice(), TAIL))
    }
}

/// So many hexadecimal digits of a hash of names.
fn hash(names: &[&str], length: usize) -> String {
    let mut hash = Sha256::new();
    for name in names {
        // With its length: the ends of names are told apart.
        hash.update(name.len().to_le_bytes());
        hash.update(name);
    }
    let mut text = HEXLOWER.encode(&hash.finalize());
    text.truncate(length);
    text
}
