// Package signal turns what sources count into what the judge reads: differences of counters, added up for the members
// that run the new revision and for those that run the earlier one, in the same time. It is pure; its subfolders ask a
// Prometheus (prometheus), CloudWatch (cloudwatch), the members themselves (scrape) and programs (command).
//
// What is not health is told apart from it here, never by the judge: a restart, a counter that went back, a gap, a number
// that is none, a point that is late, told twice, out of order or from another time, a member that came, went or changed
// its revision. Such a member is left out of the sample, with the reason, and counted again from its next reading.
package signal

import (
	"errors"
	"time"

	"github.com/astern-dev/astern"
)

// Limits of every source.
const (
	MaxBytes   = 16 << 20        // of one answer
	MaxSeries  = 10_000          // that the selectors of one signal match, of one member or one query
	MaxBuckets = 1_024           // of a histogram
	MaxAge     = 2 * time.Minute // an older reading says nothing of now
	MaxAhead   = 5 * time.Second // a reading that is further ahead of its source's own clock is a lie
)

// ErrNoPast is in the chain of the error of a source that can't be asked for the past: who needs it keeps the samples.
var ErrNoPast = errors.New("only a Prometheus and CloudWatch can be asked for the past")

// Member is one member of a component and where it is reached.
type Member struct {
	Name    string
	Address string
}

// Ask is a signal with the members that it is read of.
type Ask struct {
	Signal  astern.Signal
	Members []Member
}

// Answer is what a source said of one signal.
type Answer struct {
	// Now is when the source answered, by the clock that the readings' times are of.
	Now      time.Time
	Readings []astern.Reading
	// Failed are the members without a reading, with the reason.
	Failed map[string]string
	// Err says that the source as a whole could not be asked.
	Err error
	// Series is how many series the readings are the sum of, where the source tells.
	Series int
	// Lag is how old the newest reading always is, where a source tells of a time only when it is long over. What such a source
	// says of a member next may be of before it was what it is now.
	Lag time.Duration
	// Skew is by how much the source's clock is ahead of ours, where it tells.
	Skew time.Duration
	// Notes are what a person who set it up should know.
	Notes []string
}

// Fail notes why the member has no reading.
func (a *Answer) Fail(member, why string) {
	if a.Failed == nil {
		a.Failed = map[string]string{}
	}
	a.Failed[member] = why
}

// Selectors are those of a signal, parsed. Nil ones were not declared.
type Selectors struct {
	Total, Bad, Histogram *Selector
}

// ParseSelectors parses those of a signal's source.
func ParseSelectors(s astern.Signal) (Selectors, error) {
	total, bad, histogram := "", "", ""
	switch {
	case s.Prometheus != nil:
		total, bad, histogram = s.Prometheus.Total, s.Prometheus.Bad, s.Prometheus.Histogram
	case s.Scrape != nil:
		total, bad, histogram = s.Scrape.Total, s.Scrape.Bad, s.Scrape.Histogram
	}
	var out Selectors
	for _, x := range []struct {
		text string
		into **Selector
	}{{total, &out.Total}, {bad, &out.Bad}, {histogram, &out.Histogram}} {
		if x.text == "" {
			continue
		}
		parsed, err := ParseSelector(x.text)
		if err != nil {
			return Selectors{}, astern.Errorf(astern.Invalid, "signal %s of %s: %w", s.Name, s.Address, err)
		}
		*x.into = &parsed
	}
	if out.Total == nil && out.Histogram == nil {
		return Selectors{}, astern.Errorf(astern.Invalid, "signal %s of %s selects neither a total nor a histogram", s.Name, s.Address)
	}
	return out, nil
}
