package drivertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
	"github.com/astern-dev/astern/internal/view"
)

// Datum is a place of a call whose text is data: the call is carried out whatever stands there.
type Datum struct {
	// Because says why nothing is made of it.
	Because string
	// Shown returns what the world has of it at the end of a way; nil where nothing keeps it.
	Shown func(t testing.TB, w World) string
	// By is the test that carries such texts out, where no way comes to its end with them; "" for this law.
	By string
}

// Asked is one thing that a driver asked for: a program that it ran, or a request that it sent.
type Asked struct {
	// Shape is all of it that no text may change: the program and its script; service, operation, method, host without its port,
	// number of the path's segments, names of headers and of what the query holds.
	Shape string
	// Paths are those of what the body holds. A request may lack some of them, and has none that no other of its shape has.
	Paths []string
	// Data is what it carries: arguments, segments of the path, values of headers, of the query and of the body.
	Data []string
}

// How many texts the law tries, and TestHostileTexts where no proof asks for more; and how many at most on one way.
const (
	lawTexts   = 2
	shareTexts = 6
	wayTexts   = 100
)

func lawInjection(r *run) { newInjection(r).trials(0, lawTexts) }

// HostileTexts gives texts by the thousand to everything of the driver that takes one, as a plan, a ledger or a declaration
// that somebody forged would: each is refused, or arrives as one piece of data. `make proof` asks for all of them. Asked notes what
// the driver asks for, where the worlds do not.
func (s Suite) HostileTexts(t *testing.T, asked func(testing.TB) []Asked) {
	first, count := proof.Seeds(t, shareTexts)
	r := s.begin(t)
	r.ctx = t.Context() // there may be hours of it
	if asked != nil {
		r.world.Asked = asked
	}
	x := newInjection(r)
	x.trials(first, count)
	proof.Figures(t, x.figures)
}

// injection is one world that hostile texts are given to. It goes to the old revision and back, again and again; before each
// step the step's own call is forged, so that it is refused for its text and for nothing else.
type injection struct {
	*run
	folder, inside string // where the canary is made, and where this process runs
	good           astern.Target
	handle         map[string]string          // what the last operation that ran was known by
	steps          int                        // of one way there and back
	shapes         map[string]map[string]bool // of what was asked for without a hostile text, with the paths of each
	honest         []string                   // the data of that
	fence          int64
	seen           map[string]string // the world's snapshot
	beside         []string
	figures        map[string]float64
}

func newInjection(r *run) *injection {
	r.Helper()
	inside, err := os.Getwd()
	if err != nil {
		r.Fatal(err)
	}
	return &injection{run: r, folder: r.TempDir(), inside: inside, shapes: map[string]map[string]bool{}, figures: map[string]float64{},
		good: r.target(r.observe(), r.world.Old)}
}

func (x *injection) trials(first, count uint64) {
	x.Helper()
	x.steps = lawTexts // as far as anybody knows before the first way
	if x.world.Asked != nil {
		x.learn()
		x.anew() // some steps are those of a first way alone
	}
	var seeds []uint64
	for n := range count {
		seeds = append(seeds, first+n)
	}
	for x.steps > 0 && len(seeds) > 0 && !x.Failed() {
		n := min(len(seeds), wayTexts)
		seeds = append(x.way(seeds[:n]), seeds[n:]...)
	}
	if tried := uint64(x.figures["texts"]); tried != count && !x.Failed() {
		x.Errorf("%d of %d texts were tried: the way has %d steps of the driver", tried, count, x.steps)
	}
	for _, folder := range x.world.Beside {
		x.noCanary(folder)
	}
}

// learn goes there and back without a hostile text, and keeps what that asks for.
func (x *injection) learn() {
	x.Helper()
	x.asked()
	x.steps = 0
	x.thereAndBack(func(step astern.Step, call astern.Call) astern.Op {
		x.steps++
		return x.plainly(step, call)
	})
	s, err := x.driver.Observer.Observe(x.ctx, x.world.Component, astern.Scope{Paths: []string{"no-such-path"}, Objects: []string{"no-such-object"}})
	if err != nil {
		x.Fatal(err)
	}
	x.driver.Router.Targets(x.world.Component, s, x.world.History)
	for _, a := range x.asked() {
		if x.shapes[a.Shape] == nil {
			x.shapes[a.Shape] = map[string]bool{}
		}
		for _, path := range a.Paths {
			x.shapes[a.Shape][path] = true
		}
		x.honest = append(x.honest, a.Data...)
	}
	if len(x.shapes) == 0 {
		x.Fatalf("nothing that the driver asked for on a whole way was noted, so that nothing can be said of texts in it")
	}
}

// anew begins with a fresh world.
func (x *injection) anew() {
	x.Helper()
	asked := x.world.Asked
	x.world, x.fence = x.suite.New(x.TB), 0
	if x.world.Asked == nil {
		x.world.Asked = asked
	}
	x.asked()
	x.good = x.target(x.observe(), x.world.Old)
}

// way goes there and back once, with a hostile text at a place that is data, and tries the texts of the seeds, each before the
// step that its number falls on. It returns those whose step did not come: the next way has as many as this one.
func (x *injection) way(seeds []uint64) (left []uint64) {
	x.Helper()
	text, arrived := x.carried(rand.New(rand.NewPCG(seeds[0], 0xda7a)))
	at := 0
	x.thereAndBack(func(step astern.Step, call astern.Call) astern.Op {
		x.seen, x.beside = x.world.Snapshot(x), x.besides()
		for _, seed := range seeds {
			if int(seed%uint64(x.steps)) == at && !x.Failed() {
				x.trial(seed, call)
			}
		}
		at++
		op := x.plainly(step, call)
		if len(op.Handle) > 0 {
			x.handle = op.Handle
		}
		x.printed(astern.Errorf(astern.Internal, "step %s: %s%s", call.Step, op.Progress, op.Error))
		x.inShape(text, x.asked(), true)
		return op
	})
	arrived()
	for _, seed := range seeds {
		if int(seed%uint64(x.steps)) >= at {
			left = append(left, seed)
		}
	}
	x.steps = at
	return left
}

func (x *injection) trial(seed uint64, call astern.Call) {
	x.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0xd71e))
	text := Hostile(rnd, []string{filepath.Join(x.folder, "pwned"), "pwned"}[rnd.IntN(2)])
	x.forged(rnd, call, text)
	asked := x.asked()
	switch rnd.IntN(5) {
	case 0:
		x.routed(rnd, text)
	case 1:
		x.remembered(rnd, text)
	case 2:
		x.looked(text)
	case 3:
		if !x.declared(rnd, text) {
			x.looked(text)
		}
	case 4:
		x.imaged(rnd, call, text)
	}
	x.quiet(text, asked)
	x.figures["texts"]++
	if x.Failed() {
		x.Logf("repeat it: %s=%d %s=1 go test -run '^TestHostileTexts$' in the driver's folder", proof.FirstVariable, seed, proof.CountVariable)
	}
}

// thereAndBack carries the component to the old revision and to the new one again.
func (x *injection) thereAndBack(start func(astern.Step, astern.Call) astern.Op) {
	x.Helper()
	x.fence += 2
	x.carry(x.route(astern.VerbRollback, x.world.Old), x.fence-1, start)
	x.carry(x.route(astern.VerbDeploy, x.world.New), x.fence, start)
	x.runs(x.world.New)
}

func (x *injection) asked() []Asked {
	if x.world.Asked == nil {
		return nil
	}
	return x.world.Asked(x)
}

// besides lists what lies beside the component's own place.
func (x *injection) besides() (names []string) {
	x.Helper()
	for _, folder := range x.world.Beside {
		all, err := os.ReadDir(folder)
		if err != nil {
			x.Fatal(err)
		}
		for _, e := range all {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	return names
}

// quiet requires that no shell has read the text, and that nothing changed in the world or lies beside it. What the forged call
// asked for has the text nowhere but whole; (a declaration's is a part of paths that are declared).
func (x *injection) quiet(text string, forged []Asked) {
	x.Helper()
	now := x.world.Snapshot(x)
	if diff := cmp.Diff(x.seen, now); diff != "" {
		x.Errorf("the text %.80q changed the world (-before +after):\n%s", text, diff)
	}
	if beside := x.besides(); !slices.Equal(x.beside, beside) {
		x.Errorf("the text %.80q: beside the component now lies %q, before that %q", text, beside, x.beside)
	}
	for _, folder := range []string{x.folder, x.inside, os.Getenv("HOME")} {
		if made, _ := filepath.Glob(filepath.Join(folder, "pwned*")); len(made) > 0 {
			x.Errorf("a shell read the text %.80q: %q", text, made)
		}
	}
	x.inShape(text, forged, true)
	x.inShape(text, x.asked(), false)
}

// inShape requires that the text made the driver ask for nothing that it does not ask for anyway, and, where it is said to, that it
// is whole wherever it is. A text that is a part of what is asked for anyway ("shop") tells nothing of where it went.
func (x *injection) inShape(text string, asked []Asked, isWhole bool) {
	x.Helper()
	usual := slices.ContainsFunc(x.honest, func(d string) bool { return strings.Contains(d, text) })
	for _, a := range asked {
		x.figures["asked_for"]++
		known, ok := x.shapes[a.Shape]
		if !ok {
			x.Errorf("the text %.80q made the driver ask for what it asks nobody else for: %.300q %.300q", text, a.Shape, a.Data)
		}
		for _, path := range a.Paths {
			if x.figures["paths_in_bodies"]++; ok && !known[path] {
				x.Errorf("the text %.80q made the driver send what it sends nobody else, at %.300q of %.300q", text, path, a.Shape)
			}
		}
		for _, d := range a.Data {
			if isWhole && !usual && len(text) > 2 && strings.Contains(d, text) && !whole(d, text) {
				x.Errorf("the text %.80q is a part of what the driver asked for: %.300q of %.300q", text, d, a.Shape)
			}
		}
	}
}

// whole reports whether a piece of data is the text, or a JSON document in which the text is one value.
func whole(data, text string) bool {
	var document any
	if data == text || json.Unmarshal([]byte(data), &document) != nil {
		return data == text
	}
	return holds(document, text)
}

func holds(document any, text string) bool {
	switch v := document.(type) {
	case string:
		return v == text
	case []any:
		return slices.ContainsFunc(v, func(v any) bool { return holds(v, text) })
	case map[string]any:
		for name, v := range v {
			if name == text || holds(v, text) {
				return true
			}
		}
	}
	return false
}

func (x *injection) noCanary(folder string) {
	x.Helper()
	if err := filepath.WalkDir(folder, func(at string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(at), "pwned") {
			x.Errorf("a shell read a hostile text: %s", at)
		}
		return nil
	}); err != nil {
		x.Error(err)
	}
}

// printed requires that nothing which a terminal obeys is left of an error when it is written for a person.
func (x *injection) printed(err error) {
	x.Helper()
	var b strings.Builder
	if err := view.Error(&b, view.Style{}, err); err != nil {
		x.Fatal(err)
	}
	said := b.String()
	if at := strings.IndexFunc(said, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 || !utf8.ValidString(said) {
		x.Errorf("a terminal obeys what is said: …%.80q", said[max(0, at):])
	}
	if err != nil && strings.TrimSpace(err.Error()) == "" {
		x.Errorf("an error without words")
	}
}

// place is one text of a call.
type place struct {
	name string
	set  func(c *astern.Call, text string)
}

// places are all texts of a call. The image is none of them: it does not come from a plan.
func places(c astern.Call) []place {
	out := []place{
		{"verb", func(c *astern.Call, text string) { c.Verb = text }},
		{"address", func(c *astern.Call, text string) { c.Address = text }},
		{"member", func(c *astern.Call, text string) { c.Member = text }},
		{"token", func(c *astern.Call, text string) { c.Token = text }},
		{"step", func(c *astern.Call, text string) { c.Step = text }},
		{"execution", func(c *astern.Call, text string) { c.Execution = text }},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Args)) {
		set := func(a astern.Arg) func(c *astern.Call, text string) {
			return func(c *astern.Call, text string) {
				c.Args = maps.Clone(c.Args)
				if list, ok := a.Literal.([]string); ok {
					a = astern.List(append(slices.Clone(list), text)...)
				} else {
					a = astern.Text(text)
				}
				c.Args[name] = a
			}
		}(c.Args[name])
		switch list, isList := c.Args[name].Literal.([]string); {
		case isList && len(list) > 0: // instead of one that is there
			out = append(out, place{c.Verb + "." + name, func(c *astern.Call, text string) {
				list := slices.Clone(list)
				list[len(list)-1] = text
				c.Args = maps.Clone(c.Args)
				c.Args[name] = astern.List(list...)
			}})
		case isList || c.Args[name].Type() == "string":
			out = append(out, place{c.Verb + "." + name, set})
		}
	}
	return out
}

// asPlanned is a call as it comes out of a plan file: JSON holds no bytes that are no UTF-8.
func (x *injection) asPlanned(c astern.Call) astern.Call {
	x.Helper()
	var out astern.Call
	if err := json.Unmarshal([]byte(x.encode(c)), &out); err != nil {
		x.Fatal(err)
	}
	return out
}

// forged puts the text into one place of a call where it must be refused.
func (x *injection) forged(rnd *rand.Rand, honest astern.Call, text string) {
	x.Helper()
	all := slices.DeleteFunc(places(honest), func(p place) bool { _, data := x.suite.Data[p.name]; return data })
	p := all[rnd.IntN(len(all))]
	call := honest
	call.Token = newToken()
	p.set(&call, text)
	call = x.asPlanned(call)
	isArg := strings.Contains(p.name, ".")
	if isArg && (text == "" || x.encode(call.Args) == x.encode(honest.Args)) {
		return // nothing is said there, or what is true
	}
	if legal := x.suite.Legal[p.name]; legal != nil && legal(text) || strings.HasSuffix(p.name, ".revision") && astern.ValidRevision(text) {
		return // a token or a name that there could be
	}
	x.figures["calls"]++
	image, err := x.driver.Actor.Before(x.ctx, call)
	if x.printed(err); err == nil {
		call.Image = image
	}
	x.driver.Actor.Find(x.ctx, call)
	x.driver.Actor.Poll(x.ctx, call, astern.Op{Status: astern.OpRunning, Handle: maps.Clone(x.handle)})
	if why := x.suite.Compared[p.name]; why != "" {
		if err == nil || astern.CodeOf(err).Transient() {
			x.Errorf("the text %.80q at %s is not refused before the step, though %s: %v", text, p.name, why, err)
		}
		return
	}
	op := x.driver.Actor.Start(x.ctx, call)
	if op.Status != astern.OpFailed || op.Code.Transient() {
		x.Errorf("a call with the text %.80q at %s is not refused: %+v", text, p.name, op)
		return
	}
	x.printed(astern.Errorf(op.Code, "%s", op.Error).WithHint("%s", op.Hint))
	if said := strings.ReplaceAll(op.Error, "step "+call.Step, ""); isArg && strings.ContainsFunc(said, unicode.IsControl) {
		x.Errorf("the text %.80q at %s breaks the line of what is said of it: %.200q", text, p.name, op.Error)
	}
}

// carried lets the calls to come have a text at a place that is data. Arrived ends that, and requires that it came there.
func (x *injection) carried(rnd *rand.Rand) (text string, arrived func()) {
	names := slices.Sorted(maps.Keys(x.suite.Data))
	names = slices.DeleteFunc(names, func(name string) bool { return x.suite.Data[name].By != "" })
	if len(names) == 0 {
		return "", func() {}
	}
	name := names[rnd.IntN(len(names))]
	text = strings.ToValidUTF8(Hostile(rnd, filepath.Join(x.folder, "pwned")), "\ufffd") // as JSON gives it back
	met := false
	x.forge = func(c *astern.Call) {
		for _, p := range places(*c) {
			if p.name == name {
				p.set(c, text)
				met = true
			}
		}
	}
	return text, func() {
		x.Helper()
		if x.forge = nil; !met {
			x.Errorf("no call of the way has the place %q, which is said to be data", name)
		}
		x.figures["carried"]++
		if shown := x.suite.Data[name].Shown; shown != nil {
			if got := shown(x, x.world); got != text {
				x.Errorf("the text %.80q at %s arrived as %.80q", text, name, got)
			}
		}
	}
}

// routed asks for the way to a revision, and to a content, of that name.
func (x *injection) routed(rnd *rand.Rand, text string) {
	x.Helper()
	s, t := x.observe(), x.good
	if x.figures["routes"]++; rnd.IntN(4) == 0 {
		t.Hash = text
		route, err := x.driver.Router.Route(x.world.Component, s, t, options(astern.VerbRollback, 100))
		x.printed(err)
		for _, st := range route.Stages {
			for _, step := range st.Steps {
				checkStep(x.run, step)
			}
		}
		return
	}
	t.Revision = text
	for _, verb := range []astern.Verb{astern.VerbRollback, astern.VerbDeploy} {
		_, err := x.driver.Router.Route(x.world.Component, s, t, options(verb, 100))
		x.refused(fmt.Sprintf("a route to the revision %.80q", text), err)
		x.printed(err)
	}
}

// remembered puts the text into what the ledger is said to know.
func (x *injection) remembered(rnd *rand.Rand, text string) {
	x.Helper()
	h, s := x.world.History, x.observe()
	h.Deployments = slices.Clone(h.Deployments)
	d := h.Deployments[rnd.IntN(len(h.Deployments))]
	switch rnd.IntN(3) {
	case 0:
		h.Current = text
	case 1:
		d.Revision = text
	case 2:
		d.Hash = text
	}
	h.Deployments = append(h.Deployments, d)
	x.figures["histories"]++
	for _, t := range x.driver.Router.Targets(x.world.Component, s, h) {
		if !astern.ValidRevision(t.Revision) {
			x.Errorf("a history with the text %.80q makes a target of it: %.80q", text, t.Revision)
		}
		for _, e := range t.Evidence {
			x.printed(astern.Errorf(astern.Internal, "%s", e.What))
			if strings.ContainsFunc(e.What, unicode.IsControl) {
				x.Errorf("a history with the text %.80q makes evidence of it: %.80q", text, e.What)
			}
		}
	}
}

// looked asks for a path and an object of that name, and for the change of a flag or an object.
func (x *injection) looked(text string) {
	x.Helper()
	d, c := x.driver, x.world.Component
	x.figures["looks"]++
	s, err := d.Observer.Observe(x.ctx, c, astern.Scope{Paths: []string{text, "release/" + text}, Objects: []string{text}})
	x.printed(err)
	for path, v := range s.Values {
		if path != text && path != "release/"+text && !strings.HasPrefix(path, "object/") && strings.ContainsFunc(path, unicode.IsControl) || breaksLines(v) {
			x.Errorf("asked for %.80q, the value at %.80q holds control characters: %.80q", text, path, v)
		}
	}
	if d.Picker != nil {
		_, err := d.Picker.Pick(c, s, astern.ObjectChange{Object: text})
		x.refused(fmt.Sprintf("the object %.80q", text), err)
		x.printed(err)
	}
	if d.Switcher != nil {
		_, err := d.Switcher.Switch(c, x.observe(), astern.FlagChange{Flag: text})
		x.refused(fmt.Sprintf("the flag %.80q", text), err)
		x.printed(err)
	}
}

// breaksLines reports whether a terminal would obey a value. The text of a file has lines.
func breaksLines(v astern.Value) bool {
	return strings.ContainsFunc(v.Unknown, unicode.IsControl) ||
		strings.ContainsFunc(v.Text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// declared looks at a component one of whose settings is the text. It reports false where none can be.
func (x *injection) declared(rnd *rand.Rand, text string) bool {
	x.Helper()
	var settings map[string]any
	if err := json.Unmarshal(x.world.Component.Settings, &settings); err != nil {
		return false // it has none
	}
	names := slices.Sorted(maps.Keys(settings))
	names = slices.DeleteFunc(names, func(name string) bool { _, ok := settings[name].(string); return !ok || text == "" })
	if len(names) == 0 {
		return false
	}
	settings[names[rnd.IntN(len(names))]] = text
	c := x.world.Component
	c.Settings = json.RawMessage(x.encode(settings))
	x.figures["declarations"]++
	if x.driver.Validator != nil {
		for _, p := range x.driver.Validator.Validate(c) {
			x.printed(astern.Errorf(astern.Invalid, "%s: %s", p.Path, p.What).WithHint("%s", p.Hint))
		}
	}
	s, err := x.driver.Observer.Observe(x.ctx, c, astern.Scope{})
	x.printed(err)
	for path, v := range s.Values {
		if strings.ContainsFunc(path, unicode.IsControl) || breaksLines(v) {
			x.Errorf("a setting %.80q makes a value with control characters: %.80q = %.80q", text, path, v)
		}
	}
	_, err = x.driver.Router.Route(c, s, astern.Target{Address: c.Address(), Revision: x.world.Old}, options(astern.VerbRollback, 100))
	x.printed(err)
	return true
}

// imaged puts the text into what was read before a step, and into what an operation is known by, and asks for the effect.
func (x *injection) imaged(rnd *rand.Rand, call astern.Call, text string) {
	x.Helper()
	x.figures["images"]++
	if keys := slices.Sorted(maps.Keys(call.Image)); len(keys) > 0 {
		call.Image = maps.Clone(call.Image)
		call.Image[keys[rnd.IntN(len(keys))]] = text
	}
	call = x.asPlanned(call)
	x.driver.Actor.Find(x.ctx, call)
	op := astern.Op{Status: astern.OpRunning, Handle: maps.Clone(x.handle)}
	if keys := slices.Sorted(maps.Keys(op.Handle)); len(keys) > 0 {
		op.Handle[keys[rnd.IntN(len(keys))]] = strings.ToValidUTF8(text, "\ufffd")
	}
	x.driver.Actor.Poll(x.ctx, call, op)
	steps, err := x.driver.Router.Undo(x.world.Component, call, nil)
	x.printed(err)
	for _, s := range steps {
		checkStep(x.run, s)
	}
}
