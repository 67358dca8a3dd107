package demo

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// This file alone knows what astern's JSON documents look like.

// executions is `astern executions -o json`.
type executions struct {
	Executions []struct {
		Execution execution `json:"execution"`
	} `json:"executions"`
}

type execution struct {
	ID        string   `json:"id"`
	Outcome   string   `json:"outcome"`
	Addresses []string `json:"addresses"`
}

// running returns the id of the execution that has not ended, "" when there is none.
func (e executions) running() string {
	for _, x := range e.Executions {
		if x.Execution.Outcome == "" {
			return x.Execution.ID
		}
	}
	return ""
}

// all returns what is known of each.
func (e executions) all() []execution {
	var out []execution
	for _, x := range e.Executions {
		out = append(out, x.Execution)
	}
	return out
}

// ids returns those of all executions.
func (e executions) ids() []string {
	var out []string
	for _, x := range e.Executions {
		out = append(out, x.Execution.ID)
	}
	return out
}

// labUp is `astern lab up -o json`.
type labUp struct {
	Lab struct {
		URL string `json:"url"`
	} `json:"lab"`
}

// judged is one component in `astern check -o json`, or in that of targets, which tells the targets alone.
type judged struct {
	Address  string   `json:"address"`
	Best     string   `json:"best"` // where it can go back to
	Findings []string `json:"findings"`
	Targets  []struct {
		Revision  string           `json:"revision"`
		Readiness astern.Readiness `json:"readiness"`
		Doors     []astern.Door    `json:"doors"`
	} `json:"targets"`
}

// String says whether there is a way back, and what is wrong.
func (j judged) String() string {
	out := "back to " + j.Best
	if j.Best == "" {
		out = "no way back"
	}
	return strings.Join(append([]string{out}, j.Findings...), "; ")
}

// readiness returns that of a revision, "" when it is no target.
func (j judged) readiness(revision string) astern.Readiness {
	for _, t := range j.Targets {
		if t.Revision == revision {
			return t.Readiness
		}
	}
	return ""
}

// closes returns the first date at which something takes the way to a revision.
func (j judged) closes(revision string) (first time.Time) {
	for _, t := range j.Targets {
		for _, d := range t.Doors {
			if t.Revision == revision && d.At != nil && (first.IsZero() || d.At.Before(first)) {
				first = *d.At
			}
		}
	}
	return first
}

// spoken is one line of `astern watch -o json`.
type spoken struct {
	At        time.Time `json:"at"`
	Address   string    `json:"address"`
	Kind      string    `json:"kind"`
	Text      string    `json:"text"`
	Incident  string    `json:"incident"`
	Plan      string    `json:"plan"`
	Execution string    `json:"execution"`
}

// The kinds of what the watch says.
const (
	watching = "watching" // one for each component, in the beginning
	noticed  = "noticed"  // something is worse
	decided  = "decided"  // what to do about it, or why nothing
	acted    = "acted"    // an execution begins
	proven   = "proven"   // it is done, and its checks pass
	resolved = "resolved" // nothing is worse any more, by the signals
	good     = "known-good"
)

// shown is `astern show ID -o json`.
type shown struct {
	Records   []astern.Record `json:"records"`
	Execution execution       `json:"execution"`
	State     string          `json:"state"`
	Phases    astern.Phases   `json:"phases"`
	Steps     []stepProgress  `json:"steps"`
	Gates     []gate          `json:"gates"`
}

type stepProgress struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// gate is what the execution waits for at the end of a stage.
type gate struct {
	Open         bool              `json:"open"`
	BakedSeconds float64           `json:"baked_seconds"`
	BakeSeconds  float64           `json:"bake_seconds"`
	Results      []json.RawMessage `json:"results"`
}

// untouched are the words for a step that nothing was done about yet.
var untouched = []string{"pending", "waiting"}

// bakes reports whether the execution stands between two waves at a gate that has begun to count.
func (s shown) bakes() bool {
	return s.betweenWaves() && slices.ContainsFunc(s.Gates, func(g gate) bool {
		return !g.Open && g.BakeSeconds > 0 && (g.BakedSeconds > 0 || len(g.Results) > 0)
	})
}

// betweenWaves reports whether the execution stands between two waves: some instances are through all their steps, for
// others nothing has begun, and no step is under way.
func (s shown) betweenWaves() bool {
	begun, done := map[string]bool{}, map[string]bool{} // member -> some step is not waiting, all are done
	for _, st := range s.Steps {
		_, member, fleet := strings.Cut(st.ID, "@")
		if st.Status != "done" && !slices.Contains(untouched, st.Status) {
			return false
		}
		if !fleet {
			continue
		}
		if _, seen := done[member]; !seen {
			done[member] = true
		}
		done[member] = done[member] && st.Status == "done"
		begun[member] = begun[member] || st.Status == "done"
	}
	through, waiting := 0, 0
	for member := range done {
		switch {
		case done[member]:
			through++
		case !begun[member]:
			waiting++
		}
	}
	return through > 0 && waiting > 0 && through+waiting == len(done)
}

// decode reads a JSON document that astern printed.
func decode[T any](command string, document []byte) (T, error) {
	var v T
	if err := json.Unmarshal(document, &v); err != nil {
		return v, astern.Errorf(astern.Internal, "reading what %s printed: %w", command, err)
	}
	return v, nil
}
