package planner_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/driver/hostservice"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/readiness"
)

var (
	now    = time.Date(2026, 11, 21, 3, 7, 0, 0, time.UTC)
	seen   = now.Add(-10 * time.Second)
	router = hostservice.New(nil, nil).Router
)

func daysAgo(n float64) time.Time { return now.Add(-time.Duration(n * 24 * float64(time.Hour))) }

// instance is one process of a service, and what its link points to.
type instance struct{ name, host, link string }

// service is a component of kind host.service with the state that it is in. Its zero values are the plainest service.
type service struct {
	name      string
	dependsOn []string
	instances []instance
	shared    bool     // one link for each host instead of one for each instance
	drain     bool     // declares drain and undrain commands
	parallel  int      // instances at a time
	keep      int      // retention, 0 for none
	source    bool     // declares where missing releases are copied from
	releases  []string // release folders on every host
	missing   map[string][]string
	changed   []string          // releases whose files are not as recorded
	silent    map[string]string // hosts that could not be asked, with the reason
	stale     map[string]string // instances whose process still runs another revision; untold: which one can't be told
	checks    []astern.Check
	ready     []string
	validate  []string
	checklist []astern.ChecklistItem
	events    []astern.Event
}

func hashOf(service, revision string) string { return "sha256:" + service + "-" + revision }

func (s service) address() string { return "production/" + s.name }

func (s service) component() astern.Component {
	with := map[string]any{"root": "/srv/" + s.name, "uptime": "1s", "timeout": "30s",
		"commands": map[string]any{"restart": []string{"./ctl", "restart", "{instance}"}, "status": []string{"./ctl", "status", "{instance}"}}}
	if s.drain {
		with["commands"].(map[string]any)["drain"] = []string{"./ctl", "drain", "{instance}"}
		with["commands"].(map[string]any)["undrain"] = []string{"./ctl", "undrain", "{instance}"}
	}
	if !s.shared {
		with["link"] = "current-{instance}"
	}
	if s.parallel > 0 {
		with["parallel"] = s.parallel
	}
	if s.keep > 0 {
		with["retention"] = map[string]int{"keep": s.keep}
	}
	if s.source {
		with["source"] = "/builds/" + s.name + "/{revision}"
	}
	var list []map[string]string
	c := astern.Component{Environment: "production", Name: s.name, Kind: "host.service", DependsOn: s.dependsOn, Checks: slices.Clone(s.checks),
		Ready: s.ready, Validate: s.validate, Checklist: s.checklist, Folder: "/home/ana/shop"}
	for i, in := range s.instances {
		list = append(list, map[string]string{"name": in.name, "host": in.host, "address": addressOf(i, in)})
		if _, ok := c.Host(in.host); !ok {
			c.Hosts = append(c.Hosts, astern.Host{Name: in.host, SSH: &astern.SSH{Address: in.host + ".example.com:22", User: "deploy"}})
		}
	}
	with["instances"] = list
	for i := range c.Checks {
		c.Checks[i].Address = s.address()
	}
	c.Settings, _ = json.Marshal(with) // maps of strings and numbers
	return c
}

func addressOf(i int, in instance) string { return fmt.Sprintf("%s.example.com:%d", in.host, 8081+i) }

const untold = "?"

// runs is what an instance's process was started under.
func (s service) runs(in instance) string {
	if r, ok := s.stale[in.name]; ok {
		return r
	}
	return in.link
}

// state is what the driver would see.
func (s service) state() astern.State {
	st := astern.State{Address: s.address(), Values: map[string]astern.Value{}}
	known := func(path, text string) { st.Values[path] = astern.Value{Text: text, At: seen} }
	var links []string
	unknown := ""
	for i, in := range s.instances {
		known(in.name+"/host", in.host)
		known(in.name+"/address", addressOf(i, in))
		if why, ok := s.silent[in.host]; ok {
			for _, path := range []string{"link", "process", "runs", "fence", "releases", "history"} {
				st.Values[in.name+"/"+path] = astern.Value{Unknown: why, At: seen}
			}
			unknown = in.name + ": " + why
			continue
		}
		if in.link != "" {
			known(in.name+"/link", in.link)
			known(in.name+"/process", fmt.Sprintf("%d:77:boot", 100+i))
			if runs := s.runs(in); runs != untold {
				known(in.name+"/runs", runs)
				links = append(links, runs)
			} else {
				unknown = in.name + ": its process is older than its link"
				st.Values[in.name+"/runs"] = astern.Value{Unknown: "its process is older than its link", At: seen}
			}
		}
		var there []string
		for k, rev := range s.releases {
			if slices.Contains(s.missing[in.host], rev) {
				continue
			}
			there = append(there, rev)
			hash := hashOf(s.name, rev)
			if slices.Contains(s.changed, rev) {
				hash += "-changed"
			}
			known(in.name+"/release/"+rev, hash)
			known(in.name+"/release-time/"+rev, daysAgo(float64(40-k)).Format(time.RFC3339))
		}
		known(in.name+"/releases", strings.Join(there, " "))
		known(in.name+"/fence", "3")
	}
	if s.source {
		for _, rev := range s.releases {
			known("source/"+rev, hashOf(s.name, rev))
		}
	}
	slices.Sort(links)
	switch links = slices.Compact(links); {
	case unknown != "":
		st.Values["revision"] = astern.Value{Unknown: unknown, At: seen}
	case len(links) > 0:
		known("revision", strings.Join(links, "+"))
	}
	return st
}

// part is the service as the application hands it to the planner, its targets judged.
func (s service) part() planner.Part {
	p := planner.Part{Component: s.component(), Layer: astern.LayerApplication, Router: router, State: s.state(),
		History: ledger.History(s.events, func(string) bool { return false })}
	for _, t := range router.Targets(p.Component, p.State, p.History) {
		d, _ := p.History.Of(t.Revision)
		p.Targets = append(p.Targets, readiness.Judge(t, d, p.Component.Objectives, now))
	}
	return p
}

// ran is the events of a revision that was deployed some days ago; what is good completed its watch a day later.
func ran(service, revision string, days float64, good bool) []astern.Event {
	address := "production/" + service
	out := []astern.Event{{At: daysAgo(days), Address: address, Kind: astern.EventDeployed, Revision: revision, Hash: hashOf(service, revision), By: "ci"}}
	if good {
		out = append(out, astern.Event{At: daysAgo(days - 1), Address: address, Kind: astern.EventKnownGood, Revision: revision, By: "ci"})
	}
	return out
}

func latched(service, revision string, days float64, reason string) []astern.Event {
	return []astern.Event{{At: daysAgo(days), Address: "production/" + service, Kind: astern.EventLatched, Revision: revision, Reason: reason, By: "ana"}}
}

func checkHealth() astern.Check {
	return astern.Check{Name: "health", HTTP: &astern.HTTPCheck{URL: "http://{address}/health"}, Each: true, Effects: astern.EffectsNone,
		TimeoutSeconds: 2, Attempts: 3, IntervalSeconds: 1}
}

func checkVersion() astern.Check {
	return astern.Check{Name: "version", HTTP: &astern.HTTPCheck{URL: "http://{address}/version", JSONEquals: map[string]string{"version": "{revision}"}},
		Each: true, Effects: astern.EffectsNone, TimeoutSeconds: 2, Attempts: 3, IntervalSeconds: 1}
}

func checkFront() astern.Check {
	return astern.Check{Name: "error-rate", HTTP: &astern.HTTPCheck{URL: "http://front.example.com/errors", JSONEquals: map[string]string{"errors": "normal"}},
		Effects: astern.EffectsNone, TimeoutSeconds: 2, Attempts: 1, IntervalSeconds: 1}
}

func checkSmoke() astern.Check {
	return astern.Check{Name: "smoke", Command: &astern.CommandCheck{Argv: []string{"./smoke.sh", "book and cancel", "{revision}"}},
		Effects: astern.EffectsSome, TimeoutSeconds: 30, Attempts: 1, IntervalSeconds: 1}
}

// shop is a service of two instances on two hosts that runs v1.2.3, after v1.2.1 and v1.2.2 that were known-good.
func shop() service {
	return service{name: "shop", dependsOn: []string{"stock"}, releases: []string{"v1.2.1", "v1.2.2", "v1.2.3"},
		instances: []instance{{"shop-1", "web-1", "v1.2.3"}, {"shop-2", "web-2", "v1.2.3"}},
		checks:    []astern.Check{checkHealth(), checkVersion(), checkFront(), checkSmoke()}, ready: []string{"health"},
		checklist: []astern.ChecklistItem{{Item: "health", Check: "health"}, {Item: "business-metrics"}, {Item: "user-flows", Check: "smoke"}},
		events:    slices.Concat(ran("shop", "v1.2.1", 30, true), ran("shop", "v1.2.2", 20, true), ran("shop", "v1.2.3", 1, false))}
}

func stock() service {
	return service{name: "stock", releases: []string{"v1.2.1", "v1.2.2", "v1.2.3"},
		instances: []instance{{"stock-1", "db-1", "v1.2.3"}}, checks: []astern.Check{checkHealth()}, ready: []string{"health"},
		events: slices.Concat(ran("stock", "v1.2.1", 30, true), ran("stock", "v1.2.2", 20, true), ran("stock", "v1.2.3", 2, true))}
}

// request asks for a plan about the first service; the others are there as well.
func request(in astern.Intent, services ...service) planner.Request {
	r := planner.Request{System: "webshop", ID: "night", Now: now, Policy: astern.Policy{ApprovalsOnLoss: 1},
		Asked: astern.Asked{By: "ana", Known: "login name", Way: "cli", At: now.Add(-30 * time.Second)}, Intent: in}
	var events []astern.Event
	for _, s := range services {
		r.Parts = append(r.Parts, s.part())
		events = append(events, s.events...)
	}
	if len(in.Addresses) == 0 {
		r.Intent.Addresses = []string{services[0].address()}
	}
	if in.Percent == 0 {
		r.Intent.Percent = 100
	}
	if in.Moment != nil {
		r.Release = ledger.At(events, *in.Moment)
	}
	return r
}

func plan(t *testing.T, r planner.Request) astern.Plan {
	t.Helper()
	p, err := planner.Plan(r)
	if err != nil {
		t.Fatalf("planning: %v (%s)", err, astern.HintOf(err))
	}
	return p
}

func moment(days float64) *time.Time {
	at := daysAgo(days)
	return &at
}
