package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
)

// What the test program does as a process of its own.
const (
	processVariable = "ASTERN_AUDIT_PROCESS" // append, killed or limited
	stateVariable   = "ASTERN_AUDIT_STATE"
	secondVariable  = "ASTERN_AUDIT_SECOND"
	countVariable   = "ASTERN_AUDIT_COUNT" // records to append, or the step to be killed at, or the limit in bytes
)

func TestMain(m *testing.M) {
	if what := os.Getenv(processVariable); what != "" {
		os.Exit(process(what))
	}
	os.Exit(m.Run())
}

// process appends; it prints a line for each record that was acknowledged.
func process(what string) int {
	l := audit.New(os.Getenv(stateVariable), audit.Copy{Folder: os.Getenv(secondVariable)})
	n, err := strconv.Atoi(os.Getenv(countVariable))
	if err != nil {
		return 9
	}
	records := n
	switch what {
	case "killed":
		records = 3
		audit.Break(l, func(string) error {
			if n--; n == 0 {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		})
	case "limited":
		records = 1000
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			fmt.Println(err)
			return 9
		}
	}
	for i := range records {
		r, err := l.Append(context.Background(), entry(i))
		if err != nil {
			fmt.Println("error", astern.CodeOf(err), err)
			return 1
		}
		fmt.Println("record", r.Seq)
	}
	return 0
}

// start runs this program as a process that appends to the state folder.
func start(t *testing.T, what, state, second string, n int) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), processVariable+"="+what, stateVariable+"="+state, secondVariable+"="+second, fmt.Sprintf("%s=%d", countVariable, n))
	var out bytes.Buffer
	cmd.Stdout = &out
	must(t, cmd.Start())
	return cmd, &out
}

// holds demands that the log is sound, and has at least the acknowledged records.
func holds(t *testing.T, state, second string, acknowledged int64) audit.Report {
	t.Helper()
	r, err := audit.VerifyFolder(state, audit.Copy{Folder: second}, audit.Elsewhere{}, nil)
	if err != nil || len(r.Findings) > 0 || r.Records < acknowledged {
		t.Fatalf("%d records were acknowledged: %+v, %v", acknowledged, r, err)
	}
	return r
}

// TestProcesses has several processes append at once.
func TestProcesses(t *testing.T) {
	state, second := t.TempDir(), t.TempDir()
	const processes, each = 5, 8
	var all []*exec.Cmd
	var outs []*bytes.Buffer
	for range processes {
		cmd, out := start(t, "append", state, second, each)
		all, outs = append(all, cmd), append(outs, out)
	}
	seen := map[string]bool{}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, outs[i])
		}
		for _, line := range strings.Split(strings.TrimSpace(outs[i].String()), "\n") {
			if seen[line] {
				t.Errorf("two processes were given %s", line)
			}
			seen[line] = true
		}
	}
	if r := holds(t, state, second, processes*each); r.Records != processes*each || r.Copied != r.Records || len(seen) != processes*each {
		t.Errorf("%d of %d records: %+v", len(seen), processes*each, r)
	}
}

// TestKilledAtEachStep kills a process at each of its changes of a file; the next one goes on with nothing lost.
func TestKilledAtEachStep(t *testing.T) {
	for step := 1; ; step++ {
		state, second := t.TempDir(), t.TempDir()
		cmd, out := start(t, "killed", state, second, step)
		err := cmd.Wait()
		acknowledged := int64(strings.Count(out.String(), "record "))
		if err == nil {
			if step < 20 || acknowledged != 3 {
				t.Fatalf("three records take %d steps: %s", step-1, out)
			}
			return
		}
		if acknowledged > 0 {
			holds(t, state, second, acknowledged)
		}
		l := audit.New(state, audit.Copy{Folder: second})
		if _, err := l.Append(context.Background(), entry(7)); err != nil || l.Behind() != nil {
			t.Fatalf("after a kill at step %d: %v, %v", step, err, l.Behind())
		}
		holds(t, state, second, acknowledged+1)
	}
}

// TestTornLine leaves every beginning of a line behind the last acknowledged one, as a crash or a power cut in the middle of
// writing it may, also with zeros in place of what did not reach the disk.
func TestTornLine(t *testing.T) {
	b := written(t, 3)
	older := audit.Elsewhere{}
	next := audit.New(b.state, audit.Copy{})
	if _, err := next.Append(context.Background(), entry(3)); err != nil {
		t.Fatal(err)
	}
	line := read(t, b).lines[3]
	restore := func(tail []byte) {
		put(t, b.log(), join(join(b.lines...), tail))
		put(t, filepath.Join(b.state, audit.Folder, "checkpoint"), b.checkpoint)
	}
	tails := [][]byte{make([]byte, len(line)), append(make([]byte, len(line)-1), '\n'),
		append(append(bytes.Clone(line[:100]), make([]byte, len(line)-101)...), '\n')}
	for i := 1; i < len(line); i += 23 {
		tails = append(tails, line[:i])
	}
	for _, tail := range append(tails, line[:len(line)-1]) {
		restore(tail)
		r, err := audit.VerifyFolder(b.state, audit.Copy{}, older, nil)
		if err != nil || len(r.Findings) > 0 || r.Records != 3 || r.Torn == 0 {
			t.Fatalf("torn behind %d bytes: %+v, %v", len(tail), r, err)
		}
		got, err := audit.New(b.state, audit.Copy{}).Append(context.Background(), entry(4))
		if err != nil || got.Seq != 4 || got.Dropped != int64(len(tail)) {
			t.Fatalf("torn behind %d bytes: %+v, %v", len(tail), got, err)
		}
		if r, err = audit.VerifyFolder(b.state, audit.Copy{}, older, nil); err != nil || len(r.Findings) > 0 || r.Records != 4 || r.Torn != 0 {
			t.Fatalf("after going on: %+v, %v", r, err)
		}
	}
	// A whole record that is signed, and not acknowledged, stays: it tells of what was about to be done.
	restore(line)
	if got, err := audit.New(b.state, audit.Copy{}).Append(context.Background(), entry(4)); err != nil || got.Seq != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	// The same bytes under a checkpoint that counts them are no accident.
	put(t, b.log(), join(join(b.lines[:2]...), b.lines[2][:50]))
	put(t, filepath.Join(b.state, audit.Folder, "checkpoint"), b.checkpoint)
	if _, err := next.Append(context.Background(), entry(4)); astern.CodeOf(err) != astern.Refused {
		t.Errorf("an acknowledged record was cut: %v", err)
	}
}

// TestOrder says what has to be on the disk before what: the line, the checkpoint, the second place. With it the states
// after a power cut are those of TestTornLine, of an older checkpoint (TestOldCheckpoint), and of an older second place.
func TestOrder(t *testing.T) {
	l := audit.New(t.TempDir(), audit.Copy{Folder: t.TempDir()})
	var steps []string
	audit.Break(l, func(s string) error { steps = append(steps, s); return nil })
	if _, err := l.Append(context.Background(), entry(0)); err != nil {
		t.Fatal(err)
	}
	want := []string{"create key.pub", "rename key.pub", "create key", "rename key", "truncate", "write", "sync", "create checkpoint", "rename checkpoint", "copy"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}

// TestFailingStep fails each change of a file in turn: nothing is acknowledged, and the log goes on when it works again.
func TestFailingStep(t *testing.T) {
	for fail := 1; fail <= 9; fail++ {
		state := t.TempDir()
		l, n := audit.New(state, audit.Copy{}), 0
		audit.Break(l, func(string) error {
			if n++; n == fail {
				return syscall.ENOSPC
			}
			return nil
		})
		if _, err := l.Append(context.Background(), entry(0)); !errors.Is(err, syscall.ENOSPC) || astern.HintOf(err) == "" {
			t.Fatalf("step %d: %v", fail, err)
		}
		if _, err := l.Append(context.Background(), entry(1)); err != nil {
			t.Fatalf("after step %d: %v", fail, err)
		}
		holds(t, state, "", 1)
	}
}

// TestFullDisk lets the operating system refuse to write more: what was acknowledged stays, and nothing else is.
func TestFullDisk(t *testing.T) {
	for _, limit := range []int{100, 400, 5_000, 5_100, 5_300} {
		state, second := t.TempDir(), t.TempDir()
		cmd, out := start(t, "limited", state, second, limit)
		if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "error internal writing the audit log") {
			t.Fatalf("limit %d: %v\n%s", limit, err, out)
		}
		if n := int64(strings.Count(out.String(), "record ")); n > 0 {
			if r := holds(t, state, second, n); r.Records != n {
				t.Errorf("limit %d: %d records were acknowledged, there are %d", limit, n, r.Records)
			}
		}
		if _, err := audit.New(state, audit.Copy{Folder: second}).Append(context.Background(), entry(1)); err != nil {
			t.Errorf("limit %d, after it: %v", limit, err)
		}
	}
}

// TestReadOnly appends to a folder that can't be written, as somebody else than root.
func TestReadOnly(t *testing.T) {
	b := written(t, 2)
	if os.Geteuid() == 0 {
		t.Skip("root writes everywhere; TestFullDisk and the script audit.txt cover what then happens")
	}
	must(t, os.Chmod(b.log(), 0o400))
	if _, err := audit.New(b.state, audit.Copy{}).Append(context.Background(), entry(2)); astern.CodeOf(err) != astern.Denied {
		t.Errorf("%v", err)
	}
}
