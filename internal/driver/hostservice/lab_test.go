package hostservice

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/host/hosttest"
)

func TestMain(m *testing.M) {
	if os.Getenv(halfEnded) != "" {
		endFirstThread()
	}
	goleak.VerifyTestMain(m)
}

// halfEnded makes a process of this program one whose first thread has ended.
const halfEnded = "ASTERN_TEST_HALF_ENDED"

// lab is a release root with real processes.
type lab struct {
	testing.TB
	root   string
	c      astern.Component
	driver astern.Driver
}

// newLab makes a root with the releases v1 and v2; the settings may be changed before the instances are started under v2.
func newLab(t testing.TB, change func(root string, c *astern.Component, s *Settings)) *lab {
	t.Helper()
	l := &lab{TB: t, root: filepath.Join(t.TempDir(), "svc")}
	ctl, err := os.ReadFile("testdata/ctl")
	if err != nil {
		t.Fatal(err)
	}
	l.write("ctl", string(ctl), 0o755)
	l.release("v1", "exec sleep 1000")
	l.release("v2", "exec sleep 1001")
	s := Settings{Root: l.root, Link: "links/{instance}", Uptime: Duration(100 * time.Millisecond), Timeout: Duration(10 * time.Second),
		Instances: []Instance{{Name: "a", Address: "127.0.0.1:1"}, {Name: "b", Address: "127.0.0.1:2"}},
		Commands:  &Commands{Restart: []string{"./ctl", "restart", "{instance}"}, Status: []string{"./ctl", "status", "{instance}"}}}
	l.c = astern.Component{Environment: "test", Name: "svc", Kind: Kind}
	if change != nil {
		change(l.root, &l.c, &s)
	}
	if l.c.Settings, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.kill)
	for _, in := range s.Instances {
		l.link(forInstance(s.Link, in.Name), "v2")
		l.ctl("start", in.Name)
	}
	pool := host.NewPool()
	t.Cleanup(func() { pool.Close() })
	l.driver = New(pool, func(string) (astern.Component, bool) { return l.c, true })
	return l
}

// overSSH moves all instances of a lab to a host that is reached by SSH.
func overSSH(t testing.TB) func(string, *astern.Component, *Settings) {
	ssh := hosttest.Start(t).SSH
	return func(_ string, c *astern.Component, s *Settings) {
		c.Hosts = []astern.Host{{Name: "web-1", SSH: &ssh}}
		for i := range s.Instances {
			s.Instances[i].Host = "web-1"
		}
	}
}

// both runs the test on this machine and over SSH.
func both(t *testing.T, test func(t *testing.T, l *lab)) {
	t.Parallel() // these tests mostly wait
	t.Run("local", func(t *testing.T) { t.Parallel(); test(t, newLab(t, nil)) })
	t.Run("ssh", func(t *testing.T) { t.Parallel(); test(t, newLab(t, overSSH(t))) })
}

func (l *lab) write(name, content string, mode os.FileMode) {
	l.Helper()
	path := filepath.Join(l.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) read(name string) string {
	b, err := os.ReadFile(filepath.Join(l.root, name))
	if err != nil {
		return ""
	}
	return string(b)
}

func (l *lab) release(name, run string) {
	l.write("releases/"+name+"/run", "#!/bin/sh\n"+run+"\n", 0o755)
	l.write("releases/"+name+"/data/version", name, 0o644)
}

func (l *lab) link(name, rev string) {
	l.Helper()
	at := filepath.Join(l.root, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		l.Fatal(err)
	}
	os.Remove(at)
	if err := os.Symlink(target(at, filepath.Join(l.root, "releases"), rev), at); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) ctl(verb, instance string) {
	l.Helper()
	if _, err := host.Here().Run(l.Context(), host.Command{Argv: []string{"sh", "-c", `exec ./ctl "$@" >/dev/null 2>&1`, "sh", verb, instance}, Dir: l.root}); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) pid(instance string) int {
	n, _ := strconv.Atoi(strings.TrimSpace(l.read("run/" + instance + ".pid")))
	return n
}

// kill ends every process that was started: those are the ones that the files name, and only if they are still ours.
func (l *lab) kill() {
	files, _ := filepath.Glob(filepath.Join(l.root, "run/*.pid"))
	for _, f := range files {
		pid := l.pid(strings.TrimSuffix(filepath.Base(f), ".pid"))
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && cwd == l.root {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (l *lab) observe(paths ...string) astern.State {
	l.Helper()
	s, err := l.driver.Observer.Observe(l.Context(), l.c, astern.Scope{Paths: paths})
	if err != nil {
		l.Fatal(err)
	}
	return s
}

func (l *lab) value(path string) string {
	l.Helper()
	v, ok := l.observe(path).Get(path)
	if !ok {
		return ""
	}
	return v.String()
}

// history is one in which v1 and then v2 were deployed and became known-good.
func (l *lab) history() astern.History {
	s := l.observe()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	later := at.Add(time.Hour)
	return astern.History{Current: "v2", Deployments: []astern.Deployment{
		{Revision: "v2", Hash: s.Values["a/release/v2"].Text, FirstAt: &later, LastAt: &later, KnownGoodAt: &later},
		{Revision: "v1", Hash: s.Values["a/release/v1"].Text, FirstAt: &at, LastAt: &at, KnownGoodAt: &at},
	}}
}

func (l *lab) target(rev string) astern.Target {
	l.Helper()
	for _, t := range l.driver.Router.Targets(l.c, l.observe(), l.history()) {
		if t.Revision == rev {
			return t
		}
	}
	return astern.Target{Address: l.c.Address(), Revision: rev}
}

func (l *lab) route(verb astern.Verb, rev string, percent int) astern.Route {
	l.Helper()
	r, err := l.driver.Router.Route(l.c, l.observe(), l.target(rev), astern.Options{Verb: verb, Percent: percent, BakeSeconds: 60})
	if err != nil {
		l.Fatalf("%v (%s)", err, astern.HintOf(err))
	}
	return r
}

var tokens atomic.Int64

// calls expands a route into the driver's calls, in order.
func (l *lab) calls(r astern.Route, fence int64) []astern.Call {
	l.Helper()
	p := astern.Plan{Stages: r.Stages}
	if r.Fleet != nil {
		p.Fleets = []astern.Fleet{*r.Fleet}
	}
	var out []astern.Call
	for i := range p.Stages {
		lanes, err := p.Lanes(i)
		if err != nil {
			l.Fatal(err)
		}
		for _, lane := range lanes {
			for _, s := range lane.Steps {
				if s.Step.Kind == Kind {
					out = append(out, l.call(s.ID, s.Step, lane.Member, fence))
				}
			}
		}
	}
	return out
}

func (l *lab) call(id string, s *astern.Step, member string, fence int64) astern.Call {
	return astern.Call{Execution: "x1", Step: id, Address: s.Address, Kind: s.Kind, Verb: s.Verb, Member: member, Args: s.Args,
		Token: fmt.Sprintf("ast-%d", tokens.Add(1)), Fence: fence, Deadline: time.Now().Add(time.Minute)}
}

func (l *lab) first(verb string) astern.Call {
	l.Helper()
	for _, c := range l.calls(l.route(astern.VerbRollback, "v1", 100), 1) {
		if c.Verb == verb {
			return c
		}
	}
	l.Fatalf("the route has no %s", verb)
	return astern.Call{}
}

func (l *lab) before(c astern.Call) astern.Call {
	l.Helper()
	image, err := l.driver.Actor.Before(l.Context(), c)
	if err != nil {
		l.Fatalf("before %s: %v", c.Step, err)
	}
	c.Image = image
	return c
}

// finish polls until the operation is over.
func (l *lab) finish(c astern.Call, op astern.Op) astern.Op {
	l.Helper()
	for op.Status == astern.OpRunning {
		if l.Context().Err() != nil {
			l.Fatal("the test is over")
		}
		op = l.driver.Actor.Poll(l.Context(), c, op)
		time.Sleep(10 * time.Millisecond)
	}
	return op
}

// act carries out a call and requires what is wanted of it.
func (l *lab) act(c astern.Call, want astern.OpStatus) astern.Op {
	l.Helper()
	c = l.before(c)
	op := l.finish(c, l.driver.Actor.Start(l.Context(), c))
	if op.Status != want {
		l.Fatalf("%s %s: %+v, want %s", c.Verb, c.Step, op, want)
	}
	return op
}

func (l *lab) find(c astern.Call) astern.FoundAnswer {
	l.Helper()
	return l.driver.Actor.Find(l.Context(), c).Answer
}
