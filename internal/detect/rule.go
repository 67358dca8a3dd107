package detect

import (
	"math"

	astern "github.com/astern-dev/astern"
)

// DefaultLevel is the probability of a false alarm over a whole watch, all signals together, however long it lasts.
const DefaultLevel = 0.001

// form is how a signal's counts are compared.
type form string

const (
	formErrors form = "errors" // bad of total: more is worse
	formSlower form = "slower" // requests above a bound of the histogram, of all: more is worse
	formYield  form = "yield"  // total less bad, of total: less is worse
	formCount  form = "count"  // total, against the other group's by members: less is worse
)

// Rule is what matters to the user about one signal.
type Rule struct {
	Name string            `json:"name"`
	Kind astern.SignalKind `json:"kind"`
	// Margin is how much worse matters, as a share: 0.005 is half a percentage point of errors; 0.25 is a quarter slower.
	Margin   float64 `json:"margin"`
	Quantile float64 `json:"quantile,omitempty"` // of latency, as a share
	// Counted says that a business metric is a mere number of events (orders), compared by member, as throughput is. Else
	// it is the share of its attempts that did not go wrong.
	Counted bool `json:"counted,omitempty"`
	// Users says that what is counted are users, not requests.
	Users bool `json:"users,omitempty"`
}

// each names what is counted.
func (r Rule) each() string {
	if r.Users {
		return "users"
	}
	return "requests"
}

// RuleOf reads a signal's rule, with the defaults of its kind. A business metric whose source names no bad events is
// counted. Errors: a kind, margin or quantile that makes no sense (invalid).
func RuleOf(s astern.Signal) (Rule, error) {
	r := Rule{Name: s.Name, Kind: s.Kind, Users: s.Counts == astern.CountsUsers}
	percent := s.Margin
	otherwise, most := 0.0, 100.0
	switch s.Kind {
	case astern.SignalErrors:
		otherwise, most = 0.5, 50
	case astern.SignalLatency:
		otherwise, most, r.Quantile = 25, 10_000, 0.95
	case astern.SignalThroughput:
		otherwise, most = 20, 99
	case astern.SignalBusiness:
		otherwise, most = 10, 99
		r.Counted = (s.Prometheus == nil || s.Prometheus.Bad == "") && (s.Scrape == nil || s.Scrape.Bad == "") &&
			(s.CloudWatch == nil || s.CloudWatch.Bad == "")
	default:
		return Rule{}, astern.Errorf(astern.Invalid, "judging signal %q: kind %q is not known", s.Name, s.Kind).
			WithHint("kinds: errors, latency, throughput, business")
	}
	if percent == 0 {
		percent = otherwise
	}
	if !(percent > 0 && percent <= most) { // not a number, too
		return Rule{}, astern.Errorf(astern.Invalid, "judging signal %q: a margin of %v for %s", s.Name, s.Margin, s.Kind).
			WithHint("margins of this kind lie above 0 and up to %v", most)
	}
	r.Margin = percent / 100
	if s.Kind == astern.SignalLatency && s.Quantile != 0 {
		if !(s.Quantile >= 1 && s.Quantile < 100) {
			return Rule{}, astern.Errorf(astern.Invalid, "judging signal %q: quantile %v", s.Name, s.Quantile).
				WithHint("a percentage from 1 to below 100, as 95 or 99.9")
		}
		r.Quantile = s.Quantile / 100
	}
	return r, nil
}

func (r Rule) form() form {
	switch {
	case r.Kind == astern.SignalErrors:
		return formErrors
	case r.Kind == astern.SignalLatency:
		return formSlower
	case r.Kind == astern.SignalBusiness && !r.Counted:
		return formYield
	}
	return formCount
}

// The edge of the null lies below what matters: what lies inside of the null is never found, on purpose, so a margin that is
// both edge and target would never be found either. Healthy releases differ a little: hosts, caches, neighbours.
const (
	edgeOfErrors = 0.2  // of the margin in points, and
	edgeRelative = 0.10 // of the old rate on top
	edgeOfOthers = 0.4  // of the margin, for latency and business
	edgeOfCounts = 0.5  // of the margin, for what is counted by member
)

// edge is the null's line in the lanes' orientation (see orient).
func (r Rule) edge() line {
	switch r.form() {
	case formErrors:
		return line{edgeRelative, edgeOfErrors * r.Margin}
	case formYield: // yield of the candidate >= (1-e) that of the control, turned around
		e := edgeOfOthers * r.Margin
		return line{1/(1-e) - 1, 0}
	}
	return line{} // latency: the margin lies between the two bounds; counts have one arm
}

// target is the line of what matters, in the lanes' orientation.
func (r Rule) target() line {
	switch r.form() {
	case formErrors:
		return line{0, r.Margin}
	case formYield:
		return line{1/(1-r.Margin) - 1, 0}
	}
	return line{}
}

// bets are the alternatives, given the control's rate p by the past. Errors: the edge and 0.2 to 40 margins. Latency: a
// share above the bound of 1.1 to 9 times the old. Yield: 1.2 to 10 margins lost. Counts: drops between edge and nothing.
func (r Rule) bets(p float64, null line) (out [alternatives]bet) {
	switch r.form() {
	case formErrors:
		for i, k := range [alternatives]float64{0.2, 0.5, 1, 2, 4, 10, 40} {
			out[i] = bet{p, math.Min(null.at(p)+k*r.Margin, 0.98)}
		}
	case formSlower:
		for i, k := range [alternatives]float64{1.1, 1.2, 1.4, 1.8, 2.6, 5, 9} {
			out[i] = bet{p, math.Min(k*p, 0.6+0.38*p)}
		}
	case formYield:
		least := 1 - edgeOfOthers*r.Margin
		for i, k := range [alternatives]float64{0.3, 0.6, 1, 2, 4, 7, 10} {
			out[i] = bet{p * least * math.Max(1-k*r.Margin, 0.02), math.Min(p, 0.9999)}
		}
	}
	return out
}

// drops are the alternatives of counts: how much of the candidate's part is gone.
func (r Rule) drops() (out [alternatives]float64) {
	e := edgeOfCounts * r.Margin
	for i, k := range [alternatives]float64{0.06, 0.12, 0.2, 0.35, 0.55, 0.8, 0.97} {
		out[i] = e + (1-e)*k
	}
	return out
}
