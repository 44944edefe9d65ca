//! The rows of tokens.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::model::SecretHash;
use crate::store::schema::{create_tokens, shares};
use crate::store::{CreateToken, NewToken};

/// A token that is presented.
pub(super) fn find(connection: &mut SqliteConnection, hash: &SecretHash) -> QueryResult<Option<CreateToken>> {
    create_tokens::table
        .filter(create_tokens::hash.eq(hash.as_bytes()))
        .select(CreateToken::as_select())
        .first(connection)
        .optional()
}

/// Shares of a token that are not deleted.
pub(super) fn count_shares(connection: &mut SqliteConnection, token: i64) -> QueryResult<i64> {
    shares::table
        .filter(shares::token_num.eq(token))
        .filter(shares::deleted_at.is_null())
        .count()
        .get_result(connection)
}

pub(super) fn all(connection: &mut SqliteConnection) -> QueryResult<Vec<CreateToken>> {
    create_tokens::table.order(create_tokens::num).select(CreateToken::as_select()).load(connection)
}

pub(super) fn add(connection: &mut SqliteConnection, token: &NewToken) -> QueryResult<()> {
    diesel::insert_into(create_tokens::table)
        .values((
            create_tokens::name.eq(&token.name),
            create_tokens::hash.eq(token.hash.as_bytes()),
            create_tokens::create_limit.eq(&token.create_limit),
            create_tokens::max_shares.eq(token.max_shares),
            create_tokens::created_at.eq(token.at),
            create_tokens::expires_at.eq(token.expires_at),
        ))
        .execute(connection)
        .map(|_| ())
}

/// Revokes a token by its name; false when there is none that holds.
pub(super) fn revoke(connection: &mut SqliteConnection, name: &str, at: i64) -> QueryResult<bool> {
    let token =
        create_tokens::table.filter(create_tokens::name.eq(name)).filter(create_tokens::revoked_at.is_null());
    Ok(diesel::update(token).set(create_tokens::revoked_at.eq(at)).execute(connection)? == 1)
}
