-- Times are milliseconds since 1970. A share's rows in share_data go when it is deleted; its row in shares stays, so
-- that a repeated delete can be told from a wrong secret, and an id is never given out twice.
CREATE TABLE shares (
    num INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    epoch TEXT NOT NULL,
    seq BIGINT NOT NULL DEFAULT 0,
    size BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

-- A rowid table on purpose: WITHOUT ROWID makes batches several times slower.
-- content is the item's JSON, or NULL for a tombstone; seq is the share's sequence number at its last change.
CREATE TABLE share_data (
    id INTEGER NOT NULL PRIMARY KEY,
    share_num INTEGER NOT NULL REFERENCES shares (num),
    key TEXT NOT NULL,
    content TEXT,
    seq BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (share_num, key)
);
