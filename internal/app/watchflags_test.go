package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
)

// everybody is a flag that all get.
const everybody = `{"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}`

// flagWorld is a watchWorld in which v2 fails in what the flag express switches, beside the flag gifts.
type flagWorld struct{ watchWorld }

func newFlagWorld(t *testing.T, flags string) flagWorld {
	t.Helper()
	w := flagWorld{newWatchWorld(t, automatic)}
	change := func(name, old, new string) {
		t.Helper()
		at := filepath.Join(w.folder, name)
		text, err := os.ReadFile(at)
		w.must(err)
		info, err := os.Stat(at)
		w.must(err)
		if !strings.Contains(string(text), old) {
			t.Fatalf("%s has no %q", name, old)
		}
		w.write(name, strings.Replace(string(text), old, new, 1), info.Mode())
	}
	w.flags(everybody)
	change("astern.yaml", "        signals:\n", "        flags: "+flags+"\n        signals:\n          orders: {kind: business, command: {argv: [\"false\"]}}\n")
	change("astern.yaml", "      shop:\n", "      features: {kind: flags, with: {file: root/flags.json}}\n      shop:\n")
	change("root/metrics", "read -r fails <rates/$revision\n", "read -r fails <rates/$revision\n\t! grep -q '\"express\": {\"state\": \"DISABLED\"' flags.json || fails=2\n")
	return w
}

// flags writes the file of flags, at the time of the world.
func (w flagWorld) flags(express string) {
	w.write("root/flags.json", `{"flags": {"express": `+express+`, "gifts": `+everybody+`}}`, 0o600)
	w.must(os.Chtimes(filepath.Join(w.folder, "root", "flags.json"), w.clock(), w.clock()))
}

// TestWatchSufficient: v2 fails in what express switches off. Where that is told, or nothing speaks against it, the flag goes off
// and the release stays; where the flag can't be enough, or nobody can say which of two it is, the release goes back.
func TestWatchSufficient(t *testing.T) {
	few := strings.Replace(everybody, `"on"}`, `"off", "targeting": {"fractional": [["on", 1], ["off", 99]]}}`, 1)
	for name, c := range map[string]struct {
		flags, express, runs, says string
	}{
		"alone":                 {"[{component: features, flag: express}]", everybody, "v2 v2", ""},
		"told by its signal":    {"[{component: features, flag: gifts}, {component: features, flag: express, signals: [errors]}]", everybody, "v2 v2", "gifts off: nothing says that the fault is in it, and errors"},
		"nobody says which":     {"[{component: features, flag: express}, {component: features, flag: gifts}]", everybody, "v1 v1", "express off: it may as well be gifts off"},
		"too few of all get it": {"[{component: features, flag: express, signals: [errors]}]", few, "v1 v1", "express off: 1 % get it, and errors is worse by"},
		"too few get it":        {"[{component: features, flag: express}]", few, "v1 v1", "express off: 1 % get it, and errors is worse by"},
		"another signal's part": {"[{component: features, flag: express, signals: [orders]}]", everybody, "v1 v1", "express off: whether the fault is in it can't be told: orders"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFlagWorld(t, c.flags)
			w.flags(c.express)
			w.watch(shortPast, never)
			w.deploy("v2", 1, 2)
			w.watch(60, w.says(astern.WatchResolved))
			incidents, executions, runs := w.state()
			text, err := os.ReadFile(filepath.Join(w.folder, "root", "flags.json"))
			w.must(err)
			if off := strings.Contains(string(text), "DISABLED"); runs != c.runs || len(executions) != 1 || off != (c.runs == "v2 v2") {
				t.Fatalf("the members run %s, %d executions, the flags are %s", runs, len(executions), text)
			}
			if d := incidents[0].Decisions[0]; d.Act != astern.ActAutomatic || !strings.Contains(strings.Join(d.Against, "\n"), c.says) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// TestSwitchedByAPerson: a person switches off what is bad while the fault is noticed: nothing else goes off, and nothing goes back
// before it could be seen whether that was enough.
func TestSwitchedByAPerson(t *testing.T) {
	t.Parallel()
	w := newFlagWorld(t, "[{component: features, flag: gifts}, {component: features, flag: express, signals: [errors]}]")
	w.watch(shortPast, never)
	w.rate("v2", 20)
	w.deploy("v2", 1, 2)
	w.watch(2, never)
	w.with(func(a *app.App) {
		p, err := a.Plan(t.Context(), app.Ask{Verb: astern.VerbOff, Components: []string{"features"}, Flag: &astern.FlagChange{Flag: "express"}, Percent: 100, WatchSeconds: -1, Way: "cli"})
		w.must(err)
		w.must(a.Keep(t.Context(), p))
		e, _, err := a.Apply(t.Context(), p.Doc, app.Vouch{})
		w.must(err)
		_, _, err = a.Run(t.Context(), e.ID, func(astern.Plan, astern.Record) {})
		w.must(err)
	})
	w.rate("everywhere", 20) // what fails now is elsewhere: the watch notices all the same
	w.watch(50, w.says(astern.WatchDecided))
	incidents, executions, runs := w.state()
	if len(executions) != 1 || runs != "v2 v2" || len(incidents) != 1 {
		t.Fatalf("%d executions, the members run %s, %d incidents", len(executions), runs, len(incidents))
	}
	if d := incidents[0].Decisions[0]; d.Act != astern.ActHold || !strings.Contains(d.Because, "express off: it was switched off at") {
		t.Errorf("%+v", d)
	}
}
