package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/bench/tree"
	"github.com/astern-dev/astern/bench/verdict"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/inventory"
	"github.com/astern-dev/astern/internal/ledger"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
)

// group is how many trials share one world, which is put back after each.
const group = 4

// patience bounds the rollback of one target: longer than any that works takes by far.
const patience = 30 * time.Second

func marshalled(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }

// work makes the trials, a few worlds side by side.
func work(folder, first, count string) result {
	from, err1 := strconv.ParseUint(first, 10, 64)
	n, err2 := strconv.ParseUint(count, 10, 64)
	if err1 != nil || err2 != nil {
		return result{Trouble: "no seeds: " + first + " " + count}
	}
	var groups []uint64
	for g := from / group; g*group < from+n; g++ {
		groups = append(groups, g)
	}
	var mu sync.Mutex
	var out result
	untried := map[string]bool{}
	next := make(chan uint64)
	var wait sync.WaitGroup
	for slot := range slots {
		wait.Go(func() {
			srv, err := newServer(filepath.Join(folder, "work", fmt.Sprintf("sshd-%d", slot)))
			if srv != nil && err == nil {
				defer srv.stop()
			}
			for g := range next {
				var some result
				if err == nil {
					some, err = trials(folder, slot, srv, g, from, from+n)
				}
				mu.Lock()
				out.Tried = append(out.Tried, some.Tried...)
				for _, row := range some.Untried {
					untried[row] = true
				}
				if err != nil && out.Trouble == "" {
					out.Trouble = err.Error()
				}
				mu.Unlock()
			}
		})
	}
	for _, g := range groups {
		next <- g
	}
	close(next)
	wait.Wait()
	for row := range untried {
		out.Untried = append(out.Untried, row)
	}
	return out
}

// trials makes those of one group whose seeds are wanted.
func trials(folder string, slot int, srv *server, g, from, to uint64) (result, error) {
	var out result
	ctx := context.Background()
	s := shapes[g%uint64(len(shapes))]
	if s.far > 0 && srv == nil {
		out.Untried = append(out.Untried, "hosts over SSH: "+sshd+" is not installed")
		s = shapes[0]
	}
	w, err := build(ctx, folder, slot, s, srv)
	if err != nil {
		return out, err
	}
	defer sweep(w.root)
	for seed := max(g*group, from); seed < min((g+1)*group, to); seed++ {
		t := trial{world: w, seed: seed}
		some, err := t.run(ctx)
		out.Tried, out.Untried = append(out.Tried, some...), append(out.Untried, t.untried...)
		if err != nil {
			return out, fmt.Errorf("trial %d (%s, %s): %w", seed, s.name, strings.Join(t.names(), ", "), err)
		}
	}
	return out, nil
}

// trial is one: what is broken, and of which target.
type trial struct {
	*world
	seed    uint64
	rows    []row
	target  string
	untried []string
}

func (t *trial) names() []string {
	var out []string
	for _, r := range t.rows {
		out = append(out, r.name)
	}
	return out
}

// draw chooses what is broken: nothing in a quarter of the trials, two things in a few.
func (t *trial) draw() {
	rng := rand.New(rand.NewPCG(t.seed, 1))
	t.target = t.targets()[rng.IntN(len(t.targets()))]
	n := 1
	switch k := rng.IntN(16); {
	case k < 4:
		n = 0
	case k == 4:
		n = 2
	}
	for len(t.rows) < n {
		r := catalogue[rng.IntN(len(catalogue))]
		switch {
		case r.fits != nil && !r.fits(t.world), n == 2 && (r.after || r.read == ""): // of two, both could have been seen: else nobody knew whose fault it was
		case r.disk && !t.disks:
			t.untried = append(t.untried, r.name+": it needs a disk of its own")
		default:
			t.rows = append(t.rows, r)
		}
	}
}

// breakRows does what the rows say; undo takes it back, as far as putting the files back does not.
func (t *trial) breakRows(ctx context.Context, after bool) (undo func(), err error) {
	rng := rand.New(rand.NewPCG(t.seed, 2))
	var undos []func()
	undo = func() {
		for _, u := range undos {
			u()
		}
	}
	for n, r := range t.rows {
		i := rng.IntN(t.instances)
		if r.after != after {
			continue
		}
		d := &damage{world: t.world, ctx: ctx, target: t.target, release: filepath.Join(t.root, "releases", t.target), i: i, rng: rng}
		u, err := r.do(d)
		if u != nil {
			undos = append(undos, u)
		}
		if err != nil && n == 0 {
			return undo, fmt.Errorf("%s: %w", r.name, err)
		}
		// The second may find nothing left to break.
	}
	return undo, nil
}

// run makes the trial.
func (t *trial) run(ctx context.Context) ([]verdict.Tried, error) {
	t.draw()
	if err := t.restore(ctx); err != nil {
		return nil, err
	}
	undo, err := t.breakRows(ctx, false)
	if err != nil {
		undo()
		return nil, err
	}
	said, err := t.check(ctx)
	undo()
	if err != nil {
		return nil, err
	}
	var out []verdict.Tried
	for _, target := range t.targets() {
		if target == unwatched && t.seed%4 != 0 {
			continue // it is at risk anyway
		}
		one := t.expect(target, said[target])
		if err := t.try(ctx, &one); err != nil {
			return out, err
		}
		out = append(out, one)
	}
	return out, t.restore(ctx)
}

// expect notes what is known of a target before it is tried.
func (t *trial) expect(target string, said astern.Target) verdict.Tried {
	o := verdict.Tried{Seed: t.seed, Shape: t.name, Target: target, Proven: target != unwatched, Said: said.Readiness, Because: "it is no target"}
	if said.Readiness == "" {
		o.Said = astern.Broken // a revision that is not even listed
	}
	for _, e := range said.Evidence {
		if e.Readiness == said.Readiness {
			o.Because = e.What
			break
		}
	}
	for _, r := range t.rows {
		if r.one && target != t.target {
			continue
		}
		o.Rows = append(o.Rows, r.name)
		o.Seeable = o.Seeable || r.read != "" && !r.after
	}
	return o
}

// check has astern say what it thinks of each target.
func (t *trial) check(ctx context.Context) (map[string]astern.Target, error) {
	a, done, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	e, err := a.Environment("test")
	if err != nil {
		return nil, err
	}
	checked, err := a.Check(ctx, e)
	if err != nil {
		return nil, err
	}
	out := map[string]astern.Target{}
	for _, c := range checked {
		for _, target := range c.Targets {
			if c.Component.Name == "shop" {
				out[target.Revision] = target
			}
		}
	}
	return out, nil
}

// try breaks the world again, goes to the target for real, and puts the world back.
func (t *trial) try(ctx context.Context, o *verdict.Tried) error {
	if err := t.restore(ctx); err != nil {
		return err
	}
	undo, err := t.breakRows(ctx, false)
	defer func() { undo() }()
	if err != nil {
		return err
	}
	later, err := t.breakRows(ctx, true)
	before := undo
	undo = func() { before(); later() }
	if err != nil {
		return err
	}
	pids := make([]int, t.instances)
	for i := range pids {
		pids[i] = t.pid(i)
	}
	how, planned, err := t.goTo(ctx, o)
	o.Happened = how
	if err != nil && o.Said == astern.Broken && !planned {
		// astern would not even plan it: then its own word can't prove it right, and a person's commands are tried.
		o.Happened += "; by hand: " + t.byHand(ctx, o.Target)
		err = nil
	}
	if err != nil {
		return t.spoilt
	}
	why := t.probe(o.Target, pids)
	if o.Works = why == ""; !o.Works {
		o.Happened += "; but " + why
	}
	return t.spoilt
}

// goTo has astern roll back. planned tells whether there was a plan at all: also one that astern's own judgement of the
// target would have kept a person from.
func (t *trial) goTo(ctx context.Context, o *verdict.Tried) (how string, planned bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, done, err := t.open(ctx)
	if err != nil {
		return err.Error(), false, err
	}
	defer done()
	p, err := a.Plan(ctx, app.Ask{Verb: astern.VerbRollback, Environment: "test", Components: []string{"shop"}, Revision: o.Target, Percent: 100,
		Reason: "a trial", Way: "cli"})
	doc := p.Doc
	if err != nil && o.Said != astern.Ready {
		doc, err = t.anyway(ctx, a, o.Target)
	}
	if err != nil {
		return short(err), false, err
	}
	if err := carryOut(ctx, a, doc); err != nil {
		return short(err), true, err
	}
	return "done", true, nil
}

func short(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return text[:min(len(text), 240)]
}

// anyway plans a rollback to a target as if it were only at risk.
func (t *trial) anyway(ctx context.Context, a *app.App, target string) ([]byte, error) {
	e, err := a.Environment("test")
	if err != nil {
		return nil, err
	}
	pool := host.NewPool()
	defer pool.Close() // its connections were for reading
	drivers := map[string]astern.Driver{}
	for _, d := range app.Drivers(pool, a.System.Component) {
		drivers[d.Kind] = d
	}
	r := planner.Request{System: a.System.Name, Policy: e.Policy, Compatible: e.Compatible, Now: time.Now().UTC().Truncate(time.Millisecond), ID: fmt.Sprintf("%016x", t.seed),
		Asked:  astern.Asked{By: "trial", Known: "login name", Way: "cli", At: time.Now().UTC().Truncate(time.Millisecond)},
		Intent: astern.Intent{Verb: astern.VerbRollback, Revision: target, Percent: 100, Reason: "a trial", Addresses: []string{"test/shop"}}}
	for _, s := range inventory.Ask(ctx, e.Components, func(kind string) (astern.Observer, bool) { d, ok := drivers[kind]; return d.Observer, ok }, astern.Scope{}) {
		events, err := a.Store.Events(ctx, s.Component.Address(), 0)
		if err != nil {
			return nil, err
		}
		p := planner.Part{Component: s.Component, Layer: astern.LayerApplication, Router: drivers[s.Component.Kind].Router, State: s.State,
			History: ledger.History(events, func(string) bool { return false })}
		if s.Trouble != nil {
			p.Trouble = s.Trouble.Error()
		} else {
			p.Targets = p.Router.Targets(p.Component, p.State, p.History)
		}
		for i := range p.Targets {
			p.Targets[i].Readiness = astern.AtRisk
		}
		r.Parts = append(r.Parts, p)
	}
	p, err := planner.Plan(r)
	if err != nil {
		return nil, err
	}
	if p, err = planfile.Seal(p); err != nil {
		return nil, err
	}
	doc, _, err := planfile.Encode(p)
	return doc, err
}

// byHand does what a person would type, over the way that astern would take.
func (t *trial) byHand(ctx context.Context, target string) string {
	a, done, err := t.open(ctx)
	if err != nil {
		return err.Error()
	}
	defer done()
	pool := host.NewPool()
	defer pool.Close() // nothing is left to write
	e, err := a.Environment("test")
	if err != nil {
		return err.Error()
	}
	releases := "releases"
	if c, ok := a.System.Component("test/shop"); ok && strings.Contains(string(c.Settings), `"releases":"old"`) {
		releases = "old" // as it is declared now
	}
	for i := range t.instances {
		h := astern.Host{}
		if t.isFar(i) {
			h = e.Hosts[0]
		}
		m, err := pool.Machine(h, t.home)
		if err != nil {
			return err.Error()
		}
		line := fmt.Sprintf("[ -d %s/%s ] && ln -s %s/%s/%s new && mv -T new %s && ./bin/restart %s %s", releases, target, t.root, releases, target,
			t.linkOf(i), instance(i), t.ports[i])
		r, err := m.Run(ctx, host.Command{Argv: []string{"sh", "-c", line}, Dir: t.root, Timeout: 3 * time.Second})
		if err != nil || r.ExitCode != 0 {
			return fmt.Sprintf("%v %d %s", err, r.ExitCode, r.LastLines(1))
		}
	}
	return "done"
}

// probe says why the target was not reached, by what the links, the files and the running processes say; "" when it was.
func (t *trial) probe(target string, before []int) string {
	why := ""
	for wait := time.Now().Add(1500 * time.Millisecond); ; time.Sleep(20 * time.Millisecond) {
		if why = t.reached(target, before); why == "" || time.Now().After(wait) {
			return why
		}
	}
}

func (t *trial) reached(target string, before []int) string {
	if t.other == target {
		return "the files are not those that were recorded last"
	}
	at := filepath.Join(t.root, "releases", target)
	for i := range t.instances {
		if leads, err := filepath.EvalSymlinks(t.linkOf(i)); err != nil || leads != at {
			return fmt.Sprintf("the link of %s leads to %s (%v)", instance(i), leads, err)
		}
		said, err := answer(t.ports[i])
		if err != nil {
			return fmt.Sprintf("%s does not answer: %v", instance(i), err)
		}
		rev, pid, _ := strings.Cut(said, " ")
		if rev != target || pid == strconv.Itoa(before[i]) {
			return fmt.Sprintf("%s answers %q", instance(i), said)
		}
	}
	now, err := tree.Keep(at)
	if err != nil {
		return err.Error()
	}
	delete(now, ".")
	was := t.root0.Below("releases/" + target)
	for p, k := range was {
		if n, ok := now[p]; !ok || !n.Same(k) {
			return p + " is not what was deployed"
		}
	}
	if len(now) != len(was) {
		return "the release holds more than was deployed"
	}
	return ""
}
