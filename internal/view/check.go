package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// CheckReport says of each component what could be brought back now, and what stands in the way.
type CheckReport struct {
	Environment string `json:"environment"`
	// At is the later time for which the ways back were judged; nil is now.
	At         *time.Time       `json:"at,omitempty"`
	Components []ComponentCheck `json:"components"`
	// Deaf are the channels by which nobody is told.
	Deaf []astern.DeafChannel `json:"deaf_channels,omitempty"`
	// Verdict is pass when every component passes; fail and unknown as the worst of them.
	Verdict astern.Verdict `json:"verdict"`
}

// ComponentCheck is one component of a CheckReport.
type ComponentCheck struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Current string `json:"current"` // what runs now; several revisions joined by "+"
	Latched string `json:"latched,omitempty"`
	// Record is the command that tells the ledger what runs, where it says something else.
	Record string `json:"record,omitempty"`
	// Best is the revision that a rollback would take, "" when no target is ready.
	Best string `json:"best,omitempty"`
	// AtRisk is the revision that a rollback takes when it is named with --to, where no target is ready; Command then names it.
	AtRisk string `json:"at_risk,omitempty"`
	// WayUnknown is true where there may be a way back that nobody could see.
	WayUnknown bool `json:"way_unknown,omitempty"`
	// WatchSeconds is how long a rollback would be watched at its end, which its estimate leaves out.
	WatchSeconds int64 `json:"watch_seconds,omitempty"`
	// Command is what to type for Best or AtRisk.
	Command string          `json:"command,omitempty"`
	Targets []astern.Target `json:"targets"`
	// Findings say what is wrong or missing, one line each.
	Findings []string             `json:"findings"`
	Results  []astern.CheckResult `json:"results"`
	// NotRun are the checks that were not run because they have effects.
	NotRun []string `json:"not_run"`
	// Signals says of each signal whether it can be read now.
	Signals []astern.CheckResult `json:"signals,omitempty"`
	// Error says why nothing could be asked.
	Error   string         `json:"error,omitempty"`
	Verdict astern.Verdict `json:"verdict"`
	// Unwell is true where the verdict is fail for what runs now alone: a way back within the objectives is ready.
	Unwell bool `json:"unwell,omitempty"`
}

// MarshalJSON adds kind and version.
func (r CheckReport) MarshalJSON() ([]byte, error) {
	type plain CheckReport
	return document("CheckReport", plain(r))
}

// Check writes the report: one line for each quiet healthy component, a paragraph for each other one, and a last line
// that is the verdict. Components that need a person come first.
func Check(w io.Writer, st Style, r CheckReport) error {
	p := newPrinter(st)
	var quiet, loud []ComponentCheck
	for _, c := range r.Components {
		if c.Verdict == astern.Pass && c.Error == "" && len(c.Findings) == 0 && !st.Verbose {
			quiet = append(quiet, c)
		} else {
			loud = append(loud, c)
		}
	}
	said := make([][]string, len(loud))
	for i, c := range loud {
		said[i] = append(slices.DeleteFunc(slices.Clone(c.Findings), tells), c.Error)
	}
	cause, of := commonCause(said)
	if p.cause(cause, of, len(r.Components)); cause != "" {
		p.blank()
	}
	for _, c := range loud {
		c.Findings, c.Error = withoutCause(c.Findings, cause), withoutCause([]string{c.Error}, cause)[0]
		p.loudCheck(c)
		p.blank()
	}
	for _, c := range quiet {
		p.quietCheck(c)
	}
	if len(quiet) > 0 {
		p.blank()
	}
	if p.deaf(st, r.Deaf); len(r.Deaf) > 0 {
		p.blank()
	}
	p.checkVerdict(r)
	return p.flush(w)
}

func (c ComponentCheck) best() (astern.Target, bool) {
	for _, t := range c.Targets {
		if t.Revision == c.Best && c.Best != "" {
			return t, true
		}
	}
	return astern.Target{}, false
}

// nextDoor is the door that closes first among those of the ready targets: by deployments, then by date.
func (c ComponentCheck) nextDoor() (revision string, door astern.Door, ok bool) {
	earlier := func(a, b astern.Door) bool {
		if (a.Deployments > 0) != (b.Deployments > 0) {
			return a.Deployments > 0
		}
		if a.At != nil && b.At != nil {
			return a.At.Before(*b.At)
		}
		return a.Deployments < b.Deployments
	}
	for _, t := range c.Targets {
		if t.Current || t.Readiness == astern.Broken || len(t.Doors) == 0 {
			continue
		}
		if !ok || earlier(t.Doors[0], door) {
			revision, door, ok = t.Revision, t.Doors[0], true
		}
	}
	return revision, door, ok
}

// doorText writes "v1.2.0 goes with the next deployment (retention keeps 5 releases)".
func (st Style) doorText(revision string, d astern.Door) text {
	if d.Deployments == 0 && d.At == nil {
		return tx(revision+": ", d.What)
	}
	if d.Leaves != "" {
		return tx(revision+" is "+string(d.Leaves)+" ", st.door(d))
	}
	return tx(revision+" goes ", st.door(d))
}

func (p *printer) quietCheck(c ComponentCheck) {
	t := tx(strong(c.Address), "  runs ", c.Current)
	if b, ok := c.best(); ok {
		t = append(t, tx("; back to ", strong(b.Revision), " in ", thenWatched(estimateShort(b.Estimate), c.WatchSeconds), ", ", lossText(b.Loss))...)
	}
	switch n := len(c.Results); n {
	case 0:
	case 1:
		t = append(t, tx(", 1 check passes")...)
	default:
		t = append(t, tx(fmt.Sprintf(", %d checks pass", n))...)
	}
	if n := len(c.NotRun); n > 0 {
		t = append(t, tx(fmt.Sprintf(", %d not run", n))...)
	}
	if rev, d, ok := c.nextDoor(); ok && d.Deployments == 1 {
		t = append(t, tx("; ", p.st.doorText(rev, d))...)
	}
	p.item(0, good("✓ "), t)
}

func (p *printer) loudCheck(c ComponentCheck) {
	st := p.st
	mark, word := good("✓ "), good("ready")
	switch {
	case c.Verdict == astern.Pass:
	case c.Unwell:
		mark, word = bad("✗ "), bad("FAILS, CAN GO BACK")
	case c.Verdict == astern.Fail:
		mark, word = bad("✗ "), bad("NOT READY")
	default:
		mark, word = warn("? "), warn("UNKNOWN")
	}
	p.item(0, mark, strong(c.Address), dim("  "+c.Kind), "  ", word)
	runs := tx(strong(orUnknown(c.Current)))
	if c.Latched != "" {
		runs = append(runs, tx(", ", warn("latched: "), c.Latched)...)
	}
	p.field("runs", runs)
	if c.Error != "" {
		p.field("error", bad("could not be asked: "), c.Error)
	}
	for i, f := range c.Findings {
		label := "finding"
		if i > 0 {
			label = ""
		}
		p.field(label, warn("! "), st.Command(f))
	}
	if c.Record != "" {
		p.command(labelWidth, c.Record)
	}
	if b, ok := c.best(); ok {
		p.field("back to", strong(b.Revision), "  ", readiness(b.Readiness), "  ", thenWatched(estimate(b.Estimate), c.WatchSeconds), "  ", lossText(b.Loss), approvalsText(b.Approvals))
		if c.Command != "" {
			p.command(labelWidth, c.Command)
		}
	} else if c.AtRisk != "" {
		p.field("back to", readiness(astern.AtRisk), "  ", strong(c.AtRisk), ": it is taken when it is named")
		if c.Command != "" {
			p.command(labelWidth, c.Command)
		}
	} else if c.WayUnknown {
		p.field("back to", warn("? unknown: "), "not everything could be asked")
	} else if c.Error == "" || len(c.Targets) > 0 {
		p.field("back to", bad("nowhere: "), "no target is ready")
	}
	if len(c.Targets) > 0 {
		p.field("targets", readinessCounts(c.Targets))
	}
	p.notReady(c)
	if rev, d, ok := c.nextDoor(); ok {
		p.field("next door", st.doorText(rev, d))
	}
	p.checkResults(c)
}

// notReady prints the targets that are not ready, all of them in a verbose report: what is the same of several is said once.
func (p *printer) notReady(c ComponentCheck) {
	const names, most = 8, 20
	groups := p.st.alike(c.Targets)
	left := 0
	for i, g := range groups {
		if i >= most && !p.st.Verbose {
			left += len(g.revisions)
			continue
		}
		left += max(0, len(g.revisions)-names-1)
		p.item(labelWidth, "", strong(list(g.revisions, names)), "  ", readiness(g.first.Readiness))
		for _, e := range p.st.evidence(g.first) {
			p.item(labelWidth+2, "", e)
		}
	}
	switch over := len(groups) - most; {
	case left == 0:
	case over > 0: // a verbose report leaves nothing out
		p.item(labelWidth, "", dim(fmt.Sprintf("and others for %s (-v shows all)", plural(int64(over), "further reason"))))
	default:
		p.item(labelWidth, "", dim("(-v shows all)"))
	}
}

// alikeTargets are targets of which the same is said.
type alikeTargets struct {
	revisions []string
	first     astern.Target // in whose evidence REVISION stands for the name where there are several
}

// alike puts targets together of which a report says the same but for their own name, in the order of the first of each.
func (st Style) alike(targets []astern.Target) []*alikeTargets {
	var out []*alikeTargets
	of := map[string]*alikeTargets{}
	var said []byte
	for _, t := range targets {
		if t.Current || t.Readiness == astern.Ready && !st.Verbose {
			continue
		}
		if st.Verbose { // which leaves nothing together
			out = append(out, &alikeTargets{[]string{t.Revision}, t})
			continue
		}
		said = st.said(said[:0], t)
		g := of[string(said)]
		if g == nil {
			g = &alikeTargets{first: t}
			of[string(said)], out = g, append(out, g)
		} else if len(g.revisions) == 1 {
			g.first = nameless(g.first)
		}
		g.revisions = append(g.revisions, t.Revision)
	}
	return out
}

// said adds what a report that is not verbose says of a target.
func (st Style) said(to []byte, t astern.Target) []byte {
	to = append(to, t.Readiness...)
	for _, e := range t.Evidence {
		if e.Readiness != astern.Ready {
			for _, s := range [...]string{string(e.Readiness), withoutName(e.What, t.Revision), st.age(e.Seen)} {
				to = append(append(to, 0), s...)
			}
		}
	}
	return to
}

// nameless is the target with REVISION for its name in what is said of it.
func nameless(t astern.Target) astern.Target {
	t.Evidence = slices.Clone(t.Evidence)
	for i, e := range t.Evidence {
		t.Evidence[i].What = withoutName(e.What, t.Revision)
	}
	return t
}

// withoutName puts REVISION in the place of a revision's name where it stands by itself. A number must be the last of a path: what is
// counted may be the same by chance.
func withoutName(s, revision string) string {
	if revision == "" || !strings.Contains(s, revision) {
		return s
	}
	number := strings.Trim(revision, "0123456789") == ""
	const partOfName = "._-+:"
	part := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(partOfName, c) >= 0
	}
	var out strings.Builder
	for at := 0; ; {
		i := strings.Index(s[at:], revision)
		if i < 0 {
			return out.String() + s[at:]
		}
		end := at + i + len(revision)
		if at+i > 0 && part(s[at+i-1]) || end < len(s) && part(s[end]) || number && (at+i == 0 || s[at+i-1] != '/') {
			out.WriteString(s[at:end])
		} else {
			out.WriteString(s[at:at+i] + "REVISION")
		}
		at = end
	}
}

func approvalsText(n int) text {
	if n == 0 {
		return nil
	}
	return tx("  approvals: ", approvals(n))
}

// checkResults prints the checks that don't pass each on a line, and how many pass.
func (p *printer) checkResults(c ComponentCheck) {
	p.resultsOf("checks", "of %d checks", c.Results)
	if len(c.NotRun) > 0 {
		p.field("not run", strings.Join(c.NotRun, ", "), dim(" (has effects; runs as a step of a plan)"))
	}
	p.resultsOf("signals", "of %d signals", c.Signals)
}

func (p *printer) resultsOf(label, of string, results []astern.CheckResult) {
	st, passed := p.st, 0
	for _, pass := range []bool{false, true} { // failures first
		for _, r := range results {
			if (r.Verdict == astern.Pass) != pass {
				continue
			}
			if pass && !st.Verbose {
				passed++
				continue
			}
			p.field(label, verdict(r.Verdict), "  ", r.Check, "  ", r.Evidence, dim(" ("+st.age(r.At)+")"))
			label = ""
		}
	}
	if passed > 0 {
		p.field(label, good("✓ pass"), fmt.Sprintf("  %d "+of, passed, len(results)))
	}
}

func readinessCounts(targets []astern.Target) text {
	n := map[astern.Readiness]int{}
	for _, t := range targets {
		if t.Current {
			continue
		}
		switch t.Readiness {
		case astern.Ready, astern.AtRisk, astern.Broken:
			n[t.Readiness]++
		default:
			n[astern.ReadyUnknown]++
		}
	}
	return tx(fmt.Sprintf("%d ready, %d at risk, %d broken, %d unknown",
		n[astern.Ready], n[astern.AtRisk], n[astern.Broken], n[astern.ReadyUnknown]))
}

func (p *printer) checkVerdict(r CheckReport) {
	var bads, unwell []string
	slowest := astern.Estimate{}
	for _, c := range r.Components {
		switch {
		case c.Unwell:
			unwell = append(unwell, short(r.Environment, c.Address))
		case c.Verdict != astern.Pass:
			bads = append(bads, short(r.Environment, c.Address))
		}
		if b, ok := c.best(); ok && b.Estimate.MedianSeconds > slowest.MedianSeconds {
			slowest = b.Estimate
		}
	}
	n := int64(len(r.Components))
	when, then := " now", ""
	if r.At != nil {
		then = " on " + r.At.UTC().Format("2 January 2006")
		when = then
		p.item(0, "", dim("as it will be"+when+" if nothing is deployed or pruned until then, and what is proven now is proven again; no checks were made"))
	}
	switch {
	case n == 0:
		p.item(0, warn("? UNKNOWN  "), "no component is declared in ", r.Environment)
	case r.Verdict == astern.Pass:
		t := tx("each of ", plural(n, "component"), " in ", r.Environment, " can be brought back"+when)
		if n == 1 {
			t = tx(short(r.Environment, r.Components[0].Address), " in ", r.Environment, " can be brought back"+when)
		}
		if slowest.MedianSeconds > 0 {
			in := ", the slowest in "
			if n == 1 {
				in = " in "
			}
			t = append(t, tx(in, estimateShort(slowest))...)
		}
		p.item(0, good("✓ READY  "), t)
	default:
		of := fmt.Sprintf(" of %s in %s%s: ", plural(n, "component"), r.Environment, then)
		if len(unwell) > 0 {
			p.item(0, bad("✗ FAILS, CAN GO BACK  "), fmt.Sprint(len(unwell), of), list(unwell, 8))
		}
		word := warn("? UNKNOWN  ")
		if slices.ContainsFunc(r.Components, func(c ComponentCheck) bool { return c.Verdict == astern.Fail && !c.Unwell }) {
			word = bad("✗ NOT READY  ")
		}
		if len(bads) > 0 {
			p.item(0, word, fmt.Sprint(len(bads), of), list(bads, 8))
		}
	}
}
