package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/proof"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// entry makes a record of some kind.
func entry(i int) audit.Record {
	kinds := []audit.What{audit.Planned, audit.Approved, audit.Started, audit.Taken, audit.Ledger, audit.Ended, audit.Refused}
	r := audit.Record{At: noon.Add(time.Duration(i) * time.Second), By: "ana", Host: "desk", What: kinds[i%len(kinds)],
		Plan: fmt.Sprintf("%064x", i), Addresses: []string{"production/shop"}, Execution: fmt.Sprintf("ex-%d", i/len(kinds)+1), Reason: "errors since 03:07"}
	if r.What == audit.Ended {
		r.Outcome, r.Journal = astern.OutcomeDone, &audit.Journal{Records: int64(i), Hash: fmt.Sprintf("%064x", i*7)}
	}
	return r
}

// book is a log as its files have it, taken out of the state folder.
type book struct {
	state, second string
	lines         [][]byte // each with its line break
	checkpoint    []byte
	copied        []byte
	key           note.Verifier
}

// written appends n records to a new log with a second place.
func written(t testing.TB, n int) book {
	t.Helper()
	b := book{state: t.TempDir(), second: t.TempDir()}
	l := audit.New(b.state, audit.Copy{Folder: b.second})
	for i := range n {
		if _, err := l.Append(context.Background(), entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Behind(); err != nil {
		t.Fatal(err)
	}
	return read(t, b)
}

// read takes the files anew.
func read(t testing.TB, b book) book {
	t.Helper()
	var err error
	if b.key, err = audit.PublicKey(b.state); err != nil {
		t.Fatal(err)
	}
	b.lines = bytes.SplitAfter(contents(t, b.log()), []byte("\n"))
	b.lines = b.lines[:len(b.lines)-1]
	b.checkpoint = contents(t, filepath.Join(b.state, audit.Folder, "checkpoint"))
	b.copied = contents(t, audit.Copy{Folder: b.second}.File(b.key))
	return b
}

func (b book) log() string { return filepath.Join(b.state, audit.Folder, "log.jsonl") }

func contents(t testing.TB, name string) []byte {
	t.Helper()
	c, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify verifies the bytes as this book's log; withCopy says whether the second place is asked.
func (b book) verify(t testing.TB, log []byte, withCopy bool) audit.Report {
	t.Helper()
	s := audit.Sources{Log: bytes.NewReader(log), Key: b.key, Checkpoint: b.checkpoint}
	if withCopy {
		s.Copied = bytes.NewReader(b.copied)
	}
	r, err := audit.Verify(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func join(lines ...[]byte) []byte { return bytes.Join(lines, nil) }

// TestSound says that nothing is found where nothing was done.
func TestSound(t *testing.T) {
	b := written(t, 20)
	r := b.verify(t, join(b.lines...), true)
	if len(r.Findings) > 0 || r.Records != 20 || r.Signed != 20 || r.Copied != 20 || r.Torn != 0 {
		t.Errorf("a sound log: %+v", r)
	}
	r, err := audit.VerifyFolder(b.state, audit.Copy{Folder: b.second}, audit.Elsewhere{}, nil)
	if err != nil || len(r.Findings)+len(r.Unproven) > 0 || r.Records != 20 {
		t.Errorf("a sound folder: %+v, %v", r, err)
	}
}

// first demands that something was found, and that the first finding names the record.
func first(t testing.TB, what string, r audit.Report, record int64) {
	t.Helper()
	if len(r.Findings) == 0 {
		t.Errorf("%s: nothing was found", what)
	} else if r.Findings[0].Record != record {
		t.Errorf("%s: the first finding names record %d, not %d: %+v", what, r.Findings[0].Record, record, r.Findings[0])
	}
}

// TestEveryByte changes each byte of a small log, and takes each away.
func TestEveryByte(t *testing.T) {
	b := written(t, 2)
	whole, line := join(b.lines...), int64(1)
	for i := range whole {
		other := bytes.Clone(whole)
		other[i] ^= 1 << (i % 7)
		first(t, fmt.Sprintf("byte %d", i), b.verify(t, other, false), line)
		first(t, fmt.Sprintf("without byte %d", i), b.verify(t, join(whole[:i], whole[i+1:]), false), line)
		first(t, fmt.Sprintf("cut at byte %d", i), b.verify(t, whole[:i], false), line)
		if whole[i] == '\n' {
			line++
		}
	}
}

// TestTampering damages a log of 101 records (numbers of one, two and three digits) in one of many ways for each seed, and
// demands that it is found and named.
func TestTampering(t *testing.T) {
	const records = 101
	b, other := written(t, records), written(t, 9)
	whole := join(b.lines...)
	from, count := proof.Seeds(t, 20)
	for seed := from; seed < from+count; seed++ {
		rnd := rand.New(rand.NewPCG(seed, 17))
		i := rnd.IntN(records - 1)
		j := i + 1 + rnd.IntN(records-1-i)
		lines := append([][]byte{}, b.lines...)
		var log []byte
		name, record, withCopy := "", int64(i+1), rnd.IntN(2) == 0
		switch seed % 10 {
		case 0, 1, 2, 3: // every byte in turn, over many seeds
			at := int((seed/10*4 + seed%10) * 7919 % uint64(len(whole))) // 7919 is prime
			log = bytes.Clone(whole)
			log[at] ^= byte(1 + rnd.IntN(255))
			name, record = fmt.Sprintf("changes byte %d", at), int64(bytes.Count(whole[:at], []byte("\n")))+1
		case 4:
			name, log = fmt.Sprintf("removes record %d", i+1), join(append(lines[:i:i], lines[i+1:]...)...)
		case 5:
			lines[i], lines[j] = lines[j], lines[i]
			name, log = fmt.Sprintf("exchanges records %d and %d", i+1, j+1), join(lines...)
		case 6:
			name, log = fmt.Sprintf("repeats record %d behind %d", i+1, j+1), join(join(lines[:j+1]...), lines[i], join(lines[j+1:]...))
		case 7:
			lines[i] = other.lines[i%9]
			name, log = fmt.Sprintf("takes record %d from another log", i+1), join(lines...)
		case 8:
			at := rnd.IntN(len(whole))
			name, log, record = fmt.Sprintf("cuts at byte %d", at), whole[:at], int64(bytes.Count(whole[:at], []byte("\n")))+1
		case 9:
			name, log = fmt.Sprintf("replays records %d to %d at the end", i+1, j+1), join(whole, join(lines[i:j+1]...))
		}
		first(t, fmt.Sprintf("seed %d %s", seed, name), b.verify(t, log, withCopy), record)
		if t.Failed() {
			return
		}
	}
	proof.Figures(t, map[string]float64{"tampered_logs": float64(count), "missed": 0})
}

// TestCutAtEachLine cuts the tail, with and without the second place.
func TestCutAtEachLine(t *testing.T) {
	b := written(t, 12)
	for n := range 12 {
		for _, withCopy := range []bool{false, true} {
			first(t, fmt.Sprintf("cut behind record %d", n), b.verify(t, join(b.lines[:n]...), withCopy), int64(n)+1)
		}
	}
}

// TestWithTheKey is what somebody does who has the key: only the second place tells.
func TestWithTheKey(t *testing.T) {
	b := written(t, 10)
	for _, name := range []string{"log.jsonl", "checkpoint"} {
		if err := os.Remove(filepath.Join(b.state, audit.Folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	l := audit.New(b.state, audit.Copy{})
	for i := range 12 {
		e := entry(i)
		if i == 4 {
			e.By = "mallory"
		}
		if _, err := l.Append(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	forged := read(t, b)
	if r := forged.verify(t, join(forged.lines...), false); len(r.Findings) > 0 {
		t.Errorf("without the second place a log made anew with the key can't be told: %+v", r.Findings)
	}
	forged.copied = b.copied
	first(t, "made anew with the key", forged.verify(t, join(forged.lines...), true), 5)
	// astern itself refuses to go on.
	if _, err := audit.New(b.state, audit.Copy{Folder: b.second}).Append(context.Background(), entry(12)); err != nil {
		t.Errorf("a longer log than the second place has seen: %v", err)
	}
}

// TestOldCheckpoint puts log and checkpoint back to an older state: the second place tells, and nothing more is written.
func TestOldCheckpoint(t *testing.T) {
	b := written(t, 10)
	l := audit.New(b.state, audit.Copy{Folder: b.second})
	for i := range 5 {
		if _, err := l.Append(context.Background(), entry(10+i)); err != nil {
			t.Fatal(err)
		}
	}
	newer := read(t, b)
	put(t, b.log(), join(b.lines...))
	put(t, filepath.Join(b.state, audit.Folder, "checkpoint"), b.checkpoint)
	b.copied = newer.copied
	first(t, "an older state", b.verify(t, join(b.lines...), true), 11)
	refused(t, l, b)
	// An old checkpoint alone, beside the newer log, is what a crash leaves.
	newer.checkpoint = b.checkpoint
	if r := newer.verify(t, join(newer.lines...), true); len(r.Findings) > 0 {
		t.Errorf("an old checkpoint beside a newer log: %+v", r.Findings)
	}
	// One that was put behind the newer ones in the second place names the cut.
	newer.copied = join(newer.copied, bytes.SplitAfter(b.copied, []byte("\n"))[3])
	first(t, "an old checkpoint replayed", newer.verify(t, join(newer.lines...), true), 4)
}

func put(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// refused demands that nothing is appended, and that nothing changes by trying.
func refused(t testing.TB, l *audit.Log, b book) {
	t.Helper()
	before := contents(t, b.log())
	_, err := l.Append(context.Background(), entry(99))
	if astern.CodeOf(err) != astern.Refused || astern.HintOf(err) == "" {
		t.Errorf("a changed log is appended to: %v", err)
	}
	if !bytes.Equal(before, contents(t, b.log())) {
		t.Error("the changed log was written")
	}
}

// TestOtherKey has a log, a checkpoint and a second place signed by somebody else's key.
func TestOtherKey(t *testing.T) {
	b, other := written(t, 5), written(t, 5)
	mixed := b
	mixed.checkpoint = other.checkpoint
	if r := mixed.verify(t, join(b.lines...), true); len(r.Findings) == 0 || !strings.Contains(r.Findings[0].What, "own checkpoint") {
		t.Errorf("the checkpoint of another log: %+v", r.Findings)
	}
	mixed = b
	mixed.copied = other.copied
	if r := mixed.verify(t, join(b.lines...), true); len(r.Findings) != 5 {
		t.Errorf("the second place of another log: %+v", r.Findings)
	}
	first(t, "another log", b.verify(t, join(other.lines...), true), 1)
	// A key of the same name: the whole log written anew by somebody without the key.
	private, public, err := note.GenerateKey(oneKey{}, b.key.Name())
	if err != nil {
		t.Fatal(err)
	}
	forger := written(t, 0+1)
	folder := filepath.Join(forger.state, audit.Folder)
	for _, name := range []string{"log.jsonl", "checkpoint"} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(folder, "key"), []byte(private))
	put(t, filepath.Join(folder, "key.pub"), []byte(public))
	l := audit.New(forger.state, audit.Copy{Folder: forger.second})
	for i := range 5 {
		if _, err := l.Append(context.Background(), entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	forger = read(t, forger)
	first(t, "written anew with another key", b.verify(t, join(forger.lines...), false), 1)
}

// oneKey is a source of one key.
type oneKey struct{}

func (oneKey) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i * 31)
	}
	return len(p), nil
}

// TestAppendRefuses has Append find, by the end of the log alone, what would be hidden by going on.
func TestAppendRefuses(t *testing.T) {
	for name, harm := range map[string]func(b book){
		"cut by a line":       func(b book) { put(t, b.log(), join(b.lines[:4]...)) },
		"cut within the last": func(b book) { put(t, b.log(), join(b.lines...)[:len(join(b.lines...))-3]) },
		"last byte changed":   func(b book) { l := join(b.lines...); l[len(l)-9] ^= 1; put(t, b.log(), l) },
		"emptied":             func(b book) { put(t, b.log(), nil) },
		"gone":                func(b book) { must(t, os.Remove(b.log())) },
		"key gone":            func(b book) { must(t, os.Remove(filepath.Join(b.state, audit.Folder, "key"))) },
		"key readable":        func(b book) { must(t, os.Chmod(filepath.Join(b.state, audit.Folder, "key"), 0o644)) },
		"no checkpoint number": func(b book) {
			put(t, filepath.Join(b.state, audit.Folder, "checkpoint"), []byte("astern-audit/0\n1\nx\n"))
		},
		"log and checkpoint gone": func(b book) {
			must(t, os.Remove(b.log()))
			must(t, os.Remove(filepath.Join(b.state, audit.Folder, "checkpoint")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := written(t, 5)
			harm(b)
			_, err := audit.New(b.state, audit.Copy{Folder: b.second}).Append(context.Background(), entry(5))
			if astern.CodeOf(err) != astern.Refused || astern.HintOf(err) == "" {
				t.Errorf("it was appended to: %v", err)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSecondPlaceGone goes on without it, and says so: a recovery does not wait for it.
func TestSecondPlaceGone(t *testing.T) {
	b := written(t, 3)
	must(t, os.RemoveAll(b.second))
	l := audit.New(b.state, audit.Copy{Folder: b.second})
	if _, err := l.Append(context.Background(), entry(3)); err != nil || l.Behind() == nil {
		t.Errorf("without the second place: %v, behind %v", err, l.Behind())
	}
	r, err := audit.VerifyFolder(b.state, audit.Copy{Folder: b.second}, audit.Elsewhere{}, nil)
	if err != nil || len(r.Findings) > 0 || len(r.Unproven) != 1 {
		t.Errorf("without the second place: %+v, %v", r, err)
	}
	l = audit.New(b.state, audit.Copy{Command: []string{"sh", "-c", "cat >got"}, Dir: t.TempDir()})
	if _, err := l.Append(context.Background(), entry(4)); err != nil || l.Behind() != nil {
		t.Fatalf("a command as the second place: %v, %v", err, l.Behind())
	}
	l = audit.New(b.state, audit.Copy{Command: []string{"sh", "-c", "exit 3"}})
	if _, err := l.Append(context.Background(), entry(5)); err != nil || l.Behind() == nil {
		t.Errorf("a command that fails: %v, %v", err, l.Behind())
	}
}

// TestCommandGetsTheCheckpoint has the file that a command wrote verify the log.
func TestCommandGetsTheCheckpoint(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	l := audit.New(state, audit.Copy{Command: []string{"sh", "-c", "cat >got"}, Dir: dir})
	for i := range 3 {
		if _, err := l.Append(context.Background(), entry(i)); err != nil || l.Behind() != nil {
			t.Fatal(err, l.Behind())
		}
	}
	elsewhere := audit.Elsewhere{Checkpoints: filepath.Join(dir, "got")}
	r, err := audit.VerifyFolder(state, audit.Copy{}, elsewhere, nil)
	if err != nil || r.Copied != 3 || len(r.Findings) > 0 || len(r.Unproven) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestBounds gives Append what is too long and not UTF-8.
func TestBounds(t *testing.T) {
	state := t.TempDir()
	e := entry(0)
	e.Text, e.Reason = strings.Repeat("ä", 1<<20), "\xff\xfe\x00<script>\u2028"
	e.Addresses = make([]string, 10_000)
	l := audit.New(state, audit.Copy{})
	got, err := l.Append(context.Background(), e)
	if err != nil || got.More != 9_980 {
		t.Fatal(err, got.More)
	}
	r, err := audit.VerifyFolder(state, audit.Copy{}, audit.Elsewhere{}, nil)
	if err != nil || len(r.Findings) > 0 || r.Torn > 0 || r.Records != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestHostileFiles gives Verify what is no log.
func TestHostileFiles(t *testing.T) {
	b := written(t, 3)
	for name, log := range map[string][]byte{
		"zeros": make([]byte, 5<<20), "one endless line": bytes.Repeat([]byte("a"), 5<<20), "line breaks": bytes.Repeat([]byte("\n"), 10_000),
		"deep": bytes.Repeat([]byte("["), 1<<20), "nothing": nil,
	} {
		r := b.verify(t, log, true)
		first(t, name, r, 1)
		if len(r.Findings) > 25 {
			t.Errorf("%s: %d findings", name, len(r.Findings))
		}
	}
}
