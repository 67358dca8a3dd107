package sqlite_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// TestModelOfJournalAndLeases holds the store against the model: the same random calls to both, the same answers.
func TestModelOfJournalAndLeases(t *testing.T) {
	t.Setenv("TMPDIR", sqlite.QuickFolder())
	base := t.TempDir()
	ran := proof.Runs(t)
	rapid.Check(t, func(r *rapid.T) {
		ran()
		folder, err := os.MkdirTemp(base, "")
		if err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(folder) // a hundred thousand of them are much
		s, err := sqlite.Open(t.Context(), folder)
		if err != nil {
			r.Fatal(err)
		}
		defer s.Close()
		c := modelCheck{T: r, store: s, model: model{plans: map[string]int{}, leases: map[string]int{}}}
		for range rapid.IntRange(1, 40).Draw(r, "calls") {
			switch rapid.IntRange(0, 4).Draw(r, "call") {
			case 0:
				c.create()
			case 1:
				c.take()
			case 2:
				c.read()
			default:
				c.append()
			}
			c.holders()
		}
	})
}

type modelCheck struct {
	*rapid.T
	store *sqlite.Store
	model model
}

var modelAddresses = []string{"p/a", "p/b", "p/c"}

// one draws an execution; ok is false when there is none.
func (c *modelCheck) one() (n int, ok bool) {
	if len(c.model.all) == 0 {
		return 0, false
	}
	return rapid.IntRange(0, len(c.model.all)-1).Draw(c.T, "execution"), true
}

func modelID(n int) string { return fmt.Sprintf("ex-%d", n+1) }

func (c *modelCheck) create() {
	plan := fmt.Sprintf("plan-%03d", rapid.IntRange(0, 9).Draw(c.T, "plan"))
	parent, ok := c.one()
	e := astern.Execution{PlanHash: plan, CreatedAt: time.Unix(1, 0), Addresses: rapid.SliceOfNDistinct(rapid.SampledFrom(modelAddresses), 0, 3,
		func(s string) string { return s }).Draw(c.T, "addresses")}
	if ok = ok && rapid.Bool().Draw(c.T, "child"); ok {
		e.Parent = modelID(parent)
	} else {
		parent = -1
	}
	if err := c.store.PutPlan(c.Context(), plan, []byte(`{}`), time.Unix(1, 0)); err != nil {
		c.Fatal(err)
	}
	_, had := c.model.plans[plan]
	made, created, err := c.store.CreateExecution(c.Context(), e, 0)
	n := c.model.create(plan, parent, e.Addresses)
	if n < 0 && astern.CodeOf(err) != astern.Conflict || n >= 0 && (err != nil || made.ID != modelID(n) || created == had) {
		c.Fatalf("creating %+v: %+v, %t, %v; the model says %d", e, made, created, err, n)
	}
}

func (c *modelCheck) take() {
	n, ok := c.one()
	if !ok {
		return
	}
	there := rapid.SampledFrom([]int64{0, max(0, c.model.highest-1), c.model.highest + 3}).Draw(c.T, "there")
	fence, err := c.store.Take(c.Context(), modelID(n), astern.Runner{Host: "h", PID: 1}, func(astern.Runner) bool { return true }, there, time.Unix(2, 0))
	if c.model.all[n].ended {
		if astern.CodeOf(err) != astern.Refused {
			c.Fatalf("taking %d, which has ended: %v", n, err)
		}
		return
	}
	c.model.highest = max(c.model.highest, there) + 1
	c.model.all[n].fence = c.model.highest
	c.model.write(n, c.model.highest, astern.RecordTaken)
	if err != nil || fence != c.model.highest {
		c.Fatalf("taking %d: fence %d, %v; the model says %d", n, fence, err, c.model.highest)
	}
}

func (c *modelCheck) append() {
	n, ok := c.one()
	if !ok {
		return
	}
	fence := rapid.SampledFrom([]int64{0, c.model.all[n].fence, c.model.all[n].fence, c.model.highest + 1, max(0, c.model.all[n].fence-1)}).Draw(c.T, "fence")
	r := astern.Record{At: time.Unix(3, 0), Kind: astern.RecordPaused}
	if fence > 0 {
		r.Kind = rapid.SampledFrom([]astern.RecordKind{astern.RecordIntent, astern.RecordOp, astern.RecordEnded}).Draw(c.T, "kind")
		r.Outcome = astern.OutcomeDone
	}
	err := c.store.Append(c.Context(), modelID(n), fence, r)
	if want := c.model.write(n, fence, r.Kind); astern.CodeOf(err) != want {
		c.Fatalf("writing %s to %d under %d: %v; the model says %q", r.Kind, n, fence, err, want)
	}
}

func (c *modelCheck) read() {
	n, ok := c.one()
	if !ok {
		return
	}
	after := rapid.IntRange(0, len(c.model.all[n].journal)+1).Draw(c.T, "after")
	records, err := c.store.Read(c.Context(), modelID(n), int64(after))
	if err != nil {
		c.Fatal(err)
	}
	var kinds []astern.RecordKind
	for i, r := range records {
		if kinds = append(kinds, r.Kind); r.Seq != int64(after+i+1) {
			c.Fatalf("record %d has number %d", after+i+1, r.Seq)
		}
	}
	if want := c.model.all[n].journal; !slices.Equal(kinds, want[min(after, len(want)):]) {
		c.Fatalf("the journal of %d after %d is %v; the model says %v", n, after, kinds, want)
	}
}

func (c *modelCheck) holders() {
	for _, a := range modelAddresses {
		id, ok, err := c.store.Holder(c.Context(), a)
		n, want := c.model.leases[a]
		if err != nil || ok != want || ok && id != modelID(n) {
			c.Fatalf("%s is held by %q, %v; the model says %d, %t", a, id, err, n, want)
		}
	}
}
