package sitedir

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// steps returns the calls of the way to a revision.
func (l *lab) steps(verb astern.Verb, rev string, change *astern.ObjectChange) []astern.Call {
	l.Helper()
	var names []string
	if change != nil {
		names = []string{change.Object}
	}
	s := l.observe(names...)
	d, _ := l.history.Of(rev)
	t := astern.Target{Address: l.c.Address(), Revision: rev, Hash: d.Hash}
	if change != nil {
		var err error
		if t, err = l.driver.Picker.Pick(l.c, s, *change); err != nil {
			l.Fatal(err)
		}
	}
	route, err := l.driver.Router.Route(l.c, s, t, astern.Options{Verb: verb, Percent: 100, Object: change})
	if err != nil {
		l.Fatal(err)
	}
	var out []astern.Call
	for _, st := range route.Stages {
		for _, s := range st.Steps {
			out = append(out, astern.Call{Execution: "ex-1", Step: s.ID, Address: s.Address, Kind: s.Kind, Verb: s.Verb, Args: s.Args,
				Token: "tok-" + s.ID, Fence: 1})
		}
	}
	return out
}

// carry carries calls out, and returns the first that is not done.
func (l *lab) carry(calls []astern.Call) (astern.Call, astern.Op) {
	l.Helper()
	outputs := map[string]map[string]astern.Arg{}
	for _, call := range calls {
		for name, a := range call.Args {
			if a.Ref != nil {
				call.Args[name] = outputs[a.Ref.From][a.Ref.Output]
			}
		}
		image, err := l.driver.Actor.Before(l.Context(), call)
		if err != nil {
			l.Fatal(err)
		}
		call.Image = image
		op := l.driver.Actor.Start(l.Context(), call)
		if op.Status != astern.OpDone {
			return call, op
		}
		outputs[call.Step] = op.Outputs
	}
	return astern.Call{}, astern.Op{Status: astern.OpDone}
}

func (l *lab) must(verb astern.Verb, rev string, change *astern.ObjectChange) {
	l.Helper()
	if call, op := l.carry(l.steps(verb, rev, change)); op.Status != astern.OpDone {
		l.Fatalf("%s: %s: %s (%s)", call.Step, op.Status, op.Error, op.Hint)
	}
}

// Whoever asks for a page at any time gets one, and whatever that page asks for, then and for as long as it is open.
func TestOpenPagesKeepWorking(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, nil)
	ctx, cancel := context.WithCancel(t.Context())
	pages := make(chan map[string]int)
	go func() {
		seen := map[string]int{}
		for ctx.Err() == nil {
			page := l.read("current/index.html")
			seen[page]++
			asset := map[string]string{"one": "js 1", "two": "js 2"}[page]
			n := strings.TrimPrefix(asset, "js ")
			for range 3 { // the page is open for a while
				if got := l.read("current/assets/app." + n + ".js"); got != asset || asset == "" {
					seen[fmt.Sprintf("page %q got %q", page, got)]++
				}
			}
		}
		pages <- seen
	}()
	l.must(astern.VerbRollback, "v1", nil)
	l.must(astern.VerbDeploy, "v2", nil)
	l.must(astern.VerbRollback, "v1", nil)
	cancel()
	seen := <-pages
	if len(seen) != 2 || seen["one"] == 0 || seen["two"] == 0 {
		t.Errorf("pages and what they got: %v", seen)
	}
	if got := l.read("current/assets/app.2.js"); got != "js 2" {
		t.Errorf("what v2 asks for is %q", got)
	}
	l.must(astern.VerbRedeploy, "v1", nil)
	if _, err := os.Stat(l.at("current/assets/app.2.js")); err == nil {
		t.Error("after the redeployment what v2 asks for is still served")
	}
	views, _ := filepath.Glob(l.at("served/*"))
	if len(views) != 2 {
		t.Errorf("after the redeployment there are %v, not what is served and what was before", views)
	}
}

// What was put together is what the release holds, with all names.
func TestOddNames(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, nil)
	l.must(astern.VerbRollback, "v1", nil)
	for _, name := range append(odd[2:], odd[0], "..hidden/x") {
		if l.read("current/"+name) != l.read("releases/v1/"+name) || l.read("current/"+name) == "" {
			t.Errorf("%q is not served", name)
		}
	}
	if _, err := os.Stat(l.at("pwned")); err == nil {
		t.Error("a name was run as a command")
	}
}

// One file goes back, and what was served stays a release that can be gone back to.
func TestPick(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, nil)
	change := &astern.ObjectChange{Object: "logo.svg", Revision: "v1"}
	calls := l.steps(astern.VerbRollback, "", change)
	if _, op := l.carry(calls); op.Status != astern.OpDone {
		t.Fatal(op)
	}
	if l.read("current/logo.svg") != "old logo" || l.read("current/index.html") != "two" {
		t.Errorf("served is %q with %q", l.read("current/index.html"), l.read("current/logo.svg"))
	}
	s := l.observe()
	rev := s.Values["revision"].Text
	if !strings.HasPrefix(rev, "v2-o") || s.Values["manifest/"+rev].Text != s.Values["release/"+rev].Text {
		t.Errorf("the release is %q with the manifest %q", rev, s.Values["manifest/"+rev])
	}
	if f := l.driver.Actor.Find(t.Context(), calls[0]); f.Answer != astern.FoundYes {
		t.Errorf("the release that was made is not found: %+v", f)
	}
	again := l.observe("logo.svg")
	if _, err := l.driver.Picker.Pick(l.c, again, *change); astern.CodeOf(err) != astern.Refused {
		t.Errorf("the same once more: %v", err)
	}
	third, err := l.driver.Picker.Pick(l.c, again, astern.ObjectChange{Object: "logo.svg", Revision: "v2"})
	if err != nil || strings.Count(third.Revision, "-o") != 1 {
		t.Errorf("names grow: %q, %v", third.Revision, err)
	}
}

// What somebody else changes in the middle is seen by the step that would rest on it.
func TestChangedInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step   string
		change func(l *lab)
		want   string
	}{
		"the release":            {verbPut, func(l *lab) { l.write("releases/v1/logo.svg", "evil") }, "were changed"},
		"the link":               {verbSwitch, func(l *lab) { l.symlink("current", "releases/v9") }, "not as it was"},
		"the link is now a file": {verbSwitch, func(l *lab) { os.Remove(l.at("current")); l.write("current", "x") }, "no symbolic link"},
		"served leads elsewhere": {verbPut, func(l *lab) { l.symlink("served", os.TempDir()) }, "leads out of"},
		"a newer execution":      {verbSwitch, func(l *lab) { l.write(".astern.lock", `{"fence":9,"execution":"ex-9"}`+"\n") }, "ex-9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, false, nil)
			for _, call := range l.steps(astern.VerbRollback, "v1", nil) {
				if call.Verb == c.step {
					c.change(l)
				}
				_, op := l.carry([]astern.Call{call})
				if call.Verb == c.step {
					if op.Status != astern.OpFailed || !strings.Contains(op.Error, c.want) {
						t.Errorf("%s: %+v", call.Step, op)
					}
					return
				}
				if op.Status != astern.OpDone {
					t.Fatalf("%s: %+v", call.Step, op)
				}
			}
		})
	}
}

// A step that was killed half-way leaves nothing that is served, and the next attempt makes the whole.
func TestKilledHalfWay(t *testing.T) {
	t.Parallel()
	l := newLab(t, false, nil)
	for i := range 3000 {
		l.write(fmt.Sprintf("releases/v1/many/%d/file %d.txt", i%30, i), fmt.Sprint(i))
	}
	l.history.Deployments = nil
	calls := l.steps(astern.VerbRollback, "v1", nil)
	var put astern.Call
	for _, call := range calls {
		if call.Verb == verbPut {
			put = call
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan astern.Op)
	go func() { done <- l.driver.Actor.Start(ctx, put) }()
	for {
		if found, _ := filepath.Glob(l.at("served/.partial-*/many/*")); len(found) > 3 {
			break
		}
		select {
		case op := <-done:
			t.Fatalf("the copy was faster than the test: %+v", op)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if op := <-done; op.Status == astern.OpDone {
		t.Fatalf("it was not killed: %+v", op)
	}
	if f := l.driver.Actor.Find(t.Context(), put); f.Answer != astern.FoundNo {
		t.Errorf("half of it is found: %+v", f)
	}
	if got := l.observe("").Values["revision"].Text; got != "v2" {
		t.Errorf("served is %q", got)
	}
	put.Token = "second"
	if _, op := l.carry([]astern.Call{put, calls[len(calls)-1]}); op.Status != astern.OpDone {
		t.Fatalf("the second attempt: %+v", op)
	}
	if left, _ := filepath.Glob(l.at("served/.partial-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if got := l.read("current/many/29/file 2999.txt"); got != "2999" {
		t.Errorf("the last file is %q", got)
	}
}

// The site is asked for its entry points: content and cache header.
func TestProve(t *testing.T) {
	t.Parallel()
	var l *lab
	stale, header := false, "no-cache"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", header)
		if l == nil {
			return // it is being made
		}
		if stale {
			w.Header().Set("Age", "90")
			fmt.Fprint(w, "two")
			return
		}
		http.FileServer(http.Dir(l.at("current"))).ServeHTTP(w, r)
	}))
	defer server.Close()
	l = newLab(t, false, func(s *Settings) { s.URL, s.CacheControl = server.URL, "no-cache" })
	calls := l.steps(astern.VerbRollback, "v1", nil)
	prove := calls[len(calls)-1]
	if _, op := l.carry(calls); prove.Verb != verbProve || op.Status != astern.OpDone {
		t.Fatalf("%+v", op)
	}
	ask := func(want astern.OpStatus, text string) {
		t.Helper()
		if op := l.driver.Actor.Start(t.Context(), prove); op.Status != want || !strings.Contains(op.Progress+op.Error, text) {
			t.Errorf("%+v", op)
		}
	}
	foretold := func(text string) {
		t.Helper()
		values := l.observe().Values
		if problem := values["site-problem"].Text + values["site-wrong"].Text; !strings.Contains(problem, text) || text == "" && problem != "" {
			t.Errorf("before a switch it is said: %q", problem)
		}
	}
	foretold("")
	stale = true
	foretold("other content than what is served has, of age 90")
	ask(astern.OpRunning, "other content than v1 has, of age 90")
	prove.Deadline = time.Now().Add(-time.Second)
	ask(astern.OpFailed, "other content")
	stale, header = false, "max-age=31536000"
	foretold("Cache-Control: max-age=31536000")
	ask(astern.OpFailed, "Cache-Control: max-age=31536000")
	server.Close()
	foretold("refused")
	ask(astern.OpFailed, "refused")
}
