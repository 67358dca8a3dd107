package hostservice

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/astern-dev/astern"
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
	before := everything(t, outside)
	racing := newRacer(t, l.root, outside, "links", "releases")
	figures := map[string]float64{}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		c := []astern.Call{swap, copied}[seed%2]
		c.Token, c.Fence = fmt.Sprintf("ast-race-%d", seed), int64(seed)+10
		if seed%2 == 1 {
			c.Args = maps.Clone(c.Args)
			c.Args["revision"] = astern.Text(fmt.Sprint("v4-", seed))
		}
		racing.still(func() { l.link("links/a", "v2") })
		op := l.driver.Actor.Start(t.Context(), c)
		figures[c.Verb+"_"+string(op.Status)]++
		if after := everything(t, outside); !slices.Equal(before, after) {
			t.Errorf("trial %d, %s, %+v: outside is now\n%q, was\n%q", seed, c.Verb, op, after, before)
		}
	}
	figures["exchanges"] = float64(racing.stop())
	if figures["exchanges"] == 0 {
		t.Errorf("nothing was raced: %v", figures)
	}
	proof.Figures(t, figures)
}

// racer exchanges folders of a root for links to folders outside, until it is stopped.
type racer struct {
	end  chan struct{}
	done chan int
	turn *sync.Mutex // held while an exchange goes there and back
}

func newRacer(t *testing.T, root, outside string, names ...string) racer {
	r := racer{make(chan struct{}), make(chan int), new(sync.Mutex)}
	aside := t.TempDir()
	for _, name := range names {
		mk(t, os.Symlink(filepath.Join(outside, name), filepath.Join(aside, name)))
	}
	go func() { // ends by stop
		rnd := rand.New(rand.NewPCG(1, 7))
		for n := 1; ; n++ {
			name := names[n%len(names)]
			here, there := filepath.Join(root, name), filepath.Join(aside, name)
			r.turn.Lock()
			for range 2 { // there and back
				if err := unix.Renameat2(unix.AT_FDCWD, here, unix.AT_FDCWD, there, unix.RENAME_EXCHANGE); err != nil {
					t.Errorf("exchanging %s: %v", name, err)
				}
				if rnd.IntN(2) == 0 { // so that scripts, which are slower, see each of the states
					time.Sleep(time.Duration(rnd.IntN(6000)) * time.Microsecond)
				}
			}
			r.turn.Unlock()
			select {
			case <-r.end:
				r.done <- n
				return
			default:
			}
		}
	}()
	return r
}

// stop ends the racer, with everything in its place, and returns how many exchanges it made.
func (r racer) stop() int {
	close(r.end)
	return <-r.done
}

// still does something while everything is in its place.
func (r racer) still(do func()) {
	r.turn.Lock()
	defer r.turn.Unlock()
	do()
}

// everything lists a tree: names, kinds, times of change, contents and where links lead.
func everything(t *testing.T, folder string) (all []string) {
	t.Helper()
	mk(t, filepath.WalkDir(folder, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := at + " " + info.Mode().String() + " " + info.ModTime().String()
		if d.Type().IsRegular() {
			b, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			line += " " + string(b)
		}
		if text, err := os.Readlink(at); err == nil {
			line += " " + text
		}
		all = append(all, line)
		return nil
	}))
	return all
}
