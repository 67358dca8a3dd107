package app_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// oldJournals is where the worlds of testdata/journals were; their plans name it.
const oldJournals = "/tmp/astern-journals"

// elsewhere is a store whose executions were taken by processes of a machine that is gone.
type elsewhere struct{ *sqlite.Store }

func (s elsewhere) Take(ctx context.Context, id string, r astern.Runner, _ func(astern.Runner) bool, minFence int64, at time.Time) (int64, error) {
	return s.Store.Take(ctx, id, r, func(astern.Runner) bool { return false }, minFence, at)
}

// TestOldJournals resumes executions that older versions of astern began: each world was left by the program built from its
// commit, killed (-9) in the middle of a rollback of three instances, after two of them, with the log still unmerged.
func TestOldJournals(t *testing.T) {
	worlds, err := filepath.Glob("testdata/journals/*.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := filepath.Glob("../store/sqlite/migrations/*.sql")
	if err != nil || len(schemas) == 0 {
		t.Fatalf("schemas %v, %v", schemas, err)
	}
	for _, s := range schemas {
		number, _, _ := strings.Cut(strings.TrimLeft(filepath.Base(s), "0"), "_")
		if !strings.Contains(strings.Join(worlds, " "), "/schema-"+number) {
			t.Errorf("no world has a journal of schema %s: %v", number, worlds)
		}
	}
	lock, err := os.OpenFile(oldJournals+".lock", os.O_CREATE|os.O_RDWR, 0o600) // another run of this test may be at work
	if err != nil {
		t.Skipf("the folder of the old plans can't be had on this machine: %v", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for _, path := range worlds {
		name := strings.TrimSuffix(filepath.Base(path), ".tar.gz")
		t.Run(name, func(t *testing.T) { resumeOld(t, path, filepath.Join(oldJournals, name)) })
	}
}

func resumeOld(t *testing.T, archive, folder string) {
	w := world{t: t, folder: folder}
	w.must(os.RemoveAll(folder))
	w.must(os.MkdirAll(folder, 0o700))
	t.Cleanup(func() { os.RemoveAll(oldJournals) })
	if out, err := exec.Command("tar", "xzf", archive, "-C", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pids, err := filepath.Glob(filepath.Join(folder, "root", "run", "*.pid")) // of processes that ended long ago: today they are others
	w.must(err)
	for _, file := range pids {
		w.must(os.Remove(file))
	}
	for i := 1; i <= 3; i++ {
		w.ctl("restart", i)
	}
	t.Cleanup(func() {
		for i := 1; i <= 3; i++ {
			w.ctl("stop", i)
		}
	})
	w.must(os.Remove(filepath.Join(folder, "root", "restarts")))
	before := w.journal()
	if n := len(before); n < 12 || before[n-1].Kind == astern.RecordEnded {
		t.Fatalf("the journal is not half done: %d records", n)
	}

	store, err := sqlite.Open(t.Context(), filepath.Join(folder, ".astern"))
	w.must(err)
	defer store.Close()
	a, err := app.Open(filepath.Join(folder, "astern.yaml"), elsewhere{store})
	w.must(err)
	defer a.Close()
	if _, id, err := a.Run(t.Context(), "ex-1", nil); err != nil {
		t.Fatalf("%s: %v (%s)", id, err, astern.HintOf(err))
	}
	after := w.journal()
	if diff := cmp.Diff(before, after[:len(before)]); diff != "" {
		t.Errorf("what was written is not what it was:\n%s", diff)
	}
	e := w.end()
	if want := []string{"releases/v1", "releases/v1", "releases/v1"}; !cmp.Equal(e.Links, want) || e.Outcome != astern.OutcomeDone {
		t.Errorf("the end is %+v", e)
	}
	if !cmp.Equal(e.Restarts, []string{"shop-3"}) || len(e.Swaps) != 3 {
		t.Errorf("only the third was left to do: restarts %v, swaps %v", e.Restarts, e.Swaps)
	}
}

// journal reads the journal of the world's execution, changing nothing.
func (w world) journal() []astern.Record {
	w.t.Helper()
	store, err := sqlite.OpenReadOnly(w.t.Context(), filepath.Join(w.folder, ".astern"))
	w.must(err)
	defer store.Close()
	records, err := store.Read(w.t.Context(), "ex-1", 0)
	w.must(err)
	return records
}
