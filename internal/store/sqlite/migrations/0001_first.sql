-- One row: who this store is, and the highest fence given out. The fence rises over all executions, never falls.
CREATE TABLE store (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  id    TEXT NOT NULL,
  fence INTEGER NOT NULL
) STRICT;
INSERT INTO store VALUES (1, lower(hex(randomblob(16))), 0);

CREATE TABLE plans (
  n    INTEGER PRIMARY KEY AUTOINCREMENT,
  hash TEXT NOT NULL UNIQUE,
  doc  BLOB NOT NULL,
  at   TEXT NOT NULL
) STRICT;

CREATE TABLE executions (
  n          INTEGER PRIMARY KEY AUTOINCREMENT,
  plan       TEXT NOT NULL UNIQUE REFERENCES plans (hash),
  created_at TEXT NOT NULL,
  ended_at   TEXT NOT NULL DEFAULT '',
  outcome    TEXT NOT NULL DEFAULT '',
  addresses  TEXT NOT NULL,                              -- a JSON list
  parent     INTEGER REFERENCES executions (n),
  runner     TEXT NOT NULL DEFAULT '',                   -- JSON, empty until the first engine takes it
  fence      INTEGER NOT NULL DEFAULT 0                  -- of the engine that took it last
) STRICT;
CREATE INDEX executions_open ON executions (n) WHERE ended_at = '';

-- A row is a lease: the one unfinished execution that may change the component.
CREATE TABLE leases (
  address   TEXT PRIMARY KEY,
  execution INTEGER NOT NULL REFERENCES executions (n)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_execution ON leases (execution);

CREATE TABLE records (
  execution INTEGER NOT NULL REFERENCES executions (n),
  seq       INTEGER NOT NULL,
  doc       TEXT NOT NULL,
  PRIMARY KEY (execution, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  address TEXT NOT NULL,
  token   TEXT NOT NULL,
  doc     TEXT NOT NULL
) STRICT;
CREATE INDEX events_address ON events (address, seq);
CREATE UNIQUE INDEX events_token ON events (token) WHERE token <> '';

CREATE TABLE approvals (
  plan    TEXT NOT NULL REFERENCES plans (hash),
  by      TEXT NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('approve', 'reject')),
  reason  TEXT NOT NULL,
  at      TEXT NOT NULL,
  PRIMARY KEY (plan, by)
) STRICT;

-- What happened is never changed.
CREATE TRIGGER plans_kept     BEFORE DELETE ON plans     BEGIN SELECT RAISE(ABORT, 'plans are never removed'); END;
CREATE TRIGGER plans_same     BEFORE UPDATE ON plans     BEGIN SELECT RAISE(ABORT, 'plans are never changed'); END;
CREATE TRIGGER records_kept   BEFORE DELETE ON records   BEGIN SELECT RAISE(ABORT, 'records are never removed'); END;
CREATE TRIGGER records_same   BEFORE UPDATE ON records   BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
CREATE TRIGGER events_kept    BEFORE DELETE ON events    BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
CREATE TRIGGER events_same    BEFORE UPDATE ON events    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER approvals_kept BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are never removed'); END;
CREATE TRIGGER approvals_same BEFORE UPDATE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are never changed'); END;
