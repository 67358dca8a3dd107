package sitedir

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern"
)

// What is in the way is said beforehand, and what is in nobody's way hinders nobody.
func TestReadiness(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(l *lab)
		want   astern.Readiness
		says   string
		goes   bool // the way is open, and leads there
	}{
		"nothing": {func(*lab) {}, astern.Ready, "", true},
		"the link leads out of the site": {func(l *lab) { l.symlink("current", os.TempDir()) },
			astern.AtRisk, "can't be gone back to", true},
		"the link leads to a folder that is no release": {func(l *lab) {
			l.write("hotfix/index.html", "hotfix")
			l.symlink("current", "hotfix")
		}, astern.AtRisk, "can't be gone back to", true},
		"the manifest is garbage": {func(l *lab) { l.write("manifests/v1.json", "{") }, astern.AtRisk, "as the ledger has them", true},
		"the manifest is garbage, and the ledger knows nothing": {func(l *lab) {
			l.write("manifests/v1.json", "{")
			l.history.Deployments = nil
		}, astern.Broken, "no good", false},
		"the manifest of what is served is a folder": {func(l *lab) { os.MkdirAll(l.at("manifests/v2.json"), 0o755) }, astern.Ready, "", true},
		"the manifest is a FIFO": {func(l *lab) {
			os.Mkdir(l.at("manifests"), 0o755)
			if err := syscall.Mkfifo(l.at("manifests/v1.json"), 0o644); err != nil {
				l.Fatal(err)
			}
		}, astern.AtRisk, "no plain file", true},
		"the manifests are a file":           {func(l *lab) { l.write("manifests", "x") }, astern.Ready, "", true},
		"the manifests are a link elsewhere": {func(l *lab) { l.symlink("manifests", l.TempDir()) }, astern.Ready, "", true},
		"the lock is held":                   {hold, astern.AtRisk, "is held", false},
		"the lock is a FIFO": {func(l *lab) {
			if err := syscall.Mkfifo(l.at(".astern.lock"), 0o644); err != nil {
				l.Fatal(err)
			}
		}, astern.Broken, "no plain file", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, false, nil)
			c.change(l)
			s := l.observe()
			if _, ok := s.Get("held"); name == "the lock is held" && !ok {
				t.Skip("this system does not list locks")
			}
			d, _ := l.history.Of("v1")
			worst, says := astern.Ready, []string{}
			for _, e := range evidence(placeOf(l), s, d, "v1") {
				if d.KnownGoodAt == nil && strings.Contains(e.What, "watch") {
					continue // it has no history
				}
				if e.Readiness != astern.Ready {
					says = append(says, e.What)
				}
				if e.Readiness == astern.Broken || worst == astern.Ready {
					worst = e.Readiness
				}
			}
			if worst != c.want || !strings.Contains(strings.Join(says, "\n"), c.says) {
				t.Errorf("it is said to be %s: %q", worst, says)
			}
			if c.goes {
				l.must(astern.VerbRollback, "v1", nil)
				if got := l.read("current/index.html"); got != "one" {
					t.Errorf("served is %q", got)
				}
			}
		})
	}
}

func placeOf(l *lab) place {
	p, err := resolve(l.c)
	if err != nil {
		l.Fatal(err)
	}
	return p
}

// hold holds the lock until the test is over.
func hold(l *lab) {
	f, err := os.Create(l.at(".astern.lock"))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		l.Fatal(err)
	}
}

// A copy takes whole blocks and an inode for each file and folder.
func TestRoom(t *testing.T) {
	t.Parallel()
	files := []file{{"a", 1, ""}, {"b/c/d", 5000, ""}, {"b/e", 0, ""}}
	if got := takes(files); got != (size{bytes: 5001, blocks: 12 << 10, nodes: 6}) {
		t.Errorf("they take %+v", got)
	}
	for _, c := range []struct {
		roomKiB, roomFiles int64
		problem, risk      bool
	}{{-1, -1, false, false}, {1000, 1000, false, false}, {4, 1000, true, false}, {5, 1000, false, true}, {1000, 5, true, false},
		{1000, 6, false, true}, {76, 22, false, false}, {75, 22, false, true}, {76, 21, false, true}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			v := &viewing{state: astern.State{Values: map[string]astern.Value{}}}
			v.room(sight{roomKiB: c.roomKiB, roomFiles: c.roomFiles}, "v1", takes(files))
			_, problem := v.state.Get("release-problem/v1")
			_, risk := v.state.Get("release-risk/v1")
			if problem != c.problem || risk != c.risk {
				t.Errorf("it is said: %v", v.state.Values)
			}
		})
	}
}
