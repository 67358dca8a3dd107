package detect

import (
	"math"
	"slices"
	"time"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
)

// Past is what the old revision showed about itself before the deployment. It is plain data.
type Past struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds float64   `json:"seconds"` // of it that could be counted
	// Rate is events per chance (failed requests of all, requests above Low of all), Chances how many it rests on.
	Rate    float64 `json:"rate"`
	Chances float64 `json:"chances"`
	// Phi is the overdispersion: how much more the difference of two old groups varies than chance alone would make it. It
	// is the largest over blocks of PhiSeconds and others; 0 is not measured. Split says that two groups of the old
	// revision were compared at the same time; else one group was compared with itself a moment later, which overstates.
	Phi        float64 `json:"phi"`
	PhiSeconds float64 `json:"phi_seconds,omitempty"`
	// PhiLeast is the smallest of any block length: what comes of events that come together. The rest of Phi comes of rates
	// that drift apart, and so grows with the number of events; Density is their number a second when it was measured
	// (see tempering).
	PhiLeast float64 `json:"phi_least,omitempty"`
	Density  float64 `json:"density,omitempty"`
	Split    bool    `json:"split,omitempty"`
	// Low and High are the bounds of the histogram that a latency signal compares: the old revision's share above Low with
	// the new one's above High.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
	// Worst is the largest rate that a block of time showed, of WorstSeconds: what the service's own incidents look like.
	Worst        float64 `json:"worst,omitempty"`
	WorstSeconds float64 `json:"worst_seconds,omitempty"`
	// Problem says why the signal can't be judged from this past.
	Problem string `json:"problem,omitempty"`
}

// blockSeconds are the lengths of the blocks over which old is held against old. Blocks of seconds alone miss noise that
// remembers longer than they are: measured with blocks up to 15 s, 19 % false alarms a day at 10,000 requests a second.
var blockSeconds = [...]float64{5, 15, 30, 60, 120, 300}

// PastSeconds is how much of the past Measure should be given: three hours hold 36 of the longest blocks. With one hour
// phi is half as precise: more is added to it for that, and verdicts take longer.
const PastSeconds = 10_800

const fewestBlocks = 10 // below that a block length says nothing about variance

// Measure reads the quiet past of the old revision: samples whose candidate and control are two groups of its members, or
// whose control is all of them when they can't be split. For latency it chooses the bounds. Samples that are no evidence
// are passed over; without any left, Problem says so.
func Measure(r Rule, old []astern.Sample) Past {
	p := Past{}
	if r.form() == formSlower {
		choice := Bounds(r, total(old))
		if p.Problem = choice.Problem; p.Problem != "" {
			return p
		}
		p.Low, p.High = choice.Low, choice.High
	}
	blocks := readPast(r, old, &p)
	if len(blocks) == 0 {
		p.Problem = "nothing could be counted before the deployment"
		return p
	}
	both := 0
	var x, n float64
	for _, b := range blocks {
		if b.newN > 0 {
			both++
		}
		x, n = x+b.oldX+b.newX, n+b.oldN+b.newN
		p.Seconds += b.to - b.from
	}
	p.Split = both*2 > len(blocks)
	p.Chances = n
	if n > 0 {
		p.Rate = x / n
	}
	for _, length := range blockSeconds {
		if phi, ok := overdispersion(r, blocks, p, length); ok {
			if p.Phi == 0 || phi < p.PhiLeast {
				p.PhiLeast = max(1, phi)
			}
			if phi = max(1, phi); phi > p.Phi {
				p.Phi, p.PhiSeconds = phi, length
			}
		}
	}
	p.Density = density(r, blocks, p)
	p.Worst, p.WorstSeconds = worst(r, blocks, p)
	return p
}

// counted is one usable interval of the past, in seconds since its beginning.
type counted struct {
	pair
	from, to float64
}

func readPast(r Rule, old []astern.Sample, p *Past) []counted {
	var out []counted
	var last time.Time
	for _, s := range old {
		if inOrder(s, last) != "" {
			continue
		}
		last = s.To
		if s.Candidate == nil && s.Control != nil { // not split: the group stands for the candidate's place too
			s.Candidate = &astern.Counts{Members: s.Control.Members}
		} else if s.Control == nil && s.Candidate != nil {
			s.Control, s.Candidate = s.Candidate, &astern.Counts{Members: s.Candidate.Members}
		}
		if usable(s.Candidate, "old") != "" || usable(s.Control, "old") != "" {
			continue
		}
		c := counted{pair: pair{s.Control.Total, s.Control.Bad, s.Candidate.Total, s.Candidate.Bad, s.Control.Members, s.Candidate.Members}}
		if r.form() == formSlower {
			var why string
			if c.oldX, c.oldN, why = above(s.Control, p.Low, "old"); why != "" {
				continue
			}
			c.newX, c.newN = 0, 0
			if s.Candidate.Total > 0 || len(s.Candidate.Buckets) > 0 {
				if c.newX, c.newN, why = above(s.Candidate, p.Low, "old"); why != "" {
					continue
				}
			}
		}
		if c.oldN+c.newN == 0 {
			continue
		}
		if len(out) == 0 {
			p.From = s.From
		}
		p.To = s.To
		c.from, c.to = s.From.Sub(p.From).Seconds(), s.To.Sub(p.From).Seconds()
		out = append(out, c)
	}
	return out
}

// inBlocks adds intervals up to blocks of a length and gives each to f. Blocks that are not full are passed over.
func inBlocks(all []counted, length float64, f func(pair)) {
	var sum pair
	index, covered := -1.0, 0.0
	for _, c := range all {
		if i := math.Floor((c.from + 1e-6) / length); i != index {
			if covered >= 0.8*length {
				f(sum)
			}
			sum, index, covered = pair{}, i, 0
		}
		sum.oldN, sum.oldX = sum.oldN+c.oldN, sum.oldX+c.oldX
		sum.newN, sum.newX = sum.newN+c.newN, sum.newX+c.newX
		sum.oldMembers, sum.newMembers = c.oldMembers, c.newMembers
		covered += c.to - c.from
	}
	if covered >= 0.8*length {
		f(sum)
	}
}

// overdispersion is the sum of squared differences of the groups over what independent requests would show, over blocks of
// a length, with room for its own error. Blocks inside of an incident are left to the guard (see Judge).
func overdispersion(r Rule, all []counted, p Past, length float64) (phi float64, ok bool) {
	var squares, expected, m float64
	add := func(b pair) {
		if r.form() == formErrors && incident(b.oldN+b.newN, b.oldX+b.newX, p.Rate, 20) {
			return
		}
		d, v := b.difference(r)
		if v > 0 {
			squares, expected, m = squares+d*d, expected+v, m+1
		}
	}
	if p.Split {
		inBlocks(all, length, add)
	} else {
		var before *pair
		inBlocks(all, length, func(b pair) {
			if before == nil {
				before = &b
				return
			}
			add(pair{before.oldN, before.oldX, b.oldN, b.oldX, 1, 1})
			before = nil
		})
	}
	if m < fewestBlocks || expected <= 0 {
		return 0, false
	}
	return squares / expected * (1 + 2/m), true
}

// difference of the two groups' rates, and its variance were the requests independent.
func (b pair) difference(r Rule) (d, variance float64) {
	n := b.oldN + b.newN
	if r.form() == formCount {
		if n == 0 || b.oldMembers <= 0 || b.newMembers <= 0 {
			return 0, 0
		}
		s := b.share(0)
		return b.oldN/n - s, s * (1 - s) / n
	}
	if b.oldN == 0 || b.newN == 0 || n < 2 {
		return 0, 0
	}
	rate := (b.oldX + b.newX) / n
	return b.newX/b.newN - b.oldX/b.oldN, rate * (1 - rate) * (1/b.oldN + 1/b.newN) * n / (n - 1)
}

// incident says whether a rate is far above the usual: more than twice, with enough events in excess.
func incident(n, x, usual, enough float64) bool {
	return x > 2*usual*n && x-usual*n > enough
}

// density is the events a second that a difference of the groups rests on, as the harmonic sum of both.
func density(r Rule, all []counted, p Past) float64 {
	h, seconds := 0.0, 0.0
	for _, c := range all {
		seconds += c.to - c.from
		if p.Split {
			h += harmonic(c.oldN, c.newN)
		} else {
			h += c.oldN / 2
		}
	}
	if seconds == 0 {
		return 0
	}
	return perChance(r, p.Rate) * h / seconds
}

func harmonic(a, b float64) float64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	return a * b / (a + b)
}

// perChance is how many events of a rate the noise of a rule grows with.
func perChance(r Rule, rate float64) float64 {
	if r.form() == formCount {
		return 1
	}
	return rate
}

// worst is the largest rate of a block, of the shortest blocks that hold ten events in the mean, from a minute to half an
// hour.
func worst(r Rule, all []counted, p Past) (rate, length float64) {
	if r.form() == formCount || p.Seconds <= 0 {
		return 0, 0
	}
	for _, length = range []float64{60, 300, 1800} {
		if p.Rate*p.Chances/p.Seconds*length >= 10 {
			break
		}
	}
	inBlocks(all, length, func(b pair) {
		if n := b.oldN + b.newN; n > 0 {
			rate = max(rate, (b.oldX+b.newX)/n)
		}
	})
	return rate, length
}

// total adds up the histograms of all samples, at the bounds that all of them know.
func total(old []astern.Sample) []astern.Bucket {
	var sum []astern.Bucket
	for _, s := range slices.Backward(old) {
		for _, c := range []*astern.Counts{s.Candidate, s.Control} {
			if c == nil || len(c.Buckets) == 0 {
				continue
			}
			if sum == nil {
				sum = c.Buckets
				continue
			}
			sum = signal.Add(sum, c.Buckets)
		}
	}
	return sum
}
