package sqlite_test

import (
	"testing"
	"time"

	"github.com/astern-dev/astern/internal/store/sqlite"
)

func proofOf(t *testing.T, s *sqlite.Store, key string) string {
	t.Helper()
	b, ok, err := s.Proof(t.Context(), key)
	if err != nil || ok != (b != nil) {
		t.Fatalf("%q, %t, %v", b, ok, err)
	}
	return string(b)
}

func TestProofs(t *testing.T) {
	s := open(t, t.TempDir())
	keep := func(key, proof string, at time.Time) {
		t.Helper()
		if err := s.KeepProof(t.Context(), key, []byte(proof), at); err != nil {
			t.Fatal(err)
		}
	}
	if got := proofOf(t, s, "a"); got != "" {
		t.Errorf("a new store has the proof %q", got)
	}
	keep("a", "one", at)
	keep("b", "two", at)
	keep("a", "three", at.Add(time.Hour))
	if a, b := proofOf(t, s, "a"), proofOf(t, s, "b"); a != "three" || b != "two" {
		t.Errorf("a %q, b %q", a, b)
	}
	keep("c", "four", at.Add(90*24*time.Hour+time.Minute))
	if a, b := proofOf(t, s, "a"), proofOf(t, s, "b"); a != "three" || b != "" {
		t.Errorf("after 90 days: a %q, b %q", a, b)
	}
}

// A store that was opened for reading keeps a proof in the state folder where it can, and never says that it could not.
func TestProofsOfAReader(t *testing.T) {
	folder := t.TempDir()
	reader := func() *sqlite.Store {
		t.Helper()
		r, err := sqlite.OpenReadOnly(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	}
	keep := func(proof string) {
		t.Helper()
		if err := reader().KeepProof(t.Context(), "a", []byte(proof), at); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, folder)
	keep("nowhere")
	unchanged(t, folder, before)
	if s := open(t, folder); s.Close() != nil {
		t.Fatal("close")
	}
	got := ""
	for tries := 0; got == "" && tries < 50; tries++ { // on a busy machine it may take longer than a reader waits
		keep("one")
		got = proofOf(t, reader(), "a")
	}
	if got != "one" {
		t.Errorf("got %q", got)
	}
	touch(t, folder, `PRAGMA user_version = 1; DROP TABLE proofs; DROP TABLE reviews; DROP TABLE overrides; DROP TABLE signed_approvals; DROP TABLE incident_events; DROP TABLE dispatches; DROP TABLE channels;
		DROP VIEW records; DROP TABLE journal; CREATE TABLE records (execution, seq, doc)`)
	keep("in an older state")
	touch(t, folder, `CREATE TABLE proofs (x)`) // fails where a reader has brought the state up to date
}
