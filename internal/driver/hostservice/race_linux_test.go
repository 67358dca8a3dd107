package hostservice

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/proof"
)

// TestChangesWhileLinksAreSwapped swaps links and copies releases while another process exchanges the folder of the links and
// that of the releases, again and again, for links to the like outside: nothing there is ever created, changed or removed.
func TestChangesWhileLinksAreSwapped(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 60)
	l := newLab(t, func(root string, _ *astern.Component, s *Settings) {
		s.Source = filepath.Join(filepath.Dir(root), "source") + "/{revision}"
	})
	l.write("../source/v4/run", "#!/bin/sh\nexec sleep 1004\n", 0o755)
	swap, copied := l.before(l.first(verbSwap)), l.calls(l.route(astern.VerbDeploy, "v4", 100), 1)[0]
	// Outside looks like the root, down to what is left over of copies, so that nothing else refuses.
	outside := filepath.Join(filepath.Dir(l.root), "outside")
	l.write("../outside/releases/v1/run", "theirs", 0o755)
	l.write("../outside/releases/.partial-old/run", "theirs", 0o755)
	mk(t, os.MkdirAll(outside+"/links", 0o755))
	for _, name := range []string{"a", "b"} {
		mk(t, os.Symlink("../releases/v2", outside+"/links/"+name))
	}
	before := drivertest.Files(t, outside)
	racing := drivertest.NewRacer(t, l.root, outside, "links", "releases")
	figures := map[string]float64{}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		c := []astern.Call{swap, copied}[seed%2]
		c.Token, c.Fence = fmt.Sprintf("ast-race-%d", seed), int64(seed)+10
		if seed%2 == 1 {
			c.Args = maps.Clone(c.Args)
			c.Args["revision"] = astern.Text(fmt.Sprint("v4-", seed))
		}
		racing.Still(func() { l.link("links/a", "v2") })
		op := l.driver.Actor.Start(t.Context(), c)
		figures[c.Verb+"_"+string(op.Status)]++
		if after := drivertest.Files(t, outside); !maps.Equal(before, after) {
			t.Errorf("trial %d, %s, %+v: outside is now\n%q, was\n%q", seed, c.Verb, op, after, before)
		}
	}
	figures["exchanges"] = float64(racing.Stop())
	if figures["exchanges"] == 0 {
		t.Errorf("nothing was raced: %v", figures)
	}
	proof.Figures(t, figures)
}
