package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
)

// TestOlderProgramGoesOn: a program of before schema 6 that carries an execution out, as a watch does, goes on reading and writing
// its journal while this one has opened the state and a person has paused the execution.
func TestOlderProgramGoesOn(t *testing.T) {
	ctx, folder := t.Context(), t.TempDir()
	put(t, folder, nil)
	s := &Store{folder: folder, writer: make(chan struct{}, 1), db: machine.database(filepath.Join(folder, fileName))}
	defer s.db.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.useLog(ctx))
	for version := range 5 {
		must(s.step(ctx, version, migrations()[version]))
	}
	must(s.PutPlan(ctx, "plan-000", []byte("{}"), at))
	_, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: "plan-000", CreatedAt: at, Addresses: []string{"p/shop"}}, 0)
	must(err)
	_, err = s.db.Exec(`UPDATE executions SET fence = 1`)
	must(err)

	// Its statements, prepared on connections that stay open.
	prepare := func(text string) *sql.Stmt {
		t.Helper()
		stmt, err := s.db.Prepare(text)
		must(err)
		return stmt
	}
	fast := prepare(`INSERT INTO records (execution, seq, doc) SELECT ?1, ?2, ?3
		WHERE EXISTS (SELECT 1 FROM executions WHERE n = ?1 AND fence = ?4 AND ended_at = '')
		AND ?2 = (SELECT coalesce(max(seq), 0) + 1 FROM records WHERE execution = ?1)`)
	slow := prepare(`INSERT INTO records (execution, seq, doc) VALUES (?, ?, ?)`)
	last := prepare(`SELECT coalesce(max(seq), 0) FROM records WHERE execution = ?`)
	read := prepare(`SELECT doc FROM records WHERE execution = ? AND seq > ? ORDER BY seq`)
	appends := func() {
		t.Helper()
		tx, err := s.db.Begin()
		must(err)
		var n int
		must(tx.Stmt(last).QueryRow(1).Scan(&n))
		doc := fmt.Sprintf(`{"seq":%d,"at":"2026-03-01T03:04:05Z","kind":"op","fence":1,"step":"1.a"}`, n+1)
		result, err := tx.Stmt(fast).Exec(1, n+1, doc, 1)
		must(err)
		if written, _ := result.RowsAffected(); written == 1 {
			must(tx.Commit())
			return
		}
		must(tx.Rollback()) // as it does where the case is not the usual one
		_, err = slow.Exec(1, n+1, doc)
		must(err)
	}
	appends()
	appends()

	now, err := Open(ctx, folder)
	must(err)
	defer now.Close()
	must(now.Append(ctx, "ex-1", 0, astern.Record{At: at, Kind: astern.RecordPaused, By: "ann"}))
	appends()

	var kinds []string
	rows, err := read.Query(1, 1)
	must(err)
	defer rows.Close()
	for rows.Next() {
		var doc string
		must(rows.Scan(&doc))
		_, kind, _ := strings.Cut(doc, `"kind":"`)
		kind, _, _ = strings.Cut(kind, `"`)
		kinds = append(kinds, kind)
	}
	if got := strings.Join(kinds, " "); rows.Err() != nil || got != "op paused op" {
		t.Errorf("the older program reads %q, %v", got, rows.Err())
	}
	records, err := now.Read(ctx, "ex-1", 0)
	must(err)
	for i, r := range records {
		if r.Seq != int64(i)+1 {
			t.Errorf("record %d is number %d", i, r.Seq)
		}
	}
	if len(records) != 4 || records[2].Kind != astern.RecordPaused {
		t.Errorf("this program reads %+v", records)
	}
	for _, query := range []string{`DELETE FROM records`, `UPDATE records SET doc = ''`} {
		if _, err := s.db.Exec(query); err == nil || !strings.Contains(err.Error(), "never") {
			t.Errorf("%s: %v", query, err)
		}
	}
}
