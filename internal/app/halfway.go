package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/planner"
)

// Moved is what an execution did to one component, as far as it can be reversed.
type Moved struct {
	Address  string
	From, To string
	Members  []string // those that it acted on; empty for a component without members
}

// moved returns what the execution did to components and could be reversed: nothing where a point of no return was passed,
// and nothing for what only the ledger remembers.
func (l loaded) moved() []Moved {
	members := map[string][]string{}
	for _, d := range l.fold.Done(l.records) {
		switch {
		case d.Step.Undo == astern.UndoImpossible:
			return nil
		case d.Step.Undo != astern.UndoInverse || d.Step.Kind == ledger.Kind:
			continue
		}
		who := d.Call.Member
		for _, l := range d.Left { // a step of an undo is in no member's lane
			if m, ok := strings.CutSuffix(l.Path, "/link"); ok && who == "" {
				who = m
			}
		}
		members[d.Step.Address] = append(members[d.Step.Address], who)
	}
	var out []Moved
	for _, m := range l.plan.Moves {
		if took, ok := members[m.Address]; ok {
			slices.Sort(took)
			took = slices.DeleteFunc(slices.Compact(took), func(s string) bool { return s == "" })
			out = append(out, Moved{m.Address, m.From, m.To, took})
		}
	}
	return out
}

// goesBack says what undoing it brings back: "a goes back to v1.0.0".
func (m Moved) goesBack() string {
	_, name, _ := astern.SplitAddress(m.Address)
	who, goes := name, "goes"
	switch n := len(m.Members); {
	case n == 1:
		who = m.Members[0]
	case n > 1 && n <= 4:
		who, goes = strings.Join(m.Members, ", "), "go"
	case n > 4:
		who, goes = fmt.Sprintf("%d members of %s", n, name), "go"
	}
	return who + " " + goes + " back to " + m.From
}

// numbered writes "1 approval", "2 approvals".
func numbered(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// noted puts a remark behind a command so that the line still runs as it is printed.
func noted(command, remark string) string { return command + "  # " + remark }

// backFirst is the command that takes a held deployment back, "" where that is not what a person wants first: only a
// deployment leaves behind what was good, and nothing may be in doubt.
func (l loaded) backFirst(holds []engine.HoldReason) string {
	undo := l.undo()
	if l.plan.Intent.Verb != astern.VerbDeploy || undo == "" {
		return ""
	}
	for _, h := range holds {
		if h.Kind != engine.HoldFailed && h.Kind != engine.HoldGate {
			return ""
		}
	}
	return "astern cancel " + l.execution.ID + " && " + undo
}

// undo is the command that reverses what the execution did, with what comes back behind it; "" where nothing can be reversed.
func (l loaded) undo() string {
	var back []string
	for _, m := range l.moved() {
		back = append(back, m.goesBack())
	}
	if len(back) == 0 {
		return ""
	}
	return noted("astern undo "+l.execution.ID, strings.Join(back, ", "))
}

// ways are the commands by which a person can get the held execution on, or back.
func (l loaded) ways(holds []engine.HoldReason) []string {
	out := ways(l.execution.ID, holds)
	if back := l.backFirst(holds); back != "" {
		out = slices.Insert(out, 0, back)
	}
	return out
}

// HalfWay is a component that a cancelled execution left between two revisions, or at one that nobody decided for.
type HalfWay struct {
	Execution string
	At        time.Time // when it was cancelled
	Moved
	Runs []string // which members run what, a line each; empty where that is one revision
	Next string   // what to type
}

// LeftHalfWay returns what cancelled executions left half-way, as long as nothing was done about it: no later execution, no
// word in the ledger, and what runs is not what ran before. Where that is unknown, it may be half-way still.
func (a *App) LeftHalfWay(ctx context.Context, found []ComponentTargets) ([]HalfWay, error) {
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	var out []HalfWay
	for _, c := range found {
		address := c.Component.Address()
		var last astern.Execution
		for _, e := range all {
			if slices.Contains(e.Addresses, address) && e.CreatedAt.After(last.CreatedAt) {
				last = e
			}
		}
		if last.Outcome != astern.OutcomeCancelled || last.EndedAt == nil || newest(c.History).After(*last.EndedAt) {
			continue
		}
		l, err := a.load(ctx, last.ID)
		if err != nil {
			continue // one old execution that can't be read must not take the whole of status along
		}
		for _, m := range l.moved() {
			if m.Address == address && !(c.Runs.Known() && c.Runs.Text == m.From) {
				out = append(out, HalfWay{Execution: last.ID, At: *last.EndedAt, Moved: m, Runs: c.Mixed, Next: a.outOfHalfWay(l, m)})
			}
		}
	}
	return out, nil
}

// outOfHalfWay is the command that ends it: a deployment is reversed, what went back goes there to its end.
func (a *App) outOfHalfWay(l loaded, m Moved) string {
	if l.plan.Intent.Verb == astern.VerbDeploy || !astern.ValidRevision(m.To) {
		return noted("astern undo "+l.execution.ID, m.goesBack())
	}
	return noted("astern rollback "+m.Address+" --to "+m.To, "all of it goes there")
}

// mixed says which members run what where they run different revisions, a line for each revision.
func mixed(s astern.State) []string {
	if v, ok := s.Get("revision"); !ok || v.Known() && !strings.Contains(v.Text, "+") {
		return nil
	}
	members := map[string][]string{}
	var revisions []string
	for _, m := range planner.Members(s) {
		v, ok := s.Runs(m)
		if !ok {
			continue
		}
		runs := v.String()
		if members[runs] == nil {
			revisions = append(revisions, runs)
		}
		members[runs] = append(members[runs], m)
	}
	slices.Sort(revisions)
	var out []string
	for _, r := range revisions {
		switch who := members[r]; {
		case len(who) == 1:
			out = append(out, who[0]+" runs "+r)
		case len(who) <= 4:
			out = append(out, strings.Join(who, ", ")+" run "+r)
		default:
			out = append(out, fmt.Sprintf("%d members run %s", len(who), r))
		}
	}
	return out
}
