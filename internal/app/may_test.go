package app

import (
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planner"
)

func mayPart(runs string, targets ...astern.Target) planner.Part {
	return planner.Part{Component: astern.Component{Environment: "production", Name: "api"}, Targets: targets,
		State: astern.State{Values: map[string]astern.Value{"revision": {Text: runs}}}}
}

// TestMayLose: what runs, also beside another, may not be deleted; what could not be seen is no leave; and the last way back stays.
func TestMayLose(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	target := func(revision string, days int, change ...func(*astern.Target)) astern.Target {
		deployed := at.AddDate(0, 0, -days)
		t := astern.Target{Revision: revision, Readiness: astern.Ready, DeployedAt: &deployed, KnownGoodAt: &deployed, Needs: []string{"image@" + revision}}
		for _, c := range change {
			c(&t)
		}
		return t
	}
	unseen := func(t *astern.Target) {
		t.Evidence = []astern.Evidence{{What: "whether its image is there is not known: expired credentials", Readiness: astern.ReadyUnknown}}
		t.Needs = nil
	}
	for name, c := range map[string]struct {
		part     planner.Part
		resource string
		refused  string // "" when it may
		says     string
	}{
		"one of two":             {mayPart("v3", target("v3", 1), target("v2", 2), target("v1", 3)), "image@v2", "", "can't go back to v2 then, but to v1"},
		"the last":               {mayPart("v3", target("v3", 1), target("v2", 2)), "image@v2", "would have no ready, known-good revision", ""},
		"what runs":              {mayPart("v3", target("v3", 1), target("v2", 2)), "image@v3", "runs v3, which rests on image@v3", ""},
		"what runs beside":       {mayPart("v3+v2", target("v3", 1), target("v2", 2), target("v1", 3)), "image@v2", "runs v2, which rests on image@v2", ""},
		"nothing of it":          {mayPart("v3", target("v3", 1), target("v2", 2)), "image@v9", "", ""},
		"what could not be seen": {mayPart("v3", target("v3", 1), target("v2", 2, unseen)), "image@v9", "is unknown: v2: whether its image is there", ""},
		"nothing was seen": {planner.Part{Component: astern.Component{Environment: "production", Name: "api"},
			State: astern.State{Values: map[string]astern.Value{"revision": {Unknown: "expired credentials"}}}}, "image@v9", "is unknown: expired credentials", ""},
	} {
		line, err := mayLose(c.part, c.resource)
		if (err == nil) != (c.refused == "") || err != nil && (astern.CodeOf(err) != astern.NotReady || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", name, err, c.refused)
		}
		if !strings.Contains(line, c.says) {
			t.Errorf("%s: %q, want %q", name, line, c.says)
		}
	}
}

// TestMayExpire: rules that take away what runs are refused also where there is no way back to lose.
func TestMayExpire(t *testing.T) {
	end := time.Date(2026, 12, 3, 0, 0, 0, 0, time.UTC)
	before := mayPart("v1", astern.Target{Revision: "v1", Readiness: astern.Ready, Current: true})
	after := mayPart("v1", astern.Target{Revision: "v1", Readiness: astern.AtRisk, Current: true, Doors: []astern.Door{{At: &end, What: "rule 1 deletes its image"}}})
	if _, err := mayExpire(before, after, "s3://b"); err == nil || !strings.Contains(err.Error(), "runs v1, and under these rules it would go on 3 December 2026: rule 1") {
		t.Error(err)
	}
	if line, err := mayExpire(before, before, "s3://b"); err != nil || !strings.Contains(line, "no ready way back as it is") {
		t.Error(line, err)
	}
	if _, err := mayExpire(after, after, "s3://b"); err != nil {
		t.Error("what went anyway is not the rules' doing:", err)
	}
}
