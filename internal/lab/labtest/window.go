package labtest

import (
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/lab"
)

// window is how long a change without a condition came after the account was last asked for anything: from when that question
// began, to when the change did, by the lab's clock, which goes on as ours does while nothing steps it.
type window struct {
	verb             string
	question, change string // operations
	took             time.Duration
}

// noteWindows notes the first change that the call has made since the journal's number, where its verb has no condition.
func (x *execution) noteWindows(call astern.Call, since int64) {
	x.Helper()
	if !slices.ContainsFunc(x.driver.Verbs, func(v astern.VerbInfo) bool { return v.Verb == call.Verb && v.Exclusion == astern.Window }) {
		return
	}
	all := x.account.ours(0)
	slices.SortFunc(all, func(a, b lab.Entry) int { return int(a.Seq - b.Seq) })
	asked := -1
	for i, e := range all {
		switch {
		case e.ReadOnly:
			asked = i
		case e.Seq <= since || x.world.Effect(e) == "":
		case asked < 0:
			x.Errorf("%s changes by %s:%s what it has never looked at", call.Verb, e.Service, e.Operation)
			return
		default:
			was := all[asked]
			x.windows = append(x.windows, window{call.Verb, was.Service + ":" + was.Operation, e.Service + ":" + e.Operation, e.Time.Sub(was.Time)})
			return
		}
	}
}

// countWindows keeps the longest window of each verb.
func (x *table) countWindows(e *execution) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range e.windows {
		e.Logf("%s: %s came %s after %s", w.verb, w.change, w.took, w.question)
		name := "max_window_ms_" + w.verb
		x.counts[name] = max(x.counts[name], float64(w.took.Microseconds())/1000)
	}
}
