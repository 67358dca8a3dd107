package astern

// OnFailure is what follows when a stage or its gate fails.
type OnFailure string

// Hold stops and asks a person: rollback and failover never go back to the bad release by themselves. Undo plans the
// reverse of what was done: cut-overs do.
const (
	OnFailureHold OnFailure = "hold"
	OnFailureUndo OnFailure = "undo"
)

// Stage is lanes of steps in order, ended by a gate. With Each there is one lane for each member of the range; else
// there is one lane with all the steps, or, with Parallel > 1, one lane for each step.
type Stage struct {
	Title string `json:"title"`
	Each  *Each  `json:"each,omitempty"`
	Steps []Step `json:"steps"`
	// Parallel is how many lanes run side by side; 0 and 1 mean one after another.
	Parallel int `json:"parallel,omitempty"`
	// Tolerate is how many lanes may fail; a plan that tolerated any ends incomplete.
	Tolerate int `json:"tolerate,omitempty"`
	// StopWhen names checks judged while the stage runs; one that fails stops the stage.
	StopWhen  []string  `json:"stop_when,omitempty"`
	Gate      *Gate     `json:"gate,omitempty"`
	OnFailure OnFailure `json:"on_failure"`
}

// Each spreads a stage's steps over members From (inclusive) to To (exclusive) of the address's fleet.
type Each struct {
	Address string `json:"address"`
	From    int    `json:"from"`
	To      int    `json:"to"`
}

// Gate ends a stage. It opens when all checks pass and have passed for BakeSeconds; only time between two passes
// without a restart of the engine in between counts. A fail closes it; unknown until TimeoutSeconds holds.
type Gate struct {
	Checks          []string `json:"checks"` // ids of bound checks
	BakeSeconds     int64    `json:"bake_seconds"`
	IntervalSeconds int64    `json:"interval_seconds"`
	// TimeoutSeconds bounds the time without a round in which all passed.
	TimeoutSeconds int64 `json:"timeout_seconds"`
}

// Lane is a member's or a step's own sequence within a stage, with step ids expanded.
type Lane struct {
	Member string // "" outside a fleet
	Steps  []LaneStep
}

// LaneStep is a step of a lane and the id it has there: STEP, or STEP@MEMBER.
type LaneStep struct {
	ID   string
	Step *Step
}

// Lanes expands the plan's stage i into its lanes. It returns an Invalid error when the stage refers to members that
// the plan does not list.
func (p Plan) Lanes(i int) ([]Lane, error) {
	st := &p.Stages[i]
	if st.Each == nil {
		if st.Parallel > 1 {
			lanes := make([]Lane, len(st.Steps))
			for k := range st.Steps {
				lanes[k] = Lane{Steps: []LaneStep{{st.Steps[k].ID, &st.Steps[k]}}}
			}
			return lanes, nil
		}
		lane := Lane{Steps: make([]LaneStep, len(st.Steps))}
		for k := range st.Steps {
			lane.Steps[k] = LaneStep{st.Steps[k].ID, &st.Steps[k]}
		}
		if len(lane.Steps) == 0 {
			return nil, nil
		}
		return []Lane{lane}, nil
	}
	fleet, ok := p.Fleet(st.Each.Address)
	if !ok || st.Each.From < 0 || st.Each.From > st.Each.To || st.Each.To > len(fleet.Members) {
		return nil, Errorf(Invalid, "stage %d takes members %d to %d of %s, which the plan does not list",
			i+1, st.Each.From, st.Each.To, st.Each.Address)
	}
	lanes := make([]Lane, 0, st.Each.To-st.Each.From)
	for _, m := range fleet.Members[st.Each.From:st.Each.To] {
		lane := Lane{Member: m, Steps: make([]LaneStep, len(st.Steps))}
		for k := range st.Steps {
			lane.Steps[k] = LaneStep{st.Steps[k].ID + "@" + m, &st.Steps[k]}
		}
		lanes = append(lanes, lane)
	}
	return lanes, nil
}
