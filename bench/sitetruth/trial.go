package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/bench/verdict"
	"github.com/astern-dev/astern/internal/app"
)

// group is how many trials share one world, which is put back after each.
const group = 8

// patience bounds the rollback of one target: longer than any that works takes by far.
const patience = 15 * time.Second

// work makes the trials, a few worlds side by side.
func work(folder, first, count string) result {
	from, err1 := strconv.ParseUint(first, 10, 64)
	n, err2 := strconv.ParseUint(count, 10, 64)
	if err1 != nil || err2 != nil {
		return result{Trouble: "no seeds: " + first + " " + count}
	}
	var mu sync.Mutex
	var out result
	next := make(chan uint64)
	var wait sync.WaitGroup
	for slot := range slots {
		wait.Go(func() {
			server := newWeb()
			defer server.server.Close()
			for g := range next {
				some, err := trials(folder, slot, server, g, from, from+n)
				mu.Lock()
				out.Tried, out.Untried = append(out.Tried, some.Tried...), append(out.Untried, some.Untried...)
				if err != nil && out.Trouble == "" {
					out.Trouble = err.Error()
				}
				mu.Unlock()
			}
		})
	}
	for g := from / group; g*group < from+n; g++ {
		next <- g
	}
	close(next)
	wait.Wait()
	slices.Sort(out.Untried)
	out.Untried = slices.Compact(out.Untried)
	slices.SortStableFunc(out.Tried, func(a, b verdict.Tried) int { return int(a.Seed) - int(b.Seed) })
	return out
}

// trials makes those of one group whose seeds are wanted.
func trials(folder string, slot int, server *web, g, from, to uint64) (result, error) {
	var out result
	ctx := context.Background()
	w, err := build(ctx, folder, slot, shapes[g%uint64(len(shapes))], server)
	if err != nil {
		return out, err
	}
	for seed := max(g*group, from); seed < min((g+1)*group, to); seed++ {
		t := trial{world: w, seed: seed}
		some, err := t.run(ctx)
		out.Tried, out.Untried = append(out.Tried, some...), append(out.Untried, t.untried...)
		if err != nil {
			return out, fmt.Errorf("trial %d (%s, %v): %w", seed, w.name, t.names(""), err)
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

// names are those of the rows that can hurt a target; "" is any.
func (t *trial) names(target string) []string {
	var out []string
	for _, r := range t.rows {
		if target == "" || !r.one || target == t.target {
			out = append(out, r.name)
		}
	}
	return out
}

// draw chooses what is broken: nothing in a quarter of the trials, two things in a few.
func (t *trial) draw() {
	rng := rand.New(rand.NewPCG(t.seed, 1))
	t.target = proven[rng.IntN(len(proven))]
	n := 1
	switch k := rng.IntN(16); {
	case k < 4:
		n = 0
	case k == 4:
		n = 2
	}
	all := catalogue()
	for len(t.rows) < n {
		r := all[rng.IntN(len(all))]
		switch {
		case r.fits != nil && !r.fits(t.world), slices.Contains(t.names(""), r.name),
			n == 2 && (r.when != before || r.read == ""): // of two, both could have been seen: else nobody knew whose fault it was
		case r.disk && !t.disks:
			t.untried = append(t.untried, r.name+": it needs a disk of its own")
		default:
			t.rows = append(t.rows, r)
		}
	}
}

// breakRows does what the rows of a moment say; undo ends what putting the files back does not.
func (t *trial) breakRows(ctx context.Context, when moment) (undo func(), err error) {
	var undos []func()
	undo = func() {
		for _, u := range undos {
			u()
		}
	}
	for n, r := range t.rows {
		if r.when != when {
			continue
		}
		d := &damage{world: t.world, ctx: ctx, target: t.target, release: filepath.Join(t.root, "releases", t.target),
			note: filepath.Join(t.root, "manifests", t.target+".json"), until: func(u func()) { undos = append(undos, u) }}
		if err := r.do(d); err != nil && n == 0 {
			return undo, fmt.Errorf("%s: %w", r.name, err)
		}
		// The second may find nothing left to break.
	}
	return undo, nil
}

// run makes the trial.
func (t *trial) run(ctx context.Context) ([]verdict.Tried, error) {
	t.draw()
	if err := t.restore(); err != nil {
		return nil, err
	}
	undo, err := t.breakRows(ctx, before)
	var said map[string]astern.Target
	if err == nil {
		said, err = t.ask(ctx)
	}
	undo()
	if err != nil {
		return nil, err
	}
	var out []verdict.Tried
	for _, target := range proven {
		if target != t.target && len(t.names(target)) == 0 && t.seed%4 != 0 {
			continue // nothing hurts it: the trials with nothing broken have many of that kind
		}
		one := t.expect(target, said[target])
		if err := t.try(ctx, &one); err != nil {
			return out, err
		}
		out = append(out, one)
	}
	return out, t.restore()
}

// ask has astern say what it thinks of each target.
func (t *trial) ask(ctx context.Context) (out map[string]astern.Target, err error) {
	a, done, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	e, err := a.Environment("test")
	if err != nil {
		return nil, err
	}
	all, err := a.Targets(ctx, e, "site")
	if err != nil {
		return nil, err
	}
	out = map[string]astern.Target{}
	for _, c := range all {
		for _, target := range c.Targets {
			out[target.Revision] = target
		}
		for _, target := range proven {
			if _, ok := out[target]; !ok && c.Trouble != "" {
				out[target] = astern.Target{Readiness: astern.ReadyUnknown, Evidence: []astern.Evidence{{What: c.Trouble, Readiness: astern.ReadyUnknown}}}
			}
		}
	}
	return out, nil
}

// expect notes what is known of a target before it is tried.
func (t *trial) expect(target string, said astern.Target) verdict.Tried {
	o := verdict.Tried{Seed: t.seed, Shape: t.name, Target: target, Proven: true, Said: said.Readiness, Because: "it is no target", Rows: t.names(target)}
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
		o.Seeable = o.Seeable || slices.Contains(o.Rows, r.name) && r.read != "" && r.when == before
	}
	return o
}

// try breaks the world again, goes to the target for real, and looks at what is served.
func (t *trial) try(ctx context.Context, o *verdict.Tried) error {
	if err := t.restore(); err != nil {
		return err
	}
	for _, when := range []moment{before, afterCheck} {
		undo, err := t.breakRows(ctx, when)
		defer undo()
		if err != nil {
			return err
		}
	}
	how, planned, err := t.goTo(ctx, o.Target)
	o.Happened = how
	if err != nil && !planned && o.Said != astern.Ready {
		// astern would not even plan it: then its own word can't prove it right, and a person's commands are tried.
		o.Happened += "; by hand: " + t.byHand(ctx, o.Target)
	}
	why := t.reached(o.Target)
	if o.Works = why == ""; !o.Works {
		o.Happened += "; but " + why
	}
	return nil
}

// goTo has astern roll back. planned tells whether there was a plan at all.
func (t *trial) goTo(ctx context.Context, target string) (how string, planned bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, done, err := t.open(ctx)
	if err != nil {
		return short(err), false, err
	}
	defer func() {
		if closed := done(); err == nil {
			err = closed
		}
	}()
	p, err := a.Plan(ctx, app.Ask{Verb: astern.VerbRollback, Environment: "test", Components: []string{"site"}, Revision: target, Percent: 100,
		Reason: "a trial", Way: "cli"})
	if err != nil {
		return short(err), false, err
	}
	undo, err := t.breakRows(ctx, afterPlan)
	defer undo()
	if err == nil {
		err = carryOut(ctx, a, p.Doc)
	}
	if err != nil {
		return short(err), true, err
	}
	return "done", true, nil
}

func short(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return text[:min(len(text), 240)]
}

// hand is what a person would type, over the way that astern would take: under its lock, with copies, of nothing that lies
// outside of the root, and in the place of nothing but a link.
const hand = `set -e
cd -P -- "$1"
if [ -L .astern.lock ]; then exit 1; fi
if [ -e .astern.lock ]; then [ -f .astern.lock ]; fi
exec 9<>.astern.lock
flock -n 9
[ "$(readlink -f -- "$2/$3")" = "$PWD/$2/$3" ]
if [ -L served ]; then exit 1; fi
if [ -e current ]; then [ -L current ]; fi
mkdir -p served/by-hand
cp -Rp -- "$2/$3/." served/by-hand/
ln -s served/by-hand .by-hand
mv -T .by-hand current
`

func (t *trial) byHand(ctx context.Context, target string) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", hand, "by-hand", t.at.root, t.at.releases, target)
	cmd.Dir = "/"
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Sprintf("%v: %s", err, said[:min(len(said), 100)])
	}
	return "done"
}

// reached says why the target is not what is served, "" when it is: by the files, and by what a visitor is answered.
func (t *trial) reached(target string) string {
	if t.other == target {
		return "the files are not those that were recorded last"
	}
	link := filepath.Join(t.root, "current")
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Sprintf("there is no link (%v)", err)
	}
	leads, err := filepath.EvalSymlinks(link)
	root, err2 := filepath.EvalSymlinks(t.root)
	if err = errors.Join(err, err2); err != nil || !strings.HasPrefix(leads, root+"/") {
		return fmt.Sprintf("the link leads to %s (%v)", leads, err)
	}
	should := t.files[target]
	if why := t.more(target); why != "" {
		return why
	}
	for _, name := range []string{entries[0], t.at.entry} {
		if _, ok := should[name]; !ok {
			return "there is no " + name + ", which visitors ask for first"
		}
	}
	site := t.at.url
	if site == "" {
		site = t.web.server.URL
	}
	for _, name := range slices.Sorted(maps.Keys(should)) {
		at := filepath.Join(leads, name)
		info, err := os.Lstat(at)
		if err != nil || !info.Mode().IsRegular() {
			return fmt.Sprintf("%s is no file (%v)", name, err)
		}
		got, err := os.ReadFile(at)
		if err != nil || !bytes.Equal(got, should[name]) {
			return fmt.Sprintf("%s is not what was built (%v)", name, err)
		}
		if real, err := filepath.EvalSymlinks(at); err != nil || real != at {
			return fmt.Sprintf("%s is really %s (%v)", name, real, err)
		}
		if why := visit(site, name, should[name]); why != "" {
			return why
		}
	}
	return ""
}

// more says what is in the folder of a release that was not built with it, "" when nothing is.
func (t *trial) more(target string) string {
	at := filepath.Join(t.at.root, t.at.releases, target)
	why := ""
	err := filepath.WalkDir(at, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(at, p)
		if _, ok := t.files[target][filepath.ToSlash(name)]; !ok {
			why = fmt.Sprintf("the release holds %q, which was not built with it", name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) { // what can't be seen there may still be served
		return short(err)
	}
	return why
}
