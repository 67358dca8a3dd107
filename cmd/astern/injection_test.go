package main

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/astern-dev/astern/internal/cli"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/proof"
)

// lines are the command lines that take a text, with HOSTILE where it goes. What would be written lies below a folder that is not
// there: nothing that a text names may be written over. No text is a region of AWS, so no search asks a cloud.
var lines = []string{
	// knowing
	"check HOSTILE", "check -e HOSTILE", "check --at HOSTILE", "check --color HOSTILE", "check -o HOSTILE", "check -v", "status HOSTILE", "status -e HOSTILE", "status --state HOSTILE/x/y",
	"targets HOSTILE", "targets -v", "history HOSTILE", "history shop", "history shop --limit HOSTILE", "ledger", "ledger HOSTILE", "ledger at HOSTILE", "ledger --limit HOSTILE", "ledger releases --limit HOSTILE",
	"validate -f HOSTILE", "export", "init -f HOSTILE/x/y HOSTILE", "iam-policy HOSTILE", "iam-policy --dir HOSTILE/x/y", "help HOSTILE", "completion HOSTILE",
	"audit HOSTILE", "audit --limit HOSTILE", "audit verify HOSTILE", "audit verify --by HOSTILE --key HOSTILE --checkpoints HOSTILE --allowed-signers HOSTILE --revoked-signers HOSTILE",
	"audit export --sign HOSTILE --signed HOSTILE/x/y",
	"may HOSTILE", "may deploy shop HOSTILE", "may deploy HOSTILE v1", "may deploy shop v3", "may delete HOSTILE", "may follow shop HOSTILE", "may follow HOSTILE v1", "may rule HOSTILE HOSTILE", "may rule shop HOSTILE",
	"policy HOSTILE", "policy calibrate HOSTILE", "policy review HOSTILE --reason HOSTILE", "policy test --asleep HOSTILE --component HOSTILE --severity HOSTILE --loss HOSTILE",
	"policy test --at HOSTILE", "policy test --loss HOSTILE", "policy test --harmed HOSTILE",
	// planning and doing
	"plan HOSTILE", "plan rollback HOSTILE", "plan rollback shop --to HOSTILE --reason HOSTILE", "plan rollback --all --to HOSTILE", "plan rollback shop --object HOSTILE --first HOSTILE --severity HOSTILE",
	"plan rollback shop --sign HOSTILE --out HOSTILE/x/y", "plan rollback shop --bake HOSTILE", "plan rollback shop --percent HOSTILE", "plan rollback shop --watch=HOSTILE",
	"plan deploy shop HOSTILE", "plan deploy shop v1 --first HOSTILE --severity HOSTILE --reason HOSTILE", "plan deploy shop v1 --sign HOSTILE --out HOSTILE/x/y", "plan deploy shop v1 --bake HOSTILE",
	"plan deploy shop v1 --percent HOSTILE", "plan deploy shop v1 --watch=HOSTILE",
	"plan off shop HOSTILE --segment HOSTILE --serve HOSTILE --severity HOSTILE --reason HOSTILE", "plan off HOSTILE x", "plan off shop x --sign HOSTILE --out HOSTILE/x/y", "plan off shop x --percent HOSTILE",
	"plan off shop x --watch=HOSTILE", "plan redeploy HOSTILE --reason HOSTILE --severity HOSTILE", "plan redeploy shop --sign HOSTILE --out HOSTILE/x/y", "plan redeploy shop --bake HOSTILE",
	"plan redeploy shop --percent HOSTILE", "plan redeploy shop --watch=HOSTILE", "plan undo HOSTILE --reason HOSTILE --severity HOSTILE --sign HOSTILE --out HOSTILE/x/y", "plan undo ex-1 --watch=HOSTILE",
	"apply HOSTILE", "apply HOSTILE --trust HOSTILE --approval HOSTILE --reason HOSTILE", "apply --trust HOSTILE plan.json", "apply --approval HOSTILE plan.json",
	"rollback HOSTILE --yes", "rollback shop --to HOSTILE --yes", "rollback HOSTILE --object HOSTILE --first HOSTILE --severity HOSTILE --reason HOSTILE --out HOSTILE/x/y", "rollback shop --object HOSTILE --yes",
	"rollback shop --bake HOSTILE --percent HOSTILE", "rollback shop --percent HOSTILE", "rollback shop --watch=HOSTILE", "deploy shop HOSTILE --yes",
	"deploy HOSTILE HOSTILE --first HOSTILE --severity HOSTILE --reason HOSTILE --out HOSTILE/x/y", "deploy shop v1 --bake HOSTILE", "deploy shop v1 --percent HOSTILE", "deploy shop v1 --watch=HOSTILE",
	"off shop HOSTILE --segment HOSTILE --serve HOSTILE --severity HOSTILE --reason HOSTILE --out HOSTILE/x/y --yes", "off shop x --percent HOSTILE", "off shop x --watch=HOSTILE",
	"redeploy HOSTILE --severity HOSTILE --reason HOSTILE --out HOSTILE/x/y --yes", "redeploy shop --bake HOSTILE", "redeploy shop --percent HOSTILE", "redeploy shop --watch=HOSTILE",
	"undo HOSTILE --severity HOSTILE --reason HOSTILE --out HOSTILE/x/y --yes", "undo ex-1 --watch=HOSTILE",
	// running
	"approve HOSTILE --reason HOSTILE", "approve HOSTILE --trust HOSTILE --sign HOSTILE --out HOSTILE/x/y", "reject HOSTILE --reason HOSTILE", "reject HOSTILE --trust HOSTILE --sign HOSTILE --out HOSTILE/x/y",
	"executions HOSTILE", "executions --limit HOSTILE", "show HOSTILE", "follow HOSTILE", "follow ex-1 --timeout HOSTILE", "pause HOSTILE --reason HOSTILE", "resume HOSTILE --reason HOSTILE", "cancel HOSTILE --reason HOSTILE",
	"skip HOSTILE HOSTILE --reason HOSTILE --yes", "settle HOSTILE HOSTILE --done HOSTILE=HOSTILE --reason HOSTILE", "allow HOSTILE HOSTILE --reason HOSTILE", "tick HOSTILE HOSTILE --component HOSTILE --reason HOSTILE",
	// watching
	"incidents HOSTILE", "incidents --limit HOSTILE", "incidents open HOSTILE --severity HOSTILE --reason HOSTILE", "incidents open shop --reason HOSTILE", "incidents open shop --began HOSTILE", "incidents note HOSTILE --reason HOSTILE",
	"incidents own HOSTILE HOSTILE --for HOSTILE --reason HOSTILE", "incidents severity HOSTILE HOSTILE --reason HOSTILE", "incidents resolve HOSTILE --ended HOSTILE --reason HOSTILE", "incidents reopen HOSTILE --reason HOSTILE",
	"incidents cost HOSTILE --reason HOSTILE", "incidents cost inc-1 --requests HOSTILE", "incidents cost inc-1 --share HOSTILE", "incidents cost inc-1 --users HOSTILE",
	"judge HOSTILE HOSTILE --against HOSTILE", "judge shop v1 --for HOSTILE", "judge shop v1 --every HOSTILE", "notify HOSTILE", "notify test HOSTILE",
	"replay HOSTILE", "replay --signals HOSTILE", "replay inc-1 --policy HOSTILE", "replay --shadow --since HOSTILE", "report HOSTILE --out HOSTILE/x/y", "watch HOSTILE", "watch HOSTILE --record HOSTILE/x/y", "watch --every HOSTILE",
	// recording
	"record HOSTILE", "record deploy shop HOSTILE --reason HOSTILE", "record deploy shop v1 --reason HOSTILE", "record deploy HOSTILE v1", "record deploy shop v1 --artifact HOSTILE --commit HOSTILE",
	"record known-good HOSTILE HOSTILE --reason HOSTILE", "record known-good shop v1 --reason HOSTILE", "latch", "latch HOSTILE", "latch add shop HOSTILE --reason HOSTILE", "latch add shop v3 --reason HOSTILE", "latch release HOSTILE HOSTILE",
	"latch release shop v3 --reason HOSTILE",
	// trying
	"lab HOSTILE", "lab status --dir HOSTILE/x", "lab access HOSTILE", "lab clock HOSTILE", "lab calls --after HOSTILE", "lab calls --operation HOSTILE --service HOSTILE", "lab fault HOSTILE",
	"lab fault add --service HOSTILE --operation HOSTILE --code HOSTILE", "lab fault add --count HOSTILE", "lab fault add --delay HOSTILE", "lab fault add --nth HOSTILE", "lab fault add --probability HOSTILE", "lab fault add --status HOSTILE",
	"HOSTILE", "--HOSTILE",
}

// untold are commands whose texts are no part of the lines, with the reason.
var untold = map[string]string{
	"astern lab up":    "it starts an account and moto, in the background; where it listens goes to net.Listen, and its seed is a number",
	"astern lab serve": "it is what lab up starts",
}

// TestEveryTextIsHostile requires that each command which takes a text, and each flag with a value, is among the lines, so that
// what is added to the program is given hostile texts as well.
func TestEveryTextIsHostile(t *testing.T) {
	root := cli.Program{Open: open}.Commands()
	told, flags, untold := map[*cobra.Command]bool{}, map[*pflag.Flag]bool{}, maps.Clone(untold)
	for _, line := range lines {
		words := strings.Fields(line)
		cmd, rest, err := root.Find(words)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for i := 0; i < len(rest); i++ {
			name, value, joined := strings.Cut(rest[i], "=")
			f := flagOf(cmd, name)
			switch {
			case f == nil:
				told[cmd] = told[cmd] || strings.Contains(rest[i], "HOSTILE")
				continue
			case !joined && f.NoOptDefVal == "" && i+1 < len(rest):
				i++
				value = rest[i]
			}
			flags[f] = flags[f] || strings.Contains(value, "HOSTILE")
		}
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if untold[path] == "" {
			if (len(strings.Fields(cmd.Use)) > 1 || cmd.HasSubCommands()) && !told[cmd] {
				t.Errorf("%q takes a text, and none of the lines gives it a hostile one", cmd.Use)
			}
			cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
				if f.Value.Type() != "bool" && !flags[f] {
					t.Errorf("%s takes a text by --%s, and none of the lines gives it a hostile one", path, f.Name)
				}
			})
		}
		for _, below := range cmd.Commands() {
			visit(below)
		}
		delete(untold, path)
	}
	visit(root)
	for path := range untold {
		t.Errorf("%s is no command any more", path)
	}
}

// flagOf finds a flag of the command, or of one above it, as it is typed.
func flagOf(cmd *cobra.Command, typed string) *pflag.Flag {
	if name, long := strings.CutPrefix(typed, "--"); long {
		return cmd.Flag(name)
	}
	if len(typed) == 2 && typed[0] == '-' {
		for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.Root().PersistentFlags()} {
			if f := set.ShorthandLookup(typed[1:]); f != nil {
				return f
			}
		}
	}
	return nil
}

// TestHostileCommandLines gives hostile texts to every command that takes one. Whatever it says for a person holds no
// character that a terminal obeys, what it says for programs no raw control character, and no shell reads any of it.
func TestHostileCommandLines(t *testing.T) {
	first, count := proof.Seeds(t, 2*uint64(len(lines)))
	folder := t.TempDir()
	t.Chdir(folder)
	t.Setenv("HOME", folder)
	for name, content := range map[string]string{"astern.yaml": hostileSystem, "svc/releases/v1/run": "x", "svc/releases/v3/run": "x"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written := 0.0
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		rnd := rand.New(rand.NewPCG(seed, 0xc11))
		text := drivertest.Hostile(rnd, "pwned")
		args := strings.Fields(lines[seed%uint64(len(lines))])
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "HOSTILE", text)
		}
		machine := rnd.IntN(3) == 0
		if machine {
			args = append(args, "-o", []string{"json", "yaml"}[rnd.IntN(2)])
		}
		var stdout, stderr bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		code := cli.Program{Open: open}.Main(ctx, args, strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
		if cancel(); context.Cause(ctx) == context.DeadlineExceeded {
			t.Errorf("seed %d: %.300q did not come to its end", seed, args)
		}
		for name, out := range map[string]string{"stdout": stdout.String(), "stderr": stderr.String()} {
			written += float64(len(out))
			if at := strings.IndexFunc(out, obeyed(machine)); at >= 0 || !utf8.ValidString(out) {
				t.Errorf("seed %d: %.300q (exit %d) writes to %s what a terminal obeys: …%q…", seed, args, code, name, out[max(0, at-40):min(len(out), max(0, at)+40)])
			}
		}
	}
	if err := filepath.WalkDir(folder, func(at string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(at), "pwned") {
			t.Errorf("a shell read a hostile text: %s", at)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	proof.Figures(t, map[string]float64{"command_lines": float64(count), "bytes_written": written})
}

// obeyed tells which characters must not be written: for a person none that can't be seen, for programs no control
// character.
func obeyed(machine bool) func(rune) bool {
	return func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || !machine && !unicode.IsPrint(r))
	}
}

const hostileSystem = `
version: 1
system: shop
environments:
  production:
    components:
      shop: {kind: host.service, with: {root: svc, link: current, instances: [{name: a}], uptime: 100ms, commands: {restart: ["true"], status: ["true"]}}}
`
