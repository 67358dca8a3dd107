-- Records of all executions in one order, that of their keys: SQLite fills such a table page after page, where one with a
-- key of two columns shifts three pages each time that one is full (https://sqlite.org/fileformat2.html#b_tree_pages).
CREATE TABLE journal (
  key       INTEGER PRIMARY KEY CHECK (key & 0xffffffff > 0),                     -- 2^32 times the execution, and its number there
  doc       TEXT NOT NULL,
  execution INTEGER NOT NULL REFERENCES executions (n) AS (key >> 32)
) STRICT;
INSERT INTO journal (key, doc) SELECT (execution << 32) + seq, doc FROM records ORDER BY execution, seq;
DROP TABLE records;
CREATE TRIGGER journal_kept BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'records are never removed'); END;
CREATE TRIGGER journal_same BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;

-- A program of before that runs while another opens the state, a watch for one, reads and writes what was a table.
CREATE VIEW records (execution, seq, doc) AS SELECT key >> 32, key & 0xffffffff, doc FROM journal;
CREATE TRIGGER records_written INSTEAD OF INSERT ON records BEGIN
  INSERT INTO journal (key, doc) VALUES ((new.execution << 32) + new.seq, new.doc);
END;
CREATE TRIGGER records_kept INSTEAD OF DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are never removed'); END;
CREATE TRIGGER records_same INSTEAD OF UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
