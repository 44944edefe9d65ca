-- When a deleted share's content was gone from the database and its log. What a crash leaves in between is found by
-- the lack of it.
ALTER TABLE shares ADD COLUMN purged_at BIGINT;
-- How many deletions there were up to this one: who follows them depends on no clock. NULL for those of an earlier
-- version.
ALTER TABLE shares ADD COLUMN deletion BIGINT;

UPDATE shares SET purged_at = deleted_at WHERE deleted_at IS NOT NULL AND size = 0
    AND NOT EXISTS (SELECT 1 FROM share_data WHERE share_num = shares.num);

DROP INDEX shares_to_purge;
CREATE INDEX shares_to_purge ON shares (num) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;
CREATE INDEX deletions ON shares (deletion) WHERE deletion IS NOT NULL;

-- One row: a time that has passed for sure, in milliseconds since 1970. A clock that is ahead is found by it.
CREATE TABLE passed_time (
    id INTEGER NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
INSERT INTO passed_time (id, at)
    SELECT 1, coalesce(max(updated_at), CAST(strftime('%s', 'now') AS INTEGER) * 1000) FROM shares;
