-- Which process made a share's last change, by a number that it drew at its start: with seq it is the head on which the
-- next write stands.
ALTER TABLE shares ADD COLUMN writer BIGINT NOT NULL DEFAULT 0;
