-- How often somebody tried to open a share's lock and failed, since a time in milliseconds since 1970: for a minute.
CREATE TABLE tries (
    share_num INTEGER NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL,
    count BIGINT NOT NULL
);
