DROP TABLE passed_time;
DROP INDEX deletions;
DROP INDEX shares_to_purge;
ALTER TABLE shares DROP COLUMN deletion;
ALTER TABLE shares DROP COLUMN purged_at;
CREATE INDEX shares_to_purge ON shares (num) WHERE deleted_at IS NOT NULL AND size > 0;
