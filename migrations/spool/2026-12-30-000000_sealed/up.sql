-- Shares whose items are encrypted before they are sent. version: the highest that was given to an item. models: the list of
-- models as JSON, which goes as a whole. batch: what is under way, as JSON; it is sent again as it is until the server has
-- answered, so that what the server has is always known.
CREATE TABLE sealed_shares (
    session_id TEXT NOT NULL PRIMARY KEY,
    share_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    models TEXT,
    batch TEXT
);
-- The items that their servers have, by their blinded names.
CREATE TABLE sealed_items (
    session_id TEXT NOT NULL,
    item TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (session_id, item)
) WITHOUT ROWID;
