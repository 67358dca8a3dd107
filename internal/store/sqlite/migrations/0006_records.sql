-- Records of all executions in one order, that of their keys: SQLite fills such a table page after page, where one with a
-- key of two columns shifts three pages each time that one is full (https://sqlite.org/fileformat2.html#b_tree_pages).
CREATE TABLE records_in_order (
  key       INTEGER PRIMARY KEY,                                                  -- 2^32 times the execution, and seq
  doc       TEXT NOT NULL,
  execution INTEGER NOT NULL REFERENCES executions (n) AS (key >> 32),
  seq       INTEGER NOT NULL CHECK (seq > 0) AS (key & 0xffffffff)
) STRICT;
INSERT INTO records_in_order (key, doc) SELECT (execution << 32) + seq, doc FROM records ORDER BY execution, seq;
DROP TABLE records;
ALTER TABLE records_in_order RENAME TO records;
CREATE TRIGGER records_kept BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are never removed'); END;
CREATE TRIGGER records_same BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
