-- What stands between a share's link and its items, as JSON: that only its readers can open them, and a hash
-- of the password. NULL when the link is enough.
ALTER TABLE shares ADD COLUMN lock TEXT;
