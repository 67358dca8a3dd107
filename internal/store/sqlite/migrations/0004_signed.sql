-- What people signed: the approval as its canonical JSON with the signature of it, so that whoever applies the plan can judge
-- both again. A person whose approval has run out may give it anew.
CREATE TABLE signed_approvals (
  n         INTEGER PRIMARY KEY AUTOINCREMENT,
  plan      TEXT NOT NULL REFERENCES plans (hash),
  by        TEXT NOT NULL,
  verdict   TEXT NOT NULL CHECK (verdict IN ('approve', 'reject')),
  reason    TEXT NOT NULL,
  at        TEXT NOT NULL,
  until     TEXT NOT NULL,
  document  BLOB NOT NULL,
  signature BLOB NOT NULL
) STRICT;
CREATE INDEX signed_approvals_plan ON signed_approvals (plan, by);

-- Plans that were applied over the policy's head.
CREATE TABLE overrides (
  plan TEXT PRIMARY KEY REFERENCES plans (hash),
  at   TEXT NOT NULL,
  doc  TEXT NOT NULL
) STRICT;
CREATE TABLE reviews (
  plan   TEXT PRIMARY KEY REFERENCES overrides (plan),
  by     TEXT NOT NULL,
  review TEXT NOT NULL,
  at     TEXT NOT NULL
) STRICT;

CREATE TRIGGER signed_approvals_kept BEFORE DELETE ON signed_approvals BEGIN SELECT RAISE(ABORT, 'approvals are never removed'); END;
CREATE TRIGGER signed_approvals_same BEFORE UPDATE ON signed_approvals BEGIN SELECT RAISE(ABORT, 'approvals are never changed'); END;
CREATE TRIGGER overrides_kept BEFORE DELETE ON overrides BEGIN SELECT RAISE(ABORT, 'overrides are never removed'); END;
CREATE TRIGGER overrides_same BEFORE UPDATE ON overrides BEGIN SELECT RAISE(ABORT, 'overrides are never changed'); END;
CREATE TRIGGER reviews_kept BEFORE DELETE ON reviews BEGIN SELECT RAISE(ABORT, 'reviews are never removed'); END;
CREATE TRIGGER reviews_same BEFORE UPDATE ON reviews BEGIN SELECT RAISE(ABORT, 'reviews are never changed'); END;
