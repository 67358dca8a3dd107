package flags

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/host/hosttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a flag file that was changed once by the driver itself: its first state is kept.
type lab struct {
	testing.TB
	folder, file string
	c            astern.Component
	driver       astern.Driver
	history      astern.History
	old, new     string
}

// passphrase opens the key by which the host of a lab is reached. The file itself is no secret: its text is a part of the state.
var passphrase = canary.Kept("a passphrase")

// newLab makes a flag file in the state of testdata/shop.json and then disables a flag that nothing else is about.
func newLab(t testing.TB, ssh bool) *lab {
	t.Helper()
	l := &lab{TB: t, folder: t.TempDir()}
	l.file = filepath.Join(l.folder, "flags.json")
	l.c = astern.Component{Environment: "test", Name: "features", Kind: Kind, Folder: l.folder}
	s := Settings{File: l.file}
	server := astern.SSH{Address: "127.0.0.1:1", User: "deploy", KeyFile: "key"}
	if ssh {
		server, s.Host = hosttest.Start(t).Locked(t, passphrase), "web-1"
	}
	server.Passphrase = &astern.Secret{File: filepath.Join(t.TempDir(), "passphrase")}
	if err := os.WriteFile(server.Passphrase.File, []byte(passphrase), 0o600); err != nil {
		t.Fatal(err)
	}
	l.c.Hosts = []astern.Host{{Name: "web-1", SSH: &server}}
	l.c.Settings, _ = json.Marshal(s)
	l.driver = New(l.pool(), func(string) (astern.Component, bool) { return l.c, true })
	l.write(shop(t))
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i := range 2 {
		state := l.observe()
		rev := state.Values["revision"].Text
		when := at.Add(time.Duration(i) * time.Hour)
		l.history.Current = rev
		l.history.Deployments = append([]astern.Deployment{{Revision: rev, Hash: state.Values["release/"+rev].Text, LastAt: &when, KnownGoodAt: &when}},
			l.history.Deployments...)
		if i == 0 {
			l.old = rev
			l.must(l.change(astern.FlagChange{Flag: "banner"}))
		}
		l.new = rev
	}
	return l
}

func (l *lab) pool() *host.Pool {
	pool := host.NewPool()
	l.Cleanup(func() { pool.Close() })
	return pool
}

func shop(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/shop.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (l *lab) write(text string) {
	l.Helper()
	if err := os.WriteFile(l.file, []byte(text), 0o640); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) read() string {
	l.Helper()
	b, err := os.ReadFile(l.file)
	if err != nil {
		l.Fatal(err)
	}
	return string(b)
}

func (l *lab) observe(paths ...string) astern.State {
	l.Helper()
	s, err := l.driver.Observer.Observe(l.Context(), l.c, astern.Scope{Paths: paths})
	if err != nil {
		l.Fatal(err)
	}
	return s
}

// plan returns the first call of the way that a change goes.
func (l *lab) plan(c astern.FlagChange) (astern.Call, error) {
	l.Helper()
	s := l.observe()
	target, err := l.driver.Switcher.Switch(l.c, s, c)
	if err != nil {
		return astern.Call{}, err
	}
	route, err := l.driver.Router.Route(l.c, s, target, astern.Options{Verb: astern.VerbOff, Percent: 100, Flag: &c})
	if err != nil {
		return astern.Call{}, err
	}
	return l.call(route.Stages[0].Steps[0]), nil
}

func (l *lab) call(s astern.Step) astern.Call {
	return astern.Call{Execution: "ex-1", Step: "1." + s.ID, Address: s.Address, Kind: s.Kind, Verb: s.Verb, Args: s.Args, Token: "token-1", Fence: 1}
}

// change carries a change out.
func (l *lab) change(c astern.FlagChange) (astern.Op, error) {
	l.Helper()
	call, err := l.plan(c)
	if err != nil {
		return astern.Op{}, err
	}
	return l.driver.Actor.Start(l.Context(), call), nil
}

func (l *lab) must(op astern.Op, err error) {
	l.Helper()
	if err != nil || op.Status != astern.OpDone {
		l.Fatalf("the change failed: %v %+v", err, op)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, ssh := range map[string]bool{"local": false, "ssh": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, ssh).Run(t)
		})
	}
}

func conformance(t *testing.T, ssh bool) drivertest.Suite {
	t.Helper()
	labs := map[string]*lab{}
	pool := host.NewPool()
	t.Cleanup(func() { pool.Close() })
	of := func(w drivertest.World) *lab { return labs[w.Component.Address()] }
	return drivertest.Suite{
		Driver: New(pool, func(address string) (astern.Component, bool) {
			l, ok := labs[address]
			if !ok {
				return astern.Component{}, false
			}
			return l.c, true
		}),
		New: func(t testing.TB) drivertest.World {
			l := newLab(t, ssh)
			l.c.Name = fmt.Sprintf("w%d", len(labs))
			labs[l.c.Address()] = l
			return drivertest.World{Component: l.c, Old: l.old, New: l.new, History: l.history, Secrets: []string{passphrase}, Beside: []string{filepath.Dir(l.folder)}, Flag: "new-checkout",
				Snapshot: func(t testing.TB) map[string]string { return drivertest.Files(t, l.folder) }}
		},
		Data:  hostileData(labs),
		Legal: map[string]func(string) bool{"token": tokenShape.MatchString},
		Breaks: []drivertest.Break{
			{Name: "the copy is gone", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) { os.Remove(of(w).kept(of(w).old)) }},
			{Name: "the copy was edited", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				os.WriteFile(of(w).kept(of(w).old), []byte(`{"flags":{}}`), 0o600)
			}},
			{Name: "the copy is a link", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				l := of(w)
				kept := l.kept(l.old)
				os.Rename(kept, filepath.Join(l.folder, "elsewhere"))
				os.Symlink("../elsewhere", kept)
			}},
			{Name: "the file is gone", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) { os.Remove(of(w).file) }},
			{Name: "the file is a link", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				l := of(w)
				os.Rename(l.file, l.file+".real")
				os.Symlink("flags.json.real", l.file)
			}},
			{Name: "the history is a link", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				l := of(w)
				os.Rename(l.file+".astern", l.folder+"/elsewhere")
				os.Symlink("elsewhere", l.file+".astern")
			}},
		},
	}
}

// kept is where the state of a revision is kept.
func (l *lab) kept(revision string) string {
	l.Helper()
	found, _ := filepath.Glob(l.file + ".astern/" + revision + "*.json")
	if len(found) != 1 {
		l.Fatalf("%s is kept in %d files", revision, len(found))
	}
	return found[0]
}
