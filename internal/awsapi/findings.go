package awsapi

import (
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// Findings collect what speaks for and against one target, and which doors close it.
type Findings struct {
	Seen  time.Time // when what they rest on was seen
	List  []astern.Evidence
	Doors []astern.Door

	beside []int // places in List of what the call itself will tell
}

// Add notes one line of evidence.
func (f *Findings) Add(r astern.Readiness, format string, args ...any) {
	f.List = append(f.List, astern.Evidence{What: OneLine(fmt.Sprintf(format, args...)), Readiness: r, Seen: f.Seen})
}

// AddBeside notes that something around the target could not be looked at, which the way there does not touch and whose loss the
// call itself will tell: nothing goes there by itself, and a person may (--without-unreachable).
func (f *Findings) AddBeside(format string, args ...any) {
	f.beside = append(f.beside, len(f.List))
	f.Add(astern.ReadyUnknown, format, args...)
}

// Target is the target that was judged, with what the ledger says of it. Needs names what the way rests on.
func (f *Findings) Target(c astern.Component, s astern.State, d astern.Deployment, revision string, needs []string) astern.Target {
	now := s.Values["revision"]
	t := astern.Target{Address: c.Address(), Revision: revision, Hash: d.Hash, DeployedAt: d.LastAt, KnownGoodAt: d.KnownGoodAt, Latched: d.Latched,
		Current: now.Known() && now.Text == revision, Evidence: f.List, Doors: f.Doors, Needs: needs}
	if t.DeployedAt == nil {
		t.DeployedAt = d.FirstAt
	}
	return t
}

// Against returns the first evidence that forbids going there.
func (f *Findings) Against() (astern.Evidence, bool) {
	for i, e := range f.List {
		if e.Readiness == astern.Broken || e.Readiness == astern.ReadyUnknown && !slices.Contains(f.beside, i) {
			return e, true
		}
	}
	return astern.Evidence{}, false
}
