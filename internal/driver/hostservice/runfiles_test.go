package hostservice

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
)

// What astern keeps beside a release never leads out of the root: where somebody put a link there, nothing is run, and nothing is
// written to where it leads.
func TestRunFilesThatAreLinks(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"a.run", "a.out"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil)
			outside := filepath.Join(t.TempDir(), "outside")
			if err := os.WriteFile(outside, []byte("mine\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(l.root, ".astern"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(l.root, ".astern", file)); err != nil {
				t.Fatal(err)
			}
			op := l.driver.Actor.Start(t.Context(), l.before(l.first("restart")))
			text, err := os.ReadFile(outside)
			if err != nil || string(text) != "mine\n" {
				t.Errorf("what the link leads to holds %q now, %v", text, err)
			}
			if refused := op.Status == astern.OpFailed && strings.Contains(op.Error, "is a symbolic link"); refused != (file == "a.run") {
				t.Errorf("the restart said %+v", op)
			}
		})
	}
}
