package app_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// forgeries is into how many parts all single changes of a plan are dealt out.
const forgeries = 10

// TestNobodyVouches: a stored plan is changed by somebody who knows how to make its seal and hash anew. Whatever he
// changes, neither applying nor approving takes it, and nothing of it is stored; the plan that was made here goes on to the next question.
//
// The forgeries are dealt out in ten parts.
func TestNobodyVouches(t *testing.T) {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	a := &app.App{Store: store, Now: time.Now, By: "eve", System: astern.System{Name: "another"}}
	files, err := filepath.Glob("../planfile/testdata/plans/*.json")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	first, count := proof.Seeds(t, 2)
	forged := 0
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) > 100<<10 {
			continue // the fleet's is the same in more members
		}
		p, hash, err := planfile.Decode(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Keep(ctx, app.Planned{Plan: p, Hash: hash, Doc: doc}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.Apply(ctx, doc, app.Vouch{}); err == nil || !strings.Contains(err.Error(), "this is another") {
			t.Errorf("%s: the plan that was made here: %v", file, err)
		}
		before, err := store.Documents(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, changed := range forge(t, doc, first, count) {
			forged++
			_, _, applied := a.Apply(ctx, changed, app.Vouch{})
			_, approved := a.Approve(ctx, changed, "approve", "", app.Vouch{Signature: []byte("-----BEGIN SSH SIGNATURE-----")})
			_, rejected := a.Approve(ctx, changed, "reject", "why", app.Vouch{})
			_, _, wrong := a.Apply(ctx, changed, app.Vouch{Trust: hash})
			for what, err := range map[string]error{"apply": applied, "approve": approved, "reject": rejected, "apply with the hash of the first": wrong} {
				says := "nobody vouches for plan "
				if what == "apply with the hash of the first" {
					says = "is another plan's"
				}
				if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %s of a forged plan: %v", file, what, err)
				}
			}
		}
		if after, err := store.Documents(ctx); err != nil || len(after) != len(before) {
			t.Errorf("%s: %d plans are stored, there were %d (%v)", file, len(after), len(before), err)
		}
	}
	if forged < 30*int(count) {
		t.Errorf("only %d plans were forged", forged)
	}
	proof.Figures(t, map[string]float64{"forged_plans_refused": float64(forged)})
}

// forge returns the lawful plans that come of changing one text, number or truth of the plan, sealed anew: those of count
// parts from first.
func forge(t *testing.T, doc []byte, first, count uint64) (out [][]byte) {
	var tree any
	if err := json.Unmarshal(doc, &tree); err != nil {
		t.Fatal(err)
	}
	tried := uint64(0)
	try := func() {
		part := tried % forgeries
		tried++
		if part < first || part >= first+count {
			return
		}
		b, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		var p astern.Plan
		if json.Unmarshal(b, &p) != nil {
			return
		}
		changed, _, err := planfile.Encode(p)
		if err != nil || string(changed) == string(doc) {
			return
		}
		if _, _, err := planfile.Decode(changed); err == nil {
			out = append(out, changed)
		}
	}
	var walk func(v any, put func(any))
	walk = func(v any, put func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				inner := v[k]
				walk(inner, func(n any) { v[k] = n })
				delete(v, k)
				try()
				v[k] = inner
			}
		case []any:
			for i, inner := range v {
				walk(inner, func(n any) { v[i] = n })
			}
		case string:
			put(v + "x")
			try()
			put(v)
		case float64:
			put(v + 1)
			try()
			put(v)
		case bool:
			put(!v)
			try()
			put(v)
		}
	}
	walk(tree, func(any) {})
	return out
}

// TestParentLowersNoApprovals: that a plan names a parent is its own word, and spares it no approval, also when a person
// trusts it.
func TestParentLowersNoApprovals(t *testing.T) {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	doc, err := os.ReadFile("../planfile/testdata/plans/ecs.json")
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := planfile.Decode(doc)
	if err != nil {
		t.Fatal(err)
	}
	p.Approvals, p.Parent = 0, strings.Repeat("ab", 32)
	forged, hash, err := planfile.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	e := astern.Environment{Name: "production", Policy: astern.Policy{Approvals: 1}}
	for _, address := range p.Addresses() {
		_, name, _ := astern.SplitAddress(address)
		e.Components = append(e.Components, astern.Component{Environment: e.Name, Name: name})
	}
	a := &app.App{Store: store, Now: func() time.Time { return p.CreatedAt }, By: "eve",
		System: astern.System{Name: p.System, Environments: []astern.Environment{e}}}
	if _, _, err := a.Apply(ctx, forged, app.Vouch{Trust: hash}); astern.CodeOf(err) != astern.Waiting {
		t.Errorf("a plan with a parent of its own invention: %v, want it to wait for an approval", err)
	}
	// The word of the person who asked does not count, wherever it came from; that of another does.
	if err := store.PutPlan(ctx, hash, forged, p.CreatedAt); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{p.Asked.By, "somebody else"} {
		if err := store.AddApproval(ctx, hash, by, sqlite.Approve, "", p.CreatedAt); err != nil {
			t.Fatal(err)
		}
		_, _, err := a.Apply(ctx, forged, app.Vouch{})
		if waits := astern.CodeOf(err) == astern.Waiting; waits != (by == p.Asked.By) {
			t.Errorf("approved by %s: %v", by, err)
		}
	}
}
