package watch

import (
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
)

// Graph is what signals did, for the incident: their points, and how many requests failed since the fault may have begun.
type Graph struct {
	Series []astern.Series `json:"series,omitempty"`
	Tally
	// Users counts those that a signal says are users.
	Users Tally `json:"users,omitzero"`
}

// Tally is how many requests, or users, there were and failed since the fault may have begun.
type Tally struct {
	// Total and Bad are those of the members that run what is judged, OldTotal and OldBad of those beside them.
	Total    float64 `json:"total,omitempty"`
	Bad      float64 `json:"bad,omitempty"`
	OldTotal float64 `json:"old_total,omitempty"`
	OldBad   float64 `json:"old_bad,omitempty"`
	Counted  string  `json:"counted,omitempty"` // the signal that they are of
}

// of returns the tally that a signal is counted in.
func (g *Graph) of(s astern.Signal) *Tally {
	if s.Counts == astern.CountsUsers {
		return &g.Users
	}
	return &g.Tally
}

const (
	// widest is how far apart bounds may be that say something: those of the first samples would flatten all that follow.
	widest = 0.5
	// mostPoints is how many points a graph has; with more, every other one goes.
	mostPoints = 600
	// graphBefore is how much a graph shows of the time before a fault.
	graphBefore = time.Hour
)

// add goes on with the graph. Quiet says that the sample is of halves, still that no fault lasts: then what speaks for none
// is not counted as its cost. The judge is nil where none compares.
func (g *Graph) add(s astern.Signal, sample astern.Sample, quiet, still bool, judge *detect.Judge) {
	var v detect.Verdict
	if judge != nil {
		v = judge.Verdict()
	}
	if quiet {
		sample = joined(sample)
	}
	if t := g.of(s); still && s.Name == t.Counted && v.EValue <= 1 {
		*t = Tally{Counted: t.Counted}
	}
	unit := unitOf(s)
	i := slices.IndexFunc(g.Series, func(x astern.Series) bool { return x.Name == s.Name })
	if i < 0 {
		i = len(g.Series)
		g.Series = append(g.Series, astern.Series{Name: s.Name, Unit: unit, Margin: v.Margin * 100})
	}
	at := astern.Point{At: sample.To, Candidate: valueOf(s, sample, sample.Candidate), Control: valueOf(s, sample, sample.Control)}
	if s.Kind == astern.SignalErrors && v.Signal != "" && v.High-v.Low < widest { // the others are judged in another unit than people read
		low, high := v.Low*100, v.High*100
		at.Low, at.High = &low, &high
	}
	x := &g.Series[i]
	if judge != nil {
		at.Events, at.Chances, _ = judge.Count(sample)
		at.Bound = judge.Past.Low
	}
	if x.Points = append(x.Points, at); len(x.Points) > mostPoints {
		j := len(x.Points)
		x.Points = slices.DeleteFunc(x.Points, func(astern.Point) bool { j--; return j%2 == 1 }) // the newest stays
	}
	if i := slices.IndexFunc(x.Points, func(p astern.Point) bool { return !p.At.Before(sample.To.Add(-graphBefore)) }); still && i > 0 {
		x.Points = slices.Delete(x.Points, 0, i)
	}
	if s.Kind == astern.SignalErrors {
		g.of(s).count(s.Name, sample)
	}
}

func (t *Tally) count(name string, sample astern.Sample) {
	if t.Counted != "" && t.Counted != name {
		return
	}
	t.Counted = name
	if c := sample.Candidate; c != nil {
		t.Total, t.Bad = t.Total+c.Total, t.Bad+c.Bad
	}
	if c := sample.Control; c != nil {
		t.OldTotal, t.OldBad = t.OldTotal+c.Total, t.OldBad+c.Bad
	}
}

// harmed returns how many failed beyond the usual share of failures (0 to 1), and what share of all that is, in percent.
func (t *Tally) harmed(usual float64) (n, percent float64) {
	n = max(0, t.Bad-usual*t.Total)
	if all := t.Total + t.OldTotal; all > 0 {
		percent = min(100, 100*n/all)
	}
	return n, percent
}

// Cost returns what the fault cost so far, beyond what usually fails: requests, and users where a signal counts them; the share
// is that of users then.
func (w *Watched) Cost() astern.Cost {
	g := &w.Graph
	if g.Counted == "" && g.Users.Counted == "" {
		return astern.Cost{Unknown: "no signal counts failed requests"}
	}
	var c astern.Cost
	c.Requests, c.Share = g.harmed(w.usual(&g.Tally))
	if g.Users.Counted != "" {
		c.Users, c.Share = g.Users.harmed(w.usual(&g.Users))
	}
	return c
}

// usual returns the share of failures before the trial, of the signal that counts them; 0 when it is not known.
func (w *Watched) usual(t *Tally) float64 {
	if w.Trial != nil {
		if p := w.Trial.Past[t.Counted]; p.Chances > 0 {
			return p.Rate
		}
	}
	if w.Quiet != nil && w.Quiet.Alone != nil {
		for _, j := range w.Quiet.Alone.Judges {
			if j.Rule.Name == t.Counted {
				return j.Past.Rate
			}
		}
	}
	if t.OldTotal > 0 {
		return t.OldBad / t.OldTotal
	}
	return 0
}

func unitOf(s astern.Signal) string {
	switch s.Kind {
	case astern.SignalErrors:
		return "%"
	case astern.SignalLatency:
		return "s"
	}
	return "/s"
}

// valueOf is a group's value in the unit of its signal, nil when it is unknown.
func valueOf(s astern.Signal, sample astern.Sample, c *astern.Counts) *float64 {
	took := sample.To.Sub(sample.From).Seconds()
	if c == nil || took <= 0 {
		return nil
	}
	v := 0.0
	switch s.Kind {
	case astern.SignalErrors:
		if c.Total <= 0 {
			return nil
		}
		v = 100 * c.Bad / c.Total
	case astern.SignalLatency:
		q, ok := quantile(c.Buckets, s.Quantile)
		if !ok {
			return nil
		}
		v = q
	default:
		v = c.Total / took
	}
	return &v
}

// quantile returns the bound of the bucket that the quantile (in percent, 0 meaning 95) lies in.
func quantile(buckets []astern.Bucket, percent float64) (float64, bool) {
	if percent == 0 {
		percent = 95
	}
	n := len(buckets)
	if n == 0 || buckets[n-1].Count <= 0 {
		return 0, false
	}
	for _, b := range buckets {
		if b.Count >= percent/100*buckets[n-1].Count && b.Upper != nil {
			return *b.Upper, true
		}
	}
	return 0, false
}
