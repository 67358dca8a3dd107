package planfile_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
)

var update = flag.Bool("update", false, "write testdata/plans from the literals in this package")

// hardPlans are five plans that the types must be able to say, one of them with the plan that undoes it. Hashes are
// pinned: a change of one means that every plan file out there reads differently.
var hardPlans = []struct {
	name string
	plan func() astern.Plan
	hash string
}{
	{"ecs", ecsPlan, "e58a908d3e041aea75eeb4de356f420976d504322cd6fe538a003990a90286d6"},
	{"dynamodb", dynamodbPlan, "995cd6a5842f20c0183988d44b901e108a32249b2f7838c83116d9c4b66628ab"},
	{"dynamodb-undo", dynamodbUndoPlan, "eec51e14801dab6078821438d2ba0369b21e6b71fd5cc2a707175177a6a81e57"},
	{"stack", stackPlan, "8d99d7e73a76ae40203378295cd83108d7796aed53e11bb480fede6f808f95ba"},
	{"region", regionPlan, "4960dba5e66302f730202ba8a2a92e273998ad0a79e16ce57d9050ade15f0c9e"},
	{"fleet", fleetPlan, "74d7cde458221be21c36604c182cb1edd0139eb838853f966d6a4d73c0e97f73"},
}

func TestPlans(t *testing.T) {
	for _, h := range hardPlans {
		t.Run(h.name, func(t *testing.T) {
			for _, err := range planfile.Validate(h.plan()) {
				t.Error(err)
			}
			doc, hash, err := planfile.Encode(h.plan())
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "plans", h.name+".json")
			if *update {
				if err := os.WriteFile(file, doc, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(golden, doc) {
				t.Errorf("%s is not what the literal says (go test -run TestPlans -update)", file)
			}
			got, gotHash, err := planfile.Decode(golden)
			if err != nil {
				t.Fatal(err, astern.HintOf(err))
			}
			if gotHash != hash || hash != h.hash {
				t.Errorf("hash %s, decoded %s, pinned %s", hash, gotHash, h.hash)
			}
			want, err := planfile.Seal(h.plan())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			for i := range got.Stages {
				if _, err := got.Lanes(i); err != nil {
					t.Error(err)
				}
			}
			if d := planfile.Differences(want, got); len(d) > 0 {
				t.Error(d)
			}
		})
	}
}

func TestFleetPlanIsSmall(t *testing.T) {
	p := fleetPlan()
	doc, _, err := planfile.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	members := len(p.Fleets[0].Members)
	if members < 9900 || len(doc) > 160<<10 {
		t.Errorf("%d members make %d bytes", members, len(doc))
	}
	if n := bytes.Count(doc, []byte(`"edge-05001"`)); n != 1 {
		t.Errorf("a member is listed %d times", n)
	}
	lanes := 0
	for i := range p.Stages {
		l, err := p.Lanes(i)
		if err != nil {
			t.Fatal(err)
		}
		lanes += len(l)
	}
	if lanes != members+2 { // the latch before and the mark after
		t.Errorf("%d lanes for %d members", lanes, members)
	}
}

// at is a moment of the night in which the plans are made.
func at(clock string) time.Time {
	t, err := time.Parse(time.RFC3339, "2026-11-21T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t
}

func ago(clock string) *time.Time {
	t := at(clock)
	return &t
}

// night returns a plan made at 03:02 with what all of them have in common.
func night(id string, intent astern.Intent) astern.Plan {
	if intent.Percent == 0 {
		intent.Percent = 100
	}
	return astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: id, System: "webshop",
		CreatedAt: at("03:02:00"), ExpiresAt: at("03:02:00").Add(astern.DefaultPlanAge),
		Intent: intent, Asked: astern.Asked{By: "mona", Known: "login name", Way: "cli", At: at("03:01:30")}}
}

// step returns a step with the numbers that most steps share. ID is STAGE.NAME, what is KIND VERB.
func step(id, address, what, title string, args map[string]astern.Arg) astern.Step {
	kind, verb, _ := strings.Cut(what, " ")
	return astern.Step{ID: id, Address: address, Kind: kind, Verb: verb, Title: title, Args: args,
		Undo: astern.UndoNone, Attempts: 3, TimeoutSeconds: 120, SettleSeconds: 10, HoldSeconds: 300,
		Estimate: astern.Estimate{MedianSeconds: 5}}
}

// more changes a step in place of long literals.
func more(s astern.Step, change func(*astern.Step)) astern.Step {
	change(&s)
	return s
}

func guess(seconds float64) astern.Estimate { return astern.Estimate{MedianSeconds: seconds} }

func measured(median, low, high float64, runs int) astern.Estimate {
	return astern.Estimate{MedianSeconds: median, LowSeconds: low, HighSeconds: high, Runs: runs}
}

func fact(address, path, value string, steps ...string) astern.Fact {
	return astern.Fact{Address: address, Path: path, Value: value, Seen: at("03:01:58"), Steps: steps}
}

func httpCheck(name, address string, h astern.HTTPCheck) astern.Check {
	return astern.Check{Name: name, Address: address, HTTP: &h, Effects: astern.EffectsNone, TimeoutSeconds: 2, Attempts: 3, IntervalSeconds: 1}
}

func evidence(readiness astern.Readiness, what string) astern.Evidence {
	return astern.Evidence{What: what, Readiness: readiness, Seen: at("03:01:58")}
}
