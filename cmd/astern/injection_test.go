package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/astern-dev/astern/internal/cli"
	"github.com/astern-dev/astern/internal/proof"
)

// lines are the command lines that take a text, with HOSTILE where it goes.
var lines = []string{
	"apply HOSTILE", "apply HOSTILE --trust HOSTILE", "apply --trust HOSTILE plan.json", "approve HOSTILE --reason HOSTILE", "reject HOSTILE --reason HOSTILE",
	"plan rollback HOSTILE", "plan rollback shop --to HOSTILE --reason HOSTILE", "plan rollback --all --to HOSTILE", "plan deploy shop HOSTILE", "plan undo HOSTILE",
	"plan redeploy shop --sign HOSTILE --out HOSTILE/x/y", "rollback shop --to HOSTILE --yes", "rollback HOSTILE --yes", "deploy shop HOSTILE --yes",
	"rollback shop --bake HOSTILE --percent HOSTILE", "check -e HOSTILE", "status -e HOSTILE", "targets HOSTILE", "history HOSTILE", "ledger at HOSTILE", "show HOSTILE", "follow HOSTILE", "pause HOSTILE --reason HOSTILE",
	"resume HOSTILE", "cancel HOSTILE --reason HOSTILE", "skip HOSTILE HOSTILE --reason HOSTILE --yes", "settle HOSTILE HOSTILE --done HOSTILE=HOSTILE", "allow HOSTILE HOSTILE --reason x",
	"tick HOSTILE HOSTILE --component HOSTILE", "record deploy shop HOSTILE --reason HOSTILE", "record deploy shop v1 --reason HOSTILE", "record known-good HOSTILE HOSTILE --reason HOSTILE",
	"latch add shop HOSTILE --reason HOSTILE", "latch add shop v3 --reason HOSTILE", "latch release shop v3 --reason HOSTILE", "may deploy shop HOSTILE", "may deploy HOSTILE v1", "HOSTILE", "--HOSTILE", "check --color HOSTILE",
	"check -o HOSTILE", "validate -f HOSTILE", "history shop", "latch", "ledger", "may deploy shop v3", "export", "check -v", "targets -v",
}

// TestHostileCommandLines gives hostile texts to every command that takes one. Whatever it says for a person holds no
// character that a terminal obeys, what it says for programs no raw control character, and no shell reads any of it.
func TestHostileCommandLines(t *testing.T) {
	first, count := proof.Seeds(t, 300)
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
		text := hostileText(rnd)
		args := strings.Fields(lines[seed%uint64(len(lines))])
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "HOSTILE", text)
		}
		machine := rnd.IntN(3) == 0
		if machine {
			args = append(args, "-o", []string{"json", "yaml"}[rnd.IntN(2)])
		}
		var stdout, stderr bytes.Buffer
		code := cli.Program{Version: "test", Open: open}.Main(t.Context(), args, strings.NewReader(""), &stdout, &stderr, func(string) string { return "" })
		for name, out := range map[string]string{"stdout": stdout.String(), "stderr": stderr.String()} {
			written += float64(len(out))
			if at := strings.IndexFunc(out, obeyed(machine)); at >= 0 || !utf8.ValidString(out) {
				t.Errorf("seed %d: %.300q (exit %d) writes to %s what a terminal obeys: …%q…", seed, args, code, name, out[max(0, at-40):min(len(out), max(0, at)+40)])
			}
		}
	}
	if err := filepath.WalkDir(folder, func(at string, _ os.DirEntry, err error) error {
		if err == nil && strings.Contains(filepath.Base(at), "pwned") {
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

func hostileText(rnd *rand.Rand) string {
	all := []string{
		"$(touch pwned)", "`touch pwned`", "; touch pwned #", "| touch pwned", "\ntouch pwned\n", "' ; touch pwned ; '", `"; touch pwned; "`,
		"--", "-", "-rf", "-oProxyCommand=touch pwned", "..", "../../etc/passwd", "/etc/passwd", "", " ", "\t", "\r", "\x00", "a\x00b", "~", "*",
		"\x1b[2J\x1b]0;owned\x07", "\x1b[31mred", "\u009b2J", "\x7f\b\b\b", "\u202egnp.exe\u2066", "\u200b", "\ufeff", "\uff0e\uff0e\uff0f", "\xff\xfe", "\u2028", "\u0085",
		"cafe\u0301", "\u0430dmin", strings.Repeat("A", 64<<10), strings.Repeat("\x1b[A", 1000), "a:b", "v1\n\x1b[32m✓ ready", "%s%n%d", "\r✓ ready",
	}
	s := all[rnd.IntN(len(all))]
	return slices.Concat([]string{"", "v1", "shop", "ex-1", "production/"}, []string{"", "", ""})[rnd.IntN(8)] + s
}

const hostileSystem = `
version: 1
system: shop
environments:
  production:
    components:
      shop: {kind: host.service, with: {root: svc, link: current, instances: [{name: a}], uptime: 100ms, commands: {restart: ["true"], status: ["true"]}}}
`
