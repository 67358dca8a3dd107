package awsappconfig

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/engine/enginetest"
	"github.com/astern-dev/astern/internal/planner"
)

// second adds another profile of the same environment, deployed after the first one, and returns its component.
func (l *lab) second() astern.Component {
	l.Helper()
	made, err := l.client.CreateConfigurationProfile(l.Context(), &appconfig.CreateConfigurationProfileInput{ApplicationId: &l.ids.application, Name: aws.String("texts"), LocationUri: aws.String(hosted)})
	l.must(err)
	first := l.ids.profile
	l.ids.profile = *made.Id
	for _, text := range []string{"old", "new"} {
		l.deploy(l.version(text, ""), atOnce)
		l.step(time.Hour)
	}
	l.ids.profile = first
	c := l.c
	c.Name = "texts"
	settings := l.place().Settings
	settings.Configuration = "texts"
	c.Settings = encoded(l, settings)
	return c
}

// both plans and carries out a rollback of two profiles of one environment with the engine itself; the lab's clock goes on with
// each question, for what bakes takes minutes.
type both struct {
	*lab
	all []astern.Component
}

func newBoth(t *testing.T, in setup) *both {
	b := &both{lab: newLab(t, in)}
	b.all = []astern.Component{b.c, b.second()}
	lookup := func(address string) (astern.Component, bool) {
		for _, c := range b.all {
			if c.Address() == address {
				return c, true
			}
		}
		return astern.Component{}, false
	}
	b.driver.Observer.(*driver).lookup = lookup
	return b
}

func (b *both) request() planner.Request {
	b.Helper()
	r := planner.Request{System: "shop", ID: "p", Now: b.Now(), Policy: astern.Policy{}, Asked: astern.Asked{By: "op", At: b.Now()},
		Intent: astern.Intent{Verb: astern.VerbRollback, Percent: 100}}
	moment := b.Now()
	r.Intent.Moment, r.Release = &moment, astern.Release{Revisions: map[string]string{}}
	for _, c := range b.all {
		s, err := b.driver.Observer.Observe(b.Context(), c, astern.Scope{})
		b.must(err)
		h := astern.History{Deployments: []astern.Deployment{{Revision: "1", LastAt: &moment, KnownGoodAt: &moment}}}
		targets := b.driver.Router.Targets(c, s, h)
		for i := range targets {
			targets[i].Readiness = astern.Ready
		}
		r.Intent.Addresses = append(r.Intent.Addresses, c.Address())
		r.Release.Revisions[c.Address()] = "1"
		r.Parts = append(r.Parts, planner.Part{Component: c, Layer: b.driver.Layer, Router: b.driver.Router, State: s, History: h, Targets: targets})
	}
	return r
}

// stepping is the machine's clock, but that the lab's goes on a minute with each wait.
type stepping struct{ *both }

func (s stepping) Now() time.Time { return s.lab.Now() }

func (s stepping) After(time.Duration) <-chan time.Time {
	s.step(time.Minute)
	return time.After(time.Millisecond)
}

// carried has the engine carry out the plan; steps of the ledger are done as they are.
func (b *both) carried(p astern.Plan) (engine.Result, []astern.Record) {
	b.Helper()
	j := &enginetest.Journal{}
	e := engine.Engine{Journal: j, Clock: stepping{b}, Execution: "ex-1", Plan: p, Fence: j.Take(b.Now()), World: engine.World{
		Actor: ledgerless{b.driver.Actor}, Stopper: b.driver.Stopper,
		Observe: func(ctx context.Context, address string, paths []string) (astern.State, error) {
			c, _ := b.driver.Observer.(*driver).lookup(address)
			return b.driver.Observer.Observe(ctx, c, astern.Scope{Paths: paths})
		}}}
	r, err := e.Run(b.Context())
	b.must(err)
	return r, j.Records()
}

type ledgerless struct{ astern.Actor }

func (a ledgerless) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	if call.Kind != Kind {
		return astern.Image{"current": "2"}, nil
	}
	return a.Actor.Before(ctx, call)
}

func (a ledgerless) Start(ctx context.Context, call astern.Call) astern.Op {
	if call.Kind != Kind {
		return astern.Op{Status: astern.OpDone}
	}
	return a.Actor.Start(ctx, call)
}

// serves is what clients get of each.
func (b *both) serves() string {
	var out []string
	for _, c := range b.all {
		s, err := b.driver.Observer.Observe(b.Context(), c, astern.Scope{Paths: []string{"revision"}})
		b.must(err)
		out = append(out, s.Values["revision"].Text)
	}
	return strings.Join(out, " ")
}

// Two profiles of one environment go back in one plan, and forward again by its undo: one after the other, whichever is the one
// that the cloud could take back.
func TestTwoOfOneEnvironment(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]setup{
		"at once, then ten minutes of bake": {},
		"growing":                           {quick: true, minutes: 20, bake: 10},
	} {
		for _, lastFirst := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBoth(t, in)
				want := "deploy await bake deploy await"
				if lastFirst { // the environment's last deployment is of what goes first: that one the cloud takes back
					b.all[0], b.all[1] = b.all[1], b.all[0]
					want = "revert await deploy await"
				}
				plan, err := planner.Plan(b.request())
				b.must(err)
				var got []string
				for _, st := range plan.Stages {
					for _, s := range st.Steps {
						if s.Kind == Kind {
							got = append(got, s.Verb)
						}
					}
				}
				if strings.Join(got, " ") != want || !strings.Contains(strings.Join(plan.Notes, "\n"), "one after the other") {
					t.Errorf("the plan's steps are %v, and its notes %q", got, plan.Notes)
				}
				r, records := b.carried(plan)
				if r.Outcome != astern.OutcomeDone || b.serves() != "1 1" {
					said, _ := json.Marshal(records[len(records)-2:])
					t.Fatalf("ended %q with %v, clients get %s: %s", r.Outcome, r.Holds, b.serves(), said)
				}
				fold, err := engine.NewFold(plan)
				b.must(err)
				for _, r := range records {
					fold.Apply(r)
				}
				var done []planner.Done
				for _, d := range fold.Done(records) {
					if d.Step.Kind != Kind {
						continue
					}
					one := planner.Done{Step: d.Step, Call: d.Call, Outputs: d.Outputs}
					for _, l := range d.Left {
						one.Left = append(one.Left, astern.Fact{Address: l.Address, Path: l.Path, Value: l.Value, Absent: l.Absent})
					}
					done = append(done, one)
				}
				again := b.request()
				again.ID, again.Intent = "u", astern.Intent{Verb: astern.VerbUndo, Execution: "ex-1", Percent: 100}
				undo, err := planner.Undo(again, plan, done)
				b.must(err)
				if r, _ := b.carried(undo); r.Outcome != astern.OutcomeDone || b.serves() != "2 2" {
					t.Errorf("undone: %q with %v, clients get %s", r.Outcome, r.Holds, b.serves())
				}
			})
		}
	}
}
