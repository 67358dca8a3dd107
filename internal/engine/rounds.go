package engine

import (
	"time"

	"github.com/astern-dev/astern"
)

// side returns the checks of the stage's gate, or of its stop_when.
func (st *stage) side(gate bool) *checks {
	if gate {
		return &st.checks[1]
	}
	return &st.checks[0]
}

// judged returns the stage that the round is about; nil for an answer to an older look at its checks.
func (f *Fold) judged(r astern.Record) *stage {
	st := f.stage()
	if st == nil || r.Stage != f.current+1 || r.Attempt != st.look || r.Gate == st.entered.IsZero() {
		return nil
	}
	return st
}

// applyRound counts a round of checks: of the gate, or judged while the stage runs.
func (f *Fold) applyRound(r astern.Record) {
	st := f.judged(r)
	if st == nil {
		return
	}
	verdict, text := st.side(r.Gate).worst(r.Results)
	st.asked, st.told, st.verdict = r.At, r.At, verdict
	if !r.Gate {
		if verdict == astern.Fail {
			st.stopped = text
		}
		return
	}
	switch verdict {
	case astern.Pass:
		st.baked += st.bakes(r, r.At)
		st.lastPass, st.lastGood = r.At, r.At
		st.passed = st.baked >= seconds(st.plan.Gate.BakeSeconds)
	case astern.Fail: // what was baked before the fault proves nothing
		st.lastPass, st.baked, st.gateFail = noTime, 0, text
	default:
		st.lastPass = noTime
		if age(&st.lastGood, r.At) >= seconds(st.plan.Gate.TimeoutSeconds) {
			st.gateStuck = text
		}
	}
}

// bakes returns how much the pass adds to what is baked: the time since the last one, but no more than lies between two
// rounds that follow each other, for a machine that slept, or whose clock was set, has watched nothing in between.
func (st *stage) bakes(r astern.Record, now time.Time) time.Duration {
	if st.lastPass.IsZero() || !now.After(st.lastPass) {
		return 0
	}
	longest := 0.0
	for _, c := range r.Results {
		longest = max(longest, c.Seconds)
	}
	most := st.quiet() + 2*st.interval(true) + time.Duration(min(longest, 3600)*float64(time.Second)) + 5*time.Second
	return min(now.Sub(st.lastPass), most)
}

// quiet is how long rounds that say the same as the one before are not written. A long watch stays short in the journal, and
// a crash loses no more than this of what was baked.
func (st *stage) quiet() time.Duration {
	q := min(10*time.Second, seconds(st.plan.Gate.TimeoutSeconds)/4)
	if bake := seconds(st.plan.Gate.BakeSeconds); bake > 0 {
		q = min(q, bake/20)
	}
	return q
}

// stopQuiet is the same for the checks that are judged while a stage runs.
const stopQuiet = time.Minute

// tellsRound reports whether the round says anything that the journal does not know: another verdict, the end of the
// bake or of the patience, or the same for some time. Else the checks are made again after their interval.
func (f *Fold) tellsRound(r astern.Record, now time.Time) bool {
	st := f.judged(r)
	if st == nil {
		return false
	}
	verdict, _ := st.side(r.Gate).worst(r.Results)
	quiet := stopQuiet
	if r.Gate {
		quiet = st.quiet()
	}
	since := now.Sub(st.told)
	tells := verdict == astern.Fail || verdict != st.verdict || since < 0 || since >= quiet
	switch {
	case r.Gate && verdict == astern.Pass:
		tells = tells || st.baked+st.bakes(r, now) >= seconds(st.plan.Gate.BakeSeconds)
	case r.Gate:
		tells = tells || now.Sub(st.lastGood) >= seconds(st.plan.Gate.TimeoutSeconds)
	}
	if !tells {
		st.asked = now
	}
	return tells
}

// worst returns the verdict of a round, fail before unknown before pass, and the evidence of the first such result. A check
// that did not answer, or that answered neither pass nor fail, is unknown.
func (c *checks) worst(results []astern.CheckResult) (astern.Verdict, string) {
	verdict, text := astern.Pass, ""
	if c.unbound != "" {
		verdict, text = astern.Unknown, c.unbound
	}
	answered := make(map[string]bool, len(results))
	for _, r := range results {
		answered[r.Check] = true
		switch {
		case r.Verdict == astern.Fail:
			return astern.Fail, r.Check + ": " + r.Evidence
		case r.Verdict != astern.Pass && verdict == astern.Pass:
			verdict, text = astern.Unknown, r.Check+": "+r.Evidence
		}
	}
	for _, k := range c.bound {
		if !answered[k.ID()] && verdict == astern.Pass {
			verdict, text = astern.Unknown, k.ID()+": it was not made"
		}
	}
	return verdict, text
}

// interval is the time from one round to the next.
func (st *stage) interval(gate bool) time.Duration {
	g := st.plan.Gate
	switch {
	case g != nil && g.IntervalSeconds > 0:
		return seconds(g.IntervalSeconds)
	case gate:
		return time.Second
	}
	return 5 * time.Second
}
