package astern

import "time"

// Replay is what would have been decided about faults of the past by other rules. It changes nothing, and is never more
// than a reckoning: what people would have done, nobody knows.
type Replay struct {
	// Of is what was judged again: an incident, a recording, or a time in shadow mode.
	Of string `json:"of"`
	// Policy is whose policy judged.
	Policy string        `json:"policy"`
	Faults []ReplayFault `json:"faults"`
	// Notes are what a reader must know of the reckoning.
	Notes []string `json:"notes,omitempty"`
}

// ReplayFault is one fault that was judged again.
type ReplayFault struct {
	Incident  string    `json:"incident,omitempty"`
	Address   string    `json:"address"`
	Title     string    `json:"title"`
	BeganAt   time.Time `json:"began_at"`
	NoticedAt time.Time `json:"noticed_at"`
	Cause     *Cause    `json:"cause,omitempty"`
	Blame     string    `json:"blame,omitempty"`
	// EndedAt is when it really ended, nil when it had not; Ended says by what, and People whether somebody took the same way
	// that was decided.
	EndedAt *time.Time `json:"ended_at,omitempty"`
	Ended   string     `json:"ended,omitempty"`
	People  string     `json:"people,omitempty"`
	// Cost is what it really cost.
	Cost      Cost       `json:"cost"`
	Decisions []Rejudged `json:"decisions"`
	// Saving is what the first difference would have saved or lost; nil when nothing differs.
	Saving *Saving `json:"saving,omitempty"`
}

// Rejudged is one decision beside the one that would have been made in its place.
type Rejudged struct {
	At time.Time `json:"at"`
	// Was is what was decided; nil when nothing was.
	Was *Decision `json:"was,omitempty"`
	// Would is what would have been decided; nil when that is Unknown.
	Would   *Decision `json:"would,omitempty"`
	Unknown string    `json:"unknown,omitempty"`
	// Severity and Mode are those of the other policy.
	Severity string `json:"severity,omitempty"`
	Mode     Mode   `json:"mode,omitempty"`
	Same     bool   `json:"same"`
	// From is from when on it would have acted by itself, where it had to wait: a freeze or a cool-down ends.
	From *time.Time `json:"from,omitempty"`
}

// Saving is what another decision would have saved: what is lost is less than zero.
type Saving struct {
	// Seconds of harm and Requests that failed. Low and High are what the requests lie between. Nil is unknown.
	Seconds  *float64 `json:"seconds,omitempty"`
	Requests *float64 `json:"requests,omitempty"`
	Low      *float64 `json:"low,omitempty"`
	High     *float64 `json:"high,omitempty"`
	// PerMinute is how many requests failed each minute at that time, where nobody knows how many minutes it would have been.
	PerMinute *float64 `json:"per_minute,omitempty"`
	// Because says what it was reckoned from, or why it is not known.
	Because string `json:"because"`
}
