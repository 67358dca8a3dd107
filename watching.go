package astern

import "time"

// WatchKind is what an event of the watch tells.
type WatchKind string

// The events of the watch, in the order in which they come about one fault.
const (
	WatchBegan     WatchKind = "watching"   // the component is watched from now on
	WatchJudging   WatchKind = "judging"    // a deployment is held against what ran before
	WatchNoticed   WatchKind = "noticed"    // something is worse: an incident is open
	WatchDecided   WatchKind = "decided"    // what to do, or why nothing
	WatchActed     WatchKind = "acted"      // a plan is being carried out
	WatchProven    WatchKind = "proven"     // it is, and the way it took is validated
	WatchResolved  WatchKind = "resolved"   // nothing is worse any more
	WatchKnownGood WatchKind = "known-good" // a deployment has stood its watch
	WatchTrouble   WatchKind = "trouble"    // something could not be read or done
)

// WatchEvent is one line that the watch says.
type WatchEvent struct {
	At      time.Time `json:"at"`
	Address string    `json:"address,omitempty"`
	Kind    WatchKind `json:"kind"`
	Text    string    `json:"text"`
	// Incident, Plan (a hash) and Execution are those that it is about.
	Incident  string `json:"incident,omitempty"`
	Plan      string `json:"plan,omitempty"`
	Execution string `json:"execution,omitempty"`
}

// WatchState is what the watch last knew of a component.
type WatchState struct {
	At time.Time `json:"at"` // zero when it was never watched
	// Alive is false when a round is overdue: nobody watches any more.
	Alive bool `json:"alive"`
	// Says is one line: what is judged, and what is known of it.
	Says string `json:"says,omitempty"`
}
