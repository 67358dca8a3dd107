package jsonexec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/astern-dev/astern/internal/pattern"
)

// The program "fleet" answers every call. Its world is a folder: release-REV are releases, member-NAME hold what each
// member runs, fence the newest fence, and act-TOKEN what a step found there before it.
var fleetMembers = []string{"a", "b"}

func newFleet(t testing.TB, folder string) {
	t.Helper()
	for name, text := range map[string]string{"release-v1": "h1", "release-v2": "h2", "member-a": "v2", "member-b": "v2", "fence": "0"} {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
}

func read(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}

func fleet(text []byte) any {
	var r asked
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&r); err != nil || r.Astern != 1 {
		return object{"error": object{"code": "invalid", "message": "I don't understand the question"}}
	}
	if r.Component.Config["limit"] != "9007199254740993" {
		return object{"error": object{"code": "invalid", "message": "the configuration lost a digit"}}
	}
	if bad := forged(r); bad != "" {
		return object{"error": object{"code": "invalid", "message": bad}}
	}
	answer := map[string]func(asked) any{"observe": fleetObserve, "targets": fleetTargets, "route": fleetRoute, "undo": fleetUndo,
		"before": fleetBefore, "start": fleetStart, "find": fleetFind, "poll": fleetPoll}[r.Call](r)
	if e, ok := answer.(error); ok {
		return object{"error": object{"code": "refused", "message": e.Error() + told(), "hint": told()}}
	}
	return object{"ok": answer}
}

// told is the key that the program was given, as a careless one tells it: on its standard error, and in what it says.
func told() string {
	key := os.Getenv("KEY")
	fmt.Fprintln(os.Stderr, "KEY="+key)
	return ", by the key " + key
}

var tokenShape = pattern.New(`^dt-[0-9-]+$`) // of the suite

// forged says what of a step is none of this program's.
func forged(r asked) string {
	switch s := r.Step; {
	case !slices.Contains([]string{"undo", "before", "start", "find", "poll"}, r.Call): // there is no step
	case s.Verb != "move":
		return "there is no such verb"
	case !slices.Contains(fleetMembers, memberOf(r)):
		return "there is no such member"
	case !tokenShape.MatchString(s.Token) || r.Op.Handle != nil && !tokenShape.MatchString(r.Op.Handle["token"]):
		return "that is no token"
	}
	return ""
}

type no string

func (n no) Error() string { return string(n) }

func fleetObserve(asked) any {
	values, revisions := object{"told": told()}, object{}
	var running []string
	files, _ := filepath.Glob("*")
	for _, name := range files {
		if rev, ok := strings.CutPrefix(name, "release-"); ok {
			revisions[rev] = object{"hash": read(name)}
		}
		if member, ok := strings.CutPrefix(name, "member-"); ok {
			values[member+"/link"] = read(name)
			running = append(running, read(name))
		}
	}
	slices.Sort(running)
	return object{"revision": strings.Join(slices.Compact(running), "+"), "revisions": revisions, "values": values}
}

func fleetTargets(r asked) any {
	targets := []object{}
	for _, d := range r.History.Deployments {
		e := object{"what": "the release is there" + told(), "readiness": "ready"}
		if v, ok := r.State.Values["release/"+d.Revision]; !ok || v.Text != d.Hash {
			e = object{"what": "the release is gone", "readiness": "broken"}
		}
		targets = append(targets, object{"revision": d.Revision, "evidence": []object{e}})
	}
	return object{"targets": targets}
}

func fleetRoute(r asked) any {
	if _, ok := r.State.Values["release/"+r.Target.Revision]; !ok {
		return no("there is no such release")
	}
	step := object{"id": "move", "verb": "move", "title": "move {member}" + told(), "command": "move {member}" + told(), "args": object{"revision": r.Target.Revision}, "undo": "inverse",
		"sets":    []object{{"path": "{member}/link", "value": r.Target.Revision}},
		"outputs": object{"was": "string"}}
	wait := object{"id": "ready", "kind": "check", "verb": "wait", "args": object{"check": "health"}, "undo": "none needed",
		"command": "curl http://{member}/health", "guards": []string{"move"}}
	first := (len(fleetMembers)*r.Options.Percent + 99) / 100
	stages := []object{{"title": "first", "each": object{"from": 0, "to": first}, "steps": []object{step, wait}}}
	if first < len(fleetMembers) {
		stages = append(stages, object{"title": "rest", "each": object{"from": first, "to": len(fleetMembers)}, "steps": []object{step, wait}})
	}
	return object{"stages": stages, "fleet": object{"members": fleetMembers},
		"facts": []object{{"path": "{member}/link", "value": r.State.Values["revision"].Text, "steps": []string{"move"}}}}
}

func fleetUndo(r asked) any {
	member, back := memberOf(r), r.Step.Image["was"]
	return object{"steps": []object{{"id": "move", "verb": "move", "args": object{"revision": back, "member": member}, "undo": "inverse",
		"sets": []object{{"path": member + "/link", "value": back}}, "outputs": object{"was": "string"}}}}
}

// memberOf returns the member of the step's lane, or the one that a step of an undo names.
func memberOf(r asked) string {
	if r.Step.Member != "" {
		return r.Step.Member
	}
	return r.Step.Args["member"]
}

func fleetBefore(r asked) any {
	return object{"image": object{"was": read("member-" + memberOf(r))}}
}

func fleetStart(r asked) any {
	newest, _ := strconv.ParseInt(read("fence"), 10, 64)
	if r.Step.Fence < newest {
		return no("a newer execution was here")
	}
	if read("release-"+r.Step.Args["revision"]) == "" {
		return no("there is no such release")
	}
	for name, text := range map[string]string{"fence": strconv.FormatInt(r.Step.Fence, 10), "act-" + r.Step.Token: r.Step.Image["was"],
		"member-" + memberOf(r): r.Step.Args["revision"]} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return object{"status": "running", "handle": object{"token": r.Step.Token}, "progress": "on its\nway" + told(), "poll_seconds": 0.01}
}

func fleetFind(r asked) any {
	if was := read("act-" + r.Step.Token); was != "" {
		return object{"answer": "yes", "op": object{"outputs": object{"was": was}}}
	}
	return object{"answer": "no"}
}

func fleetPoll(r asked) any {
	return object{"status": "done", "outputs": object{"was": read("act-" + r.Op.Handle["token"])}}
}
