-- One row, written anew by each readiness check: a check that writes nothing would not find a full disk.
CREATE TABLE checks (
    id INTEGER NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
