//! Group commit in one statement: the writes of many shares are one round trip, one transaction and one flush, and each
//! takes effect or not by itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use crate::model::{Key, Row};
use crate::store::records::{Head, Write, signed};

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
struct Merged {
    num: i64,
    before: Head,
    after: Head,
    size: u64,
    at: i64,
    rows: Vec<Row>,
    places: HashMap<Key, usize>,
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

    pub(super) fn statement(&self) -> WriteGroup<'_> {
        let mut statement = WriteGroup::default();
        for share in &self.shares {
            statement.nums.push(share.num);
            statement.befores.push(signed(share.before.seq));
            statement.knowns.push(share.before.writer);
            statement.afters.push(signed(share.after.seq));
            statement.writers.push(share.after.writer);
            statement.sizes.push(signed(share.size));
            statement.times.push(share.at);
            for (row, arrived) in share.rows.iter().zip(signed(share.before.seq) + 1..) {
                statement.items.push(share.num);
                statement.keys.push(row.key.as_str());
                statement.contents.push(row.content.as_ref().map(|content| content.get()));
                statement.seqs.push(signed(row.seq));
                statement.arrivals.push(arrived);
            }
        }
        statement
    }
}

/// Moves the heads of shares on where they are those that are expected, and puts the items of these shares; gives their
/// numbers. Arrays keep its text the same for groups of every size, so it is prepared once.
#[derive(Default)]
pub(super) struct WriteGroup<'a> {
    nums: Vec<i64>,
    befores: Vec<i64>,
    knowns: Vec<i64>,
    afters: Vec<i64>,
    writers: Vec<i64>,
    sizes: Vec<i64>,
    times: Vec<i64>,
    items: Vec<i64>,
    keys: Vec<&'a str>,
    contents: Vec<Option<&'a str>>,
    seqs: Vec<i64>,
    arrivals: Vec<i64>,
}

impl QueryFragment<Pg> for WriteGroup<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Read committed: a row that another transaction has locked is compared again once it is free, so of two writes
        // on one head one finds it gone. The order keeps two groups from waiting for each other.
        out.push_sql("WITH want AS MATERIALIZED (SELECT s.num, w.after, w.writer, w.size, w.at FROM unnest(");
        let shares =
            [&self.nums, &self.befores, &self.knowns, &self.afters, &self.writers, &self.sizes, &self.times];
        for (nth, column) in shares.into_iter().enumerate() {
            out.push_sql(if nth == 0 { "" } else { ", " });
            out.push_bind_param::<Array<BigInt>, _>(column)?;
        }
        out.push_sql(
            ") AS w (num, before, known, after, writer, size, at) \
             JOIN shares s ON s.num = w.num AND s.seq = w.before AND s.writer = w.known AND s.deleted_at IS NULL \
             ORDER BY s.num FOR UPDATE OF s), \
             moved AS (UPDATE shares s SET seq = want.after, writer = want.writer, size = want.size, \
             updated_at = want.at FROM want WHERE s.num = want.num AND want.after > s.seq), \
             put AS (INSERT INTO share_data (share_num, key, content, seq, arrived, updated_at) \
             SELECT r.num, r.key, r.content, r.seq, r.arrived, want.at FROM unnest(",
        );
        out.push_bind_param::<Array<BigInt>, _>(&self.items)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.contents)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.seqs)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.arrivals)?;
        out.push_sql(
            ") AS r (num, key, content, seq, arrived) JOIN want USING (num) \
             ON CONFLICT (share_num, key) DO UPDATE \
             SET content = excluded.content, seq = excluded.seq, updated_at = excluded.updated_at) \
             SELECT num FROM want",
        );
        Ok(())
    }
}

impl QueryId for WriteGroup<'_> {
    type QueryId = WriteGroup<'static>;
}

impl Query for WriteGroup<'_> {
    type SqlType = BigInt;
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
        let statement = group.statement();
        assert_eq!((&statement.nums[..], &statement.befores[..]), (&[1, 2][..], &[4, 0][..]));
        assert_eq!((&statement.knowns[..], &statement.afters[..]), (&[2, 0][..], &[8, 0][..]));
        assert_eq!(statement.writers, [9, 0], "a write of nothing leaves the head as it is");
        assert_eq!(statement.keys, ["todo/a", "todo/b", "todo/c"]);
        assert_eq!((&statement.seqs[..], &statement.arrivals[..]), (&[8, 6, 7][..], &[5, 6, 7][..]));
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
