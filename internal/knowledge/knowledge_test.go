package knowledge

import (
	"slices"
	"testing"

	"github.com/astern-dev/astern"
)

func TestDefaultIsComplete(t *testing.T) {
	for _, s := range astern.Symptoms {
		for _, flagged := range []bool{false, true} {
			a, ok := For(Case{Symptom: s, Kind: "host.service", Flagged: flagged}, nil)
			if !ok || len(a.Prefer) == 0 || a.Because == "" || len(a.Look) == 0 {
				t.Errorf("%s flagged=%t: %+v", s, flagged, a)
			}
			for _, w := range a.Prefer {
				if !slices.Contains(astern.Ways, w) {
					t.Errorf("%s prefers %q, which is no way", s, w)
				}
			}
		}
	}
}

func ways() []astern.WayBack {
	return []astern.WayBack{
		{Way: astern.WayRestore, Estimate: astern.Estimate{MedianSeconds: 900}, Loss: []astern.Loss{{Count: 4}}, Readiness: astern.Ready},
		{Way: astern.WayRollback, Estimate: astern.Estimate{MedianSeconds: 48}, Readiness: astern.Ready},
		{Way: astern.WayFlag, Estimate: astern.Estimate{MedianSeconds: 3}, Readiness: astern.Ready},
		{Way: astern.WayMigrate, Estimate: astern.Estimate{MedianSeconds: 20}, Readiness: astern.Ready},
	}
}

func TestOrder(t *testing.T) {
	mine := []astern.Advice{{Symptom: astern.SymptomLatency, Kind: "host.service", Prefer: []astern.Way{astern.WayRollback}, Because: "ours"}}
	for name, c := range map[string]struct {
		about Case
		users []astern.Advice
		want  []astern.Way
		says  string
	}{
		"errors with a flag":    {Case{astern.SymptomErrors, "host.service", true}, nil, []astern.Way{"flag", "rollback", "migrate", "restore"}, "switching off the new part is the fastest and loses nothing; the rest of the release stays"},
		"errors without":        {Case{astern.SymptomErrors, "host.service", false}, nil, []astern.Way{"rollback", "flag", "migrate", "restore"}, "errors that began with a deployment go with it"},
		"a migration":           {Case{astern.SymptomMigration, "migrations", false}, nil, []astern.Way{"migrate", "rollback", "restore", "flag"}, ""},
		"the user's own":        {Case{astern.SymptomLatency, "host.service", true}, mine, []astern.Way{"rollback", "flag", "migrate", "restore"}, "ours"},
		"of another kind":       {Case{astern.SymptomLatency, "site.dir", true}, mine, []astern.Way{"flag", "rollback", "migrate", "restore"}, ""},
		"nobody says a symptom": {Case{"", "host.service", true}, mine, []astern.Way{"flag", "migrate", "rollback", "restore"}, "it loses nothing and is the fastest"},
	} {
		got := Order(c.about, c.users, ways())
		var order []astern.Way
		for _, w := range got {
			order = append(order, w.Way)
			if w.Because == "" {
				t.Errorf("%s: %s stands there without a reason", name, w.Way)
			}
		}
		if !slices.Equal(order, c.want) {
			t.Errorf("%s: %v, want %v", name, order, c.want)
		}
		if c.says != "" && got[0].Because != c.says {
			t.Errorf("%s: because %q, want %q", name, got[0].Because, c.says)
		}
	}
}

// TestBrokenComesLast: what is preferred but can't be gone is not advised.
func TestBrokenComesLast(t *testing.T) {
	all := ways()
	all[2].Readiness, all[1].Readiness = astern.Broken, astern.ReadyUnknown
	got := Order(Case{astern.SymptomErrors, "host.service", true}, nil, all)
	if got[3].Way != astern.WayFlag || got[2].Way != astern.WayRollback {
		t.Errorf("%v", got)
	}
}
