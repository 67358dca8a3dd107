package astern_test

import (
	"math/rand/v2"
	"testing"

	"github.com/astern-dev/astern"
)

// TestCheckIndex asks for every name and member, of checks whose names and ids collide, and compares with the plan's own way.
func TestCheckIndex(t *testing.T) {
	names := []string{"", "a", "b", "a@b", "b@a", "a@b@a"}
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 2000 {
		var p astern.Plan
		for i := range random.IntN(5) {
			p.Checks = append(p.Checks, astern.Check{Name: names[random.IntN(len(names))], Member: names[random.IntN(len(names))], Attempts: i})
		}
		index := p.CheckIndex()
		for _, name := range names {
			for _, member := range names {
				want, there := p.Check(name, member)
				got, ok := index.Check(name, member)
				if ok != there || got.Attempts != want.Attempts || got.Name != want.Name {
					t.Fatalf("%+v: check %q of %q is %+v %v, want %+v %v", p.Checks, name, member, got, ok, want, there)
				}
				if there {
					found++
				}
			}
		}
	}
	if found < 1000 {
		t.Fatalf("only %d were found", found)
	}
}
