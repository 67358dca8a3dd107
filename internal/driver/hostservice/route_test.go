package hostservice

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func decode(b []byte, v any) error { return json.Unmarshal(b, v) }

func encode(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// paper is a component that exists on paper only.
type paper struct {
	c     astern.Component
	state map[string]string // path -> value; "?reason" is unknown
	h     astern.History
}

func newPaper(t testing.TB, change func(*astern.Component, *Settings)) paper {
	c := astern.Component{Environment: "production", Name: "shop", Kind: Kind, Folder: "/home/ana/shop", Ready: []string{"health"},
		Checks: []astern.Check{{Name: "health", Each: true, TimeoutSeconds: 2, HTTP: &astern.HTTPCheck{URL: "http://{address}/health"}}},
		Hosts: []astern.Host{{Name: "web-1", SSH: &astern.SSH{Address: "10.0.0.11", User: "deploy"}},
			{Name: "web-2", SSH: &astern.SSH{Address: "10.0.0.12:2222", User: "deploy"}}}}
	s := Settings{Root: "/srv/shop", Instances: []Instance{
		{"shop-1", "web-1", "10.0.0.11:8081"}, {"shop-2", "web-1", "10.0.0.11:8082"},
		{"shop-3", "web-2", "10.0.0.12:8081"}, {"shop-4", "web-2", "10.0.0.12:8082"}},
		Link:      "links/{instance}",
		Systemd:   &Systemd{Unit: "shop@{instance}.service"},
		Retention: &Retention{Keep: 5}}
	if change != nil {
		change(&c, &s)
	}
	c.Settings = encode(t, s)
	p := paper{c: c, state: map[string]string{}}
	for _, in := range s.Instances {
		for path, v := range map[string]string{"host": in.Host, "link": "v1.2.3", "process": "7:1:b", "runs": "v1.2.3",
			"releases": "v1.2.2 v1.2.3", "release/v1.2.2": "sha256:aaaaaaaaaaaaaaaa", "release/v1.2.3": "sha256:bbbbbbbbbbbbbbbb",
			"release-time/v1.2.2": "2026-11-01T00:00:00Z", "release-time/v1.2.3": "2026-11-02T00:00:00Z"} {
			p.state[in.Name+"/"+path] = v
		}
	}
	good, later := noon.Add(-48*time.Hour), noon.Add(-time.Hour)
	p.h = astern.History{Current: "v1.2.3", Deployments: []astern.Deployment{
		{Revision: "v1.2.3", Hash: "sha256:bbbbbbbbbbbbbbbb", LastAt: &later},
		{Revision: "v1.2.2", Hash: "sha256:aaaaaaaaaaaaaaaa", LastAt: &good, KnownGoodAt: &good}}}
	return p
}

func (p paper) seen() astern.State {
	s := astern.State{Address: p.c.Address(), Values: map[string]astern.Value{}}
	for path, text := range p.state {
		v := astern.Value{Text: text, At: noon}
		if why, unknown := strings.CutPrefix(text, "?"); unknown {
			v = astern.Value{Unknown: why, At: noon}
		}
		s.Values[path] = v
	}
	return s
}

func (p paper) remove(part string) {
	for path := range p.state {
		if strings.Contains(path, part) {
			delete(p.state, path)
		}
	}
}

func (p paper) target(rev string) astern.Target {
	for _, t := range (router{}).Targets(p.c, p.seen(), p.h) {
		if t.Revision == rev {
			return t
		}
	}
	return astern.Target{Revision: rev}
}

func (p paper) route(verb astern.Verb, rev string, percent int) (astern.Route, error) {
	return router{}.Route(p.c, p.seen(), p.target(rev), astern.Options{Verb: verb, Percent: percent, BakeSeconds: 300, GateSeconds: 120, Now: noon})
}

// sketched makes the same route as a sketch.
func (p paper) sketched(verb astern.Verb, rev string, percent int) (astern.Route, error) {
	o := astern.Options{Verb: verb, Percent: percent, BakeSeconds: 300, GateSeconds: 120, Now: noon, Sketch: true}
	return router{}.Route(p.c, p.seen(), p.target(rev), o)
}

// outline is what a sketch must have in common with the route.
func outline(r astern.Route) astern.Route {
	r.Facts, r.Stages = nil, slices.Clone(r.Stages)
	for i, st := range r.Stages {
		r.Stages[i].Steps = nil
		for _, s := range st.Steps {
			r.Stages[i].Steps = append(r.Stages[i].Steps, astern.Step{ID: s.ID, Address: s.Address, Kind: s.Kind, Verb: s.Verb, Estimate: s.Estimate})
		}
	}
	return r
}

func golden(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (go test -update writes it anew):\n%s", file, diff)
	}
}

func TestGoldenRoutes(t *testing.T) {
	commands := func(c *astern.Component, s *Settings) {
		s.Systemd = nil
		s.Commands = &Commands{Start: []string{"./ctl", "start", "{instance}", "--listen", "{address}"}, Stop: []string{"./ctl", "stop", "{instance}"},
			Status: []string{"./ctl", "status", "{instance}"}, Drain: []string{"./ctl", "drain", "{instance}"}, Undrain: []string{"./ctl", "undrain", "{instance}"}}
	}
	for name, test := range map[string]struct {
		change  func(*astern.Component, *Settings)
		world   func(p paper)
		verb    astern.Verb
		rev     string
		percent int
	}{
		"rollback-half": {verb: astern.VerbRollback, rev: "v1.2.2", percent: 50},
		"rollback-drained": {verb: astern.VerbRollback, rev: "v1.2.2", percent: 100, change: commands,
			world: func(p paper) { p.state["shop-2/link"], p.state["shop-2/runs"] = "v1.2.1", "v1.2.1" }},
		"rollback-shared-link": {verb: astern.VerbRollback, rev: "v1.2.2", percent: 25, change: func(c *astern.Component, s *Settings) {
			commands(c, s)
			s.Link = "current"
		}},
		"rollback-partly-there": {verb: astern.VerbRollback, rev: "v1.2.2", percent: 50, world: func(p paper) {
			p.state["shop-1/link"], p.state["shop-1/runs"] = "v1.2.2", "v1.2.2"
			p.state["shop-2/link"], p.state["shop-2/runs"] = "v1.2.2", "v1.2.3"
			p.state["shop-4/link"] = "?web-2: timed out"
		}},
		"rollback-with-a-new-member": {verb: astern.VerbRollback, rev: "v1.2.2", percent: 100, world: func(p paper) {
			for _, path := range []string{"shop-1/link", "shop-1/runs", "shop-1/process"} {
				delete(p.state, path)
			}
			p.state["shop-3/link"] = "v1.2.1"
		}},
		"redeploy": {verb: astern.VerbRedeploy, rev: "v1.2.3", percent: 100},
		"deploy-copies": {verb: astern.VerbDeploy, rev: "v1.2.4", percent: 50, change: func(c *astern.Component, s *Settings) { s.Source = "dist/{revision}" },
			world: func(p paper) { p.state["source/v1.2.4"] = "sha256:cccccccccccccccc" }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPaper(t, test.change)
			if test.world != nil {
				test.world(p)
			}
			r, err := p.route(test.verb, test.rev, test.percent)
			if err != nil {
				t.Fatalf("%v (%s)", err, astern.HintOf(err))
			}
			golden(t, name, r)
			sketch, err := p.sketched(test.verb, test.rev, test.percent)
			if diff := cmp.Diff(outline(r), outline(sketch)); diff != "" || err != nil {
				t.Errorf("its sketch: %v\n%s", err, diff)
			}
		})
	}
}

func TestRefusedRoutes(t *testing.T) {
	for name, test := range map[string]struct {
		world func(p paper)
		verb  astern.Verb
		rev   string
		says  string
	}{
		"hostile":        {verb: astern.VerbRollback, rev: "../v1", says: "not a name"},
		"changed":        {verb: astern.VerbRollback, rev: "v1.2.2", says: "were changed", world: func(p paper) { p.state["shop-3/release/v1.2.2"] = "sha256:ffff" }},
		"leads out":      {verb: astern.VerbRollback, rev: "v1.2.2", says: "trusted", world: func(p paper) { p.state["shop-3/release/v1.2.2"] = "?link x " + outside }},
		"missing":        {verb: astern.VerbRollback, rev: "v1.2.2", says: "not on web-1, web-2", world: func(p paper) { p.remove("/release/v1.2.2") }},
		"all unknown":    {verb: astern.VerbRollback, rev: "v1.2.2", says: "no member", world: func(p paper) { setAll(p, "/link", "?timed out") }},
		"nowhere":        {verb: astern.VerbDeploy, rev: "v9", says: "not on web-1, web-2"},
		"redeploy mixed": {verb: astern.VerbRedeploy, rev: "v1.2.3", says: "can't be redeployed", world: func(p paper) { p.state["shop-2/link"] = "v1.2.2" }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPaper(t, nil)
			if test.world != nil {
				test.world(p)
			}
			_, err := p.route(test.verb, test.rev, 100)
			if code := astern.CodeOf(err); code != astern.Refused && code != astern.Invalid || !strings.Contains(err.Error(), test.says) || astern.HintOf(err) == "" {
				t.Errorf("got %v (%s)", err, astern.HintOf(err))
			}
			if _, sketch := p.sketched(test.verb, test.rev, 100); sketch == nil || sketch.Error() != err.Error() {
				t.Errorf("its sketch: %v", sketch)
			}
		})
	}
}

func setAll(p paper, suffix, value string) {
	for path := range p.state {
		if strings.HasSuffix(path, suffix) {
			p.state[path] = value
		}
	}
}

func TestSharesAreRoundedUp(t *testing.T) {
	for _, test := range []struct{ percent, first int }{{1, 1}, {25, 1}, {26, 2}, {50, 2}, {75, 3}, {76, 4}, {100, 4}} {
		r, err := newPaper(t, nil).route(astern.VerbRollback, "v1.2.2", test.percent)
		if err != nil || r.Stages[0].Each.To != test.first {
			t.Errorf("%d %%: %d members, want %d (%v)", test.percent, r.Stages[0].Each.To, test.first, err)
		}
	}
}

func TestGoldenTargets(t *testing.T) {
	for name, world := range map[string]func(p *paper){
		"targets": func(*paper) {},
		"targets-damaged": func(p *paper) {
			p.state["shop-3/releases"], p.state["shop-4/releases"] = "?web-2: timed out", "?web-2: timed out"
			p.state["shop-1/release/v1.2.2"] = "sha256:ffffffffffffffff"
			for _, rev := range []string{"v1.1.0", "v1.0.0", "v0.9.0"} {
				p.state["shop-1/release-time/"+rev] = "2026-10-0" + rev[3:4] + "T00:00:00Z"
				p.state["shop-1/release/"+rev] = "sha256:dddddddddddddddd"
			}
			p.state["shop-1/releases"] = "v0.9.0 v1.0.0 v1.1.0 v1.2.2 v1.2.3"
			p.state["shop-1/release/v1.1.0"] = "?link x " + outside
			p.h.Deployments[1].Latched = "errors"
			p.h.Deployments = append(p.h.Deployments, astern.Deployment{Revision: "v0.1.0"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPaper(t, nil)
			world(&p)
			golden(t, name, router{}.Targets(p.c, p.seen(), p.h))
		})
	}
}

func TestCurrentIsWhatAllRun(t *testing.T) {
	p := newPaper(t, nil)
	if !p.target("v1.2.3").Current || p.target("v1.2.2").Current {
		t.Errorf("v1.2.3 is not current")
	}
	p.state["shop-1/link"], p.state["shop-1/runs"] = "v1.2.2", "v1.2.2"
	if p.target("v1.2.3").Current || p.target("v1.2.2").Current {
		t.Errorf("one of two is current")
	}
}

func TestRetentionNamesTheDeployment(t *testing.T) {
	p := newPaper(t, nil)
	setAll(p, "/releases", "v1.0.0 v1.1.0 v1.2.0 v1.2.2 v1.2.3")
	for i, rev := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		p.state["shop-1/release-time/"+rev] = "2026-10-0" + string(rune('1'+i)) + "T00:00:00Z"
	}
	want := map[string]int{"v1.2.3": 0, "v1.2.2": 4, "v1.2.0": 3, "v1.1.0": 2, "v1.0.0": 1}
	for rev, n := range want {
		doors := p.target(rev).Doors
		switch {
		case n == 0 && len(doors) != 0, n != 0 && (len(doors) != 1 || doors[0].Deployments != n || !strings.Contains(doors[0].What, rev)):
			t.Errorf("%s: %+v, want %d", rev, doors, n)
		}
	}
}

func TestUndoOfALane(t *testing.T) {
	p := newPaper(t, func(_ *astern.Component, s *Settings) { s.Link = "current" })
	r, err := p.route(astern.VerbRollback, "v1.2.2", 25)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := len(r.Stages[0].Steps) - 1; i >= 0; i-- {
		s := r.Stages[0].Steps[i]
		if s.Kind != Kind {
			continue
		}
		steps, err := router{}.Undo(p.c, astern.Call{Step: s.ID, Address: s.Address, Verb: s.Verb, Args: s.Args, Image: astern.Image{"link": "v1.2.3"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range steps {
			got = append(got, u.ID+" "+u.Args["revision"].String())
		}
	}
	if diff := cmp.Diff([]string{"swap-web-1 v1.2.3", "restart-shop-1 v1.2.3", "restart-shop-2 v1.2.3"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestValidator(t *testing.T) {
	if p := (validator{}).Validate(newPaper(t, nil).c); len(p) != 0 {
		t.Fatalf("good settings have problems: %+v", p)
	}
	for name, test := range map[string]struct {
		change func(*astern.Component, *Settings)
		path   string
	}{
		"nothing restarts": {func(_ *astern.Component, s *Settings) { s.Systemd = nil }, "commands"},
		"start alone":      {func(_ *astern.Component, s *Settings) { s.Systemd, s.Commands = nil, &Commands{Start: []string{"a"}} }, "commands/stop"},
		"both":             {func(_ *astern.Component, s *Settings) { s.Commands = &Commands{Restart: []string{"a"}} }, "commands"},
		"drain alone":      {func(_ *astern.Component, s *Settings) { s.Commands = &Commands{Drain: []string{"a"}} }, "commands"},
		"placeholder": {func(_ *astern.Component, s *Settings) {
			s.Commands = &Commands{Drain: []string{"a", "{host}"}, Undrain: []string{"a"}}
		}, "commands/drain/1"},
		"unknown host":      {func(_ *astern.Component, s *Settings) { s.Instances[2].Host = "web-9" }, "instances/2/host"},
		"twice":             {func(_ *astern.Component, s *Settings) { s.Instances[1].Name = "shop-1" }, "instances/1/name"},
		"alike":             {func(_ *astern.Component, s *Settings) { s.Instances[0].Name, s.Instances[1].Name = "a.b", "a_b" }, "instances/1/name"},
		"hostile name":      {func(_ *astern.Component, s *Settings) { s.Instances[0].Name = "a;b" }, "instances/0/name"},
		"hostile address":   {func(_ *astern.Component, s *Settings) { s.Instances[0].Address = "-x y" }, "instances/0/address"},
		"link out":          {func(_ *astern.Component, s *Settings) { s.Link = "../current" }, "link"},
		"link absolute":     {func(_ *astern.Component, s *Settings) { s.Link = "/current" }, "link"},
		"link in releases":  {func(_ *astern.Component, s *Settings) { s.Link = "releases/current" }, "link"},
		"releases out":      {func(_ *astern.Component, s *Settings) { s.Releases = "a/../../b" }, "releases"},
		"relative root":     {func(_ *astern.Component, s *Settings) { s.Root = "srv" }, "root"},
		"root of all":       {func(_ *astern.Component, s *Settings) { s.Root = "/" }, "root"},
		"one unit for many": {func(_ *astern.Component, s *Settings) { s.Systemd.Unit = "shop.service" }, "systemd/unit"},
		"one pid file":      {func(_ *astern.Component, s *Settings) { s.PIDFile = "pid" }, "pid_file"},
		"source":            {func(_ *astern.Component, s *Settings) { s.Source = "dist" }, "source"},
		"keep":              {func(_ *astern.Component, s *Settings) { s.Retention.Keep = -1 }, "retention/keep"},
		"uptime of none":    {func(_ *astern.Component, s *Settings) { s.Uptime = Duration(time.Millisecond - 1) }, "uptime"},
		"timeout of none":   {func(_ *astern.Component, s *Settings) { s.Timeout = Duration(time.Millisecond - 1) }, "timeout"},
		"no instance":       {func(_ *astern.Component, s *Settings) { s.Instances = nil }, "instances"},
		"a host named local": {func(c *astern.Component, _ *Settings) {
			c.Hosts = append(c.Hosts, astern.Host{Name: "local", SSH: &astern.SSH{}})
		}, "instances"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPaper(t, test.change)
			problems := validator{}.Validate(p.c)
			if len(problems) != 1 || problems[0].Path != test.path || problems[0].Hint == "" {
				t.Errorf("got %+v, want one at %s", problems, test.path)
			}
		})
	}
	c := newPaper(t, nil).c
	c.Settings = []byte(`{"root":"/srv","rooot":1}`)
	if problems := (validator{}).Validate(c); len(problems) != 1 || !strings.Contains(problems[0].What, "rooot") {
		t.Errorf("an unknown key gives %+v", problems)
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"1s": time.Second, "90d": 90 * 24 * time.Hour, "1h30m": 90 * time.Minute, "500ms": time.Second / 2, "0": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %s, %v", text, time.Duration(d), err)
		}
		again, _ := d.MarshalText()
		if err := d.UnmarshalText(again); err != nil || time.Duration(d) != want {
			t.Errorf("%s does not come back from %s", text, again)
		}
	}
	for _, bad := range []string{"", "1", "-1s", "1 s", "x", "1y"} {
		var d Duration
		if d.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is taken for %s", bad, time.Duration(d))
		}
	}
}
