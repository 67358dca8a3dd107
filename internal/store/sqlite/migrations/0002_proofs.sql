-- A cache: what was found by reading many files, for as long as nothing about these files changes.
CREATE TABLE proofs (
  key   TEXT PRIMARY KEY,
  proof BLOB NOT NULL,
  at    TEXT NOT NULL -- when it was kept
) STRICT;
CREATE INDEX proofs_at ON proofs (at);
