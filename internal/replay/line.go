package replay

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// Version is that of the form of a recording.
const Version = 1

// line is one line of a recording: a JSON object. A line with a Recording begins one, also in the middle of a file: another
// process went on with it. Everything that is said of one round stands before the line that ends it.
type line struct {
	Recording int   `json:"recording,omitempty"`
	At        int64 `json:"t"` // microseconds since 1970; never less than in the line before
	// Address is the component that the rest is about.
	Address string `json:"a,omitempty"`
	// Begin is what was known of it when the recording began, Runs what its members run from now on.
	Begin *begin            `json:"begin,omitempty"`
	Tried *watch.Trial      `json:"tried,omitempty"` // a deployment is judged
	Runs  map[string]string `json:"runs,omitempty"`
	// Samples are what was counted, Weighed all else that a decision rests on, Decided what was decided on it.
	Samples []sample         `json:"s,omitempty"`
	Weighed json.RawMessage  `json:"weighed,omitempty"`
	Decided *astern.Decision `json:"decided,omitempty"`
	Did     deedKind         `json:"did,omitempty"`
	// Probed is what the component's own checks say from now on, where the signals have no data; an empty list is nothing.
	Probed *[]watch.Finding `json:"probed,omitempty"`
	Round  bool             `json:"round,omitempty"` // the round is over
}

// deedKind is what the watch did with what it knew.
type deedKind string

const (
	didNotice deedKind = "noticed" // a fault
	didSettle deedKind = "settled" // the trial of a deployment is over
	didAgain  deedKind = "again"   // something was done about the fault
	didOver   deedKind = "over"    // the fault is over
)

// begin is one component as it was when the recording began.
type begin struct {
	Signals []astern.Signal        `json:"signals"`
	Watched *watch.Watched         `json:"watched"`
	Pasts   map[string]*watch.Past `json:"pasts,omitempty"`
}

// sample is one interval of a signal. Counts are total, bad, members; buckets are cumulative.
type sample struct {
	Signal  int        `json:"i,omitempty"`
	From    int64      `json:"f"`           // microseconds before the line's time
	To      int64      `json:"e,omitempty"` // the same
	New     []float64  `json:"n,omitempty"`
	Old     []float64  `json:"o,omitempty"`
	NewHist []float64  `json:"nb,omitempty"`
	OldHist []float64  `json:"ob,omitempty"`
	Bounds  *[]float64 `json:"u,omitempty"`  // of the buckets, in seconds, without +Inf; only where they are others than before
	OldOnes *[]float64 `json:"uo,omitempty"` // those of the old revision, where they are others
	Missing string     `json:"m,omitempty"`
}

// bare is a signal without what only reading it needs: addresses, headers, commands.
func bare(s astern.Signal) astern.Signal {
	out := astern.Signal{Name: s.Name, Address: s.Address, Kind: s.Kind, Margin: s.Margin, Quantile: s.Quantile}
	const counted = "counted" // what it counts is its own business; that it does is the judge's
	switch {
	case s.Prometheus != nil && s.Prometheus.Bad != "":
		out.Prometheus = &astern.PrometheusSource{Bad: counted}
	case s.Scrape != nil && s.Scrape.Bad != "":
		out.Scrape = &astern.ScrapeSource{Bad: counted}
	case s.CloudWatch != nil && s.CloudWatch.Bad != "":
		out.CloudWatch = &astern.CloudWatchSource{Bad: counted}
	}
	return out
}

// Encoder writes what the watch sees as lines of a recording, each with its newline. It is not for several goroutines.
type Encoder struct {
	last    int64
	bounds  map[string][]float64
	runs    map[string]string // by address, as it was written last
	weighed map[string]string
	probed  map[string]string
}

func (c *Encoder) line(at time.Time, l line) []byte {
	c.last = max(c.last, at.UnixMicro()) // a clock that is set back does not turn the recording around
	l.At = c.last
	b, err := json.Marshal(l)
	if err != nil { // NaN and infinities are no counts, and never come so far
		return nil
	}
	return append(b, '\n')
}

// Start begins a recording, or begins it anew after something was lost.
func (c *Encoder) Start(at time.Time) []byte {
	*c = Encoder{last: 0, bounds: map[string][]float64{}, runs: map[string]string{}, weighed: map[string]string{}, probed: map[string]string{}}
	return c.line(at, line{Recording: Version})
}

// Begin writes what is known of a component.
func (c *Encoder) Begin(at time.Time, address string, signals []astern.Signal, w *watch.Watched) []byte {
	known := *w
	known.Meters = nil // the recording holds samples
	b := &begin{Watched: &known, Pasts: w.Pasts}
	for _, s := range signals {
		b.Signals = append(b.Signals, bare(s))
	}
	return c.line(at, line{Address: address, Begin: b})
}

// Tried writes that a deployment is judged from now on.
func (c *Encoder) Tried(at time.Time, address string, t *watch.Trial) []byte {
	return c.line(at, line{Address: address, Tried: t})
}

// Took writes samples, and what the members run where that has changed.
func (c *Encoder) Took(at time.Time, address string, runs map[string]string, taken []watch.Taken) []byte {
	l := line{Address: address}
	if text, err := json.Marshal(runs); err == nil && c.runs[address] != string(text) {
		c.runs[address], l.Runs = string(text), runs
	}
	if len(taken) == 0 && l.Runs == nil {
		return nil
	}
	at = time.UnixMicro(max(c.last, at.UnixMicro()))
	for _, t := range taken {
		l.Samples = append(l.Samples, c.sample(at, address, t))
	}
	return c.line(at, l)
}

func (c *Encoder) sample(at time.Time, address string, t watch.Taken) sample {
	s := sample{Signal: t.Signal, From: at.UnixMicro() - t.Sample.From.UnixMicro(), To: at.UnixMicro() - t.Sample.To.UnixMicro(), Missing: clipped(t.Sample.Missing)}
	key := address + " " + string(rune('0'+t.Signal))
	var bounds, old []float64
	s.New, s.NewHist, bounds = flat(t.Sample.Candidate)
	s.Old, s.OldHist, old = flat(t.Sample.Control)
	if s.NewHist == nil {
		bounds = old
	}
	if s.NewHist != nil || s.OldHist != nil {
		if last, ok := c.bounds[key]; !ok || !slices.Equal(last, bounds) {
			c.bounds[key], s.Bounds = bounds, &bounds
		}
		if s.OldHist != nil && !slices.Equal(old, bounds) {
			s.OldOnes = &old
		}
	}
	return s
}

func flat(c *astern.Counts) (counts, hist, bounds []float64) {
	if c == nil {
		return nil, nil, nil
	}
	bounds = []float64{} // none is written, too
	for _, b := range c.Buckets {
		hist = append(hist, b.Count)
		if b.Upper != nil {
			bounds = append(bounds, *b.Upper)
		}
	}
	return []float64{c.Total, c.Bad, float64(c.Members)}, hist, bounds
}

// clipped keeps a text of the world short.
func clipped(s string) string {
	const longest = 200
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
}

// Weighed writes all that a decision rests on, but the findings, where that has changed.
func (c *Encoder) Weighed(at time.Time, address string, s watch.Situation) []byte {
	s.Findings = nil
	kept := s.Kept()
	s.Now = time.Time{}
	if same := string(s.Kept()); len(kept) == 0 || c.weighed[address] == same {
		return nil
	} else {
		c.weighed[address] = same
	}
	return c.line(at, line{Address: address, Weighed: kept})
}

// Probed writes what a component's own checks say, where that has changed.
func (c *Encoder) Probed(at time.Time, address string, findings []watch.Finding) []byte {
	text, err := json.Marshal(findings)
	if err != nil || len(findings) == 0 && c.probed[address] == "" || c.probed[address] == string(text) {
		return nil
	}
	if c.probed[address] = string(text); len(findings) == 0 {
		c.probed[address], findings = "", []watch.Finding{}
	}
	return c.line(at, line{Address: address, Probed: &findings})
}

// Decided writes a decision.
func (c *Encoder) Decided(at time.Time, address string, d astern.Decision) []byte {
	return c.line(at, line{Address: address, Decided: &d})
}

// Did writes what was done with what is known, which was so before.
func (c *Encoder) Did(at time.Time, address string, before Mark, w *watch.Watched) []byte {
	var out []byte
	did := func(k deedKind) { out = append(out, c.line(at, line{Address: address, Did: k})...) }
	now := MarkOf(w)
	if before.fault.IsZero() && !now.fault.IsZero() {
		delete(c.weighed, address) // each fault has its own
		did(didNotice)
	}
	if before.trial != nil && now.trial == nil {
		did(didSettle)
	}
	if !before.fault.IsZero() && before.fault.Equal(now.fault) && before.after != now.after {
		did(didAgain)
	}
	if !before.fault.IsZero() && now.fault.IsZero() {
		did(didOver)
	}
	return out
}

// Round writes that a round is over.
func (c *Encoder) Round(at time.Time) []byte { return c.line(at, line{Round: true}) }

// Mark is where a component is.
type Mark struct {
	trial *watch.Trial
	fault time.Time
	after *watch.Panels
}

// MarkOf returns where a component is.
func MarkOf(w *watch.Watched) Mark { return Mark{w.Trial, w.Fault, w.After} }
