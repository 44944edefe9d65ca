//! Tokens by which shares may be created, where not everybody may.

use diesel::prelude::*;

use super::schema::{create_tokens, shares};
use crate::model::SecretHash;

/// A token, without the token itself, which is kept nowhere. Times are milliseconds since 1970.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = create_tokens)]
pub struct CreateToken {
    /// Its number.
    pub num: i64,
    /// What its operator calls it.
    pub name: String,
    /// How many shares it may create: N/s, N/m or N/h; `None` for the server's own limit.
    pub create_limit: Option<String>,
    /// How many shares of it there may be at once.
    pub max_shares: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// A token to be made.
pub struct NewToken {
    /// What its operator calls it.
    pub name: String,
    /// What is kept of it.
    pub hash: SecretHash,
    /// As in `CreateToken`.
    pub create_limit: Option<String>,
    /// As in `CreateToken`.
    pub max_shares: Option<i64>,
    /// Now.
    pub at: i64,
    /// When it ends by itself.
    pub expires_at: Option<i64>,
}

/// Shares of a token that are not deleted.
#[diesel::dsl::auto_type]
pub(super) fn living_shares(token: i64) -> _ {
    shares::table.filter(shares::token_num.eq(token)).filter(shares::deleted_at.is_null())
}
