// Package enginetest is a simulated world for the engine: a journal in memory that can crash at every write, components
// whose effects can be lost, delayed or hidden, operators who pause, skip, settle and cancel, and random plans. Every
// run is made from a seed alone.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

// ErrCrash is what the journal answers once the simulated process is dead.
var ErrCrash = errors.New("the process crashed")

// Journal keeps one execution's records in memory. It is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	records []astern.Record
	fence   int64
	dead    bool
	// Crash, when set, is asked before each Append by an engine: it may end the process before the write or after it.
	Crash func() (before, after bool)
}

// Append writes the records unless the process is dead, the fence is old, or they don't follow the last one.
func (j *Journal) Append(_ context.Context, _ string, fence int64, records ...astern.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var after bool
	if fence > 0 {
		if j.dead {
			return ErrCrash
		}
		if fence != j.fence {
			return fmt.Errorf("fence %d, now %d: %w", fence, j.fence, engine.ErrFenced)
		}
		if j.Crash != nil {
			var before bool
			if before, after = j.Crash(); before {
				j.dead = true
				return ErrCrash
			}
		}
	}
	if last := int64(len(j.records)); len(records) > 0 && records[0].Seq != 0 && records[0].Seq != last+1 {
		return fmt.Errorf("record %d after %d: %w", records[0].Seq, last, engine.ErrBehind)
	}
	for _, r := range records {
		r.Seq = int64(len(j.records)) + 1
		j.records = append(j.records, r)
	}
	if after {
		j.dead = true
		return ErrCrash
	}
	return nil
}

// Read returns the records after seq.
func (j *Journal) Read(_ context.Context, _ string, after int64) ([]astern.Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		return nil, ErrCrash
	}
	return slices.Clone(j.records[min(after, int64(len(j.records))):]), nil
}

// Kill ends the simulated process: it writes and reads nothing any more.
func (j *Journal) Kill() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead = true
}

// Take starts a new process with the next fence.
func (j *Journal) Take(now time.Time) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead = false
	j.fence++
	j.records = append(j.records, astern.Record{Seq: int64(len(j.records)) + 1, At: now, Kind: astern.RecordTaken, Fence: j.fence})
	return j.fence
}

// Say appends what a person says.
func (j *Journal) Say(r astern.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Seq = int64(len(j.records)) + 1
	j.records = append(j.records, r)
}

// Records returns a copy of everything written.
func (j *Journal) Records() []astern.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.records)
}
