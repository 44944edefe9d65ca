//! What an operator does with the data: on a connection of its own, beside servers that run or without one.
//!
//! What is deleted here is found by servers within a second, because they look.

use std::path::{Path, PathBuf};

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::Serialize;

use super::direct::{Direct, on};
use super::records::unsigned;
use super::schema::{create_tokens, share_data, shares};
use super::{CreateToken, LibsqlError, NewToken, PostgresError, libsql, tokens};
use crate::model::{Key, Lock, random_epoch};
use crate::sqlite::{self, StartupError};

/// Characters that have to be known of an id before a share is looked for by its start.
const MIN_ID_START: usize = 4;

/// The data, in an operator's hands.
pub struct Operator(Data);

enum Data {
    /// What Diesel speaks to.
    Tables(Direct),
    /// A libSQL database.
    Libsql(libsql::Direct),
}

/// What Diesel speaks to; with a libSQL database something is done, and its outcome returned.
macro_rules! tables {
    ($data:expr, $database:ident => $of_libsql:expr) => {
        match &mut $data {
            Data::Tables(direct) => direct,
            Data::Libsql($database) => return Ok($of_libsql),
        }
    };
}

/// Why an operator's command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The database cannot be opened.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// PostgreSQL cannot be used.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// libSQL cannot be used.
    #[error(transparent)]
    Libsql(#[from] LibsqlError),
    /// sqld has no such command.
    #[error("sqld gives room back by itself, when half of a large database is free")]
    NoVacuum,
    /// It is not for this store.
    #[error("this is for SQLite alone")]
    OtherStore,
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
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The database refused.
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
    /// What its readers need besides the link.
    #[diesel(deserialize_as = Option<String>)]
    #[serde(flatten)]
    pub lock: Locked,
}

/// What an operator sees of a share's lock.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Locked {
    /// Whether only its readers can open its items.
    pub sealed: bool,
    /// Whether it has a password.
    pub protected: bool,
}

impl From<Option<String>> for Locked {
    fn from(lock: Option<String>) -> Self {
        let lock: Option<Lock> = lock.and_then(|lock| serde_json::from_str(&lock).ok());
        let lock = lock.unwrap_or_default();
        Self { sealed: lock.is_sealed(), protected: lock.password.is_some() }
    }
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
    /// Bytes in them that hold nothing: a vacuum gives them back to the disk. `None` when the database does not say.
    pub reclaimable: Option<i64>,
    /// Bytes that are free where the database is; `None` when that is another machine's to know.
    pub disk_free: Option<u64>,
    /// Tokens that hold.
    pub tokens: i64,
}

impl Operator {
    /// Opens the database in a data directory.
    ///
    /// # Errors
    /// When there is none, or it is of another version than this program.
    pub fn open(data_dir: &Path) -> Result<Self, OperatorError> {
        Ok(Self(Data::Tables(Direct::open(data_dir)?)))
    }

    /// Opens the PostgreSQL database of a URL.
    ///
    /// # Errors
    /// When it cannot be reached, or is of another version than this program.
    pub fn open_postgres(url: &str) -> Result<Self, OperatorError> {
        Ok(Self(Data::Tables(Direct::open_postgres(url)?)))
    }

    /// Opens the libSQL database of a URL.
    ///
    /// # Errors
    /// When it cannot be reached, or is of another version than this program.
    pub fn open_libsql(url: &str) -> Result<Self, OperatorError> {
        Ok(Self(Data::Libsql(libsql::Direct::open(url)?)))
    }

    /// Shares, as a filter has them.
    pub fn list(&mut self, filter: &Filter) -> Result<Vec<ShareRecord>, OperatorError> {
        let direct = tables!(self.0, database => database.list(filter)?);
        let of_token = match &filter.token {
            Some(name) => Some(on!(*direct, database => {
                let of_name = create_tokens::table.filter(create_tokens::name.eq(name));
                of_name.select(create_tokens::num.nullable()).load::<Option<i64>>(database)?
            })),
            None => None,
        };
        let listed = on!(*direct, database => {
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
            if let Some(tokens) = of_token {
                query = query.filter(shares::token_num.eq_any(tokens));
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
            query.load(database)
        });
        Ok(listed?)
    }

    /// The share of an id, of the start of one, or of a link.
    pub fn find(&mut self, share: &str) -> Result<ShareRecord, OperatorError> {
        let start = share.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if start.len() < MIN_ID_START || !start.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(OperatorError::TooShort);
        }
        let mut found = match &mut self.0 {
            Data::Tables(Direct::Sqlite(database)) => database.starting(start)?,
            Data::Tables(Direct::Postgres(database)) => database.starting(start)?,
            Data::Libsql(database) => database.starting(start)?,
        };
        match (found.pop(), found.len()) {
            (Some(share), 0) => Ok(share),
            (Some(_), more) => Err(OperatorError::Ambiguous(more + 1)),
            (None, _) => Err(OperatorError::NoSuchShare),
        }
    }

    /// What a share holds.
    pub fn contents(&mut self, share: &ShareRecord) -> Result<Contents, OperatorError> {
        let direct = tables!(self.0, database => database.contents(share.num)?);
        let items = match direct {
            Direct::Sqlite(database) => database.kinds(share.num)?,
            Direct::Postgres(database) => database.kinds(share.num)?,
        };
        on!(*direct, database => {
            let session: Option<Option<String>> = share_data::table
                .filter(share_data::share_num.eq(share.num))
                .filter(share_data::key.eq(Key::SESSION))
                .select(share_data::content)
                .first(database)
                .optional()?;
            let session: serde_json::Value =
                session.flatten().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let token: Option<String> = shares::table
                .find(share.num)
                .inner_join(create_tokens::table)
                .select(create_tokens::name)
                .first(database)
                .optional()?;
            Ok(Contents { title: session["title"].as_str().map(ToOwned::to_owned), items, token })
        })
    }

    /// Deletes a share for good. It has ended for everybody when this returns, and `true` says that its content is
    /// gone: from SQLite's file and its log, or as rows of the others. Else another process reads what is there, and
    /// the server goes on erasing when that ends.
    pub fn delete(&mut self, share: &ShareRecord, at: i64) -> Result<bool, OperatorError> {
        Ok(match &mut self.0 {
            Data::Tables(Direct::Sqlite(database)) => database.delete(share.num, at)?,
            Data::Tables(Direct::Postgres(database)) => {
                database.delete(share.num, at)?;
                true
            }
            Data::Libsql(database) => {
                database.delete(share.num, at)?;
                true
            }
        })
    }

    /// Gives all shares that are not deleted a new epoch, and heads that nobody knows: who watches one begins again.
    /// For a database that has less than it had. Gives how many.
    pub fn renew_epochs(&mut self) -> Result<usize, OperatorError> {
        let direct = tables!(self.0, database => database.renew_epochs()?);
        let epoch = random_epoch()?;
        let renewed = on!(*direct, database => {
            diesel::update(shares::table.filter(shares::deleted_at.is_null()))
                .set((shares::epoch.eq(epoch), shares::writer.eq(shares::writer - 1)))
                .execute(database)
        });
        Ok(renewed?)
    }

    /// The state of the data at one moment.
    pub fn stats(&mut self, at: i64) -> Result<Stats, OperatorError> {
        let direct = tables!(self.0, database => database.stats(at)?);
        let (database, reclaimable, disk_free) = match direct {
            Direct::Sqlite(database) => database.room()?,
            Direct::Postgres(database) => (database.size()?, None, None),
        };
        let alive = || shares::table.filter(shares::deleted_at.is_null());
        let day_ago = at - 24 * 3600 * 1000;
        on!(*direct, connection => {
            let content = sql::<Nullable<BigInt>>("CAST(sum(size) AS BIGINT)");
            let content: Option<i64> = shares::table.select(content).first(connection)?;
            Ok(Stats {
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
                content: unsigned(content.unwrap_or(0)),
                database,
                reclaimable,
                disk_free,
                tokens: create_tokens::table
                    .filter(create_tokens::revoked_at.is_null())
                    .filter(create_tokens::expires_at.is_null().or(create_tokens::expires_at.gt(at)))
                    .select(count_star())
                    .first(connection)?,
            })
        })
    }

    /// Gives what deleted shares took back to the disk. Writes of servers wait meanwhile.
    pub fn vacuum(&mut self) -> Result<(), OperatorError> {
        match &mut self.0 {
            Data::Tables(Direct::Sqlite(database)) => database.vacuum().map_err(Into::into),
            Data::Tables(Direct::Postgres(database)) => database.vacuum().map_err(Into::into),
            Data::Libsql(_) => Err(OperatorError::NoVacuum),
        }
    }

    /// Copies SQLite's database to a file that must not exist, as it is now: syncs go on meanwhile.
    pub fn back_up(&mut self, file: &Path) -> Result<(), OperatorError> {
        match &mut self.0 {
            Data::Tables(Direct::Sqlite(database)) => Ok(sqlite::copy_to(&mut database.connection, file)?),
            Data::Tables(Direct::Postgres(_)) | Data::Libsql(_) => Err(OperatorError::OtherStore),
        }
    }

    /// All tokens, with how many shares of each there are.
    pub fn tokens(&mut self) -> Result<Vec<(CreateToken, i64)>, OperatorError> {
        let direct = tables!(self.0, database => database.tokens()?);
        on!(*direct, database => {
            let all = create_tokens::table.order(create_tokens::num).select(CreateToken::as_select());
            let tokens: Vec<CreateToken> = all.load(database)?;
            let counted = tokens.into_iter().map(|token| {
                let shares = tokens::living_shares(token.num).count().get_result(database)?;
                Ok((token, shares))
            });
            counted.collect()
        })
    }

    /// Makes a token.
    pub fn add_token(&mut self, token: &NewToken) -> Result<(), OperatorError> {
        use diesel::result::{DatabaseErrorKind, Error};
        let name_taken = || OperatorError::Token(format!("there is a token of the name {}", token.name));
        let direct = match &mut self.0 {
            Data::Tables(direct) => direct,
            Data::Libsql(database) => {
                return if database.add_token(token)? { Ok(()) } else { Err(name_taken()) };
            }
        };
        let added = on!(*direct, database => {
            diesel::insert_into(create_tokens::table)
                .values((
                    create_tokens::name.eq(&token.name),
                    create_tokens::hash.eq(token.hash.as_bytes()),
                    create_tokens::create_limit.eq(&token.create_limit),
                    create_tokens::max_shares.eq(token.max_shares),
                    create_tokens::created_at.eq(token.at),
                    create_tokens::expires_at.eq(token.expires_at),
                ))
                .execute(database)
        });
        match added {
            Ok(_) => Ok(()),
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Err(name_taken()),
            Err(error) => Err(error.into()),
        }
    }

    /// Revokes a token: it creates nothing any more. Its shares stay.
    pub fn revoke_token(&mut self, name: &str, at: i64) -> Result<(), OperatorError> {
        let revoked = match &mut self.0 {
            Data::Tables(direct) => {
                on!(*direct, database => {
                    let holds = create_tokens::name.eq(name).and(create_tokens::revoked_at.is_null());
                    diesel::update(create_tokens::table.filter(holds))
                        .set(create_tokens::revoked_at.eq(at))
                        .execute(database)
                })? == 1
            }
            Data::Libsql(database) => database.revoke_token(name, at)?,
        };
        if revoked { Ok(()) } else { Err(OperatorError::Token(format!("no token of the name {name} holds"))) }
    }
}
