package engine

import (
	"maps"
	"slices"

	"github.com/astern-dev/astern"
)

// changed looks again at what a record about the step may have changed: its own lane. What a step needs is before it in its lane or in
// an earlier stage, where nothing becomes done any more.
func (f *Fold) changed(s *step) {
	if s.stage == f.current {
		f.judge(f.stages[f.current], s.lane)
	}
}

// advance moves on to the next stage as long as the present one is over.
func (f *Fold) advance() {
	for f.current < len(f.stages) {
		st := f.stages[f.current]
		if !st.begun {
			f.begin(st)
		}
		open := len(st.lanes) - st.count[laneOver] - st.count[laneFailed]
		if open > 0 || st.count[laneFailed] > st.plan.Tolerate || st.stopped != "" {
			st.leave()
			return
		}
		if st.entered.IsZero() {
			st.enter(f)
		}
		if st.plan.Gate != nil && !st.passed {
			return
		}
		f.current++
	}
}

// begin makes the stage the current one.
func (f *Fold) begin(st *stage) {
	st.begun, st.begunAt, st.look = true, f.lastAt, 1
	f.judgeAll(st)
	st.checks[0] = f.bind(st, st.plan.StopWhen)
	if st.plan.Gate != nil {
		st.checks[1] = f.bind(st, st.plan.Gate.Checks)
	}
}

// enter starts the stage's gate: its lanes are over.
func (st *stage) enter(f *Fold) {
	st.entered, st.lastGood = f.lastAt, f.lastAt
	st.lookAgain()
}

// leave closes the gate of a stage whose lanes are under way again: what was baked before proves nothing.
func (st *stage) leave() {
	if !st.entered.IsZero() {
		st.entered, st.baked = noTime, 0
	}
}

// lookAgain lets the next round of checks come at once, and answers to older rounds count for nothing.
func (st *stage) lookAgain() {
	st.look++
	st.lastPass, st.asked, st.told, st.verdict = noTime, noTime, noTime, ""
}

func (f *Fold) judgeAll(st *stage) {
	for _, ln := range st.lanes {
		f.judge(st, ln)
	}
}

// judge moves the lane on as far as its steps are over, and settles where it stands.
func (f *Fold) judge(st *stage, ln *lane) {
	for ln.next < len(ln.steps) && ln.steps[ln.next].over() {
		ln.next++
	}
	state := laneOver
	if ln.next < len(ln.steps) {
		s := ln.steps[ln.next]
		ln.reason = f.blocked(s)
		switch {
		case s.failed():
			state, ln.begun = laneFailed, false
		case ln.reason != "":
			state, ln.begun = laneBlocked, false // it waits for its turn again when a person has helped
		case ln.begun:
			state = laneActive
		default:
			state = laneQueued
		}
	}
	if state != ln.state {
		st.move(ln, state)
	}
	for st.queue < len(st.lanes) && st.lanes[st.queue].state != laneQueued {
		st.queue++
	}
}

// move counts the lane where it now stands.
func (st *stage) move(ln *lane, to laneState) {
	byIndex := func(a, b *lane) int { return a.index - b.index }
	i, _ := slices.BinarySearchFunc(st.active, ln, byIndex)
	switch {
	case ln.state == laneActive:
		st.active = slices.Delete(st.active, i, i+1)
	case to == laneActive:
		st.active = slices.Insert(st.active, i, ln)
	}
	if to == laneQueued {
		st.queue = min(st.queue, ln.index)
	}
	st.count[ln.state]--
	st.count[to]++
	ln.state = to
}

// blocked says why the step can never run: a guard, or a step whose output it uses, is over and was not done.
func (f *Fold) blocked(s *step) string {
	if s.phase != waiting {
		return ""
	}
	for _, g := range s.plan.Guards {
		if !f.allDone(g, s.member) {
			return "its guard " + g + " was not done"
		}
	}
	missing := "" // the first by name, so that the journal gives the same text each time
	for _, name := range slices.Sorted(maps.Keys(s.plan.Args)) {
		if a := s.plan.Args[name]; a.Ref != nil && missing == "" {
			if _, ok := f.value(a, s.member); !ok {
				missing = f.missing(a.Ref, s.member)
			}
		}
	}
	return missing
}

func (f *Fold) missing(ref *astern.Ref, member string) string {
	if f.allDone(ref.From, member) {
		return "it uses the output " + ref.Output + " of " + ref.From + ", which was done without it"
	}
	return "it uses an output of " + ref.From + ", which was not done"
}

// allDone reports whether the step named in the plan was done: in the member's own lane where it is there, else in
// every lane that has it.
func (f *Fold) allDone(id, member string) bool {
	if s := f.steps[f.laneID(id, member)]; s != nil {
		return s.phase == done
	}
	n, ok := f.undone[id]
	return ok && n == 0
}

// bind binds the checks that the stage names; a pattern is one for each of its members.
func (f *Fold) bind(st *stage, names []string) checks {
	var out checks
	if len(names) == 0 {
		return out
	}
	index := f.plan.CheckIndex()
	for _, n := range names {
		c, ok := index.Check(n, "")
		switch {
		case !ok:
			out.unbound = "check " + n + " is not in the plan"
		case !c.Each || c.Member != "" || st.plan.Each == nil:
			out.bound = append(out.bound, c)
		default:
			for _, ln := range st.lanes {
				bound, err := c.Bind(astern.Values{Member: ln.member})
				if err != nil {
					out.unbound = err.Error()
					continue
				}
				out.bound = append(out.bound, bound)
			}
		}
	}
	return out
}
