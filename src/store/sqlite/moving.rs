//! Shares moved from or into a database.

use std::fs::File;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel::sqlite::SqliteConnection;

use super::restore::own_like_directory;
use super::statements::PutItem;
use super::{DATABASE, Direct, MIGRATIONS};
use crate::sqlite::{self, BeforeMigration, Hold, StartupError};
use crate::store::moving::{Item, ShareCopy, Side, UNFINISHED};
use crate::store::schema::share_data;

impl Direct {
    /// Takes a directory for this process; `None` when a server uses it.
    pub(in crate::store) fn lock_unused(data_dir: &Path) -> Result<Option<File>, StartupError> {
        match sqlite::lock(&data_dir.join("lock"), Hold::Alone) {
            Err(StartupError::InUse(_)) => Ok(None),
            locked => locked.map(Some),
        }
    }

    /// Opens a database, and makes it when there is none, in a directory that no server uses: taken for this process
    /// as long as the file is open.
    pub(in crate::store) fn create(data_dir: &Path) -> Result<(Self, File), StartupError> {
        sqlite::private_dir(data_dir)?;
        let lock = sqlite::lock(&data_dir.join("lock"), Hold::Alone)?;
        let path = data_dir.join(DATABASE);
        let connection = sqlite::open_and_migrate(&path, MIGRATIONS, BeforeMigration::KeepCopy)?;
        own_like_directory(data_dir, &[&path, &data_dir.join("lock")])?;
        Ok((Self::new(connection, data_dir), lock))
    }
}

/// Whether shares are being moved into a database.
pub(super) fn is_unfinished(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let mark = format!("EXISTS (SELECT 1 FROM sqlite_master WHERE name = '{UNFINISHED}')");
    diesel::select(sql::<Bool>(&mark)).first(connection)
}

impl Side for SqliteConnection {
    fn see_one_moment(&mut self) -> QueryResult<()> {
        // As every transaction does.
        Ok(())
    }

    fn items(&mut self, num: i64, after: i64) -> QueryResult<Vec<Item>> {
        share_data::table
            .filter(share_data::share_num.eq(num))
            .filter(share_data::seq.gt(after))
            .order(share_data::id)
            .select((share_data::key, share_data::content, share_data::seq, share_data::updated_at))
            .load(self)
    }

    fn put_items(&mut self, shares: &[ShareCopy]) -> QueryResult<()> {
        for share in shares {
            for (_, Item { key, content, seq, updated_at }) in share.placed() {
                let content = content.as_deref();
                PutItem { share: share.num(), key, content, seq: *seq, at: *updated_at }.execute(self)?;
            }
        }
        Ok(())
    }

    fn is_unfinished(&mut self) -> QueryResult<bool> {
        is_unfinished(self)
    }

    fn mark(&mut self) -> QueryResult<()> {
        self.batch_execute(&format!("CREATE TABLE {UNFINISHED} (at BIGINT)"))
    }

    fn unmark(&mut self) -> QueryResult<()> {
        self.batch_execute(&format!("DROP TABLE {UNFINISHED}"))
    }

    fn has_server(&mut self) -> QueryResult<bool> {
        // The lock of its directory tells that.
        Ok(false)
    }
}
