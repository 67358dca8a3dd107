package engine

import (
	"cmp"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// noTime is the time that stands for none.
var noTime time.Time

// Apply folds one record into the state. Records must come in the order of the journal. A record that answers what is no
// longer asked, because a person has settled or skipped the step in between, changes nothing.
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
		f.applyChild(r)
	case astern.RecordEnded:
		f.outcome = r.Outcome
	case astern.RecordUnprepared:
		if r.Step == "" {
			f.planFail = cmp.Or(r.Text, "the child plan could not be made")
		}
	}
	if s := f.steps[r.Step]; s != nil && f.answers(s, r) {
		was := s.phase
		f.applyStep(s, r)
		if s.phase == done && was != done {
			f.undone[s.plan.ID]--
		}
		f.changed(s)
	}
	f.advance()
}

// answers reports whether a record about the step is about what the step is now.
func (f *Fold) answers(s *step, r astern.Record) bool {
	switch r.Kind {
	case astern.RecordIntent:
		return s.phase == waiting && r.Attempt == s.attempt+1 && r.Call != nil
	case astern.RecordRefused, astern.RecordUnprepared:
		return s.phase == waiting && r.Attempt == s.attempt+1
	case astern.RecordOp:
		return s.inFlight() && r.Attempt == s.attempt && r.Op != nil
	case astern.RecordAbsent, astern.RecordDoubt:
		return s.phase == doubt && r.Attempt == s.attempt
	case astern.RecordSettled:
		return f.Settleable(s.id) && (r.Attempt == 0 || r.Attempt == s.attempt) && r.Op != nil
	case astern.RecordAllowed:
		return s.phase == done
	case astern.RecordSkipped:
		return f.Skippable(s.id) == ""
	}
	return false
}

// News completes the records that answer actions with time and fence, and leaves out those that say nothing new: answers
// to what is no longer asked, a running step with the progress that is known, a round of checks like the one before
// (both are then asked again after their pause), and the intent of a step that may no longer start because somebody
// said stop, or the stage stopped, in the meantime.
func (f *Fold) News(records []astern.Record, now time.Time) []astern.Record {
	news := make([]astern.Record, 0, len(records))
	var wanted map[string]time.Time
	for _, r := range records {
		s := f.steps[r.Step]
		switch {
		case r.Kind == astern.RecordRound:
			if !f.tellsRound(r, now) {
				continue
			}
		case s != nil && !f.answers(s, r):
			continue
		case s != nil && r.Kind == astern.RecordOp && s.phase == running && !s.tells(r, now):
			s.wait = alarm{now.Add(pollPause(r.Op)), now}
			continue
		case r.Kind == astern.RecordIntent:
			if wanted == nil {
				wanted = f.prepared(now)
			}
			deadline, ok := wanted[r.Step]
			if !ok {
				continue
			}
			references := f.references(s)
			if !includes(r.Call.Args, references) {
				continue // prepared with outputs that did not become true: a person settled the step before it in between
			}
			call := *r.Call // the step's time begins with its intent, which keeps of its arguments what the plan does not say
			call.Deadline, call.Args, r.Call = deadline, references, &call
		}
		r.At, r.Fence = now, f.fence
		news = append(news, r)
	}
	return news
}

// includes reports whether all of these arguments are in args.
func includes(args, all map[string]astern.Arg) bool {
	for name, a := range all {
		if !reflect.DeepEqual(args[name], a) {
			return false
		}
	}
	return true
}

// prepared returns which steps may be prepared now, with the deadline that they get.
func (f *Fold) prepared(now time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for _, a := range (&decision{f: f, now: now, lean: true}).decide() {
		if a.Kind == Prepare {
			out[a.Step] = a.Call.Deadline
		}
	}
	return out
}

// progressPause is how long a running step's progress is not written again when nothing else changes.
const progressPause = 2 * time.Second

// tells reports whether a running step's answer says anything that the journal does not know.
func (s *step) tells(r astern.Record, now time.Time) bool {
	if r.Op.Status != astern.OpRunning || !maps.Equal(r.Op.Handle, s.op.Handle) || s.tooLong(now) {
		return true
	}
	since := now.Sub(s.told)
	return r.Op.Progress != s.op.Progress && (since >= progressPause || since < 0)
}

// tooLong reports whether the step, still running, is past its time and past what it may be unknown after that.
func (s *step) tooLong(now time.Time) bool {
	return now.After(s.call.Deadline.Add(seconds(s.plan.HoldSeconds)))
}

// applyTaken notes that a new engine holds the execution: what the old one had started and not written down is in
// doubt, and time since the last pass does not count as baked.
func (f *Fold) applyTaken(r astern.Record) {
	f.fence = r.Fence
	for _, s := range f.steps {
		s.wait = alarm{}
		switch s.phase {
		case intended:
			s.phase, s.since, s.lost = doubt, r.At, false
		case waiting:
			s.since, s.unread = noTime, 0
		}
		s.asking, s.stuck = r.At, false
	}
	if st := f.stage(); st != nil {
		st.lookAgain()
		st.lastGood, st.gateStuck = r.At, ""
	}
}

// applyResumed gives what failed without effect another attempt, and gates another look.
func (f *Fold) applyResumed(r astern.Record) {
	f.paused, f.planFail = false, ""
	st := f.stage()
	for _, s := range f.steps {
		s.wait, s.tries, s.unread, s.stuck, s.asking = alarm{}, 0, 0, false, r.At
		if s.failed() && s.stage == f.current { // what earlier stages tolerated stays so
			s.phase, s.since, s.diffs, s.text = waiting, noTime, nil, ""
		}
	}
	if st != nil {
		st.gateFail, st.gateStuck, st.stopped = "", "", ""
		st.lookAgain()
		st.lastGood = r.At
		f.judgeAll(st)
	}
}

// applyChild notes the plan that continues or reverses the execution. None means that nothing is left to do, or that
// nothing was done that could be reversed.
func (f *Fold) applyChild(r astern.Record) {
	switch {
	case r.Text != "":
		f.child = r.Text
	case f.current == len(f.stages):
		f.nothingLeft = true
	default:
		f.planFail = "nothing was done that could be undone"
	}
}

// stage returns the current stage, nil when all have passed.
func (f *Fold) stage() *stage {
	if f.current == len(f.stages) {
		return nil
	}
	return f.stages[f.current]
}

func (f *Fold) applyStep(s *step, r astern.Record) {
	switch r.Kind {
	case astern.RecordIntent:
		call := *r.Call
		call.Args = completed(f.resolve(s), r.Call.Args) // in a journal of before schema 7 they are all in the record
		s.phase, s.attempt, s.call, s.op, s.since, s.unread, s.stuck = intended, r.Attempt, &call, nil, noTime, 0, false
		s.lane.begun = true
	case astern.RecordRefused:
		s.phase, s.diffs, s.text = refused, r.Differences, describe(r.Differences)
	case astern.RecordUnprepared:
		f.applyUnprepared(s, r)
	case astern.RecordOp, astern.RecordSettled:
		f.applyOp(s, r)
	case astern.RecordAbsent:
		if s.text == "" { // what was said when the doubt began tells more
			s.text = "not found in the world"
		}
		s.since = s.since.Add(unwatched(s, r.Asked))
		if age(&s.since, r.Asked) < seconds(s.plan.SettleSeconds) {
			s.since = s.since.Add(max(0, r.At.Sub(r.Asked)-overdue)) // the clock may have jumped while it was asked
			f.stillInDoubt(s, r)
			return
		}
		if s.lost {
			s.tries++
		}
		f.again(s, r, astern.Unavailable)
	case astern.RecordDoubt:
		s.text = cmp.Or(r.Text, silent)
		f.stillInDoubt(s, r)
	case astern.RecordAllowed:
		s.overLimit = ""
	case astern.RecordSkipped:
		s.phase = skipped
	}
}

// age returns how long ago since was. A clock that was set back starts it anew: rather too long than too short.
func age(since *time.Time, now time.Time) time.Duration {
	if now.Before(*since) {
		*since = now
	}
	return now.Sub(*since)
}

// overdue is how much later than it was due a question may be asked and still count in full.
const overdue = 5 * time.Second

// unwatched returns how much of the time until asked does not count as settling, because the question comes far later than
// it was due: the clock jumped forward, or nobody asked. Rather too long than too short, again.
func unwatched(s *step, asked time.Time) time.Duration {
	due := s.since
	if s.wait.at.After(due) {
		due = s.wait.at
	}
	return max(0, asked.Sub(due)-overdue)
}

// silent is what is said of a doubt for which the driver gives no reason.
const silent = "its driver can't tell what became of it"

// stillInDoubt decides when to ask again, and when a person must say.
func (f *Fold) stillInDoubt(s *step, r astern.Record) {
	asking := age(&s.asking, r.At)
	s.wait = alarm{r.At.Add(pause(s.id, 1+int(asking/(5*time.Second)))), r.At}
	if asking >= seconds(s.plan.SettleSeconds+s.plan.HoldSeconds) {
		s.stuck = true
	}
}

// applyUnprepared retries a preparation that could not read its facts until hold_seconds are over.
func (f *Fold) applyUnprepared(s *step, r astern.Record) {
	if s.since.IsZero() {
		s.since = r.At
	}
	s.text, s.unread = cmp.Or(r.Text, "its facts could not be read"), s.unread+1
	if !r.Code.Transient() || age(&s.since, r.At) >= seconds(s.plan.HoldSeconds) {
		s.phase = failed
		return
	}
	s.wait = alarm{r.At.Add(pause(s.id, s.unread)), r.At}
}

func (f *Fold) applyOp(s *step, r astern.Record) {
	op := r.Op
	s.op, s.told = op, r.At
	switch op.Status {
	case astern.OpRunning:
		s.phase, s.wait, s.text = running, alarm{r.At.Add(pollPause(op)), r.At}, ""
		if s.tooLong(r.At) {
			s.stuck, s.text = true, "still running past its time: "+op.Progress
		}
	case astern.OpDone:
		s.phase, s.text, s.stuck = done, "", false
		f.outs[s.id] = op.Outputs
		s.overLimit = overLimit(s.plan, op.Outputs)
		f.applySets(s)
	case astern.OpFailed:
		s.tries++
		s.text = cmp.Or(op.Error, "it failed as "+cmp.Or(string(op.Code), "nobody knows what")+", its driver says no more")
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
		s.phase, s.text = doubt, cmp.Or(op.Error, silent)
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
		s.wait = alarm{r.At.Add(pause(s.id, s.tries)), r.At}
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

// overLimit returns the first output that is outside its limit, as a sentence.
func overLimit(s *astern.Step, outputs map[string]astern.Arg) string {
	for _, n := range slices.Sorted(maps.Keys(s.Limits)) {
		switch got := outputs[n]; {
		case got.IsZero():
			return "output " + n + " is missing, the plan allows " + s.Limits[n]
		case got.String() != s.Limits[n]:
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
	d := min(500*time.Millisecond<<min(n-1, 6), 30*time.Second)
	h := fnv.New32a()
	h.Write([]byte(id)) // never fails
	return d + d*time.Duration(h.Sum32()%256)/1024
}

// A driver is asked no more often than every fiftieth of a second and no less often than every five minutes.
const (
	pollLeast = 20 * time.Millisecond
	pollMost  = 5 * time.Minute
)

// pollPause is when the driver wants to be asked again, a quarter of a second where it does not say.
func pollPause(op *astern.Op) time.Duration {
	switch p := op.PollSeconds; {
	case p > pollMost.Seconds():
		return pollMost
	case p > 0:
		return max(time.Duration(p*float64(time.Second)), pollLeast)
	}
	return 250 * time.Millisecond
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func replaceBraces(in, value string) string { return strings.Replace(in, "{}", value, 1) }
