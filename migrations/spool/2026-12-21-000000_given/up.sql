-- Which items of conversations that come as whole lists of messages the shares were given, so that a later list can take
-- away what it lacks. settled: the item has come to its end, and an earlier list says nothing against that.
CREATE TABLE given (
    session_id TEXT NOT NULL,
    key TEXT NOT NULL,
    settled BOOLEAN NOT NULL,
    PRIMARY KEY (session_id, key)
) WITHOUT ROWID;
