package view

import (
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
)

func TestWords(t *testing.T) {
	st := Style{Now: now}
	in := func(d time.Duration) *time.Time { x := now.Add(d); return &x }
	for _, x := range []struct{ got, want string }{
		{seconds(0), "0 s"}, {seconds(0.42), "0.4 s"}, {seconds(0.01), "0 s"}, {seconds(9.96), "10 s"}, {seconds(48), "48 s"}, {seconds(59.7), "1 min"},
		{seconds(130), "2 min 10 s"}, {seconds(3600), "1 h"}, {seconds(3*3600 + 301), "3 h 5 min"}, {seconds(2*86400 + 4*3600), "2 d 4 h"},
		{seconds(-1), "unknown"}, {seconds(math.NaN()), "unknown"},
		{st.age(ago(0)), "now"}, {st.age(ago(12 * time.Second)), "12 s ago"}, {st.age(ago(90 * time.Second)), "1 min ago"}, {st.age(ago(47 * time.Hour)), "47 h ago"},
		{st.age(ago(3 * day)), "3 d ago"}, {st.age(ago(-3 * day)), "in 3 d"}, {st.age(time.Time{}), "-"}, {st.ageOf(nil), "-"},
		{estimate(measured), "~2 min (9 runs, 1 min 40 s to 3 min)"}, {estimate(astern.Estimate{MedianSeconds: 60}), "~1 min (guess)"},
		{estimate(astern.Estimate{MedianSeconds: 60, Runs: 1, LowSeconds: 60, HighSeconds: 60}), "~1 min (1 run)"}, {estimate(astern.Estimate{}), "unknown"},
		{lossWords(nil), "nothing"}, {lossWords([]astern.Loss{{Unit: "rows"}}), "nothing"},
		{lossWords([]astern.Loss{{Unit: "rows", Count: 1204}, {Unit: "seconds", Count: 660}}), "1 204 rows, 11 min of writes"},
		{lossWords([]astern.Loss{{Unit: "items", Count: 1}, {Unit: "bytes", Count: 999_960}}), "1 item, 1.0 MB"},
		{count(-1234567), "-1 234 567"}, {plural(1, "row"), "1 row"}, {approvals(2), "2 other people"},
		{st.door(astern.Door{Deployments: 1, What: "keeps 5"}), "with the next deployment (keeps 5)"}, {st.door(astern.Door{At: in(3 * day), What: "PITR window"}), "in 3 d (PITR window)"},
		{st.door(astern.Door{At: in(-day)}), "closed 24 h ago"}, {st.door(astern.Door{What: "somebody prunes"}), "somebody prunes"},
		{readiness("").s, "? unknown"}, {readiness("READY").s, "? unknown"}, {verdict("").s, "? unknown"},
		{list([]string{"a", "b", "c", "d"}, 2), "a, b and 2 more"}, {list([]string{"a", "b", "c"}, 2), "a, b, c"},
		{mdStart("1. a"), `1\. a`}, {mdStart("- a"), `\- a`}, {md("a|b <i> *x*"), `a\|b &lt;i&gt; \*x\*`}, {mdCode("a`b"), "``a`b``"}, {mdCode("`"), "`` ` ``"},
		{quote("it's"), `'it'\''s'`}, {quote(""), "''"}, {quote("a-b/c"), "a-b/c"},
		{checkCommand(astern.Check{TCP: &astern.TCPCheck{Address: "[::1]:80"}}), "nc -z -w 1 ::1 80"},
		{PlanTitle(astern.Plan{Intent: astern.Intent{Verb: astern.VerbRollback, Moment: in(0)}, Moves: make([]astern.Move, 2)}), "rollback 2 components to 2025-03-04 03:12:00 UTC"},
		{PlanTitle(astern.Plan{Intent: astern.Intent{Verb: astern.VerbUndo, Execution: "e-9"}}), "undo e-9"},
	} {
		if x.got != x.want {
			t.Errorf("got %q, want %q", x.got, x.want)
		}
	}
}

func TestUseColor(t *testing.T) {
	for _, x := range []struct {
		mode ColorMode
		env  string
		tty  bool
		want bool
	}{
		{ColorAuto, "", true, true}, {ColorAuto, "", false, false}, {ColorAuto, "NO_COLOR=1", true, false}, {ColorAuto, "NO_COLOR=", true, true},
		{ColorAuto, "CLICOLOR_FORCE=1", false, true}, {ColorAuto, "CLICOLOR_FORCE=0", false, false}, {ColorAuto, "CLICOLOR=0", true, false},
		{ColorAuto, "TERM=dumb", true, false}, {ColorAlways, "NO_COLOR=1", false, true}, {ColorNever, "CLICOLOR_FORCE=1", true, false},
		{ColorAuto, "NO_COLOR=1 CLICOLOR_FORCE=1", true, false},
	} {
		getenv := func(name string) string {
			for _, kv := range strings.Fields(x.env) {
				if k, v, _ := strings.Cut(kv, "="); k == name {
					return v
				}
			}
			return ""
		}
		if got := UseColor(x.mode, getenv, x.tty); got != x.want {
			t.Errorf("UseColor(%s, %s, %v) = %v", x.mode, x.env, x.tty, got)
		}
	}
	if _, err := ParseColorMode("sometimes"); astern.CodeOf(err) != astern.Invalid || astern.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if m, err := ParseColorMode(""); m != ColorAuto || err != nil {
		t.Errorf("got %v, %v", m, err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, w := range []io.Writer{f, io.Discard} {
		if st, live := StyleFor(w, ColorAuto, func(string) string { return "" }, now); live || st.Color || st.width() != 80 {
			t.Errorf("got %+v, %v for what is no terminal", st, live)
		}
	}
}

// Wrapping loses nothing but spaces, keeps to the width, and cutting does too.
func TestWrapProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := clean(rapid.StringOf(rapid.RuneFrom([]rune("ab 1\t日é\u0301-😀"))).Draw(t, "text"))
		width := rapid.IntRange(2, 20).Draw(t, "width")
		var got strings.Builder
		for _, l := range tx(strong(s), "z").wrap(width) {
			if l.width() > width {
				t.Fatalf("%q is wider than %d", l.plain(), width)
			}
			got.WriteString(l.plain())
		}
		if squeeze(got.String()) != squeeze(s+"z") {
			t.Fatalf("%q became %q", s+"z", got.String())
		}
		if c := tx(s).cut(width); c.width() > width {
			t.Fatalf("cut: %q is wider than %d", c.plain(), width)
		}
	})
}

func squeeze(s string) string { return strings.ReplaceAll(s, " ", "") }

type brokenWriter struct{}

var errPipe = errors.New("broken pipe")

func (brokenWriter) Write([]byte) (int, error) { return 0, errPipe }

func TestWriterErrorIsReturned(t *testing.T) {
	for _, r := range renderings() {
		if err := r.render(brokenWriter{}, Style{Now: now}); !errors.Is(err, errPipe) {
			t.Errorf("%s: got %v", r.name, err)
		}
	}
	p := NewProgress(brokenWriter{}, Style{Now: now}, shopPlan(), true)
	p.Event(shopRecords()[0])
	if err := errors.Join(p.Close(), JSON(brokenWriter{}, 1), YAML(brokenWriter{}, 1)); !errors.Is(err, errPipe) {
		t.Errorf("got %v", err)
	}
}
