package view

import (
	"io"

	"github.com/astern-dev/astern"
)

// TargetsReport is every target of every component asked for.
type TargetsReport struct {
	Environment string             `json:"environment"`
	Components  []ComponentTargets `json:"components"`
}

// ComponentTargets are the targets of one component, the newest deployed first.
type ComponentTargets struct {
	Address string       `json:"address"`
	Kind    string       `json:"kind"`
	Current string       `json:"current"` // the revision that runs; several joined by "+"
	Targets []TargetLine `json:"targets"`
	// Error says why nothing could be asked; the other components are shown all the same.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// TargetLine is a target and who deployed it.
type TargetLine struct {
	astern.Target
	By string `json:"by,omitempty"`
}

// MarshalJSON adds kind and version.
func (r TargetsReport) MarshalJSON() ([]byte, error) {
	type plain TargetsReport
	return document("Targets", plain(r))
}

// Targets writes each component's targets as a table. Below a target that is not ready stands the evidence against it;
// with Verbose all evidence.
func Targets(w io.Writer, st Style, r TargetsReport) error {
	p := newPrinter(st)
	if len(r.Components) == 0 {
		p.line("no component is declared in " + r.Environment)
	}
	for i, c := range r.Components {
		if i > 0 {
			p.blank()
		}
		p.line(strong(c.Address), dim("  "+c.Kind), "  runs ", strong(orUnknown(c.Current)))
		if c.Error != "" {
			p.item(2, bad("✗ "), "could not be asked: ", c.Error)
			if c.Hint != "" {
				p.item(4, "", dim("hint: "), c.Hint)
			}
			continue
		}
		if len(c.Targets) == 0 {
			p.item(2, warn("! "), "no target: no earlier revision is known")
			continue
		}
		p.targetTable(c)
	}
	return p.flush(w)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func (p *printer) targetTable(c ComponentTargets) {
	st := p.st
	cols := []column{{head: "REVISION", wrap: true}, {head: "READINESS"}, {head: "KNOWN GOOD", wrap: true}, {head: "DEPLOYED", wrap: true, spill: true},
		{head: "BY", wrap: true, spill: true}, {head: "TIME", wrap: true}, {head: "LOSES", wrap: true},
		{head: "APPROVALS", spill: true}, {head: "NEXT DOOR", wrap: true, spill: true}}
	var rows []row
	for _, t := range c.Targets {
		rev := tx(t.Revision)
		if t.Current {
			rev = tx(strong(t.Revision), dim(" runs now"))
		}
		est := estimateShort(t.Estimate)
		if st.width() >= 140 {
			est = estimate(t.Estimate)
		}
		next, needs := "-", "-"
		if len(t.Doors) > 0 {
			next = st.door(t.Doors[0])
		}
		if t.Approvals > 0 {
			needs = approvals(t.Approvals)
		}
		known := tx(dim("never"))
		if t.KnownGoodAt != nil {
			known = tx(st.age(*t.KnownGoodAt))
		}
		lost := tx(targetLoss(t.Target))
		if lossWords(t.Loss) != "nothing" {
			lost = tx(warn(lost.plain()))
		}
		r := cells(rev, readiness(t.Readiness), known, st.ageOf(t.DeployedAt), orDash(t.By), est, lost, needs, next)
		if t.Latched != "" {
			r.below = append(r.below, tx(warn("latched: "), t.Latched))
		}
		if st.width() < 140 && st.Verbose && t.Estimate.Runs > 1 {
			r.below = append(r.below, tx(dim("time "), estimate(t.Estimate)))
		}
		r.below = append(r.below, st.evidence(t.Target)...)
		rows = append(rows, r)
	}
	p.table(2, cols, rows)
}

// targetLoss says what going there loses; where there is no way, nobody has counted.
func targetLoss(t astern.Target) string {
	w := lossWords(t.Loss)
	if w == "nothing" && t.Readiness != astern.Ready && t.Readiness != astern.AtRisk {
		return "unknown"
	}
	return w
}

// evidence returns the lines that say why a target is not ready; with Verbose all evidence and all doors.
func (st Style) evidence(t astern.Target) []text {
	var out []text
	for _, e := range t.Evidence {
		if st.Verbose || t.Readiness != astern.Ready && e.Readiness != astern.Ready {
			out = append(out, tx(readiness(e.Readiness), "  ", e.What, dim(" (seen "+st.age(e.Seen)+")")))
		}
	}
	if st.Verbose {
		for i, d := range t.Doors {
			if i > 0 {
				out = append(out, tx(dim("also closes "), st.door(d)))
			}
		}
		if t.Hash != "" {
			out = append(out, tx(dim("content "), t.Hash))
		}
	}
	if len(out) == 0 && t.Readiness != astern.Ready {
		out = append(out, tx(warn("? unknown"), "  nothing was seen that speaks for or against it"))
	}
	return out
}
