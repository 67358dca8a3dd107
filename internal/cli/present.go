package cli

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/readiness"
	"github.com/astern-dev/astern/internal/view"
)

// This file turns what internal/app answers about components into the values of internal/view; present_execution.go does
// so for executions.

// worse returns the worse of two verdicts: what failed outweighs what is not known.
func worse(a, b astern.Verdict) astern.Verdict {
	if a == astern.Fail || b == astern.Pass {
		return a
	}
	return b
}

// rollbackCommand is what a person types to go back; the environment is named where there are several.
func rollbackCommand(a *app.App, address, revision string) string {
	return strings.Join([]string{"astern rollback", typedName(a, address), "--to", revision}, " ")
}

// typedName is how a person names a component: with its environment where there are several.
func typedName(a *app.App, address string) string {
	if len(a.System.Environments) > 1 {
		return address
	}
	return short(address)
}

func checkedComponent(a *app.App, c app.Checked) view.ComponentCheck {
	v := view.ComponentCheck{Address: c.Component.Address(), Kind: c.Component.Kind, Current: c.Current, Latched: c.Latched, Best: c.Back.Revision, WayUnknown: c.WayUnknown, WatchSeconds: c.WatchSeconds,
		Targets: c.Targets, Findings: c.Findings, Results: c.Results, NotRun: c.NotRun, Signals: c.Signals, Error: c.Trouble, Verdict: c.Verdict, Unwell: c.Unwell}
	if strings.HasPrefix(v.Current, "unknown (") {
		v.Current = "" // a finding says why
	}
	if c.Record {
		v.Record = "astern record deploy " + typedName(a, v.Address) + " " + v.Current
	}
	if c.AtRisk != nil {
		v.AtRisk = c.AtRisk.Revision
	}
	if to := cmp.Or(v.Best, v.AtRisk); to != "" {
		v.Command = rollbackCommand(a, v.Address, to)
	}
	return v
}

func targetsOfComponent(c app.ComponentTargets) view.ComponentTargets {
	v := view.ComponentTargets{Address: c.Component.Address(), Kind: c.Component.Kind, Current: c.Current, Error: c.Trouble}
	for _, t := range c.Targets {
		d, _ := c.History.Of(t.Revision)
		v.Targets = append(v.Targets, view.TargetLine{Target: t, By: d.By})
	}
	return v
}

func statusOfComponent(c app.ComponentTargets, now time.Time) view.ComponentStatus {
	v := view.ComponentStatus{Address: c.Component.Address(), Kind: c.Component.Kind, Current: c.Current, SeenAt: now, Mixed: c.Mixed, Apart: c.Apart, Elsewhere: c.Elsewhere, Error: c.Trouble}
	if c.Trouble != "" {
		v.SeenAt = time.Time{}
	}
	if why, ok := strings.CutPrefix(c.Current, "unknown ("); ok {
		v.Current, v.Unknown = "", []string{"what runs now: " + strings.TrimSuffix(why, ")")}
	}
	for _, t := range c.Targets {
		if t.Current {
			v.Since, v.KnownGood = since(t, c.Targets), t.KnownGoodAt != nil
		}
		for _, e := range t.Evidence {
			if e.Readiness == astern.ReadyUnknown {
				v.Unknown = append(v.Unknown, t.Revision+": "+e.What)
			}
		}
	}
	v.Way, v.Back, v.AtRisk = wayBack(c)
	v.WatchSeconds = c.WatchSeconds
	return v
}

// since returns since when a revision runs, nil where the ledger can't tell: nobody recorded its deployment, or something else was
// deployed after it.
func since(t astern.Target, all []astern.Target) *time.Time {
	overtaken := func(o astern.Target) bool { return !o.Imported && readiness.Later(o, t.DeployedAt) }
	if t.Imported || slices.ContainsFunc(all, overtaken) {
		return nil
	}
	return t.DeployedAt
}

// wayBack tells whether there is a way back, one at risk only, none, or nobody who could be asked.
func wayBack(c app.ComponentTargets) (way view.WayBack, back, atRisk *astern.Target) {
	if t, ok := readiness.WayBack(c.Targets, c.Runs); ok {
		return view.WayReady, &t, nil
	}
	if t, ok := app.AtRisk(c.Targets, c.Runs); ok {
		return view.WayAtRisk, nil, &t
	}
	if c.Trouble != "" || app.MayHaveWay(c.Targets, c.Runs) {
		return view.WayUnknown, nil, nil
	}
	return view.WayNone, nil, nil
}

// currentOf is what a component runs.
func currentOf(found []app.ComponentTargets, address string) string {
	for _, c := range found {
		if c.Component.Address() == address && c.Runs.Known() {
			return c.Runs.Text
		}
	}
	return "what nobody could tell (unknown)"
}

// halfWayOf says what a cancelled execution left, and what runs there now.
func halfWayOf(h app.HalfWay, current string) view.HalfWay {
	v := view.HalfWay{Address: h.Address, Execution: h.Execution, At: h.At, Runs: h.Runs, Next: h.Next}
	if len(v.Runs) == 0 {
		v.Runs = []string{short(h.Address) + " runs " + current}
	}
	return v
}

func latchesOf(events []astern.Event) []view.Latch {
	var out []view.Latch
	for _, e := range events {
		out = append(out, view.Latch{Address: e.Address, Revision: e.Revision, Reason: e.Reason, Since: e.At, By: e.By, Execution: e.Execution})
	}
	return out
}
