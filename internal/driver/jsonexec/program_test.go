package jsonexec_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(to), 0o700))
	must(t, os.WriteFile(to, b, 0o700))
}

func resolved(t testing.TB, path string) string {
	t.Helper()
	out, err := filepath.EvalSymlinks(path)
	must(t, err)
	return out
}

// makePipe makes a named pipe and opens it for both directions, so that opening never waits.
func makePipe(t testing.TB, path string) *os.File {
	t.Helper()
	must(t, syscall.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// readByte waits until a program writes to the pipe.
func readByte(t testing.TB, pipe *os.File) {
	t.Helper()
	if _, err := io.ReadFull(pipe, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// readEnd waits until nobody holds the pipe open for writing: it gives up its own hold and reads to the end.
func readEnd(t testing.TB, pipe *os.File) {
	t.Helper()
	reading, err := os.OpenFile(pipe.Name(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	must(t, err)
	defer reading.Close()
	must(t, pipe.Close())
	if _, err := io.Copy(io.Discard, reading); err != nil {
		t.Fatal(err)
	}
}

// asked is what the test programs read of a request.
type asked struct {
	Astern    int
	Call      string
	Component struct {
		Address string
		Config  map[string]json.Number
	}
	Scope struct{ Paths []string }
	State struct {
		Values map[string]struct{ Text string }
	}
	History struct {
		Deployments []struct{ Revision, Hash string }
	}
	Target  struct{ Revision string }
	Options struct{ Percent int }
	Step    struct {
		Verb, Member, Token string
		Args                map[string]string
		Image               map[string]string
		Fence               int64
	}
	Op struct{ Handle map[string]string }
}

type object = map[string]any

// runProgram is the test binary as a program.
func runProgram(name string) {
	text, _ := io.ReadAll(os.Stdin)
	say := func(v any) { json.NewEncoder(os.Stdout).Encode(v) }
	if bad, ok := strings.CutPrefix(name, "route:"); ok {
		say(object{"ok": wrongRoutes()[bad]})
		return
	}
	if name == "echo" {
		os.Stdout.Write(text)
		return
	}
	if name == "tells" {
		tell(text, say)
		return
	}
	if name == "fleet" {
		say(fleet(text))
		return
	}
	if how, ok := strings.CutPrefix(name, "hostile:"); ok {
		hostileAnswers[how]()
		return
	}
	if name == "record" {
		must2(os.WriteFile("recorded", text, 0o600))
		say(object{"error": object{"code": "conflict", "message": "recorded"}})
		return
	}
	behaviours[name](say)
}

func must2(err error) {
	if err != nil {
		panic(err)
	}
}

// behaviours are programs that answer every call in the same way.
var behaviours = map[string]func(say func(any)){
	"garbage":     func(func(any)) { fmt.Println("Traceback (most recent call last):") },
	"silent":      func(func(any)) {},
	"two":         func(say func(any)) { say(object{"ok": object{}}); say(object{"ok": object{}}) },
	"array":       func(say func(any)) { fmt.Println(`[1]}`) },
	"unknown-key": func(say func(any)) { say(object{"ok": object{"revison": "v1"}}) },
	"neither":     func(say func(any)) { say(object{}) },
	"both": func(say func(any)) {
		say(object{"ok": object{}, "error": object{"code": "internal", "message": "x"}})
	},
	"null":      func(say func(any)) { fmt.Println(`{"ok":null}`) },
	"version-2": func(say func(any)) { say(object{"astern": 2, "ok": object{}}) },
	"bad-code":  func(say func(any)) { say(object{"error": object{"code": "oops", "message": "x"}}) },
	"huge": func(func(any)) {
		for line := strings.Repeat("x", 1<<20); ; {
			if _, err := fmt.Println(line); err != nil {
				return
			}
		}
	},
	"exit-3": func(func(any)) {
		fmt.Fprintf(os.Stderr, "cannot\x1b[31m go on\nwith %s and %s\x00\n", os.Getenv("KEY"), os.Getenv("PLAIN"))
		syscall.Exit(3)
	},
	"ok-but-fails": func(say func(any)) { say(object{"ok": object{}}); syscall.Exit(1) },
	"dies":         func(func(any)) { syscall.Kill(os.Getpid(), syscall.SIGKILL); hang() },
	"chatty": func(func(any)) {
		for range 1000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("chatter ", 100), os.Getenv("KEY"))
		}
		syscall.Exit(1)
	},
	"hang":       func(func(any)) { child(false); hang() },
	"background": func(say func(any)) { child(true); say(object{"ok": object{"revision": "v1"}}) },
	"child": func(func(any)) {
		alive, _ := os.OpenFile("alive", os.O_WRONLY, 0)
		alive.WriteString("x")
		if release, err := os.Open("release"); err == nil {
			io.ReadFull(release, make([]byte, 1))
			return
		}
		hang()
	},
	"says-no": func(say func(any)) {
		say(object{"error": object{"code": "conflict", "message": "somebody else is at it"}})
	},
	"environment": func(say func(any)) {
		var names []string
		for _, kv := range os.Environ() {
			name, _, _ := strings.Cut(kv, "=")
			if name != "PWD" { // set by os/exec with the folder
				names = append(names, name)
			}
		}
		slices.Sort(names)
		folder, _ := filepath.EvalSymlinks(must1(os.Getwd()))
		say(object{"ok": object{"values": object{"names": strings.Join(names, " "), "folder": folder}}})
	},
}

// hang waits for being killed.
func hang() { time.Sleep(time.Hour) }

// tell puts the secret into whatever the call allows.
func tell(text []byte, say func(any)) {
	var r asked
	_ = json.Unmarshal(text, &r) // the call is all that counts
	key := os.Getenv("KEY")
	switch r.Call {
	case "observe":
		say(object{"ok": object{"revision": key, "revisions": object{"v1" + key: object{"hash": key}},
			"values": object{"a": object{"unknown": "bad key " + key}}}})
	case "start":
		say(object{"error": object{"code": "refused", "message": "the key is " + key, "hint": "try " + key + " and " + key + key}})
	default:
		say(object{"ok": object{"answer": "yes", "op": object{"outputs": object{"key": key}, "handle": object{"key": key}}}})
	}
}

func must1(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

// child starts the program "child", which keeps the standard output open when asked to.
func child(output bool) {
	cmd := exec.Command(os.Args[0], "program", "child")
	if output {
		cmd.Stdout = os.Stdout
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

func wrongRoutes() map[string]any {
	step := func(more object) object {
		s := object{"id": "x", "verb": "move", "undo": "none needed"}
		for k, v := range more {
			s[k] = v
		}
		return s
	}
	stages := func(steps ...object) object { return object{"stages": []object{{"title": "t", "steps": steps}}} }
	with := func(r object, key string, v any) object { r[key] = v; return r }
	ownGate := stages(step(nil))
	ownGate["stages"].([]object)[0]["gate"] = object{"checks": []string{}, "bake_seconds": 0, "interval_seconds": 1, "timeout_seconds": 1}
	return map[string]any{
		"no-stage":      object{},
		"dotted-id":     stages(step(object{"id": "1.x"})),
		"same-id":       stages(step(nil), step(nil)),
		"no-verb":       stages(step(object{"verb": ""})),
		"other-kind":    stages(step(object{"kind": "host.service", "command": "x"})),
		"other-address": stages(step(object{"address": "test/other"})),
		"forward-guard": stages(step(object{"guards": []string{"later"}}), step(object{"id": "later"})),
		"no-output":     stages(step(object{"args": object{"x": object{"from": "y", "output": "z"}}, "command": "x"})),
		"bad-set":       stages(step(object{"sets": []object{{"path": "a//b", "value": "x"}}})),
		"no-undo":       stages(step(object{"undo": "inverse"})),
		"fact-of-none":  with(stages(step(nil)), "facts", []object{{"path": "revision", "value": "v2", "steps": []string{"none"}}}),
		"fact-of-other": with(stages(step(nil)), "facts", []object{{"address": "test/other", "path": "revision", "steps": []string{"x"}}}),
		"left-member":   with(stages(step(nil)), "fleet", object{"members": []string{"a"}}),
		"fleet-fact": object{"fleet": object{"members": []string{"a"}}, "facts": []object{{"path": "revision", "value": "v2", "steps": []string{"x"}}},
			"stages": []object{{"title": "t", "each": object{"from": 0, "to": 1}, "steps": []object{step(nil)}}}},
		"own-gate":      ownGate,
		"unknown-field": stages(step(object{"retries": 3})),
		"null-arg":      stages(step(object{"args": object{"x": nil}})),
		"own-digest":    stages(step(object{"args": object{"settings_sha256": "x"}})),
		"bad-output":    stages(step(object{"outputs": object{"x": "secret"}})),
	}
}
