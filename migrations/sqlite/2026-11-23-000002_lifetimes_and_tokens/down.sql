DROP INDEX shares_to_purge;
DROP INDEX deleted_shares;
DROP INDEX shares_of_token;
ALTER TABLE shares DROP COLUMN token_num;
ALTER TABLE shares DROP COLUMN expires_at;
DROP TABLE create_tokens;
