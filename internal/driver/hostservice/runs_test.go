package hostservice

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

func TestRuns(t *testing.T) {
	put := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	link := linkSeen{revision: "v2", changed: put}
	younger, older := put.Add(time.Minute), put.Add(-time.Minute)
	swap := func(from, to, process string) HistoryLine {
		return HistoryLine{Instances: []string{"a"}, From: from, Revision: to, Processes: map[string]string{"a": process}}
	}
	for name, c := range map[string]struct {
		p       process
		link    linkSeen
		history []HistoryLine
		want    string
		unknown string
	}{
		"linked before it was started":        {process{started: younger}, link, nil, "v2", ""},
		"linked after it was started":         {process{started: older}, link, nil, "", "nothing tells"},
		"the same moment":                     {process{started: put.Add(-sameMoment / 2)}, link, nil, "v2", ""},
		"no age is known":                     {process{}, link, nil, "v2", ""},
		"no time of the link is known":        {process{started: older}, linkSeen{revision: "v2"}, nil, "v2", ""},
		"its program is in a release":         {process{exe: "/real/releases/v1/bin/x", started: younger}, link, nil, "v1", ""},
		"its program was removed":             {process{exe: "/real/releases/v1/x (deleted)", started: older}, link, nil, "v1", ""},
		"its program is beside the releases":  {process{exe: "/real/releasesv1/x", started: younger}, link, nil, "v2", ""},
		"its program is among them":           {process{exe: "/real/releases/.partial-x/x", started: younger}, link, nil, "v2", ""},
		"it works in a release":               {process{cwd: "/real/releases/v1", started: older}, link, nil, "v1", ""},
		"it works in the linked one":          {process{cwd: "/real/releases/v2/data", started: older}, link, nil, "v2", ""},
		"it works in another and is younger":  {process{cwd: "/real/releases/v1", started: younger}, link, nil, "", "works in v1"},
		"it works in another, same moment":    {process{cwd: "/real/releases/v1", started: put.Add(sameMoment / 2)}, link, nil, "v1", ""},
		"it works in another, no age":         {process{cwd: "/real/releases/v1"}, link, nil, "v1", ""},
		"no link":                             {process{started: older}, linkSeen{}, nil, "", ""},
		"no link, works in one":               {process{cwd: "/real/releases/v1"}, linkSeen{}, nil, "v1", ""},
		"there before the swap":               {process{identity: "1", started: older}, link, []HistoryLine{swap("v1", "v2", "1")}, "v1", ""},
		"there before two swaps":              {process{identity: "1"}, link, []HistoryLine{swap("v1", "v3", "1"), swap("v3", "v2", "1")}, "v1", ""},
		"there before a swap, moved by hand":  {process{identity: "1"}, link, []HistoryLine{swap("v1", "v3", "1")}, "v1", ""},
		"another was there":                   {process{identity: "2", started: younger}, link, []HistoryLine{swap("v1", "v2", "1")}, "v2", ""},
		"another was there, moved since":      {process{identity: "2", started: older}, link, []HistoryLine{swap("v1", "v3", "1")}, "", "nothing tells"},
		"another instance":                    {process{identity: "1"}, link, []HistoryLine{{Instances: []string{"b"}, From: "v1", Revision: "v2", Processes: map[string]string{"a": "1"}}}, "v2", ""},
		"none was linked":                     {process{identity: "1", started: older}, link, []HistoryLine{swap("", "v2", "1")}, "", ""},
		"the program is surer than the notes": {process{identity: "1", exe: "/real/releases/v3/x"}, link, []HistoryLine{swap("v1", "v2", "1")}, "v3", ""},
	} {
		s := newSight()
		s.real, s.history = "/real/releases", c.history
		got, unknown := s.runs("a", c.p, c.link)
		if got != c.want || (unknown == "") != (c.unknown == "") || !strings.Contains(unknown, c.unknown) {
			t.Errorf("%s: runs %q, unknown %q", name, got, unknown)
		}
	}
}

func TestTimesOfTheSystem(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	if got := startedAt("150", "2.50", now); !got.Equal(now.Add(-time.Second)) {
		t.Errorf("started at %s", got)
	}
	for _, bad := range [][2]string{{"x", "1"}, {"1", "x"}, {"-1", "1"}, {"1", "-1"}, {"1", "NaN"}, {"1", "1e300"}, {"999999999999999999", "1"}, {"", ""}} {
		if got := startedAt(bad[0], bad[1], now); !got.IsZero() {
			t.Errorf("%q: started at %s", bad, got)
		}
	}
	for text, want := range map[string]time.Time{"7": time.Unix(7, 0), "7.5\n": time.Unix(7, 5e8), "7.000000001": time.Unix(7, 1), "7.x": time.Unix(7, 0),
		"": {}, "%.9Z": {}, "-": {}} {
		if got := fromEpoch(text); !got.Equal(want) {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// olderThanItsLink waits until an instance's process is so old that a link which is put now is certainly younger.
func (l *lab) olderThanItsLink(instance string) {
	l.Helper()
	for p, ok := identityHere(fmt.Sprint(l.pid(instance))); time.Since(p.started) < sameMoment+100*time.Millisecond; {
		if !ok || p.identity == "" || l.Context().Err() != nil {
			l.Fatalf("%s does not run: %+v", instance, p)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestLinkMovedByHand moves links under processes that are not restarted: what runs, what is current and where a way starts
// follow the processes, and where these don't tell it is unknown.
func TestLinkMovedByHand(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		sleep, err := exec.LookPath("sleep")
		mk(t, err)
		program, err := os.ReadFile(sleep)
		mk(t, err)
		l.write("releases/v3/run", string(program), 0o755)
		l.link("links/a", "v3")
		l.write("releases/v4/run", "#!/bin/sh\ncd links/b && exec sleep 1004\n", 0o755)
		l.link("links/b", "v4")
		// ctl starts the release without an argument: what sleeps needs one.
		l.write("ctl", strings.Replace(l.read("ctl"), `"$link/run" &`, `"$link/run" 1003 &`, 1), 0o755)
		l.ctl("restart", "a")
		l.ctl("restart", "b")
		for _, name := range []string{"a", "b"} {
			l.olderThanItsLink(name)
			l.link("links/"+name, "v1")
		}
		s := l.observe()
		for path, want := range map[string]string{"revision": "v3+v4", "a/link": "v1", "a/runs": "v3", "b/link": "v1", "b/runs": "v4"} {
			if got := s.Values[path].String(); got != want {
				t.Errorf("%s is %s, not %s", path, got, want)
			}
		}
		if r := l.route(astern.VerbRollback, "v1", 100); r.From != "v3+v4" || len(r.Fleet.Members) != 2 {
			t.Errorf("from %s, members %q", r.From, r.Fleet.Members)
		}
		// The program of v2 lies elsewhere and works elsewhere: nothing tells.
		l.link("links/b", "v2")
		l.ctl("restart", "b")
		l.olderThanItsLink("b")
		l.link("links/b", "v1")
		s = l.observe()
		if v := s.Values["revision"]; v.Known() || !strings.Contains(v.Unknown, "b: its link was put to v1") {
			t.Errorf("what runs is %s", v)
		}
		for _, rev := range []string{"v1", "v2", "v3"} {
			if l.target(rev).Current {
				t.Errorf("%s is current", rev)
			}
		}
		r := l.route(astern.VerbRollback, "v1", 100)
		if diff := cmp.Diff([]string{"a", "b"}, r.Fleet.Members); diff != "" || r.From != "v3" {
			t.Errorf("from %q, members:\n%s", r.From, diff)
		}
		for _, c := range l.calls(r, 2) {
			l.act(c, astern.OpDone)
		}
		if got := l.value("revision"); got != "v1" {
			t.Errorf("after all of it %s runs", got)
		}
	})
}
