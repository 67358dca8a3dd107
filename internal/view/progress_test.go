package view

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// screen is a terminal that knows what Progress uses: line ends, cursor up, carriage return, and erasing below.
type screen struct {
	t             *testing.T
	width, height int
	lines         []string // scrollback and screen
	row           int
	frames        int
}

func (s *screen) Write(b []byte) (int, error) {
	s.frames++
	out := stripColours(string(b))
	for out != "" {
		switch {
		case strings.HasPrefix(out, "\x1b["):
			var n int
			if _, err := fmt.Sscanf(out, "\x1b[%dA", &n); err == nil {
				if n >= s.height {
					s.t.Errorf("cursor moved up %d of %d lines", n, s.height)
				}
				s.row -= n
				out = out[strings.Index(out, "A")+1:]
				continue
			}
			if !strings.HasPrefix(out, "\x1b[J") {
				s.t.Fatalf("unknown sequence in %q", out)
			}
			s.lines = s.lines[:s.row]
			out = out[len("\x1b[J"):]
		case out[0] == '\r':
			out = out[1:]
		default:
			line, rest, _ := strings.Cut(out, "\n")
			if w := tx(line).width(); w >= s.width {
				s.t.Errorf("%d columns of %d: %q", w, s.width, line)
			}
			s.lines = append(s.lines[:s.row], line)
			s.row++
			out = rest
		}
	}
	return len(b), nil
}

func stripColours(s string) string {
	s = strings.ReplaceAll(s, "\x1b[0m", "")
	for _, code := range theme {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", "")
	}
	return s
}

func TestProgressPlain(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, Style{Now: now}, shopPlan(), false)
	for _, r := range shopRecords() {
		p.Event(r)
		p.Tick(r.At.Add(time.Second))
	}
	p.State(StateHeld, "2.swap@shop-2 failed")
	p.State(StateHeld, "2.swap@shop-2 failed")
	p.State(StateRunning, "")
	p.Event(astern.Record{Kind: astern.RecordEnded, Outcome: astern.OutcomeDone, At: now})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "progress.txt", b.Bytes())
}

// A gate that passes again and again is told now and then, with how long it has baked.
func TestProgressPlainDoesNotRepeat(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, Style{Now: now}, shopPlan(), false)
	for i := range 61 {
		p.Event(astern.Record{Kind: astern.RecordRound, Stage: 2, Gate: true, At: now.Add(time.Duration(i) * 5 * time.Second),
			Results: []astern.CheckResult{{Check: "health@shop-1", Verdict: astern.Pass}}})
	}
	if n := strings.Count(b.String(), "gate of stage 2"); n != 11 {
		t.Errorf("%d lines in five minutes:\n%s", n, b.String())
	}
	if !strings.Contains(b.String(), "baked 5 min of 5 min") {
		t.Errorf("the bake is not told:\n%s", b.String())
	}
}

// The live view shows, after each record, the frame of that record; all of them are in one golden file.
func TestProgressLive(t *testing.T) {
	s := &screen{t: t, width: 80, height: 24}
	p := NewProgress(s, Style{Now: ago(time.Hour), Color: true}, shopPlan(), true)
	var all strings.Builder
	for _, r := range shopRecords() {
		p.Event(r)
		fmt.Fprintf(&all, "--- %s %s\n%s\n", r.Kind, r.Step, strings.Join(s.lines, "\n"))
	}
	p.Tick(now.Add(-time.Second))
	p.State(StateHeld, "2.swap@shop-2 failed")
	p.Tick(now.Add(-500 * time.Millisecond))
	fmt.Fprintf(&all, "--- held\n%s\n", strings.Join(s.lines, "\n"))
	p.Event(astern.Record{Kind: astern.RecordEnded, Outcome: astern.OutcomeDone, At: now})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&all, "--- closed\n%s\n", strings.Join(s.lines, "\n"))
	golden(t, "progress-live.txt", []byte(all.String()))
}

func TestProgressLiveIsThrottled(t *testing.T) {
	s := &screen{t: t, width: 80, height: 24}
	p := NewProgress(s, Style{Now: ago(time.Hour)}, shopPlan(), true)
	for i := range 1000 { // in one second
		p.Event(astern.Record{Kind: astern.RecordOp, Step: "1.latch", At: now.Add(time.Duration(i) * time.Millisecond),
			Op: &astern.Op{Status: astern.OpRunning, Progress: fmt.Sprint("event ", i)}})
	}
	if s.frames > 10 {
		t.Errorf("drawn %d times in a second", s.frames)
	}
	if strings.Contains(strings.Join(s.lines, "\n"), "event 999") {
		t.Error("the last event was drawn before it was due")
	}
	if err := p.Close(); err != nil || !strings.Contains(strings.Join(s.lines, "\n"), "event 999") {
		t.Errorf("the last frame is not that of the last event: %v\n%s", err, strings.Join(s.lines, "\n"))
	}
	drawn := s.frames
	p.Tick(now.Add(1050 * time.Millisecond))
	if s.frames != drawn {
		t.Error("drawn again though nothing changed")
	}
	p.Tick(now.Add(10 * time.Second))
	if s.frames != drawn+1 {
		t.Error("the clock of the view stands still")
	}
}

// Whatever the size of the terminal, a frame fits it, and what failed is on it.
func TestProgressLiveFits(t *testing.T) {
	plan := fleetView(10_000).Plan
	plan.Stages[0].Gate = &astern.Gate{Checks: []string{"health"}, BakeSeconds: 60}
	for _, size := range [][2]int{{20, 8}, {40, 10}, {80, 24}, {200, 60}} {
		s := &screen{t: t, width: size[0], height: size[1]}
		p := NewProgress(s, Style{Now: ago(time.Hour), Width: size[0], Height: size[1]}, plan, true)
		for i := range 60 {
			id := "1.set@" + plan.Fleets[0].Members[i*70]
			at := now.Add(time.Duration(i) * time.Second)
			p.Event(astern.Record{Kind: astern.RecordIntent, Step: id, Attempt: 1, At: at})
			op := &astern.Op{Status: astern.OpDone}
			if i == 20 {
				op = &astern.Op{Status: astern.OpFailed, Code: astern.Denied, Error: evil}
			}
			p.Event(astern.Record{Kind: astern.RecordOp, Step: id, At: at.Add(500 * time.Millisecond), Op: op})
			if len(s.lines) >= size[1] {
				t.Fatalf("%d lines on a terminal of %d", len(s.lines), size[1])
			}
		}
		p.Event(astern.Record{Kind: astern.RecordRound, Stage: 1, Gate: true, At: now.Add(time.Hour), Results: []astern.CheckResult{{Check: "health", Verdict: astern.Unknown, Evidence: evil}}})
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		out := strings.Join(s.lines, "\n")
		harmless(t, out)
		if size[1] > 8 && !strings.Contains(out, "✗ fai") {
			t.Errorf("%v: the failed host is not shown:\n%s", size, out)
		}
		if !strings.Contains(out, "more") {
			t.Errorf("%v: hidden lanes are not counted:\n%s", size, out)
		}
	}
}

// A terminal made narrower has wrapped the lines of the last frame; they are all replaced.
func TestProgressResize(t *testing.T) {
	s := &screen{t: t, width: 200, height: 24}
	p := NewProgress(s, Style{Now: ago(time.Hour), Width: 200, Height: 24}, shopPlan(), true)
	p.Event(shopRecords()[1])
	rows := 0
	for _, l := range s.lines {
		rows += (tx(l).width() + 19) / 20
	}
	p.Resize(20, 24)
	if got := p.rowsOnScreen(); got != rows || got == len(s.lines) {
		t.Errorf("%d rows to replace, want %d", got, rows)
	}
}
