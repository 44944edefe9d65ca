//! A database of another program: read, and nothing else.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a path keeps in a URI.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Opens a database of another program to read it, while that writes.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(super) fn open(path: &Path) -> Result<SqliteConnection, ConnectionError> {
    let path = path.to_str().ok_or_else(|| ConnectionError::BadConnection("no UTF-8 in its path".into()))?;
    let uri = format!("file:{}?mode=ro", utf8_percent_encode(path, &PATH));
    let mut connection = SqliteConnection::establish(&uri)?;
    let refused = |error: diesel::result::Error| ConnectionError::BadConnection(error.to_string());
    connection.batch_execute("PRAGMA busy_timeout = 2000; PRAGMA query_only = ON").map_err(refused)?;
    Ok(connection)
}
