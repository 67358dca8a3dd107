package signal_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

var both = signal.Groups{"new": signal.Candidate, "old": signal.Control}

// round is one answer of two members that are read at the same time.
type round struct {
	at       float64
	readings []astern.Reading
	failed   map[string]string
	err      error
	groups   signal.Groups
	now      float64 // the source's clock, when it is another one
}

func reading(member string, seconds, total, bad float64) astern.Reading {
	return astern.Reading{Member: member, At: at(seconds), Total: total, Bad: bad}
}

func pair(seconds, total float64) []astern.Reading {
	return []astern.Reading{reading("new", seconds, total, 0), reading("old", seconds, total, 0)}
}

// run feeds the rounds; after each, the meter is written as JSON and read again, as if killed in between.
func run(t *testing.T, rounds []round) []astern.Sample {
	t.Helper()
	var m signal.Meter
	var out []astern.Sample
	for _, r := range rounds {
		if r.groups == nil {
			r.groups = both
		}
		if r.now == 0 {
			r.now = r.at
		}
		s, ok := m.Add(at(r.at), signal.Answer{Now: at(r.now), Readings: r.readings, Failed: r.failed, Err: r.err}, r.groups)
		if ok {
			out = append(out, s)
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		m = signal.Meter{}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// counted returns of each sample what each group counted; -1 for one that was not.
func counted(samples []astern.Sample) [][2]float64 {
	var out [][2]float64
	for _, s := range samples {
		x := [2]float64{-1, -1}
		if s.Candidate != nil {
			x[0] = s.Candidate.Total
		}
		if s.Control != nil {
			x[1] = s.Control.Total
		}
		if (x[0] < 0 || x[1] < 0) == (s.Missing == "") {
			panic("a group is missing without a word, or a word is said for nothing: " + s.Missing)
		}
		out = append(out, x)
	}
	return out
}

// Each case begins with the rounds at 0 s (seen), 10 s (the base) and 20 s (the first sample of 10 requests each).
func TestMeterTellsApartFromHealth(t *testing.T) {
	restarted := at(25)
	began := at(-1000)
	withStart := func(r astern.Reading, s time.Time) astern.Reading { r.Started = &s; return r }
	one := func(seconds, total float64) astern.Reading { return reading("old", seconds, total, 0) }
	for name, c := range map[string]struct {
		rounds []round
		want   [][2]float64
		says   string
	}{
		"nothing special":                {[]round{{at: 30, readings: pair(30, 35)}}, [][2]float64{{15, 15}}, ""},
		"no requests":                    {[]round{{at: 30, readings: pair(30, 20)}}, [][2]float64{{0, 0}}, ""},
		"a counter that went back":       {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, 5, 0), one(30, 30)}}, {at: 40, readings: pair(40, 45)}}, [][2]float64{{-1, 10}, {40, 15}}, "new: its counters went back"},
		"a restart that counted more":    {[]round{{at: 30, readings: []astern.Reading{withStart(reading("new", 30, 900, 0), began), one(30, 30)}}, {at: 40, readings: []astern.Reading{withStart(reading("new", 40, 5000, 0), restarted), one(40, 40)}}, {at: 50, readings: []astern.Reading{withStart(reading("new", 50, 5007, 0), restarted), one(50, 50)}}}, [][2]float64{{880, 10}, {-1, 10}, {7, 10}}, "it restarted"},
		"a start told with jitter":       {[]round{{at: 30, readings: []astern.Reading{withStart(reading("new", 30, 30, 0), began), one(30, 30)}}, {at: 40, readings: []astern.Reading{withStart(reading("new", 40, 40, 0), began.Add(time.Second)), one(40, 40)}}}, [][2]float64{{10, 10}, {10, 10}}, ""},
		"NaN":                            {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, math.NaN(), 0), one(30, 30)}}, {at: 40, readings: pair(40, 40)}, {at: 50, readings: pair(50, 50)}}, [][2]float64{{-1, 10}, {-1, 10}, {10, 10}}, "it counts NaN"},
		"infinity":                       {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, 30, math.Inf(1)), one(30, 30)}}}, [][2]float64{{-1, 10}}, "counts without end"},
		"less than nothing":              {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, -1, 0), one(30, 30)}}}, [][2]float64{{-1, 10}}, "no number of requests"},
		"beyond what floats can count":   {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, 1e300, 0), one(30, 30)}}}, [][2]float64{{-1, 10}}, "no number of requests"},
		"a member that hangs":            {[]round{{at: 30, readings: []astern.Reading{one(30, 30)}, failed: map[string]string{"new": "it did not answer in time"}}, {at: 40, readings: pair(40, 40)}, {at: 50, readings: pair(50, 50)}}, [][2]float64{{-1, 10}, {-1, 10}, {10, 10}}, "new: it did not answer in time"},
		"a member that went":             {[]round{{at: 30, readings: []astern.Reading{one(30, 30)}, groups: signal.Groups{"old": signal.Control}}}, [][2]float64{{-1, 10}}, "candidate could not be counted: no member is in it"},
		"the source down":                {[]round{{at: 30, err: errors.New("connection refused")}, {at: 40, readings: pair(40, 40)}, {at: 50, readings: pair(50, 50)}}, [][2]float64{{-1, -1}, {-1, -1}, {10, 10}}, "could not be asked: connection refused"},
		"a duplicate point":              {[]round{{at: 30, readings: append(pair(30, 30), pair(30, 30)...)}}, [][2]float64{{10, 10}}, ""},
		"two truths of one moment":       {[]round{{at: 30, readings: append(pair(30, 30), reading("new", 30, 31, 0))}}, [][2]float64{{-1, 10}}, "two readings of the same moment differ"},
		"points out of order":            {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, 30, 0), reading("new", 25, 25, 0), one(30, 30)}}, {at: 40, readings: append(pair(40, 40), reading("new", 28, 28, 0))}}, [][2]float64{{10, 10}, {10, 10}}, ""},
		"a late point is waited for":     {[]round{{at: 30, readings: []astern.Reading{reading("new", 20, 20, 0), one(30, 30)}}, {at: 40, readings: pair(40, 40)}}, [][2]float64{{20, 20}}, ""},
		"points that stopped":            {[]round{{at: 30, readings: []astern.Reading{reading("new", 20, 20, 0), one(30, 30)}}, {at: 40, readings: []astern.Reading{reading("new", 20, 20, 0), one(40, 40)}}, {at: 60, readings: []astern.Reading{reading("new", 20, 20, 0), one(60, 60)}}}, [][2]float64{{-1, 40}}, "no newer reading of it for 40s"},
		"a source that is behind":        {[]round{{at: 150, now: 150, readings: pair(25, 25)}}, [][2]float64{{-1, -1}}, "2m5s old"},
		"a source with another clock":    {[]round{{at: 30, now: 3630, readings: pair(3630, 30)}, {at: 40, now: 3640, readings: pair(3640, 40)}}, [][2]float64{{10, 10}, {10, 10}}, ""},
		"a point from the future":        {[]round{{at: 30, readings: []astern.Reading{reading("new", 330, 30, 0), one(30, 30)}}}, [][2]float64{{-1, 10}}, "5m0s ahead"},
		"more failures than requests":    {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, 20, 1), one(30, 30)}}, {at: 40, readings: []astern.Reading{reading("new", 40, 22, 2), one(40, 40)}}}, [][2]float64{{2, 20}}, ""},
		"always more failures":           {[]round{{at: 30, readings: []astern.Reading{reading("new", 30, 20, 1), one(30, 30)}}, {at: 60, readings: []astern.Reading{reading("new", 60, 20, 9), one(60, 60)}}, {at: 100, readings: []astern.Reading{reading("new", 60, 20, 9), one(100, 100)}}, {at: 200, readings: []astern.Reading{reading("new", 60, 20, 9), one(200, 200)}}}, [][2]float64{{-1, 180}}, "new: its newest reading is 2m20s old"},
		"a member that changes":          {[]round{{at: 30, readings: pair(30, 30), groups: signal.Groups{"new": signal.Control, "old": signal.Control}}, {at: 40, readings: pair(40, 40), groups: signal.Groups{"new": signal.Control, "old": signal.Control}}, {at: 50, readings: pair(50, 50), groups: signal.Groups{"new": signal.Control, "old": signal.Control}}}, [][2]float64{{-1, 10}, {-1, 10}, {-1, 20}}, "new: its revision changed"},
		"a member in between":            {[]round{{at: 30, readings: pair(30, 30), groups: signal.Groups{"old": signal.Control}}, {at: 40, readings: pair(40, 40)}, {at: 50, readings: pair(50, 50)}, {at: 60, readings: pair(60, 60)}}, [][2]float64{{-1, 10}, {-1, 10}, {-1, 10}, {10, 10}}, "its first reading"},
		"a reading from before a change": {[]round{{at: 30, readings: pair(30, 30), groups: signal.Groups{"old": signal.Control}}, {at: 40, readings: []astern.Reading{reading("new", 31, 31, 0), one(40, 40)}}, {at: 50, readings: []astern.Reading{reading("new", 38, 38, 0), one(50, 50)}}, {at: 60, readings: []astern.Reading{reading("new", 46, 46, 0), one(60, 60)}}, {at: 70, readings: []astern.Reading{reading("new", 61, 61, 0), one(70, 70)}}}, [][2]float64{{-1, 10}, {-1, 10}, {-1, 10}, {-1, 10}, {15, 10}}, "its first reading"},
		"our clock went back":            {[]round{{at: -500, now: 30, readings: pair(30, 30)}, {at: -490, now: 40, readings: pair(40, 40)}, {at: -480, now: 50, readings: pair(50, 50)}, {at: -470, now: 60, readings: pair(60, 60)}}, [][2]float64{{-1, -1}, {-1, -1}, {-1, -1}, {10, 10}}, "clock went back"},
	} {
		t.Run(name, func(t *testing.T) {
			rounds := append([]round{{at: 0, readings: pair(0, 0)}, {at: 10, readings: pair(10, 10)}, {at: 20, readings: pair(20, 20)}}, c.rounds...)
			samples := run(t, rounds)
			if got := counted(samples[:2]); !cmp.Equal(got, [][2]float64{{-1, -1}, {10, 10}}) {
				t.Fatalf("the beginning: %v", got)
			}
			if diff := cmp.Diff(c.want, counted(samples[2:])); diff != "" {
				t.Errorf("(-want +got)\n%s%+v", diff, samples[2:])
			}
			said := ""
			for _, s := range samples[2:] {
				said += s.Missing + "\n"
				for m, why := range s.Left {
					said += m + ": " + why + "\n"
				}
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("nothing says %q:\n%s", c.says, said)
			}
			for i := 1; i < len(samples); i++ {
				if name != "our clock went back" && !samples[i].From.Equal(samples[i-1].To) {
					t.Errorf("sample %d begins at %s, the one before ended at %s", i, samples[i].From, samples[i-1].To)
				}
			}
		})
	}
}

// One member that is left out leaves the others counted, and is named.
func TestMeterCountsTheOthers(t *testing.T) {
	groups := signal.Groups{"a": signal.Candidate, "b": signal.Candidate, "c": signal.Control, "d": signal.Control}
	all := func(s, total float64) []astern.Reading {
		return []astern.Reading{reading("a", s, total, 1), reading("b", s, 2*total, 1), reading("c", s, total, 1), reading("d", s, total, 1)}
	}
	samples := run(t, []round{{at: 0, readings: all(0, 0), groups: groups}, {at: 10, readings: all(10, 10), groups: groups},
		{at: 20, readings: all(20, 20)[:3], failed: map[string]string{"d": "connection refused"}, groups: groups}})
	want := astern.Sample{From: at(10), To: at(20), Candidate: &astern.Counts{Total: 30, Members: 2}, Control: &astern.Counts{Total: 10, Members: 1},
		Left: map[string]string{"d": "connection refused"}}
	if diff := cmp.Diff(want, samples[len(samples)-1]); diff != "" {
		t.Error(diff)
	}
}

func TestGroups(t *testing.T) {
	if diff := cmp.Diff(signal.Groups{"a": signal.Candidate, "b": signal.Control}, signal.Compare(map[string]string{"a": "v2", "b": "v1", "c": "v0", "d": ""}, "v2", "v1")); diff != "" {
		t.Error(diff)
	}
	want := signal.Groups{"a": signal.Candidate, "b": signal.Control, "c": signal.Candidate}
	if diff := cmp.Diff(want, signal.Halves([]string{"c", "a", "b", "a"})); diff != "" {
		t.Error(diff)
	}
}

// A source that tells of each minute two minutes later: its readings are old and count all the same, and what it says of a member
// that could not be told apart for a while is not taken for what came after that.
func TestMeterOfALateSource(t *testing.T) {
	var m signal.Meter
	var samples []astern.Sample
	candidate := signal.Groups{"new": signal.Candidate}
	add := func(now, read, total float64, failed map[string]string) {
		a := signal.Answer{Now: at(now), Lag: 3 * time.Minute, Failed: failed}
		if failed == nil {
			a.Readings = []astern.Reading{reading("new", read, total, 0)}
		}
		if s, ok := m.Add(at(now), a, candidate); ok {
			samples = append(samples, s)
		}
	}
	mixed := map[string]string{"new": "counted together"}
	add(0, -120, 1000, mixed)
	add(60, -60, 1100, mixed)
	add(70, -60, 1100, nil)  // alone from here on, and what is told is of before
	add(130, 0, 1200, nil)   // when both served
	add(190, 60, 1300, nil)  // still
	add(250, 120, 1400, nil) // the base
	add(310, 180, 1410, nil)
	add(370, 180, 1410, nil) // nothing came yet
	add(430, 300, 1425, nil)
	var got []float64
	for _, s := range samples {
		if s.Candidate != nil {
			got = append(got, s.Candidate.Total)
		}
	}
	if diff := cmp.Diff([]float64{10, 15}, got); diff != "" {
		t.Errorf("(-want +got)\n%s%+v", diff, samples)
	}
}
