//! What an operator does with the data: on a connection of its own, beside a server that runs or without one.
//!
//! What is deleted here is found by the server within a second, because it looks.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel::sqlite::SqliteConnection;
use serde::Serialize;

use super::queries::PurgeStep;
use super::room::Room;
use super::{DATABASE, MIGRATIONS, queries, tokens};
use crate::model::Key;
use crate::sqlite::{self, Erasure, StartupError};
use crate::store::schema::{create_tokens, share_data, shares};
use crate::store::{CreateToken, NewToken};

/// Characters that have to be known of an id before a share is looked for by its start.
const MIN_ID_START: usize = 4;

/// How long a command waits for readers of other processes before it leaves the rest of erasing to the server.
const ERASE_WITHIN: Duration = Duration::from_secs(5);

/// How long after a reader was in the way it tries again.
const ERASE_PAUSE: Duration = Duration::from_millis(50);

/// The data, in an operator's hands.
pub struct Operator {
    connection: SqliteConnection,
    data_dir: PathBuf,
}

/// Why an operator's command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The database cannot be opened.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// There is no database in the data directory.
    #[error("{}: there is no database here", .0.display())]
    NoDatabase(PathBuf),
    /// No share has such an id.
    #[error("no share has this id")]
    NoSuchShare,
    /// Several shares have ids that start so.
    #[error("{0} shares have ids that start so: name more of it")]
    Ambiguous(usize),
    /// So little of an id finds nothing.
    #[error("name {MIN_ID_START} characters of the id at least")]
    TooShort,
    /// A token's name is taken, or there is none of this name.
    #[error("{0}")]
    Token(String),
    /// The database cannot be copied.
    #[error(transparent)]
    Copy(#[from] sqlite::CopyError),
    /// SQLite refused.
    #[error("the database: {0}")]
    Database(#[from] diesel::result::Error),
}

/// A share as an operator sees it. Times are milliseconds since 1970.
#[derive(Debug, Clone, Queryable, Selectable, Serialize)]
#[diesel(table_name = shares)]
#[serde(rename_all = "camelCase")]
pub struct ShareRecord {
    /// Its number in the database.
    #[serde(skip)]
    pub num: i64,
    /// Its id: whoever knows it can read the share.
    pub id: String,
    /// The session that it shows, as its client calls it.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// Bytes of its items.
    pub size: i64,
    /// The sequence number of its last change.
    pub seq: i64,
    /// When it was created.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
    /// When it ends, as its creator asked; the server's own lifetimes may end it before.
    pub expires_at: Option<i64>,
    /// When it was deleted.
    pub deleted_at: Option<i64>,
}

/// The sort key of a list of shares: the largest or newest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// When they were created.
    Created,
    /// When they last changed.
    Updated,
    /// What they take.
    Size,
}

/// Which shares are listed.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The order.
    pub sort: Sort,
    /// Reverses the order.
    pub reverse: bool,
    /// The most that are listed.
    pub limit: Option<i64>,
    /// Those that are deleted, and not the others.
    pub deleted: bool,
    /// Created before this time.
    pub created_before: Option<i64>,
    /// Not changed since this time.
    pub updated_before: Option<i64>,
    /// Of so many bytes at least.
    pub min_size: Option<i64>,
    /// Of this session.
    pub session: Option<String>,
    /// Created by the token of this name.
    pub token: Option<String>,
}

/// What a share holds.
#[derive(Debug, Serialize)]
pub struct Contents {
    /// The session's title.
    pub title: Option<String>,
    /// Items by their type.
    pub items: Vec<Kind>,
    /// The name of the token by which it was created.
    pub token: Option<String>,
}

/// Items of one type.
#[derive(Debug, Serialize, QueryableByName)]
pub struct Kind {
    /// The type.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// Their bytes.
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
}

/// How it is with the data.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Shares that are not deleted.
    pub shares: i64,
    /// Of these, those that never got a sync.
    pub never_synced: i64,
    /// Of these, those created within the last day.
    pub created_last_day: i64,
    /// Shares that were deleted.
    pub deleted: i64,
    /// Bytes of all items.
    pub content: u64,
    /// Bytes of the database's files.
    pub database: u64,
    /// Bytes in them that hold nothing: a vacuum gives them back to the disk.
    pub reclaimable: i64,
    /// Bytes that are free where the database is.
    pub disk_free: u64,
    /// Tokens that hold.
    pub tokens: i64,
}

impl Operator {
    /// Opens the database in a data directory.
    ///
    /// # Errors
    /// When there is none, or it is of another version than this program.
    pub fn open(data_dir: &Path) -> Result<Self, OperatorError> {
        let path = data_dir.join(DATABASE);
        if !path.is_file() {
            return Err(OperatorError::NoDatabase(data_dir.to_owned()));
        }
        for private in [data_dir, &path] {
            sqlite::check_private(private).map_err(StartupError::from)?;
        }
        let connection = sqlite::open_migrated(&path, &MIGRATIONS)?;
        Ok(Self { connection, data_dir: data_dir.to_owned() })
    }

    /// Shares, as a filter has them.
    pub fn list(&mut self, filter: &Filter) -> Result<Vec<ShareRecord>, OperatorError> {
        let mut query = shares::table.select(ShareRecord::as_select()).into_boxed();
        query = if filter.deleted {
            query.filter(shares::deleted_at.is_not_null())
        } else {
            query.filter(shares::deleted_at.is_null())
        };
        if let Some(at) = filter.created_before {
            query = query.filter(shares::created_at.lt(at));
        }
        if let Some(at) = filter.updated_before {
            query = query.filter(shares::updated_at.lt(at));
        }
        if let Some(size) = filter.min_size {
            query = query.filter(shares::size.ge(size));
        }
        if let Some(session) = &filter.session {
            query = query.filter(shares::session_id.eq(session));
        }
        if let Some(name) = &filter.token {
            let of_name = create_tokens::table.filter(create_tokens::name.eq(name));
            let nums = of_name.select(create_tokens::num).load::<i64>(&mut self.connection)?;
            query = query.filter(shares::token_num.eq_any(nums.into_iter().map(Some).collect::<Vec<_>>()));
        }
        query = match (filter.sort, filter.reverse) {
            (Sort::Created, false) => query.order(shares::created_at.desc()),
            (Sort::Created, true) => query.order(shares::created_at.asc()),
            (Sort::Updated, false) => query.order(shares::updated_at.desc()),
            (Sort::Updated, true) => query.order(shares::updated_at.asc()),
            (Sort::Size, false) => query.order(shares::size.desc()),
            (Sort::Size, true) => query.order(shares::size.asc()),
        };
        if let Some(limit) = filter.limit {
            query = query.limit(limit);
        }
        Ok(query.load(&mut self.connection)?)
    }

    /// The share of an id, of the start of one, or of a link.
    pub fn find(&mut self, share: &str) -> Result<ShareRecord, OperatorError> {
        let start = share.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if start.len() < MIN_ID_START || !start.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(OperatorError::TooShort);
        }
        let mut found: Vec<ShareRecord> = shares::table
            // Greater than or equal to the start, and below all that starts with something greater: by the index.
            .filter(shares::id.ge(start))
            .filter(shares::id.lt(format!("{start}~")))
            .select(ShareRecord::as_select())
            .load(&mut self.connection)?;
        match (found.pop(), found.len()) {
            (Some(share), 0) => Ok(share),
            (Some(_), more) => Err(OperatorError::Ambiguous(more + 1)),
            (None, _) => Err(OperatorError::NoSuchShare),
        }
    }

    /// What a share holds.
    pub fn contents(&mut self, share: &ShareRecord) -> Result<Contents, OperatorError> {
        let items = diesel::sql_query(
            "SELECT substr(key, 1, instr(key || '/', '/') - 1) AS kind, count(*) AS count, \
                    sum(octet_length(content)) AS bytes \
             FROM share_data WHERE share_num = ? AND content IS NOT NULL GROUP BY 1 ORDER BY 1",
        );
        let session: Option<Option<String>> = share_data::table
            .filter(share_data::share_num.eq(share.num))
            .filter(share_data::key.eq(Key::SESSION))
            .select(share_data::content)
            .first(&mut self.connection)
            .optional()?;
        let session: serde_json::Value =
            session.flatten().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let token: Option<String> = shares::table
            .find(share.num)
            .inner_join(create_tokens::table)
            .select(create_tokens::name)
            .first(&mut self.connection)
            .optional()?;
        Ok(Contents {
            title: session["title"].as_str().map(ToOwned::to_owned),
            items: items.bind::<BigInt, _>(share.num).load(&mut self.connection)?,
            token,
        })
    }

    /// Deletes a share for good. It has ended for everybody when this returns, and `true` says that its bytes are no
    /// longer in the database or its log; else another process reads what is there, and the server goes on erasing
    /// when that ends.
    pub fn delete(&mut self, share: &ShareRecord, at: i64) -> Result<bool, OperatorError> {
        let num = share.num;
        self.write(|connection| queries::mark_deleted(connection, num, at))?;
        while self.write(|connection| queries::purge(connection, num))? == PurgeStep::More {}
        let gone = self.erase()?;
        if gone {
            self.write(|connection| queries::mark_purged(connection, num, at))?;
        }
        Ok(gone)
    }

    /// Gets what was deleted out of the log, and tells whether that is done.
    fn erase(&mut self) -> Result<bool, OperatorError> {
        let mut erasure = Erasure::new(&self.data_dir.join(DATABASE));
        let until = Instant::now() + ERASE_WITHIN;
        while !erasure.attempt(&mut self.connection)? {
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(ERASE_PAUSE);
        }
        Ok(true)
    }

    fn write<T>(
        &mut self,
        job: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>,
    ) -> Result<T, OperatorError> {
        Ok(self.connection.immediate_transaction(job)?)
    }

    /// The state of the data at one moment.
    pub fn stats(&mut self, at: i64) -> Result<Stats, OperatorError> {
        let connection = &mut self.connection;
        let alive = || shares::table.filter(shares::deleted_at.is_null());
        let day_ago = at - 24 * 3600 * 1000;
        let pages = sql::<Integer>("(SELECT freelist_count FROM pragma_freelist_count)");
        let page_size = sql::<Integer>("(SELECT page_size FROM pragma_page_size)");
        let (free_pages, page_size): (i32, i32) = diesel::select((pages, page_size)).first(connection)?;
        let content = queries::content_size(connection)?;
        let stats = Stats {
            shares: alive().select(count_star()).first(connection)?,
            never_synced: alive().filter(shares::seq.eq(0)).select(count_star()).first(connection)?,
            created_last_day: alive()
                .filter(shares::created_at.ge(day_ago))
                .select(count_star())
                .first(connection)?,
            deleted: shares::table
                .filter(shares::deleted_at.is_not_null())
                .select(count_star())
                .first(connection)?,
            content,
            database: 0,
            reclaimable: i64::from(free_pages) * i64::from(page_size),
            disk_free: 0,
            tokens: create_tokens::table
                .filter(create_tokens::revoked_at.is_null())
                .filter(create_tokens::expires_at.is_null().or(create_tokens::expires_at.gt(at)))
                .select(count_star())
                .first(connection)?,
        };
        let sizes = Room::new(&self.data_dir, content).sizes();
        Ok(Stats { database: sizes.database, disk_free: sizes.disk_free.unwrap_or(0), ..stats })
    }

    /// Gives what deleted shares took back to the disk. Writes of a server wait meanwhile.
    pub fn vacuum(&mut self) -> Result<(), OperatorError> {
        self.connection.batch_execute("VACUUM")?;
        // The file becomes smaller when the log is in it. A reader that is in the way puts that off.
        self.erase().map(|_| ())
    }

    /// Copies the database to a file that must not exist, as it is now: syncs go on meanwhile.
    pub fn back_up(&mut self, file: &Path) -> Result<(), OperatorError> {
        Ok(sqlite::copy_to(&mut self.connection, file)?)
    }

    /// All tokens, with how many shares of each there are.
    pub fn tokens(&mut self) -> Result<Vec<(CreateToken, i64)>, OperatorError> {
        let tokens = tokens::all(&mut self.connection)?;
        let counted = tokens.into_iter().map(|token| {
            let shares = tokens::count_shares(&mut self.connection, token.num)?;
            Ok((token, shares))
        });
        counted.collect()
    }

    /// Makes a token.
    pub fn add_token(&mut self, token: &NewToken) -> Result<(), OperatorError> {
        use diesel::result::{DatabaseErrorKind, Error};
        self.write(|connection| tokens::add(connection, token)).map_err(|error| match error {
            OperatorError::Database(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                OperatorError::Token(format!("there is a token of the name {}", token.name))
            }
            error => error,
        })
    }

    /// Revokes a token: it creates nothing any more. Its shares stay.
    pub fn revoke_token(&mut self, name: &str, at: i64) -> Result<(), OperatorError> {
        if self.write(|connection| tokens::revoke(connection, name, at))? {
            Ok(())
        } else {
            Err(OperatorError::Token(format!("no token of the name {name} holds")))
        }
    }
}
