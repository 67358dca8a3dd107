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

// CalibratedLevel is the level of a component's judge that replaying its quiet past came to. All shares are in percent.
type CalibratedLevel struct {
	Address string    `json:"address"`
	At      time.Time `json:"at"`
	// Wanted is the share of watches that may end in a false alarm beside a control: most of what the policy allows, for the rest
	// is that of judging against the past.
	Wanted       float64 `json:"wanted"`
	WatchSeconds int64   `json:"watch_seconds"` // how long one watch is
	PastSeconds  int64   `json:"past_seconds"`  // how much past was asked for
	// Level is what evidence is held against; Wanted itself where Problem says why the past can't tell.
	Level   float64 `json:"level"`
	Watches int     `json:"watches"` // that the quiet past was cut into
	Alarms  int     `json:"alarms"`  // among them at this level
	// Expected is the share of false alarms among watches like those, and Upper its bound with 95 % confidence.
	Expected float64 `json:"expected"`
	Upper    float64 `json:"upper"`
	// SetBy is when the watch began that the level was set by; zero where no watch had evidence worth the name.
	SetBy   time.Time `json:"set_by,omitzero"`
	Left    []string  `json:"left,omitempty"` // signals whose past can't be read
	Problem string    `json:"problem,omitempty"`
}
