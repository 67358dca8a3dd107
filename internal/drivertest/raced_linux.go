package drivertest

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Racer exchanges names below a root, each in one moment, for links to the like outside and back, again and again, until it is stopped.
type Racer struct {
	testing.TB
	root, outside, aside string
	end                  chan struct{}
	done                 chan int
	turn                 *sync.Mutex // held while an exchange goes there and back
}

// NewRacer exchanges these names of the root, by turns, whenever they are there.
func NewRacer(t testing.TB, root, outside string, names ...string) Racer {
	t.Helper()
	r := Racer{t, root, outside, t.TempDir(), make(chan struct{}), make(chan int), new(sync.Mutex)}
	for _, name := range names {
		r.prepare(name)
	}
	go func() { // ends by Stop
		rnd := rand.New(rand.NewPCG(1, 7))
		made := 0
		for n := 1; ; n++ {
			if r.exchange(names[n%len(names)], rnd) {
				made++
			}
			select {
			case <-r.end:
				r.done <- made
				return
			default:
			}
		}
	}()
	return r
}

// link is what a name is exchanged for.
func (r Racer) link(name string) string { return filepath.Join(r.aside, filepath.Base(name)) }

func (r Racer) prepare(name string) {
	if err := errors.Join(os.RemoveAll(r.link(name)), os.Symlink(filepath.Join(r.outside, name), r.link(name))); err != nil {
		r.Error(err)
	}
}

// exchange goes there and back, and reports whether the name was there.
func (r Racer) exchange(name string, rnd *rand.Rand) bool {
	r.turn.Lock()
	defer r.turn.Unlock()
	for range 2 {
		err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(r.root, name), unix.AT_FDCWD, r.link(name), unix.RENAME_EXCHANGE)
		if errors.Is(err, unix.ENOENT) { // it is not there, or any more
			r.prepare(name)
			time.Sleep(100 * time.Microsecond)
			return false
		}
		if err != nil {
			r.Errorf("exchanging %s: %v", name, err)
		}
		if rnd.IntN(2) == 0 { // so that scripts, which are slower, see each of the states
			time.Sleep(time.Duration(rnd.IntN(6000)) * time.Microsecond)
		}
	}
	return true
}

// Stop ends it, with everything in its place, and returns how many exchanges it made.
func (r Racer) Stop() int {
	close(r.end)
	return <-r.done
}

// Still does something while everything is in its place.
func (r Racer) Still(do func()) {
	r.turn.Lock()
	defer r.turn.Unlock()
	do()
}
