package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/view"
)

// executionView is everything that a person asks about an execution.
func executionView(a *app.App, sh app.Shown) view.ExecutionView {
	v := view.ExecutionView{Execution: sh.Execution, Plan: sh.Plan, Records: sh.Records, State: stateOf(sh), Waiting: waitingFor(sh),
		Steps: stepViews(sh), Gates: gateViews(sh), Phases: sh.Phases, Incident: sh.Incident, RTOSeconds: objective(a, sh.Plan), Checklist: checklist(sh),
		Next: nextCommands(sh), Reverse: reverseOf(sh)}
	for _, h := range sh.Holds {
		if h.Kind != engine.HoldPaused {
			v.Holds = append(v.Holds, strings.TrimSpace(fmt.Sprintf("%s %s: %s", placeOf(h), h.Kind, h.Text)))
		}
	}
	if sh.Alive {
		v.Runner = &sh.Runner
	}
	return v
}

// placeOf names where an execution is held.
func placeOf(h engine.HoldReason) string {
	switch {
	case h.Step != "":
		return h.Step
	case h.Stage > 0:
		return fmt.Sprintf("stage %d", h.Stage)
	}
	return ""
}

func stateOf(sh app.Shown) view.ExecutionState {
	paused := sh.Paused || slices.ContainsFunc(sh.Holds, func(h engine.HoldReason) bool { return h.Kind == engine.HoldPaused })
	switch {
	case sh.Execution.Outcome != "":
		return view.StateEnded
	case paused:
		return view.StatePaused
	case sh.Alive && sh.Gate.Open:
		return view.StateWaiting
	case sh.Alive:
		return view.StateRunning
	case len(sh.Holds) > 0:
		return view.StateHeld
	}
	return view.StateStopped
}

// waitingFor says what the execution waits for; "" when for nothing.
func waitingFor(sh app.Shown) string {
	switch stateOf(sh) {
	case view.StateWaiting:
		return "the checks of stage " + strconv.Itoa(sh.Stage) + ": " + gateStands(sh)
	case view.StatePaused:
		return "a person to resume it"
	case view.StateStopped:
		return "somebody to take it over: " + goneRunner(sh)
	}
	return ""
}

// gateStands says how far the gate is that is waited for: what fails, or how long it has baked.
func gateStands(sh app.Shown) string {
	var failing []string
	for _, r := range latestRound(sh, sh.Stage) {
		if r.Verdict != astern.Pass {
			failing = append(failing, r.Check+" "+string(r.Verdict)+": "+r.Evidence)
		}
	}
	switch {
	case len(failing) > 0:
		return firstOf(failing)
	case sh.Gate.BakeSeconds > 0:
		return fmt.Sprintf("baking %d s of %d s", int64(sh.Gate.BakedSeconds), sh.Gate.BakeSeconds)
	}
	return "they are made"
}

// goneRunner says that nothing carries the execution out, and what did.
func goneRunner(sh app.Shown) string {
	if sh.Runner.PID == 0 {
		return "no process has taken it"
	}
	return fmt.Sprintf("its process %d on %s is gone", sh.Runner.PID, sh.Runner.Host)
}

// whyNot says why an execution does not go on or what it waits for, and since when; "" where it acts.
func whyNot(sh app.Shown) (why string, since *time.Time) {
	if n := len(sh.Records); n > 0 {
		since = &sh.Records[n-1].At
	}
	switch stateOf(sh) {
	case view.StateHeld:
		var lines []string
		for _, h := range sh.Holds {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s: %s", placeOf(h), h.Kind, h.Text)))
		}
		return firstOf(lines), since
	case view.StateStopped:
		return goneRunner(sh), since
	case view.StateWaiting:
		return gateStands(sh), nil
	case view.StatePaused:
		for _, r := range slices.Backward(sh.Records) {
			if r.Kind == astern.RecordPaused {
				return strings.TrimSuffix("paused by "+r.By+": "+r.Text, ": "), &r.At
			}
		}
	}
	return "", nil
}

// stepViews adds to how far each step is what the journal knows of its times and errors.
func stepViews(sh app.Shown) []view.StepView {
	started, ended, hints := map[string]time.Time{}, map[string]time.Time{}, map[string]string{}
	for _, r := range sh.Records {
		switch {
		case r.Kind == astern.RecordIntent:
			if r.Attempt <= 1 {
				started[r.Step] = r.At
			}
			delete(ended, r.Step)
		case r.Op != nil && r.Op.Status != astern.OpRunning:
			ended[r.Step], hints[r.Step] = r.At, r.Op.Hint
		}
	}
	out := make([]view.StepView, 0, len(sh.Steps))
	for _, s := range sh.Steps {
		v := view.StepView{ID: s.ID, Stage: s.Stage, Title: s.Title, Status: view.StepStatus(s.Status), Attempt: s.Attempt, Attempts: s.Attempts,
			Progress: s.Progress, Error: s.Error}
		if at, ok := started[s.ID]; ok {
			v.Started = &at
		}
		if at, ok := ended[s.ID]; ok && s.Status != "running" && s.Status != "retrying" {
			v.Ended = &at
		}
		if s.Status == "retrying" && !s.NextAt.IsZero() {
			v.RetryAt = &s.NextAt
		}
		if v.Error != "" && s.Status != "done" {
			v.Hint = hints[s.ID]
		}
		if s.Status == "running" && sh.Execution.Outcome == "" && !sh.Alive {
			v = abandoned(sh.Plan, v)
		}
		out = append(out, v)
	}
	return out
}

// abandoned is a step that was under way when its process ended: an effect is in doubt, a check is made again.
func abandoned(p astern.Plan, v view.StepView) view.StepView {
	v.Progress, v.Status, v.Error = "", view.StepUnsure, "its process is gone; resume looks for the effect first"
	pattern, _, _ := strings.Cut(v.ID, "@")
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			if s.ID == pattern && s.Kind == "check" {
				v.Status, v.Error = view.StepPending, ""
			}
		}
	}
	return v
}

// latestRound returns the last round of the stage's gate.
func latestRound(sh app.Shown, stage int) []astern.CheckResult {
	for _, r := range slices.Backward(sh.Records) {
		if r.Kind == astern.RecordRound && r.Gate && r.Stage == stage {
			return r.Results
		}
	}
	return nil
}

func gateViews(sh app.Shown) []view.GateView {
	var out []view.GateView
	for i, st := range sh.Plan.Stages {
		if st.Gate == nil {
			continue
		}
		g := view.GateView{Stage: i + 1, Results: latestRound(sh, i+1), BakeSeconds: st.Gate.BakeSeconds}
		switch {
		case i+1 < sh.Stage:
			g.Open, g.BakedSeconds = true, float64(st.Gate.BakeSeconds)
		case i+1 == sh.Stage:
			g.BakedSeconds = sh.Gate.BakedSeconds
		}
		out = append(out, g)
	}
	return out
}

// objective is the shortest RTO of the plan's components, 0 when none is declared.
func objective(a *app.App, p astern.Plan) int64 {
	shortest := int64(0)
	for _, m := range p.Moves {
		c, _ := a.System.Component(m.Address)
		if rto := c.Objectives.RTOSeconds; rto > 0 && (shortest == 0 || rto < shortest) {
			shortest = rto
		}
	}
	return shortest
}

// checklist ticks each item: by what the last rounds of checks said, or by a person.
func checklist(sh app.Shown) []view.ChecklistView {
	verdicts, at := proofs(sh)
	var out []view.ChecklistView
	for _, list := range sh.Plan.Checklist {
		for _, item := range list.Items {
			v := view.ChecklistView{Address: list.Address, Item: item.Item, Check: item.Check}
			for i := range sh.Records { // of which there may be thousands: none is copied for its time
				if r := &sh.Records[i]; r.Kind == astern.RecordTicked && r.Step == list.Address && r.Text == item.Item {
					v.Ticked, v.By, v.At = true, r.By, &r.At
				}
			}
			if item.Check != "" {
				v.Verdict = verdicts[item.Check]
				if v.Verdict == astern.Pass {
					seen := at[item.Check]
					v.Ticked, v.At = true, &seen
				}
			}
			out = append(out, v)
		}
	}
	return out
}

// proofs returns the latest verdict of each check by its name in the plan, over all members that it is made for, and when
// it was reached. A check that one member has not been asked yet has none.
func proofs(sh app.Shown) (verdicts map[string]astern.Verdict, at map[string]time.Time) {
	latest := map[string]astern.CheckResult{} // by id, which tells members apart
	for _, r := range sh.Records {
		if r.Kind == astern.RecordRound && r.Gate {
			for _, c := range r.Results {
				latest[c.Check] = c
			}
		}
		if id := checkStep(sh.Plan, r); id != "" {
			verdict := map[astern.OpStatus]astern.Verdict{astern.OpDone: astern.Pass, astern.OpFailed: astern.Fail}[r.Op.Status]
			if verdict != "" {
				latest[id] = astern.CheckResult{Check: id, Verdict: verdict, At: r.At}
			}
		}
	}
	verdicts, at = map[string]astern.Verdict{}, map[string]time.Time{}
	open := map[string]bool{}
	for _, c := range sh.Plan.Checks {
		r, ok := latest[c.ID()]
		if !ok {
			open[c.Name] = true
			continue
		}
		if verdicts[c.Name] == "" {
			verdicts[c.Name] = astern.Pass
		}
		verdicts[c.Name] = worse(verdicts[c.Name], r.Verdict)
		if r.At.After(at[c.Name]) {
			at[c.Name] = r.At
		}
	}
	for name := range open {
		if verdicts[name] == astern.Pass {
			delete(verdicts, name)
		}
	}
	return verdicts, at
}

// checkStep returns the id of the check that a record's step makes, "" when it makes none.
func checkStep(p astern.Plan, r astern.Record) string {
	if r.Op == nil || r.Step == "" {
		return ""
	}
	pattern, _, _ := strings.Cut(r.Step, "@")
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			if s.ID == pattern && s.Kind == "check" && s.Verb == "run" {
				return s.Args["check"].String()
			}
		}
	}
	return ""
}

// nextCommands are what a person may type.
func nextCommands(sh app.Shown) []string {
	id := sh.Execution.ID
	switch {
	case sh.Execution.Outcome == astern.OutcomeContinued:
		return []string{"astern executions"}
	case sh.Execution.Outcome == astern.OutcomeCancelled && sh.Undo != "" && sh.Plan.Intent.Verb == astern.VerbDeploy:
		return []string{sh.Undo} // it ended half-way, and what ran before was good
	case sh.Execution.Outcome != "":
		return []string{"astern status"}
	case sh.Paused:
		return []string{"astern resume " + id, "astern cancel " + id}
	case sh.Alive:
		return []string{"astern follow " + id, "astern pause " + id, "astern cancel " + id}
	case len(sh.Holds) > 0:
		return sh.Ways
	}
	return []string{"astern resume " + id, "astern cancel " + id}
}

// reverseOf is the command that takes back what an ended execution did, "" where there is nothing, or where it is next anyway.
func reverseOf(sh app.Shown) string {
	if o := sh.Execution.Outcome; o == "" || o == astern.OutcomeContinued || slices.Contains(nextCommands(sh), sh.Undo) {
		return ""
	}
	return sh.Undo
}

// shortView leaves only the verdict, where the time went, the checklist and the next commands.
func shortView(v view.ExecutionView) view.ExecutionView {
	v.Records, v.Steps, v.Gates, v.Plan.Stages = nil, nil, nil, nil
	return v
}

// executionLine is an execution in a list.
func executionLine(sh app.Shown) view.ExecutionLine {
	finished := 0
	for _, s := range sh.Steps {
		if s.Status == "done" || s.Status == "skipped" {
			finished++
		}
	}
	l := view.ExecutionLine{Execution: sh.Execution, Title: view.PlanTitle(sh.Plan), State: stateOf(sh), By: sh.Plan.Asked.By, Reason: sh.Plan.Intent.Reason}
	l.Why, l.Since = whyNot(sh)
	if l.State != view.StateEnded {
		l.Where = fmt.Sprintf("stage %d of %d, %d of %d steps done", min(sh.Stage, len(sh.Plan.Stages)), len(sh.Plan.Stages), finished, len(sh.Steps))
	}
	return l
}

// standing says as an error how an execution stands; nil when everything was done.
func standing(sh app.Shown) error {
	id := sh.Execution.ID
	switch sh.Execution.Outcome {
	case astern.OutcomeDone, astern.OutcomeContinued:
		return nil
	case astern.OutcomeIncomplete:
		return astern.Errorf(astern.Internal, "%s ended incomplete: some steps were skipped or failed", id).WithHint("astern show %s", id)
	case astern.OutcomeCancelled:
		return astern.Errorf(astern.Interrupted, "%s was cancelled", id).WithHint("astern undo %s reverses what it did", id)
	}
	switch stateOf(sh) {
	case view.StatePaused:
		return astern.Errorf(astern.Waiting, "%s is paused", id).WithHint("astern resume %s", id)
	case view.StateRunning, view.StateWaiting:
		return astern.Errorf(astern.Waiting, "%s is under way", id).WithHint("astern follow %s", id)
	case view.StateHeld:
		var lines []string
		for _, h := range sh.Holds {
			lines = append(lines, fmt.Sprintf("\n  %s %s: %s", placeOf(h), h.Kind, h.Text))
		}
		return astern.Errorf(astern.Held, "%s holds: a person must decide%s", id, strings.Join(lines, "")).WithHint("%s", strings.Join(sh.Ways, "\n"))
	}
	return astern.Errorf(astern.Held, "%s stopped half-way: nothing carries it out", id).WithHint("astern resume %s goes on", id)
}
