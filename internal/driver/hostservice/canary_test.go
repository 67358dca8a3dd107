package hostservice

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canary"
)

// password is what the commands and the processes of a lab get by a file, where it has one.
var password = canary.Kept("of the database")

// environment gives the lab's commands a file with a secret in it, which they print whatever they are asked.
func (l *lab) environment() {
	l.Helper()
	l.write("svc.env", "DB_PASSWORD="+password+"\n", 0o600)
}

// TestCommandsTellNoSecret: what commands print is quoted where they fail, and a password in it is not.
func TestCommandsTellNoSecret(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		l.environment()
		restart := l.before(l.first(verbRestart))
		quotes := func(what, text string) {
			t.Helper()
			if leaks := canary.Leaks([]byte(text)); len(leaks) > 0 || !strings.Contains(text, "DB_PASSWORD=<secret>") {
				t.Errorf("%s holds %q, and the secret's place %d times", what, leaks, strings.Count(text, "<secret>"))
			}
		}
		l.write("fail-restart", "", 0o644)
		op := l.driver.Actor.Start(t.Context(), restart)
		if op.Status != astern.OpFailed {
			t.Errorf("a restart that fails is %s", op.Status)
		}
		quotes("the failure of a restart", op.Error+op.Hint)

		l.write("ctl", "#!/bin/sh\necho stop it\ncat svc.env >&2\nexit 9\n", 0o755)
		v, ok := l.observe("a/process").Get("a/process")
		if !ok || v.Known() {
			t.Errorf("the process is %s", cmp.Diff(astern.Value{}, v))
		}
		quotes("why the process is not known", v.Unknown)
		_, err := l.driver.Actor.Before(t.Context(), restart)
		if err == nil {
			t.Fatal("a process that can't be seen is no error before a restart")
		}
		quotes("why the restart can't be made", err.Error()+astern.HintOf(err))
	})
}
