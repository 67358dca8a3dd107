package astern

import "time"

// EventKind is what a ledger event tells of a revision.
type EventKind string

// The ledger's events.
const (
	EventDeployed  EventKind = "deployed"   // it was put in place
	EventImported  EventKind = "imported"   // a folder or a tag remembers it: deployed once, unproven
	EventKnownGood EventKind = "known-good" // it completed its watch, or a person says so
	EventLatched   EventKind = "latched"    // it may not be deployed again
	EventReleased  EventKind = "released"   // the latch was released
	EventSeen      EventKind = "seen"       // its content hash was taken
)

// Event is one line of the ledger, which always records what happened and is never changed.
type Event struct {
	Seq      int64     `json:"seq"`
	At       time.Time `json:"at"`
	Address  string    `json:"address"`
	Kind     EventKind `json:"kind"`
	Revision string    `json:"revision"`
	Hash     string    `json:"hash,omitempty"` // content hash as recorded
	Artifact string    `json:"artifact,omitempty"`
	Commit   string    `json:"commit,omitempty"`
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	// Execution is the execution that caused it, "" when something else did (CI, a person).
	Execution string `json:"execution,omitempty"`
	// Token makes an event of a step findable after a crash.
	Token string `json:"token,omitempty"`
}

// Deployment is a revision as the ledger remembers it: the events of one revision of one component, folded.
type Deployment struct {
	Revision    string     `json:"revision"`
	Hash        string     `json:"hash,omitempty"` // the newest recorded
	FirstAt     *time.Time `json:"first_at,omitempty"`
	LastAt      *time.Time `json:"last_at,omitempty"` // last time it was deployed; nil when only imported or seen
	KnownGoodAt *time.Time `json:"known_good_at,omitempty"`
	// ProvenAt is the last time that it was shown to work: known-good, or gone back to and validated.
	ProvenAt *time.Time `json:"proven_at,omitempty"`
	Latched  string     `json:"latched,omitempty"` // reason, "" when not latched
	By       string     `json:"by,omitempty"`
	Commit   string     `json:"commit,omitempty"`
	Artifact string     `json:"artifact,omitempty"`
	Reason   string     `json:"reason,omitempty"`
}

// History is what the ledger knows of one component: its revisions, the last deployed first.
type History struct {
	Deployments []Deployment `json:"deployments"`
	// Current is the revision deployed last according to the ledger, "" when none is recorded.
	Current string `json:"current,omitempty"`
}

// Of returns the history's deployment of the revision.
func (h History) Of(revision string) (Deployment, bool) {
	for _, d := range h.Deployments {
		if d.Revision == revision {
			return d, true
		}
	}
	return Deployment{}, false
}

// Release is which revisions of several components ran together at a moment.
type Release struct {
	At        time.Time         `json:"at"`
	Revisions map[string]string `json:"revisions"` // address -> revision; absent when the ledger does not reach back
}
