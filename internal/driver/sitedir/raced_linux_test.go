package sitedir

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/proof"
)

// TestChangesWhileLinksAreSwapped carries each verb that writes out while another process exchanges folders of the site, or of the
// copy itself, again and again, for links to the like outside: nothing there is ever created, changed or removed.
func TestChangesWhileLinksAreSwapped(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 5)
	folders := []string{servedFolder, "releases", "manifests"}
	for name, c := range map[string]struct {
		verb      string
		exchanged []string
	}{
		"adopt": {verbAdopt, folders}, "compose": {verbCompose, folders}, "put": {verbPut, folders}, "switch": {verbSwitch, folders},
		"prune": {verbPrune, folders}, "put into the copy": {verbPut, []string{servedFolder + "/.partial-race/assets", servedFolder + "/.partial-race/..hidden"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoing(t, c.verb)
			d.older.Token = "race"
			whole := drivertest.Kept(t, d.root)
			if op := d.driver.Actor.Start(t.Context(), d.older); op.Status != astern.OpDone { // nothing but the exchanges is in the way
				t.Fatalf("%+v", op)
			}
			// Outside looks like the site, down to what copies that did not finish have left over, so that nothing else refuses.
			outside := t.TempDir()
			theirs := &lab{TB: t, root: outside}
			whole.Copy(outside)
			theirs.write("manifests/.partial-old", "theirs")
			for _, folder := range []string{servedFolder, "releases"} {
				theirs.write(folder+"/.partial-old/file", "theirs")
				theirs.write(folder+"/.partial-race/assets/file", "theirs")
				theirs.write(folder+"/.partial-race/..hidden/file", "theirs")
			}
			before := drivertest.Files(t, outside)
			racing := drivertest.NewRacer(t, d.root, outside, c.exchanged...)
			figures := map[string]float64{}
			for seed := first; seed < first+count && !t.Failed(); seed++ {
				racing.Still(whole.Restore)
				op := d.driver.Actor.Start(t.Context(), d.older)
				figures[c.verb+"_"+string(op.Status)]++
				if diff := cmp.Diff(before, drivertest.Files(t, outside)); diff != "" {
					t.Errorf("trial %d, %s, %+v, changed outside\n%s", seed, c.verb, op, diff)
				}
				racing.Still(func() { d.whole(fmt.Sprintf("trial %d, %+v", seed, op)) })
			}
			figures["exchanges"] = float64(racing.Stop())
			if figures["exchanges"] == 0 {
				t.Errorf("nothing was raced: %v", figures)
			}
			proof.Figures(t, figures)
		})
	}
}
