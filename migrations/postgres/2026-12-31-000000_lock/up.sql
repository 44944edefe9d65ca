-- What the column means SQLite's migration says.
ALTER TABLE shares ADD COLUMN lock TEXT;
