-- What was accepted for a shared session and is not on the server yet, the newest version of each item.
-- seq is the order in which updates were accepted; bytes is what an item counts for. content is the item's JSON, or NULL
-- for a removal; it stands last, so that sums of the other columns need not read past it.
CREATE TABLE spool (
    id INTEGER NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL,
    key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    content TEXT,
    UNIQUE (session_id, key)
);
CREATE INDEX spool_order ON spool (session_id, seq);
