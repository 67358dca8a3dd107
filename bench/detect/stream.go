package main

import (
	"math"
	"math/rand/v2"
	"time"

	astern "github.com/astern-dev/astern"
)

// noise is what traffic and errors do beside chance. Rates are multiplied by e to the power of the drifts.
type noise struct {
	dailyTraffic, dailyErrors float64 // amplitude over the day
	load                      float64 // standard deviation of the log of traffic, which remembers a minute
	clump                     float64 // mean number of errors that come together; 1 is each by itself
	shared, sharedMemory      float64 // drift that both groups have: deviation of the log rate, memory in seconds
	own, ownMemory            float64 // each group's own drift
	host                      float64 // lasting difference between groups: deviation of the log rate
	incidents                 float64 // a day, on both groups
	incidentRate, incidentFor float64 // errors in an incident, and its seconds
	uneven                    float64 // by how much an incident hits one group more: deviation of the log rate
}

// real is the noise that the figures are stated for; independent is none at all, where Wald's bound is a floor.
func real() noise {
	return noise{0.5, 0.3, 0.1, 2, 0.3, 600, 0.3, 60, 0.05, 6, 0.05, 120, 0.1}
}

func independent() noise { return noise{clump: 1} }

// service is what is simulated.
type service struct {
	rps, errors float64 // requests a second of all, and the old revision's share of errors
	share       float64 // of the traffic, on the new revision
	noise       noise
}

const tick = 5 // seconds between samples

// stream is one service in time. Each follows from its seed.
type stream struct {
	service
	random         *rand.Rand
	at             float64 // seconds
	phase          float64
	shared, load   float64 // deviations in units of 1
	arm            [2]struct{ host, own, uneven float64 }
	incidentLeft   float64
	worse          float64 // added to the new revision's rate
	begin          time.Time
	old, candidate astern.Counts
	day            struct{ traffic, errors, until float64 }
	keep, change   [3]float64 // of the three drifts: load, shared, own
}

func newStream(s service, seed uint64) *stream {
	out := &stream{service: s, random: rand.New(rand.NewPCG(seed, 0x5eed)), begin: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}
	out.phase = out.random.Float64()
	out.shared, out.load = out.random.NormFloat64(), out.random.NormFloat64()
	for i, memory := range [3]float64{60, s.noise.sharedMemory, s.noise.ownMemory} {
		if memory > 0 {
			out.keep[i] = math.Exp(-tick / memory)
		}
		out.change[i] = math.Sqrt(1 - out.keep[i]*out.keep[i])
	}
	for i := range out.arm {
		out.arm[i].own = out.random.NormFloat64()
		out.host(i)
	}
	return out
}

// host gives a group other machines.
func (s *stream) host(i int) { s.arm[i].host = s.noise.host * s.random.NormFloat64() }

// next makes the counts of the next interval. The sample is the stream's own and overwritten by the next call.
func (s *stream) next() astern.Sample {
	r, n := s.random, &s.noise
	if s.at >= s.day.until {
		angle := 2 * math.Pi * (s.at/86400 + s.phase)
		s.day.traffic, s.day.errors = 1+n.dailyTraffic*math.Sin(angle), 1+n.dailyErrors*math.Sin(angle+1)
		s.day.until = s.at + 60
	}
	s.load = s.keep[0]*s.load + s.change[0]*r.NormFloat64()
	s.shared = s.keep[1]*s.shared + s.change[1]*r.NormFloat64()
	s.incident()
	volume := s.rps * tick * s.day.traffic * math.Exp(n.load*s.load)
	common := s.errors * s.day.errors * math.Exp(n.shared*s.shared)
	counts := [2]*astern.Counts{&s.old, &s.candidate}
	for i, c := range counts {
		a := &s.arm[i]
		a.own = s.keep[2]*a.own + s.change[2]*r.NormFloat64()
		share := s.share
		if i == 0 {
			share = 1 - share
		}
		rate := common * math.Exp(a.host+n.own*a.own)
		if s.incidentLeft > 0 {
			rate = n.incidentRate * math.Exp(a.uneven)
		}
		if i == 1 {
			rate += s.worse
		}
		c.Members = 2
		c.Total = poisson(r, volume*share)
		c.Bad = s.bad(c.Total, rate)
	}
	s.at += tick
	from := s.begin.Add(time.Duration(s.at-tick) * time.Second)
	return astern.Sample{From: from, To: from.Add(tick * time.Second), Control: &s.old, Candidate: &s.candidate}
}

func (s *stream) incident() {
	n := &s.noise
	if s.incidentLeft > 0 {
		s.incidentLeft -= tick
		return
	}
	if n.incidents > 0 && s.random.Float64() < n.incidents*tick/86400 {
		s.incidentLeft = n.incidentFor
		for i := range s.arm {
			s.arm[i].uneven = n.uneven * s.random.NormFloat64()
		}
	}
}

// bad draws how many of n requests fail: alone, or in clumps whose sizes are geometric.
func (s *stream) bad(n, rate float64) float64 {
	if s.noise.clump <= 1 {
		return binomial(s.random, n, rate)
	}
	clumps := poisson(s.random, n*rate/s.noise.clump)
	if clumps == 0 {
		return 0
	}
	// What the clumps hold beyond one each is negative binomial: Poisson with a gamma distributed mean.
	more := poisson(s.random, gamma(s.random, clumps)*(s.noise.clump-1))
	return math.Min(n, clumps+more)
}

// past makes the time before a deployment, when both groups run the old revision, and then deploys to the second.
func (s *stream) past(seconds int) []astern.Sample {
	out := make([]astern.Sample, seconds/tick)
	counts := make([]astern.Counts, 2*len(out))
	for i := range out {
		one := s.next()
		counts[2*i], counts[2*i+1] = *one.Control, *one.Candidate
		one.Control, one.Candidate = &counts[2*i], &counts[2*i+1]
		out[i] = one
	}
	s.host(1)
	return out
}

// now is the moment of the stream.
func (s *stream) now() time.Time { return s.begin.Add(time.Duration(s.at) * time.Second) }
