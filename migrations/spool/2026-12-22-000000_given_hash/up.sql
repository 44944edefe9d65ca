-- Of what was given, so that a later life sends only what is different. 64 bits of SHA-256.
ALTER TABLE given ADD COLUMN hash BIGINT;
