//! Writes that are committed together: those of one share that follow on each other are one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::records::{Head, Write, signed};
use crate::model::{Key, Row};

/// Writes in one group.
pub(super) const GROUP_WRITES: usize = 1024;

/// Bytes of content in one group, after which it is closed.
const GROUP_BYTES: usize = 16 << 20;

/// Writes of different shares. Those of one share that follow on each other are merged: no key may come twice in a
/// statement that inserts or updates.
#[derive(Default)]
pub(super) struct Group {
    shares: Vec<Merged>,
    places: HashMap<i64, usize>,
    writes: usize,
    bytes: usize,
}

/// What a group writes of one share: all of it or nothing.
pub(super) struct Merged {
    pub(super) num: i64,
    pub(super) before: Head,
    pub(super) after: Head,
    pub(super) size: u64,
    pub(super) at: i64,
    rows: Vec<Row>,
    places: HashMap<Key, usize>,
}

impl Merged {
    /// Its items, each with the place at which it arrives when it is new.
    pub(super) fn arriving(&self) -> impl Iterator<Item = (&Row, i64)> {
        self.rows.iter().zip(signed(self.before.seq) + 1..)
    }
}

impl Group {
    /// Whether a write can join: there is room, and it follows on what the group has of its share.
    pub(super) fn takes(&self, write: &Write) -> bool {
        let room = self.writes < GROUP_WRITES && (self.writes == 0 || self.bytes < GROUP_BYTES);
        room && self.places.get(&write.num).is_none_or(|place| self.shares[*place].after == write.before)
    }

    /// Lets a write join that it takes.
    pub(super) fn add(&mut self, write: Write) {
        self.writes += 1;
        self.bytes += write.bytes();
        let after = write.after();
        let merged = match self.places.entry(write.num) {
            Entry::Occupied(place) => &mut self.shares[*place.get()],
            Entry::Vacant(place) => {
                place.insert(self.shares.len());
                self.shares.push(Merged {
                    num: write.num,
                    before: write.before,
                    after,
                    size: write.size,
                    at: write.at,
                    rows: Vec::with_capacity(write.rows.len()),
                    places: HashMap::new(),
                });
                let last = self.shares.len() - 1;
                &mut self.shares[last]
            }
        };
        (merged.after, merged.size, merged.at) = (after, write.size, write.at);
        for row in write.rows {
            // The newest version, at the place of the first: places say which item came first.
            match merged.places.entry(row.key.clone()) {
                Entry::Occupied(place) => merged.rows[*place.get()] = row,
                Entry::Vacant(place) => {
                    place.insert(merged.rows.len());
                    merged.rows.push(row);
                }
            }
        }
    }

    /// The numbers of its shares.
    pub(super) fn nums(&self) -> Vec<i64> {
        self.shares.iter().map(|share| share.num).collect()
    }

    /// The same as one group for each share.
    pub(super) fn apart(self) -> impl Iterator<Item = Self> {
        self.shares.into_iter().map(|share| Self {
            places: HashMap::from([(share.num, 0)]),
            shares: vec![share],
            ..Self::default()
        })
    }

    /// What it writes of each share.
    pub(super) fn shares(&self) -> &[Merged] {
        &self.shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(num: i64, before: (u64, i64), keys: &[(&str, u64)]) -> Write {
        let before = Head { seq: before.0, writer: before.1 };
        let row = |(key, seq): &(&str, u64)| Row { key: Key::from(*key), content: None, seq: *seq };
        let rows: Vec<Row> = keys.iter().map(row).collect();
        let seq = rows.iter().map(|row| row.seq).max().unwrap_or(before.seq);
        Write { num, before, rows, seq, writer: 9, size: seq, grown: 0, at: 1 }
    }

    #[test]
    fn writes_of_a_share_that_follow_on_each_other_are_one() {
        let mut group = Group::default();
        group.add(write(1, (4, 2), &[("todo/a", 5), ("todo/b", 6)]));
        group.add(write(2, (0, 0), &[]));
        let next = write(1, (6, 9), &[("todo/c", 7), ("todo/a", 8)]);
        assert!(group.takes(&next));
        group.add(next);
        let [one, other] = group.shares() else { panic!("two shares") };
        let head = |seq, writer| Head { seq, writer };
        assert_eq!((one.num, one.before, one.after), (1, head(4, 2), head(8, 9)));
        assert_eq!((other.num, other.before, other.after), (2, head(0, 0), head(0, 0)), "as it was");
        let rows: Vec<_> =
            one.arriving().map(|(row, arrived)| (row.key.as_str(), row.seq, arrived)).collect();
        assert_eq!(rows, [("todo/a", 8, 5), ("todo/b", 6, 6), ("todo/c", 7, 7)]);
    }

    #[test]
    fn a_write_on_another_head_and_one_too_many_wait_for_the_next_group() {
        let mut group = Group::default();
        group.add(write(1, (4, 2), &[("todo/a", 5)]));
        assert!(!group.takes(&write(1, (4, 2), &[("todo/b", 5)])));
        assert!(!group.takes(&write(1, (5, 2), &[("todo/b", 6)])));
        assert!(group.takes(&write(2, (4, 2), &[])));
        for num in 2..=1024 {
            group.add(write(num, (0, 0), &[]));
        }
        assert!(!group.takes(&write(2000, (0, 0), &[])));
    }
}
