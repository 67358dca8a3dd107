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
}

// Add notes one line of evidence.
func (f *Findings) Add(r astern.Readiness, format string, args ...any) {
	f.List = append(f.List, astern.Evidence{What: OneLine(fmt.Sprintf(format, args...)), Readiness: r, Seen: f.Seen})
}

// Against returns the first evidence that forbids going there.
func (f *Findings) Against() (astern.Evidence, bool) {
	i := slices.IndexFunc(f.List, func(e astern.Evidence) bool {
		return e.Readiness == astern.Broken || e.Readiness == astern.ReadyUnknown
	})
	if i < 0 {
		return astern.Evidence{}, false
	}
	return f.List[i], true
}
