package sqlite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// TestMain lets the test binary be one of the processes that the tests start: ASTERN_STORE_CHILD says what it does.
func TestMain(m *testing.M) {
	if what := os.Getenv("ASTERN_STORE_CHILD"); what != "" {
		work := map[string]func(context.Context, string) error{
			"race": childRace, "write": childWrite, "full": childFull, "unprivileged": childUnprivileged,
		}[what]
		if err := work(context.Background(), os.Getenv("ASTERN_STORE_FOLDER")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// process is a child with a line protocol.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T, binary, what, folder string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = append(append(os.Environ(), "ASTERN_STORE_CHILD="+what, "ASTERN_STORE_FOLDER="+folder), env...)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 && what == "unprivileged" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // does nothing to one that has ended
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &process{cmd, in, bufio.NewScanner(out)}
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the child ended: %v, %v", p.out.Err(), p.Wait())
	}
	return p.out.Text()
}

func (p *process) end(t *testing.T) {
	t.Helper()
	p.in.Close()
	if err := p.Wait(); err != nil {
		t.Fatalf("the child failed: %v", err)
	}
}

// raced is what one racing process tells: who it found, what it won, and what it wrote.
type raced struct {
	Store           string
	Created, Taken  bool
	Refused, Locked string // why not
	Fence           int64
	Written         int
}

// childRace opens a folder that does not exist yet together with the others, then races for the lease, for the fence and
// for the journal.
func childRace(ctx context.Context, folder string) error {
	me := os.Getenv("ASTERN_STORE_ME")
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	s, err := sqlite.Open(ctx, folder)
	if err != nil {
		return err
	}
	defer s.Close()
	var r raced
	if r.Store, err = s.StoreID(ctx); err != nil {
		return err
	}
	hash := strings.Repeat(me, 64)
	if err := s.PutPlan(ctx, hash, []byte("{}"), at); err != nil {
		return err
	}
	_, r.Created, err = s.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: at, Addresses: []string{"p/shop", "p/db"}}, 0)
	if err != nil {
		if astern.CodeOf(err) != astern.Conflict {
			return err
		}
		r.Refused = err.Error()
	}
	// Whoever is last to be refused knows that ex-1 is there; so does the winner.
	r.Fence, err = s.Take(ctx, "ex-1", astern.Runner{Host: "h", PID: os.Getpid(), User: me}, func(astern.Runner) bool { return true }, 0, at)
	if r.Taken = err == nil; err != nil {
		if astern.CodeOf(err) != astern.Conflict {
			return err
		}
		r.Locked = err.Error()
	}
	for range 25 {
		rec := astern.Record{At: at, Kind: astern.RecordPaused, By: me}
		if err := s.Append(ctx, "ex-1", r.Fence, rec, rec); err != nil {
			return err
		}
		r.Written += 2
	}
	if !r.Taken { // a fence that was made up writes nothing
		if err := s.Append(ctx, "ex-1", 77, astern.Record{At: at, Kind: astern.RecordRound}); !errors.Is(err, sqlite.ErrFenced) {
			return fmt.Errorf("fence 77: %w", err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func TestProcessesRace(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	const n = 6
	var all []*process
	for i := range n {
		p := start(t, os.Args[0], "race", folder, fmt.Sprintf("ASTERN_STORE_ME=%d", i))
		p.line(t)
		all = append(all, p)
	}
	for _, p := range all {
		io.WriteString(p.in, "go\n")
	}
	created, taken, written, stores := 0, 0, 0, map[string]bool{}
	for _, p := range all {
		var r raced
		if err := json.Unmarshal([]byte(p.line(t)), &r); err != nil {
			t.Fatal(err)
		}
		p.end(t)
		stores[r.Store] = true
		written += r.Written
		if r.Created {
			created++
		} else if !strings.Contains(r.Refused, "p/shop is held by ex-1") {
			t.Errorf("refused: %s", r.Refused)
		}
		if r.Taken {
			taken++
		} else if !strings.Contains(r.Locked, "on h, started by ") {
			t.Errorf("locked: %s", r.Locked)
		}
	}
	if created != 1 || taken != 1 || len(stores) != 1 {
		t.Fatalf("%d created, %d took, %d stores", created, taken, len(stores))
	}
	if got := length(t, open(t, folder), "ex-1"); got != 1+written || written != n*50 {
		t.Fatalf("%d records, %d were written", got, written)
	}
}

// childWrite writes records and tells of each one that was acknowledged, until it is killed.
func childWrite(ctx context.Context, folder string) error {
	s, id, fence, err := childStore(ctx, folder)
	if err != nil {
		return err
	}
	for i := 2; ; i++ {
		if err := s.Append(ctx, id, fence, astern.Record{At: at, Kind: astern.RecordRound, Text: strings.Repeat("x", 5000)}); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// childStore opens a folder with an execution that the calling process carries out.
func childStore(ctx context.Context, folder string) (s *sqlite.Store, id string, fence int64, err error) {
	if s, err = sqlite.Open(ctx, folder); err != nil {
		return nil, "", 0, err
	}
	hash := strings.Repeat("ef", 32)
	if err := s.PutPlan(ctx, hash, []byte("{}"), at); err != nil {
		return nil, "", 0, err
	}
	e, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: at, Addresses: []string{"p/shop"}}, 0)
	if err != nil {
		return nil, "", 0, err
	}
	fence, err = s.Take(ctx, e.ID, astern.Runner{Host: "h", PID: os.Getpid()}, func(astern.Runner) bool { return false }, 0, at)
	return s, e.ID, fence, err
}

// killed leaves a folder as a SIGKILL leaves it, and returns how many records were acknowledged.
func killed(t *testing.T, folder string, after int) (acked int) {
	t.Helper()
	p := start(t, os.Args[0], "write", folder)
	for range after {
		fmt.Sscan(p.line(t), &acked)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for p.out.Scan() { // what it said before it died counts
		fmt.Sscan(p.out.Text(), &acked)
	}
	p.Wait()
	if info, err := os.Stat(filepath.Join(folder, "state.db-wal")); err != nil || info.Size() == 0 {
		t.Fatalf("the killed process left no log: %v", err)
	}
	return acked
}

func TestKilledProcessLosesNothing(t *testing.T) {
	for _, after := range []int{1, 40, 1200} { // with 1200 the log was merged in between
		folder := filepath.Join(t.TempDir(), "state")
		acked := killed(t, folder, after)
		before := listing(t, folder)
		r, err := sqlite.OpenReadOnly(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		n := length(t, r, "ex-1")
		r.Close()
		unchanged(t, folder, before)
		again := length(t, open(t, folder), "ex-1")
		if n < acked || n > acked+1 || again != n {
			t.Fatalf("%d acknowledged, %d read, %d after opening", acked, n, again)
		}
	}
}

// childFull fills its disk, as far as the limit on the size of its files is one, and works on when there is room again.
func childFull(ctx context.Context, folder string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, id, fence, err := childStore(ctx, folder)
	if err != nil {
		return err
	}
	defer s.Close()
	log, err := os.Stat(filepath.Join(folder, "state.db-wal"))
	if err != nil {
		return err
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(log.Size()) + 100_000, Max: old.Max}); err != nil {
		return err
	}
	rec := astern.Record{At: at, Kind: astern.RecordRound, Text: strings.Repeat("x", 7000)}
	acked, failed := 1, 0
	for failed < 3 {
		err := s.Append(ctx, id, fence, rec)
		if err == nil {
			if acked++; failed > 0 || acked > 100 {
				return fmt.Errorf("record %d fits", acked)
			}
			continue
		}
		if failed++; astern.CodeOf(err) != astern.Internal || !strings.Contains(astern.HintOf(err), "free space") {
			return fmt.Errorf("failed otherwise: %w (%s)", err, astern.HintOf(err))
		}
		fmt.Fprintln(os.Stdout, err)
		recs, err := s.Read(ctx, id, 0)
		if err != nil || len(recs) != acked {
			return fmt.Errorf("full: %d records, %d acknowledged (%w)", len(recs), acked, err)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	for range 10 {
		if err := s.Append(ctx, id, fence, rec); err != nil {
			return fmt.Errorf("there is room again: %w", err)
		}
		acked++
	}
	fmt.Println(acked)
	return nil
}

func TestFullDisk(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	p := start(t, os.Args[0], "full", folder)
	for range 3 {
		if text := p.line(t); !strings.Contains(text, folder) {
			t.Errorf("%s", text)
		}
	}
	var acked int
	fmt.Sscan(p.line(t), &acked)
	p.end(t)
	if n := length(t, open(t, folder), "ex-1"); n != acked || acked < 12 {
		t.Fatalf("%d records, %d acknowledged", n, acked)
	}
}

// childUnprivileged reads a folder that it may not write, and is refused when it wants to write.
func childUnprivileged(ctx context.Context, folder string) error {
	r, err := sqlite.OpenReadOnly(ctx, filepath.Join(folder, "readable"))
	if err != nil {
		return err
	}
	defer r.Close()
	recs, err := r.Read(ctx, "ex-1", 0)
	if err != nil {
		return err
	}
	fmt.Println(len(recs))
	for _, c := range []struct {
		name string
		open func(context.Context, string) (*sqlite.Store, error)
	}{
		{"readable", sqlite.Open}, {"loose", sqlite.Open}, {"none", sqlite.Open}, {"closed", sqlite.Open}, {"closed", sqlite.OpenReadOnly},
	} {
		_, err := c.open(ctx, filepath.Join(folder, c.name))
		if err == nil {
			return fmt.Errorf("%s opened", c.name)
		}
		fmt.Printf("%s: %v: %s\n", astern.CodeOf(err), err, astern.HintOf(err))
	}
	return nil
}

func TestUnprivileged(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "child") // where `go test` puts it, others may not go
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	readable := filepath.Join(dir, "readable")
	acked := killed(t, readable, 20)
	loose := filepath.Join(dir, "loose") // the file may be written, the folder not
	if s := open(t, loose); s.Close() != nil {
		t.Fatal("close")
	}
	os.MkdirAll(filepath.Join(dir, "closed"), 0o700)
	for path, mode := range map[string]os.FileMode{readable: 0o555, readable + "/state.db": 0o444, readable + "/state.db-wal": 0o444,
		readable + "/state.db-shm": 0o444, loose: 0o555, loose + "/state.db": 0o666, dir: 0o555, dir + "/closed": 0} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // so that it can be removed
		for _, path := range []string{dir, readable, loose, dir + "/closed"} {
			os.Chmod(path, 0o700)
		}
	})
	before := listing(t, readable)
	p := start(t, binary, "unprivileged", dir, "TMPDIR=/tmp")
	var n int
	if fmt.Sscan(p.line(t), &n); n < acked || n > acked+1 {
		t.Errorf("%d records, %d acknowledged", n, acked)
	}
	for _, name := range []string{"readable", "loose", "none", "closed", "closed"} {
		text := p.line(t)
		if !strings.HasPrefix(text, string(astern.Denied)+": ") || !strings.Contains(text, filepath.Join(dir, name)) ||
			!strings.Contains(text, "--state") {
			t.Errorf("%s: %s", name, text)
		}
	}
	p.end(t)
	unchanged(t, readable, before)
}
