package signal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Group is the part that a member plays in a comparison.
type Group string

// The groups. A member that is in neither is counted nowhere.
const (
	Candidate Group = "candidate"
	Control   Group = "control"
)

// Groups are those of the members that are compared.
type Groups map[string]Group

// Compare returns the groups for what each member runs: those that run candidate beside those that run control.
func Compare(runs map[string]string, candidate, control string) Groups {
	g := Groups{}
	for member, revision := range runs {
		switch revision {
		case candidate:
			g[member] = Candidate
		case control:
			g[member] = Control
		}
	}
	return g
}

// Halves divides members that all run the same into two groups, always in the same way: old against old shows how much
// they differ by themselves.
func Halves(members []string) Groups {
	sorted := slices.Clone(members)
	slices.Sort(sorted)
	g := Groups{}
	for i, m := range slices.Compact(sorted) {
		g[m] = [...]Group{Candidate, Control}[i%2]
	}
	return g
}

// Meter makes samples of one signal out of answers. It is plain data: stored as JSON and read again it goes on.
type Meter struct {
	At   time.Time       `json:"at"` // where the last sample ended
	Held map[string]Held `json:"held,omitempty"`
}

// Held is what a Meter keeps of a member.
type Held struct {
	Group Group `json:"group"`
	// Base is the reading that was counted up to, Last the newest one after it.
	Base *astern.Reading `json:"base,omitempty"`
	Last *astern.Reading `json:"last,omitempty"`
	// NotBefore is a time that a base must be after: what was read until then may be of another revision.
	NotBefore time.Time `json:"not_before"`
	// Every is how long lay between its last two readings.
	Every time.Duration `json:"every,omitempty"`
	// Why says why it is not counted now.
	Why string `json:"why,omitempty"`
}

// Add takes in one answer at the time at of the watch's clock. The groups are those seen after the answer had come: a
// reading lies between what was seen before and after it, so a member that is in the same group both times was in it when
// it was read. There is no sample while a member that counts may still tell something newer, so that both groups are
// counted over the same time; at the latest after MaxAge it is left out.
func (m *Meter) Add(at time.Time, a Answer, groups Groups) (s astern.Sample, ok bool) {
	if m.Held == nil {
		m.Held = map[string]Held{}
	}
	first := m.At.IsZero()
	if at.Before(m.At) {
		m.Held, m.At = map[string]Held{}, at
		return astern.Sample{From: at, To: at, Missing: "this machine's clock went back"}, true
	}
	m.take(a, groups)
	waiting := false
	for name, h := range m.Held {
		if h.Base == nil || h.Why != "" || h.consistent() {
			continue
		}
		if p := h.patience() + a.Lag; a.Now.Sub(h.Base.At) <= p && (h.Last == nil || a.Now.Sub(h.Last.At) <= p) {
			waiting = true
			continue
		}
		h.lose(h.late(a.Now))
		m.Held[name] = h
	}
	switch {
	case first:
		m.At = at
		return astern.Sample{}, false
	case a.Err == nil && waiting, !at.After(m.At):
		return astern.Sample{}, false
	}
	s = astern.Sample{From: m.At, To: at}
	m.count(&s)
	if a.Err != nil {
		s = astern.Sample{From: m.At, To: at, Missing: "could not be asked: " + a.Err.Error()}
	}
	m.At = at
	return s, true
}

// Forget drops what is held of a member, because something was done to it.
func (m *Meter) Forget(member string) { delete(m.Held, member) }

func (m *Meter) take(a Answer, groups Groups) {
	for name := range m.Held {
		if groups[name] == "" {
			delete(m.Held, name)
		}
	}
	if a.Err != nil {
		for name, h := range m.Held {
			h.lose("its source could not be asked")
			m.Held[name] = h
		}
		return
	}
	read := make(map[string]bool, len(a.Readings))
	for i := range a.Readings {
		r := &a.Readings[i]
		group := groups[r.Member]
		if group == "" {
			continue
		}
		read[r.Member] = true
		h, known := m.Held[r.Member]
		if !known || h.Group != group {
			why := "its first reading"
			if known {
				why = "its revision changed"
			}
			h = Held{Group: group, NotBefore: later(r.At, a.Now), Why: why}
		} else {
			h.see(r, a.Now, a.Lag)
		}
		m.Held[r.Member] = h
	}
	for name, group := range groups {
		if read[name] || group == "" {
			continue
		}
		h := m.Held[name]
		if h.Group != group {
			h = Held{Group: group, NotBefore: a.Now}
		}
		why := a.Failed[name]
		if why == "" {
			why = "there is no reading of it"
		}
		h.lose(why)
		if a.Lag > 0 {
			h.NotBefore = later(h.NotBefore, a.Now)
		}
		m.Held[name] = h
	}
}

// see takes in a reading of a member that stayed in its group.
func (h *Held) see(r *astern.Reading, now time.Time, lag time.Duration) {
	last := h.Last
	if last == nil {
		last = h.Base
	}
	switch why := Invalid(r, now, lag); {
	case why != "":
		h.lose(why)
	case last == nil:
		if !r.At.After(h.NotBefore) {
			if h.Why == "" {
				h.Why = "there is no newer reading of it"
			}
			return
		}
		h.Base = r
		if h.Why == "" {
			h.Why = "its first reading"
		}
	case r.At.Before(last.At): // late: what it says is in the later one already
	case r.At.Equal(last.At):
		if !sameReading(*r, *last) {
			h.lose("two readings of the same moment differ")
		}
	default:
		h.Every = r.At.Sub(last.At)
		if why := restarted(*last, *r); why != "" {
			h.Base, h.Last, h.Why = r, nil, why
			return
		}
		if h.Base != nil {
			h.Last, h.Why = r, ""
		}
	}
}

// lose drops the base: what comes next is counted from its next reading on.
func (h *Held) lose(why string) {
	for _, r := range []*astern.Reading{h.Base, h.Last} {
		if r != nil {
			h.NotBefore = later(h.NotBefore, r.At)
		}
	}
	h.Base, h.Last, h.Why = nil, nil, why
}

// consistent reports whether there is something to count: sources do not read all their counters at one instant, so a
// failure can be counted before its request.
func (h Held) consistent() bool {
	return h.Last != nil && h.Last.Bad-h.Base.Bad <= h.Last.Total-h.Base.Total
}

// patience is how long one waits for a member's next reading: three times as long as its last one took.
func (h Held) patience() time.Duration {
	if h.Every > 0 {
		return min(3*h.Every, MaxAge)
	}
	return MaxAge
}

func (h Held) late(now time.Time) string {
	if h.Last != nil {
		return "it counts more failures than requests"
	}
	return fmt.Sprintf("there is no newer reading of it for %s", short(now.Sub(h.Base.At)))
}

// count adds up what was counted and moves the bases on.
func (m *Meter) count(s *astern.Sample) {
	why := map[Group][]string{}
	for _, name := range sortedNames(m.Held) {
		h := m.Held[name]
		if h.Last == nil {
			if s.Left == nil {
				s.Left = map[string]string{}
			}
			s.Left[name] = h.Why
			why[h.Group] = append(why[h.Group], name+": "+h.Why)
			h.Why = ""
			m.Held[name] = h
			continue
		}
		into := &s.Candidate
		if h.Group == Control {
			into = &s.Control
		}
		d := difference(h)
		if *into == nil {
			*into = &d
		} else {
			c := *into
			c.Total, c.Bad, c.Members = c.Total+d.Total, c.Bad+d.Bad, c.Members+1
			if c.Buckets != nil {
				c.Buckets = plus(c.Buckets, d.Buckets)
			}
		}
		h.Base, h.Last = h.Last, nil
		m.Held[name] = h
	}
	var missing []string
	for _, g := range []struct {
		name Group
		c    *astern.Counts
	}{{Candidate, s.Candidate}, {Control, s.Control}} {
		if g.c != nil {
			continue
		}
		reasons := why[g.name]
		switch over := len(reasons) - 3; {
		case len(reasons) == 0:
			reasons = []string{"no member is in it"}
		case over > 0:
			reasons = append(reasons[:3], fmt.Sprintf("and %d more", over))
		}
		missing = append(missing, fmt.Sprintf("%s could not be counted: %s", g.name, strings.Join(reasons, "; ")))
	}
	s.Missing = strings.Join(missing, "; ")
}

// difference is what a member counted between its base and its last reading.
func difference(h Held) astern.Counts {
	c := astern.Counts{Total: h.Last.Total - h.Base.Total, Bad: h.Last.Bad - h.Base.Bad, Members: 1}
	if h.Base.Buckets != nil && h.Last.Buckets != nil {
		c.Buckets = minus(h.Last.Buckets, h.Base.Buckets)
	}
	return c
}
