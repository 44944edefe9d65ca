-- What redaction calls the values that it found in a session, so that a value has one name in all of it, over restarts.
-- digest: the first 16 bytes of HMAC-SHA-256 of the value, under a key that stands beside this database.
CREATE TABLE redactions (
    session_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (session_id, digest)
) WITHOUT ROWID;
-- Where in the items of a session it found them. sure: the value's shape says that it is secret, or it is known.
CREATE TABLE findings (
    session_id TEXT NOT NULL,
    key TEXT NOT NULL,
    place TEXT NOT NULL,
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    times BIGINT NOT NULL,
    sure BOOLEAN NOT NULL,
    tool TEXT,
    file TEXT,
    PRIMARY KEY (session_id, key, place, kind, number)
) WITHOUT ROWID;
-- Parts of texts that grow, whose last words wait until they are whole. sealed: the part's JSON, encrypted under a key that
-- stands beside this database, so that no secret stands in it in clear.
CREATE TABLE held (
    session_id TEXT NOT NULL,
    key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (session_id, key)
) WITHOUT ROWID;
