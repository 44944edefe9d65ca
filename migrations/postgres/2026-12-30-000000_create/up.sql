-- Times are milliseconds since 1970. What the columns mean that SQLite has too, its migrations say.
CREATE TABLE create_tokens (
    num BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    create_limit TEXT,
    max_shares BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX create_tokens_by_name ON create_tokens (name) WHERE revoked_at IS NULL;

-- Every sync updates a row of this table. The room left on its pages keeps these updates on the page (HOT), as long as
-- no index has seq, writer, size or updated_at.
CREATE TABLE shares (
    num BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    epoch TEXT NOT NULL,
    seq BIGINT NOT NULL DEFAULT 0,
    writer BIGINT NOT NULL DEFAULT 0,
    size BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    expires_at BIGINT,
    token_num BIGINT REFERENCES create_tokens (num),
    purged_at BIGINT,
    deletion BIGINT
) WITH (fillfactor = 50);
CREATE INDEX shares_of_token ON shares (token_num) WHERE token_num IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX deleted_shares ON shares (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX shares_to_purge ON shares (num) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;
CREATE INDEX deletions ON shares (deletion) WHERE deletion IS NOT NULL;

-- arrived orders a share's items as they first came: within what their first write added to seq. Content is TEXT, for
-- JSONB refuses what JSON allows (\u0000).
CREATE TABLE share_data (
    share_num BIGINT NOT NULL REFERENCES shares (num),
    key TEXT NOT NULL,
    content TEXT,
    seq BIGINT NOT NULL,
    arrived BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (share_num, key)
);
CREATE INDEX share_data_by_seq ON share_data (share_num, seq);

-- One row, locked by each deletion until its commit: who follows deletions by their numbers sees them in this order.
CREATE TABLE last_deletion (
    id BIGINT PRIMARY KEY,
    deletion BIGINT NOT NULL
);
INSERT INTO last_deletion (id, deletion) VALUES (1, 0);

CREATE TABLE redactions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    share_num BIGINT NOT NULL REFERENCES shares (num),
    digest BYTEA NOT NULL,
    kind TEXT NOT NULL,
    n BIGINT NOT NULL,
    UNIQUE (share_num, digest),
    UNIQUE (share_num, kind, n)
);
CREATE TABLE redaction_key (
    id BIGINT PRIMARY KEY,
    key BYTEA NOT NULL
);

CREATE TABLE checks (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL
);
CREATE TABLE passed_time (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL
);
INSERT INTO passed_time (id, at) VALUES (1, (extract(epoch FROM now()) * 1000)::bigint);
