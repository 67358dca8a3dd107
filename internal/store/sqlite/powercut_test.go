package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// TestPowerCuts lives through several power cuts in each trial. Random work is done on a disk that may also fail or be
// full for a while; then the power is cut at a random call, and what the cut left must be a sound store which holds what
// was acknowledged, and of what was not acknowledged all or nothing.
func TestPowerCuts(t *testing.T) {
	t.Setenv("TMPDIR", QuickFolder())
	figures := map[string]float64{}
	// 181: opening anew after a failed commit left neither what was acknowledged nor what had failed. 6917: what the next one read from
	// the page cache was not on the disk.
	for _, seed := range proof.Again(t, 40, 181, 6917) {
		powerCuts(t, seed, figures)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	proof.Figures(t, figures)
}

// life is a store's life from its opening to the cut.
type life struct {
	t      *testing.T
	random *rand.Rand
	disk   *disk
	store  *Store
	has    model   // what was acknowledged
	maybe  []model // what may be there instead: a commit that failed
	fences map[int]int64
	count  map[string]float64
}

const cutsInTrial = 4

func powerCuts(t *testing.T, seed uint64, count map[string]float64) {
	random := rand.New(rand.NewPCG(seed, 1))
	base, err := os.MkdirTemp(QuickFolder(), "astern-power-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	has := model{}
	folder := filepath.Join(base, "0")
	if random.IntN(4) == 0 { // an older astern was here
		has = oldStore(t, folder)
	}
	for n := range cutsInTrial {
		d := newDisk(t, folder, random)
		d.cutAt = 1 + random.IntN(1+random.IntN(600))
		if random.IntN(2) == 0 {
			d.fault = randomFault(random)
		}
		l := &life{t: t, random: random, disk: d, has: has, fences: map[int]int64{}, count: count}
		l.live(folder)
		left := d.off()
		count["failed_calls"] += float64(d.hurt)
		if l.store != nil {
			l.store.Close() // of the dead
		}
		folder = filepath.Join(base, fmt.Sprint(n+1))
		put(t, folder, left)
		if random.IntN(2) == 0 { // the index of the log is rubbish after a start
			put(t, folder, map[string][]byte{fileName + "-shm": []byte(strings.Repeat("rubbish", 7000))})
		}
		has = l.judge(folder)
		if t.Failed() {
			t.Fatalf("cut %d of seed %d, at call %d, fault %+v", n, seed, d.calls, d.fault)
		}
		count["cuts"]++
	}
}

// QuickFolder is where files cost the least; the disks of these tests are not what they are on.
func QuickFolder() string {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		return memory
	}
	return ""
}

func put(t testing.TB, folder string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func randomFault(random *rand.Rand) fault {
	from := 1 + random.IntN(1+random.IntN(400))
	f := fault{from: from, to: from + []int{0, 2, 30, 300}[random.IntN(4)], drop: random.IntN(2) == 0}
	for _, c := range []string{"WriteAt", "WriteAt -wal", "Sync", "Sync -wal", "Truncate", "Open", "Shm", "Delete", "ReadAt", "Names", "Link"} {
		if random.IntN(4) == 0 {
			f.calls = append(f.calls, c)
		}
	}
	f.with = []error{sqlite3.IOERR_WRITE, sqlite3.IOERR_FSYNC, sqlite3.FULL}[random.IntN(3)]
	return f
}

var at = time.Date(2026, 3, 1, 3, 4, 5, 0, time.UTC)

// oldStore makes a store as the first schema had it, and returns what it holds.
func oldStore(t *testing.T, folder string) model {
	t.Helper()
	put(t, folder, nil)
	ctx := t.Context()
	s := &Store{folder: folder, writer: make(chan struct{}, 1), db: machine.database(filepath.Join(folder, fileName))}
	if err := errors.Join(s.useLog(ctx), s.step(ctx, 0, first), s.PutPlan(ctx, "plan-000", []byte("{}"), at)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.CreateExecution(ctx, astern.Execution{PlanHash: "plan-000", CreatedAt: at, Addresses: []string{"plan-000"}}, 0); err != nil {
		t.Fatal(err)
	}
	id, err := s.StoreID(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	has, _ := model{"id": id}.putPlan("plan-000", "{}").create("plan-000", "plan-000")
	return has
}

// live opens the store and works until the power is cut.
func (l *life) live(folder string) {
	ctx := l.t.Context()
	for range 3 { // what fails once may work again
		s, err := openOn(ctx, folder, l.disk.medium())
		if err != nil {
			continue
		}
		l.store = s
		break
	}
	if l.store == nil {
		return
	}
	got, ok := l.look(ctx)
	if !ok {
		return
	}
	if l.has["id"] == "" {
		l.has = l.has.with("id", got["id"])
	}
	if diff := cmp.Diff(l.has, got); diff != "" {
		l.t.Errorf("right after opening (-acknowledged +read):\n%s", diff)
	}
	for range 40 {
		if l.disk.troubles() == dead || l.t.Failed() {
			return
		}
		l.work(ctx)
	}
}

// look reads what the store holds; false when the disk failed meanwhile.
func (l *life) look(ctx context.Context) (model, bool) {
	before := l.disk.troubles()
	got, err := read(ctx, l.store.db)
	if l.disk.troubles() != before || before == dead {
		return nil, false
	}
	if err != nil {
		l.t.Errorf("reading: %v", err)
	}
	return got, err == nil
}

// work does one thing with the store.
func (l *life) work(ctx context.Context) {
	switch l.random.IntN(8) {
	case 0:
		hash, doc := fmt.Sprintf("plan-%03d", len(l.has)), fmt.Sprintf("{%d}", l.random.Uint64())
		l.did(ctx, l.has.putPlan(hash, doc), func() error { return l.store.PutPlan(ctx, hash, []byte(doc), at) })
		fallthrough
	case 1:
		for _, key := range slices.Sorted(maps.Keys(l.has)) {
			if hash, ok := strings.CutPrefix(key, "plan "); ok && l.has["lease "+hash] == "" && !l.started(hash) {
				l.create(ctx, hash)
				return
			}
		}
	case 2:
		token, revision := fmt.Sprint(l.random.IntN(30)), fmt.Sprint("v", len(l.has))
		l.did(ctx, l.has.event(token, revision), func() error {
			_, err := l.store.AddEvent(ctx, astern.Event{At: at, Kind: astern.EventLatched, Address: "p/shop", Token: token, Revision: revision})
			return err
		})
	case 3:
		key, proof := fmt.Sprint(l.random.IntN(5)), strings.Repeat(fmt.Sprint(len(l.has)), 1+l.random.IntN(3000))
		l.did(ctx, l.has.proof(key, proof), func() error {
			if l.random.IntN(3) > 0 {
				return l.store.KeepProof(ctx, key, []byte(proof), at)
			}
			reader := &Store{folder: l.store.folder, medium: l.disk.medium(), frozen: "a reader"}
			return reader.keepAside(ctx, key, []byte(proof), at)
		})
	case 4:
		for _, key := range slices.Sorted(maps.Keys(l.has)) {
			if hash, ok := strings.CutPrefix(key, "plan "); ok {
				by := fmt.Sprint("person ", l.random.IntN(4))
				l.did(ctx, l.has.approve(hash, by), func() error { return l.store.AddApproval(ctx, hash, by, Approve, "", at) })
				return
			}
		}
	default:
		for n := 1; n < l.has.next("execution"); n++ {
			if hash, open := strings.CutSuffix(l.has[fmt.Sprint("execution ", n)], " open"); open && l.random.IntN(3) > 0 {
				l.carryOn(ctx, n, hash)
				return
			}
		}
	}
}

func (l *life) started(hash string) bool {
	for n := 1; n < l.has.next("execution"); n++ {
		if was, _, _ := strings.Cut(l.has[fmt.Sprint("execution ", n)], " "); was == hash {
			return true
		}
	}
	return false
}

func (l *life) create(ctx context.Context, hash string) {
	after, want := l.has.create(hash, hash)
	l.did(ctx, after, func() error {
		e, _, err := l.store.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: at, Addresses: []string{hash}}, 0)
		if err == nil && e.ID != want {
			l.t.Errorf("the execution is %s, want %s", e.ID, want)
		}
		return err
	})
}

// carryOn takes an execution, writes its journal, or ends it.
func (l *life) carryOn(ctx context.Context, n int, hash string) {
	id, fence := idOf(int64(n)), l.fences[n]
	if fence == 0 {
		after, want := l.has.take(n)
		l.did(ctx, after, func() error {
			got, err := l.store.Take(ctx, id, astern.Runner{Host: "h", PID: 1}, func(astern.Runner) bool { return false }, 0, at)
			if l.fences[n] = got; err == nil && got != want {
				l.t.Errorf("fence %d, want %d", got, want)
			}
			return err
		})
		return
	}
	if l.random.IntN(12) == 0 {
		l.did(ctx, l.has.end(n, fence, hash, hash), func() error {
			return l.store.Append(ctx, id, fence, astern.Record{At: at, Kind: astern.RecordEnded, Outcome: astern.OutcomeDone})
		})
		return
	}
	var texts []string
	var recs []astern.Record
	numbered, next := l.random.IntN(2) == 0, l.has.next(fmt.Sprint("record ", n)) // as the engine writes
	for i := range 1 + l.random.IntN(3) {
		text := strings.Repeat(fmt.Sprint(len(l.has)), 1+l.random.IntN(1+l.random.IntN(6000)))
		texts = append(texts, text)
		recs = append(recs, astern.Record{At: at, Kind: astern.RecordRound, Text: text})
		if numbered {
			recs[i].Seq = int64(next + i)
		}
	}
	l.did(ctx, l.has.records(n, fence, texts...), func() error { return l.store.Append(ctx, id, fence, recs...) })
}

// did makes a call and remembers what the store must hold now, and what it may.
func (l *life) did(ctx context.Context, after model, call func() error) {
	failed := call()
	switch {
	case failed == nil:
		l.has, l.maybe = after, nil
		l.count["acknowledged_writes"]++
		return
	case !errors.Is(failed, ErrUnknownCommit):
		l.count["refused_writes"]++
		return
	}
	l.count["unknown_commits"]++
	if l.store.doubtful {
		l.maybe = append(l.maybe, after) // nothing can be said until the disk works again
		return
	}
	l.maybe = nil
	got, ok := l.look(ctx)
	if !ok {
		l.maybe = []model{after}
		return
	}
	var err error
	if l.has, err = l.oneOf(got, l.has, after); err != nil {
		l.t.Errorf("read after a commit that failed: %v", err)
	}
}

// oneOf returns the model that is as got.
func (l *life) oneOf(got model, candidates ...model) (model, error) {
	for _, m := range candidates {
		if maps.Equal(m, got) {
			return m, nil
		}
	}
	return got, fmt.Errorf("it holds neither what was acknowledged nor that with the commit that failed (-acknowledged +read):\n%s",
		cmp.Diff(candidates[0], got))
}

// judge compares what the cut left with what was acknowledged, in both ways to open it, and returns what there is.
func (l *life) judge(folder string) model {
	l.t.Helper()
	ctx := l.t.Context()
	there, err := exists(filepath.Join(folder, fileName))
	if err != nil {
		l.t.Fatal(err)
	}
	if !there && l.has["id"] == "" {
		l.count["cut_creations"]++
		return l.has
	}
	candidates := append([]model{l.has}, l.maybe...)
	for how, open := range map[string]func(context.Context, string) (*Store, error){"for reading": OpenReadOnly, "a copy": openCopy} {
		s, err := open(ctx, folder)
		if err != nil {
			l.t.Errorf("opening %s after the cut: %v", how, err)
			return l.has
		}
		got, err := read(ctx, s.db)
		s.Close()
		if err != nil {
			l.t.Errorf("reading %s after the cut: %v", how, err)
			return l.has
		}
		if l.has["id"] == "" { // made, and not acknowledged
			candidates[0] = model{"id": got["id"]}
		}
		found, err := l.oneOf(got, candidates...)
		if err != nil {
			l.t.Errorf("opened %s after the cut: %v", how, err)
		}
		candidates = []model{found} // both must see the same
	}
	return candidates[0]
}

// openCopy opens a copy of the folder as a command does that writes.
func openCopy(ctx context.Context, folder string) (*Store, error) {
	names, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	again, err := os.MkdirTemp(filepath.Dir(folder), "copy-")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(folder, n.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(again, n.Name()), b, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	return Open(ctx, again)
}
