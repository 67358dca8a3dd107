package check

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/proof"
)

// mostAllocated is how much a check may allocate, whatever its command prints: what is kept of that is a megabyte of each output.
const mostAllocated = 64 << 20

// TestGigabytes has a command print megabytes by the hundred, gigabytes in the proof, and then end, or print without end: there is a
// verdict with a line of evidence, as soon as the command ends or its time is over, and astern's memory does not grow with what is printed.
func TestGigabytes(t *testing.T) {
	_, count := proof.Seeds(t, 48)
	figures := map[string]float64{"max_megabytes_printed": float64(count)}
	run := func(ctx context.Context, _ string, argv []string, env map[string]string, timeout time.Duration) (int, string, error) {
		r, err := host.Here().Run(ctx, host.Command{Argv: argv, Env: env, Timeout: timeout})
		return r.ExitCode, r.Stdout + r.Stderr, err
	}
	for name, c := range map[string]struct {
		script  string
		seconds float64
		verdict astern.Verdict
		says    string
	}{
		"passes":      {fmt.Sprintf("echo 3 orders; yes | head -c %d; yes | head -c %d >&2", count<<19, count<<19), 60, astern.Pass, "said: 3 orders y"},
		"fails":       {fmt.Sprintf("echo no orders >&2; yes | head -c %d >&2; exit 1", count<<20), 60, astern.Fail, "exit 1"},
		"without end": {"yes >&2 & exec yes", 0.3, astern.Unknown, "did not end within"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			r := Runner{Command: run}.Run(t.Context(), astern.Check{Name: "smoke", TimeoutSeconds: c.seconds, Command: &astern.CommandCheck{Argv: []string{"sh", "-c", c.script}}})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if r.Verdict != c.verdict || !strings.Contains(r.Evidence, c.says) || len(r.Evidence) > 1_000 {
				t.Errorf("%s: %.500q", r.Verdict, r.Evidence)
			}
			kilobytes := (after.TotalAlloc - before.TotalAlloc) >> 10
			if kilobytes > mostAllocated>>10 || took > time.Minute {
				t.Errorf("it took %s, and astern allocated %d kB", took, kilobytes)
			}
			figures["max_seconds_"+strings.ReplaceAll(name, " ", "_")] = took.Seconds()
			figures["max_kilobytes_allocated"] = max(figures["max_kilobytes_allocated"], float64(kilobytes))
		})
	}
	proof.Figures(t, figures)
}
