package hostservice

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/host/hosttest"
)

func TestHashIsTheSameHereAndOverSSH(t *testing.T) {
	l := newLab(t, overSSH(t))
	odd := []string{"with space", "quo'te", "$(id)", "ünïcode", "-rf", "*"}
	for _, name := range odd {
		l.write("releases/v1/odd/"+name, name, 0o644)
	}
	os.MkdirAll(filepath.Join(l.root, "releases/v1/empty"), 0o755)
	os.Symlink("data/version", filepath.Join(l.root, "releases/v1/inside"))
	os.Symlink("missing", filepath.Join(l.root, "releases/v1/dangling"))
	folder := filepath.Join(l.root, "releases/v1")
	here, exists, err := hashOf(t.Context(), host.Here(), folder, readTimeout)
	if err != nil || !exists || !strings.HasPrefix(here, "sha256:") {
		t.Fatalf("hash %q, %t, %v", here, exists, err)
	}
	if there := l.value("a/release/v1"); there != here {
		t.Errorf("over SSH %s, here %s", there, here)
	}
	for what, change := range map[string]func(){
		"content": func() { l.write("releases/v1/odd/-rf", "x", 0o644) },
		"mode":    func() { os.Chmod(filepath.Join(folder, "odd/*"), 0o755) },
		"name":    func() { os.Rename(filepath.Join(folder, "odd/$(id)"), filepath.Join(folder, "odd/id")) },
		"folder":  func() { os.Mkdir(filepath.Join(folder, "new"), 0o755) },
		"link": func() {
			os.Remove(filepath.Join(folder, "inside"))
			os.Symlink("data", filepath.Join(folder, "inside"))
		},
		"removed": func() { os.Remove(filepath.Join(folder, "odd/quo'te")) },
	} {
		before, _, _ := hashOf(t.Context(), host.Here(), folder, readTimeout)
		change()
		if after, _, err := hashOf(t.Context(), host.Here(), folder, readTimeout); err != nil || after == before {
			t.Errorf("a change of %s does not change the hash (%v)", what, err)
		}
	}
}

func TestReleasesThatCannotBeTrusted(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		for name, plant := range map[string]func(folder string){
			"absolute": func(f string) { os.Symlink("/etc/passwd", f+"/bad") },
			"relative": func(f string) { os.Symlink("../../../x", f+"/bad") },
			"indirect": func(f string) { os.Symlink(".", f+"/a"); os.Symlink("a/../../v2", f+"/bad") },
			"deep":     func(f string) { os.MkdirAll(f+"/d", 0o755); os.Symlink("../..", f+"/d/bad") },
		} {
			l.release(name, "true")
			plant(filepath.Join(l.root, "releases", name))
			if got := l.value("a/release/" + name); !strings.Contains(got, "bad "+outside) {
				t.Errorf("%s: %s", name, got)
			}
		}
		l.write("releases/newline/a\nb", "", 0o644)
		if got := l.value("a/release/newline"); !strings.Contains(got, "line break") {
			t.Errorf("newline: %s", got)
		}
	})
}

func TestWhatIsNoRelease(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		for _, name := range []string{"-rf", "a b", "v1;id", "v1..2", ".partial-x", ".hidden"} {
			os.MkdirAll(filepath.Join(l.root, "releases", name), 0o755)
		}
		l.write("releases/file", "", 0o644)
		os.Symlink("v1", filepath.Join(l.root, "releases/latest"))
		s := l.observe()
		var ignored []string
		for _, p := range s.Under("a/ignored") {
			ignored = append(ignored, strings.TrimPrefix(p, "a/ignored/"))
		}
		want := []string{"-rf", ".hidden", ".partial-x", "a b", "file", "latest", "v1..2", "v1;id"}
		if diff := cmp.Diff(want, ignored); diff != "" {
			t.Error(diff)
		}
		if got := s.Values["a/releases"].Text; got != "v1 v2" {
			t.Errorf("releases: %s", got)
		}
	})
}

func TestScopeLimitsTheWork(t *testing.T) {
	l := newLab(t, nil)
	s := l.observe("a/link", "b/release/v1", "a/release/none", "a/release/../../etc")
	var paths []string
	for p := range s.Values {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	if diff := cmp.Diff([]string{"a/link", "b/release/v1"}, paths); diff != "" {
		t.Error(diff)
	}
}

func TestLinkThatLeadsElsewhere(t *testing.T) {
	l := newLab(t, nil)
	os.Remove(filepath.Join(l.root, "links/a"))
	os.Symlink("/etc", filepath.Join(l.root, "links/a"))
	if got := l.value("a/link"); !strings.Contains(got, "no release") {
		t.Errorf("got %s", got)
	}
	if got := l.value("revision"); !strings.Contains(got, "unknown (a: ") || !strings.Contains(got, "others run v2") {
		t.Errorf("got %s", got)
	}
	os.Remove(filepath.Join(l.root, "links/a"))
	os.Symlink(filepath.Join(l.root, "releases/v1"), filepath.Join(l.root, "links/a"))
	if got := l.value("revision"); got != "v1+v2" {
		t.Errorf("got %s", got)
	}
	os.Remove(filepath.Join(l.root, "links/a"))
	if _, ok := l.observe().Get("a/link"); ok {
		t.Errorf("a link that is not there is there")
	}
}

// One host that can't be reached makes its own members unknown, and hides no other.
func TestUnreachableHostHidesNoOther(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent.Close() // refuses at once
	server := hosttest.Start(t).SSH
	l := newLab(t, nil)
	gone := server
	gone.Address = silent.Addr().String()
	l.c.Hosts = []astern.Host{{Name: "web-1", SSH: &server}, {Name: "web-2", SSH: &gone}}
	var s Settings
	if err := decode(l.c.Settings, &s); err != nil {
		t.Fatal(err)
	}
	s.Instances[0].Host, s.Instances[1].Host = "web-1", "web-2"
	l.c.Settings = encode(t, s)
	state := l.observe()
	if v := state.Values["a/link"]; v.Text != "v2" {
		t.Errorf("a/link is %s", v)
	}
	for _, p := range []string{"link", "process", "releases", "fence"} {
		if v := state.Values["b/"+p]; v.Known() || !strings.Contains(v.Unknown, "web-2") {
			t.Errorf("b/%s is %s", p, v)
		}
	}
	h := astern.History{Deployments: []astern.Deployment{{Revision: "v1", Hash: state.Values["a/release/v1"].Text}}}
	for _, target := range l.driver.Router.Targets(l.c, state, h) {
		if !slices.ContainsFunc(target.Evidence, func(e astern.Evidence) bool {
			return e.Readiness == astern.ReadyUnknown && strings.Contains(e.What, "web-2")
		}) {
			t.Errorf("%s: %+v", target.Revision, target.Evidence)
		}
	}
	r, err := l.driver.Router.Route(l.c, state, astern.Target{Revision: "v1"}, astern.Options{Verb: astern.VerbRollback, Percent: 100})
	if err != nil || len(r.Fleet.LeftOut) != 1 || r.Fleet.LeftOut[0].Member != "b" || !slices.Equal(r.Fleet.Members, []string{"a"}) {
		t.Errorf("route %+v, %v", r.Fleet, err)
	}
}

func TestDiscover(t *testing.T) {
	l := newLab(t, nil)
	l.link("current", "v2")
	found, err := l.driver.Discoverer.Discover(t.Context(), []string{filepath.Dir(l.root), l.root, "/no/such/folder"})
	if err != nil || len(found) != 1 || found[0].Name != "svc" || len(found[0].Guessed) == 0 {
		t.Fatalf("found %+v, %v", found, err)
	}
	c := l.c
	c.Settings = encode(t, found[0].Settings)
	if p := l.driver.Validator.Validate(c); len(p) != 0 {
		t.Errorf("what was found is not valid: %+v", p)
	}
}

// TestOnlyAskedMembersAreLookedAt: before each of its steps a member is asked after, of thousands.
func TestOnlyAskedMembersAreLookedAt(t *testing.T) {
	all := []place{{name: "a"}, {name: "b"}, {name: "ab"}, {name: "source"}}
	for _, c := range []struct{ paths, want []string }{
		{nil, []string{"a", "b", "ab", "source"}},
		{[]string{"a/link", "revision"}, []string{"a", "b", "ab", "source"}},
		{[]string{"a/link"}, []string{"a"}},
		{[]string{"ab/release/v1", "b/process"}, []string{"b", "ab"}},
		{[]string{"source/v1"}, []string{"source"}},
		{[]string{"c/link"}, nil},
	} {
		var got []string
		for _, p := range newAsked(astern.Scope{Paths: c.paths}).members(all) {
			got = append(got, p.name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("asked for %v: %v, want %v", c.paths, got, c.want)
		}
	}
}
