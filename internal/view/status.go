package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// ExecutionLine is an execution in a list.
type ExecutionLine struct {
	Execution astern.Execution `json:"execution"`
	Title     string           `json:"title"` // PlanTitle
	State     ExecutionState   `json:"state"`
	By        string           `json:"by,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	// Where says how far it is, one line: "stage 2 of 3, 3 of 8 steps done".
	Where string `json:"where,omitempty"`
	// Why says why it does not go on, or what it waits for; "" where it acts.
	Why string `json:"why,omitempty"`
	// Since is from when on that is so.
	Since *time.Time `json:"since,omitempty"`
}

// why writes why an execution does not go on, and for how long.
func (st Style) why(e ExecutionLine) text {
	t := tx(e.Why)
	if e.Since != nil {
		if d := st.Now.Sub(*e.Since); d >= time.Second {
			t = append(t, dim(", for "+coarse(d)))
		}
	}
	return t
}

// ExecutionsReport lists executions, the active first.
type ExecutionsReport struct {
	Executions []ExecutionLine `json:"executions"`
	More       int             `json:"more,omitempty"`
	// Plans are those that wait for approvals, or to be applied: no execution yet.
	Plans []PlanLine `json:"plans,omitempty"`
}

// StatusReport is the screen for 3 a.m.
type StatusReport struct {
	System      string            `json:"system"`
	Environment string            `json:"environment"`
	Components  []ComponentStatus `json:"components"`
	// Incidents are those that last.
	Incidents []astern.Incident `json:"incidents"`
	// Executions are those that have not ended.
	Executions []ExecutionLine `json:"executions"`
	// Plans are those that wait for approvals, or to be applied.
	Plans []PlanLine `json:"plans,omitempty"`
	// HalfWay are the components that a cancelled execution left half-way.
	HalfWay []HalfWay `json:"half_way,omitempty"`
	Latches []Latch   `json:"latches"`
	// Deaf are the channels by which nobody is told.
	Deaf []astern.DeafChannel `json:"deaf_channels,omitempty"`
	// Next are the commands that a person may type.
	Next []string `json:"next"`
}

// PlanLine is a plan that waits for approvals, or to be applied.
type PlanLine struct {
	Hash   string    `json:"hash"`
	Title  string    `json:"title"` // PlanTitle
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Given are the people who approved it, of Approvals that it needs.
	Given     []string `json:"given"`
	Approvals int      `json:"approvals"`
	// Next is the command that takes it on.
	Next string `json:"next"`
}

// HalfWay is a component that a cancelled execution left between two revisions, or at one that nobody decided for.
type HalfWay struct {
	Address   string    `json:"address"`
	Execution string    `json:"execution"`
	At        time.Time `json:"at"` // when it was cancelled
	// Runs says what runs now, a line for each revision.
	Runs []string `json:"runs"`
	// Next is the command that ends it.
	Next string `json:"next"`
}

// WayBack says whether a component has a way back.
type WayBack string

// The answers. Whatever is none of them is unknown.
const (
	WayReady   WayBack = "ready"
	WayAtRisk  WayBack = "at_risk" // a rollback takes it when it is named with --to
	WayUnknown WayBack = "unknown" // somebody could not be asked: there may be one
	WayNone    WayBack = "none"
)

// wayCells writes the way back, its time and its loss.
func wayCells(c ComponentStatus) []text {
	switch t := c.AtRisk; {
	case c.Back != nil:
		return []text{tx(readiness(c.Back.Readiness), " ", c.Back.Revision), tx(thenWatched(estimateShort(c.Back.Estimate), c.WatchSeconds)), tx(targetLoss(*c.Back))}
	case c.Way == WayAtRisk && t != nil:
		return []text{tx(readiness(astern.AtRisk), " ", t.Revision), tx(thenWatched(estimateShort(t.Estimate), c.WatchSeconds)), tx(targetLoss(*t))}
	case c.Way == WayNone:
		return []text{tx(bad("✗ none")), tx("-"), tx("-")}
	}
	return []text{tx(warn("? unknown")), tx("-"), tx("-")}
}

// ComponentStatus is one component of a StatusReport.
type ComponentStatus struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Current string `json:"current,omitempty"`
	// Since is when the current revision was deployed, as far as the ledger knows.
	Since *time.Time `json:"since,omitempty"`
	// KnownGood is true when the current revision completed its watch.
	KnownGood bool `json:"known_good"`
	// Way tells the four answers to whether there is a way back apart: ready, at_risk, unknown, none.
	Way WayBack `json:"way_back"`
	// Back is the target that a rollback would take by itself; nil when there is none.
	Back *astern.Target `json:"back,omitempty"`
	// AtRisk is the target that a rollback takes when it is named with --to, where none is ready; nil when there is none.
	AtRisk *astern.Target `json:"at_risk,omitempty"`
	// WatchSeconds is how long a rollback would be watched at its end, which its estimate leaves out.
	WatchSeconds int64 `json:"watch_seconds,omitempty"`
	// SeenAt is when the component was observed; zero when it could not be.
	SeenAt time.Time `json:"seen_at,omitzero"`
	// Unknown lists what could not be read, with the reason, one line each.
	Unknown []string `json:"unknown"`
	// Mixed says which members run what where they run different revisions, a line for each revision.
	Mixed []string `json:"mixed,omitempty"`
	// Apart lists the members whose processes were not started under what their links lead to, one line each.
	Apart []string `json:"apart,omitempty"`
	// Elsewhere lists the executions of other state folders that act on it, one line each.
	Elsewhere []string `json:"elsewhere,omitempty"`
	Error     string   `json:"error,omitempty"`
	// Watch is what astern watch last knew of it; nil for a component without signals.
	Watch *astern.WatchState `json:"watch,omitempty"`
}

// MarshalJSON adds kind and version.
func (r ExecutionsReport) MarshalJSON() ([]byte, error) {
	type plain ExecutionsReport
	return document("Executions", plain(r))
}

// MarshalJSON adds kind and version.
func (r StatusReport) MarshalJSON() ([]byte, error) {
	type plain StatusReport
	return document("Status", plain(r))
}

// Executions writes the executions as a table.
func Executions(w io.Writer, st Style, r ExecutionsReport) error {
	p := newPrinter(st)
	if p.waits(r.Plans); len(r.Plans) > 0 {
		p.blank()
	}
	if len(r.Executions) == 0 {
		p.line("no execution is recorded")
		return p.flush(w)
	}
	var rows []row
	for _, e := range r.Executions {
		took := "-"
		if e.Execution.EndedAt != nil {
			took = seconds(e.Execution.EndedAt.Sub(e.Execution.CreatedAt).Round(time.Second).Seconds())
		}
		rw := cells(e.Execution.ID, stateWords(e.State, e.Execution.Outcome), e.Title, st.age(e.Execution.CreatedAt), took, orDash(e.By), orDash(e.Reason))
		if e.Where != "" && e.State != StateEnded {
			rw.below = append(rw.below, tx(e.Where))
		}
		if e.Why != "" && e.State != StateEnded {
			rw.below = append(rw.below, st.why(e))
		}
		rows = append(rows, rw)
	}
	p.table(0, []column{{head: "ID"}, {head: "STATE"}, {head: "WHAT", wrap: true}, {head: "BEGAN", wrap: true}, {head: "TOOK", wrap: true, spill: true},
		{head: "BY", wrap: true, spill: true}, {head: "REASON", wrap: true, spill: true}}, rows)
	if r.More > 0 {
		p.line(dim("and " + count(int64(r.More)) + " older (--limit shows more)"))
	}
	return p.flush(w)
}

// someOf shows the first lines of a list, or all where that is asked for.
func someOf(st Style, lines []string, mark span, what string) (out []text) {
	for i, line := range lines {
		if i == 3 && !st.Verbose {
			return append(out, tx(dim(fmt.Sprintf("and %d more %s (-v shows all)", len(lines)-i, what))))
		}
		out = append(out, tx(mark, line))
	}
	return out
}

// incidentNow writes what is known of an incident that lasts: its cause, what was decided, all ways with time and loss, and why
// not the others.
func incidentNow(p *printer, st Style, in astern.Incident) {
	cause := tx("no change is to blame")
	if in.Cause != nil {
		cause = tx(strong(in.Cause.Address+" "+in.Cause.Revision), dim(", deployed "+st.age(in.Cause.At)+" by "+orDash(in.Cause.By)))
	}
	if in.Cause != nil || in.Blame != "" {
		if in.Blame != "" {
			cause = append(cause, tx("; ", in.Blame)...)
		}
		p.field("cause", cause)
	}
	if in.Cost.Requests > 0 {
		p.field("cost", count(int64(in.Cost.Requests)), " requests failed that would not have, as far as was counted")
	}
	if in.Cost.Users > 0 {
		p.field("cost", plural(int64(in.Cost.Users+0.5), "user"), " harmed, as far as was counted")
	}
	if len(in.Decisions) == 0 {
		return
	}
	d := in.Decisions[len(in.Decisions)-1]
	p.field("decided", strong(decisionWord(d)), ": ", d.Because)
	if d.Certainty != "" {
		p.field("certainty", dim(d.Certainty))
	}
	if len(d.Look) > 0 {
		p.field("look at", strings.Join(d.Look, "; "))
	}
	for i, w := range d.Ways {
		label := "ways"
		if i > 0 {
			label = ""
		}
		mark, why := good("✓ "), ""
		if w.Against != "" {
			mark, why = warn("! "), ": "+w.Against
		}
		p.field(label, mark, strong(w.Way), dim("  ~"+seconds(w.Seconds)+", loses "+orNothing(w.Loses)), why)
		if w.Against == "" && w.Command != "" {
			p.command(labelWidth, w.Command)
		}
	}
	if d.Act == astern.ActAsk && d.Plan != "" {
		p.field("approve", accent(d.Command))
	}
}

// decisionWord says what a decision comes to.
func decisionWord(d astern.Decision) string {
	switch d.Act {
	case astern.ActAutomatic:
		return "astern takes " + d.Way
	case astern.ActAsk:
		if d.Way == "" {
			return "a person must decide"
		}
		return "a person is asked for " + d.Way
	case astern.ActShadow:
		return "astern would take " + d.Way + " (shadow)"
	case astern.ActTell:
		return "told, nothing is done"
	}
	return "on hold"
}

// watchedLines says what the watch knows of a component, and how old that is.
func watchedLines(st Style, c ComponentStatus) []text {
	w := c.Watch
	if w == nil {
		return nil
	}
	if w.At.IsZero() {
		return []text{tx(warn("! nobody watches it: "), "astern watch")}
	}
	line := tx(dim("watched "+st.age(w.At)+": "), w.Says)
	if !w.Alive {
		line = tx(warn("! watched last "+st.age(w.At)+", and not since: "), w.Says)
	}
	return []text{line}
}

// waits writes the plans that wait for approvals, or to be applied.
func (p *printer) waits(plans []PlanLine) {
	for _, l := range plans {
		t := tx(warn("… "), strong(l.Title), dim(", asked by "+orDash(l.By)+" "+p.st.age(l.At)), fmt.Sprintf(": %d of %s", len(l.Given), plural(int64(l.Approvals), "approval")))
		if len(l.Given) > 0 {
			t = append(t, tx(", by ", list(l.Given, memberLimit))...)
		}
		p.field("waits", t)
		p.command(labelWidth, l.Next)
	}
}

// underWay writes what is being done: executions, plans that wait for somebody, and what was left half-way.
func (p *printer) underWay(r StatusReport) {
	st := p.st
	for _, e := range r.Executions {
		t := tx(stateWords(e.State, e.Execution.Outcome), "  ", strong(e.Execution.ID), "  ", e.Title, dim(", began "+st.age(e.Execution.CreatedAt)))
		if e.Where != "" {
			t = append(t, tx("; ", e.Where)...)
		}
		p.field("now", t)
		if e.Why != "" {
			p.field("because", st.why(e))
		}
		p.command(labelWidth, "astern show "+e.Execution.ID)
	}
	p.waits(r.Plans)
	for _, h := range r.HalfWay {
		p.field("half-way", warn("! "+h.Execution), " was cancelled half-way ", st.age(h.At), ": ", strong(list(h.Runs, memberLimit)))
		p.command(labelWidth, h.Next)
	}
	if len(r.Executions)+len(r.HalfWay)+len(r.Plans) == 0 {
		p.field("now", dim("nothing is under way"))
	}
}

// Status writes the screen for 3 a.m.: what runs, whether there is a way back, what is under way, what is latched, and
// how old each figure is.
func Status(w io.Writer, st Style, r StatusReport) error {
	p := newPrinter(st)
	p.line(strong(r.System), "  ", strong(r.Environment), dim("  "+st.when(st.Now)))
	for _, in := range r.Incidents {
		owner := tx(warn("! nobody has it"))
		if in.Owner != "" {
			owner = tx(in.Owner + " has it")
		}
		p.field("incident", bad("✗ "+in.ID), "  ", orDash(in.Severity), "  ", strong(in.Title), dim(fmt.Sprintf("  since %s, %s  ", st.clock(in.BeganAt),
			seconds(in.Harm(st.Now).Round(time.Second).Seconds()))), owner)
		p.command(labelWidth, "astern show "+in.ID)
		incidentNow(p, st, in)
	}
	p.deaf(st, r.Deaf)
	p.underWay(r)
	said := make([][]string, len(r.Components))
	for i, c := range r.Components {
		said[i] = append(slices.Clone(c.Unknown), c.Error)
	}
	cause, of := commonCause(said)
	p.cause(cause, of, len(r.Components))
	p.blank()
	var rows []row
	for _, c := range r.Components {
		runs := tx(strong(orUnknown(c.Current)))
		if c.Current != "" && !c.KnownGood {
			runs = append(runs, warn(" ! unproven"))
		}
		rw := cells(short(r.Environment, c.Address), runs, st.ageOf(c.Since))
		rw.cells = append(rw.cells, wayCells(c)...)
		seen := "never"
		if !c.SeenAt.IsZero() {
			seen = st.age(c.SeenAt)
		}
		rw.cells = append(rw.cells, tx(seen))
		if c.Error != "" {
			rw.below = append(rw.below, tx(bad("✗ could not be asked: "), withoutCause([]string{c.Error}, cause)[0]))
		}
		if len(c.Mixed) > 0 {
			rw.below = append(rw.below, tx(warn("! mixed: "), strings.Join(c.Mixed, "; ")))
		}
		rw.below = append(rw.below, watchedLines(st, c)...)
		rw.below = append(rw.below, someOf(st, c.Elsewhere, warn("! "), "elsewhere")...)
		rw.below = append(rw.below, someOf(st, c.Apart, warn("! "), "not restarted")...)
		rw.below = append(rw.below, someOf(st, withoutCause(c.Unknown, cause), warn("? unknown: "), "unknown")...)
		rows = append(rows, rw)
	}
	p.table(2, []column{{head: "COMPONENT", wrap: true}, {head: "RUNS", wrap: true}, {head: "SINCE", wrap: true}, {head: "WAY BACK", wrap: true},
		{head: "TIME", wrap: true}, {head: "LOSES", wrap: true}, {head: "SEEN", spill: true}}, rows)
	if len(r.Latches) > 0 {
		p.blank()
	}
	for i, l := range r.Latches {
		label := "latched"
		if i > 0 {
			label = ""
		}
		p.field(label, warn("! "+short(r.Environment, l.Address)+" "+l.Revision), dim("  "+st.age(l.Since)+" by "+orDash(l.By)), ": ", orDash(l.Reason))
	}
	if len(r.Next) > 0 {
		p.blank()
		p.next(r.Next)
	}
	return p.flush(w)
}
