package sitedir

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

// lab is the root of a site with two releases, of which v2 is served.
type lab struct {
	testing.TB
	root    string
	c       astern.Component
	driver  astern.Driver
	history astern.History
}

// key is one that somebody has deployed with their scripts.
var key = canary.Kept("in a script")

// odd are names of files that are allowed and easily go wrong.
var odd = []string{"a b/it's \"quoted\" $(touch pwned).txt", "..hidden/..", "-rf", "ümläut/ö.txt", "[x]*?.txt", "~", "a;b&c|d"}

func newLab(t testing.TB, ssh bool, change func(*Settings)) *lab {
	t.Helper()
	l := &lab{TB: t, root: filepath.Join(t.TempDir(), "site root")}
	l.release("v1", map[string]string{"index.html": "one", "assets/app.1.js": "js 1", "logo.svg": "old logo", "key.js": key})
	l.release("v2", map[string]string{"index.html": "two", "assets/app.2.js": "js 2", "logo.svg": "new logo", "key.js": key})
	for _, name := range odd[:1] {
		l.write("releases/v1/"+name, "odd")
	}
	for _, name := range []string{odd[2], odd[3], odd[4], odd[5], odd[6], "..hidden/x"} {
		l.write("releases/v1/"+name, "odd "+name)
		l.write("releases/v2/"+name, "odd "+name)
	}
	l.symlink("current", "releases/v2")
	s := Settings{Root: l.root}
	if change != nil {
		change(&s)
	}
	l.c = astern.Component{Environment: "test", Name: "site", Kind: Kind, Folder: l.root}
	if ssh {
		server := hosttest.Start(t).SSH
		l.c.Hosts, s.Host = []astern.Host{{Name: "web-1", SSH: &server}}, "web-1"
	}
	l.c.Settings, _ = json.Marshal(s)
	pool := host.NewPool()
	t.Cleanup(func() { pool.Close() })
	l.driver = New(pool, func(string) (astern.Component, bool) { return l.c, true })
	state := l.observe()
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i, rev := range []string{"v1", "v2"} {
		when := at.Add(time.Duration(i) * time.Hour)
		l.history.Current = rev
		l.history.Deployments = append([]astern.Deployment{{Revision: rev, Hash: state.Values["release/"+rev].Text, LastAt: &when, KnownGoodAt: &when}},
			l.history.Deployments...)
	}
	return l
}

func (l *lab) at(name string) string { return filepath.Join(l.root, name) }

func (l *lab) write(name, text string) {
	l.Helper()
	if err := os.MkdirAll(filepath.Dir(l.at(name)), 0o755); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(l.at(name), []byte(text), 0o644); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) read(name string) string {
	b, err := os.ReadFile(l.at(name))
	if err != nil {
		return ""
	}
	return string(b)
}

func (l *lab) symlink(name, to string) {
	l.Helper()
	os.Remove(l.at(name))
	if err := os.Symlink(to, l.at(name)); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) release(rev string, files map[string]string) {
	l.Helper()
	for name, text := range files {
		l.write("releases/"+rev+"/"+name, text)
	}
}

func (l *lab) observe(objects ...string) astern.State {
	l.Helper()
	s, err := l.driver.Observer.Observe(l.Context(), l.c, astern.Scope{Objects: objects})
	if err != nil {
		l.Fatal(err)
	}
	return s
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
	do := func(f func(l *lab)) func(testing.TB, drivertest.World) {
		return func(_ testing.TB, w drivertest.World) { f(of(w)) }
	}
	return drivertest.Suite{
		Driver: New(pool, func(address string) (astern.Component, bool) {
			l, ok := labs[address]
			if !ok {
				return astern.Component{}, false
			}
			return l.c, true
		}),
		New: func(t testing.TB) drivertest.World {
			l := newLab(t, ssh, nil)
			l.c.Name = fmt.Sprintf("w%d", len(labs))
			labs[l.c.Address()] = l
			return drivertest.World{Component: l.c, Old: "v1", New: "v2", History: l.history, Secrets: []string{key}, Beside: []string{filepath.Dir(l.root)}, Object: "logo.svg", Place: l.root,
				Snapshot: func(t testing.TB) map[string]string { return drivertest.Files(t, l.root) }}
		},
		Data:  hostileData(labs),
		Legal: map[string]func(string) bool{"token": tokenShape.MatchString},
		Breaks: []drivertest.Break{
			{Name: "the release is gone", Want: astern.Broken, Do: do(func(l *lab) { os.RemoveAll(l.at("releases/v1")) })},
			{Name: "a file was changed", Want: astern.Broken, Do: do(func(l *lab) { l.write("releases/v1/assets/app.1.js", "other") })},
			{Name: "a file was emptied", Want: astern.Broken, Do: do(func(l *lab) { l.write("releases/v1/logo.svg", "") })},
			{Name: "a file is gone", Want: astern.Broken, Do: do(func(l *lab) { os.Remove(l.at("releases/v1/logo.svg")) })},
			{Name: "a file was added", Want: astern.Broken, Do: do(func(l *lab) { l.write("releases/v1/extra.txt", "x") })},
			{Name: "the entry point is gone", Want: astern.Broken, Do: do(func(l *lab) { os.Remove(l.at("releases/v1/index.html")) })},
			{Name: "a file is a link elsewhere", Want: astern.Broken, Do: do(func(l *lab) { l.symlink("releases/v1/logo.svg", "/etc/hostname") })},
			{Name: "the release is a link", Want: astern.Broken, Do: do(func(l *lab) {
				os.Rename(l.at("releases/v1"), l.at("elsewhere"))
				l.symlink("releases/v1", "../elsewhere")
			})},
			{Name: "a name holds a line break", Want: astern.Broken, Do: do(func(l *lab) { l.write("releases/v1/a\nb", "x") })},
			{Name: "a name is no UTF-8", Want: astern.Broken, Do: do(func(l *lab) { l.write("releases/v1/\xff", "x") })},
			{Name: "its manifest says another thing", Want: astern.AtRisk, Do: do(func(l *lab) {
				l.write("manifests/v1.json", string(encode("v1", []file{{"index.html", 3, digitsOf("two")}})))
			})},
			{Name: "its manifest is cut off", Want: astern.AtRisk, Do: do(func(l *lab) { l.write("manifests/v1.json", `{"kind":"Sit`) })},
			{Name: "its manifest is a folder", Want: astern.AtRisk, Do: do(func(l *lab) { os.MkdirAll(l.at("manifests/v1.json"), 0o755) })},
			{Name: "its manifest is a link", Want: astern.AtRisk, Do: do(func(l *lab) {
				os.Mkdir(l.at("manifests"), 0o755)
				l.symlink("manifests/v1.json", "/etc/hostname")
			})},
			{Name: "the link leads elsewhere", Want: astern.AtRisk, Do: do(func(l *lab) { l.symlink("current", os.TempDir()) })},
			{Name: "the lock is a folder", Want: astern.Broken, Do: do(func(l *lab) { os.Mkdir(l.at(".astern.lock"), 0o755) })},
			{Name: "the lock is a link", Want: astern.Broken, Do: do(func(l *lab) { l.symlink(".astern.lock", "/etc/hostname") })},
			{Name: "served is a link elsewhere", Want: astern.Broken, Do: do(func(l *lab) { l.symlink("served", "/tmp") })},
			{Name: "the link is a folder", Want: astern.Broken, Do: do(func(l *lab) {
				os.Remove(l.at("current"))
				os.Mkdir(l.at("current"), 0o755)
			})},
		},
	}
}

func digitsOf(text string) string { return hashOf([]file{{text, 0, ""}})[len("sha256:"):] }
