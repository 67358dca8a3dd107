package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

// Attempt is an execution that was to take a component to a revision and has not got it there. The ledger knows nothing of it:
// it has what came to run.
type Attempt struct {
	Execution string
	Verb      astern.Verb
	Revision  string
	At        time.Time // when it was begun
	By        string
	State     string // one of the three below
	Why       string // what failed or was in the way, else what the person said who cancelled it; "" when nothing did
}

// What became of an attempt.
const (
	attemptCancelled = "cancelled"
	attemptHeld      = "held"
	attemptUnderWay  = "under way"
)

// String says what became of it, without what it was for: "ex-5 was cancelled: 2.swap@web-1 failed: no space left".
func (t Attempt) String() string {
	is := "is"
	if t.State == attemptCancelled {
		is = "was"
	}
	return strings.TrimSuffix(fmt.Sprintf("%s %s %s: %s", t.Execution, is, t.State, t.Why), ": ")
}

// mostAttempts is how many executions are read for them: more than anybody goes back through.
const mostAttempts = 50

// Attempts returns the executions that were to take the components to revisions and did not get them there: they were cancelled
// before, or have not ended. They are given by address, the newest first.
func (a *App) Attempts(ctx context.Context, addresses ...string) (map[string][]Attempt, error) {
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	slices.SortStableFunc(all, func(x, y astern.Execution) int { return y.CreatedAt.Compare(x.CreatedAt) })
	named := map[string]bool{}
	asked := func(address string) bool { return named[address] }
	arrived := map[string]bool{} // "EXECUTION ADDRESS": the ledger has it
	for _, address := range addresses {
		named[address] = true
		events, err := a.Store.Events(ctx, address, 0)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger of %s: %w", address, err)
		}
		for _, e := range events {
			if e.Kind == astern.EventDeployed {
				arrived[e.Execution+" "+address] = true
			}
		}
	}
	out, read := map[string][]Attempt{}, 0
	for _, e := range all {
		if e.Outcome != astern.OutcomeCancelled && e.Outcome != "" || !slices.ContainsFunc(e.Addresses, asked) {
			continue
		}
		if read++; read > mostAttempts {
			break
		}
		l, err := a.load(ctx, e.ID)
		if err != nil {
			continue // one old execution that can't be read must not take the whole history along
		}
		for _, m := range l.plan.Moves {
			if asked(m.Address) && !arrived[e.ID+" "+m.Address] {
				out[m.Address] = append(out[m.Address], l.attempt(m))
			}
		}
	}
	return out, nil
}

// failed says by revision what became of the newest of a component's attempts to get there, where it was cancelled and the
// component did not get there in another way since. A redeployment is of what ran already, and leaves no word in the ledger.
func failed(all []Attempt, h astern.History) map[string]string {
	said := map[string]string{}
	for _, t := range all {
		d, _ := h.Of(t.Revision)
		if said[t.Revision] == "" && t.Verb != astern.VerbRedeploy && t.State == attemptCancelled && (d.LastAt == nil || t.At.After(*d.LastAt)) {
			said[t.Revision] = t.String()
		}
	}
	return said
}

// WithAttempts adds to the evidence of targets what became of the last attempt to get there. It changes no readiness: what was in
// the way may be gone, and readiness goes by what is seen now.
func (a *App) WithAttempts(ctx context.Context, found []ComponentTargets) error {
	var addresses []string
	for _, c := range found {
		addresses = append(addresses, c.Component.Address())
	}
	all, err := a.Attempts(ctx, addresses...)
	if err != nil {
		return err
	}
	for _, c := range found {
		said := failed(all[c.Component.Address()], c.History)
		for i, t := range c.Targets {
			s := said[t.Revision]
			if s == "" {
				continue
			}
			e := astern.Evidence{What: "it did not get there before: " + s, Readiness: astern.Ready, Seen: a.Now()}
			if t.Readiness == astern.AtRisk {
				e.Readiness = astern.AtRisk
			}
			c.Targets[i].Evidence = append(slices.Clip(t.Evidence), e)
		}
	}
	return nil
}

// attempt says what became of the execution's way for one component: what it held for there when it was cancelled, or holds for now.
func (l loaded) attempt(m astern.Move) Attempt {
	t := Attempt{Execution: l.execution.ID, Verb: l.plan.Intent.Verb, Revision: m.To, At: l.execution.CreatedAt, By: l.plan.Asked.By, State: attemptUnderWay}
	before := slices.IndexFunc(l.records, func(r astern.Record) bool { return r.Kind == astern.RecordCancelled })
	if before >= 0 {
		t.State, t.Why = attemptCancelled, l.records[before].Text
	} else {
		before = len(l.records)
	}
	f, err := engine.NewFold(l.plan)
	if err != nil || before == 0 {
		return t // which stands without what it held for
	}
	for _, r := range l.records[:before] {
		f.Apply(r)
	}
	for _, h := range holds(f, l.records[before-1].At) {
		if t.State == attemptUnderWay {
			t.State = attemptHeld
		}
		if of := l.addressOf(h.Step); of == "" || of == m.Address {
			t.Why = strings.TrimPrefix(fmt.Sprintf("%s %s: %s", h.Step, h.Kind, h.Text), " ")
			break
		}
	}
	return t
}

// addressOf returns the component that a step of a lane is of; "" where there is no such step.
func (l loaded) addressOf(step string) string {
	id, _, _ := strings.Cut(step, "@")
	for _, st := range l.plan.Stages {
		for _, s := range st.Steps {
			if s.ID == id {
				return s.Address
			}
		}
	}
	return ""
}
