package hostservice

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// mostAllocated is how much astern may allocate in a step, whatever the step's command prints.
const mostAllocated = 8 << 20

// TestGigabytes has each kind of command print megabytes by the hundred, a gigabyte each in the proof, to its output and to its
// standard error. The step takes as long as the printing does, astern's memory stays as it is, and what was said last is told.
func TestGigabytes(t *testing.T) {
	_, count := proof.Seeds(t, 24)
	flood := fmt.Sprintf("echo first; yes | head -c %d; yes | head -c %d >&2; ", count<<19, count<<19)
	sh := func(text string) []string { return []string{"sh", "-c", flood + text, "sh", "{instance}"} }
	figures := map[string]float64{"max_megabytes_printed": float64(count)}
	for _, c := range []struct {
		name   string
		change func(*Commands)
		verb   string
		want   astern.OpStatus
		says   string
	}{
		{"restart", func(c *Commands) { c.Restart = sh(`exec ./ctl restart "$1"`) }, verbRestart, astern.OpDone, ""},
		{"restart-fails", func(c *Commands) { c.Restart = sh(`echo the disk is on fire >&2; exit 7`) }, verbRestart, astern.OpFailed, "the disk is on fire"},
		{"stop-and-start", func(c *Commands) {
			c.Restart, c.Stop, c.Start = nil, sh(`exec ./ctl stop "$1"`), sh(`exec ./ctl start "$1"`)
		}, verbRestart, astern.OpDone, ""},
		{"start-fails", func(c *Commands) {
			c.Restart, c.Stop, c.Start = nil, []string{"./ctl", "stop", "{instance}"}, sh(`echo no such module; exit 1`)
		}, verbRestart, astern.OpFailed, "no such module"},
		{"drain", func(c *Commands) { c.Drain, c.Undrain = sh(`exit 0`), []string{"true"} }, verbDrain, astern.OpDone, ""},
		{"drain-fails", func(c *Commands) { c.Drain, c.Undrain = sh(`echo is a proxy there; exit 3`), []string{"true"} }, verbDrain, astern.OpFailed, "is a proxy there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, func(_ string, _ *astern.Component, s *Settings) {
				c.change(s.Commands)
				s.Timeout = Duration(time.Minute)
			})
			call := l.before(l.first(c.verb))
			var op astern.Op
			allocated, took := cost(func() { op = l.finish(call, l.driver.Actor.Start(t.Context(), call)) })
			if op.Status != c.want || !strings.Contains(op.Error, c.says) || len(op.Error) > 2_000 {
				t.Errorf("%s: %.500q, %d bytes (%s)", op.Status, op.Error, len(op.Error), op.Hint)
			}
			if size := l.outSize(); size == 0 || size > 9<<20 {
				t.Errorf("%d bytes of the output are kept", size)
			}
			bounded(t, figures, c.name, allocated, took)
		})
	}
	proof.Figures(t, figures)
}

// cost is how much was allocated meanwhile, and how long it took.
func cost(do func()) (allocated uint64, took time.Duration) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	do()
	took = time.Since(began)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, took
}

func bounded(t *testing.T, figures map[string]float64, name string, allocated uint64, took time.Duration) {
	t.Helper()
	figures["max_seconds_"+name] = took.Seconds()
	figures["max_kilobytes_allocated"] = max(figures["max_kilobytes_allocated"], float64(allocated>>10))
	if allocated > mostAllocated || took > time.Minute {
		t.Errorf("it took %s, and astern allocated %d kB", took, allocated>>10)
	}
}

// TestWithoutEnd has the restart command, and what it has started, print as fast as they can and without end: they are ended at
// the time-out, all of them, and what is kept does not grow any more.
func TestWithoutEnd(t *testing.T) {
	l := newLab(t, func(_ string, _ *astern.Component, s *Settings) {
		s.Commands.Restart = []string{"sh", "-c", `echo $$ >writer; yes >&2 & exec yes`}
	})
	var (
		op        astern.Op
		allocated uint64
		took      time.Duration
		writer    int
	)
	// The time-out is of all that is done there, and the command comes last: on a busy machine it may not be reached.
	for _, timeout := range []time.Duration{300 * time.Millisecond, 3 * time.Second, 30 * time.Second} {
		l.redeclare(func(s *Settings) { s.Timeout = Duration(timeout) })
		call := l.before(l.first(verbRestart))
		allocated, took = cost(func() { op = l.driver.Actor.Start(t.Context(), call) })
		if _, err := fmt.Sscan(l.read("writer"), &writer); err == nil {
			break
		}
	}
	if writer == 0 {
		t.Fatalf("the command did not begin: %+v", op)
	}
	if op.Status != astern.OpUnsure || !strings.Contains(op.Error, "did not end within") || op.Hint == "" {
		t.Errorf("%+v", op)
	}
	if allocated > mostAllocated || took > time.Minute {
		t.Errorf("it took %s, and astern allocated %d kB", took, allocated>>10)
	}
	for end := time.Now().Add(time.Minute); !gone(writer); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the command goes on after its time-out")
		}
	}
	size := l.outSize()
	time.Sleep(50 * time.Millisecond)   // as long as a writer that was left would take to write more
	if now := l.outSize(); now > size { // cutting what is kept may come to its end
		t.Errorf("something still writes: %d bytes became %d", size, now)
	}
}

// gone reports whether a process has ended. Where nobody has asked yet how it did, it can still be sent signals.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ")
}
