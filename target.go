package astern

import "time"

// Readiness says whether a target can be reached now.
type Readiness string

// The four readinesses. ReadyUnknown is never shown as ready.
const (
	Ready        Readiness = "ready"
	AtRisk       Readiness = "at risk" // works today, will not soon, or was not proven lately
	Broken       Readiness = "broken"
	ReadyUnknown Readiness = "unknown"
)

// Evidence is one thing seen that speaks for or against a target. Readiness is what this alone would make it.
type Evidence struct {
	What      string    `json:"what"` // one line: "release folder on web-1 has its recorded hash"
	Readiness Readiness `json:"readiness"`
	Seen      time.Time `json:"seen"`
}

// Door is what closes the way to a target next: a date, or an event that has no date.
type Door struct {
	// At is when it closes; nil when it closes by an event.
	At *time.Time `json:"at,omitempty"`
	// Deployments is how many further deployments close it; 0 when it closes by date.
	Deployments int `json:"deployments,omitempty"`
	// Pushes says that Deployments counts images pushed to a registry: a deployment brings one or more, and so does every other
	// build.
	Pushes bool   `json:"pushes,omitempty"`
	What   string `json:"what"` // "retention keeps 5 releases"
	// Leaves is what the target is once it is closed; empty means broken. A door that leaves something closes a shorter way
	// ("the cloud itself reverts it for 72 h") or a proof.
	Leaves Readiness `json:"leaves,omitempty"`
}

// Target is an earlier state of a component to go back to.
type Target struct {
	Address  string `json:"address"`
	Revision string `json:"revision"`
	// Hash is the content hash of the revision as recorded, "" when none is.
	Hash       string     `json:"hash,omitempty"`
	DeployedAt *time.Time `json:"deployed_at,omitempty"`
	// Imported is true where the ledger has no deployment of it: DeployedAt is when it was put in place, as far as could be seen.
	Imported bool `json:"imported,omitempty"`
	// KnownGoodAt is when the revision completed its watch; nil when it never did.
	KnownGoodAt *time.Time `json:"known_good_at,omitempty"`
	// Current is true for the revision that runs now.
	Current bool `json:"current,omitempty"`
	// Latched is the reason of the latch on it, "" when there is none.
	Latched   string     `json:"latched,omitempty"`
	Readiness Readiness  `json:"readiness"`
	Evidence  []Evidence `json:"evidence"`
	Estimate  Estimate   `json:"estimate"`
	Loss      []Loss     `json:"loss,omitempty"`
	Approvals int        `json:"approvals"`
	Doors     []Door     `json:"doors,omitempty"` // the next to close first
	// Needs names what must be there for the way, as who deletes things names it: an ARN, s3://BUCKET/KEY?versionId=…, or
	// HOST:/PATH. What has no such name is not among them.
	Needs []string `json:"needs,omitempty"`
}

// Estimate is how long something takes, in seconds. A guess has no runs behind it and says so.
type Estimate struct {
	MedianSeconds float64 `json:"median_seconds"`
	// LowSeconds and HighSeconds are the fastest and slowest of the runs.
	LowSeconds  float64 `json:"low_seconds,omitempty"`
	HighSeconds float64 `json:"high_seconds,omitempty"`
	// Runs is how many measured runs it comes from; 0 means it is a guess.
	Runs int `json:"runs"`
}

// Loss is data that would be lost, as a number with its unit; never a sentence.
type Loss struct {
	Address string `json:"address"`
	// Unit is rows, items, bytes, or seconds (of writes).
	Unit  string `json:"unit"`
	Count int64  `json:"count"`
	// Unknown says why it could not be counted; it then counts as a loss.
	Unknown string    `json:"unknown,omitempty"`
	Seen    time.Time `json:"seen,omitzero"`
}
