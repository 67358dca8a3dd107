package load

import "time"

// Figures are what became of the customers who came in a window of time and whose request has ended.
type Figures struct {
	Total  int `json:"total"`
	Failed int `json:"failed"`
	Slow   int `json:"slow"`
}

// FailedPercent is the failed share, 0 to 100; 0 when nobody came.
func (f Figures) FailedPercent() float64 { return percent(f.Failed, f.Total) }

// SlowPercent is the slow share, 0 to 100; 0 when nobody came.
func (f Figures) SlowPercent() float64 { return percent(f.Slow, f.Total) }

func percent(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

// Between returns the figures of customers who came from (inclusive) to (exclusive).
func (g *Generator) Between(from, to time.Time) Figures {
	g.mu.Lock()
	defer g.mu.Unlock()
	var f Figures
	for _, s := range g.samples {
		if !s.at.Before(from) && s.at.Before(to) {
			f.add(s, g.config.Slow)
		}
	}
	return f
}

// Settled reports whether every customer who came before the moment has an answer, or has lost patience; only then are
// the figures until that moment complete.
func (g *Generator) Settled(before time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, at := range g.waiting {
		if at.Before(before) {
			return false
		}
	}
	return true
}

// Second is the figures of one second of the load.
type Second struct {
	At time.Time `json:"at"`
	Figures
}

// Seconds returns the figures second by second, from the first customer on.
func (g *Generator) Seconds() []Second {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.samples) == 0 {
		return nil
	}
	first, last := g.samples[0].at, g.samples[0].at
	for _, s := range g.samples {
		if s.at.Before(first) {
			first = s.at
		}
		if s.at.After(last) {
			last = s.at
		}
	}
	out := make([]Second, int(last.Sub(first)/time.Second)+1)
	for i := range out {
		out[i].At = first.Add(time.Duration(i) * time.Second)
	}
	for _, s := range g.samples {
		out[int(s.at.Sub(first)/time.Second)].add(s, g.config.Slow)
	}
	return out
}

func (f *Figures) add(s sample, slow time.Duration) {
	f.Total++
	switch {
	case s.failed:
		f.Failed++
	case s.took > slow:
		f.Slow++
	}
}
