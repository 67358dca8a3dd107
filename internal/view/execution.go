package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// ExecutionState is what an execution is doing now.
type ExecutionState string

// The states of an execution.
const (
	StateRunning ExecutionState = "running"
	StateWaiting ExecutionState = "waiting" // for an approval, a bake, or a person's tick
	StatePaused  ExecutionState = "paused"
	StateHeld    ExecutionState = "held"    // a person must decide
	StateStopped ExecutionState = "stopped" // the process that carried it out is gone; resume takes it over
	StateEnded   ExecutionState = "ended"
)

// StepStatus is what became of a step in its lane.
type StepStatus string

// The statuses of a step.
const (
	StepPending  StepStatus = "pending"
	StepRunning  StepStatus = "running"
	StepRetrying StepStatus = "retrying" // failed without effect; it will be tried again
	StepUnsure   StepStatus = "unsure"   // being found
	StepDone     StepStatus = "done"
	StepFailed   StepStatus = "failed"
	StepRefused  StepStatus = "refused" // its facts had changed
	StepSkipped  StepStatus = "skipped"
	StepDropped  StepStatus = "dropped" // an earlier step of its lane failed
)

// ExecutionView is an execution with everything that a person asks about it.
type ExecutionView struct {
	Execution astern.Execution `json:"execution"`
	Plan      astern.Plan      `json:"plan"`
	Records   []astern.Record  `json:"records"`
	State     ExecutionState   `json:"state"`
	// Waiting says what it waits for, "" when for nothing.
	Waiting string `json:"waiting,omitempty"`
	// Holds say why it is held, one line each, with what a person can decide.
	Holds []string `json:"holds"`
	// Runner is the process that carries it out; nil when none does.
	Runner *astern.Runner `json:"runner,omitempty"`
	Steps  []StepView     `json:"steps"`
	Gates  []GateView     `json:"gates"`
	Phases astern.Phases  `json:"phases"`
	// Incident is the one that it answers, from whose first bad request on the phases count; "" for none.
	Incident string `json:"incident,omitempty"`
	// RTOSeconds is the objective; 0 when none is declared.
	RTOSeconds int64           `json:"rto_seconds,omitempty"`
	Checklist  []ChecklistView `json:"checklist"`
	// Next are the commands that a person may type.
	Next []string `json:"next"`
	// Reverse is the command that would take back what was done: what ran before comes back with it.
	Reverse string `json:"reverse,omitempty"`
}

// StepView is one step in its lane.
type StepView struct {
	ID      string     `json:"id"`    // STEP, or STEP@MEMBER
	Stage   int        `json:"stage"` // from 1
	Title   string     `json:"title"`
	Status  StepStatus `json:"status"`
	Attempt int        `json:"attempt,omitempty"`
	// Attempts is how many are allowed.
	Attempts int        `json:"attempts,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	// RetryAt is when the next attempt begins.
	RetryAt  *time.Time `json:"retry_at,omitempty"`
	Progress string     `json:"progress,omitempty"`
	// Error is the latest error, Hint what to do about it.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// GateView is the gate of a stage as it stands.
type GateView struct {
	Stage   int                  `json:"stage"`
	Results []astern.CheckResult `json:"results"` // of the latest round
	Open    bool                 `json:"open"`    // it has opened
	// BakedSeconds of BakeSeconds are over.
	BakedSeconds float64 `json:"baked_seconds"`
	BakeSeconds  int64   `json:"bake_seconds"`
}

// ChecklistView is one line of a checklist: ticked by a check or by a named person, or still open.
type ChecklistView struct {
	Address string         `json:"address"`
	Item    string         `json:"item"`
	Check   string         `json:"check,omitempty"`
	Verdict astern.Verdict `json:"verdict,omitempty"` // of the check
	Ticked  bool           `json:"ticked"`
	By      string         `json:"by,omitempty"`
	At      *time.Time     `json:"at,omitempty"`
}

// MarshalJSON adds kind and version.
func (v ExecutionView) MarshalJSON() ([]byte, error) {
	type plain ExecutionView
	return document("Execution", plain(v))
}

// Execution writes an execution: what it does now, its steps, its timeline, where the time went, the checklist, and
// the commands that may follow.
func Execution(w io.Writer, st Style, v ExecutionView) error {
	p := newPrinter(st)
	p.executionHead(v)
	p.blank()
	p.executionSteps(v)
	if len(v.Records) > 0 {
		p.blank()
		p.timeline(v.Plan, v.Records)
	}
	p.blank()
	p.phases(v)
	if len(v.Checklist) > 0 {
		p.blank()
		p.checklist(v)
	}
	if len(v.Next) > 0 {
		p.blank()
		p.next(v.Next)
	}
	if v.Reverse != "" {
		p.raw(tx("  ", dim("to reverse it  "), v.Reverse))
	}
	return p.flush(w)
}

// stateWords writes symbol and word of an execution's state; an ended one's is its outcome.
func stateWords(s ExecutionState, o astern.Outcome) span {
	switch s {
	case StateRunning:
		return accent("» running")
	case StateWaiting:
		return warn("… waiting")
	case StatePaused:
		return warn("‖ paused")
	case StateHeld:
		return bad("! held")
	case StateStopped:
		return warn("■ stopped")
	case StateEnded:
		return outcome(o)
	}
	return span{orUnknown(clean(string(s))), rolePlain}
}

func (p *printer) executionHead(v ExecutionView) {
	st, e := p.st, v.Execution
	p.line(strong(e.ID), "  ", strong(title(v.Plan)), "  ", stateWords(v.State, e.Outcome))
	for i, h := range v.Holds {
		label := "held"
		if i > 0 {
			label = ""
		}
		p.field(label, bad("! "), h)
	}
	if v.Waiting != "" {
		p.field("waits for", v.Waiting)
	}
	began := tx(st.when(e.CreatedAt), dim("  "+st.age(e.CreatedAt)))
	if e.EndedAt != nil {
		began = tx(st.when(e.CreatedAt), " to ", st.clock(*e.EndedAt), dim("  "+st.age(*e.EndedAt)))
	}
	p.field("when", began)
	asked := tx(v.Plan.Asked.By)
	if v.Plan.Intent.Reason != "" {
		asked = append(asked, tx(": ", v.Plan.Intent.Reason)...)
	}
	p.field("asked by", asked)
	if v.Runner != nil && v.State != StateEnded {
		p.field("runner", fmt.Sprintf("%s on %s, process %d", orUnknown(v.Runner.User), v.Runner.Host, v.Runner.PID))
	}
	if e.Parent != "" {
		p.field("continues", e.Parent)
	}
	if e.PlanHash != "" {
		p.field("plan", e.PlanHash)
	}
}

// stepWords writes symbol, word and numbers: "retrying 4/10, next in 12 s".
func (st Style) stepWords(s StepView) text {
	switch s.Status {
	case StepDone:
		t := tx(good("✓ done"))
		if s.Started != nil && s.Ended != nil {
			t = append(t, dim(" "+seconds(s.Ended.Sub(*s.Started).Seconds())))
		}
		return t
	case StepRunning:
		t := tx(accent("» running"))
		if s.Started != nil {
			t = append(t, tx(" "+seconds(max(st.Now.Sub(*s.Started), 0).Truncate(time.Second).Seconds()))...)
		}
		if s.Attempt > 1 {
			t = append(t, tx(fmt.Sprintf(", attempt %d/%d", s.Attempt, max(s.Attempts, s.Attempt)))...)
		}
		return t
	case StepRetrying:
		t := tx(warn(fmt.Sprintf("↻ retrying %d/%d", s.Attempt, max(s.Attempts, s.Attempt))))
		if s.RetryAt != nil {
			t = append(t, tx(", next "+st.age(*s.RetryAt))...)
		}
		return t
	case StepUnsure:
		return tx(warn("? in doubt"))
	case StepFailed:
		return tx(bad("✗ failed"))
	case StepRefused:
		return tx(bad("✗ refused"))
	case StepSkipped:
		return tx(warn("» skipped"))
	case StepDropped:
		return tx(warn("· dropped"))
	case StepPending:
		return tx(dim("· pending"))
	}
	return tx(string(s.Status))
}

// stepDetail is what there is to say beyond the status: the progress, or the latest error and what to do about it.
func stepDetail(s StepView) text {
	var t text
	switch s.Status {
	case StepRunning:
		return tx(s.Progress)
	case StepRetrying:
		if s.Error != "" {
			t = tx("last error ", s.Error)
		}
	case StepUnsure, StepFailed, StepRefused, StepSkipped:
		t = tx(s.Error)
	}
	if s.Hint != "" {
		t = append(t, dim(" ("+s.Hint+")"))
	}
	return t
}

// urgency orders steps for a screen that is too small for all: failures first, then what runs, then what is done.
func urgency(s StepStatus) int {
	switch s {
	case StepFailed, StepRefused, StepUnsure:
		return 0
	case StepRetrying, StepRunning:
		return 1
	case StepSkipped, StepDropped:
		return 2
	case StepDone:
		return 3
	}
	return 4
}

// stepLimit is how many steps of a stage are listed without Verbose; failures and running ones first.
const stepLimit = 24

func (p *printer) executionSteps(v ExecutionView) {
	for i, stage := range v.Plan.Stages {
		var steps []StepView
		n := map[StepStatus]int{}
		for _, s := range v.Steps {
			if s.Stage == i+1 {
				steps = append(steps, s)
				n[s.Status]++
			}
		}
		p.item(0, tx(strong(fmt.Sprint(i+1)), "  "), strong(stage.Title), dim("  "+count(int64(n[StepDone]))+" of "+count(int64(len(steps)))+" done"))
		shown := steps
		if len(steps) > stepLimit && !p.st.Verbose {
			shown = nil
			for u := 0; u <= 2 && len(shown) < stepLimit; u++ {
				for _, s := range steps {
					if urgency(s.Status) == u && len(shown) < stepLimit {
						shown = append(shown, s)
						n[s.Status]--
					}
				}
			}
		}
		width := 0
		for _, s := range shown {
			width = max(width, tx(s.ID).width())
		}
		for _, s := range shown {
			p.item(3, tx(pad(s.ID, min(width, 24)), "  "), p.st.stepWords(s), dim("  "+s.Title))
			if detail := stepDetail(s); detail.width() > 0 {
				p.item(5+min(width, 24), "", detail)
			}
		}
		if len(shown) < len(steps) {
			p.item(3, "", dim("and "+statusCounts(n)+" (-v shows all)"))
		}
		for _, g := range v.Gates {
			if g.Stage == i+1 {
				p.gate(g)
			}
		}
	}
}

// statusCounts writes "4 998 done, 2 pending".
func statusCounts(n map[StepStatus]int) string {
	var out []string
	for _, s := range []StepStatus{StepFailed, StepRefused, StepUnsure, StepRetrying, StepRunning, StepSkipped, StepDropped, StepDone, StepPending} {
		if n[s] > 0 {
			out = append(out, count(int64(n[s]))+" "+string(s))
		}
	}
	return strings.Join(out, ", ")
}

func (p *printer) gate(g GateView) {
	passed := 0
	for _, r := range g.Results {
		if r.Verdict == astern.Pass {
			passed++
		}
	}
	t := tx(fmt.Sprintf("%d of %s pass", passed, plural(int64(len(g.Results)), "check")))
	if g.BakeSeconds > 0 {
		t = append(t, tx(", baked ", seconds(g.BakedSeconds), " of ", seconds(float64(g.BakeSeconds)))...)
	}
	mark := accent("» ")
	switch {
	case g.Open:
		mark = good("✓ ")
	case len(g.Results) == 0:
		mark = dim("· ")
	case roundVerdict(g.Results) == astern.Fail:
		mark = bad("✗ ")
	case roundVerdict(g.Results) == astern.Unknown:
		mark = warn("? ")
	}
	p.item(3, tx(dim("gate "), mark), t)
	for _, r := range g.Results {
		if r.Verdict != astern.Pass || p.st.Verbose {
			p.item(10, "", verdict(r.Verdict), "  ", r.Check, "  ", r.Evidence, dim(" ("+p.st.age(r.At)+")"))
		}
	}
}

// timeline prints a line a record. Without Verbose, lines that say the same as the one before are counted instead.
func (p *printer) timeline(plan astern.Plan, records []astern.Record) {
	st, steps := p.st, indexSteps(plan)
	p.line(strong("timeline"), dim(" ("+st.zone()+")"))
	for i := 0; i < len(records); {
		t, first := steps.recordText(records[i]), records[i]
		k := i + 1
		for !st.Verbose && k < len(records) && steps.recordText(records[k]).plain() == t.plain() {
			k++
		}
		if k-i > 1 {
			t = append(t, dim(fmt.Sprintf("  ×%d until %s", k-i, st.clock(records[k-1].At))))
		}
		p.item(2, tx(dim(st.clock(first.At)), "  "), t)
		i = k
	}
}

func (p *printer) phases(v ExecutionView) {
	ph := v.Phases
	var rows []row
	share := func(s float64) string {
		if ph.Total() <= 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f %%", 100*s/ph.Total())
	}
	asked := "from the question to apply"
	if v.Incident != "" {
		asked = "from there to apply"
	}
	for _, x := range []struct {
		name, what string
		s          float64
	}{{"notice", "from the first bad request to " + v.Incident, ph.NoticeSeconds}, {"decide", asked, ph.DecideSeconds}, {"approve", "waiting for approvals", ph.ApproveSeconds},
		{"execute", "steps acting", ph.ExecuteSeconds}, {"settle", "baking, waiting for people", ph.SettleSeconds},
		{"prove", "validation and watch", ph.ProveSeconds}} {
		if x.name == "notice" && v.Incident == "" {
			continue
		}
		rows = append(rows, cells(x.name, seconds(x.s), share(x.s), dim(x.what)))
	}
	total := tx("")
	if v.RTOSeconds > 0 && recovers(v) {
		goal := seconds(float64(v.RTOSeconds))
		switch {
		case ph.Total() > float64(v.RTOSeconds):
			total = tx(bad("✗ over"), " the objective of "+goal)
		case v.State == StateEnded:
			total = tx(good("✓ within"), " the objective of "+goal)
		default:
			total = tx("so far, of the objective of " + goal)
		}
	}
	rows = append(rows, cells(strong("total"), strong(seconds(ph.Total())), "", total))
	p.table(0, []column{{head: "PHASE"}, {head: "TIME", right: true}, {head: "SHARE", right: true}, {head: "WHERE THE TIME WENT", wrap: true}}, rows)
}

// recovers reports whether the execution brings something back, so that an objective can be held against it: no deployment
// does, and none that ended without proof of health did.
func recovers(v ExecutionView) bool {
	return v.Plan.Intent.Verb != astern.VerbDeploy && (v.State != StateEnded || v.Execution.Outcome == astern.OutcomeDone)
}

func (p *printer) checklist(v ExecutionView) {
	open := 0
	for _, c := range v.Checklist {
		if !c.Ticked {
			open++
		}
	}
	head := tx(strong("checklist"))
	if open > 0 {
		head = append(head, dim(fmt.Sprintf("  %d of %d open: astern tick %s ITEM", open, len(v.Checklist), v.Execution.ID)))
	}
	p.line(head)
	address := ""
	for _, c := range v.Checklist {
		if c.Address != address && len(v.Plan.Checklist) > 1 {
			p.item(2, "", c.Address)
		}
		address = c.Address
		mark, t := dim("[ ] "), tx(c.Item)
		switch {
		case c.Ticked:
			mark = good("[✓] ")
		case c.Verdict == astern.Fail:
			mark = bad("[✗] ")
		}
		who := c.By
		if c.Check != "" && who == "" {
			who = "check " + c.Check
		}
		switch {
		case c.Ticked:
			t = append(t, dim("  by "+orUnknown(who)+" "+p.st.ageOf(c.At)))
		case c.Check != "":
			t = append(t, tx("  check ", c.Check, ": ", checkState(c.Verdict))...)
		default:
			t = append(t, dim("  a person looks"))
		}
		p.item(2, mark, t)
	}
}

func checkState(v astern.Verdict) span {
	if v == "" {
		return dim("open")
	}
	return verdict(v)
}
