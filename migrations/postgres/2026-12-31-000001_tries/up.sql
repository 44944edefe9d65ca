-- What the columns mean SQLite's migration says.
CREATE TABLE tries (
    share_num BIGINT PRIMARY KEY,
    since BIGINT NOT NULL,
    count BIGINT NOT NULL
);
