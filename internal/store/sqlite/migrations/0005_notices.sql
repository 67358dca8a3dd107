-- The outbox: what people are to be told, one row for each channel. A token names what a notice tells of: it is written once
-- for each channel. Times have a fixed width, so that they sort as text.
CREATE TABLE dispatches (
  n          INTEGER PRIMARY KEY AUTOINCREMENT,
  token      TEXT NOT NULL,
  channel    TEXT NOT NULL,
  notice     TEXT NOT NULL,                  -- JSON
  state      TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given up')),
  together   INTEGER NOT NULL DEFAULT 0,     -- the row that it is told with, as one message
  queued_at  TEXT NOT NULL,
  tries      INTEGER NOT NULL DEFAULT 0,
  next       TEXT NOT NULL DEFAULT '',       -- when the next try is due
  error      TEXT NOT NULL DEFAULT '',
  settled_at TEXT NOT NULL DEFAULT '',
  UNIQUE (token, channel)
) STRICT;
CREATE INDEX dispatches_waiting ON dispatches (n) WHERE state = 'waiting';
CREATE INDEX dispatches_queued ON dispatches (queued_at);
CREATE INDEX dispatches_together ON dispatches (together) WHERE together > 0;

-- Since when a channel is told: nothing older is made up for.
CREATE TABLE channels (
  name  TEXT PRIMARY KEY,
  since TEXT NOT NULL
) STRICT;
