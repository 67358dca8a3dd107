package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/driver/hostservice"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/readiness"
)

// planning measures the way from what is known of a service to a sealed plan of more than 10,000 steps: its targets are found
// and judged, the rollback is planned, and the plan is written and read again.
func (b *bench) planning() ([]figure, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	c, state, err := largeService(largePlan/3+1, now)
	if err != nil {
		return nil, err
	}
	h := ledger.History(largeLedger(c.Address(), now), func(string) bool { return false })
	start := time.Now()
	router := hostservice.New(nil, nil).Router
	part := planner.Part{Component: c, Layer: astern.LayerApplication, Router: router, State: state, History: h}
	for _, t := range router.Targets(c, state, h) {
		d, _ := h.Of(t.Revision)
		part.Targets = append(part.Targets, readiness.Judge(t, d, c.Objectives, now))
	}
	p, err := planner.Plan(planner.Request{System: "bench", ID: "bench", Now: now, Parts: []planner.Part{part},
		Asked:  astern.Asked{By: "bench", Known: "login name", Way: "cli", At: now},
		Intent: astern.Intent{Verb: astern.VerbRollback, Addresses: []string{c.Address()}, Revision: "v1", Percent: 100}})
	if err != nil {
		return nil, err
	}
	doc, _, err := planfile.Encode(p)
	if err != nil {
		return nil, err
	}
	if _, _, err := planfile.Decode(doc); err != nil {
		return nil, err
	}
	took := time.Since(start).Seconds()
	steps := 0
	for _, st := range p.Stages {
		lanes := 1
		if st.Each != nil {
			lanes = st.Each.To - st.Each.From
		}
		steps += lanes * len(st.Steps)
	}
	if steps < largePlan {
		return nil, fmt.Errorf("the plan has %d steps, want %d", steps, largePlan)
	}
	return []figure{{Name: "plan-10000-steps", Value: round(took), Unit: "s", Goal: 1, OK: took <= 1}}, nil
}

// largeService is a service of so many instances on this machine, all of which run v2 and have v1.
func largeService(instances int, now time.Time) (astern.Component, astern.State, error) {
	var list []map[string]string
	state := astern.State{Address: "bench/service", Values: map[string]astern.Value{"revision": {Text: "v2", At: now}}}
	for i := range instances {
		name := fmt.Sprintf("i%05d", i)
		address := fmt.Sprintf("127.0.0.1:%d", 1024+i)
		list = append(list, map[string]string{"name": name, "address": address})
		for path, text := range map[string]string{"host": "local", "address": address, "link": "v2", "runs": "v2", "process": fmt.Sprintf("%d:1:boot", i+2),
			"release/v1": "sha256:v1", "release/v2": "sha256:v2", "releases": "v1 v2", "fence": "1"} {
			state.Values[name+"/"+path] = astern.Value{Text: text, At: now}
		}
	}
	settings, err := json.Marshal(map[string]any{"root": "/srv/bench", "link": "current-{instance}", "instances": list, "parallel": 64,
		"commands": map[string][]string{"restart": {"./ctl", "restart", "{instance}"}, "status": {"./ctl", "status", "{instance}"}}})
	alive := astern.Check{Name: "alive", Address: "bench/service", Each: true, Attempts: 1, TimeoutSeconds: 1, Effects: astern.EffectsNone,
		TCP: &astern.TCPCheck{Address: "{address}"}}
	return astern.Component{Environment: "bench", Name: "service", Kind: hostservice.Kind, Checks: []astern.Check{alive}, Ready: []string{"alive"},
		Folder: "/", Settings: settings}, state, err
}

// largeLedger says that v1 was good and v2 came after it.
func largeLedger(address string, now time.Time) []astern.Event {
	var out []astern.Event
	for i, r := range []string{"v1", "v2"} {
		for _, kind := range []astern.EventKind{astern.EventDeployed, astern.EventKnownGood} {
			out = append(out, astern.Event{Seq: int64(len(out)) + 1, At: now.Add(time.Duration(i-10) * time.Hour), Address: address, Kind: kind,
				Revision: r, Hash: "sha256:" + r, By: "bench"})
		}
	}
	return out
}
