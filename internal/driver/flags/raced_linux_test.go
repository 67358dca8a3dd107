package flags

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/proof"
)

// TestChangesWhileLinksAreSwapped changes a flag file and puts it back while another process exchanges the file, the folder beside
// it or the lock in that, again and again, for links to the like outside: nothing there is ever created, changed or removed.
func TestChangesWhileLinksAreSwapped(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 20)
	for name, exchanged := range map[string][]string{"file and folder": {"flags.json", "flags.json.astern"}, "lock": {"flags.json.astern/lock"},
		"folder": {"flags.json.astern"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, false)
			change, err := l.plan(astern.FlagChange{Flag: "search"})
			if err != nil {
				t.Fatal(err)
			}
			calls := []astern.Call{change, l.back()}
			whole := drivertest.Kept(t, l.folder)
			for _, c := range calls { // nothing but the exchanges is in the way
				l.must(l.driver.Actor.Start(t.Context(), c), nil)
				whole.Restore()
			}
			// Outside looks like the folder, down to what commands that were killed have left over, so that nothing else refuses.
			outside := t.TempDir()
			whole.Copy(outside)
			if err := os.WriteFile(filepath.Join(outside, "flags.json.astern/tmp-old"), []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "folder" { // so that one that locks there makes the lock
				if err := os.Remove(filepath.Join(outside, "flags.json.astern/lock")); err != nil {
					t.Fatal(err)
				}
			}
			before := drivertest.Files(t, outside)
			racing := drivertest.NewRacer(t, l.folder, outside, exchanged...)
			figures := map[string]float64{}
			for seed := first; seed < first+count && !t.Failed(); seed++ {
				c := calls[seed%2]
				c.Token, c.Fence = fmt.Sprintf("race-%d", seed), int64(seed)+10
				racing.Still(whole.Restore)
				op := l.driver.Actor.Start(t.Context(), c)
				figures[c.Verb+"_"+string(op.Status)]++
				if diff := cmp.Diff(before, drivertest.Files(t, outside)); diff != "" {
					t.Errorf("trial %d, %s, %+v, changed outside\n%s", seed, c.Verb, op, diff)
				}
			}
			figures["exchanges"] = float64(racing.Stop())
			if figures["exchanges"] == 0 {
				t.Errorf("nothing was raced: %v", figures)
			}
			proof.Figures(t, figures)
		})
	}
}
