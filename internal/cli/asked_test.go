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

// Commands that are printed go to the system and the state that this one went to.
func TestWhich(t *testing.T) {
	for _, c := range []struct {
		args       []string
		line, want string
	}{
		{[]string{"status"}, "astern show ex-1", "astern show ex-1"},
		{[]string{"status", "-e", "production", "--environment=x", "-ey"}, "astern show ex-1", "astern show ex-1"},
		{[]string{"--state", "/my state", "status", "-e", "production", "-f", "far.yaml"}, "astern cancel ex-1 && astern undo ex-1  # back",
			"astern --state '/my state' -f far.yaml cancel ex-1 && astern --state '/my state' -f far.yaml undo ex-1  # back"},
		{[]string{"status", "-f", "far.yaml"}, "astern plan rollback shop -f far.yaml", "astern plan rollback shop -f far.yaml"},
		{[]string{"status", "-ffar.yaml"}, "  astern skip ex-1", "  astern -ffar.yaml skip ex-1"},
		{[]string{"--state", "s"}, "somebody types: astern approve 12; then: astern apply 12", "somebody types: astern --state s approve 12; then: astern --state s apply 12"},
		{[]string{"status", "--state=s"}, "aws sso login renews them", "aws sso login renews them"},
	} {
		st := view.Style{Global: (&session{args: c.args}).which()}
		if got := st.Command(c.line); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}
