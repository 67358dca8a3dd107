package signal_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
)

// native counts values into the buckets of a native histogram of the schema; those of nothing are left out.
func native(values []float64, schema int) []astern.Bucket {
	counts := map[int]float64{}
	for _, v := range values {
		counts[int(math.Ceil(math.Ldexp(math.Log2(v), schema)))]++
	}
	var out []signal.Interval
	for i, n := range counts {
		bound := func(i int) float64 { return math.Exp2(math.Ldexp(float64(i), -schema)) }
		out = append(out, signal.Interval{Lower: bound(i - 1), Upper: bound(i), Count: n})
	}
	return signal.Cumulate(out, float64(len(values)))
}

// Two members with histograms of different resolutions whose empty buckets come and go: what a sample says of a bound is
// exactly what was measured, or nothing.
func TestHistogramsOfAnyResolution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]float64{0.011, 0.03, 0.07, 0.13, 0.3, 0.7, 1.3, 3, 7, 13}), 0, 30)
		var m signal.Meter
		groups := signal.Groups{"a": signal.Candidate, "b": signal.Candidate}
		total := map[string][]float64{}
		var sample astern.Sample
		var fresh []float64
		for round := range 3 {
			var rs []astern.Reading
			fresh = nil
			for _, member := range []string{"a", "b"} {
				v := values.Draw(t, member)
				fresh = append(fresh, v...)
				total[member] = append(total[member], v...)
				schema := rapid.IntRange(-2, 3).Draw(t, "schema")
				rs = append(rs, astern.Reading{Member: member, At: at(float64(10 * round)), Total: float64(len(total[member])),
					Buckets: native(total[member], schema)})
			}
			sample, _ = m.Add(at(float64(10*round)), signal.Answer{Now: at(float64(10 * round)), Readings: rs}, groups)
		}
		if sample.Candidate == nil {
			t.Fatal(sample.Missing)
		}
		known := 0
		for e := -8.0; e <= 5; e += 0.125 {
			x := math.Exp2(e)
			got, ok := sample.Candidate.AtMost(x)
			want := 0.0
			for _, v := range fresh {
				if v <= x {
					want++
				}
			}
			if ok && got != want {
				t.Fatalf("at most %g: %g, want %g of %v\n%v", x, got, want, fresh, sample.Candidate.Buckets)
			}
			if ok {
				known++
			}
		}
		if n, ok := sample.Candidate.AtMost(math.Inf(1)); !ok || n != float64(len(fresh)) {
			t.Fatalf("in all: %g %v", n, ok)
		}
		if _, ok := sample.Candidate.AtMost(math.Exp2(-8)); !ok {
			t.Fatal("what lies below all is known")
		}
	})
}

func TestClassicBuckets(t *testing.T) {
	c := astern.Counts{Buckets: signal.Classic(map[float64]float64{0.1: 5, 0.5: 9, 1: 9, math.Inf(1): 10})}
	for x, want := range map[float64]float64{0.1: 5, 0.5: 9, 0.7: 9, 1: 9, math.Inf(1): 10, 0.2: -1, 0.05: -1, 2: -1} {
		got, ok := c.AtMost(x)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("at most %g: %g, want %g", x, got, want)
		}
	}
}

// A zero bucket that reaches into the first one above it, as the specification allows.
func TestZeroBucket(t *testing.T) {
	c := astern.Counts{Buckets: signal.Cumulate([]signal.Interval{{Lower: 1, Upper: 2, Count: 4}, {Lower: -1.5, Upper: 1.5, Count: 3}, {Lower: 0.5, Upper: 1, Count: 1}}, 8)}
	last := math.Inf(-1)
	for _, b := range c.Buckets {
		if b.Upper != nil {
			if *b.Upper <= last {
				t.Fatalf("bounds do not rise: %v", c.Buckets)
			}
			last = *b.Upper
		}
	}
	if n, ok := c.AtMost(2); !ok || n != 8 {
		t.Errorf("at most 2: %g %v", n, ok)
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"a", `a{b="c",d=~"e|f",}`, `a:b{x!="y",z!~".*"} `, "a{", `a{b='c'}`, "a{b=`c\\d`}", `{a="b"}`, "a[5m]", "a offset 5m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := signal.ParseSelector(text)
		if err != nil {
			return
		}
		again, err := signal.ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q is written as %q, which reads as %q, %v", text, s, again, err)
		}
	})
}

func TestSelectorMatches(t *testing.T) {
	labels := map[string]string{"code": "503", "path": "/a\nb"}
	for text, want := range map[string]bool{
		`a`: true, `a{code="503"}`: true, `a{code=~"5.."}`: true, `a{code=~"5"}`: false, `a{code!~"5.."}`: false, `a{code!="200"}`: true,
		`a{none=""}`: true, `a{none!=""}`: false, `a{none=~"x?"}`: true, `a{path=~"/a.b"}`: true, `a{code="503",path=""}`: false, "a{code=~`5\\d+`}": true, `a{code=~'50[34]'}`: false,
	} {
		s, err := signal.ParseSelector(text)
		if err != nil {
			if want {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if got := s.Matches(func(l string) string { return labels[l] }); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
