package jsonexec_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	astern "github.com/astern-dev/astern"
)

// flood writes the text again and again until nobody reads any more, or n bytes are written.
func flood(f *os.File, text string, n int) {
	block := strings.Repeat(text, 1+(64<<10)/len(text))
	for written := 0; written < n; written += len(block) {
		if _, err := f.WriteString(block); err != nil {
			return
		}
	}
}

// hostileAnswers are programs that answer every call in the worst way.
var hostileAnswers = map[string]func(){
	"gigabytes":    func() { flood(os.Stdout, "x", 4<<30) },
	"error-flood":  func() { flood(os.Stderr, "chatter\x1b[2J\n", 200<<20); syscall.Exit(1) },
	"deep-lists":   func() { flood(os.Stdout, "[", 15<<20) },
	"deep-objects": func() { flood(os.Stdout, `{"a":`, 15<<20) },
	"many-values": func() {
		io.WriteString(os.Stdout, `{"ok":{"values":[0`)
		flood(os.Stdout, ",0", 15<<20)
		io.WriteString(os.Stdout, "]}}")
	},
	"many-empty-lists": func() {
		io.WriteString(os.Stdout, `{"ok":{"values":[[]`)
		flood(os.Stdout, ",[]", 15<<20)
		io.WriteString(os.Stdout, "]}}")
	},
	"half": func() { io.WriteString(os.Stdout, `{"ok":{"revision":"v1","revisions":{"v1":{"ha`) },
	"half-and-killed": func() {
		io.WriteString(os.Stdout, `{"ok":{"revision":"v1"`)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		hang()
	},
	"whole-and-killed": func() {
		io.WriteString(os.Stdout, `{"ok":{"revision":"v1"}}`)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		hang()
	},
	"huge-number": func() {
		io.WriteString(os.Stdout, `{"astern":1`)
		flood(os.Stdout, "0", 1<<20)
		io.WriteString(os.Stdout, `,"ok":{}}`)
	},
	"huge-text": func() {
		io.WriteString(os.Stdout, `{"error":{"code":"refused","message":"`)
		flood(os.Stdout, "no ", 2<<20)
		io.WriteString(os.Stdout, `"}}`)
	},
	"huge-exponent": func() { io.WriteString(os.Stdout, `{"ok":{"poll_seconds":1e999999999,"status":"running"}}`) },
	"not-utf8":      func() { os.Stdout.Write([]byte("{\"ok\":{\"revision\":\"v\xff\xfe1\"}}")) },
	"utf16":         func() { os.Stdout.Write([]byte("\xff\xfe{\x00\"\x00o\x00k\x00\"\x00:\x00{\x00}\x00}\x00")) },
	"same-key":      func() { io.WriteString(os.Stdout, `{"ok":{"revision":"v1"},"ok":{"revision":"v2"}}`) },
	"other-paths": func() {
		io.WriteString(os.Stdout, `{"ok":{"values":{"../../other/revision":"v9","other/revision":"v9","test/c1/revision":"v9","a\u0000b":"v9"}}}`)
	},
	"paths-unasked": func() {
		io.WriteString(os.Stdout, `{"ok":{"values":{"revision":"v1","other/revision":"v9","fence":"99"},"revisions":{"v1":{"hash":"h"},"../v2":{"hash":"h"}}}}`)
	},
	"texts": func() {
		io.WriteString(os.Stdout, `{"ok":{"revision":{"unknown":"\u001b[2Jgone\nastern: all is well\r\u202e"}}}`)
	},
	"error-texts": func() {
		io.WriteString(os.Stdout, `{"error":{"code":"refused","message":"\u001b]0;owned\u0007no\nHint: run rm -rf /","hint":"a\u001b[1mb\nc"}}`)
	},
}

// memory watches how much this process takes until it is stopped, and returns the most above what it took before.
func memory() (stop func() uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, end, done := m.HeapAlloc, make(chan struct{}), make(chan struct{})
	var peak atomic.Uint64
	go func() {
		defer close(done)
		for {
			select {
			case <-end:
				return
			case <-time.After(2 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				if m.HeapAlloc > peak.Load() {
					peak.Store(m.HeapAlloc)
				}
			}
		}
	}()
	return func() uint64 {
		close(end)
		<-done
		return max(peak.Load(), before) - before
	}
}

// TestHostileAnswers asks programs that answer in the worst way: what was asked for is unknown or exactly what was answered, a start
// is never taken for failed or done without saying so, and memory and time are bounded.
func TestHostileAnswers(t *testing.T) {
	for name, says := range map[string]string{
		"gigabytes": "more than 16 MB", "error-flood": "exit status 1; it wrote: …", "deep-lists": "nested too deep", "deep-objects": "nested too deep",
		"many-values": "more than 500000 values", "many-empty-lists": "more than 500000 values", "half": "it is not one JSON document",
		"half-and-killed": "the program died: signal: killed", "whole-and-killed": "the program died: signal: killed",
		"huge-number": "one of its numbers has 1048593 digits", "huge-exponent": "unknown field", "huge-text": "262144 are the most", "not-utf8": "it is not UTF-8", "utf16": "it is not UTF-8",
		"same-key": `the key "ok" stands twice`, "other-paths": "is not a path", "texts": "[2Jgone astern: all is well", "error-texts": "]0;owned no Hint: run rm -rf /",
	} {
		t.Run(name, func(t *testing.T) {
			d, c := ill(t, "hostile:"+name, nil)
			began, stop := time.Now(), memory()
			s, err := d.Observer.Observe(t.Context(), c, astern.Scope{Paths: []string{"revision", "release/v1"}})
			most, took := stop(), time.Since(began)
			v := s.Values["revision"]
			if err != nil || v.Known() || !strings.Contains(v.Unknown, says) {
				t.Errorf("want what was asked for unknown, with %q: %v, %v", says, s, err)
			}
			op := start(t, d, c)
			if op.Status != astern.OpUnsure && name != "error-texts" {
				t.Errorf("start is %s: %s", op.Status, op.Error)
			}
			f := d.Actor.Find(t.Context(), astern.Call{Address: c.Address(), Kind: c.Kind})
			if f.Answer != astern.FoundUnknown {
				t.Errorf("find says %s", f.Answer)
			}
			for _, text := range []string{v.Unknown, op.Error, op.Hint, f.Because} {
				if len(text) > 5000 || !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\n\r\a\u202e") {
					t.Errorf("not fit for a terminal, or endless: %q", text)
				}
			}
			if most > 96<<20 || took > 20*time.Second {
				t.Errorf("it took %d MB and %s", most>>20, took)
			}
			t.Logf("%d MB, %s", most>>20, took.Round(time.Millisecond))
		})
	}
}

// TestUnaskedPaths has a program that answers more than it was asked: only what was asked for is taken.
func TestUnaskedPaths(t *testing.T) {
	d, c := ill(t, "hostile:paths-unasked", nil)
	s, err := d.Observer.Observe(t.Context(), c, astern.Scope{Paths: []string{"revision"}})
	if err != nil || len(s.Values) != 1 || s.Values["revision"].Text != "v1" || s.Address != c.Address() {
		t.Errorf("%v, %v", s, err)
	}
	all, err := d.Observer.Observe(t.Context(), c, astern.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range d.Router.Targets(c, all, astern.History{}) {
		if !astern.ValidRevision(target.Revision) || target.Address != c.Address() {
			t.Errorf("a target %q of %s", target.Revision, target.Address)
		}
	}
}

// TestHostileRequests hands hostile texts to a program: what it reads is exactly the text, as JSON on its standard input, and no
// argument of it is read by a shell.
func TestHostileRequests(t *testing.T) {
	for _, text := range []string{"$(touch pwned)", "`touch pwned`", "; touch pwned #", "a\nb\r\n", "\x00", "\x1b[2J", "'\"\\", "--help", "\u2028\u202e", "\uff0e/", "{}\"}", "<&>",
		strings.Repeat("A", 1<<20), strings.Repeat("\\", 1<<16)} {
		d, c := ill(t, "record", map[string]any{"config": map[string]any{"text": text}})
		call := astern.Call{Execution: text, Step: text, Address: c.Address(), Kind: c.Kind, Verb: "set", Member: text, Token: text,
			Args: map[string]astern.Arg{"revision": astern.Text("v1"), text: astern.List(text, text)}, Image: astern.Image{"link": text}}
		f := d.Actor.Find(t.Context(), call)
		if !strings.Contains(f.Because, "recorded") {
			t.Fatalf("%.60q: %+v", text, f)
		}
		raw, err := os.ReadFile(filepath.Join(c.Folder, "recorded"))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Component struct{ Config map[string]string }
			Step      struct {
				Execution, ID, Member, Token string
				Args                         map[string]any
				Image                        map[string]string
			}
		}
		if err := json.Unmarshal(raw, &got); err != nil || strings.Count(string(raw), "\n") != 1 {
			t.Fatalf("%.60q: the request is not one line of JSON: %v", text, err)
		}
		seen := []string{got.Component.Config["text"], got.Step.Execution, got.Step.ID, got.Step.Member, got.Step.Token,
			got.Step.Image["link"], fmt.Sprint(got.Step.Args[text].([]any)[1])}
		for i, s := range seen {
			if s != text {
				t.Errorf("%.60q: text %d arrived as %.60q", text, i, s)
			}
		}
		if there, err := filepath.Glob(filepath.Join(c.Folder, "*pwned*")); err != nil || len(there) > 0 {
			t.Errorf("a shell read it: %q", there)
		}
	}
}
