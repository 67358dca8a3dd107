package cli

import (
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
	v := view.ComponentCheck{Address: c.Component.Address(), Kind: c.Component.Kind, Current: c.Current, Latched: c.Latched, Best: c.Back.Revision,
		Targets: c.Targets, Findings: c.Findings, Results: c.Results, NotRun: c.NotRun, Signals: c.Signals, Error: c.Trouble, Verdict: c.Verdict}
	if v.Best != "" {
		v.Command = rollbackCommand(a, v.Address, v.Best)
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
	v := view.ComponentStatus{Address: c.Component.Address(), Kind: c.Component.Kind, Current: c.Current, SeenAt: now, Apart: c.Apart, Error: c.Trouble}
	if c.Trouble != "" {
		v.SeenAt = time.Time{}
	}
	if why, ok := strings.CutPrefix(c.Current, "unknown ("); ok {
		v.Current, v.Unknown = "", []string{"what runs now: " + strings.TrimSuffix(why, ")")}
	}
	for _, t := range c.Targets {
		if t.Current {
			v.Since, v.KnownGood = t.DeployedAt, t.KnownGoodAt != nil
		}
		for _, e := range t.Evidence {
			if e.Readiness == astern.ReadyUnknown {
				v.Unknown = append(v.Unknown, t.Revision+": "+e.What)
			}
		}
	}
	if back, ok := readiness.WayBack(c.Targets, c.Runs); ok {
		v.Back = &back
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
