package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern/internal/view"
)

// What follows a plan runs as it is printed: with every flag that was typed, quoted where a shell needs it.
func TestAfterPlan(t *testing.T) {
	for _, c := range []struct {
		args []string
		f    askFlags
		want []string
	}{
		{[]string{"plan", "rollback", "shop", "--to", "v1.2.2", "--reason", "it's slow", "-o", "table"}, askFlags{},
			[]string{`astern plan rollback shop --to v1.2.2 --reason 'it'\''s slow' --out plan.json`, "astern apply plan.json"}},
		{[]string{"--state", "/s", "rollback", "shop", "--dry-run", "--yes", "-fx.yaml", "--output=runbook"}, askFlags{changeFlags: changeFlags{dryRun: true}},
			[]string{"astern --state /s rollback shop --yes -fx.yaml", "astern plan --state /s rollback shop -fx.yaml --out plan.json", "astern apply plan.json --state /s -fx.yaml"}},
		{[]string{"rollback", "--dry-run", "--out", "p.json", "--", "shop"}, askFlags{changeFlags: changeFlags{dryRun: true}, out: "p.json"},
			[]string{"astern rollback --out p.json -- shop", "astern apply p.json"}},
		{[]string{"plan", "rollback", "--", "shop"}, askFlags{}, []string{"astern plan rollback --out plan.json -- shop", "astern apply plan.json"}},
	} {
		if diff := cmp.Diff(c.want, (&session{args: c.args}).afterPlan(&c.f)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
}

// Commands that are printed go to the system, the state and the environment that this one went to; prose stays as it is.
func TestWhich(t *testing.T) {
	for _, c := range []struct {
		s          session
		line, want string
	}{
		{session{file: "astern.yaml"}, "astern show ex-1", "astern show ex-1"},
		{session{file: "from-env.yaml"}, "astern show ex-1", "astern show ex-1"},
		{session{file: "far.yaml", state: "/my $state", environment: "production"}, "astern cancel ex-1 && astern undo ex-1  # back",
			"astern -f far.yaml --state '/my $state' -e production cancel ex-1 && astern -f far.yaml --state '/my $state' -e production undo ex-1  # back"},
		{session{file: "far.yaml"}, "astern plan rollback shop -f far.yaml", "astern plan rollback shop -f far.yaml"},
		{session{state: "s"}, "  astern skip ex-1", "  astern --state s skip ex-1"},
		{session{state: "s"}, "astern follow ex-5 shows it; astern pause ex-5 or astern cancel ex-5", "astern --state s follow ex-5 shows it; astern --state s pause ex-5 or astern --state s cancel ex-5"},
		{session{state: "s"}, "root types: astern approve 12; then: astern apply 12", "root types: astern --state s approve 12; then: astern --state s apply 12"},
		{session{state: "s"}, "astern changes nothing outside of the release root", "astern changes nothing outside of the release root"},
	} {
		c.s.env = func(name string) string { return map[string]string{"ASTERN_FILE": "from-env.yaml"}[name] }
		if c.s.file == "astern.yaml" {
			c.s.env = func(string) string { return "" }
		}
		if got := (view.Style{Global: c.s.which()}).Command(c.line); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// Every command is known to be one where it is printed.
func TestCommandsAreKnown(t *testing.T) {
	s := &session{env: func(string) string { return "" }}
	for _, c := range s.root(nil).Commands() {
		line := "astern " + c.Name()
		if got := (view.Style{Global: "-f x"}).Command(line); got == line && c.Name() != "version" && c.Name() != "help" {
			t.Errorf("%q is printed without saying which system is meant", line)
		}
	}
}
