package view

import (
	"io"
	"sort"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// HistoryReport is what the ledger tells of one component, the newest first.
type HistoryReport struct {
	Address string         `json:"address"`
	Current string         `json:"current,omitempty"`
	Events  []astern.Event `json:"events"`
	// More is how many older events were left out.
	More int `json:"more,omitempty"`
	// Attempts are executions that were to change what runs and did not get there, the newest first.
	Attempts []Attempt `json:"attempts,omitempty"`
}

// Attempt is an execution that was to take a component to a revision and did not get it there.
type Attempt struct {
	At        time.Time   `json:"at"`
	Verb      astern.Verb `json:"verb"`
	Revision  string      `json:"revision"`
	State     string      `json:"state"` // cancelled, held, under way
	By        string      `json:"by"`
	Why       string      `json:"why,omitempty"`
	Execution string      `json:"execution"`
}

// LedgerReport is events of several components, in the order they are given.
type LedgerReport struct {
	Environment string         `json:"environment,omitempty"`
	Events      []astern.Event `json:"events"`
	More        int            `json:"more,omitempty"`
}

// ReleaseReport is how the system was at a moment.
type ReleaseReport struct {
	Environment string             `json:"environment"`
	At          time.Time          `json:"at"`
	Components  []ReleaseComponent `json:"components"`
}

// ReleaseComponent is one component of a release. Revision is "" when the ledger does not reach back so far.
type ReleaseComponent struct {
	Address  string     `json:"address"`
	Revision string     `json:"revision,omitempty"`
	Since    *time.Time `json:"since,omitempty"`
	// KnownGood is true when the revision was known-good by then.
	KnownGood bool `json:"known_good"`
}

// LatchesReport lists the latches that hold.
type LatchesReport struct {
	Environment string  `json:"environment,omitempty"`
	Latches     []Latch `json:"latches"`
}

// Latch is a block on deploying a revision.
type Latch struct {
	Address   string    `json:"address"`
	Revision  string    `json:"revision"`
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	By        string    `json:"by"`
	Execution string    `json:"execution,omitempty"`
}

// MarshalJSON adds kind and version.
func (r HistoryReport) MarshalJSON() ([]byte, error) {
	type plain HistoryReport
	return document("History", plain(r))
}

// MarshalJSON adds kind and version.
func (r LedgerReport) MarshalJSON() ([]byte, error) {
	type plain LedgerReport
	return document("Ledger", plain(r))
}

// MarshalJSON adds kind and version.
func (r ReleaseReport) MarshalJSON() ([]byte, error) {
	type plain ReleaseReport
	return document("Release", plain(r))
}

// MarshalJSON adds kind and version.
func (r LatchesReport) MarshalJSON() ([]byte, error) {
	type plain LatchesReport
	return document("Latches", plain(r))
}

// eventWords are the ledger's events with their symbols.
func eventWords(k astern.EventKind) span {
	switch k {
	case astern.EventDeployed:
		return accent("→ deployed")
	case astern.EventImported:
		return dim("· imported")
	case astern.EventKnownGood:
		return good("✓ known-good")
	case astern.EventLatched:
		return warn("! latched")
	case astern.EventReleased:
		return span{"○ released", rolePlain}
	case astern.EventSeen:
		return dim("· seen")
	}
	return span{clean(string(k)), rolePlain}
}

// attemptWords are an attempt with its symbol.
func attemptWords(t Attempt) span {
	what := " " + clean(string(t.Verb)) + " " + clean(t.State)
	switch t.State {
	case "cancelled":
		return bad("✗" + what)
	case "held":
		return warn("!" + what)
	}
	return accent("→" + what)
}

// History writes one component's events as a table.
func History(w io.Writer, st Style, r HistoryReport) error {
	p := newPrinter(st)
	p.line(strong(r.Address), "  runs ", strong(orUnknown(r.Current)), dim(" according to the ledger"))
	if len(r.Events)+len(r.Attempts) == 0 {
		p.item(2, "", "nothing is recorded; record deployments with: astern record deploy COMPONENT REVISION")
	} else {
		p.events(2, "", false, r.Events, r.Attempts, r.More)
	}
	return p.flush(w)
}

// Ledger writes events of several components as a table.
func Ledger(w io.Writer, st Style, r LedgerReport) error {
	p := newPrinter(st)
	if len(r.Events) == 0 {
		p.line("nothing is recorded")
	} else {
		p.events(0, r.Environment, true, r.Events, nil, r.More)
	}
	return p.flush(w)
}

// events prints a row for each event, and between them one for each attempt, the newest first.
func (p *printer) events(indent int, environment string, component bool, events []astern.Event, attempts []Attempt, more int) {
	cols := []column{{head: "WHEN (" + p.st.zone() + ")"}, {head: "WHAT"}, {head: "REVISION", wrap: true}, {head: "BY", wrap: true, spill: true},
		{head: "REASON", wrap: true, spill: true}, {head: "EXECUTION", spill: true}}
	if component {
		cols = append(cols[:2:2], append([]column{{head: "COMPONENT", wrap: true}}, cols[2:]...)...)
	}
	var rows []row
	attempted := func(since time.Time) {
		for len(attempts) > 0 && attempts[0].At.After(since) {
			t := attempts[0]
			rows = append(rows, cells(p.st.date(t.At), attemptWords(t), t.Revision, orDash(t.By), orDash(t.Why), t.Execution))
			attempts = attempts[1:]
		}
	}
	for _, e := range events {
		attempted(e.At)
		r := cells(p.st.date(e.At), eventWords(e.Kind), e.Revision, orDash(e.By), orDash(e.Reason), orDash(e.Execution))
		if component {
			r.cells = append(r.cells[:2:2], append([]text{tx(short(environment, e.Address))}, r.cells[2:]...)...)
		}
		if p.st.Verbose {
			for _, f := range [][2]string{{"content ", e.Hash}, {"artifact ", e.Artifact}, {"commit ", e.Commit}} {
				if f[1] != "" {
					r.below = append(r.below, tx(dim(f[0]), f[1]))
				}
			}
		}
		rows = append(rows, r)
	}
	if more == 0 {
		attempted(time.Time{})
	}
	p.table(indent, cols, rows)
	if more > 0 {
		p.item(indent, "", dim("and "+count(int64(more))+" older (--limit shows more)"))
	}
}

// Release writes which revisions ran together at a moment.
func Release(w io.Writer, st Style, r ReleaseReport) error {
	p := newPrinter(st)
	p.line(strong(r.Environment), " at ", strong(st.when(r.At)), dim("  "+st.age(r.At)))
	var rows []row
	for _, c := range r.Components {
		rev, since := tx(c.Revision), tx("-")
		if c.Revision == "" {
			rev = tx(warn("? unknown"), ": the ledger does not reach back so far")
		}
		if c.Since != nil {
			since = tx(st.date(*c.Since))
		}
		proof := tx("-")
		if c.KnownGood {
			proof = tx(good("✓ known-good"))
		} else if c.Revision != "" {
			proof = tx(warn("! unproven"))
		}
		rows = append(rows, cells(short(r.Environment, c.Address), rev, since, proof))
	}
	p.table(2, []column{{head: "COMPONENT", wrap: true}, {head: "REVISION", wrap: true}, {head: "SINCE (" + st.zone() + ")"}, {head: "PROOF", spill: true}}, rows)
	return p.flush(w)
}

// ReleaseOf makes the report of a release; since and known-good are looked up in each component's history.
func ReleaseOf(environment string, rel astern.Release, history map[string]astern.History) ReleaseReport {
	r := ReleaseReport{Environment: environment, At: rel.At}
	for address, h := range history {
		if !strings.HasPrefix(address, environment+"/") {
			continue
		}
		c := ReleaseComponent{Address: address, Revision: rel.Revisions[address]}
		if d, ok := h.Of(c.Revision); ok {
			if d.LastAt != nil && !d.LastAt.After(rel.At) {
				c.Since = d.LastAt
			} else if d.FirstAt != nil && !d.FirstAt.After(rel.At) {
				c.Since = d.FirstAt
			}
			c.KnownGood = d.KnownGoodAt != nil && !d.KnownGoodAt.After(rel.At)
		}
		r.Components = append(r.Components, c)
	}
	sort.Slice(r.Components, func(i, k int) bool { return r.Components[i].Address < r.Components[k].Address })
	return r
}

// Latches writes the latches that hold, and how one is released.
func Latches(w io.Writer, st Style, r LatchesReport) error {
	p := newPrinter(st)
	if len(r.Latches) == 0 {
		p.line("no revision is latched")
		return p.flush(w)
	}
	var rows []row
	for _, l := range r.Latches {
		rows = append(rows, cells(short(r.Environment, l.Address), warn("! "+l.Revision), st.age(l.Since), orDash(l.By), orDash(l.Reason), orDash(l.Execution)))
	}
	p.table(0, []column{{head: "COMPONENT", wrap: true}, {head: "LATCHED", wrap: true}, {head: "SINCE"}, {head: "BY", wrap: true},
		{head: "REASON", wrap: true}, {head: "EXECUTION", spill: true}}, rows)
	p.blank()
	p.next([]string{"astern latch release COMPONENT REVISION --reason WHY"})
	return p.flush(w)
}
