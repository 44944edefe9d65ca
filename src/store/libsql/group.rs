//! Group commit in one transaction: the writes of many shares are one round trip and one flush, and each takes effect
//! or not by itself.
//!
//! Heads and items come as JSON, from which SQLite makes rows: so there are a few statements, the same ones for a group
//! of any size, where a statement for each item would be parsed anew each time.

use std::collections::HashMap;

use super::connect::{Failure, Link};
use super::hrana::{Arg, Batch, Columns, Step};
use crate::store::StoreError;
use crate::store::group::{Group, Merged};
use crate::store::lane::{Commit, NotCommitted, Outcomes};
use crate::store::records::signed;

/// Bytes of the items of one statement, after which it is closed. The database takes no value of more than some MB.
const STATEMENT_BYTES: usize = 1 << 20;

/// A content of more bytes than this goes beside the JSON, for it would be escaped twice.
const ALONE: usize = 64 << 10;

/// Which of the shares are not deleted, and whether the heads of these are those that are expected.
const COMPARE: &str = "SELECT s.num, s.seq = w.value ->> 1 AND s.writer = w.value ->> 2 FROM json_each(?1) w \
    CROSS JOIN shares s ON s.num = w.value ->> 0 WHERE s.deleted_at IS NULL";

/// Puts items into the shares whose heads are those that are expected: in their order, for that is the order in which
/// they came.
const PUT: &str = "INSERT INTO share_data (share_num, key, content, seq, updated_at) \
    SELECT s.num, r.value ->> 3, coalesce(?2, r.value ->> 4), r.value ->> 5, r.value ->> 6 FROM json_each(?1) r \
    CROSS JOIN shares s ON s.num = r.value ->> 0 \
    WHERE s.seq = r.value ->> 1 AND s.writer = r.value ->> 2 AND s.deleted_at IS NULL ORDER BY r.key \
    ON CONFLICT (share_num, key) DO UPDATE \
    SET content = excluded.content, seq = excluded.seq, updated_at = excluded.updated_at";

/// Moves heads on where they are those that are expected: last, for the items are put by the same comparison.
const MOVE: &str = "UPDATE shares SET seq = w.value ->> 3, writer = w.value ->> 4, size = w.value ->> 5, \
    updated_at = w.value ->> 6 FROM json_each(?1) w \
    WHERE shares.num = w.value ->> 0 AND shares.seq = w.value ->> 1 AND shares.writer = w.value ->> 2 \
    AND shares.deleted_at IS NULL AND w.value ->> 3 > shares.seq";

/// Commits groups.
pub(super) struct Writing(pub(super) Link);

impl Commit for Writing {
    async fn commit(&self, group: &Group) -> Result<Outcomes, NotCommitted> {
        let heads = heads(group.shares());
        let items = items(group.shares());
        let put = items
            .iter()
            .map(|(json, content)| Step::new(PUT, [Arg::Text(json.as_str()), Arg::MaybeText(*content)]));
        let compare = Step::new(COMPARE, [Arg::Text(&heads)]);
        let moved = Step::new(MOVE, [Arg::Text(&heads)]);
        let steps = std::iter::once(compare).chain(put).chain([moved]).collect();
        let answer = self.0.write(&Batch::transaction("BEGIN IMMEDIATE", steps)).await;
        let living = answer.and_then(|results| {
            let rows = results.into_iter().nth(1).unwrap_or_default().rows.into_iter().map(|row| {
                let mut row = Columns::of(row);
                Ok((row.next::<i64>()?, row.next::<i64>()? == 1))
            });
            rows.collect::<Result<HashMap<_, _>, Failure>>()
        });
        let living = living.map_err(|failure| match failure {
            Failure::Refused(_) | Failure::Constraint => {
                tracing::error!(reason = %failure, "cannot write to the database");
                NotCommitted::Refused
            }
            failure => NotCommitted::All(failure.told()),
        })?;
        let outcome = |num: &i64| match living.get(num) {
            Some(true) => Ok(()),
            Some(false) => Err(StoreError::Conflict),
            None => Err(StoreError::Gone),
        };
        Ok(group.nums().iter().map(|num| (*num, outcome(num))).collect())
    }
}

/// The heads before and after, as `COMPARE` and `MOVE` take them.
fn heads(shares: &[Merged]) -> String {
    let heads: Vec<_> = shares
        .iter()
        .map(|Merged { num, before, after, size, at, .. }| {
            (num, signed(before.seq), before.writer, signed(after.seq), after.writer, signed(*size), at)
        })
        .collect();
    json(&heads)
}

/// The items of some statements, as `PUT` takes them; of a large one the content stands beside the others.
fn items(shares: &[Merged]) -> Vec<(String, Option<&str>)> {
    let (mut statements, mut rows, mut bytes) = (Vec::new(), Vec::new(), 0);
    for share in shares {
        for (row, _) in share.arriving() {
            let content = row.content.as_ref().map(|content| content.get());
            let size = row.key.as_str().len() + content.map_or(0, str::len);
            let is_large = size > ALONE;
            if is_large || bytes + size > STATEMENT_BYTES {
                statements.extend(statement(&mut rows, None));
                bytes = 0;
            }
            rows.push((
                share.num,
                signed(share.before.seq),
                share.before.writer,
                row.key.as_str(),
                content.filter(|_| !is_large),
                signed(row.seq),
                share.at,
            ));
            bytes += size;
            if is_large {
                statements.extend(statement(&mut rows, content));
                bytes = 0;
            }
        }
    }
    statements.extend(statement(&mut rows, None));
    statements
}

type ItemRow<'a> = (i64, i64, i64, &'a str, Option<&'a str>, i64, i64);

fn statement<'a>(rows: &mut Vec<ItemRow<'a>>, content: Option<&'a str>) -> Option<(String, Option<&'a str>)> {
    let rows = std::mem::take(rows);
    (!rows.is_empty()).then(|| (json(&rows), content))
}

/// Numbers and texts, of which JSON can always be made.
fn json(rows: &impl serde::Serialize) -> String {
    serde_json::to_string(rows).unwrap_or_default()
}
