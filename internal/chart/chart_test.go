package chart_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/chart"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, 3, 1, 3, 7, 0, 0, time.UTC)

func p(v float64) *float64 { return &v }

// wellFormed reads the picture as XML, with a reader that is not ours.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}

func TestSeries(t *testing.T) {
	s := astern.Series{Name: "errors of <shop> & others", Unit: "%", Margin: 0.5}
	for i := range 10 {
		q := astern.Point{At: start.Add(time.Duration(i) * 5 * time.Second), Candidate: p(0.3 + float64(i)*0.4), Control: p(0.3), Low: p(float64(i) * 0.2), High: p(float64(i)*0.4 + 1)}
		if i == 4 { // a gap: nothing was seen
			q.Candidate, q.Control, q.Low, q.High = nil, nil, nil, nil
		}
		s.Points = append(s.Points, q)
	}
	svg := chart.Series(s, []chart.Mark{{start.Add(20 * time.Second), "ex-1 \"begins\"\x1b[2J"}, {start.Add(time.Hour), "too late"}, {start.Add(-time.Hour), "too early"}})
	wellFormed(t, svg)
	const golden = "testdata/series.svg"
	if *update {
		if err := os.WriteFile(golden, []byte(svg), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), svg); diff != "" {
		t.Error(diff)
	}
}

// TestOddSeries: nothing, one point, no spread, and what is no number.
func TestOddSeries(t *testing.T) {
	if svg := chart.Series(astern.Series{Name: "empty"}, nil); svg != "" {
		t.Error(svg)
	}
	for name, points := range map[string][]astern.Point{
		"one":     {{At: start, Candidate: p(1)}},
		"at once": {{At: start, Candidate: p(0), Low: p(0), High: p(0)}, {At: start, Candidate: p(0), Low: p(0), High: p(0)}},
		"unknown": {{At: start}, {At: start.Add(time.Second)}},
		"odd":     {{At: start, Candidate: p(math.NaN()), Control: p(math.Inf(1))}, {At: start.Add(time.Second), Candidate: p(-3), Low: p(math.NaN()), High: p(1e300)}},
		"back":    {{At: start, Candidate: p(1)}, {At: start.Add(-time.Second), Candidate: p(2)}},
	} {
		svg := chart.Series(astern.Series{Name: name, Points: points}, nil)
		wellFormed(t, svg)
		for _, bad := range []string{"NaN", "Inf", "<script"} {
			if strings.Contains(svg, bad) {
				t.Errorf("%s holds %s", name, bad)
			}
		}
	}
}
