package detect

import (
	"fmt"
	"math"
	"time"

	astern "github.com/astern-dev/astern"
)

// usable says why a group's counts are no evidence, or nothing.
func usable(c *astern.Counts, who string) string {
	switch {
	case c == nil:
		return "the " + who + " could not be counted"
	case !(c.Total >= 0) || math.IsInf(c.Total, 0) || !(c.Bad >= 0) || math.IsInf(c.Bad, 0):
		return fmt.Sprintf("the %s's counts are no counts (%v, %v)", who, c.Total, c.Bad)
	case c.Total > 1e15:
		return fmt.Sprintf("the %s counts %v in one interval", who, c.Total)
	case c.Bad > c.Total:
		return fmt.Sprintf("the %s counts more bad events (%v) than events (%v)", who, c.Bad, c.Total)
	}
	return ""
}

// inOrder says why a sample does not follow what was seen, or nothing.
func inOrder(s astern.Sample, last time.Time) string {
	switch {
	case !s.To.After(s.From):
		return "an interval that ends before it begins"
	case s.From.Before(last):
		return "an interval that was seen before, or late"
	}
	return ""
}

// above returns how many took longer than bound, of how many. It needs a bucket that ends there, or nothing
// around it: nothing is interpolated.
func above(c *astern.Counts, bound float64, who string) (over, all float64, why string) {
	n := len(c.Buckets)
	if n == 0 || c.Buckets[n-1].Upper != nil && !math.IsInf(*c.Buckets[n-1].Upper, 1) {
		return 0, 0, "the " + who + "'s histogram has no last bucket"
	}
	all = c.Buckets[n-1].Count
	found, before := -1.0, 0.0
	for _, b := range c.Buckets {
		if !(b.Count >= before) || b.Count > 1e15 {
			return 0, 0, "the " + who + "'s histogram is not cumulative"
		}
		before = b.Count
		if b.Upper != nil && math.Abs(*b.Upper-bound) <= 1e-9*bound {
			found = b.Count
		}
	}
	if at, ok := c.AtMost(bound); found < 0 && ok { // between two bounds of a native histogram that nothing lies between
		found = at
	}
	if found < 0 {
		return 0, 0, fmt.Sprintf("the %s's histogram has no bucket that ends at %s", who, seconds(bound))
	}
	return all - found, all, ""
}

// pair is the counts of both groups before they are turned for the lanes: events of chances.
type pair struct {
	oldN, oldX, newN, newX float64
	oldMembers, newMembers int
}

// read reduces a sample to the numbers that the rule compares. why says why there are none.
func (r Rule) read(s astern.Sample, low, high float64, alone bool) (p pair, why string) {
	if why = usable(s.Candidate, "new revision"); why != "" {
		return pair{}, because(why, s.Missing)
	}
	control := s.Control
	if alone {
		control = &astern.Counts{Members: 1}
	} else if why = usable(control, "old revision"); why != "" {
		return pair{}, because(why, s.Missing)
	}
	if r.form() != formSlower {
		p = pair{control.Total, control.Bad, s.Candidate.Total, s.Candidate.Bad, control.Members, s.Candidate.Members}
	} else {
		p = pair{oldMembers: control.Members, newMembers: s.Candidate.Members}
		if p.newX, p.newN, why = above(s.Candidate, high, "new revision"); why != "" {
			return pair{}, why
		}
		if !alone {
			if p.oldX, p.oldN, why = above(control, low, "old revision"); why != "" {
				return pair{}, why
			}
		}
	}
	switch {
	case r.form() == formCount && (p.oldMembers <= 0 || p.newMembers <= 0):
		return pair{}, "a group without members"
	case r.form() == formCount && p.oldN == 0:
		return pair{}, "no traffic on the old revision"
	case r.form() == formCount:
		return p, ""
	case p.newN == 0:
		return pair{}, "no traffic on the new revision"
	case p.oldN == 0 && !alone:
		return pair{}, "no traffic on the old revision"
	}
	return p, ""
}

func because(why, missing string) string {
	if missing != "" {
		return why + ": " + missing
	}
	return why
}

// share is what part of the counts falls to the old group when the new one does (1-drop) of its part by members.
func (p pair) share(drop float64) float64 {
	a, b := float64(p.oldMembers), float64(p.newMembers)*(1-drop)
	return a / (a + b)
}

// orient turns a pair so that a larger rate of arm B is worse.
func (r Rule) orient(p pair) trial {
	switch r.form() {
	case formYield:
		return trial{nA: p.newN, xA: p.newN - p.newX, nB: p.oldN, xB: p.oldN - p.oldX}
	case formCount:
		return trial{nB: p.oldN + p.newN, xB: p.oldN, edge: p.share(edgeOfCounts * r.Margin)}
	}
	return trial{nA: p.oldN, xA: p.oldX, nB: p.newN, xB: p.newX}
}
