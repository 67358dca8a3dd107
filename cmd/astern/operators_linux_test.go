package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern/internal/proof"
)

// The systems of operators who meet at a place that is no host: a site in a folder, and a file of flags.
const (
	sitedSystem = `version: 1
system: contested
environments:
  test:
    components:
      site: {kind: site.dir, with: {root: site}}
`
	flaggedSystem = `version: 1
system: contested
environments:
  test:
    components:
      features: {kind: flags, with: {file: flags.json}}
`
	contestedFlags = `{"flags": {
	"v1": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"},
	"v2": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}
}}
`
)

// meeting is what operators of one kind meet at.
type meeting struct {
	contest
	lock string // the lock file
	// begin makes the place as it is before anybody acts, and what a state folder has to know of it.
	begin func(states ...string)
	// once has a state folder act there, so that its next execution has another number than that of who never did.
	once func(state string)
	// plan writes a plan into a file.
	plan func(state, revision string) string
	// whole demands that the plan was carried out, once, and nothing else.
	whole func(revision string)
}

func siteMeeting(t testing.TB) meeting {
	c := contest{TB: t, folder: t.TempDir()}
	at := func(parts ...string) string { return filepath.Join(append([]string{c.folder, "site"}, parts...)...) }
	c.write("astern.yaml", sitedSystem, 0o600)
	for _, v := range []string{"v1", "v2", "v3"} {
		c.write("site/releases/"+v+"/index.html", v, 0o644)
	}
	point := func(to string) {
		_ = os.Remove(at("current")) // there is none at first
		if err := os.Symlink(to, at("current")); err != nil {
			t.Fatal(err)
		}
	}
	m := meeting{contest: c, lock: at(".astern.lock")}
	m.begin = func(states ...string) {
		for _, name := range []string{"served", "manifests", ".astern.lock"} {
			if err := os.RemoveAll(at(name)); err != nil {
				t.Fatal(err)
			}
		}
		point("releases/v3")
		for _, s := range states {
			for _, v := range []string{"v1", "v2", "v3"} {
				c.must(0, s, "record", "deploy", "site", v, "--reason", "test")
				c.must(0, s, "record", "known-good", "site", v, "--reason", "test")
			}
		}
	}
	m.once = func(state string) { c.must(0, state, "redeploy", "site", "--watch", "0s", "--yes", "--reason", "test") }
	m.plan = func(state, revision string) string {
		file := filepath.Join(c.folder, "plan-"+state+".json")
		c.must(0, state, "plan", "rollback", "site", "--to", revision, "--watch", "0s", "--reason", "test", "--out", file)
		return file
	}
	m.whole = func(revision string) {
		t.Helper()
		text, err := os.ReadFile(at("current", "index.html"))
		if err != nil || string(text) != revision {
			t.Errorf("the site serves %q (%v), want %s", text, err, revision)
		}
		for _, folder := range []string{"served", "manifests"} {
			all, err := os.ReadDir(at(folder))
			if err != nil {
				t.Error(err)
			}
			for _, e := range all {
				if !strings.HasPrefix(e.Name(), revision+".") && !strings.HasPrefix(e.Name(), "v3.") {
					t.Errorf("%s/%s is there, and nobody but the winner acted", folder, e.Name())
				}
			}
		}
	}
	return m
}

func flagMeeting(t testing.TB) meeting {
	c := contest{TB: t, folder: t.TempDir()}
	c.write("astern.yaml", flaggedSystem, 0o600)
	m := meeting{contest: c, lock: filepath.Join(c.folder, "flags.json.astern", "lock")}
	m.begin = func(...string) {
		if err := os.RemoveAll(filepath.Dir(m.lock)); err != nil {
			t.Fatal(err)
		}
		c.write("flags.json", contestedFlags, 0o644)
	}
	m.once = func(state string) {
		c.must(0, state, "off", "features", "v1", "--yes", "--reason", "test")
		c.write("flags.json", contestedFlags, 0o644)
	}
	m.plan = func(state, flag string) string {
		file := filepath.Join(c.folder, "plan-"+state+".json")
		c.must(0, state, "plan", "off", "features", flag, "--reason", "test", "--out", file)
		return file
	}
	m.whole = func(flag string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(c.folder, "flags.json"))
		before := fmt.Sprintf(`"%s": {"state": "ENABLED"`, flag)
		if want := strings.Replace(contestedFlags, before, fmt.Sprintf(`"%s": {"state": "DISABLED"`, flag), 1); err != nil || string(text) != want {
			t.Errorf("the file is %q (%v), want %q", text, err, want)
		}
	}
	return m
}

// TestTwoOperatorsOfASite and the next are as TestTwoOperatorsAtOnce, for places that are no hosts, and both operators always have
// state folders of their own: in half of the trials both executions have one number. In half of them, among which are the first two,
// neither can be early: the lock of the place is held until both wait for it, having read the same.
func TestTwoOperatorsOfASite(t *testing.T) { operatorsMeet(t, siteMeeting) }

func TestTwoOperatorsOfAFlag(t *testing.T) { operatorsMeet(t, flagMeeting) }

func operatorsMeet(t *testing.T, at func(testing.TB) meeting) {
	t.Helper()
	t.Parallel()
	first, count := proof.Seeds(t, 2)
	won := map[string]float64{}
	m := at(t)
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		rnd := rand.New(rand.NewPCG(seed, 4))
		both := []*operator{{state: fmt.Sprintf("one-%d", seed), revision: "v1"}, {state: fmt.Sprintf("two-%d", seed), revision: "v2"}}
		m.begin(both[0].state, both[1].state)
		if seed%2 == 1 {
			m.once(both[rnd.IntN(2)].state)
		}
		for _, o := range both {
			o.file = m.plan(o.state, o.revision)
		}
		how := "raced"
		if seed%4 < 2 {
			how = "held_until_both_wait"
			let := hold(t, m.lock)
			m.raceWhile(both, 0, func() { let(len(both)) })
		} else {
			m.race(rnd, both)
		}
		if both[0].code != 0 {
			both[0], both[1] = both[1], both[0]
		}
		m.judge(seed, both[0], both[1], m.whole)
		if text, err := os.ReadFile(m.lock); err != nil || !strings.Contains(string(text), `"owner":"`) || strings.Contains(string(text), `"open":true`) {
			t.Errorf("seed %d: the lock says %q (%v), and it should say who was there and has ended", seed, strings.TrimSpace(string(text)), err)
		}
		won[how]++
		won["trials"]++
	}
	proof.Figures(t, won)
}

// hold takes the lock. What it returns lets it go when so many others wait for it.
func hold(t testing.TB, lock string) (let func(waiting int)) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(lock), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(lock, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	inode := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	return func(waiting int) {
		defer f.Close() // which lets it go
		for range 1000 {
			text, err := os.ReadFile("/proc/locks")
			if err != nil {
				t.Error(err)
				return
			}
			n := 0
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, "-> FLOCK") && strings.Contains(line, inode) {
					n++
				}
			}
			if n >= waiting {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Errorf("not both came to wait for the lock")
	}
}
