package hostservice

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// oddFolders are release folders, each of which both readers must see alike: with a hash, or with the same reason why not.
var oddFolders = map[string]func(t *testing.T, at string){
	"plain":  func(t *testing.T, at string) { put(t, at, "a", 0o644); put(t, at, "b/c/d", 0o640) },
	"empty":  func(*testing.T, string) {},
	"folder": func(t *testing.T, at string) { put(t, at, "a", 0o644); mk(t, os.MkdirAll(at+"/empty/deep", 0o755)) },
	"exec": func(t *testing.T, at string) {
		for mode := range 8 {
			put(t, at, fmt.Sprintf("mode%d", mode), os.FileMode(mode<<6|0o044))
		}
	},
	"names": func(t *testing.T, at string) {
		for _, name := range []string{"with space", "quo'te", "$(id)", "ünïcode", "-rf", "*", "\xff\xfe", "tab\t", "a//"[:1], ".hidden", "~", "#", "Z", "z"} {
			put(t, at, name, 0o644)
		}
	},
	"sorting": func(t *testing.T, at string) {
		put(t, at, "a/b", 0o644)
		put(t, at, "a.b", 0o644)
		put(t, at, "a b", 0o644)
	},
	"line break": func(t *testing.T, at string) { put(t, at, "a\nb", 0o644) },
	"return":     func(t *testing.T, at string) { put(t, at, "a\rb", 0o644) },
	"backslash":  func(t *testing.T, at string) { put(t, at, `a\b`, 0o644) },
	"pipe":       func(t *testing.T, at string) { mk(t, syscall.Mkfifo(at+"/pipe", 0o644)) },
	"socket":     func(t *testing.T, at string) { listen(t, at+"/s") },
	"link in": func(t *testing.T, at string) {
		put(t, at, "d/f", 0o644)
		link(t, "d/f", at+"/l")
		link(t, "../d", at+"/d/up")
	},
	"link itself":    func(t *testing.T, at string) { link(t, ".", at+"/l") },
	"link loop":      func(t *testing.T, at string) { link(t, "b", at+"/a"); link(t, "a", at+"/b") },
	"dangling":       func(t *testing.T, at string) { link(t, "missing/deep", at+"/a"); link(t, "missing", at+"/b") },
	"odd target":     func(t *testing.T, at string) { link(t, "x\ny -> z\n\n", at+"/a"); put(t, at, "f", 0o600) },
	"absolute":       func(t *testing.T, at string) { put(t, at, "f", 0o644); link(t, at+"/f", at+"/l") },
	"out":            func(t *testing.T, at string) { link(t, "/etc/passwd", at+"/bad") },
	"out above":      func(t *testing.T, at string) { link(t, "../../../x", at+"/bad") },
	"out deep":       func(t *testing.T, at string) { mk(t, os.Mkdir(at+"/d", 0o755)); link(t, "../..", at+"/d/bad") },
	"through a file": func(t *testing.T, at string) { put(t, at, "f", 0o644); link(t, "f/../f", at+"/l") },
	"out by another": func(t *testing.T, at string) {
		mk(t, os.MkdirAll(at+"/a/b", 0o755))
		link(t, "a/b", at+"/in")
		link(t, "in/../../../x", at+"/bad")
	},
	"huge": func(t *testing.T, at string) {
		put(t, at, "f", 0o644)
		mk(t, os.Truncate(at+"/f", 64<<20)) // more than any block that is read at once
	},
}

func mk(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, at, name string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(at, name)
	mk(t, os.MkdirAll(filepath.Dir(path), 0o755))
	mk(t, os.WriteFile(path, []byte("content of "+name), 0o644))
	mk(t, os.Chmod(path, mode))
}

func link(t *testing.T, to, at string) { t.Helper(); mk(t, os.Symlink(to, at)) }

// listen leaves a socket behind.
func listen(t *testing.T, at string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	mk(t, err)
	l.SetUnlinkOnClose(false)
	mk(t, l.Close())
}

func told(h hashed) string { return fmt.Sprintf("%s %t %v", h.hash, h.exists, h.err) }

// Both readers see the same: the same hash to the letter, the same words for what has none, the same listing.
func TestReadersAgree(t *testing.T) {
	t.Chdir(t.TempDir()) // a socket's path must be short
	root, err := os.Getwd()
	mk(t, err)
	var folders []string
	for _, name := range sortedKeys(oddFolders) {
		at := filepath.Join(root, "releases", name)
		mk(t, os.MkdirAll(at, 0o755))
		oddFolders[name](t, at)
		folders = append(folders, at)
	}
	folders = append(folders, root+"/releases/missing", root+"/file")
	put(t, root, "file", 0o644)
	for n := range 2 * batch { // more than one run
		at := fmt.Sprintf("%s/releases/v%d", root, n)
		put(t, at, fmt.Sprint("f", n), 0o644)
		folders = append(folders, at)
	}
	here, script := native{}, scripted{host.Here()}
	ours, theirs := here.hash(t.Context(), folders, readTimeout), script.hash(t.Context(), folders, readTimeout)
	seen := map[string]bool{}
	for i, folder := range folders {
		if told(ours[i]) != told(theirs[i]) {
			t.Errorf("%s: %s, by the script %s", folder, told(ours[i]), told(theirs[i]))
		}
		if seen[ours[i].hash] && ours[i].hash != "" {
			t.Errorf("%s has the hash of another", folder)
		}
		seen[ours[i].hash] = true
	}
	was, is := here.list(t.Context(), folders, nil, readTimeout), script.list(t.Context(), folders, nil, readTimeout)
	for i, folder := range folders {
		switch {
		case !ours[i].exists:
		case was[i].digest == "" || was[i].digest != is[i].digest || !was[i].newest.Equal(is[i].newest):
			t.Errorf("%s: listed as %+v, by the script as %+v", folder, was[i], is[i])
		}
	}
	lookAlike(t, root)
}

func lookAlike(t *testing.T, root string) {
	t.Helper()
	for _, name := range []string{"-rf", "a b", ".hidden", ".partial-x", "v1..2"} {
		mk(t, os.MkdirAll(filepath.Join(root, "releases", name), 0o755))
	}
	put(t, root, "releases/file", 0o644)
	link(t, "v1", root+"/releases/latest")
	link(t, "releases/v1", root+"/current")
	link(t, "releases/gone", root+"/gone")
	link(t, "/etc", root+"/etc")
	link(t, "current", root+"/twice")
	mk(t, os.WriteFile(root+"/.astern.lock", []byte("{\"fence\":7}   \n"), 0o600))
	lines := strings.Repeat("{\"revision\":\"v1\"}\n", 5) + "{cut off\n{\"revision\":\"v2\"}\n"
	mk(t, os.WriteFile(root+"/.astern-history.jsonl", []byte(lines), 0o600))
	for _, l := range []layout{
		{root: root, releases: root + "/releases", link: root + "/{instance}"},
		{root: root, releases: root + "/none", link: root + "/{instance}"},
		{root: root + "/none", releases: root + "/none/releases", link: root + "/none/{instance}"},
	} {
		names := []string{"current", "gone", "etc", "twice", "file", "missing"}
		ours, err1 := native{}.look(t.Context(), l, names, 3)
		theirs, err2 := scripted{host.Here()}.look(t.Context(), l, names, 3)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		opts := cmp.AllowUnexported(sight{}, linkSeen{})
		if diff := cmp.Diff(theirs, ours, opts); diff != "" {
			t.Errorf("%s: %s", l.releases, diff)
		}
	}
}

func TestHashingObeysTheContext(t *testing.T) {
	at := t.TempDir()
	put(t, at, "f", 0o644)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := native{}.hash(ctx, []string{at}, readTimeout)[0]
	if h.hash != "" || astern.CodeOf(h.err) != astern.Interrupted {
		t.Errorf("%s", told(h))
	}
	h = native{}.hash(t.Context(), []string{at}, time.Nanosecond)[0]
	if astern.CodeOf(h.err) != astern.Unavailable || !strings.Contains(h.err.Error(), at) {
		t.Errorf("%s", told(h))
	}
}

// memory keeps proofs.
type memory struct {
	sync.Mutex
	kept   map[string][]byte
	writes int
}

func (m *memory) Proof(_ context.Context, key string) ([]byte, bool, error) {
	m.Lock()
	defer m.Unlock()
	b, ok := m.kept[key]
	return b, ok, nil
}

func (m *memory) KeepProof(_ context.Context, key string, proof []byte, _ time.Time) error {
	m.Lock()
	defer m.Unlock()
	m.kept[key] = proof
	m.writes++
	return nil
}

// lines is how many folders are proven, names how many names below them are kept.
func (m *memory) lines() int { return m.count("sha256:") }
func (m *memory) names() int { return m.count("\n\t") }

func (m *memory) count(what string) (n int) {
	m.Lock()
	defer m.Unlock()
	for _, proof := range m.kept {
		n += bytes.Count(proof, []byte(what))
	}
	return n
}

// forge puts another hash into every proof, so that it shows where one was believed.
func (m *memory) forge() {
	m.Lock()
	defer m.Unlock()
	for key, proof := range m.kept {
		m.kept[key] = bytes.ReplaceAll(proof, []byte("sha256:"), []byte("forged:"))
	}
}

func TestProofStandsForWhatHasNotChanged(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		m := &memory{kept: map[string][]byte{}}
		pool := host.NewPool()
		t.Cleanup(func() { pool.Close() })
		now := time.Now()
		d := &driver{machines: pool, lookup: func(string) (astern.Component, bool) { return l.c, true }, proofs: m, now: func() time.Time { return now }}
		l.driver = build(d)
		whole := func(full bool) astern.State {
			s, err := l.driver.Observer.Observe(t.Context(), l.c, astern.Scope{Full: full})
			mk(t, err)
			return s
		}
		believed := func(s astern.State, rev string) bool {
			return strings.HasPrefix(s.Values["a/release/"+rev].Text, "forged:")
		}
		if whole(false); m.writes != 0 {
			t.Fatal("a proof was kept of files that are as young as their reading")
		}
		for deadline := time.Now().Add(20 * time.Second); m.lines() < 2; { // until the files are old enough
			if time.Now().After(deadline) {
				t.Fatal("no proof is kept")
			}
			whole(true)
		}
		named := m.names()
		if whole(true); m.names() != named {
			t.Errorf("%d names were kept, and %d after everything was read again", named, m.names())
		}
		m.forge()
		now = now.Add(3 * time.Hour)
		s := whole(false)
		if !believed(s, "v1") || !believed(s, "v2") {
			t.Fatalf("no proof was used: %v", s.Values)
		}
		if v := s.Values["a/release/v1"]; !v.At.Equal(now.Add(-3 * time.Hour).UTC()) {
			t.Errorf("it was read at %s", v.At)
		}
		saysSince(t, l, s)
		if s := l.observe("a/release/v1"); believed(s, "v1") {
			t.Error("a proof stands for a path that was named")
		}
		l.write("releases/v1/data/version", "V1", 0o644) // of the same size
		if s := whole(false); believed(s, "v1") || !believed(s, "v2") {
			t.Error("a change does not show, or hides another proof")
		}
		if s := whole(true); believed(s, "v2") {
			t.Error("a full observation believes a proof")
		}
		m.forge()
		now = now.Add(proofAge + time.Second)
		if s := whole(false); believed(s, "v2") {
			t.Error("a proof is believed for ever")
		}
	})
}

// saysSince requires that the evidence says when the files were read.
func saysSince(t *testing.T, l *lab, s astern.State) {
	t.Helper()
	h := astern.History{Deployments: []astern.Deployment{{Revision: "v1", Hash: s.Values["a/release/v1"].Text}}}
	for _, target := range l.driver.Router.Targets(l.c, s, h) {
		for _, e := range target.Evidence {
			if strings.Contains(e.What, "its files are as recorded (unchanged since they were read 3 h ago)") &&
				e.Seen.Equal(s.Values["a/release/v1"].At) {
				return
			}
		}
	}
	t.Error("no evidence says when the files were read")
}
