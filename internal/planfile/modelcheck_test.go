package planfile_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/proof"
)

// TestModelHash holds id and hash against the model: on random plans and on those of the incidents.
func TestModelHash(t *testing.T) {
	compare := func(f interface{ Fatalf(string, ...any) }, p astern.Plan) {
		id, hash := modelHash(p)
		_, gotHash, err := planfile.Encode(p)
		sealed, errSeal := planfile.Seal(p)
		if err != nil || errSeal != nil || sealed.ID != id || gotHash != hash {
			f.Fatalf("plan %s has hash %s; the model says %s and %s (%v, %v)", sealed.ID, gotHash, id, hash, err, errSeal)
		}
	}
	for _, p := range []astern.Plan{ecsPlan(), dynamodbPlan(), fleetPlan(), regionPlan(), stackPlan()} {
		compare(t, p)
	}
	ran := proof.Runs(t)
	rapid.Check(t, func(r *rapid.T) {
		ran()
		p := anyPlan(r)
		p.Estimate.HighSeconds = rapid.Float64Range(0, 1e-4).Draw(r, "high")
		compare(r, p)
	})
}
