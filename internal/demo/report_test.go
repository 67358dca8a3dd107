package demo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/webshop/load"
)

func TestBakes(t *testing.T) {
	for _, c := range []struct {
		name, document string
		want           bool
	}{
		{"not yet at the gate", `{"steps":[{"id":"2.swap@a","status":"done"},{"id":"3.swap@b","status":"pending"}],"gates":[{"bake_seconds":5,"results":[]}]}`, false},
		{"gate is open", `{"steps":[{"id":"2.swap@a","status":"done"},{"id":"3.swap@b","status":"pending"}],"gates":[{"bake_seconds":5,"baked_seconds":5,"open":true}]}`, false},
		{"nothing begun", `{"steps":[{"id":"1.latch","status":"done"},{"id":"2.swap@a","status":"pending"},{"id":"3.swap@b","status":"pending"}],"gates":[{"bake_seconds":5,"baked_seconds":1}]}`, false},
		{"first wave runs", `{"steps":[{"id":"2.swap@a","status":"done"},{"id":"2.restart@a","status":"running"},{"id":"3.swap@b","status":"pending"}],"gates":[{"bake_seconds":5,"baked_seconds":1}]}`, false},
		{"between two steps", `{"steps":[{"id":"2.swap@a","status":"done"},{"id":"2.restart@a","status":"pending"},{"id":"3.swap@b","status":"pending"}],"gates":[{"bake_seconds":5,"baked_seconds":1}]}`, false},
		{"bakes", `{"steps":[{"id":"1.latch","status":"done"},{"id":"2.swap@a","status":"done"},{"id":"2.restart@a","status":"done"},{"id":"3.swap@b","status":"pending"},{"id":"4.record","status":"pending"}],"gates":[{"bake_seconds":5,"baked_seconds":1}]}`, true},
		{"in doubt", `{"steps":[{"id":"2.swap@a","status":"done"},{"id":"3.swap@b","status":"in doubt"}],"gates":[{"bake_seconds":5,"baked_seconds":1}]}`, false},
		{"all done", `{"steps":[{"id":"2.swap@a","status":"done"},{"id":"3.swap@b","status":"done"}],"gates":[{"bake_seconds":5,"baked_seconds":1}]}`, false},
		{"no fleet", `{"steps":[{"id":"1.swap","status":"done"},{"id":"2.swap","status":"pending"}],"gates":[{"bake_seconds":5,"baked_seconds":1}]}`, false},
	} {
		s, err := decode[shown]("astern show", []byte(c.document))
		if err != nil {
			t.Fatal(err)
		}
		if s.bakes() != c.want {
			t.Errorf("%s: %t", c.name, !c.want)
		}
	}
	if _, err := decode[shown]("astern show", []byte("not JSON")); err == nil || !strings.Contains(err.Error(), "astern show") {
		t.Errorf("got %v", err)
	}
}

func TestRunningExecution(t *testing.T) {
	e, err := decode[executions]("astern executions", []byte(`{"kind":"Executions","version":1,"executions":[{"execution":{"id":"x-2"}},{"execution":{"id":"x-1","outcome":"done"}}]}`))
	if err != nil || e.running() != "x-2" {
		t.Errorf("got %q, %v", e.running(), err)
	}
	if (executions{}).running() != "" {
		t.Error("an execution out of nothing")
	}
}

func sample() Report {
	return Report{Kind: "Demo", Version: 1, Stories: []Story{
		{Name: "bad-release", OK: true, NoticeSeconds: 2, Phases: astern.Phases{DecideSeconds: 0.2, ExecuteSeconds: 2.5, SettleSeconds: 9.1, ProveSeconds: 3},
			TotalSeconds: 21.5, Requests: load.Figures{Total: 2150, Failed: 60, Slow: 120}, FailedPercent: Shares{0, 4, 0},
			Stages:   []Stage{{What: "before the fault", Seconds: 3, Requests: load.Figures{Total: 300}}},
			Findings: []Finding{{What: "astern check shop exits with 4", OK: true, Saw: "exit code 4", command: true}, {What: "every shop runs v1.2.2", OK: true, Saw: "shop-1 v1.2.2"}}},
		{Name: "whole-system", Findings: []Finding{{What: "astern rollback exits with 0", Saw: "exit code 3", command: true}}},
	}}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `
         story   ok  notice  decide  approve  execute  settle  prove  fault to proven  requests  failed  before  during  after
   bad-release  yes   2.0 s   0.2 s    0.0 s    2.5 s   9.1 s  3.0 s           21.5 s      2150      60   0.0 %   4.0 %  0.0 %
  whole-system   NO   0.0 s   0.0 s    0.0 s    0.0 s   0.0 s  0.0 s            0.0 s         0       0   0.0 %   0.0 %  0.0 %

The last three columns are the share of requests that failed.

bad-release
  before the fault    3.0 s    300 requests     0 lost    0.0 %     0 slow
  yes  every shop runs v1.2.2  shop-1 v1.2.2
  yes  1 astern commands exited with the code that they should

whole-system
  NO   astern rollback exits with 0  exit code 3
  yes  0 astern commands exited with the code that they should
`
	// Columns end in spaces that nobody sees.
	var got []string
	for _, l := range strings.Split(b.String(), "\n") {
		got = append(got, strings.TrimRight(l, " "))
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"kind":"Demo","version":1,"stories":[{"name":"bad-release","ok":true,`,
		`"phases":{"decide_seconds":0.2,"approve_seconds":0,"execute_seconds":2.5,"settle_seconds":9.1,"prove_seconds":3}`,
		`"requests":{"total":2150,"failed":60,"slow":120}`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("misses %s: %s", want, b.String())
		}
	}
	if strings.Count(b.String(), "\n") != 1 {
		t.Error("it is not one line")
	}
	if sample().OK() || (Report{}).OK() {
		t.Error("a story that is not OK, or not told, makes a good demo")
	}
}

func TestIncidentInReport(t *testing.T) {
	in := Incident{ID: "inc-1", NoticedSeconds: 7.04, PlannedSeconds: 7.2, FirstStepSeconds: 7.31, FirstBackSeconds: 9, AllBackSeconds: 12.5, ProvenSeconds: 24, Report: "/r/a.html"}
	want := "inc-1: the fault began at 0.0 s, noticed 7.0 s, planned 7.2 s, first step 7.3 s, first instance back 9.0 s, all back 12.5 s, proven 24.0 s; report: /r/a.html"
	if in.String() != want {
		t.Errorf("got %s", in)
	}
	if got := (Incident{ID: "inc-2", NoticedSeconds: 3}).String(); got != "inc-2: the fault began at 0.0 s, noticed 3.0 s" {
		t.Errorf("got %s", got)
	}
	var b bytes.Buffer
	r := Report{Kind: "Demo", Version: 1, Stories: []Story{{Name: "auto-rollback", OK: true, Incident: &in, Requests: load.Figures{Total: 2689, Failed: 49}}}}
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "\nauto-rollback\n  "+want+"\n  49 of 2689 requests failed from the fault to its end\n") {
		t.Errorf("%v: %s", err, b.String())
	}
}

// A story that could not be told is named, with its reason, and the others make a good demo.
func TestStoryLeftOut(t *testing.T) {
	r := Report{Kind: "Demo", Version: 1, LeftOut: []LeftOut{{Name: awsRelease, Because: "there is no moto_server"}}}
	for range stories - 1 {
		r.Stories = append(r.Stories, Story{Name: "told", OK: true})
	}
	if !r.OK() {
		t.Error("five stories that ended well, and one left out, are no good demo")
	}
	var table, document bytes.Buffer
	if err := errors.Join(r.WriteTable(&table), r.WriteJSON(&document)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "The story aws-release was left out: there is no moto_server") ||
		!strings.Contains(document.String(), `"left_out":[{"name":"aws-release","because":"there is no moto_server"}]`) {
		t.Errorf("%s\n%s", table.String(), document.String())
	}
	if r.Stories = r.Stories[1:]; r.OK() {
		t.Error("a story that was neither told nor left out makes a good demo")
	}
}

// Under CI=true nothing is left out; elsewhere the story that needs an account is, where there is none.
func TestTales(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	d := &demo{timeline: newTimeline(t.Output()), source: t.TempDir()}
	for _, c := range []struct {
		ci string
		n  int
	}{{"", 1}, {"true", 0}} {
		t.Setenv("CI", c.ci)
		if out := leftOut(d.source); len(out) != c.n {
			t.Errorf("CI=%s: left out: %v", c.ci, out)
		}
	}
	bin := motoFolder(d.source)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range programs {
		if why := missing(d.source); !strings.Contains(why, name) {
			t.Errorf("without %s: %q", name, why)
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if why := missing(d.source); why != "" {
		t.Error(why)
	}
}

// What astern says of a component, and what the person's own account is, which the story must not touch.
func TestCloudDocuments(t *testing.T) {
	all, err := decode[struct{ Components []judged }]("astern check", []byte(`{"components":[{"address":"production/api","best":"api:1","findings":["late"],`+
		`"targets":[{"revision":"api:1","readiness":"ready","doors":[{"deployments":3,"what":"x"},{"at":"2026-12-06T00:00:00Z","what":"y"},{"at":"2026-12-05T00:00:00Z","what":"z"}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	j := all.Components[0]
	if j.String() != "back to api:1; late" || j.readiness("api:1") != astern.Ready || j.readiness("api:2") != "" || j.closes("api:1").Day() != 5 || !j.closes("api:2").IsZero() {
		t.Errorf("%s, %s, %s", j, j.readiness("api:1"), j.closes("api:1"))
	}
	t.Setenv("AWS_PROFILE", "mine")
	t.Setenv("AWS_SESSION_TOKEN", "mine")
	c := &cloud{folder: "/demo", url: "http://127.0.0.1:1"}
	env := strings.Join(c.environment(), "\n")
	if strings.Contains(env, "mine") || !strings.Contains(env, "AWS_ENDPOINT_URL=http://127.0.0.1:1") || !strings.Contains(env, marker+"=/demo") {
		t.Error(env)
	}
}

// What astern watch prints comes in pieces; what is no event of it is told, and ends the story that waits for one.
func TestVigilReadsLines(t *testing.T) {
	var out bytes.Buffer
	v := &vigil{timeline: newTimeline(&out), ended: make(chan struct{})}
	for _, part := range []string{`{"at":"2026-11-21T12:00:05Z","address":"production/shop","kind":"watch`, "ing\",\"text\":\"three signals\"}\n",
		`{"at":"2026-11-21T12:00:07Z","address":"production/shop","kind":"noticed","text":"worse","incident":"inc-1"}` + "\n" + `{"at":`} {
		if n, err := v.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	at := time.Date(2026, 11, 21, 12, 0, 5, 0, time.UTC)
	if got := v.since(at, watching, noticed); len(got) != 2 || got[1].Incident != "inc-1" {
		t.Errorf("heard %+v", got)
	}
	if got := v.since(at.Add(time.Second), watching); len(got) != 0 {
		t.Errorf("heard again %+v", got)
	}
	if !strings.Contains(out.String(), "watch: production/shop: noticed: worse\n") {
		t.Error(out.String())
	}
	d := &demo{vigil: v, timeline: v.timeline}
	said, err := (&telling{demo: d}).says(t.Context(), time.Minute, at, noticed, "production/shop")
	if err != nil || said.Incident != "inc-1" || v.over() != nil {
		t.Errorf("%+v, %v, %v", said, err, v.over())
	}
	if _, err := v.Write([]byte("12}\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := (&telling{demo: d}).says(t.Context(), time.Minute, at, acted, "production/shop"); err == nil || !strings.Contains(err.Error(), `{\"at\":12}`) {
		t.Errorf("what was printed is no event, but: %v", err)
	}
	v.wrong, v.code = nil, 7
	close(v.ended)
	if _, err := (&telling{demo: d}).says(t.Context(), time.Minute, at, acted, "production/shop"); err == nil || !strings.Contains(err.Error(), "exit code 7") {
		t.Errorf("the watch has ended, but: %v", err)
	}
}

func TestTimelineQuotes(t *testing.T) {
	var b bytes.Buffer
	l := newTimeline(&b)
	l.began = time.Now()
	q := l.quote()
	for _, p := range []string{"one\ntw", "o\n", strings.Repeat("line\n", quoteLines), "last"} {
		if n, err := q.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	q.flush()
	text := b.String()
	if !strings.HasPrefix(text, "          | one\n          | two\n") || !strings.HasSuffix(text, "| … 3 more lines\n") {
		t.Error(text)
	}
	if got := typed([]string{"record", "--reason", "it's bad", ""}); got != `record --reason 'it'\''s bad' ''` {
		t.Error(got)
	}
}
