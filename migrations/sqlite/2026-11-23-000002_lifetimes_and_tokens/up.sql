-- Who may create shares, when only some may. The token itself is kept nowhere.
CREATE TABLE create_tokens (
    num INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    -- N/s, N/m or N/h; NULL for the server's own limit.
    create_limit TEXT,
    max_shares BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- When a share ends at the latest; NULL for never. Idle and maximum lifetimes are the server's to know, for they may change.
ALTER TABLE shares ADD COLUMN expires_at BIGINT;
ALTER TABLE shares ADD COLUMN token_num BIGINT;

CREATE UNIQUE INDEX create_tokens_by_name ON create_tokens (name) WHERE revoked_at IS NULL;
CREATE INDEX shares_of_token ON shares (token_num) WHERE token_num IS NOT NULL AND deleted_at IS NULL;
-- What a server looks for that runs beside the operator's commands.
CREATE INDEX deleted_shares ON shares (deleted_at) WHERE deleted_at IS NOT NULL;
-- A share's size stays until its content is gone: what a crash left is found by it.
CREATE INDEX shares_to_purge ON shares (num) WHERE deleted_at IS NOT NULL AND size > 0;
