package flags

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// flagdVariable names the flagd that TestFlagd runs.
const flagdVariable = "ASTERN_FLAGD"

// flagd runs flagd on a file until the test ends and returns where it answers evaluations.
func (l *lab) flagd(binary, file string) string {
	l.Helper()
	var args []string
	var held []net.Listener
	answers := ""
	for _, name := range []string{"--port", "--management-port", "--sync-port", "--ofrep-port"} {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			l.Fatal(err)
		}
		held = append(held, free) // until all are found, so that none is given twice
		answers = free.Addr().String()
		_, port, _ := net.SplitHostPort(answers)
		args = append(args, name, port)
	}
	for _, free := range held {
		if err := free.Close(); err != nil {
			l.Fatal(err)
		}
	}
	cmd := exec.Command(binary, append([]string{"start", "--uri", "file:" + file}, args...)...)
	if err := cmd.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it ends by the signal
	})
	for range 200 {
		if c, err := net.DialTimeout("tcp", answers, time.Second); err == nil {
			_ = c.Close()
			return "http://" + answers
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.Fatalf("flagd does not listen at %s", answers)
	return ""
}

// TestFlagd changes the file beside a real flagd and waits until that answers so. What one that reads another file answers is not
// taken for it.
func TestFlagd(t *testing.T) {
	binary := os.Getenv(flagdVariable)
	if binary == "" {
		t.Skip("name a flagd by " + flagdVariable + ": it is in no registry that scripts/need.sh could take it from")
	}
	l := newLab(t, false)
	settings := func(answers string) { l.c.Settings = fmt.Appendf(nil, `{"file": %q, "evaluate": %q}`, l.file, answers) }
	settings(l.flagd(binary, l.file))
	none := 0
	for _, one := range []struct {
		change astern.FlagChange
		says   string // what flagd answers then
	}{
		{astern.FlagChange{Flag: "search"}, "disabled"},
		{astern.FlagChange{Flag: "new-checkout", Segment: "city=hamburg", Percent: &none}, "off (false), TARGETING_MATCH"},
		{astern.FlagChange{Flag: "payments-off", Serve: "on"}, "on (true), STATIC"},
	} {
		await := l.changed(one.change)
		op := l.driver.Actor.Start(t.Context(), await)
		for end := time.Now().Add(20 * time.Second); op.Status == astern.OpRunning && time.Now().Before(end); op = l.driver.Actor.Poll(t.Context(), await, op) {
			time.Sleep(20 * time.Millisecond)
		}
		if op.Status != astern.OpDone || op.Progress != "flagd answers "+one.says {
			t.Errorf("%+v: %+v", one.change, op)
		}
	}
	if v := l.observe("evaluated/search").Values["evaluated/search"]; v.Text != "disabled" {
		t.Errorf("flagd answers %v", v)
	}

	other := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(other, []byte(shop(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	settings(l.flagd(binary, other))
	await := l.changed(astern.FlagChange{Flag: "rollout"})
	if op := l.driver.Actor.Start(t.Context(), await); op.Status != astern.OpRunning || !strings.HasPrefix(op.Progress, "flagd still answers ") {
		t.Errorf("a flagd that reads another file: %+v", op)
	}
	await.Deadline = time.Now().Add(-time.Second)
	if op := l.driver.Actor.Poll(t.Context(), await, astern.Op{}); op.Status != astern.OpFailed || op.Code != astern.Refused {
		t.Errorf("a flagd that reads another file: %+v", op)
	}
}

// changed makes a change and returns the call that waits for flagd.
func (l *lab) changed(c astern.FlagChange) astern.Call {
	l.Helper()
	s := l.observe()
	target, err := l.driver.Switcher.Switch(l.c, s, c)
	if err != nil {
		l.Fatal(err)
	}
	route, err := l.driver.Router.Route(l.c, s, target, astern.Options{Verb: astern.VerbOff, Percent: 100, Flag: &c})
	if err != nil || len(route.Stages[0].Steps) != 2 {
		l.Fatal(route, err)
	}
	l.must(l.driver.Actor.Start(l.Context(), l.call(route.Stages[0].Steps[0])), nil)
	return l.call(route.Stages[0].Steps[1])
}
