package drivertest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	astern "github.com/astern-dev/astern"

	"github.com/astern-dev/astern/internal/canary"
)

// memory is a driver and its whole world in memory: members, each with a link to a release. A fault makes it break one
// law on purpose.
type memory struct {
	fault string

	mu       sync.Mutex
	releases map[string]string // revision -> hash
	links    map[string]string // member -> revision
	fences   map[string]int64  // member -> newest fence seen
	acts     map[string]string // token -> revision before
	touched  int               // writes to the world that no state shows
	asked    int               // calls so far
	told     string            // what a member was last told
	sent     []Asked
	owner    string            // of the claim
	said     map[string]string // by path, what was claimed
}

// memorySecret lies in every world of memory.
var memorySecret = canary.Kept("memory")

// leak is the secret where a fault has the driver tell it there, in one of the forms in which it might be told; else nothing.
func (m *memory) leak(where string) string {
	switch {
	case !m.is("secret in " + where):
		return ""
	case where == "an image":
		return base64.StdEncoding.EncodeToString([]byte("shop:" + memorySecret))
	case where == "an operation":
		return hex.EncodeToString([]byte(memorySecret))
	}
	return memorySecret
}

var memoryMembers = []string{"a", "b", "c"}

func newMemory(fault string) *memory {
	m := &memory{fault: fault, releases: map[string]string{"v1": "h1", "v2": "h2"}, links: map[string]string{},
		fences: map[string]int64{}, acts: map[string]string{}}
	for _, name := range memoryMembers {
		m.links[name] = "v2"
	}
	return m
}

func (m *memory) is(fault string) bool { return m.fault == fault }

// suite returns the suite for memory drivers. All its worlds share one driver value, as those of real drivers do.
func memorySuite(fault string) Suite {
	current := &memory{}
	d := astern.Driver{Kind: "memory", Settings: struct{}{}, Verbs: []astern.VerbInfo{
		{Verb: "set", What: "sets a member's link", Undo: astern.UndoInverse, Exclusion: astern.Conditional, Found: "token"},
		{Verb: "tell", What: "tells a member", Undo: astern.UndoNone, Exclusion: astern.Window, Found: "none"},
	}}
	all := &memoryDriver{&current}
	d.Observer, d.Router, d.Actor, d.Permitter, d.Discoverer, d.Switcher, d.Picker, d.Claimer = all, all, all, all, all, all, all, all
	return Suite{Driver: d,
		New: func(testing.TB) World {
			current = newMemory(fault)
			m := current
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			return World{
				Component: astern.Component{Environment: "test", Name: "m", Kind: "memory"}, Old: "v1", New: "v2",
				History: astern.History{Current: "v2", Deployments: []astern.Deployment{
					{Revision: "v2", Hash: "h2", KnownGoodAt: &at}, {Revision: "v1", Hash: "h1", KnownGoodAt: &at}}},
				Snapshot: func(testing.TB) map[string]string { return m.snapshot() },
				Secrets:  []string{memorySecret},
				Asked:    func(testing.TB) []Asked { sent := m.sent; m.sent = nil; return sent },
				Object:   "o", Flag: "f", Place: "here",
			}
		},
		Data: map[string]Datum{"token": {Because: "a map's key"}, "step": {Because: "nothing reads it"}, "execution": {Because: "nothing reads it"},
			"tell.was": {Because: "it is what a member is told", Shown: func(testing.TB, World) string { return current.told }}},
		Breaks: []Break{{Name: "the release is gone", Want: astern.Broken,
			Do: func(testing.TB, World) { delete(current.releases, "v1") }}},
	}
}

func (m *memory) snapshot() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[string]string{"world": fmt.Sprint(m.releases, m.links, m.fences, m.acts, m.touched)}
}

type memoryDriver struct{ world **memory }

func (d *memoryDriver) Observe(ctx context.Context, c astern.Component, scope astern.Scope) (astern.State, error) {
	m := *d.world
	m.mu.Lock()
	defer m.mu.Unlock()
	s := astern.State{Address: c.Address(), Values: map[string]astern.Value{}}
	if ctx.Err() != nil && !m.is("claims absence") {
		return s, astern.Errorf(astern.Unavailable, "observing: %w", ctx.Err())
	}
	if m.is("observing writes") {
		m.touched++
	}
	now := time.Now().UTC()
	revisions := slices.Compact(slices.Sorted(maps.Values(m.links)))
	values := map[string]string{"revision": strings.Join(revisions, "+")}
	for name, rev := range m.links {
		values[name+"/link"] = rev
	}
	for rev, hash := range m.releases {
		values["release/"+rev] = hash
	}
	if !m.is("claims unseen") {
		maps.Copy(values, m.said)
	}
	if leak := m.leak("a state"); leak != "" {
		values["password"] = leak
	}
	for p, v := range values {
		if ctx.Err() == nil && (len(scope.Paths) == 0 || m.is("ignores scope") || slices.Contains(scope.Paths, p)) {
			s.Values[p] = astern.Value{Text: v, At: now}
		}
	}
	return s, nil
}

func (d *memoryDriver) Permissions(astern.Component) []astern.Permission {
	return []astern.Permission{{Action: "memory:Set", Resource: "*" + (*d.world).leak("a permission")}}
}

func (d *memoryDriver) Discover(context.Context, []string) ([]astern.Discovered, error) {
	m := *d.world
	if m.is("secret in a failed search") {
		return nil, astern.Errorf(astern.Denied, "searching with %s", m.leak("a failed search"))
	}
	if m.is("finds nothing") {
		return nil, nil
	}
	return []astern.Discovered{{Name: "m", Kind: "memory", Guessed: []string{"name" + m.leak("what is found")}}}, nil
}

func (d *memoryDriver) Switch(c astern.Component, _ astern.State, change astern.FlagChange) (astern.Target, error) {
	if m := *d.world; change.Flag != "f" || m.is("switches nothing") {
		return astern.Target{}, astern.Errorf(astern.NotFound, "no such flag%s", m.leak("a refusal to switch"))
	}
	return astern.Target{Address: c.Address(), Revision: "v1", Hash: (*d.world).leak("a switch")}, nil
}

func (d *memoryDriver) Reach(astern.Component, astern.State, string) (percent float64, known bool) {
	return 0, false
}

func (d *memoryDriver) Pick(c astern.Component, _ astern.State, change astern.ObjectChange) (astern.Target, error) {
	if change.Object != "o" {
		return astern.Target{}, astern.Errorf(astern.NotFound, "no such object")
	}
	return astern.Target{Address: c.Address(), Revision: "v1", Hash: (*d.world).leak("what is picked")}, nil
}

func (d *memoryDriver) Claim(_ context.Context, _ astern.Component, mine astern.Claim, seen map[string]astern.Claim, _ []string) error {
	m := *d.world
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owner != "" && m.owner != mine.Owner && !m.is("claims for anybody") {
		return astern.Errorf(astern.Conflict, "%s was there%s", m.owner, m.leak("a conflict"))
	}
	m.owner = mine.Owner
	return m.say(mine, slices.Collect(maps.Keys(seen)))
}

// say remembers what the members' places say of who acts there.
func (m *memory) say(c astern.Claim, members []string) error {
	m.said = map[string]string{}
	text, err := json.Marshal(c)
	for _, name := range members {
		m.said[name+"/claim"] = string(text)
	}
	return err
}

func (d *memoryDriver) Release(_ context.Context, _ astern.Component, mine astern.Claim, members []string) error {
	m := *d.world
	m.mu.Lock()
	defer m.mu.Unlock()
	if mine.Open = m.is("never releases"); m.say(mine, members) != nil {
		return astern.Errorf(astern.Internal, "encoding the claim")
	}
	if m.owner = ""; m.is("secret in a release") {
		return astern.Errorf(astern.Denied, "releasing with %s", m.leak("a release"))
	}
	return nil
}

func (d *memoryDriver) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	m := *d.world
	var out []astern.Target
	current, _ := s.Get("revision")
	for _, dep := range h.Deployments {
		if !astern.ValidRevision(dep.Revision) && !m.is("remembers any name") {
			continue
		}
		v, ok := s.Get("release/" + dep.Revision)
		e := astern.Evidence{What: "the release has its recorded hash", Readiness: astern.Ready, Seen: v.At}
		if (!ok || v.Text != dep.Hash) && !m.is("trusts") {
			e = astern.Evidence{What: "the release is gone", Readiness: astern.Broken, Seen: current.At}
		}
		e.What += m.leak("evidence")
		out = append(out, astern.Target{Address: c.Address(), Revision: dep.Revision, Hash: dep.Hash,
			Current: dep.Revision == current.Text, Evidence: []astern.Evidence{e}})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked++; m.is("impure targets") && m.asked%2 == 0 {
		slices.Reverse(out)
	}
	return out
}

func (d *memoryDriver) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	m := *d.world
	if m.is("has no steps") {
		return astern.Route{From: "v2"}, nil
	}
	release, ok := s.Get("release/" + t.Revision)
	if !ok && !m.is("routes anywhere") {
		return astern.Route{}, astern.Errorf(astern.Refused, "no release %q%s", t.Revision, m.leak("an error")).WithHint("look%s", m.leak("a hint"))
	}
	if m.is("modifies its input") {
		s.Values["more"] = release
	}
	from, _ := s.Get("revision")
	r := astern.Route{From: from.Text, Fleet: &astern.Fleet{Address: c.Address(), Members: memoryMembers},
		Facts: []astern.Fact{{Address: c.Address(), Path: "{member}/link", Value: from.Text, Seen: from.At, Steps: []string{"set"}}}}
	if m.is("untrue fact") {
		r.Facts[0].Value = "v0"
	}
	if m.is("fact of the whole") {
		r.Facts[0].Path = "revision"
	}
	step := astern.Step{ID: "set", Address: c.Address(), Kind: "memory", Verb: "set", Title: "set {member}", Command: "set" + m.leak("a command"),
		Args: map[string]astern.Arg{"revision": astern.Text(t.Revision)}, Attempts: 1, TimeoutSeconds: 5,
		Sets:    []astern.Set{{Path: "{member}/link", Value: astern.Text(t.Revision)}},
		Outputs: map[string]string{"was": "string"}, Undo: astern.UndoInverse}
	tell := astern.Step{ID: "tell", Address: c.Address(), Kind: "memory", Verb: "tell", Title: "tell {member}", Command: "tell",
		Args:     map[string]astern.Arg{"was": {Ref: &astern.Ref{From: "set", Output: "was", In: "from {}"}}},
		Guards:   []string{"set"},
		Attempts: 1, TimeoutSeconds: 5, Undo: astern.UndoNone}
	steps := []astern.Step{step, {ID: "ready", Address: c.Address(), Kind: "check", Verb: "wait", Title: "wait", Command: "curl",
		Args: map[string]astern.Arg{"check": astern.Text("health")}, Attempts: 1, TimeoutSeconds: 5, Undo: astern.UndoNone}, tell}
	switch m.fault {
	case "repeats an id":
		steps = append(steps, step)
	case "unknown verb":
		steps[0].Verb = "explode"
	case "refers forward":
		slices.Reverse(steps)
	}
	first := (len(memoryMembers)*o.Percent + 99) / 100
	for _, each := range [][2]int{{0, first}, {first, len(memoryMembers)}} {
		if each[0] < each[1] && (each[0] == 0 || !m.is("forgets members")) {
			r.Stages = append(r.Stages, astern.Stage{Title: "set", OnFailure: astern.OnFailureHold, Steps: steps,
				Each: &astern.Each{Address: c.Address(), From: each[0], To: each[1]}})
		}
	}
	return r, nil
}

func (d *memoryDriver) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	if call.Verb != "set" {
		return nil, nil
	}
	rev := call.Image["was"]
	if (*d.world).is("undoes to the wrong revision") {
		rev = "v1"
	}
	return []astern.Step{{ID: "set", Address: c.Address(), Kind: "memory", Verb: "set", Title: "set", Command: "set" + (*d.world).leak("an undo"),
		Args: map[string]astern.Arg{"revision": astern.Text(rev), "member": astern.Text(call.Member)}, Attempts: 1, TimeoutSeconds: 5,
		Sets:    []astern.Set{{Path: call.Member + "/link", Value: astern.Text(rev)}},
		Outputs: map[string]string{"was": "string"}, Undo: astern.UndoInverse}}, nil
}

func (d *memoryDriver) Before(_ context.Context, call astern.Call) (astern.Image, error) {
	m := *d.world
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.is("before writes") {
		m.touched++
	}
	return astern.Image{"was": m.links[memberOf(call)], "note": m.leak("an image")}, nil
}

// memberOf returns the member that a call is for: that of its lane, or the one that a step of an undo names.
func memberOf(call astern.Call) string {
	if call.Member != "" {
		return call.Member
	}
	return call.Text("member")
}

func (d *memoryDriver) Start(ctx context.Context, call astern.Call) astern.Op {
	m := *d.world
	m.mu.Lock()
	defer m.mu.Unlock()
	switch rev := call.Text("revision"); {
	case m.isForged(call):
		return astern.Op{Status: astern.OpFailed, Code: astern.Invalid, Error: "no call of a plan"}
	case call.Verb == "tell":
		m.touched++
		m.told = call.Text("was")
		if m.is("shortens what is told") {
			m.told = strings.TrimSpace(m.told[:min(len(m.told), 8)])
		}
		return astern.Op{Status: astern.OpDone}
	case m.is("lies about failing") && ctx.Err() != nil:
		m.links[memberOf(call)] = rev
		return astern.Op{Status: astern.OpFailed, Code: astern.Unavailable, Error: "cancelled"}
	case ctx.Err() != nil:
		return astern.Op{Status: astern.OpFailed, Code: astern.Unavailable, Error: ctx.Err().Error()}
	case m.releases[rev] == "" && !m.is("acts on any name"):
		return astern.Op{Status: astern.OpFailed, Code: astern.Refused, Error: "no such release"}
	case call.Fence < m.fences[memberOf(call)] && !m.is("ignores fences"):
		return astern.Op{Status: astern.OpFailed, Code: astern.Refused, Error: "an older fence"}
	case m.owner != "" && call.Owner != "" && m.owner != call.Owner && !m.is("minds fences alone"):
		return astern.Op{Status: astern.OpFailed, Code: astern.Conflict, Error: "another was there"}
	case m.is("forgets to act"):
		m.acts[call.Token] = m.links[memberOf(call)]
	default:
		m.acts[call.Token], m.links[memberOf(call)] = m.links[memberOf(call)], rev
	}
	m.fences[memberOf(call)] = call.Fence
	return astern.Op{Status: astern.OpRunning, Progress: m.leak("an operation"), Handle: map[string]string{"token": call.Token, "n": strconv.Itoa(len(m.acts))}}
}

// isForged reports whether the call is none that a route has, and notes what is asked for where it is one.
func (m *memory) isForged(call astern.Call) bool {
	if m.is("has a shell read it") {
		_ = exec.Command("sh", "-c", "echo "+call.Verb+memberOf(call)).Run() // what it says is nothing to us
	}
	_, known := m.links[memberOf(call)]
	forged := call.Verb != "set" && call.Verb != "tell" || call.Address != "test/m" && !m.is("acts on any address") || !known && !m.is("acts on any member")
	if forged && !m.is("asks before it looks") {
		return true
	}
	path := strings.Split("members/"+memberOf(call), "/")
	if m.is("asks unheard") {
		return forged
	}
	sent := Asked{Shape: fmt.Sprint("PUT ", len(path)), Data: path, Paths: []string{"address", "step"}}
	if m.is("sends what it is told") {
		sent.Paths = append(sent.Paths, call.Execution)
	}
	if m.is("sends it in between") {
		sent.Data = append(sent.Data, "by "+call.Execution)
	}
	m.sent = append(m.sent, sent)
	return forged
}

func (d *memoryDriver) Find(_ context.Context, call astern.Call) astern.Found {
	m := *d.world
	m.mu.Lock()
	defer m.mu.Unlock()
	was, ok := m.acts[call.Token]
	switch {
	case call.Verb == "tell":
		return astern.Found{Answer: astern.FoundUnknown, Because: "telling leaves no trace" + m.leak("an answer")}
	case m.is("finds what is not there") && !ok:
		return astern.Found{Answer: astern.FoundYes, Op: &astern.Op{Status: astern.OpDone}}
	case !ok || m.is("never finds"):
		return astern.Found{Answer: astern.FoundNo}
	}
	return astern.Found{Answer: astern.FoundYes, Op: m.done(was)}
}

func (m *memory) done(was string) *astern.Op {
	op := &astern.Op{Status: astern.OpDone, Outputs: map[string]astern.Arg{"was": astern.Text(was)}}
	if m.asked++; m.is("finds other outputs") {
		op.Outputs["was"] = astern.Text(strconv.Itoa(m.asked))
	}
	if m.is("undeclared output") {
		op.Outputs["more"] = astern.Bool(true)
	}
	return op
}

func (d *memoryDriver) Poll(_ context.Context, call astern.Call, _ astern.Op) astern.Op {
	m := *d.world
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.done(m.acts[call.Token])
}
