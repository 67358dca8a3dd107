package view

import (
	"fmt"
	"strings"

	"github.com/astern-dev/astern"
)

// stepIndex finds the steps of a plan by their id without @MEMBER.
type stepIndex map[string]indexedStep

type indexedStep struct {
	stage int // from 0
	step  *astern.Step
}

func indexSteps(p astern.Plan) stepIndex {
	ix := stepIndex{}
	for i := range p.Stages {
		for k := range p.Stages[i].Steps {
			s := &p.Stages[i].Steps[k]
			ix[s.ID] = indexedStep{i, s}
		}
	}
	return ix
}

// find returns the step of an id in its lane, and its member.
func (ix stepIndex) find(id string) (s indexedStep, member string, ok bool) {
	pattern, member, _ := strings.Cut(id, "@")
	s, ok = ix[pattern]
	return s, member, ok
}

// recordText tells one journal record in a line, without its time; the start of a step with its title.
func (ix stepIndex) recordText(r astern.Record) text {
	t := recordText(r)
	if s, member, ok := ix.find(r.Step); ok && r.Kind == astern.RecordIntent {
		t = append(t, tx("  ", astern.MemberPath(s.step.Title, member))...)
	}
	return t
}

// recordText tells one journal record in a line, without its time.
func recordText(r astern.Record) text {
	step := strong(r.Step)
	switch r.Kind {
	case astern.RecordTaken:
		who := ""
		if r.Runner != nil {
			who = fmt.Sprintf(" by %s, process %d", r.Runner.Host, r.Runner.PID)
		}
		return tx(accent("→ taken"), who, dim(fmt.Sprintf(" (fence %d)", r.Fence)))
	case astern.RecordIntent:
		t := tx(accent("→ start"), "  ", step)
		if r.Attempt > 1 {
			t = append(t, tx(fmt.Sprintf(", attempt %d", r.Attempt))...)
		}
		return t
	case astern.RecordRefused:
		var diffs []string
		for _, d := range r.Differences {
			diffs = append(diffs, d.String())
		}
		return tx(bad("✗ refused"), "  ", step, "  the world has changed: ", strings.Join(diffs, "; "))
	case astern.RecordUnprepared:
		return tx(warn("? unprepared"), "  ", step, because(r.Text, r.Code))
	case astern.RecordOp:
		return opText(r, step)
	case astern.RecordAbsent:
		return tx("○ absent  ", step, fmt.Sprintf("  nothing of attempt %d is in the world", max(r.Attempt, 1)))
	case astern.RecordDoubt:
		return tx(warn("? in doubt"), "  ", step, because(r.Text, ""))
	case astern.RecordRound:
		return roundText(r)
	case astern.RecordChild:
		return tx("→ continued by plan ", r.Text)
	case astern.RecordEnded:
		return tx(outcome(r.Outcome), because(r.Text, ""))
	case astern.RecordPaused:
		return tx(warn("‖ paused"), by(r), because(r.Text, ""))
	case astern.RecordResumed:
		return tx(accent("→ resumed"), by(r), because(r.Text, ""))
	case astern.RecordCancelled:
		return tx(warn("■ cancelled"), by(r), because(r.Text, ""))
	case astern.RecordSkipped:
		return tx(warn("» skipped"), "  ", step, by(r), because(r.Text, ""))
	case astern.RecordSettled:
		return tx(accent("● settled"), "  ", step, by(r), "  ", opWord(r.Op), because(r.Text, ""))
	case astern.RecordAllowed:
		return tx(accent("● allowed"), "  ", step, by(r), because(r.Text, ""))
	case astern.RecordTicked:
		return tx(good("✓ ticked"), "  ", r.Text, dim(" of "+r.Step), by(r))
	}
	return tx(string(r.Kind), "  ", step, because(r.Text, ""))
}

func by(r astern.Record) text {
	if r.By == "" {
		return nil
	}
	return tx(" by ", r.By)
}

func because(s string, code astern.Code) text {
	switch {
	case s == "" && code == "":
		return nil
	case s == "":
		return tx("  ", string(code))
	case code == "":
		return tx("  ", s)
	}
	return tx("  ", s, dim(" ("+string(code)+")"))
}

func opWord(op *astern.Op) text {
	if op == nil {
		return nil
	}
	switch op.Status {
	case astern.OpDone:
		return tx("as done")
	case astern.OpFailed:
		return tx("as not done")
	}
	return tx("as ", string(op.Status))
}

func opText(r astern.Record, step span) text {
	if r.Op == nil {
		return tx("· ", step)
	}
	why := r.Op.Error
	if r.Op.Hint != "" {
		why += " (" + r.Op.Hint + ")"
	}
	switch r.Op.Status {
	case astern.OpDone:
		return tx(good("✓ done"), "  ", step, because(r.Op.Progress, ""))
	case astern.OpFailed:
		return tx(bad("✗ failed"), "  ", step, dim(" without effect"), because(why, r.Op.Code))
	case astern.OpUnsure:
		return tx(warn("? unsure"), "  ", step, because(why, r.Op.Code))
	}
	return tx(accent("» running"), "  ", step, because(r.Op.Progress, ""))
}

// roundVerdict is the worst verdict of a round.
func roundVerdict(results []astern.CheckResult) astern.Verdict {
	worst := astern.Pass
	for _, c := range results {
		switch c.Verdict {
		case astern.Pass:
		case astern.Fail:
			return astern.Fail
		default:
			worst = astern.Unknown
		}
	}
	return worst
}

// roundText tells a round of checks: those that don't pass with their evidence, or the names of all.
func roundText(r astern.Record) text {
	what := fmt.Sprintf("  stage %d", r.Stage)
	if r.Gate {
		what = fmt.Sprintf("  gate of stage %d", r.Stage)
	}
	v := roundVerdict(r.Results)
	t := tx(verdict(v), what)
	if v == astern.Pass {
		var ids []string
		for _, c := range r.Results {
			ids = append(ids, c.Check)
		}
		return append(t, dim("  "+list(collapse(ids), memberLimit)))
	}
	for _, c := range r.Results {
		if c.Verdict != astern.Pass {
			t = append(t, tx("  ", c.Check, ": ", orDash(c.Evidence))...)
		}
	}
	return t
}

func outcome(o astern.Outcome) span {
	switch o {
	case astern.OutcomeDone:
		return good("✓ done")
	case astern.OutcomeIncomplete:
		return warn("! incomplete")
	case astern.OutcomeCancelled:
		return warn("■ cancelled")
	case astern.OutcomeContinued:
		return accent("→ continued")
	case "":
		return span{"ended", rolePlain}
	}
	return span{clean(string(o)), rolePlain}
}
