package watch_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// counted is one group's counts, with a histogram where bounds are given: half of all lie below the first.
func counted(total, bad float64, members int, bounds ...float64) *astern.Counts {
	c := &astern.Counts{Total: total, Bad: bad, Members: members}
	for i := range bounds {
		c.Buckets = append(c.Buckets, astern.Bucket{Upper: &bounds[i], Count: total * float64(i+1) / float64(len(bounds)+1)})
	}
	if bounds != nil {
		c.Buckets = append(c.Buckets, astern.Bucket{Count: total})
	}
	return c
}

// seconds are samples of some seconds each, from now on.
func filled(p *watch.Past, from time.Time, every time.Duration, n int, bounds ...float64) time.Time {
	for range n {
		p.Add(astern.Sample{From: from, To: from.Add(every), Candidate: counted(100, 1, 2, bounds...), Control: counted(50, 2, 1, bounds...)})
		from = from.Add(every)
	}
	return from
}

func totals(samples []astern.Sample) (all, bad float64) {
	for _, s := range samples {
		for _, c := range []*astern.Counts{s.Candidate, s.Control} {
			if c != nil {
				all, bad = all+c.Total, bad+c.Bad
			}
		}
	}
	return all, bad
}

// TestPastRing: pieces of a quarter of a minute, and of five seconds for the newest ten minutes; three hours of them, however
// often it is added to.
func TestPastRing(t *testing.T) {
	var p watch.Past
	end := filled(&p, now, 5*time.Second, 3*720)
	if got := p.Samples(end); len(got) != 680+120 || p.Seconds() != 3*3600 {
		t.Fatalf("%d pieces of %v s", len(got), p.Seconds())
	}
	if all, bad := totals(p.Samples(end)); all != 3*720*150 || bad != 3*720*3 {
		t.Errorf("%v, %v", all, bad)
	}
	var h watch.Past // buckets are added up as their totals are
	for _, x := range h.Samples(filled(&h, now, 5*time.Second, 600, 0.1, 0.5)) {
		if b := x.Control.Buckets; len(b) != 3 || float32(b[2].Count) != float32(x.Control.Total) || float32(b[0].Count) != float32(x.Control.Total/3) {
			t.Fatalf("%+v", x.Control)
		}
	}
	end = filled(&p, end, 5*time.Second, 5000)
	got := p.Samples(end)
	if len(got) > 802 || !got[len(got)-1].To.After(end.Add(-15*time.Second)) || got[0].From.Before(end.Add(-3*time.Hour-30*time.Second)) {
		t.Errorf("%d pieces, from %s to %s, at %s", len(got), got[0].From, got[len(got)-1].To, end)
	}
	if got := p.Samples(end.Add(-time.Hour)); len(got) > 482 || got[len(got)-1].To.After(end.Add(-time.Hour)) {
		t.Errorf("before an hour ago: %d", len(got))
	}
}

// TestPastGaps: what was not counted is in no piece, and pieces do not reach across it, nor across another number of members.
func TestPastGaps(t *testing.T) {
	var p watch.Past
	at := filled(&p, now, 2*time.Second, 2) // too short for a piece
	p.Add(astern.Sample{From: at, To: at.Add(2 * time.Second), Missing: "gone"})
	at = filled(&p, at.Add(2*time.Second), 2*time.Second, 3)
	p.Add(astern.Sample{From: at, To: at.Add(2 * time.Second), Candidate: counted(7, 0, 3)})
	at = filled(&p, at.Add(2*time.Second), 2*time.Second, 3)
	got := p.Samples(at)
	if all, _ := totals(got); len(got) != 2 || all != 2*3*150 {
		t.Errorf("%d pieces of %v", len(got), all)
	}
}

// TestPastHistograms: buckets come back as they were; with other bounds, the earlier pieces have none; where the groups' differ
// (native histograms), none are kept.
func TestPastHistograms(t *testing.T) {
	var p watch.Past
	at := filled(&p, now, 15*time.Second, 2, 0.1, 0.5)
	for _, s := range p.Samples(at) {
		want := astern.Sample{From: s.From, To: s.From.Add(15 * time.Second), Candidate: counted(100, 1, 2, 0.1, 0.5), Control: counted(50, 2, 1, 0.1, 0.5)}
		for i, b := range s.Candidate.Buckets { // kept in single precision
			if d := b.Count - want.Candidate.Buckets[i].Count; d > 1e-3 || d < -1e-3 || (b.Upper == nil) != (i == 2) {
				t.Errorf("%+v", s.Candidate.Buckets)
			}
		}
		if len(s.Control.Buckets) != 3 || *s.Control.Buckets[1].Upper != 0.5 || s.Control.Total != 50 || s.Control.Bad != 2 || s.Control.Members != 1 {
			t.Errorf("%+v", s.Control)
		}
	}
	at = filled(&p, at, 15*time.Second, 1, 0.1, 0.25, 0.5)
	got := p.Samples(at)
	if len(got) != 3 || got[0].Candidate.Buckets != nil || got[0].Candidate.Total != 100 || len(got[2].Candidate.Buckets) != 4 {
		t.Errorf("%+v", got)
	}
	p.Add(astern.Sample{From: at, To: at.Add(15 * time.Second), Candidate: counted(100, 1, 2, 0.1), Control: counted(50, 2, 1, 0.2)})
	if got := p.Samples(at.Add(time.Minute)); got[3].Candidate.Buckets != nil || got[3].Control.Buckets != nil || got[3].Control.Total != 50 {
		t.Errorf("%+v", got[3])
	}
}

// TestPastClock: a clock that is set back leaves nothing that lies in the future, so that what comes is a past again.
func TestPastClock(t *testing.T) {
	for _, back := range []time.Duration{time.Second, time.Minute, 10 * time.Hour, 5000 * time.Hour} {
		var p watch.Past
		end := filled(&p, now, 5*time.Second, 360).Add(-back)
		p.Add(astern.Sample{From: end, To: end, Missing: "this machine's clock went back"})
		end = filled(&p, end, 5*time.Second, 720)
		got := p.Samples(end)
		for i := 1; i < len(got); i++ {
			if got[i].From.Before(got[i-1].To) {
				t.Fatalf("set back by %s: %s after %s", back, got[i].From, got[i-1].To)
			}
		}
		if last := got[len(got)-1].To; !last.Equal(end) {
			t.Errorf("set back by %s: the past ends at %s, it is %s", back, last, end)
		}
	}
}

// TestPastJSON: stored at any time and read again it goes on.
func TestPastJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, stored := &watch.Past{}, &watch.Past{}
		at := now
		for range rapid.IntRange(1, 60).Draw(t, "samples") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 0, 0, 3, -20}).Draw(t, "gap")) * time.Second)
			s := astern.Sample{From: at, To: at.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)}
			var bounds []float64
			if rapid.Bool().Draw(t, "histogram") {
				bounds = rapid.SampledFrom([][]float64{{0.1}, {0.1, 0.5}, {}}).Draw(t, "bounds")
			}
			if rapid.IntRange(0, 5).Draw(t, "new") > 0 {
				s.Candidate = counted(float64(rapid.IntRange(0, 1<<30).Draw(t, "total")), 0, rapid.IntRange(1, 3).Draw(t, "members"), bounds...)
			}
			if rapid.IntRange(0, 5).Draw(t, "old") > 0 {
				s.Control = counted(float64(rapid.IntRange(0, 1000).Draw(t, "total")), 0, 1, bounds...)
			}
			at = s.To
			p.Add(s)
			stored.Add(s)
			b, err := json.Marshal(stored)
			if err != nil {
				t.Fatal(err)
			}
			stored = &watch.Past{}
			if err := json.Unmarshal(b, stored); err != nil {
				t.Fatal(err)
			}
			if got, want := stored.Samples(at), p.Samples(at); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\n%+v\n%+v", b, got, want)
			}
			if why := (&watch.Watched{Pasts: map[string]*watch.Past{"s": stored}}).Problem(); why != "" {
				t.Fatal(why)
			}
		}
	})
}
