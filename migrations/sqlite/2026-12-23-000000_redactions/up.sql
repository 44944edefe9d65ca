-- What the values that were taken out of a share are called there, KIND-n, so that each has one name all through it. Of
-- a value there is a digest alone, under the key below. The rows go with the share's content.
CREATE TABLE redactions (
    id INTEGER NOT NULL PRIMARY KEY,
    share_num INTEGER NOT NULL REFERENCES shares (num),
    digest BLOB NOT NULL,
    kind TEXT NOT NULL,
    n BIGINT NOT NULL,
    UNIQUE (share_num, digest, kind),
    UNIQUE (share_num, kind, n)
);

-- One row, made at the first start: without it nobody can try values on the digests.
CREATE TABLE redaction_key (
    id INTEGER NOT NULL PRIMARY KEY,
    key BLOB NOT NULL
);
