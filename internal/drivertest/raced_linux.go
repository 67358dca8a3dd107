package drivertest

import (
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
	end  chan struct{}
	done chan int
	turn *sync.Mutex // held while an exchange goes there and back
}

// NewRacer exchanges these names of the root, by turns.
func NewRacer(t testing.TB, root, outside string, names ...string) Racer {
	t.Helper()
	r := Racer{make(chan struct{}), make(chan int), new(sync.Mutex)}
	aside := t.TempDir()
	for _, name := range names {
		if err := os.Symlink(filepath.Join(outside, name), filepath.Join(aside, name)); err != nil {
			t.Fatal(err)
		}
	}
	go func() { // ends by Stop
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
