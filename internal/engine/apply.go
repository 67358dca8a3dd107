package engine

import (
	"hash/fnv"
	"maps"
	"sort"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Apply folds one record into the state. Records must come in the order of the journal.
func (f *Fold) Apply(r astern.Record) {
	f.seq, f.lastAt = r.Seq, r.At
	switch r.Kind {
	case astern.RecordTaken:
		f.applyTaken(r)
	case astern.RecordPaused:
		f.paused = true
	case astern.RecordResumed:
		f.applyResumed(r)
	case astern.RecordCancelled:
		f.cancelled, f.paused = true, false
	case astern.RecordRound:
		f.applyRound(r)
	case astern.RecordChild:
		f.child, f.nothingLeft = r.Text, r.Text == ""
	case astern.RecordEnded:
		f.outcome = r.Outcome
	case astern.RecordUnprepared:
		if r.Step == "" {
			f.planFail = r.Text
		}
	}
	if s := f.steps[r.Step]; s != nil && r.Kind != astern.RecordTicked {
		f.applyStep(s, r)
	}
	f.advance()
}

// News completes the records that answer actions with time and fence, and leaves out those that say nothing new: a
// running step with the progress that is known, which is then asked again after its pause, and the intent of a step that
// was prepared when a person said stop.
func (f *Fold) News(records []astern.Record, now time.Time) []astern.Record {
	news := records[:0:0]
	for _, r := range records {
		s := f.steps[r.Step]
		if s != nil && r.Kind == astern.RecordOp && s.phase == running && !s.tells(r, now) {
			s.notBefore = now.Add(pollPause(r.Op))
			continue
		}
		if r.Kind == astern.RecordIntent && (f.paused || f.cancelled) {
			continue
		}
		r.At, r.Fence = now, f.fence
		news = append(news, r)
	}
	return news
}

// tells reports whether a running step's answer says anything that the journal does not know.
func (s *step) tells(r astern.Record, now time.Time) bool {
	return r.Op.Status != astern.OpRunning || r.Op.Progress != s.op.Progress || !maps.Equal(r.Op.Handle, s.op.Handle) ||
		s.call != nil && now.After(s.call.Deadline)
}

// applyTaken notes that a new engine holds the execution: what the old one had started and not written down is in
// doubt, and time since the last pass does not count as baked.
func (f *Fold) applyTaken(r astern.Record) {
	f.fence = r.Fence
	for _, s := range f.steps {
		s.notBefore = time.Time{}
		switch s.phase {
		case intended:
			s.phase, s.since, s.lost = doubt, r.At, false
		}
		s.asking, s.stuck = r.At, false
	}
	for _, st := range f.stages {
		st.lastPass, st.asked = time.Time{}, time.Time{}
		if !st.entered.IsZero() {
			st.lastGood = r.At
		}
		st.gateStuck = ""
	}
}

// applyResumed gives what failed without effect another attempt, and gates another look.
func (f *Fold) applyResumed(r astern.Record) {
	f.paused, f.planFail = false, ""
	for _, s := range f.steps {
		s.notBefore, s.tries, s.stuck = time.Time{}, 0, false
		switch s.phase {
		case failed, refused:
			s.phase, s.since, s.diffs, s.text = waiting, time.Time{}, nil, ""
		}
		s.asking = r.At
	}
	for _, st := range f.stages {
		st.gateFail, st.gateStuck, st.stopped = "", "", ""
		st.lastPass, st.asked = time.Time{}, time.Time{}
		if !st.entered.IsZero() {
			st.lastGood = r.At
		}
	}
}

// applyRound counts a round of checks: of the gate, or judged while the stage runs.
func (f *Fold) applyRound(r astern.Record) {
	if r.Stage < 1 || r.Stage > len(f.stages) {
		return
	}
	st := f.stages[r.Stage-1]
	st.asked = r.At
	verdict, text := worst(r.Results)
	if !r.Gate {
		if verdict == astern.Fail {
			st.stopped = text
		}
		return
	}
	switch verdict {
	case astern.Pass:
		if !st.lastPass.IsZero() && r.At.After(st.lastPass) {
			st.baked += r.At.Sub(st.lastPass)
		}
		st.lastPass, st.lastGood = r.At, r.At
		if st.baked >= seconds(st.plan.Gate.BakeSeconds) {
			st.passed = true
		}
	case astern.Fail:
		st.lastPass, st.gateFail = time.Time{}, text
	default:
		st.lastPass = time.Time{}
		if r.At.Sub(st.lastGood) >= seconds(st.plan.Gate.TimeoutSeconds) {
			st.gateStuck = text
		}
	}
}

func (f *Fold) applyStep(s *step, r astern.Record) {
	switch r.Kind {
	case astern.RecordIntent:
		s.phase, s.attempt, s.call, s.op, s.since, s.stuck = intended, r.Attempt, r.Call, nil, time.Time{}, false
		f.execution = r.Call.Execution
	case astern.RecordRefused:
		s.phase, s.diffs, s.text = refused, r.Differences, describe(r.Differences)
	case astern.RecordUnprepared:
		f.applyUnprepared(s, r)
	case astern.RecordOp:
		f.applyOp(s, r)
	case astern.RecordAbsent:
		s.text = "not found in the world"
		if r.Asked.Sub(s.since) < seconds(s.plan.SettleSeconds) {
			f.stillInDoubt(s, r)
			return
		}
		if s.lost {
			s.tries++
		}
		f.again(s, r, astern.Unavailable)
	case astern.RecordDoubt:
		s.text = r.Text
		f.stillInDoubt(s, r)
	case astern.RecordSettled:
		f.applyOp(s, r)
	case astern.RecordAllowed:
		s.overLimit = ""
	case astern.RecordSkipped:
		s.phase = skipped
	}
}

// stillInDoubt decides when to ask again, and when a person must say.
func (f *Fold) stillInDoubt(s *step, r astern.Record) {
	s.notBefore = r.At.Add(pause(s.id, 1+int(r.At.Sub(s.asking)/(5*time.Second))))
	if r.At.Sub(s.asking) >= seconds(s.plan.SettleSeconds+s.plan.HoldSeconds) {
		s.stuck = true
	}
}

// applyUnprepared retries a preparation that could not read its facts until hold_seconds are over.
func (f *Fold) applyUnprepared(s *step, r astern.Record) {
	if s.since.IsZero() {
		s.since = r.At
	}
	s.text, s.tries = r.Text, s.tries+1
	if !r.Code.Transient() || r.At.Sub(s.since) >= seconds(s.plan.HoldSeconds) {
		s.phase = failed
		return
	}
	s.notBefore = r.At.Add(pause(s.id, s.tries))
}

func (f *Fold) applyOp(s *step, r astern.Record) {
	op := r.Op
	s.op = op
	switch op.Status {
	case astern.OpRunning:
		s.phase = running
		s.notBefore = r.At.Add(pollPause(op))
		if s.call != nil && r.At.After(s.call.Deadline.Add(seconds(s.plan.HoldSeconds))) {
			s.stuck, s.text = true, "still running past its time: "+op.Progress
		}
	case astern.OpDone:
		s.phase, s.text, s.stuck = done, "", false
		f.outs[s.id] = op.Outputs
		s.overLimit = overLimit(s.plan, op.Outputs)
		f.applySets(s)
	case astern.OpFailed:
		s.tries++
		s.text = op.Error
		if r.Kind == astern.RecordSettled { // a person says that nothing happened: try again at once
			s.tries = 0
			f.again(s, r, astern.Unavailable)
			return
		}
		f.again(s, r, op.Code)
	default:
		if s.phase != doubt {
			s.since, s.asking, s.lost = r.At, r.At, true
		}
		s.phase, s.text = doubt, op.Error
		f.stillInDoubt(s, r)
	}
}

// again gives a step that definitely failed without effect another attempt when that can help, else fails it.
func (f *Fold) again(s *step, r astern.Record, code astern.Code) {
	s.since, s.stuck = time.Time{}, false
	if !code.Transient() || s.tries >= s.plan.Attempts {
		s.phase = failed
		return
	}
	s.phase = waiting
	if s.tries > 0 {
		s.notBefore = r.At.Add(pause(s.id, s.tries))
	}
}

// applySets notes what a done step made of the paths that later facts expect.
func (f *Fold) applySets(s *step) {
	for _, set := range s.plan.Sets {
		address := set.Address
		if address == "" {
			address = s.plan.Address
		}
		v := astern.Value{Unknown: "absent"}
		if !set.Absent {
			a, ok := f.value(set.Value, s.member)
			if !ok {
				continue
			}
			v = astern.Value{Text: a.String()}
		}
		f.sets[address+" "+astern.MemberPath(set.Path, s.member)] = v
	}
}

// advance moves lanes and stages on as far as the records allow.
func (f *Fold) advance() {
	for f.current < len(f.stages) {
		st := f.stages[f.current]
		if st.begun.IsZero() {
			st.begun = f.lastAt
		}
		bad, open := 0, false
		for _, ln := range st.lanes {
			for ln.next < len(ln.steps) && ln.steps[ln.next].over() {
				ln.next++
			}
			switch {
			case ln.next == len(ln.steps):
			case f.laneFailed(ln):
				bad++
			default:
				open = true
			}
		}
		if open || bad > st.plan.Tolerate || st.stopped != "" {
			return
		}
		if st.entered.IsZero() {
			st.entered, st.lastGood = f.lastAt, f.lastAt
		}
		if st.plan.Gate != nil && !st.passed {
			return
		}
		st.passed = true
		f.current++
	}
}

// laneFailed reports whether the lane's next step can't be done.
func (f *Fold) laneFailed(ln *lane) bool {
	s := ln.steps[ln.next]
	return s.phase == failed || s.phase == refused
}

// worst returns the verdict of a round, fail before unknown before pass, and the evidence of the first such result.
func worst(results []astern.CheckResult) (astern.Verdict, string) {
	verdict, text := astern.Pass, ""
	for _, r := range results {
		if r.Verdict == astern.Fail && verdict != astern.Fail || r.Verdict == astern.Unknown && verdict == astern.Pass {
			verdict, text = r.Verdict, r.Check+": "+r.Evidence
		}
	}
	return verdict, text
}

// overLimit returns the first output that is outside its limit, as a sentence.
func overLimit(s *astern.Step, outputs map[string]astern.Arg) string {
	names := make([]string, 0, len(s.Limits))
	for n := range s.Limits {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if got := outputs[n]; got.Literal == nil || got.String() != s.Limits[n] {
			return "output " + n + " is " + got.String() + ", the plan allows " + s.Limits[n]
		}
	}
	return ""
}

func describe(diffs []astern.Difference) string {
	lines := make([]string, len(diffs))
	for i, d := range diffs {
		lines[i] = d.String()
	}
	return strings.Join(lines, "; ")
}

// pause is how long to wait before try n+1: 0.5 s doubled up to 30 s, with up to a quarter of jitter that depends on
// the step only, so that replaying the journal gives the same times.
func pause(id string, n int) time.Duration {
	d := 500 * time.Millisecond << min(n-1, 6)
	d = min(max(d, 500*time.Millisecond), 30*time.Second)
	h := fnv.New32a()
	h.Write([]byte(id)) // never fails
	return d + d*time.Duration(h.Sum32()%256)/1024
}

// pollPause is when the driver wants to be asked again, a quarter of a second where it does not say.
func pollPause(op *astern.Op) time.Duration {
	if op.PollSeconds <= 0 {
		return 250 * time.Millisecond
	}
	return time.Duration(op.PollSeconds * float64(time.Second))
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func replaceBraces(in, value string) string { return strings.Replace(in, "{}", value, 1) }
