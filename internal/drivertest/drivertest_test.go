package drivertest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMemoryDriverPasses(t *testing.T) { memorySuite("").Run(t) }

// TestFaultsAreFound gives the memory driver one fault at a time and requires that some law says so.
func TestFaultsAreFound(t *testing.T) {
	for fault, says := range map[string]string{
		"observing writes":              "changed the world",
		"ignores scope":                 "asked for",
		"claims absence":                "it does not know",
		"secret in a state":             "Observe returned a kept secret",
		"secret in evidence":            "Targets returned a kept secret",
		"secret in a command":           "Route returned a kept secret",
		"secret in an error":            "Route returned a kept secret",
		"secret in a hint":              "Route returned a kept secret",
		"secret in an undo":             "Undo returned a kept secret",
		"secret in an image":            "Before returned a kept secret in base64",
		"secret in an operation":        "Start returned a kept secret in hex",
		"secret in an answer":           "Find returned a kept secret",
		"secret in a permission":        "Permissions returned a kept secret",
		"secret in what is found":       "Discover returned a kept secret",
		"secret in a failed search":     "Discover returned a kept secret",
		"secret in a switch":            "Switch returned a kept secret",
		"secret in a refusal to switch": "Switch returned a kept secret",
		"secret in what is picked":      "Pick returned a kept secret",
		"secret in a conflict":          "Claim returned a kept secret",
		"secret in a release":           "Release returned a kept secret",
		"finds nothing":                 "Discover finds 0",
		"switches nothing":              "switching f failed",
		"claims for anybody":            "instead of a conflict",
		"claims unseen":                 "acts there, and it is",
		"never releases":                "acts there, and it is",
		"impure targets":                "different results",
		"trusts":                        `is "ready", want "broken"`,
		"routes anywhere":               "is not refused",
		"modifies its input":            "modified its input",
		"untrue fact":                   "was observed",
		"fact of the whole":             "its path needs {member}",
		"repeats an id":                 "two steps",
		"unknown verb":                  "does not declare",
		"refers forward":                "no earlier step",
		"forgets members":               "is taken 0 times",
		"before writes":                 "changed the world",
		"acts on any name":              "is not refused",
		"ignores fences":                "older fence is not refused",
		"minds fences alone":            "another execution's claim is is not refused",
		"forgets to act":                "after the whole route",
		"lies about failing":            "failed without effect, but the world changed",
		"never finds":                   "start it a second time",
		"finds what is not there":       "before it was started",
		"finds other outputs":           "different outputs",
		"undeclared output":             "not those that it declares",
		"undoes to the wrong revision":  "after the undo",
		"acts on any address":           "at address is not refused",
		"acts on any member":            "at member is not refused",
		"asks before it looks":          "asks nobody else for",
		"asks unheard":                  "was noted",
		"remembers any name":            "makes a target of it",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel() // it mostly waits
			said := complaints(t, memorySuite(fault))
			if !strings.Contains(said, says) {
				t.Errorf("no law says %q; they say:\n%s", says, said)
			}
		})
	}
}

// A shell that reads a text leaves something behind, here where the tests run.
func TestShellIsFound(t *testing.T) {
	t.Chdir(t.TempDir())
	if said := complaints(t, memorySuite("has a shell read it")); !strings.Contains(said, "a shell read the text") {
		t.Errorf("no law says that a shell read a text; they say:\n%s", said)
	}
}

// A text that is data arrives whole, at whichever place a way takes it along, and is a whole value of what is sent.
func TestDataIsFoundElsewhere(t *testing.T) {
	for fault, says := range map[string]string{
		"shortens what is told": "at tell.was arrived as",
		"sends what it is told": "sends nobody else",
		"sends it in between":   "is a part of what the driver asked for",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			heard := &listener{TB: t}
			hear(memorySuite(fault), heard, []func(*run){func(r *run) {
				x := newInjection(r)
				x.learn()
				for first := range uint64(12) {
					x.way([]uint64{first})
				}
			}})
			if said := heard.text.String(); !strings.Contains(said, says) {
				t.Errorf("no law says %q; they say:\n%s", says, said)
			}
		})
	}
}

// A law that tries nothing says so.
func TestUntriedTextsAreFound(t *testing.T) {
	t.Parallel()
	heard, s := &listener{TB: t}, memorySuite("has no steps")
	inner := s.New
	s.New = func(t testing.TB) World {
		w := inner(t)
		w.Asked = nil
		return w
	}
	hear(s, heard, []func(*run){func(r *run) { newInjection(r).trials(0, 4) }})
	if said := heard.text.String(); !strings.Contains(said, "0 of 4 texts were tried") {
		t.Errorf("no law says that no text was tried; they say:\n%s", said)
	}
}

// complaints runs every law and break of the suite and returns what they complain about.
func complaints(t *testing.T, s Suite) string {
	heard := &listener{TB: t}
	checks := []func(*run){func(r *run) { newInjection(r).trials(0, 60) }}
	for _, l := range laws {
		checks = append(checks, l.check)
	}
	for _, b := range s.Breaks {
		checks = append(checks, func(r *run) { checkBreak(r, b) })
	}
	hear(s, heard, checks)
	return heard.text.String()
}

// hear lets a listener hear the checks.
func hear(s Suite, heard *listener, checks []func(*run)) {
	for _, check := range checks {
		var group sync.WaitGroup
		group.Go(func() { check(s.begin(heard)) }) // a goroutine of its own: Fatalf ends it
		group.Wait()
	}
}

// A world in which nothing could leak proves nothing, and neither does a secret that nobody would find.
func TestWorldsHoldSecrets(t *testing.T) {
	for says, secrets := range map[string][]string{"no secret lies in it": nil, "secret 1 of the world is none that would be found": {memorySecret, "hunter2"}} {
		s := memorySuite("")
		inner := s.New
		s.New = func(t testing.TB) World {
			w := inner(t)
			w.Secrets = secrets
			return w
		}
		if said := complaints(t, s); !strings.Contains(said, says) {
			t.Errorf("no law says %q; they say:\n%s", says, said)
		}
	}
}

// listener is a testing.TB that hears complaints instead of failing.
type listener struct {
	testing.TB
	mu   sync.Mutex
	text strings.Builder
}

func (l *listener) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, format+"\n", args...)
}

func (l *listener) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	runtime.Goexit()
}

func TestFilesSeesEveryChange(t *testing.T) {
	root := t.TempDir()
	file, link := filepath.Join(root, "f"), filepath.Join(root, "l")
	write := func(content string) error { return os.WriteFile(file, []byte(content), 0o600) }
	changes := []func() error{
		func() error { return write("one") },
		func() error { return write("two") },
		func() error { return os.Chmod(file, 0o640) },
		func() error { return os.Symlink("f", link) },
		func() error { _ = os.Remove(link); return os.Symlink("g", link) },
		func() error { return os.Remove(file) },
	}
	before := Files(t, root)
	for i, change := range changes {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		after := Files(t, root)
		if cmp.Equal(before, after) {
			t.Errorf("change %d is not seen", i)
		}
		before = after
	}
	if !cmp.Equal(before, Files(t, root)) {
		t.Error("two snapshots of an unchanged folder differ")
	}
}
