-- The events of incidents, which are never changed. A token names an event in the whole store: it is written once.
CREATE TABLE incident_events (
  incident INTEGER NOT NULL,
  seq      INTEGER NOT NULL,
  token    TEXT NOT NULL,
  doc      TEXT NOT NULL,
  PRIMARY KEY (incident, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX incident_events_token ON incident_events (token) WHERE token <> '';

CREATE TRIGGER incident_events_kept BEFORE DELETE ON incident_events BEGIN SELECT RAISE(ABORT, 'events of incidents are never removed'); END;
CREATE TRIGGER incident_events_same BEFORE UPDATE ON incident_events BEGIN SELECT RAISE(ABORT, 'events of incidents are never changed'); END;
