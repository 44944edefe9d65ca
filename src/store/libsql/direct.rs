//! What a command does with a database.

use std::fmt::Write as _;

use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::connect::{Database, Failure, Link};
use super::hrana::{Arg, Batch, Columns, Step, StepResult};
use super::{LibsqlError, queries, runtime, schema};
use crate::model::{Key, random_epoch};
use crate::store::records::unsigned;
use crate::store::{Contents, CreateToken, Filter, Kind, NewToken, OperatorError, ShareRecord, Sort, Stats};

/// The columns of a share, as `share_record` reads them.
const RECORD: &str = "num, id, session_id, size, seq, created_at, updated_at, expires_at, deleted_at, lock";

/// A libSQL database, opened by a command.
pub(in crate::store) struct Direct {
    link: Link,
    local: LocalSet,
    runtime: Runtime,
}

impl Direct {
    /// Opens a database that is there and of this version.
    pub(in crate::store) fn open(url: &str) -> Result<Self, LibsqlError> {
        let database = Database::new(url)?;
        let (runtime, local) = (runtime()?, LocalSet::new());
        let link = local.block_on(&runtime, async { Link::new(database) });
        let direct = Self { link, local, runtime };
        let is_up_to_date = direct.local.block_on(&direct.runtime, schema::is_up_to_date(&direct.link))?;
        if is_up_to_date { Ok(direct) } else { Err(LibsqlError::Older) }
    }

    fn run<T>(&self, job: impl Future<Output = Result<T, Failure>>) -> Result<T, LibsqlError> {
        Ok(self.local.block_on(&self.runtime, job)?)
    }

    /// The rows of one statement.
    fn rows(&self, sql: &str, args: Vec<Arg<'_>>) -> Result<Vec<Columns>, LibsqlError> {
        let batch = Batch::one(Step::new(sql, args));
        let StepResult { rows, .. } = self.run(self.link.read(&batch))?.remove(0);
        Ok(rows.into_iter().map(Columns::of).collect())
    }

    /// How many rows one statement changed.
    fn change(&self, sql: &str, args: Vec<Arg<'_>>) -> Result<u64, LibsqlError> {
        self.changed(sql, args).map_err(LibsqlError::from)
    }

    fn changed(&self, sql: &str, args: Vec<Arg<'_>>) -> Result<u64, Failure> {
        let batch = Batch::one(Step::new(sql, args));
        let results = self.local.block_on(&self.runtime, self.link.write(&batch))?;
        Ok(results.first().map_or(0, |result| result.affected_row_count))
    }

    /// Shares, as a filter has them.
    pub(in crate::store) fn list(&self, filter: &Filter) -> Result<Vec<ShareRecord>, LibsqlError> {
        let Filter { sort, reverse, limit, deleted, created_before, updated_before, min_size, .. } = *filter;
        let mut sql = format!("SELECT {RECORD} FROM shares WHERE (deleted_at IS NOT NULL) = ?");
        let mut args = vec![Arg::Integer(deleted.into())];
        let mut also = |condition: &str, arg| {
            // A string takes all that is written to it.
            let _ = write!(sql, " AND {condition}");
            args.push(arg);
        };
        if let Some(at) = created_before {
            also("created_at < ?", Arg::Integer(at));
        }
        if let Some(at) = updated_before {
            also("updated_at < ?", Arg::Integer(at));
        }
        if let Some(size) = min_size {
            also("size >= ?", Arg::Integer(size));
        }
        if let Some(session) = &filter.session {
            also("session_id = ?", Arg::Text(session));
        }
        if let Some(token) = &filter.token {
            also("token_num IN (SELECT num FROM create_tokens WHERE name = ?)", Arg::Text(token));
        }
        let column = match sort {
            Sort::Created => "created_at",
            Sort::Updated => "updated_at",
            Sort::Size => "size",
        };
        let order = if reverse { "ASC" } else { "DESC" };
        let _ = write!(sql, " ORDER BY {column} {order} LIMIT ?");
        // None is as many as there are.
        args.push(Arg::Integer(limit.unwrap_or(-1)));
        records(self.rows(&sql, args)?)
    }

    /// The shares whose ids start so.
    pub(in crate::store) fn starting(&self, start: &str) -> Result<Vec<ShareRecord>, LibsqlError> {
        let sql = format!("SELECT {RECORD} FROM shares WHERE id >= ? AND id < ?");
        records(self.rows(&sql, vec![Arg::Text(start), Arg::Text(&format!("{start}~"))])?)
    }

    /// What a share holds.
    pub(in crate::store) fn contents(&self, num: i64) -> Result<Contents, LibsqlError> {
        let kinds = "SELECT substr(key, 1, instr(key || '/', '/') - 1), count(*), sum(octet_length(content)) \
            FROM share_data WHERE share_num = ? AND content IS NOT NULL GROUP BY 1 ORDER BY 1";
        let kinds = self
            .rows(kinds, vec![Arg::Integer(num)])?
            .into_iter()
            .map(|mut row| Ok(Kind { kind: row.next()?, count: row.next()?, bytes: row.next()? }));
        let items = kinds.collect::<Result<_, Failure>>()?;
        let session = "SELECT content FROM share_data WHERE share_num = ? AND key = ?";
        let session = self.text(session, vec![Arg::Integer(num), Arg::Text(Key::SESSION)])?;
        let session: serde_json::Value =
            session.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let token = "SELECT name FROM create_tokens WHERE num = (SELECT token_num FROM shares WHERE num = ?)";
        let token = self.text(token, vec![Arg::Integer(num)])?;
        Ok(Contents { title: session["title"].as_str().map(ToOwned::to_owned), items, token })
    }

    /// The first column of the first row.
    fn text(&self, sql: &str, args: Vec<Arg<'_>>) -> Result<Option<String>, LibsqlError> {
        let row = self.rows(sql, args)?.into_iter().next();
        Ok(row.map(|mut row| row.next::<Option<String>>()).transpose().map_err(Failure::from)?.flatten())
    }

    /// Deletes a share and its rows.
    pub(in crate::store) fn delete(&self, num: i64, at: i64) -> Result<(), LibsqlError> {
        self.run(async {
            queries::mark_deleted(&self.link, num, None, at).await?;
            while queries::purge(&self.link, num).await? {}
            queries::mark_purged(&self.link, num, at).await.map(|_| ())
        })
    }

    /// Gives all shares that are not deleted a new epoch. Gives how many.
    pub(in crate::store) fn renew_epochs(&self) -> Result<usize, OperatorError> {
        let epoch = random_epoch()?;
        let renew = "UPDATE shares SET epoch = ?, writer = writer - 1 WHERE deleted_at IS NULL";
        Ok(usize::try_from(self.change(renew, vec![Arg::Text(&epoch)])?).unwrap_or(usize::MAX))
    }

    /// The state of the data at one moment.
    pub(in crate::store) fn stats(&self, at: i64) -> Result<Stats, LibsqlError> {
        let stats = "SELECT count(*) FILTER (WHERE deleted_at IS NULL), \
            count(*) FILTER (WHERE deleted_at IS NULL AND seq = 0), \
            count(*) FILTER (WHERE deleted_at IS NULL AND created_at >= ?1), \
            count(*) FILTER (WHERE deleted_at IS NOT NULL), coalesce(sum(size), 0), \
            (SELECT count(*) FROM create_tokens \
             WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)), \
            (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size()) FROM shares";
        let day_ago = at - 24 * 3600 * 1000;
        let row = self.rows(stats, vec![Arg::Integer(day_ago), Arg::Integer(at)])?.into_iter().next();
        let mut row = row.unwrap_or(Columns::of(Vec::new()));
        let mut next = || row.next::<i64>().map_err(Failure::from);
        Ok(Stats {
            shares: next()?,
            never_synced: next()?,
            created_last_day: next()?,
            deleted: next()?,
            content: unsigned(next()?),
            tokens: next()?,
            database: unsigned(next()?),
            reclaimable: None,
            disk_free: None,
        })
    }

    /// All tokens, with how many shares of each there are.
    pub(in crate::store) fn tokens(&self) -> Result<Vec<(CreateToken, i64)>, LibsqlError> {
        let sql = format!(
            "SELECT {}, (SELECT count(*) FROM shares WHERE token_num = t.num AND deleted_at IS NULL) \
             FROM create_tokens t ORDER BY num",
            queries::TOKEN
        );
        let rows = self.rows(&sql, Vec::new())?.into_iter();
        Ok(rows
            .map(|mut row| Ok((queries::create_token(&mut row)?, row.next()?)))
            .collect::<Result<_, Failure>>()?)
    }

    /// Adds a token. Tells whether its name was free.
    pub(in crate::store) fn add_token(&self, token: &NewToken) -> Result<bool, LibsqlError> {
        let add = "INSERT INTO create_tokens (name, hash, create_limit, max_shares, created_at, expires_at) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        let added = self.changed(
            add,
            vec![
                Arg::Text(&token.name),
                Arg::Blob(token.hash.as_bytes()),
                Arg::MaybeText(token.create_limit.as_deref()),
                Arg::MaybeInteger(token.max_shares),
                Arg::Integer(token.at),
                Arg::MaybeInteger(token.expires_at),
            ],
        );
        match added {
            Ok(_) => Ok(true),
            Err(Failure::Constraint) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Revokes a token. Tells whether there was one that held.
    pub(in crate::store) fn revoke_token(&self, name: &str, at: i64) -> Result<bool, LibsqlError> {
        let revoke = "UPDATE create_tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL";
        Ok(self.change(revoke, vec![Arg::Integer(at), Arg::Text(name)])? == 1)
    }
}

fn records(rows: Vec<Columns>) -> Result<Vec<ShareRecord>, LibsqlError> {
    let record = |mut row: Columns| {
        Ok(ShareRecord {
            num: row.next()?,
            id: row.next()?,
            session_id: row.next()?,
            size: row.next()?,
            seq: row.next()?,
            created_at: row.next()?,
            updated_at: row.next()?,
            expires_at: row.next()?,
            deleted_at: row.next()?,
            lock: row.next::<Option<String>>()?.into(),
        })
    };
    Ok(rows.into_iter().map(record).collect::<Result<_, Failure>>()?)
}
